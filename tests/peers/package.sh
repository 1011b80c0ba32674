#!/usr/bin/env bash
# The package through its life, in a Debian of its own (debian.sh) without a network: installed, configured, upgraded, removed, installed again, purged.
# The later version is the same program with other defaults of its configuration.
#
#   tests/peers/package.sh PACKAGE.deb      (as root; two minutes at most, one of them debootstrap's where there is no Debian yet)
set -euo pipefail

conf=/etc/tracehop

# What runs inside, as a unit of its own.
inside() {
  begin
  export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
  # Without Recommends: there is nowhere to get them from.
  apt() { apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "$@" >/tmp/apt 2>&1 </dev/null || { cat /tmp/apt; return 1; }; }
  version() { dpkg-query -W -f '${Version}' tracehop; }
  traced() { owner tracehop trace --case C-1 --called +12025550123 --calling +12125550100 --time "$when" --precision 120 --config $conf/tracehop.toml | grep -q "never passed on"; }
  # The ledger has rows of the sensor.
  seen() { owner tracehop coverage --config $conf/tracehop.toml --json | grep -q '"lo"'; }
  portal=/var/lib/tracehop-portal
  portals() { systemctl show tracehop-portal -P "$1"; }
  staff() { setpriv --reuid=tracehop-portal --regid=tracehop-portal --clear-groups -- tracehop portal "$@"; }
  asked() { [ "$(portals ActiveState)" = active ] && exec 4<>/dev/tcp/127.0.0.1/8480 && printf 'GET / HTTP/1.0\r\nHost: localhost\r\n\r\n' >&4 && head -n 1 <&4 | grep -q ^HTTP; exec 4>&-; }

  is "nothing of it is here" "" "$(ls -d /usr/bin/tracehop /etc/tracehop /var/lib/tracehop 2>/dev/null)$(id tracehop 2>/dev/null)"
  if apt install /test/first.deb; then ok "installed"; else bad "installed"; told; return; fi
  is "it says what to do next" 1 "$(grep -c 'tracehop check /etc/tracehop/tracehop.toml && systemctl restart' /tmp/apt)"
  is "state" active/running "$(show ActiveState)/$(show SubState)"
  is "enabled" enabled "$(systemctl is-enabled tracehop)"
  is "the unit is the package's" /lib/systemd/system/tracehop.service "$(show FragmentPath | sed 's|^/usr||')"
  is "the portal's is switched off" "disabled inactive" "$(systemctl is-enabled tracehop-portal) $(systemctl show tracehop-portal -P ActiveState)"
  is "the units, and their manual" "" "$(systemd-analyze verify tracehop.service tracehop-portal.service 2>&1)"
  is "user" tracehop "$(stat -c %U "/proc/$(show MainPID)")"
  is "StatusText" "nothing to watch yet: /etc/tracehop/tracehop.toml says how" "$(show StatusText)"
  within 10 "/healthz" page_says /healthz "200 OK"
  within 10 "/readyz is not ready" page_says /readyz "503 "
  is "and says why" 1 "$(page /readyz | grep -c 'nothing to watch yet')"
  within 5 "and so does the log" logged 4 "nothing to watch yet"
  is "who may read what" "750 root:tracehop 750 tracehop:tracehop 700 tracehop:tracehop" \
    "$(stat -c '%a %U:%G' $conf /var/lib/tracehop /var/lib/tracehop/responder | xargs)"
  is "and of the portal" "700 tracehop-portal:tracehop-portal" "$(stat -c '%a %U:%G' /var/lib/tracehop-portal)"
  is "--version" "tracehop $(version | cut -d- -f1)" "$(tracehop --version)"
  is "check" "$conf/tracehop.toml: no problem" "$(owner tracehop check $conf/tracehop.toml | head -n 1)"
  is "files are as packed" "" "$(dpkg --verify tracehop)"

  for page in tracehop tracehop-trace tracehop-audit-verify "5 tracehop.toml"; do
    is "manual: $page" "" "$(man --warnings -P cat $page 2>&1 >/tmp/page | head -n 3; [ "$(wc -l </tmp/page)" -gt 20 ] || echo short)"
  done
  is "bash completes" "trace" "$(bash -c '. /usr/share/bash-completion/bash_completion; _completion_loader tracehop
    COMP_WORDS=(tracehop tra) COMP_CWORD=1; f=$(complete -p tracehop | grep -o "\-F [^ ]*"); ${f#-F } tracehop tra tracehop; echo "${COMPREPLY[*]}"')"

  # The operator's.
  sed -i 's/^name = "Example Voice".*/name = "Our Company"/; /^idle/d' $conf/tracehop.toml
  printf '[[capture.interface]]\nname = "lo"\n' >>$conf/tracehop.toml
  cp $conf/tracehop.toml /tmp/operators.toml
  is "check of it" "$conf/tracehop.toml: no problem" "$(owner tracehop check $conf/tracehop.toml | head -n 1)"
  systemctl restart tracehop
  within 10 "/readyz" page_says /readyz "200 OK"
  is "watches" "watching lo with 1 neighbours" "$(show StatusText)"
  call one
  when=$(date -u +%FT%TZ)
  within 10 "the record is stored" page_says /metrics '^tracehop_store_appended_total.* 1$'
  within 10 "and found" traced
  is "the ledger" yes "$(seen && echo yes)"

  # The portal, begun as systemd/README.md says.
  is "a portal is begun" 1 "$(staff init $portal 2>&1 | grep -c '^  password ')"
  if systemctl enable --quiet --now tracehop-portal; then ok "and started"; else bad "and started"; fi
  is "as its own user" "tracehop-portal active" "$(stat -c %U "/proc/$(portals MainPID)") $(portals ActiveState)"
  is "with no capability" 0000000000000000 "$(awk '$1 == "CapBnd:" { print $2 }' "/proc/$(portals MainPID)/status")"
  within 10 "it answers" asked
  was=$(portals MainPID)

  before=$(show MainPID)
  if apt install /test/second.deb; then ok "upgraded"; else bad "upgraded"; fi
  is "version" 2 "$(version | cut -d- -f2)"
  is "what to do first is not said again" 0 "$(grep -c 'installed. It watches' /tmp/apt)"
  within 10 "another process runs" again
  is "as the same user" tracehop "$(stat -c %U "/proc/$(show MainPID)")"
  is "the one before ended well" yes "$(journal | grep -q '"MESSAGE":"drained"' && echo yes)"
  is "the operator's configuration stays" "" "$(diff /tmp/operators.toml $conf/tracehop.toml)"
  is "the new default is beside it" 1 "$(grep -c '^# second' $conf/tracehop.toml.dpkg-dist)"
  is "a default that he left alone is the new one" 1 "$(grep -c '^# second' $conf/peers.toml)"
  within 10 "ready" page_says /readyz "200 OK"
  within 10 "the record is there" traced
  is "the ledger too" yes "$(seen && echo yes)"
  is "the audit log holds" "Every line is as it was written." "$(owner tracehop audit verify --config $conf/tracehop.toml | tail -n 1)"

  is "the portal is another process" yes "$([ "$(portals MainPID)" != "$was" ] && echo yes)"
  within 10 "and answers" asked
  is "its people are there" 1 "$(staff user list --config $portal/portal.toml | grep -c analyst)"

  # An operator who has switched it off finds it off.
  systemctl disable --quiet --now tracehop
  if apt install --reinstall /test/second.deb; then ok "installed over it, switched off"; else bad "installed over it, switched off"; fi
  is "and it is off" "inactive disabled" "$(show ActiveState) $(systemctl is-enabled tracehop)"
  systemctl enable --quiet --now tracehop
  within 10 "on again" page_says /readyz "200 OK"

  # A configuration that is wrong is the service's trouble, not the package manager's.
  echo 'nonsense = 1' >>$conf/tracehop.toml
  if apt install --reinstall /test/second.deb; then ok "installed over a wrong configuration"; else bad "installed over a wrong configuration"; fi
  is "which the service refuses" "failed 78" "$(show ActiveState) $(show ExecMainStatus)"
  cp /tmp/operators.toml $conf/tracehop.toml
  systemctl restart tracehop
  within 10 "mended" page_says /readyz "200 OK"

  if apt remove tracehop; then ok "removed"; else bad "removed"; fi
  is "no process" "" "$(cat /proc/[0-9]*/comm | grep '^tracehop$')"
  is "no program, no unit" "" "$(ls /usr/bin/tracehop /lib/systemd/system/tracehop.service 2>/dev/null)"
  is "state and configuration stay" "tracehop yes tracehop-portal" "$(stat -c %U /var/lib/tracehop/store) $(cmp /tmp/operators.toml $conf/tracehop.toml && echo yes) $(stat -c %U $portal/state)"
  if apt install /test/second.deb; then ok "installed again"; else bad "installed again"; fi
  within 10 "ready" page_says /readyz "200 OK"
  within 10 "the record is there" traced

  touch $conf/answers.key
  if apt purge tracehop; then ok "purged"; else bad "purged"; fi
  is "it says what it deletes" 3 "$(grep -c 'purge deletes /' /tmp/apt)"
  is "nothing is left" "" "$(ls -d /usr/bin/tracehop /etc/tracehop* /var/lib/tracehop* /usr/share/tracehop /usr/share/doc/tracehop 2>/dev/null)$(find /etc/systemd /lib/systemd -name 'tracehop*')"
  is "but the users" "tracehop tracehop-portal" "$(id -un tracehop) $(id -un tracehop-portal)"
  told
}

if [ "${1:-}" = inside ]; then
  . /test/debian.sh
  inside
  exit
fi

package=$(realpath "$1")
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/peers/debian.sh"
new_debian

install -D -m 644 "$package" "$root/test/first.deb"
dpkg-deb -R "$package" "$work/later"
sed -i 's/^\(Version: .*\)-[0-9]*$/\1-2/' "$work/later/DEBIAN/control"
for file in tracehop peers; do echo '# second default' >>"$work/later$conf/$file.toml"; done
sed -i '/ etc\/tracehop\//d' "$work/later/DEBIAN/md5sums"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/later" "$root/test/second.deb" >/dev/null
rm -rf "$work/later"
boot "$0"
