#!/usr/bin/env bash
# The unit under a real PID 1, in a Debian of its own (debian.sh). A test unit starts tracehop, sends it a call, reloads, restarts, kills and hangs it, stops it, and powers off.
#
#   tests/peers/unit.sh TRACEHOP      (as root; two minutes at most, one of them debootstrap's where there is no Debian yet)
set -euo pipefail

# What runs inside, as a unit of its own.
inside() {
  begin
  systemd-sysusers /etc/sysusers.d/tracehop.conf || bad sysusers
  systemd-tmpfiles --create /etc/tmpfiles.d/tracehop.conf || bad tmpfiles
  chown -R root:tracehop /etc/tracehop && chmod -R u=rwX,g=rX,o= /etc/tracehop
  chown tracehop /etc/tracehop/answers.key && chmod 400 /etc/tracehop/answers.key
  is "systemd-analyze verify" "" "$(systemd-analyze verify --man=no /etc/systemd/system/tracehop.service 2>&1)"

  if ! systemctl start tracehop; then
    bad "started"
    told
    return
  fi
  ok "started: systemctl waited for READY=1"
  is "state" active/running "$(show ActiveState)/$(show SubState)"
  is "Type" notify "$(show Type)"
  is "StatusText" "watching lo with 27 neighbours, answering files" "$(show StatusText)"
  pid=$(show MainPID)
  is "user" tracehop "$(stat -c %U "/proc/$pid")"
  for set in CapInh CapPrm CapEff CapAmb; do is $set 0000000000000000 "$(status $set)"; done
  is "NoNewPrivs" 1 "$(status NoNewPrivs)"
  is "Seccomp: a filter" 2 "$(status Seccomp)"
  is "user by number, real and effective" "$(id -u tracehop) $(id -u tracehop)" "$(status Uid) $(effective Uid)"
  is "state is closed to others" "750 tracehop:tracehop" "$(stat -c '%a %U:%G' /var/lib/tracehop)"
  within 10 "/readyz" page_says /readyz "200 OK"
  is "confined by landlock, or the kernel has none" "" "$(grep -q ' landlock_' /proc/kallsyms && logged 4 confines && echo not)"
  within 5 "adjtimex may be asked" page_says /metrics "^tracehop_clock_error_seconds"
  is "refused system calls" "" "$(journal | grep -o '"MESSAGE":"[^"]*Operation not permitted[^"]*"')"

  call one
  within 10 "the record is stored" page_says /metrics '^tracehop_store_appended_total.* 1$'
  # The call is unsigned, and nobody's that we know: told to the journal with fields of its own.
  within 10 "a finding is in the journal" eval 'journalctl -o json --no-pager TRACEHOP_FLAGS=unsigned | grep -q "\"TRACEHOP_TYPE\":\"call\""'
  finding=$(journalctl -o json --no-pager TRACEHOP_FLAGS=unsigned TRACEHOP_TYPE=call | head -n 1)
  field() { grep -o "\"$1\":\"[^\"]*\"" <<<"$finding" | head -n 1 | cut -d'"' -f4; }
  is "with priority, unit, user, record" "5 tracehop.service $(id -u tracehop) 1" "$(field PRIORITY) $(field _SYSTEMD_UNIT) $(field _UID) $(field TRACEHOP_UID)"
  is "once" 1 "$(journalctl -o cat --no-pager TRACEHOP_TYPE=call TRACEHOP_UID=1 | wc -l)"
  is "told and delivered" yes "$(page_says /metrics '^tracehop_findings_total\{outcome="delivered",sink="journald-1",type="call"\} 1$' && echo yes)"
  within 10 "and found by its user" eval 'owner tracehop trace --case C-1 --called +12025550123 --calling +12125550100 \
    --time "$(date -u +%FT%TZ)" --precision 30 --config /etc/tracehop/tracehop.toml | grep -q "never passed on"'
  is "no look-up that can't be written down" "74" "$(member tracehop trace --case C-1 --called +12025550123 --time "$(date -u +%FT%TZ)" \
    --config /etc/tracehop/tracehop.toml >/dev/null 2>&1; echo $?)"
  within 5 "coverage is shown to the group" eval 'member tracehop coverage --config /etc/tracehop/tracehop.toml | grep -q lo'
  # A portal of files: asked, refused by a person, answered, signed; all inside the sandbox.
  files=/var/lib/tracehop/files
  is "requests and audit log are the daemon's alone" "700 600" "$(stat -c %a /var/lib/tracehop/responder /var/lib/tracehop/responder/responder.db | xargs)"
  within 5 "the portal's folder is there" test -d $files/in
  printf '{"id":"HR-1","case_id":"C-2","downstream":{"provider_ids":["LW-21"]},"call":{"called":"+12025550123","time":{"value":"%s","tz":"UTC","precision_s":30}}}' \
    "$(date -u +%FT%TZ)" >/tmp/HR-1.json
  owner cp /tmp/HR-1.json $files/in/.HR-1.json && mv $files/in/.HR-1.json $files/in/HR-1.json
  inbox() { owner tracehop inbox "$@" --config /etc/tracehop/tracehop.toml; }
  within 15 "a request of a file waits for a person" eval 'inbox list --state review | grep -q files/HR-1'
  is "and is refused by him" "files/HR-1: rejected; its state is now outbox" "$(inbox reject HR-1 --reason "A test" 2>&1)"
  within 15 "the signed answer is in the folder" eval 'grep -q "\"jws\"" $files/out/*.json'
  within 5 "and the desk knows" eval 'inbox list --state sent | grep -q REFUSED'
  is "the audit log holds" "Every line is as it was written." "$(owner tracehop audit verify --config /etc/tracehop/tracehop.toml | tail -n 1)"
  is "the store is the daemon's" tracehop:tracehop "$(stat -c %U:%G /var/lib/tracehop/store)"

  # Reload: all, then nothing of it; level of the log.
  sed -i 's/^level = .*/level = "debug"/' /etc/tracehop/tracehop.toml
  if systemctl reload tracehop; then ok "reload"; else bad "reload"; fi
  within 5 "reloaded" logged 6 '"MESSAGE":"reloaded"'
  within 5 "active after it" active
  is "the same process" "$pid" "$(show MainPID)"
  is "StatusText after it" reloaded "$(show StatusText)"
  cp /etc/tracehop/tracehop.toml /tmp/good.toml
  echo 'nonsense = 1' >>/etc/tracehop/tracehop.toml
  systemctl reload tracehop
  within 5 "a wrong configuration is refused" logged 3 'not reloaded, everything stays as it was'
  within 5 "and it goes on" active
  is "StatusText then" "not reloaded, everything stays as it was: see the log" "$(show StatusText)"
  is "as the same process" "$pid" "$(show MainPID)"
  within 5 "and a gauge says so" page_says /metrics '^tracehop_config_last_reload_successful 0$'
  cat /tmp/good.toml >/etc/tracehop/tracehop.toml

  before=$(show MainPID)
  if systemctl restart tracehop; then ok "restart"; else bad "restart"; fi
  within 5 "another process runs" again
  is "the one before ended well" 1 "$(journal | grep -c '"MESSAGE":"drained"')"
  within 10 "ready again" page_says /readyz "200 OK"

  before=$(show MainPID)
  kill -9 "$before"
  within 15 "kill -9: started again" again
  is "NRestarts" 1 "$(show NRestarts)"
  within 10 "ready again" page_says /readyz "200 OK"
  within 10 "the record from before is there" eval 'owner tracehop trace --case C-1 --called +12025550123 --calling +12125550100 \
    --time "$(date -u +%FT%TZ)" --precision 60 --config /etc/tracehop/tracehop.toml | grep -q "never passed on"'
  call two
  within 10 "and a new one is stored" page_says /metrics '^tracehop_store_appended_total.* 1$'

  # It hangs: silence for as long as the watchdog waits.
  mkdir -p /run/systemd/system/tracehop.service.d
  printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/tracehop.service.d/watchdog.conf
  systemctl daemon-reload && systemctl restart tracehop
  before=$(show MainPID)
  sleep 7
  is "watchdog is kept content" "$before" "$(show MainPID)"
  kill -STOP "$before"
  within 15 "hangs: killed and started again" again
  is "by the watchdog" 1 "$(journalctl -o cat --no-pager _PID=1 | grep -c 'tracehop.service: Watchdog timeout')"

  begin=$EPOCHREALTIME
  systemctl stop tracehop
  is "stopped" inactive/dead "$(show ActiveState)/$(show SubState)"
  is "Result" success "$(show Result)"
  is "within 10 s" yes "$(awk "BEGIN { print $EPOCHREALTIME - $begin < 10 ? \"yes\" : \"no\" }")"

  # Wrong at the start: said, with its code, and not tried again.
  echo 'nonsense = 1' >>/etc/tracehop/tracehop.toml
  if systemctl start tracehop 2>/dev/null; then bad "a wrong configuration starts"; else ok "a wrong configuration does not start"; fi
  is "and ends with" "78 exit-code" "$(show ExecMainStatus) $(show Result)"
  sleep 3
  is "and stays failed" failed "$(show ActiveState)"
  within 5 "the journal says where" eval 'journalctl -u tracehop -o cat --no-pager | grep -q "nonsense"'

  told
}

if [ "${1:-}" = inside ]; then
  . /test/debian.sh
  inside
  exit
fi

bin=$(realpath "$1")
here=$(cd "$(dirname "$0")/../.." && pwd)
. "$here/tests/peers/debian.sh"
new_debian

# As systemd/README.md says.
install -m 755 "$bin" "$root/usr/bin/tracehop"
install -m 644 "$here/systemd/tracehop.service" "$root/etc/systemd/system/"
install -D -m 644 "$here/systemd/tracehop.sysusers" "$root/etc/sysusers.d/tracehop.conf"
install -D -m 644 "$here/systemd/tracehop.tmpfiles" "$root/etc/tmpfiles.d/tracehop.conf"
"$bin" lab "$work/lab" --calls 400 >/dev/null
mkdir -p "$root/etc/tracehop"
cp -r "$work"/lab/{certs,peers.toml,numbering.csv,do-not-originate.txt,protected.txt} "$root/etc/tracehop/"
sed 's|^path = "store"|path = "/var/lib/tracehop/store"|' "$work/lab/tracehop.toml" >"$root/etc/tracehop/tracehop.toml"
cat >>"$root/etc/tracehop/tracehop.toml" <<'T'
[[capture.interface]]
name = "lo"
[log]
level = "info"
[[findings.sink]]
kind = "journald"
kinds = ["call"]
[responder]
enabled = true
key_file = "answers.key"
[[responder.portal]]
name = "files"
mode = "assisted"
deadline = "plain-24h"
adapter = "file-drop"
[responder.portal.file_drop]
folder = "/var/lib/tracehop/files"
every_seconds = 1
quiet_seconds = 1
[responder.portal.file_drop.resolutions]
REFUSED = "refused"
T
"$bin" answer key --new "$root/etc/tracehop/answers.key" >/dev/null

boot "$0"
