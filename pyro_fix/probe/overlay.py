"""Let every Python process of the run import, run and read the patched sources, and never a stale byte code file."""

from __future__ import annotations

import ast
import importlib.machinery
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from . import asking, files, marks, missing, quiet
from .files import View
from .journal import Journal
from .ledger import Ledger

#: Names the file with the run's description to every process of the run.
VARIABLE = "PYRO_FIX_SPEC"


class Overlay:
    """The patched sources of one run, in this process."""

    def __init__(self, spec: dict[str, Any], *, first: bool) -> None:
        """``first``: this is the process that the runner started, and not one that the program started."""
        self.spec = spec
        self.journal = Journal(spec["journal"])
        sandbox = spec["sandbox"]
        self.view = View(
            spec["overlay"],
            spec["roots"],
            spec["scratch"],
            self.journal,
            kept=[spec["save_states"]] if spec["save_states"] else [],
            free=sandbox["writable"] if sandbox else [],
            withheld=sandbox["withheld"] if sandbox else [],
            shared=not first,
            everywhere=sandbox is not None,
        )
        self.ledger = Ledger(self.journal, self.view, spec["target"]["cwd"])
        self.counter = marks.Counter(self.journal)
        self._marks = {
            path: {int(line): self.counter.number(label) for line, label in lines.items()}
            for path, lines in spec["marks"].items()
        }

    def install(self) -> None:
        """Replace what Python loads and reads sources with."""
        self.counter.install()
        files.install(self.view)
        _install_loader(self)
        if self.spec["stand_ins"]:
            missing.Missing(self.ledger, self.spec["roots"]).install()
        for name, after in AFTER_IMPORT.items():
            if name in sys.modules:  # in a fork of a process that has loaded much
                after(self, sys.modules[name])

    def parse(self, data: bytes, path: str) -> ast.Module:
        """Parse a source, with counters where it has marks."""
        tree = compile(data, path, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
        assert isinstance(tree, ast.Module)
        self.mark(tree, path)
        return tree

    def mark(self, tree: ast.Module, path: str) -> None:
        """Put what has to be heard of the file at ``path`` into its syntax tree: counters, and questions."""
        lines = self._marks.get(os.path.realpath(path))
        if lines:
            marks.insert(tree, lines)
        if self.spec["stand_ins"]:
            asking.insert(tree)

    def marked(self, path: str) -> bool:
        """Whether the file at ``path`` has lines to count."""
        return bool(self._marks) and os.path.realpath(path) in self._marks

    def concerns(self, path: str) -> bool:
        """Whether the main script at ``path`` differs from what Python itself would run."""
        return self.view.shown(path) is not None or self.marked(path)

    def read(self, path: str) -> bytes:
        """The bytes of the source at ``path`` that the program is to see."""
        with open(path, "rb") as file:
            data: bytes = file.read()
        return data


def _install_loader(overlay: Overlay) -> None:
    loader = importlib.machinery.SourceFileLoader
    real_get_code, real_get_data, real_exec = loader.get_code, loader.get_data, loader.exec_module
    plain_to_code = loader.source_to_code
    view = overlay.view

    def get_code(self: Any, fullname: str) -> Any:
        path = self.get_filename(fullname)
        if view.libraries.owns(os.path.abspath(path)) and not overlay.concerns(path):
            return real_get_code(self, fullname)
        # The user's own sources are compiled anew: a byte code file of equal time and size may be of another text,
        # and writing one would change the user's tree.
        data = self.get_data(path)
        view.note(os.path.realpath(path))
        heard = overlay.marked(path) or overlay.spec["stand_ins"]
        if heard and getattr(type(self), "source_to_code", None) is plain_to_code:
            return plain_to_code(self, overlay.parse(data, path), path)
        return self.source_to_code(data, path)

    def get_data(self: Any, path: Any) -> bytes:
        shown = view.shown(os.fspath(path))
        return real_get_data(self, path if shown is None else shown)

    def exec_module(self: Any, module: ModuleType) -> None:
        real_exec(self, module)
        after = AFTER_IMPORT.get(module.__name__)
        if after is not None:
            after(overlay, module)

    loader.get_code = get_code  # type: ignore[method-assign]
    loader.get_data = get_data  # type: ignore[method-assign]
    loader.exec_module = exec_module  # type: ignore[method-assign]


def _after_pytest(overlay: Overlay, module: ModuleType) -> None:
    """pytest compiles test files by itself, and keeps byte code by time and size."""
    rewrite = getattr(module, "rewrite_asserts", None)
    if rewrite is None:
        return

    def rewrite_asserts(tree: ast.Module, source: bytes, module_path: str | None = None, *args: Any) -> Any:
        if module_path is not None:
            overlay.view.note(os.path.realpath(module_path))
            overlay.mark(tree, module_path)
        return rewrite(tree, source, module_path, *args)

    vars(module)["rewrite_asserts"] = rewrite_asserts
    vars(module)["_read_pyc"] = lambda *_, **__: None
    vars(module)["_write_pyc"] = lambda *_, **__: False


#: What has to be done to a module once it is loaded.
AFTER_IMPORT: dict[str, Callable[[Overlay, ModuleType], None]] = {
    "_pytest.assertion.rewrite": _after_pytest,
    "matplotlib": lambda overlay, module: quiet.matplotlib(module),
    "matplotlib.pyplot": lambda overlay, module: quiet.pyplot(module),
    "torch.serialization": lambda overlay, module: quiet.serialization(overlay.view, module),
    "tqdm.std": lambda overlay, module: quiet.tqdm(module),
    "tqdm.notebook": lambda overlay, module: quiet.tqdm_notebook(module),
}


def enter(spec: dict[str, Any]) -> None:
    """Called by ``sitecustomize`` in every Python process of the run, before anything of the user's."""
    first = not os.environ.get("PYRO_FIX_INSIDE")
    os.environ["PYRO_FIX_INSIDE"] = "1"
    overlay = Overlay(spec, first=first)
    sys.modules[__package__].overlay_of_run = overlay  # type: ignore[attr-defined]
    overlay.install()
    if not first:
        _rerun_main_script(overlay, spec)


def _rerun_main_script(overlay: Overlay, spec: dict[str, Any]) -> None:
    """``python script.py`` in a child: the interpreter reads the script without asking us, so boot must run it."""
    script = sys.argv[0] if sys.argv else ""
    if not script.endswith(".py") or not os.path.isfile(script):
        return
    if not (overlay.concerns(script) or spec["stand_ins"]):
        return
    import subprocess

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    boot = os.path.join(os.path.dirname(os.path.abspath(__file__)), "boot.py")
    os.execv(sys.executable, [sys.executable, *flags, boot, "--script", script, *sys.argv[1:]])
