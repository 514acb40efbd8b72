"""Where in the user's project something happens: ``file:line`` of frames, of Pyro's statements and of exceptions."""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import pyro
import pyro.nn.module
import torch
from pyro import poutine

from . import raised
from .files import View
from .labels import Labels

_PYRO = os.path.join(os.path.dirname(os.path.abspath(pyro.__file__)), "")
_TORCH = os.path.join(os.path.dirname(os.path.abspath(torch.__file__)), "")
_OWN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "")
_PRIMITIVES = os.path.join(_PYRO, "primitives.py")
#: What lies between a statement in the source and the messengers that hear of it.
_BETWEEN = (os.path.join(_PYRO, "poutine", ""), _PRIMITIVES, os.path.join(_PYRO, "nn", "module.py"), _OWN)
_READ = pyro.nn.module.PyroModule.__getattr__.__code__


#: Letters of a message that are kept: its beginning says what it is about, its end is often the cause.
MOST_LETTERS, LAST_LETTERS = 8000, 2600


def cut(text: str) -> str:
    """A text that is too long without its middle."""
    if len(text) <= MOST_LETTERS:
        return text
    return f"{text[: MOST_LETTERS - LAST_LETTERS - 1]}…{text[-LAST_LETTERS:]}"


class Places(Labels):
    """Labels of places in one project, and of what Pyro does there."""

    def __init__(self, view: View, cwd: str) -> None:
        """``cwd``: the folder that labels are relative to."""
        super().__init__(view, cwd)
        self._assigned: weakref.WeakKeyDictionary[Any, dict[str, str]] = weakref.WeakKeyDictionary()

    def statement(self, frame: FrameType | None) -> str:
        """The Pyro statement that ``frame`` serves; empty where a library makes it (an autoguide, ``pyro.module``)."""
        while frame is not None and frame.f_code.co_filename.startswith(_BETWEEN):
            if frame.f_code.co_filename == _PRIMITIVES and frame.f_code.co_name in ("module", "random_module"):
                return ""
            if frame.f_code is _READ:  # of an attribute: it was declared where it was assigned
                declared = self._assigned.get(frame.f_locals["self"], {}).get(frame.f_locals["name"])
                if declared is not None:
                    return declared
            frame = frame.f_back
        return "" if frame is None else self.label(frame.f_code.co_filename, frame.f_lineno)

    @staticmethod
    def is_pyro(path: str) -> bool:
        """Whether a file is one of Pyro's."""
        return os.path.abspath(path).startswith(_PYRO)

    def reader(self, frame: FrameType | None) -> str:
        """Who, torch and ourselves aside, asks for a value: ``file:line``; empty where it is Pyro."""
        while frame is not None and frame.f_code.co_filename.startswith((_TORCH, _OWN)):
            frame = frame.f_back
        if frame is None or frame.f_code.co_filename.startswith(_PYRO):
            return ""
        return self.label(frame.f_code.co_filename, frame.f_lineno) or f"{frame.f_code.co_filename}:{frame.f_lineno}"

    def watch_modules(self) -> None:
        """Remember where ``PyroParam`` attributes are assigned: they are read elsewhere."""
        cls: Any = pyro.nn.module.PyroModule
        real: Callable[..., None] = cls.__setattr__

        def __setattr__(this: Any, name: str, value: Any) -> None:
            if isinstance(value, pyro.nn.module.PyroParam):
                self._assigned.setdefault(this, {})[name] = self.statement(sys._getframe(1))
            real(this, name, value)

        cls.__setattr__ = __setattr__

    def failure(self, error: BaseException) -> dict[str, Any]:
        """An exception in the program, as the journal tells it."""
        where, at, through = "", ("", 0), False
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            path = trace.tb_frame.f_code.co_filename
            through = through or path.startswith(_PYRO)
            label = self.label(path, trace.tb_lineno)
            if label:
                where, at = label, (path, trace.tb_lineno)
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename and not where:
            where = self.label(error.filename, error.lineno)
        kind, message = type(error).__name__, cut(str(error))
        return {"kind": kind, "message": message, "where": where, "site": raised.site(error, *at), "pyro": through}


class Statements(poutine.messenger.Messenger):
    """Hears which statements a program makes, and notes where."""

    def __init__(self, places: Places) -> None:
        """The outermost of all messengers: it hears what traces hear."""
        super().__init__()
        self._places = places
        self.sites: dict[str, str] = {}
        self.params: dict[str, str] = {}

    def _pyro_sample(self, msg: Any) -> None:
        self.sites.setdefault(msg["name"], self._places.statement(sys._getframe(1)))

    def _pyro_param(self, msg: Any) -> None:
        self.params.setdefault(msg["name"], self._places.statement(sys._getframe(1)))
