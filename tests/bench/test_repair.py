"""What ``bench/repair.py`` injects: real defects, the same for the same seed."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
PROGRAMS = sorted((BENCH / "programs").glob("*.py"))


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


defects = load("defects")
repair = load("repair")


@pytest.mark.parametrize("defect", defects.DEFECTS, ids=lambda d: d.code)
def test_each_defect_can_be_injected_and_changes_the_program(defect):
    texts = [(program, text) for program in PROGRAMS for text in defect.inject(defects.Script(program.read_text()))]
    assert texts
    for program, text in texts:
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(program.read_text()))


def test_every_tip_that_can_be_injected_is():
    """Tip 15 has no defect: a program without annealing is sound."""
    assert {int(defect.code[3:5]) for defect in defects.DEFECTS} == set(range(1, 17)) - {15}


def test_the_same_seed_gives_the_same_cases():
    def names(seed: int) -> list[tuple[str, str]]:
        return [(c.defect.code, c.program.name, c.text) for c in repair.cases(PROGRAMS, defects.DEFECTS, 3, seed)]

    assert names(0) == names(0) != names(1)
    assert len(names(0)) <= 3 * len(defects.DEFECTS)


def test_places_are_spread_over_the_programs():
    (constraint,) = [defect for defect in defects.DEFECTS if defect.code == "SVI051"]
    chosen = repair.cases(PROGRAMS, [constraint], 4, 0)
    assert len({case.program for case in chosen}) == 4
    assert len(repair.cases(PROGRAMS, [constraint], 0, 0)) > 4


@pytest.mark.parametrize("arguments", [["--select", "SVI999"], ["no/such/folder"]])
def test_bad_arguments_are_told(arguments: list[str]):
    result = subprocess.run([sys.executable, BENCH / "repair.py", *arguments], capture_output=True, text=True)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert "no such" in result.stderr.splitlines()[-1]


@pytest.mark.slow
def test_a_dropped_constraint_is_repaired():
    pytest.importorskip("pyro")
    command = [sys.executable, BENCH / "repair.py", "--select", "SVI051", "--places", "1", "--originals", "no"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "| SVI051 | a param without its constraint | 1 | 1 | 1 | 1 |" in result.stdout
