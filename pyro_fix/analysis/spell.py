"""Write a value as source that means the same in another place, and count the steps of an SVI object."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from pyro_fix.analysis import flow
from pyro_fix.analysis.branches import only_one
from pyro_fix.analysis.program import Program, Step, Svi
from pyro_fix.analysis.roles import lineage
from pyro_fix.analysis.scopes import DEEPEST, Scope
from pyro_fix.analysis.values import (
    LARGEST_NUMBER,
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Chosen,
    Collection,
    Const,
    Instance,
    Item,
    Join,
    Library,
    Made,
    ProjectModule,
    Value,
)
from pyro_fix.analysis.values import Mapping as MappingValue

#: A value whose source would have more parts than this is not spelled ...
MOST_WORDS = 100
#: ... nor a number of steps that are made in more places.
MOST_PLACES = 16
_OPERATORS = {"Add": "+", "Sub": "-", "Mult": "*", "FloorDiv": "//", "Div": "/"}
#: Of what is asked of numbers, and of names.
_COMPARISONS = {"Eq": "==", "NotEq": "!=", "Lt": "<", "LtE": "<=", "Gt": ">", "GtE": ">="}


#: Builtins that give the same number whenever they are asked, of numbers.
_PURE = frozenset({"len", "range", "int", "max", "min", "abs", "round"})
#: Methods that read a length, an entry of a dict, or take a tensor apart.
_READING = frozenset({"size", "get", "chunk", "split", "tensor_split"})


def spell(value: Value, scope: Scope, known: Mapping[Value, Value] | None = None) -> str | None:
    """Source for ``value`` that can be read in ``scope``; ``None`` when there is none that surely means the same.

    A name wins over a literal, and an attribute of something that has a name does; one of what the function is given
    wins over a name round the function, which others may call with something else.  A name has to be bound there for
    everybody (``Scope.reachable``).  In a function, a caller's literal is no source: others may call it with another.
    ``known`` says what a function's arguments are in that scope.
    """
    return _Writer(scope, known or {}).write(value)


class _Writer:
    """Writes one value; what would take more than ``MOST_WORDS`` is nothing that a person would read."""

    def __init__(self, scope: Scope, known: Mapping[Value, Value]) -> None:
        self._scope, self._known = scope, known
        self._visible: dict[str, Value] = {}
        self._names: dict[int, str] = {}
        """Names, and what is part of an argument: innermost first."""
        for level in scope.reachable():
            names = {n: v for n, v in level.names.items() if n.isidentifier() and not n.startswith("__")}
            for name, value in names.items():
                self._visible.setdefault(name, value)
                self._names.setdefault(id(value), name)
            given = {name: value for name, value in names.items() if name in level.parameters}
            self._names = self._paths_from(given) | self._names
        self._words = 0

    @cached_property
    def _paths(self) -> dict[int, str]:
        """Values that are attributes or entries of something that has a name."""
        return self._paths_from(self._visible)

    def _paths_from(self, names: Mapping[str, Value]) -> dict[int, str]:
        found: dict[int, str] = {}
        level = [(name, value) for name, value in names.items() if _may_hold(value)]
        for _ in range(DEEPEST):
            inner = [(f"{path}{at}", part) for path, value in level for at, part in self._parts(value)]
            for path, part in inner:
                found.setdefault(id(part), path)
            level = [(path, part) for path, part in inner if _may_hold(part)]
        return found

    def _parts(self, value: Value) -> list[tuple[str, Value]]:
        parts = [
            (at if at.startswith("[") else f".{at}", part)
            for at, part in self._scope.held(value).items()
            if at.startswith("[") or (at.isidentifier() and not at.startswith("__"))
        ]
        if isinstance(value, Instance):
            names = {name for cls in lineage(value.cls) for name in cls.members}
            own = {at for at, _ in parts}
            parts += [(f".{name}", value.attribute(name)) for name in sorted(names) if f".{name}" not in own]
        return parts

    def write(self, value: Value) -> str | None:
        """Source for a value, or for a part of it."""
        self._words += 1
        if self._words > MOST_WORDS:
            return None
        if isinstance(value, Argument) and value in self._known:
            return self.write(self._known[value])
        if id(value) in self._names:
            return self._names[id(value)]
        if id(value) in self._paths:
            return self._paths[id(value)]
        if isinstance(value, Const):
            return self._literal(value)
        if isinstance(value, Chosen):
            return self._choice(value)
        if isinstance(value, Attribute):
            if isinstance(value.base, ProjectModule) and value.name not in value.base.module.lasting:
                return None
            base = self.write(value.base)
            return f"{base}.{value.name}" if base else None
        if isinstance(value, Item):
            base, index = self.write(value.base), self._index(value.index)
            return f"{base}[{index}]" if base and index else None
        if isinstance(value, Arithmetic) and value.operator in _OPERATORS and len(value.operands) == 2:
            left, right = map(self.write, value.operands)
            return f"({left} {_OPERATORS[value.operator]} {right})" if left and right else None
        if isinstance(value, Applied) and not value.keywords:
            if isinstance(value.callee, Attribute) and value.callee.name in _READING:
                base, given = self.write(value.callee.base), [*map(self._index, value.arguments)]
                return f"{base}.{value.callee.name}({', '.join(map(str, given))})" if base and all(given) else None
            return self._called(value.callee, value.arguments)
        if isinstance(value, Made) and not value.spread and not value.keywords:
            return self._called(Library(value.name), value.arguments)
        return None

    def _choice(self, value: Chosen) -> str | None:
        """An expression that chooses, by what can be asked here as well."""
        parts = [self._condition(part) for part in value.operands]
        if not all(parts):
            return None
        if value.operator == "IfExp":
            then, test, otherwise = parts
            return f"({then} if {test} else {otherwise})"
        return f"({f' {value.operator.lower()} '.join(map(str, parts))})"

    def _condition(self, value: Value) -> str | None:
        """Something that may be asked for its truth, or compared."""
        if isinstance(value, Arithmetic) and not self._is_named(value):
            parts = value.operands
            if value.operator == "Not":
                inner = self._condition(parts[0])
                return f"not {inner}" if inner else None
            if value.operator in _COMPARISONS and len(parts) == 2:
                left, right = map(self._index, parts)
                return f"{left} {_COMPARISONS[value.operator]} {right}" if left and right else None
        return self.write(value)

    def _called(self, callee: Value, arguments: Sequence[Value]) -> str | None:
        name = callee.name.removeprefix("builtins.") if isinstance(callee, Library) else ""
        if name not in _PURE or name in self._scope.visible():
            return None
        if name == "len" and isinstance(arguments[0], Collection) and not self._is_named(arguments[0]):
            count = length_of(arguments[0])
            return None if count is None else self._literal(Const(count, arguments[0].within))
        given = [*map(self.write, arguments)]
        if name == "min" and len(set(given)) == 1:
            return given[0]
        return f"{name}({', '.join(map(str, given))})" if all(given) else None

    def _is_named(self, value: Value) -> bool:
        return id(value) in self._names or id(value) in self._paths

    def _index(self, value: Value) -> str | None:
        """An entry's key, which may be a text and belongs to no caller."""
        if isinstance(value, Const) and isinstance(value.value, (str, int)):
            return self._names.get(id(value)) or repr(value.value)
        if isinstance(value, Arithmetic) and value.operator == "Slice":
            return self._slice(value.operands)
        return self.write(value)

    def _slice(self, parts: Sequence[Value]) -> str | None:
        texts = ["" if isinstance(part, Const) and part.value is None else self._index(part) for part in parts]
        known = [text for text in texts if text is not None]
        if len(known) < len(texts):
            return None
        return ":".join(known if known[-1] else known[:-1])

    def _literal(self, value: Const) -> str | None:
        is_number = isinstance(value.value, (int, float)) and not isinstance(value.value, bool)
        return repr(value.value) if is_number and self._may_stand(value) else None

    def _may_stand(self, value: Const) -> bool:
        """Whether a literal means the same however the function around the scope is called."""
        scope: Scope | None = self._scope
        while scope is not None and isinstance(scope.function, ast.Lambda):  # which belongs to what it stands in
            scope = scope.parent
        function = scope.function if scope is not None else None
        if function is None or value.within is None or function in value.within:
            return True
        origin = value.within[-1] if value.within else None
        if origin is None:
            return False
        module = self._scope.module
        owner = module.classes.get(function)
        if function in ast.walk(origin) or (owner is not None and owner is module.classes.get(origin)):
            return True
        return origin not in module.callers.get(function, ())


def _may_hold(value: Value) -> bool:
    return isinstance(value, (Instance, ProjectModule, MappingValue, Join)) or (
        isinstance(value, (Made, Applied, Attribute)) and hasattr(value, "_attributes")
    )


def length_of(value: Collection) -> int | None:
    """How many items a list or tuple has that the source spells; ``None`` where it may be changed."""
    return len(value.items) if value.whole else None


@dataclass(frozen=True)
class StepCount:
    """How many steps an optimiser makes: source for it, or why it is not known."""

    source: str | None
    reason: str = ""
    literal: int | None = None
    """The number itself, where the source tells it."""


def step_count(program: Program, optimizer: Made, scope: Scope) -> StepCount:
    """The number of steps that ``optimizer`` makes, written in terms of names in ``scope``, that of its options."""
    count = _count(program, optimizer, scope)
    if count.source is not None:
        here = _count(program, optimizer, optimizer.scope).source
        for twin in program.twins(optimizer):
            if program.makers_of(twin) and _count(program, twin, twin.scope).source != here:
                return StepCount(None, "the function round it is called in ways that make different numbers of steps")
    return count


def _count(program: Program, optimizer: Made, scope: Scope) -> StepCount:
    users = program.makers_of(optimizer)
    svis = [svi for svi in users if svi.is_trained] or users
    if not svis:
        return StepCount(None, "no SVI object uses it")
    if not only_one(svis):
        return StepCount(None, "the optimiser is given to several SVI calls")
    if any(not any(loop is mine for mine in optimizer.loops) for svi in svis for loop in svi.loops):
        return StepCount(None, "one optimiser serves every SVI object that a loop builds")
    counts = [steps_of(program, svi, scope) for svi in svis]
    unknown = next((count for count in counts if count.source is None), None)
    if unknown is None and len({count.source for count in counts}) > 1:
        return StepCount(None, "the number of steps depends on a condition")
    return unknown or counts[0]


def steps_of(program: Program, svi: Svi, scope: Scope) -> StepCount:
    """The number of steps that ``svi`` makes, written in terms of names in ``scope``."""
    doubt = _doubt(program, svi)
    if doubt:
        return StepCount(None, doubt)
    steps = [step for step in svi.steps if not step.stands_aside]
    if len(steps) > MOST_PLACES:
        return StepCount(None, "the SVI object is stepped in too many places to count")
    counts = [_steps_at(step, scope) for step in steps]
    for count in counts:
        if count.source is None:
            return count
    if len(counts) == 1:
        return counts[0]
    literals = [count.literal for count in counts if count.literal is not None]
    total = sum(literals) if len(literals) == len(counts) else None
    return StepCount(f"({' + '.join(str(count.source) for count in counts)})", literal=total)


def _doubt(program: Program, svi: Svi) -> str:
    """Why the loops that are seen do not tell how many steps there are."""
    steps = [step for step in svi.steps if not step.stands_aside]
    functions = {function for step in steps for function in step.functions}
    if functions & program.hooks or any(getattr(function, "name", "") == "training_step" for function in functions):
        return "PyTorch Lightning makes the steps"
    if not steps:
        return "the loop that steps the SVI object was not found"
    if svi.escaped:
        return "the SVI object is handed to code that is not followed, which may step it"
    if functions & program.repeated:
        return "a decorator may run the function that makes the steps several times"
    if functions & program.recursive:
        return "a function that calls itself makes the steps"
    if not any(step.loops for step in steps):
        return "svi.step stands in no loop"
    if any(step.conditional for step in steps):
        return "a condition in the loop decides whether a step is made"
    if any(loop.ends_early for step in steps for loop in step.loops):
        return "the loop may end early"
    if any(isinstance(step.root, ast.AST) and step.root is not svi.root for step in steps):
        return "no call of the function that steps the SVI object was found"
    restarted = {id(loop) for loops in program.clearings for loop in loops}
    if len({step.clearings for step in steps}) > 1 or any(id(loop) in restarted for s in steps for loop in s.loops):
        return "the parameters are cleared between its steps, so that training starts anew"
    if len(steps) > 1 and (any(step.guarded for step in steps) or len({step.entry for step in steps}) > 1):
        return "the SVI object is stepped in several places, not all of which need to be reached"
    return ""


def _steps_at(step: Step, scope: Scope) -> StepCount:
    factors = []
    literal: int | None = 1
    for loop in step.loops:
        count = flow.length(loop)
        if count is None:
            return StepCount(None, "the number of rounds of the loop is not known")
        text = spell(count, scope)
        if text is None:
            if isinstance(count, Join):
                return StepCount(None, "the number of steps depends on a condition")
            return StepCount(None, "the number of steps is not known where the optimiser is built")
        factors.append(text)
        number = _number(count)
        literal = literal * number if literal is not None and number is not None else None
        literal = literal if literal is not None and abs(literal) <= LARGEST_NUMBER else None
    factors = [factor for factor in factors if factor != "1"] or factors[:1]
    source = factors[0] if len(factors) == 1 else f"({' * '.join(factors)})"
    return StepCount(source if factors else "1", literal=literal)


def _number(count: Value) -> int | None:
    """A number of rounds that the source tells."""
    if isinstance(count, Const):
        return count.value if isinstance(count.value, int) else None
    if isinstance(count, Applied) and isinstance(count.callee, Library) and count.callee.name == "builtins.len":
        inner = count.arguments[0]
        return length_of(inner) if isinstance(inner, Collection) else None
    return None
