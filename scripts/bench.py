#!/usr/bin/env python3
"""The measuring of scripts/bench.sh: bench.py BUILT WORK PACKETS RUNS

Programs take turns, so that a busy machine is busy for all of them; the first round warms up and
does not count. Medians of the others. CPU seconds are user + system of a whole process and of what
it started, as wait4(2) tells them.
"""

import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

built, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
packets, runs = int(sys.argv[3]), int(sys.argv[4])
analyze, record = str(built / "imon-analyze"), str(built / "imon-record")
out = work / "out"

# Name, program, arguments. CAPTURE, OUT (a folder that is empty) and SPOOL (segments of the capture)
# are filled in.
PEERS = [
    ("cat", "cat", ["CAPTURE"]),
    ("capinfos -cdu", "capinfos", ["-cdu", "CAPTURE"]),
    ("tcpdump -w", "tcpdump", ["-r", "CAPTURE", "-Z", "root", "-w", "OUT/packets.pcap"]),
    ("softflowd", "softflowd", ["-d", "-r", "CAPTURE", "-n", "127.0.0.1:9"]),
    ("nfpcapd", "nfpcapd", ["-r", "CAPTURE", "-w", "OUT"]),
    ("ndpiReader", "ndpiReader", ["-q", "-i", "CAPTURE"]),
    ("tshark -z conv,ip", "tshark", ["-r", "CAPTURE", "-q", "-z", "conv,ip"]),
]
OWN = [
    ("imon report", analyze, ["report", "CAPTURE", "-o", "OUT/report.txt"]),
    ("imon --read", record, ["--read", "CAPTURE", "--spool", "OUT/spool"]),
    ("imon ingest", analyze, ["ingest", "SPOOL", "--database", "OUT/imon.db"]),
]


def measure(command, capture, spool):
    """CPU seconds, wall seconds, peak KiB and bytes kept of one run; None if it failed."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    filled = [a.replace("CAPTURE", str(capture)).replace("OUT", str(out)).replace("SPOOL", str(spool)) for a in command]
    environment = dict(os.environ, HOME=str(out), XDG_STATE_HOME=str(out), TZ="UTC")
    began = time.monotonic()
    child = subprocess.Popen(
        filled, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    _, status, used = os.wait4(child.pid, 0)
    wall = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        return None
    kept = sum(path.stat().st_size for path in out.rglob("*") if path.is_file() and path.name != "report.txt")
    return used.ru_utime + used.ru_stime, wall, used.ru_maxrss, kept


def table(name, capture):
    wanted = os.environ.get("PEERS")
    peers = [peer for peer in PEERS if shutil.which(peer[1]) and (wanted is None or peer[1] in wanted.split())]
    spool = work / f"spool-{name}"
    shutil.rmtree(spool, ignore_errors=True)
    subprocess.run([record, "--read", str(capture), "--spool", str(spool)], check=True, stderr=subprocess.DEVNULL)
    rows = {}
    for turn in range(runs + 1):
        for label, program, arguments in peers + OWN:
            measured = measure([program, *arguments], capture, spool)
            if measured is None:
                print(f"{label} failed on {capture.name}", file=sys.stderr)
            elif turn > 0:
                rows.setdefault(label, []).append(measured)
    million = packets / 1e6
    cpu_of = {label: statistics.median(r[0] for r in measured) / million for label, measured in rows.items()}
    print(f"\n{name}: {packets:,} packets, {capture.stat().st_size:,} bytes\n")
    print("| program | CPU s / million | of cat | of tcpdump | wall s | peak MiB | bytes kept a packet |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for label, measured in rows.items():
        ratio = lambda peer: f"{cpu_of[label] / cpu_of[peer]:.2f}" if cpu_of.get(peer) else ""
        wall = statistics.median(r[1] for r in measured)
        # What this program held when it started the other counts as well.
        peak = max(r[2] for r in measured) / 1024
        floor = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        peak = f"{peak:.0f}" if peak > floor else f"below {floor:.0f}"
        kept = statistics.median(r[3] for r in measured) / packets
        print(
            f"| {label} | {cpu_of[label]:.3f} | {ratio('cat')} | {ratio('tcpdump -w')} | {wall:.2f} | {peak} |"
            f" {f'{kept:.2f}' if kept else ''} |"
        )
    shutil.rmtree(spool)


def machine():
    try:
        models = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    except OSError:
        models = []
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} × {model}, load {os.getloadavg()[0]:.1f}, {platform.system()} {platform.release()}"


print(machine())
for name in ("full", "cut"):
    table(name, work / f"{name}.pcap")
shutil.rmtree(out, ignore_errors=True)
