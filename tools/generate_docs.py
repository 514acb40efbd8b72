"""Write ``docs/rules/``: a page for each transform and an index, from the transforms' own docstrings.

python tools/generate_docs.py           # write
python tools/generate_docs.py --check   # fail where the files are not what would be written
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pyro_fix import catalogue
from pyro_fix.report.rules import TIPS, TUTORIAL, heading, summary
from pyro_fix.transform import Promise, Transform

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "rules"


def page(transform: Transform) -> str:
    """The page of one transform."""
    title, _, body = (inspect.getdoc(type(transform)) or "").partition("\n")
    promises = ", ".join(f"`{_hyphenated(p)}`" for p in Promise if p in transform.promise)
    state = (
        "On by default" if transform.default else f"Off by default: ask for it with `--extend-select {transform.code}`"
    )
    return (
        f"# {transform.code} {transform.name}\n\n"
        f"{_tip(transform)}. {state}. "
        f"Promise: {promises}.\n\n{title}\n{body.rstrip()}\n\n{_configuration(transform)}"
    )


def index(transforms: Sequence[Transform]) -> str:
    """The table of all transforms, by tip."""
    lines = [
        "# The transforms\n",
        f"One or more for each of the sixteen tips of Pyro's tutorial [SVI Part IV: Tips and Tricks]({TUTORIAL}).",
        "`tools/generate_docs.py` writes these pages from the transforms' docstrings; `pyro-fix explain CODE` shows",
        "one in a terminal.\n",
        "| code | name | on | |\n| --- | --- | --- | --- |",
    ]
    for tip in TIPS:
        lines.append(f"| | **{heading(tip)}** | | |")
        lines += [
            f"| [{t.code}]({t.code}.md) | {t.name} | {'yes' if t.default else 'no'} | {summary(t)} |"
            for t in transforms
            if t.tip == tip
        ]
    return "\n".join(lines) + "\n"


def pages(transforms: Sequence[Transform]) -> dict[Path, str]:
    """Every file of ``docs/rules`` with its text."""
    files = {FOLDER / "README.md": index(transforms)}
    return files | {FOLDER / f"{transform.code}.md": page(transform) for transform in transforms}


def _configuration(transform: Transform) -> str:
    lines = ["## Configuration\n", "```toml", "[tool.pyro-fix]"]
    if transform.default:
        lines.append(f'ignore = ["{transform.code}"]')
    else:
        lines.append(f'extend-select = ["{transform.code}"]')
    thresholds = type(transform).thresholds()
    if thresholds:
        lines += ["", f"[tool.pyro-fix.thresholds.{transform.code}]"]
        lines += [f"{name.replace('_', '-')} = {t.default:g}  # {t.meaning}" for name, t in thresholds.items()]
    lines += ["```", "", f"`# pyro-fix: ignore[{transform.code}]` on a line of the statement silences it there.", ""]
    return "\n".join(lines)


def _tip(transform: Transform) -> str:
    if not transform.tip:
        return f"Before all tips: *{TIPS[0]}*"
    return f"Tip {transform.tip}: *{TIPS[transform.tip]}* ([tutorial]({TUTORIAL}))"


def _hyphenated(promise: Promise) -> str:
    return str(promise.name).lower().replace("_", "-")


def stale(files: Mapping[Path, str]) -> list[Path]:
    """Files of ``docs/rules`` that are missing, differ, or should not be there."""
    wrong = [path for path, text in files.items() if not path.exists() or path.read_text() != text]
    return wrong + [path for path in FOLDER.glob("*") if path not in files]


def main() -> int:
    """Write the pages, or check them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a file is out of date")
    check = parser.parse_args().check
    files = pages(catalogue.load())
    wrong = stale(files)
    if check:
        for path in wrong:
            print(f"{path}: out of date; run python tools/generate_docs.py", file=sys.stderr)
        return 1 if wrong else 0
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path in wrong:
        if path in files:
            path.write_text(files[path])
        else:
            path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
