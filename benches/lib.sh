# What the scripts here that run the whole daemon have in common: two namespaces with a veth pair between, the daemon in one of them, its books.
# To be sourced from the repository's folder, with $work set.

bin=${TRACEHOP:-$PWD/target/release/tracehop}
load=${LOAD:-$PWD/target/release/examples/load}
for f in "$bin" "$load"; do [ -x "$f" ] || { echo "$f is missing: cargo build --release --bins --example load" >&2; exit 66; }; done
for p in ip tcpreplay python3 curl; do command -v $p >/dev/null || { echo "$p is missing" >&2; exit 69; }; done

id=bench$$
daemon=""
others=""
clean() {
  for p in $others $daemon; do kill "$p" 2>/dev/null || true; done
  [ -z "$daemon" ] || wait "$daemon" 2>/dev/null || true
  ip netns del ${id}a 2>/dev/null || true
  ip netns del ${id}b 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT

machine() {
  local model
  model=$(awk -F': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)
  echo "$(nproc) cores of $model, $(awk '/^MemTotal/ { printf "%.0f", $2 / 1048576 }' /proc/meminfo) GiB, Linux $(uname -r), $("$bin" --version), load before: $(cut -d' ' -f1-3 /proc/loadavg)"
}

# Sender's end va in ${id}a, ours vb in ${id}b, both with an address for HEP.
network() {
  ip netns add ${id}a
  ip netns add ${id}b
  for n in a b; do ip netns exec $id$n sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'; done
  ip link add va netns ${id}a type veth peer name vb netns ${id}b
  ip -n ${id}a addr add 192.0.2.1/24 dev va
  ip -n ${id}b addr add 192.0.2.2/24 dev vb
  for n in a b; do ip -n $id$n link set v$n up; ip -n $id$n link set lo up; done
}

# start: the daemon on $work/tracehop.toml, until it is ready.
start() {
  cat >>"$work/tracehop.toml" <<T
[[capture.interface]]
name = "vb"
[run]
user = "nobody"
[http]
listen = "127.0.0.1:9464"
T
  chmod -R a+rX "$work"
  ip netns exec ${id}b "$bin" run --config "$work/tracehop.toml" 2>"$work/log" &
  daemon=$!
  for _ in $(seq 100); do
    page /readyz >/dev/null 2>&1 && return
    sleep 0.1
  done
  echo "the daemon is not ready:" >&2
  cat "$work/log" >&2
  exit 70
}
page() { ip netns exec ${id}b curl -sf --max-time 5 "http://127.0.0.1:9464$1"; }

# In KiB: now, and the most there was.
rss() { awk '/^VmRSS/ { print $2 }' "/proc/$daemon/status"; }
peak() { awk '/^VmHWM/ { print $2 }' "/proc/$daemon/status"; }
# Nanoseconds on a processor by thread, from the scheduler's books: "name ns" a line.
threads() { for t in /proc/"$daemon"/task/*; do echo "$(tr ' ' '_' <"$t/comm") $(cut -d' ' -f1 "$t/schedstat")"; done; }
# sum PAGE FAMILY [LABEL]: of all its series, or those that hold a label.
sum() { awk -v f="$2" -v l="${3:-}" '{ name = $1; sub(/\{.*/, "", name) } name == f && (l == "" || index($0, l)) { n += $NF } END { printf "%d\n", n }' "$1"; }
