#!/usr/bin/env bash
# imon beside every peer that is installed, on the same captures in turn: CPU, wall, peak memory and
# bytes kept of whole processes, as tables. `make bench` builds first; BUILT=DIR takes programs from
# there. IMON_BENCH=FOLDER has gencap.c (or gencap), which makes the captures; else bench_capture.py.
#   RUNS=5 PACKETS=2000000 SNAPLEN=128 WORK=DIR PEERS="cat tcpdump" scripts/bench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
[ -n "${BUILT:-}" ] || scripts/release.sh --quiet -p imon-analyze -p imon-record
built=${BUILT:-$target/release}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
# A capture that is there already (WORK) is taken as it is.
if [ -n "${IMON_BENCH:-}" ]; then
    packets=${PACKETS:-2000000}
    gencap=$IMON_BENCH/gencap
    if [ ! -x "$gencap" ]; then
        gencap=$work/gencap
        "${CC:-cc}" -O2 -o "$gencap" "$IMON_BENCH/gencap.c" -lcrypto -lm
    fi
    [ -e "$work/full.pcap" ] || "$gencap" -o "$work/full.pcap" -p "$packets" >/dev/null
    [ -e "$work/cut.pcap" ] || "$gencap" -o "$work/cut.pcap" -p "$packets" -s "${SNAPLEN:-128}" >/dev/null
else
    packets=${PACKETS:-500000}
    [ -e "$work/full.pcap" ] || scripts/bench_capture.py "$packets" 65535 >"$work/full.pcap"
    [ -e "$work/cut.pcap" ] || scripts/bench_capture.py "$packets" "${SNAPLEN:-128}" >"$work/cut.pcap"
fi
exec scripts/bench.py "$built" "$work" "$packets" "${RUNS:-5}"
