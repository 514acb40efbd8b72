"""Programs that reach into the recorder: it shares a process with them, so what is recorded of them proves nothing.

Two things are looked for: the recorder's own names in what the program was made of, and what the recorder noticed of
itself (``probe/seal.py``).  Neither is found where somebody takes care to hide it; ``docs/security.md`` says so.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from pyro_fix.observation import Observation
from pyro_fix.runner.model import Target

#: How the probe's note begins.
REACHES = "the program reaches into the recorder"
_NAMES = re.compile(rb"_pyro_fix_\w+|\bPYRO_FIX_(?:SPEC|INSIDE)\b|\bpyro_fix(?:\.| import )probe\b")
_CODE = (".py", ".pyw", ".ipynb")
_LONGEST = 1 << 24


def noticed(observation: Observation) -> str:
    """What the recorder noticed; empty where that is nothing."""
    return next((text for text in observation.warnings if text.startswith(REACHES)), "")


def mentioned(target: Target, observation: Observation, texts: Mapping[Path, bytes]) -> str:
    """Where the program's code has a name of the recorder's; ``texts`` are what it sees in the place of files."""
    names = [target.name] if target.kind == "script" else []
    for path in sorted({target.cwd / name for name in [*names, *observation.loaded] if name.endswith(_CODE)}):
        data = texts[path] if path in texts else _read(path)
        found = _NAMES.search(data)
        if found:
            line = data.count(b"\n", 0, found.start()) + 1
            return f"{REACHES}: {os.path.relpath(path, target.cwd)}:{line} has {found[0].decode()}"
    return ""


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            return file.read(_LONGEST) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except (OSError, ValueError):
        return b""
