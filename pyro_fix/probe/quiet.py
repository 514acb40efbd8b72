"""Small replacements that keep a program from blocking, drawing, or writing through native code."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from .files import View


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
