"""Runs clean: valid supports and arguments at every site, no exception, NaN or infinity (tips 4, 5, 12, 13, 16).

A short run that passes proves nothing about supports (a mismatch was seen to die at steps 8 to 153, or never), so they
are judged on the distributions themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyro_fix.observation import Observation
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.trouble import Key, crashes, invalid


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: nothing is wrong in the patched run.  What was wrong before the patch as well makes it wait."""
    before, after = _troubles(original, ordinals), _troubles(patched, ordinals)
    evidence: dict[str, object] = {"original": sorted(before.values()), "patched": sorted(after.values())}
    # Values that the data hold are no doing of a fix: they count only when they were valid before.
    after = {key: words for key, words in after.items() if key[0] != "data" or key not in before}
    new = {key: words for key, words in after.items() if not _known(key, before)}
    if new:
        return Judgement(False, f"the patched run is not clean: {next(iter(new.values()))}", evidence)
    if after:
        return Judgement(None, f"still there, as without the fix: {next(iter(after.values()))}", evidence, waits=True)
    # What ended the original's trajectories is told with the number of steps.
    cured = [words for key, words in before.items() if key[0] in ("support", "violation")]
    return Judgement(True, "runs clean" + (f" (original: {cured[0]})" if cured else ""), evidence)


def _troubles(observation: Observation, ordinals: Sequence[int]) -> dict[Key, str]:
    wanted = {str(ordinal) for ordinal in ordinals}
    ends = {key: words for key, words in crashes(observation).items() if key[0] != "trajectory" or key[1] in wanted}
    return ends | invalid(observation, ordinals)


def _known(key: Key, before: dict[Key, str]) -> bool:
    if key[0] == "trajectory":  # a defect that is left may show itself another way
        return any(other[:2] == key[:2] for other in before)
    return key in before
