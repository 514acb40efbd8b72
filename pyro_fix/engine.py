"""The main job, end to end: find, rewrite, verify, and gather what there is to show or to write."""

from __future__ import annotations

import difflib
import gc
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from pyro_fix import catalogue, fingerprint, reproduce, rewrite, sources
from pyro_fix.analysis.join import join
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.project import Project, of_concern
from pyro_fix.config import Options
from pyro_fix.diffs import unified
from pyro_fix.judge import ByRuns, Judge, Static
from pyro_fix.result import Change, Finding, Result, Skipped
from pyro_fix.sources import Source, SourceError
from pyro_fix.suppress import suppressed
from pyro_fix.transform import Edit, Proposal, Rate, Status, Transform, Verdict
from pyro_fix.watch import Progress, Round

#: A fix can bring another finding to light (a constraint that tip 16 wants tighter); after this many rounds it stops.
MAX_ROUNDS = 8
TOO_EARLY = "waits until the other fixes are in: it may not be needed then"
IN_TEST = "a test may rely on what the program does now; name the file itself to have it fixed"


@dataclass
class _State:
    """The files as they are after the fixes so far."""

    original: dict[Path, Source] = field(default_factory=dict)
    current: dict[Path, Source] = field(default_factory=dict)
    skipped: dict[Path, str] = field(default_factory=dict)
    tests: set[Path] = field(default_factory=set)
    """Files of tests, but for those that the user asked for by name."""
    files: int = 0


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
    state = _read(options)
    if judge is not None or not options.verify:
        findings = _rounds(options, transforms, state, judge or Static(), progress)
    else:
        with ByRuns(options, progress) as runs:
            findings = _rounds(options, transforms, state, runs, progress)
    return _result(state, reproduce.told(findings, options, state.original.keys() - state.tests, Path.cwd()))


def _rounds(
    options: Options, transforms: Sequence[Transform], state: _State, judge: Judge, progress: Progress
) -> list[Finding]:
    """Find, judge and compose until a round changes nothing."""
    settled: set[tuple[str, Path, int]] = set()
    heard: set[tuple[str, Path, int]] = set()
    findings: list[Finding] = []
    waiting: list[Finding] = []
    for number in range(1, MAX_ROUNDS + 1):
        progress(Round(number))
        program, base = _analyse(state), _base(state)
        join(program, judge.observe(program, base))
        proposals = [p for p in _propose(transforms, program, state) if _identity(p, state) not in settled]
        proposals = [p for p in proposals if not options.refused or _known_by(p, state) not in options.refused]
        waited = [p for p in proposals if _identity(p, state) in heard]
        ready, early = _ordered(proposals, transforms, waited, judge.can_run)
        verdicts = [*judge.decide(program, base, ready), *map(_too_early, early)]
        proposals = [*ready, *early]
        verdicts = [_in_round(number, verdict) for verdict in verdicts]
        judged = [_finding(p, v, program, state, options) for p, v in zip(proposals, verdicts, strict=True)]
        keys = [_identity(p, state) for p in proposals]
        if options.listing:
            return judged
        applied = _apply(state, program, [finding for finding in judged if finding.included])
        waiting = [f for f in judged if f not in applied and _may_change(f)]
        settled |= {key for key, f in zip(keys, judged, strict=True) if f not in waiting}
        heard = set() if applied else heard | set(keys[: len(ready)])
        findings += [f for f in judged if f not in waiting]
        if not applied and not early:
            break  # another round would say the same
    return [*findings, *(replace(finding, included=False) for finding in waiting)]


def _ordered(
    proposals: Sequence[Proposal], transforms: Iterable[Transform], heard: Sequence[Proposal], can_run: bool
) -> tuple[list[Proposal], list[Proposal]]:
    """The proposals to judge now, and those that have to wait until others have had the first word.

    ``heard`` were judged before on the very same texts: what waits for them has waited long enough.  Where nothing
    ``can_run``, what needs a run is told so at once.
    """
    after = {transform.code: transform.after for transform in transforms}
    fixes = {proposal.code for proposal in proposals if proposal.candidates and proposal not in heard}

    def waits(proposal: Proposal) -> bool:
        if not proposal.candidates or (proposal.candidates[0].needs_run and not can_run):
            return False
        return any(code.startswith(after[proposal.code]) for code in fixes - {proposal.code})

    early = [proposal for proposal in proposals if waits(proposal)]
    # Two transforms that wait for each other would wait for ever.
    if early and not fixes - {proposal.code for proposal in early}:
        return list(proposals), []
    return [proposal for proposal in proposals if not waits(proposal)], early


def _too_early(proposal: Proposal) -> Verdict:
    return Verdict(Status.UNVERIFIED, TOO_EARLY, {"deferred": True}, proposal.candidates[0])


def _in_round(number: int, verdict: Verdict) -> Verdict:
    """The verdict with the round that it fell in: what it calls the original has the fixes of those before."""
    if "promise" not in verdict.evidence:
        return verdict
    return replace(verdict, evidence={"round": number, **verdict.evidence})


def _read(options: Options) -> _State:
    state = _State()
    for path in sources.discover(options.paths):
        if options.excluded(path):
            continue
        state.files += 1
        try:
            source = of_concern(path.absolute(), path.read_bytes())
            if source is not None:
                state.original[source.path] = state.current[source.path] = source
                if path not in options.paths and (_in_tests(path, options.paths) or _is_test(source)):
                    state.tests.add(source.path)
        except OSError as error:
            state.skipped[path] = f"cannot be read: {error.strerror or error}"
        except SourceError as error:
            state.skipped[path] = str(error).removeprefix(f"{path.absolute()}: ")
    return state


def _analyse(state: _State) -> Program:
    project = Project(state.current)
    program = project.read(state.current.values())
    state.skipped.update(project.unreadable)
    return program


def _base(state: _State) -> dict[Path, bytes]:
    """What differs from the files on disk, after the rounds so far."""
    return {path: new.data for path, new in state.current.items() if new is not state.original[path]}


def _propose(transforms: Iterable[Transform], program: Program, state: _State) -> list[Proposal]:
    """All findings in the files asked for, by place; those that stand in one place for one code become one."""
    merged: dict[tuple[str, Path, int, int], Proposal] = {}
    for transform in transforms:
        for proposal in transform.propose(program):
            if proposal.path not in state.original or suppressed(program.modules[proposal.path].source, proposal):
                continue
            if proposal.path in state.tests:
                proposal = replace(proposal, candidates=(), held_back=IN_TEST)
            key = (proposal.code, proposal.path, proposal.line, proposal.column)
            known = merged.get(key)
            if known is None:
                merged[key] = proposal
            else:
                merged[key] = _common(known, proposal)
    return sorted(merged.values(), key=lambda p: (p.path, p.line, p.column, p.code))


def _common(known: Proposal, other: Proposal) -> Proposal:
    """What two readings of one place, on behalf of different callers, agree on."""
    if [c.edits for c in known.candidates] != [c.edits for c in other.candidates]:
        reason = known.held_back or other.held_back or "different callers would need different fixes"
        return replace(known, candidates=(), held_back=reason)
    return replace(
        known,
        candidates=tuple(
            replace(
                a,
                rate=a.rate if a.rate == b.rate else Rate(),
                needs_run=a.needs_run or b.needs_run,
                steps=a.steps if a.steps == b.steps else None,
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
    for path, text in patch.texts.items():
        state.original.setdefault(path, texts[path])
        state.current[path] = sources.from_bytes(path, texts[path].encode(text))
    return applied


def _edits(finding: Finding) -> tuple[Edit, ...]:
    return finding.verdict.candidate.edits if finding.verdict.candidate is not None else ()


def _composed(texts: Mapping[Path, Source], findings: Sequence[Finding]) -> rewrite.Patch:
    return rewrite.compose(texts, [edit for finding in findings for edit in _edits(finding)])


def _unparsable(texts: Mapping[Path, Source], patch: rewrite.Patch) -> set[Path]:
    """The files that could not be parsed any more with their new texts."""
    broken = set()
    for path, text in patch.texts.items():
        try:
            texts[path].check(text)
        except (SyntaxError, ValueError, RecursionError):
            broken.add(path)
    return broken


def _finding(proposal: Proposal, verdict: Verdict, program: Program, state: _State, options: Options) -> Finding:
    candidate = verdict.candidate or (proposal.candidates[0] if proposal.candidates else None)
    diff = ""
    if candidate is not None:
        texts = program.texts
        patch = rewrite.compose(texts, candidate.edits)
        diff = "".join(
            unified(texts[path].raw(texts[path].text), texts[path].raw(text), path, Path.cwd())
            for path, text in patch.texts.items()
        )
    cell, line = state.original[proposal.path].place(_home_line(proposal, state))
    source = program.texts[proposal.path]
    shown = replace(
        proposal,
        line=line,
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


def _identity(proposal: Proposal, state: _State) -> tuple[str, Path, int]:
    """What a finding is known by from one round to the next, when lines may have moved."""
    return proposal.code, proposal.path, _home_line(proposal, state)


def _known_by(proposal: Proposal, state: _State) -> str:
    """The fingerprint of a finding, by the file as it is on disk."""
    return fingerprint.of(proposal.code, state.original[proposal.path], _home_line(proposal, state))


def _home_line(proposal: Proposal, state: _State) -> int:
    """The line of the file on disk that a line of the current text came from."""
    old, new = state.original[proposal.path], state.current[proposal.path]
    if old is new:
        return proposal.line
    for i1, i2, j1, j2 in _matches(old, new):
        if j1 <= proposal.line - 1 < j2:
            return min(i1 + proposal.line - 1 - j1, max(i2 - 1, i1)) + 1
    return proposal.line


@lru_cache(maxsize=256)
def _matches(old: Source, new: Source) -> tuple[tuple[int, int, int, int], ...]:
    """Which lines (from, to) of a file became which; found once a round for all findings of the file."""
    matcher = difflib.SequenceMatcher(None, old.lines, new.lines, autojunk=False)
    return tuple(opcode[1:] for opcode in matcher.get_opcodes())


def _result(state: _State, findings: Sequence[Finding]) -> Result:
    changes = tuple(
        Change(old, new.text)
        for path, old in sorted(state.original.items())
        if (new := state.current[path]).text != old.text
    )
    ordered = sorted(findings, key=_order)
    skipped = [Skipped(path, reason) for path, reason in sorted(state.skipped.items())]
    cells = [Skipped(path, why, cell) for path, old in sorted(state.original.items()) for cell, why in old.unread]
    return Result(tuple(ordered), changes, (*skipped, *cells), state.files)


def _order(finding: Finding) -> tuple[Path, int, int, int, str]:
    proposal = finding.proposal
    return proposal.path, finding.cell or 0, proposal.line, proposal.column, proposal.code
