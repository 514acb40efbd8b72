"""Which included fix costs, where a program trains worse with all of them: each is left out in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pyro_fix.proof import EQUAL, Proof
from pyro_fix.result import Finding
from pyro_fix.transform import Edit, Status, Verdict

#: Fixes that are left out, one at a time, to see whether it was that one; with the largest suspects first.
MOST_SUSPECTS = 6
#: In the evidence of a fix that is left out.
COSTS = "costs at the end"
ALL_TOGETHER = "trained to its end with all fixes the program is {}, and leaving out no single one mends that"
ONE = "trained to its end with the other fixes it costs: with it the program is {}, without it {}"
ALONE = "trained to its end with it the program is {}"


@dataclass(frozen=True)
class Outcome:
    """What a job came to, with some fixes left out."""

    findings: Sequence[Finding]
    proofs: Sequence[Proof]
    rest: Any
    """Whatever else the caller wants to have back."""


#: Fingerprints of findings -> what is told of them, since they are left out.
Left = Mapping[str, Verdict]
Again = Callable[[Left], Outcome]


def found(outcome: Outcome, again: Again) -> Outcome:
    """The outcome, or another one that is not worse: without the fix that costs, without two, or without any.

    ``again`` does the job with fixes left out.
    """
    left: dict[str, Verdict] = {}
    while is_worse(outcome.proofs):
        best: tuple[dict[str, Verdict], Outcome] | None = None
        suspects = list(_suspects(outcome.findings))
        for suspect in suspects[:MOST_SUSPECTS]:
            result = again({**left, **_dropped(suspect, "")})
            told = _told(result.proofs) or "as good as without any"
            words = ALONE if len(suspects) == 1 else ONE
            trial = {**left, **_dropped(suspect, words.format(_told(outcome.proofs), told))}
            if best is None or _worth(result.proofs) > _worth(best[1].proofs):
                best = trial, result
            if not is_worse(result.proofs):
                break
        if best is None or _worth(best[1].proofs) < _worth(outcome.proofs) + EQUAL:
            everything = [finding for finding in outcome.findings if finding.included]
            left |= _dropped(everything, ALL_TOGETHER.format(_told(outcome.proofs)))
            return again(left)
        left, outcome = best
    return _retold(outcome, left)


def _retold(outcome: Outcome, left: Left) -> Outcome:
    """The outcome with what is known of the fixes that were left out: by what, was not known when it was made."""
    findings = [replace(f, verdict=left.get(f.fingerprint, f.verdict)) for f in outcome.findings]
    return replace(outcome, findings=findings)


def is_worse(proofs: Sequence[Proof]) -> bool:
    """Whether any program is."""
    return any(proof.verdict == "worse" for proof in proofs)


def _suspects(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Included fixes, those that share an edit together; first those that the short runs saw lose most."""
    groups: dict[tuple[Edit, ...], list[Finding]] = {}
    for finding in findings:
        if finding.included and finding.verdict.candidate is not None:
            groups.setdefault(finding.verdict.candidate.edits, []).append(finding)
    yield from sorted(groups.values(), key=lambda group: -max(map(_lost, group)))


def _lost(finding: Finding) -> float:
    """What the referee has seen the fix's run lose, in parts of the original's progress."""
    judgements = finding.verdict.evidence.get("judgements")
    for judgement in judgements.values() if isinstance(judgements, Mapping) else ():
        lost, progress = judgement.get("mean loss"), judgement.get("progress")
        if isinstance(lost, float) and isinstance(progress, float) and progress > 0:
            return lost / progress
    return 0.0


def _dropped(findings: Sequence[Finding], reason: str) -> dict[str, Verdict]:
    return {
        finding.fingerprint: replace(
            finding.verdict,
            status=Status.REJECTED,
            reason=reason,
            evidence={**finding.verdict.evidence, COSTS: True},
        )
        for finding in findings
    }


def _worth(proofs: Sequence[Proof]) -> float:
    """Nats that all programs together gain; one that goes wrong where it did not is the worst of all."""
    if any(proof.verdict == "worse" and proof.gain is None for proof in proofs):
        return float("-inf")
    return sum(proof.gain[0] for proof in proofs if proof.gain is not None)


def _told(proofs: Sequence[Proof]) -> str:
    compared = [proof for proof in proofs if proof.compares]
    worst = min(compared, key=lambda proof: proof.gain[0] if proof.gain else 0.0, default=None)
    return worst.reason if worst is not None else ""
