"""The command that comes to a verdict again: evidence that cannot be checked is only an assertion."""

from __future__ import annotations

import os
import shlex
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from pyro_fix.config import Options
from pyro_fix.result import Finding
from pyro_fix.transform import Edit


def told(findings: Sequence[Finding], options: Options, known: Collection[Path], cwd: Path) -> list[Finding]:
    """The findings, those that were judged with ``reproduce`` in their evidence.

    ``known`` are the files that were looked at for findings.
    """
    return [_with_command(finding, findings, options, known, cwd) for finding in findings]


def _with_command(
    finding: Finding, findings: Sequence[Finding], options: Options, known: Collection[Path], cwd: Path
) -> Finding:
    evidence = finding.verdict.evidence
    if "promise" not in evidence:
        return finding
    read = {Path(name) for name in cast("list[str]", evidence.get("files", []))} & set(known)
    files = {finding.proposal.path} | read | ({edit.path for edit in _edits(finding)} & set(known))
    # Fixes are judged together with the others of a program, and over those of earlier rounds: all have to be tried.
    codes = {f.proposal.code for f in findings if f.proposal.candidates and f.proposal.path in files}
    command = shlex.join(_words(codes, files, options, cwd))
    return replace(finding, verdict=replace(finding.verdict, evidence={"reproduce": command, **evidence}))


def _edits(finding: Finding) -> tuple[Edit, ...]:
    return finding.verdict.candidate.edits if finding.verdict.candidate is not None else ()


def _words(codes: Collection[str], files: Collection[Path], options: Options, cwd: Path) -> list[str]:
    words = ["pyro-fix", "--diff", "--no-cache", "--verify"]
    if options.file is not None:
        words += ["--config", _shown(options.file, cwd)]
    words += ["--select", ",".join(sorted(codes)), "--seeds", str(options.seeds), "--steps", str(options.steps)]
    default = Options()
    if options.timeout != default.timeout:
        words += ["--timeout", f"{options.timeout:g}"]
    if options.device != default.device:
        words += ["--device", options.device]
    if options.python is not None:
        words += ["--python", _shown(options.python, cwd)]
    words += ["--trust"] * (options.python is None and options.trusted and _has_own_python(options))
    words += ["--any-pyro-version"] * options.any_pyro_version
    words += ["--no-stand-ins"] * (not options.stand_ins)
    words += ["--prove"] * options.prove
    if options.prove_within != default.prove_within:
        words += ["--prove-within", f"{options.prove_within:g}"]
    words += ["--tune"] * options.tune
    words += ["--unverified"] * options.unverified
    words += ["--no-observe"] * (not options.observe)
    words += ["--no-sandbox"] * (not options.sandbox)
    for path in options.readable:
        words += ["--readable", _shown(path, cwd)]
    for path in options.writable:
        words += ["--writable", _shown(path, cwd)]
    words += ["--network"] * options.network
    if options.memory is not None:
        words += ["--memory", f"{options.memory}B"]
    if options.processes != default.processes:
        words += ["--processes", str(options.processes)]
    for command in options.run:
        words += ["--run", command]
    return [*words, *sorted(_shown(path, cwd) for path in files)]


def _has_own_python(options: Options) -> bool:
    from pyro_fix.runner import interpreter  # not on the way of those who run nothing

    return interpreter.lying_about(options.root) is not None


def _shown(path: Path, cwd: Path) -> str:
    """The path as it is typed in the working folder; never mistaken for a sub-command or an option."""
    absolute = Path(os.path.normpath(cwd / path))
    name = str(absolute.relative_to(cwd)) if absolute.is_relative_to(cwd) else str(absolute)
    return f"./{name}" if name in ("rules", "explain", "bot") or name.startswith("-") else name
