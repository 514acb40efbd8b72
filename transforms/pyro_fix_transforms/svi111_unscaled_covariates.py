"""SVI111."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix import edits
from pyro_fix.analysis.program import Program, Step, Svi
from pyro_fix.analysis.roles import parts_of
from pyro_fix.analysis.values import Function
from pyro_fix.observation import InputLook
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Threshold, Transform


class UnscaledCovariates(Transform):
    """Bring covariates to one scale.

    ## What it does
    Finds a matrix of covariates whose columns, in a run, differ in spread by more than a factor of 1000, or hold
    numbers beyond 10000, and standardises its columns before the loop that steps the SVI. An observed tensor is
    never touched. It is off unless it is selected, because predictions need the same change.

    ## Why
    Priors and initial values are of order one. A covariate in square metres beside one in decades needs weights of
    sizes that neither the prior nor the optimiser's steps can reach at once (tip 11).

    ## Example
    ```python
    for step in range(1000):
        svi.step(x, y)
    ```
    becomes
    ```python
    x = (x - x.mean(0)) / x.std(0)
    for step in range(1000):
        svi.step(x, y)
    ```

    ## Holds back when
    - the covariates are no plain name, or are batches of a loader: standardise the whole data set where it is read;
    - the name is used after the loop: what comes there, predictions perhaps, is in the old units;
    - a column is constant, as one for an intercept is: it would vanish;
    - the tensor has other than two dimensions, or holds whole numbers, which may be labels or indices.

    ## Promise
    No worse: the data are the same, so both programs' losses bound the evidence of the same observations, and the
    patched program's does not end higher.
    """

    code, name, tip, default = "SVI111", "unscaled-covariates", 11, False
    promise = Promise.NO_WORSE
    after = ("SVI01", "SVI02", "SVI03", "SVI04", "SVI05", "SVI06", "SVI07", "SVI10", "SVI13")
    ratio = Threshold(1e3, "how much the spreads of two columns may differ, as a factor")
    largest = Threshold(1e4, "numbers beyond this are large")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an argument of an ``svi.step`` call."""
        for svi in program.svis:
            steps = {id(step.call): step for step in svi.steps}
            for step in steps.values():
                inputs = {given.name: given for _, given in program.seen.inputs(step.module, step.call)}
                for given in inputs.values():
                    if not given.observed and (what := self._unscaled(given)):
                        yield self._proposal(svi, step, given, what, alone=len(steps) == 1)

    def _unscaled(self, given: InputLook) -> str:
        """What is wrong with the scale of an input; empty when nothing is."""
        if given.column_spreads is None or not given.dtype.startswith("float"):
            return ""
        low, high = given.column_spreads
        if high > self.ratio * low:
            return f"the spreads of its columns run from {low:.2g} to {high:.2g}"
        largest = max(abs(given.minimum), abs(given.maximum))
        return f"its numbers go up to {largest:.2g}" if largest > self.largest else ""

    def _proposal(self, svi: Svi, step: Step, given: InputLook, what: str, alone: bool) -> Proposal:
        message = f"the covariates {given.name} are not of one scale: {what}"
        change = _change(svi, step, given, alone)
        if isinstance(change, str):
            return self.finding(step.module, step.call, message, held_back=change, source="seen")
        candidate = Candidate(change.edits, self.promise, f"{change.text} before the loop", needs_run=True)
        return self.finding(step.module, step.call, message, (candidate,), source="seen")


@dataclass(frozen=True)
class _Change:
    """A statement to write before a loop, and what goes with it."""

    text: str
    edits: tuple[Edit, ...]


def _change(svi: Svi, step: Step, given: InputLook, alone: bool) -> _Change | str:
    if not alone or svi.is_lowlevel:
        return "the SVI object is stepped in several places, or not by svi.step"
    if len(given.shape) != 2:
        return "only matrices, with a row for each of the data, are standardised"
    if given.constant_columns:
        return "a column is constant, as one for an intercept is: standardised, it would vanish"
    node = _argument(svi, step, given.name)
    if not isinstance(node, ast.Name):
        return "the argument is no plain name"
    loops = [loop.node for loop in step.loops if isinstance(loop.node, (ast.For, ast.While))]
    if not loops or len(loops) != len(step.loops):
        return "svi.step stands in no loop to standardise before"
    outer = loops[0]
    scope = step.functions[-1] if step.functions else step.module.tree
    if not any(inner is outer for inner in ast.walk(scope)):
        return "the loop stands in another function than svi.step"
    named = [n for n in ast.walk(scope) if isinstance(n, ast.Name) and n.id == node.id]
    within = [n for n in named if any(n is inner for inner in ast.walk(outer))]
    if any(isinstance(n.ctx, ast.Store) for n in within):
        return "the loop hands over batches: standardise the whole data set where it is read"
    if any(n.lineno > (outer.end_lineno or outer.lineno) for n in named):
        return f"{node.id} is used after the loop, where its old units may be meant"
    if any(n is not node for n in within):
        return f"the loop uses {node.id} for something else as well"
    own = scope is not step.module.tree and _binds(scope, node.id)
    if not own and any(_reads_global(f, node.id) for f in ast.walk(step.module.tree) if f is not scope):
        return f"functions of the file read {node.id} themselves"
    # a function that assigns a variable of its file has another one of its own
    new = node.id if own or scope is step.module.tree else f"scaled_{node.id}"
    if new != node.id and new in step.module.mentions:
        return f"the name {new} is taken here"
    text = f"{new} = ({node.id} - {node.id}.mean(0)) / {node.id}.std(0)"
    changes = (edits.insert_before(step.module, outer, text),)
    return _Change(text, changes if new == node.id else (*changes, edits.replace(step.module, node, new)))


def _argument(svi: Svi, step: Step, name: str) -> ast.expr | None:
    """The expression that the step hands to the model's argument ``name``."""
    for keyword in step.call.keywords:
        if keyword.arg == name:
            return keyword.value
    functions = [part.runs for part in parts_of(svi.model) if isinstance(part.runs, Function)] if svi.model else []
    if len(functions) != 1 or any(isinstance(arg, ast.Starred) for arg in step.call.args):
        return None
    spec = functions[0].node.args
    names = [arg.arg for arg in (*spec.posonlyargs, *spec.args)][functions[0].bound is not None :]
    position = names.index(name) if name in names else len(step.call.args)
    return step.call.args[position] if position < len(step.call.args) else None


def _binds(function: ast.AST, name: str) -> bool:
    """Whether a name is a variable of the function itself."""
    if any(isinstance(n, ast.Global) and name in n.names for n in ast.walk(function)):
        return False
    return any(
        (isinstance(n, ast.arg) and n.arg == name)
        or (isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store))
        for n in ast.walk(function)
    )


def _reads_global(node: ast.AST, name: str) -> bool:
    """Whether a function reads the file's variable of that name."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return False
    own = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
    return name not in own and any(isinstance(n, ast.Name) and n.id == name for n in ast.walk(node))
