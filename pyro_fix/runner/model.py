"""What the runner is asked for and what it answers: the contract between ``runner`` (and the probe inside the
child) and ``verify``.  Plain data; nothing here starts a process."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


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

    @property
    def command(self) -> str:
        """The command a person would type."""
        if self.kind == "script":
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


@dataclass(frozen=True)
class Referee:
    """Have the (original) program evaluate other runs' parameters."""

    states: Mapping[str, Path]
    """Label of a run -> folder in which one seed of it left its parameters (``RunRequest.save_states / "SEED"``).
    Each SVI object is judged at its own ordinal's files; the answers are keyed ``LABEL/first`` and ``LABEL/last``."""
    evaluations: int = 8
    """Common seeds per state; the loss of a state is their mean."""


@dataclass(frozen=True)
class RunRequest:
    """One run of one program.  The child never writes to the user's tree."""

    target: Target
    python: Path
    overlay: Mapping[Path, bytes] = field(default_factory=dict)
    """Absolute path of a source file -> the bytes that the program is to see in its place."""
    marks: Mapping[Path, tuple[int, ...]] = field(default_factory=dict)
    """File -> 1-based lines (of the text that the program sees) whose statements are counted when they run."""
    steps: int = 100
    """Every SVI object makes this many real steps; further calls return the last loss at once."""
    seeds: tuple[int, ...] = (0,)
    """One trajectory a seed.  Replicas are forked at the program's first step."""
    deep: Deep | None = None
    referee: Referee | None = None
    save_states: Path | None = None
    """Folder for parameters at step 0 and after the last step: ``SEED/svi-ORDINAL-{first,last}.pt``."""
    expect_svis: int = 0
    """How many SVI objects the source is known to build; the run is stopped once all of them made their steps."""
    timeout: float = 120.0
    """Seconds of wall time for the whole run, all replicas included."""
    device: Literal["cpu", "cuda", "auto"] = "auto"


@dataclass(frozen=True)
class Failure:
    """An exception in the child, or the reason why there was no child to speak of."""

    kind: str
    """The exception's class name, or ``timeout``, ``killed``, ``no-svi`` (never stepped one), ``no-pyro``."""
    message: str
    where: str = ""
    """``file:line`` of the innermost frame in the user's project."""
    step: int | None = None


@dataclass(frozen=True)
class Trajectory:
    """What one seed's run of one SVI object did, step by step."""

    seed: int
    losses: tuple[float, ...]
    rates: tuple[tuple[float, ...], ...]
    """Per step the distinct learning rates over all parameters, ascending; an empty tuple when it has none.
    Read when the optimiser has made the step, so it is the rate that the step used (``ClippedAdam`` multiplies by
    ``lrd`` before it uses the rate: step ``t`` uses ``lr * lrd ** (t + 1)``)."""
    gradient_norms: tuple[float, ...]
    step_seconds: float
    """Median CPU seconds a step."""
    first_nonfinite: int | None
    """The first step whose loss, or a parameter after it, was NaN or infinite."""
    failure: Failure | None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Parameter -> least and greatest constrained value seen over the run."""
    finished: bool = True
    """Whether it made ``RunRequest.steps`` steps or the program ended by itself; False after a stop by time."""


@dataclass(frozen=True)
class ParamLook:
    """One entry of the parameter store at step 0, after the first guide and model execution."""

    shape: tuple[int, ...]
    constraint: str
    values: tuple[float, ...]
    """The constrained value, flattened: whole up to 64 elements, beyond that 32 fixed random projections of it."""
    minimum: float
    maximum: float


@dataclass(frozen=True)
class SiteLook:
    """One sample site of the traced guide or model."""

    distribution: str
    support: str
    """Normalised, parameters rounded: ``positive``, ``real``, ``interval(0, 10)``, ``simplex``; ``?`` unknown."""
    observed: bool
    shape: tuple[int, ...]
    """Of the site's value."""
    log_prob: float
    """Its sum, unscaled."""
    scale: float | None
    """The site's scale when it is one number."""
    violations: tuple[str, ...] = ()
    """Arguments outside their constraints, values outside the support: ``scale: 3 of 10 values not positive``."""


@dataclass(frozen=True)
class SliceReplay:
    """Slice replay of a vectorised ELBO: every particle's slice against the plain program."""

    particles: int
    worst: float
    """Greatest relative disagreement of a site's log-prob over sites and particles."""
    site: str
    """The site that disagreed most."""
    error: str = ""
    """Why the replay could not be made; empty when it was."""


@dataclass(frozen=True)
class Look:
    """A deep look at the first step of one SVI object, same parameters and common seeds."""

    params: Mapping[str, ParamLook]
    guide: Mapping[str, SiteLook]
    model: Mapping[str, SiteLook]
    losses: tuple[float, ...]
    """The ELBO's loss at the initial parameters, one a common seed."""
    gradients: Mapping[str, tuple[tuple[float, ...], ...]]
    """Parameter -> one sketch a common seed of the gradient with respect to the unconstrained parameter: whole up
    to 64 elements, beyond that 32 fixed random projections of it."""
    gradient_norms: tuple[float, ...]
    """Of the whole gradient, one a common seed."""
    slices: SliceReplay | None = None
    error: str = ""
    """Why the look could not be made; empty when it was."""


@dataclass(frozen=True)
class SviObservation:
    """Everything seen of one SVI object.  Original and patched program are matched by ``ordinal``."""

    ordinal: int
    """0 for the first SVI object that the program built (the lower-level pattern counts as one)."""
    where: str
    """``file:line`` of its construction, relative to the target's cwd where it lies below."""
    elbo: str
    optimizer: str
    num_particles: int
    trajectories: tuple[Trajectory, ...]
    look: Look | None = None
    referee: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """``LABEL/first`` and ``LABEL/last`` -> the objective's losses at these parameters, one an evaluation; NaN where
    it could not be evaluated (why is in :attr:`Observation.warnings`)."""


@dataclass(frozen=True)
class Observation:
    """What a run showed."""

    command: str
    python: str
    versions: Mapping[str, str]
    """``python``, ``torch``, ``pyro``."""
    device: str
    svis: tuple[SviObservation, ...]
    hits: Mapping[str, int]
    """``path:line`` of a mark -> how often it ran (in any replica)."""
    loaded: tuple[str, ...]
    """Files of the user's project that the program imported, ran or read: what its facts depend on."""
    failure: Failure | None
    """Why the program as a whole broke, when it did so outside every trajectory."""
    warnings: tuple[str, ...]
    seconds: float
    """Wall time."""
