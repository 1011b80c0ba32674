#!/usr/bin/env bash
# Loss and CPU of live capture over a veth pair: ours by ring, by two threads and by pnet, beside tcpdump (libpcap) at the same rate.
# As root, on a machine that does nothing else:
#
#   cargo build --release && benches/capture.sh [SECONDS]
#
# First SIP with 50 times as many RTP packets, at 200,000 packets/s and as fast as the sender goes; then 5,000 signed calls/s, of which nothing may be lost.
# Ours decodes frames, puts fragments together and scans each message; tcpdump only copies. What the kernel's filter drops costs neither of them anything.
# Traffic stays within two namespaces that go with the script. CPU is the reader's own (all its threads), from the scheduler's books.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-10}
bin=${TRACEHOP:-$PWD/target/release/tracehop}
[ -x "$bin" ] || { echo "$bin is missing: cargo build --release" >&2; exit 66; }
for p in ip tcpreplay tcpdump python3; do command -v $p >/dev/null || { echo "$p is missing" >&2; exit 69; }; done

id=bench$$
work=$(mktemp -d)
reader=""
clean() {
  [ -z "$reader" ] || kill "$reader" 2>/dev/null || true
  ip netns del ${id}a 2>/dev/null || true
  ip netns del ${id}b 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
ip netns add ${id}a
ip netns add ${id}b
for n in a b; do ip netns exec $id$n sh -c 'echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6'; done
ip link add va netns ${id}a type veth peer name vb netns ${id}b
for n in a b; do ip -n $id$n link set v$n up; done
sleep 2

# Two captures: mix.pcap has 50 RTP packets for each short INVITE; calls.pcap has calls of eight frames, the INVITE signed and in two fragments.
python3 - "$work" <<'PY'
import struct, sys
def packet(host, ident, field, payload, proto=17):
    return (bytes([2,0,0,0,0,1,2,0,0,0,0,2,8,0,0x45,0]) + struct.pack(">HHH", len(payload) + 20, ident & 0xffff, field)
            + bytes([64, proto, 0, 0, 192, 0, 2, host, 192, 0, 2, 2]) + payload)
def udp(port, payload): return struct.pack(">HHHH", port, port, len(payload) + 8, 0) + payload
def sip(first, i, more=""):
    return (f"{first}\r\nVia: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK{i}\r\nFrom: <sip:+12025550100@example.net>;tag={i}\r\n"
            f"To: <sip:+12025550123@example.com>\r\nCall-ID: {i}@example.net\r\nCSeq: 1 INVITE\r\n{more}Content-Length: 0\r\n\r\n").encode()
def write(name, frames):
    with open(f"{sys.argv[1]}/{name}", "wb") as f:
        f.write(struct.pack("<IHHIIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1))
        for n, p in enumerate(frames): f.write(struct.pack("<IIII", 1795512600, n, len(p), len(p)) + p)
mix, calls = [], []
for i in range(200):
    host = 10 + i % 100
    mix.append(packet(host, i, 0, udp(5060, sip("INVITE sip:+12025550123@192.0.2.2 SIP/2.0", i, "Identity: " + "x" * 700 + "\r\n"))))
    mix += [packet(host, n, 0, udp(16384 + 2 * (n % 50), bytes([0x80]) * 172)) for n in range(50)]
    whole = udp(5060, sip("INVITE sip:+12025550123@192.0.2.2 SIP/2.0", i, "Identity: " + "x" * 1500 + "\r\n"))
    calls += [packet(host, i, 0x2000, whole[:1480]), packet(host, i, 185, whole[1480:])]
    for line in ["SIP/2.0 100 Trying", "SIP/2.0 180 Ringing", "SIP/2.0 200 OK", "ACK sip:a@192.0.2.2 SIP/2.0", "BYE sip:a@192.0.2.2 SIP/2.0", "SIP/2.0 200 OK"]:
        calls.append(packet(host, i, 0, udp(5060, sip(line, i))))
write("mix.pcap", mix); write("calls.pcap", calls)
PY

# Time on a processor of a process, all its threads, in ns.
cpu() { cat /proc/"$1"/task/*/schedstat | awk '{ n += $1 } END { printf "%.0f", n }'; }

# run LABEL FILE RATE PACKETS SHARE-THAT-PASSES READER…: one line of the table.
run() {
  local label=$1 file=$2 rate=$3 packets=$4 share=$5
  shift 5
  ip netns exec ${id}b "$@" >"$work/out" 2>"$work/err" &
  reader=$!
  sleep 1.5
  local before after sent pps
  before=$(cpu $reader)
  local frames=10200
  [ "$file" = mix.pcap ] || frames=1600
  ip netns exec ${id}a tcpreplay -q -i va $rate --preload-pcap --loop=$(((packets + frames - 1) / frames)) "$work/$file" >"$work/sent" 2>&1
  sent=$(awk '/^Actual:/ { print $2 }' "$work/sent")
  pps=$(awk '/^Rated:/ { for (i = 1; i < NF; i++) if ($(i + 1) == "pps") print int($i) }' "$work/sent")
  sleep 1
  after=$(cpu $reader)
  kill -INT $reader
  wait $reader || true
  reader=""
  python3 - "$label" "$sent" "$pps" "$((after - before))" "$share" "$work" <<'PY'
import json, re, sys
label, sent, pps, ns, share, work = sys.argv[1:]
sent, ns = int(sent), int(ns)
a, b = map(int, share.split("/"))
want = sent * a // b
out, err = open(work + "/out").read(), open(work + "/err").read()
if out.startswith("{"):
    d = json.loads(out)
    got = sum(s["live"]["frames"] for s in d["sources"])
    dropped = sum(s["live"]["packets_dropped"] for s in d["sources"])
    more = f'{d["messages"]["total"]} messages'
else:
    number = lambda what: int(re.search(r"(\d+) packets? " + what, err).group(1))
    got, dropped, more = number("captured"), number("dropped by kernel"), ""
    if "unfiltered" in label: want = sent
print(f"{label:34} {int(pps):>9}/s {sent:>10} sent {got:>9} of {want:>9} read {100 * (want - got) / want:>7.3f} % lost {dropped:>8} dropped {ns / sent / 1000:>8.3f} s CPU a million packets  {more}")
PY
}

ours() { echo "$bin capture -i vb --json --seconds 3600"; }
filter="port 5060 or port 5080 or (ip[6:2] & 0x3fff != 0) or (ip6 and ip6[6] = 44)"
for rate in --pps=200000 --topspeed; do
  packets=$((200000 * seconds))
  [ $rate = --topspeed ] && packets=$((500000 * seconds))
  echo "== SIP and 50 times as much RTP, $rate"
  run "ring" mix.pcap $rate $packets 1/51 $(ours)
  run "ring, two threads" mix.pcap $rate $packets 1/51 $(ours) --threads 2
  run "pnet" mix.pcap $rate $packets 1/51 $(ours) --backend pnet
  run "tcpdump, filtered" mix.pcap $rate $packets 1/51 tcpdump -i vb -n -s 0 -B 65536 -w /dev/null -Z root "$filter"
  run "tcpdump, unfiltered" mix.pcap $rate $packets 1/51 tcpdump -i vb -n -s 0 -B 65536 -w /dev/null -Z root
done
echo "== 5,000 signed calls/s, eight frames each; seven messages a call"
run "ring" calls.pcap --pps=40000 $((40000 * seconds)) 1/1 $(ours)
run "pnet" calls.pcap --pps=40000 $((40000 * seconds)) 1/1 $(ours) --backend pnet
run "tcpdump, filtered" calls.pcap --pps=40000 $((40000 * seconds)) 1/1 tcpdump -i vb -n -s 0 -B 65536 -w /dev/null -Z root "$filter"
