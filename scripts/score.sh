#!/usr/bin/env bash
# Scores DNS alone against the names inside flows, set by set, each capture by itself:
# scripts/score.py --help. IMON_CORPUS names a folder with captures/, dns-alone/ and netlab/;
# ANALYZE a program that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${TARGET_DIR:-target}
if [ -z "${ANALYZE:-}" ]; then
    scripts/release.sh --quiet --package imon-analyze
    ANALYZE=$target/release/imon-analyze
fi
# shellcheck disable=SC2086 # ARGS are several
exec scripts/score.py --analyze "$ANALYZE" --worlds "$target/dns-worlds" ${ARGS:-} "$@"
