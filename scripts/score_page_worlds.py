#!/usr/bin/env python3
"""Scores `imon-analyze report --by page` on worlds that page_worlds.py makes from seeds.

    score_page_worlds.py [--analyze PROGRAM] [--set NAME=KIND:FIRST-LAST]... [--worlds FOLDER] [--each]

Each world is scored by itself: nothing was learned before. Printed for each set of worlds, as means over its worlds:
`imon` and `simple`, the share of third-party bytes on the right page, by imon and by the last host that looks like a page
(score_pages.py says how); `worst`, the least share of imon among the worlds; and for each word of certainty how much of
the bytes that the tables know imon called so (`part`), and how much of that is right, over all worlds of the set.
Right is a byte that stands on the page which asked for it, by client and quarter of an hour. Of bytes that no browser
asked for (other programs) none is right. Where more stands on a page than it asked for, the books do not say which word
is wrong: `right` lets the surest word take what the page asked for first, `least` lets it take last. The truth lies
between them.

The classes of single third parties are read from the database, whose schema is analyzer/src/store/pages.sql.
"""
import argparse, collections, concurrent.futures, csv, ipaddress, json, os, sqlite3, sys, tempfile
from urllib.parse import urlsplit
import page_worlds, score_pages

WORDS = {1: "sure", 2: "likely", 3: "guess"}  # 4 is background: no page
SUREST_FIRST = list(WORDS.values())
BUCKET_S = 900
# Development: worlds that rules and constants were chosen on. Judging: worlds that nobody has
# looked at.
SETS = ["development, one tab=one-tab:1-8", "development, in a hurry=hurry:1-8", "development, several tabs and noise=tabs:1-8",
        "judging, one tab=one-tab:9201-9212", "judging, in a hurry=hurry:9201-9212", "judging, several tabs and noise=tabs:9201-9212"]


def site(host):
    return ".".join(host.split(".")[-2:])


def wire_truth(path):
    """Bytes on the wire by client, bucket, page and site; page is empty where no browser asked for them."""
    truth = collections.Counter()
    for row in csv.DictReader(open(path), delimiter="\t"):
        page = site(urlsplit(row["page"]).hostname) if row["page"] else ""
        truth[row["client"], int(row["second"]) // BUCKET_S, page, site(row["host"])] += int(row["bytes"])
    return truth


def classes(database):
    """Bytes by client, bucket, page, site and word."""
    db = sqlite3.connect(database)
    found = collections.Counter()
    query = """SELECT p.bucket, e.address, w.name, h.name, p.sureness, p.up_bytes + p.down_bytes FROM page_rollup p
        JOIN host h ON h.id = p.host JOIN host w ON w.id = p.page JOIN endpoint e ON e.id = p.endpoint
        WHERE p.sureness <= 3"""
    for bucket, address, page, host, word, amount in db.execute(query):
        client = str(ipaddress.ip_address(address[-4:]))
        found[client, bucket // BUCKET_S, site(page), site(host), WORDS[word]] += amount
    return found


def score(program, kind, seed, folder):
    base = os.path.join(folder, f"{kind}-{seed}")
    if not os.path.exists(base + ".exact.tsv"):
        page_worlds.write(kind, seed, None, folder, True)
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, HOME=home, TZ="UTC")
        database = home + "/imon.db"
        score_pages.run(program, "ingest", base + ".pcap.gz", "--database", database, env=env)
        text = score_pages.run(program, "report", "--database", database, "--spool", home, "--from", "1970-01-01", "--to", "2100-01-01",
                               "--by", "page", "--limit", "0", "--format", "json", env=env)
        flows = [json.loads(line) for line in score_pages.run(program, "flows", base + ".pcap.gz", env=env).splitlines()]
        marked = classes(database)
    logged = score_pages.logged([base + ".tsv"], site)
    third = lambda page, site: page != site
    total, right = score_pages.share(logged, score_pages.reported(text), third)
    _, simple = score_pages.share(logged, score_pages.baseline(flows), third)
    truth, words = wire_truth(base + ".exact.tsv"), collections.Counter()
    all_third = sum(amount for (_, _, page, site), amount in truth.items() if page and page != site)
    for key, order in (("right", SUREST_FIRST), ("least", SUREST_FIRST[::-1])):
        left = dict(truth)
        for (client, bucket, page, host, word), amount in sorted(marked.items(), key=lambda item: order.index(item[0][4])):
            hit = min(amount, left.get((client, bucket, page, host), 0))
            left[client, bucket, page, host] = left.get((client, bucket, page, host), 0) - hit
            words[word, key] += hit / all_third
    for (*_, word), amount in marked.items():
        words[word, "all"] += amount / all_third
    return right / total, simple / total, words


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--analyze", default="imon-analyze", help="the program [imon-analyze]")
    p.add_argument("--set", action="append", metavar="NAME=KIND:FIRST-LAST")
    p.add_argument("--worlds", metavar="FOLDER", help="keep the worlds here, and use those that are here")
    p.add_argument("--each", action="store_true", help="print each world as well")
    args = p.parse_args()
    print("worlds\tnumber\timon %\tworst %\tsimple %\tsure: part %\tright %\tleast %\tlikely: part %\tright %\tleast %\tguess: part %\tright %\tleast %")
    if args.worlds:
        os.makedirs(args.worlds, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, concurrent.futures.ProcessPoolExecutor(2) as workers:
        for item in args.set or SETS:
            name, _, worlds = item.rpartition("=")
            kind, _, seeds = worlds.partition(":")
            first, _, last = seeds.partition("-")
            seeds = range(int(first), int(last or first) + 1)
            jobs = [workers.submit(score, args.analyze, kind, seed, args.worlds or scratch) for seed in seeds]
            results = [job.result() for job in jobs]
            if args.each:
                for seed, (imon, simple, _) in zip(seeds, results):
                    print(f"  {kind} {seed}\t1\t{100 * imon:.1f}\t\t{100 * simple:.1f}")
            mean = lambda values: 100 * sum(values) / len(results)
            line = [name, str(len(results)), f"{mean(r[0] for r in results):.1f}", f"{100 * min(r[0] for r in results):.1f}",
                    f"{mean(r[1] for r in results):.1f}"]
            for word in ("sure", "likely", "guess"):
                marked, right, least = (sum(r[2][word, key] for r in results) for key in ("all", "right", "least"))
                line += [f"{100 * marked / len(results):.1f}"] + [f"{100 * part / marked:.1f}" if marked else "-" for part in (right, least)]
            print("\t".join(line), flush=True)


if __name__ == "__main__":
    main()
