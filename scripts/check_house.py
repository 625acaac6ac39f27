#!/usr/bin/env python3
"""What CONTRIBUTING.md asks of sources and texts, and no lint of clippy's looks at.

Of sources, tests left out: a function has at most four parameters beside self; a public one takes
no bare bool; a file has at most 450 lines of code. Of all comments and texts: a line has at most 100
columns, but for tables, drawings and what cannot be broken. Ends with 1 and a list of what is
otherwise.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ["common", "recorder", "analyzer"]
MOST_PARAMETERS, MOST_LINES, MOST_COLUMNS = 4, 450, 100


def code_of(path: Path) -> str:
    """Its text without comments and what is compiled for tests only, line by line as it was."""
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


def long_lines(path: Path):
    """Lines of prose that are too long."""
    is_text, is_drawn = path.suffix == ".md", False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        comment = re.match(r"\s*//[/!]? ?(.*)", line)
        if not is_text and comment is None:
            continue
        prose = line.strip() if is_text else comment[1]
        if prose.startswith("```"):
            is_drawn = not is_drawn
        can_break = " " in prose[:MOST_COLUMNS] and not prose.startswith(("|", "!["))
        if len(line) > MOST_COLUMNS and not is_drawn and can_break:
            yield f"line {number}: {len(line)} columns of prose"


def main() -> int:
    failed = 0
    texts = [*ROOT.glob("*.md"), *ROOT.glob("*/*.md")]
    for path in sorted([*texts, *(path for folder in [*PROGRAMS, "fuzz"] for path in (ROOT / folder).glob("**/*.rs"))]):
        for fault in long_lines(path):
            print(f"{path.relative_to(ROOT)}: {fault}")
            failed += 1
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
