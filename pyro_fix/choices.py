"""Which of a fix's candidates trains best, where a training to the end can be afforded for each.

The first candidate that keeps its promise over a short run is a good guess (a rate, a scale, a number of particles):
the end tells.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pyro_fix.culprits import Outcome, is_worse
from pyro_fix.proof import EQUAL, Proof
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Proposal

#: Candidates that are tried for all fixes together.
MOST = 4


@dataclass(frozen=True)
class Choice:
    """A candidate that is tried before the others."""

    label: str
    """As the transform proposes it."""
    numbers: tuple[tuple[str, float], ...] = ()
    """By name, what is written in the place of its own."""


#: By the finding's fingerprint.
First = Mapping[str, Choice]


def best(
    outcome: Outcome, again: Callable[[First], Outcome], codes: Collection[str], within: float | None
) -> tuple[Outcome, First]:
    """The outcome with other candidates where these end better, and which these are.

    ``codes`` are those of transforms that choose by the end; ``within``: CPU seconds for all that is tried.
    """
    first: dict[str, Choice] = {}
    spent, tried = 0.0, 0
    for fingerprint, label in _others(outcome.findings, codes):
        proofs = [proof for proof in outcome.proofs if proof.compares]
        cost = sum(proof.seconds for proof in proofs) / 2
        if tried == MOST or not proofs or (within is not None and spent + cost > within):
            break
        tried, spent = tried + 1, spent + cost
        trial = again({**first, fingerprint: Choice(label)})
        if is_chosen(trial.findings, fingerprint, label) and _is_better(outcome.proofs, trial.proofs):
            first[fingerprint] = Choice(label)
            outcome = trial
    return outcome, first


def preferring(proposal: Proposal, choice: Choice | None) -> Proposal:
    """The proposal with a candidate before all others."""
    if choice is None:
        return proposal
    candidates = sorted(proposal.candidates, key=lambda candidate: candidate.label != choice.label)
    known = choice.numbers and candidates and candidates[0].label == choice.label
    chosen = with_numbers(candidates[0], choice.numbers) if known else None
    return replace(proposal, candidates=(*([] if chosen is None else [chosen]), *candidates))


def with_numbers(candidate: Candidate, numbers: Sequence[tuple[str, float]]) -> Candidate | None:
    """The candidate with other numbers; None where they cannot be written."""
    written: Candidate | None = candidate
    for name, value in numbers:
        number = next((one for one in (written.numbers if written else ()) if one.name == name), None)
        try:
            written = number.written(value) if number is not None else None
        except Exception:  # a transform's slip costs this number alone
            return None
    return written


def _others(findings: Sequence[Finding], codes: Collection[str]) -> Iterator[tuple[str, str]]:
    """Candidates that an included fix has besides the one that is in, those behind it first: these were not tried."""
    for finding in findings:
        chosen = finding.verdict.candidate
        if not finding.included or chosen is None or finding.proposal.code not in codes:
            continue
        labels = [candidate.label for candidate in finding.proposal.candidates]
        at = labels.index(chosen.label) if chosen.label in labels else len(labels)
        yield from ((finding.fingerprint, label) for label in labels[at + 1 :])


def is_chosen(findings: Sequence[Finding], fingerprint: str, label: str) -> bool:
    """Whether a fix is in with the candidate of this label."""
    return any(
        f.fingerprint == fingerprint
        and f.included
        and f.verdict.candidate is not None
        and f.verdict.candidate.label == label
        for f in findings
    )


def _is_better(old: Sequence[Proof], new: Sequence[Proof]) -> bool:
    """Whether a program ends better than it did with the other candidate, and none ends worse."""
    from pyro_fix.verify.stats import mean_interval  # with all of verify, which a static pass does without

    known = {(proof.program, proof.svi): proof for proof in old}
    gains = []
    for proof in (proof for proof in new if proof.compares):
        before = known.get((proof.program, proof.svi))
        if before is None or before.after is None or proof.after is None or before.judge != proof.judge:
            return False
        if len(proof.after.endings) > len(before.after.endings):
            return False
        common = before.after.losses.keys() & proof.after.losses.keys()
        gains.append([before.after.losses[seed] - proof.after.losses[seed] for seed in sorted(common)])
    if is_worse(new) or not gains or any(len(rows) < 2 for rows in gains):
        return False
    intervals = [(statistics.fmean(rows), *mean_interval(rows)) for rows in gains]
    worse = any(high < 0 and mean < -EQUAL for mean, _, high in intervals)
    return not worse and any(low > 0 and mean > EQUAL for mean, low, _ in intervals)
