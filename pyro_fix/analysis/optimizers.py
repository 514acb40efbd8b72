"""The options of an optimiser (tips 1 to 3)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis.branches import are_exclusive
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Scope
from pyro_fix.analysis.values import Const, Library, Made, Mapping, Value, options


@dataclass(frozen=True)
class Options:
    """The options that an optimiser of ``pyro.optim`` was given, where they can be read and written."""

    items: dict[str, Value]
    node: ast.Dict | ast.Call
    """The dict literal, or the ``dict(...)`` call."""
    scope: Scope
    """The names that can be read in it."""

    def number(self, key: str) -> float | None:
        """The literal number of an option; ``None`` when it is not given or not literal."""
        value = self.items.get(key)
        if isinstance(value, Const) and isinstance(value.value, (int, float)):
            return float(value.value)
        return None

    def node_of(self, key: str) -> ast.expr | None:
        """The expression of an option; ``None`` when it is not given."""
        return _entry(self.node, key)


def given_to_svi(program: Program, chosen: bool = False) -> Iterator[Made]:
    """Every optimiser of ``pyro.optim`` that an SVI object uses and may step, each once.

    ``chosen``: also those that a flag, a branch or an argument of the program chooses among others.
    """
    seen = set()
    for made in program.made:
        if made.name.startswith("pyro.optim.") and id(made) not in seen:
            seen.add(id(made))
            if any(svi.is_trained for svi in program.makers_of(made)) and (chosen or not is_chosen(program, made)):
                yield made


#: What all optimisers of ``pyro.optim`` are made with: its first argument is the class, and its second the options.
_GENERAL = "PyroOptim"


def kind_of(made: Made) -> str:
    """The class of an optimiser or scheduler, without its package; empty where that is not known."""
    name = made.name.rpartition(".")[2]
    if name != _GENERAL:
        return name
    steps_by = made.argument(0, "optim_constructor")
    known = isinstance(steps_by, Library) and steps_by.name.startswith(("torch.optim.", "pyro.optim."))
    return steps_by.name.rpartition(".")[2] if isinstance(steps_by, Library) and known else ""


def given_options(made: Made) -> Value | None:
    """What an optimiser was given as its options."""
    return made.argument(_before(made), "optim_args")


def clips(made: Made) -> bool:
    """Whether an optimiser was given something to clip gradients by."""
    return made.argument(_before(made) + 1, "clip_args") is not None


def _before(made: Made) -> int:
    """How many arguments come before the options."""
    return int(made.name.rpartition(".")[2] == _GENERAL)


def scheduled(made: Made) -> tuple[str, Mapping | None]:
    """The class of an optimiser, and its options where they are a dict; of a scheduler, those of what it schedules."""
    given = given_options(made)
    items = given if isinstance(given, Mapping) else None
    inner = items.items.get("optimizer") if items is not None else None
    if isinstance(inner, Library) and items is not None:
        its_own = items.items.get("optim_args")
        return inner.name.rpartition(".")[2], its_own if isinstance(its_own, Mapping) else None
    return kind_of(made), items


#: Why nothing is changed of an optimiser that is chosen.
CHOSEN = "the program chooses among optimisers, which is for its user to do"


def is_chosen(program: Program, made: Made) -> bool:
    """Whether an optimiser is one of several that a way through the program leads to: a flag of the user's, mostly."""
    users = program.makers_of(made)
    branched = [svi for svi in users if svi.arms]
    rivals = [svi for svi in program.svis if svi.arms and any(are_exclusive(svi, mine) for mine in branched)]
    others = [option for svi in users for option in options(svi.optimizer) if option is not made]
    others += [option for svi in rivals for option in options(svi.optimizer) if _class(option) != made.name]
    return any(
        not (isinstance(option, Made) and option.node is made.node and option.name == made.name) for option in others
    )


def _class(value: Value) -> str:
    """The class of an optimiser; what is not known is not told from any other."""
    return value.name if isinstance(value, Made) else ""


#: Attributes of a ``PyroOptim`` through which people set its learning rate as they go.
_SET_BY_HAND = frozenset({"optim_objs", "pt_optim_args", "pt_optim_constructor", "param_groups"})


def options_of(made: Made, may_clip: bool = False, schedule: bool = False) -> Options | str:
    """The options of an optimiser, or why they cannot be rewritten; a scheduler's are those of its optimiser.

    ``may_clip``: clipping through ``clip_args`` is no reason against it.  ``schedule`` asks for those of the scheduler
    itself, whose rates a run has shown: whether the program looks into it does not matter.
    """
    if made.spread:
        return "its arguments are passed by * or **"
    given = given_options(made)
    if given is None:
        return "it is given no options"
    if not schedule and _SET_BY_HAND & set(getattr(made, "_attributes", ())):
        return "the program reaches into it, perhaps to set the learning rate"
    if not may_clip and clips(made):
        return "it clips gradients already, through clip_args"
    if not isinstance(given, Mapping):
        return "its options are not a dict that the source spells out (a function of the parameter, perhaps)"
    node = _literal(made, given, _argument_node(made))
    inner = given.items.get("optim_args") if not schedule else None
    if inner is not None and not isinstance(node, str):
        if not isinstance(inner, Mapping):
            return "the options of the scheduler's optimiser are not a dict that the source spells out"
        given, node = inner, _literal(made, inner, _entry(node, "optim_args"))
    if isinstance(node, str):
        return node
    return Options({str(key): value for key, value in given.items.items()}, node, given.scope or made.scope)


def _literal(made: Made, given: Mapping, node: ast.expr | None) -> ast.Dict | ast.Call | str:
    """The dict that ``node`` is or names, or why it cannot be rewritten."""
    if not given.whole:
        return "its options are put together at run time"
    if isinstance(node, ast.Name):
        if made.module.mentions[node.id] != 2:
            return f"its options are in the variable {node.id}, which has other uses"
        node = given.node
    if not isinstance(node, (ast.Dict, ast.Call)) or node is not given.node:
        return "its options are built somewhere else"
    if isinstance(node, ast.Dict) and not all(isinstance(key, ast.Constant) for key in node.keys):
        return "its options have keys that are not literals"
    return node


def _entry(node: ast.Dict | ast.Call, key: str) -> ast.expr | None:
    """The expression of an entry of a dict literal or of a ``dict(...)`` call; the last one wins."""
    if isinstance(node, ast.Dict):
        pairs = reversed(list(zip(node.keys, node.values, strict=True)))
        return next((value for name, value in pairs if isinstance(name, ast.Constant) and name.value == key), None)
    return next((keyword.value for keyword in node.keywords if keyword.arg == key), None)


def _argument_node(made: Made) -> ast.expr | None:
    for keyword in made.node.keywords:
        if keyword.arg == "optim_args":
            return keyword.value
    return next(iter(made.node.args[_before(made) :]), None)
