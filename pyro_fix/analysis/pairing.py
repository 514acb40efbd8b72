"""The sites that a model and its guide share, by name (tip 4)."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from pyro_fix.analysis.health import agreements
from pyro_fix.analysis.program import Couple, Program, Site, Svi
from pyro_fix.analysis.seen import SeenSite
from pyro_fix.analysis.spelled import HOLE, agree
from pyro_fix.analysis.supports import agreement, disagreement
from pyro_fix.analysis.values import (
    Collection,
    Const,
    Function,
    Instance,
    Library,
    Made,
    Mapping,
    Value,
    options,
)
from pyro_fix.observation import Look

#: Handlers that leave the names of sites, their distributions and what is observed alone.
TRANSPARENT = frozenset(
    {"pyro.poutine.scale", "pyro.poutine.mask", "pyro.poutine.trace", "pyro.poutine.seed", "pyro.poutine.enum"}
    | {"pyro.poutine.infer_config", "pyro.poutine.markov", "pyro.poutine.broadcast", "pyro.infer.config_enumerate"}
    | {"pyro.infer.enum.config_enumerate", "pyro.markov", "pyro.infer.infer_config", "functools.partial"}
    | {"pyro.nn.pyro_method", "pyro.nn.module.pyro_method", "builtins.staticmethod", "builtins.classmethod"}
)
#: Contexts inside a model or guide that leave its sites alone.
HARMLESS_CONTEXTS = TRANSPARENT | {"pyro.plate", "pyro.plate_stack", "torch.no_grad", "torch.enable_grad"}


@dataclass(frozen=True)
class Side:
    """What an SVI object runs as its model, or as its guide."""

    functions: tuple[Function, ...]
    """The functions that it may be; more than one where that depends on a branch."""
    sites: tuple[Site, ...]
    """The latent sites that it may sample, those that handlers hide or observe left out."""
    enumerates: bool
    """Whether it is wrapped or decorated with ``config_enumerate``."""

    def named(self, name: str) -> tuple[Site, ...]:
        """Its sites of this name; several where one is sampled in several branches."""
        return tuple(site for site in self.sites if site.name == name)


@dataclass(frozen=True)
class Pair:
    """A latent that both sides sample."""

    svi: Svi | None
    """Whose sides they are; ``None`` where only their names bring them together."""
    name: str
    guide: tuple[Site, ...]
    model: tuple[Site, ...]


@dataclass
class _Reading:
    """What wrappers say of a model or guide, gathered from the outside in."""

    functions: list[Function] = field(default_factory=list)
    shown: list[Callable[[str], bool]] = field(default_factory=list)
    enumerates: bool = False
    seen: set[Value] = field(default_factory=set)


def side(program: Program, value: Value | None) -> Side | None:
    """The sites of a model or guide; ``None`` where something around it is not understood (an autoguide, too)."""
    reading = _Reading()
    alternatives = options(value)
    if not alternatives or not all(_read(option, reading) for option in alternatives):
        return None
    if len(alternatives) > 1 and reading.shown:
        return None  # what one of them hides another may show
    sites = [
        site
        for site in program.sites_of(function.node for function in reading.functions)
        if not may_be_observed(site) and (site.name is None or all(shows(site.name) for shows in reading.shown))
    ]
    return Side(tuple(reading.functions), tuple(sites), reading.enumerates)


def pairs(program: Program, one: Svi | Couple) -> Iterator[Pair]:
    """The latents that model and guide both sample, under names that the source spells.

    A name is left out when one of its sites stands in a context that may change it, and a pattern of names where it is
    not plain that both fill it alike.
    """
    guide, model = side(program, one.guide), side(program, one.model)
    svi = one if isinstance(one, Svi) else None
    if guide is None or model is None:
        return
    by_name: dict[str, tuple[list[Site], list[Site]]] = defaultdict(lambda: ([], []))
    for which, known in enumerate((guide, model)):
        for site in known.sites:
            if site.name is not None:
                by_name[site.name][which].append(site)
    called = {function.node for known in (guide, model) for function in known.functions}
    for name, (guides, models) in by_name.items():
        if HOLE in name and not all(agree(mine, other, called) for mine in guides for other in models):
            continue
        if guides and models and all(map(is_plain, (*guides, *models))):
            yield Pair(svi, name, tuple(guides), tuple(models))


@dataclass(frozen=True)
class Verdict:
    """Whether what the guide draws at a latent always lies in the model's support."""

    inside: bool | None
    source: Literal["static", "seen"]
    """Who says so."""


def verdict(program: Program, pair: Pair) -> Verdict:
    """Judge one latent by the source and by the runs of the SVI object.

    What a run shows of a mismatch is certain.  That it shows none is not, where another branch may be taken next
    time, but it withdraws what the source alone made of a mismatch.
    """
    guides, models = ([site.distribution for site in sites] for sites in (pair.guide, pair.model))
    static = False if disagreement(guides, models) else True if agreement(guides, models) else None
    seen = [(agreements(look), found.name) for site in pair.guide for found, look in looks(program, site, pair.svi)]
    answers = [agreed[name] for agreed, name in seen if name in agreed]
    if False in answers:
        return Verdict(False, "static" if static is False else "seen")
    if static is False and (True in answers or len(answers) < len(seen)):  # inside, or no latent of both after all
        return Verdict(None, "seen")
    if static is None and answers and all(answers):
        one_way = all(
            len(sites) == 1 and len(options(sites[0].distribution)) == 1 for sites in (pair.guide, pair.model)
        )
        return Verdict(True if one_way else None, "seen")
    return Verdict(static, "static")


def looks(program: Program, site: Site, svi: Svi | None = None) -> Iterator[tuple[SeenSite, Look]]:
    """Where runs show a guide's site, in those of ``svi`` where one is given."""
    ours = None if svi is None else {id(seen.svi) for seen in program.seen.svi(svi)}
    for seen in program.seen.site(site):
        if seen.role == "guide" and seen.svi.look is not None and (ours is None or id(seen.svi) in ours):
            yield seen, seen.svi.look


def may_be_observed(site: Site) -> bool:
    """Whether a site has data in some call of its function: ``obs=data`` is a latent where ``data`` is ``None``."""
    return site.observed or any(
        keyword.arg is None
        or (keyword.arg == "obs" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is None))
        for keyword in site.call.keywords
    )


def is_plain(site: Site) -> bool:
    """Whether only plates and other harmless contexts stand round a site."""
    return all(isinstance(c, (Made, Library)) and c.name in HARMLESS_CONTEXTS for c in site.contexts)


def _read(value: Value, reading: _Reading) -> bool:
    """Look through one layer of a model or guide; False when it is not understood."""
    if value in reading.seen:  # what another way led to, whose wrappers were read as well
        return True
    reading.seen.add(value)
    if isinstance(value, Function):
        reading.functions.append(value)
        return all(_read_wrapper(decorator, reading) for decorator in value.decorators)
    if isinstance(value, Instance):
        members = [m for m in map(value.cls.member, ("forward", "__call__")) if isinstance(m, Function)]
        return bool(members) and all(_read(member, reading) for member in members[:1])
    if isinstance(value, Made) and value.arguments and not value.spread:
        inner = options(value.arguments[0])
        return _read_wrapper(value, reading) and all(_read(option, reading) for option in inner)
    return False


def _read_wrapper(wrapper: Value, reading: _Reading) -> bool:
    """What a handler, as a call round a function or as its decorator, does to the names of sites."""
    if not isinstance(wrapper, (Made, Library)):
        return False
    if wrapper.name in TRANSPARENT:
        reading.enumerates |= wrapper.name.endswith("config_enumerate")
        return True
    if not isinstance(wrapper, Made) or wrapper.spread:
        return False
    if wrapper.name == "pyro.poutine.block":
        return _read_block(wrapper, reading)
    if wrapper.name in ("pyro.condition", "pyro.poutine.condition"):
        data = wrapper.keywords.get("data") or next(
            (argument for argument in wrapper.arguments if isinstance(argument, Mapping)), None
        )
        if not isinstance(data, Mapping) or not data.whole:
            return False
        observed = set(data.items)
        reading.shown.append(lambda name: name not in observed)
        return True
    return False


def _read_block(block: Made, reading: _Reading) -> bool:
    given = set(block.keywords) - {"fn"}
    if given not in ({"hide"}, {"expose"}):
        return False
    (kind,) = given
    names = _names(block.keywords[kind])
    if names is None:
        return False
    reading.shown.append(lambda name: (name in names) == (kind == "expose"))
    return True


def _names(value: Value) -> frozenset[str] | None:
    """The strings of a literal list."""
    if not isinstance(value, Collection):
        return None
    items = [item.value for item in value.items if isinstance(item, Const) and isinstance(item.value, str)]
    return frozenset(items) if len(items) == len(value.items) else None
