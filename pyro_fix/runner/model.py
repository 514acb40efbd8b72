"""What the runner is asked for: the contract between ``runner`` (and the probe inside the
child) and ``verify``.  Plain data; nothing here starts a process."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pyro_fix.sources import NOTEBOOK

#: The origin of a program that the user named.
GIVEN = "--run"


@dataclass(frozen=True)
class Target:
    """How to run a user's program."""

    kind: Literal["script", "module", "pytest"]
    name: str
    """A script's path, or a module's dotted name; empty for pytest."""
    args: tuple[str, ...]
    cwd: Path
    origin: str
    """Where it came from, for the user: ``--run``, ``train.py steps an SVI under __main__``."""
    flags: tuple[str, ...] = ()
    """Options of the interpreter itself: ``-O``, ``-W error``."""
    path: tuple[Path, ...] = ()
    """Folders to look for modules in after all others: those of a project that is not installed."""

    @property
    def is_notebook(self) -> bool:
        """Whether the cells of a notebook are to be run, in their order."""
        return self.kind == "script" and self.name.endswith(NOTEBOOK)

    @property
    def command(self) -> str:
        """The command a person would type."""
        words: tuple[str, ...]
        if self.is_notebook:
            words = ("jupyter", "execute", self.name)
        elif self.kind == "script":
            words = ("python", *self.flags, self.name)
        elif self.kind == "module":
            words = ("python", *self.flags, "-m", self.name)
        else:
            words = ("python", *self.flags, "-m", "pytest") if self.flags else ("pytest",)
        return shlex.join((*words, *self.args))


@dataclass(frozen=True)
class Deep:
    """What the forked child looks at, at the first step of every SVI.  It leaves the program bit-identical."""

    seeds: int = 4
    """How many common seeds to evaluate loss and gradient at, at the initial parameters."""
    slices: bool = False
    """Whether to do the slice replay of a vectorised ELBO (``Promise.SAME_SITES_SLICED``)."""
    facts: bool = False
    """Whether to gather what transforms ask for: feeds, dependencies, inputs."""


@dataclass(frozen=True)
class Referee:
    """Have the (original) program evaluate other runs' parameters."""

    states: Mapping[str, Path]
    """Label of a run -> folder in which one seed of it left its parameters (``RunRequest.save_states / "SEED"``).
    Each SVI object is judged at its own ordinal's files; the answers are keyed ``LABEL/first`` and so on."""
    evaluations: int = 8
    """Common seeds per state, on as many batches where the program has them; the loss of a state is their mean."""
    moments: tuple[str, ...] = ("first", "last")
    """Where each run is judged: before the ``first`` step, after the ``last``, or, where it went ``to_the_end``,
    ``late``: at steps of the last tenth, which share the evaluations."""
    way: int = 0
    """Evaluations at each of the steps that a run ``to_the_end`` has kept on its way, keyed ``LABEL/STEP``."""
    draws: int = 0
    """Importance weights to draw from the guide at the last parameters, keyed ``LABEL/weights``, as logarithms; none
    where a latent is discrete, or there are many."""


@dataclass(frozen=True)
class Sandbox:
    """What a run is allowed beyond its own scratch folder, and how much it may take."""

    readable: tuple[Path, ...] = ()
    """Files and folders that may be read although they look like secrets."""
    writable: tuple[Path, ...] = ()
    """Folders that may be written to."""
    network: bool = False
    """Whether sockets are left alone."""
    memory: int | None = None
    """Bytes, of all processes of the run together; None: half of what the machine has."""
    processes: int = 256
    """How many there may be at a time."""
    required: bool = False
    """Whether the program is not to run where any of it cannot be enforced."""


@dataclass(frozen=True)
class RunRequest:
    """One run of one program.  The child never writes to the user's tree."""

    target: Target
    python: Path
    overlay: Mapping[Path, bytes] = field(default_factory=dict)
    """Absolute path of a source file -> the bytes that the program is to see in its place.

    Of a notebook these are the bytes of its file; the runner makes the program of them that its cells are."""
    marks: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)
    """File -> 1-based lines (of the text that the program sees) whose statements are counted when they run."""
    steps: int = 100
    """Every SVI object makes this many real steps; further calls return the last loss at once."""
    to_the_end: bool = False
    """Whether a program that ends by itself, before there were ``steps``, is left at that."""
    seeds: tuple[int, ...] = (0,)
    """One trajectory a seed.  Replicas are forked at the program's first step."""
    deep: Deep | None = None
    referee: Referee | None = None
    save_states: Path | None = None
    """Folder for parameters at step 0 and after the last step: ``SEED/svi-ORDINAL-{first,last}.pt``; where the
    run goes ``to_the_end``, of late steps as well, ``late-0`` and so on, and of the way there, ``way-STEP``."""
    expect_svis: int = 0
    """How many SVI objects the source is known to build; the run is stopped once all of them made their steps."""
    timeout: float = 120.0
    """Seconds of wall time for the whole run, all replicas included."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: what the program itself chooses."""
    fresh: bool = False
    """Whether to start the interpreter anew, even where a process that has loaded torch and Pyro could be forked."""
    any_version: bool = False
    """Whether Pyro says that it is whatever version the program asks for; the versions that are reported are true."""
    stand_ins: bool = True
    """Whether stand-ins take the places of modules that are missing, where the program would end for want of them."""
    substitutes: frozenset[str] = frozenset()
    """What is known to need a substitute: ``modules``, ``cuda``.  The runner finds out by itself."""
    sandbox: Sandbox | None = Sandbox()
    """None: the program runs with the user's rights."""
