"""A proposal on its way to a verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate, Promise, Proposal, Status, Verdict, label
from pyro_fix.verify import evidence, wording
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.options import RunPlan
from pyro_fix.verify.trouble import breaking


@dataclass(eq=False)
class Fix:
    """Where a proposal stands: which candidate is tried, on which program, and what came out so far."""

    proposal: Proposal
    rung: int = 0
    """Index of the candidate that is being tried."""
    plan: RunPlan | None = None
    original: Observation | None = None
    patched: Observation | None = None
    """The program with the fix: alone at first, in the end with all that it is verified with."""
    alone: Observation | None = None
    """The program with this fix and no other."""
    missed: tuple[str, ...] = ()
    """Changed lines that no run reached, where others of them were."""
    ordinals: tuple[int, ...] = ()
    """SVI objects that the fix changes."""
    judgements: dict[str, Judgement] = field(default_factory=dict)
    """By the promise's name."""
    passes: bool = False
    """Whether the current candidate has passed alone and has not failed since."""
    broke: set[str] = field(default_factory=set)
    """Promises that candidates have broken, by name."""
    earlier: list[dict[str, object]] = field(default_factory=list)
    """Candidates that failed, and why."""
    verdict: Verdict | None = None

    @property
    def candidate(self) -> Candidate:
        """The one that is being tried."""
        return self.proposal.candidates[self.rung]

    @property
    def climbs(self) -> bool:
        """Whether it waits for what it may mend by its next candidate."""
        return self.waits is not None and self._next is not None

    @property
    def _next(self) -> int | None:
        """The candidate to try after this one; those that answer what nobody has asked are left out."""
        for rung in range(self.rung + 1, len(self.proposal.candidates)):
            answers = [part for part in Promise if part in self.proposal.candidates[rung].only_after]
            if not answers or any(wording.name(part) in self.broke for part in answers):
                return rung
        return None

    @property
    def waits(self) -> Judgement | None:
        """The trouble it passed with because the original has it too."""
        return next((judgement for judgement in self.judgements.values() if judgement.waits), None)

    def fail(self, judgement: Judgement) -> None:
        """The current candidate failed: go on to the next one, or give the verdict."""
        status = Status.REJECTED if judgement.kept is False else Status.UNVERIFIED
        self.broke |= {name for name, judged in self.judgements.items() if judged.kept is False}
        following = self._next
        if judgement.final or following is None:
            # What is judged while the original breaks is judged again once that is mended.
            again = judgement.waits or judgement.defer or (self.original is not None and breaking(self.original))
            self.decide(status, judgement.reason, {"deferred": True} if again else {})
            return
        told = evidence.judged(self.judgements, self.candidate.promise)
        why = {"status": status.value, "reason": judgement.reason, "judgements": told}
        self.earlier.append({"candidate": self.candidate.label, **why})
        self.rung = following
        self.judgements = {}
        self.missed = ()
        self.passes = False

    def decide(self, status: Status, reason: str, more: Mapping[str, object] | None = None) -> None:
        """Give the verdict, with everything that led to it; ``deferred`` in ``more`` asks for another round."""
        self.passes = False
        told = wording.plain({**self._evidence(), **(more or {})})
        assert isinstance(told, dict)
        self.verdict = Verdict(status, reason, told, self.candidate)

    def _evidence(self) -> dict[str, object]:
        promise, original, patched = self.candidate.promise, self.original, self.patched
        told: dict[str, object] = {"promise": [wording.name(part) for part in Promise if part in promise]}
        if self.plan is not None:
            told |= {"command": self.plan.label, "found": self.plan.target.origin}
        if patched is not None:
            told |= {"python": patched.python, "versions": dict(patched.versions), "device": patched.device}
            told |= evidence.on_device(original, patched, self.ordinals)
            told["files"] = evidence.files(patched)
            told["seeds"] = sorted({t.seed for svi in patched.svis for t in svi.trajectories})
            told["steps"] = evidence.steps(original, patched)
            told |= evidence.substitutes(original, patched)
            told["patched"] = wording.endings(patched, self.ordinals)
        if original is not None:
            told["original"] = wording.endings(original, self.ordinals)
        if self.judgements:
            paired = promise & (Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE)
            refereed = promise & (Promise.NO_WORSE | Promise.BETTER_START | Promise.BETTER_END | Promise.NO_WORSE_END)
            told["level"] = "C" if refereed else "B" if paired else "A"
            told["judgements"] = evidence.judged(self.judgements, promise)
        if self.earlier:
            told["earlier candidates"] = list(self.earlier)
        if original is not None and patched is not None:
            told["runs"] = evidence.curves(original, patched, self.alone, self.ordinals)
        return told


def codes(group: Sequence[Fix]) -> str:
    """A few fixes by name, many by number."""
    if len(group) > 3:
        return f"{len(group)} fixes"
    return ", ".join(label(fix.proposal) for fix in group)
