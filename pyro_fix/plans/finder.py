"""Looks for what to run, cheapest first: the project's programs for everything, more only for what they do not reach.

Order: files that step an SVI object when they are run, with the arguments that the project's tests, CI files or
documents give them; for a file that none of these reaches, tests that import it, then scripts that import it, and last
drivers made from signatures.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pyro_fix.analysis.program import Program
from pyro_fix.plans import commands, drivers, scripts, tests
from pyro_fix.plans.tree import Tree, root_of
from pyro_fix.runner.model import Target
from pyro_fix.sources import NOTEBOOK
from pyro_fix.verify.options import RunPlan

#: Test files that are run to see what files show that no program reaches.
MOST_OBSERVED = 4
#: Scripts that are tried for one file because they import it.
MOST_SCRIPTS = 2
_MAIN = re.compile(rb"^if\s+__name__\s*==\s*['\"]__main__['\"]", re.M)


def found(program: Program) -> list[RunPlan]:
    """The project's own programs that step an SVI object when they are run."""
    return Finder().programs(program)


class Finder:
    """Finds plans; remembers what it read of the project from one round to the next."""

    def __init__(self) -> None:
        """Nothing is read before something is asked for."""
        self._trees: dict[Path, Tree] = {}
        self._named: dict[Path, list[Target]] = {}

    def programs(self, program: Program) -> list[RunPlan]:
        """The project's own programs, with the arguments that the project itself gives them."""
        return [self._as_named(self._placed(plan)) for plan in scripts.found(program)]

    def to_observe(self, program: Program) -> list[RunPlan]:
        """What to run before anything was found: all programs, and a few tests of models that none of them reaches."""
        plans = self.programs(program)
        reached = {path for plan in plans for path in plan.files}
        more: list[RunPlan] = []
        weights = _weights(program)
        for path in sorted(weights, key=lambda path: (-weights[path], path)):
            if path not in reached and path.suffix != NOTEBOOK and len(more) < MOST_OBSERVED:
                names = drivers.tops(program.modules[path].tree)
                more += tests.reaching(path, names, self._tree(path))[:1]
        return [*plans, *_merged(more)]

    def reaching(self, program: Program, lines: Mapping[Path, Collection[int]]) -> list[RunPlan]:
        """What else may run these lines, to be tried in this order where :meth:`programs` do not."""
        more: list[RunPlan] = []
        for path, wanted in sorted(lines.items()):
            module = program.modules.get(path)
            if module is None or path.suffix == NOTEBOOK:  # nobody imports a notebook
                continue
            names = {name for name, top in drivers.tops(module.tree).items() if any(map(drivers.spanning(top), wanted))}
            tree = self._tree(path)
            more += self._plain(program, path)
            more += tests.reaching(path, names, tree)
            more += _importing(path, tree)
            more += drivers.reaching(program, path, names, tree)
        order = {"program": 1, "test": 0, "driver": 2}
        return sorted(_merged(more), key=lambda plan: order[plan.kind])

    def _tree(self, path: Path) -> Tree:
        root = root_of(path)
        return self._trees.setdefault(root, Tree(root))

    def _placed(self, plan: RunPlan) -> RunPlan:
        places = self._tree(plan.target.cwd / plan.target.name).places
        return replace(plan, target=replace(plan.target, path=places))

    def _as_named(self, plan: RunPlan) -> RunPlan:
        """The plan with the arguments that the project gives the script, where it does."""
        path = plan.target.cwd / plan.target.name
        if plan.target.kind != "script" or plan.target.is_notebook:
            return plan
        if path not in self._named:
            self._named[path] = commands.naming(path, self._tree(path))
        best = self._named[path][:1]
        # How many steps its arguments ask for the source does not tell.
        return replace(plan, target=replace(best[0], path=plan.target.path), steps=0) if best else plan

    def _plain(self, program: Program, path: Path) -> Iterator[RunPlan]:
        """Scripts without the arguments that :meth:`programs` gives them: these may ask for what is not there."""
        for plan in scripts.found(program):
            placed = self._placed(plan)
            if path in plan.files and self._as_named(placed) != placed:
                yield placed


def _weights(program: Program) -> dict[Path, int]:
    """Files that make parameters or SVI objects -> how many."""
    found: dict[Path, int] = {}
    for module in (*(param.module for param in program.params), *(svi.module for svi in program.svis)):
        path = module.path
        if not path.name.startswith("test_") and path.name != "conftest.py":
            found[path] = found.get(path, 0) + 1
    return found


def _importing(path: Path, tree: Tree) -> Iterator[RunPlan]:
    """The file itself, where it can be run, and scripts that import it, with the arguments that the project gives."""
    mains = [file for file in tree.files if file not in tree.tests and _MAIN.search(tree.text(file))]
    nearest = [script for _, script in tree.importing(path, mains)[:MOST_SCRIPTS]]
    for script in [path, *nearest] if path in mains else nearest:
        named = commands.naming(script, tree)[:1]
        target = named[0] if named else scripts.target_of(script, tree.tree(script))
        origin = f"{script.name} imports {path.name}" if script != path else f"{path.name} can be run"
        yield RunPlan(replace(target, origin=origin, path=tree.places), files=frozenset({path}))


def _merged(plans: list[RunPlan]) -> list[RunPlan]:
    """Each command once, for all the files that it was found for."""
    merged: dict[tuple[Target, tuple[tuple[Path, bytes], ...]], RunPlan] = {}
    for plan in plans:
        key = replace(plan.target, origin=""), plan.added
        known = merged.get(key)
        merged[key] = plan if known is None else replace(known, files=known.files | plan.files)
    return list(merged.values())
