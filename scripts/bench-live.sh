#!/usr/bin/env bash
# Live capture measured: imon-record beside tcpdump and nfpcapd, in two network namespaces joined by
# a veth pair. Each writes to the same disk what its user would keep. Needs root. Takes turns, so
# that a busy machine is busy for all; prints the median of the runs.
#   RATES="100000 300000 0" SECONDS_EACH=8 RUNS=5 CAPTURE=file.pcap scripts/bench-live.sh
# SLOW_MS=1000 measures imon-record alone, with every sync taking so much longer (by strace, which
# stops it at these two calls only). BEFORE=PATH measures another build of it in turn.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/netns.sh

RATES=${RATES:-100000 300000 0}
SECONDS_EACH=${SECONDS_EACH:-8}
RUNS=${RUNS:-5}
SLOW_MS=${SLOW_MS:-}
BEFORE=${BEFORE:-}
slow=()
if [ -n "$SLOW_MS" ]; then
    command -v strace >/dev/null || { echo 'error: SLOW_MS needs the program strace (package strace)' >&2; exit 1; }
    slow=(strace -D -f --seccomp-bpf -o /dev/null -e "trace=fdatasync,fsync" -e "inject=fdatasync,fsync:delay_exit=${SLOW_MS}000")
fi

# run NAME RATE COMMAND…: one measurement, as a line of the table $work/rows:
# name, wanted rate, packets sent, packets recorded, CPU seconds, peak KiB.
run() {
    local name=$1 rate=$2 pid sent got
    shift 2
    rm -rf "$work/out" && mkdir -m 777 "$work/out"
    : >"$work/said"
    ip netns exec "$here" "$@" 2>"$work/said" >/dev/null &
    pid=$!
    sleep 1
    # With a slow disk the start takes longer.
    until [ "${name%-*}" != imon ] || grep -q '^recording ' "$work/said"; do sleep 0.1; done
    sent=$(send "$rate" "$SECONDS_EACH" ${CAPTURE:+"$CAPTURE"} | awk '{ print $2 }')
    sleep 1
    peak=$(awk '/VmHWM/ { print $2 }' "/proc/$pid/status")
    # By the scheduler, to the nanosecond, of all threads: the ticks of /proc/PID/stat miss who runs
    # for less than one. Sealing at the end is left out: some 10 ms.
    cpu=$(awk '{ sum += $1 } END { print sum / 1e9 }' "/proc/$pid"/task/*/schedstat)
    kill -INT "$pid"
    wait "$pid" || true
    got=$("recorded_${name%-before}")
    echo "$name $rate $sent $got $cpu $peak $SECONDS_EACH" >>"$work/rows"
}

recorded_imon() { awk '/^packets:/ { print $2 }' "$work/said"; }
recorded_tcpdump() { awk '/packets captured/ { print $1 }' "$work/said"; }
recorded_nfpcapd() { nfdump -R "$work/out" -I 2>/dev/null | awk '/^Packets:/ { print $2 }' || echo 0; }

table() {
    printf '%-12s %10s %10s %12s %10s %14s %9s\n' program wanted/s sent/s recorded lost 'CPU s/million' 'peak MiB'
    sort -k2,2n -k1,1 "$work/rows" | awk '
        function median(list, n,    i, j, t) {
            for (i = 2; i <= n; i++) for (j = i; j > 1 && list[j] < list[j-1]; j--) { t = list[j]; list[j] = list[j-1]; list[j-1] = t }
            return list[int((n + 1) / 2)]
        }
        function flush() {
            if (n) printf "%-12s %10s %10d %12d %10d %14.3f %9.1f\n", name, rate ? rate : "top", median(speed, n), got, sent - got, median(cpu, n), peak / 1024
            n = got = sent = peak = 0
        }
        $1 != name || $2 != rate { flush(); name = $1; rate = $2 }
        { n++; speed[n] = $3 / $7; cpu[n] = $5 / $4 * 1e6; got += $4; sent += $3; if ($6 > peak) peak = $6 }
        END { flush() }'
}

build
net
for rate in $RATES; do
    for _ in $(seq "$RUNS"); do
        [ -z "$BEFORE" ] || run imon-before "$rate" "${slow[@]}" "$BEFORE" -i "$link" --spool "$work/out/spool"
        run imon "$rate" "${slow[@]}" "$target/release/imon-record" -i "$link" --spool "$work/out/spool"
        [ -z "$SLOW_MS" ] || continue
        ! command -v tcpdump >/dev/null || run tcpdump "$rate" tcpdump -i "$link" -s 128 -B 32768 -Z root -w "$work/out/packets.pcap"
        ! command -v nfpcapd >/dev/null || run nfpcapd "$rate" nfpcapd -i "$link" -w "$work/out" -t 300
    done
done
echo "$RUNS runs each of $SECONDS_EACH s; CPU: median of the runs; recorded and lost: sums; peak: the greatest, ring included"
table
