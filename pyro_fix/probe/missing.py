"""Imports of the user's own files that would end the program give stand-ins instead.

Only these: where the program or a library tries whether a module is there, it hears that it is not.  Nothing is put
into ``sys.modules``, so that no library finds a stand-in by accident.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from types import FrameType
from typing import Any

from . import asking, outward, standin
from .ledger import Ledger

#: What programs are about; nothing of theirs that is missing is made up.
_NEVER = frozenset(("numpy", "pyro", "pyroapi", "torch"))
#: The beginning of the names of our own programs (``plans/drivers.py``), which try one thing after the other.
_DRIVER = ".pyro-fix-driver-"
#: Entries of the project that are looked at for a module of its own.
_MOST_ENTRIES = 20_000


class Missing:
    """The stand-ins for modules in this process."""

    def __init__(self, ledger: Ledger, roots: list[str]) -> None:
        """``roots``: the project's folders."""
        self._ledger = ledger
        self._roots = roots
        self._own: dict[str, bool] = {}
        self._made: dict[str, Any] = {}
        standin.report_to(ledger)

    def install(self) -> None:
        """Ask this object about every import that fails."""
        asking.install(standin.lost)
        real, real_module = builtins.__import__, importlib.import_module

        def __import__(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> Any:
            try:
                return real(name, globals, locals, fromlist, level)
            except ModuleNotFoundError as error:
                found = None if level else self._instead(error, name, tuple(fromlist or ()), sys._getframe(1))
                if found is None:
                    raise
                return found

        def import_module(name: str, package: Any = None) -> Any:
            try:
                return real_module(name, package)
            except ModuleNotFoundError as error:
                found = None if name.startswith(".") else self._instead(error, name, ("",), sys._getframe(1))
                if found is None:
                    raise
                return found

        # Warnings speak of whoever imports, and pass over frames of files that are called so.
        __import__.__code__ = __import__.__code__.replace(co_filename="<importlib._bootstrap of pyro-fix>")
        builtins.__import__ = __import__
        importlib.import_module = import_module

    def _instead(self, error: ModuleNotFoundError, name: str, wanted: tuple[str, ...], frame: FrameType) -> Any:
        """What an import of ``wanted`` from ``name`` gives in ``frame``; None where it is to fail."""
        lacking = error.name or ""
        top = lacking.partition(".")[0]
        if not top or top in _NEVER or name in _NEVER or not self._ledger.is_users(frame):
            return None
        if _is_tried(self._ledger, frame) or self._is_own(top):
            return None
        found = self._of_library(name, wanted, lacking, frame)
        if found is None:
            found = self._stand_in(name, name.partition(".")[0], lacking, frame) if not wanted else None
        if found is None:
            found = self._stand_in(name, name, lacking, frame)
        if "*" in wanted:
            self._ledger.starred = True
        return found

    def _of_library(self, name: str, wanted: tuple[str, ...], lacking: str, frame: FrameType) -> Any:
        """A package that is there, with stand-ins for those of its modules that cannot be had; None for another one.

        ``import torch.utils.tensorboard`` and ``from torch.utils import tensorboard``, where there is no TensorBoard.
        """
        top, *rest = name.split(".")
        try:
            found = owner = importlib.import_module(top)
        except Exception:
            return None
        for at, part in enumerate(rest, 1):
            path = ".".join([top, *rest[:at]])
            try:
                owner = importlib.import_module(path)
            except Exception:
                if wanted:
                    return None
                if not hasattr(owner, part):
                    setattr(owner, part, self._stand_in(path, path, lacking, frame))
                return found
        for part in wanted:
            if not hasattr(owner, part) and part != "*":
                setattr(owner, part, self._stand_in(f"{name}.{part}", f"{name}.{part}", lacking, frame))
        return owner

    def _stand_in(self, module: str, path: str, lacking: str, frame: FrameType) -> Any:
        if path not in self._made:
            module = lacking if module.partition(".")[0] == lacking.partition(".")[0] else module
            self._made[path] = standin.make(module, path)
            self._ledger.stands_for(module, lacking, frame)
            _adapt_torch()
        return self._made[path]

    def _is_own(self, top: str) -> bool:
        """Whether a module of this name lies somewhere in the project: then it is the path that is wrong."""
        if top not in self._own:
            self._own[top] = any(_lies_below(root, top) for root in self._roots)
        return self._own[top]


def _is_tried(ledger: Ledger, frame: FrameType | None) -> bool:
    """Whether the program itself deals with what fails in ``frame``."""
    while frame is not None:
        is_driver = os.path.basename(frame.f_code.co_filename).startswith(_DRIVER)
        if ledger.is_users(frame) and outward.catches(frame) and not is_driver:
            return True
        frame = frame.f_back
    return False


def _lies_below(root: str, top: str) -> bool:
    seen = 0
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _FOREIGN]
        if f"{top}.py" in files:
            return True
        if os.path.basename(folder) == top and folder != root and any(name.endswith(".py") for name in files):
            return True
        seen += len(folders) + len(files)
        if seen > _MOST_ENTRIES:
            break
    return False


_FOREIGN = ("site-packages", "dist-packages", "node_modules", "__pycache__")


def _adapt_torch() -> None:
    """Have torch make numbers of stand-ins: it asks for nothing that they could answer."""
    torch = sys.modules.get("torch")
    if torch is None or getattr(torch.tensor, "_pyro_fix", False):
        return

    def adapted(real: Any) -> Any:
        def make(data: Any, *args: Any, **kwargs: Any) -> Any:
            return real(standin.plain(data), *args, **kwargs)

        vars(make).update(_pyro_fix=True, __name__=real.__name__, __doc__=real.__doc__)
        return make

    for name in ("tensor", "as_tensor", "asarray"):
        if hasattr(torch, name):
            setattr(torch, name, adapted(getattr(torch, name)))
