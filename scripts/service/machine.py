"""Inside the machine: the package is installed, used as docs/RECORDING.md says, hurt, and removed.

Each check is one sentence. It is run again after each start of the machine: /srv/try/part says how
far it came."""

import json
import os
import pathlib
import signal
import time
import traceback

from bench import HERE, check, hit, link, log, mode, netflow, pid, report, run, send, shown, status, until, write
import bench

RECORD = "imon-record@wlan0.service"
UNITS = "imon-record@wlan0.service imon-collect.service imon-ingest.service imon-alert.service imon-prune.service"
TIMERS = "imon-ingest.timer imon-alert.timer imon-prune.timer"


def install():
    said = run("dpkg -i /srv/try/imon.deb")
    return check("the package is installed", said.code == 0, said)


def made_in_an_image():
    """What test-service.sh installed before the first start, in a system without /proc."""
    check("who is made in an image is there after its start", run("id imon && id imon-analyze").code == 0, run("id imon"))
    check("so are the folders", mode("/var/lib/imon-analyze") == "2770 imon-analyze imon", mode("/var/lib/imon-analyze"))
    said = run("dpkg --purge imon")
    check("the package is purged", said.code == 0, said)
    left = run("find / -xdev -path /srv -prune -o -path /proc -prune -o -path /var/lib/dpkg -prune -o -iname '*imon*' -print")
    check("a purge leaves nothing", left.strip() == "", left)
    check("nor a user or a group", run("getent passwd imon imon-analyze; getent group imon imon-analyze").strip() == "")


def installed():
    install()
    check("it starts nothing by itself", "imon" not in run("systemctl list-units --all --plain --no-legend 'imon-*' | grep -w running"))
    enabled = run("systemctl list-unit-files --no-legend 'imon-*'")
    check("it enables nothing by itself", not any(w.split()[1] == "enabled" for w in enabled.splitlines()), enabled)
    check("the folder of segments is the group's to read", mode("/var/lib/imon") == "750 imon imon", mode("/var/lib/imon"))
    check("the database's is shared by the group", mode("/var/lib/imon-analyze") == "2770 imon-analyze imon", mode("/var/lib/imon-analyze"))
    check("the database is the group's, too", mode("/var/lib/imon-analyze/imon.db") == "660 imon-analyze imon", mode("/var/lib/imon-analyze/imon.db"))
    said = status()
    check("--status ends with 1 where nothing records", said.code == 1, f"{said.code}: {said}")
    for unit in [*UNITS.split(), *TIMERS.split()]:
        said = run(f"systemd-analyze verify --man=yes {unit}")
        check(f"systemd-analyze verify has nothing to say of {unit}", said.code == 0 and "imon" not in said, said)
    for unit in UNITS.split():
        said = run(f"systemd-analyze security --no-pager {unit} | tail -n1")
        print(f"      {said.strip()}")


def started():
    link()
    said = run("systemctl enable --now imon-record@wlan0 imon-ingest.timer")
    check("as the document says: enable --now", said.code == 0, said)
    check("the recorder runs", shown(RECORD, "ActiveState") == "active", run(f"systemctl status {RECORD}"))
    for wants in ["multi-user.target.wants", "sys-subsystem-net-devices-wlan0.device.wants"]:
        check(f"it is enabled in {wants}", os.path.islink(f"/etc/systemd/system/{wants}/{RECORD}"))
    facts = pathlib.Path(f"/proc/{pid(RECORD)}/status").read_text()
    fact = dict(line.split(":\t", 1) for line in facts.splitlines() if ":\t" in line)
    check("it has no right", all(int(fact[w], 16) == 0 for w in ["CapEff", "CapPrm", "CapInh", "CapAmb"]), facts)
    check("it has a filter and may gain nothing", (fact["Seccomp"], fact["NoNewPrivs"]) == ("2", "1"), facts)
    user = run("id -u imon").strip()
    check("it is the user imon", fact["Uid"].split() == [user] * 4, fact["Uid"])
    said = status()
    check("--status ends with 0: fine", said.code == 0, f"{said.code}: {said}")
    run("useradd -m -G imon alice; useradd -m -G imon bob; useradd -m eve")
    said = status("alice")
    check("so it does for a member of the group imon", said.code == 0, f"{said.code}: {said}")
    said = status("eve")
    check("who is in no group learns nothing", said.code == 1 and "wlan0" not in said, f"{said.code}: {said}")
    check("metrics are there for everybody", "imon_record" in run("cat /run/imon/wlan0.prom", "eve"), run("ls -l /run/imon"))
    check("the warnings of the log are empty", run(f"journalctl -q -p warning -u {RECORD}").strip() == "", log(RECORD))


def recorded():
    bytes_sent = send(1000)
    time.sleep(2)
    found = report("--spool /var/lib/imon --database /tmp/root.db")["ledger"]
    check("what was sent is in the books", found.get("ip_bytes") == bytes_sent, found)
    process = pid(RECORD)
    before = len(list(pathlib.Path("/var/lib/imon/wlan0").glob("*.seg")))
    said = run(f"systemctl reload {RECORD}")
    check("reload works without procps", said.code == 0, said)
    sealed = until(lambda: len(list(pathlib.Path("/var/lib/imon/wlan0").glob("*.seg"))) == before + 1)
    check("reload seals a segment", sealed, run("ls -l /var/lib/imon/wlan0"))
    check("and it is the same process", pid(RECORD) == process)
    files = run("stat -c '%a %U %G' /var/lib/imon/wlan0 /var/lib/imon/wlan0/*.seg /var/lib/imon/wlan0/status.json").splitlines()
    check("segments and status are for the group to read", files[0] == "750 imon imon" and set(files[1:]) == {"640 imon imon"}, files)
    return bytes_sent


def killed():
    process = hit(RECORD, signal.SIGKILL)
    time.sleep(1)
    said = status()
    check("a second after kill -9 --status ends with 1", said.code == 1 and "not running" in said, f"{said.code}: {said}")
    said = status("alice")
    check("so it does for a member of the group", said.code == 1 and "not running" in said, f"{said.code}: {said}")
    check("systemd starts it again", until(lambda: pid(RECORD) not in (0, process), 15), run(f"systemctl status {RECORD}"))
    until(lambda: status().code != 1)
    said = status()
    check("then --status ends with 3 and says what was missed", said.code == 3 and "interrupted" in said, f"{said.code}: {said}")
    send(100)
    time.sleep(2)
    found = report("--spool /var/lib/imon --database /tmp/root.db")["ledger"]
    check("the report states one gap", len(found.get("gaps", [])) == 1, found.get("gaps"))


def hung():
    since = time.time()
    process = hit(RECORD, signal.SIGSTOP)
    ended = until(lambda: pid(RECORD) not in (0, process), 60)
    took = time.time() - since
    check("a recorder that hangs is ended by the watchdog and started again", ended and took > 20, run(f"systemctl status {RECORD}"))
    check("the log says why", "watchdog" in run(f"journalctl -q -u {RECORD} --since=@{since:.0f}").lower(), log(RECORD))
    check("it leaves no memory image", run("find /var/lib -name 'core*' -path '*imon*'").strip() == "")


def crash_looping():
    write("/etc/default/imon-record", "IMON_RECORD_OPTIONS=--filter 'udp prot 9'\n")
    since = int(time.time())
    run(f"systemctl restart {RECORD}")
    time.sleep(6)
    said = status()
    check("a recorder that cannot start: --status ends with 1 and says why", said.code == 1 and "its start failed" in said and "filter" in said, f"{said.code}: {said}")
    check("what was typed wrong is not tried again", shown(RECORD, "NRestarts") == "0", log(RECORD, since))
    write("/etc/default/imon-record", "IMON_RECORD_OPTIONS=--no-such-option\n")
    since = int(time.time())
    run(f"systemctl restart {RECORD}")
    time.sleep(12)
    said = status()
    check("an option that is none: --status ends with 1", said.code == 1, f"{said.code}: {said}")
    lines = log(RECORD, since)
    check("it says what was typed wrong", "--no-such-option" in said, said)
    check("it is not tried again and again", shown(RECORD, "NRestarts") == "0" and len(lines.splitlines()) < 10, lines)
    run("rm /etc/default/imon-record")
    # What may pass is tried again: here a right is missing.
    write(f"/run/systemd/system/{RECORD}.d/try.conf", "[Service]\nAmbientCapabilities=\n")
    run(f"systemctl daemon-reload; systemctl restart {RECORD}")
    time.sleep(12)
    said = status()
    check("a right is missing: --status ends with 1 and says so", said.code == 1 and "its start failed" in said, f"{said.code}: {said}")
    check("systemd tries it again", int(shown(RECORD, "NRestarts")) >= 1, shown(RECORD, "NRestarts"))
    run(f"rm -r /run/systemd/system/{RECORD}.d; systemctl daemon-reload")
    run(f"systemctl restart {RECORD}")
    check("with good options it records again", until(lambda: status().code != 1), status())


def missing():
    unit = "imon-record@usb0.service"
    since = int(time.time())
    said = run(f"systemctl start {unit}")
    check("a start without its interface does not fail", said.code == 0 and shown(unit, "ActiveState") == "active", run(f"systemctl status {unit}"))
    time.sleep(12)
    check("it waits, and is not started again", shown(unit, "NRestarts") == "0")
    lines = log(unit, since).splitlines()
    check("it says so in few lines", len(lines) <= 6, "\n".join(lines))
    check("systemctl status says what it waits for", "usb0" in shown(unit, "StatusText"), shown(unit, "StatusText"))
    said = status()
    check("--status says that it waits", said.code == 1 and "it waits" in said, f"{said.code}: {said}")
    run("ip link add usb0 type veth peer name usb0far netns far; ip link set usb0 up; ip -n far link set usb0far up")
    check("it records when the interface is there", until(lambda: "it waits" not in status()), status())
    run(f"systemctl stop {unit}; ip link del usb0")
    run("rm -r /var/lib/imon/usb0")


def unplugged():
    run(f"systemctl stop {RECORD}; rm -rf /var/lib/imon/wlan0; rm -f /tmp/root.db*")
    run(f"systemctl start {RECORD}")
    first = send(500)
    time.sleep(2)
    process = pid(RECORD)
    run("ip link del wlan0")
    time.sleep(1)
    said = status()
    time.sleep(3)
    check("a second after an interface was pulled out --status ends with 1 and says so", said.code == 1 and "wlan0 is gone" in said, f"{said.code}: {said}")
    link()
    check("it is recorded again by the same process", until(lambda: status().code != 1, 20) and pid(RECORD) == process, status())
    second = send(700)
    time.sleep(3)
    said = run(f"systemctl stop {RECORD}")
    found = report("--spool /var/lib/imon --database /tmp/root.db")["ledger"]
    check("what was sent before and after is in the books", found.get("ip_bytes") == first + second, found)
    gaps = found.get("gaps", [])
    check("one unplug is one gap", len(gaps) == 1, gaps)
    check("it is longer than nothing", all(gap["from"] < gap["to"] for gap in gaps), gaps)
    counted = found.get("interface_bytes")
    check("interface counters have both", counted is not None and counted >= first + second, found)
    checked = run("imon-analyze check /var/lib/imon/wlan0")
    check("the seal says that the stop was requested", "as its recorder was asked to stop" in checked, checked)
    run(f"systemctl start {RECORD}")


def booked():
    """The services of the analyzer, and two people who share its database."""
    send(300)
    time.sleep(2)
    run(f"systemctl reload {RECORD}; sleep 1")
    said = run("systemctl start imon-ingest.service")
    check("the service books what is new", said.code == 0 and shown("imon-ingest.service", "Result") == "success", log("imon-ingest"))
    check("it has its own sandbox", "sandbox" not in log("imon-ingest"), log("imon-ingest"))
    first = report("--no-config", "alice")
    total = first["ledger"].get("ip_bytes")
    check("a member of the group reports from the shared database", bool(total), first)
    second = report("--no-config", "bob")["ledger"].get("ip_bytes")
    check("another one sees the same", second == total, f"{total} {second}")
    sent = send(400)
    time.sleep(2)
    third = report("--no-config", "bob")["ledger"].get("ip_bytes")
    check("what is new is booked by whoever asks", third == total + sent, f"{total} + {sent}: {third}")
    said = run("systemctl start imon-ingest.service")
    check("after them the service goes on", said.code == 0, log("imon-ingest"))
    sent += send(200)
    time.sleep(2)
    said = run("imon-analyze ingest", "alice")
    check("alice ingests after the service", said.code == 0, said)
    after = report("--no-config", "bob")["ledger"].get("ip_bytes")
    check("and bob has her figures", after == total + sent, f"{total} + {sent}: {after}")
    modes = run("cd /var/lib/imon-analyze && find . -printf '%y %m %g %p\\n' | sort -u")
    wrong = [m for m in modes.splitlines() if not m.startswith(("f 660 imon ", "d 2770 imon "))]
    check("all of the store is the group's, and nobody else's", not wrong, modes)
    said = run("imon-analyze report", "eve")
    check("who is in no group has no part in it", "var/lib/imon" not in said.split("hint")[0] or said.code != 0, said)
    said = run("imon-analyze prune --before 2000-01-01", "bob")
    check("a member prunes", said.code == 0, said)


def told():
    """Alerts and removal, by the system's configuration."""
    write("/usr/local/bin/tell", "#!/bin/sh\ncat >/var/lib/imon-analyze/told\n")
    os.chmod("/usr/local/bin/tell", 0o755)
    write("/etc/imon/imon.toml", '[alert]\npercent = [80, 100]\nexec = "/usr/local/bin/tell"\n\n[[plan]]\nname = "home"\ncap = "1 kB"\n\n[keep]\nrows = "90 days"\n')
    for unit in ["imon-alert.service", "imon-prune.service"]:
        said = run(f"systemctl start {unit}")
        check(f"{unit} does its work", said.code == 0 and shown(unit, "Result") == "success", log(unit))
        check(f"{unit} has its own sandbox", "sandbox" not in log(unit), log(unit))
    check("the program of [alert] was run", os.path.exists("/var/lib/imon-analyze/told"), log("imon-alert"))
    run("systemctl enable --now imon-ingest.timer imon-alert.timer imon-prune.timer")
    listed = run("systemctl list-timers --no-legend 'imon-*'")
    check("all timers have a next time", listed.count("imon-") >= 3, listed)
    # As the services run it: their own filters and folders, and the program's own sandbox.
    for unit in ["imon-ingest", "imon-alert", "imon-prune"]:
        write(f"/run/systemd/system/{unit}.service.d/try.conf", "[Service]\nExecStart=\nExecStart=/usr/bin/imon-analyze --self-test\n")
        run("systemctl daemon-reload")
        said = run(f"systemctl start {unit}.service")
        table = log(unit)[-6000:]
        check(f"the sandbox holds inside {unit}.service", said.code == 0 and "HOLE" not in table and "refused" in table, table)
    run("rm -r /run/systemd/system/*.service.d; systemctl daemon-reload")


def collected():
    """What a router reports."""
    write("/etc/default/imon-collect", 'IMON_COLLECT_OPTIONS="--collect 0.0.0.0:2055 --allow-from 203.0.113.7"\n')
    said = run("systemctl enable --now imon-collect")
    check("the collector starts", said.code == 0, log("imon-collect"))
    process = pid("imon-collect.service")
    flows = netflow([("198.51.100.9", "10.9.0.1", 10, 5000), ("198.51.100.10", "10.9.0.1", 20, 7000)])
    program = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto({flows!r}, ('10.9.0.1', 2055))"
    write("/tmp/export.py", program + "\n")
    run("ip netns exec far python3 /tmp/export.py")
    time.sleep(1)
    said = run("systemctl reload imon-collect")
    check("its reload works", said.code == 0 and pid("imon-collect.service") == process, said)
    time.sleep(1)
    found = report("--spool /var/lib/imon/exported --database /tmp/exported.db")["ledger"]
    check("what the router counted is in the books", found.get("ip_bytes") == 12_000, found)
    check("it is killed and comes back", until_new("imon-collect.service"), log("imon-collect"))
    said = run("systemctl stop imon-collect")
    check("it stops", said.code == 0 and shown("imon-collect.service", "Result") == "success", log("imon-collect"))
    said = run("systemctl start imon-ingest.service")
    check("the service books it beside the recorder's", said.code == 0, log("imon-ingest"))


def until_new(unit):
    """Kills what runs a unit; whether it comes back."""
    process = hit(unit, signal.SIGKILL)
    return until(lambda: pid(unit) not in (0, process), 15)


def shipped():
    """Sealed segments are sent on."""
    run("cp /srv/try/checkout/packaging/fleet/* /etc/systemd/system/")
    write("/etc/default/imon-ship", "IMON_SHIP_TO=/var/lib/imon-ship/there/\n")
    run("systemctl daemon-reload")
    said = run("systemctl enable --now imon-ship.timer && systemctl start imon-ship.service")
    check("imon-ship does its work", said.code == 0, log("imon-ship"))
    here = run("cd /var/lib/imon && find . -name '*.seg' | sort")
    there = run("cd /var/lib/imon-ship/there && find . -type f | sort")
    check("all sealed segments are there, and nothing else", here == there and here, f"{here}\nand there:\n{there}")
    run("systemctl disable --now imon-ship.timer; rm -r /etc/systemd/system/imon-ship.* /etc/default/imon-ship /var/lib/private/imon-ship /var/lib/imon-ship; systemctl daemon-reload")


def kept():
    """The service removes what is beyond its budget."""
    spool = pathlib.Path("/var/lib/imon/wlan0")
    write("/etc/default/imon-record", "IMON_RECORD_OPTIONS=--keep-size 2MiB --rotate-size 64KiB\n")
    run(f"systemctl restart {RECORD}")
    first = {path.name for path in spool.glob("*.seg")}
    # Flows of their own: one a packet.
    program = (
        "import socket\nfor port in range(1024, 60000):\n    for other in (5000, 5001):\n"
        "        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', port))\n"
        "        s.sendto(b'x', ('10.9.0.1', other)); s.close()\n"
    )
    write("/tmp/many.py", program)
    for _ in range(3):
        run("ip netns exec far python3 /tmp/many.py")
    # The status is written every ten seconds.
    time.sleep(12)
    size = sum(path.stat().st_size for path in spool.iterdir())
    check("the spool keeps to its budget", size <= 2.2 * (1 << 20), size)
    said = status()
    check("a flood takes the detail of its day: --status ends with 3 and says so", said.code == 3 and "only sums" in said, f"{said.code}: {said}")
    gone = first - {path.name for path in spool.glob("*.seg")}
    facts = json.loads(status(what="--spool /var/lib/imon/wlan0 --format json"))["status"]["spool"]
    check("segments went for want of room, and --status says how many", facts["removed_for_room"] > 0, f"{gone} {facts}")
    check("the log says which", "to keep to the budget" in log(RECORD), log(RECORD)[-2000:])
    run("rm /etc/default/imon-record")
    run(f"systemctl restart {RECORD}")


def completed():
    """Shells complete behind a subcommand, by what the package installed."""
    bash = "source /usr/share/bash-completion/bash_completion; _completion_loader imon-analyze; COMP_WORDS=(imon-analyze report --by ''); COMP_CWORD=3; COMP_LINE='imon-analyze report --by '; COMP_POINT=${#COMP_LINE}; f=$(complete -p imon-analyze | sed 's/.*-F \\([^ ]*\\).*/\\1/'); $f imon-analyze '' --by; printf '%s\\n' \"${COMPREPLY[@]}\""
    write("/tmp/complete.bash", bash)
    offers = {
        "bash": run("bash --norc /tmp/complete.bash"),
        "fish": run("fish --no-config -c \"set -p fish_complete_path /usr/share/fish/vendor_completions.d; complete -C 'imon-analyze report --by '\""),
        "zsh": run("zsh -f /srv/try/complete.zsh /usr/share/zsh/vendor-completions 'imon-analyze report --by '"),
    }
    for shell, said in offers.items():
        words = {line.split()[0] for line in said.splitlines() if line.split()}
        check(f"{shell} completes `report --by `", {"site", "device", "hour"} <= words, said)


def upgraded():
    process = pid(RECORD)
    install()
    check("an upgrade lets the new program record", until(lambda: pid(RECORD) not in (0, process)), run(f"systemctl status {RECORD}"))
    until(lambda: status().code != 1)
    said = status()
    check("--status is not 1 after it", said.code != 1, said)
    check("what was enabled is enabled", run("systemctl is-enabled imon-record@wlan0 imon-ingest.timer imon-alert.timer").split() == ["enabled"] * 3)
    checked = run("imon-analyze check /var/lib/imon/wlan0")
    ended = [line.split(maxsplit=1)[1] for line in checked.splitlines() if line.startswith("  ended ")]
    check("the recorder before was asked to stop", ended[-2] == "sealed, as its recorder was asked to stop", ended)


def rebooted():
    write("/srv/try/part", str(PARTS.index(after_reboot)))
    send(100)
    time.sleep(2)
    run("rm -f /tmp/root.db*")
    before = report("--spool /var/lib/imon --database /root/before.db --no-config")["ledger"]
    write("/srv/try/before", json.dumps(before))
    run("systemctl reboot")
    time.sleep(600)


def after_reboot():
    before = json.loads((HERE / "before").read_text())
    # It starts before its interface is there.
    time.sleep(3)
    said = status()
    check("after a reboot it waits for its interface", said.code == 1 and "it waits" in said, said)
    link()
    check("and records when it is there", until(lambda: "it waits" not in status()), status())
    sent = send(250)
    time.sleep(2)
    found = report("--spool /var/lib/imon --database /root/before.db --no-config")["ledger"]
    check("the books go on", found.get("ip_bytes") == before["ip_bytes"] + sent, f"{before['ip_bytes']} + {sent}: {found}")
    fresh = [gap for gap in found["gaps"] if gap not in before["gaps"]]
    check("the reboot is one gap, and its reason is said", [g["reason"] for g in fresh].count("not-recording") == 1, fresh)
    # The other end of the cable came later.
    others = [gap for gap in fresh if gap["reason"] != "not-recording"]
    rests = all(gap["reason"] == "link-down" and gap["from"] >= fresh[0]["to"] for gap in others)
    check("no gap is counted twice", rests, fresh)
    said = status()
    check("--status: it was stopped before the reboot", said.code in (0, 3), said)
    timers = run("systemctl list-timers --no-legend 'imon-*'")
    check("timers run again", timers.count("imon-") >= 3, timers)


def removed():
    said = run("dpkg -r imon")
    check("the package is removed", said.code == 0, said)
    check("nothing of it runs", run("systemctl list-units --no-legend --plain 'imon-*' | grep -v failed").strip() == "" and not running(), run("systemctl list-units --all 'imon-*'"))
    left = run("find /etc/systemd -name '*imon*'").strip()
    check("nothing of it is enabled", left == "", left)
    check("what was recorded is there", list(pathlib.Path("/var/lib/imon/wlan0").glob("*.seg")))
    check("and the database", os.path.exists("/var/lib/imon-analyze/imon.db"))
    install()
    said = run("systemctl enable --now imon-record@wlan0")
    check("after a new installation it records into the same spool", said.code == 0 and until(lambda: status().code != 1), status())
    said = run("dpkg --purge imon")
    check("it is purged while it runs", said.code == 0 and not running(), said)
    left = run("find / -xdev \\( -path /srv -o -path /proc -o -path /sys -o -path /home -o -path /root -o -path /var/lib/dpkg -o -path /var/cache/man -o -path /etc/imon \\) -prune -o -iname '*imon*' -print")
    check("the purge leaves nothing", left.strip() == "", left)
    check("nor a user or a group", run("getent passwd imon imon-analyze; getent group imon imon-analyze").strip() == "")


def running():
    """Processes of the programs."""
    return run("for p in /proc/[0-9]*; do readlink $p/exe; done | grep imon").strip()


def by_hand():
    """`make install` below a prefix with a space and a per cent sign, and `make uninstall`."""
    prefix = "/opt/my 100% imon"
    install_sh = f"cd /srv/try/checkout && TARGET_DIR=target PREFIX='{prefix}' ZSH_COMPLETIONS='{prefix}/share/zsh' scripts/install.sh"
    said = run(f"{install_sh} install")
    check("make install", said.code == 0, said)
    # As systemd finds units and users below a prefix that it does not know.
    run(f"ln -s '{prefix}'/lib/systemd/system/imon-* /etc/systemd/system/ && systemd-sysusers '{prefix}/lib/sysusers.d/imon.conf' && systemd-tmpfiles --create '{prefix}/lib/tmpfiles.d/imon.conf'; systemctl daemon-reload")
    said = run("systemctl start imon-record@wlan0 imon-ingest.service")
    check("units below a prefix with a space start their programs", said.code == 0, said + run("systemctl status imon-record@wlan0"))
    run("systemctl stop imon-record@wlan0; rm /etc/systemd/system/imon-*; systemctl daemon-reload")
    said = run(f"{install_sh} uninstall")
    check("make uninstall", said.code == 0 and run(f"find '{prefix}' -type f").strip() == "", said)
    install_sh = "cd /srv/try/checkout && TARGET_DIR=target PREFIX=/usr/local ZSH_COMPLETIONS=/usr/local/share/zsh scripts/install.sh"
    run(f"{install_sh} install && systemd-sysusers && systemd-tmpfiles --create; systemctl daemon-reload")
    said = run("systemctl enable --now imon-record@wlan0 imon-ingest.timer")
    check("below /usr/local it is enabled and runs", said.code == 0 and running(), said)
    said = run(f"{install_sh} uninstall")
    check("make uninstall stops what runs", said.code == 0 and not running(), said + running())
    left = run("find /etc/systemd /usr/local -iname '*imon*'").strip()
    check("and leaves nothing enabled, and no file", left == "", left)


PARTS = [made_in_an_image, installed, started, recorded, killed, hung, crash_looping, missing, unplugged, booked, told, collected,
         shipped, kept, completed, upgraded, rebooted, after_reboot, removed, by_hand]


def main():
    os.chdir("/root")
    part = HERE / "part"
    begin = int(part.read_text()) if part.exists() else 0
    only = (HERE / "only").read_text().split()
    for step in PARTS[begin:]:
        if only and step.__name__ not in only:
            continue
        print(f"--- {step.__name__.replace('_', ' ')}")
        try:
            step()
        except Exception:  # a part that breaks is a failure; the others go on
            check(f"{step.__name__} came to its end", False, traceback.format_exc())
    print(f"done: {bench.checked} checks since the last start")
    run("systemctl poweroff")


main()
