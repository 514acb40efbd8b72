"""Stable, and a rate that is a share of the original's: what SVI011 and SVI162 promise."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from handmade import FakeRunner, look, observation, svi, trajectory
from test_verifier import Case

from pyro_fix.observation import Failure, Observation, Trajectory
from pyro_fix.transform import Candidate, Promise, Proposal, Rate, Status
from pyro_fix.verify.promises import JUDGES, declared_rate, stable

SMALLER = Candidate((), Promise.DECLARED_RATE | Promise.STABLE, "smaller", Rate(share=0.1))


def run(*trajectories: Trajectory, optimizer: str = "Adam") -> Observation:
    return observation(svi(trajectories=trajectories, optimizer=optimizer))


def nan(step: int, *, seed: int = 0, lr: float = 0.5) -> Trajectory:
    return trajectory(seed, lr=lr, losses=(110.0,) * step + (math.nan,), first_nonfinite=step)


def judge(original: Observation, patched: Observation):
    return stable.judge(original, patched, (0,), SMALLER)


def test_it_is_a_promise_with_a_judge() -> None:
    assert JUDGES[Promise.STABLE] is stable.judge


def test_the_trouble_is_gone() -> None:
    judgement = judge(run(nan(10)), run(trajectory(lr=0.05)))
    assert judgement.kept and "the loss is not finite at step 10" in judgement.reason


def test_nothing_to_mend() -> None:
    judgement = judge(run(trajectory(lr=0.5)), run(trajectory(lr=0.05)))
    assert judgement.kept is False and "nothing to mend" in judgement.reason


@pytest.mark.parametrize(
    "left",
    [
        nan(20, lr=0.05),
        trajectory(lr=0.05, losses=(110.0,) * 20 + (1e6,) * 80),
        trajectory(lr=0.05, losses=(110.0,) * 30, failure=Failure("ValueError", "scale", step=30)),
    ],
    ids=["NaN", "runs away", "exception"],
)
def test_the_trouble_is_still_there(left: Trajectory) -> None:
    judgement = judge(run(nan(10)), run(left))
    assert judgement.kept is False and "still goes wrong" in judgement.reason


def test_one_seed_is_enough_to_break_it() -> None:
    original = run(nan(10), trajectory(1, lr=0.5))
    assert judge(original, run(trajectory(lr=0.05), trajectory(1, lr=0.05))).kept
    assert judge(original, run(trajectory(lr=0.05), nan(50, seed=1, lr=0.05))).kept is False


SLOW = tuple(110.0 - 0.01 * t for t in range(100))


def test_it_has_to_come_as_far() -> None:
    """The original went wrong after 60 steps of 0.5; a hundred of 0.05 are a sixth of the way."""
    original = run(trajectory(lr=0.5, losses=(*(110.0 - 0.1 * t for t in range(60)), math.nan), first_nonfinite=60))
    judgement = judge(original, run(trajectory(lr=0.05, losses=SLOW)))
    assert judgement.kept is None and "too short to tell: it moves 17% of the way" in judgement.reason
    assert judgement.final
    assert judge(original, run(trajectory(lr=0.05, losses=SLOW * 6))).kept


def test_or_its_loss_as_low() -> None:
    original = run(trajectory(lr=0.5, losses=(*(110.0 - 0.1 * t for t in range(60)), math.nan), first_nonfinite=60))
    assert judge(original, run(trajectory(lr=0.05, losses=(105.0,) * 50 + (104.0,) * 50))).kept


def test_by_the_median_over_the_seeds() -> None:
    def failing(step: int, seed: int) -> Trajectory:
        losses = (*(110.0 - 0.1 * t for t in range(step)), math.nan)
        return trajectory(seed, lr=0.5, losses=losses, first_nonfinite=step)

    slow = run(*(trajectory(seed, lr=0.05, losses=SLOW) for seed in range(3)))
    assert judge(run(*(failing(step, seed) for seed, step in enumerate((5, 6, 60)))), slow).kept
    assert judge(run(*(failing(step, seed) for seed, step in enumerate((5, 60, 60)))), slow).kept is None


def test_spikes_are_gone_where_the_optimiser_clips() -> None:
    spiking = trajectory()
    spiking = Trajectory(
        **{**vars(spiking), "gradient_norms": tuple(1e9 if step == 40 else 8.0 for step in range(100))}
    )
    assert judge(run(spiking), run(spiking)).kept is False
    judgement = judge(run(spiking), run(spiking, optimizer="ClippedAdam"))
    assert judgement.kept and "spikes to 1e+09 at step 40" in judgement.reason


def test_svi_objects_that_the_fix_does_not_change_do_not_count() -> None:
    original = observation(svi(trajectories=(nan(10),)), svi(1, trajectories=(nan(10),)))
    patched = observation(svi(trajectories=(trajectory(lr=0.05),)), svi(1, trajectories=(nan(10),)))
    assert stable.judge(original, patched, (0,), SMALLER).kept
    assert stable.judge(original, patched, (0, 1), SMALLER).kept is False


def test_an_svi_object_that_ran_well_may_share_the_optimiser() -> None:
    original = observation(svi(trajectories=(nan(10),)), svi(1, trajectories=(trajectory(lr=0.5),)))
    patched = observation(svi(trajectories=(trajectory(lr=0.05),)), svi(1, trajectories=(trajectory(lr=0.05),)))
    assert stable.judge(original, patched, (0, 1), SMALLER).kept


class TestShare:
    def judge(self, original: Observation, patched: Observation, share: float):
        candidate = Candidate((), Promise.DECLARED_RATE, "", Rate(share=share))
        return declared_rate.judge(original, patched, (0,), candidate)

    def test_of_a_constant_rate(self) -> None:
        judgement = self.judge(run(trajectory(lr=0.5)), run(trajectory(lr=0.05)), 0.1)
        assert judgement.kept and "0.1 times the original's at all 100 steps" in judgement.reason

    def test_of_a_rate_that_decays(self) -> None:
        assert self.judge(run(trajectory(lr=0.5, lrd=0.99)), run(trajectory(lr=0.05, lrd=0.99)), 0.1).kept
        assert self.judge(run(trajectory(lr=0.5, lrd=0.99)), run(trajectory(lr=0.05)), 0.1).kept is False

    def test_of_a_schedule(self) -> None:
        before = observation(svi(trajectories=(trajectory(lr=0.5, lrd=0.9),), optimizer="ExponentialLR(Adam)"))
        after = observation(svi(trajectories=(trajectory(lr=0.05, lrd=0.9),), optimizer="ExponentialLR(Adam)"))
        assert self.judge(before, after, 0.1).kept

    def test_another_rate(self) -> None:
        assert self.judge(run(trajectory(lr=0.5)), run(trajectory(lr=0.06)), 0.1).kept is False
        assert self.judge(run(trajectory(lr=0.5)), run(trajectory(lr=0.5)), 1.0).kept

    def test_as_far_as_the_original_came(self) -> None:
        judgement = self.judge(run(nan(10)), run(trajectory(lr=0.05)), 0.1)
        assert judgement.kept and "all 11 steps that both made" in judgement.reason

    def test_the_first_step_is_unchanged(self) -> None:
        after = observation(svi(trajectories=(trajectory(lr=0.05),), look=look(factor=2.0)))
        assert self.judge(run(trajectory(lr=0.5)), after, 0.1).kept is False

    def test_no_step_no_rate(self) -> None:
        assert self.judge(run(trajectory(steps=0)), run(trajectory(lr=0.05)), 0.1).kept is None


class TestVerifier:
    PROMISE = Promise.DECLARED_RATE | Promise.STABLE

    def fix(self, case: Case, path: Path, *steps: tuple[float, list[int]]) -> Proposal:
        """A ladder of rates, each with the seeds that it leaves NaN."""
        rungs = [case.candidate(path, self.PROMISE, Rate(share=lr / 0.5), lr=lr, hot=hot) for lr, hot in steps]
        return case.proposal(path, *rungs)

    def test_the_first_rate_that_is_stable(self, tmp_path: Path) -> None:
        fake = FakeRunner(tmp_path)
        path = fake.program("train.py", lr=0.5, hot=[0, 1, 2, 3])
        verdict = (case := Case(fake, path)).one(self.fix(case, path, (0.1, [1]), (0.05, []), (0.01, [])))
        assert verdict.status is Status.VERIFIED and verdict.candidate is not None
        assert verdict.candidate.label.startswith("lr=0.05")

    def test_a_run_that_is_too_short_ends_the_ladder(self, tmp_path: Path) -> None:
        fake = FakeRunner(tmp_path)
        path = fake.program("train.py", lr=0.5, hot=[0, 1, 2, 3], bias=0)
        case = Case(fake, path, steps=20)
        rungs = [
            case.candidate(path, self.PROMISE, Rate(share=lr / 0.5), lr=lr, hot=[], bias=58) for lr in (0.005, 0.001)
        ]
        verdict = case.one(case.proposal(path, *rungs))
        assert verdict.status is Status.UNVERIFIED and "too short to tell" in verdict.reason
        assert verdict.candidate is rungs[0] and "earlier candidates" not in verdict.evidence

    def test_what_is_well_is_left_alone(self, tmp_path: Path) -> None:
        fake = FakeRunner(tmp_path)
        path = fake.program("train.py", lr=0.5, hot=[])
        verdict = (case := Case(fake, path)).one(self.fix(case, path, (0.05, [])))
        assert verdict.status is Status.REJECTED and "nothing to mend" in verdict.reason

    def test_beside_other_fixes_all_seeds_have_to_be_stable(self, tmp_path: Path) -> None:
        """One fix of several is run alone under the first seed only."""
        fake = FakeRunner(tmp_path)
        path = fake.program("train.py", lr=0.5, hot=[0, 3], factor=1)
        case = Case(fake, path)
        other = case.fix(path, Promise.SAME_OBJECTIVE, factor=0.01)
        left, scaled = case.verify(self.fix(case, path, (0.05, [3])), other)
        assert left.status is Status.REJECTED and "still goes wrong" in left.reason
        mended, scaled = case.verify(self.fix(case, path, (0.05, [3]), (0.01, [])), other)
        assert mended.status is Status.VERIFIED and scaled.status is not Status.REJECTED
