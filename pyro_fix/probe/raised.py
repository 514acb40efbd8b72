"""Which sample site was being run when an exception was raised, as far as that can be told."""

from __future__ import annotations

import ast
import linecache
import os
import re
from types import TracebackType

import pyro.primitives

_PRIMITIVES = os.path.abspath(pyro.primitives.__file__)
_SAYS_SITE = re.compile(r"\bat site ['\"]([^'\"]+)['\"]")


def site(error: BaseException, path: str, line: int) -> str:
    """The site's name; empty where it is not known.  ``path`` and ``line``: the innermost place in the project.

    Known are the statement that was being executed, the one that the message names, and the one that the source spells
    round the place: its distribution is made before the statement itself runs.
    """
    running = ""
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        frame = trace.tb_frame
        if frame.f_code.co_name == "sample" and os.path.abspath(frame.f_code.co_filename) == _PRIMITIVES:
            running = str(frame.f_locals.get("name", ""))
        trace = trace.tb_next
    said = _SAYS_SITE.search(str(error))
    return running or (said.group(1) if said else "") or _spelled("".join(linecache.getlines(path)), line)


def _spelled(text: str, line: int) -> str:
    """The literal name of the innermost ``sample("name", ...)`` round a line."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "attr", getattr(node.func, "id", "")) == "sample"
        and node.lineno <= line <= (node.end_lineno or node.lineno)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    if not found:
        return ""
    name = min(found, key=lambda call: (call.end_lineno or call.lineno) - call.lineno).args[0]
    assert isinstance(name, ast.Constant)
    return str(name.value)
