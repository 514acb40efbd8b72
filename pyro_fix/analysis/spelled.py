"""The names of sites and params as far as the source spells them: ``f"s_{i}"``, ``"s_%d" % i``, ``"s_" + str(i)``."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection as Group
from dataclasses import dataclass

from pyro_fix.analysis.program import Site
from pyro_fix.analysis.values import (
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Collection,
    Const,
    Item,
    Library,
    Made,
    Value,
    is_small,
    same,
)

#: What varies in a name.
HOLE = "{}"
_FIELD = re.compile(r"\{(\w*)\}")
_CONVERSION = re.compile(r"%[dis]")
#: Calls that are alike when their arguments are; distributions are, too.
_ALIKE = frozenset({"builtins.range", "builtins.len", "builtins.enumerate", "builtins.int", "pyro.plate"})
_ALIKE |= {f"torch.{name}" for name in ("tensor", "zeros", "ones", "full", "eye", "arange")}


@dataclass(frozen=True)
class Spelled:
    """A name: its text, in which what varies is ``{}``, and the values that stand there."""

    text: str
    holes: tuple[Value, ...] = ()


def spelled(value: Value | None) -> Spelled | None:
    """The name that ``value`` is; ``None`` when it is computed in ways that are not understood."""
    if value is None or not is_small(value):
        return None
    if isinstance(value, Const) and isinstance(value.value, str):
        return Spelled(value.value)
    if isinstance(value, Arithmetic) and value.operator == "JoinedStr":
        return _joined(value.operands)
    if isinstance(value, Arithmetic) and value.operator == "Add" and len(value.operands) == 2:
        left, right = map(_part, value.operands)
        return Spelled(left.text + right.text, left.holes + right.holes) if left and right else None
    if isinstance(value, Arithmetic) and value.operator == "Mod" and len(value.operands) == 2:
        pattern, given = value.operands
        values = tuple(given.items) if isinstance(given, Collection) else (given,)
        return _filled(pattern, _CONVERSION, "%", values)
    if isinstance(value, Applied) and isinstance(value.callee, Attribute) and value.callee.name == "format":
        pattern = value.callee.base
        if not isinstance(pattern, Const) or not isinstance(pattern.value, str):
            return None
        fields = _FIELD.findall(pattern.value)
        if all(field == "" for field in fields):
            return _filled(pattern, _FIELD, "{", tuple(value.arguments)) if not value.keywords else None
        chosen = [value.keywords.get(f) or _at(value.arguments, f) for f in fields]
        return _filled(pattern, _FIELD, "{", tuple(c for c in chosen if c is not None))
    return None


def _joined(parts: tuple[Value, ...]) -> Spelled:
    text, holes = "", []
    for part in parts:
        if isinstance(part, Const) and isinstance(part.value, (str, int)):
            text += str(part.value)
        else:
            text += HOLE
            holes.append(part)
    return Spelled(text, tuple(holes))


def _part(value: Value) -> Spelled | None:
    """A part of a sum of texts: one, or ``str(i)``."""
    if isinstance(value, Made) and value.name == "builtins.str" and len(value.arguments) == 1:
        return _joined(tuple(value.arguments))
    return spelled(value)


def _at(values: list[Value], index: str) -> Value | None:
    return values[int(index)] if index.isdecimal() and int(index) < len(values) else None


def _filled(pattern: Value, field: re.Pattern[str], mark: str, values: tuple[Value, ...]) -> Spelled | None:
    """A pattern whose fields are filled in their order; ``None`` where it has others than plain ones."""
    if not isinstance(pattern, Const) or not isinstance(pattern.value, str):
        return None
    texts = re.split(field.pattern.replace("(", "(?:"), pattern.value)
    if len(texts) - 1 != len(values) or any(mark in text for text in texts):
        return None
    inside = [part for text, value in zip(texts, values, strict=False) for part in (Const(text), value)]
    return _joined((*inside, Const(texts[-1])))


def agree(left: Site, right: Site, called: Group[ast.AST]) -> bool:
    """Whether two sites surely have the same names: one pattern, filled by loops over the same things.

    ``called`` are functions that get the same arguments: the model and the guide of one SVI object.
    """
    if left.name != right.name or len(left.holes) != len(right.holes):
        return False
    comparison = _Comparison(called, (_overs(left), _overs(right)))
    return comparison.all_alike(left.holes, right.holes)


def are_alike(left: Value, right: Value, called: Group[ast.AST]) -> bool:
    """Whether two values are equal wherever both are met; ``called`` as for :func:`agree`."""
    return _Comparison(called, ({}, {})).all_alike((left,), (right,))


def _overs(site: Site) -> dict[Value, Value]:
    """The variables of the loops round a site, and what these go over."""
    return {loop.variable: loop.over for loop in site.loops if loop.variable is not None and loop.over is not None}


class _Comparison:
    """Whether values are equal wherever both are met."""

    def __init__(self, called: Group[ast.AST], overs: tuple[dict[Value, Value], dict[Value, Value]]) -> None:
        self._called, self._overs = called, overs
        self._paired: dict[Value, Value] = {}
        """Variables of the one side, and those of the other that go with them."""

    def all_alike(self, left: Group[Value], right: Group[Value]) -> bool:
        """Whether each is like its counterpart."""
        if not all(map(is_small, (*left, *right))):
            return False
        return len(left) == len(right) and all(self._alike(a, b) for a, b in zip(left, right, strict=True))

    def _alike(self, left: Value, right: Value) -> bool:
        if left in self._overs[0] and right in self._overs[1]:
            if (left in self._paired) != (right in self._paired.values()):
                return False
            if self._paired.setdefault(left, right) is not right:
                return False
            return self._alike(self._overs[0][left], self._overs[1][right])
        if same(left, right):
            return True
        if isinstance(left, Argument) and isinstance(right, Argument):
            return {left.function, right.function} <= set(self._called) and _place(left) == _place(right)
        if isinstance(left, Made) and isinstance(right, Made):
            return self._alike_calls(left, right)
        if isinstance(left, Applied) and isinstance(right, Applied) and not left.keywords and not right.keywords:
            callees = (left.callee, right.callee)
            is_length = all(isinstance(one, Library) and one.name == "builtins.len" for one in callees)
            is_event = all(isinstance(one, Attribute) and one.name == "to_event" for one in callees)
            return (is_length or (is_event and self._alike(*callees))) and self.all_alike(
                left.arguments, right.arguments
            )
        if isinstance(left, Attribute) and isinstance(right, Attribute):
            return left.name == right.name and self._alike(left.base, right.base)
        if isinstance(left, (Item, Collection)) and type(left) is type(right):
            return self.all_alike(left.parts(), right.parts())
        if isinstance(left, Arithmetic) and isinstance(right, Arithmetic):
            return left.operator == right.operator and self.all_alike(left.operands, right.operands)
        return False

    def _alike_calls(self, left: Made, right: Made) -> bool:
        known = left.name in _ALIKE or left.name.startswith("pyro.distributions.")
        if left.name != right.name or not known or left.spread or right.spread:
            return False
        if left.name == "pyro.plate":
            one, other = left.argument(1, "size"), right.argument(1, "size")
            return one is not None and other is not None and self._alike(one, other)
        if left.keywords.keys() != right.keywords.keys() or not self.all_alike(left.arguments, right.arguments):
            return False
        return self.all_alike(list(left.keywords.values()), [right.keywords[key] for key in left.keywords])


def _place(argument: Argument) -> tuple[str, int]:
    """Where an argument stands; that of a function that has ``self`` counts without it."""
    spec = getattr(argument.function, "args", None)
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)] if isinstance(spec, ast.arguments) else []
    if argument.name not in names:
        return argument.name, -1
    return "", names.index(argument.name) - (names[0] == "self")
