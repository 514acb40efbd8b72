"""Who says what runs show, and what becomes of proposals: :class:`Static` without a run, :class:`ByRuns` with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Protocol

from pyro_fix import trust
from pyro_fix.analysis.health import STOPS, one_line
from pyro_fix.analysis.program import Program
from pyro_fix.config import Options, cores
from pyro_fix.observation import TOO_LONG, Observation
from pyro_fix.proof import Proof, Side
from pyro_fix.transform import Proposal, Status, Verdict
from pyro_fix.watch import Event, Notice, Progress, RunBegan

if TYPE_CHECKING:
    from pyro_fix.plans import Finder
    from pyro_fix.runner.model import Sandbox
    from pyro_fix.verify import RunPlan, Verifier, VerifyOptions
    from pyro_fix.verify.lab import Lab

NOT_RUN = "not run"
NEEDS_RUN = "the source alone cannot vouch for it; it needs a run"

Texts = Mapping[Path, bytes]


class Judge(Protocol):
    """What the engine asks in every round; ``base`` is what the rounds so far have made of the files on disk."""

    can_run: ClassVar[bool]
    """Whether it can vouch for a fix that needs a run."""

    def observe(self, program: Program, base: Texts) -> Sequence[Observation]:
        """What the programs show as they are."""

    def decide(self, program: Program, base: Texts, proposals: Sequence[Proposal]) -> list[Verdict]:
        """One verdict a proposal, in their order."""

    def prove(self) -> list[Proof]:
        """What the programs are worth with all that the last round knew, and without."""

    def trained(
        self, variants: Sequence[Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        """By variant of the files and proof, the program after so much of its training, as the proof's judge sees it.

        The first variant is what the proofs speak of.
        """


class Static:
    """Says what can be said without a run."""

    can_run: ClassVar[bool] = False

    def observe(self, program: Program, base: Texts) -> Sequence[Observation]:
        """Nothing was run."""
        return ()

    def decide(self, program: Program, base: Texts, proposals: Sequence[Proposal]) -> list[Verdict]:
        """No fix is verified."""
        return [
            Verdict(Status.NONE, p.held_back or "there is no fix to apply")
            if not p.candidates
            else Verdict(Status.UNVERIFIED, NEEDS_RUN if p.candidates[0].needs_run else NOT_RUN, {}, p.candidates[0])
            for p in proposals
        ]

    def prove(self) -> list[Proof]:
        """Nothing was run."""
        return []

    def trained(
        self, variants: Sequence[Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        """Nothing was run."""
        return [[] for _ in variants]


class ByRuns:
    """Runs the programs; what that needs is imported, and the interpreter looked for, when there is one to run."""

    can_run: ClassVar[bool] = True

    def __init__(self, options: Options, progress: Progress) -> None:
        """``progress`` hears of every run."""
        self._options = options
        self._located: Callable[[str], str] = str
        self._told = progress
        self._short: set[str] = set()
        """What was told of runs that did not come far enough, or lacked something."""
        self._first: Program | None = None
        self._last: tuple[Program, Texts] | None = None
        """The files as they are, and as the rounds so far have made them."""
        self._stack = ExitStack()

    def __enter__(self) -> ByRuns:
        """Runs may be made from here on."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove what the runs have left."""
        self._stack.close()

    def observe(self, program: Program, base: Texts) -> Sequence[Observation]:
        """One observation a program that is found or was given."""
        self._first = self._first or program
        self._last = program, base
        if not self._options.observe:
            return ()
        plans = self._given or self._finder.to_observe(program)
        seen = self._verifier(plans, program, base).observe() if plans else []
        told = [program.located(words) for run in seen for words in _substitutes(run)]
        for words in dict.fromkeys([*filter(None, map(cut_short, seen)), *told]):
            if words not in self._short:
                self._short.add(words)
                self._told(Notice(words))
        # The data of a test says nothing of the data that the program is for; what is made up says nothing of anything.
        return [
            _without_inputs(run) if plan.kind == "test" else run
            for plan, run in zip(plans, seen, strict=True)
            if not run.made_up
        ]

    def decide(self, program: Program, base: Texts, proposals: Sequence[Proposal]) -> list[Verdict]:
        """Verdicts with evidence."""
        if not any(p.candidates for p in proposals):
            return Static().decide(program, base, proposals)
        plans = self._given
        if not plans:
            plans = [*self._finder.programs(program), *self._finder.reaching(program, _lines(program, proposals))]
        return self._verifier(plans, program, base).verify(proposals)

    def prove(self) -> list[Proof]:
        """By program and SVI object, programs that no fix has changed as they are."""
        from pyro_fix.verify import prove
        from pyro_fix.verify.bench import Bench, loads

        assert self._first is not None and self._last is not None
        program, base = self._last
        if not (self._options.prove or self._options.prove_within):
            return []
        self._located = self._first.located
        settings, lab = self._laboratory
        found: list[tuple[prove.Program, prove.Program | None]] = []
        for then, now in self._pairs(self._first, program):
            before = prove.Program(Bench(lab, self._first.texts, settings, (), {}), then)
            changed = any(loads(then, before.seen, path) for path in base)
            after = prove.Program(Bench(lab, program.texts, settings, (), base), now) if changed else None
            found.append((before, after))
        within = None if self._options.prove else self._options.prove_within
        return prove.all_of(found, within, settings.jobs, self._progress)

    def trained(
        self, variants: Sequence[Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        """By the original's objective, under random numbers that no training has seen."""
        from pyro_fix.verify import prove, trials
        from pyro_fix.verify.bench import Bench

        assert self._first is not None and self._last is not None
        settings, lab = self._laboratory

        def program(base: Texts, plan: RunPlan) -> prove.Program:
            return prove.Program(Bench(lab, {}, settings, (), base), plan)

        plans = {then.label: (then, now) for then, now in self._pairs(self._first, self._last[0])}
        asked = [
            trials.Trial(program({}, then), [program(base, now) for base in variants], proof)
            for proof in proofs
            for then, now in [plans[proof.program]]
        ]
        found = trials.all_of(asked, seeds, share, settings.jobs, self._progress)
        return [list(sides) for sides in zip(*found, strict=True)]

    def _pairs(self, first: Program, last: Program) -> list[tuple[RunPlan, RunPlan]]:
        """Every program of the user's, as the source tells how to run it before and after."""
        if self._given:
            return [(plan, plan) for plan in self._given]
        sides = [{replace(plan.target, origin=""): plan for plan in self._finder.to_observe(p)} for p in (first, last)]
        return [(plan, sides[1].get(target, plan)) for target, plan in sides[0].items()]

    @cached_property
    def _given(self) -> list[RunPlan]:
        from pyro_fix import plans

        return plans.given(self._options.run, Path.cwd())

    @cached_property
    def _finder(self) -> Finder:
        from pyro_fix import plans

        return plans.Finder()

    def _verifier(self, plans: Sequence[RunPlan], program: Program, base: Texts) -> Verifier:
        from pyro_fix.verify import Verifier

        self._located = program.located
        settings, lab = self._laboratory
        return Verifier(plans, program.texts, settings, base=base, progress=self._progress, lab=lab)

    def _progress(self, event: Event) -> None:
        """Pass on what is told, with lines of notebooks named as a person would find them."""
        self._told(replace(event, what=self._located(event.what)) if isinstance(event, RunBegan) else event)

    @cached_property
    def _laboratory(self) -> tuple[VerifyOptions, Lab]:
        from pyro_fix.runner import executor, interpreter
        from pyro_fix.verify import VerifyOptions, cache, laboratory

        options = self._options
        python = interpreter.find(options.python, options.root, trusted=options.trusted)
        passed_over = interpreter.lying_about(options.root) if options.python is None and not options.trusted else None
        if passed_over is not None:
            self._told(Notice(f"{trust.plain(passed_over)} is not used, but {python}: {trust.how(options.root)}"))
        sandbox = _sandbox(options)
        where = self._stack.enter_context(closing(executor.connect(options.executor)))
        ready = where.ready(python, options.device, sandbox)
        for words in ready.notices:
            self._told(Notice(words))
        settings = VerifyOptions(
            python=python,
            steps=options.steps,
            seeds=options.seeds,
            timeout=options.timeout,
            device=options.device,
            any_version=options.any_pyro_version,
            stand_ins=options.stand_ins,
            jobs=options.jobs or ready.slots or cores(),
            sandbox=sandbox,
            cache=cache.default_folder() if options.cache else None,
        )
        return settings, self._stack.enter_context(laboratory(settings, self._progress, executor=where))


def _sandbox(options: Options) -> Sandbox | None:
    from pyro_fix.runner.model import Sandbox

    if not options.sandbox:
        return None
    return Sandbox(
        readable=options.readable,
        writable=options.writable,
        network=options.network,
        memory=options.memory,
        processes=options.processes,
        required=options.require_sandbox,
    )


def _lines(program: Program, proposals: Sequence[Proposal]) -> dict[Path, set[int]]:
    """The 1-based lines of each file that any candidate changes."""
    found: dict[Path, set[int]] = {}
    for edit in {edit for proposal in proposals for candidate in proposal.candidates for edit in candidate.edits}:
        found.setdefault(edit.path, set()).add(program.texts[edit.path].line_of(edit.start))
    return found


def cut_short(run: Observation) -> str:
    """Why a run shows less than it might, where that is for want of time; "nothing to do" would promise too much."""
    failure = run.failure
    late = next((svi.look.error for svi in run.svis if svi.look is not None and TOO_LONG in svi.look.error), "")
    if failure is not None and failure.kind in STOPS and not any(svi.trajectories for svi in run.svis):
        late = one_line(failure.message)
    return f"{run.command}: {late}: what only a run shows is not found there (see --timeout)" if late else ""


def _substitutes(run: Observation) -> list[str]:
    """What took the place of something that is missing, a line each."""
    return [f"{run.command}: {one.sentence}" for one in run.substitutes]


def _without_inputs(run: Observation) -> Observation:
    svis = (svi if svi.look is None else replace(svi, look=replace(svi.look, inputs=())) for svi in run.svis)
    return replace(run, svis=tuple(svis))
