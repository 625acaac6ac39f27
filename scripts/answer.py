#!/usr/bin/env python3
"""answer.py ROWS QUESTIONS: what `imon-analyze report --csv` answers, worked out from the lines of `flows --every 15m`.

ROWS are JSON lines of `imon-analyze flows FILE… --every 15m` without filters and range; QUESTIONS has the options of one
report a line. For each question its line follows, with "# " in front, then the CSV. A second implementation of reports, with
no code of imon's: tests compare the two byte by byte. It knows the keys but `page`, the filters, --in DAY[..DAY],
--from and --to as instants of UTC (2026-11-05T14:00Z), --zone, --limit, --min and --include-local.
"""
import argparse
import csv
import datetime as dt
import io
import ipaddress
import json
import shlex
import sys
import zoneinfo

KINDS = ["sni", "quic", "http", "dns", "dns-shared", "dns-late", "dns-other", "known", "dns-asked", "ptr", "ech-outer",
         "infra", "none"]
OF_HOST = ["site", "family", "host", "served"]
OF_TIME = ["hour", "day", "week", "month", "hour-of-day"]
QUARTER = 900
NOWHERE = object()


def options(line):
    p = argparse.ArgumentParser()
    p.add_argument("--by", default="site")
    for name in ["site", "host", "family", "device", "evidence", "interface", "vlan", "source"]:
        p.add_argument("--" + name, action="append", default=[])
    p.add_argument("--in", dest="within")
    p.add_argument("--from", dest="begin")
    p.add_argument("--to")
    p.add_argument("--zone", default="UTC")
    p.add_argument("--limit", type=int, default=0)
    p.add_argument("--min", type=int, default=0)
    p.add_argument("--include-local", action="store_true")
    q = p.parse_args(shlex.split(line))
    q.by = q.by.split(",")
    q.zone = zoneinfo.ZoneInfo(q.zone)
    q.start = q.end = None
    if q.within:
        first, _, last = q.within.partition("..")
        day = lambda text: dt.datetime.combine(dt.date.fromisoformat(text), dt.time(), q.zone)
        q.start = int(day(first).timestamp())
        after = dt.date.fromisoformat(last or first) + dt.timedelta(days=1)
        q.end = int(dt.datetime.combine(after, dt.time(), q.zone).timestamp())
    instant = lambda text: int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp())
    q.start = instant(q.begin) if q.begin else q.start
    q.end = instant(q.to) if q.to else q.end
    return q


def read(lines):
    rows = [json.loads(line) for line in lines]
    for row in rows:
        row["at"] = int(dt.datetime.fromisoformat(row["quarter"][:19] + "+00:00").timestamp())
        row["bytes"] = row["up_bytes"] + row["down_bytes"]
    return rows


def labels_of(host, site, family, infrastructure):
    """What a host is called by each key of hosts."""
    name = host + " (infrastructure)" if infrastructure else host
    return {"site": site, "family": family, "host": name, "served": name}


def address_of(host):
    """The address that a host is, or at which it is served; None for names."""
    text = host.rpartition("/")[0] if "/" in host else host
    for text in (text, text.rpartition(":")[0].strip("[]")):
        try:
            return ipaddress.ip_address(text)
        except ValueError:
            pass
    return None


class Hosts:
    """What is known of hosts, from every row and every candidate."""

    def __init__(self, rows):
        self.site, self.family = {}, {}
        for row in rows:
            if row["evidence"] != "infra":
                self.site[row["host"]], self.family[row["host"]] = row["site"], row["family"]
            for host, site, family in zip(row["candidates"], row["candidate_sites"], row["candidate_families"]):
                self.site[host], self.family[host] = site, family
        self.all = {row["host"] for row in rows} | {host for row in rows for host in row["candidates"]}

    def is_asked(self, q, host):
        address = address_of(host)
        same = lambda wanted: wanted == host if address is None else is_address(wanted, address)
        site, family = self.site.get(host, ""), self.family.get(host, "")
        is_family = lambda wanted: address is None and wanted.lower() == family.lower()
        is_site = lambda wanted: address is None and wanted == site
        return ((not q.site or any(same(w) or is_site(w) or is_family(w) for w in q.site))
                and (not q.host or any(map(same, q.host)))
                and (not q.family or any(map(is_family, q.family))))


def is_address(text, address):
    try:
        return ipaddress.ip_address(text) == address
    except ValueError:
        return False


def devices_asked(q, rows):
    """The devices that a filter asks for: by an address, a network, or a name."""
    asked = set()
    for row in rows:
        for wanted in q.device:
            try:
                is_it = ipaddress.ip_address(row["client"]) in ipaddress.ip_network(wanted)
            except ValueError:
                called = row["device_name"] or ""
                is_it = bool(called) and wanted.lower() in (called, called.split(".")[0])
            if is_it:
                asked.add(row["device"])
    return asked


def time_text(key, at, zone):
    local = dt.datetime.fromtimestamp(at, zone)
    if key == "hour":
        offset = local.strftime("%z")
        return local.strftime("%Y-%m-%dT%H:00") + offset[:3] + ":" + offset[3:5]
    year, week, _ = local.isocalendar()
    return {"day": local.strftime("%Y-%m-%d"), "week": f"{year}-W{week:02}", "month": local.strftime("%Y-%m"),
            "hour-of-day": local.strftime("%H")}[key]


def times_of(q, keys):
    """Every combination of the keys' times in the range, with where each stands."""
    if all(key == "hour-of-day" for key in keys):
        return {tuple(f"{hour:02}" for _ in keys): None for hour in range(24)} if q.start is not None else {}
    if q.start is None or q.end is None:
        return {}
    end = min(q.end, int(dt.datetime.now().timestamp()) + 1)
    return {tuple(time_text(key, at, q.zone) for key in keys): None for at in range(q.start, end, QUARTER)}


def answer(rows, hosts, q):
    everywhere = rows
    rows = [row for row in rows if (q.start is None or row["at"] >= q.start) and (q.end is None or row["at"] < q.end)]
    takes = lambda keys, scope: (scope == "served") if "served" in keys else (
        scope in ("visited", "transit") or (scope == "local" and q.include_local))
    keys = list(q.by)
    if (any(k in OF_HOST and k != "served" for k in keys) and any(row["scope"] == "served" for row in rows)
            and not any(takes(keys, row["scope"]) for row in rows)):
        keys = list(dict.fromkeys("served" if k in OF_HOST else k for k in keys))
    devices = devices_asked(q, everywhere)
    place_keys = [k for k in keys if k in OF_HOST]
    time_keys = [k for k in keys if k in OF_TIME]
    filters_hosts = bool(q.site or q.host or q.family)
    all_asked = not filters_hosts or all(hosts.is_asked(q, host) for host in hosts.all)
    possible_too = (bool(place_keys) or not all_asked) and all(k in ("site", "host") for k in place_keys)
    cells, elsewhere, names, named, firsts = {}, {}, {}, {}, {}

    def text(key, row, labels):
        if key in OF_HOST:
            return labels[key]
        if key in OF_TIME:
            return time_text(key, row["at"], q.zone)
        if key == "vlan":
            return "none" if row["vlan"] is None else str(row["vlan"])
        return row[key]

    def cell(row, labels):
        return tuple(text(key, row, labels) for key in keys)

    for row in everywhere:
        names[row["device"]] = row["device_name"]
    for row in rows:
        vlan = "none" if row["vlan"] is None else str(row["vlan"])
        if not takes(keys, row["scope"]) or (q.evidence and row["evidence"] not in q.evidence):
            continue
        if (q.device and row["device"] not in devices) or (q.interface and row["interface"] not in q.interface):
            continue
        if (q.vlan and vlan not in q.vlan) or (q.source and row["source"] not in q.source):
            continue
        infrastructure = row["evidence"] == "infra"
        labels = labels_of(row["host"], row["site"], row["family"], infrastructure)
        own = cell(row, labels) if hosts.is_asked(q, row["host"]) else NOWHERE
        others = set()
        for host, site, family in zip(row["candidates"], row["candidate_sites"], row["candidate_families"]):
            of = labels_of(host, site, family, False)
            others.add(cell(row, of) if hosts.is_asked(q, host) else NOWHERE)
            if place_keys:
                named.setdefault(tuple(of[k] for k in place_keys), True)
        others.discard(own)
        for other in others - {NOWHERE}:
            elsewhere[other] = elsewhere.get(other, 0) + row["bytes"]
        if own is NOWHERE:
            continue
        if place_keys:
            named[tuple(labels[k] for k in place_keys)] = row["named"]
        sums = cells.setdefault(own, {"up": 0, "down": 0, "packets": 0, "shared": 0, "kinds": {}})
        sums["up"] += row["up_bytes"]
        sums["down"] += row["down_bytes"]
        sums["packets"] += row["up_packets"] + row["down_packets"]
        sums["kinds"][row["evidence"]] = sums["kinds"].get(row["evidence"], 0) + row["bytes"]
        sums["shared"] += row["bytes"] if others else 0
    empty = lambda: {"up": 0, "down": 0, "packets": 0, "shared": 0, "kinds": {}}
    if possible_too:
        for other in elsewhere:
            cells.setdefault(other, empty())
    # What another row could explain counts where there is a row without it.
    elsewhere = {other: amount for other, amount in elsewhere.items() if other in cells}
    if time_keys:
        fill(q, keys, time_keys, cells, empty)
    for at in {row["at"] for row in rows} | set(range(q.start or 0, q.end or 0, QUARTER)):
        for key in time_keys:
            of = time_text(key, at, q.zone)
            firsts[key, of] = min(at, firsts.get((key, of), at))
    return keys, ordered(keys, cells, elsewhere, firsts), names, named, place_keys


def fill(q, keys, time_keys, cells, empty):
    times = times_of(q, time_keys)
    nth = [i for i, key in enumerate(keys) if key in OF_TIME]
    others = list(dict.fromkeys(tuple("" if i in nth else t for i, t in enumerate(cell)) for cell in cells))
    if not others and len(nth) == len(keys):
        others = [("",) * len(keys)]
    for other in others:
        for time in times:
            whole = list(other)
            for i, text in zip(nth, time):
                whole[i] = text
            cells.setdefault(tuple(whole), empty())


def ordered(keys, cells, elsewhere, firsts):
    """Times in order, else the largest first, key by key."""
    totals = {}
    for cell, sums in cells.items():
        for n in range(1, len(cell) + 1):
            totals[cell[:n]] = totals.get(cell[:n], 0) + sums["up"] + sums["down"]

    def place(cell):
        by = []
        for i, key in enumerate(keys):
            if key == "hour-of-day":
                by.append(int(cell[i]))
            elif key in OF_TIME:
                by.append(firsts[key, cell[i]])
            else:
                by.append((-totals[cell[: i + 1]], cell[i].encode()))
        return by

    rows = []
    for cell in sorted(cells, key=place):
        sums = cells[cell]
        total = sums["up"] + sums["down"]
        rows.append((cell, sums, total, total - sums["shared"], total + elsewhere.get(cell, 0)))
    return rows


def cut(q, keys, rows):
    """Without what --limit and --min leave out."""
    limit = q.limit or sys.maxsize
    only_times = all(key in OF_TIME for key in keys)
    kept, before, counted, shown = [], None, [0] * len(keys), 0
    for row in rows:
        cell = row[0]
        same = 0
        while before is not None and same < len(cell) and cell[same] == before[same]:
            same += 1
        for i in range(same, len(keys)):
            counted[i] = counted[i] + 1 if i == same and before is not None else 1
        before = cell
        within = shown < limit if only_times else all(
            key in OF_TIME or count <= limit for key, count in zip(keys, counted))
        if within and row[2] >= q.min:
            shown += 1
            kept.append(row)
    return kept


def written(q, keys, rows, names, named, place_keys):
    out = io.StringIO()
    sheet = csv.writer(out, lineterminator="\n")
    header = []
    for key in keys:
        header += [key, "device_name"] if key == "device" else [key]
    header += ["named"] if place_keys else []
    header += ["up_bytes", "down_bytes", "total_bytes", "packets"]
    header += [] if "evidence" in keys else [kind + "_bytes" for kind in KINDS]
    sheet.writerow(header + ["low_bytes", "high_bytes"])
    for cell, sums, total, low, high in cut(q, keys, rows):
        values = []
        for key, text in zip(keys, cell):
            values += [text, names.get(text) or ""] if key == "device" else [text]
        if place_keys:
            place = tuple(text for key, text in zip(keys, cell) if key in OF_HOST)
            values.append("true" if named.get(place, True) else "false")
        values += [sums["up"], sums["down"], total, sums["packets"]]
        values += [] if "evidence" in keys else [sums["kinds"].get(kind, 0) for kind in KINDS]
        sheet.writerow([guarded(value) for value in values + [low, high]])
    return out.getvalue()


def guarded(value):
    """What a spreadsheet would run is no formula."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") and value:
        return f"\\{ord(value[0]):03}" + value[1:]
    return value


def main(rows_path, questions_path):
    with open(rows_path) as lines:
        rows = read(lines)
    hosts = Hosts(rows)
    with open(questions_path) as lines:
        for line in lines:
            q = options(line)
            keys, answered, names, named, place_keys = answer(rows, hosts, q)
            print("# " + line.strip())
            print(written(q, keys, answered, names, named, place_keys), end="")


main(*sys.argv[1:])
