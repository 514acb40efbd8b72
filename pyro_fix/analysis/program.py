"""The facts of a program: what the interpreter found, and what a transform asks for."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pyro_fix.analysis.roles import functions_of as functions_of
from pyro_fix.analysis.seen import Seen
from pyro_fix.analysis.values import Made, Value, options
from pyro_fix.sources import NOTEBOOK

if TYPE_CHECKING:
    from pyro_fix.analysis.scopes import Module, Scope
    from pyro_fix.analysis.values import Function, Loop
    from pyro_fix.sources import Source


@dataclass(eq=False)
class Use:
    """A distribution argument that is fed by a param."""

    distribution: Made
    """The distribution."""
    argument: str
    required: str
    """The constraint of the argument, as source without its module: ``positive``, ``interval(0, 1)``."""
    unchanged: bool
    """Whether the param's value arrives as it is (shapes aside), not through exp, softplus, ``+ eps`` …"""
    reshaped: bool
    """Whether its shape was changed on the way, which matters to constraints on vectors and matrices."""
    functions: frozenset[ast.AST]
    """The functions that were running: a helper called from a guide counts for the guide too."""
    source: Literal["static", "seen"] = "static"
    """Who says that it is ``unchanged``: the source, or only a run."""


@dataclass(eq=False)
class Param:
    """One ``pyro.param(...)`` or ``PyroParam(...)`` call."""

    module: Module
    call: ast.Call
    kind: str
    """``param`` or ``PyroParam``."""
    name: str | None
    """The literal name; the varying parts of an f-string are ``{}``; ``None`` when it is computed."""
    initial: Value | None
    """The initial value; ``None`` makes the call a getter."""
    constraint: Value | None
    scope: Scope
    uses: list[Use] = field(default_factory=list)
    mutated: bool = False
    """Whether its value is changed in place (``.data.clamp_``), as people do to keep it valid."""

    held: bool = False
    """Whether a plain torch optimiser is given its value, which has to be a leaf of autograd's graph."""

    reassigned: bool = False
    """Whether its attribute is given another ``PyroParam`` elsewhere."""

    @property
    def initial_node(self) -> ast.expr | None:
        """The expression of the initial value, where it was given in the call itself."""
        position = 1 if self.kind == "param" else 0
        for keyword in self.call.keywords:
            if keyword.arg in ("init_tensor", "init_value"):
                return keyword.value
        return self.call.args[position] if len(self.call.args) > position else None


@dataclass(eq=False)
class Site:
    """One ``pyro.sample(...)`` call, or one ``PyroSample(...)`` that is read."""

    module: Module
    call: ast.Call
    """The ``pyro.sample`` call, or the ``PyroSample`` call."""
    name: str | None
    distribution: Value | None
    observed: bool
    plates: tuple[Made, ...]
    """The ``pyro.plate`` contexts around it, outermost first."""
    contexts: tuple[Value, ...]
    """Every context manager around it."""
    functions: frozenset[ast.AST]
    kind: Literal["sample", "PyroSample"] = "sample"
    holes: tuple[Value, ...] = ()
    """What varies in its name."""
    loops: tuple[Loop, ...] = ()
    """The loops around it, outermost first."""
    starts: Mapping[ast.AST, tuple[int, int]] = field(default_factory=dict)
    """Function that was running -> how many of the loops and of the plates stand round its call, not in it."""
    read_at: list[tuple[Module, ast.expr]] = field(default_factory=list)
    """Of a ``PyroSample``: where the attribute is read, which samples it."""

    def loops_in(self, function: ast.AST) -> tuple[Loop, ...]:
        """The loops that a call of ``function`` runs round it: who calls a model ten times makes ten traces."""
        return self.loops[self.starts.get(function, (0, 0))[0] :]

    def plates_in(self, function: ast.AST) -> tuple[Made, ...]:
        """The plates that a call of ``function`` opens round it."""
        return self.plates[self.starts.get(function, (0, 0))[1] :]


@dataclass(eq=False)
class Step:
    """One ``svi.step(...)`` call, or one call of a loss of the lower-level pattern."""

    module: Module
    call: ast.Call
    arguments: tuple[Value, ...]
    keywords: dict[str, Value]
    loops: tuple[Loop, ...]
    """The loops around it that the SVI object was not built in, outermost first."""
    branches: tuple[ast.AST, ...]
    """The branches inside the loops that decide if it runs, outermost first."""
    skipped: bool
    """Whether a jump before it may leave it out."""
    entry: Module | None
    """The file that reaches it when it is run as a script."""
    root: Module | ast.AST | None
    """What was started from outside to get there: a file, or a function that no call was seen of."""
    guarded: bool
    """Whether a branch outside the loops decides if it is reached."""
    functions: tuple[ast.AST, ...]
    """The functions that were running, outermost first."""
    contexts: tuple[Value, ...] = ()
    """Every context manager around it."""
    clearings: int = 0
    """How often the parameters had been cleared before."""
    arms: dict[ast.AST, int] = field(default_factory=dict)
    """Branch round it -> which of its arms it stands in."""
    stands_aside: bool = False
    """Whether it is made in the place of another one, in another arm of a branch."""

    @property
    def conditional(self) -> bool:
        """Whether something inside the loops decides if it runs."""
        return self.skipped or bool(self.branches)


@dataclass(eq=False)
class Svi:
    """One ``SVI(...)`` call, or its like where the program calls the ELBO's loss itself (the lower-level pattern)."""

    module: Module
    call: ast.Call
    model: Value | None
    guide: Value | None
    optimizer: Value | None
    loss: Value | None
    scope: Scope
    loops: tuple[Loop, ...]
    nesting: tuple[Loop | ast.AST, ...] = ()
    """The loops and branches around it, outermost first."""
    root: Module | ast.AST | None = None
    """What was started from outside to get there: a file, or a function that no call was seen of."""
    arms: dict[ast.AST, int] = field(default_factory=dict)
    """Branch round it -> which of its arms it stands in."""
    steps: list[Step] = field(default_factory=list)
    is_read: bool = False
    """Whether its name, or its attribute, was read."""
    holders: int = 0
    """How many names and attributes it was assigned to."""
    escaped: bool = False
    """Whether it was handed to something that is not followed, and that may step it too."""
    is_asked: bool = False
    """Whether its loss, or its posterior, is asked for (``evaluate_loss``, ``loss``, ``run``)."""
    kind: Literal["SVI", "loss", "module"] = "SVI"
    """``loss``: :attr:`call` is the first ``elbo.differentiable_loss(model, guide, …)`` and its like, ``module``: it is
    ``Trace_ELBO()(model, guide)``.  A plain torch optimiser is in charge of both."""
    calls: list[tuple[Module, ast.Call]] = field(default_factory=list)
    """Of the lower-level pattern: every call of the loss, which is where a run sees it."""
    loss_divided: bool = False
    """Whether the program divides what ``step`` returned."""
    loss_compared: bool = False
    """Whether the program compares what ``step`` returned with something."""

    @property
    def is_trained(self) -> bool:
        """Whether something may step it: it is not made for its loss alone, nor to see what parameters there are."""
        if self.calls and all(_is_dropped(module, call) for module, call in self.calls):
            return False
        return bool(self.steps) or self.escaped or not self.is_asked

    @property
    def is_lowlevel(self) -> bool:
        """Whether the program calls the loss itself and steps a plain torch optimiser."""
        return self.kind != "SVI"

    def node(self, position: int, keyword: str) -> ast.expr | None:
        """The expression of one of its arguments, to be rewritten.

        ``None`` when it was not given, is hidden by a ``*``, or has to be rewritten at several calls of the loss.
        """
        if self.kind == "loss" and len({id(call) for _, call in self.calls}) > 1:
            return None
        for given in self.call.keywords:
            if given.arg == keyword:
                return given.value
        args = self.call.args
        if any(isinstance(arg, ast.Starred) for arg in args[: position + 1]):
            return None
        return args[position] if len(args) > position else None


@dataclass(eq=False)
class Couple:
    """A model and its guide by their names, which no SVI call of the project brings together."""

    model: Function
    guide: Function


@dataclass(frozen=True)
class Hazard:
    """Something in a function that does not survive a change of batch shape (tip 8)."""

    function: ast.AST
    line: int
    what: str
    of_shape: bool = False
    """Whether it counts dimensions from the left, which only particles change: one more value at a site is no harm."""


@dataclass(frozen=True)
class Unspelled:
    """Something in a function that samples sites which the source does not spell one by one."""

    function: ast.AST
    line: int
    what: str


@dataclass(eq=False)
class Program:
    """All facts of the files that were read."""

    modules: dict[Path, Module] = field(default_factory=dict)
    asked: set[Path] = field(default_factory=set)
    """The files that findings are wanted in; the others were read because these import them."""
    params: list[Param] = field(default_factory=list)
    sites: list[Site] = field(default_factory=list)
    svis: list[Svi] = field(default_factory=list)
    couples: list[Couple] = field(default_factory=list)
    inner: list[Function] = field(default_factory=list)
    """What functions defined that were called, in each of their calls."""
    made: list[Made] = field(default_factory=list)
    """ELBOs, optimisers, autoguides and switches of validation, in the order in which they were met."""
    misnamed: list[Made] = field(default_factory=list)
    """Calls with a keyword that their callee does not have."""
    hazards: list[Hazard] = field(default_factory=list)
    unspelled: list[Unspelled] = field(default_factory=list)
    clearings: list[tuple[Loop, ...]] = field(default_factory=list)
    """The loops around every ``pyro.clear_param_store()``, in the order in which they run."""
    recursive: set[ast.AST] = field(default_factory=set)
    """Functions that call themselves, perhaps by way of others."""
    hooks: set[ast.AST] = field(default_factory=set)
    """Methods of classes of PyTorch Lightning, which decides how often they are called."""
    repeated: set[ast.AST] = field(default_factory=set)
    """Functions with a decorator that may call them several times."""
    withdrawn: dict[tuple[str, Path, int], str] = field(default_factory=dict)
    """Code, file and line of what transforms leave out because of runs -> why."""
    seen: Seen = field(default_factory=Seen)
    """What runs of these programs showed."""

    memo: dict[tuple[object, ...], object] = field(default_factory=dict)
    """What transforms have worked out of these facts, to be asked again."""
    _same_name: dict[tuple[str, Module], list[Param]] = field(default_factory=dict)

    @property
    def together(self) -> list[Svi | Couple]:
        """Every model with its guide: nothing can be said of the ELBO, or of the training, of those that are no SVI."""
        return [*self.svis, *self.couples]

    @property
    def untrained(self) -> list[Couple]:
        """The couples that no run shows at work: of the others the runs speak."""
        return [couple for couple in self.couples if not any(map(self.seen.site, self._sites_in(couple)))]

    def _sites_in(self, couple: Couple) -> list[Site]:
        return self.sites_of([couple.model.node, couple.guide.node])

    @cached_property
    def texts(self) -> dict[Path, Source]:
        """Every file that was read."""
        return {path: module.source for path, module in self.modules.items()}

    def located(self, words: str) -> str:
        """``words`` with ``nb.ipynb:37`` said as a person would find it (see :meth:`Source.located`)."""
        if NOTEBOOK in words:
            for source in self._notebooks:
                words = source.located(words)
        return words

    @cached_property
    def _notebooks(self) -> list[Source]:
        return [source for path, source in self.texts.items() if path.suffix == NOTEBOOK]

    def same_name(self, param: Param) -> list[Param]:
        """Every call that may name the same entry of the parameter store, ``param`` included.

        That is one with the same name in the same file, or in a file that imports or is imported by it.
        """
        if param.kind != "param" or param.name is None:
            return [param]
        key = (param.name, param.module)
        if key not in self._same_name:
            self._same_name[key] = [c for c in self._by_name[param.name] if _linked(c.module, param.module)]
        return self._same_name[key]

    def roles(self, function: ast.AST) -> set[str]:
        """Which of ``model`` and ``guide`` a function is, for the SVI objects that were found."""
        return self._roles.get(function, set())

    def makers_of(self, made: Made) -> list[Svi]:
        """The SVI objects that ``made`` (an optimiser, an ELBO) was given to."""
        return self._users.get(id(made), [])

    def twins(self, made: Made) -> list[Made]:
        """What the same call makes when it is reached in other ways: its function is called several times."""
        return [other for other in self._made_by.get(made.node, []) if other is not made]

    def unspelled_in(self, functions: Iterable[ast.AST]) -> list[Unspelled]:
        """What in these functions samples sites that :meth:`sites_of` does not have."""
        wanted = set(functions)
        return [found for found in self.unspelled if found.function in wanted]

    def sites_of(self, functions: Iterable[ast.AST]) -> list[Site]:
        """The sites that any of these functions samples, itself or in what it calls."""
        return list({id(site): site for function in functions for site in self._sites.get(function, [])}.values())

    # Indexes are made when the first transform asks, which is after the last fact was recorded.

    @cached_property
    def _by_name(self) -> dict[str, list[Param]]:
        found: dict[str, list[Param]] = defaultdict(list)
        for param in self.params:
            if param.kind == "param" and param.name is not None:
                found[param.name].append(param)
        return found

    @cached_property
    def _roles(self) -> dict[ast.AST, set[str]]:
        found: dict[ast.AST, set[str]] = defaultdict(set)
        for svi in self.svis:
            for role, value in (("model", svi.model), ("guide", svi.guide)):
                for node in functions_of(value):
                    found[node].add(role)
        return found

    @cached_property
    def _made_by(self) -> dict[ast.Call, list[Made]]:
        found: dict[ast.Call, list[Made]] = defaultdict(list)
        for made in self.made:
            found[made.node].append(made)
        return found

    @cached_property
    def _users(self) -> dict[int, list[Svi]]:
        found: dict[int, list[Svi]] = defaultdict(list)
        for svi in self.svis:
            for made in {id(option) for value in (svi.optimizer, svi.loss) for option in options(value)}:
                found[made].append(svi)
        return found

    @cached_property
    def _sites(self) -> dict[ast.AST, list[Site]]:
        found: dict[ast.AST, list[Site]] = defaultdict(list)
        for site in self.sites:
            for function in site.functions:
                found[function].append(site)
        return found


def _is_dropped(module: Module, call: ast.Call) -> bool:
    """Whether a loss is asked for and nobody looks at it; ``loss_and_grads`` leaves gradients behind all the same."""
    is_loss = isinstance(call.func, ast.Attribute) and call.func.attr == "differentiable_loss"
    return is_loss and isinstance(module.parents.get(call), ast.Expr)


def _linked(left: Module, right: Module) -> bool:
    return left is right or right in left.imports or left in right.imports
