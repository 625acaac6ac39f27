#!/usr/bin/env bash
# What `top` takes of a processor while flows begin. `make bench-top` builds first; BUILT=DIR takes
# programs from there. Two minutes.
#   FLOWS=1000 SECONDS=30 WORK=DIR scripts/bench-top.sh
set -euo pipefail
cd "$(dirname "$0")/.."
[ -n "${BUILT:-}" ] || scripts/release.sh --quiet -p imon-analyze -p imon-record
built=${BUILT:-${CARGO_TARGET_DIR:-target}/release}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
work=${WORK:-$(mktemp -d)}
scripts/bench_top.py "$built" "$work"
