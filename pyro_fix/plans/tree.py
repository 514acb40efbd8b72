"""The project round a file: its folder, its Python files, and which of them import which."""

from __future__ import annotations

import ast
import os
import re
from collections import deque
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pyro_fix import sources

#: What marks the top of a project; the first folder upwards that has one of them is the root.
_MARKERS = (".git", "pyproject.toml", "setup.py", "setup.cfg", "tox.ini")
_PASSED_OVER = frozenset({"node_modules", "site-packages", "__pycache__", "build", "dist", "venv", "env"})
#: A tree with more Python files than this is searched no further: the search must stay cheaper than a run.
MOST_FILES = 4000
#: How many imports may lie between a program and the file that it is to reach.
MOST_HOPS = 4


def root_of(path: Path) -> Path:
    """The folder of the project that a file belongs to; its own folder where nothing marks one."""
    folders = list(path.absolute().parents)
    return next((folder for folder in folders if any(os.path.exists(folder / name) for name in _MARKERS)), folders[0])  # noqa: PTH110


class Tree:
    """The files below one root, read when they are asked for."""

    def __init__(self, root: Path) -> None:
        """``root`` is absolute."""
        self.root = root
        self._trees: dict[Path, ast.Module | None] = {}
        self._imports: dict[Path, frozenset[Path]] = {}
        self._texts: dict[Path, bytes] = {}

    @cached_property
    def places(self) -> tuple[Path, ...]:
        """The folders that hold the project's modules; for a project that is not installed."""
        return tuple(folder for folder in (self.root, self.root / "src") if folder.is_dir())

    @cached_property
    def files(self) -> list[Path]:
        """Every Python file, by path."""
        return sorted(path for path in self._walked if path.suffix == ".py")

    @cached_property
    def tests(self) -> list[Path]:
        """Files of tests, by their names."""
        return [path for path in self.files if path.name.startswith("test_") or path.stem.endswith("_test")]

    @cached_property
    def documents(self) -> list[Path]:
        """Texts that tell people how to run things, those at the top first."""
        found = [path for path in self._walked if path.suffix in (".md", ".rst") or path.name.startswith("README")]
        return sorted(found, key=lambda path: (len(path.parts), path))[:200]

    @cached_property
    def _walked(self) -> list[Path]:
        found: list[Path] = []
        for folder, folders, names in os.walk(self.root):
            folders[:] = sorted(
                name
                for name in folders
                if not name.startswith(".")
                and name not in _PASSED_OVER
                and not Path(folder, name, "pyvenv.cfg").exists()
            )
            found += [Path(folder, name) for name in names if name.endswith((".py", ".md", ".rst")) or name == "README"]
            if len(found) > MOST_FILES:
                break
        return found

    def text(self, path: Path) -> bytes:
        """The bytes of a file; nothing where it cannot be read."""
        if path not in self._texts:
            try:
                self._texts[path] = sources.read_bytes(path)
            except sources.SourceError:
                self._texts[path] = b""
        return self._texts[path]

    def tree(self, path: Path) -> ast.Module | None:
        """The syntax tree of a file; None where it is no Python."""
        if path not in self._trees:
            try:
                self._trees[path] = ast.parse(self.text(path))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._trees[path] = None
        return self._trees[path]

    def hops(self, start: Path, goal: Path) -> int | None:
        """How many imports lead from one file to another; None where none do."""
        seen, queue = {start}, deque([(start, 0)])
        while queue:
            path, far = queue.popleft()
            if path == goal:
                return far
            if far < MOST_HOPS:
                for other in self.imports(path) - seen:
                    seen.add(other)
                    queue.append((other, far + 1))
        return None

    def importing(self, goal: Path, among: list[Path]) -> list[tuple[int, Path]]:
        """Those files that import ``goal``, nearest first."""
        words = {goal.stem, *(part for part in goal.relative_to(self.root).parts[:-1])}
        if goal.is_relative_to(self.root) and goal.stem == "__init__":
            words.discard("__init__")
        pattern = re.compile(rb"\b(?:" + b"|".join(re.escape(word).encode() for word in sorted(words)) + rb")\b")
        found = []
        for path in among:
            # Whoever imports it names the file or one of its packages.
            if path != goal and pattern.search(self.text(path)) and (far := self.hops(path, goal)) is not None:
                found.append((far, path))
        return sorted(found)

    def imports(self, path: Path) -> frozenset[Path]:
        """The project's files that a file imports itself."""
        if path not in self._imports:
            tree = self.tree(path)
            self._imports[path] = frozenset(self._imported(path, tree)) if tree is not None else frozenset()
        return self._imports[path]

    def _imported(self, path: Path, tree: ast.Module) -> Iterator[Path]:
        places = self._places(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    for base in places:
                        yield from _files(base.joinpath(*alias.name.split(".")))
            elif isinstance(node, ast.ImportFrom):
                parts = node.module.split(".") if node.module else []
                bases = [path.parents[node.level - 1]] if 0 < node.level <= len(path.parents) else places
                for base in bases:
                    module = base.joinpath(*parts)
                    yield from _files(module)
                    for alias in node.names:
                        yield from _files(module / alias.name)

    def _places(self, path: Path) -> list[Path]:
        """Where absolute imports of a file may lead."""
        return list(dict.fromkeys([path.parent, import_root(path), self.root, self.root / "src"]))


def import_root(path: Path) -> Path:
    """The folder that has to be on ``sys.path`` for a file to be imported by its full name."""
    folder = path.parent
    while (folder / "__init__.py").is_file() and folder != folder.parent:
        folder = folder.parent
    return folder


def dotted(path: Path) -> str:
    """The full name of the module at ``path``, seen from its :func:`import_root`."""
    parts = path.relative_to(import_root(path)).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _files(base: Path) -> Iterator[Path]:
    if base.name == "*":
        return
    if (file := base.with_name(base.name + ".py") if base.name else base).is_file():
        yield file
    elif (package := base / "__init__.py").is_file():
        yield package
