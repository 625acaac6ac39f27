#!/usr/bin/env python3
"""Runs every query of docs/FLEET.md on an exported dataset, beside `imon-analyze report`.

    test_fleet.py IMON-ANALYZE

Engines that cannot be imported are named at the end, and their queries are skipped.
"""

import gzip
import itertools
import json
import os
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# 2026-08-31T23:50:00Z and 2026-09-10T12:00:00Z: two months, closed long since.
BEGINS_S = {"august.pcap": 1788220200, "september.pcap": 1789041600}

# Folders of recorders, and merged files.
LAYOUTS = {"dataset": [], "compact": ["--compact"]}


def moved(begins_s: int) -> bytes:
    """The capture of real pages, as if it had begun at this second, packets twenty times as far apart."""
    file = bytearray(gzip.decompress((ROOT / "testdata/netlab/browse-lan.pcap.gz").read_bytes()))
    (first,) = struct.unpack_from("<I", file, 24)
    at = 24
    while at + 16 <= len(file):
        (second,) = struct.unpack_from("<I", file, at)
        struct.pack_into("<I", file, at, begins_s + (second - first) * 20)
        at += 16 + struct.unpack_from("<I", file, at + 8)[0]
    return bytes(file)


def duckdb_rows(text: str):
    import duckdb

    answer = duckdb.sql(text)
    return [dict(zip(answer.columns, row)) for row in answer.fetchall()]


def chdb_rows(text: str):
    import chdb

    lines = str(chdb.query(text, "JSONEachRow")).splitlines()
    return [json.loads(line) for line in lines if line]


def polars_rows(text: str):
    import polars as pl

    names = {"pl": pl}
    exec(text, names)  # a block of our own document
    return names["answer"].to_dicts()


def spark_rows(text: str):
    from pyspark.sql import SparkSession

    master = os.environ.get("SPARK_MASTER", "local[2]")
    option = "spark.sql.sources.partitionColumnTypeInference.enabled"
    spark = SparkSession.builder.master(master).config(option, "false").config("spark.ui.enabled", "false").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return [row.asDict() for row in spark.sql(text).collect()]


ENGINES = {
    "duckdb": ("duckdb", duckdb_rows),
    "chdb": ("chdb", chdb_rows),
    "polars": ("polars", polars_rows),
    "spark": ("pyspark", spark_rows),
}


def blocks():
    """Engine, question, whether the ledger is asked for, and text of each query."""
    text = (ROOT / "docs/FLEET.md").read_text()
    for engine, body in re.findall(r"^```(?:sql|python) (\w+)\n(.*?)^```", text, re.S | re.M):
        first, _, rest = body.partition("\n")
        question = first.lstrip("-# ")
        of_ledger = question.startswith("ledger: ")
        yield engine, question.removeprefix("ledger: "), of_ledger, rest


def differences(found, wanted):
    """What the engine's rows say otherwise than the report's; rows of nothing are none."""
    columns = list(found[0]) if found else []

    def row(of):
        return tuple(of[name] if isinstance(of[name], str) else int(of[name] or 0) for name in columns)

    def has_bytes(values):
        return any(isinstance(value, int) and value > 0 for value in values)

    ours, theirs = ({values for values in map(row, rows) if has_bytes(values)} for rows in (wanted, found))
    return sorted(ours ^ theirs, key=str), len(theirs)


class Database:
    """A database in a folder of its own, and the analyzer on it."""

    def __init__(self, analyze: str):
        self.analyze = str(Path(analyze).resolve())
        # Goes with this object.
        self.folder = tempfile.TemporaryDirectory(prefix="imon-fleet-")
        self.work = Path(self.folder.name)
        self.environment = {**os.environ, "HOME": str(self.work), "TZ": "UTC", "XDG_STATE_HOME": str(self.work)}
        (self.work / "none").mkdir()

    def run(self, *args: str, config: tuple[str, ...] = ("--no-config",)) -> str:
        """What the analyzer says."""
        command = [self.analyze, "-q", *config, *args]
        return subprocess.run(
            command, cwd=self.work, env=self.environment, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def ingest(self, *names: str):
        """Books captures of `BEGINS_S`."""
        for name in names:
            (self.work / name).write_bytes(moved(BEGINS_S[name]))
        self.run("ingest", *names, "--allow-overlap", "--database", "imon.db")

    def export(self, folder: str, *options: str) -> Path:
        """The dataset."""
        self.run("export", folder, "--database", "imon.db", "--spool", "none", *options)
        return self.work / folder


def main() -> int:
    database = Database(sys.argv[1])
    work, run = database.work, database.run
    database.ingest(*BEGINS_S)
    for layout, options in LAYOUTS.items():
        database.export(layout, *options)
    (work / "plan.toml").write_text('[[plan]]\nname = "a plan"\nbilling_day = 5\nzone = "UTC"\n')
    # The recorder of captures has no name: what stands for their database is its id.
    (manifest,) = (work / "dataset/_imon").glob("*.json")
    own = manifest.stem
    missing, failed, done = set(), 0, 0
    for layout, (engine, question, of_ledger, text) in itertools.product(LAYOUTS, blocks()):
        module, ask = ENGINES[engine]
        try:
            __import__(module)
        except ImportError:
            missing.add(module)
            continue
        within = [] if "--in" in question else ["--in", "2026-08..2026-09"]
        config = ("--config", "plan.toml") if "billing-month" in question else ("--no-config",)
        # Two ranges are compared by a database only.
        of = ["--database", "imon.db", "--spool", "none"] if "--compare" in question else ["--dataset", layout]
        answer = json.loads(run(*question.split(), *within, *of, "--zone", "UTC", "--json", config=config))
        wanted = [answer["ledger"]] if of_ledger else answer["rows"]
        for row in wanted:
            if row.get("recorder") == "(captures)":
                row["recorder"] = own
        if not of_ledger:
            wanted = [row for row in wanted if not str(row.get("site", "")).endswith("(infrastructure)")]
        found = ask(text.replace("DATASET", str(work / layout)))
        differs, rows = differences(found, wanted)
        if differs or rows == 0:
            failed += 1
            print(f"{layout}: {engine}: {question}: {rows} rows, {len(differs)} differ: {differs[:6]}")
        else:
            done += 1
            print(f"{layout}: {engine}: {question}: {rows} rows as imon-analyze has them")
    for module in sorted(missing):
        print(f"skipped: the queries of {module}, which is not installed here")
    print(f"{done} queries agree, {failed} do not")
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
