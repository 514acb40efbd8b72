from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyro_fix import catalogue
from pyro_fix.report import rules
from pyro_fix.transform import Promise, Proposal, Transform

SCRIPT = Path(sys.executable).with_name("pyro-fix")


class First(Transform):
    """Say what it is for
    in two lines.

    ## What it does
    Text with [bold] and `code`.
    """

    code, name, tip = "SVI051", "first-name", 5
    promise = Promise.SAME_START | Promise.RUNS_CLEAN

    def propose(self, program: object) -> Iterator[Proposal]:
        yield from ()


class Second(First):
    """Second."""

    code, name, tip, default = "SVI101", "second", 10, False


ALL = (First(), Second())


def test_table() -> None:
    assert rules.table(ALL).splitlines() == [
        "SVI051  tip  5  on   first-name  Say what it is for in two lines.",
        "SVI101  tip 10  off  second      Second.",
    ]


def test_json() -> None:
    assert json.loads(rules.as_json(ALL))[0] == {
        "code": "SVI051",
        "name": "first-name",
        "tip": 5,
        "default": True,
        "promise": ["runs-clean", "same-start"],
        "summary": "Say what it is for in two lines.",
    }
    assert json.loads(rules.document(ALL[0]))["documentation"].startswith(
        "Say what it is for\nin two lines.\n\n## What"
    )


def test_explain_is_the_docstring() -> None:
    assert rules.markdown(ALL[0]) == (
        "# SVI051 first-name (tip 5)\n\nSay what it is for\nin two lines.\n\n"
        "## What it does\nText with [bold] and `code`."
    )


@pytest.mark.parametrize("key", ["SVI101", "svi101", "second"])
def test_find(key: str) -> None:
    assert rules.find(ALL, key) is ALL[1]


@pytest.mark.parametrize("key", ["SVI05", "SVI100", "secand"])
def test_find_names_the_nearest(key: str) -> None:
    with pytest.raises(ValueError, match=r"did you mean SVI(051|101)"):
        rules.find(ALL, key)


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_the_commands_show_the_real_catalogue() -> None:
    code, out, err = run("rules")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [transform.code for transform in catalogue.load()]
    code, out, err = run("explain", "SVI051")
    assert (code, err) == (0, "")
    headings = [line for line in out.splitlines() if line.startswith("## ")]
    assert headings == ["## What it does", "## Why", "## Example", "## Holds back when", "## Promise"]
    assert json.loads(run("explain", "SVI051", "--format", "json")[1])["code"] == "SVI051"
    assert len(json.loads(run("rules", "--format", "json")[1])) == len(catalogue.load())


def test_an_unknown_code_is_2() -> None:
    assert run("explain", "SVI052x") == (2, "", "pyro-fix: there is no transform 'SVI052x'; did you mean SVI052?\n")
    code, out, err = run("--select", "SVI99", str(Path(__file__)))
    assert (code, out) == (2, "")
    assert err.startswith("pyro-fix: no transform has a code that begins with 'SVI99'") and err.count("\n") == 1
