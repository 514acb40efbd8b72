"""What is told of runs that did not come far enough to show what there is to find."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyro_fix.config import Options
from pyro_fix.judge import ByRuns, cut_short
from pyro_fix.observation import Failure, Look, Observation, Substitute, SviObservation
from pyro_fix.watch import Event, Notice

RUN = Observation("python train.py", "p", {}, "cpu", (), {}, (), None, (), 1.0)


def looked(error: str) -> Observation:
    look = Look({}, {}, {}, (), {}, (), error=error)
    return replace(RUN, svis=(SviObservation(0, "train.py:3", "Trace_ELBO", "Adam", 1, (), look),))


@pytest.mark.parametrize(
    ("run", "told"),
    [
        (looked("the look took longer than 30 s"), "the look took longer than 30 s"),
        (replace(RUN, failure=Failure("timeout", "ran longer than 60 s")), "ran longer than 60 s"),
        (looked("ValueError: no"), ""),  # SVI001 tells it
        (replace(RUN, failure=Failure("ValueError", "no")), ""),
        (RUN, ""),
    ],
)
def test_want_of_time(run: Observation, told: str) -> None:
    words = cut_short(run)
    assert told in words and bool(words) is bool(told)
    assert not told or (words.startswith("python train.py: ") and "--timeout" in words)


def test_what_is_made_up_is_told_and_shows_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    drawn = Substitute("module", "seaborn", "seaborn", "train.py:3")
    used = replace(drawn, what="pandas", lacking="pandas", reached="float() at train.py:7")
    runs = [RUN, replace(RUN, substitutes=(drawn,)), replace(RUN, substitutes=(drawn, used))]
    told: list[Event] = []
    judge = ByRuns(Options(), told.append)
    plans = [SimpleNamespace(kind="program")] * len(runs)
    monkeypatch.setattr(judge, "_given", plans)
    monkeypatch.setattr(judge, "_verifier", lambda *_: SimpleNamespace(observe=lambda: runs))
    program: Any = SimpleNamespace(located=lambda words: words.replace("train.py:7", "cell 2"))
    assert judge.observe(program, {}) == runs[:2]
    begin = "python train.py: {} is not installed: a stand-in took its place, and "
    assert told == [
        Notice(begin.format("seaborn") + "nothing that came from it reached the model"),
        Notice(
            begin.format("pandas") + "what came from it may have reached the model (float() at cell 2), "
            "so that the run is on made-up data"
        ),
    ]
    judge.observe(program, {})
    assert len(told) == 2  # once is enough
