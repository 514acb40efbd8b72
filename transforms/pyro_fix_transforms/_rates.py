"""What the transforms of tip 1 and 16 share: the literal learning rate of an optimiser, and what runs show of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.analysis.values import Made

#: Rates below this get stuck (tip 1); from about one on, Adam's steps are longer than what they are to find.
SMALLEST, LARGEST = 1e-4, 1.0


def runs_of(program: Program, optimizer: Made) -> list[SeenSvi]:
    """What was seen of the SVI objects that use an optimiser, where they made a step."""
    seen = [seen for svi in program.makers_of(optimizer) for seen in program.seen.svi(svi)]
    return [each for each in seen if any(trajectory.losses for trajectory in each.svi.trajectories)]


def shown_rate(runs: list[SeenSvi]) -> float | None:
    """The greatest learning rate of the first step, in any run."""
    paths = [t.path for seen in runs for t in seen.svi.trajectories]
    return max((max(path[0]) for path in paths if path), default=None)


def only_rate(runs: list[SeenSvi]) -> float | None:
    """The learning rate of the first step, where it is the same in all runs and for all parameters."""
    found = {rate for seen in runs for t in seen.svi.trajectories if t.path for rate in t.path[0]}
    return found.pop() if len(found) == 1 else None


def literal_rate(program: Program, made: Made, options: Options) -> ast.expr | str:
    """The literal that is the learning rate and nothing else, or why there is none."""
    node, value = options.node_of("lr"), options.number("lr")
    if node is None:
        return "no learning rate is given"
    if edits.literal_number(node) == value and value is not None:
        return node
    if not isinstance(node, ast.Name):
        return "its learning rate is not a literal at the call"
    module, name = made.module, node.id
    assigned = list(_assigned(module, name))
    if len(assigned) != 1 or value is None or edits.literal_number(assigned[0]) != value:
        return f"its learning rate comes in through {name}, which is for the user to set"
    elsewhere = any(module in other.imports and other.mentions[name] for other in program.modules.values())
    if module.mentions[name] != 2 or elsewhere:
        return f"its learning rate is in the variable {name}, which has other uses"
    return assigned[0]


def _assigned(module: Module, name: str) -> Iterator[ast.expr]:
    """The values that plain assignments to ``name`` give it, anywhere in the file."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                yield node.value
