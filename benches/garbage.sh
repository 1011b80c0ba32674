#!/usr/bin/env bash
# Memory under ten minutes of garbage, as fast as this machine sends it: random octets, fragments that stay alone (IPv4, IPv6), SYNs, TCP from the
# middle, SIP that never ends, tunnels in tunnels, 6,000 headers, and HEP of the same kind over UDP and TCP. At the end good calls are still judged.
# As root, on a machine that does nothing else:
#
#   cargo build --release --bins --example load && benches/garbage.sh [SECONDS [THREADS]]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-600} senders=${2:-1}
work=$(mktemp -d)
. benches/lib.sh

good=200
network
sleep 2
"$load" calls "$work" 100 2 >/dev/null
cat >>"$work/tracehop.toml" <<'T'
[hep]
udp = ["192.0.2.2:9060"]
tcp = ["192.0.2.2:9060"]
[[hep.agent]]
name = "agent"
networks = ["192.0.2.1/32"]
T
start
echo "$(date -u +%FT%TZ): $(machine)"
echo "memory at the start: $(($(rss) / 1024)) MiB"
threads >"$work/before"
ip netns exec ${id}a "$load" garbage va "$seconds" "$senders" >"$work/garbage" &
one=$!
ip netns exec ${id}a "$load" hep 192.0.2.2:9060 "$seconds" >"$work/hep" &
two=$!
others="$one $two"

# Every 30 s, or ten times in a short run; warm after a quarter.
every=$((seconds < 300 ? (seconds + 9) / 10 : 30))
begin=$SECONDS
while kill -0 $one 2>/dev/null; do
  sleep $every
  kill -0 "$daemon" 2>/dev/null || { echo "THE DAEMON DIED:"; tail "$work/log"; exit 70; }
  echo "$((SECONDS - begin)) $(rss)" >>"$work/rss"
done
wait $one
wait $two
others=""
echo "RSS in MiB after so many seconds: $(awk '{ printf "%s%d: %d", (NR > 1 ? ", " : ""), $1, $2 / 1024 }' "$work/rss")"
awk -v warm=$((seconds / 4)) '$1 >= warm { m = $2 / 1024; if (!n++ || m < low) low = m; if (m > high) high = m }
  END { printf "after warm-up: lowest %d MiB, highest %d MiB\n", low, high }' "$work/rss"
echo "peak: $(($(peak) / 1024)) MiB"
echo "sent:"
cat "$work/garbage" "$work/hep"

# And still it works: what waited is gone, then calls.
sleep 3
page /metrics >"$work/page"
passed=$(sum "$work/page" tracehop_calls_total 'validation="passed"')
ip netns exec ${id}a tcpreplay -q -i va "$work/calls.pcap" >/dev/null 2>&1
sleep 3
threads >"$work/after"
page /metrics >"$work/page"
passed=$(($(sum "$work/page" tracehop_calls_total 'validation="passed"') - passed))
echo "seen: $(sum "$work/page" tracehop_capture_packets_total) packets, dropped by the kernel $(sum "$work/page" tracehop_capture_drops_total), panics $(sum "$work/page" tracehop_stage_panics_total), rebuilt $(sum "$work/page" tracehop_stage_rebuilds_total)"
echo "what became of it:"
grep -E '^tracehop_(assembled_total|hep_total|shed_total|messages_total|records_total|attempts_lost_total)' "$work/page" | awk '$NF > 0' | sed 's/^/  /'
echo "CPU of the daemon, s: $(join <(sort "$work/before" | awk '{ n[$1] += $2 } END { for (t in n) print t, n[t] }' | sort) <(awk '{ n[$1] += $2 } END { for (t in n) print t, n[t] }' "$work/after" | sort) | awk '{ s = ($3 - $2) / 1e9; if (s >= 0.05) printf "%s %.1f  ", $1, s }')"
echo "good calls judged after it: $passed of $good"
kill "$daemon"
wait "$daemon" || { echo "the daemon ended with $?:"; tail "$work/log"; }
daemon=""
grep -E "ERROR|panic" "$work/log" | head || true
[ "$passed" = $good ]
