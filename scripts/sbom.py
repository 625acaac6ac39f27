#!/usr/bin/env python3
"""What a program is made of, as CycloneDX 1.5 in JSON on standard output: `sbom.py imon-record`.

The crates that are linked or run while it is built, for this machine's system and processor, by `cargo tree` of the locked
dependencies: name, version, licence, checksum (that of Cargo.lock), and who depends on whom. The same commit gives the
same bytes: no time, no random number.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import uuid

CARGO = os.environ.get("CARGO", "cargo")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def checksums():
    """Of every package from a registry in Cargo.lock."""
    with open("Cargo.lock", encoding="utf-8") as lock:
        packages = lock.read().split("[[package]]")[1:]
    found = {}
    for package in packages:
        field = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', package, re.M))
        if "checksum" in field:
            found[field["name"], field["version"]] = field["checksum"]
    return found


def tree(package, host):
    """The crates of `package` as (name, version): itself, their licences, and what each depends on.

    `cargo tree` knows which features this one package asks for; `cargo metadata` knows those of the whole workspace only.
    """
    lines = output(
        CARGO, "tree", "--locked", "--quiet", "--target", host, "--edges", "normal,build", "--prefix", "depth",
        "--format", " {p}|{l}", "-p", package,
    ).splitlines()  # fmt: skip
    licences, below, path = {}, {}, []
    for line in lines:
        depth, name, version, licence = re.match(r"(\d+) (\S+) v(\S+)[^|]*\|(.*?)(?: \(\*\))?$", line).groups()
        crate = (name, version)
        licences[crate] = licence
        below.setdefault(crate, set())
        path[int(depth) :] = [crate]
        if len(path) > 1:
            below[path[-2]].add(crate)
    return path[0], licences, below


def reference(crate):
    return f"pkg:cargo/{crate[0]}@{crate[1]}"


def component(crate, licence, sums):
    what = {
        "type": "library",
        "bom-ref": reference(crate),
        "name": crate[0],
        "version": crate[1],
        "purl": reference(crate),
    }
    if licence:
        # Old manifests say MIT/Apache-2.0, which is no SPDX expression.
        what["licenses"] = [{"expression": licence.replace("/", " OR ")}]
    if crate in sums:
        what["hashes"] = [{"alg": "SHA-256", "content": sums[crate]}]
    return what


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: sbom.py PACKAGE")
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    host = re.search(r"^host: (.*)$", output("rustc", "-vV"), re.M).group(1)
    root, licences, below = tree(sys.argv[1], host)
    sums = checksums()
    others = sorted(crate for crate in licences if crate != root)
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": component(root, licences[root], sums) | {"type": "application"},
            "properties": [{"name": "imon:target", "value": host}],
        },
        "components": [component(crate, licences[crate], sums) for crate in others],
        "dependencies": [
            {"ref": reference(crate), "dependsOn": sorted(reference(other) for other in below[crate])}
            for crate in [root, *others]
        ],
    }
    # An identity that follows from the content, in the shape that the format asks for.
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    document["serialNumber"] = uuid.UUID(bytes=digest[:16], version=4).urn
    json.dump(document, sys.stdout, indent=1, sort_keys=True)
    print()


main()
