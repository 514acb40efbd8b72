"""What shows after step 0: another objective at later parameters, and a training that ends worse."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import FakeRunner, looking, observation, site, svi
from test_verifier import Case, R, V

from pyro_fix.observation import Look, Observation
from pyro_fix.sources import read
from pyro_fix.transform import Candidate, Promise, Proposal, Status
from pyro_fix.verify import Verifier, later
from pyro_fix.verify.fix import Fix
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import JUDGES, no_worse_end
from pyro_fix.verify.promises.no_worse import Pair

CONSTRAINT = Promise.SAME_START | Promise.RUNS_CLEAN


@pytest.fixture
def fake(tmp_path: Path) -> FakeRunner:
    return FakeRunner(tmp_path)


def seen(*states: tuple[float, ...], elbo: str = "Trace_ELBO") -> Observation:
    return observation(svi(elbo=elbo, referee={f"original-{i}/last": losses for i, losses in enumerate(states)}))


def fix_of(promise: Promise) -> Fix:
    candidate = Candidate((), promise, "a fix")
    return Fix(Proposal("SVI999", "a-fix", 5, Path("a.py"), 1, 1, "", (candidate,)), ordinals=(0,))


def judged(before: Observation, after: Observation, promise: Promise, factor: float = 1.0) -> Judgement:
    fix = fix_of(promise)
    fix.judgements["same objective"] = Judgement(True, "", {"constant": factor})
    return later.judge(before, after, [fix])


class TestJudge:
    def test_equal_seed_by_seed(self) -> None:
        before = seen((100.0, 101.0), (90.0, 91.0))
        assert judged(before, before, Promise.SAME_START).kept is True
        near = seen((100.0 * (1 + 1e-6), 101.0), (90.0, 91.0))
        assert judged(before, near, Promise.SAME_START).kept is True
        judgement = judged(before, seen((100.0, 101.0), (90.0, 95.0)), Promise.SAME_START)
        assert judgement.kept is False and "95 instead of 91" in judgement.reason

    def test_times_the_constant_of_step_0(self) -> None:
        before, scaled = seen((100.0, 101.0)), seen((1.0, 1.01))
        assert judged(before, scaled, Promise.SAME_OBJECTIVE, 0.01).kept is True
        assert judged(before, before, Promise.SAME_OBJECTIVE, 0.01).kept is False

    def test_by_the_mean_where_it_is_another_estimate(self) -> None:
        before = seen(tuple(100.0 + i for i in range(8)))
        noisy, higher = (
            seen(tuple(level + i + noise * (-1) ** i for i in range(8)), elbo="TraceMeanField_ELBO")
            for level, noise in ((100.0, 1.0), (105.0, 0.1))
        )
        assert judged(before, noisy, Promise.SAME_EXPECTATION).kept is True
        assert judged(before, noisy, Promise.SAME_START).kept is False
        same = seen(noisy.svis[0].referee["original-0/last"])
        assert judged(before, same, Promise.SAME_EXPECTATION).kept is False, "the same ELBO draws the same numbers"
        judgement = judged(before, higher, Promise.SAME_EXPECTATION)
        assert judgement.kept is False and "higher by" in judgement.reason

    def test_parameters_that_it_cannot_take(self) -> None:
        judgement = judged(seen((100.0,)), seen((math.nan,)), Promise.SAME_START)
        assert judgement.kept is None and "cannot take" in judgement.reason
        assert judged(seen((math.nan,)), seen((math.nan,)), Promise.SAME_START).kept is True, "nor can the original"

    def test_who_is_asked(self) -> None:
        fixes = {p: fix_of(p) for p in Promise}
        asked = [p for p in Promise if later.asked(fixes[p])]
        assert Promise.NO_WORSE not in asked and Promise.RUNS_CLEAN not in asked and Promise.SAME_START in asked
        sound = observation(svi())
        judgement = JUDGES[Promise.RUNS_CLEAN](sound, sound, (0,), fixes[Promise.RUNS_CLEAN].candidate)
        fixes[Promise.RUNS_CLEAN].judgements["runs clean"] = judgement
        assert later.asked(fixes[Promise.RUNS_CLEAN]), "there was nothing to mend"


def test_another_objective_at_later_parameters_is_no_fix(fake: FakeRunner) -> None:
    train = fake.program("train.py", a=1, objective=0, length=10)
    case = Case(fake, train)
    judgement = case.one(case.fix(train, CONSTRAINT, objective=3))
    assert judgement.status is R and "at the parameters that the original ends with" in judgement.reason
    assert case.one(case.fix(train, CONSTRAINT, a=2)).status is V


def test_the_culprit_is_found_among_several(fake: FakeRunner) -> None:
    train = fake.program("train.py", a=1, objective=0, b=1, length=10)
    case = Case(fake, train)
    changes = [
        case.fix(train, CONSTRAINT, a=2),
        case.fix(train, CONSTRAINT, objective=3),
        case.fix(train, CONSTRAINT, b=2),
    ]
    assert [verdict.status for verdict in case.verify(*changes)] == [V, R, V]


class TestEnd:
    def ended(self, fake: FakeRunner) -> list[int]:
        return [len(r.seeds) for r in fake.requests if r.to_the_end and r.referee is None]

    def test_a_fix_that_says_nothing_of_the_end_may_not_spoil_it(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, end=0)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, CONSTRAINT, end=5))
        assert verdict.status is R and "trained to its end it is worse" in verdict.reason
        assert case.one(case.fix(train, CONSTRAINT, a=2)).status is V

    @pytest.mark.parametrize(("observes", "status"), [(True, V), (False, R)])
    def test_what_a_fix_observes_is_another_evidence(self, fake: FakeRunner, observes: bool, status: Status) -> None:
        """The original draws from the prior what the data say: it is no judge of who looks at them."""
        train = fake.program("train.py", a=1, end=0)
        case = Case(fake, train)

        def labelled(found: Look, text: bytes) -> Look:
            return replace(found, model={**found.model, "y": site(observed=observes and b"a = 2" in text)})

        run = looking(fake, labelled)
        fix = case.fix(train, Promise.RUNS_CLEAN, a=2, end=5)
        (verdict,) = Verifier(case.plans, {train: read(train)}, case.options, run).verify([fix])
        assert verdict.status is status, verdict.reason

    def test_all_fixes_are_trained_together(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, b=1, c=1, end=0)
        case = Case(fake, train)
        fixes = [case.fix(train, CONSTRAINT, **{key: 2}) for key in "abc"]
        assert {verdict.status for verdict in case.verify(*fixes)} == {V}
        assert self.ended(fake) == [1, 4, 4], "as it is under one seed, under all, and with all fixes"

    def test_nothing_where_it_takes_too_long(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, end=0, length=10**6)
        case = Case(fake, train)
        assert case.one(case.fix(train, CONSTRAINT, end=5)).status is V
        assert self.ended(fake) == [1]
        known = case.fix(train, CONSTRAINT, a=2)
        case.one(replace(known, candidates=(replace(known.candidates[0], steps=10**6),)))
        assert self.ended(fake) == [1], "nor is it tried where the source tells"

    def test_more_pairs_where_the_first_make_it_likely(self) -> None:
        pairs = [Pair(seed, 0.0, 100.0, 100.0 + lost) for seed, lost in enumerate((5.0, 13.0, 3.0, 14.0))]
        assert no_worse_end.harm(pairs, 0.01).weak
        assert no_worse_end.harm([*pairs, *pairs], 0.01).kept is False

    @pytest.mark.parametrize(("lost", "kept"), [(1.0, False), (-1.0, True), (0.0, True), (0.001, True)])
    def test_judge(self, lost: float, kept: bool) -> None:
        pairs = [Pair(seed, 0.0, 100.0 + seed, 100.0 + seed + lost * (1 + 0.1 * seed)) for seed in range(4)]
        assert no_worse_end.harm(pairs, 0.01).kept is kept

    def test_time_may_be_lost_where_the_objective_stays(self, fake: FakeRunner) -> None:
        """A parameter moves otherwise in another constraint; 5 % of the progress may go."""
        train = fake.program("train.py", a=1, end=0)
        case = Case(fake, train)
        assert case.one(case.fix(train, CONSTRAINT, end=1)).status is V
        assert case.one(case.fix(train, Promise.NO_WORSE, end=1)).status is R

    def test_what_does_not_compare_shows_no_harm(self) -> None:
        pair = Pair(0, 0.0, 100.0, 200.0)
        assert no_worse_end.harm([replace(pair, unlike="the guide is another one")] * 4, 0.01).kept is True
        assert no_worse_end.harm([replace(pair, original=math.nan)] * 4, 0.01).kept is True
        own = [replace(pair, patched=math.nan, own=(0.0, 100.0 + i), original_own=(0.0, 50.0)) for i in range(4)]
        assert no_worse_end.harm(own, 0.01).kept is False, "under other inputs each program speaks for itself"
        assert no_worse_end.harm([replace(pair, patched_ending="NaN")] * 4, 0.01).kept is False
