"""Point estimates: what a guide's ``Delta`` is given has to lie in the support of the model's site."""

from __future__ import annotations

from pyro_fix.analysis import distributions, flow
from pyro_fix.analysis.distributions import UNKNOWN
from pyro_fix.analysis.pairing import pairs
from pyro_fix.analysis.program import Program, Site, Use
from pyro_fix.analysis.supports import supports

#: Supports that a constraint's transform does not reach the edge of.
_OPEN = {"nonnegative": "positive", "softplus_positive": "positive", "greater_than(0)": "positive"}


def require(program: Program) -> None:
    """Add to every param that is a ``Delta``'s value what the models that it serves ask of it."""
    wanted: dict[int, tuple[Site, set[str]]] = {}
    for one in program.together:
        for pair in pairs(program, one):
            asked = {_asked(site) for site in pair.model}
            for site in pair.guide:
                wanted.setdefault(id(site), (site, set()))[1].update(asked)
    for site, supported in wanted.values():
        support = supported.pop()
        if support and not supported:
            _require(site, support)


def _asked(site: Site) -> str:
    """The support of a model's site, where a param can be kept on it; empty where it cannot, or need not be."""
    found = {support.constraint for support in supports(site.distribution) or ()}
    support = found.pop() if len(found) == 1 else UNKNOWN
    is_real = distributions.implies("real", support) is True
    if UNKNOWN in support or is_real or distributions.implies(support, "integer"):
        return ""
    return _OPEN.get(support, support)


def _require(site: Site, support: str) -> None:
    for found in supports(site.distribution) or ():
        value = found.made.argument(0, "v")
        if found.family != "Delta" or value is None:
            continue
        for origin in flow.origins(value):
            param = origin.param.param
            if not any(use.distribution is found.made for use in param.uses):
                use = Use(found.made, "v", support, origin.unchanged, origin.reshaped, site.functions)
                param.uses.append(use)
