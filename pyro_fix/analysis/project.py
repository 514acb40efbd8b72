"""Read the files of a project into a :class:`Program`."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from pyro_fix import internal, sources
from pyro_fix.analysis import couples, deltas, importers, names
from pyro_fix.analysis.interpreter import Interpreter, TooMuch
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.sources import OddError, Source, SourceError

#: Bytes without which a file cannot hold a finding, so that it is never parsed.
_PYRO = re.compile(rb"\bpyro\b")
_TRIGGER = re.compile(
    rb"\bparam\s*\(|\bparam\s+as\b|\.param\b|PyroParam\s*[(\n]|PyroParam\s+as\b"
    rb"|\bSVI\s*(?:\(|as\b)|[.=]\s*SVI\b|num_particles\s*=\s*(?:[2-9]|1\d)|init_scale\s*=\s*\d"
    rb"|\bdifferentiable_loss\b|\bloss_and_grads\b|ELBO\s*\([^()]*\)\s*\("
    rb"|validat\w+\s*(?:\(\s*|=\s*|\([^()]*=\s*)False\b|strict_enumeration_warning\s*=\s*False"
    rb"|\bdef\s+\w*guide"
)


#: Enough for ``MAX_NESTING`` expressions, each a few calls of ours.
RECURSION_LIMIT = 4000


def concerns(data: bytes) -> bool:
    """Whether a file with these bytes can hold a finding."""
    return mentions(data) and _TRIGGER.search(data) is not None


def mentions(data: bytes) -> bool:
    """Whether a file with these bytes has to do with Pyro."""
    return b"pyro" in data and _PYRO.search(data) is not None


def of_concern(path: Path, data: bytes) -> Source | None:
    """The file with these bytes where it can hold a finding; most can be told by the bytes alone.

    Of a notebook, the code is asked: outputs are many times as long.  Raises :class:`SourceError`.
    """
    if path.suffix != sources.NOTEBOOK:
        return sources.from_bytes(path, data) if concerns(data) else None
    notebook = sources.from_bytes(path, data) if mentions(data) else None
    return notebook if notebook and concerns(notebook.text.encode("utf-8", "replace")) else None


class Project:
    """Finds and reads modules; one object a run of pyro-fix."""

    def __init__(self, known: Mapping[Path, Source] | None = None, without: Collection[Path] = ()) -> None:
        """``known`` are texts to use in the place of files, by absolute path; files ``without`` are not read."""
        self._known = known or {}
        self.program = Program()
        self.unreadable: dict[Path, str] = {}
        """File -> why it cannot be read as Python, in one line."""
        self.failed: dict[Path, str] = {}
        """File -> what went wrong as it was analysed.  Facts may be missing then: analyse again without it."""
        self._interpreter = Interpreter(self.program, self)
        self._modules: dict[Path, Module | None] = dict.fromkeys(without)
        self._roots: dict[Path, tuple[Path, ...]] = {}
        self._exists: dict[Path, bool] = {}

    def read(self, files: Iterable[Source]) -> Program:
        """Gather the facts of ``files`` and of what they import from the project."""
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(max(limit, RECURSION_LIMIT))
        try:
            modules = [module for source in files if (module := self._add(source)) is not None]
            self.program.asked = {module.path for module in modules}
            for path, data in importers.importing(module.path for module in modules):
                if concerns(data) and self._at(path.with_suffix("")) is None:  # nobody asked for it
                    self.unreadable.pop(path, None)
                    self.failed.pop(path, None)
            for module in modules:
                self._interpreter.run_module(module)
            for module in list(self.program.modules.values()):
                if module.state == "new" and concerns(
                    module.source.data
                ):  # imported, and nothing was asked of it so far
                    self._interpreter.run_module(module)
            # those that import others first: a function is better understood by a call than on its own; all, because
            # a guide may live in a file that was only imported
            read = [module for module in self.program.modules.values() if module.state == "done"]
            for module in sorted(read, key=lambda m: -len(m.imports)):
                self._interpreter.run_rest(module)
            self.program.couples = list(couples.couples(self.program))
            deltas.require(self.program)
            self.program.params.sort(key=lambda p: (p.module.path, p.call.lineno, p.call.col_offset))
        finally:
            sys.setrecursionlimit(limit)
        return self.program

    def _add(self, source: Source) -> Module | None:
        path = source.path
        if path not in self._modules:
            try:
                tree = source.parse()
            except (RecursionError, MemoryError):
                self.failed[path] = "is nested too deeply to be parsed"
                self._modules[path] = None
                return None
            except (SyntaxError, ValueError) as error:
                where = f"line {error.lineno}: {error.msg}" if isinstance(error, SyntaxError) else str(error)
                self.unreadable[path] = f"cannot be parsed: {where}"
                self._modules[path] = None
                return None
            module = Module(source, tree, path.stem, self._interpreter.run_module)
            self._modules[path] = module
            self.program.modules[path] = module
        return self._modules[path]

    def give_up(self, module: Module, error: Exception) -> None:
        """Remember that a file could not be analysed."""
        words = str(error) if isinstance(error, TooMuch) else internal.told(error)
        self.failed.setdefault(module.path, words)

    def find(self, name: str, importing: Module) -> Module | None:
        """The project's file behind an import, read only when it can matter (see ``Importer``)."""
        if name.partition(".")[0] in names.ROOTS:
            return None
        level = len(name) - len(name.lstrip("."))
        parts = [part for part in name[level:].split(".") if part]
        if level:
            folder = importing.path.parent
            for _ in range(level - 1):
                folder = folder.parent
            return self._at(folder.joinpath(*parts))
        if parts[0] in sys.stdlib_module_names:
            return None
        for root in self._search_path(importing.path):
            if (found := self._at(root.joinpath(*parts))) is not None:
                return found
        return None

    def _search_path(self, path: Path) -> tuple[Path, ...]:
        """Where absolute imports of the file at ``path`` may lead: its own folder, and the root of its package."""
        folder = path.parent
        if folder not in self._roots:
            root = folder
            while self._is_file(root / "__init__.py") and root != root.parent:
                root = root.parent
            near = [folder, root, root / "src", *list(root.parents)[:2]]
            self._roots[folder] = tuple(dict.fromkeys(near))
        return self._roots[folder]

    def _at(self, base: Path) -> Module | None:
        for path in (base.with_name(base.name + ".py"), base / "__init__.py"):
            if path in self._modules:
                return self._modules[path]
            if self._is_file(path):
                try:
                    source = self._known.get(path) or sources.read(path)
                except SourceError as error:
                    self._modules[path] = None
                    if isinstance(error, OddError):
                        self.failed[path] = str(error).removeprefix(f"{path}: ")
                    return None
                if _PYRO.search(source.data) is None and b"torch" not in source.data:
                    self._modules[path] = None
                    return None
                return self._add(source)
        return None

    def _is_file(self, path: Path) -> bool:
        if path not in self._exists:
            try:
                self._exists[path] = path.is_file()
            except (OSError, ValueError):  # a name that is too long, a folder that may not be entered
                self._exists[path] = False
        return self._exists[path]
