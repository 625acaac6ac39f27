#!/usr/bin/env bash
# Books that are cut short: killed, on a disk that loses in a power cut what was not synced, and on
# one that is full. Linux only, as disks are watched by a library that is preloaded (scripts/disk);
# needs a C compiler and python3. KILLS, CUTS and FULL say how often (FULL=0: at every change), SEED
# which moments.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(uname -s)" != Linux ]; then
    echo "skipped: disks that lose writes or are full need Linux" >&2
    exit 0
fi
for program in cc python3; do
    command -v "$program" >/dev/null || { echo "skipped: there is no $program" >&2; exit 0; }
done

IMON_KILLS=${KILLS:-200} "${CARGO:-cargo}" test --locked --quiet -p imon-analyze --test months --test dataset -- kill
"${CARGO:-cargo}" build --locked --quiet -p imon-analyze
exec python3 scripts/disk/disk.py "${TARGET_DIR:-target}/debug/imon-analyze" \
    --cuts "${CUTS:-220}" --full "${FULL:-8}" --seed "${SEED:-1}"
