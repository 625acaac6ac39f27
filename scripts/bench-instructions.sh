#!/usr/bin/env bash
# Instructions a packet, as callgrind counts them: what else the machine does has no part in them.
# The same two captures as ever, read by each stage; a stage that takes more than its budget
# (scripts/instructions.budget) ends this with 1. --write makes the budgets anew: a tenth above what
# was counted. BUILT=DIR takes programs from there, else they are built as they are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly BUDGET=scripts/instructions.budget PACKETS=200000
if ! command -v valgrind >/dev/null; then
    echo 'error: valgrind is missing; get it: sudo apt-get install valgrind (Debian, Ubuntu), sudo dnf install valgrind (Fedora)' >&2
    exit 1
fi
write=
case "${1:-}" in
    '') ;;
    --write) write=1 ;;
    *) echo "error: bench-instructions.sh [--write], not ${1}" >&2; exit 2 ;;
esac
if [ -z "${BUILT:-}" ]; then
    scripts/release.sh --quiet -p imon-analyze -p imon-record
    BUILT=${CARGO_TARGET_DIR:-target}/release
fi
built=$(realpath "$BUILT")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export HOME=$work XDG_STATE_HOME=$work TZ=UTC

# valgrind writes the code that it executes, which imon-record forbids once it is confined: for it
# this kernel has no such switch.
"${CC:-cc}" -shared -fPIC -O2 -o "$work/mdwe.so" -x c - <<'C'
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { SET_MDWE = 65 };
int prctl(int option, ...) {
    unsigned long a[4];
    va_list rest;
    va_start(rest, option);
    for (int i = 0; i < 4; i++) a[i] = va_arg(rest, unsigned long);
    va_end(rest);
    if (option == SET_MDWE) {
        errno = EINVAL;
        return -1;
    }
    return syscall(SYS_prctl, option, a[0], a[1], a[2], a[3]);
}
C

counted=$work/counted
# count STAGE CAPTURE COMMAND: notes the instructions of a whole process, all its threads.
count() {
    local stage=$1 capture=$2 number
    shift 2
    if ! LD_PRELOAD=$work/mdwe.so valgrind --vgdb=no --tool=callgrind --callgrind-out-file=/dev/null \
        --log-file="$work/log" "$@" >"$work/said" 2>&1; then
        tail -n 20 "$work/said" "$work/log" >&2
        echo "error: $(basename "$1") ended with an error under valgrind" >&2
        exit 1
    fi
    number=$(sed -n 's/.*Collected : \([0-9]*\).*/\1/p' "$work/log")
    echo "$stage $capture $number" >>"$counted"
}

for capture in full cut; do
    snaplen=65535
    [ $capture = full ] || snaplen=128
    file=$work/$capture.pcap
    scripts/bench_capture.py "$PACKETS" "$snaplen" >"$file"
    stored=(--database "$work/$capture.db" --spool "$work/$capture")
    count report $capture "$built/imon-analyze" report "$file" -o "$work/report"
    count read $capture "$built/imon-record" --read "$file" --spool "$work/$capture"
    count ingest $capture "$built/imon-analyze" ingest "$work/$capture" --database "$work/$capture.db"
    count database $capture "$built/imon-analyze" report "${stored[@]}" --in 2026-01 -o "$work/report"
    rm -rf "$file" "${work:?}/$capture"
done

python3 - "$counted" "$BUDGET" "$PACKETS" "$write" <<'PY'
import sys

counted, budget, packets, write = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
lines = lambda path: [line.split() for line in open(path) if line.strip() and not line.startswith("#")]
found = {(stage, capture): int(number) / packets for stage, capture, number in lines(counted)}
if write:
    with open(budget, "w") as file:
        file.write("# Most instructions a packet: stage, capture, number. `scripts/bench-instructions.sh --write` makes it.\n")
        file.writelines(f"{stage} {capture} {number * 1.1:.0f}\n" for (stage, capture), number in found.items())
allowed = {(stage, capture): int(number) for stage, capture, number in lines(budget)}
print("| stage | capture | instructions a packet | budget | of it |")
print("| --- | --- | --- | --- | --- |")
over = []
for (stage, capture), number in found.items():
    most = allowed.get((stage, capture), 0)
    print(f"| {stage} | {capture} | {number:,.0f} | {most:,} | {number / most:.0%} |" if most else f"| {stage} | {capture} | {number:,.0f} | none | |")
    if number > most:
        over.append(f"{stage} of the {capture} capture takes {number:,.0f} instructions a packet, more than {most:,}")
for line in over:
    print(f"error: {line}", file=sys.stderr)
sys.exit(bool(over))
PY
