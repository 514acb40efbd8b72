"""What stopped a program, and the fixes that ended it: of several programs each has its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyro_fix.observation import Observation
from pyro_fix.result import Finding
from pyro_fix.transform import label


@dataclass(frozen=True)
class Broke:
    """A finding of what stops a program."""

    finding: Finding
    files: frozenset[str]
    """What the runs read that it tells of, by real paths."""


def of_runs(finding: Finding, runs: Iterable[Observation]) -> Broke:
    """A finding with what the programs read that it speaks of, as ``runs`` have shown it."""
    proposal = finding.proposal
    read = {Path(run.cwd, name) for run in runs if run.command in proposal.programs for name in run.loaded}
    return Broke(finding, frozenset(map(os.path.realpath, {proposal.path, *read})))


def named(broke: Broke, ending: Sequence[Finding]) -> str:
    """Which of the fixes in ``ending`` a program touches that broke, in words: those that were seen to end it there,
    or else those that end another one that has the same file."""
    touching = [fix for fix in ending if any(os.path.realpath(path) in broke.files for path in _edited(fix))]
    own = [fix for fix in touching if fix.verdict.evidence.get("command") in broke.finding.proposal.programs]
    return ", ".join(dict.fromkeys(label(fix.proposal) for fix in own or touching))


def _edited(fix: Finding) -> set[Path]:
    candidate = fix.verdict.candidate
    return {edit.path for edit in candidate.edits} if candidate is not None else set()
