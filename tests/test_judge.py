"""What is told of runs that did not come far enough to show what there is to find."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pyro_fix.judge import cut_short
from pyro_fix.observation import Failure, Look, Observation, SviObservation

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
