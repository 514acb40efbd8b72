"""Normalised names of constraints and supports: what both programs of a comparison, and the source, must agree on."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.distributions import constraints

is_dependent: Any = constraints.is_dependent


def support_name(constraint: Any) -> str:
    """A constraint's normalised name: those that differ on a set of measure zero alone share one; ``?`` unknown."""
    if constraint is None or is_dependent(constraint):
        return "?"
    name = type(constraint).__name__.lstrip("_")
    if name == "IndependentConstraint":
        return support_name(constraint.base_constraint)
    if name in ("GreaterThan", "GreaterThanEq"):
        bound = _bound(constraint.lower_bound)
        return "positive" if bound == "0" else f"greater_than({bound})"
    if name == "LessThan":
        return f"less_than({_bound(constraint.upper_bound)})"
    if name in ("Interval", "HalfOpenInterval", "IntegerInterval", "IntegerGreaterThan", "IntegerLessThan"):
        low = _bound(getattr(constraint, "lower_bound", None))
        high = _bound(getattr(constraint, "upper_bound", None))
        if name == "IntegerGreaterThan":
            return "nonnegative_integer" if low == "0" else f"integer_greater_than({low})"
        if name == "IntegerLessThan":
            return f"integer_less_than({high})"
        if name == "IntegerInterval":
            return "boolean" if (low, high) == ("0", "1") else f"integer_interval({low}, {high})"
        return "unit_interval" if (low, high) == ("0", "1") else f"interval({low}, {high})"
    return _NAMES.get(name, "?" if name in ("Cat", "Stack", "MixtureSameFamilyConstraint") else _snake(name))


#: Transforms of single numbers that keep or turn their order: what they make of an interval is told by its ends.
_MONOTONE = {
    "ExpTransform": torch.exp,
    "SigmoidTransform": torch.sigmoid,  # the transform itself stops short of the ends
    "SoftplusTransform": torch.nn.functional.softplus,
    "TanhTransform": torch.tanh,
    "AffineTransform": None,
}


def image(fn: Any) -> Any:
    """The support of a ``TransformedDistribution``; None where it is not known.

    What torch says is where the last transform can lead to: the whole line for the affine part of
    ``biject_to(interval)``.
    """
    ends, parts = _ends(fn.base_dist.support), _parts(fn.transforms)
    if ends is None or any(type(part).__name__ not in _MONOTONE for part in parts):
        return fn.support if len(parts) == len(fn.transforms) else None
    for part in parts:
        move = _MONOTONE[type(part).__name__] or part
        one, other = (move(torch.as_tensor(end, dtype=torch.get_default_dtype())) for end in ends)
        ends = torch.minimum(one, other), torch.maximum(one, other)
    low, high = ends
    make: Any = constraints
    below, above = bool(torch.isfinite(low).all()), bool(torch.isfinite(high).all())
    if below:
        return make.interval(low, high) if above else make.greater_than(low)
    return make.less_than(high) if above else make.real


def _parts(transforms: Any) -> list[Any]:
    """Transforms, those that are composed of others taken apart."""
    return [part for transform in transforms for part in getattr(transform, "parts", [transform])]


def _ends(constraint: Any) -> tuple[Any, Any] | None:
    while type(constraint).__name__.lstrip("_") == "IndependentConstraint":
        constraint = constraint.base_constraint
    if type(constraint).__name__.lstrip("_") not in ("Real", "GreaterThan", "GreaterThanEq", "LessThan", "Interval"):
        return None
    return getattr(constraint, "lower_bound", -math.inf), getattr(constraint, "upper_bound", math.inf)


#: What a float32 is sure of: a bound that is rounded more could look equal to another one that it exceeds.
_DIGITS = 7
_NAMES = {
    "Real": "real",
    "RealVector": "real",
    "Boolean": "boolean",
    "SoftplusPositive": "positive",
    "SoftplusLowerCholesky": "lower_cholesky",
    "PositiveOrderedVector": "positive_ordered_vector",
    "CorrCholesky": "corr_cholesky",
}


def either(one: str, other: str) -> str:
    """The name of a support that was ``one`` in one execution and ``other`` in another; a bound may be ``1..3``."""
    kind, _, bounds = one.rstrip(")").partition("(")
    other_kind, _, other_bounds = other.rstrip(")").partition("(")
    if one == other:
        return one
    if kind != other_kind or "?" in bounds + other_bounds:
        return "?"
    pairs = zip(bounds.split(", "), other_bounds.split(", "), strict=True)
    return f"{kind}({', '.join(_span(a, b) for a, b in pairs)})"


def _span(one: str, other: str) -> str:
    ends = sorted((*one.split(".."), *other.split("..")), key=float)
    return ends[0] if one == other else f"{ends[0]}..{ends[-1]}"


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _bound(bound: Any) -> str:
    if isinstance(bound, torch.Tensor):
        if bound.numel() == 0:
            return "?"
        low, high = float(bound.min()), float(bound.max())
        return f"{low:.{_DIGITS}g}" if low == high else f"{low:.{_DIGITS}g}..{high:.{_DIGITS}g}"
    return "?" if bound is None else f"{float(bound):.{_DIGITS}g}"
