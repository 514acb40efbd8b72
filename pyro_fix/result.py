"""What one run of pyro-fix over a set of files came to; every report format, ``apply`` and the exit code read this."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pyro_fix.proof import Proof
from pyro_fix.sources import Source
from pyro_fix.transform import Proposal, Status, Verdict


@dataclass(frozen=True)
class Finding:
    """A proposal with its verdict."""

    proposal: Proposal
    verdict: Verdict
    diff: str = ""
    """Unified diff of this fix alone; empty when there is none."""
    included: bool = False
    """Whether the fix is part of :attr:`Result.changes`."""
    cell: int | None = None
    """The cell of a notebook that ``proposal.line`` is a line of; None in a Python file."""
    fingerprint: str = ""
    """What the finding is known by when lines have moved (:mod:`pyro_fix.fingerprint`)."""

    @property
    def suggestion(self) -> bool:
        """Whether the fix mends nothing, but would be a gain, and no run has shown that: nothing is left to do.

        What is held back no run can show.
        """
        proposal, verdict = self.proposal, self.verdict
        if self.included or not proposal.only_gain:
            return False
        judged = "seeds" in verdict.evidence and not verdict.evidence.get("deferred")
        return not proposal.candidates or (judged and verdict.status is not Status.VERIFIED)


@dataclass(frozen=True)
class Gone:
    """What was a finding for a while, and is told in one line."""

    finding: Finding
    how: Literal["mended", "withdrawn"]
    """``mended``: what stopped the program, ended by the fixes that are included.  ``withdrawn``: what the source alone
    would have had a finding of, and runs show otherwise."""
    reason: str


@dataclass(frozen=True)
class Change:
    """The new text of one file: all included fixes of it together."""

    source: Source
    text: str
    target: Path | None = None
    """The file itself, without links, as it was when it was read; None where that is not known."""


@dataclass(frozen=True)
class Skipped:
    """A file or folder, a cell of a notebook, or a transform (its code stands for the path), that was left alone."""

    path: Path
    reason: str
    cell: int | None = None
    odd: bool = False
    """Whether it could not be looked at, or not be treated with care: the exit code tells.  What is no Python of this
    version, or no text, is met in any project."""


@dataclass(frozen=True)
class Result:
    """Everything there is to report."""

    findings: tuple[Finding, ...]
    """By path, cell, line, column, code."""
    changes: tuple[Change, ...]
    skipped: tuple[Skipped, ...]
    files: int
    """How many files were looked at."""
    gone: tuple[Gone, ...] = ()
    """By path and line."""
    proofs: tuple[Proof, ...] = ()
    """What the included fixes are worth, by program and SVI object; empty where no program was changed, or none ran."""

    @property
    def suggestions(self) -> int:
        """How many findings are suggestions."""
        return sum(finding.suggestion for finding in self.findings)

    def tally(self) -> Counter[Status]:
        """How many findings have each status; suggestions are none of these."""
        return Counter(finding.verdict.status for finding in self.findings if not finding.suggestion)
