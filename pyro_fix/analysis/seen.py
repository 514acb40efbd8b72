"""What runs showed, joined to the static facts: which SVI object, param or site of the source an observation is about.

A fact of the source and one of a run are matched by the place of the call, and by the name where the source spells it.
"""

from __future__ import annotations

import ast
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from pyro_fix.observation import InputLook, Observation, ParamLook, SiteLook, SviObservation

if TYPE_CHECKING:
    from pyro_fix.analysis.program import Param, Site, Svi
    from pyro_fix.analysis.scopes import Module

T = TypeVar("T")


@dataclass(frozen=True)
class SeenSvi:
    """An SVI object in a run."""

    run: Observation
    svi: SviObservation


@dataclass(frozen=True)
class SeenParam(SeenSvi):
    """A parameter in a run."""

    name: str
    look: ParamLook


@dataclass(frozen=True)
class SeenSite(SeenSvi):
    """A sample site in a run."""

    role: Literal["model", "guide"]
    name: str
    look: SiteLook


class _Places(Generic[T]):
    """Facts by the file and line that they speak of."""

    def __init__(self) -> None:
        self._found: dict[str, dict[int, list[T]]] = defaultdict(lambda: defaultdict(list))

    def add(self, run: Observation, where: str, fact: T) -> None:
        path, _, line = where.rpartition(":")
        if path and line.isdigit():
            self._found[os.path.realpath(Path(run.cwd, path))][int(line)].append(fact)

    def at(self, module: Module, node: ast.expr) -> Iterator[T]:
        """Facts about a call: Python names any of its lines, depending on its version."""
        lines = self._found.get(os.path.realpath(module.path))
        if lines:
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                yield from lines.get(line, ())


class Seen:
    """The facts of all runs; empty where nothing was run."""

    def __init__(self, runs: Iterable[Observation] = ()) -> None:
        """``runs`` are of the programs as they are, without a fix that is to be judged."""
        self.runs = tuple(runs)
        self._svis: _Places[SeenSvi] = _Places()
        self._params: _Places[SeenParam] = _Places()
        self._sites: _Places[SeenSite] = _Places()
        self._inputs: _Places[tuple[SeenSvi, InputLook]] = _Places()
        for run in self.runs:
            for svi in run.svis:
                self._add(run, svi)

    def _add(self, run: Observation, svi: SviObservation) -> None:
        seen = SeenSvi(run, svi)
        self._svis.add(run, svi.where, seen)
        if svi.look is None:
            return
        for name, param in svi.look.params.items():
            self._params.add(run, param.where, SeenParam(run, svi, name, param))
        roles: tuple[Literal["guide", "model"], ...] = ("guide", "model")
        for role in roles:
            for name, site in getattr(svi.look, role).items():
                self._sites.add(run, site.where, SeenSite(run, svi, role, name, site))
        for given in svi.look.inputs:
            self._inputs.add(run, given.where, (seen, given))

    def svi(self, svi: Svi) -> list[SeenSvi]:
        """The runs of an SVI object; one that a loop builds is seen several times."""
        # the lower-level pattern is seen where its loss is first called
        places = svi.calls if svi.is_lowlevel else [(svi.module, svi.call)]
        found = {id(seen): seen for module, call in places for seen in self._svis.at(module, call)}
        return list(found.values())

    def param(self, param: Param) -> list[SeenParam]:
        """What was seen of the parameters that a call makes."""
        return [seen for seen in self._params.at(param.module, param.call) if _fits(param.name, seen.name)]

    def site(self, site: Site) -> list[SeenSite]:
        """What was seen of the sites that a ``pyro.sample`` call makes, in models and guides."""
        # a PyroSample is sampled where its attribute is read
        places = site.read_at if site.kind == "PyroSample" else [(site.module, site.call)]
        found = {id(seen): seen for module, node in places for seen in self._sites.at(module, node)}
        return [seen for seen in found.values() if _fits(site.name, seen.name)]

    def inputs(self, module: Module, call: ast.Call) -> list[tuple[SeenSvi, InputLook]]:
        """The tensors that an ``svi.step`` call handed over."""
        return list(self._inputs.at(module, call))


def _fits(spelled: str | None, name: str) -> bool:
    """Whether a name can be what the source spells (see ``calls.literal_name``)."""
    if spelled is None:
        return True
    first, *rest = spelled.split("{}")
    if not rest:
        return name == spelled
    *middle, last = rest
    at, end = len(first), len(name) - len(last)
    if not name.startswith(first) or not name.endswith(last):
        return False
    for part in middle:  # each as early as it can be: then the others fit, if they can
        found = name.find(part, at, end) if at <= end else -1
        if found < 0:
            return False
        at = found + len(part)
    return at <= end
