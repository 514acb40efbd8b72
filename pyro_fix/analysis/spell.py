"""Write a value as source that means the same in another place, and count the steps of an SVI object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyro_fix.analysis.program import Program, Svi
from pyro_fix.analysis.scopes import Scope
from pyro_fix.analysis.values import (
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

_OPERATORS = {"Add": "+", "Sub": "-", "Mult": "*", "FloorDiv": "//", "Div": "/"}


def spell(value: Value, scope: Scope, known: Mapping[Value, Value] | None = None) -> str | None:
    """Source for ``value`` that can be read in ``scope``; ``None`` when there is none that surely means the same.

    A name wins over a literal.  ``known`` says what a function's arguments are in that scope.
    """
    visible = {name: v for name, v in scope.visible().items() if name.isidentifier() and not name.startswith("__")}
    try:
        return _spell(value, visible, known or {})
    except RecursionError:  # a value that hundreds of statements built up
        return None


def _spell(value: Value, visible: Mapping[str, Value], known: Mapping[Value, Value]) -> str | None:
    if isinstance(value, Argument) and value in known:
        return _spell(known[value], visible, known)
    for name, other in visible.items():
        if other is value:
            return name
    if isinstance(value, Const) and isinstance(value.value, (int, float)) and not isinstance(value.value, bool):
        return repr(value.value)
    if isinstance(value, Attribute):
        base = _spell(value.base, visible, known)
        return f"{base}.{value.name}" if base else None
    if isinstance(value, Item):
        base, index = _spell(value.base, visible, known), _spell(value.index, visible, known)
        return f"{base}[{index}]" if base and index else None
    if isinstance(value, Arithmetic) and value.operator in _OPERATORS and len(value.operands) == 2:
        left, right = (_spell(operand, visible, known) for operand in value.operands)
        return f"({left} {_OPERATORS[value.operator]} {right})" if left and right else None
    if isinstance(value, Applied):
        if isinstance(value.callee, Library) and value.callee.name == "builtins.len":
            inner = _spell(value.arguments[0], visible, known)
            return f"len({inner})" if inner else None
        if isinstance(value.callee, Attribute) and value.callee.name == "size" and not value.keywords:
            parts = [_spell(a, visible, known) for a in (value.callee.base, *value.arguments)]
            return f"{parts[0]}.size({', '.join(map(str, parts[1:]))})" if all(parts) else None
    if isinstance(value, Made) and value.name == "builtins.len" and len(value.arguments) == 1:
        inner = _spell(value.arguments[0], visible, known)
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
    svis = program.makers_of(optimizer)
    if len(svis) != 1:
        return StepCount(None, "the optimiser serves several SVI objects" if svis else "no SVI object uses it")
    (svi,) = svis
    if any(not any(loop is mine for mine in optimizer.loops) for loop in svi.loops):
        return StepCount(None, "one optimiser serves every SVI object that a loop builds")
    return _steps_of(svi, scope)


def _steps_of(svi: Svi, scope: Scope) -> StepCount:
    if not svi.steps:
        return StepCount(None, "the loop that steps the SVI object was not found")
    if len({id(step.call) for step in svi.steps}) > 1 or len(svi.steps) > 1:
        return StepCount(None, "the SVI object is stepped in several places")
    (step,) = svi.steps
    if not step.loops:
        return StepCount(None, "svi.step stands in no loop")
    if step.conditional:
        return StepCount(None, "a condition in the loop decides whether a step is made")
    if any(loop.ends_early for loop in step.loops):
        return StepCount(None, "the loop may end early")
    factors = []
    literal: int | None = 1
    for loop in step.loops:
        if loop.count is None:
            return StepCount(None, "the number of rounds of the loop is not known")
        text = spell(loop.count, scope)
        if text is None:
            if isinstance(loop.count, Join):
                return StepCount(None, "the number of steps depends on a condition")
            return StepCount(None, "the number of steps is not known where the optimiser is built")
        factors.append(text)
        count = loop.count.value if isinstance(loop.count, Const) else None
        literal = literal * count if literal is not None and isinstance(count, int) else None
    source = factors[0] if len(factors) == 1 else f"({' * '.join(factors)})"
    return StepCount(source, literal=literal)
