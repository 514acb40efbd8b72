"""How values flow: which params reach a value, and whether they arrive unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis.values import (
    Applied,
    Arithmetic,
    Attribute,
    Const,
    Item,
    Join,
    Library,
    Made,
    ParamValue,
    Value,
    walk,
)

#: Methods that keep every element as it is and its place in the last dimensions.
_SAME = frozenset({"to", "cuda", "cpu", "float", "double", "type", "type_as", "clone", "detach", "contiguous", "data"})
#: Methods that keep every element's value but may move it.
_RESHAPING = frozenset(
    {"expand", "expand_as", "view", "view_as", "reshape", "squeeze", "unsqueeze", "repeat", "flatten", "t", "T"}
    | {"transpose", "permute", "index_select", "gather", "chunk", "split", "unbind", "repeat_interleave"}
)
_RESHAPING_FUNCTIONS = frozenset(
    {"torch.stack", "torch.cat", "torch.reshape", "torch.squeeze", "torch.unsqueeze", "torch.index_select"}
)


@dataclass(frozen=True)
class Origin:
    """A param that reaches a value, and what happened to it on the way."""

    param: ParamValue
    unchanged: bool
    reshaped: bool


def origins(value: Value) -> Iterator[Origin]:
    """Every param that ``value`` was made from; one that may arrive both ways counts as changed."""
    found: dict[int, Origin] = {}
    try:
        all_of_them = list(_origins(value, reshaped=False))
    except RecursionError:  # a value that hundreds of statements built up
        all_of_them = list(_changed(value))
    for origin in all_of_them:
        known = found.get(id(origin.param.param))
        if known is not None:
            origin = Origin(origin.param, origin.unchanged and known.unchanged, origin.reshaped or known.reshaped)
        found[id(origin.param.param)] = origin
    yield from found.values()


def _origins(value: Value, reshaped: bool) -> Iterator[Origin]:
    if isinstance(value, ParamValue):
        yield Origin(value, True, reshaped)
    elif isinstance(value, Join):
        for option in value.options:
            yield from _origins(option, reshaped)
    elif isinstance(value, Attribute) and value.name in ("data", "T"):
        yield from _origins(value.base, reshaped or value.name == "T")
    elif isinstance(value, Item):
        yield from _origins(value.base, reshaped or not _leading(value.index))
        yield from _changed(value.index)
    elif isinstance(value, Applied) and isinstance(value.callee, Attribute):
        name = value.callee.name
        if name in _SAME or name in _RESHAPING:
            yield from _origins(value.callee.base, reshaped or name in _RESHAPING)
        else:
            yield from _changed(value)
    elif isinstance(value, Made) and value.name in _RESHAPING_FUNCTIONS and value.arguments:
        for part in value.arguments[0].parts() or (value.arguments[0],):
            yield from _origins(part, True)
    else:
        yield from _changed(value)


def _changed(value: Value) -> Iterator[Origin]:
    for part in walk(value):
        if isinstance(part, ParamValue):
            yield Origin(part, False, True)


def _leading(index: Value) -> bool:
    """Whether an index takes rows, so that a row that is a simplex stays one."""
    return not isinstance(index, (Made, Join)) or (isinstance(index, Made) and index.name.startswith("pyro."))


def reaches(value: Value, kind: type[Value]) -> bool:
    """Whether ``value`` was made from something of this kind."""
    return any(isinstance(part, kind) for part in walk(value))


def spelled_range(value: Value) -> Value | None:
    """How many rounds a ``for`` over ``value`` makes, as a value; ``None`` when that is not known."""
    if not isinstance(value, Made):
        items = value.parts() if type(value).__name__ == "Collection" else None
        return Const(len(items)) if items is not None else None
    if value.name in ("tqdm.tqdm", "builtins.enumerate", "builtins.list", "builtins.tuple") and value.arguments:
        return spelled_range(value.arguments[0])
    if value.name == "torch.utils.data.DataLoader":
        return Applied(Library("builtins.len"), [value], {})
    if value.name not in ("builtins.range", "tqdm.trange") or value.spread:
        return None
    args = value.arguments
    if len(args) == 1:
        return args[0]
    if len(args) == 2 and isinstance(args[0], Const):
        return _difference(args[0].value, args[1])
    return None


def _difference(start: object, stop: Value) -> Value | None:
    if start == 0:
        return stop
    if isinstance(start, int) and isinstance(stop, Const) and isinstance(stop.value, int):
        return Const(stop.value - start)
    if start == 1 and isinstance(stop, Arithmetic) and stop.operator == "Add":
        left, right = stop.operands
        if isinstance(right, Const) and right.value == 1:
            return left
        if isinstance(left, Const) and left.value == 1:
            return right
    return None
