"""Whether the program has changed the recorder: it shares a process with it, so it can.

What the recorder consists of is remembered before the program begins, and compared now and then.  This sees who
replaces a function, a method or its code by another.  It does not see who changes what lies in the recorder's memory,
nor who has read this file: ``docs/security.md`` says what a verdict on a hostile program is worth.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import FunctionType
from typing import Any

#: Modules that are otherwise loaded when they are needed: by then somebody could have been there before.
_LATE = ("session", "look", "facts", "slices", "referee", "weights")


class Seal:
    """What the recorder consists of."""

    def __init__(self, objects: tuple[Any, ...]) -> None:
        """``objects``: those through whose methods all goes that is told."""
        for name in _LATE:
            importlib.import_module(f"{__package__}.{name}")
        self._objects = objects
        modules = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == __package__]
        spaces: list[tuple[str, Mapping[str, Any]]] = [(module.__name__, vars(module)) for module in modules]
        classes = {cls for _, space in spaces for cls in space.values() if isinstance(cls, type) and _ours(cls)}
        spaces += [(f"{cls.__module__}.{cls.__qualname__}", vars(cls)) for cls in classes]
        self._names = [
            (space, where, name, value)
            for where, space in spaces
            for name, value in list(space.items())
            if _acts(value)
        ]
        functions = {_function(value): f"{where}.{name}" for _, where, name, value in self._names}
        self._codes = [(f, name, f.__code__, f.__defaults__) for f, name in functions.items() if f is not None]

    def broken(self) -> str:
        """What is not as it was; empty when all is."""
        for space, where, name, value in self._names:
            if space.get(name) is not value:
                return f"{where}.{name}"
        for function, where, code, defaults in self._codes:
            if function.__code__ is not code or function.__defaults__ is not defaults:
                return where
        for one in self._objects:
            for name in vars(one):
                if callable(getattr(type(one), name, None)):  # in a method's place
                    return f"{type(one).__name__}.{name}"
        return ""


def _ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == __package__


def _acts(value: Any) -> bool:
    return callable(value) or isinstance(value, (property, staticmethod, classmethod))


def _function(value: Any) -> Any:
    """The function of ours that does the work."""
    value = getattr(value, "fget", None) or getattr(value, "__func__", value)
    ours = isinstance(value, FunctionType) and (value.__module__ or "").partition(".")[0] == __package__
    return value if ours else None
