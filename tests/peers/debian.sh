# Sourced by tests of a service under a real PID 1: a Debian of its own, made by debootstrap and booted by systemd-nspawn with nothing but a loopback interface.
#
#   here=…; . "$here/tests/peers/debian.sh"; new_debian; …lay things into $root…; boot SCRIPT
#
# SCRIPT is run in it as a unit of its own, as `SCRIPT inside`, with this file beside it; what it says between `begin` and `told` is the outcome.

# ---- outside

# Makes $work, gone at the end, and in it $root: the Debian, or Ubuntu, that this machine runs, from where it gets its packages. It is made once a week.
new_debian() {
  work=$(mktemp -d) nspawn=""
  trap clean EXIT
  root=$work/root
  . /etc/os-release
  local cache=$here/target/peers made
  mkdir -p "$cache" "$root"
  made=$(realpath "$cache")/debian-$VERSION_CODENAME.tar
  (
    flock 9
    if [ -z "$(find "$made" -mtime -7 2>/dev/null)" ]; then
      mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' 'Created-By: Packages' |
        awk -v suite="$VERSION_CODENAME" '$2 == suite && $3 == "main" { print $1; exit }')
      debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,man-db,bash-completion "$VERSION_CODENAME" "$work/new" ${mirror:+"$mirror"} >"$work/debootstrap" 2>&1 ||
        { tail -n 20 "$work/debootstrap"; exit 1; }
      rm -f "$work"/new/var/cache/apt/archives/*.deb
      tar -C "$work/new" --numeric-owner --xattrs -cf "$made.part" . && mv "$made.part" "$made"
      rm -rf --one-file-system "$work/new"
    fi
    tar -C "$root" --numeric-owner --xattrs -xf "$made"
  ) 9>"$cache/debian.lock"
}

clean() {
  [ -z "$nspawn" ] || kill -KILL "$nspawn" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}

# boot SCRIPT: runs it in the booted Debian, prints what it said, and fails where that does not end well.
boot() {
  install -D -m 755 "$1" "$root/test/script"
  install -m 644 "$here/tests/peers/debian.sh" "$root/test/debian.sh"
  cat >"$root/etc/systemd/system/unit-test.service" <<'U'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/test/script inside
ExecStopPost=/usr/bin/systemctl poweroff --no-block
TimeoutStartSec=180
U
  mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
  ln -s ../unit-test.service "$root/etc/systemd/system/multi-user.target.wants/"
  # Calls that nspawn would refuse of itself, and the unit allows.
  timeout -k 10 210 systemd-nspawn -D "$root" --machine="tracehop-$$" --boot --register=no --keep-unit --private-network --quiet \
    --system-call-filter='adjtimex clock_adjtime landlock_create_ruleset landlock_add_rule landlock_restrict_self' \
    </dev/null >"$work/console" 2>&1 &
  nspawn=$!
  wait $nspawn || { echo "systemd-nspawn: $?"; tail -n 40 "$work/console"; }
  nspawn=""
  cat "$root/result" 2>/dev/null || { echo "the test unit did not run"; tail -n 60 "$work/console"; exit 1; }
  [ "$(tail -n 1 "$root/result")" = "done 0" ]
}

# ---- inside

begin() {
  exec >/result 2>&1
  set +e # what fails is counted
  failed=0
}
ok() { echo "ok    $*"; }
bad() { echo "BAD   $*"; failed=1; }
# is NAME WANTED VALUE
is() { if [ "$2" = "$3" ]; then ok "$1: $3"; else bad "$1: '$3', not '$2'"; fi; }
# within SECONDS NAME COMMAND…: it comes true in time.
within() {
  local until=$((SECONDS + $1)) name=$2 begin=$EPOCHREALTIME
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ]; then bad "$name: not in time"; return; fi
    sleep 0.1
  done
  ok "$name: after $(awk "BEGIN { printf \"%.1f\", $EPOCHREALTIME - $begin }") s"
}
show() { systemctl show tracehop -P "$1"; }
active() { [ "$(show ActiveState)/$(show SubState)" = active/running ]; }
again() { local pid; pid=$(show MainPID) && [ "$pid" != 0 ] && [ "$pid" != "$before" ] && active; }
status() { awk -v k="$1:" '$1 == k { print $2 }' "/proc/$(show MainPID)/status"; }
# The effective one of four.
effective() { awk -v k="$1:" '$1 == k { print $3 }' "/proc/$(show MainPID)/status"; }
page() { exec 3<>/dev/tcp/127.0.0.1/9464 && printf 'GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n' "$1" >&3 && cat <&3; exec 3>&-; }
page_says() { page "$1" | grep -Eq -- "$2"; }
journal() { journalctl -u tracehop -o json --no-pager; }
# logged PRIORITY TEXT: a line of ours, by the journal's own protocol.
logged() { journal | grep '"_TRANSPORT":"journal"' | grep "\"PRIORITY\":\"$1\"" | grep -q "$2"; }
# Who looks: nobody, but of the group. A look-up is written down, so it takes the daemon's user.
owner() { setpriv --reuid=tracehop --regid=tracehop --clear-groups -- "$@"; }
member() { setpriv --reuid=nobody --regid=tracehop --clear-groups -- "$@"; }
call() {
  printf '%s\r\n' "INVITE sip:+12025550123@127.0.0.1 SIP/2.0" "Via: SIP/2.0/UDP 127.0.0.1:5062;branch=z9hG4bK$1" \
    "From: <sip:+12125550100@example.net>;tag=$1" "To: <sip:+12025550123@example.com>" "Call-ID: $1@example.net" \
    "CSeq: 1 INVITE" "Max-Forwards: 70" "Content-Length: 0" "" >/tmp/invite
  cat /tmp/invite >/dev/udp/127.0.0.1/5060
}

# Where something failed, the journal too; and the end.
told() {
  if [ $failed = 1 ]; then
    systemctl status tracehop --no-pager -l
    journalctl --no-pager -o short-monotonic | tail -n 150
  fi
  echo "done $failed"
}
