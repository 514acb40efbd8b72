"""The API that a transform is written against.

A transform reads facts (:class:`pyro_fix.analysis.program.Program`) and yields proposals.  It knows nothing of
files, processes, reports or other transforms.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Literal, overload

if TYPE_CHECKING:
    import ast

    from pyro_fix.analysis.program import Program
    from pyro_fix.analysis.scopes import Module


class Promise(enum.Flag):
    """What paired runs of the original and the patched program must show for a fix to be verified."""

    RUNS_CLEAN = enum.auto()
    """Supports and arguments are valid at every site; no exception, NaN or infinity in the patched run."""
    SAME_START = enum.auto()
    """Every parameter and site starts at the original's constrained value; the losses of step 0 agree."""
    SAME_OBJECTIVE = enum.auto()
    """At equal parameters and seeds, loss and gradients equal the original's times one positive constant."""
    SAME_SITES_SLICED = enum.auto()
    """Each particle's slice, replayed through the plain program, has the same log-probs at every site."""
    SAME_EXPECTATION = enum.auto()
    """Paired gradients at fixed parameters show no shift."""
    LESS_VARIANCE = enum.auto()
    """The gradient's variance at step 0 is lower than the original's."""
    DECLARED_RATE = enum.auto()
    """Loss and gradients of step 0 are unchanged, the rate follows ``Candidate.rate``, nothing diverges."""
    STABLE = enum.auto()
    """The original goes wrong in its steps (NaN or infinity, a loss that runs away, gradients that spike), and the
    patched program does not, nor after it has moved as far as the original had when it did."""
    NO_WORSE = enum.auto()
    """The referee (the ORIGINAL program evaluating both runs' parameters) sees no loss beyond 5 % of the
    original's progress; where the original diverged, the patched run must not."""
    BETTER_START = enum.auto()
    """The referee sees a lower loss where the patched run starts; where the original has no finite start, any."""
    WHOLE_GRADIENT = enum.auto()
    """The optimiser clamps no gradient that the original's uses whole."""
    BETTER_END = enum.auto()
    """Both programs trained to their own end, the referee sees a lower loss where the patched one ends."""
    NO_WORSE_END = enum.auto()
    """The same, as far as it can be afforded: the referee does not see the patched one end worse."""


_NOTHING = Promise(0)


@dataclass(frozen=True)
class Edit:
    """Replace ``text[start:end]`` of the file at ``path`` by ``replacement``.

    Offsets count characters of :attr:`pyro_fix.sources.Source.text`; ``start == end`` inserts.
    """

    path: Path
    start: int
    end: int
    replacement: str


@dataclass(frozen=True)
class Rate:
    """The learning rate that a candidate declares: ``lr * lrd ** t`` at step ``t`` (tips 1 and 3).

    ``None`` means that the source alone does not tell: the run's own step 0 (``lr``) or the rate's constant
    ratio from step to step (``lrd``) stands in.
    """

    lr: float | None = None
    lrd: float | None = None
    share: float | None = None
    """Instead of both: every step's rate is this share of the original's at that step, whatever moves it."""
    times: float = 1.0
    """Where ``lr`` is ``None``: how many times the original's first rate it is."""


@dataclass(frozen=True)
class Candidate:
    """One way to fix a finding: edits that belong together, and what they promise."""

    edits: tuple[Edit, ...]
    promise: Promise
    label: str
    """What the edits do, in a few words: ``ClippedAdam with lrd``."""
    rate: Rate | None = None
    """Set where ``promise`` has ``DECLARED_RATE``."""
    needs_run: bool = False
    """Whether the source alone cannot vouch for it, so that it is left out where nothing is run."""
    only_after: Promise = _NOTHING
    """Tried only where an earlier candidate has broken this promise: it answers nothing else."""
    steps: int | None = None
    """How many steps the training has that the edits change, where the source tells."""
    numbers: tuple[Number, ...] = ()
    """What the edits write that may as well be another number, the one that matters most first."""


@dataclass(frozen=True)
class Number:
    """A number that a candidate writes, and that ``--tune`` may write another one for."""

    name: str
    """In the singular: ``learning rate``."""
    value: float
    low: float
    high: float
    """The least and the greatest that make sense."""
    written: Callable[[float], Candidate | None] = field(compare=False, repr=False)
    """The candidate with another number; ``None`` where that one cannot be written."""
    whole: bool = False
    """Whether it counts something."""
    late: bool = False
    """Whether a part of a training tells nothing of it, as of a decay over the whole."""


@dataclass(frozen=True)
class Proposal:
    """A finding and, unless it is held back, the candidates that would fix it, best first."""

    code: str
    name: str
    tip: int
    path: Path
    line: int
    """1-based."""
    column: int
    """1-based, in characters."""
    message: str
    candidates: tuple[Candidate, ...] = ()
    held_back: str = ""
    """Why there is no candidate; empty when there is one."""
    source: Literal["static", "seen"] = "static"
    end_line: int = 0
    """Last line of the statement that the finding is about (suppression comments on any of its lines count)."""
    only_gain: bool = False
    """Whether nothing is wrong as it is: a fix would be a gain at best, which runs have to show."""
    programs: frozenset[str] = frozenset()
    """The commands of the programs whose runs it tells of, where it tells of these and no others."""
    part_of: str = ""
    """A code whose fix at the same place leaves nothing of this finding: where it has one, the two are told as one."""


class Status(str, enum.Enum):
    """What became of a proposed fix."""

    VERIFIED = "verified"
    REJECTED = "rejected"
    UNVERIFIED = "unverified"
    NONE = "none"
    """There is no fix: the finding is advice, or the transform held back."""


def place(path: Path) -> str:
    """A path as the user would write it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def label(proposal: Proposal) -> str:
    """``SVI051 train.py:12``."""
    return f"{proposal.code} {place(proposal.path)}:{proposal.line}"


@dataclass(frozen=True)
class Verdict:
    """What the runs said of one candidate."""

    status: Status
    reason: str
    """One plain sentence, fit for a terminal line."""
    evidence: dict[str, object] = field(default_factory=dict)
    """JSON-ready: program run, versions, seeds, steps, what was compared and the numbers."""
    candidate: Candidate | None = None
    """The candidate that the verdict is about (the accepted one, or the last that was tried)."""


class Threshold:
    """A number that decides whether there is a finding, and that ``[tool.pyro-fix.thresholds]`` can change.

    It is an attribute of a :class:`Transform`; read from an instance it is the number.
    """

    def __init__(self, default: float, meaning: str) -> None:
        """``meaning`` is a phrase for the documentation, with the unit."""
        self.default = default
        self.meaning = meaning

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember under which name it was declared."""
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Threshold: ...

    @overload
    def __get__(self, instance: Transform, owner: type) -> float: ...

    def __get__(self, instance: Transform | None, owner: type) -> Threshold | float:
        """The configured number, or the declaration itself."""
        return self if instance is None else instance.configured.get(self.name, self.default)


class Transform(ABC):
    """One rule of the catalogue: a subclass in a file of its own, whose docstring is its documentation.

    The docstring starts with a one-line summary and has the headings ``What it does``, ``Why``, ``Example``,
    ``Holds back when`` and ``Promise``.
    """

    code: ClassVar[str]
    """``SVI`` + the tip's two digits + one digit for the variant."""
    name: ClassVar[str]
    """Kebab-case."""
    tip: ClassVar[int]
    default: ClassVar[bool] = True
    """Whether the transform runs without being asked for by ``--select``."""
    promise: ClassVar[Promise]
    promises: ClassVar[tuple[Promise, ...]] = ()
    """All that its candidates promise, one or another, where that is not always :attr:`promise`."""
    after: ClassVar[tuple[str, ...]] = ()
    """Prefixes of codes that have the first word: while one of them has a fix to try, this transform's fixes wait.
    What a run shows may be the symptom of what another transform mends."""
    by_the_end: ClassVar[bool] = False
    """Whether several candidates may keep their promises, and the end of a training tells which of them is best."""

    configured: Mapping[str, float] = MappingProxyType({})
    """The thresholds that were changed."""

    @classmethod
    def thresholds(cls) -> dict[str, Threshold]:
        """What can be configured, by name."""
        return {
            name: value for base in cls.__mro__ for name, value in vars(base).items() if isinstance(value, Threshold)
        }

    def finding(
        self,
        module: Module,
        node: ast.expr,
        message: str,
        candidates: tuple[Candidate, ...] = (),
        held_back: str = "",
        source: Literal["static", "seen"] = "static",
    ) -> Proposal:
        """A finding at ``node``; without candidates ``held_back`` says why; ``source`` is who speaks."""
        text = module.source
        start = text.offset(node.lineno, node.col_offset)
        column = start - text.offset(node.lineno, 0) + 1
        end_line = node.end_lineno or node.lineno
        return Proposal(
            self.code,
            self.name,
            self.tip,
            module.path,
            node.lineno,
            column,
            message,
            () if held_back else candidates,
            held_back,
            source,
            end_line=end_line,
            only_gain=Promise.BETTER_END in self.promise,
        )

    def withdraw(self, program: Program, module: Module, node: ast.expr, reason: str) -> None:
        """Say why runs leave nothing of a finding that the source alone would have made at ``node``."""
        program.withdrawn[self.code, module.path, node.lineno] = reason

    @abstractmethod
    def propose(self, program: Program) -> Iterator[Proposal]:
        """Yield the findings of this transform in ``program``."""
