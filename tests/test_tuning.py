"""Other numbers take the place of a fix's own where they train better, and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from pyro_fix import choices, tuning
from pyro_fix.choices import Choice
from pyro_fix.culprits import Outcome
from pyro_fix.proof import ORIGINALS, Proof, Side
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Status, Verdict

FILE = Path("train.py")
OTHERS_BUILD_ON_IT = 0.07
Loss = Callable[[float, int, float], float]


def parabola(best: float, *, noise: float = 0.0) -> Loss:
    """A loss that is least where the number is ``best``; the seeds' noise is another one for each number."""

    def loss(value: float, seed: int, share: float) -> float:
        return 100 * math.log10(value / best) ** 2 + noise * math.sin(1e3 * value * (seed + 1)) + 0.01 * seed

    return loss


class Job:
    """One fix that writes a number (or several), after which the loss is so many nats."""

    def __init__(
        self,
        loss: Loss,
        value: float = 0.05,
        *,
        proofs: bool = True,
        judge: str = ORIGINALS,
        keeps: Callable[[float], bool] = lambda value: True,
        wrong: Callable[[float, int], bool] = lambda value, seed: False,
        more: Sequence[float] = (),
        late: bool = False,
    ) -> None:
        self.loss, self.value, self.proofs, self.judge = loss, value, proofs, judge
        self.keeps, self.wrong, self.more, self.late = keeps, wrong, more, late
        self.asked: list[tuple[int, tuple[int, ...], float]] = []
        """Variants, seeds and share of each question."""

    def candidate(self, *values: float) -> Candidate:
        def number(at: int) -> Number:
            def written(other: float) -> Candidate:
                return self.candidate(*values[:at], other, *values[at + 1 :])

            return Number(f"number {at}", values[at], 1e-4, 1.0, written, late=self.late)

        label = " ".join(f"{value:g}" for value in values)
        numbers = tuple(map(number, range(len(values))))
        return Candidate((Edit(FILE, 0, 1, label),), Promise.RUNS_CLEAN, label, numbers=numbers)

    def again(self, first: choices.First) -> Outcome:
        proposal = Proposal("SVI999", "a-fix", 1, FILE, 1, 1, "", (self.candidate(self.value, *self.more),))
        ordered = choices.preferring(proposal, first.get("fix")).candidates
        kept = [one for one in ordered if self.keeps(one.numbers[0].value)]
        fails = [{"candidate": one.label, "reason": "it diverges"} for one in ordered if one not in kept]
        verdict = Verdict(Status.VERIFIED, "verified", {"earlier candidates": fails}, kept[0])
        finding = Finding(proposal, verdict, "", True, fingerprint="fix")
        side = self.side(self.texts(Outcome([finding], [], None)), range(4), 1.0)
        proof = Proof("train.py", 0, (0, 1, 2, 3), "better", "as slow as that", side, side, judge=self.judge)
        return Outcome([finding], [proof] if self.proofs else [], None)

    # --- what the engine has

    def texts(self, outcome: Outcome) -> tuning.Texts:
        candidate = outcome.findings[0].verdict.candidate
        assert candidate is not None
        return {FILE: candidate.label.encode()}

    def instead(self, outcome: Outcome, old: Candidate, new: Candidate) -> tuning.Texts | None:
        return (
            None if OTHERS_BUILD_ON_IT in (old.numbers[0].value, new.numbers[0].value) else {FILE: new.label.encode()}
        )

    def trained(
        self, variants: Sequence[tuning.Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        self.asked.append((len(variants), seeds, share))
        return [[self.side(texts, seeds, share) for _ in proofs] for texts in variants]

    def side(self, texts: tuning.Texts, seeds: Sequence[int], share: float) -> Side:
        value = math.prod(map(float, texts[FILE].split()))
        wrong = {seed: "NaN" for seed in seeds if self.wrong(value, seed)}
        return Side(400, {seed: self.loss(value, seed, share) for seed in seeds if seed not in wrong}, wrong)

    def __call__(self) -> Finding:
        (finding,) = tuning.best(self.again({}), {}, self.again, ("SVI999",), self).findings
        return finding


def written(finding: Finding) -> list[float]:
    assert finding.verdict.candidate is not None
    return [number.value for number in finding.verdict.candidate.numbers]


def test_a_better_number_is_written() -> None:
    job = Job(parabola(0.3))
    finding = job()
    assert written(finding) == [0.3]
    assert "; number 0 0.3 in place of 0.05: better by 60.6 nats (95 % CI " in finding.verdict.reason
    assert "8 seeds)" in finding.verdict.reason
    (told,) = finding.verdict.evidence[tuning.TUNING]  # type: ignore[misc]
    assert (told["was"], told["is"]) == (0.05, 0.3)
    assert [len(rung["gains"]) for rung in told["rungs"]] == [8, 4, 2]


def test_halves_go_on_over_more_seeds_and_more_steps_and_fresh_seeds_decide() -> None:
    job = Job(parabola(0.3))
    job()
    assert job.asked == [(9, (0,), 0.25), (5, (0, 1), 0.5), (3, (0, 1, 2, 3), 1.0), (2, tuning.FRESH, 1.0)]
    assert not set(tuning.FRESH) & set(range(16)), "seeds that a verification may have"


def test_what_tells_only_at_the_end_is_trained_to_it_from_the_first() -> None:
    job = Job(parabola(0.3), late=True)
    job()
    assert {share for _, _, share in job.asked} == {1.0}


@pytest.mark.parametrize("number", [1, 2, 5])
def test_it_costs_no_more_than_is_said(number: int) -> None:
    job = Job(parabola(0.3), 0.02, more=[1.0] * (number - 1))
    finding = job()
    told = finding.verdict.evidence[tuning.TUNING]
    trainings = [variants * len(seeds) for variants, seeds, _ in job.asked]
    assert sum(trainings) == sum(one.get("trainings", 0) for one in told) <= 3 * tuning.most_trainings()  # type: ignore[attr-defined]
    assert max(one.get("trainings", 0) for one in told) <= tuning.most_trainings() == 47  # type: ignore[attr-defined]
    assert sum("rungs" in one for one in told) == min(number, tuning.MOST_NUMBERS)  # type: ignore[attr-defined]
    assert ("not tuned: no more than 3 numbers are" in finding.verdict.reason) == (number > 3)


def test_where_none_is_better_nothing_changes() -> None:
    job = Job(parabola(0.05))
    finding = job()
    assert written(finding) == [0.05] and len(job.asked) == 3
    assert finding.verdict.reason == "verified; number 0 0.05 stays: none of 8 others is seen to end better"


def test_what_was_better_by_chance_is_not_under_fresh_seeds() -> None:
    def loss(value: float, seed: int, share: float) -> float:
        return -5.0 if value == 0.1 and seed < 16 else 0.01 * seed

    finding = Job(loss)()
    assert written(finding) == [0.05]
    assert "stays: under fresh seeds 0.1 is as good" in finding.verdict.reason


def test_a_gain_that_is_sure_and_small_is_none() -> None:
    assert written(Job(lambda value, seed, share: -0.09 * (value > 0.05) + 0.01 * seed)()) == [0.05]


def test_of_equals_the_nearest_is_taken() -> None:
    assert written(Job(lambda value, seed, share: -5.0 * (value > 0.05) - 0.001 * value + 0.01 * seed)()) == [0.1]


def test_one_that_goes_wrong_is_none() -> None:
    finding = Job(parabola(0.3), wrong=lambda value, seed: value > 0.15)()
    assert written(finding) == [0.1]
    rungs = finding.verdict.evidence[tuning.TUNING][0]["rungs"]  # type: ignore[index]
    assert rungs[0]["gains"]["0.2"] == "goes wrong"
    finding = Job(parabola(0.3), wrong=lambda value, seed: value > 0.06 and seed >= 100)()
    assert written(finding) == [0.05] and "wrong in 8 of 8 trainings: NaN" in finding.verdict.reason


def test_one_that_breaks_the_promise_of_the_fix_is_none() -> None:
    finding = Job(parabola(0.3), keeps=lambda value: value <= 0.1)()
    assert written(finding) == [0.05]
    assert "but with it the fix does not keep its promise: it diverges" in finding.verdict.reason


def test_all_numbers_of_a_fix_have_their_turn() -> None:
    # A product is judged.
    assert written(Job(parabola(0.3), 0.02, more=[0.5])()) == [0.2, 1.0]
    assert written(Job(parabola(0.0005), 0.1, more=[0.1])()) == [0.01, 0.05]


def test_without_a_proof_nothing_is_tried() -> None:
    job = Job(parabola(0.3), proofs=False)
    finding = job()
    assert not job.asked and written(finding) == [0.05]
    assert finding.verdict.reason.endswith(
        "; not tuned: no program was trained to its end; --prove does that, or --prove-within"
    )
    job = Job(parabola(0.3), judge="each program's own objective")
    assert "not tuned: the original's objective does not judge" in job().verdict.reason and not job.asked


def test_why_it_was_not_trained_to_its_end() -> None:
    job = Job(parabola(0.3))
    outcome = job.again({})
    unproven = replace(outcome.proofs[0], before=None, after=None, reason="40,000 steps take about 9 min of CPU")
    told = tuning.best(replace(outcome, proofs=[unproven]), {}, job.again, ("SVI999",), job).findings[0]
    assert told.verdict.reason == "verified; not tuned: 40,000 steps take about 9 min of CPU" and not job.asked


def test_neither_is_what_other_fixes_build_on() -> None:
    job = Job(parabola(0.3), OTHERS_BUILD_ON_IT)
    assert "no other one can be written by itself" in job().verdict.reason and not job.asked


def test_of_other_transforms_nothing_is_tried() -> None:
    job = Job(parabola(0.3))
    (finding,) = tuning.best(job.again({}), {}, job.again, (), job).findings
    assert finding.verdict.reason == "verified" and tuning.TUNING not in finding.verdict.evidence


class TestNumbers:
    def test_neighbours_are_what_a_person_would_write(self) -> None:
        def of(value: float, low: float = 1e-4, high: float = 1.0, *, whole: bool = False) -> list[str]:
            return [repr(one) for one in tuning.neighbours(Number("n", value, low, high, lambda _: None, whole=whole))]

        assert of(0.01) == ["0.001", "0.002", "0.003", "0.005", "0.02", "0.03", "0.05", "0.1"]
        assert of(0.025) == ["0.002", "0.003", "0.005", "0.01", "0.05", "0.1", "0.2", "0.3"]
        assert of(1e-4) == ["0.0002", "0.0003", "0.0005", "0.001"]
        assert of(0.7) == ["0.1", "0.2", "0.3", "0.5", "1.0"]
        assert of(2, 1, 10, whole=True) == ["1.0", "3.0", "5.0", "10.0"]
        assert len(of(0.03)) <= 2 * tuning.ON_A_SIDE

    def test_a_candidate_with_other_numbers_comes_first(self) -> None:
        job = Job(parabola(1))
        proposal = Proposal("SVI999", "n", 1, FILE, 1, 1, "", (job.candidate(0.1, 1.0), job.candidate(0.2, 1.0)))
        choice = Choice("0.2 1", (("number 0", 0.3), ("number 1", 0.5)))
        labels = [one.label for one in choices.preferring(proposal, choice).candidates]
        assert labels == ["0.3 0.5", "0.2 1", "0.1 1"]

    def test_one_that_cannot_be_written_is_none(self) -> None:
        def fails(value: float) -> Candidate:
            raise ZeroDivisionError

        candidate = Candidate((), Promise.RUNS_CLEAN, "a", numbers=(Number("n", 1, 0.1, 9, fails),))
        assert choices.with_numbers(candidate, [("n", 2)]) is None
        assert choices.with_numbers(candidate, [("no such number", 2)]) is None
