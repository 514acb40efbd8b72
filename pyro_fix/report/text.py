"""Findings, verdicts and summaries in plain words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pyro_fix.analysis.sayings import shortened
from pyro_fix.result import Finding, Result
from pyro_fix.transform import Status

Mode = Literal["list", "diff", "apply"]


def shown(path: Path, cwd: Path) -> str:
    """The path as a person in the working folder would type it."""
    path = Path(os.path.normpath(cwd / path))
    return str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)


def once(result: Result) -> Result:
    """What ended a program is said at length once: by the finding that is about it, else by the first that has it."""
    found = [*result.findings, *(one.finding for one in result.gone)]
    told = [shortened(finding.proposal.message) for finding in found if not finding.proposal.tip]
    waited: set[str] = set()
    briefer: dict[int, Finding] = {}
    for finding in sorted(result.findings, key=lambda f: not f.included):  # the order in which they are told
        verdict, breaks = finding.verdict, finding.verdict.evidence.get("breaks")
        if not isinstance(breaks, Mapping):
            continue
        what, brief, reason = str(breaks["what"]), str(breaks["brief"]), verdict.reason
        message = what.removeprefix(brief).removeprefix(": ")
        if what in waited and verdict.evidence.get("deferred"):
            reason = "waits for the same"
        elif any(all(part in words for part in message.split("…")) for words in told):
            reason = reason.replace(what, brief)
        waited |= {what} if verdict.evidence.get("deferred") else set()
        told.append(what)
        briefer[id(finding)] = replace(finding, verdict=replace(verdict, reason=reason))
    return replace(result, findings=tuple(briefer.get(id(finding), finding) for finding in result.findings))


def findings(result: Result, cwd: Path, verified: bool) -> Iterator[str]:
    """One line a finding: ``path:line:col: CODE message [fix: …]``."""
    for finding in result.findings:
        proposal = finding.proposal
        yield f"{place(finding, cwd)}: {proposal.code} {shortened(proposal.message)} [fix: {_fix(finding, verified)}]"


def verdict(finding: Finding, cwd: Path) -> str:
    """What the runs said of an included fix."""
    proposal = finding.proposal
    became, reason = finding.verdict.status.value, finding.verdict.reason
    return f"{place(finding, cwd)}: {proposal.code} {label(finding)}: {became}: {reason}"


def left_out(result: Result, cwd: Path) -> Iterator[str]:
    """One line for each finding that no change answers, and why."""
    for finding in result.findings:
        if not finding.included:
            proposal = finding.proposal
            what = label(finding) or shortened(proposal.message)
            yield f"{place(finding, cwd)}: {proposal.code} {what}: {why(finding)}"


def gone(result: Result, cwd: Path) -> Iterator[str]:
    """One line for each finding that runs have withdrawn, or that the included fixes have mended."""
    for one in result.gone:
        proposal = one.finding.proposal
        yield f"{one.how}: {place(one.finding, cwd)}: {proposal.code} {shortened(proposal.message)}: {one.reason}"


def proofs(result: Result) -> Iterator[str]:
    """One line for each program: what it is worth at its end, and with the fixes, or why that is not known."""
    several = Counter(proof.program for proof in result.proofs)
    for proof in result.proofs:
        which = f" (SVI object {proof.svi})" if several[proof.program] > 1 else ""
        known = "" if proof.reason.startswith((proof.verdict, "better")) else f"{proof.verdict}: "
        sides = [side.khat if side is not None else None for side in (proof.before, proof.after)]
        fits = " → ".join(f"{khat:.2g}" for khat in sides if khat is not None)
        unlike = " with the fixes" if sides[0] is None else ""
        fit = f"; k\u0302 {fits}{unlike}" if sides[1] is not None or (fits and proof.after is None) else ""
        yield f"{proof.program}{which}: {known}{proof.reason}{fit}"


def skipped(result: Result, cwd: Path) -> Iterator[str]:
    """One line for each file that was left alone."""
    for file in result.skipped:
        name = shown(file.path, cwd) + _cell(file.cell)
        yield file.reason if file.reason.startswith(f"{name}:") else f"{name}: {file.reason}"


def runs(result: Result) -> Iterator[str]:
    """One line for each program that verdicts rest on: what was run, with which versions."""
    seen = set()
    for finding in result.findings:
        evidence = finding.verdict.evidence
        versions = evidence.get("versions")
        if "command" in evidence and isinstance(versions, Mapping):
            known = [f"{name} {version}" for name, version in versions.items()]
            known += [str(evidence["device"])] if evidence.get("device") else []
            memory = evidence.get("device memory")
            if isinstance(memory, Mapping):
                known.append(f"at most {max(memory.values()) / 2**20:.0f} MiB there")
            seen.add(f"{evidence['command']} ({', '.join(known)})")
    yield from sorted(seen)


def summary(result: Result, mode: Mode, verified: bool) -> str:
    """The whole run in one line."""
    files = f"{_count(result.files, 'file')} looked at"
    if not result.findings:
        return f"{files}: nothing to do"
    suggestions = result.suggestions
    places = {finding.proposal.path for finding in result.findings}
    total = f"{_count(len(result.findings), 'finding')} in {_count(len(places), 'file')}"
    if mode == "list" and not verified:
        fixes = sum(bool(f.proposal.candidates) for f in result.findings)
        asked = f", {_count(suggestions, 'suggestion')}" if suggestions else ""
        hint = "; nothing was run: --diff runs the programs and shows the fixes that hold" if fixes else ""
        return f"{files}: {total}, {_count(fixes, 'possible fix', 'possible fixes')}{asked}{hint}"
    included = [f for f in result.findings if f.included]
    parts = [f"{_count(len(included), 'fix', 'fixes')} {_DONE[mode]} in {_count(len(result.changes), 'file')}"]
    unverified = sum(f.verdict.status is not Status.VERIFIED for f in included)
    if unverified:
        parts[0] += f" ({unverified} of them not verified)"
    left = [f for f in result.findings if not f.included]
    rest = Counter(f.verdict.status for f in left if not f.suggestion)
    parts += [f"{rest[kind]} {words}" for kind, words in _REST.items() if rest[kind]]
    parts += [_count(suggestions, "suggestion")] if suggestions else []
    return f"{files}: {total}: {', '.join(parts)}"


_DONE: dict[Mode, str] = {"list": "held", "diff": "shown", "apply": "applied"}
_REST = {
    Status.VERIFIED: "verified but not in this round",
    Status.REJECTED: "rejected",
    Status.UNVERIFIED: "unverified",
    Status.NONE: "without a fix",
}


def label(finding: Finding) -> str:
    """What the fix does, in a few words; empty where there is none."""
    if finding.verdict.candidate is not None:
        return finding.verdict.candidate.label
    return finding.proposal.candidates[0].label if finding.proposal.candidates else ""


def _fix(finding: Finding, verified: bool) -> str:
    verdict = finding.verdict
    if verdict.status is Status.NONE:
        return f"none{',' if finding.suggestion else ':'} {why(finding)}"
    if not verified:
        return label(finding)
    reason = "" if verdict.status is Status.VERIFIED else f": {verdict.reason}"
    return f"{label(finding)}, {status(finding)}{reason}"


def why(finding: Finding) -> str:
    """Why a finding is left as it is."""
    verdict, reason = finding.verdict, finding.verdict.reason
    if verdict.status is Status.NONE:
        reason = finding.proposal.held_back or reason or "there is none"
        return f"{status(finding)}: {reason}" if finding.suggestion else reason
    if verdict.status is Status.VERIFIED:
        return f"verified, but it waits for the other changes: run again ({reason})"
    return f"{status(finding)}: {reason}"


def status(finding: Finding) -> str:
    """What became of a fix, in a word or two."""
    return "a suggestion" if finding.suggestion else finding.verdict.status.value


def place(finding: Finding, cwd: Path) -> str:
    """``path:line:column``, in a notebook ``path:cell N:line:column``."""
    proposal = finding.proposal
    return f"{shown(proposal.path, cwd)}{_cell(finding.cell)}:{proposal.line}:{proposal.column}"


def _cell(number: int | None) -> str:
    return "" if number is None else f":cell {number}"


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
