#!/usr/bin/env python3
"""Commands that change the books, on a disk that loses what was not synced, and on a full one.

    disk.py IMON-ANALYZE [--cuts 220] [--full 8] [--seed 1] [--only WORD]

For each command: it runs once, and the shim notes what it does to the disk. Then, at points by
chance, a folder is made as a power cut could have left it (replay.py). What is booked there must be
what was booked before or after the command, source by source; and when the command has run again,
all answers must be those of an undisturbed run. Then the same with a disk that becomes full at the
n-th change that needs room: at `--full` points of each command, by chance (0: at every one).
"""

import argparse
import gzip
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import replay

SHIM = Path(__file__).with_name("shim.c")
TESTDATA = Path(__file__).resolve().parents[2] / "testdata"
LOG_BYTES = 1 << 28
PACKETS = 4000  # of each capture: enough for names, pages and several hosts
RANGE = "--from 2020-01-01 --to 2020-12-31"
QUESTIONS = ["--by site,device,evidence,day --limit 0", "--by page,month"]
# 2020-03-31T23:58:00Z (it goes on into April), 2020-03-10T12:00:00Z, 2020-05-02T12:00:00Z.
CAPTURES = {"end": (1585699080, 15), "early": (1583841600, 1), "may": (1588420800, 1)}


def moved(begins_s: int, stretch: int) -> bytes:
    """The capture of real pages, begun at this second, its packets so many times as far apart."""
    file = bytearray(gzip.decompress((TESTDATA / "netlab/browse-lan.pcap.gz").read_bytes()))
    (first,), at = struct.unpack_from("<I", file, 24), 24
    for _ in range(PACKETS):
        (second,) = struct.unpack_from("<I", file, at)
        struct.pack_into("<I", file, at, begins_s + (second - first) * stretch)
        at += 16 + struct.unpack_from("<I", file, at + 8)[0]
    return bytes(file[:at])


class Wrong(Exception):
    """What must not be."""


class Bench:
    """A folder in which commands run; what they read lies beside it."""

    def __init__(self, program: Path, shim: Path, work: Path):
        self.program, self.shim, self.work = program, shim, work
        self.root, self.log = work / "root", work / "log"
        (work / "inputs").mkdir()
        (work / "none").mkdir()
        for name, (begins_s, stretch) in CAPTURES.items():
            (work / "inputs" / f"{name}.pcap").write_bytes(moved(begins_s, stretch))
        shutil.copy(TESTDATA / "vnstat/home.json", work / "inputs")

    def put(self, found: dict):
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(mode=0o700)
        replay.put(found, self.root)

    def run(self, line: str, **disk):
        """Runs a command: exit code, standard output, standard error."""
        more = {}
        if disk:
            with self.log.open("wb") as log:
                log.truncate(LOG_BYTES)
            more = {"LD_PRELOAD": str(self.shim), "DISK_ROOT": str(self.root), "DISK_LOG": str(self.log)}
            more |= {f"DISK_{key.upper()}": str(value) for key, value in disk.items() if value}
        command = [self.program, "--no-config", *line.split()]
        around = {"HOME": str(self.work), "TZ": "UTC", **more}
        done = subprocess.run(command, env=around, cwd=self.root, capture_output=True, text=True, timeout=120)
        return done.returncode, done.stdout, done.stderr

    def ok(self, line: str) -> str:
        code, out, err = self.run(line)
        if code != 0:
            raise Wrong(f"`{line}` ended with {code}: {err.strip()}")
        return out

    def notes(self) -> list:
        with self.log.open("rb") as log:
            (used,) = struct.unpack("<Q", log.read(8))
            log.seek(0)
            return replay.notes(log.read(8 + used))


def without_ranges(text: str):
    """An answer, without what depends on how far the books reach."""
    answer = json.loads(text)
    return {"rows": answer["rows"], "ledger": answer["ledger"]}


class Scene:
    """A command, and what it starts from."""

    database = "imon.db"

    def __init__(self, name: str, before: list, command: str, **more):
        self.name, self.before, self.command = name, before, command
        self.__dict__.update(more)

    def answers(self, bench: Bench) -> list:
        """What everything is compared by."""
        if not (bench.root / self.database).exists():
            return []
        store = f"--database {self.database} --spool ../none"
        answers = [without_ranges(bench.ok(f"report {store} {RANGE} --json {question}")) for question in QUESTIONS]
        answers.append(bench.ok(f"status --database {self.database} --months --csv").splitlines()[1:])
        # Rows, bytes and hashes of files are another closing's.
        answers[-1] = [line.split(",")[:2] for line in answers[-1]]
        imported = json.loads(bench.ok(f"report {store} --from 2000-01-01 --json --ledger full"))
        return answers + [imported.get("imported")]

    def sources(self, bench: Bench) -> dict:
        """Bytes of each source; none where there is no database."""
        if not (bench.root / self.database).exists():
            return {}
        store = f"--database {self.database} --spool ../none"
        code, out, err = bench.run(f"report {store} {RANGE} --json --by source --include-local")
        if code == 1 and "there is no database" in err:
            return {}
        if code != 0:
            raise Wrong(f"the report ended with {code}: {err.strip()}")
        answer = json.loads(out)
        if answer["ledger"]["residual_bytes"] != 0:
            raise Wrong(f"the ledger does not balance: {answer['ledger']}")
        return {row["source"]: row["total_bytes"] for row in answer["rows"]}

    def again(self, bench: Bench):
        """The same command, where there is room and nothing happens."""
        bench.ok(self.command)

    def whole(self, bench: Bench):
        """Nothing is damaged, and nothing is left over."""
        bench.ok(f"check {self.database}")
        names = set(replay.snapshot(bench.root))
        return sorted(name for name in names if "unfinished/" in name or name.endswith(".part") or "/ingest-" in name)


class Export(Scene):
    """An export: what counts is the dataset."""

    def answers(self, bench: Bench) -> list:
        if not list((bench.root / "set/_imon").glob("*.json")):
            return []
        return [without_ranges(bench.ok(f"report --dataset set {RANGE} --json {question}")) for question in QUESTIONS]

    def sources(self, bench: Bench) -> dict:
        if not list((bench.root / "set/_imon").glob("*.json")):
            return {}
        answer = json.loads(bench.ok(f"report --dataset set {RANGE} --json --by source --include-local"))
        return {row["source"]: row["total_bytes"] for row in answer["rows"]}

    def whole(self, bench: Bench):
        left = [name for name in replay.snapshot(bench.root) if "unfinished/" in name]
        named = set()
        for manifest in (bench.root / "set/_imon").glob("*.json"):
            about = json.loads(manifest.read_text())
            named |= {entry["file"] for entry in about["files"] + about.get("summaries", [])}
        there = {str(path.relative_to(bench.root / "set")) for path in (bench.root / "set").rglob("*.parquet")}
        return left + sorted(there ^ named)


class Backup(Scene):
    """A copy: what counts is the copy."""

    database = "copy/imon.db"

    def again(self, bench: Bench):
        # A copy that is whole is not touched.
        if not (bench.root / self.database).exists():
            super().again(bench)


ALL = "ingest ../inputs/end.pcap ../inputs/early.pcap ../inputs/may.pcap --database imon.db"
OPEN = [ALL, "rebuild --database imon.db"]
SCENES = [
    Scene("ingest into a new folder", [], ALL.replace("imon.db", "store/imon.db"), database="store/imon.db"),
    Scene("ingest", [], ALL),
    Scene("ingest into open months", OPEN[:0] + ["ingest ../inputs/may.pcap --database imon.db", "rebuild --database imon.db"],
          "ingest ../inputs/end.pcap --database imon.db"),
    Scene("ingest what is late", [ALL.replace("../inputs/early.pcap ", "")], "ingest ../inputs/early.pcap --database imon.db"),
    Scene("close", OPEN, "close --database imon.db"),
    Scene("rebuild", [ALL], "rebuild --database imon.db"),
    Scene("rebuild --from-books", [ALL, None], "rebuild --from-books --database imon.db"),
    Scene("prune some", [ALL], "prune --before 2020-03-20 --database imon.db"),
    Scene("prune all", [ALL], "prune --before 2021-01-01 --database imon.db"),
    Scene("prune of open months", OPEN, "prune --before 2020-03-20 --database imon.db"),
    Scene("prune --device", [ALL], "prune --device 198.18.0.12 --from 2020-04 --to 2020-05-31 --database imon.db"),
    Scene("import", [ALL], "import ../inputs/home.json --database imon.db"),
    Export("export", [ALL], "export set --database imon.db --spool ../none"),
    Export("export again", [ALL, "export set --database imon.db --spool ../none", "prune --before 2020-03-20 --database imon.db"],
           "export set --database imon.db --spool ../none"),
    Export("export --compact", OPEN, "export set --compact --with flows --database imon.db --spool ../none"),
    Backup("status --backup", [ALL], "status --backup copy --database imon.db"),
]


class Trial:
    """A scene, played: what was there before, what an undisturbed run gives and does to the disk."""

    def __init__(self, bench: Bench, scene: Scene):
        self.bench, self.scene = bench, scene
        bench.put({})
        for line in scene.before:
            if line is None:
                (bench.root / "imon.db").unlink()
            else:
                bench.ok(line)
        self.before = replay.snapshot(bench.root)
        self.sources_before = scene.sources(bench)
        bench.put(self.before)
        inodes = replay.inodes(bench.root)
        self.disk = lambda: replay.Disk(self.before, inodes)
        disk = self.disk()
        code, _, err = bench.run(scene.command, watched=1)
        if code != 0:
            raise Wrong(f"undisturbed it ended with {code}: {err.strip()}")
        self.notes = bench.notes()
        after = replay.snapshot(bench.root)
        for note in self.notes:
            disk.note(note)
        noted = disk.after_a_cut("everything", random.Random(0))
        if noted != after:
            differ = sorted(name for name in noted.keys() | after.keys() if noted.get(name, 0) != after.get(name, 0))
            raise Wrong(f"the shim has missed changes of {differ}")
        self.sources_after, self.answers = scene.sources(bench), scene.answers(bench)
        self.captures = self.kept()
        left = scene.whole(bench)
        if left:
            raise Wrong(f"undisturbed it leaves {left}")

    def kept(self) -> int:
        """Captures that can be booked again."""
        return sum(name.endswith(".seg") for name in replay.snapshot(self.bench.root))

    def judge(self):
        """The books now, and after the command has run again."""
        found = self.scene.sources(self.bench)
        for source in found.keys() | self.sources_before.keys() | self.sources_after.keys():
            may = (self.sources_before.get(source), self.sources_after.get(source))
            if found.get(source) not in may:
                raise Wrong(f"{source} has {found.get(source)} bytes, before and after it are {may}")
        self.scene.again(self.bench)
        answers = self.scene.answers(self.bench)
        for found, expected in zip(answers, self.answers):
            if found != expected:
                raise Wrong(f"answers differ: {str(found)[:1500]}\n  expected {str(expected)[:1500]}")
        if len(answers) != len(self.answers):
            raise Wrong("there is nothing to ask")
        left = self.scene.whole(self.bench)
        if left:
            raise Wrong(f"left over: {left}")
        if self.kept() != self.captures:
            raise Wrong(f"{self.kept()} captures are kept, and not {self.captures}")

    def cut(self, at: int, mode: str, seed: int):
        """A power cut after so many changes."""
        self.bench.put(self.before)
        disk = self.disk()
        for note in self.notes[:at]:
            disk.note(note)
        found = disk.after_a_cut(mode, random.Random(seed))
        self.bench.put(found)
        if at == len(self.notes) and self.scene.sources(self.bench) != self.sources_after:
            raise Wrong("it had ended with 0, and is undone")
        self.judge()

    def full(self, at: int, **how):
        """A disk that has no room any more at this change."""
        self.bench.put(self.before)
        code, _, err = self.bench.run(self.scene.command, full_at=at, **how)
        if code not in (0, 1, 3):
            raise Wrong(f"it ended with {code}: {err.strip()}")
        if code == 0:
            if self.scene.answers(self.bench) != self.answers:
                raise Wrong("it ended with 0, and the answers are others")
        elif not all(word in err for word in ("error: ", "cause: ", "hint: ", "`df ")):
            raise Wrong(f"the error does not tell what to do: {err.strip()}")
        self.judge()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path)
    parser.add_argument("--cuts", type=int, default=220)
    parser.add_argument("--full", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    chance, failed, cuts, fulls, began = random.Random(args.seed), 0, 0, 0, time.monotonic()
    scenes = [scene for scene in SCENES if args.only in scene.name]
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with tempfile.TemporaryDirectory(dir=memory) as work:
        shim = Path(work) / "shim.so"
        subprocess.run(["cc", "-O2", "-Wall", "-shared", "-fPIC", "-o", shim, SHIM, "-ldl", "-lpthread"], check=True)
        bench = Bench(args.program.resolve(), shim, Path(work))
        for number, scene in enumerate(scenes):
            try:
                trial = Trial(bench, scene)
            except Wrong as wrong:
                print(f"{scene.name}: {wrong}")
                failed += 1
                continue
            room = sum(note[0] in "CWRLM" for note in trial.notes)
            syncs = sum(note[0] in "SD" for note in trial.notes)
            print(f"{scene.name}: {len(trial.notes)} changes, {room} need room, {syncs} syncs", flush=True)
            share = args.cuts * (number + 1) // len(scenes) - args.cuts * number // len(scenes)
            tries = []
            for nth in range(share):
                at, mode = chance.randint(0, len(trial.notes)), replay.MODES[nth % len(replay.MODES)]
                # The last moment counts: what was said to be done is done.
                at = len(trial.notes) if nth < 2 else at
                seed = chance.randrange(1 << 32)
                tries.append((f"cut {at} {mode} {seed}", lambda a=at, m=mode, s=seed: trial.cut(a, m, s)))
            cuts += share
            everywhere = [(at, how) for at in range(1, room + 1) for how in ({}, {"full_once": 1})]
            everywhere += [(at, {"full_sync": 1}) for at in range(1, syncs + 1)]
            picked = everywhere if args.full == 0 else chance.sample(everywhere, min(args.full, len(everywhere)))
            fulls += len(picked)
            tries += [(f"full {at} {how}", lambda a=at, h=how: trial.full(a, **h)) for at, how in picked]
            shown = 0
            for what, attempt in tries:
                try:
                    attempt()
                except Wrong as wrong:
                    failed, shown = failed + 1, shown + 1
                    if shown <= 3:
                        print(f"  {what}: {wrong}", flush=True)
            if shown > 3:
                print(f"  ({shown - 3} more)")
    print(f"{cuts} power cuts, {fulls} full disks, {failed} wrong, {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
