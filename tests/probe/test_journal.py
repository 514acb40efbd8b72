from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyro_fix.probe.journal import Journal, lines
from pyro_fix.runner import read
from pyro_fix.runner.model import RunRequest, Target

REQUEST = RunRequest(
    Target("script", "p.py", (), Path("/"), "--run"), Path(sys.executable), steps=1_000_000, seeds=tuple(range(100))
)
STEP = {"svi": 0, "loss": 1.25, "rates": [0.01, 0.1], "norm": 2.0, "cpu": 1e-3, "nonfinite": ""}


def _steps(path: Path) -> list[int]:
    return [event["step"] for event in read.events(path, REQUEST) if event["event"] == "step"]


def test_a_step_is_told_as_any_other_event_is(tmp_path: Path) -> None:
    one, other = Journal(str(tmp_path / "one")), Journal(str(tmp_path / "other"))
    odd = {**STEP, "loss": math.inf, "rates": [], "norm": None, "cpu": math.nan, "nonfinite": 'a "b" \u00e4'}
    for number, fields in enumerate((STEP, odd)):
        one.step(seed=3, step=number, **fields)  # type: ignore[arg-type]
        other.write("step", seed=3, step=number, **fields)
    many = {**STEP, "rates": [0.1, 0.2, 0.3, 0.4]}
    for number, fields in enumerate((STEP, many, {**STEP, "rates": [0.1, 0.2, 0.3]}), 2):
        one.step(seed=3, step=number, **fields)  # type: ignore[arg-type]
        other.write("step", seed=3, step=number, **fields)
    told = [[sorted(event.items()) for event in read.events(tmp_path / name, REQUEST)] for name in ("one", "other")]
    assert repr(told[0]) == repr(told[1])  # NaN is not equal to itself


def test_events_keep_their_order(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "journal"))
    journal.write("svi")
    journal.step(seed=0, step=0, **STEP)  # type: ignore[arg-type]
    journal.write("end")
    names = [json.loads(line)["event"] for line in (tmp_path / "journal").read_text().splitlines()]
    assert names == ["svi", "step", "end"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL on this system")
def test_a_kill_loses_no_step(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    child = f"""
import os, signal
from pyro_fix.probe.journal import Journal, lines
journal = Journal({str(path)!r})
for number in range(1000):
    journal.step(seed=0, svi=0, step=number, loss=1.0, rates=[0.01], norm=1.0, cpu=0.1, nonfinite="")
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", child], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(path.read_text().splitlines()) < 1000  # or this would test nothing
    assert sorted(_steps(path)) == list(range(1000))


def test_a_kill_between_the_two_places_tells_no_step_twice(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.step(seed=0, step=0, **STEP)  # type: ignore[arg-type]
    assert journal._tail is not None
    journal._append(lines(journal._tail[:]))
    assert _steps(path) == [0]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on this system")
def test_forks_tell_their_own_steps_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    journal.step(seed=0, step=0, **STEP)  # type: ignore[arg-type]
    pid = os.fork()
    if pid == 0:
        journal.step(seed=1, step=0, **STEP)  # type: ignore[arg-type]
        os._exit(0)
    os.waitpid(pid, 0)
    journal.step(seed=0, step=1, **STEP)  # type: ignore[arg-type]
    told = [(event["seed"], event["step"]) for event in read.events(path, REQUEST)]
    assert sorted(told) == [(0, 0), (0, 1), (1, 0)]


def test_steps_are_in_the_journal_soon(tmp_path: Path) -> None:
    """Or nobody could watch a run."""
    path = tmp_path / "journal"
    journal = Journal(str(path))
    end = time.monotonic() + 1
    number = 0
    while time.monotonic() < end and not (path.exists() and path.read_text()):
        journal.step(seed=0, step=number, **STEP)  # type: ignore[arg-type]
        number += 1
    assert path.read_text()


def test_more_than_fits_goes_on_in_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    journal = Journal(str(path))
    for number in range(2000):
        journal.step(seed=0, step=number, **STEP)  # type: ignore[arg-type]
    journal.step(seed=0, step=2000, **{**STEP, "nonfinite": "x" * 100_000})  # type: ignore[arg-type]
    assert sorted(_steps(path)) == list(range(2001))


def test_a_folder_that_is_gone_breaks_nothing(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "nowhere" / "journal"))
    journal.step(seed=0, step=0, **STEP)  # type: ignore[arg-type]
    journal.write("end")
