#!/usr/bin/env python3
"""screens.py PROGRAM [FOLDER]: every command of imon-analyze that the documents show, as terminals show it.

Each command runs in terminals of 80 x 24 and of 120 x 40 characters, in a home with a database of its own and captures of
testdata/. What they showed is written into FOLDER/COLUMNSxROWS/, if one is named. It fails where a line is wider than its
terminal, and where a command for people does not end with its answer: the total or the ledger, below the last 24 or 40 lines.
"""
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unicodedata

ROOT = pathlib.Path(__file__).resolve().parent.parent
SIZES = [(80, 24), (120, 40)]

# What the documents name, and what stands for it here.
WORDS = [
    ("~/.local/state/imon/imon.db", "imon.db"), ("~/.local/state/imon/captures", "captures"),
    (" --database /srv/imon/imon.db", ""), ("/srv/spools", "spool"), ("/srv/dataset", "dataset"), ("--recorder attic", "--recorder captures"),
    ("/srv/shared --mask devices --mask-key /root/", "of-devices --mask devices --mask-key "), ("/srv/shared", "shared"),
    (" --database imon.db --spool spool", ""), ("192.168.1.9", "198.18.0.11"), ("television", "198.18.0.11"), ("--to 2026-11-15", "--to 2026-11-30"),
    ("/var/lib/imon/spool", "dns.seg"), ("/var/lib/imon", "spool"), ("/run/imon/", ""), ("exports.pcap", "exports.pcap.gz"), ("dns.pcap", "dns.seg"), ("203.0.113.9 --at 14:30", "198.19.1.51 --at 2026-11-22T12:35"), ("203.0.113.9", "198.19.1.51"),
    ("198.51.100.9", "198.19.1.51"), ("192.168.1.7", "198.18.0.11"), ("www.youtube.com", "www.site-a.test"),
    ("youtube.com", "stream-cache.test"), ("Google", "site-f.test"), ("captures/monday.pcap", "captures/lan.pcap.gz"),
    ("capture.pcapng.zst", "lan.pcap.gz"), ("capture.pcapng", "lan.pcap.gz"), ("new.pcap", "lan.pcap.gz"),
    ("old.pcap", "other.pcap"), ("--config FILE ", ""), ("--no-config ", ""),
    ("capture.pcap", "lan.pcap.gz"), ("office.pcap", "lan.pcap.gz"),
    ("home.pcap", "other.pcap"), ("testdata/netlab/browse-lan.pcap.gz", "lan.pcap.gz"), ("last-month", "2026-11"),
    ("--in 7d", "--in 2026-11-16..2026-11-22"), ("2026-11-05T14:07", "2026-11-22T12:35"), ("2026-11-05T14:09", "2026-11-22T12:36"),
    ("2026-11-05", "2026-11-22"), ("--interface eth0", "--interface (unnamed)"), ("--interface wan", "--interface eth0"),
]

# What draws a screen of its own, what rests on a plan that the user wrote down, and what rests on
# closed months of a database that is lost.
LEFT_OUT = ["imon-analyze top", "imon-analyze alert", "imon-analyze plan", "billing", "--from-books"]

# What cannot be done, and says so in more than a short line.
ERRORS = ["report --by foo", "report lan.pcap.gz none.pcap", "report lan.pcap.gz --owner Bob", "report --compare soon --database imon.db",
          "check lan.pcap.gz", "prune --database imon.db", "prune --before 2026-99-01 --database imon.db", "close --month 2026-13",
          "report lan.pcap.gz --zone Mars", "report lan.pcap.gz --local foo", "explain 203.0.113.9 --database imon.db --at 14:30", "alert"]

# Commands whose answer is no text for people, or that ask the network.
NOT_FOR_PEOPLE = ["--csv", "--format json", "--format csv", "--format parquet", "--format html", "--format prometheus", "--json", "flows ", "names ", "--resolve", " -o "]


def commands():
    found = {}
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for block in path.read_text().split("```")[1::2]:
            for line in block.splitlines():
                line = line.split("  #")[0].strip().removeprefix("$ ").removeprefix("sudo ")
                for part in re.split("[;|&]+", line):
                    part = part.strip().removeprefix("sudo ")
                    if part.startswith("imon-analyze ") and not any(word in part for word in LEFT_OUT):
                        found.setdefault(part, path.name)
    return found


def made(home, program):
    """A home with a database, a spool and captures."""
    lan = ROOT / "testdata/netlab/browse-lan.pcap.gz"
    (home / "captures").mkdir()
    (home / "spool").mkdir()
    for place in ["lan.pcap.gz", "captures/lan.pcap.gz"]:
        shutil.copy(lan, home / place)
    shutil.copy(ROOT / "testdata/field/proxy-connect.pcap", home / "other.pcap")
    shutil.copy(ROOT / "testdata/segments/good.seg", home / "spool/good.seg")
    shutil.copy(ROOT / "testdata/exports/softflowd-v9.pcap.gz", home / "exports.pcap.gz")
    shutil.copy(ROOT / "testdata/exports/dns.seg", home / "dns.seg")
    for name in ["vnstat.json", "router.json"]:
        shutil.copy(ROOT / "testdata/vnstat/home.json", home / name)
    for name in ["asn.mmdb", "country.mmdb"]:
        (home / name).write_bytes(owners())
    subprocess.run([program, "-q", "ingest", "lan.pcap.gz", "--database", "imon.db"], cwd=home, env=environment(home), check=True)


def owners():
    """A MaxMind DB (its format, version 2.0) in which one network and country have every address."""

    def text(of):
        return bytes([2 << 5 | len(of)]) + of.encode() if len(of) < 29 else bytes([2 << 5 | 29, len(of) - 29]) + of.encode()

    def number(kind, of, length):
        return bytes([kind << 5 | length] if kind < 8 else [length, kind - 7]) + of.to_bytes(length, "big")

    def table(of):
        return bytes([7 << 5 | len(of)]) + b"".join(text(key) + value for key, value in of.items())

    about = table({"autonomous_system_number": number(6, 64500, 4), "autonomous_system_organization": text("Example Networks"),
                   "country": table({"iso_code": text("DE")})})
    # One node, both ways of which lead to the first record behind the tree and its 16 zeros.
    tree = (1 + 16).to_bytes(3, "big") * 2
    meta = table({"binary_format_major_version": number(5, 2, 2), "binary_format_minor_version": number(5, 0, 2),
                  "build_epoch": number(9, 1_790_000_000, 8), "database_type": text("Example"), "description": table({}),
                  "ip_version": number(5, 6, 2), "languages": bytes([0, 11 - 7]), "node_count": number(6, 1, 4), "record_size": number(5, 24, 2)})
    return tree + bytes(16) + about + b"\xab\xcd\xefMaxMind.com" + meta


def environment(home):
    return {"HOME": str(home), "TZ": "UTC", "LANG": "C.UTF-8", "TERM": "xterm", "PATH": os.environ.get("PATH", "")}


def meant(command, home):
    """The command with what stands here for what it names, and with the database of this home."""
    line = command
    for word, here in WORDS:
        line = line.replace(word, here)
    args = line.split()[1:]
    of_files = "--dataset" in args or any(arg.endswith((".gz", ".pcap")) or arg == "captures/" for arg in args)
    word = next((arg for arg in args if not arg.startswith("-")), "")
    if word in ("report", "site", "explain", "status", "rebuild", "prune", "close", "export", "import") and not of_files:
        args += ["--database", str(home / "imon.db"), "--spool", str(home / "captures-none")]
        (home / "captures-none").mkdir(exist_ok=True)
        if word == "report" and not {"--in", "--from", "prometheus"} & set(args):
            args += ["--in", "2026-11-22"]
        if word == "close":
            args = args[:-2]
        if word == "prune" and "--dry-run" not in args:
            args += ["--dry-run"]
    return args


def shown(program, args, home, size):
    """What a terminal of this size gets."""
    columns, rows = size
    child, master = pty.fork()
    if child == 0:
        os.chdir(home)
        os.execve(program, [program, *args], environment(home))
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    out = b""
    while select.select([master], [], [], 60)[0]:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        if not part:
            break
        out += part
    _, status = os.waitpid(child, 0)
    text = out.decode(errors="replace").replace("\r\n", "\n")
    return re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", text).split("\r")[-1], os.waitstatus_to_exitcode(status)


def width(line):
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line)


def too_wide(text, columns):
    """The first line that the terminal breaks, if it could have been broken between words."""
    for line in text.splitlines():
        if width(line) > columns and max(map(width, line.split())) < columns - 8:
            yield f"a line has {width(line)} columns: {line}"
            break


def faults(command, text, code, size):
    columns, rows = size
    if code not in (0, 3):
        yield f"ends with exit code {code}"
    if any(word in command + " " for word in NOT_FOR_PEOPLE):
        return
    yield from too_wide(text, columns)
    last = "\n".join(text.splitlines()[-rows + 1 :])
    answers = {"report": ("total", "nothing"), "site": ("total", "nothing")}.get(command.split()[1])
    if answers and not any(word in last for word in answers):
        yield "the last screen does not show the answer"
    # Where no month is over there is nothing to say.
    if not text.strip() and " close" not in command:
        yield "shows nothing"


def main(program, folder=None):
    program, failed, seen = os.path.abspath(program), [], 0
    with tempfile.TemporaryDirectory() as place:
        home = pathlib.Path(place)
        made(home, program)
        for command, page in commands().items():
            for size in SIZES:
                text, code = shown(program, meant(command, home), home, size)
                seen += 1
                failed += [f"{page}: {command} at {size[0]} x {size[1]}: {fault}" for fault in faults(command, text, code, size)]
                if folder:
                    to = pathlib.Path(folder) / f"{size[0]}x{size[1]}"
                    to.mkdir(parents=True, exist_ok=True)
                    name = re.sub("[^a-z0-9]+", "-", command.lower()).strip("-")
                    (to / f"{name}.txt").write_text(f"$ {command}\n{text}")
        for command in ERRORS:
            for size in SIZES:
                text, code = shown(program, command.split(), home, size)
                seen += 1
                said = [] if code in (1, 2, 3) and text.strip() else [f"ends with exit code {code}"]
                failed += [f"{command} at {size[0]} x {size[1]}: {fault}" for fault in [*said, *too_wide(text, size[0])]]
    print("\n".join(failed) or f"{seen} screens: nothing wraps, and each ends with its answer")
    sys.exit(1 if failed else 0)


main(*sys.argv[1:])
