"""What a name may stand for while a program is read: abstract values.

The interpreter never computes with tensors.  It builds small trees that say where a value comes from, so that a
transform can ask later: is this the value of a ``pyro.param``, unchanged?  Two values are "the same" when they are
the same object (or equal constants), which is how a name found elsewhere in the program is known to hold it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from pyro_fix.analysis.program import Param, Site, Svi
    from pyro_fix.analysis.scopes import Module, Scope

#: Greater numbers are not understood: no rate, size or count of steps comes near, and to compute with them takes long.
LARGEST_NUMBER = 2**63
#: A value that is made of more parts than this, written out in full, is not computed: ``n = n * n`` doubles them.
MOST_PARTS = 2000

FunctionNode: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda"


class Value:
    """Something that an expression may evaluate to.  Attributes of the same object are remembered."""

    __slots__ = ("_attributes",)
    _attributes: dict[str, Value]

    def attribute(self, name: str) -> Value:
        """The value of ``self.name``, the same object every time it is asked for."""
        try:
            known = self._attributes
        except AttributeError:
            known = self._attributes = {}
        if name not in known:
            known[name] = Attribute(self, name)
        return known[name]

    def set_attribute(self, name: str, value: Value) -> None:
        """Remember an assignment ``self.name = value``."""
        try:
            self._attributes[name] = value
        except AttributeError:
            self._attributes = {name: value}

    def parts(self) -> tuple[Value, ...]:
        """The values that this one was made from."""
        return ()


class Opaque(Value):
    """A value that nothing is known of."""

    __slots__ = ()


class Argument(Opaque):
    """A parameter of a function that is looked at on its own."""

    __slots__ = ("default", "function", "name")

    def __init__(self, function: ast.AST, name: str, default: Value | None = None) -> None:
        self.function, self.name, self.default = function, name, default


class Const(Value):
    """A literal; ``within`` are the functions that were running where it stands, outermost first, if that is known."""

    __slots__ = ("value", "within")

    def __init__(self, value: object, within: tuple[ast.AST, ...] | None = None) -> None:
        self.value, self.within = value, within


class Library(Value):
    """Something of a library, by its canonical dotted name (see :mod:`pyro_fix.analysis.names`)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class Collection(Value):
    """A tuple, list or set; ``whole`` is False when it may hold more or less than is known.

    ``within`` is as a literal's.
    """

    __slots__ = ("items", "whole", "within")

    def __init__(self, items: list[Value], within: tuple[ast.AST, ...] | None = None) -> None:
        self.items, self.whole, self.within = items, True, within

    def parts(self) -> tuple[Value, ...]:
        return tuple(self.items)


class Mapping(Value):
    """A dict whose keys are literals; ``whole`` is False when it may hold more than is known."""

    __slots__ = ("items", "node", "scope", "whole")

    def __init__(self, items: dict[object, Value], whole: bool, node: ast.expr | None) -> None:
        self.items, self.whole, self.node = items, whole, node
        self.scope: Scope | None = None
        """The names that can be read where it is written; kept for what may be the options of an optimiser."""

    def parts(self) -> tuple[Value, ...]:
        return tuple(self.items.values())


class Function(Value):
    """A function or lambda of the project; ``bound`` is its ``self``."""

    __slots__ = ("bound", "decorators", "module", "node", "scope")

    def __init__(
        self,
        node: FunctionNode,
        scope: Scope,
        module: Module,
        decorators: tuple[Value, ...] = (),
        bound: Value | None = None,
    ) -> None:
        self.node, self.scope, self.module, self.decorators, self.bound = node, scope, module, decorators, bound


class Class(Value):
    """A class of the project."""

    __slots__ = ("bases", "decorators", "members", "module", "node")

    def __init__(
        self,
        node: ast.ClassDef,
        module: Module,
        bases: tuple[Value, ...],
        members: dict[str, Value],
        decorators: tuple[Value, ...] = (),
    ) -> None:
        self.node, self.module, self.bases, self.members, self.decorators = node, module, bases, members, decorators

    def member(self, name: str) -> Value | None:
        """Look ``name`` up here and in the bases."""
        if name in self.members:
            return self.members[name]
        return next((known.members[name] for known in self.lineage() if name in known.members), None)

    def lineage(self) -> list[Class]:
        """This and the project's classes that it derives from, each once, before its bases: Python's order.

        No recursion: a hierarchy may be deep, and many ways may lead to one class.
        """
        left: list[Class] = []
        seen: set[Class] = set()
        stack = [(self, False)]
        while stack:
            current, done = stack.pop()
            if done:
                left.append(current)
            elif current not in seen:
                seen.add(current)
                stack.append((current, True))
                # the last base is left first, so that it comes last
                stack.extend((base, False) for base in current.bases if isinstance(base, Class))
        return left[::-1]


class Instance(Value):
    """An object of a class of the project.  Attributes that were assigned are in ``_attributes``."""

    __slots__ = ("cls",)

    def __init__(self, cls: Class) -> None:
        self.cls = cls

    def attribute(self, name: str) -> Value:
        known: dict[str, Value] = getattr(self, "_attributes", {})
        if name in known:
            return known[name]
        member = self.cls.member(name)
        if isinstance(member, Function):
            return Function(member.node, member.scope, member.module, member.decorators, bound=self)
        return member if member is not None else super().attribute(name)


class ProjectModule(Value):
    """A file of the project that was imported; it is read when something is asked of it."""

    __slots__ = ("module",)

    def __init__(self, module: Module) -> None:
        self.module = module

    def attribute(self, name: str) -> Value:
        return self.module.exported(name) or super().attribute(name)


class Made(Value):
    """The result of calling something of a library: a tensor, a distribution, an optimiser, a plate …"""

    __slots__ = ("arguments", "keywords", "loops", "module", "name", "node", "scope", "spread")

    def __init__(
        self,
        name: str,
        node: ast.Call,
        arguments: list[Value],
        keywords: dict[str, Value],
        spread: bool,
        module: Module,
        scope: Scope,
        loops: tuple[Loop, ...],
    ) -> None:
        self.name, self.node, self.arguments, self.keywords = name, node, arguments, keywords
        self.spread, self.module, self.scope, self.loops = spread, module, scope, loops

    def argument(self, position: int, keyword: str) -> Value | None:
        """The argument that was given by position or by keyword; ``None`` when it was not given."""
        if keyword in self.keywords:
            return self.keywords[keyword]
        return self.arguments[position] if 0 <= position < len(self.arguments) else None

    def parts(self) -> tuple[Value, ...]:
        return (*self.arguments, *self.keywords.values())


class Fresh(Made):
    """Where a new value comes into the program: what it was declared with does not flow into it."""

    __slots__ = ()

    def parts(self) -> tuple[Value, ...]:
        return ()


class ParamValue(Fresh):
    """What a ``pyro.param`` or ``PyroParam`` evaluates to."""

    __slots__ = ("param",)
    param: Param


class SiteValue(Fresh):
    """What a ``pyro.sample`` evaluates to."""

    __slots__ = ("site",)
    site: Site


class SviValue(Fresh):
    """An SVI object."""

    __slots__ = ("svi",)
    svi: Svi


class Applied(Value):
    """The result of calling something unknown, or a method of a value: ``callee(...)``."""

    __slots__ = ("arguments", "callee", "keywords")

    def __init__(self, callee: Value, arguments: list[Value], keywords: dict[str, Value]) -> None:
        self.callee, self.arguments, self.keywords = callee, arguments, keywords

    def parts(self) -> tuple[Value, ...]:
        return (self.callee, *self.arguments, *self.keywords.values())


class StepLoss(Value):
    """What ``svi.step(...)`` or ``svi.evaluate_loss(...)`` returns."""

    __slots__ = ("svi",)

    def __init__(self, svi: Svi) -> None:
        self.svi = svi


class Attribute(Value):
    """``base.name``."""

    __slots__ = ("base", "name")

    def __init__(self, base: Value, name: str) -> None:
        self.base, self.name = base, name

    def parts(self) -> tuple[Value, ...]:
        return (self.base,)


class Item(Value):
    """``base[index]``."""

    __slots__ = ("base", "index")

    def __init__(self, base: Value, index: Value) -> None:
        self.base, self.index = base, index

    def parts(self) -> tuple[Value, ...]:
        return (self.base, self.index)


class Arithmetic(Value):
    """An operator applied to operands; ``operator`` is the name of its ``ast`` class (``Mult``, ``USub``)."""

    __slots__ = ("operands", "operator")

    def __init__(self, operator: str, operands: tuple[Value, ...]) -> None:
        self.operator, self.operands = operator, operands

    def parts(self) -> tuple[Value, ...]:
        return self.operands


class Join(Value):
    """One of several values, depending on the way that the program took."""

    __slots__ = ("options",)

    def __init__(self, options: tuple[Value, ...]) -> None:
        self.options = options

    def parts(self) -> tuple[Value, ...]:
        return self.options


class Chosen(Join):
    """One of several values, by an expression that can be written elsewhere: ``a if test else b``, ``a or b``."""

    __slots__ = ("operands", "operator")

    def __init__(self, options: tuple[Value, ...], operator: str, operands: tuple[Value, ...]) -> None:
        super().__init__(options)
        self.operator, self.operands = operator, operands


class Loop:
    """A loop that is being run through; ``count`` is the value of its number of rounds, where there is one."""

    __slots__ = ("count", "ends_early", "is_numbered", "node", "over", "skips", "variable")

    def __init__(
        self,
        node: ast.AST,
        count: Value | None,
        ends_early: bool,
        over: Value | None = None,
        is_numbered: bool = False,
    ) -> None:
        self.node, self.count, self.ends_early = node, count, ends_early
        self.is_numbered = is_numbered
        """Whether it goes over ``enumerate(…)``, from 0."""
        self.over = over
        """What it iterates over, where it is a ``for``."""
        self.variable: Value | None = None
        """What stands for the one it is at, or of ``enumerate`` for its number."""
        self.skips = False
        """Whether a ``continue`` so far may have left out the rest of a round."""


#: Something that may be any of more values than this is not understood.
MOST_OPTIONS = 8


def same(left: Value, right: Value) -> bool:
    """Whether two values are known to be equal: one object, or equal literals of one type."""
    if left is right:
        return True
    if isinstance(left, Const) and isinstance(right, Const):
        return type(left.value) is type(right.value) and left.value == right.value
    if isinstance(left, Library) and isinstance(right, Library):
        return left.name == right.name
    return False


def literal(value: object, within: tuple[ast.AST, ...] | None = None) -> Value:
    """A literal, or what was computed from some; nothing is known of a number that is too large, or none."""
    if isinstance(value, (int, float)) and not -LARGEST_NUMBER <= value <= LARGEST_NUMBER:
        return Opaque()
    return Const(value, within)


def join(*values: Value) -> Value:
    """The value that stands for any of ``values``."""
    options: list[Value] = []
    for value in values:
        for option in value.options if isinstance(value, Join) else (value,):
            if not any(same(option, known) for known in options):
                options.append(option)
                if len(options) > MOST_OPTIONS:
                    return Opaque()
    return options[0] if len(options) == 1 else Join(tuple(options))


def chosen(operator: str, operands: tuple[Value, ...], arms: tuple[Value, ...]) -> Value:
    """The value of an expression that is any of ``arms``."""
    value = join(*arms)
    return Chosen(value.options, operator, operands) if isinstance(value, Join) else value


def options(value: Value | None) -> tuple[Value, ...]:
    """The alternatives of a value; empty for ``None``."""
    if value is None:
        return ()
    return value.options if isinstance(value, Join) else (value,)


def is_small(value: Value | None) -> bool:
    """Whether a value can be computed part by part, those that it holds several times included."""
    stack, count = [value], 0
    while stack:
        current = stack.pop()
        count += 1
        if count + len(stack) > MOST_PARTS:
            return False
        if current is not None:
            stack.extend(current.parts())
    return True


def walk(*values: Value) -> Iterator[Value]:
    """``values`` and everything that they were made from, each once."""
    seen: set[int] = set()
    stack = list(values)
    while stack:
        current = stack.pop()
        if id(current) not in seen:
            seen.add(id(current))
            yield current
            stack.extend(current.parts())
