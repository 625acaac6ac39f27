#!/usr/bin/env bash
# Runs all tests. The last line says which of them could not run here, why, and how to get what they
# need. Further arguments are cargo's: scripts/test.sh -p imon-record
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

# A test that cannot run says so and passes. What passing tests say is asked for, counted, and not
# shown.
count_skipped() {
    awk '
        /^successes:$/ { quiet = 1 }
        /^failures:$/ || /^test result:/ { quiet = 0 }
        /^skipped(: | in part: )/ { reasons[substr($0, index($0, ": ") + 2)]++; skipped++ }
        !quiet { print; fflush() }
        function hint(reason) {
            if (reason ~ /strace|setcap|program ip|python3|promtool/) return "make setup installs it"
            if (reason ~ /root/) return "sudo -E make test"
            if (reason ~ /tun interface/) return "modprobe tun"
            if (reason ~ /IMON_CORPUS/) return "captures that are not part of the repository, testdata/README.md"
            if (reason ~ /completions/) return "the shells are packages of that name"
            return ""
        }
        END {
            if (!skipped) { print "every test was run"; exit }
            line = "could not run, in whole or in part: " skipped " tests"
            for (reason in reasons) {
                how = hint(reason)
                line = line "; " reason " (" reasons[reason] (how == "" ? "" : ", " how) ")"
            }
            print line
        }'
}

# Property tests begin with the same cases everywhere, so that a red run is red again; another seed
# tries others.
export PROPTEST_RNG_SEED="${PROPTEST_RNG_SEED:-20261122}"
[ $# -gt 0 ] || set -- --workspace
"${CARGO:-cargo}" test --locked --no-fail-fast "$@" -- --show-output </dev/null | count_skipped
