"""``bench/proofs.py``: which verdicts many trainings refute; ``bench/same.py``: which differences count."""

from __future__ import annotations

import copy
import math
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

import proofs
import same

BEFORE = [10.0, 10.02, 9.98, 10.01]


@pytest.mark.parametrize(
    ("gain", "let_stand"),
    [
        (5.0, {"better", "cannot tell"}),
        (-5.0, {"worse", "cannot tell"}),
        (0.0, {"as good", "cannot tell"}),
        (math.nan, {"worse", "cannot tell"}),
    ],
)
def test_many_trainings_refute_what_they_exclude(gain: float, let_stand: set[str]) -> None:
    after = [loss - gain for loss in BEFORE]
    words = {"better", "as good", "worse", "cannot tell"}
    assert {word for word in words if not proofs.refuted(word, BEFORE, after)} == let_stand


def test_what_many_trainings_leave_open_refutes_nothing() -> None:
    after = [loss + gain for loss, gain in zip(BEFORE, (3.0, -3.0, 2.0, -2.5), strict=True)]
    assert not any(proofs.refuted(word, BEFORE, after) for word in ("better", "as good", "worse", "cannot tell"))


def test_pairs_are_of_programs_that_run_and_the_same_for_a_seed() -> None:
    drawn = list(proofs.pairs(40, 0))
    assert len(drawn) == 40 and not any(kind.reference for kind, _ in drawn)
    assert drawn == list(proofs.pairs(40, 0)) != list(proofs.pairs(40, 1))


FIX = {"status": "verified", "suggestion": False, "diff": "+x", "reason": "loss 0.5 to 0.6", "evidence": {"mean": 0.5}}
FOUND: dict[str, Any] = {
    "findings": [{"code": "SVI051", "path": "a.py", "line": 3, "column": 1, "message": "so", "fix": FIX}]
}


@pytest.mark.parametrize(
    ("key", "value", "strict", "busy"),
    [("reason", "loss 0.5 to 0.6", 0, 0), ("reason", "for want of time", 1, 0), ("status", "rejected", 1, 1)],
)
def test_beside_busy_loops_the_verdicts_count(key: str, value: str, strict: int, busy: int) -> None:
    other = copy.deepcopy(FOUND)
    other["findings"][0]["fix"][key] = value
    assert same.report(FOUND, other) == strict
    assert same.report(FOUND, other, verdicts_only=True) == busy
