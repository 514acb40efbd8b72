"""How the bot behaves: ``[tool.pyro-fix.bot]``, and the options of its commands."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from typing import Any

from pyro_fix.bot.plan import GROUPINGS, GroupBy
from pyro_fix.config import ConfigError

_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(/[A-Za-z0-9][A-Za-z0-9_-]*)*[/-]")


@dataclass(frozen=True)
class Settings:
    """Every setting of the bot; the configuration uses these names with hyphens."""

    group_by: GroupBy = "all"
    """What one pull request holds: everything, the fixes of one transform, or those of one file."""
    limit: int = 3
    """How many of its pull requests may be open at a time."""
    branch_prefix: str = "pyro-fix/"
    """What its branches begin with; it ends in ``/`` or ``-``, and no other branch may begin with it."""
    base: str = ""
    """The branch that is to be mended; empty means the repository's default branch."""
    labels: tuple[str, ...] = ("pyro-fix",)
    """What its pull requests are labelled with; ``unverified`` is added where it is true."""


def settings(table: object, given: dict[str, Any], origin: str = "pyproject.toml") -> Settings:
    """What ``[tool.pyro-fix.bot]`` and the command line say; None in ``given`` means "not given".

    Raises :class:`ConfigError` with one line.
    """
    if not isinstance(table, dict):
        raise ConfigError(f"{origin}: tool.pyro-fix.bot must be a table")
    known = {field.name.replace("_", "-"): field.name for field in fields(Settings)}
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{origin}: unknown key {key!r} in [tool.pyro-fix.bot]: there are {', '.join(known)}")
        values[known[key]] = _checked(known[key], value, f"{origin}: tool.pyro-fix.bot.{key}")
    for name, value in given.items():
        if value is not None:
            values[name] = _checked(name, value, f"--{name.replace('_', '-')}")
    return replace(Settings(), **values)


def without_trust(table: object) -> tuple[object, dict[str, object]]:
    """What counts of a table in a tree that the user does not trust, and what does not.

    A stranger is not to send the token to other branches, nor to set off what labels set off.
    """
    if not isinstance(table, dict):
        return table, {}
    most = Settings().limit
    refused = {
        key: value
        for key, value in table.items()
        if key in ("labels", "base", "branch-prefix") or (key == "limit" and isinstance(value, int) and value > most)
    }
    return {key: value for key, value in table.items() if key not in refused}, refused


def _checked(name: str, value: object, label: str) -> object:
    if name == "group_by":
        if value not in GROUPINGS:
            raise ConfigError(f"{label} must be one of {', '.join(GROUPINGS)}, not {value!r}")
    elif name == "limit":
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise ConfigError(f"{label} must be a whole number of at least 1, not {value!r}")
    elif name == "labels":
        if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
            raise ConfigError(f"{label} must be a list of names, not {value!r}")
        return tuple(value)
    elif name == "branch_prefix":
        if not isinstance(value, str) or not _PREFIX.fullmatch(value):
            raise ConfigError(f"{label} must be letters and digits that end in / or -, not {value!r}")
    elif not isinstance(value, str):
        raise ConfigError(f"{label} must be the name of a branch, not {value!r}")
    return value
