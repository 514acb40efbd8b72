"""What ``--apply`` has written, a second run leaves alone: every program of the fixtures, the cases and the examples.

With all transforms at once, as a user's run has them.  The default run samples, and believes every fix by the source
alone; ``-m slow`` has all programs, and verifies them as well.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pyro_fix import apply, engine
from pyro_fix.config import Options

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = [*sorted((ROOT / "fixtures").iterdir()), ROOT / "examples"]
PROGRAMS = [
    path
    for folder in FOLDERS
    for path in sorted(folder.iterdir())
    if ".fixed" not in path.name and (path.suffix in (".py", ".ipynb") or (path.is_dir() and any(path.glob("*.py"))))
]
#: Every so manyth of them is looked at by default, from each folder some.
STRIDE = 10
SAMPLE = PROGRAMS[::STRIDE]


def named(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def copied(program: Path, folder: Path) -> Path:
    copy = folder / program.name
    shutil.copytree(program, copy) if program.is_dir() else shutil.copy(program, copy)
    for helper in program.parent.iterdir() if program.parent.name == "examples" else ():
        if helper.is_dir() and helper != program:  # data and modules that several share
            shutil.copytree(helper, folder / helper.name)
    return copy


def stays(program: Path, verify: bool) -> None:
    asked = Options(
        paths=(program,),
        python=Path(sys.executable),
        cache=False,
        root=program.parent,
        verify=verify,
        unverified=not verify,
    )
    apply.write(engine.check(asked, lambda _: None).changes)
    again = engine.check(asked, lambda _: None)
    told = [f"{f.proposal.code}:{f.proposal.line} {f.proposal.message}" for f in again.findings if f.included]
    assert not again.changes, told


@pytest.mark.parametrize(
    "program",
    [pytest.param(path, id=named(path), marks=() if path in SAMPLE else pytest.mark.slow) for path in PROGRAMS],
)
def test_what_was_applied_stays(program: Path, tmp_path: Path) -> None:
    stays(copied(program, tmp_path), verify=False)


@pytest.mark.slow
@pytest.mark.parametrize("program", [pytest.param(path, id=named(path)) for path in PROGRAMS])
def test_what_was_verified_stays(program: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyro")
    stays(copied(program, tmp_path), verify=True)
