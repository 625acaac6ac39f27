#!/usr/bin/env python3
"""Exports, merges and asks a fleet's dataset; a line of a table for each. See bench-fleet.sh.

    bench_fleet.py IMON-ANALYZE FOLDER RECORDERS PYTHON
"""

import os
import subprocess
import sys
from pathlib import Path

SITE = "service-0000.com"
RARE = "service-1100.com"
FROM, TO = "2026-05-01", "2026-07-29"
SQL = "SELECT sum(up_bytes + down_bytes) FROM read_parquet('{}/rows/**/*.parquet') WHERE site = '" + SITE + "'"
ENGINES = {
    "duckdb": "import duckdb; print(duckdb.sql({sql!r}).fetchall())",
    "polars": (
        "import polars as pl; rows = pl.scan_parquet('{folder}/rows/**/*.parquet', hive_partitioning=False);"
        "print(rows.filter(pl.col('site').cast(pl.String) == {site!r})"
        ".select((pl.col('up_bytes') + pl.col('down_bytes')).sum()).collect())"
    ),
}


def run(command, **more):
    """CPU seconds, peak MiB and bytes read (by read calls) of a command."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **more)
    said = child.stderr.read()
    # What it read stands in /proc until it is waited for.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    try:
        counts = dict(line.split(": ") for line in Path(f"/proc/{child.pid}/io").read_text().splitlines())
    except OSError:
        counts = {}
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = status
    if status != 0:
        return None, said
    read = next((int(line.split()[1]) for line in said.splitlines() if "bytes were read" in line), None)
    if read is None:
        read = int(counts.get("rchar", 0))
    return (used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, read), said


def line(recorders, what, measured):
    if measured is None:
        print(f"| {recorders} | {what} | – | – | – |", flush=True)
        return
    seconds, peak, read = measured
    print(f"| {recorders} | {what} | {seconds:.2f} | {peak:.0f} | {read / 1e6:.1f} |", flush=True)


def main():
    program, work, recorders, python = sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4]
    environment = {**os.environ, "IMON_SHOW_READ": "1"}
    base = [program, "--no-config"]
    print("| recorders | what | CPU s | peak MiB | MB read |")
    print("| --- | --- | --- | --- | --- |")
    for folder, options in (("plain", []), ("merged", ["--compact"])):
        export = [*base, "export", str(work / folder), "--database", str(work / "imon.db"), "--spool", str(work / "none")]
        for what in (f"export {' '.join(options)}".strip(), "the same again"):
            measured, said = run([*export, *options], env=environment)
            line(recorders, what, measured)
            if measured is None:
                print(said, file=sys.stderr)
        files = [path for path in (work / folder).rglob("*.parquet")]
        size = sum(path.stat().st_size for path in files)
        print(f"| {recorders} | {folder}: {len(files)} files of {size / 1e6:.0f} MB | | | |", flush=True)
        questions = {
            "a site over 90 days": ["--site", SITE, "--by", "site,day"],
            "a rare site over 90 days": ["--site", RARE],
            "a site over 90 days, by hour of the day": ["--site", SITE, "--by", "hour-of-day"],
            "a recorder over 90 days, by site": ["--recorder", "00010101", "--by", "site"],
            "all of 90 days, by site": ["--by", "site"],
            "a day, by site": None,
        }
        for name, asked in questions.items():
            within = ["--from", FROM, "--to", TO] if asked else ["--in", "2026-06-15"]
            command = [*base, "report", "--dataset", str(work / folder), "--zone", "UTC", *within, *(asked or []), "--json"]
            measured, said = run(command, env=environment)
            line(recorders, f"{folder}: report, {name}", measured)
            if measured is None:
                print(said, file=sys.stderr)
        for engine, text in ENGINES.items():
            sql = SQL.format(work / folder)
            measured, said = run([python, "-c", text.format(sql=sql, folder=work / folder, site=SITE)])
            line(recorders, f"{folder}: {engine}, a site over 90 days", measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
