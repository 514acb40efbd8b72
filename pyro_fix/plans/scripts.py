"""The user's commands, and the scripts of the project that step an SVI object themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pyro_fix.analysis.program import Program, Step, Svi
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.spell import step_count
from pyro_fix.analysis.values import Made, options
from pyro_fix.plans.tree import dotted, import_root
from pyro_fix.runner import target
from pyro_fix.runner.model import Target
from pyro_fix.sources import NOTEBOOK
from pyro_fix.verify.options import RunPlan

#: Steps of a training, most of which are not made, after which a program may be waited for to begin the next one.
SHORT = 2000


def given(commands: Sequence[str], cwd: Path) -> list[RunPlan]:
    """The programs of ``--run``; raises :class:`ValueError` for a command that is no Python program."""
    return [RunPlan(target.parse(command, cwd)) for command in commands]


def found(program: Program) -> list[RunPlan]:
    """A program for every file that steps an SVI object at its top level or under ``__main__``."""
    entries: dict[Module, list[tuple[Svi, Step]]] = {}
    for svi in program.svis:
        for step in svi.steps:
            if step.entry is not None:
                entries.setdefault(step.entry, []).append((svi, step))
    return [
        RunPlan(
            _target(module),
            _expected(program, [svi for svi, _ in pairs]),
            frozenset(_files(module)),
            steps=_steps(program, [svi for svi, _ in pairs]),
        )
        for module, pairs in sorted(entries.items(), key=lambda item: item[0].path)
    ]


def _expected(program: Program, svis: Sequence[Svi]) -> int:
    """How many SVI objects the program builds; 0 when a loop builds them, so that nobody can tell.

    Where a loop does and the first one is soon over, a second one shows what that leaves behind: the parameter store.
    """
    if any(svi.loops for svi in svis):
        return 2 if all(_is_short(program, svi) for svi in svis) else 0
    return len({id(svi) for svi in svis})


def _is_short(program: Program, svi: Svi) -> bool:
    counts = _counts(program, svi)
    return bool(counts) and all(count is not None and count <= SHORT for count in counts)


def _steps(program: Program, svis: Sequence[Svi]) -> int:
    """How many steps the longest training makes; 0 where one of them is not known."""
    counts = [count for svi in {id(svi): svi for svi in svis}.values() for count in _counts(program, svi)]
    known = [count for count in counts if count is not None]
    return max(known, default=0) if len(known) == len(counts) else 0


def _counts(program: Program, svi: Svi) -> list[int | None]:
    return [step_count(program, made, made.scope).literal for made in options(svi.optimizer) if isinstance(made, Made)]


def _files(module: Module) -> Iterator[Path]:
    yield module.path
    for imported in module.imports:
        yield imported.path


def _target(module: Module) -> Target:
    name = module.path.name
    found = target_of(module.path, module.tree)
    return replace(found, origin=f"{found.name if found.kind == 'module' else name} steps an SVI object when it is run")


def target_of(path: Path, tree: ast.Module | None) -> Target:
    """Run a file the way it was meant: as a script, or as a module where it imports from its own package."""
    if path.suffix == NOTEBOOK:
        return Target("script", path.name, (), path.parent, "")
    root = import_root(path)
    if root != path.parent and tree is not None and _needs_package(tree, path.relative_to(root).parts[0]):
        return Target("module", dotted(path), (), root, "")
    return Target("script", str(path), (), path.parent, "")


def _needs_package(tree: ast.Module, package: str) -> bool:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            if node.level or (node.module or "").partition(".")[0] == package:
                return True
        elif isinstance(node, ast.Import) and any(a.name.partition(".")[0] == package for a in node.names):
            return True
    return False
