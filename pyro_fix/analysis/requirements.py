"""What the distributions that a param feeds ask of it (tips 5 and 16)."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Param, Program, Use
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.tensors import Extent, extent
from pyro_fix.analysis.values import Applied, Attribute, Const, Library, Made, Value
from pyro_fix.sources import NOTEBOOK

#: What trains behind a name.
_TRAINING = re.compile(r"Forecaster|Trainer|\.fit\(|\btrain")
#: As large as any draw.
LARGEST = 1e30
#: Why a param that a plain torch optimiser holds gets no constraint.
HELD = "a plain torch optimiser holds its value, which would no longer be a leaf"


@dataclass(frozen=True)
class Requirement:
    """The constraint that a param needs, and every call that has to get it."""

    calls: tuple[Param, ...]
    """The calls of one name that give an initial value, in file order."""
    uses: tuple[Use, ...]
    """The distribution arguments that it reaches unchanged, and that ask for more than a real number."""
    required: str
    """The strictest constraint asked for, as in :mod:`pyro_fix.analysis.distributions`."""
    doubt: str = ""
    """Why the requirement may be a misreading; a fix has to be held back then."""

    @cached_property
    def kinds(self) -> tuple[Use, ...]:
        """One of the uses for each distribution, argument and constraint."""
        return tuple({(use.distribution.name, use.argument, use.required): use for use in self.uses}.values())

    @property
    def source(self) -> Literal["static", "seen"]:
        """Who says so: the source, or only a run."""
        return "static" if any(use.source == "static" for use in self._decisive) else "seen"

    @property
    def _decisive(self) -> list[Use]:
        """The uses that ask for what is required."""
        return [use for use in self.uses if use.required == self.required]

    def wish(self) -> str:
        """For a message: ``Normal's scale, which must be positive``."""
        use = self._decisive[0]
        return f"{use.distribution.name.rpartition('.')[2]}'s {use.argument}, which must be {readable(self.required)}"


def requirement(program: Program, param: Param) -> Requirement | None:
    """What is asked of ``param``; ``None`` when nothing is, or when it never arrives unchanged, or never moves."""
    if _is_shown_only(program, param.module):
        return None
    if param.kind != "param" or param.name is None:
        return _requirement(program, param)
    key = ("requirement", param.name, param.module)  # one for all calls of the name
    if key not in program.memo:
        program.memo[key] = _requirement(program, param)
    found = program.memo[key]
    assert found is None or isinstance(found, Requirement)
    return found


def _is_shown_only(program: Program, module: Module) -> bool:
    """Whether a notebook, which nothing imports, has an ELBO and trains nothing: it shows shapes and handlers."""
    if module.path.suffix != NOTEBOOK or _TRAINING.search(module.source.text):
        return False
    read = {module, *module.imports}
    names = [made.name for made in program.made if made.module in read]
    trained = any(svi.module in read for svi in program.svis) or any(".optim." in name for name in names)
    return not trained and any("ELBO" in name for name in names)


def _requirement(program: Program, param: Param) -> Requirement | None:
    same_name = program.same_name(param)
    uses = tuple(
        use
        for call in same_name
        for use in call.uses
        if use.unchanged and distributions.implies("real", use.required) is False
    )
    if not uses:
        return None
    calls = tuple(sorted((c for c in same_name if c.initial is not None), key=lambda c: (c.module.path, c.call.lineno)))
    strictest = _strictest([use.required for use in uses])
    if strictest is None:
        needs = sorted({readable(use.required) for use in uses})
        return Requirement(calls, uses, uses[0].required, f"its uses ask for different things: {', '.join(needs)}")
    return Requirement(calls, uses, strictest, _doubt(same_name, uses, strictest))


def _doubt(same_name: Sequence[Param], uses: Sequence[Use], required: str) -> str:
    if any(call.mutated for call in same_name):
        return "the program changes its value in place, perhaps to keep it valid"
    if any(call.held for call in same_name):
        return HELD
    if any(call.reassigned for call in same_name):
        return "its attribute is assigned in several places"
    if any(_makes_several(call) and len(call.uses) > len(set(call.uses) & set(uses)) for call in same_name):
        return "the same call makes other params, which are used in other ways"
    if is_structured(required) and any(use.reshaped for use in uses):
        return f"its shape is changed on the way, and being {readable(required)} depends on the shape"
    return ""


def _makes_several(call: Param) -> bool:
    """Whether a call may make params of several names: what is true of one need not be of another."""
    return call.kind == "param" and (call.name is None or "{}" in call.name)


def starts_inside(param: Param, constraint: str) -> bool | None:
    """Whether the initial value of ``param`` surely satisfies ``constraint``; ``None`` when the source cannot tell."""
    known = extent(param.initial)
    if is_structured(constraint):
        return _starts_structured(param.initial, known, constraint)
    if known is None:
        return None
    bounds = [known.low, known.high]
    if known.structure == "draw":  # which is neither on a bound nor infinite
        margin = 1e-6 * min(known.high - known.low, 1.0)
        bounds = [max(known.low, -LARGEST) + margin, min(known.high, LARGEST) - margin]
    answers = [distributions.satisfies(bound, constraint) for bound in bounds]
    if False in answers:
        return False
    return None if None in answers else True


def _starts_structured(value: Value | None, known: Extent | None, constraint: str) -> bool | None:
    if known is not None and constraint == "simplex":
        if known.structure == "simplex":
            return True
        return False if known.low < 0 or known.high > 1 else None
    if known is not None and known.structure == "identity" and known.high > 0:
        return constraint in ("lower_cholesky", "positive_definite", "corr_cholesky", "unit_lower_cholesky") or None
    if constraint == "simplex" and isinstance(value, Applied) and isinstance(value.callee, Attribute):
        made = value.callee.base
        if isinstance(made, Made) and made.name == "pyro.distributions.Dirichlet":
            return True
    return None


def is_structured(constraint: str) -> bool:
    """Whether a constraint binds the elements of a tensor to each other."""
    return any(word in constraint for word in ("simplex", "cholesky", "definite", "ordered", "corr", "sphere"))


def readable(constraint: str) -> str:
    """A constraint in words that fit behind "must be"."""
    words = {
        "positive": "positive",
        "nonnegative": "non-negative",
        "unit_interval": "between 0 and 1",
        "simplex": "a simplex",
        "lower_cholesky": "a lower Cholesky factor",
        "positive_definite": "positive definite",
        "independent(positive, 1)": "positive",
    }
    return words.get(constraint, constraint)


def constraint_text(value: Value | None) -> str | None:
    """A constraint as source without its module: ``positive``, ``greater_than(0.1)``; ``None`` when it is not known."""
    if isinstance(value, Library) and value.name.startswith("pyro.distributions.constraints."):
        return value.name.rpartition(".")[2]
    if isinstance(value, Made) and value.name.startswith("pyro.distributions.constraints.") and not value.spread:
        arguments = []
        for keyword, argument in [(None, a) for a in value.arguments] + list(value.keywords.items()):
            if not isinstance(argument, Const):
                return None
            arguments.append(f"{keyword}={argument.value!r}" if keyword else repr(argument.value))
        return f"{value.name.rpartition('.')[2]}({', '.join(arguments)})"
    return None


def constraint_node(param: Param) -> ast.expr | None:
    """The expression of the constraint, where the call gives it."""
    for keyword in param.call.keywords:
        if keyword.arg == "constraint":
            return keyword.value
    position = 2 if param.kind == "param" else 1
    return param.call.args[position] if len(param.call.args) > position else None


def is_passed_in(param: Param) -> bool:
    """Whether its constraint is an argument of the function around it, which other callers may give as they like."""
    node, function = constraint_node(param), param.scope.function
    if not isinstance(node, ast.Name) or function is None:
        return False
    return any(isinstance(inner, ast.arg) and inner.arg == node.id for inner in ast.walk(function))


def _strictest(required: Sequence[str]) -> str | None:
    # one name may mean a vector here and a number there: a simplex would do for both, and be wrong
    if len({is_structured(one) for one in required}) > 1:
        return None
    for one in required:
        if all(distributions.implies(one, other) for other in required):
            return one
    return None
