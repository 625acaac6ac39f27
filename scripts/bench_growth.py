#!/usr/bin/env python3
"""How time and memory grow: bench_growth.py BUILT WORK [WHAT…]

One thing grows while the others stay: packets of 400 flows, flows of three packets each, names with
an answer and a flow each, devices with an answer and a flow each. Each capture is read by `report`
and, as a segment, by `ingest`: CPU seconds and peak memory of whole processes, the least of RUNS=3.
What a run costs with nothing to read is taken off before it is divided. The unit is what grows.
MOST_PACKETS=, MOST_FLOWS=, MOST_NAMES= and MOST_DEVICES= say how far, each size being STEP=10 times
the one before.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from bench_frames import Capture, answer, flow, port_of, segment

built, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
analyze, record = str(built / "imon-analyze"), str(built / "imon-record")
runs, step = int(os.environ.get("RUNS", 3)), int(os.environ.get("STEP", 10))
# The smallest size and, unless asked for more, the largest: a few minutes in all.
SIZES = {"packets": (10_000, 1_000_000), "flows": (1_000, 100_000), "names": (100, 100_000), "devices": (1, 10_000)}
# What takes less than this more than nothing does says nothing of a unit.
LEAST_S, LEAST_KIB = 0.02, 4_096
# 2026-01-01: a month that is over is closed once it is ingested, whenever this is run.
START_US = 1_767_225_600_000_000
FLOWS, NAMES, DEVICES = 400, 100, 40
# Between what each unit does, so that a capture of many is long as well, not only dense.
FLOW_US, PACKET_US = 2_000, 500


def packets(capture, count):
    for number in range(NAMES):
        answer(capture, START_US + number * FLOW_US, number % DEVICES, number)
    start = START_US + NAMES * FLOW_US
    for number in range(FLOWS):
        flow(capture, start + number * FLOW_US, number % DEVICES, number % NAMES, port_of(number))
    start += FLOWS * FLOW_US
    for number in range(count):
        of = number % FLOWS
        up = number % 3 == 2
        segment(capture, start + number * PACKET_US, of % DEVICES, of % NAMES, port_of(of), 0x10, up, 0 if up else 1_400)


def flows(capture, count):
    for number in range(NAMES):
        answer(capture, START_US + number * FLOW_US, number % DEVICES, number)
    start = START_US + NAMES * FLOW_US
    for number in range(count):
        flow(capture, start + number * FLOW_US, number % DEVICES, number % NAMES, port_of(number // DEVICES))


def names(capture, count):
    for number in range(count):
        now = START_US + number * FLOW_US
        answer(capture, now, number % DEVICES, number)
        flow(capture, now + 400, number % DEVICES, number, port_of(number))


def devices(capture, count):
    for number in range(count):
        now = START_US + number * FLOW_US
        answer(capture, now, number, number % NAMES)
        flow(capture, now + 400, number, number % NAMES, port_of(number))


def measure(command):
    """CPU seconds and peak KiB: the least of some runs. What was there before a run is removed."""
    seconds, peak = [], []
    for _ in range(runs):
        for path in work.glob("out*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        environment = dict(os.environ, HOME=str(work), XDG_STATE_HOME=str(work), TZ="UTC")
        # A small program in between: what this one held would count for the other.
        child = subprocess.run(
            [sys.executable, "-S", "-E", "-c", MEASURE, *command], env=environment, capture_output=True, text=True
        )
        if child.returncode != 0:
            sys.exit(f"error: {' '.join(command)} failed: {child.stderr}")
        used = child.stdout.split()
        seconds.append(float(used[-2]))
        peak.append(int(used[-1]))
    return min(seconds), min(peak)


MEASURE = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)])
_, status, used = os.wait4(child, 0)
print(used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def both(path):
    """What `report` of a capture takes, and `ingest` of its segments."""
    report = measure([analyze, "report", str(path), "-o", str(work / "out.txt")])
    spool = work / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    subprocess.run([record, "--read", str(path), "--spool", str(spool)], check=True, capture_output=True)
    ingest = measure([analyze, "ingest", str(spool), "--database", str(work / "out.db")])
    return report, ingest


def sizes(what):
    size, most = SIZES[what]
    most = int(os.environ.get(f"MOST_{what.upper()}", most))
    while size <= most:
        yield size
        size *= step


def plot(title, points):
    """Bars, of which the longest is 40 wide."""
    if not points:
        return
    most = max(value for _, value in points)
    print(f"\n{title}\n")
    for size, value in points:
        print(f"  {size:>12,}  {'#' * max(1, round(40 * value / most)):<40}  {value:,.{2 if most < 20 else 0}f}")


def grow(what, make, rest):
    rows = []
    for size in sizes(what):
        path = work / f"{what}.pcap"
        capture = Capture(open(path, "wb", buffering=1 << 20))
        make(capture, size)
        capture.close()
        rows.append((size, capture.packets, *both(path)))
        path.unlink()
    print(f"\n### {what}\n")
    print(f"| {what} | packets | report s | µs each | peak MiB | bytes each | ingest s | µs each | peak MiB | bytes each |")
    print("| --- " * 10 + "|")
    points, peaks = {"report": [], "ingest": []}, {"report": [], "ingest": []}
    for size, count, *measured in rows:
        line = f"| {size:,} | {count:,} |"
        for (stage, of_rest), (seconds, peak) in zip(zip(("report", "ingest"), rest), measured):
            net_s, net_kib = seconds - of_rest[0], peak - of_rest[1]
            each_us, each_bytes = net_s / size * 1e6, net_kib * 1024 / size
            line += f" {seconds:.2f} | {f'{each_us:,.2f}' if net_s >= LEAST_S else ''} |"
            line += f" {peak / 1024:.0f} | {f'{each_bytes:,.0f}' if net_kib >= LEAST_KIB else ''} |"
            peaks[stage].append((size, peak / 1024))
            if net_s >= LEAST_S:
                points[stage].append((size, each_us))
        print(line)
    for stage in points:
        plot(f"{what}, {stage}: microseconds each", points[stage])
        plot(f"{what}, {stage}: peak MiB", peaks[stage])
    sys.stdout.flush()


work.mkdir(parents=True, exist_ok=True)
nothing = work / "nothing.pcap"
empty = Capture(open(nothing, "wb"))
answer(empty, START_US, 0, 0)
empty.close()
rest = both(nothing)
for (seconds, peak), stage in zip(rest, ("report", "ingest")):
    print(f"{stage} of two packets: {seconds:.3f} s of CPU, {peak / 1024:.0f} MiB")
for what, make in (("packets", packets), ("flows", flows), ("names", names), ("devices", devices)):
    if not sys.argv[3:] or what in sys.argv[3:]:
        grow(what, make, rest)
shutil.rmtree(work / "spool", ignore_errors=True)
