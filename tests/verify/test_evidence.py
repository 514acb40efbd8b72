"""What is kept of runs for readers, and what the promises ask."""

from __future__ import annotations

import json
import math

from handmade import look, observation, svi, trajectory

from pyro_fix.observation import Failure
from pyro_fix.report.json import dumps
from pyro_fix.transform import Promise
from pyro_fix.verify import evidence
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import LIMITS


def test_long_curves_are_thinned_and_say_so() -> None:
    run = observation(svi(trajectories=(trajectory(3, 1001, losses=tuple(1 / 3 + i for i in range(1001))),)))
    (row,) = evidence.curves(run, run, run, [0])
    (told,) = row["original"]["trajectories"]  # type: ignore[index]
    assert (told["seed"], told["steps"], told["every"]) == (3, 1001, 3)
    assert told["losses"][:3] == [0.3333333, 3.333333, 6.333333] and len(told["losses"]) == 334
    assert told["last"] == 1000.333


def test_short_curves_are_whole_and_tell_their_end() -> None:
    failure = Failure("ValueError", "bad scale", step=2)
    run = observation(svi(trajectories=(trajectory(0, losses=(3.0, math.inf), failure=failure, first_nonfinite=1),)))
    (row,) = evidence.curves(run, run, None, [0])
    assert row["patched"]["trajectories"] == [  # type: ignore[index]
        {"seed": 0, "steps": 2, "end": "NaN or infinity at step 1", "losses": [3.0, math.inf]}
    ]


def test_gradients_are_those_of_the_fix_alone() -> None:
    before = observation(svi(look=look(32)))
    alone = observation(svi(look=look(32, factor=0.01)))
    together = observation(svi(look=look(4, spread=9.0)))
    (row,) = evidence.curves(before, together, alone, [0])
    old, new = (row["gradient at step 0"][side] for side in ("original", "patched"))  # type: ignore[index]
    assert old["seeds"] == new["seeds"] == 32
    assert math.isclose(new["variance"], old["variance"] * 1e-4, rel_tol=1e-6)
    assert math.isclose(new["noise"], old["noise"], rel_tol=1e-9), "a scale is no noise"


def test_a_gradient_that_is_not_finite_has_no_noise() -> None:
    broken = look(4, gradients={"loc": ((1.0,), (math.nan,), (1.0,), (1.0,))})
    run = observation(svi(look=broken))
    (row,) = evidence.curves(run, run, run, [0])
    assert row["gradient at step 0"]["original"]["noise"] is None  # type: ignore[index]


def test_every_promise_says_what_it_asks() -> None:
    assert set(LIMITS) == set(Promise)
    told = evidence.judged(
        {"same start": Judgement(True, "equal", {"relative error of values": 0.0})}, Promise.SAME_START
    )
    assert told["same start"]["kept when"]["relative error of values"] == "<= 1e-05"  # type: ignore[index]
    both = Promise.NO_WORSE | Promise.BETTER_START
    told = evidence.judged({"no worse": Judgement(True, "")}, both)
    assert set(told["no worse"]["kept when"]) == {"95 % interval", "start, 95 % interval"}  # type: ignore[index]


def test_lists_of_numbers_are_lines_of_json() -> None:
    text = dumps({"losses": [1.0, math.nan, -math.inf, 2e-7, 3], "words": ["nan\n", "[\n  1\n]"], "none": []})
    assert '"losses": [1.0, "nan", "-inf", 2e-07, 3]' in text
    assert json.loads(text) == {"losses": [1.0, "nan", "-inf", 2e-7, 3], "words": ["nan\n", "[\n  1\n]"], "none": []}
