"""What is told while programs run: the numbers, and what a terminal and a pipe get to see of them."""

from __future__ import annotations

import io
import os
import re
import select
import sys
import threading
import time
from pathlib import Path

import pytest

from pyro_fix.report import progress
from pyro_fix.report.progress import Progress, State, clock
from pyro_fix.watch import Phase, Round, RunBegan, RunEnded, RunWrites, TaskDone

pty = pytest.importorskip("pty", reason="needs POSIX terminals")

STEP = '{"event": "step", "seed": 0, "loss": 1.0}\n'


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_headline_counts_tasks_runs_and_time() -> None:
    time = Clock()
    state = State(time)
    for event in (Round(2), Phase("each fix alone", 4), RunBegan(1, "a", 100), RunEnded(1), TaskDone()):
        state.hear(event)
    assert state.headline() == "round 2, each fix alone: 1 of 4, 1 run made, 0 s", "too early to guess what is left"
    time.now += 12
    assert state.headline() == "round 2, each fix alone: 1 of 4, 1 run made, 12 s, about 36 s left in this phase"
    state.hear(Phase("fixes together", 1))
    assert state.headline() == "round 2, fixes together: 0 of 1, 1 run made, 12 s"


def test_steps_are_counted_in_the_journal_as_it_grows(tmp_path: Path) -> None:
    state, journal = State(), tmp_path / "journal.jsonl"
    for event in (RunBegan(7, "train.py", 400), RunWrites(7, journal)):
        state.hear(event)
    assert list(state.lines()) == [("train.py", "starting, 0 s")]
    with journal.open("a", encoding="utf-8") as file:
        for written, steps in (('{"event": "svi"}\n' + STEP * 2 + STEP[:9], 2), (STEP[9:] + STEP, 4)):
            file.write(written)
            file.flush()
            ((_, told),) = state.lines()
            assert told.startswith(f"{steps} of 400 steps"), "half a line is no step yet"
    state.hear(RunEnded(7))
    assert not list(state.lines())


def test_more_steps_than_foreseen_are_no_share(tmp_path: Path) -> None:
    state, journal = State(), tmp_path / "journal.jsonl"
    journal.write_text(STEP * 5, encoding="utf-8")
    for event in (RunBegan(1, "train.py", 4), RunWrites(1, journal), RunBegan(2, "the referee")):
        state.hear(event)
    assert [told for _, told in state.lines()] == ["5 steps, 0 s", "running, 0 s"]


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0 s"), (59.4, "59 s"), (125, "2:05 min"), (3725, "1:02:05 h")])
def test_clock(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PATIENCE": 0.05, "PACE": 0.1, "QUIET": 0.4}.items():
        monkeypatch.setattr(progress, name, value)


def test_a_pipe_gets_a_line_now_and_then(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress() as told:
        told(Phase("each fix alone", 9))
        for key in range(20):  # many quick ones at once
            told(RunBegan(key, f"fix {key}", 100))
        time.sleep(1.0)
    lines = sys.stderr.getvalue().splitlines()  # type: ignore[attr-defined]
    assert lines[0] == "fix 0" and 2 <= len(lines) <= 4, lines
    assert all(re.fullmatch(r"round 1, each fix alone: 0 of 9, 0 runs made, \d s", line) for line in lines[1:])


def test_what_takes_no_time_is_not_told(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with Progress() as told:
        told(RunBegan(1, "quick", 100))
        told(RunEnded(1))
    with Progress(shown=False) as told:
        told(RunBegan(1, "never told", 100))
        time.sleep(0.3)
    assert sys.stderr.getvalue() == ""  # type: ignore[attr-defined]


def on_terminal(monkeypatch: pytest.MonkeyPatch, term: str, work: object) -> str:
    """What is written to a terminal of 60 columns meanwhile."""
    main, other = pty.openpty()
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("COLUMNS", "60")
    seen = b""
    with os.fdopen(other, "w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        worker = threading.Thread(target=work)  # type: ignore[arg-type]
        worker.start()
        while worker.is_alive() or select.select([main], [], [], 0.1)[0]:
            if select.select([main], [], [], 0.05)[0]:
                seen += os.read(main, 1 << 16)
        worker.join()
    os.close(main)
    return seen.decode()


def test_a_terminal_gets_a_picture_that_is_wiped(quick: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def work() -> None:
        journal = tmp_path / "journal.jsonl"
        with Progress() as told:
            for event in (Phase("each fix alone", 3), TaskDone(), RunBegan(1, "SVI051 [/x] train.py", 400)):
                told(event)
            told(RunWrites(1, journal))
            journal.write_text(STEP * 40, encoding="utf-8")
            time.sleep(0.8)
            told(RunEnded(1))

    seen = on_terminal(monkeypatch, "xterm-256color", work)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert "round 1, each fix alone: 1 of 3, 0 runs made" in plain
    assert "SVI051 [/x] train.py" in plain and "40 of 400 steps" in plain
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h") == 1, "the cursor is hidden, and back"
    assert seen.rstrip().endswith("\x1b[2K"), "the last thing is to wipe a line"


def test_a_terminal_that_cannot_move_gets_lines(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        with Progress() as told:
            told(RunBegan(1, "SVI051 train.py", 400))
            time.sleep(0.3)

    assert on_terminal(monkeypatch, "dumb", work) == "SVI051 train.py\r\n"


def test_an_end_at_once_leaves_nothing_behind(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is begun by a thread: that must not come after the end."""

    def work() -> None:
        for wait in (0.04, 0.05, 0.06, 0.08):
            with Progress() as told:
                told(RunBegan(1, "SVI051 train.py", 400))
                time.sleep(wait)

    seen = on_terminal(monkeypatch, "xterm-256color", work)
    assert seen.count("\x1b[?25l") == seen.count("\x1b[?25h")
