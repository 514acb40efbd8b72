"""Record what every SVI object of the program does, step by step, and stop the program when enough was seen.

Pyro's ``SVI``, its optimisers and its ELBOs are patched before the user's code runs (``patches``).  A step is a call of
``SVI.step`` (``steps``), or, in the lower-level pattern, an ELBO's loss with the optimiser's step that follows it
(``lower_level``).  What all of these share is here.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from . import patches
from .devices import Meter
from .ending import Ending
from .entries import Entry, Step, elbo_name, loss_of, particles
from .executions import name_of
from .lower_level import LowerLevel
from .overlay import Overlay
from .places import Places, cut
from .replicas import Replicas
from .seal import Seal
from .steps import Steps

#: How many different warnings are noted.
MOST_WARNINGS = 100


class Recorder:
    """Everything that is recorded in this process."""

    def __init__(self, spec: dict[str, Any], overlay: Overlay) -> None:
        """``spec`` is what the runner asks for."""
        self.spec = spec
        self.overlay = overlay
        self.journal = overlay.journal
        self.places = Places(overlay.view, spec["target"]["cwd"])
        self.most_steps: int = spec["steps"]
        self.replicas = Replicas(list(spec["seeds"]), spec["deadline"], self._lost)
        self.entries: list[Entry] = []
        self.current: Step | None = None
        """The call of ``SVI.step`` that is being made."""
        self.steps = Steps(self)
        self.lower_level = LowerLevel(self)
        self.ending = Ending(self)
        self.meter = Meter()
        self._by_svi: weakref.WeakKeyDictionary[Any, Entry] = weakref.WeakKeyDictionary()
        self._local = threading.local()
        self._warned: set[str] = set()

    def install(self) -> None:
        """Patch Pyro and torch."""
        patches.install(self)
        deep = self.spec["deep"]
        if deep is not None and deep["facts"]:
            self.places.watch_modules()
        self.overlay.ledger.holds = self._holds
        told = (self.journal, self.overlay.view, self.overlay.counter, self.overlay.ledger)
        self.journal.guard = Seal((self, self.steps, self.lower_level, self.ending, self.replicas, *told)).broken

    def _holds(self) -> bool:
        """Whether what a stand-in was made into matters only if a step follows: not in a step, nor in a worker."""
        return not self.inside and multiprocessing.parent_process() is None

    @property
    def inside(self) -> bool:
        """Whether this thread is within a recorded call: what patched functions do then is part of it."""
        return getattr(self._local, "inside", False)

    @inside.setter
    def inside(self, value: bool) -> None:
        self._local.inside = value

    @contextlib.contextmanager
    def passive(self) -> Iterator[None]:
        """While it lasts, calls of the patched functions go straight through."""
        kept = self.current, self.lower_level.pending, self.inside
        self.current = self.lower_level.pending = None
        self.inside = True
        self.overlay.view.noting = False
        try:
            yield
        finally:
            self.overlay.view.noting = True
            self.current, self.lower_level.pending, self.inside = kept

    def quietly(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do ``work``; what fails in it is our problem and not the program's."""
        try:
            # No catch_warnings here: leaving it makes Python forget which warnings it has shown.
            return work(*args)
        except Exception as error:
            self.journal.write("note", text=f"recording failed: {_brief(error)}")
            return None

    def warned(self, message: Any, category: Any, filename: str) -> None:
        """Note a warning of the program; of one that Pyro gives, in which step."""
        text = f"{getattr(category, '__name__', category)}: {message}".strip()
        if text in self._warned or len(self._warned) >= MOST_WARNINGS:
            return
        self._warned.add(text)
        told: dict[str, Any] = {"text": text[:500]}
        if self.places.is_pyro(filename) and not issubclass(category, (DeprecationWarning, FutureWarning)):
            step = self.current or self.lower_level.pending
            told["remark"] = {
                "text": cut(" ".join(str(message).split())),
                "where": self.places.around(sys._getframe(1)),
                "svi": None if step is None else step.entry.ordinal,
                "step": None if step is None else step.index,
                "seed": self.replicas.seed,
            }
        self.journal.write("warning", **told)

    # ------------------------------------------------------------------ SVI objects

    def built(self, svi: Any, loss: Any) -> None:
        """An SVI object was made."""
        if svi not in self._by_svi:
            entry = self._by_svi[svi] = self.new_entry()
            entry.svi = weakref.ref(svi)
            entry.elbo = loss

    def new_entry(self) -> Entry:
        """A new entry, for what the project is about to build or to call."""
        entry = Entry(len(self.entries), self.places.around(sys._getframe(1)))
        self.entries.append(entry)
        return entry

    def entry_of(self, svi: Any) -> Entry:
        """The entry of an SVI object, which may have been unpickled or built without ``__init__``."""
        if svi not in self._by_svi:
            self.built(svi, None)
        return self._by_svi[svi]

    def describe(self, entry: Entry, optimizer: str) -> None:
        """Tell what an SVI object is, once."""
        if entry.described:
            return
        entry.described = True
        elbo = loss_of(entry)
        self.journal.write(
            "svi",
            svi=entry.ordinal,
            where=entry.where,
            elbo=elbo_name(elbo),
            optimizer=optimizer,
            particles=particles(elbo),
            vectorized=bool(getattr(elbo, "vectorize_particles", False)),
            guide=name_of(entry.guide),
        )

    # ------------------------------------------------------------------ the program as a whole

    @property
    def stepped(self) -> bool:
        """Whether any SVI object has tried a step."""
        return any(entry.made for entry in self.entries)

    @property
    def cut_short(self) -> bool:
        """Whether the program got fewer steps than it asked for."""
        return self.ending.ever_skipped or any(entry.done for entry in self.entries)

    def _lost(self, seed: int, why: str) -> None:
        self.journal.write("lost", seed=seed, why=why)


def _brief(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}"[:300] + at
