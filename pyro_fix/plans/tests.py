"""Tests of the project that import a file: of each test file a few functions, those that speak of what it holds."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from pyro_fix.plans.tree import Tree
from pyro_fix.runner.model import Target
from pyro_fix.verify.options import RunPlan

#: Test files that are tried for one file of the project.
MOST_FILES = 3
#: Test functions of one test file: whoever wants all of them can give a command.
MOST_TESTS = 4
_TRAINS = re.compile(r"svi|fit|train|\.step\(|elbo|guide|infer", re.I)


def reaching(path: Path, names: Collection[str], tree: Tree) -> list[RunPlan]:
    """Selections of tests that may run the definitions ``names`` of the file at ``path``, the most promising first."""
    ranked = []
    for far, test in tree.importing(path, tree.tests):
        functions = list(_selected(test, names, tree))
        score = max((score for score, _ in functions), default=0)
        ranked.append((far > 1, -score, far, test, [name for _, name in functions]))
    return [_plan(path, test, chosen, tree) for _, _, _, test, chosen in sorted(ranked)[:MOST_FILES]]


def _selected(test: Path, names: Collection[str], tree: Tree) -> Iterator[tuple[int, str]]:
    """Test functions as pytest names them (``TestFit::test_fit``), with how much they speak of ``names``."""
    parsed = tree.tree(test)
    if parsed is None:
        return
    text = tree.text(test).decode("utf-8", "replace")
    scored = []
    for holder, node in _functions(parsed):
        body = ast.get_source_segment(text, node) or ""
        speaks = sum(bool(re.search(rf"\b{re.escape(name)}\b", body)) for name in names)
        trains = _TRAINS.search(body) is not None
        if speaks or trains:
            scored.append((trains, speaks, -node.lineno, f"{holder}::{node.name}" if holder else node.name))
    for trains, speaks, _, name in sorted(scored, reverse=True)[:MOST_TESTS]:
        yield 3 * trains + speaks, name


def _functions(parsed: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    for node in parsed.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield "", node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and inner.name.startswith("test"):
                    yield node.name, inner


def _plan(path: Path, test: Path, chosen: list[str], tree: Tree) -> RunPlan:
    relative = test.relative_to(tree.root).as_posix()
    selection = [f"{relative}::{name}" for name in chosen] or [relative]
    settings = b"\n".join(
        tree.text(tree.root / name) for name in ("pyproject.toml", "pytest.ini", "tox.ini", "setup.cfg")
    )
    options = ["-q"]
    if b"addopts" in settings:
        options += ["-o", "addopts="]  # coverage and parallel workers would keep us from seeing the steps
    target = Target(
        "pytest", "", (*selection, *options), tree.root, f"{relative} imports {path.name}", path=tree.places
    )
    # More than there can be: all of the selection is run.
    return RunPlan(target, expect_svis=1000, files=frozenset({path}), kind="test")
