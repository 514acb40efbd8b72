"""Run one transform over small programs, without verification."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pyro_fix import engine, rewrite, sources
from pyro_fix.config import Options
from pyro_fix.result import Finding, Result


@dataclass(frozen=True)
class Checked:
    """What pyro-fix says of a folder of programs, of which ``main.py`` is the one that counts."""

    result: Result
    path: Path

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self.result.findings

    @property
    def finding(self) -> Finding:
        assert len(self.findings) == 1, [f.proposal.message for f in self.findings]
        return self.findings[0]

    @property
    def held_back(self) -> str:
        """Why the only finding has no fix."""
        assert not self.finding.proposal.candidates, f"has a fix:\n{self.finding.diff}"
        assert not self.result.changes
        return self.finding.proposal.held_back

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The new texts, by file name: of what is applied without a run, and of what needs one."""
        edits = [e for f in self.findings if f.proposal.candidates for e in f.proposal.candidates[0].edits]
        read = {path: sources.read(path) for path in {edit.path for edit in edits}}
        needs_run = {path.name: text for path, text in rewrite.compose(read, edits).texts.items()}
        return needs_run | {change.source.path.name: change.text for change in self.result.changes}

    @property
    def text(self) -> str:
        """The new text of ``main.py``."""
        assert self.path.name in self.texts, [f.verdict.reason for f in self.findings]
        return self.texts[self.path.name]

    @property
    def added(self) -> list[str]:
        """The lines of the new text that the old one lacks, without indentation."""
        old = sources.read(self.path).text.splitlines()
        return [line.strip() for line in self.text.splitlines() if line not in old]


def check(paths: Sequence[Path], codes: Sequence[str], root: Path) -> Result:
    return engine.check(Options(paths=tuple(paths), select=tuple(codes), verify=False, root=root), lambda _: None)


def check_text(folder: Path, codes: Sequence[str], text: str, files: Mapping[str, str], named: bool) -> Checked:
    """Check ``text`` as ``main.py`` next to ``files`` (``helpers`` is helpers.py, ``pkg__mod`` is pkg/mod.py).

    ``named`` tells whether the files are named themselves or found in their folder.
    """
    main = folder / "main.py"
    paths = [main]
    for name, content in {"main": text, **files}.items():
        path = folder.joinpath(*name.split("__")[:-1], name.split("__")[-1] or "__init__").with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(textwrap.dedent(content).encode())
        paths.append(path)
    return Checked(check(paths if named else [folder], codes, folder), main)
