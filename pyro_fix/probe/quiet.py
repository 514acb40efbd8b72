"""Small replacements that keep a program from blocking, drawing, stopping short, or writing through native code."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any

from .files import View


def matplotlib(module: ModuleType) -> None:
    """Stay with the file-only backend that the environment asks for."""
    vars(module)["use"] = lambda *_, **__: None


def pyplot(module: ModuleType) -> None:
    """Without a window ``show`` would warn, and a warning may be an error."""
    vars(module)["show"] = lambda *_, **__: None
    real = vars(module)["switch_backend"]
    # Not nothing: the first figure asks for its backend this way.
    vars(module)["switch_backend"] = lambda *_, **__: real("agg")


def tqdm(module: ModuleType) -> None:
    """Its monitor is a thread, and with threads there is no safe fork."""
    vars(module)["tqdm"].monitor_interval = 0


def tqdm_notebook(module: ModuleType) -> None:
    """Its bars are widgets, which need a browser and a package that need not be there."""
    std = sys.modules["tqdm.std"]
    for name in ("tqdm", "tqdm_notebook"):
        vars(module)[name] = std.tqdm
    for name in ("trange", "tnrange"):
        vars(module)[name] = std.trange


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
