"""How to verify: what the user chose, and what there is to run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pyro_fix.runner.model import Sandbox, Target


@dataclass(frozen=True)
class VerifyOptions:
    """Choices of the user."""

    python: Path
    """The project's interpreter."""
    steps: int = 100
    """Of every trajectory."""
    seeds: int = 4
    """Trajectories of a program, and the referee's first batch of paired runs (it goes on to 8 and 16)."""
    timeout: float = 120.0
    """Wall seconds for one run."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: what the program itself chooses."""
    jobs: int = 2
    """Runs side by side."""
    any_version: bool = False
    """Whether the program is told that its Pyro is the version that it asks for."""
    stand_ins: bool = True
    """Whether stand-ins take the places of modules that are missing."""
    sandbox: Sandbox | None = field(default_factory=Sandbox)
    """What programs are allowed; None: everything."""
    cache: Path | None = None
    """Folder of observations to keep; None keeps them for this verification only."""


@dataclass(frozen=True)
class RunPlan:
    """A program that may exercise fixes."""

    target: Target
    expect_svis: int = 0
    """How many SVI objects the source is known to build; 0 when that is not known."""
    files: frozenset[Path] = frozenset()
    """The files that the source is known to load; empty when only a run can tell."""
    kind: Literal["program", "test", "driver"] = "program"
    """A driver is a program that we made up, data included: what it shows of data says nothing of the user's."""
    added: tuple[tuple[Path, bytes], ...] = ()
    """Sources that exist for this run alone: a driver's own text."""
    steps: int = 0
    """How many steps the source says that its longest training makes; 0 when that is not known."""

    @property
    def label(self) -> str:
        """The command, or what a driver is: nobody could type its command."""
        return self.target.origin if self.kind == "driver" else self.target.command
