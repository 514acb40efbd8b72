"""What Pyro's distributions, constraints, optimisers, autoguides and ELBOs say of themselves, without importing Pyro.

The facts are a table that ``tools/generate_distributions.py`` reads off the installed Pyro; constraints are written as
users write them after ``constraints.``: ``positive``, ``greater_than(1)``, ``independent(positive, 1)``.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any

from pyro_fix.analysis import _distributions as _table
from pyro_fix.analysis.values import LARGEST_NUMBER

PYRO_VERSION: str = _table.PYRO_VERSION
"""Version of the Pyro that the table was read off."""
TORCH_VERSION: str = _table.TORCH_VERSION

NAMES: frozenset[str] = frozenset(_table.NAMES)
"""Everything that ``from pyro.distributions import *`` binds; :func:`lookup` knows which of it are distributions."""
CONSTRAINT_NAMES: frozenset[str] = frozenset(_table.CONSTRAINT_NAMES)
"""Everything that ``from pyro.distributions.constraints import *`` binds."""
OPTIMIZERS: Mapping[str, tuple[str, ...]] = MappingProxyType(_table.OPTIMIZERS)
"""Optimisers of ``pyro.optim`` -> the keys that their ``optim_args`` may hold."""
SCHEDULERS: frozenset[str] = frozenset(_table.SCHEDULERS)
"""Learning-rate schedulers of ``pyro.optim``."""
AUTOGUIDES: Mapping[str, tuple[str, ...]] = MappingProxyType(_table.AUTOGUIDES)
"""Autoguides (messengers included) -> their constructors' arguments: ``"init_scale" in AUTOGUIDES["AutoNormal"]``."""
ELBOS: Mapping[str, tuple[str, ...]] = MappingProxyType(_table.ELBOS)
"""Losses of ``pyro.infer`` -> their constructors' arguments: ``"vectorize_particles" in ELBOS["Trace_ELBO"]``."""
FUNCTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(_table.FUNCTIONS)
"""Other callables, by canonical name -> their arguments: ``pyro.param``, ``pyro.nn.PyroParam``."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One distribution of ``pyro.distributions``.

    Where a fact depends on what a distribution wraps (``Independent``, ``MaskedDistribution``), it is None.
    """

    name: str
    arguments: tuple[str, ...]
    """In the order of ``__init__``; ``validate_args`` is left out."""
    keywords: tuple[str, ...]
    """Arguments that have to be given by keyword."""
    optional: frozenset[str]
    """Arguments, of either kind, that have a default."""
    constraints: Mapping[str, str]
    """Argument -> the constraint on it, where there is one that does not depend on other arguments."""
    support: str | None
    """A constraint; ``dependent`` where it depends on the arguments."""
    reparameterised: bool | None
    discrete: bool | None
    enumerable: bool | None
    event_dim: int | None


@cache
def lookup(name: str) -> Distribution | None:
    """The distribution that ``pyro.distributions`` exports as ``name``."""
    row: dict[str, Any] | None = _table.DISTRIBUTIONS.get(name)
    if row is None:
        return None
    shared = {"optional": frozenset(row["optional"]), "constraints": MappingProxyType(row["constraints"])}
    return Distribution(name, **(row | shared))


def argument_names(callee: str) -> frozenset[str] | None:
    """What ``pyro.param``, ``pyro.nn.PyroParam`` or a distribution can be given by keyword; ``None`` for others."""
    if callee in FUNCTIONS:
        return frozenset(FUNCTIONS[callee])
    package, _, name = callee.rpartition(".")
    known = lookup(name) if package == "pyro.distributions" else None
    return frozenset({*known.arguments, *known.keywords, "validate_args"}) if known is not None else None


@dataclass(frozen=True, slots=True)
class _Domain:
    """The values that the elements of a constrained tensor can take, and the structure of the whole.

    A bound is NaN where the source gives it as something that is no number (``greater_than(eps)``).
    """

    low: float = -math.inf
    high: float = math.inf
    integer: bool = False
    """Integers from bound to bound; otherwise reals between them."""
    closed_low: bool = False
    """Whether the bound itself is allowed; it counts only for integers, which can sit on it."""
    closed_high: bool = False
    kind: str = ""
    """Name of a constraint on the whole tensor; empty when every element is judged by itself."""


_DOMAINS: Mapping[str, _Domain] = {
    "real": _Domain(),
    "real_vector": _Domain(),
    "positive": _Domain(low=0.0),
    "softplus_positive": _Domain(low=0.0),
    "nonnegative": _Domain(low=0.0, closed_low=True),
    "unit_interval": _Domain(0.0, 1.0, closed_low=True, closed_high=True),
    "boolean": _Domain(0.0, 1.0, integer=True),
    "integer": _Domain(integer=True),
    "nonnegative_integer": _Domain(low=0.0, integer=True),
    "positive_integer": _Domain(low=1.0, integer=True),
    "simplex": _Domain(0.0, 1.0, kind="simplex"),
    "one_hot": _Domain(0.0, 1.0, integer=True, kind="one_hot"),
    "sphere": _Domain(-1.0, 1.0, kind="sphere"),
    "ordered_vector": _Domain(kind="ordered_vector"),
    "positive_ordered_vector": _Domain(low=0.0, kind="positive_ordered_vector"),
    "square": _Domain(kind="square"),
    "symmetric": _Domain(kind="symmetric"),
    "positive_semidefinite": _Domain(kind="positive_definite"),
    "positive_definite": _Domain(kind="positive_definite"),
    "corr_matrix": _Domain(-1.0, 1.0, kind="corr_matrix"),
    "lower_triangular": _Domain(kind="lower_triangular"),
    "lower_cholesky": _Domain(kind="lower_cholesky"),
    "softplus_lower_cholesky": _Domain(kind="lower_cholesky"),
    "unit_lower_cholesky": _Domain(kind="unit_lower_cholesky"),
    "corr_cholesky": _Domain(-1.0, 1.0, kind="corr_cholesky"),
    "corr_cholesky_constraint": _Domain(-1.0, 1.0, kind="corr_cholesky"),
}
"""A transform onto a closed interval is a sigmoid, onto a closed half-line an exponential: neither reaches its bounds.
So closed and open are one here, for a parameter's values as for the almost sure values of a sample."""

_WEAKER: Mapping[str, str] = {
    "one_hot": "simplex",
    "positive_ordered_vector": "ordered_vector",
    "corr_matrix": "positive_definite",
    "positive_definite": "symmetric",
    "symmetric": "square",
    "corr_cholesky": "lower_cholesky",
    "unit_lower_cholesky": "lower_cholesky",
    "lower_cholesky": "lower_triangular",
    "lower_triangular": "square",
}
"""A constraint on a whole tensor -> the next weaker one that it guarantees."""


UNKNOWN = "unknown"
"""Stands for a bound that nothing is known of: ``interval(0, unknown)``."""
_VARYING = re.compile(r"(?<=[(, ])(?:\?|[-+.\w]+\.\.[-+.\w]+)(?=[,)])")
"""How a run writes a bound that is not one number: ``?``, or ``1..3`` where it differs from element to element."""


@cache
def _parse(text: str) -> ast.expr | None:
    try:
        return ast.parse(_VARYING.sub(UNKNOWN, text.strip()), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _name(node: ast.expr) -> str:
    """``positive`` of ``positive``, ``constraints.positive``, ``dist.constraints.positive``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _call(node: ast.Call) -> tuple[str, dict[str, ast.expr]] | None:
    """A constructor's name and its arguments by name; None where it is not called as its signature says."""
    name = _name(node.func)
    parameters = _table.SIGNATURES.get(name, ())
    arguments = dict(zip(parameters, node.args, strict=False))
    for keyword in node.keywords:
        if keyword.arg not in parameters or keyword.arg in arguments:
            return None
        arguments[keyword.arg] = keyword.value
    return (name, arguments) if len(arguments) == len(node.args) + len(node.keywords) else None


def _number(node: ast.expr | None) -> float:
    """The value of a literal, of ``inf`` too; NaN for everything else."""
    if isinstance(node, ast.Name) and node.id == "inf":
        return math.inf
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_number(node.operand)
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)) and abs(node.value) <= LARGEST_NUMBER:
        return float(node.value)
    return math.nan


def _domain(node: ast.expr | None) -> _Domain | None:
    """What ``node`` allows; None for what is no constraint, or one whose values are not known."""
    if not isinstance(node, ast.Call):
        return _DOMAINS.get(_name(node)) if node is not None else None
    call = _call(node)
    if call is None:
        return None
    name, arguments = call
    if name == "independent":
        return _domain(arguments.get("base_constraint"))
    low, high = _number(arguments.get("lower_bound")), _number(arguments.get("upper_bound"))
    if name in ("greater_than", "greater_than_eq"):
        return _Domain(low=low, closed_low=name == "greater_than_eq")
    if name == "less_than":
        return _Domain(high=high)
    if name in ("interval", "half_open_interval"):
        return _Domain(low, high, closed_low=True, closed_high=name == "interval")
    if name == "integer_interval":
        return _Domain(low, high, integer=True)
    return None


@lru_cache(maxsize=4096)
def implies(constraint: str, required: str) -> bool | None:
    """Whether values under ``constraint`` always satisfy ``required``; None when that cannot be told.

    Both are source text, with or without ``constraints.`` in front.  ``independent`` only says which dimensions
    belong together, so it does not count, and closed and open bounds count as one (:data:`_DOMAINS`).
    """
    given_node, wanted_node = _parse(constraint), _parse(required)
    given, wanted = _domain(given_node), _domain(wanted_node)
    if given is None or wanted is None:
        return None
    if (text := _normalised(given_node)) == _normalised(wanted_node) and UNKNOWN not in text:
        return True  # whatever the bounds are
    if wanted.kind:
        kind = given.kind
        while kind and kind != wanted.kind:
            kind = _WEAKER.get(kind, "")
        if kind:
            return True
        # Bare elements say nothing of a tensor's shape, which is all that ``square`` asks for.
        return None if wanted.kind == "square" else False
    if wanted.integer and not given.integer:
        return False
    # A real does not sit on its bound, an integer may.
    above = _inside(given.low, wanted.low, given.integer and not (wanted.integer or wanted.closed_low))
    below = _inside(-given.high, -wanted.high, given.integer and not (wanted.integer or wanted.closed_high))
    return _all(above, below)


def _inside(bound: float, limit: float, strict: bool) -> bool | None:
    if limit == -math.inf:
        return True
    if math.isnan(limit) or math.isnan(bound):
        return False if bound == -math.inf else None
    return bound > limit or (bound == limit and not strict)


def _all(*answers: bool | None) -> bool | None:
    return False if False in answers else None if None in answers else True


def _normalised(node: ast.expr | None) -> str:
    """Source text without the path to the constraints module."""
    if isinstance(node, ast.Call):
        call = _call(node)
        if call is not None:
            return f"{call[0]} " + " ".join(f"{name}={_normalised(value)}" for name, value in sorted(call[1].items()))
    return "" if node is None else _name(node) if _name(node) in CONSTRAINT_NAMES else ast.unparse(node)


def satisfies(value: float, constraint: str) -> bool | None:
    """Whether a tensor filled with ``value`` is a good initial value under ``constraint``; None when it depends.

    A value on a bound is none: its unconstrained counterpart is infinite, even where the constraint is closed.
    """
    domain = _domain(_parse(constraint))
    if domain is None:
        return None
    if not math.isfinite(value) or (domain.integer and value != int(value)):
        return False
    if domain.integer or (domain.kind and domain.kind != "simplex"):
        answer = _all(_known(value, domain.low, False), _known(-value, -domain.high, False))
    else:
        answer = _all(_known(value, domain.low, True), _known(-value, -domain.high, True))
    return None if answer and domain.kind else answer


def _known(value: float, limit: float, strict: bool) -> bool | None:
    return None if math.isnan(limit) else value > limit or (value == limit and not strict)


def constraint_source(required: str, module: str = "constraints") -> str | None:
    """The expression to write as a parameter's constraint; None where Pyro cannot transform onto ``required``.

    ``module`` is how the constraints module is reached.  ``independent`` is left out: the transform is the same.
    """
    node = _parse(required)
    while isinstance(node, ast.Call) and _name(node.func) == "independent":
        call = _call(node)
        node = call[1].get("base_constraint") if call else None
    if node is None or _domain(node) is None:
        return None
    name = _name(node.func if isinstance(node, ast.Call) else node)
    if name not in _table.TRANSFORMABLE:
        return None
    if name == "nonnegative":
        name = "positive"  # the same transform, and the name says what it reaches
    if not isinstance(node, ast.Call):
        return f"{module}.{name}"
    arguments = [ast.unparse(argument) for argument in node.args]
    arguments += [f"{keyword.arg}={ast.unparse(keyword.value)}" for keyword in node.keywords]
    return f"{module}.{name}({', '.join(arguments)})"
