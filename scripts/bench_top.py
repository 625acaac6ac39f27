#!/usr/bin/env python3
"""What `top` costs: bench_top.py BUILT WORK

imon-record writes what comes through a pipe, as fast as it would come over a link: FLOWS=1000 new
flows a second of 40 devices to 300 servers whose names were told, or, as a scan, each to an address
of its own. `top` follows its segment on a terminal of 80 x 24: share of a processor over SECONDS=30,
begun when it has read what was there, and most memory.
"""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from bench_frames import Capture, answer, flow, port_of

built, work = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
rate, seconds = int(os.environ.get("FLOWS", 1000)), int(os.environ.get("SECONDS", 30))
DEVICES, NAMES = 40, 300
# A batch of flows that often; `top` is measured from WARM_S seconds after its start on.
BATCH_S, WARM_S = 0.02, 10
TICKS = os.sysconf("SC_CLK_TCK")


class Feed(threading.Thread):
    """Traffic of now, until it is told to end."""

    def __init__(self, file, servers):
        super().__init__(daemon=True)
        self.capture, self.servers, self.over = Capture(file), servers, False

    def run(self):
        begin, sent = time.time(), 0
        for name in range(NAMES):
            answer(self.capture, int(begin * 1e6), name % DEVICES, name)
        while not self.over:
            now = time.time()
            due = int((now - begin) * rate)
            for number in range(sent, due):
                flow(self.capture, int(now * 1e6), number % DEVICES, self.servers(number), port_of(number // DEVICES))
            sent = due
            self.capture.file.flush()
            time.sleep(BATCH_S)
        self.capture.close()


def spent(pid):
    """CPU seconds of a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_mib(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def drain(screen, seen):
    while True:
        try:
            seen.append(len(os.read(screen, 1 << 16)))
        except OSError:
            return


def measure(what, servers, view):
    spool = work / what / view
    spool.mkdir(parents=True)
    recorder = subprocess.Popen([built / "imon-record", "--read", "-", "--spool", spool], stdin=subprocess.PIPE,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    feed = Feed(recorder.stdin, servers)
    feed.start()
    while not list(spool.glob("*.part")):
        time.sleep(0.05)
    pid, screen = pty.fork()
    if pid == 0:
        os.environ["TERM"], os.environ["HOME"] = "xterm-256color", str(work)
        os.execv(built / "imon-analyze", ["imon-analyze", "top", str(spool), "--by", view])
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    seen = []
    threading.Thread(target=drain, args=(screen, seen), daemon=True).start()
    time.sleep(WARM_S)
    before, began = spent(pid), time.monotonic()
    time.sleep(seconds)
    share = (spent(pid) - before) / (time.monotonic() - began)
    print(f"| {what} | {view} | {share:.1%} | {peak_mib(pid):.0f} MiB |", flush=True)
    os.write(screen, b"q")
    _, status = os.waitpid(pid, 0)
    feed.over = True
    feed.join()
    recorder.wait()
    if status != 0 or sum(seen) < 10_000:
        sys.exit(f"top ended with {status} after {sum(seen)} bytes of screens")


print(f"{rate} new flows a second for {seconds} s, terminal of 80 x 24\n")
print("| flows | view | of a processor | peak |\n| --- | --- | --- | --- |")
for view in ("site", "page"):
    measure("to 300 servers", lambda number: number % NAMES, view)
measure("each to a new address", lambda number: NAMES + number, "site")
