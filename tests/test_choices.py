"""Candidates that end better take the place of those that came first."""

from __future__ import annotations

from pathlib import Path

from pyro_fix import choices
from pyro_fix.culprits import Outcome
from pyro_fix.proof import Proof, Side
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict


class Job:
    """One fix with several candidates, after which the loss is so many nats."""

    def __init__(self, fails: str = "", seconds: float = 1.0, **losses: float) -> None:
        self.losses, self.fails, self.seconds = losses, fails, seconds
        self.tried: list[str] = []

    def __call__(self, first: choices.First) -> Outcome:
        candidates = tuple(
            Candidate((Edit(Path("train.py"), 1, 2, name),), Promise.RUNS_CLEAN, name) for name in self.losses
        )
        proposal = Proposal("SVI999", "a-fix", 1, Path("train.py"), 1, 1, "", candidates)
        ordered = choices.preferring(proposal, first.get("fix")).candidates
        chosen = next(candidate for candidate in ordered if candidate.label != self.fails)
        self.tried.append(chosen.label)
        loss = self.losses[chosen.label]
        side = Side(100, {seed: loss + 0.01 * seed for seed in range(4)})
        proof = Proof("train.py", 0, (0, 1, 2, 3), "better", "", side, side, seconds=self.seconds)
        verdict = Verdict(Status.VERIFIED, "", {}, chosen)
        return Outcome([Finding(proposal, verdict, "", True, fingerprint="fix")], [proof], None)

    def chosen(self, within: float | None = 60.0, codes: tuple[str, ...] = ("SVI999",)) -> str:
        outcome, _ = choices.best(self({}), self, codes, within)
        (finding,) = outcome.findings
        assert finding.verdict.candidate is not None
        return finding.verdict.candidate.label


def test_the_best_one_is_taken() -> None:
    assert Job(a=5, b=3, c=4).chosen() == "b"


def test_the_first_one_stays_where_none_is_better() -> None:
    assert Job(a=5, b=4.95, c=6).chosen() == "a"


def test_one_that_does_not_keep_its_promise_is_none() -> None:
    assert Job(a=5, b=3, fails="b").chosen() == "a"


def test_of_transforms_that_do_not_choose_by_the_end_nothing_is_tried() -> None:
    job = Job(a=5, b=3)
    assert job.chosen(codes=()) == "a" and job.tried == ["a"]


def test_what_is_tried_has_a_budget() -> None:
    job = Job(a=5, b=4, c=3, d=2, seconds=50.0)
    assert job.chosen() == "c" and job.tried == ["a", "b", "c"]
    assert Job(a=5, b=4, c=3, d=2, seconds=50.0).chosen(within=None) == "d"


def test_so_many_and_no_more() -> None:
    job = Job(**{name: 9 - n for n, name in enumerate("abcdefgh")})
    job.chosen(within=None)
    assert len(job.tried) == 1 + choices.MOST
