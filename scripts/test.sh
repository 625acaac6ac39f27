#!/usr/bin/env bash
# Runs all tests. Says first which of them cannot run here; cargo's own lines come last.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ -n "${IMON_CORPUS:-}" ]; then
    echo "corpus tests: run on $IMON_CORPUS"
else
    echo "corpus tests: skipped, IMON_CORPUS names no corpus folder (those over testdata/ run)"
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "live tests: skipped, they need root"
elif ! command -v ip >/dev/null; then
    echo "live tests: skipped, they need the program ip (package iproute2)"
else
    echo "live tests: run, in network namespaces of their own where these can be made"
fi
# Property tests begin with the same cases everywhere, so that a red run is red again; another seed tries others.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-20261122}"
exec "${CARGO:-cargo}" test --locked --workspace --no-fail-fast </dev/null
