"""Keeps what is put in the place of something that is not there, and whether anything that came from it was used.

What comes out of a stand-in has a mark, and keeps it through whatever is computed.  It is lost where a plain value is
made of it (a number, the way that an ``if`` takes, the turns of a loop, a text), and where a library works on it: that
is told, with its place, unless the statement only shows the value (``outward``).  Of what happens after a program's
last step nothing is told: it has reached nothing by then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from . import outward
from .files import View
from .journal import Journal
from .labels import Labels
from .marked import Marked

#: In the messages of exceptions that stand-ins bring about.
SIGNS = ("StandIn", "stand-in for", "BaseException")
#: Libraries that look at all that a module holds.
_ONLOOKERS = frozenset(("_pytest", "pytest", "pluggy", "IPython"))
#: Parts of the standard library that only show what they are given, or take it for a name of a type.
_SHOWING = (
    *("logging/__init__.py", "pprint.py", "reprlib.py", "traceback.py", "warnings.py"),
    *("typing.py", "inspect.py", "dataclasses.py"),
)
#: ... and that keep what they are given under itself.
_KEEPING = ("weakref.py", "_weakrefset.py", "functools.py", "copy.py", "pickle.py")


class Ledger:
    """Of one process."""

    def __init__(self, journal: Journal, view: View, cwd: str) -> None:
        """``cwd``: the folder that places are relative to."""
        self._journal = journal
        self._view = view
        self._labels = Labels(view, cwd)
        self._kinds: dict[str, str] = {}
        self._known: dict[tuple[str, str], None] = {}
        self._pending: list[tuple[str, str, str]] = []
        self._used: dict[str, str] = {}
        self._reached = False
        self._shown: set[tuple[str, int]] = set()
        """Statements that have shown a plain value, and may fail for it."""
        self.starred = False
        """Whether the names of a stand-in were asked for, none of which is known."""
        self.holds: Callable[[], bool] = lambda: False
        """Whether what is lost now matters only if a step follows."""

    @property
    def used(self) -> bool:
        """Whether there is a stand-in."""
        return bool(self._used)

    def stands_for(self, module: str, lacking: str, frame: FrameType) -> None:
        """A stand-in for ``module`` was made, which cannot be imported for want of ``lacking``."""
        if module not in self._used:
            self._used[module] = self._labels.around(frame)
            told = {"what": module, "lacking": lacking, "where": self._used[module]}
            self._journal.write("substitute", kind="module", **told)

    def is_users(self, frame: FrameType) -> bool:
        """Whether a frame runs code of the user's own."""
        return self.is_users_code(frame.f_code.co_filename)

    def converted(self, one: Marked, how: str, frame: FrameType) -> None:
        """A plain value was made of a stand-in, by the code of ``frame``."""
        path = frame.f_code.co_filename
        kind = self._kind(path)
        if kind == "showing" or (kind == "user" and outward.keeps_nothing(frame)):
            self._shown.add(outward.place(path, frame.f_lineno))
            return
        self.reached(one, how, frame)

    def looked_up(self, one: Marked, frame: FrameType) -> None:
        """A stand-in was made the key of something: what is found there has no mark."""
        if self._kind(frame.f_code.co_filename) != "keeping":
            self.converted(one, "a key", frame)

    def touched(self, one: Marked, how: str, frame: FrameType) -> None:
        """Something was done with a stand-in that leaves the mark: whose code did it counts."""
        if self._kind(frame.f_code.co_filename) == "library":
            self.reached(one, how, frame)

    def reached(self, one: Marked, how: str, frame: FrameType) -> None:
        """What came from a stand-in may be anywhere from here on."""
        module, where = one._pyro_fix_module, self._labels.around(frame)
        if (module, where) in self._known:
            return
        self._known[module, where] = None
        self._pending.append((module, how, where))
        if not self.holds():
            self.commit()

    def commit(self) -> None:
        """What was lost until now can be used from now on."""
        told, self._pending = self._pending, []
        for module, how, where in told:
            self._reached = True
            self._journal.write("reached", what=module, how=how, where=where)

    def is_users_code(self, path: str) -> bool:
        """Whether a file is one of the user's own."""
        return self._kind(path) == "user"

    def excuse(self, error: BaseException) -> dict[str, Any] | None:
        """The failure that the program has without stand-ins, where one may have brought about ``error``."""
        if not self._used or not self._is_theirs(error):
            return None
        module = next(iter(self._known), next(iter(self._used.items())))[0]
        where = self._used[module]
        text = f"No module named '{module}' (a stand-in did not do: {type(error).__name__}: {error})"
        return {"kind": "ModuleNotFoundError", "message": text, "where": where, "site": "", "pyro": False}

    def blame(self, error: BaseException) -> None:
        """A step has raised ``error``: if a stand-in may have brought it about, it was used there."""
        if self._used and self._is_theirs(error):
            self.commit()
            if not self._reached:
                self._reached = True
                how = f"a {type(error).__name__} that it may have brought about"
                self._journal.write("reached", what=next(iter(self._used)), how=how, where="")

    def _is_theirs(self, error: BaseException) -> bool:
        if isinstance(error, NameError) or str(error).startswith("module '"):
            return self.starred
        if isinstance(error, ImportError):  # of something that is there
            return False
        # Files and networks fail by themselves.
        if (self._reached or self._pending) and not isinstance(error, OSError):
            return True
        if any(sign in str(error) for sign in SIGNS):
            return True
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            frame = trace.tb_frame
            if self.is_users(frame):
                if outward.place(frame.f_code.co_filename, trace.tb_lineno) in self._shown:
                    return True
            elif any(map(_holds_one, list(frame.f_locals.values()))):
                return True
            trace = trace.tb_next
        return False

    def _kind(self, path: str) -> str:
        """Whose code a file is."""
        kind = self._kinds.get(path)
        if kind is None:
            kind = self._kinds[path] = self._kind_of(path)
        return kind

    def _kind_of(self, path: str) -> str:
        if self._view.in_project(os.path.abspath(path)):
            return "user"
        for folder in ("site-packages", "dist-packages"):
            _, found, rest = path.rpartition(f"{os.sep}{folder}{os.sep}")
            if found:
                return "other" if rest.partition(os.sep)[0].partition(".")[0] in _ONLOOKERS else "library"
        if not self._view.libraries.owns(path):
            return "other"
        name = path.replace(os.sep, "/")
        kinds = {"showing": _SHOWING, "keeping": _KEEPING}
        return next((kind for kind, names in kinds.items() if name.endswith(tuple(f"/{n}" for n in names))), "other")


def _holds_one(value: Any) -> bool:
    if isinstance(value, Marked):
        return True
    if type(value) in (list, tuple):
        return any(isinstance(inner, Marked) for inner in value)
    return type(value) is dict and any(isinstance(inner, Marked) for inner in value.values())
