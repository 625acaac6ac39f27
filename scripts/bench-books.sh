#!/usr/bin/env bash
# Books of three years (DAYS=1095, ROWS=5000 a day), open in SQLite and closed as Parquet: bytes a
# row; CPU seconds (user + system) and seconds on the clock (medians of RUNS), and peak memory of
# whole processes; bytes of pages. DAYS=365 ROWS=27400 makes a year of ten million rows.
# ORDER=site, GROUP=16384 and BLOOM=bloom lay files out in another way, to measure it.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly DAYS=${DAYS:-1095} ROWS=${ROWS:-5000} RUNS=${RUNS:-5}
readonly WORK=${WORK:-$(mktemp -d)}
[ -n "${KEEP:-}" ] || trap 'rm -rf "$WORK"' EXIT
scripts/release.sh --quiet -p imon-analyze --bin imon-analyze --example books
target=${CARGO_TARGET_DIR:-target}/release
mkdir -p "$WORK/spool"
[ -e "$WORK/imon.db" ] || "$target/examples/books" make "$WORK" "$DAYS" "$ROWS"

# The best-used site, a rare one, and ranges at the end.
measure() {
    python3 - "$target/imon-analyze" "$WORK" "$RUNS" "$DAYS" "$1" <<'PY'
import datetime, os, statistics, subprocess, sys, time
program, work, runs, days, what = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
first = datetime.date(2023, 11, 1)
day = lambda back: str(first + datetime.timedelta(days - back))
month = (first + datetime.timedelta(days - 45)).strftime("%Y-%m")
questions = [
    ("a day", ["--in", day(40)]),
    ("a month", ["--in", month]),
    ("a site over 90 days", ["--from", day(120), "--to", day(31), "--site", "service-0000.com", "--by", "site,day"]),
    ("a rare site over 90 days", ["--from", day(120), "--to", day(31), "--site", "service-1100.com"]),
    ("everything by month", ["--from", str(first), "--to", day(1), "--by", "month"]),
    ("everything by site", ["--from", str(first), "--to", day(1)]),
    ("everything by device, month", ["--from", str(first), "--to", day(1), "--by", "device,month"]),
]
year = day(min(days, 365))
pages = [
    ("the page of a month", ["--in", month]),
    ("the page of a year", ["--from", year, "--to", day(1)]),
    ("the page of a year, its end open", ["--from", year]),
]
questions = [(name, asked + ["--json", "-o", "/dev/null"]) for name, asked in questions]
page = f"{work}/page.html"
questions += [(name, asked + ["--format", "html", "-o", page]) for name, asked in pages]
for name, asked in questions:
    seconds, clock, peak = [], [], 0
    for _ in range(runs):
        arguments = [program, "report", "--no-config", "--database", f"{work}/imon.db", "--spool", f"{work}/spool", "--zone", "UTC"]
        begun = time.monotonic()
        child = subprocess.Popen(arguments + asked)
        _, status, used = os.wait4(child.pid, 0)
        assert status == 0, name
        clock.append(time.monotonic() - begun)
        seconds.append(used.ru_utime + used.ru_stime)
        peak = max(peak, used.ru_maxrss)
    size = os.path.getsize(page) if page in asked else ""
    print(f"| {what} | {name} | {statistics.median(seconds):.3f} | {statistics.median(clock):.3f} | {peak / 1024:.0f} | {size} |")
PY
}
size() { du -sb --apparent-size "$@" | awk -v rows=$((DAYS * (ROWS / 24) * 24)) '{ sum += $1 } END { printf "%d bytes, %.1f a row\n", sum, sum / rows }'; }

echo "| books | question | CPU s | clock s | MiB | bytes |"
echo "| --- | --- | --- | --- | --- | --- |"
if [ ! -e "$WORK/books" ]; then
    echo "open: $(size "$WORK/imon.db")" >&2
    measure "open"
    "$target/examples/books" close "$WORK" ${ORDER:-} ${GROUP:-} ${BLOOM:-}
fi
echo "closed: $(size "$WORK/books"); with the database: $(size "$WORK/imon.db" "$WORK/books")" >&2
measure "closed"
