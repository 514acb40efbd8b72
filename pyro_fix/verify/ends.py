"""Trainings that go to their end: whether they can be afforded, and what they show.

A fix is compared with all that it runs with but for its own change: what the others gain is no merit of it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyro_fix.analysis.health import levels
from pyro_fix.observation import Observation, SviObservation
from pyro_fix.runner.model import GIVEN
from pyro_fix.transform import Promise
from pyro_fix.verify import later, wording
from pyro_fix.verify.bench import PATIENCE, Bench, Ends, svi_of
from pyro_fix.verify.fix import Fix
from pyro_fix.verify.judgement import Judgement, merge
from pyro_fix.verify.nominal import step_seconds
from pyro_fix.verify.options import RunPlan
from pyro_fix.verify.promises import ENDS, JUDGES, better_end, no_worse, no_worse_end
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.stats import mean_interval
from pyro_fix.verify.trouble import crashes
from pyro_fix.verify.units import other_families

#: CPU seconds that the steps of both programs may take, over the first seeds, for one candidate; where these cannot
#: tell, as many again for more of them.
BUDGET = 120.0
#: ... and for all fixes together that promise nothing of the end, and leave the parameters what they mean.
HARM_BUDGET = 30.0
#: A program that ends after fewer steps is a smoke test.
FEWEST = 50
#: In the evidence: why the end was not seen.
NOT_RUN = "not trained to its end"
_ONLY_THERE = "what it is worth shows only at the end"


def asked(promise: Promise) -> list[Promise]:
    """Which promises about the end there are to judge: whoever declares a rate has to hold out."""
    found = [part for part in ENDS if part in promise]
    return found or ([Promise.NO_WORSE_END] if Promise.DECLARED_RATE in promise else [])


def judge(bench: Bench, plan: RunPlan, fix: Fix, group: Sequence[Fix]) -> dict[str, Judgement]:
    """Judgements by promise: of the program with ``group``, and with ``group`` but for ``fix``."""
    promises = asked(fix.candidate.promise)
    training = _training(bench, plan, fix)
    refusal = _refusal(training, fix, Promise.BETTER_END in promises)
    if refusal is not None:
        return {wording.name(promise): _not_run(promise, refusal) for promise in promises}
    rest = [other for other in group if other is not fix]
    pairs: dict[int, list[Pair]] = {}
    judgements: dict[str, Judgement] = {}
    done = 0
    for total in training.batches(len(bench.seeds)):
        seeds = tuple(range(done, total))
        for programs in (rest, group):
            end = bench.end(plan, programs, seeds, training.most)
            refusal = _unfinished(end, training, fix, PATIENCE * bench.options.timeout)
            if refusal is not None:
                return {wording.name(promise): _not_run(promise, refusal) for promise in promises}
        ends = bench.ends(plan, (rest, group), seeds, fix.ordinals, training.most)
        if Promise.WHOLE_GRADIENT in fix.candidate.promise:
            whole = JUDGES[Promise.WHOLE_GRADIENT](ends.original, ends.patched, fix.ordinals, fix.candidate)
            judgements = {wording.name(Promise.WHOLE_GRADIENT): whole}
            if whole.kept is False:
                return judgements
        for ordinal, more in ends.pairs.items():
            pairs.setdefault(ordinal, []).extend(more)
        done = total
        beside = "; the other fixes in both" if rest else ""
        length = f"trained to its end ({_steps(ends, fix):,} steps, {total} seeds{beside})"
        for promise in promises:
            judged = [
                ENDS[promise](rows, unit(bench.baseline(plan), ordinal), length) for ordinal, rows in pairs.items()
            ]
            judgements[wording.name(promise)] = _all_or_one(promise, judged)
            behind = [_behind(ends, ordinal, unit(bench.baseline(plan), ordinal), length) for ordinal in pairs]
            if judgements[wording.name(promise)].kept and any(behind):
                judgements[wording.name(promise)] = Judgement(False, next(filter(None, behind)))
        if not any(judgement.weak for judgement in judgements.values()):
            break
    return judgements


def _behind(ends: Ends, ordinal: int, unit: float, length: str) -> str:
    """Whether a slower program falls behind data that go on, which batches of before do not show.

    Both programs have seen the same data at the same steps, under the same random numbers.
    """
    before, after = svi_of(ends.original, ordinal), svi_of(ends.patched, ordinal)
    if before is None or after is None:
        return ""
    levels = [
        [statistics.fmean(t.losses[-max(len(t.losses) // 10, 1) :]) for t in svi.trajectories if t.losses]
        for svi in (before, after)
    ]
    differs = [new - old for old, new in zip(*levels, strict=False)]
    if len(differs) < 2 or not all(map(math.isfinite, differs)):
        return ""
    low, high = mean_interval(differs)
    if low <= better_end.LEAST * unit:
        return ""
    return f"{length} its own loss over the last tenth of the steps is higher by {low:.3g} to {high:.3g}"


def harm(bench: Bench, plan: RunPlan, group: Sequence[Fix]) -> Judgement:
    """Whether fixes that say nothing of the end spoil it, all together; kept as well where nobody can afford to look.

    What holds a parameter later on, or stops, is what no short run shows.
    """
    longest = max(group, key=lambda fix: fix.candidate.steps or 0)
    training = _training(bench, plan, longest)
    ordinals = tuple(sorted({ordinal for fix in group for ordinal in fix.ordinals}))
    # Who keeps the objective loses little more than time, as a parameter does that moves in another unit; who does not
    # has been seen by the referee over a short run alone.
    strict = any(not later.asked(fix) and Promise.NO_WORSE in fix.candidate.promise for fix in group)
    seeds, patience = bench.seeds, PATIENCE * bench.options.timeout
    budget = BUDGET if strict or _in_other_coordinates(bench, plan, group, ordinals) else HARM_BUDGET
    most = affordable(budget, len(seeds), training.seconds) or training.allowed
    training = replace(training, affordable=most, allowed=0)
    if training.known is not None and training.known > most:
        return Judgement(True, "", {NOT_RUN: f"{training.known:,} steps take too long"})
    shortest = 0
    # One seed tells whether the end comes within reach.
    for programs, some in (((), seeds[:1]), ((), seeds), (group, seeds)):
        if training.known is None or some == seeds:
            end = bench.end(plan, programs, some, training.most)
            made = min((len(t.losses) for svi in _svis(end, longest) for t in svi.trajectories), default=0)
            if programs and made < shortest and not crashes(end):
                return Judgement(False, f"it trains for {made:,} steps instead of {shortest:,}")
            shortest = made
            refusal = _unfinished(end, training, longest, patience)
            if refusal is not None:
                return Judgement(True, "", {NOT_RUN: refusal})
            if training.known is None and not crashes(end):
                training = replace(training, known=made)  # as those ask that know it from the source
    keeping = [fix for fix in group if later.asked(fix)]
    if keeping:
        agrees = later.judge(*bench.later(plan, keeping, training.most), keeping)
        if agrees.kept is False:
            return agrees
    baseline = bench.baseline(plan)
    pairs: dict[int, list[Pair]] = {}
    judgement, done = Judgement(True, ""), 0
    for total in (len(seeds), 2 * len(seeds)):  # twice as many where the first ones make it likely
        more = tuple(range(done, total))
        ends = bench.ends(plan, ((), group), more, ordinals, training.most)
        for ordinal, rows in ends.pairs.items():
            pairs.setdefault(ordinal, []).extend(rows)
        judged = []
        for ordinal, rows in pairs.items():
            margin = 0.0 if strict else no_worse.MARGIN * _progress(ends.original, ordinal)
            judged.append(no_worse_end.harm(rows, max(margin, better_end.LEAST * unit(baseline, ordinal))))
        judgement, done = merge(judged) if judged else judgement, total
        if not judgement.weak:
            return judgement
    return Judgement(True, "", judgement.evidence)


def _in_other_coordinates(bench: Bench, plan: RunPlan, group: Sequence[Fix], ordinals: Sequence[int]) -> bool:
    """Whether a latent has another family, so that the same steps lead elsewhere: a support that is mended, too."""
    before, after = bench.baseline(plan), bench.together(plan, group)
    sides = [(svi_of(before, ordinal), svi_of(after, ordinal)) for ordinal in ordinals]
    return any(one is not None and other is not None and other_families(one, other) for one, other in sides)


def _progress(observation: Observation, ordinal: int) -> float:
    """How far the loss of a program falls, by its own levels; 0 where it rises."""
    svi = svi_of(observation, ordinal)
    ends = [levels(trajectory) for trajectory in svi.trajectories] if svi is not None else []
    falls = [first - last for first, last in filter(None, ends)]
    return max(statistics.fmean(falls), 0.0) if falls and all(map(math.isfinite, falls)) else 0.0


@dataclass(frozen=True)
class _Training:
    """How long a program trains, and how much of it can be afforded."""

    known: int | None
    """How many steps it makes, where that is known."""
    seconds: float
    """Of one step, by what the program as it is has shown."""
    allowed: int
    """Steps that the user allows for."""
    affordable: int
    """Steps that the budget has for the first batch of pairs."""
    alone: bool
    """Whether the program trains nothing else."""

    @property
    def most(self) -> int:
        """The steps after which a run is stopped."""
        if self.known is not None and self.alone:
            return self.known
        return max(self.affordable, self.allowed, self.known or 0)

    @property
    def permitted(self) -> bool:
        """Whether its end may be run for."""
        return self.known is None or self.known <= max(self.allowed, self.affordable)

    def batches(self, first: int) -> list[int]:
        """Numbers of pairs after which to look, as far as they can be afforded."""
        more = [size for size in no_worse.BATCHES if size > first]
        if self.known is not None and self.known > self.allowed:
            more = [size for size in more if 2 * size * self.known * self.seconds <= 2 * BUDGET]
        elif self.known is None:
            more = []
        return [first, *more]


def _training(bench: Bench, plan: RunPlan, fix: Fix) -> _Training:
    baseline, options = bench.baseline(plan), bench.options
    known = fix.candidate.steps
    if known is None:
        svis = [svi_of(baseline, ordinal) for ordinal in fix.ordinals]
        owns = [t.own for svi in svis if svi is not None for t in svi.trajectories]
        known = max((own for own in owns if own is not None), default=None)
    seconds = sum(step_seconds(svi) for svi in baseline.svis if svi.trajectories)
    affordable = int(BUDGET / (2 * len(bench.seeds) * seconds)) if seconds > 0 else options.steps
    return _Training(known, seconds, options.steps, affordable, len(baseline.svis) == 1)


def affordable(budget: float, seeds: int, seconds: float) -> int:
    """How many steps of two programs under some seeds CPU seconds are enough for, where a step takes ``seconds``; 0
    where that is not known.

    A power of two: of what a clock has said as little as may be goes into a request, which the cache would know again.
    """
    return 1 << max(int(budget / (2 * seeds * seconds)).bit_length() - 1, 0) if seconds > 0 else 0


def _refusal(training: _Training, fix: Fix, gain: bool) -> str | None:
    """Why the program is not trained to its end; None where it is."""
    plan = fix.plan
    assert plan is not None
    if gain and fix.candidate.steps is None and training.known is None:
        if plan.kind == "test":
            return f"{_ONLY_THERE}, and a test trains less than the program; give a command with --run"
        if plan.target.args and plan.target.origin != GIVEN:
            return f"{_ONLY_THERE}, and {plan.target.origin}, which may be short; give a command with --run"
    if training.known is not None and training.known < FEWEST:
        return f"{_ONLY_THERE}, and the program ends after {training.known} steps"
    if not training.permitted and training.known is not None:
        time = time_of(training.known * training.seconds * 2 * no_worse.BATCHES[0])
        return f"{_ONLY_THERE}: {training.known:,} steps take about {time} of CPU; --steps {training.known} runs them"
    return None


def time_of(seconds: float) -> str:
    """A time in words."""
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{seconds:.0f} s"


def _unfinished(end: Observation, training: _Training, fix: Fix, timeout: float) -> str | None:
    """Why a run to the end has not come to it."""
    trajectories = [t for svi in _svis(end, fix) for t in svi.trajectories]
    if not trajectories or not all(t.finished or t.failure or t.first_nonfinite is not None for t in trajectories):
        return f"{_ONLY_THERE}, which a run did not reach within {timeout:g} s (see --timeout)"
    longest = max(len(t.losses) for t in trajectories)
    if end.made_up:
        return wording.on_made_up(f"{fix.plan.label if fix.plan else end.command}, trained to its end", end)
    if training.known is None and longest >= training.most:
        return f"{_ONLY_THERE}, which is not reached after {longest:,} steps (see --steps)"
    if longest < FEWEST and not any(t.failure for t in trajectories):
        return f"{_ONLY_THERE}, and the program ends after {longest} steps"
    return None


def _not_run(promise: Promise, why: str) -> Judgement:
    """A gain has to be seen; for want of a long training nothing else is held back that short ones have shown."""
    if promise is Promise.BETTER_END:
        return Judgement(None, why)
    return Judgement(True, "", {NOT_RUN: why})


def _all_or_one(promise: Promise, judged: Sequence[Judgement]) -> Judgement:
    """Of several SVI objects one has to gain, and none may lose."""
    if not judged:
        return Judgement(None, "there is no SVI object to compare")
    gained = [judgement for judgement in judged if judgement.kept]
    if promise is Promise.BETTER_END and gained and not any(judgement.kept is False for judgement in judged):
        return merge(gained)
    return merge(judged)


def _svis(observation: Observation, fix: Fix) -> list[SviObservation]:
    return [svi for svi in observation.svis if svi.ordinal in fix.ordinals]


def _steps(ends: Ends, fix: Fix) -> int:
    """Of the longer one: the other may have broken before it came to its end."""
    svis = [*_svis(ends.original, fix), *_svis(ends.patched, fix)]
    return max(len(t.losses) for svi in svis for t in svi.trajectories)


def unit(observation: Observation, ordinal: int) -> float:
    """What one nat is in the objective's numbers: an ELBO that is scaled on the whole is so at every site."""
    svi = svi_of(observation, ordinal)
    look = svi.look if svi is not None else None
    scales: list[float] = []
    for sites in (look.guide, look.model) if look is not None else ():
        scales += [site.scale for site in sites.values() if site.scale]
    return min([1.0, *scales])
