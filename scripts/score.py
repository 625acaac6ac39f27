#!/usr/bin/env python3
"""Scores DNS alone against the names inside flows, set by set, and each capture by itself.

    score.py [--analyze PROGRAM] [--corpus DIR] [--set NAME,...] [--seeds 101-104]     tables on standard output
    score.py … --write          also writes the tables of docs/SCORE.md and analyzer/data/calibration.tsv
    score.py … --captures       also every capture in which something is wrong
    score.py … --wrong          also every wrong flow: what was booked, by which rule, and what is inside (--lost, --missed: likewise)
    score.py … --save FILE      keeps the figures; --compare FILE sets them beside those of another run, by halves of the captures
    score.py … --curve          the windows of `imon-analyze verify --curve` instead

Sets: `testdata` (and sessions of the test network in DIR/netlab), `corpus` (DIR/captures), `dns-alone` (DIR/dns-alone), `worlds` (scripts/dns_worlds.py,
made anew). `named` counts doubtful kinds as named. The baseline is this device's latest answer before the flow, else the latest answer of any device.
"""
import argparse, hashlib, json, os, random, re, subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JUDGED_SEEDS = "101-104"  # rules are developed on seeds below 100
ROUNDS = 1_000  # of the bootstrap: its ends move by less than a tenth of their distance
KEYS = [f"{what}_{unit}" for what in ("all", "named", "host", "site") for unit in ("flows", "bytes")]
# Targets, for each set by itself: plain `dns` in flows and bytes, most wrong of named bytes, points
# of flows beyond the baseline.
DNS_FLOWS, DNS_BYTES, WRONG_BYTES, BEYOND = 0.98, 0.99, 0.03, 4.0
UNCLAIMED = "infra"  # names a content network and claims no site: a group of its own in the ledger, counted as named here


def sets_of(args):
    """The captures of each set."""
    corpus = Path(args.corpus) if args.corpus else None
    found = {"testdata": sorted((ROOT / "testdata/netlab").glob("**/*.pcap.gz"))}
    if corpus:
        # All sessions but the one that testdata/ has as well: each flow counts once.
        found["testdata"] += [f for f in sorted((corpus / "netlab").glob("*.pcap.gz")) if not f.name.startswith("browse-lan")]
        found["corpus"] = sorted((corpus / "captures").glob("*"))
        found["dns-alone"] = [f for f in sorted((corpus / "dns-alone").glob("*")) if f.suffix not in (".md", ".tsv")]
    else:
        print("IMON_CORPUS names no corpus folder: testdata and worlds only", file=sys.stderr)
    wanted = args.set.split(",") if args.set else list(found) + ["worlds"]
    if "worlds" in wanted:
        folder = Path(args.worlds)
        for old in folder.glob("*.pcap") if folder.is_dir() else ():
            old.unlink()
        subprocess.run([sys.executable, ROOT / "scripts/dns_worlds.py", folder, "--seeds", args.seeds], check=True)
        found["worlds"] = sorted(folder.glob("*.pcap"))
    return {name: files for name, files in found.items() if name in wanted and files}


def verify(args, files, *more):
    # Damaged captures are part of a corpus: what could be read of them counts, and exit code 3 says
    # so.
    command = [args.analyze, "verify", *more, *map(str, files)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"error: {' '.join(command[:4])} …: exit code {done.returncode}")
    return done.stdout


def measure(args, files):
    """capture → rules → evidence ('' for all) → counts."""
    captures = {}
    for line in map(json.loads, verify(args, files, "--format", "json").splitlines()):
        if line["part"] == "file":
            counts = {key: line[key.replace("all_", "")] for key in KEYS}
            capture = captures.setdefault(os.path.basename(line["file"]), {"answers": line["answers"]})
            capture.setdefault(line["rules"], {})[line["evidence"] or ""] = counts
    return {name: capture for name, capture in captures.items() if capture["imon"][""]["all_flows"]}


def total(captures, rules, kind=""):
    out = dict.fromkeys(KEYS, 0)
    for capture in captures:
        for key, value in capture[rules].get(kind, {}).items():
            out[key] += value
    return out


def kinds(captures):
    """In the order in which imon lists them, as far as they are used."""
    seen = []
    for capture in captures:
        seen += [kind for kind in capture["imon"] if kind and kind not in seen]
    order = ["dns", "dns-shared", "dns-late", "dns-other", "known", "dns-asked", UNCLAIMED]
    return [kind for kind in order if kind in seen] + [kind for kind in seen if kind not in order]


def wrong(counts, unit):
    return counts[f"named_{unit}"] - counts[f"site_{unit}"]


def ratio(part, whole):
    return part / whole if whole else 0.0


def percent(part, whole):
    return f"{100 * part / whole:.1f} %" if whole else "–"


def half_of(name):
    """Captures of one origin look alike, so halves are made by name and not by chance."""
    return hashlib.sha256(name.encode()).digest()[0] & 1


def bootstrap(captures, figure):
    """The middle 95 % of a figure over captures that are drawn again and again."""
    rng, drawn = random.Random(1), []
    captures = list(captures)
    for _ in range(ROUNDS):
        drawn.append(figure([rng.choice(captures) for _ in captures]))
    drawn.sort()
    return drawn[ROUNDS // 40], drawn[-ROUNDS // 40 - 1]


def beyond(captures):
    ours, base = total(captures, "imon"), total(captures, "baseline")
    return 100 * (ratio(ours["site_flows"], ours["all_flows"]) - ratio(base["site_flows"], base["all_flows"]))


def wrong_bytes(captures, rules="imon"):
    counts = total(captures, rules)
    return ratio(wrong(counts, "bytes"), counts["named_bytes"])


def apart(counts, unit, unclaimed):
    """Wrong of named, without what claims no site."""
    return ratio(wrong(counts, unit) - wrong(unclaimed, unit), counts[f"named_{unit}"] - unclaimed[f"named_{unit}"])


def targets(captures):
    """(what, the figure in words, whether it is met). Where no answer of DNS is, DNS can say nothing."""
    captures = [c for c in captures if c["answers"]]
    dns, base = total(captures, "imon", "dns"), wrong_bytes(captures, "baseline")
    flows, of_bytes = ratio(dns["site_flows"], dns["all_flows"]), ratio(dns["site_bytes"], dns["all_bytes"])
    is_wrong, more = wrong_bytes(captures), beyond(captures)
    without = apart(total(captures, "imon"), "bytes", total(captures, "imon", UNCLAIMED))
    return [
        ("`dns` right, flows", f"{100 * flows:.1f} %", flows >= DNS_FLOWS),
        ("`dns` right, bytes", f"{100 * of_bytes:.1f} %", of_bytes >= DNS_BYTES),
        ("wrong of named bytes", f"{100 * is_wrong:.1f} %", is_wrong <= WRONG_BYTES),
        ("without `infra`", f"{100 * without:.1f} %", True),
        ("not above the baseline's", f"{100 * base:.1f} %", is_wrong <= base),
        ("right site beyond the baseline", f"{more:+.1f} points", more >= BEYOND),
    ]


def set_rows(results):
    """Rows of the first table: set, flows, rules, then shares of flows and bytes."""
    for name, captures in results.items():
        answered = [c for c in captures.values() if c["answers"]]
        parts = [(f"{name}, {len(captures)} captures", list(captures.values()))]
        if len(answered) < len(captures):
            parts.append((f"of these {len(answered)} with answers of DNS", answered))
        for title, part in parts:
            for rules in ("imon", "baseline"):
                counts = total(part, rules)
                cells = []
                for unit in ("flows", "bytes"):
                    whole = counts[f"all_{unit}"]
                    cells += [percent(counts[f"{what}_{unit}"], whole) for what in ("named", "host", "site")]
                    cells.append(percent(wrong(counts, unit), counts[f"named_{unit}"]))
                head = (title, f"{counts['all_flows']:,}") if rules == "imon" else ("", "")
                yield [*head, rules, *cells]


def kind_rows(results):
    """Rows of the second table: kind, set, how many, how often right."""
    everything = [c for captures in results.values() for c in captures.values()]
    for kind in kinds(everything):
        for n, (name, captures) in enumerate(results.items()):
            counts = total(captures.values(), "imon", kind)
            having = sum(1 for c in captures.values() if c["imon"].get(kind, {}).get("all_flows"))
            if counts["all_flows"]:
                yield [f"`{kind}`", name, f"{counts['all_flows']:,}", str(having), percent(counts["site_flows"], counts["all_flows"]),
                       percent(counts["site_bytes"], counts["all_bytes"])]


def steady_rows(results):
    """Rows of the third table: intervals over captures, and both halves of them."""
    for name, captures in results.items():
        low, high = bootstrap(captures.values(), beyond)
        worst = bootstrap(captures.values(), wrong_bytes)
        halves = [[c for n, c in captures.items() if half_of(n) == half] for half in (0, 1)]
        cells = [f"{beyond(half):+.1f} / {100 * wrong_bytes(half):.1f} %" for half in halves]
        yield [name, f"{low:+.1f} to {high:+.1f}", f"{100 * worst[0]:.1f} to {100 * worst[1]:.1f} %", *cells]


def target_rows(results):
    for name, captures in results.items():
        if name != "testdata":  # a test network of one kind: nothing to win, and nothing to lose
            yield [name, *(f"{text}{'' if met else ' ✗'}" for _, text, met in targets(captures.values()))]


HEADS = {
    "sets": (["set", "flows", "rules", "named", "right host", "right site", "wrong of named", "bytes: named", "right host", "right site", "wrong of named"], set_rows),
    "targets": (["set", "`dns` right, flows", "`dns` right, bytes", "wrong of named bytes", "without `infra`", "the baseline's", "right site beyond the baseline"], target_rows),
    "kinds": (["named by", "set", "flows", "captures", "right site of flows", "of bytes"], kind_rows),
    "steady": (["set", "right site beyond the baseline, 95 %", "wrong of named bytes, 95 %", "one half", "the other half"], steady_rows),
}


def plain(head, rows):
    rows = [[cell.replace("`", "") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows) + "\n"


def markdown(head, rows):
    lines = [head, [":---" if n == 0 else "---:" for n in range(len(head))], *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def write_docs(results):
    """Puts each table between its marks in docs/SCORE.md."""
    path = ROOT / "docs/SCORE.md"
    text = path.read_text()
    for name, (head, rows) in HEADS.items():
        begin, end = f"<!-- {name}: written by `make score ARGS=--write` -->\n", f"<!-- end of {name} -->\n"
        if begin not in text or end not in text:
            sys.exit(f"error: docs/SCORE.md has no marks for the table `{name}`")
        before, rest = text.split(begin, 1)
        text = before + begin + markdown(head, list(rows(results))) + end + rest.split(end, 1)[1]
    path.write_text(text)


def write_data(results):
    """The figures that the program shows: public captures together, and the worlds."""
    lines = ["# How often each kind of evidence named the right site, over captures with names inside flows.",
             "# Written by `make score ARGS=--write`; docs/SCORE.md says over which captures.",
             "# set\tevidence\tcaptures\tflows\tright_flows\tbytes\tright_bytes"]
    groups = {"public": [n for n in ("corpus", "dns-alone") if n in results], "worlds": ["worlds"] if "worlds" in results else []}
    for group, names in groups.items():
        captures = [c for name in names for c in results[name].values()]
        for kind in kinds(captures):
            counts = total(captures, "imon", kind)
            having = sum(1 for c in captures if c["imon"].get(kind, {}).get("all_flows"))
            values = (having, counts["all_flows"], counts["site_flows"], counts["all_bytes"], counts["site_bytes"])
            lines.append("\t".join([group, kind, *map(str, values)]))
    (ROOT / "analyzer/data/calibration.tsv").write_text("\n".join(lines) + "\n")


def show_captures(results):
    """Every capture with something wrong, the most wrong bytes first."""
    rows = []
    for name, captures in results.items():
        for file, capture in captures.items():
            ours, base = total([capture], "imon"), total([capture], "baseline")
            if wrong(ours, "flows"):
                by = [f"{kind} {wrong(counts, 'flows')}" for kind, counts in capture["imon"].items() if kind and wrong(counts, "flows")]
                rows.append((-wrong(ours, "bytes"), [name, str(ours["all_flows"]), str(ours["site_flows"]), str(base["site_flows"]), str(wrong(ours, "flows")),
                             str(wrong(base, "flows")), f"{wrong(ours, 'bytes'):,}", f"{wrong(base, 'bytes'):,}", ", ".join(by), file]))
    head = ["set", "flows", "right", "baseline", "wrong", "baseline", "wrong bytes", "baseline", "by", "capture"]
    return plain(head, [row for _, row in sorted(rows)])


def compare(results, before):
    """What changed since another run, in each half of each set: a rule that wins on one half and loses on the other goes."""
    rows = []
    for name, captures in results.items():
        old = before.get(name)
        if not old:
            continue
        common = [n for n in captures if n in old]
        verdicts = []
        for half in (0, 1, None):
            names = [n for n in common if half is None or half_of(n) == half]
            now, then = (total([of[n] for n in names], "imon") for of in (captures, old))
            right, bad = now["site_flows"] - then["site_flows"], wrong(now, "flows") - wrong(then, "flows")
            bad_bytes = wrong(now, "bytes") - wrong(then, "bytes")
            verdicts.append((right - bad > 0) - (right - bad < 0))
            title = {0: "one half", 1: "the other", None: "all"}[half]
            rows.append([name, title, f"{right:+,}", f"{bad:+,}", f"{now['site_bytes'] - then['site_bytes']:+,}", f"{bad_bytes:+,}",
                         "" if half is not None or verdicts[0] * verdicts[1] >= 0 else "wins on one half, loses on the other"])
    return plain(["set", "captures", "right flows", "wrong flows", "right bytes", "wrong bytes", ""], rows)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--analyze", default="imon-analyze", help="the program [imon-analyze]")
    p.add_argument("--corpus", default=os.environ.get("IMON_CORPUS"), metavar="DIR", help="[$IMON_CORPUS]")
    p.add_argument("--worlds", default="/tmp/imon-dns-worlds", metavar="DIR", help="where worlds are written; *.pcap in it are removed [%(default)s]")
    p.add_argument("--set", metavar="NAME,...", help="only these")
    p.add_argument("--seeds", default=JUDGED_SEEDS, help="of the worlds [%(default)s]")
    p.add_argument("--write", action="store_true")
    p.add_argument("--captures", action="store_true")
    for which in ("wrong", "lost", "missed"):
        p.add_argument(f"--{which}", action="store_true")
    p.add_argument("--save", metavar="FILE", type=Path)
    p.add_argument("--compare", metavar="FILE", type=Path)
    p.add_argument("--curve", action="store_true")
    args = p.parse_args()
    sets = sets_of(args)
    if args.curve:
        for name, files in sets.items():
            print(f"\n== {name}\n{verify(args, files, '--curve')}")
        return
    results = {name: measure(args, files) for name, files in sets.items()}
    for head, rows in HEADS.values():
        print(plain(head, list(rows(results))))
    if args.captures:
        print(show_captures(results))
    for which in ("wrong", "lost", "missed"):
        if getattr(args, which):
            for name, files in sets.items():
                print(f"== {name}, {which}: {verify(args, files, '--flows', which)}")
    if args.compare:
        print(compare(results, json.loads(args.compare.read_text())))
    if args.save:
        args.save.write_text(json.dumps(results))
    if args.write:
        if set(results) != {"testdata", "corpus", "dns-alone", "worlds"} or args.seeds != JUDGED_SEEDS:
            sys.exit("error: --write needs all sets and the seeds for judging; IMON_CORPUS names the corpus")
        write_docs(results)
        write_data(results)


main()
