"""Small replacements that keep a program from blocking, drawing, stopping short, or writing through native code."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from .files import View
from .journal import Journal


def matplotlib(module: ModuleType) -> None:
    """Stay with the file-only backend that the environment asks for."""
    vars(module)["use"] = lambda *_, **__: None


def pyplot(module: ModuleType) -> None:
    """Without a window ``show`` would warn, and a warning may be an error."""
    vars(module)["show"] = lambda *_, **__: None
    vars(module)["switch_backend"] = lambda *_, **__: None


def tqdm(module: ModuleType) -> None:
    """Its monitor is a thread, and with threads there is no safe fork."""
    vars(module)["tqdm"].monitor_interval = 0


def serialization(view: View, module: ModuleType) -> None:
    """``torch.save`` hands a path to native code."""
    real = vars(module)["save"]

    def save(obj: Any, f: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(f, (str, os.PathLike)):
            path = os.fspath(f)
            f = view.writing(path, keeps=False, makes=True) or path
        real(obj, f, *args, **kwargs)

    save.__doc__ = real.__doc__
    vars(module)["save"] = save


def version(pyro: Any, journal: Journal) -> None:
    """Let ``assert pyro.__version__.startswith("1.9.1")``, which many a program begins with, pass for its series."""
    real = str(pyro.__version__)

    class Version(str):
        """Pyro's version, which answers for the other releases of its major version."""

        def startswith(self, prefix: Any, *args: Any) -> bool:
            found = real.startswith(prefix, *args)
            if found or args or not isinstance(prefix, str) or prefix.split(".")[0] != real.split(".")[0]:
                return found
            journal.write("note", text=f"the program asks for Pyro {prefix} and was run with {real}")
            return True

    pyro.__version__ = Version(real)
