"""The main job, end to end: find, rewrite, verify, and gather what there is to show or to write."""

from __future__ import annotations

import gc
import os
import re
import traceback
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pyro_fix import catalogue, choices, culprits, fingerprint, internal, mended, reproduce, rewrite, sources, tuning
from pyro_fix.analysis.join import join
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.project import Project, of_concern
from pyro_fix.analysis.scopes import Module
from pyro_fix.config import Options
from pyro_fix.diffs import unified
from pyro_fix.judge import ByRuns, Judge, Static
from pyro_fix.proof import Proof, Side
from pyro_fix.result import Change, Finding, Gone, Result, Skipped
from pyro_fix.sources import OddError, Source, SourceError
from pyro_fix.suppress import suppressed
from pyro_fix.transform import Candidate, Edit, Proposal, Rate, Status, Transform, Verdict
from pyro_fix.watch import Progress, Round

#: A fix can bring another finding to light (a constraint that tip 16 wants tighter); after this many rounds it stops.
MAX_ROUNDS = 8
TOO_EARLY = "waits until the other fixes are in: it may not be needed then"
#: Code, file, and line and column as the file is on disk.
_Identity = tuple[str, Path, int, int]
#: In the place of a file, where a transform does without all of them.
ALL_FILES = Path()
#: After so many files that transforms went wrong with, it is the transforms that are left out.
MOST_FAILURES = 20
OUTSIDE = "the fix would change {}, outside of the folder that was scanned: name that file as well to have it changed"
IN_TEST = "a test may rely on what the program does now; name the file itself to have it fixed"


@dataclass
class _State:
    """The files as they are after the fixes so far."""

    original: dict[Path, Source] = field(default_factory=dict)
    current: dict[Path, Source] = field(default_factory=dict)
    real: dict[Path, Path] = field(default_factory=dict)
    """Where the files lie, by links that lead to them when they are read."""
    rounds: list[rewrite.Round] = field(default_factory=list)
    """What was written in each, and the way back from there."""
    skipped: dict[Path, Skipped] = field(default_factory=dict)
    failed: set[Path] = field(default_factory=set)
    """Files that something went wrong with as they were analysed: the rest of the job does without them."""
    silent: dict[tuple[str, Path], str] = field(default_factory=dict)
    """Transforms that went wrong, and where: of one file or, where nobody knows which, of all (:data:`ALL_FILES`)."""
    tests: set[Path] = field(default_factory=set)
    """Files of tests, but for those that the user asked for by name."""
    files: int = 0

    def skip(self, path: Path, reason: str, *, odd: bool) -> None:
        """Leave a file or folder alone, and remember why."""
        self.skipped.setdefault(path, Skipped(path, reason, odd=odd))

    def fail(self, path: Path, reason: str) -> None:
        """Do without a file from here on."""
        self.failed.add(path)
        self.skip(path, reason, odd=True)


@dataclass(frozen=True)
class _Known:
    """What the ends of trainings have shown."""

    left: culprits.Left
    """Findings that are left as they are, and what is told of them."""
    first: choices.First
    """Candidates that are better than those before them."""


def check(options: Options, progress: Progress, judge: Judge | None = None) -> Result:
    """Find, verify and compose; nothing is written.  ``progress`` hears of what is going on.

    ``judge`` takes the place of the one that the options ask for.
    Raises :class:`SourceError`, :class:`ValueError` and the runner's errors for what the user can put right.
    """
    collecting = gc.isenabled()
    gc.disable()  # trees are many small objects that all stay: looking for garbage among them costs a third of the time
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # what Python has to say of the user's strings is not ours
            return _check(options, progress, judge)
    finally:
        if collecting:
            gc.enable()


def _check(options: Options, progress: Progress, judge: Judge | None) -> Result:
    known = catalogue.configure(catalogue.load(), options.thresholds)
    transforms = catalogue.select(known, options.select, options.ignore, options.extend_select)
    if judge is not None or not options.verify:
        return _proven(options, transforms, judge or Static(), progress)
    with ByRuns(options, progress) as runs:
        return _proven(options, transforms, runs, progress)


def _proven(options: Options, transforms: Sequence[Transform], judge: Judge, progress: Progress) -> Result:
    """The result, without the fixes that make a program worse where it is trained to its end."""

    def again(left: culprits.Left, first: choices.First) -> culprits.Outcome:
        state = _read(options)
        findings, gone = _rounds(options, transforms, state, judge, progress, _Known(left, first))
        proofs = [] if options.listing else judge.prove()
        return culprits.Outcome(findings, proofs, (state, gone))

    outcome = culprits.found(again({}, {}), lambda left: again(left, {}))
    left = {f.fingerprint: f.verdict for f in outcome.findings if culprits.COSTS in f.verdict.evidence}
    by_the_end = {transform.code for transform in transforms if transform.by_the_end}
    within = None if options.prove else options.prove_within
    outcome, first = choices.best(outcome, lambda first: again(left, first), by_the_end, within)
    if options.tune and judge.can_run and not options.listing:
        outcome = tuning.best(outcome, first, lambda first: again(left, first), by_the_end, _Programs(judge))
    state, gone = outcome.rest
    told = reproduce.told(outcome.findings, options, state.original.keys() - state.tests, Path.cwd())
    return _result(state, gone, told, outcome.proofs)


class _Programs:
    """The programs with the fixes of an outcome, and with another number in one of them."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    def texts(self, outcome: culprits.Outcome) -> tuning.Texts:
        """What differs from the files on disk."""
        return _base(outcome.rest[0])

    def instead(self, outcome: culprits.Outcome, old: Candidate, new: Candidate) -> tuning.Texts | None:
        """The same with another candidate of a fix that is in; None where others build on the one that is."""
        state: _State = outcome.rest[0]
        changed = rewrite.instead(state.rounds, old.edits, new.edits, state.current)
        if changed is None:
            return None
        return {**_base(state), **{path: state.current[path].encode(text) for path, text in changed.items()}}

    def trained(
        self, variants: Sequence[tuning.Texts], proofs: Sequence[Proof], seeds: tuple[int, ...], share: float
    ) -> list[list[Side]]:
        """By variant and proof, what a part of the training comes to."""
        return self._judge.trained(variants, proofs, seeds, share)


def _rounds(
    options: Options,
    transforms: Sequence[Transform],
    state: _State,
    judge: Judge,
    progress: Progress,
    known: _Known,
) -> tuple[list[Finding], list[Gone]]:
    """Find, judge and compose until a round changes nothing; what is found, and what was for a while.

    ``known`` is what the ends of trainings have shown.
    """
    broke: dict[_Identity, mended.Broke] = {}
    ended: list[Finding] = []
    withdrawn: list[Gone] = []
    settled: set[_Identity] = set()
    failed: dict[_Identity, tuple[int, Finding]] = {}
    changes = 0
    heard: set[_Identity] = set()
    findings: list[Finding] = []
    waiting: list[Finding] = []
    for number in range(1, MAX_ROUNDS + 1):
        progress(Round(number))
        program, base, static, found = _look(transforms, state, judge, first=number == 1)
        found = [_within(p, options) for p in found]
        withdrawn = withdrawn or _withdrawn(static, found, program, state, options)
        proposals = [p for p in found if _identity(p, state) not in settled]
        proposals = [p for p in proposals if not options.refused or _known_by(p, state) not in options.refused]
        for proposal in proposals:
            if (verdict := known.left.get(_known_by(proposal, state))) is not None:
                findings.append(_finding(proposal, verdict, program, state, options, {}))
                settled.add(_identity(proposal, state))
        proposals = [p for p in proposals if _identity(p, state) not in settled]
        if known.first:
            proposals = [choices.preferring(p, known.first.get(_known_by(p, state))) for p in proposals]
        waited = [p for p in proposals if _identity(p, state) in heard]
        ready, early = _ordered(proposals, transforms, waited, judge.can_run)
        verdicts = [*judge.decide(program, base, ready), *map(_too_early, early)]
        proposals = [*ready, *early]
        verdicts = [_in_round(number, verdict) for verdict in verdicts]
        diffs: dict[int, str] = {}
        judged = [_finding(p, v, program, state, options, diffs) for p, v in zip(proposals, verdicts, strict=True)]
        keys = [_identity(p, state) for p in proposals]
        ended += [f for f in judged if f.included and "ends" in f.verdict.evidence]
        runs = program.seen.runs
        broke |= {key: mended.of_runs(f, runs) for key, f in zip(keys, judged, strict=True) if not f.proposal.tip}
        if options.listing:
            return [_with_mend(f, broke.get(key), ended) for key, f in zip(keys, judged, strict=True)], withdrawn
        applied = _apply(state, program, [finding for finding in judged if finding.included])
        written = set(map(id, applied))
        waits = [id(finding) not in written and _may_change(finding) for finding in judged]
        waiting = [finding for finding, waits_on in zip(judged, waits, strict=True) if waits_on]
        settled |= {key for key, waits_on in zip(keys, waits, strict=True) if not waits_on}
        heard = set() if applied else heard | set(keys[: len(ready)])
        over = [(key, finding) for key, finding, waits_on in zip(keys, judged, waits, strict=True) if not waits_on]
        findings += [finding for _, finding in over]
        # They were judged on the texts before what this round has applied.
        failed |= {key: (changes, finding) for key, finding in over if id(finding) not in written}
        changes += bool(applied)
        if not applied and not early:
            old = {key: f for key, (judged_after, f) in failed.items() if judged_after < changes}
            if not old or not judge.can_run or number == MAX_ROUNDS:
                break  # another round would say the same
            # What failed on other texts than these is judged once more, as a second run would.
            settled -= old.keys()
            findings = [f for f in findings if not any(f is one for one in old.values())]
            failed = {key: one for key, one in failed.items() if key not in old}
            heard = set()
    left = [*findings, *(replace(finding, included=False) for finding in waiting)]
    over_with = [one for one in broke.values() if not any(_is_same(one.finding, other) for other in left)]
    ends = [Gone(one.finding, "mended", f"by {who}") for one in over_with if (who := mended.named(one, ended))]
    withdrawn = [one for one in withdrawn if not any(_is_same(one.finding, other) for other in left)]
    return left, [*withdrawn, *ends]


def _is_same(one: Finding, other: Finding) -> bool:
    return (one.proposal.code, one.proposal.path, one.proposal.line) == (
        other.proposal.code,
        other.proposal.path,
        other.proposal.line,
    )


def _with_mend(finding: Finding, broke: mended.Broke | None, ending: Sequence[Finding]) -> Finding:
    """What stops a program, with the fixes that end it."""
    who = mended.named(broke, ending) if broke is not None else ""
    if finding.proposal.candidates or not who:
        return finding
    return replace(finding, verdict=replace(finding.verdict, reason=f"{who} ends it"))


def _withdrawn(
    static: Sequence[Proposal], proposals: Sequence[Proposal], program: Program, state: _State, options: Options
) -> list[Gone]:
    """What the source alone would have made a finding of, and runs do not."""
    left = {(proposal.code, proposal.path, proposal.line) for proposal in proposals}
    gone = []
    for proposal in static:
        key = (proposal.code, proposal.path, proposal.line)
        if key not in left:
            reason = program.withdrawn.get(key, "a run shows otherwise")
            verdict = Verdict(Status.NONE, reason)
            gone.append(
                Gone(
                    _finding(replace(proposal, candidates=()), verdict, program, state, options, {}),
                    "withdrawn",
                    reason,
                )
            )
    return gone


def _ordered(
    proposals: Sequence[Proposal], transforms: Iterable[Transform], heard: Sequence[Proposal], can_run: bool
) -> tuple[list[Proposal], list[Proposal]]:
    """The proposals to judge now, and those that have to wait until others have had the first word.

    ``heard`` were judged before on the very same texts: what waits for them has waited long enough.  Where nothing
    ``can_run``, what needs a run is told so at once.
    """
    after = {transform.code: transform.after for transform in transforms}
    known = set(map(id, heard))
    fixes = {proposal.code for proposal in proposals if proposal.candidates and id(proposal) not in known}

    def waits(proposal: Proposal) -> bool:
        if not proposal.candidates or (proposal.candidates[0].needs_run and not can_run):
            return False
        return any(code.startswith(after[proposal.code]) for code in fixes - {proposal.code})

    waiting = [waits(proposal) for proposal in proposals]
    early = [proposal for proposal, waits_on in zip(proposals, waiting, strict=True) if waits_on]
    # Two transforms that wait for each other would wait for ever.
    if early and not fixes - {proposal.code for proposal in early}:
        return list(proposals), []
    return [proposal for proposal, waits_on in zip(proposals, waiting, strict=True) if not waits_on], early


def _too_early(proposal: Proposal) -> Verdict:
    return Verdict(Status.UNVERIFIED, TOO_EARLY, {"deferred": True}, proposal.candidates[0])


def _in_round(number: int, verdict: Verdict) -> Verdict:
    """The verdict with the round that it fell in: what it calls the original has the fixes of those before."""
    if "promise" not in verdict.evidence:
        return verdict
    return replace(verdict, evidence={"round": number, **verdict.evidence})


def _read(options: Options) -> _State:
    state = _State()

    def told(folder: Path, reason: str) -> None:
        if not options.excluded(folder):
            state.skip(folder, reason, odd=True)

    for path in sources.discover(options.paths, told):
        if options.excluded(path):
            continue
        state.files += 1
        try:
            real = Path(os.path.realpath(path))
            source = of_concern(path.absolute(), sources.read_bytes(path))
            if source is not None:
                state.original[source.path] = state.current[source.path] = source
                state.real[source.path] = real
                if path not in options.paths and (_in_tests(path, options.paths) or _is_test(source)):
                    state.tests.add(source.path)
        except SourceError as error:
            reason = str(error).removeprefix(f"{path.absolute()}: ").removeprefix(f"{path}: ")
            state.skip(path, reason, odd=isinstance(error, OddError))
        except Exception as error:  # whatever a file holds, the others are read
            state.skip(path, internal.told(error), odd=True)
    return state


def _look(
    transforms: Sequence[Transform], state: _State, judge: Judge, *, first: bool
) -> tuple[Program, dict[Path, bytes], list[Proposal], list[Proposal]]:
    """The facts, what differs from the files on disk, and all that transforms find in them.

    What they find in the source alone comes before what they find when runs have spoken, where some have, and it is the
    first look.

    A file that something goes wrong with is left out, and the others are looked at again: facts may be missing that
    were to come from it.
    """
    while True:
        known = len(state.failed)
        program, base = _analyse(state), _base(state)
        seen = judge.observe(program, base)
        static = _propose(transforms, program, state) if seen and first else []
        join(program, seen)
        found = _propose(transforms, program, state)
        if len(state.failed) == known:
            return program, base, static, found


def _analyse(state: _State) -> Program:
    while True:
        project = Project(state.current, without=state.failed)
        program = project.read(source for path, source in state.current.items() if path not in state.failed)
        for path, reason in project.unreadable.items():
            state.skip(path, reason, odd=False)
        if not project.failed:
            return program
        for path, reason in project.failed.items():
            state.fail(path, reason)


def _base(state: _State) -> dict[Path, bytes]:
    """What differs from the files on disk, after the rounds so far."""
    return {path: new.data for path, new in state.current.items() if new is not state.original[path]}


def _propose(transforms: Iterable[Transform], program: Program, state: _State) -> list[Proposal]:
    """All findings in the files asked for, by place; those that stand in one place for one code become one."""
    merged: dict[tuple[str, Path, int, int], Proposal] = {}
    found: list[Proposal] = []  # what is known by its id has to stay
    doubts: dict[int, str] = {}
    for transform in transforms:
        for proposal in _proposals(transform, program, state):
            if proposal.path not in state.original or suppressed(program.modules[proposal.path].source, proposal):
                continue
            if proposal.path in state.tests:
                proposal = replace(proposal, candidates=(), held_back=IN_TEST)
            found.append(proposal)
            proposal = _careful(proposal, program, state, doubts)
            key = (proposal.code, proposal.path, proposal.line, proposal.column)
            known = merged.get(key)
            if known is None:
                merged[key] = proposal
            else:
                merged[key] = _common(known, proposal)
    return sorted(_told_once(merged), key=lambda p: (p.path, p.line, p.column, p.code))


def _told_once(found: Mapping[tuple[str, Path, int, int], Proposal]) -> Iterator[Proposal]:
    """The findings, without those that another one's fix leaves nothing of: it says so of itself."""
    told = dict(found)
    for key, proposal in found.items():
        other = (proposal.part_of, *key[1:])
        if other in told and told[other].candidates:
            whole, part = told[other], told.pop(key)
            told[other] = replace(whole, message=f"{whole.message} ({part.code}: {part.message})")
    yield from told.values()


def _proposals(transform: Transform, program: Program, state: _State) -> Iterator[Proposal]:
    """What a transform finds; where it goes wrong, the file is left out that it was looking at."""
    if (transform.code, ALL_FILES) in state.silent:
        return
    try:
        yield from transform.propose(program)
    except Exception as error:  # a transform's slip, or a file that nobody thought of, must not cost all the others
        reason, path = internal.told(error), _at_hand(error, state)
        if path is None or len(state.failed) >= MOST_FAILURES:
            state.silent[transform.code, ALL_FILES] = reason
        else:
            state.fail(path, f"{transform.code}: {reason}")


def _at_hand(error: Exception, state: _State) -> Path | None:
    """The file that a transform was looking at as it went wrong: that of the innermost fact in its variables."""
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        for value in frame.f_locals.values():
            module = value if isinstance(value, Module) else getattr(value, "module", None)
            if isinstance(module, Module) and module.path in state.original:
                return module.path
    return None


def _careful(proposal: Proposal, program: Program, state: _State, known: dict[int, str]) -> Proposal:
    """A proposal without the candidates that would do more than they say; ``known`` is what was said of edits."""
    kept, doubts = [], []
    for candidate in proposal.candidates:
        key = id(candidate.edits)
        try:
            doubt = known[key] if key in known else rewrite.doubt(program.texts, candidate.edits)
            known[key] = doubt
        except Exception as error:
            doubt = internal.told(error)
            state.silent[proposal.code, proposal.path] = doubt
        if doubt:
            doubts.append(doubt)
        else:
            kept.append(candidate)
    if not doubts:
        return proposal
    return replace(proposal, candidates=tuple(kept), held_back="" if kept else doubts[0])


def _within(proposal: Proposal, options: Options) -> Proposal:
    """The proposal, held back where it would change files elsewhere: imports and links may lead anywhere."""
    if not options.trees:
        return proposal
    named = {path.absolute() for path in options.paths}
    for path in sorted({edit.path for candidate in proposal.candidates for edit in candidate.edits} - named):
        if not any(path.resolve().is_relative_to(tree) for tree in options.trees):
            return replace(proposal, candidates=(), held_back=OUTSIDE.format(path))
    return proposal


def _common(known: Proposal, other: Proposal) -> Proposal:
    """What two readings of one place, on behalf of different callers, agree on."""
    if [c.edits for c in known.candidates] != [c.edits for c in other.candidates]:
        reason = known.held_back or other.held_back or "different callers would need different fixes"
        return replace(known, candidates=(), held_back=reason, programs=known.programs | other.programs)
    return replace(
        known,
        programs=known.programs | other.programs,
        candidates=tuple(
            replace(
                a,
                rate=a.rate if a.rate == b.rate else Rate(),
                needs_run=a.needs_run or b.needs_run,
                steps=a.steps if a.steps == b.steps else None,
                numbers=a.numbers if (a.numbers, a.rate) == (b.numbers, b.rate) else (),
            )
            for a, b in zip(known.candidates, other.candidates, strict=True)
        ),
    )


def _in_tests(path: Path, asked: Sequence[Path]) -> bool:
    """Whether a file lies in a folder of tests, below what was asked for: expected outputs live there too."""
    root = next((folder for folder in asked if path.is_relative_to(folder)), Path())
    return bool({"test", "tests"} & set(path.relative_to(root).parts[:-1]))


def _is_test(source: Source) -> bool:
    """Whether a file holds tests by its name and by what is in it: ``ab_test.py`` may be a model of an A/B test."""
    name = source.path.stem
    return (name.startswith("test_") or name.endswith("_test") or name == "conftest") and (
        re.search(r"\bdef test_|\b(?:import|from) (?:pytest|unittest)\b", source.text) is not None
    )


def _may_change(finding: Finding) -> bool:
    """Whether another round, over the fixes of this one, may say something else of a finding."""
    return finding.included or bool(finding.verdict.evidence.get("deferred")) or not finding.proposal.candidates


def _included(verdict: Verdict, options: Options) -> bool:
    """Whether a fix is shown in the diff and written."""
    if verdict.status is Status.VERIFIED:
        return True
    if verdict.status is not Status.UNVERIFIED or verdict.candidate is None or verdict.evidence.get("deferred"):
        return False
    if verdict.candidate.needs_run and "seeds" not in verdict.evidence:  # nothing was run
        return False
    return not options.verify or options.unverified


def _apply(state: _State, program: Program, included: Sequence[Finding]) -> list[Finding]:
    """Bring fixes into the current texts; returns those that fit together, the rest has to wait."""
    texts, composer = program.texts, rewrite.Composer()
    applied = [f for f in included if f.verdict.candidate is not None and composer.add(f.verdict.candidate.edits)]
    patch = _composed(texts, applied)
    broken = _unparsable(texts, patch)
    if broken:  # never write what Python cannot read, whoever is to blame
        applied = [f for f in applied if not broken & {edit.path for edit in _edits(f)}]
        patch = _composed(texts, applied)
    ways = {path: rewrite.Way(edits) for path, edits in patch.edits.items()}
    for path, text in patch.texts.items():
        state.original.setdefault(path, texts[path])
        state.current[path] = sources.from_bytes(path, texts[path].encode(text))
    state.rounds.append(rewrite.Round(texts, tuple(map(_edits, applied)), ways))
    return applied


def _edits(finding: Finding) -> tuple[Edit, ...]:
    return finding.verdict.candidate.edits if finding.verdict.candidate is not None else ()


def _composed(texts: Mapping[Path, Source], findings: Sequence[Finding]) -> rewrite.Patch:
    groups = {id(edits): edits for edits in map(_edits, findings)}  # many findings may share one fix
    return rewrite.compose(texts, [edit for edits in groups.values() for edit in edits])


def _unparsable(texts: Mapping[Path, Source], patch: rewrite.Patch) -> set[Path]:
    """The files that could not be parsed any more with their new texts."""
    broken = set()
    for path, text in patch.texts.items():
        try:
            texts[path].check(text)
            sources.from_bytes(path, texts[path].encode(text))
        except (SyntaxError, ValueError, RecursionError, MemoryError, SourceError):
            broken.add(path)
    return broken


def _finding(
    proposal: Proposal, verdict: Verdict, program: Program, state: _State, options: Options, diffs: dict[int, str]
) -> Finding:
    """A finding as it is told; ``diffs`` are those of edits that were met before."""
    candidate = verdict.candidate or (proposal.candidates[0] if proposal.candidates else None)
    diff = diffs.get(id(candidate.edits), "") if candidate is not None else ""
    if candidate is not None and not diff:
        texts = program.texts
        patch = rewrite.compose(texts, candidate.edits)
        diff = "".join(
            unified(texts[path].raw(texts[path].text), texts[path].raw(text), path, Path.cwd())
            for path, text in patch.texts.items()
        )
        diffs[id(candidate.edits)] = diff
    home, column = _home(proposal, state)
    cell, line = state.original[proposal.path].place(home)
    source = program.texts[proposal.path]
    shown = replace(
        proposal,
        line=line,
        column=column,
        end_line=proposal.end_line + line - proposal.line,
        message=source.told(program.located(proposal.message)),
        held_back=source.told(program.located(proposal.held_back)),
    )
    said = _in_cells(verdict, program)
    if proposal.held_back and verdict.reason == proposal.held_back:
        said = replace(said, reason=shown.held_back)
    return Finding(shown, said, diff, _included(verdict, options), cell, _known_by(proposal, state))


def _in_cells(verdict: Verdict, program: Program) -> Verdict:
    """The verdict with lines of notebooks named as a person would find them."""

    def told(value: object) -> object:
        if isinstance(value, str):
            return program.located(value)
        if isinstance(value, Mapping):
            return {key: told(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [told(item) for item in value]
        return value

    evidence = {key: told(value) for key, value in verdict.evidence.items()}
    return replace(verdict, reason=program.located(verdict.reason), evidence=evidence)


def _identity(proposal: Proposal, state: _State) -> _Identity:
    """What a finding is known by from one round to the next, when texts have moved: one line may hold several."""
    return proposal.code, proposal.path, *_home(proposal, state)


def _known_by(proposal: Proposal, state: _State) -> str:
    """The fingerprint of a finding, by the file as it is on disk."""
    return fingerprint.of(proposal.code, state.original[proposal.path], *_home(proposal, state))


def _home(proposal: Proposal, state: _State) -> tuple[int, int]:
    """The line and column of the file on disk that a finding in the current text came from."""
    old, new = state.original[proposal.path], state.current[proposal.path]
    if old is new:
        return proposal.line, proposal.column
    offset = new.offset(proposal.line, 0) + proposal.column - 1
    for one in reversed(state.rounds):
        way = one.ways.get(proposal.path)
        offset = offset if way is None else way.back(offset)
    line = old.line_of(offset)
    return line, offset - old.offset(line, 0) + 1


def _result(state: _State, gone: Sequence[Gone], findings: Sequence[Finding], proofs: Sequence[Proof]) -> Result:
    changes = tuple(
        Change(old, new.text, state.real.get(path))
        for path, old in sorted(state.original.items())
        if (new := state.current[path]).text != old.text
    )
    ordered = sorted(findings, key=_order)
    for (code, path), reason in state.silent.items():
        if path == ALL_FILES:
            state.skip(Path(code), reason, odd=True)
        else:
            state.skip(path, f"{code}: {reason}", odd=True)
    skipped = [skipped for _, skipped in sorted(state.skipped.items())]
    cells = [Skipped(path, why, cell) for path, old in sorted(state.original.items()) for cell, why in old.unread]
    told = sorted(gone, key=lambda one: _order(one.finding))
    return Result(tuple(ordered), changes, (*skipped, *cells), state.files, tuple(told), tuple(proofs))


def _order(finding: Finding) -> tuple[Path, int, int, int, str]:
    proposal = finding.proposal
    return proposal.path, finding.cell or 0, proposal.line, proposal.column, proposal.code
