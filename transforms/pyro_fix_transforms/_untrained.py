"""Networks that nothing trains, since they were never registered (SVI001)."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from pyro_fix import edits
from pyro_fix.analysis.health import is_tensor
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Library
from pyro_fix.observation import Look, Observation, Untrained
from pyro_fix.transform import Edit
from pyro_fix_transforms._told import function

#: Who names one of these may use a network as somebody else has trained it.
_TRAINED_BEFORE = re.compile(
    r"\b(?:load_state_dict|torch\.(?:load|hub)|\w*pretrained|torchvision\.models|transformers|timm)\b"
)


def registered(program: Program, run: Observation, look: Look) -> tuple[str, tuple[Edit, ...]]:
    """What registers all of them, in words; and the edits that do, none where that is not for a tool to say."""
    asked = list(dict.fromkeys(_words(one) for one in look.untrained))
    words = " and ".join(asked)
    if any(is_tensor(one) or not one.name for one in look.untrained):
        return words, ()
    texts = [module.source.text for module in program.modules.values()]
    if before := next(filter(None, map(_TRAINED_BEFORE.search, texts)), None):
        return f"{words}, unless it is wanted as {before[0]} leaves it", ()
    names = [_name(one) for one in look.untrained]
    if len(set(names)) < len(names) or any(param.startswith(f"{name}$$$") for name in names for param in look.params):
        return words, ()  # parameters of that name are another module's
    changes: list[Edit] = []
    for where in dict.fromkeys(one.where for one in look.untrained):
        at = function(program, run, where)
        made = _inserted(*at, [one for one in look.untrained if one.where == where]) if at is not None else ()
        if not made:
            return words, ()
        changes += made
    return words, tuple(changes)


def _name(one: Untrained) -> str:
    last = one.name.rpartition(".")[2]
    return one.kind.lower() if last == "self" else last


def _words(one: Untrained) -> str:
    if is_tensor(one):
        return f"make a parameter of {one.name or 'it'} in the {one.role}, by pyro.param"
    if not one.name:
        return f"register the {one.kind} in the {one.role}, by pyro.module"
    return f'register it in the {one.role}: pyro.module("{_name(one)}", {one.name})'


def _inserted(module: Module, node: ast.FunctionDef, wanted: Sequence[Untrained]) -> tuple[Edit, ...]:
    """The statements at the head of the function."""
    source = module.source
    body = [s for at, s in enumerate(node.body) if not (isinstance(s, (ast.Global, ast.Nonlocal)) or _is_text(at, s))]
    first = body[0] if body else None
    if first is None or getattr(first, "decorator_list", None):
        return ()
    margin = source.text[source.offset(first.lineno, 0) : source.offset(first.lineno, first.col_offset)]
    pyro = _pyro(module, node)
    if margin.strip() or not pyro:  # it shares its line with something else
        return ()
    lines = [f'{pyro}.module("{_name(one)}", {one.name})' for one in wanted]
    return (edits.insert_before(module, first, f"{source.newline}{margin}".join(lines)),)


def _pyro(module: Module, function: ast.FunctionDef) -> str:
    """What the function calls Pyro; empty where it does not name it."""
    names = [node.id for node in ast.walk(function) if isinstance(node, ast.Name)]
    for name in dict.fromkeys([*names, "pyro"]):
        value = module.global_value(name)
        if isinstance(value, Library) and value.name == "pyro":
            return name
    return ""


def _is_text(at: int, statement: ast.stmt) -> bool:
    """Whether it is the function's docstring."""
    return at == 0 and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
