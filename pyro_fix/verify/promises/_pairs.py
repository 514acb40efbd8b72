"""Walk the SVI objects of two runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from pyro_fix.analysis.sayings import IN_PASSING, in_words, shortened
from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.verify.judgement import Judgement, merge


def over_svis(
    original: Observation,
    patched: Observation,
    ordinals: Sequence[int],
    judge: Callable[[SviObservation, SviObservation], Judgement],
) -> Judgement:
    """Judge every affected SVI object; all have to keep the promise.

    An SVI object that trains the parameters of an earlier one starts where that one ended.  What the patch did to
    the first then shows in the second, so a difference there tells nothing.
    """
    before = {svi.ordinal: svi for svi in original.svis}
    after = {svi.ordinal: svi for svi in patched.svis}
    trained: set[str] = set()
    judgements = []
    for ordinal in sorted(ordinals):
        if ordinal not in before or ordinal not in after:
            judgements.append(Judgement(None, f"the patched program has no SVI object {ordinal}"))
            continue
        judgement = judge(before[ordinal], after[ordinal])
        names = set(after[ordinal].look.params) if (after[ordinal].look is not None) else set()  # type: ignore[union-attr]
        if judgement.kept is False and names & trained:
            judgement = replace(
                judgement, kept=None, reason=f"SVI object {ordinal} goes on from an earlier one: {judgement.reason}"
            )
        trained |= names
        if len(ordinals) > 1:
            judgement = replace(judgement, evidence={f"svi {ordinal}": judgement.evidence})
        judgements.append(judgement)
    return merge(judgements)


#: Two deep looks at the first step.
Pair = tuple[Look, Look]


def over_looks(
    original: Observation,
    patched: Observation,
    ordinals: Sequence[int],
    judge: Callable[[Look, Look], Judgement],
    kept: str,
    beside: Callable[[Pair, SviObservation, SviObservation], str],
) -> Judgement:
    """The same for a promise that the deep looks at the first step decide.

    What is ``kept`` so is not where there is something ``beside``: a difference in what the promise says nothing of.
    """

    def judged(before: SviObservation, after: SviObservation) -> Judgement:
        pair = looks(before, after)
        if isinstance(pair, Judgement):
            return pair
        judgement = judge(*pair)
        other = beside(pair, before, after) if judgement.kept else ""
        return Judgement(False, f"{kept}, but {other}", judgement.evidence) if other else judgement

    return over_svis(original, patched, ordinals, judged)


def looks(original: SviObservation, patched: SviObservation) -> tuple[Look, Look] | Judgement:
    """The two deep looks, or why there are none to compare; only the original's may be cut short by an error."""
    before, after = original.look, patched.look
    if before is None or (before.error and not before.params):
        return Judgement(None, f"no look at the first step of the original: {_why(before)}")
    if after is None or after.error:
        return Judgement(None, f"no look at the first step of the patched program: {_why(after)}")
    return before, after


def _why(look: Look | None) -> str:
    return shortened(in_words(look.error), IN_PASSING) if look is not None else "it made no step"
