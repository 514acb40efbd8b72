"""What a notebook's cells find in Jupyter and a program does not: a shell, ``display``, packages that show things."""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib.abc
import importlib.machinery
import inspect
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

SUFFIX = ".ipynb"
#: Jupyter has it; where the project's environment has not, nothing but what is shown is missing.  Of widgets there are
#: values: these have stand-ins like any other module's.
_SHOWING = ("IPython",)


class _Inert:
    """Takes whatever is done with it, and does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # ``@interact`` and its like leave the function a function.
        return args[0] if len(args) == 1 and isinstance(args[0], FunctionType) and not kwargs else _Inert()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Inert()

    def __getitem__(self, key: Any) -> Any:
        return _Inert()

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __iter__(self) -> Iterator[Any]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __contains__(self, key: Any) -> bool:
        return False

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class _InertModule(ModuleType):
    """A module that has every name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        # A name in capitals may be inherited from.
        return _NAMES.get(name) or (type(name, (_Inert,), {}) if name[:1].isupper() else _Inert())


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds what nobody else does, of the packages that only show things."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        top = name.partition(".")[0]
        if top in _SHOWING and isinstance(sys.modules.get(top), (_InertModule, type(None))):
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _InertModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        # Others ask which one it is, matplotlib for its first figure.
        vars(module).update(__version__="9.0.0", version_info=(9, 0, 0, ""))


_SHELL = _Inert()
_NAMES: dict[str, Callable[..., Any]] = {
    "get_ipython": lambda: _SHELL,
    "display": lambda *_, **__: None,
    "clear_output": lambda *_, **__: None,
}


def install() -> None:
    """Give the program what Jupyter gives its cells."""
    for name in ("get_ipython", "display"):
        setattr(builtins, name, _NAMES[name])
    sys.meta_path.append(_Finder())


def compiled(tree: ast.Module, path: str) -> CodeType:
    """The code of all cells; they may await at their top level."""
    code: CodeType = compile(tree, path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    return code


def execute(code: CodeType, names: dict[str, Any]) -> None:
    """Run the cells, in an event loop of their own where they await."""
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, names)
        return
    # As the interpreter's own ``python -m asyncio`` does: evaluating such code gives a coroutine.
    asyncio.run(FunctionType(code, names)())
