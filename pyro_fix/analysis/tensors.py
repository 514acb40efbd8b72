"""The range of a tensor that the source spells out: initial values of params, as far as they can be read."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pyro_fix.analysis.values import (
    Applied,
    Arithmetic,
    Attribute,
    Collection,
    Const,
    Item,
    Join,
    Made,
    ParamValue,
    Value,
    is_small,
    same,
    walk,
)


@dataclass(frozen=True)
class Extent:
    """The least and greatest element that a tensor can have; ``structure`` is what else is known of it."""

    low: float
    high: float
    structure: str = ""
    """``identity`` for an identity matrix, ``simplex`` for rows that sum to one, ``draw`` for draws from between the
    bounds, which a float hits with probability 2 ** -24."""


_RANDOM = {
    "torch.rand": (0.0, 1.0),
    "torch.rand_like": (0.0, 1.0),
    "torch.randn": (-math.inf, math.inf),
    "torch.randn_like": (-math.inf, math.inf),
}
_DRAWN = {
    **dict.fromkeys(("Normal", "MultivariateNormal", "Cauchy", "Laplace", "StudentT"), (-math.inf, math.inf)),
    **dict.fromkeys(("Gamma", "InverseGamma", "LogNormal", "Exponential", "HalfNormal", "HalfCauchy"), (0.0, math.inf)),
    "Beta": (0.0, 1.0),
}
#: A normal draw is further from its mean with probability 2 ** -24.
SIGMAS = 5.4
_CONSTANT = {"torch.ones": 1.0, "torch.ones_like": 1.0, "torch.zeros": 0.0, "torch.zeros_like": 0.0}
_KEEPING = frozenset(
    {"to", "cuda", "cpu", "float", "double", "clone", "detach", "expand", "view", "reshape", "repeat", "unsqueeze"}
    | {"requires_grad_", "type", "type_as", "squeeze"}
)


def _is_uniform(value: Arithmetic) -> bool:
    """``torch.ones(…, k) / k``, whatever ``k`` is."""
    ones, k = value.operands
    if value.operator != "Div" or not isinstance(ones, Made) or ones.name != "torch.ones" or not ones.arguments:
        return False
    last = ones.arguments[-1]
    if isinstance(last, Collection) and last.items:
        last = last.items[-1]
    return same(last, k)


def requires_grad(value: Value | None) -> bool:
    """Whether a tensor is known to be a leaf, or a part, of autograd's graph: what is computed of it is no leaf."""
    for part in walk(value) if value is not None else ():
        if isinstance(part, Made):
            asked = part.keywords.get("requires_grad")
            if asked is not None and not (isinstance(asked, Const) and asked.value is False):
                return True
            if part.name in ("torch.nn.Parameter", "torch.autograd.Variable"):
                return True
        elif (isinstance(part, Attribute) and part.name == "requires_grad_") or isinstance(part, ParamValue):
            return True
    return False


#: Marks a tensor whose elements are assigned one by one.
WRITTEN = "(written)"
_VIEWS = frozenset({"data", "T", "mT"})
_VIEWING = frozenset(
    {"expand", "view", "reshape", "unsqueeze", "squeeze", "t", "transpose", "permute", "flatten", "detach"}
    | {"requires_grad_"}
)


def write(value: Value) -> None:
    """Elements of ``value`` are assigned: of its extent, and of that of what it is a view of, nothing is known."""
    ahead = [value]
    while ahead:
        current = ahead.pop()
        if isinstance(current, Join):
            ahead += current.options
            continue
        current.set_attribute(WRITTEN, current)
        method = current.callee if isinstance(current, Applied) else None
        if isinstance(current, Item) or (isinstance(current, Attribute) and current.name in _VIEWS):
            ahead.append(current.base)
        elif isinstance(method, Attribute) and method.name in _VIEWING:
            ahead.append(method.base)


def _is_written(value: Value | None) -> bool:
    return WRITTEN in getattr(value, "_attributes", ())


def extent(value: Value | None) -> Extent | None:
    """The extent of ``value``; ``None`` when it cannot be read from the source."""
    try:
        known = _extent(value) if is_small(value) else None
    except RecursionError:  # a value that hundreds of statements built up
        return None
    return None if known is None or math.isnan(known.low) or math.isnan(known.high) else known


def _extent(value: Value | None) -> Extent | None:
    if _is_written(value):
        return None
    if isinstance(value, Const):
        if isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
            return Extent(float(value.value), float(value.value))
    elif isinstance(value, Collection):
        return _of_list(value)
    elif isinstance(value, Join):
        return _hull([_extent(option) for option in value.options])
    elif isinstance(value, Made):
        return _of_call(value)
    elif isinstance(value, Arithmetic):
        return _of_arithmetic(value)
    elif isinstance(value, Applied) and isinstance(value.callee, Attribute):
        if value.callee.name in _KEEPING:
            return _extent(value.callee.base)
        if value.callee.name in ("sample", "rsample"):
            return _of_draw(value.callee.base)
        if value.callee.name == "new_tensor" and value.arguments:
            return _extent(value.arguments[0])
        if value.callee.name in ("new_ones", "new_zeros"):
            constant = float(value.callee.name == "new_ones")
            return Extent(constant, constant)
    return None


def _of_list(value: Collection) -> Extent | None:
    hull = _hull([_extent(item) for item in value.items])
    if hull is None or not all(isinstance(item, Const) for item in value.items):
        return hull
    total = sum(item.value for item in value.items if isinstance(item, Const) and isinstance(item.value, (int, float)))
    return Extent(hull.low, hull.high, "simplex" if abs(total - 1) < 1e-6 and hull.low >= 0 else "")


def _of_call(value: Made) -> Extent | None:
    if value.name in ("torch.tensor", "torch.as_tensor", "torch.FloatTensor", "torch.Tensor"):
        return _extent(value.arguments[0]) if value.arguments and not value.spread else None
    if value.name in _CONSTANT:
        return Extent(_CONSTANT[value.name], _CONSTANT[value.name])
    if value.name in ("torch.full", "torch.full_like"):
        return _extent(value.argument(1, "fill_value"))
    if value.name in _RANDOM:
        return Extent(*_RANDOM[value.name], "draw")
    if value.name == "torch.nn.Parameter" and value.arguments:
        return _extent(value.arguments[0])
    if value.name == "torch.eye":
        return Extent(0.0, 1.0, "identity")
    if value.name in ("torch.softmax", "torch.nn.functional.softmax"):
        return Extent(0.0, 1.0, "simplex")
    if value.name.endswith((".sample", ".rsample")) and value.arguments:  # ``Uniform.sample(Uniform(0, 1), …)``
        return _of_draw(value.arguments[0])
    return None


def _of_draw(distribution: Value) -> Extent | None:
    """What a distribution draws, where its family tells."""
    if not isinstance(distribution, Made) or distribution.spread or ".distributions." not in distribution.name:
        return None
    kind = distribution.name.rpartition(".")[2]
    if kind == "Uniform":
        low, high = _extent(distribution.argument(0, "low")), _extent(distribution.argument(1, "high"))
        return Extent(low.low, high.high, "draw") if low is not None and high is not None else None
    if kind == "LogNormal":
        loc, scale = _extent(distribution.argument(0, "loc")), _extent(distribution.argument(1, "scale"))
        if loc is not None and scale is not None and scale.low >= 0:
            far = SIGMAS * scale.high
            return Extent(math.exp(min(loc.low - far, 700.0)), math.exp(min(loc.high + far, 700.0)), "draw")
    return Extent(*_DRAWN[kind], "draw") if kind in _DRAWN else None


def _of_arithmetic(value: Arithmetic) -> Extent | None:
    if len(value.operands) == 2 and _is_uniform(value):
        return Extent(0.0, 1.0, "simplex")
    operands = [_extent(operand) for operand in value.operands]
    if value.operator == "USub" and operands[0]:
        return Extent(-operands[0].high, -operands[0].low)
    left, right = operands if len(operands) == 2 else (None, None)
    if left is None or right is None:
        return None
    drawn = "draw" if "draw" in (left.structure, right.structure) else ""
    if value.operator == "Add":
        return Extent(left.low + right.low, left.high + right.high, drawn)
    if value.operator == "Sub":
        return Extent(left.low - right.high, left.high - right.low, drawn)
    if value.operator == "Div" and right.low == right.high != 0:
        # torch.ones(k) / k: whether k is the length is for the run to say
        right = Extent(1 / right.low, 1 / right.low)
    elif value.operator != "Mult":
        return None
    corners = [a * b if a and b else 0.0 for a in (left.low, left.high) for b in (right.low, right.high)]
    if "identity" in (left.structure, right.structure):
        return Extent(min(corners), max(corners), "identity" if min(corners) >= 0 else "")
    is_moved = any(factor.structure != "draw" and factor.low <= 0 <= factor.high for factor in (left, right))
    return Extent(min(corners), max(corners), "" if is_moved else drawn)


def _hull(extents: list[Extent | None]) -> Extent | None:
    known = [e for e in extents if e is not None]
    if not known or len(known) < len(extents):
        return None
    structure = known[0].structure if len({e.structure for e in known}) == 1 else ""
    return Extent(min(e.low for e in known), max(e.high for e in known), structure)
