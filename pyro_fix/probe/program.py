"""Run the user's program as Python itself would: as ``__main__``, with its own ``sys.argv`` and ``sys.path[0]``."""

from __future__ import annotations

import builtins
import importlib.machinery
import os
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from . import notebook
from .overlay import Overlay

#: The module that was ``__main__`` before: it must outlive its name, or its globals would be cleared.
_kept: list[ModuleType] = []


def script(overlay: Overlay, path: str, args: list[str]) -> None:
    """``python PATH ARGS``."""
    sys.argv = [path, *args]
    sys.path.insert(0, os.path.dirname(os.path.realpath(path)))
    absolute = os.path.abspath(path)
    loader = importlib.machinery.SourceFileLoader("__main__", absolute)
    tree = overlay.parse(overlay.read(absolute), absolute)
    overlay.view.note(os.path.realpath(absolute))
    if path.endswith(notebook.SUFFIX):
        notebook.install()
        _run(notebook.compiled(tree, path), notebook.execute, __spec__=None, __package__=None, __loader__=None)
        return
    code = compile(tree, path, "exec", dont_inherit=True)
    _run(code, exec, __file__=path, __loader__=loader, __spec__=None, __package__=None, __cached__=None)


def module(name: str, args: list[str]) -> None:
    """``python -m NAME ARGS``."""
    import runpy

    sys.argv = ["-m", *args]
    sys.path.insert(0, os.getcwd())
    _, spec, code = runpy._get_module_details(name, ModuleNotFoundError)  # type: ignore[attr-defined]
    sys.argv[0] = spec.origin
    _run(
        code,
        exec,
        __file__=spec.origin,
        __loader__=spec.loader,
        __spec__=spec,
        __package__=spec.parent,
        __cached__=spec.cached,
    )


def pytest(args: list[str], scratch: str, plugin: Any) -> int:
    """``python -m pytest ARGS``, with pytest's own cache outside the project."""
    sys.path.insert(0, os.getcwd())
    sys.argv = ["pytest", *args]
    import pytest as runner

    return int(runner.main([*args, "-o", "cache_dir=" + os.path.join(scratch, "pytest-cache")], plugins=[plugin]))


def _run(code: CodeType, execute: Callable[[CodeType, dict[str, Any]], None], **attributes: Any) -> None:
    main = ModuleType("__main__")
    vars(main).update(attributes, __builtins__=builtins)
    _kept.append(sys.modules["__main__"])
    sys.modules["__main__"] = main
    execute(code, vars(main))
