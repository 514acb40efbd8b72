"""``file:line`` of places in the user's project; knows neither torch nor Pyro."""

from __future__ import annotations

import os
from types import FrameType

from .files import View


class Labels:
    """Labels of places in one project."""

    def __init__(self, view: View, cwd: str) -> None:
        """``cwd``: the folder that labels are relative to."""
        self._view = view
        self._bases = tuple(os.path.join(base, "") for base in dict.fromkeys((cwd, os.path.realpath(cwd))))

    def label(self, path: str, line: int | None) -> str:
        """``file:line`` of a place in the project; empty for any other."""
        path = os.path.abspath(path)
        if not self._view.in_project(path):
            return ""
        base = next((base for base in self._bases if path.startswith(base)), None)
        return f"{path if base is None else os.path.relpath(path, base)}:{line}"

    def around(self, frame: FrameType | None) -> str:
        """The innermost place in the project from which ``frame`` was reached."""
        while frame is not None:
            label = self.label(frame.f_code.co_filename, frame.f_lineno)
            if label:
                return label
            frame = frame.f_back
        return ""
