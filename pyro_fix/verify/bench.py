"""The runs that verdicts are made of: a program as it is, with some fixes, and both before the referee."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pyro_fix.analysis.health import breakdown, diverged, levels, unwell
from pyro_fix.observation import Observation, SviObservation, Trajectory
from pyro_fix.rewrite import Conflict, Patch, compose
from pyro_fix.runner.model import Deep, Referee, RunRequest
from pyro_fix.sources import Source
from pyro_fix.transform import Promise, label
from pyro_fix.verify.fix import Fix, codes
from pyro_fix.verify.lab import Lab
from pyro_fix.verify.options import RunPlan, VerifyOptions
from pyro_fix.verify.promises import LOOKS, STEPS
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.trouble import crashes
from pyro_fix.verify.units import other_families, other_inputs, unlike

#: Promises that the referee looks at: it needs the parameters of the runs.
REFEREED = Promise.NO_WORSE | Promise.BETTER_START
#: What a run to the end may take, in time limits: its steps are known to be affordable, by the CPU time of one.
PATIENCE = 3
#: Where trainings end, differences are small: the referee looks more often, at more batches of the data, and at several
#: of the last steps, which tell in four trainings what their last ones alone do not in sixteen.
AT_THE_END = Referee({}, evaluations=128, moments=("late",))


#: At later parameters the objective is asked, not the training.
LATER = Referee({}, moments=("last",))


@dataclass(frozen=True)
class Ends:
    """What two programs showed that were trained to their ends."""

    original: Observation
    patched: Observation
    pairs: Mapping[int, list[Pair]]
    """By SVI object."""


class Bench:
    """Asks the lab for runs.  Equal questions are equal requests, so that each program runs once."""

    def __init__(
        self,
        lab: Lab,
        sources: Mapping[Path, Source],
        options: VerifyOptions,
        promises: Iterable[Promise],
        base: Mapping[Path, bytes],
    ) -> None:
        """``promises`` are all that may be judged."""
        self.lab = lab
        self.options = options
        self.seeds = tuple(range(options.seeds))
        self._sources = sources
        self._base = base
        self._save = any(promise & REFEREED for promise in promises)

    def request(
        self,
        plan: RunPlan,
        patch: Patch | None,
        seeds: tuple[int, ...],
        deep: Deep | None = None,
        steps: int | None = None,
        *,
        to_the_end: bool = False,
    ) -> RunRequest:
        """A run of ``plan``; no ``deep`` means no look at the first step."""
        options = self.options
        # A program that loads none of the files that other programs' fixes have changed need not run again for them.
        known = is_script(plan, plan.files)  # its own file and all that it imports
        base = {path: data for path, data in self._base.items() if not known or path in plan.files}
        overlay = {**base, **dict(plan.added)}
        if patch:
            overlay |= {path: self._sources[path].encode(text) for path, text in patch.texts.items()}
        return RunRequest(
            target=plan.target,
            python=options.python,
            overlay=overlay,
            marks=patch.lines if patch else {},
            steps=options.steps if steps is None else steps,
            to_the_end=to_the_end,
            seeds=seeds,
            deep=deep,
            expect_svis=plan.expect_svis,
            timeout=options.timeout,
            device=options.device,
            any_version=options.any_version,
            stand_ins=options.stand_ins,
            sandbox=options.sandbox,
        )

    def baseline(self, plan: RunPlan) -> Observation:
        """The program as it is."""
        return self.lab.observe(self._baseline_request(plan), f"observing {plan.label}", save=True)

    def alone(self, plan: RunPlan, fix: Fix, patch: Patch, seeds: tuple[int, ...], steps: int) -> Observation:
        """The program with the current candidate of ``fix``: as the run together makes it, or less of it."""
        text = f"{label(fix.proposal)}: {fix.candidate.label}"
        whole = seeds == self.seeds and steps == self.options.steps
        deep = _whole_look(fix.candidate.promise) if whole else _look(fix.candidate.promise)
        return self.lab.observe(self.request(plan, patch, seeds, deep, steps), text, save=self._save and whole)

    def together(self, plan: RunPlan, group: Sequence[Fix]) -> Observation:
        """The program with several fixes, over all seeds."""
        return self.lab.observe(self._together(plan, group), f"{plan.label} with {codes(group)}", save=self._save)

    def under(self, plan: RunPlan, group: Sequence[Fix], seeds: tuple[int, ...]) -> Observation:
        """The program with several fixes under some seeds: whether it still breaks, and nothing else."""
        text = f"{plan.label} with {codes(group)}: whether it breaks"
        return self.lab.observe(self.request(plan, self.compose(group), seeds), text)

    def steps_alone(self, plan: RunPlan, fix: Fix) -> int:
        """How many steps the run of a fix alone has to make.

        Where the original has trouble of its own, a fix may wait for others to cure it, which whole trajectories show;
        and where there are several SVI objects, one may start from where the steps of another have led.
        """
        original, promise = self.baseline(plan), fix.candidate.promise
        parts = [part for part in Promise if part in promise]
        steady = len(original.svis) == 1 and not crashes(original) and not any(map(unwell, original.svis))
        if not steady or any(part not in STEPS for part in parts):
            return self.options.steps
        return min([self.options.steps, *([max(STEPS[part] for part in parts)] if parts else [])])

    def pairs(
        self, plan: RunPlan, group: Sequence[Fix], seeds: tuple[int, ...], ordinals: Sequence[int]
    ) -> dict[int, list[Pair]]:
        """Both programs under ``seeds``, and what the original thinks of where they ended, by SVI object."""
        first = seeds == self.seeds
        before = self._baseline_request(plan) if first else self.request(plan, None, seeds)
        after = self._together(plan, group) if first else self.request(plan, self.compose(group), seeds)
        script = plan.label
        original = self.lab.observe(before, f"{script}: {len(seeds)} more seeds", save=True)
        patched = self.lab.observe(after, f"{script}: {len(seeds)} seeds with {codes(group)}", save=True)
        states = {f"original-{seed}": (before, seed) for seed in seeds}
        states |= {f"patched-{seed}": (after, seed) for seed in seeds}
        # The program is started as those runs were, up to its first step.
        referee = self.request(plan, None, seeds[:1])
        view = self.lab.referee(referee, states, f"{script}: the referee looks at {len(seeds)} pairs of runs")
        units = {ordinal: _units(self.baseline(plan), self.together(plan, group), ordinal) for ordinal in ordinals}
        return {
            ordinal: [_pair(seed, ordinal, original, patched, view, units[ordinal]) for seed in seeds]
            for ordinal in ordinals
            if svi_of(original, ordinal) and svi_of(patched, ordinal)
        }

    def later(self, plan: RunPlan, group: Sequence[Fix], most: int = 0) -> tuple[Observation, Observation]:
        """What the program as it is, and the program with some fixes, think of where the former's runs ended.

        With ``most`` these are the runs to its end, of so many steps at most.
        """
        run = self.to_the_end(plan, (), self.seeds, most) if most else self._baseline_request(plan)
        states = {f"original-{seed}": (run, seed) for seed in self.seeds}
        words = f"{plan.label} with {codes(group)}: the objective at later parameters"
        requests = [self.request(plan, patch, self.seeds[:1]) for patch in (None, self.compose(group))]
        before, after = (self.lab.referee(replace(one, marks={}), states, words, LATER) for one in requests)
        return before, after

    def ends(
        self,
        plan: RunPlan,
        groups: tuple[Sequence[Fix], Sequence[Fix]],
        seeds: tuple[int, ...],
        ordinals: Sequence[int],
        most: int,
    ) -> Ends:
        """The program with two sets of fixes, trained to its end (``most`` steps at most), before the same referee.

        Both have come to their ends.
        """
        before, after = (self.end(plan, group, seeds, most) for group in groups)
        programs = [self.to_the_end(plan, group, seeds, most) for group in groups]
        sides = dict(zip(("original", "patched"), programs, strict=True))
        states = {f"{side}-{seed}": (request, seed) for side, request in sides.items() for seed in seeds}
        referee = self.request(plan, None, seeds[:1], steps=max(most, AT_THE_END.evaluations))
        words = f"{plan.label}: the referee looks at {len(seeds)} pairs of ends"
        view = self.lab.referee(referee, states, words, AT_THE_END)
        looks = [self.together(plan, group) if group else self.baseline(plan) for group in groups]
        units = {ordinal: _units(looks[0], looks[1], ordinal) for ordinal in ordinals}
        pairs = {
            ordinal: [_pair(seed, ordinal, before, after, view, units[ordinal], "late") for seed in seeds]
            for ordinal in ordinals
            if svi_of(before, ordinal) and svi_of(after, ordinal)
        }
        return Ends(before, after, pairs)

    def end(self, plan: RunPlan, group: Sequence[Fix], seeds: tuple[int, ...], most: int) -> Observation:
        """The program with some fixes, trained to its end.

        Nothing is marked in such a run, so that it is what the next round asks of the program as it is then.
        """
        words = f"{plan.label} {f'with {codes(group)}' if group else 'as it is'}: {len(seeds)} seeds to the end"
        return self.lab.observe(self.to_the_end(plan, group, seeds, most), words, save=True)

    def to_the_end(self, plan: RunPlan, group: Sequence[Fix], seeds: tuple[int, ...], most: int) -> RunRequest:
        """What :meth:`end` asks for."""
        patch = self.compose(group) if group else None
        request = self.request(plan, patch, seeds, steps=most, to_the_end=True)
        return replace(request, marks={}, timeout=PATIENCE * request.timeout)

    def patch(self, fix: Fix) -> Patch:
        """The current candidate of one fix; raises :class:`Conflict` where its edits overlap."""
        return compose(self._sources, fix.candidate.edits)

    def compose(self, group: Sequence[Fix]) -> Patch:
        """The current candidates of several fixes; raises :class:`Conflict`."""
        return compose(self._sources, [edit for fix in group for edit in fix.candidate.edits])

    def composable(self, fixes: Sequence[Fix]) -> tuple[list[Fix], list[tuple[Fix, Fix]]]:
        """Fixes that can be written together, first come first served; and those that cannot, with whom they meet."""
        kept: list[Fix] = []
        conflicts = []
        for fix in fixes:
            if not self._conflict([*kept, fix]):
                kept.append(fix)
            else:
                conflicts.append((fix, next((other for other in kept if self._conflict([other, fix])), kept[0])))
        return kept, conflicts

    def touches(self, plan: RunPlan, fix: Fix) -> bool:
        """Whether the program reads a file that ``fix`` edits."""
        return fix.plan == plan or any(loads(plan, self.baseline(plan), edit.path) for edit in fix.candidate.edits)

    def _baseline_request(self, plan: RunPlan) -> RunRequest:
        # The same whatever is judged afterwards: its facts are asked for before there is a finding.
        return self.request(plan, None, self.seeds, _whole_look(Promise(0)))

    def _together(self, plan: RunPlan, group: Sequence[Fix]) -> RunRequest:
        return self.request(plan, self.compose(group), self.seeds, _whole_look(_union(group)))

    def _conflict(self, fixes: Sequence[Fix]) -> bool:
        try:
            self.compose(fixes)
        except Conflict:
            return True
        return False


def loads(plan: RunPlan, observation: Observation, path: Path) -> bool:
    """Whether a run read the file at ``path``."""
    real = os.path.realpath(path)
    return any(os.path.realpath(plan.target.cwd / name) == real for name in observation.loaded)


def is_script(plan: RunPlan, paths: Iterable[Path]) -> bool:
    """Whether ``plan`` runs one of these files itself."""
    target = plan.target
    script = os.path.realpath(target.cwd / target.name)
    return target.kind == "script" and any(script == os.path.realpath(path) for path in paths)


def svi_of(observation: Observation, ordinal: int) -> SviObservation | None:
    """What was seen of one SVI object."""
    return next((svi for svi in observation.svis if svi.ordinal == ordinal), None)


def _look(promise: Promise) -> Deep:
    """What has to be looked at for the promises of one fix."""
    seeds = max([Deep().seeds, *(needed for part, needed in LOOKS.items() if part in promise)])
    return Deep(seeds=seeds, slices=Promise.SAME_SITES_SLICED in promise)


def _whole_look(promise: Promise) -> Deep:
    """All that the program as it is is asked for: with its fixes it is what the next round begins with."""
    return Deep(seeds=max(LOOKS.values()), slices=Promise.SAME_SITES_SLICED in promise, facts=True)


def _union(group: Iterable[Fix]) -> Promise:
    promise = Promise(0)
    for fix in group:
        promise |= fix.candidate.promise
    return promise


def _pair(
    seed: int,
    ordinal: int,
    original: Observation,
    patched: Observation,
    view: Observation,
    units: tuple[str, bool],
    end: str = "last",
) -> Pair:
    svi = svi_of(view, ordinal)
    referee = svi.referee if svi is not None else {}

    def level(label: str) -> float:
        losses = referee.get(label, ())
        return statistics.fmean(losses) if losses else float("nan")

    return Pair(
        seed,
        level(f"original-{seed}/first"),
        level(f"original-{seed}/{end}"),
        level(f"patched-{seed}/{end}"),
        ending(_trajectory(original, ordinal, seed)),
        ending(_trajectory(patched, ordinal, seed)),
        level(f"patched-{seed}/first"),
        units[0],
        _own(patched, ordinal, seed),
        _own(original, ordinal, seed) if units[1] else None,
    )


def _units(original: Observation, patched: Observation, ordinal: int) -> tuple[str, bool]:
    """Why the referee cannot compare the two guides, if so; whether each program has to speak for itself."""
    before, after = svi_of(original, ordinal), svi_of(patched, ordinal)
    if before is None or after is None:
        return "", False
    return unlike(before, after), other_inputs(before, after) or other_families(before, after)


def _own(observation: Observation, ordinal: int, seed: int) -> tuple[float, float] | None:
    trajectory = _trajectory(observation, ordinal, seed)
    return levels(trajectory) if trajectory is not None else None


def _trajectory(observation: Observation, ordinal: int, seed: int) -> Trajectory | None:
    svi = svi_of(observation, ordinal)
    return next((t for t in svi.trajectories if t.seed == seed), None) if svi is not None else None


def ending(trajectory: Trajectory | None) -> str:
    """How a trajectory went wrong, in words; empty where it did not."""
    if trajectory is None:
        return "no run under this seed"
    bad = breakdown(trajectory)
    return bad[1] if bad else "the loss diverges" if diverged(trajectory) else ""
