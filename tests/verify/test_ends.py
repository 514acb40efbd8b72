"""Fixes that are judged where the training ends: what is run for it, what is not, and what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from handmade import FakeRunner, look, observation, svi, trajectory
from test_verifier import Case, R, U, V

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate, Promise, Proposal
from pyro_fix.verify.bench import Ends
from pyro_fix.verify.ends import _behind, unit
from pyro_fix.verify.promises import JUDGES, better_end, no_worse_end
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.units import other_families

GAIN = Promise.SAME_START | Promise.BETTER_END
HARMLESS = Promise.SAME_START | Promise.NO_WORSE_END


@pytest.fixture
def fake(tmp_path: Path) -> FakeRunner:
    return FakeRunner(tmp_path)


def known(case: Case, path: Path, steps: int | None, promise: Promise = GAIN, **changes: object) -> Proposal:
    candidate = replace(case.candidate(path, promise, **changes), steps=steps)
    return case.proposal(path, candidate)


def to_the_end(fake: FakeRunner) -> list[tuple[int, int]]:
    """Steps and seeds of the runs to the end, referees left out."""
    return [(r.steps, len(r.seeds)) for r in fake.requests if r.to_the_end and r.referee is None]


class TestGain:
    @pytest.mark.parametrize(
        ("end", "status", "words"),
        [
            (-3.0, V, "trained to its end (1,000 steps, 4 seeds) the loss ends lower by "),
            (0.001, U, "trained to its end (1,000 steps, 4 seeds) it is as good without: the loss differs by "),
            (3.0, R, "trained to its end (1,000 steps, 4 seeds) it ends worse: the loss is higher by "),
        ],
    )
    def test_what_the_end_shows(self, fake: FakeRunner, end: float, status: object, words: str) -> None:
        train = fake.program("train.py", a=1, end=0.0, noise=0.0 if end == 0.001 else 0.1)
        verdict = (case := Case(fake, train)).one(known(case, train, 1000, end=end))
        assert verdict.status is status and words in verdict.reason, verdict.reason
        assert to_the_end(fake) == [(1000, 4), (1000, 4)]
        assert verdict.evidence["level"] == "C"

    def test_a_short_run_does_not_count(self, fake: FakeRunner) -> None:
        """A rewrite that looks worse in the beginning, and is better in the end."""
        train = fake.program("train.py", bias=0, end=0)
        case = Case(fake, train)
        assert case.one(known(case, train, 1000, end=-5)).status is V
        train.write_text("bias = 0\nend = 0\n")
        worse = known(case, train, 1000, bias=-5)
        assert case.one(worse).status is U

    def test_noise_asks_for_more_pairs_as_far_as_they_can_be_afforded(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0, noise=3.0)
        case = Case(fake, train)
        case.one(known(case, train, 1000, end=-1.0))
        assert [seeds for _, seeds in to_the_end(fake)] == [4, 4, 4, 4, 8, 8][: len(to_the_end(fake))]
        assert len(to_the_end(fake)) > 2
        fake.requests.clear()
        case.one(known(case, train, 7400, end=-1.0))
        assert [seeds for _, seeds in to_the_end(fake)] == [4, 4, 4, 4]

    def test_what_others_gain_is_no_merit(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, end=0.0, noise=0.0)
        case = Case(fake, train)
        other = case.fix(train, Promise.SAME_START, end=-5.0)
        verdict, _ = case.verify(known(case, train, 1000, a=2), other)
        assert verdict.status is U and "both end at the same loss" in verdict.reason

    def test_the_last_of_its_rungs(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0)
        case = Case(fake, train)
        rungs = [replace(case.candidate(train, GAIN, end=end), steps=1000) for end in (2.0, -2.0)]
        verdict = case.one(case.proposal(train, *rungs))
        assert verdict.status is V and verdict.candidate == rungs[1]


class TestTooLong:
    def test_it_is_said_and_nothing_is_run(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0)
        case = Case(fake, train)
        verdict = case.one(known(case, train, 50_000, end=-3.0))
        assert verdict.status is U and to_the_end(fake) == []
        assert verdict.reason == (
            "what it is worth shows only at the end: 50,000 steps take about 13 min of CPU; --steps 50000 runs them"
        )

    def test_steps_allow_for_it(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0, length=5000)
        case = Case(fake, train, steps=5000)
        assert case.one(known(case, train, 5000, end=-3.0)).status is V

    def test_a_number_that_is_not_known(self, fake: FakeRunner) -> None:
        """The program is run as far as can be afforded: it ends by itself, or it does not."""
        train = fake.program("train.py", end=0.0, length=1000)
        case = Case(fake, train)
        verdict = case.one(known(case, train, None, end=-3.0))
        assert verdict.status is V and "trained to its end (1,000 steps" in verdict.reason
        assert to_the_end(fake) == [(7500, 4), (7500, 4)]
        endless = fake.program("endless.py", end=0.0, length=10**9)
        fake.requests.clear()
        verdict = (case := Case(fake, endless)).one(known(case, endless, None, end=-3.0))
        assert verdict.status is U and "not reached after 7,500 steps" in verdict.reason
        assert to_the_end(fake) == [(7500, 4)]  # the program as it is has shown enough

    def test_a_smoke_test(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0, length=20)
        verdict = (case := Case(fake, train)).one(known(case, train, None, end=-3.0))
        assert verdict.status is U and "the program ends after 20 steps" in verdict.reason

    @pytest.mark.parametrize(("kind", "args"), [("test", ()), ("program", ("--epochs", "1"))])
    def test_programs_that_train_less_than_the_user_does(self, fake: FakeRunner, kind: str, args: tuple) -> None:
        train = fake.program("train.py", end=0.0)
        case = Case(fake, train)
        target = replace(case.plans[0].target, args=args, origin="ci.yml runs it so")
        case.plans = [replace(case.plans[0], kind=kind, target=target)]
        verdict = case.one(known(case, train, None, end=-3.0))
        assert verdict.status is U and "give a command with --run" in verdict.reason
        assert case.one(known(case, train, 1000, end=-3.0)).status is V  # the source says how long it trains


class TestNoWorse:
    def test_whoever_is_seen_to_lose_is_not_verified(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0)
        case = Case(fake, train)
        assert case.one(known(case, train, 1000, HARMLESS, end=3.0)).status is R
        verdict = case.one(known(case, train, 1000, HARMLESS, end=0.01))
        assert verdict.status is V and "it ends no worse: the loss differs by " in verdict.reason

    def test_what_cannot_be_afforded_is_told(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", end=0.0)
        case = Case(fake, train)
        verdict = case.one(known(case, train, 50_000, HARMLESS, end=3.0))
        assert verdict.status is V and to_the_end(fake) == []
        judgement = verdict.evidence["judgements"]["no worse end"]  # type: ignore[index]
        assert "50,000 steps" in judgement["not trained to its end"]


class TestClamp:
    def ladder(self, case: Case, train: Path) -> Proposal:
        promise = GAIN | Promise.WHOLE_GRADIENT
        clamps = case.candidate(train, promise, optimizer="ClippedAdam", end=-3.0)
        free = case.candidate(train, promise, optimizer="ClippedAdam", end=-3.0, clamped=10**9)
        last = replace(free, only_after=Promise.WHOLE_GRADIENT, steps=1000)
        return case.proposal(train, replace(clamps, steps=1000), last)

    def test_a_clamp_that_binds_is_taken_away(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", optimizer="Adam", end=0.0, clamped=2)
        case = Case(fake, train)
        fix = self.ladder(case, train)
        verdict = case.one(fix)
        assert verdict.status is V and verdict.candidate == fix.candidates[1]
        (earlier,) = verdict.evidence["earlier candidates"]  # type: ignore[misc]
        assert earlier["reason"] == "ClippedAdam would clamp the gradient in 98 of 100 steps"

    def test_one_that_binds_late(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", optimizer="Adam", end=0.0, clamped=600)
        case = Case(fake, train)
        fix = self.ladder(case, train)
        verdict = case.one(fix)
        assert verdict.status is V and verdict.candidate == fix.candidates[1]
        (earlier,) = verdict.evidence["earlier candidates"]  # type: ignore[misc]
        assert earlier["reason"] == "ClippedAdam would clamp the gradient in 400 of 1,000 steps"

    def test_one_that_does_not_bind_needs_no_answer(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", optimizer="Adam", end=0.0, clamped=10**9)
        case = Case(fake, train)
        promise = GAIN | Promise.WHOLE_GRADIENT
        first = replace(case.candidate(train, promise, end=1.0), steps=1000)
        second = replace(case.candidate(train, promise, end=-3.0), steps=1000, only_after=Promise.WHOLE_GRADIENT)
        verdict = case.one(case.proposal(train, first, second))
        assert verdict.status is R and verdict.candidate == first

    def test_an_optimiser_that_clamped_before(self) -> None:
        def clamping(optimizer: str, steps: int):
            return observation(svi(optimizer=optimizer, trajectories=(replace(trajectory(), clamped=steps),)))

        judge, any_one = JUDGES[Promise.WHOLE_GRADIENT], Candidate((), Promise.WHOLE_GRADIENT, "")
        assert judge(clamping("Adam", 0), clamping("ClippedAdam", 1), [0], any_one).kept is False
        assert judge(clamping("Adam", 0), clamping("ClippedAdam", 0), [0], any_one).kept is True
        assert judge(clamping("ClippedAdam", 50), clamping("ClippedAdam", 60), [0], any_one).kept is True


def pairs(*differs: float, **changes: str) -> list[Pair]:
    return [Pair(seed, 100.0, 50.0, 50.0 + d, **changes) for seed, d in enumerate(differs)]  # type: ignore[arg-type]


class TestJudges:
    def test_a_gain_that_nobody_would_notice(self) -> None:
        small = pairs(-0.004, -0.005, -0.006, -0.005)
        assert better_end.judge(small, 1.0, "").kept is None
        assert better_end.judge(small, 1 / 400, "").kept is True  # an ELBO that is divided by 400

    @pytest.mark.parametrize("judge", [better_end.judge, no_worse_end.judge])
    def test_bad_ends(self, judge) -> None:
        assert judge(pairs(1.0, 1.0, patched_ending="NaN at step 900"), 1.0, "").kept is False
        both = judge(pairs(1.0, 1.0, patched_ending="NaN", original_ending="NaN"), 1.0, "")
        assert both.kept is None and both.waits
        assert judge(pairs(1.0, 1.0, original_ending="NaN at step 900"), 1.0, "").kept is True
        assert judge(pairs(float("nan"), 1.0), 1.0, "").kept is None
        for own, kept in (((9.0, 3.0), True), ((9.0, 9.0), None)):  # one that hardly moves breaks nowhere either
            broken = [replace(pair, own=own) for pair in pairs(1.0, 1.0, original_ending="NaN at step 900")]
            assert judge(broken, 1.0, "").kept is kept

    def test_the_end_is_that_of_the_program_that_comes_to_it(self, fake: FakeRunner) -> None:
        """An original that breaks at its third step is not trained to its end by that."""
        train = fake.program("train.py", lr=1.0, fails=2, end=0.0)
        case = Case(fake, train)
        promise = Promise.STABLE | Promise.NO_WORSE_END
        verdict = case.one(known(case, train, 1000, promise, lr=0.01, fails=None))
        words = "trained to its end (1,000 steps, 4 seeds) it holds, which the original does not: ValueError at step 2"
        assert words in verdict.reason, verdict.reason

    def test_the_unit_is_the_scale_of_the_whole(self) -> None:
        assert unit(observation(svi(look=look(factor=1 / 400))), 0) == 1 / 400
        assert unit(observation(svi(look=look(factor=20.0))), 0) == 1.0  # a subsample's scale
        assert unit(observation(svi(look=None)), 0) == 1.0


@pytest.mark.parametrize(
    ("differences", "weak"),
    [
        ((-3.0, 1.0, -3.0, 1.0), False),  # sixteen like these would not tell either
        ((-3.0, 0.0, -2.0, 0.5), True),
        ((0.5, -0.5, 0.1, 0.2), False),  # no gain to be told
    ],
)
def test_more_trainings_are_made_only_where_they_may_tell(differences: tuple[float, ...], weak: bool) -> None:
    pairs = [Pair(seed, 100.0, 50.0, 50.0 + value) for seed, value in enumerate(differences)]
    judgement = better_end.judge(pairs, 1.0, "trained to its end")
    assert judgement.kept is None and judgement.weak is weak


def ended(levels: tuple[float, float]) -> Observation:
    """Two seeds whose losses are ``levels`` over all of a hundred steps."""
    made = tuple(trajectory(seed, losses=(level,) * 100) for seed, level in enumerate(levels))
    return observation(svi(trajectories=made))


@pytest.mark.parametrize(("after", "behind"), [((11.0, 12.01), True), ((10.0, 11.0), False), ((9.0, 10.0), False)])
def test_a_program_that_falls_behind_data_that_go_on(after: tuple[float, float], behind: bool) -> None:
    """A referee that looks at batches of before prefers the one that forgets nothing."""
    shown = Ends(ended((10.0, 11.0)), ended(after), {})
    assert bool(_behind(shown, 0, 1.0, "trained to its end")) is behind


@pytest.mark.parametrize(("family", "other"), [("LogNormal", True), ("Normal", False)])
def test_parameters_of_another_family_are_not_the_referees_to_read(family: str, other: bool) -> None:
    before = look()
    guide = {name: replace(site, distribution="Normal") for name, site in before.guide.items()}
    changed = {name: replace(site, distribution=family) for name, site in before.guide.items()}
    one, two = (svi(look=replace(before, guide=sites)) for sites in (guide, changed))
    assert other_families(one, two) is other


def test_losses_of_unequal_size_are_losses_all_the_same() -> None:
    """Four of them ask for as many again; eight of eight are no chance, however wide their interval."""
    few, many = (308.0, 381.0, 1991.0, 2845.0), (308.0, 381.0, 1991.0, 2845.0, 300.0, 410.0, 9000.0, 320.0)
    assert no_worse_end.harm(pairs(*few), 6.0).weak
    assert no_worse_end.harm(pairs(*many), 6.0).kept is False
    assert no_worse_end.harm(pairs(*many[:7], 5.0), 6.0).kept is not False


def test_an_original_that_breaks_under_some_seeds_and_is_better_under_the_others() -> None:
    rows = pairs(190.0, 195.0, 0.0, 0.0)
    broke = [*rows[:2], *(replace(pair, original_ending="ValueError at step 190") for pair in rows[2:])]
    judgement = no_worse_end.harm(broke, 20.0)
    assert judgement.kept is None and "higher by 190 to 195 under the others" in judgement.reason
    holds = no_worse_end.harm([replace(pair, original=300.0) for pair in broke], 20.0)
    assert holds.kept is True and "it holds, which the original does not: ValueError at step 190" in holds.reason
