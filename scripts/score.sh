#!/usr/bin/env bash
# Scores DNS alone against the names inside flows, over testdata and, where IMON_CORPUS names a folder, the captures in it.
# Arguments are passed on: --curve, --format csv, -o FILE.
set -euo pipefail
cd "$(dirname "$0")/.."

captures=(testdata/netlab/*.pcap.gz testdata/netlab/pages/*.pcap.gz)
if [ -n "${IMON_CORPUS:-}" ]; then
    captures+=("$IMON_CORPUS"/captures/*)
    # Of its own sessions all but the one that testdata/ has as well: each flow counts once.
    for capture in "$IMON_CORPUS"/netlab/*.pcap.gz; do
        [[ "$capture" == */browse-lan* ]] || captures+=("$capture")
    done
else
    echo "IMON_CORPUS names no corpus folder: testdata only" >&2
fi
"${CARGO:-cargo}" build --quiet --locked --release --package imon-analyze
# Damaged captures are part of a corpus: what could be read of them counts, and exit code 3 says so.
status=0
"${TARGET_DIR:-target}/release/imon-analyze" verify ${ARGS:-} "$@" "${captures[@]}" || status=$?
[ "$status" -eq 3 ] || exit "$status"
