"""What Python can read of a cell, where IPython understands more: magics, shell lines and help.

IPython turns ``%matplotlib inline`` and its like into calls before Python sees the cell.  Here they become statements
that do nothing, in the same lines and with everything round them in its column, so that places in the syntax tree are
places in the cell.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass

_REST = r"(?:\\\r?\n|[^\r\n])*"  # of a line, and of those that a backslash joins to it
_BLANKS = r"[ \t]*"
_CELL_MAGIC = re.compile(rf"\s*%%(?P<name>\w+){_REST}")
#: A logical line that is IPython's from its first character on.
_ESCAPED = re.compile(rf"(?P<indent>{_BLANKS})(?P<magic>%{{1,2}}|[!?,;/]){_REST}")
#: ... or asks for help with its last.
_HELP = re.compile(rf"(?P<indent>{_BLANKS})%{{0,2}}[A-Za-z_*][\w.*]*\?{{1,2}}{_BLANKS}(?=\r|\n|\Z)")
_ASSIGNED = re.compile(rf"(?P<target>{_BLANKS}[A-Za-z_][\w ,.\[\]]*(?<![=!<>])={_BLANKS})[!%]{_REST}")
#: Line magics that run a statement: it is code like any other.
_TIMED = re.compile(rf"{_BLANKS}%(?:time|timeit|prun|memit)\b{_BLANKS}(?P<statement>{_REST})")
_CHDIR = re.compile(rf"(?P<indent>{_BLANKS})%cd\s+(?:-q\s+)?(?P<folder>[^\s'\"-]\S*){_BLANKS}")
_PYLAB = re.compile(rf"(?P<indent>{_BLANKS})%pylab\b{_REST}")
#: Cell magics whose cell is Python all the same.
_OF_PYTHON = frozenset({"time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "snakeviz", "wandb"})
#: What IPython takes for a magic without its ``%``, in a cell of one line.
_AUTOMAGIC = re.compile(
    r"(?:pip|conda|cd|ls|ll|pwd|cat|cp|mkdir|rm|mv|who|whos|clear|matplotlib|load_ext)\b(?!\s*[=(.,\[])"
)

#: One piece of Python on the way to the end of a logical line.
_PIECE = re.compile(
    r"""(?P<string>'''(?:\\.|[^\\])*?'''|\"\"\"(?:\\.|[^\\])*?\"\"\"|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*")
    |(?P<comment>\#[^\r\n]*)|(?P<open>[(\[{])|(?P<close>[)\]}])|(?P<joined>\\\r?\n)|(?P<end>\r\n|\r|\n)|(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_PYLAB_DOES = (
    "import numpy; import numpy as np; import matplotlib; from matplotlib import pylab, mlab, pyplot; plt = pyplot; "
    "from pylab import *"
)


@dataclass(frozen=True)
class Masked:
    """A cell as Python can read it; all texts have the cell's lines."""

    code: str
    """What is analysed: each node of its tree stands where the same characters stand in the cell."""
    program: str
    error: str = ""
    """Why nothing of the cell can be analysed; empty where all can."""

    @property
    def runs(self) -> str:
        """What is run in its place, as a part of one program."""
        return _runnable(self.program)


def masked(cell: str) -> Masked:
    """Take IPython's own syntax out of a cell."""
    error = _error(cell)
    if not error and not _is_automagic(cell):
        return Masked(cell, cell)
    if (magic := _CELL_MAGIC.match(cell)) and magic["name"] not in _OF_PYTHON:
        return Masked(_blank(cell), _blank(cell))
    if _is_automagic(cell):
        return Masked(_blank(cell), _blank(cell))
    code, runs = _without_magics(cell)
    error = _error(code)
    if not error:
        return Masked(code, runs)
    # IPython takes off what the whole cell is indented by, which would move everything in its tree.
    level = re.match(_BLANKS, runs.lstrip("\r\n"))
    dedented = re.sub(rf"(?m)^{level[0]}", "", runs) if level and level[0] else ""
    if dedented and not _error(dedented):
        return Masked(_blank(cell), dedented, "all of it is indented")
    return Masked(_blank(cell), f"raise SyntaxError({error!r}){_blank(cell)}", error)


def _error(code: str, path: str = "<cell>") -> str:
    try:
        ast.parse(code, path)
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (ValueError, RecursionError, MemoryError) as error:  # the last two: nested too deeply
        return str(error) or "is nested too deeply"
    return ""


def _is_automagic(cell: str) -> bool:
    return len(cell.split("\n", 1)) == 1 and _AUTOMAGIC.match(cell) is not None


def _blank(text: str) -> str:
    """The line ends of a text."""
    return re.sub(r"[^\r\n]", "", text)


def _runnable(code: str) -> str:
    """The same as a part of a program, whose other parts an import from the future or an error here must not touch."""
    if "__future__" in code:
        code = re.sub(r"(?m)^from[ \t]+__future__[ \t]+import[ \t]+(?:\([^)]*\)|[\w, \t]+)", _pass_for, code)
    try:
        compile(code, "<cell>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return f"raise SyntaxError({str(error)!r}){_blank(code)}"
    return code


def _pass_for(match: re.Match[str]) -> str:
    return f"pass{_blank(match[0])}"


def _without_magics(cell: str) -> tuple[str, str]:
    """The cell with statements that do nothing for IPython's own: as it is analysed, and as it is run."""
    code: list[str] = []
    runs: list[str] = []
    at = 0
    while at < len(cell):
        if (escaped := _ESCAPED.match(cell, at)) or (escaped := _HELP.match(cell, at)):
            analysed, run = _statement(escaped[0], escaped["indent"])
        elif escaped := _ASSIGNED.match(cell, at):
            analysed = run = f"{escaped['target']}[]{_blank(escaped[0][len(escaped['target']) :])}"
        else:
            end = _end_of_statement(cell, at)
            analysed = run = cell[at:end]
            code.append(analysed)
            runs.append(run)
            at = end
            continue
        code.append(analysed)
        runs.append(run)
        at = escaped.end()
        if (ending := re.compile(r"\r\n|\r|\n").match(cell, at)) is not None:
            code.append(ending[0])
            runs.append(ending[0])
            at = ending.end()
    return "".join(code), "".join(runs)


def _statement(line: str, indent: str) -> tuple[str, str]:
    """What takes the place of a magic or shell line, for the analysis and for the run."""
    nothing = f"{indent}0{_blank(line)}"
    timed = _TIMED.fullmatch(line)
    if timed and timed["statement"] and not _error(timed["statement"]):
        # ``0;`` and blanks, so that the statement stays in its column.
        kept = (indent + "0;").ljust(timed.start("statement")) + timed["statement"]
        return (kept, kept) if not _error(kept.strip()) else (nothing, nothing)
    if folder := _CHDIR.fullmatch(line):
        return nothing, f"{indent}__import__('os').chdir(__import__('os').path.expanduser({folder['folder']!r}))"
    if _PYLAB.fullmatch(line) and not indent:
        return nothing, _PYLAB_DOES + _blank(line)
    return nothing, nothing


def _end_of_statement(cell: str, at: int) -> int:
    """Where the logical line that starts at ``at`` ends, its line end included."""
    depth = 0
    while at < len(cell) and (piece := _PIECE.match(cell, at)) is not None:
        at = piece.end()
        if piece.lastgroup == "open":
            depth += 1
        elif piece.lastgroup == "close":
            depth = max(depth - 1, 0)
        elif piece.lastgroup == "end" and depth == 0:
            break
    return at
