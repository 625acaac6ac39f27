#!/usr/bin/env python3
"""Scores what `imon-analyze` books, by all evidence, against tables of what was really there.

    score_truth.py [--analyze PROGRAM] [--corpus DIR] CAPTURE=TABLE...

A TABLE has tabs and a header. Two kinds are understood, by their columns:
- hours: hour_utc, host, evidence, pkts_up, wire_bytes_up, pkts_down, wire_bytes_down (14 bytes of each packet are the link's):
  bytes by host and date. Hosts in brackets are none, and bytes with the evidence `ech` alone or no evidence carry no name.
- flows: proto, a, aport, b, bport, ipbytes_ab, ipbytes_ba, depth, name: a flow and the name that was seen in it. Flows inside
  tunnels (depth over 1) are passed over, as their bytes are counted otherwise.

A capture that cannot be read at all has nothing right. Right is what both have on the same host and date, or a flow's bytes on its site; wrong what is booked on a name beyond that.
"""
import argparse, collections, csv, json, os, re, subprocess, sys

LINK_BYTES = 14


def run(program, *args):
    done = subprocess.run([program, *args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode not in (0, 1, 3):
        sys.exit(f"error: {program} {' '.join(args)}: exit code {done.returncode}")
    return done.stdout


def by_hour(program, capture, rows):
    """Truth by date and host: all, nameable; right and wrong."""
    truth, ech = collections.Counter(), collections.Counter()
    for row in rows:
        wire = sum(int(row[f"wire_bytes_{way}"]) - LINK_BYTES * int(row[f"pkts_{way}"]) for way in ("up", "down"))
        if row["host"].startswith("("):
            continue
        key = row["hour_utc"][:10], row["host"]
        truth[key] += wire
        if "ech" in row["evidence"].split(","):
            ech[key] += wire
    booked = collections.Counter()
    for day in sorted({day for day, _ in truth}):
        text = run(program, "report", capture, "--zone", "UTC", "--from", day, "--to", day, "--by", "host", "--format", "json")
        for row in json.loads(text or '{"rows":[]}')["rows"]:
            # An infrastructure name says who carries the bytes, and not whose they are.
            unnamed = sum(row["evidence"].get(kind, 0) for kind in ("none", "ech-outer", "infra"))
            named = row["total_bytes"] - unnamed
            booked[day, row["host"]] += named
    right = sum(min(amount, booked[key]) for key, amount in truth.items())
    wrong = sum(max(0, amount - truth[key]) for key, amount in booked.items())
    right_ech = sum(min(amount, booked[key]) for key, amount in ech.items())
    total, hidden = sum(truth.values()), sum(ech.values())
    return total, total - hidden, right - right_ech, wrong, hidden, right_ech


def by_flow(program, capture, rows):
    flows = collections.defaultdict(lambda: [0, collections.Counter()])
    for line in run(program, "flows", capture).splitlines():
        flow = json.loads(line)
        ends = frozenset([(flow["client"], flow["client_port"]), (flow["server"], flow["server_port"])])
        amount = flow["up_bytes"] + flow["down_bytes"]
        flows[flow["proto"], ends][1][flow["host"], flow["site"], flow["evidence"]] += amount
    total = right = wrong = 0
    for row in rows:
        if not row["name"] or row["depth"] != "1":
            continue
        amount = int(row["ipbytes_ab"]) + int(row["ipbytes_ba"])
        total += amount
        ends = frozenset([(row["a"], int(row["aport"] or 0)), (row["b"], int(row["bport"] or 0))])
        name = re.sub(r":[0-9]+$", "", row["name"].lower()).rstrip(".") # the Host of a request may have a port
        good = bad = 0
        for (host, site, evidence), part in flows[row["proto"], ends][1].items():
            if host == name or name == site or name.endswith("." + site):
                good += part
            elif evidence != "none":
                bad += part
        right += min(good, amount)
        wrong += min(bad, amount)
    return total, total, right, wrong, 0, 0


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--analyze", default="imon-analyze", help="the program [imon-analyze]")
    p.add_argument("--corpus", metavar="DIR", help="adds each DIR/captures/NAME that has a DIR/truth/NAME.flows.tsv")
    p.add_argument("captures", nargs="*", metavar="CAPTURE=TABLE")
    args = p.parse_args()
    if args.corpus:
        names = sorted(os.listdir(os.path.join(args.corpus, "captures")))
        pairs = ((os.path.join(args.corpus, "captures", n), os.path.join(args.corpus, "truth", f"{n}.flows.tsv")) for n in names)
        args.captures += [f"{capture}={table}" for capture, table in pairs if os.path.exists(table)]
    sums = [0] * 6
    print(f"{'bytes':>14} {'right':>8} {'wrong':>8}  {'hidden by ECH':>14} {'right':>8}  capture")
    share = lambda part, whole: f"{100 * part / whole:7.3f}%" if whole else f"{'':>8}"

    def line(values, name):
        _, nameable, right, wrong, hidden, right_ech = values
        print(f"{nameable:14,} {share(right, nameable)} {share(wrong, nameable)}  {hidden:14,} {share(right_ech, hidden)}  {name}")

    for pair in args.captures:
        capture, _, table = pair.rpartition("=")
        with open(table, newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        kind = by_hour if rows and "hour_utc" in rows[0] else by_flow
        values = kind(args.analyze, capture, rows)
        if values[0]:
            line(values, capture)
        sums = [a + b for a, b in zip(sums, values)]
    line(sums, "all")


main()
