"""What a run of a program shows.  Plain data: the probe gathers it, ``runner.read`` puts it together, ``analysis.seen``
joins it to the static facts, and ``verify`` compares two of it.

Places are ``file:line``, relative to the folder that the program ran in where they lie below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

#: In the error of a look that was stopped by time.
TOO_LONG = "took longer than"


@dataclass(frozen=True)
class Failure:
    """An exception in the child, or the reason why there was no child to speak of."""

    kind: str
    """The exception's class name, or ``timeout``, ``killed``, ``no-svi`` (never stepped one), ``no-pyro``,
    ``no-device``."""
    message: str
    where: str = ""
    """The innermost frame in the user's project."""
    step: int | None = None
    site: str = ""
    """The sample site that was being run when it was raised, as far as that is known."""
    pyro: bool = False
    """Whether it came through Pyro: a statement, a check or an autoguide of Pyro's was at work."""
    caught: bool = False
    """Whether the program went on after it, of a step: an ``except``, or ``pytest.raises``."""


@dataclass(frozen=True)
class Remark:
    """A warning that Pyro itself gave, at whichever step it was given first."""

    text: str
    """Without its category; in one line."""
    where: str
    """The innermost place in the user's project that led to it."""
    svi: int | None
    """Ordinal of the SVI object whose step it was given in; None outside of steps."""
    step: int | None
    """The first such step, over all seeds."""
    seeds: tuple[int, ...] = ()
    """Those it was given under."""


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
    """Seconds a step, by :attr:`clock`: nine of ten take longer, as what else a machine does only adds."""
    first_nonfinite: int | None
    """The first step whose loss, or a parameter after it, was NaN or infinite."""
    failure: Failure | None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Parameter -> least and greatest constrained value seen over the run."""
    finished: bool = True
    """Whether it made ``RunRequest.steps`` steps or the program ended by itself; False after a stop by time."""
    nonfinite: str = ""
    """What was not finite first, at step ``first_nonfinite``: ``loss``, or a parameter's name."""
    clock: str = "CPU"
    """What :attr:`step_seconds` were measured by: ``CPU`` time, or events on the ``device``."""
    own: int | None = None
    """How many steps the program made by itself, where it ended before there were enough and its calls were made again:
    what depends on how far training has come, as a decaying rate does, means little beyond them."""
    clamped: int = 0
    """In how many steps the optimiser clamped an element of the gradient (``ClippedAdam``'s ``clip_norm``)."""

    @property
    def path(self) -> tuple[tuple[float, ...], ...]:
        """:attr:`rates` of the steps that were made: one that raised, and was caught, is a gap in them."""
        return tuple(rates for rates in self.rates if rates)


@dataclass(frozen=True)
class ParamLook:
    """One entry of the parameter store at step 0, after the first guide and model execution."""

    shape: tuple[int, ...]
    constraint: str
    values: tuple[float, ...]
    """The constrained value, flattened: whole up to 64 elements, beyond that 32 fixed random projections of it."""
    minimum: float
    maximum: float
    where: str = field(default="", compare=False)
    """The ``pyro.param`` call that made it; of a ``PyroParam`` the line that assigned it (or else first read it);
    empty when that is not in the project (an autoguide's parameter, ``pyro.module``'s).  Not compared: patches move
    lines."""


@dataclass(frozen=True)
class Feed:
    """A parameter that reaches an argument of a site's distribution (or of one inside it), by autograd's graph."""

    argument: str
    required: str
    """The argument's constraint, normalised as supports are; ``?`` unknown."""
    param: str
    operations: tuple[str, ...]
    """The operations between parameter and argument, from the argument inwards, without those of the parameter's own
    constraint: ``Exp``, ``Mul``.  Names are autograd's without ``Backward`` and number."""
    unchanged: bool
    """Whether every element arrives as it is: the operations only move or repeat elements."""


@dataclass(frozen=True)
class PlateLook:
    """A plate round a site."""

    name: str
    dim: int | None
    """None: a sequential plate."""
    size: int
    subsample: int
    """Equal to ``size`` when nothing is left out."""


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
    where: str = field(default="", compare=False)
    """The ``pyro.sample`` call; of a ``PyroSample`` the line that read it; empty when it is not in the project.  Not
    compared: patches move lines."""
    batch_shape: tuple[int, ...] = ()
    event_shape: tuple[int, ...] = ()
    plates: tuple[PlateLook, ...] = ()
    """Outermost first."""
    feeds: tuple[Feed, ...] = field(default=(), compare=False)
    """Empty unless ``Deep.facts`` were asked for, and so not compared; the same holds for ``parents``."""
    parents: tuple[str, ...] = field(default=(), compare=False)
    """Latent sites of the same program whose values this one's distribution was computed from."""
    reparameterised: bool = False
    """Whether it has ``rsample`` and gradients flow through it."""
    enumerable: bool = False
    """Whether its distribution has a finite support that can be enumerated."""
    enumerated: str = ""
    """``parallel`` or ``sequential`` where the program asks for enumeration."""
    auxiliary: bool = False
    """Whether it is marked ``is_auxiliary``."""
    minimum: float | None = None
    """Least and greatest element of the value; None where it is no tensor of numbers."""
    maximum: float | None = None
    spread: tuple[float, float] | None = None
    """Least and greatest standard deviation that the distribution gives to an element; None where it has none."""


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
class InputLook:
    """A tensor that the program hands to model and guide."""

    name: str
    """The model's name of the argument; ``args[1]`` where that is not known."""
    shape: tuple[int, ...]
    dtype: str
    observed: bool
    """Whether it (or a view of it) is the value of an observed site."""
    minimum: float
    maximum: float
    column_spreads: tuple[float, float] | None
    """Least and greatest standard deviation of the columns (the last dimension, constant ones left out); None for a
    tensor of fewer than two dimensions."""
    where: str = ""
    """The ``svi.step`` call that handed it over."""
    constant_columns: int = 0
    """How many columns hold one value throughout, such as a column of ones for an intercept."""


@dataclass(frozen=True)
class Dependencies:
    """The dependency structure of model and guide together (``pyro.infer.inspect.get_dependencies`` and tracing)."""

    prior: Mapping[str, tuple[str, ...]]
    """Site of the model -> the latents that its distribution depends on, itself left out."""
    posterior: Mapping[str, tuple[str, ...]]
    """Latent of the guide -> the latents of the guide that its distribution depends on, itself left out."""
    registered_kl: tuple[str, ...]
    """Latents for whose pair of distributions (guide, model) torch has a closed form of the KL divergence."""
    mean_field: bool | None
    """Whether no latent's parent in the model is its descendant in the guide (tip 9); None when that is not known."""
    error: str = ""
    """Why the structure could not be found; empty when it was."""


@dataclass(frozen=True)
class Untrained:
    """A module (or a lone tensor) that asks for gradients, that a site is computed from, and that nothing trains."""

    role: str
    """``guide`` or ``model``: whose site it is."""
    site: str
    """The first one, where several are computed from it."""
    name: str
    """How the function of that role can write it at its head, ``self.encoder``; empty where that is not known."""
    kind: str
    """Its class: ``Encoder``, ``Tensor``."""
    tensors: int
    numbers: int
    where: str = field(default="", compare=False)
    """Where that function begins, its decorators with it; empty when it is not in the project."""


@dataclass(frozen=True)
class Work:
    """What one evaluation of loss and gradient does, counted: the same however busy a machine is."""

    calls: int
    """Of functions, Python's and others."""
    params: int
    """Entries of the parameter store that the optimiser moves."""
    elements: int
    """Of the tensors that torch's operations return, forward and backward."""
    flops: int
    """Floating-point operations of products and convolutions."""


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
    inputs: tuple[InputLook, ...] = ()
    dependencies: Dependencies | None = None
    max_plate_nesting: int | None = None
    """As many rightmost dimensions as plates of model and guide use."""
    work: Work | None = field(default=None, compare=False)
    """None unless ``Deep.facts`` were asked for, or where it cannot be counted."""
    untrained: tuple[Untrained, ...] = ()


@dataclass(frozen=True)
class SviObservation:
    """Everything seen of one SVI object.  Original and patched program are matched by ``ordinal``."""

    ordinal: int
    """0 for the first SVI object that the program built (the lower-level pattern counts as one)."""
    where: str
    """Where it was built."""
    elbo: str
    optimizer: str
    num_particles: int
    trajectories: tuple[Trajectory, ...]
    look: Look | None = None
    referee: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """``LABEL/first`` and ``LABEL/last`` -> the objective's losses at these parameters, one an evaluation; NaN where
    it could not be evaluated (why is in :attr:`Observation.warnings`)."""
    guide: str = ""
    """Class of the guide, or the name of the function: ``AutoNormal``."""
    vectorized: bool = False
    """Whether the ELBO vectorises its particles."""


@dataclass(frozen=True)
class Substitute:
    """Something that was not there, and in whose place something else was put for the run."""

    kind: str
    """``module``; ``device``, where the CPU did what a GPU was asked for."""
    what: str
    """``seaborn``."""
    lacking: str
    """What is not there: the same, or what it cannot be had without."""
    where: str = ""
    """Where the program first asks for it."""
    reached: str = ""
    """How and where something that came from it may have got into what is trained; empty where nothing has."""

    @property
    def sentence(self) -> str:
        """What a reader of a verdict is told."""
        if self.kind == "device":
            return f"{self.what} was asked for and is not there: the CPU took its place"
        of = "its place" if self.what == self.lacking else f"the place of {self.what}"
        begin = f"{self.lacking} is not installed: a stand-in took {of}, and "
        if not self.reached:
            return f"{begin}nothing that came from it reached the model"
        return (
            f"{begin}what came from it may have reached the model ({self.reached}), so that the run is on made-up data"
        )


@dataclass(frozen=True)
class Observation:
    """What a run showed."""

    command: str
    python: str
    versions: Mapping[str, str]
    """``python``, ``torch``, ``pyro``."""
    device: str
    """``cpu``, ``mps``, ``cuda:0 (NVIDIA H100 80GB HBM3)``."""
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
    cwd: str = ""
    """Absolute path of the folder that it ran in."""
    device_memory: int | None = None
    """The most bytes that tensors took on the device, from the first step on, in one process; None on the CPU."""
    remarks: tuple[Remark, ...] = ()
    """Warnings of Pyro's own, over all steps."""
    substitutes: tuple[Substitute, ...] = ()
    """What was put in the place of what the program asks for and the machine has not."""

    @property
    def made_up(self) -> str:
        """Why the run stands on what may be another thing where nothing is missing; empty where it does not."""
        return "; ".join(one.sentence for one in self.substitutes if one.reached)
