"""Shapes that the source spells: of tensors, and of the distributions that are made of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pyro_fix.analysis import distributions
from pyro_fix.analysis.values import (
    Applied,
    Arithmetic,
    Attribute,
    Collection,
    Const,
    Item,
    Join,
    Library,
    Made,
    ParamValue,
    Value,
    is_small,
)

Shape = tuple[int, ...]

#: Calls whose arguments are a shape, or begin with one.
_SIZED = frozenset(f"torch.{name}" for name in ("zeros", "ones", "rand", "randn", "empty"))
_LIKE = frozenset(f"torch.{name}_like" for name in ("zeros", "ones", "rand", "randn", "full", "empty"))
_LITERAL = frozenset({"torch.tensor", "torch.as_tensor", "torch.FloatTensor", "torch.Tensor"})
#: Functions and methods that work on every element by itself.
_ELEMENTWISE = frozenset(
    {"exp", "log", "log1p", "expm1", "sqrt", "abs", "neg", "sigmoid", "tanh", "softplus", "relu", "softmax", "square"}
    | {"clamp", "to", "cuda", "cpu", "float", "double", "clone", "detach", "contiguous", "requires_grad_", "type"}
)
_RESHAPING = frozenset({"reshape", "view"})
#: Distributions of single numbers whose arguments are single numbers as well.
_ODD = frozenset({"Delta", "Unit", "Empirical", "MaskedDistribution", "ExpandedDistribution", "Independent"})


@dataclass(frozen=True)
class Shapes:
    """What a distribution's batch and event are, before plates have their say."""

    batch: Shape
    event: Shape


def shape(value: Value | None, known: Mapping[Value, Value] | None = None) -> Shape | None:
    """The shape of a tensor; ``None`` where the source does not tell.  ``known``: what arguments of functions are."""
    return _shape(value, known or {}) if is_small(value) else None


def number(value: Value | None, known: Mapping[Value, Value] | None = None) -> int | None:
    """A whole number that the source tells: a literal, the length or a dimension of what has a known shape."""
    known = known or {}
    value = known.get(value, value) if value is not None else None
    if isinstance(value, Const):
        return value.value if type(value.value) is int else None
    if isinstance(value, (Made, Applied)) and _is_length(value) and value.arguments:
        inner = value.arguments[0]
        inner = known.get(inner, inner)
        if isinstance(inner, Collection):
            return len(inner.items) if inner.whole else None
        return _dimension(shape(inner, known), 0)
    if isinstance(value, Item) and isinstance(value.base, Attribute) and value.base.name == "shape":
        index = number(value.index, known)
        return None if index is None else _dimension(shape(value.base.base, known), index)
    if isinstance(value, Applied) and isinstance(value.callee, Attribute):
        sizes, name = shape(value.callee.base, known), value.callee.name
        if name == "size" and len(value.arguments) == 1:
            index = number(value.arguments[0], known)
            return None if index is None else _dimension(sizes, index)
        if name == "numel" and sizes is not None:
            return math.prod(sizes)
    return None


def of_distribution(value: Value | None, known: Mapping[Value, Value] | None = None) -> Shapes | None:
    """The batch and the event of a distribution; ``None`` where the source does not tell."""
    known = known or {}
    if not is_small(value):
        return None
    if isinstance(value, Applied) and isinstance(value.callee, Attribute):
        return _method(value, value.callee, known)
    if not isinstance(value, Made) or value.spread or not value.name.startswith("pyro.distributions."):
        return None
    name = value.name.rpartition(".")[2]
    family = distributions.lookup(name)
    if family is None or family.event_dim != 0 or name in _ODD or value.keywords.get("reinterpreted_batch_ndims"):
        return None
    if any("simplex" in constraint or "independent" in constraint for constraint in family.constraints.values()):
        return None
    given = [*value.arguments[: len(family.arguments)]]
    given += [inner for key, inner in value.keywords.items() if key in family.arguments]
    if not given or len(value.arguments) > len(family.arguments):
        return None
    batch = broadcast(shape(argument, known) for argument in given)
    return None if batch is None else Shapes(batch, ())


def _method(value: Applied, callee: Attribute, known: Mapping[Value, Value]) -> Shapes | None:
    inner = of_distribution(callee.base, known)
    if inner is None:
        return None
    if callee.name in ("to_event", "independent"):
        dims = number(value.arguments[0], known) if value.arguments else len(inner.batch)
        if dims is None or not 0 <= dims <= len(inner.batch):
            return None
        cut = len(inner.batch) - dims
        return Shapes(inner.batch[:cut], inner.batch[cut:] + inner.event)
    if callee.name == "expand":
        sizes = _sizes(value.arguments, known)
        return None if sizes is None or -1 in sizes else Shapes(sizes, inner.event)
    return inner if callee.name == "mask" else None


def broadcast(shapes: Iterable[Shape | None]) -> Shape | None:
    """The common shape of several; ``None`` where one is not known, or where there is none."""
    result: Shape = ()
    for one in shapes:
        if one is None:
            return None
        length = max(len(one), len(result))
        left, right = ((1,) * (length - len(s)) + s for s in (result, one))
        if any(a != b and 1 not in (a, b) for a, b in zip(left, right, strict=True)):
            return None
        result = tuple(b if a == 1 else a for a, b in zip(left, right, strict=True))
    return result


def _shape(value: Value | None, known: Mapping[Value, Value]) -> Shape | None:
    if value is None:
        return None
    value = known.get(value, value)
    if isinstance(value, Const):
        return () if isinstance(value.value, (int, float)) else None
    if isinstance(value, ParamValue):
        return _shape(value.param.initial, known)
    if isinstance(value, Join):
        found = {_shape(option, known) for option in value.options}
        return found.pop() if len(found) == 1 else None
    if isinstance(value, Arithmetic):
        if value.operator in ("Add", "Sub", "Mult", "Div", "Pow", "USub") and value.operands:
            return broadcast(_shape(operand, known) for operand in value.operands)
        return None
    if isinstance(value, Made):
        return _made(value, known)
    if isinstance(value, Applied) and isinstance(value.callee, Attribute):
        return _applied(value, value.callee, known)
    return None


def _made(value: Made, known: Mapping[Value, Value]) -> Shape | None:
    if value.spread or not value.arguments:
        return None
    first, last = value.arguments[0], value.name.rpartition(".")[2]
    if value.name in _SIZED:
        return _sizes(value.arguments, known)
    if value.name == "torch.full":
        return _sizes([first], known)
    if value.name in _LITERAL:
        return _nested(first, known)
    if value.name in _LIKE or value.name == "torch.nn.Parameter":
        return _shape(first, known)
    if value.name == "torch.eye" and len(value.arguments) == 1:
        size = number(first, known)
        return None if size is None else (size, size)
    if value.name == "torch.arange" and len(value.arguments) == 1:
        size = number(first, known)
        return None if size is None else (size,)
    if value.name in (f"torch.{last}", f"torch.nn.functional.{last}") and last in _ELEMENTWISE:
        return _shape(first, known)
    return None


def _applied(value: Applied, callee: Attribute, known: Mapping[Value, Value]) -> Shape | None:
    if callee.name in _RESHAPING or callee.name == "expand":
        sizes = _sizes(value.arguments, known)
        return None if sizes is None or -1 in sizes else sizes
    inner = _shape(callee.base, known)
    if callee.name in _ELEMENTWISE:
        return inner
    if callee.name == "unsqueeze" and len(value.arguments) == 1 and inner is not None:
        place = number(value.arguments[0], known)
        if place is None or not -len(inner) - 1 <= place <= len(inner):
            return None
        place += len(inner) + 1 if place < 0 else 0
        return (*inner[:place], 1, *inner[place:])
    return None


def _sizes(values: list[Value], known: Mapping[Value, Value]) -> Shape | None:
    """Dimensions that are given one by one, or as a list."""
    if len(values) == 1:
        first = known.get(values[0], values[0])
        if isinstance(first, Collection):
            if not first.whole:
                return None
            values = first.items
    found = [_size(value, known) for value in values]
    sizes = tuple(size for size in found if size is not None)
    return sizes if len(sizes) == len(found) else None


def _size(value: Value, known: Mapping[Value, Value]) -> int | None:
    if isinstance(value, Arithmetic) and value.operator == "USub":
        return None
    return number(value, known)


def _nested(value: Value, known: Mapping[Value, Value]) -> Shape | None:
    """The shape of what ``torch.tensor`` makes of a literal."""
    value = known.get(value, value)
    if isinstance(value, Const):
        return () if isinstance(value.value, (int, float)) else None
    if not isinstance(value, Collection) or not value.whole:
        return None
    inner = {_nested(item, known) for item in value.items}
    found = inner.pop() if len(inner) == 1 else None
    return None if found is None else (len(value.items), *found)


def _dimension(sizes: Shape | None, index: int) -> int | None:
    return sizes[index] if sizes is not None and -len(sizes) <= index < len(sizes) else None


def _is_length(value: Made | Applied) -> bool:
    if isinstance(value, Made):
        return value.name == "builtins.len"
    return isinstance(value.callee, Library) and value.callee.name == "builtins.len"
