#!/usr/bin/env bash
# A fleet's dataset (RECORDERS=100, DAYS=90, ROWS=5556 a recorder and day: 50 million rows): made,
# exported, merged, and asked by `report --dataset` and by engines that are installed (VENV=, as of
# `make test-fleet`). Gives CPU seconds (user + system), peak memory and bytes read of whole
# processes. WORK= keeps the folder; about 40 bytes a row are needed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly RECORDERS=${RECORDERS:-100} DAYS=${DAYS:-90} ROWS=${ROWS:-5556}
target=${CARGO_TARGET_DIR:-target}
readonly VENV=${VENV:-$target/fleet-venv}
[ -n "${WORK:-}" ] || trap 'rm -rf "$work"' EXIT
work=${WORK:-$(mktemp -d)}
[ -n "${BUILT:-}" ] || scripts/release.sh --quiet -p imon-analyze --bin imon-analyze --example books
mkdir -p "$work/none"
[ -e "$work/imon.db" ] || "$target/release/examples/books" fleet "$work" "$RECORDERS" "$DAYS" "$ROWS"
python=$VENV/bin/python
[ -x "$python" ] || python=python3
exec python3 scripts/bench_fleet.py "$target/release/imon-analyze" "$work" "$RECORDERS" "$python"
