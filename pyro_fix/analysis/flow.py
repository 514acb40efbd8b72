"""How values flow: which params reach a value, and whether they arrive unchanged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis.roles import inherits
from pyro_fix.analysis.values import (
    Applied,
    Arithmetic,
    Attribute,
    Collection,
    Const,
    Instance,
    Item,
    Join,
    Library,
    Loop,
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
    for origin in _origins(value):
        known = found.get(id(origin.param.param))
        if known is not None:
            origin = Origin(origin.param, origin.unchanged and known.unchanged, origin.reshaped or known.reshaped)
        found[id(origin.param.param)] = origin
    yield from found.values()


def _origins(value: Value) -> Iterator[Origin]:
    """The same, one by one; each part is looked at once, whatever number of ways lead to it."""
    changed: list[Value] = []
    seen: set[tuple[int, bool]] = set()
    ahead = [(value, False)]
    while ahead:
        current, reshaped = ahead.pop()
        if (id(current), reshaped) in seen:
            continue
        seen.add((id(current), reshaped))
        if isinstance(current, ParamValue):
            yield Origin(current, True, reshaped)
        elif isinstance(current, Join):
            ahead += [(option, reshaped) for option in current.options]
        elif isinstance(current, Attribute) and current.name in ("data", "T"):
            ahead.append((current.base, reshaped or current.name == "T"))
        elif isinstance(current, Item):
            ahead.append((current.base, reshaped or not _leading(current.index)))
            changed.append(current.index)
        elif isinstance(current, Applied) and isinstance(current.callee, Attribute):
            name = current.callee.name
            if name in _SAME or name in _RESHAPING:
                ahead.append((current.callee.base, reshaped or name in _RESHAPING))
            else:
                changed.append(current)
        elif isinstance(current, Made) and current.name in _RESHAPING_FUNCTIONS and current.arguments:
            ahead += [(part, True) for part in current.arguments[0].parts() or (current.arguments[0],)]
        else:
            changed.append(current)
    for part in walk(*changed):
        if isinstance(part, ParamValue):
            yield Origin(part, False, True)


def sharing(value: Value) -> Iterator[ParamValue]:
    """Every param that changes with ``value`` when that is changed in place: what an operator makes is a new tensor."""
    seen: set[int] = set()
    stack = [value]
    while stack:
        current = stack.pop()
        if id(current) in seen or isinstance(current, Arithmetic):
            continue
        seen.add(id(current))
        if isinstance(current, ParamValue):
            yield current
        stack.extend(current.parts())


def _leading(index: Value) -> bool:
    """Whether an index takes rows, so that a row that is a simplex stays one."""
    return not isinstance(index, (Made, Join)) or (isinstance(index, Made) and index.name.startswith("pyro."))


def reaches(value: Value, kind: type[Value]) -> bool:
    """Whether ``value`` was made from something of this kind."""
    return any(isinstance(part, kind) for part in walk(value))


#: Calls whose result is as long as what they are first given.
_AS_LONG = frozenset(
    {"tqdm.tqdm", "rich.progress.track", "alive_progress.alive_it", "fastprogress.progress_bar"}
    | {f"builtins.{name}" for name in ("enumerate", "list", "tuple", "reversed", "sorted")}
)
_PROGRESS_BARS = frozenset({"tqdm.tqdm", "tqdm.trange"})
_ENDLESS = frozenset({"itertools.count", "itertools.cycle"})
#: Methods that take a tensor apart.
_PARTING = frozenset({"chunk", "split", "tensor_split"})
#: What makes a tensor, whose rows a loop goes through.
_TENSORS = frozenset(f"torch.{name}" for name in ("tensor", "zeros", "ones", "rand", "randn", "linspace", "stack"))
_TENSORS |= {f"torch.{name}" for name in _PARTING}


def is_progress_bar(value: Value) -> bool:
    """Whether ``with value as bar`` binds ``value`` itself, to be looped over."""
    return isinstance(value, Made) and value.name in _PROGRESS_BARS


def spelled_range(value: Value) -> Value | None:
    """How many rounds a ``for`` over ``value`` makes, as a value; ``None`` when that is not known."""
    value = unwrapped(value)
    if isinstance(value, Collection):
        return _length(value) if value.whole else None
    if _is_sliced(value):
        return _length(value)
    if not isinstance(value, Made) or value.spread:
        return None
    args = value.arguments
    if value.name == "torch.utils.data.DataLoader" and _is_stream(value.argument(0, "dataset")):
        return None
    if value.name == "torch.utils.data.DataLoader" or value.name in _TENSORS:
        return _length(value)
    if value.name == "itertools.islice" and len(args) == 2:
        return args[1] if _is_endless(args[0]) else None
    if value.name == "itertools.repeat":
        return value.argument(1, "times")
    if value.name == "builtins.zip":
        counts = [spelled_range(arg) for arg in args if not _is_endless(arg)]
        known = [count for count in counts if count is not None]
        if len(known) < len(counts) or not known:
            return None
        return known[0] if len(known) == 1 else Applied(Library("builtins.min"), known, {})
    if value.name not in ("builtins.range", "tqdm.trange"):
        return None
    if len(args) == 1:
        return args[0]
    if len(args) == 2 and isinstance(args[0], Const):
        simple = spelled_difference(args[0].value, args[1])
        if simple is not None:
            return simple
    return _length(value) if value.name == "builtins.range" else None


def _length(value: Value) -> Value:
    return Applied(Library("builtins.len"), [value], {})


def _is_sliced(value: Value) -> bool:
    """Whether a value is a part of something, or its parts: what has parts has a length."""
    if isinstance(value, Item):
        return isinstance(value.index, Arithmetic) and value.index.operator == "Slice"
    return isinstance(value, Applied) and isinstance(value.callee, Attribute) and value.callee.name in _PARTING


def _is_stream(dataset: Value | None) -> bool:
    """Whether a data set is read to its end without a length of its own."""
    stream = isinstance(dataset, Instance) and inherits(dataset.cls, "torch.utils.data.IterableDataset")
    return stream and isinstance(dataset, Instance) and dataset.cls.member("__len__") is None


def unwrapped(value: Value) -> Value:
    """What is iterated over, without what only shows progress or numbers the rounds."""
    while isinstance(value, Made) and value.name in _AS_LONG:
        inner = value.argument(0, "sequence" if value.name == "rich.progress.track" else "iterable")
        if inner is None:
            break
        value = inner
    return value


def length(loop: Loop) -> Value | None:
    """How many rounds a loop makes; also where only its use elsewhere shows that what it runs over has a length."""
    if loop.count is not None or loop.over is None:
        return loop.count
    known = getattr(loop.over, "_attributes", {})
    is_sized = "__len__" in known or "dataset" in known
    return Applied(Library("builtins.len"), [loop.over], {}) if is_sized else None


def _is_endless(value: Value) -> bool:
    return isinstance(value, Made) and value.name in _ENDLESS


def spelled_difference(start: object, stop: Value) -> Value | None:
    """``stop - start``, as far as it can be written simply."""
    if isinstance(stop, Const) and not _is_int(stop.value):
        return None
    if start == 0:
        return stop
    if _is_int(start) and isinstance(start, int) and isinstance(stop, Const) and isinstance(stop.value, int):
        return Const(stop.value - start, stop.within)
    if start == 1 and isinstance(stop, Arithmetic) and stop.operator == "Add":
        left, right = stop.operands
        if isinstance(right, Const) and right.value == 1:
            return left
        if isinstance(left, Const) and left.value == 1:
            return right
    return None


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
