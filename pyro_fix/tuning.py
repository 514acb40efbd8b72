"""Other numbers than a fix writes by itself, where they train better (``--tune``).

Neighbours of a number are told apart by successive halving: many over a part of the training under one seed, the better
half of them over more of it under more seeds.  The winner of a search is flattered by the seeds that it was found with.
So it has to be better where both programs are trained to their end under seeds that took no part, and then keep the
fix's promises, as any candidate that is preferred (``choices.py``).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from pyro_fix.choices import Choice, First, is_chosen, with_numbers
from pyro_fix.culprits import Outcome, is_worse
from pyro_fix.proof import EQUAL, ORIGINALS, Proof, Side
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Number

#: Numbers that are tuned, of all fixes together.
MOST_NUMBERS = 3
#: Others that are tried for each: so many on either side.
ON_A_SIDE = 4
#: The share of the steps that a training makes, and the seeds of each; half of those that are left go on.
RUNGS = ((0.25, 1), (0.5, 2), (1.0, 4))
#: No other training has had these seeds.
FRESH = tuple(range(100, 108))
#: What people write for want of a reason to be more exact, in each power of ten ...
FIGURES = (1, 2, 3, 5)
#: ... and how much it has to differ to be worth a training.
DISTANCE = 1.3
#: In the evidence.
TUNING = "tuning"

Texts = Mapping[Path, bytes]


class Programs(Protocol):
    """The programs with the fixes of an outcome."""

    def texts(self, outcome: Outcome) -> Texts:
        """What differs from the files on disk."""

    def instead(self, outcome: Outcome, old: Candidate, new: Candidate) -> Texts | None:
        """The same with another candidate of a fix that is in; None where that changes more than a number."""

    def trained(
        self, variants: Sequence[Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        """By variant and proof, where a share of the training leads."""


@dataclass
class _Tuned:
    """What became of a number."""

    number: Number
    words: str = ""
    """What is told in one line."""
    kept: float | None = None
    """What is written now, where that is another one."""
    rungs: list[dict[str, object]] = field(default_factory=list)
    trainings: int = 0
    fresh: list[str] = field(default_factory=list)
    """What the fresh seeds have shown, by program."""

    @property
    def evidence(self) -> dict[str, object]:
        number = self.number
        told: dict[str, object] = {"number": number.name, "was": number.value, "is": self.kept or number.value}
        if self.rungs:
            told |= {"rungs": self.rungs, "trainings": self.trainings, "at most": most_trainings()}
        if self.fresh:
            told |= {"fresh seeds": list(FRESH), "there": self.fresh}
        return {**told, "told": self.words}


@dataclass(frozen=True)
class _Variant:
    """The program with another number."""

    value: float
    candidate: Candidate
    texts: Texts


def most_trainings() -> int:
    """The most trainings that one number may cost, by program; some of them are short."""
    left, total = 2 * ON_A_SIDE, 2 * len(FRESH)
    for _, seeds in RUNGS:
        total += (1 + left) * seeds
        left = _half(left)
    return total


def best(
    outcome: Outcome, first: First, again: Callable[[First], Outcome], codes: Collection[str], programs: Programs
) -> Outcome:
    """The outcome with other numbers where these end better.

    ``codes`` are those of transforms that choose by the end, ``first`` what they have chosen.
    """
    tuned: dict[str, list[_Tuned]] = {}
    while (place := next(_open(outcome.findings, codes, tuned), None)) is not None:
        finding, number = place
        one = _Tuned(number)
        known = sum(bool(other.rungs) for others in tuned.values() for other in others)
        tuned.setdefault(finding.fingerprint, []).append(one)
        doubt = _unproven([proof for proof in outcome.proofs if proof.compares])
        if known >= MOST_NUMBERS:
            doubt = doubt or f"no more than {MOST_NUMBERS} numbers are"
        if doubt:
            one.words = f"not tuned: {doubt}"
            continue
        winner = _Search(one, outcome, finding, programs).winner()
        if winner is None:
            continue
        assert finding.verdict.candidate is not None
        chosen = first.get(finding.fingerprint) or Choice(finding.verdict.candidate.label)
        chosen = replace(chosen, numbers=(*chosen.numbers, (number.name, winner.value)))
        trial = again({**first, finding.fingerprint: chosen})
        doubt = _doubt(trial, finding, winner, programs)
        if doubt:
            one.words = f"{number.name} {number.value:g} stays: {winner.value:g} is {one.fresh[0]}, but {doubt}"
            continue
        one.words = f"{number.name} {winner.value:g} in place of {number.value:g}: {one.fresh[0]}"
        one.kept = winner.value
        first, outcome = {**first, finding.fingerprint: chosen}, trial
    return replace(outcome, findings=[_told(one, tuned.get(one.fingerprint, ())) for one in outcome.findings])


def neighbours(number: Number) -> list[float]:
    """Numbers that a person might have written in the place of this one, nearest ones on either side."""
    power = round(math.log10(number.value))
    grid = [float(f"{figure}e{power + shift}") for shift in range(-3, 4) for figure in FIGURES]
    good = [other for other in grid if number.low <= other <= number.high and (other >= 1 or not number.whole)]
    below = [other for other in good if other * DISTANCE <= number.value][-ON_A_SIDE:]
    return below + [other for other in good if other >= DISTANCE * number.value][:ON_A_SIDE]


def _half(count: int) -> int:
    return -(-count // 2)


def _open(
    findings: Sequence[Finding], codes: Collection[str], tuned: Mapping[str, Sequence[_Tuned]]
) -> Iterator[tuple[Finding, Number]]:
    """Numbers of included fixes that nothing was tried for."""
    for finding in findings:
        candidate = finding.verdict.candidate
        if finding.included and candidate is not None and finding.proposal.code in codes:
            known = {one.number.name for one in tuned.get(finding.fingerprint, ())}
            yield from ((finding, number) for number in candidate.numbers if number.name not in known)


def _proven(proofs: Sequence[Proof]) -> list[Proof]:
    """Those of programs that were trained to their end, by an objective that judges all variants."""
    return [proof for proof in proofs if proof.after is not None and proof.after.losses and proof.judge == ORIGINALS]


def _unproven(proofs: Sequence[Proof]) -> str:
    """Why nothing is tried; empty where something is."""
    if not proofs:
        return "no program was trained to its end; --prove does that, or --prove-within"
    if _proven(proofs):
        return ""
    trained = any(proof.after is not None for proof in proofs)
    return f"{ORIGINALS} does not judge where the program ends" if trained else proofs[0].reason


class _Search:
    """Looks for a better number."""

    def __init__(self, told: _Tuned, outcome: Outcome, finding: Finding, programs: Programs) -> None:
        """``told`` hears what was tried."""
        self._told, self._number = told, told.number
        self._outcome, self._finding, self._programs = outcome, finding, programs
        self._now = programs.texts(outcome)
        self._proofs = _proven(outcome.proofs)

    def winner(self) -> _Variant | None:
        """The neighbour that is better under fresh seeds; None where there is none."""
        number, told = self._number, self._told
        variants = list(self._variants())
        if not variants:
            told.words = f"{number.name} {number.value:g} stays: no other one can be written by itself"
            return None
        tried = len(variants)
        ranked: list[tuple[float, _Variant]] = []
        for share, size in RUNGS:
            ranked = self._ranked(variants, tuple(range(size)), 1.0 if number.late else share)
            variants = [variant for _, variant in ranked][: _half(len(variants))]
        if not ranked or ranked[0][0] <= EQUAL:
            told.words = f"{number.name} {number.value:g} stays: none of {tried} others is seen to end better"
            return None
        first = ranked[0][1]
        if not self._holds(first):
            words = "; ".join(told.fresh)
            told.words = f"{number.name} {number.value:g} stays: under fresh seeds {first.value:g} is {words}"
            return None
        return first

    def _variants(self) -> Iterator[_Variant]:
        """The program with other numbers, but for those that the fix has candidates for: these were tried."""
        candidate = self._finding.verdict.candidate
        assert candidate is not None
        known = {one.label for one in (*self._finding.proposal.candidates, candidate)}
        for value in neighbours(self._number):
            other = with_numbers(candidate, [(self._number.name, value)])
            if other is not None and other.label not in known:
                texts = self._programs.instead(self._outcome, candidate, other)
                if texts is not None:
                    yield _Variant(value, other, texts)

    def _ranked(
        self, variants: Sequence[_Variant], seeds: tuple[int, ...], share: float
    ) -> list[tuple[float, _Variant]]:
        """Those that train, with what they gain over the program as it is now, best first; of equals the nearest."""
        if not variants:
            return []
        base, *sides = self._trained([self._now, *(variant.texts for variant in variants)], seeds, share)
        gains = [_gain(base, side) for side in sides]
        told = {
            f"{variant.value:g}": gain if math.isfinite(gain) else "goes wrong"
            for variant, gain in zip(variants, gains, strict=True)
        }
        self._told.rungs.append({"share of the steps": share, "seeds": list(seeds), "gains": told})
        ranked = [(gain, variant) for gain, variant in zip(gains, variants, strict=True) if math.isfinite(gain)]
        return sorted(ranked, key=lambda one: (-round(one[0] / EQUAL), self._distance(one[1])))

    def _distance(self, variant: _Variant) -> float:
        return abs(math.log(variant.value / self._number.value))

    def _holds(self, winner: _Variant) -> bool:
        """Whether a program is better to its end under fresh seeds, and none is worse."""
        from pyro_fix.verify.prove import verdict  # with all of verify, which a static pass does without

        old, new = self._trained([self._now, winner.texts], FRESH, 1.0)
        judged: list[Proof] = []
        for proof, before, after in zip(self._proofs, old, new, strict=True):
            one = verdict(Proof(proof.program, proof.svi, FRESH, "cannot tell", "", before, after))
            if wrong := next(iter(after.endings.values()), ""):
                one = replace(one, reason=f"wrong in {len(after.endings)} of {len(FRESH)} trainings: {wrong}")
            judged.append(one)
        judged.sort(key=lambda proof: proof.verdict != "better")
        self._told.fresh = [proof.reason for proof in judged]
        return judged[0].verdict == "better" and not is_worse(judged)

    def _trained(self, variants: Sequence[Texts], seeds: tuple[int, ...], share: float) -> list[list[Side]]:
        self._told.trainings += len(variants) * len(seeds)
        return self._programs.trained(variants, self._proofs, seeds, share)


def _gain(before: Sequence[Side], after: Sequence[Side]) -> float:
    """Nats that all programs gain together; not finite where one goes wrong."""
    total = 0.0
    for old, new in zip(before, after, strict=True):
        common = old.losses.keys() & new.losses.keys()
        if len(new.endings) > len(old.endings) or not common:
            return -math.inf
        total += statistics.fmean(old.losses[seed] - new.losses[seed] for seed in common)
    return total if math.isfinite(total) else -math.inf


def _doubt(trial: Outcome, finding: Finding, winner: _Variant, programs: Programs) -> str:
    """Why a number that is better is not written; empty where it is."""
    if not is_chosen(trial.findings, finding.fingerprint, winner.candidate.label):
        return f"with it the fix does not keep its promise{_why_not(trial, finding, winner)}"
    if is_worse(trial.proofs):
        return "the whole is worse with it"
    return "" if programs.texts(trial) == winner.texts else "other fixes come out otherwise with it"


def _why_not(trial: Outcome, finding: Finding, winner: _Variant) -> str:
    told = next((one.verdict for one in trial.findings if one.fingerprint == finding.fingerprint), None)
    earlier = told.evidence.get("earlier candidates") if told is not None else None
    for one in earlier if isinstance(earlier, list) else ():
        if one["candidate"] == winner.candidate.label:
            return f": {one['reason']}"
    return ""


def _told(finding: Finding, tuned: Sequence[_Tuned]) -> Finding:
    """The finding with what became of its numbers."""
    if not tuned:
        return finding
    verdict = finding.verdict
    reason = "; ".join([verdict.reason, *dict.fromkeys(one.words for one in tuned)])
    evidence = {**verdict.evidence, TUNING: [one.evidence for one in tuned]}
    return replace(finding, verdict=replace(verdict, reason=reason, evidence=evidence))
