#!/usr/bin/env bash
# How time and memory grow with packets, flows, names and devices, as tables and plots. `make
# bench-growth` builds first; BUILT=DIR takes programs from there. The defaults take a few minutes;
# MOST_PACKETS=50000000 MOST_FLOWS=10000000 MOST_NAMES=1000000 go as far as the aims do. The largest
# capture lies in WORK and takes about 80 bytes a packet.
#   MOST_PACKETS= MOST_FLOWS= MOST_NAMES= MOST_DEVICES= STEP=10 RUNS=3 WORK=DIR WHAT="flows names" scripts/bench-growth.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${BUILT:-}" ] || scripts/release.sh --quiet -p imon-analyze -p imon-record
built=${BUILT:-${CARGO_TARGET_DIR:-target}/release}
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
# shellcheck disable=SC2086 # several words
scripts/bench_growth.py "$built" "$work" ${WHAT:-}
