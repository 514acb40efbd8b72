"""Latents that a guide draws from just what the model draws them from, so that it cannot learn of them (SVI061)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Program, Site, Svi, functions_of
from pyro_fix.analysis.supports import family
from pyro_fix.analysis.values import (
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Const,
    Function,
    Made,
    SiteValue,
    Value,
    walk,
)

#: Methods that change a distribution's shape alone.
_SHAPING = frozenset({"to_event", "expand"})


def repeated(program: Program, svi: Svi, guide: Function) -> Iterator[Site]:
    """Sites of a guide that have no parameters of their own, and whose latents the data speak of."""
    model = program.sites_of(functions_of(svi.model))
    by_data = {
        id(part.site)
        for site in model
        if site.observed and site.distribution is not None
        for part in walk(site.distribution)
        if isinstance(part, SiteValue)
    }
    for site in program.sites_of([guide.node]):
        known = [distributions.lookup(kind) for kind in family(site.distribution) or ()]
        if site.observed or site.name is None or not known or any(kind is None or kind.discrete for kind in known):
            continue
        twins = [other for other in model if other.name == site.name and not other.observed]
        if len(twins) != 1 or id(twins[0]) not in by_data or not _is_given(site.distribution):
            continue
        text, twin = _spelled(site), _spelled(twins[0])
        if text is not None and text == twin:
            yield site


def _spelled(site: Site) -> str | None:
    """The distribution as the call spells it."""
    named = next((keyword.value for keyword in site.call.keywords if keyword.arg == "fn"), None)
    node = named if named is not None else site.call.args[1] if len(site.call.args) > 1 else None
    return ast.dump(node) if isinstance(node, ast.Call) else None


def _is_given(value: Value | None) -> bool:
    """Whether a distribution is made of literals, of what the guide was given, and of latents, and of nothing else."""
    if isinstance(value, (SiteValue, Argument, Const)):  # a latent's own distribution is that latent's matter
        return True
    if isinstance(value, Applied) and isinstance(value.callee, Attribute) and value.callee.name in _SHAPING:
        return _is_given(value.callee.base)
    if isinstance(value, Made) and not _is_plain(value.name):
        return False
    return isinstance(value, (Made, Arithmetic)) and all(map(_is_given, value.parts()))


def _is_plain(name: str) -> bool:
    """Whether a library's function makes a tensor or a distribution, without anything to learn in it."""
    return name.startswith(("torch.", "pyro.distributions.")) and not name.startswith("torch.nn.")
