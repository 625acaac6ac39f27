#!/usr/bin/env python3
"""Copies a dataset to an object store and back by the commands of docs/FLEET.md.

    test_object_store.py IMON-ANALYZE

The store is moto's, on loopback. Programs that are not installed are named, and what needs them is
skipped. Ends with 1 if a copy says something else than the folder that it is of.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from test_fleet import BEGINS_S, ROOT, Database, blocks, differences, polars_rows

BUCKET = "bucket"
QUESTION = ["report", "--by", "site,day", "--in", "2026-08..2026-09", "--zone", "UTC", "--json", "--dataset"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def object_store():
    """Its address; an empty bucket is in it."""
    address = f"http://127.0.0.1:{(port := free_port())}"
    # Beside this Python: the folder of engines.
    server = Path(sys.executable).with_name("moto_server")
    process = subprocess.Popen(
        [str(server), "-H", "127.0.0.1", "-p", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        made = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
        for _ in range(300):
            try:
                urllib.request.urlopen(made, timeout=5)
                break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.1)
        else:
            raise SystemExit("error: the object store did not start within 30 s")
        yield address
    finally:
        process.kill()
        process.wait()


def environment(address: str) -> dict:
    """What tells rclone, aws and polars where the store is."""
    return {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "RCLONE_CONFIG": "/dev/null",
        "RCLONE_CONFIG_REMOTE_TYPE": "s3",
        "RCLONE_CONFIG_REMOTE_PROVIDER": "Other",
        "RCLONE_CONFIG_REMOTE_ENV_AUTH": "true",
        "RCLONE_CONFIG_REMOTE_ENDPOINT": address,
        "NO_PROXY": "127.0.0.1",
    }


def commands(program: str, verb: str) -> list:
    """The two commands of the document, in its order."""
    text = (ROOT / "docs/FLEET.md").read_text()
    found = re.findall(rf"^{program} {verb} .*/srv/dataset .*$", text, re.M)
    assert len(found) == 2, f"docs/FLEET.md has {len(found)} commands `{program} {verb}`"
    return found


class Copies:
    """A dataset, and its copy in the store."""

    def __init__(self, database: Database, program: str):
        self.database, self.program = database, program
        self.under = f"imon-{program}"
        beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self.around = {**os.environ, "PATH": beside}
        self.failed = 0

    def shell(self, command: str):
        """Runs a command of the document."""
        command = command.replace("/srv/dataset", str(self.database.work / "dataset"))
        command = command.replace(f"{BUCKET}/imon", f"{BUCKET}/{self.under}")
        subprocess.run(command, shell=True, env=self.around, check=True, stdout=subprocess.DEVNULL)

    def back(self) -> Path:
        """The bucket as a folder."""
        folder = self.database.work / "back"
        shutil.rmtree(folder, ignore_errors=True)
        whence = f"{BUCKET}/{self.under}"
        command = {"rclone": f"rclone copy remote:{whence} {folder}", "aws": f"aws s3 sync s3://{whence} {folder}"}
        subprocess.run(command[self.program], shell=True, env=self.around, check=True, stdout=subprocess.DEVNULL)
        return folder

    def rows(self, folder: Path):
        answer = json.loads(self.database.run(*QUESTION, str(folder)))
        return answer["rows"], answer["ledger"]

    def expect(self, what: str, is_so: bool):
        print(f"{self.program}: {what}: {'as it should be' if is_so else 'WRONG'}")
        self.failed += not is_so


def names_of(folder: Path) -> set:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != "lock"}


def copied(copies: Copies, verb: str):
    """A dataset that grows, copied by two steps; the second time cut between them."""
    database = copies.database
    august, september = BEGINS_S
    database.ingest(august)
    data, manifests = commands(copies.program, verb)
    dataset = database.export("dataset")
    copies.shell(data)
    copies.shell(manifests)
    before = copies.rows(dataset)
    copies.expect("a copy", copies.rows(copies.back()) == before and len(before[0]) > 0)
    database.ingest(september)
    database.export("dataset")
    copies.shell(data)
    copies.expect("cut before the manifests, it says what it said", copies.rows(copies.back()) == before)
    copies.shell(manifests)
    after = copies.rows(dataset)
    copies.expect("whole, it says what the folder says", copies.rows(copies.back()) == after != before)


def cleaned(copies: Copies):
    """What no manifest names goes, and nothing else."""
    copies.shell(f"rclone copyto {__file__} remote:{BUCKET}/imon/rows/month=2026-08/gone.parquet")
    for command in commands("rclone", "sync"):
        copies.shell(command)
    found, wanted = names_of(copies.back()), names_of(copies.database.work / "dataset")
    copies.expect("what no manifest names is gone", found == {name for name in wanted if "unfinished" not in name})


def asked(copies: Copies):
    """The queries of polars, of the bucket itself."""
    queries = [block for block in blocks() if block[0] == "polars" and not block[2]]
    for _, question, _, text in queries:
        within = [] if "--in" in question else ["--in", "2026-08..2026-09"]
        told = copies.database.run(*question.split(), *within, "--dataset", "dataset", "--zone", "UTC", "--json")
        wanted = [row for row in json.loads(told)["rows"] if not str(row.get("site", "")).endswith("(infrastructure)")]
        found = polars_rows(text.replace("DATASET", f"s3://{BUCKET}/{copies.under}"))
        differs, rows = differences(found, wanted)
        copies.expect(f"polars on the bucket, {question}", not differs and rows > 0)


def main() -> int:
    if not Path(sys.executable).with_name("moto_server").exists():
        print("skipped: object storage needs moto (PyPI: moto[server])")
        return 0
    failed = 0
    for name in [name for name in os.environ if name.startswith(("AWS_", "RCLONE_"))]:
        del os.environ[name]  # whoever has a store of their own
    with object_store() as address:
        os.environ.update(environment(address))
        for program, verb in ("rclone", "copy"), ("aws", "s3 sync"):
            copies = Copies(Database(sys.argv[1]), program)
            if shutil.which(program, path=copies.around["PATH"]) is None:
                print(f"skipped: copies by {program}, which is not installed here")
                continue
            copied(copies, verb)
            if program == "rclone":
                cleaned(copies)
            try:
                asked(copies)
            except ImportError:
                print("skipped: the queries of polars, which is not installed here")
            failed += copies.failed
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
