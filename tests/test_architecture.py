"""Imports go one way, and the static path stays light: ARCHITECTURE.md says so, this checks it."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pyro_fix_transforms

import pyro_fix

PACKAGE = Path(pyro_fix.__file__).parent
CATALOGUE = Path(pyro_fix_transforms.__file__).parent

#: A module may import those of its own line and of lines above it.
ORDER = (
    ("sources", "notebook", "observation", "watch", "internal", "interruption", "regular", "visible"),
    ("transform", "analysis"),  # analysis knows transform for typing alone, and the other way round
    (
        "proof",
        "result",
        "mended",
        "diffs",
        "rewrite",
        "edits",
        "imports",
        "suppress",
        "fingerprint",
        "catalogue",
        "config",
    ),
    ("runner",),
    ("verify",),
    ("plans",),
    ("trust",),
    ("judge", "reproduce"),
    ("culprits", "choices", "tuning"),
    ("engine",),
    ("report", "apply"),
    ("bot",),
    ("cli",),
    ("__main__",),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def _imports(path: Path) -> set[str]:
    """Dotted names that a file imports, those for type checkers aside."""
    tree = ast.parse(path.read_bytes())
    typing_only = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in typing_only:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def test_every_module_has_its_place() -> None:
    parts = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    assert parts - {"__init__", "__pycache__", "probe"} == set(RANK)


def test_imports_go_one_way() -> None:
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for name in _imports(path):
            parts = name.split(".")
            if parts[0] != "pyro_fix" or len(parts) < 2 or parts[1] not in RANK or own not in RANK:
                continue
            if RANK[parts[1]] > RANK[own]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {name}")
    assert not wrong


def test_the_probe_stands_alone() -> None:
    for path in (PACKAGE / "probe").glob("*.py"):
        assert not {name for name in _imports(path) if name.startswith("pyro_fix.")}, path


def test_only_the_probe_knows_torch() -> None:
    for path in [*PACKAGE.rglob("*.py"), *CATALOGUE.glob("*.py")]:
        if "probe" not in path.parts:
            # ArviZ, which brings numpy, is loaded where k̂ is asked for.
            heavy = ("torch", "pyro") if path.name == "psis.py" else ("torch", "pyro", "numpy")
            assert not {n for n in _imports(path) if n.split(".")[0] in heavy}, path


def test_transforms_know_neither_runs_nor_reports() -> None:
    for path in CATALOGUE.glob("*.py"):
        for name in _imports(path):
            parts = name.split(".")
            assert parts[0] != "pyro_fix" or RANK[parts[1]] <= RANK["edits"], f"{path.name} imports {name}"


def test_a_sound_file_costs_no_heavy_import(tmp_path: Path) -> None:
    file = tmp_path / "sound.py"
    file.write_text("import pyro\n\npyro.param('loc', 0.0)\n")
    command = [sys.executable, "-X", "importtime", "-m", "pyro_fix", "--no-verify", str(file)]
    result = subprocess.run(command, capture_output=True, text=True)
    imported = {line.rpartition("|")[2].strip().split(".")[0] for line in result.stderr.splitlines() if "|" in line}
    assert result.returncode == 0, result.stderr
    assert not imported & {"torch", "pyro", "numpy", "libcst", "rich"}
