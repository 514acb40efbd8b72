"""Decides which fixes keep their promises, with as few runs as it takes.

The road of a fix: a program that exercises it is found; it is run alone and judged on what is deterministic or paired
at fixed parameters (levels A and B); what passes is run together with the program's other fixes, over whole
trajectories and before the referee (level C); a set that fails is split until the culprit is alone.  A fix that fails
moves on to its next candidate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pyro_fix.analysis.health import STOPS, describe, unwell
from pyro_fix.observation import Look, Observation
from pyro_fix.rewrite import Conflict, Patch
from pyro_fix.runner.model import GIVEN
from pyro_fix.sources import Source
from pyro_fix.transform import Promise, Proposal, Status, Verdict, label, place
from pyro_fix.verify import ends, later, wording
from pyro_fix.verify.bench import Bench, is_script, loads, svi_of
from pyro_fix.verify.fix import Fix, codes
from pyro_fix.verify.judgement import Judgement, merge
from pyro_fix.verify.lab import Lab, Run
from pyro_fix.verify.options import RunPlan, VerifyOptions
from pyro_fix.verify.promises import JUDGES, REFEREES, TOGETHER, _alike, better_end, no_worse
from pyro_fix.verify.side_by_side import each
from pyro_fix.verify.split import split
from pyro_fix.verify.trouble import (
    NOT_OF_THE_PROGRAM,
    Break,
    affected,
    breaking,
    broken_baseline,
    crashes,
    first_step_lost,
    gets_further,
    invalid,
    is_biased,
    said,
)
from pyro_fix.watch import Event, Progress

if TYPE_CHECKING:
    from pyro_fix.runner.executor import Executor

T = TypeVar("T")
Referees = Callable[[Sequence[no_worse.Pair]], Judgement]

#: What can be shown at values that we made up: it holds at any, or says itself where it fails.
DATA_FREE = (
    Promise.RUNS_CLEAN
    | Promise.SAME_START
    | Promise.SAME_OBJECTIVE
    | Promise.SAME_SITES_SLICED
    | Promise.SAME_EXPECTATION
)


def _silent(event: Event) -> None:
    """Show no progress."""


def _nothing() -> None:
    """There is nothing to stop."""


#: Promises of fixes that say nothing of what ends a program: they are judged once it runs.
_UNABLE = (
    Promise.SAME_OBJECTIVE
    | Promise.SAME_SITES_SLICED
    | Promise.SAME_EXPECTATION
    | Promise.LESS_VARIANCE
    | Promise.DECLARED_RATE
    | Promise.WHOLE_GRADIENT
)
#: Promises that hold a fix against the original's steps: these tell little while the original breaks.
_COMPARING = Promise.STABLE | Promise.NO_WORSE | Promise.BETTER_START


class Verifier:
    """Judges proposals by running the programs that exercise them."""

    def __init__(
        self,
        plans: Sequence[RunPlan],
        sources: Mapping[Path, Source],
        options: VerifyOptions,
        run: Run | None = None,
        base: Mapping[Path, bytes] | None = None,
        progress: Progress = _silent,
        lab: Lab | None = None,
    ) -> None:
        """``sources`` holds every file that a proposal edits; ``run`` starts one child (default: the runner's);
        ``base`` lies over the files on disk in every run: what earlier rounds of fixes have made of them; ``lab`` is
        where the runs are made, and remembered from one round to the next."""
        self._plans = plans
        self._sources = sources
        self._options = options
        self._run = run
        self._progress = progress
        self._base = base or {}
        self._lab = lab
        self.runs = 0
        """Children that the last call started."""

    def observe(self) -> list[Observation]:
        """What every program shows as it is, in the order of the plans."""
        with self._laboratory() as lab:
            bench = Bench(lab, self._sources, self._options, (), self._base)
            session = _Session(bench, self._plans, self._progress, single=False)
            session.observe()
            return [bench.baseline(plan) for plan in self._plans]

    def verify(self, proposals: Sequence[Proposal]) -> list[Verdict]:
        """One verdict a proposal, in their order."""
        fixes = [Fix(proposal) for proposal in proposals]
        for fix in fixes:
            if not fix.proposal.candidates:
                fix.verdict = Verdict(Status.NONE, fix.proposal.held_back or "advice: there is no fix to apply")
            elif not self._plans:
                paths = dict.fromkeys(edit.path for edit in fix.candidate.edits)
                files = ", ".join(place(path) for path in paths)
                fix.decide(Status.UNVERIFIED, f"{wording.NOTHING_LEADS_TO}{files}; give a command with --run")
        waiting = [fix for fix in fixes if fix.verdict is None]
        promises = [candidate.promise for fix in waiting for candidate in fix.proposal.candidates]
        with self._laboratory() as lab:
            bench = Bench(lab, self._sources, self._options, promises, self._base)
            # A fix that no program can exercise has no say in how much is run for another one.
            reached = [fix for fix in waiting if any(_may_exercise(plan, fix) for plan in self._plans)]
            single = len(reached) == 1
            _Session(bench, self._plans, self._progress, single=single).settle(waiting)
        return [fix.verdict for fix in fixes if fix.verdict is not None]

    @contextmanager
    def _laboratory(self) -> Iterator[Lab]:
        with (
            nullcontext(self._lab)
            if self._lab is not None
            else laboratory(self._options, self._progress, self._run) as lab
        ):
            before = lab.runs
            try:
                yield lab
            finally:
                self.runs = lab.runs - before


def laboratory(
    options: VerifyOptions,
    progress: Progress = _silent,
    run: Run | None = None,
    executor: Executor | None = None,
) -> Lab:
    """A lab whose children ``run`` starts, or ``executor``; by default they are this machine's."""
    if run is not None:
        return Lab(options, run, _nothing, progress)
    if executor is None:
        from pyro_fix.runner.executor import Local

        executor = Local()
    return Lab(options, executor.run, executor.stop, progress)


class _Session:
    """One verification."""

    def __init__(self, bench: Bench, plans: Sequence[RunPlan], progress: Progress, single: bool) -> None:
        self._bench = bench
        self._progress = progress
        self._plans = plans
        # One seed finds most culprits; the run of all fixes together has all seeds, and for a single fix is the same.
        self._seeds = bench.seeds if single else bench.seeds[:1]
        self._single = single

    def settle(self, fixes: Sequence[Fix]) -> None:
        """Try candidates until every fix has a verdict: those that are left have passed together."""
        while not all(fix.verdict for fix in fixes):
            self._each("each fix alone", [fix for fix in fixes if not fix.verdict and not fix.passes], self._alone)
            self._each("fixes together", self._groups([fix for fix in fixes if fix.passes]), self._together)

    def observe(self) -> None:
        """Run every program as it is."""
        self._each("programs as they are", self._plans, self._baseline)

    def _baseline(self, plan: RunPlan) -> None:
        self._bench.baseline(plan)

    def _each(self, words: str, items: Sequence[T], work: Callable[[T], None]) -> None:
        # Twice the jobs: one may wait for a run that another one makes.
        threads = 2 * max(self._bench.options.jobs, 1)
        each(words, items, work, self._bench.lab, threads, self._progress)

    # --- one fix alone: levels A and B

    def _alone(self, fix: Fix) -> None:
        while not fix.verdict and not fix.passes:
            try:
                patch = self._bench.patch(fix)
            except Conflict as error:
                fix.fail(Judgement(None, f"its edits overlap: {error}"))
                continue
            if not self._exercise(fix, patch):
                return
            assert fix.original is not None and fix.patched is not None
            fix.ordinals = affected(fix.original, fix.patched)
            fix.judgements = self._judge(fix.original, fix.patched, fix)
            failed = _failed(fix.judgements)
            if failed is not None:
                fix.fail(failed)
            elif (drawn := _drawn_still(fix)) and breaking(fix.original) is None:
                words = f"{wording.NO_BOUND}'{drawn}', which the model observes"
                fix.decide(Status.UNVERIFIED, words, {"deferred": True})
            else:
                fix.passes = True

    def _exercise(self, fix: Fix, patch: Patch) -> bool:
        """Find the first program that runs every changed line, and run it; otherwise give the verdict."""
        reasons: list[str] = []
        made_up: list[str] = []
        partly: tuple[RunPlan, Observation, Observation, list[str]] | None = None
        edited = list(patch.texts)
        options = self._bench.options
        # A program that is the edited file itself most likely reaches the line.
        for plan in sorted(self._plans, key=lambda plan: not is_script(plan, edited)):
            if plan.files and plan.files.isdisjoint(edited):
                continue
            original = self._bench.baseline(plan)
            if plan.target in self._bench.lab.reaching:
                reasons.append(f"{plan.label}: {self._bench.lab.reaching[plan.target]}")
                continue
            broken = broken_baseline(original, options.timeout, options.steps)
            cures = bool(broken) and _may_cure(original, fix)
            if broken and not cures:
                # Values that we made up can make a sound program fail: that says nothing of it.
                words = f"{plan.label}: {broken}"
                (made_up if plan.kind == "driver" else reasons).append(words)
                continue
            if not any(loads(plan, original, path) for path in edited):
                continue
            if plan.kind == "driver" and fix.candidate.promise & ~DATA_FREE:
                reasons.append(wording.MADE_UP)
                continue
            if original.made_up and fix.candidate.promise & ~DATA_FREE:
                reasons.append(wording.on_made_up(plan.label, original))
                continue
            ended = breaking(original)
            if ended is not None and not _may_mend(fix, ended):
                if original.made_up:
                    reasons.append(wording.breaks_on_made_up(plan.label, original, ended.words))
                    continue
                if plan.kind == "driver":
                    made_up.append(f"{plan.label}: {ended.words}")
                    continue
                fix.plan, fix.original = plan, original
                fix.decide(Status.UNVERIFIED, f"{wording.STILL_BREAKS}{ended.words}", _waiting(ended))
                return False
            steps = options.steps if self._single else self._bench.steps_alone(plan, fix)
            patched = self._bench.alone(plan, fix, patch, self._seeds, steps)
            missed = _missed(patch, patched)
            if missed and steps < options.steps:  # a later step may reach it
                patched = self._bench.alone(plan, fix, patch, self._seeds, options.steps)
                missed = _missed(patch, patched)
            if cures and (missed or crashes(patched)):
                reasons.append(f"{plan.label}: {broken}")
                continue
            # A program that the fix breaks before its line is reached has shown enough.
            broke = patched.failure is not None and original.failure is None and patched.failure.kind not in STOPS
            if patched.made_up and fix.candidate.promise & ~DATA_FREE:
                reasons.append(wording.on_made_up(f"{plan.label} with the fix", patched))
                continue
            if original.made_up and crashes(original) and crashes(patched):
                words = next(iter(crashes(original).values()))
                reasons.append(wording.breaks_on_made_up(plan.label, original, words))
                continue
            if plan.kind == "driver" and crashes(original) and crashes(patched):
                # most likely what we made up is to blame
                made_up.append(f"{plan.label}: {next(iter(crashes(original).values()))}")
                continue
            if not missed or broke:
                fix.plan, fix.original, fix.patched, fix.alone = plan, original, patched, patched
                return True
            if _reached_some(patch, missed, fix) and not crashes(patched):
                partly = partly or (plan, original, patched, missed)
            reasons.append(f"no run reached the changed line: {plan.label} never runs {', '.join(missed)}")
        if partly is not None:
            fix.plan, fix.original, fix.patched, missed = partly
            fix.alone, fix.missed = fix.patched, tuple(missed)
            return True
        if not reasons and made_up:
            reasons.append(wording.does_not_run(made_up[0]))
        fix.decide(Status.UNVERIFIED, reasons[0] if reasons else self._unreached(edited))
        return False

    def _unreached(self, edited: Sequence[Path]) -> str:
        files = ", ".join(place(path) for path in edited)
        if any(plan.target.origin == GIVEN for plan in self._plans):
            return f"no run reached the changed line: nothing that was run loads {files}"
        return wording.NOTHING_LEADS_TO + files

    def _judge(self, original: Observation, patched: Observation, fix: Fix) -> dict[str, Judgement]:
        """Judgements by name; what makes the rest meaningless comes alone."""
        ending = self._ending(original, patched)
        if not ending.kept and not ending.waits:
            return {"end": ending}
        missing = len(original.svis) - len(patched.svis)
        if missing > 0:
            return {
                "end": Judgement(None, f"not comparable: the patched program builds fewer SVI objects (by {missing})")
            }
        if not fix.candidate.promise:
            return {"end": Judgement(None, "the fix promises nothing that could be tested")}
        judgements = {} if ending.kept else {"end": ending}
        for promise, judge in JUDGES.items():
            if promise in fix.candidate.promise:
                judgements[wording.name(promise)] = judge(original, patched, fix.ordinals, fix.candidate)
        return judgements

    def _ending(self, original: Observation, patched: Observation) -> Judgement:
        """Whether the patched program ends worse than the original: a new exception, NaN or infinity."""
        if patched.failure is not None and patched.failure.kind in STOPS and original.failure is None:
            stopped = broken_baseline(patched, self._bench.options.timeout, self._bench.options.steps)
            if stopped:
                return Judgement(None, f"with the fix {stopped}")
        lost = first_step_lost(original, patched)
        if lost:
            return Judgement(False, f"the fix breaks the first step, which the original makes: {lost}")
        before = crashes(original)
        for key, words in crashes(patched).items():
            if key in before:
                continue
            if key[0] == "program" and original.failure is not None:
                return Judgement(None, f"without the fix {describe(original.failure)}, with it {words}", waits=True)
            if key[0] != "trajectory":
                return Judgement(False, f"the fix breaks the program: {words}")
            known = svi_of(original, int(key[1]))
            if before and (known is None or not known.trajectories):
                return Judgement(None, f"the original breaks before it comes to what then breaks: {words}", waits=True)
            if any(other[:2] == key[:2] for other in before):
                return Judgement(None, f"the original breaks, and with the fix it still does: {words}", waits=True)
            error = said(patched, key)
            words += f": {error}" if error else ""
            return Judgement(False, f"the patched run breaks, which the original does not: {words}")
        return Judgement(True, "")

    # --- all fixes of a program together: level C

    def _groups(self, fixes: Sequence[Fix]) -> list[list[Fix]]:
        """Fixes that no run has in common are judged side by side."""
        groups: list[tuple[set[RunPlan], list[Fix]]] = []
        for fix in fixes:
            plans = {other.plan for other in fixes if other.plan and self._bench.touches(other.plan, fix)}
            joined = [group for group in groups if group[0] & plans]
            groups = [group for group in groups if not group[0] & plans]
            groups.append((plans.union(*(known for known, _ in joined)), [f for _, fs in joined for f in fs] + [fix]))
        return [sorted(members, key=fixes.index) for _, members in groups]

    def _together(self, fixes: Sequence[Fix]) -> None:
        """Give the fixes of a group their verdicts, or send those that fail to their next candidates."""
        kept, conflicts = self._bench.composable(fixes)
        plans = list(dict.fromkeys(fix.plan for fix in kept if fix.plan is not None))
        if any(self._mended(plan, kept) for plan in plans):
            return  # those that mend the program are judged again, without the others
        for plan in plans:
            if self._culprits(plan, [fix for fix in kept if self._bench.touches(plan, fix)]):
                return  # the others are judged again, without those that failed
        for plan in plans:
            members = [fix for fix in kept if fix.plan == plan and later.asked(fix)]
            if members and self._strays(plan, members):
                return
        for plan in plans:
            members = [fix for fix in kept if fix.plan == plan and _refereed([fix])]
            if members and self._worse(plan, members):
                return
        if any([self._is_dead(fix, kept) for fix in kept]):
            return
        for plan in plans:
            group = [fix for fix in kept if self._bench.touches(plan, fix)]
            if any([self._falls_short(plan, fix, group) for fix in group if fix.plan == plan]):
                return
        for plan in plans:
            members = [fix for fix in kept if fix.plan == plan and not ends.asked(fix.candidate.promise)]
            if members and self._spoils(plan, members):
                return
        for plan in plans:
            group = [fix for fix in kept if self._bench.touches(plan, fix)]
            ending = self._ending_it(plan, group)
            for fix in group:
                if fix.plan == plan:
                    self._accept(fix, group, ending)
        for fix, other in conflicts:
            reason = f"conflicts with {label(other.proposal)}: run again after that is applied"
            fix.decide(Status.UNVERIFIED, reason, {"deferred": True})

    def _mended(self, plan: RunPlan, kept: Sequence[Fix]) -> bool:
        """Whether a program that breaks is mended without those fixes that are measured by its steps: they wait.

        What they are measured by is another program then.
        """
        ended = breaking(self._bench.baseline(plan))
        members = [fix for fix in kept if self._bench.touches(plan, fix)]
        mending = [fix for fix in members if not fix.candidate.promise & _COMPARING]
        measured = [fix for fix in members if fix.candidate.promise & _COMPARING and fix.plan == plan]
        if ended is None or not mending or not measured:
            return False
        patched = self._bench.together(plan, mending)
        if breaking(patched) is not None or not self._sound(self._bench.baseline(plan), patched, mending).kept:
            return False
        for fix in measured:
            words = f"waits for {codes(mending)} to end what breaks the program: {ended.words}"
            fix.decide(Status.UNVERIFIED, words, _waiting(ended))
        return True

    def _is_dead(self, fix: Fix, kept: Sequence[Fix]) -> bool:
        """Whether another fix has put something in the place of what a fix changes; then it is dropped."""
        plan, alone = fix.plan, fix.alone
        assert plan is not None and alone is not None
        group = [other for other in kept if self._bench.touches(plan, other)]
        if len(group) < 2:
            return False
        own, whole = self._bench.patch(fix), self._bench.compose(group)
        patched = self._bench.together(plan, group)
        for edit in fix.candidate.edits:
            here, there = (f"{edit.path}:{patch.landed[edit]}" for patch in (own, whole))
            if alone.hits.get(here) and patched.hits.get(there) == 0:
                words = f"dropped: with {codes([other for other in group if other is not fix])} nothing runs its line"
                fix.decide(Status.UNVERIFIED, words, {"deferred": True})
                return True
        unused = _unused(fix, patched)
        if unused:
            words = f"dropped: with {codes([other for other in group if other is not fix])} nothing uses '{unused}'"
            fix.decide(Status.UNVERIFIED, words, {"deferred": True})
        return bool(unused)

    def _culprits(self, plan: RunPlan, members: Sequence[Fix]) -> bool:
        """Run ``members`` together over whole trajectories; True when some of them failed."""
        original = self._bench.baseline(plan)
        result = split(
            sorted(members, key=lambda fix: fix.proposal.path),  # by file, then within it
            lambda group: self._sound(original, self._bench.together(plan, group), group),
        )
        for fix, judgement in result.failed:
            if fix.plan == plan:  # alone it was seen over fewer seeds, or fewer steps
                fix.patched = self._bench.together(plan, [fix])
            fix.judgements["end"] = judgement
            fix.fail(judgement)
        self._defer(result.clashing, result.kept)
        if result.failed or result.clashing:
            return True
        patched = self._bench.together(plan, members)
        left = [fix for fix in members if fix.plan == plan and fix.waits and self._remains(patched, fix)]
        # A smaller rate may be what the others wait for: they stay while it has another one to try.
        climbing = [fix for fix in members if fix.plan == plan and fix.climbs and fix.candidate.promise & _COMPARING]
        for fix in (climbing if left else []) or left:
            if fix.waits:
                fix.fail(fix.waits)
        return bool(left)

    def _sound(self, original: Observation, patched: Observation, group: Sequence[Fix]) -> Judgement:
        """Whether a set of fixes brings nothing bad that the original does not have."""
        judgements = [self._ending(original, patched)]
        for fix in group:
            for promise, judge in TOGETHER.items():
                if promise in fix.candidate.promise:
                    judgements.append(judge(original, patched, fix.ordinals, fix.candidate))
        for svi in patched.svis:
            before = svi_of(original, svi.ordinal)
            if before is not None and unwell(svi) and not unwell(before):
                judgements.append(Judgement(False, "the loss diverges, which the original's does not"))
        for kept in (False, None):
            bad = [judgement for judgement in judgements if judgement.kept is kept and not judgement.waits]
            if bad:
                return merge(bad)
        return Judgement(True, "")

    def _remains(self, patched: Observation, fix: Fix) -> bool:
        """Whether trouble that the original has is still there with all fixes together."""
        if self._leads_on(fix):
            return False
        svis = [svi_of(patched, ordinal) for ordinal in fix.ordinals]
        if any(svi is None or unwell(svi) for svi in svis):
            return True
        if any(key[0] != "trajectory" for key in crashes(patched)):
            return True
        clean = Promise.RUNS_CLEAN in fix.candidate.promise
        return clean and any(key[0] != "data" for key in invalid(patched, fix.ordinals))

    def _strays(self, plan: RunPlan, members: Sequence[Fix]) -> bool:
        """Compare the objectives where the original's steps have led; True when ``members`` have another one there."""
        original = self._bench.baseline(plan)
        if breaking(original) is not None or any(map(unwell, original.svis)):
            return False

        def test(group: Sequence[Fix]) -> Judgement:
            judgement = later.judge(*self._bench.later(plan, group), group)
            if judgement.kept is None:  # a bound may shut out what nobody needs: where both end tells
                return self._referee(plan, group, [no_worse.judge])
            return judgement

        result = split(sorted(members, key=lambda fix: fix.proposal.path), test)
        for fix, judgement in result.failed:
            fix.judgements["later"] = judgement
            fix.fail(judgement)
        self._defer(result.clashing, result.kept)
        return bool(result.failed or result.clashing)

    def _worse(self, plan: RunPlan, members: Sequence[Fix]) -> bool:
        """Bring ``members`` before the referee; True when some of them failed."""
        seen: dict[frozenset[int], Judgement] = {}

        def test(group: Sequence[Fix]) -> Judgement:
            key = frozenset(id(fix) for fix in group)
            if key not in seen:
                seen[key] = self._referee(plan, group)
            return seen[key]

        name = wording.name(Promise.NO_WORSE)
        result = split(sorted(members, key=lambda fix: fix.proposal.path), test)
        failed = False
        for fix, judgement in result.failed:
            fix.judgements[name] = judgement
            seen_to_end = Promise.NO_WORSE_END in fix.candidate.promise and len(fix.ordinals) == 1
            if seen_to_end and no_worse.is_behind(judgement):
                words = f"behind after {self._bench.options.steps} steps, which is not the end: {judgement.reason}"
                fix.judgements[name] = replace(judgement, kept=True, reason=words)
                continue  # a slower start may be made good: where both end tells
            failed = True
            fix.patched = self._bench.together(plan, [fix])
            fix.fail(judgement)
        self._defer(result.clashing, result.kept)
        for fix in result.kept:
            fix.judgements[name] = test(result.kept)
        return bool(failed or result.clashing)

    def _referee(self, plan: RunPlan, group: Sequence[Fix], judges: Sequence[Referees] = ()) -> Judgement:
        """Pairs of runs in growing batches until the referee can tell."""
        ordinals = sorted({ordinal for fix in group for ordinal in fix.ordinals})
        first = len(self._bench.seeds)
        judges = judges or [REFEREES[promise] for promise in _refereed(group)]
        pairs: dict[int, list[no_worse.Pair]] = {}
        judgement = Judgement(None, "there is no SVI object to compare")
        done = 0
        for total in (first, *(size for size in no_worse.BATCHES if size > first)):
            for ordinal, more in self._bench.pairs(plan, group, tuple(range(done, total)), ordinals).items():
                pairs.setdefault(ordinal, []).extend(more)
            done = total
            judgement = merge([judge(rows) for rows in pairs.values() for judge in judges]) if pairs else judgement
            if not judgement.weak:
                break
        return judgement

    def _spoils(self, plan: RunPlan, members: Sequence[Fix]) -> bool:
        """Train the program to its end with all that says nothing of it; True when some of them spoil it."""
        original = self._bench.baseline(plan)
        if breaking(original) is not None or any(map(unwell, original.svis)):
            return False
        if plan.kind == "driver" or original.made_up:
            return False
        members = [fix for fix in members if not _bounds_another(fix)]
        seen: list[Judgement] = []

        def test(group: Sequence[Fix]) -> Judgement:
            seen.append(ends.harm(self._bench, plan, group))
            return seen[-1]

        result = split(sorted(members, key=lambda fix: fix.proposal.path), test)
        for fix, judgement in result.failed:
            fix.judgements["at the end"] = judgement
            fix.fail(judgement)
        for fix in result.kept:
            fix.judgements["at the end"] = next((one for one in reversed(seen) if one.kept), Judgement(True, ""))
        self._defer(result.clashing, result.kept)
        lost = [fix for fix in result.kept if self._loses_unseen(fix, fix.judgements["at the end"])]
        return bool(result.failed or result.clashing or lost)

    def _loses_unseen(self, fix: Fix, end: Judgement) -> bool:
        """Fail a fix that a short run has seen to lose, where nobody saw it catch up; True when it is one."""
        short = fix.judgements.get(wording.name(Promise.NO_WORSE))
        left = end.evidence.get(better_end.DIFFERENCE)
        behind = isinstance(left, float) and left > 0
        if short is None or not short.evidence.get(no_worse.LOSES):
            return False
        uncompared = no_worse.is_behind(short) and not isinstance(left, float)
        if not (behind or uncompared or ends.NOT_RUN in end.evidence):
            return False
        what = "does not catch up to its end" if behind else "its end was not seen"
        within = "" if no_worse.is_behind(short) else "within the margin, but "
        words = f"{within}seen to lose, and {what}: {short.reason}"
        fix.fail(Judgement(None, words, short.evidence))
        return True

    def _falls_short(self, plan: RunPlan, fix: Fix, group: Sequence[Fix]) -> bool:
        """Train the program to its end, where a fix has to hold out that long; True when it failed."""
        if not ends.asked(fix.candidate.promise):
            return False
        judgements = ends.judge(self._bench, plan, fix, group)
        fix.judgements |= judgements
        failed = _failed(judgements)
        if failed is None:
            told = [judgements[wording.name(promise)] for promise in ends.asked(fix.candidate.promise)]
            return any([self._loses_unseen(fix, judgement) for judgement in told])
        fix.patched = self._bench.together(plan, [fix])
        fix.fail(failed)
        return True

    # --- verdicts

    def _defer(self, clashing: Sequence[tuple[Fix, Judgement]], kept: Sequence[Fix]) -> None:
        for fix, judgement in clashing:
            reason = f"sound alone, but not together with {codes(kept)}: {judgement.reason}"
            fix.decide(Status.UNVERIFIED, reason, {"deferred": True})

    def _ending_it(self, plan: RunPlan, group: Sequence[Fix]) -> dict[Fix, bool]:
        """The fixes that end what breaks a program, and whether each does so alone; under every seed.

        Where none does alone, they are those without which it breaks as before.
        """
        before = breaking(self._bench.baseline(plan))
        if before is None or breaking(self._bench.together(plan, group)) is not None:
            return {fix: True for fix in group if self._leads_on(fix)}
        seeds = before.seeds or self._bench.seeds[:1]
        alone = [fix for fix in group if self._ends_alone(plan, fix, seeds) or self._leads_on(fix)]
        if alone or len(group) == 1:
            return dict.fromkeys(alone or group, True)
        rests = {fix: [other for other in group if other is not fix] for fix in group}
        needed = [fix for fix, rest in rests.items() if breaking(self._bench.under(plan, rest, seeds[:1])) is not None]
        return dict.fromkeys(needed or group, False)

    def _ends_alone(self, plan: RunPlan, fix: Fix, seeds: tuple[int, ...]) -> bool:
        if fix.alone is not None and breaking(fix.alone) is not None:
            return False
        return breaking(self._bench.under(plan, [fix], seeds)) is None

    def _leads_on(self, fix: Fix) -> bool:
        """Whether a fix alone ends what breaks the program, and lets it come to something else that breaks it."""
        plan, original, alone = fix.plan, fix.original, fix.alone
        if plan is None or original is None or alone is None or fix.candidate.promise & _COMPARING:
            return False
        seeds = self._bench.seeds
        return gets_further(original, alone) and gets_further(original, self._bench.under(plan, [fix], seeds))

    def _accept(self, fix: Fix, group: Sequence[Fix], ending: Mapping[Fix, bool]) -> None:
        """Give a verdict to one of ``group``, of which those in ``ending`` end what breaks the program."""
        plan = fix.plan
        assert plan is not None and fix.original is not None
        fix.patched = self._bench.together(plan, group)
        before, after = breaking(fix.original), breaking(fix.patched)
        if after is not None and fix not in ending:
            fix.decide(Status.UNVERIFIED, f"{wording.STILL_BREAKS}{after.words}", _waiting(after))
            return
        clauses = [j.reason if j.kept else j.shown for j in fix.judgements.values()]
        ends = wording.endings(fix.patched, fix.ordinals, plan.steps)
        befores = [svi_of(fix.original, ordinal) for ordinal in fix.ordinals]
        if after is not None and before is not None:
            ends = f"ends {before.words}; what comes after it breaks: {after.words}"
        elif before is not None:
            who = "ended by these fixes together"
            if fix not in ending:
                who = f"ended by {codes(list(ending))}"
            elif ending[fix]:
                who = "this fix alone ends it"
            ends += f" (original: {before.words}; {who})"
        elif any(svi is not None and unwell(svi) for svi in befores):
            ends += f" (original: {wording.endings(fix.original, fix.ordinals)})"
        more: dict[str, object] = {"together with": [label(other.proposal) for other in group if other is not fix]}
        if before is not None:
            more["breaks"] = before.told
        if before is not None and fix in ending:
            more["ends"] = {"what": before.words, "alone": ending[fix]}
        if plan.kind == "driver":
            ends += f", in {plan.target.origin}"
            more["driver"] = b"".join(text for _, text in plan.added).decode()
        if fix.original.made_up or fix.patched.made_up:
            ends += f", {wording.AT_MADE_UP}"
        if fix.missed:
            ends += f"; not run: {', '.join(fix.missed)}"
        if plan.target in self._bench.lab.reaching:  # in any run that this rests on
            fix.decide(Status.UNVERIFIED, f"{plan.label}: {self._bench.lab.reaching[plan.target]}", more)
            return
        if fix.patched.made_up and fix.candidate.promise & ~DATA_FREE:  # together it may go another way than alone
            fix.decide(Status.UNVERIFIED, wording.on_made_up(f"{plan.label} with all fixes", fix.patched), more)
            return
        fix.decide(Status.VERIFIED, "; ".join([*dict.fromkeys(filter(None, clauses)), ends]), more)


def _may_exercise(plan: RunPlan, fix: Fix) -> bool:
    """Whether the source leaves it possible that a program reads a file that a fix edits."""
    return not plan.files or not plan.files.isdisjoint(edit.path for edit in fix.candidate.edits)


def _bounds_another(fix: Fix) -> bool:
    """Whether the loss bounds another evidence with a fix, or bounds one and bounded none: where training ends the
    original is no judge then.

    It draws from the prior what a fix has observed, and judges by labels that have nothing to do with the data.
    """
    looks = _looks(fix)
    if any((_alike.drawn_data(a) and not _alike.drawn_data(b)) or _observes_more(a, b) for a, b in looks):
        return True
    assert fix.original is not None and fix.alone is not None
    return is_biased(fix.original, fix.ordinals) and not is_biased(fix.alone, fix.ordinals)


def _observes_more(before: Look, after: Look) -> bool:
    """Whether the model observes what it has drawn without a guide."""
    return any(
        not site.observed and name not in before.guide and name in after.model and after.model[name].observed
        for name, site in before.model.items()
    )


def _drawn_still(fix: Fix) -> str:
    """A site that the model observes and the guide draws, without a fix and with it: the loss is no bound, and what
    lowers it says nothing.  With the scale of such a site it falls for ever."""
    for before, after in _looks(fix):
        drawn = _alike.drawn_data(before) & _alike.drawn_data(after)
        if drawn:
            return min(drawn)
    return ""


def _unused(fix: Fix, patched: Observation) -> str:
    """A parameter that a fix changes and the original trains, where the others together leave none of these trained."""
    changed = {
        name
        for before, after in _looks(fix)
        for name, param in before.params.items()
        if after.params.get(name) not in (None, param) and _alike.is_reached(before, name)
    }
    looks = [svi.look for svi in patched.svis]
    used = any(look is None or look.error or _may_use(look, name) for look in looks for name in changed)
    return "" if used else min(changed, default="")


def _may_use(look: Look, name: str) -> bool:
    """Whether a parameter is there, and its gradient is not seen to be nothing."""
    return bool(look.gradients.get(name)) and _alike.is_reached(look, name) is not False


def _looks(fix: Fix) -> Iterator[tuple[Look, Look]]:
    """The looks at the first step, without a fix and with it alone, of each SVI object that has both."""
    assert fix.original is not None and fix.alone is not None
    for before in fix.original.svis:
        after = svi_of(fix.alone, before.ordinal)
        if before.look is not None and after is not None and after.look is not None:
            yield before.look, after.look


def _missed(patch: Patch, patched: Observation) -> list[str]:
    """The changed lines that a run did not reach."""
    return [
        f"{place(path)}:{line}"
        for path, lines in patch.lines.items()
        for line in lines
        if not patched.hits.get(f"{path}:{line}")
    ]


def _may_mend(fix: Fix, ended: Break) -> bool:
    """Whether a fix can be what a program needs that breaks: others wait until it runs.

    A decay is worth something in the end, and no rate has a say in what breaks before a step is made.
    """
    promise = fix.candidate.promise
    if Promise.BETTER_END in promise or (Promise.DECLARED_RATE in promise and not ended.by_a_step):
        return False
    return bool(promise & ~_UNABLE) or not promise


def _waiting(ended: Break) -> dict[str, object]:
    """Evidence of a fix that is judged again once its program runs."""
    return {"deferred": True, "breaks": ended.told}


def _reached_some(patch: Patch, missed: Sequence[str], fix: Fix) -> bool:
    """Whether some of the calls that make one param were run: they stand in several guides, and are changed alike."""
    if not fix.candidate.promise & Promise.SAME_START:
        return False
    reached = {
        f"{place(path)}:{line}"
        for path, lines in patch.lines.items()
        for line in lines
        if not patch.texts[path].splitlines()[line - 1].lstrip().startswith(("import ", "from "))
    }
    return bool(reached - set(missed))


def _refereed(group: Sequence[Fix]) -> list[Promise]:
    """What a group promises that the referee judges."""
    return [promise for promise in REFEREES if any(promise in fix.candidate.promise for fix in group)]


def _may_cure(original: Observation, fix: Fix) -> bool:
    """Whether a fix may be what a program needs that breaks before its first step.

    There is nothing to compare with then, so that goes for fixes alone that promise no more than a clean run.
    """
    failure = original.failure
    return (
        fix.candidate.promise is Promise.RUNS_CLEAN
        and failure is not None
        and failure.kind not in STOPS | NOT_OF_THE_PROGRAM
        and all(not svi.trajectories for svi in original.svis)
    )


def _failed(judgements: Mapping[str, Judgement]) -> Judgement | None:
    """The judgement that stops a fix: one that says no before one that cannot tell."""
    for judgement in judgements.values():
        if judgement.kept is False:
            return judgement
    return next((j for j in judgements.values() if j.kept is None and not j.waits), None)
