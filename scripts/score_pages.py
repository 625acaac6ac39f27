#!/usr/bin/env python3
"""Scores `imon-analyze report --by page` against what the browser itself logged.

    score_pages.py [--analyze PROGRAM] [--train CAPTURE]... CAPTURE=LOG[,LOG...]...

Each LOG is a table (tabs, with a header) of the browser's requests in the capture: at least the columns page (URL of the
page that made the request), host, and bytes (of the response, as the browser counted them). Captures are scored one by
one, in the order given; before each, all --train captures and all captures before it have been ingested, so that what
was learned from them counts. A page is new if no capture before had it.

A byte of a response is a third party's if its host is not of the page's site. For each other site the report's bytes are
scaled to those of the logs (a report also counts headers, handshakes and requests), by a tenth at the most, as more than
that is of other programs, of which the browser's log says nothing. The share is
sum over page and site of min(logged, reported) / sum of logged. Bytes that pages of one site pulled in on two devices are not
told apart. The baseline gives each whole flow to the site of the device's last flow before it whose host begins with
www. or is a registrable domain.
"""
import argparse, collections, csv, json, os, subprocess, sys, tempfile
from urllib.parse import urlsplit


LEAST_SCALE = 0.9


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--analyze", default="imon-analyze", help="the program [imon-analyze]")
    p.add_argument("--train", action="append", default=[], metavar="CAPTURE")
    p.add_argument("captures", nargs="+", metavar="CAPTURE=LOG[,LOG...]")
    return p.parse_args()


def run(program, *args, env):
    done = subprocess.run([program, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        sys.stderr.write(done.stderr)
        sys.exit(f"error: {program} {' '.join(args)}: exit code {done.returncode}")
    return done.stdout


def reported(text):
    """Bytes by page and site."""
    bytes_of = collections.Counter()
    for row in json.loads(text)["rows"]:
        bytes_of[row["page"], row["page"]] += row["own_bytes"]
        for site, amount in row["third_parties"].items():
            bytes_of[row["page"], site] += amount
    return bytes_of


def baseline(flows):
    """The same, by the last document host before each flow."""
    bytes_of, last = collections.Counter(), {}
    for flow in sorted(flows, key=lambda flow: flow["start"]):
        host, site = flow["host"], flow["site"]
        if flow["evidence"] != "none" and (host == site or host.startswith("www.")):
            last[flow["device"]] = site
        bytes_of[last.get(flow["device"], site), site] += flow["up_bytes"] + flow["down_bytes"]
    return bytes_of


def logged(logs, site_of):
    bytes_of = collections.Counter()
    for log in logs:
        for row in csv.DictReader(open(log), delimiter="\t"):
            page = urlsplit(row["page"]).hostname
            if page and int(row["bytes"] or 0):
                bytes_of[site_of(page), site_of(row["host"])] += int(row["bytes"])
    return bytes_of


def share(truth, found, wanted):
    """Bytes of the truth that `wanted` names, and how many of them were found."""
    of_truth, of_found = collections.Counter(), collections.Counter()
    for (_, site), amount in truth.items():
        of_truth[site] += amount
    for (_, site), amount in found.items():
        of_found[site] += amount
    all_bytes = right = 0
    for (page, site), amount in truth.items():
        if wanted(page, site):
            all_bytes += amount
            scale = max(LEAST_SCALE, of_truth[site] / max(1, of_found[site]))
            right += min(amount, found[page, site] * scale)
    return all_bytes, right


def main():
    args = arguments()
    seen, sums = set(), collections.Counter()
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, HOME=home, TZ="UTC")
        store = ["--database", home + "/imon.db"]
        report = lambda: reported(run(args.analyze, "report", "--from", "1970-01-01", "--to", "2100-01-01", "--by", "page",
                                      "--limit", "0", "--format", "json", *store, "--spool", home, env=env))
        for capture in args.train:
            run(args.analyze, "ingest", capture, *store, env=env)
        before = report() if args.train else collections.Counter()
        print("capture\tkind\tMB\timon %\tbaseline %")
        for item in args.captures:
            capture, _, logs = item.partition("=")
            run(args.analyze, "ingest", capture, *store, env=env)
            now = report()
            found = collections.Counter({key: max(0, amount - before[key]) for key, amount in now.items()})
            before = now
            flows = [json.loads(line) for line in run(args.analyze, "flows", capture, env=env).splitlines()]
            sites = {flow["host"]: flow["site"] for flow in flows}
            truth = logged(logs.split(","), lambda host: sites.get(host, ".".join(host.split(".")[-2:])))
            simple = baseline(flows)
            kinds = {"third party, page known": lambda page, site: page != site and page in seen,
                     "third party, page new": lambda page, site: page != site and page not in seen,
                     "own": lambda page, site: page == site}
            for kind, wanted in kinds.items():
                total, right = share(truth, found, wanted)
                _, right_simple = share(truth, simple, wanted)
                sums[kind, 0] += total
                sums[kind, 1] += right
                sums[kind, 2] += right_simple
                if total:
                    print(os.path.basename(capture), kind, f"{total / 1e6:.2f}", f"{100 * right / total:.1f}",
                          f"{100 * right_simple / total:.1f}", sep="\t")
            seen |= {page for page, _ in truth}
        for kind in kinds:
            if sums[kind, 0]:
                print("all", kind, f"{sums[kind, 0] / 1e6:.2f}", f"{100 * sums[kind, 1] / sums[kind, 0]:.1f}",
                      f"{100 * sums[kind, 2] / sums[kind, 0]:.1f}", sep="\t")


if __name__ == "__main__":
    main()
