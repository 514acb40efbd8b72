"""What the transforms of tips 2 and 3 share: writing ``ClippedAdam`` and its decay."""

from __future__ import annotations

import ast

from pyro_fix import edits, imports
from pyro_fix.analysis.optimizers import Options
from pyro_fix.analysis.spell import StepCount
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Edit, Rate

#: The final learning rate's share of the initial one.  Source: tip 3, ``gamma = 0.1``.
GAMMA = 0.1
#: Fewer steps than this are a smoke test, not a training run: a decay over them would only stop it short.
FEWEST_STEPS = 50


def decay_of(count: StepCount) -> str:
    """Source of the decay factor that brings the rate to ``GAMMA`` of its start."""
    return f"{GAMMA} ** (1 / {count.source})"


def declared(count: StepCount, options: Options) -> Rate:
    """The path of the learning rate that the new options declare."""
    lrd = GAMMA ** (1 / count.literal) if count.literal else None
    return Rate(options.number("lr"), lrd)


def renamed(made: Made) -> tuple[Edit, ...] | None:
    """Edits that turn an optimiser into ``ClippedAdam``; ``None`` where that name cannot be reached."""
    callee = made.node.func
    if isinstance(callee, ast.Attribute):
        return (edits.rename(made.module, callee, "ClippedAdam"),)
    there = imports.reference(made.module, made.scope, "pyro.optim.ClippedAdam", made.node)
    is_bound = there is not None and not there.edits and "." not in there.text
    if isinstance(callee, ast.Name) and not is_bound and made.scope.lookup("ClippedAdam") is None:
        alias = _only_import(made, callee)
        if alias is not None:
            module = made.module
            return edits.replace_alias(module, alias, "ClippedAdam"), edits.replace(module, callee, "ClippedAdam")
    if there is None:
        return None
    return (*there.edits, edits.replace(made.module, callee, there.text))


def _only_import(made: Made, callee: ast.Name) -> ast.alias | None:
    """The import of an optimiser that nothing but ``made`` uses: it would be left over."""
    if made.module.mentions[callee.id] != 1 or "__all__" in made.module.scope.names:
        return None
    for statement in made.module.tree.body:
        if isinstance(statement, ast.ImportFrom) and statement.module == "pyro.optim":
            for alias in statement.names:
                if alias.name == callee.id and alias.asname is None:
                    return alias
    return None
