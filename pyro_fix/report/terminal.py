"""What a terminal gets in colour; only this module imports rich, and only for a terminal."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from pyro_fix.diffs import unified
from pyro_fix.result import Change
from pyro_fix.visible import visible

_STYLES = {"---": "bold", "+++": "bold", "@@": "cyan", "+": "green", "-": "red", "\\": "dim"}


def print_diff(change: Change, cwd: Path) -> None:
    """The diff of one file, a colour a kind of line."""
    console = Console(highlight=False)
    source = change.source
    diff = unified(source.raw(source.text), source.raw(change.text), source.path, cwd)
    for line in diff.removesuffix("\n").split("\n"):
        style = next((style for start, style in _STYLES.items() if line.startswith(start)), "")
        # A Text, because rich takes brackets in a string for markup; soft, because wrapping would break lines.
        console.print(Text(visible(line.removesuffix("\r")), style), soft_wrap=True)


def print_markdown(text: str) -> None:
    """A transform's documentation."""
    Console().print(Markdown(visible(text)))
