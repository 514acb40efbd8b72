"""What a program is worth with all its fixes, trained to its end."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import FakeRunner, script

from pyro_fix.proof import Point, Proof, Side
from pyro_fix.runner.model import GIVEN
from pyro_fix.verify import RunPlan, VerifyOptions, prove
from pyro_fix.verify.bench import Bench
from pyro_fix.verify.prove import _reached, _rise, verdict
from pyro_fix.verify.verifier import laboratory


@pytest.fixture
def fake(tmp_path: Path) -> FakeRunner:
    return FakeRunner(tmp_path)


def proven(
    fake: FakeRunner, within: float | None = 60.0, steps: int = 1000, plan: RunPlan | None = None, **fixed: object
) -> Proof:
    """The one proof of ``train.py``, to which the fixes have done what ``fixed`` says."""
    path = fake.root / "train.py"
    settings = dict(line.split(" = ", 1) for line in path.read_text().splitlines())
    after = "".join(f"{k} = {v}\n" for k, v in (settings | {k: str(v) for k, v in fixed.items()}).items()).encode()
    options = VerifyOptions(Path("/usr/bin/python3"), jobs=2)
    plan = plan or RunPlan(script(path), 1, steps=steps)
    with laboratory(options, run=fake) as lab:
        sides = [prove.Program(Bench(lab, {}, options, (), base), plan) for base in ({}, {path: after})]
        (proof,) = prove.all_of([(sides[0], sides[1])], within, 2, lambda _: None)
    return proof


class TestVerdicts:
    @pytest.mark.parametrize(
        ("end", "verdict", "words"),
        [
            (-5.0, "better", "better by "),
            (0.001, "as good", "as good: the ELBO differs by "),
            (5.0, "worse", "worse by "),
        ],
    )
    def test_what_the_end_shows(self, fake: FakeRunner, end: float, verdict: str, words: str) -> None:
        fake.program("train.py", end=0, noise=0.02)
        proof = proven(fake, end=end)
        assert proof.verdict == verdict and proof.reason.startswith(words), proof.reason
        # What holds a fix back is looked at again.
        seeds = 8 if verdict == "worse" else 4
        assert proof.before is not None and proof.before.steps == 1000 and len(proof.before.losses) == seeds
        assert proof.gain is not None and proof.gain[1] <= proof.gain[0] <= proof.gain[2]
        assert proof.judge == "the original's objective"

    def test_what_goes_wrong_with_the_fixes_alone_is_worse(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0)
        proof = proven(fake, end=-50, hot=[2])
        assert proof.verdict == "worse" and proof.reason.startswith("with the fixes 1 of 4 trainings go wrong: ")

    def test_what_goes_wrong_without_them_alone_is_better(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, fails=5)
        proof = proven(fake, fails="null")
        assert proof.verdict == "better" and "without the fixes 4 of 4 trainings go wrong" in proof.reason
        assert "1,000 steps" in proof.reason

    def test_what_costs_may_be_there_for_what_few_seeds_show(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, noise=0.02, hot=[6])
        proof = proven(fake, end=5, hot=[])
        assert proof.verdict == "cannot tell" and "without the fixes 1 of 8 trainings go wrong" in proof.reason

    def test_who_is_behind_and_goes_on_is_not_worse(self) -> None:
        before = Side(500, {seed: 10.0 + seed / 100 for seed in range(4)})
        after = replace(before, losses={seed: 12.0 + seed / 100 for seed in range(4)})
        asked = Proof("train.py", 0, (0, 1, 2, 3), "cannot tell", "", before, after)
        assert verdict(asked).verdict == "worse"
        assert verdict(replace(asked, after=replace(after, rise=(1.5, 100)))).verdict == "worse"
        told = verdict(replace(asked, after=replace(after, rise=(2.5, 100))))
        assert told.verdict == "cannot tell" and told.reason.startswith("cannot tell: behind by 2 nats (95 % CI ")
        assert told.reason.endswith("the ELBO still rises, by 2.5 nats over the last 100 steps")

    def test_more_seeds_where_four_leave_it_open(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, noise=1.5)
        proof = proven(fake, end=-1.2)
        assert len(proof.seeds) > 4 and proof.before is not None and len(proof.before.losses) == len(proof.seeds)

    def test_what_is_made_up_has_no_worth(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, lacks={"seaborn": ""})
        assert proven(fake, end=-5.0).verdict == "better"
        fake.program("train.py", end=0, lacks={"pandas": "float() at train.py:3"})
        proof = proven(fake, end=-5.0)
        assert proof.verdict == "cannot tell" and proof.reason.startswith("pandas is not installed: a stand-in took")


class TestBudget:
    def test_a_long_training_is_not_made_unasked(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0)
        proof = proven(fake, within=5.0, steps=100_000)
        assert proof.verdict == "cannot tell" and "100,000 steps take about 27 min of CPU; --prove" in proof.reason
        assert not [r for r in fake.requests if r.to_the_end]

    def test_it_is_made_when_asked_for(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, noise=0.01, length=3000)
        proof = proven(fake, within=None, steps=3000, end=-9)
        assert proof.verdict == "better"
        # As long as the steps may take.
        assert {r.timeout for r in fake.requests if r.to_the_end and r.referee is None} == {360.0}

    def test_an_end_that_nobody_knows_is_looked_for_within_the_budget(self, fake: FakeRunner) -> None:
        fake.program("train.py", bias=0)
        proof = proven(fake, steps=0)
        assert proof.verdict == "cannot tell" and "its end is not reached after 1,024 steps" in proof.reason
        assert [len(r.seeds) for r in fake.requests if r.to_the_end] == [1]

    def test_an_end_that_nobody_knew_is_found(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0, noise=0.01, length=700)
        assert proven(fake, steps=0, end=-3).verdict == "better"

    def test_a_smoke_test_has_no_end_to_speak_of(self, fake: FakeRunner) -> None:
        fake.program("train.py", end=0)
        assert proven(fake, steps=20).reason == "the program ends after 20 steps"

    def test_neither_have_tests_nor_commands_that_tests_give(self, fake: FakeRunner) -> None:
        path = fake.program("train.py", end=0)
        assert "give a command with --run" in proven(fake, plan=RunPlan(script(path), 1, kind="test")).reason
        short = replace(script(path), args=("--steps", "9"), origin="tests/test_it.py runs it")
        assert "may be short" in proven(fake, plan=RunPlan(short, 1)).reason
        mine = replace(short, origin=GIVEN)
        assert "may be short" not in proven(fake, plan=RunPlan(mine, 1)).reason


def side(losses: dict[int, float], way: tuple[Point, ...] = (), endings: dict[int, str] | None = None) -> Side:
    return Side(1000, losses, endings or {}, way)


class TestWords:
    def test_the_step_at_which_the_originals_end_is_reached(self) -> None:
        way = (Point(0, {0: 100.0, 1: 120.0}), Point(200, {0: 50.0, 1: 50.0}), Point(400, {0: 30.0, 1: 30.0}))
        assert _reached(40.0, side({}, way)) == 300
        assert _reached(29.0, side({}, way)) is None
        before, after = side({0: 40.0, 1: 40.1}), side({0: 30.0, 1: 30.2}, way)
        proof = verdict(Proof("train.py", 0, (0, 1), "cannot tell", "", before, after))
        assert proof.verdict == "better" and proof.reached == 300
        assert proof.reason.endswith("the original's end reached in 300 of 1,000 steps")

    def test_a_gain_that_is_sure_and_small_is_none(self) -> None:
        before = side({s: 40.0 + s for s in range(4)})
        after = side({s: 39.95 + s + 0.001 * s for s in range(4)})
        assert verdict(Proof("train.py", 0, (0, 1, 2, 3), "cannot tell", "", before, after)).verdict == "as good"

    def test_what_no_objective_can_evaluate(self) -> None:
        before, after = side({0: 40.0, 1: 41.0}), side({0: math.nan, 1: math.nan})
        proof = verdict(Proof("train.py", 0, (0, 1), "cannot tell", "", before, after))
        assert proof.verdict == "cannot tell" and proof.gain is None

    def test_what_holds_and_is_worse_wherever_both_hold(self) -> None:
        way = (Point(0, {0: 100.0, 1: 100.0, 2: 100.0}),)
        before = side({0: 10.0, 1: 11.0}, endings={2: "NaN at step 5"})
        after = side({0: 30.0, 1: 31.0, 2: 30.5}, way)
        proof = verdict(Proof("train.py", 0, (0, 1, 2), "cannot tell", "", before, after))
        assert proof.verdict == "cannot tell" and "the ELBO is lower by 20 to 20 nats" in proof.reason


class TestRise:
    def way(self, *losses: float, sure: float = 0.0) -> list[Point]:
        return [Point(10 * n, {0: loss, 1: loss + sure * n, 2: loss - sure}) for n, loss in enumerate(losses, 1)]

    def test_of_a_training_that_is_not_over(self) -> None:
        rise = _rise(self.way(*range(20, 0, -1)))
        assert rise is not None and rise[0] == pytest.approx(4) and rise[1] == 40

    def test_of_one_that_is(self) -> None:
        assert _rise(self.way(*range(20, 8, -1), *[8.0] * 8)) is None

    def test_of_one_that_is_noisy(self) -> None:
        assert _rise(self.way(*range(20, 0, -1), sure=3.0)) is None

    def test_of_few_points(self) -> None:
        assert _rise(self.way(5, 4, 3, 2)) is None
