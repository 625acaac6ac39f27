"""What the checks of machine.py are made with: commands, checks, and a link with traffic."""

import json
import os
import pathlib
import socket
import struct
import subprocess
import time

HERE = pathlib.Path("/srv/try")
# This end of the link, and the other.
OURS, THEIRS = "10.9.0.1", "203.0.113.7"
# What IP and UDP add to what is sent.
HEADERS = 28
failed = 0
checked = 0


def check(sentence, holds, found=""):
    """One sentence that must be true; says it, and what was found where it is not."""
    global failed, checked
    checked += 1
    print(f"ok    {sentence}" if holds else f"FAIL  {sentence}\n      found: {str(found).strip()}")
    failed += not holds
    return holds


class Said(str):
    """What a command printed, with its exit code."""

    code = 0


def run(line, user=None, **more):
    """Runs a command line of the shell, as root or as a user with all their groups."""
    command = ["sh", "-c", line]
    if user:
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "env", f"HOME=/home/{user}"] + command
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300, **more)
    said = Said(done.stdout)
    said.code = done.returncode
    return said


def until(holds, seconds=10.0):
    """Waits until this holds; gives whether it did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds():
            return True
        time.sleep(0.1)
    return bool(holds())


def shown(unit, *properties):
    """Properties of a unit, as systemd shows them."""
    said = run(f"systemctl show '{unit}' " + " ".join(f"-p {p}" for p in properties))
    pairs = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return pairs[properties[0]] if len(properties) == 1 else pairs


def pid(unit):
    return int(shown(unit, "MainPID"))


def hit(unit, number):
    """Sends a signal to the process of a unit; gives the process."""
    process = pid(unit)
    # 0 would be this process and its children.
    if not process:
        raise RuntimeError(f"{unit} does not run")
    os.kill(process, number)
    return process


def log(unit, since=None):
    """What a unit logged, without time and host."""
    return run(f"journalctl -q -o cat -u '{unit}'" + (f" --since=@{since}" if since else ""))


def status(user=None, what=""):
    return run(f"imon-record --status {what}", user)


def mode(path):
    """Mode, owner and group of a file."""
    return run(f"stat -c '%a %U %G' '{path}'").strip()


def link(name="wlan0"):
    """A link to another network namespace, as a cable that can be pulled out."""
    if "far" not in run("ip netns list"):
        run("ip netns add far && ip -n far link set lo up; ip link set lo up")
    said = run(
        f"ip link add {name} type veth peer name far0 netns far && sysctl -q -w net.ipv6.conf.{name}.disable_ipv6=1;"
        f"echo 1 >/proc/sys/net/ipv6/conf/{name}/disable_ipv6; ip netns exec far sh -c 'echo 1 >/proc/sys/net/ipv6/conf/far0/disable_ipv6';"
        f"ip addr add {OURS}/24 dev {name} && ip link set {name} up && ip route add {THEIRS} dev {name} &&"
        f"ip -n far addr add {THEIRS}/32 dev far0 && ip -n far link set far0 up && ip -n far route add 10.9.0.0/24 dev far0"
    )
    until(lambda: "state UP" in run(f"ip link show {name}"))
    return said


def send(count, size=972):
    """Datagrams from the other side to this one; gives the bytes of IP that they are."""
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind((OURS, 5000))
    program = (
        "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 5000));"
        f"[s.sendto(b'x' * {size}, ('{OURS}', 5000)) for _ in range({count})]"
    )
    run(f'ip netns exec far python3 -c "{program}"')
    sink.close()
    return count * (size + HEADERS)


def report(more="", user=None):
    """A report as JSON; an empty ledger where there is none."""
    said = run(f"imon-analyze report --format json --limit 0 --quiet {more}", user)
    try:
        return json.loads(said)
    except ValueError:
        return {"ledger": {}, "said": said}


def netflow(flows):
    """A datagram of NetFlow version 5 (Cisco's export format, header of 24 and records of 48 bytes)."""
    now = int(time.time())
    header = struct.pack("!HHIIIIBBH", 5, len(flows), 600_000, now, 0, 1, 0, 0, 0)
    records = b""
    for source, target, count, size in flows:
        addresses = socket.inet_aton(source) + socket.inet_aton(target) + bytes(4)
        records += addresses + struct.pack("!HHIIII", 1, 2, count, size, 590_000, 599_000)
        records += struct.pack("!HHBBBBHHBBH", 443, 40_000, 0, 0x18, 6, 0, 0, 0, 24, 24, 0)
    return header + records


def write(path, text):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text(text)
