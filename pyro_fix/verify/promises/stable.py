"""Stable: the original goes wrong in its steps, and the patched program does not (tips 1 and 16).

A smaller rate moves less far in as many steps: that it has not gone wrong yet proves nothing until it has come as far
as the original had when it did, by the median over the seeds.  It has when its parameters have moved as far, or when
its loss has come as low.  Losses may be compared for once, since both programs have the same objective: that loss and
gradient of step 0 are unchanged is promised beside it.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pyro_fix.analysis.health import breakdown
from pyro_fix.analysis.stability import Derailment, derailed, lowest, spikes, travelled
from pyro_fix.observation import Observation, Trajectory
from pyro_fix.transform import Candidate
from pyro_fix.verify.judgement import Judgement

Key = tuple[int, int]
"""SVI object and seed."""


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: trouble in a trajectory of the original, none in any of the patched program, over the same distance."""
    before, after = _troubles(original, ordinals), _troubles(patched, ordinals)
    evidence: dict[str, object] = {"original": _told(before), "patched": _told(after)}
    if not before:
        return Judgement(False, "the original's steps are stable as they are: there is nothing to mend", evidence)
    if after and all(_is_shared(key, original, patched) for key in after):
        words = f"still there, as without the fix: {next(iter(after.values())).words}"
        return Judgement(None, words, evidence, waits=True)
    if after:
        return Judgement(False, f"it still goes wrong: {next(iter(after.values())).words}", evidence)
    theirs, ours = _trajectories(original, ordinals), _trajectories(patched, ordinals)
    ways = [_way(theirs[key], ours[key], trouble.step) for key, trouble in before.items() if key in ours]
    share = statistics.median(ways) if ways else 1.0
    if share < 1:
        reason = f"the run is too short to tell: it moves {share:.0%} of the way that the original had made when it "
        return Judgement(None, f"{reason}went wrong (see --steps)", evidence, final=True)
    return Judgement(True, f"stable (original: {next(iter(before.values())).words})", evidence)


def _is_shared(key: Key, original: Observation, patched: Observation) -> bool:
    """Whether the same exception ends both trajectories: what it complains of may be for another fix to mend."""
    theirs, ours = (_trajectories(run, key[:1]).get(key) for run in (original, patched))
    if theirs is None or ours is None or theirs.failure is None or ours.failure is None:
        return False
    ended = breakdown(theirs), breakdown(ours)
    return ended[0] is not None and ended[1] is not None and ended[0][0] == ended[1][0] == ours.failure.kind


def _way(original: Trajectory, patched: Trajectory, step: int) -> float:
    """Which share of the way that the original had made at ``step`` the patched run makes."""
    needed = travelled(original, step)
    if needed == 0 or lowest(patched) <= lowest(original, step):
        return 1.0
    return travelled(patched) / needed


def _trajectories(observation: Observation, ordinals: Sequence[int]) -> dict[Key, Trajectory]:
    return {(svi.ordinal, t.seed): t for svi in observation.svis if svi.ordinal in ordinals for t in svi.trajectories}


def _troubles(observation: Observation, ordinals: Sequence[int]) -> dict[Key, Derailment]:
    """Where trajectories go wrong, and how."""
    found: dict[Key, Derailment] = {}
    for svi in observation.svis:
        if svi.ordinal not in ordinals:
            continue
        # The earliest cause is named: a spike comes before what it leads to.
        for troubles in (spikes(svi), derailed(svi)):
            for seed, trouble in troubles.items():
                found.setdefault((svi.ordinal, seed), trouble)
        for trajectory in svi.trajectories:
            if (ending := breakdown(trajectory)) is not None:
                found.setdefault((svi.ordinal, trajectory.seed), Derailment(len(trajectory.losses), ending[1]))
    return found


def _told(troubles: dict[Key, Derailment]) -> dict[str, str]:
    return {f"svi {ordinal}, seed {seed}": trouble.words for (ordinal, seed), trouble in troubles.items()}
