"""What ``--apply`` has written, a second run leaves alone: every program of the fixtures, the cases and the examples.

Both runs verify, with all transforms, as a user's do.  The default run samples; ``-m slow`` has them all.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pyro_fix import apply, engine
from pyro_fix.config import Options
from pyro_fix.result import Result

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [*sorted((ROOT / "fixtures").iterdir()), ROOT / "examples"]
PROGRAMS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.iterdir())
    if ".fixed" not in path.name and (path.suffix in (".py", ".ipynb") or (path.is_dir() and any(path.glob("*.py"))))
]
#: Short ones of different kinds: what is mended builds on what was mended before.
SAMPLE = {"cases/second_run_changes.py", "cases/guide_replaced.py"}


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def checked(program: Path) -> Result:
    asked = Options(paths=(program,), python=Path(sys.executable), cache=False, root=program.parent)
    return engine.check(asked, lambda _: None)


@pytest.mark.parametrize(
    "program",
    [pytest.param(path, id=named(path), marks=() if named(path) in SAMPLE else pytest.mark.slow) for path in PROGRAMS],
)
def test_what_was_applied_stays(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyro")
    copy = tmp_path / program.name
    shutil.copytree(program, copy) if program.is_dir() else shutil.copy(program, copy)
    for helper in program.parent.iterdir() if program.parent.name == "examples" else ():
        if helper.is_dir() and helper != program:  # data and modules that several share
            shutil.copytree(helper, tmp_path / helper.name)
    apply.write(checked(copy).changes)
    again = checked(copy)
    told = [f"{f.proposal.code}:{f.proposal.line} {f.proposal.message}" for f in again.findings if f.included]
    assert not again.changes, told


def test_the_sample_is_there() -> None:
    assert {named(path) for path in PROGRAMS} >= SAMPLE
