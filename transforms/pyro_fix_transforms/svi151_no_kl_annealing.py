"""SVI151."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix import edits, imports
from pyro_fix.analysis.program import Program, Site, Step, Svi
from pyro_fix.analysis.scopes import Module, Scope
from pyro_fix.analysis.values import Const, Function, Instance, Library, Made, Value, options, walk
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._losses import JIT

#: The keyword that hands the factor from the loop to model and guide.
FACTOR = "annealing_factor"
#: The shortest and the longest annealing, as a share of the steps: some are to be made with the whole objective.
SHORTEST, LONGEST = 0.02, 0.8
_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr, ast.Return)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class NoKlAnnealing(Transform):
    """Anneal the KL divergence, when asked to.

    ## What it does
    Finds an `SVI` that is stepped in a plain loop. Model and guide get a keyword `annealing_factor=1.0` and scale their
    latent sites, and not the observed ones, by it; the loop passes a factor that rises from 0 to 1 over the first
    fifth of the steps. It is off unless it is selected. `--tune` tries other parts of the steps, from 0.02 to 0.8.

    ## Why
    Some complex models get stuck where the guide equals the prior, because at first the KL divergence is all that
    can be gained. A small factor at the start lets the data speak first (tip 15). Most models do not need it.

    ## Example
    ```python
    def model(data):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    def guide(data):
        loc = pyro.param("loc", torch.tensor(0.0))
        pyro.sample("z", dist.Normal(loc, 1.0))

    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data)
    ```
    becomes
    ```python
    def model(data, annealing_factor=1.0):
        with poutine.scale(scale=annealing_factor):
            z = pyro.sample("z", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    def guide(data, annealing_factor=1.0):
        loc = pyro.param("loc", torch.tensor(0.0))
        with poutine.scale(scale=annealing_factor):
            pyro.sample("z", dist.Normal(loc, 1.0))

    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for step in range(2000):
        svi.step(data, annealing_factor=min(1.0, (step + 1) / 400))
    ```

    ## Holds back when
    - model or guide is no plain function of the file, is used by anything but this one `SVI` call, or calls others that
      sample;
    - the loop is not `for step in range(num_steps)`, or stands elsewhere than round the one `svi.step`;
    - the ELBO may be compiled (`JitTrace_ELBO` and its like): it would be compiled anew for every factor;
    - a statement samples a latent and data at once, or cannot be indented.

    It says nothing where a latent is scaled already.

    ## Promise
    No worse: judged by the original program's objective, the parameters that it ends with are not worse.
    """

    code, name, tip = "SVI151", "no-kl-annealing", 15
    by_the_end = True
    default = False
    promise = Promise.NO_WORSE
    share = Threshold(0.2, "share of the steps over which the annealing factor rises from 0 to 1")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an SVI object."""
        for svi in program.svis:
            if _is_scaled(program, svi):
                continue
            message = "the KL divergence counts in full from the first step; annealed, the data speak first"
            found = self._candidate(program, svi, self.share)
            if isinstance(found, str):
                yield self.finding(svi.module, svi.call, message, held_back=found)
                continue
            yield self.finding(svi.module, svi.call, message, (found,))

    def _candidate(self, program: Program, svi: Svi, share: float) -> Candidate | str:
        found = _changes(program, svi, share)
        if isinstance(found, str):
            return found

        def written(other: float) -> Candidate | None:
            candidate = self._candidate(program, svi, other)
            return candidate if isinstance(candidate, Candidate) else None

        number = Number("share of the steps with annealing", share, SHORTEST, LONGEST, written, late=True)
        label = f"an annealing factor over the first {share:g} of the steps"
        return Candidate(found, self.promise, label, needs_run=True, numbers=(number,))


@dataclass(frozen=True)
class _Loop:
    """``for step in range(num_steps)`` round the one ``svi.step``."""

    step: Step
    target: ast.Name
    rises: str
    """Source of the number of steps over which the factor rises."""


def _is_scaled(program: Program, svi: Svi) -> bool:
    """Whether a latent is scaled already, or may be by a handler that the project wrote itself."""
    for value in (svi.model, svi.guide):
        function = _function(value)
        if function is None:
            continue
        for site in program.sites_of([function.node]):
            for context in site.contexts:
                if isinstance(context, Instance) or (not site.observed and _scales(context)):
                    return True
        if any(_scales(decorator) for decorator in function.decorators):
            return True
    return False


def _scales(value: Value) -> bool:
    return any(isinstance(part, (Made, Library)) and part.name == "pyro.poutine.scale" for part in walk(value))


def _function(value: Value | None) -> Function | None:
    """The function that is a model or guide, perhaps with a scale round it."""
    found = options(value)
    while len(found) == 1 and isinstance(found[0], Made) and found[0].name == "pyro.poutine.scale":
        found = options(found[0].arguments[0] if found[0].arguments else None)
    return found[0] if len(found) == 1 and isinstance(found[0], Function) else None


def _changes(program: Program, svi: Svi, share: float) -> tuple[Edit, ...] | str:
    """The edits, or why there are none."""
    module = svi.module
    if FACTOR in module.mentions or any(n.arg == FACTOR for n in ast.walk(module.tree) if isinstance(n, ast.arg)):
        return f"the name {FACTOR} is taken here"
    plain = _plain(program, svi)
    if isinstance(plain, str):
        return plain
    loop = _loop(svi, share)
    if isinstance(loop, str):
        return loop
    name, changes = _counted(loop)
    if name is None:
        return "the loop does not count its steps in a variable"
    factor = f"min(1.0, ({name} + 1) / {loop.rises})"
    changes.append(edits.add_keyword(loop.step.module, loop.step.call, FACTOR, factor))
    for role, (function, node) in plain.items():
        more = _annealed(program, svi, function, node, role)
        if isinstance(more, str):
            return more
        changes += more
    return imports.merged(changes)


def _plain(program: Program, svi: Svi) -> dict[str, tuple[Function, ast.FunctionDef]] | str:
    """Model and guide, where both are plain functions of the file that nothing but the SVI object uses."""
    module = svi.module
    found = {}
    for role, value in (("model", svi.model), ("guide", svi.guide)):
        function = _function(value)
        if function is None or function.bound is not None or not isinstance(function.node, ast.FunctionDef):
            return f"the {role} is no plain function"
        found[role] = function, function.node
    for role, (function, node) in found.items():
        used = module.mentions[node.name] != 1 or any(module in other.imports for other in program.modules.values())
        if function.module is not module or function.decorators or used:
            return f"the {role} is used elsewhere, decorated, or of another file"
    return found


def _loop(svi: Svi, share: float) -> _Loop | str:
    steps = {id(step.call): step for step in svi.steps}
    if len(steps) != 1 or svi.is_lowlevel:
        return "the one loop that steps the SVI object was not found"
    if not all(isinstance(loss, Made) and "ELBO" in loss.name and JIT not in loss.name for loss in options(svi.loss)):
        return "the ELBO may be one that is compiled, which would happen anew for every factor"
    (step,) = steps.values()
    node = step.loops[0].node if len(step.loops) == 1 else None
    if not isinstance(node, ast.For) or not any(inner is step.call for inner in ast.walk(node)):
        return "svi.step stands in no single for loop"
    over = step.loops[0].over
    if not isinstance(node.target, ast.Name) or not isinstance(over, Made) or over.name != "builtins.range":
        return "the loop is not over a range"
    if len(over.node.args) != 1 or over.spread:
        return "the range does not start at 0"
    (number,) = over.node.args
    count = over.arguments[0]
    if isinstance(count, Const) and isinstance(number, ast.Constant) and isinstance(count.value, int):
        return _Loop(step, node.target, str(max(1, round(share * count.value))))
    if not isinstance(number, (ast.Name, ast.Attribute)):
        return "the number of steps has no name"
    text = ast.unparse(number)
    stores = (n for n in ast.walk(node) if isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Store))
    if any(ast.unparse(stored) == text for stored in stores):
        return "the loop changes its own number of steps"
    return _Loop(step, node.target, f"({share:g} * {text})")


def _counted(loop: _Loop) -> tuple[str | None, list[Edit]]:
    """The variable that counts the steps, and the edit that names it where the loop has thrown it away."""
    module, name = loop.step.module, loop.target.id
    if name.strip("_"):
        return name, []
    taken = {n.arg for n in ast.walk(module.tree) if isinstance(n, ast.arg)} | set(module.mentions)
    free = next((new for new in ("step", "svi_step") if new not in taken), None)
    if free is None or module.mentions[name] != 1:
        return None, []
    return free, [edits.replace(module, loop.target, free)]


def _annealed(program: Program, svi: Svi, function: Function, node: ast.FunctionDef, role: str) -> list[Edit] | str:
    """Edits that scale the latents of one function."""
    module = svi.module
    sites = program.sites_of([node])
    inside = {id(inner) for inner in _own(node)}
    if program.unspelled_in([node]) or any(id(site.call) not in inside for site in sites):
        return f"the {role} calls something else that samples"
    latents = [site for site in sites if not site.observed]
    if not latents:
        return f"the {role} samples no latent"
    inner = Scope(module, function.scope, node)
    inner.at = node.body[0]
    there = imports.reference(module, inner, "pyro.poutine.scale", svi.call)
    parameter = edits.add_parameter(module, node, FACTOR, "1.0")
    if there is None or parameter is None:
        return "the name poutine is taken here" if parameter is not None else f"the {role} takes no keywords"
    changes = [parameter, *there.edits]
    wrapped = 0
    for block in _blocks(node):
        for run in _runs(block, latents, sites):
            edit = edits.wrap_statements(module, run, f"with {there.text}(scale={FACTOR}):", _indent(module, node))
            if edit is None:
                return f"line {run[0].lineno} cannot be indented"
            changes.append(edit)
            wrapped += len({id(s.call) for s in latents if any(_holds(statement, s) for statement in run)})
    if wrapped != len({id(site.call) for site in latents}):
        return f"the {role} samples a latent in a statement that does more"
    return changes


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """What stands in a function, but for functions inside it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _FUNCTIONS):
            yield child
            yield from _own(child)


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """The lists of statements in a function."""
    for part in (node, *_own(node)):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(part, name, None)
            if isinstance(block, list) and block:
                yield block


def _runs(block: list[ast.stmt], latents: list[Site], sites: list[Site]) -> Iterator[list[ast.stmt]]:
    """Neighbouring statements of a block that sample latents, and no data."""
    run: list[ast.stmt] = []
    for statement in block:
        observes = any(site.observed and _holds(statement, site) for site in sites)
        if isinstance(statement, _SIMPLE) and not observes and any(_holds(statement, site) for site in latents):
            run.append(statement)
        elif run:
            yield run
            run = []
    if run:
        yield run


def _holds(statement: ast.stmt, site: Site) -> bool:
    return any(node is site.call for node in ast.walk(statement))


def _indent(module: Module, node: ast.FunctionDef) -> str:
    """One more level of indentation, as the function writes it."""
    line = module.source.lines[node.body[0].lineno - 1]
    margin = line[: len(line) - len(line.lstrip())]
    return margin[node.col_offset :] or "    "
