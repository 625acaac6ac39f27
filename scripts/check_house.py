#!/usr/bin/env python3
"""What CONTRIBUTING.md asks of the sources and no lint of clippy's looks at, tests left out: a function has
at most four parameters beside self; a public one takes no bare bool; a file has at most 450 lines of
code. Ends with 1 and a list of what is otherwise.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ["common", "recorder", "analyzer"]
MOST_PARAMETERS, MOST_LINES = 4, 450


def code_of(path: Path) -> str:
    """Its text without comments and without what is compiled for tests only, line by line as it was."""
    text = path.read_text()
    tests = re.search(r"^#\[cfg\(test\)\]\n(pub\([a-z]+\) )?mod \w+ \{$", text, re.M)
    text = text[: tests.start()] if tests else text
    return re.sub(r"^\s*//.*$", "", text, flags=re.M)


def parameters(text: str) -> list[str]:
    """What stands between two brackets, apart."""
    depth, parts = 0, [""]
    for at, sign in enumerate(text):
        is_arrow = sign == ">" and text[at - 1 : at] in "-="
        depth += (sign in "<([{") - (sign in ">)]}" and not is_arrow)
        if sign == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += sign
    return [part.strip() for part in parts if part.strip()]


def functions(text: str):
    """Where each begins, what stands before its name, its name and its parameters."""
    for found in re.finditer(r"^([^\S\n]*)((?:pub(?:\([^)]*\))? )?(?:const |unsafe |extern \"C\" )*)fn (\w+)", text, re.M):
        rest = text[found.end() :]
        if rest.startswith("<"):
            depth = 0
            for at, sign in enumerate(rest):
                depth += (sign == "<") - (sign == ">" and rest[at - 1] not in "-=")
                if depth == 0:
                    rest = rest[at + 1 :]
                    break
        depth = 0
        for at, sign in enumerate(rest):
            depth += (sign == "(") - (sign == ")")
            if depth == 0:
                yield found.start(), found[2], found[3], parameters(rest[1:at])
                break


def faults(path: Path):
    text = code_of(path)
    lines = sum(1 for line in text.splitlines() if line.strip())
    if lines > MOST_LINES:
        yield f"{lines} lines of code"
    for start, before, name, taken in functions(text):
        line = text.count("\n", 0, start) + 1
        taken = [one for one in taken if not re.fullmatch(r"(&\s*('\w+ )?)?(mut )?self(: .*)?", one)]
        if len(taken) > MOST_PARAMETERS:
            yield f"line {line}: `{name}` has {len(taken)} parameters"
        if before.startswith("pub ") and any(re.search(r": bool$", one) for one in taken):
            yield f"line {line}: `{name}` is public and takes a bare bool"


def main() -> int:
    failed = 0
    sources = (path for program in PROGRAMS for path in (ROOT / program / "src").glob("**/*.rs"))
    for path in sorted(sources):
        if "tests" in path.relative_to(ROOT).parts or path.name == "tests.rs":
            continue
        for fault in faults(path):
            print(f"{path.relative_to(ROOT)}: {fault}")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
