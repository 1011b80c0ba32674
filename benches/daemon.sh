#!/usr/bin/env bash
# The whole daemon, from the wire to durable records, at 5,000 signed calls/s: INVITE (two fragments), 100, 180, 200, ACK, and after 20 s BYE and 200.
# No call may be lost and none go unchecked. As root, on a machine that does nothing else:
#
#   cargo build --release --bins --example load && benches/daemon.sh [SECONDS [CALLS-PER-SECOND]]
#
# First SIP alone, then with RTP beside it, 50 packets for each SIP packet or as many as the sender can. Every call has a token of its own, so no memo
# helps. 60 s take 6 GB of memory and 2 GB of disk for the capture that is replayed. The numbers are printed as rows of a table in Markdown.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60} rate=${2:-5000}
work=$(mktemp -d)
. benches/lib.sh

run() {
  local label=$1 rtp=$2
  rm -rf "$work"/*
  network
  sleep 2
  calls=$("$load" calls "$work" "$rate" "$seconds")
  start
  local begin=$(rss)
  threads >"$work/before"
  local sender_cpu rtp_sent=0
  if [ "$rtp" = yes ]; then
    # Seven messages a call, 50 packets each, while calls come in.
    ip netns exec ${id}a tcpreplay -q -i va --pps=$((rate * 7 * 50)) --preload-pcap --loop=0 --duration="$seconds" "$work/rtp.pcap" >"$work/rtp" 2>&1 &
    others=$!
  fi
  # At the times that the capture says.
  { TIMEFORMAT='%U %S'; time ip netns exec ${id}a tcpreplay -q -i va "$work/calls.pcap" >"$work/sent" 2>&1; } 2>"$work/time"
  if [ -n "$others" ]; then
    wait "$others" || true
    others=""
    rtp_sent=$(awk '/^Actual:/ { print $2 }' "$work/rtp")
  fi
  # Until the store has it all.
  sleep 3
  threads >"$work/after"
  page /metrics >"$work/page"
  python3 - "$label" "$calls" "$rtp_sent" "$begin" "$(rss)" "$(peak)" "$work" "$seconds" <<'PY'
import re, sys
label, calls, rtp, begin, end, peak, work, seconds = sys.argv[1:]
calls, rtp = int(calls), int(rtp or 0)
series = []
for line in open(work + "/page"):
    m = re.match(r"(tracehop_\w+)(?:\{(.*)\})? (\S+)$", line)
    if m: series.append((m[1], dict(re.findall(r'(\w+)="([^"]*)"', m[2] or "")), float(m[3])))
def sum_of(name, **labels):
    return int(sum(v for n, l, v in series if n == name and all(l.get(k) == w for k, w in labels.items())))
def by(name, key): return {l[key]: int(v) for n, l, v in series if n == name and v}
frames = int(re.search(r"^Actual: (\d+)", open(work + "/sent").read(), re.M)[1])
took = float(re.search(r"in ([\d.]+) seconds", open(work + "/sent").read())[1])
sender = sum(map(float, open(work + "/time").read().split()[-2:]))
def cpu(name):
    out = {}
    for line in open(f"{work}/{name}"):
        thread, ns = line.split()
        thread = re.sub(r"-\d+$", "", thread)
        out[thread] = out.get(thread, 0) + int(ns) / 1e9
    return out
before, after = cpu("before"), cpu("after")
spent = {t: s - before.get(t, 0) for t, s in after.items()}
passed = sum_of("tracehop_calls_total", validation="passed")
stored = sum_of("tracehop_store_appended_total", what="begin")
shed = by("tracehop_shed_total", "kind")
drops = sum_of("tracehop_capture_drops_total")
rows = [
    ("calls sent", f"{calls:,} begin within {seconds} s; {frames:,} frames in {took:.1f} s, {took / (int(seconds) + 20.002):.3f} of their time"),
    ("RTP packets sent", f"{rtp:,}, {rtp / max(1, calls * 7):.1f} for each SIP packet"),
    ("records stored", f"{stored:,}, and {sum_of('tracehop_store_appended_total', what='end'):,} halves about answer and end"),
    ("calls lost", f"{calls - stored:,}"),
    ("judged: passed, failed, undetermined, none", ", ".join(f"{sum_of('tracehop_calls_total', validation=v):,}" for v in ("passed", "failed", "undetermined", "none"))),
    ("stored without their signature checked", f"{shed.get('check', 0):,}"),
    ("dropped by the kernel", f"{drops:,} of {sum_of('tracehop_capture_packets_total'):,}; {sum_of('tracehop_capture_freezes_total'):,} freezes"),
    ("let go under overload", ", ".join(f"{k} {v:,}" for k, v in sorted(shed.items())) or "nothing"),
    ("CPU of the daemon", f"{sum(spent.values()):.1f} s, {1e6 * sum(spent.values()) / calls:.1f} µs a call: " + ", ".join(f"{t} {s:.1f}" for t, s in sorted(spent.items(), key=lambda x: -x[1]) if s >= 0.05)),
    ("CPU of the sender of calls", f"{sender:.1f} s"),
    ("memory: begin, end, peak", ", ".join(f"{int(k) / 1024:.0f} MiB" for k in (begin, end, peak))),
]
print(f"\n| {label} | |\n|---|---|")
for what, value in rows: print(f"| {what} | {value} |")
ok = calls == stored == passed and drops == 0 and not shed.get("check")
print(f"| **no loss** | {'**yes**' if ok else '**NO**'} |")
PY
  kill "$daemon"
  wait "$daemon" || { echo "the daemon ended with $?:"; tail "$work/log"; }
  daemon=""
  grep -E "ERROR|panic" "$work/log" || true
  ip netns del ${id}a
  ip netns del ${id}b
}

echo "$(date -u +%FT%TZ): $(machine)"
run "$rate signed calls/s" no
run "$rate signed calls/s, and RTP" yes
