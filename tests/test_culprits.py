"""The fix that costs: found by leaving out, and told."""

from __future__ import annotations

from pathlib import Path

from pyro_fix import culprits
from pyro_fix.proof import Proof
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict


class Job:
    """Fixes, each of which is worth so many nats; and pairs that are worth something together."""

    def __init__(self, together: dict[frozenset[str], float] | None = None, **worth: float) -> None:
        self.worth = worth
        self.together = together or {}
        self.tried: list[frozenset[str]] = []

    def __call__(self, left: culprits.Left) -> culprits.Outcome:
        self.tried.append(frozenset(left))
        findings = [self.finding(name, number, left) for number, name in enumerate(self.worth)]
        kept = {finding.fingerprint for finding in findings if finding.included}
        gain = sum(self.worth[name] for name in kept) + sum(w for pair, w in self.together.items() if pair <= kept)
        word = "better" if gain > 0 else "worse" if gain < 0 else "as good"
        told = f"{word} by {abs(gain):g} nats"
        proof = Proof("train.py", 0, (0, 1), word, told, gain=(gain, gain - 0.1, gain + 0.1))  # type: ignore[arg-type]
        return culprits.Outcome(findings, [proof] if kept else [], None)

    def finding(self, name: str, number: int, left: culprits.Left) -> Finding:
        candidate = Candidate((Edit(Path("train.py"), number, number, name),), Promise.RUNS_CLEAN, name)
        proposal = Proposal("SVI999", "a-fix", 5, Path("train.py"), number + 1, 1, name, (candidate,))
        verdict = left.get(name, Verdict(Status.VERIFIED, "runs clean", {}, candidate))
        return Finding(proposal, verdict, "", name not in left, fingerprint=name)

    def found(self) -> dict[str, str]:
        """What was left out, and why."""
        outcome = culprits.found(self({}), self)
        return {f.fingerprint: f.verdict.reason for f in outcome.findings if f.verdict.status is Status.REJECTED}


def test_nothing_is_left_out_where_nothing_is_worse() -> None:
    job = Job(a=1, b=-0.5)
    assert job.found() == {} and len(job.tried) == 1


def test_the_one_that_costs() -> None:
    job = Job(a=1, b=-5, c=2)
    reasons = job.found()
    assert list(reasons) == ["b"]
    assert reasons["b"] == (
        "trained to its end with the other fixes it costs: with it the program is worse by 2 nats, "
        "without it better by 3 nats"
    )


def test_two_that_cost_only_together() -> None:
    assert len(Job({frozenset("ab"): -50}, a=0, b=1).found()) == 1


def test_two_that_cost() -> None:
    assert set(Job(a=-3, b=-5, c=2).found()) == {"a", "b"}


def test_a_single_fix_is_left_out() -> None:
    assert Job(a=-3).found() == {"a": "trained to its end with it the program is worse by 3 nats"}


def test_all_where_no_single_one_is_to_blame() -> None:
    pairs = {frozenset(pair): -10.0 for pair in ("ab", "bc", "ac", "ad", "bd", "cd")}
    job = Job(pairs, a=0, b=0, c=0, d=0)
    assert len(job.found()) >= 3
    assert not culprits.is_worse(culprits.found(job({}), job).proofs)


def test_the_search_is_bounded() -> None:
    job = Job({frozenset("abcdefghij"): 0.0}, **dict.fromkeys("abcdefghij", -1.0))
    job.found()
    assert len(job.tried) < 2 + culprits.MOST_SUSPECTS * 10


def test_a_program_that_is_as_it_is_says_nothing_of_what_is_left_out() -> None:
    other = Proof("other.py", 0, (0, 1), "as it is", "ELBO -5 after 100 steps (2 seeds)")

    class Beside(Job):
        def __call__(self, left: culprits.Left) -> culprits.Outcome:
            outcome = super().__call__(left)
            return culprits.Outcome(outcome.findings, [*outcome.proofs, other], None)

    reason = Beside(a=2, b=-3).found()["b"]
    assert reason.endswith("with it the program is worse by 1 nats, without it better by 2 nats"), reason
