"""Write a value as source that means the same in another place, and count the steps of an SVI object."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass

from pyro_fix.analysis import flow
from pyro_fix.analysis.program import Program, Step, Svi
from pyro_fix.analysis.scopes import Scope
from pyro_fix.analysis.values import (
    LARGEST_NUMBER,
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Const,
    Item,
    Join,
    Library,
    Made,
    Value,
)

#: A value whose source would have more parts than this is not spelled ...
MOST_WORDS = 100
#: ... nor a number of steps that are made in more places.
MOST_PLACES = 16
_OPERATORS = {"Add": "+", "Sub": "-", "Mult": "*", "FloorDiv": "//", "Div": "/"}


def spell(value: Value, scope: Scope, known: Mapping[Value, Value] | None = None) -> str | None:
    """Source for ``value`` that can be read in ``scope``; ``None`` when there is none that surely means the same.

    A name wins over a literal.  ``known`` says what a function's arguments are in that scope.
    """
    return _Speller(scope, known or {}).spell(value)


class _Speller:
    """Writes one value; what would take more than ``MOST_WORDS`` is nothing that a person would read."""

    def __init__(self, scope: Scope, known: Mapping[Value, Value]) -> None:
        self._scope, self._known = scope, known
        self._words = 0

    def _name_of(self, value: Value) -> str | None:
        """A name that stands for the value in the scope."""
        hidden: list[Mapping[str, Value]] = []
        scope: Scope | None = self._scope
        while scope is not None:
            for name, other in scope.names.items():
                if (
                    other is value
                    and name.isidentifier()
                    and not name.startswith("__")
                    and not any(name in names for names in hidden)
                ):
                    return name
            hidden.append(scope.names)
            scope = scope.parent
        return None

    def spell(self, value: Value) -> str | None:
        self._words += 1
        if self._words > MOST_WORDS:
            return None
        if isinstance(value, Argument) and value in self._known:
            return self.spell(self._known[value])
        if (name := self._name_of(value)) is not None:
            return name
        if isinstance(value, Const) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
            return repr(value.value)
        if isinstance(value, Attribute):
            base = self.spell(value.base)
            return f"{base}.{value.name}" if base else None
        if isinstance(value, Item):
            base, index = self.spell(value.base), self.spell(value.index)
            return f"{base}[{index}]" if base and index else None
        if isinstance(value, Arithmetic) and value.operator in _OPERATORS and len(value.operands) == 2:
            left, right = map(self.spell, value.operands)
            return f"({left} {_OPERATORS[value.operator]} {right})" if left and right else None
        if isinstance(value, Applied):
            if isinstance(value.callee, Library) and value.callee.name == "builtins.len":
                inner = self.spell(value.arguments[0])
                return f"len({inner})" if inner else None
            if isinstance(value.callee, Attribute) and value.callee.name == "size" and not value.keywords:
                parts = [self.spell(a) for a in (value.callee.base, *value.arguments)]
                return f"{parts[0]}.size({', '.join(map(str, parts[1:]))})" if all(parts) else None
        if isinstance(value, Made) and value.name == "builtins.range" and not value.spread and not value.keywords:
            parts = [self.spell(argument) for argument in value.arguments]
            return f"range({', '.join(map(str, parts))})" if all(parts) else None
        if isinstance(value, Made) and value.name == "builtins.len" and len(value.arguments) == 1:
            inner = self.spell(value.arguments[0])
            return f"len({inner})" if inner else None
        return None


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
    svis = program.makers_of(optimizer)
    if len(svis) != 1:
        return StepCount(None, "the optimiser is given to several SVI calls" if svis else "no SVI object uses it")
    (svi,) = svis
    if any(not any(loop is mine for mine in optimizer.loops) for loop in svi.loops):
        return StepCount(None, "one optimiser serves every SVI object that a loop builds")
    return steps_of(program, svi, scope)


def steps_of(program: Program, svi: Svi, scope: Scope) -> StepCount:
    """The number of steps that ``svi`` makes, written in terms of names in ``scope``."""
    doubt = _doubt(program, svi)
    if doubt:
        return StepCount(None, doubt)
    if len(svi.steps) > MOST_PLACES:
        return StepCount(None, "the SVI object is stepped in too many places to count")
    counts = [_steps_at(step, scope) for step in svi.steps]
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
    steps = svi.steps
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
        number = count.value if isinstance(count, Const) else None
        literal = literal * number if literal is not None and isinstance(number, int) else None
        literal = literal if literal is not None and abs(literal) <= LARGEST_NUMBER else None
    source = factors[0] if len(factors) == 1 else f"({' * '.join(factors)})"
    return StepCount(source if factors else "1", literal=literal)
