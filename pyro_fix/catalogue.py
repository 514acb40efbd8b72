"""Find the transforms: every package that an installed distribution names as an entry point ``pyro_fix.transforms``."""

from __future__ import annotations

import copy
import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import entry_points
from typing import get_origin

from pyro_fix.transform import Transform

GROUP = "pyro_fix.transforms"


@cache
def load() -> tuple[Transform, ...]:
    """Every transform, sorted by code; our own catalogue is found like anybody else's.

    Raises :class:`ValueError` when two transforms claim one code.
    """
    packages = {entry.value for entry in entry_points(group=GROUP)}
    found: dict[str, Transform] = {}
    for package in sorted(packages):
        for transform in _in_package(package):
            other = found.setdefault(transform.code, transform)
            if type(other) is not type(transform):
                raise ValueError(f"{package}: the code {transform.code} is taken by {type(other).__module__}")
    return tuple(found[code] for code in sorted(found))


def _in_package(package: str) -> Iterable[Transform]:
    module = importlib.import_module(package)
    for info in pkgutil.iter_modules(module.__path__):
        if info.name.startswith("_"):
            continue
        inner = importlib.import_module(f"{package}.{info.name}")
        for value in vars(inner).values():
            # a file may import another one's class to build on it: only its own counts; Python 3.10 takes an alias
            # such as list[str] for a class
            if (
                isinstance(value, type)
                and get_origin(value) is None
                and issubclass(value, Transform)
                and value.__module__ == inner.__name__
            ):
                yield value()


def select(
    transforms: Sequence[Transform], select: Sequence[str], ignore: Sequence[str], extend: Sequence[str] = ()
) -> tuple[Transform, ...]:
    """The transforms to run: those on by default, or exactly the selected ones, and ``extend``, less the ignored ones.

    All three hold codes or prefixes of them.  Raises :class:`ValueError` for one that matches nothing.
    """
    codes = [transform.code for transform in transforms]
    for prefix in (*select, *ignore, *extend):
        if not any(code.startswith(prefix.upper()) for code in codes) or not prefix:
            near = difflib.get_close_matches(prefix.upper(), codes, n=1, cutoff=0.3)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"no transform has a code that begins with {prefix!r}{hint} (see: pyro-fix rules)")

    def matches(code: str, prefixes: Sequence[str]) -> bool:
        return any(code.startswith(prefix.upper()) for prefix in prefixes)

    def wanted(transform: Transform) -> bool:
        return (matches(transform.code, select) if select else transform.default) or matches(transform.code, extend)

    return tuple(t for t in transforms if wanted(t) and not matches(t.code, ignore))


def configure(transforms: Sequence[Transform], thresholds: Mapping[str, Mapping[str, float]]) -> tuple[Transform, ...]:
    """The transforms with their thresholds set: ``{"SVI071": {"widest": 2.0}}``.

    Raises :class:`ValueError` for a code or a name that there is not.
    """
    by_code = {transform.code: transform for transform in transforms}
    for code, values in thresholds.items():
        known = type(by_code[code]).thresholds() if code in by_code else {}
        if code not in by_code:
            raise ValueError(f"there is no transform {code!r} to set thresholds of (see: pyro-fix rules)")
        for name in values:
            if name not in known:
                has = f"it has {', '.join(sorted(known))}" if known else "it has none"
                raise ValueError(f"{code} has no threshold {name!r}: {has}")
        by_code[code] = copy.copy(by_code[code])
        by_code[code].configured = dict(values)
    return tuple(by_code.values())
