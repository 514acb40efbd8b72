"""Proof: whether a program trains better with all included fixes, seen where both trainings end.

A promise is kept over the first steps; people care about the last one.  The program as it is and the program with all
fixes are trained to their own end under common seeds.  One objective, by default the original's, evaluates where both
were on the way and at the end, under random numbers that neither has seen (``Bench.ends`` does the same for one fix).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pyro_fix.analysis.health import one_line
from pyro_fix.observation import Observation, SviObservation, Trajectory
from pyro_fix.proof import EQUAL, ORIGINALS, Point, Proof, Side, Word
from pyro_fix.runner.model import GIVEN, Referee, RunRequest
from pyro_fix.verify.bench import AT_THE_END, PATIENCE, Bench, ending, svi_of
from pyro_fix.verify.ends import FEWEST, affordable, time_of, unit
from pyro_fix.verify.nominal import measured_seconds, step_seconds
from pyro_fix.verify.options import RunPlan
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.promises.better_end import LEAST
from pyro_fix.verify.promises.no_worse import BATCHES
from pyro_fix.verify.psis import khat
from pyro_fix.verify.side_by_side import each
from pyro_fix.verify.stats import mean_interval
from pyro_fix.verify.units import bound_the_same, other_families, other_inputs, unlike
from pyro_fix.watch import Progress

#: Evaluations at each step that was kept on the way.
ON_THE_WAY = 4
#: Importance weights of a fit; Yao et al. (2018) take as many and more.
DRAWS = 1000
WEIGHTS = Referee({}, evaluations=1, moments=(), draws=DRAWS)
#: CPU seconds that these may take.
DRAW_BUDGET = 30.0
#: Nats: nobody reads how much less it is.
SMALL = 0.01
#: Points on the way without which nobody can tell whether a training is over.
FEWEST_POINTS = 8
#: Steps after which a program has shown what a step takes.
FIRST = 3
#: Steps that are allowed for where nobody knows how many there are, and no budget bounds them.
MOST = 1 << 20


@dataclass(frozen=True)
class Program:
    """A program as it is, or as the fixes have made it."""

    bench: Bench
    plan: RunPlan

    @property
    def seen(self) -> Observation:
        """Its short run."""
        return self.bench.baseline(self.plan)

    def request(self, seeds: tuple[int, ...], most: int, patience: float) -> RunRequest:
        """The training to its end; ``patience``: seconds that it may take."""
        request = self.bench.to_the_end(self.plan, (), seeds, most)
        return replace(request, timeout=max(request.timeout, patience))


def all_of(
    programs: Sequence[tuple[Program, Program | None]], within: float | None, jobs: int, progress: Progress
) -> list[Proof]:
    """The proofs of several programs, as they are and with the fixes if these change them, in their order."""
    if not programs:
        return []
    lab = programs[0][0].bench.lab

    def proofs(pair: tuple[Program, Program | None]) -> list[Proof]:
        before, after = pair
        return alone(before, within) if after is None else prove(before, after, within)

    return [
        proof for found in each("trainings to their ends", programs, proofs, lab, jobs, progress) for proof in found
    ]


def alone(program: Program, within: float | None) -> list[Proof]:
    """What a program comes to that no fix has changed: whether it ends well, is at its end, and fits.

    Nothing where its end cannot be seen, unless it was asked for.
    """
    if not program.seen.svis or program.plan.kind == "test":
        return []
    return [
        replace(proof, verdict="as it is", reason=_as_it_is(proof.before), after=None, gain=None, reached=None)
        if proof.before is not None
        else proof
        for proof in prove(program, program, within)
        if proof.before is not None or within is None
    ]


def prove(before: Program, after: Program, within: float | None) -> list[Proof]:
    """One proof an SVI object; ``within``: CPU seconds that it may take, None where it was asked for at any cost."""
    proof = _Proof(before, after, within)
    refusal = proof.begin()
    if refusal:
        return [Proof(before.plan.label, 0, before.bench.seeds, "cannot tell", refusal)]
    return proof.told()


class _Proof:
    """Both programs' trainings, and what is read off them."""

    def __init__(self, before: Program, after: Program, within: float | None) -> None:
        self._before, self._after, self._within = before, after, within
        self._lab, self._label = before.bench.lab, before.plan.label
        self._seconds = _seconds(before.seen) + _seconds(after.seen)
        """Of a step of both."""
        self._known = _steps(before, after)
        self._most = 0
        self._patience = 0.0
        self._seeds = before.bench.seeds

    def begin(self) -> str:
        """Find out how long the trainings are; returns why they are not made, or empty."""
        if self._before.plan.kind == "test":
            return "a test trains less than the program does; give a command with --run"
        made_up = self._before.seen.made_up or self._after.seen.made_up
        if made_up:
            return made_up
        target = self._before.plan.target
        if target.args and target.origin != GIVEN:
            return f"{target.origin}, which may be short; give a command with --run"
        count = len(self._seeds)
        if self._known is not None:
            if self._known < FEWEST:
                return f"the program ends after {self._known} steps"
            taken = count * self._known * self._seconds
            if self._within is not None and taken > self._within:
                return f"{self._known:,} steps take about {time_of(taken)} of CPU; --prove runs them"
            self._most, self._patience = self._known, PATIENCE * taken
            return ""
        if self._within is None:
            self._most = MOST
        else:
            # Half of it: as far as somebody who looks for harm has gone (``ends.harm``), that has been run already.
            seconds = _seconds(self._before.seen)
            self._most = affordable(self._within / 2, count, seconds) or self._before.bench.options.steps
        for program in (self._before, self._after):
            run = self._train(program, self._seeds[:1])
            made = max((len(t.losses) for svi in run.svis for t in svi.trajectories), default=0)
            if not ended(run) or made >= self._most:
                return f"its end is not reached after {made:,} steps; --prove looks for it" + self._by_time(run)
        return ""

    def _by_time(self, run: Observation) -> str:
        return "" if ended(run) else f" within {PATIENCE * self._before.bench.options.timeout:g} s (see --timeout)"

    def told(self) -> list[Proof]:
        ordinals = [svi.ordinal for svi in self._before.seen.svis]
        return [self._of(ordinal) for ordinal in ordinals] or [self._nothing("no SVI object was stepped", 0)]

    def _nothing(self, reason: str, ordinal: int) -> Proof:
        return Proof(self._label, ordinal, self._seeds, "cannot tell", reason)

    def _of(self, ordinal: int) -> Proof:
        """The proof for one SVI object, with more seeds where the first ones leave it open, or say that it is worse."""
        told = self._nothing("neither program has trained it", ordinal)
        sides: tuple[Side, Side] | None = None
        alone = False
        done = 0
        for total in self._batches():
            seeds = tuple(range(done, total))
            more = self._sides(ordinal, seeds, alone=alone, first=not done)
            if not done and not alone and not isinstance(more, str) and _unknown(more[1]) and not _unknown(more[0]):
                # The original has no such parameters: each program speaks for itself, where that says the same.
                alone, other = True, self._sides(ordinal, seeds, alone=True, first=True)
                more = other if not isinstance(other, str) else more
            if isinstance(more, str):
                return self._nothing(more, ordinal)
            sides = more if sides is None else (_joined(sides[0], more[0]), _joined(sides[1], more[1]))
            done = total
            told = self._judged(ordinal, tuple(range(total)), sides, alone)
            # What holds a fix back is looked at again, as what is left open: more seeds may show what it is there for.
            if told.verdict in {"better", "as good"} or not told.gain:
                break
        return told

    def _batches(self) -> list[int]:
        first = len(self._seeds)
        more = [size for size in BATCHES if size > first]
        if self._within is not None:
            made = self._known or self._most
            more = [size for size in more if size * made * self._seconds <= self._within]
        return [first, *more]

    # --- runs

    def _train(self, program: Program, seeds: tuple[int, ...]) -> Observation:
        fixed = "" if program is self._before else " with the fixes"
        words = f"{self._label}{fixed}: {len(seeds)} seeds to the end"
        return self._lab.observe(program.request(seeds, self._most, self._patience), words, save=True)

    def _sides(self, ordinal: int, seeds: tuple[int, ...], *, alone: bool, first: bool) -> tuple[Side, Side] | str:
        """Both programs under ``seeds``, each by its own objective where ``alone``; or why they cannot be compared."""
        runs = [self._train(program, seeds) for program in (self._before, self._after)]
        for program, run in zip((self._before, self._after), runs, strict=True):
            if not ended(run):
                who = "the program" if program is self._before else "the program with the fixes"
                return f"{who} did not come to its end within its time (see --timeout)"
            if run.made_up:
                return run.made_up
        judges = self._judges(ordinal, alone)
        if isinstance(judges, str):
            return judges
        found: list[Side] = []
        for program, judge, run in zip((self._before, self._after), judges, runs, strict=True):
            if found and program is self._before:  # as it is: there is one program
                return found[0], found[0]
            svi = svi_of(run, ordinal)
            if svi is None:
                found.append(Side(0, endings={seed: missing(run) for seed in seeds}))
                continue
            view = svi_of(self._views(judge, program, seeds, first=first), ordinal)
            shown = side(svi, seeds, view, unit(judge.seen, ordinal))
            found.append(self._weighed(shown, ordinal, judge, program, seeds) if first else shown)
        return found[0], found[1]

    def _judges(self, ordinal: int, alone: bool) -> tuple[Program, Program] | str:
        """Whose objective judges each program, or why none can."""
        old, new = svi_of(self._before.seen, ordinal), svi_of(self._after.seen, ordinal)
        if old is None or new is None:
            return self._after, self._after  # only one of them has trained anything
        if not (alone or unlike(old, new) or other_inputs(old, new) or other_families(old, new)):
            return self._before, self._before
        why = bound_the_same(old, new)
        if not why and old.look is not None and new.look is not None:
            why = _alike.priors(old.look, new.look)
        return why or (self._before, self._after)

    def _views(self, judge: Program, program: Program, seeds: tuple[int, ...], *, first: bool) -> Observation:
        """What ``judge`` thinks of where a program was under ``seeds``."""
        request = program.request(seeds, self._most, self._patience)
        states = {f"{seed}": (request, seed) for seed in seeds}
        how = replace(AT_THE_END, moments=("first", "late"), way=ON_THE_WAY if first else 0)
        words = f"{self._label}: where {len(seeds)} trainings were and ended"
        asked = judge.bench.request(judge.plan, None, seeds[:1], steps=max(self._most, how.evaluations))
        return self._lab.referee(asked, states, words, how)

    def _weighed(self, side: Side, ordinal: int, judge: Program, program: Program, seeds: tuple[int, ...]) -> Side:
        """The side with k̂ of its median fit, so that one bad seed does not speak for all."""
        fits = sorted((loss, seed) for seed, loss in side.losses.items() if math.isfinite(loss))
        if not fits:
            return side
        if self._seconds * DRAWS > DRAW_BUDGET:
            return replace(side, khat_missing=f"{DRAWS:,} draws take too long")
        _, seed = fits[(len(fits) - 1) // 2]
        states = {f"{seed}": (program.request(seeds, self._most, self._patience), seed)}
        asked = judge.bench.request(judge.plan, None, seeds[:1])
        run = self._lab.referee(asked, states, f"{self._label}: how well a fit fits", WEIGHTS)
        view = svi_of(run, ordinal)
        drawn = view.referee.get(f"{seed}/weights", ()) if view is not None else ()
        if not drawn:
            label = "/weights: "
            return replace(
                side, khat_missing=one_line(next((n.partition(label)[2] for n in run.warnings if label in n), ""))
            )
        fit, missing = khat(drawn)
        return replace(side, khat=fit, khat_missing=missing)

    # --- verdicts

    def _judged(self, ordinal: int, seeds: tuple[int, ...], sides: tuple[Side, Side], alone: bool) -> Proof:
        judges = self._judges(ordinal, alone)
        own = judges[0] is not judges[1]
        words = "each program's own objective" if own else ORIGINALS
        data = _data(self._before.seen, ordinal) or _data(self._after.seen, ordinal)
        seconds = len(seeds) * self._seconds * max(side.steps for side in sides)
        proof = Proof(self._label, ordinal, seeds, "cannot tell", "", *sides, data=data, judge=words, seconds=seconds)
        return verdict(replace(proof, most=self._most))


def verdict(proof: Proof) -> Proof:
    """The proof with what its sides come to."""
    before, after = proof.before, proof.after
    assert before is not None and after is not None
    count = len(proof.seeds)
    if after.endings:
        words = (
            f"with the fixes {len(after.endings)} of {count} trainings go wrong: {next(iter(after.endings.values()))}"
        )
        if before.endings:
            return replace(proof, verdict="cannot tell", reason=f"{words}; without them {len(before.endings)} do")
        return replace(proof, verdict="worse", reason=f"{words}, none without them")
    both = [seed for seed in proof.seeds if seed in before.losses and seed in after.losses]
    gains = [before.losses[seed] - after.losses[seed] for seed in both]
    if before.endings:
        return _held(proof, before, after, gains)
    if len(gains) < 2 or not all(map(math.isfinite, gains)):
        return replace(proof, reason="one objective cannot evaluate both programs' parameters")
    low, high = mean_interval(gains)
    mean = statistics.fmean(gains)
    reached = _reached(statistics.fmean(before.losses.values()), after)
    proof = replace(proof, gain=(mean, low, high), reached=reached)
    word = _word(gains, low, high, [before.losses[seed] for seed in both])
    if word == "worse" and after.rise is not None and -mean <= after.rise[0]:
        # A parameter that moves in another unit is slower or faster: where that leads, no longer training has shown.
        interval = f"95 % CI {nats(-high)} to {nats(-low)}, {count} seeds"
        words = f"cannot tell: behind by {nats(-mean)} nats ({interval}) where training stops"
        return replace(proof, reason=words + _rising(after))
    return replace(proof, verdict=word, reason=_sentence(proof, word))


def _word(gains: Sequence[float], low: float, high: float, ends: Sequence[float]) -> Word:
    mean = statistics.fmean(gains)
    # Another seed changes the end by as much.
    equal = max(EQUAL, statistics.stdev(ends))
    if low > 0 and mean > LEAST:
        return "better" if mean > EQUAL else "as good"
    if high < 0 and mean < -LEAST:
        return "worse" if mean < -EQUAL else "as good"
    return "as good" if -equal < low and high < equal else "cannot tell"


def _sentence(proof: Proof, word: Word) -> str:
    assert proof.gain is not None and proof.after is not None
    mean, low, high = proof.gain
    count = f"{len(proof.seeds)} seeds"
    if word == "better":
        reached = f", the original's end reached in {proof.reached:,}" if proof.reached else ""
        of = f" of {proof.after.steps:,} steps" if reached else ""
        told = f"better by {nats(mean)} nats (95 % CI {nats(low)} to {nats(high)}, {count}){reached}{of}"
    elif word == "worse":
        told = f"worse by {nats(-mean)} nats (95 % CI {nats(-high)} to {nats(-low)}, {count})"
    elif max(-low, high) < SMALL:
        told = f"{word}: the ELBO differs by less than {SMALL:g} nats ({count})"
    else:
        told = f"{word}: the ELBO differs by {nats(low)} to {nats(high)} nats (95 % CI, {count})"
    return told + _rising(proof.after)


def _as_it_is(side: Side) -> str:
    count = len(side.losses) + len(side.endings)
    wrong = (
        f"{len(side.endings)} of {count} trainings go wrong: {next(iter(side.endings.values()))}"
        if side.endings
        else ""
    )
    if not side.losses:
        return wrong
    told = (
        f"ELBO {-statistics.fmean(side.losses.values()):,.5g} after {side.steps:,} steps ({count} seeds){_rising(side)}"
    )
    return f"{wrong}; else {told}" if wrong else told


def _rising(side: Side) -> str:
    """Whether the training is over, to follow a sentence."""
    if side.rise is None:
        return ""
    gain, last = side.rise
    return f"; the ELBO still rises, by {nats(gain)} nats over the last {last:,} steps"


def nats(value: float) -> str:
    """A number of nats, to as many digits as anybody reads."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _held(proof: Proof, before: Side, after: Side, gains: Sequence[float]) -> Proof:
    """Of an original that goes wrong under some seeds, where the mended program comes to its end under all."""
    wrong = f"without the fixes {len(before.endings)} of {len(proof.seeds)} trainings go wrong"
    why = next(iter(before.endings.values()))
    steps = f"with them all make their {after.steps:,} steps"
    firsts = after.way[0].losses if after.way else {}
    falls = [firsts[seed] - after.losses[seed] for seed in after.losses if seed in firsts]
    finite = [fall for fall in falls if math.isfinite(fall)]
    if len(finite) < 2 or mean_interval(finite)[0] <= 0:
        return replace(proof, reason=f"{steps}, but the loss is not seen to fall ({wrong}: {why})")
    if gains and max(gains) < -EQUAL:
        words = f"under the other seeds the ELBO is lower by {nats(-max(gains))} to {nats(-min(gains))} nats"
        return replace(proof, reason=f"{wrong}: {why}; {steps}, but {words}")
    elbo = f"ELBO {-statistics.fmean(after.losses.values()):,.5g}"
    return replace(proof, verdict="better", reason=f"better: {wrong} ({why}); {steps} ({elbo})")


def _reached(level: float, after: Side) -> int | None:
    """The first step that was kept on the way at which the mean loss is no more than ``level``, between two of them."""
    points = [(point.step, statistics.fmean(point.losses.values())) for point in after.way if point.losses]
    points = [(step, loss) for step, loss in points if math.isfinite(loss)]
    if points and points[0][1] <= level:
        return points[0][0]
    for (start, high), (end, low) in pairwise(points):
        if low <= level:
            return round(start + (end - start) * (high - level) / (high - low))
    return None


def _rise(way: Sequence[Point]) -> tuple[float, int] | None:
    """By how much the ELBO still rises over the last fifth of the steps that were kept, if that is sure.

    ``way`` is without the start and the end, which are evaluated under other random numbers.
    """
    if len(way) < FEWEST_POINTS:
        return None
    last = way[-1]
    first = [point for point in way if point.step <= 0.8 * last.step][-1:]
    gains = [point.losses[s] - last.losses[s] for point in first for s in point.losses if s in last.losses]
    if len(gains) < 2 or not all(map(math.isfinite, gains)) or mean_interval(gains)[0] <= EQUAL:
        return None
    return statistics.fmean(gains), last.step - first[0].step


# --- what trainings show


def side(svi: SviObservation, seeds: Sequence[int], view: SviObservation | None, nat: float) -> Side:
    """What trainings under ``seeds`` have shown, and what a judge has seen of where they were (``view``)."""
    referee = view.referee if view is not None else {}
    trajectories = {t.seed: t for t in svi.trajectories}
    endings = {seed: why for seed in seeds if (why := ending(trajectories.get(seed)))}
    losses = {seed: _mean(referee.get(f"{seed}/late", ())) / nat for seed in seeds if seed not in endings}
    made = max((len(t.losses) for t in svi.trajectories), default=0)
    steps = sorted({int(step) for label in referee for step in [label.partition("/")[2]] if step.isdecimal()})
    way = [(0, "first"), *((step, str(step)) for step in steps)]
    points = [
        Point(step, {s: _mean(referee[f"{s}/{key}"]) / nat for s in losses if f"{s}/{key}" in referee})
        for step, key in way
    ]
    if losses:
        points.append(Point(made, losses))
    return Side(
        made,
        losses,
        endings,
        tuple(point for point in points if point.losses),
        measured_seconds(svi) if svi.trajectories else None,
        _noise([t for t in svi.trajectories if t.seed in losses], nat),
        rise=_rise([point for point in points if 0 < point.step < made and point.losses]),
    )


def _unknown(side: Side) -> bool:
    """Whether there are parameters that the objective could not evaluate."""
    return any(math.isnan(loss) for loss in side.losses.values())


def _joined(first: Side, more: Side) -> Side:
    """The side with further seeds; the way there is told of the first ones."""
    return replace(
        first,
        steps=max(first.steps, more.steps),
        losses={**first.losses, **more.losses},
        endings={**first.endings, **more.endings},
    )


def _mean(losses: Sequence[float]) -> float:
    return statistics.fmean(losses) if losses else math.nan


def missing(run: Observation) -> str:
    """Why a run has trained nothing."""
    return f"{run.failure.kind}: {run.failure.message}" if run.failure is not None else "no SVI object was stepped"


def _noise(trajectories: Sequence[Trajectory], nat: float) -> float | None:
    norms = [norm for t in trajectories for norm in t.gradient_norms[-max(len(t.gradient_norms) // 10, 1) :]]
    finite = [norm for norm in norms if math.isfinite(norm)]
    return statistics.median(finite) / nat if finite else None


def ended(run: Observation) -> bool:
    """Whether every training has come to its end, or gone wrong: no limit has stopped one."""
    trajectories = [t for svi in run.svis for t in svi.trajectories]
    return all(t.finished or t.failure or t.first_nonfinite is not None for t in trajectories) and not (
        run.failure is not None and run.failure.kind == "timeout"
    )


def _seconds(run: Observation) -> float:
    """CPU seconds of a step, where one was made that is not the first: that one takes what it takes to get ready."""
    longest = {id(svi): max((len(t.losses) for t in svi.trajectories), default=0) for svi in run.svis}
    return sum(step_seconds(svi) for svi in run.svis if longest[id(svi)] > FIRST)


def _steps(*programs: Program) -> int | None:
    """How many steps a training makes, by what runs have shown or else the source tells."""
    owns = [t.own for program in programs for svi in program.seen.svis for t in svi.trajectories]
    known = [own for own in owns if own is not None] or [p.plan.steps for p in programs if p.plan.steps]
    return max(known, default=None)


def _data(run: Observation, ordinal: int) -> int | None:
    """How many observations the model has, those that a minibatch stands for included."""
    svi = svi_of(run, ordinal)
    look = svi.look if svi is not None else None
    total = 0.0
    for site in look.model.values() if look is not None else ():
        if site.observed:
            whole = math.prod(plate.size / plate.subsample for plate in site.plates if plate.subsample)
            total += math.prod(site.batch_shape) * whole
    return round(total) or None
