"""What carries the mark of a stand-in."""

from __future__ import annotations


class Marked:
    """Stands in for something that is not there; whatever is computed from it is one of these as well."""

    __slots__ = ("_pyro_fix_module", "_pyro_fix_path")

    _pyro_fix_module: str
    """The missing module."""
    _pyro_fix_path: str
    """How it is spelled from there on: ``seaborn.heatmap()``."""
