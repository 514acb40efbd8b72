"""A proposal on its way to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate, Promise, Proposal, Status, Verdict
from pyro_fix.verify import wording
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.options import RunPlan


@dataclass(eq=False)
class Fix:
    """Where a proposal stands: which candidate is tried, on which program, and what came out so far."""

    proposal: Proposal
    rung: int = 0
    """Index of the candidate that is being tried."""
    plan: RunPlan | None = None
    original: Observation | None = None
    patched: Observation | None = None
    """The program with this fix alone."""
    ordinals: tuple[int, ...] = ()
    """SVI objects that the fix changes."""
    judgements: dict[str, Judgement] = field(default_factory=dict)
    """By the promise's name."""
    passes: bool = False
    """Whether the current candidate has passed alone and has not failed since."""
    earlier: list[dict[str, object]] = field(default_factory=list)
    """Candidates that failed, and why."""
    verdict: Verdict | None = None

    @property
    def candidate(self) -> Candidate:
        """The one that is being tried."""
        return self.proposal.candidates[self.rung]

    @property
    def waits(self) -> Judgement | None:
        """The trouble it passed with because the original has it too."""
        return next((judgement for judgement in self.judgements.values() if judgement.waits), None)

    def fail(self, judgement: Judgement) -> None:
        """The current candidate failed: go on to the next one, or give the verdict."""
        status = Status.REJECTED if judgement.kept is False else Status.UNVERIFIED
        if judgement.final or self.rung + 1 == len(self.proposal.candidates):
            self.decide(status, judgement.reason, {"deferred": True} if judgement.waits or judgement.defer else {})
            return
        self.earlier.append({"candidate": self.candidate.label, "status": status.value, "reason": judgement.reason})
        self.rung += 1
        self.judgements = {}
        self.passes = False

    def decide(self, status: Status, reason: str, more: Mapping[str, object] | None = None) -> None:
        """Give the verdict, with everything that led to it; ``deferred`` in ``more`` asks for another round."""
        self.passes = False
        evidence = wording.plain({**self._evidence(), **(more or {})})
        assert isinstance(evidence, dict)
        self.verdict = Verdict(status, reason, evidence, self.candidate)

    def _evidence(self) -> dict[str, object]:
        promise = self.candidate.promise
        evidence: dict[str, object] = {"promise": [wording.name(part) for part in Promise if part in promise]}
        if self.plan is not None:
            evidence |= {"command": self.plan.label, "found": self.plan.target.origin}
        if self.patched is not None:
            seen = self.patched
            evidence |= {"python": seen.python, "versions": dict(seen.versions), "device": seen.device}
            evidence["seeds"] = sorted({t.seed for svi in seen.svis for t in svi.trajectories})
            evidence["patched"] = wording.endings(seen, self.ordinals)
        if self.original is not None:
            evidence["original"] = wording.endings(self.original, self.ordinals)
        if self.judgements:
            paired = promise & (Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE)
            evidence["level"] = "C" if Promise.NO_WORSE in promise else "B" if paired else "A"
            evidence["judgements"] = {
                name: {"kept": judgement.kept, "reason": judgement.reason, **judgement.evidence}
                for name, judgement in self.judgements.items()
            }
        if self.earlier:
            evidence["earlier candidates"] = list(self.earlier)
        return evidence


def codes(group: Sequence[Fix]) -> str:
    """A few fixes by name, many by number."""
    if len(group) > 3:
        return f"{len(group)} fixes"
    return ", ".join(wording.label(fix.proposal) for fix in group)
