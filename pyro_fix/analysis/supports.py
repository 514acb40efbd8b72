"""The support of a distribution, as far as the source tells it, and whether one lies inside another (tip 4).

Supports are written as constraints are (:mod:`pyro_fix.analysis.distributions`); a bound that is not known is
``unknown``: a ``Normal`` reaches below ``Uniform(0, data.max())`` whatever its upper bound is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from pyro_fix.analysis import distributions
from pyro_fix.analysis.distributions import UNKNOWN, implies
from pyro_fix.analysis.requirements import constraint_text
from pyro_fix.analysis.tensors import extent
from pyro_fix.analysis.values import Applied, Attribute, Collection, Const, Made, Value, options

#: Distributions that may draw from less than the support that they report: what that reaches beyond proves nothing.
LOOSE = frozenset(
    {"Delta", "Empirical", "ExtendedBinomial", "ExtendedBetaBinomial", "TransformedDistribution", "Unit"}
    | {"RelaxedBernoulliStraightThrough", "RelaxedOneHotCategoricalStraightThrough"}
    | {"VonMises", "SineBivariateVonMises", "SineSkewed"}
)
#: Methods that change a distribution's shape, or what counts of it, and leave its support alone.
_SHAPING = frozenset({"to_event", "independent", "expand", "expand_by", "expand_as", "mask"})
#: The same as constructors.
_WRAPPERS = frozenset({"Independent", "MaskedDistribution", "ExpandedDistribution"})
#: Transforms of the real line -> what they make of it.
_IMAGES = {"ExpTransform": "positive", "SigmoidTransform": "unit_interval", "SoftplusTransform": "positive"}


@dataclass(frozen=True)
class Support:
    """The support of one distribution that a site may have."""

    family: str
    """The distribution's class, wrappers for shapes and masks looked through."""
    constraint: str
    made: Made
    """The call that makes the distribution, inside those wrappers."""
    loose: bool = False
    """Whether it may draw from less than ``constraint`` allows."""


def inside(guide: str, model: str, loose: bool = False) -> bool | None:
    """Whether what a guide's distribution draws always lies in the model's support; ``None`` when that is not known.

    ``loose`` says that the guide may draw from less than its support.
    """
    answer = implies(guide, model)
    # Whether zero counts as positive, which matters to integers alone, is lost where runs name supports.
    mixed = implies(guide, "integer") is True and implies(model, "integer") is False
    return None if answer is False and (loose or mixed) else answer


def supports(value: Value | None) -> tuple[Support, ...] | None:
    """The support of each distribution that ``value`` may be; ``None`` when one of them is not understood."""
    found = []
    for option in options(value):
        made = _unwrapped(option)
        support = _support(made) if made is not None else None
        if support is None:
            return None
        found.append(support)
    return tuple(found) or None


def family(value: Value | None) -> tuple[str, ...] | None:
    """The class of each distribution that ``value`` may be; ``None`` when one of them is not known."""
    made = [_unwrapped(option) for option in options(value)]
    return tuple(m.name.rpartition(".")[2] for m in made if m is not None) if made and all(made) else None


def _unwrapped(value: Value) -> Made | None:
    """The distribution inside ``.to_event(1)``, ``.expand(…)``, ``.mask(…)`` and their like."""
    while True:
        if isinstance(value, Applied) and isinstance(value.callee, Attribute) and value.callee.name in _SHAPING:
            if value.callee.name == "mask" and any(isinstance(a, Const) for a in value.arguments):
                return None  # ``mask(False)``: the site does not count
            value = value.callee.base
        elif isinstance(value, Made) and _class(value) in _WRAPPERS and value.arguments:
            value = value.arguments[0]
        else:
            break
    if isinstance(value, Made) and distributions.lookup(_class(value)) is not None:
        return value
    return None


def _class(made: Made) -> str:
    """The name of a distribution's class; empty for everything else."""
    package, _, name = made.name.rpartition(".")
    return name if package == "pyro.distributions" else ""


def _support(made: Made) -> Support | None:
    name = _class(made)
    known = distributions.lookup(name)
    if known is None:
        return None
    if known.support not in (None, "dependent"):
        return Support(name, str(known.support), made, name in LOOSE)
    if made.spread:
        return None
    if name == "Delta":
        return Support(name, UNKNOWN, made, loose=True)  # its one value is judged by the model's own check
    if name == "TransformedDistribution":
        return _transformed(made)
    constraint = _dependent(name, made)
    return Support(name, constraint, made, name in LOOSE) if constraint else None


def _dependent(name: str, made: Made) -> str | None:
    """The supports that follow from arguments."""
    if name == "Uniform":
        return f"interval({_number(made.argument(0, 'low'))}, {_number(made.argument(1, 'high'))})"
    if name == "Pareto":
        return f"greater_than({_number(made.argument(0, 'scale'))})"
    if name == "Binomial":
        return f"integer_interval(0, {_number(made.argument(0, 'total_count') or Const(1))})"
    if name == "BetaBinomial":
        return f"integer_interval(0, {_number(made.argument(2, 'total_count') or Const(1))})"
    if name == "Categorical":
        return f"integer_interval(0, {UNKNOWN})"
    if name == "ImproperUniform":
        return constraint_text(made.argument(0, "support"))
    return None


def _number(value: Value | None) -> str:
    """A bound that every element shares."""
    known = extent(value)
    if known is None or known.low != known.high or not math.isfinite(known.low):
        return UNKNOWN
    return repr(int(known.low)) if known.low == int(known.low) else repr(known.low)


def _transformed(made: Made) -> Support | None:
    base = supports(made.argument(0, "base_distribution"))
    given = made.argument(1, "transforms")
    if base is None or len(base) != 1 or given is None:
        return None
    reached, tight = base[0].constraint, not base[0].loose
    for transform in given.items if isinstance(given, Collection) else [given]:
        image = _image(transform)
        if image is None:
            return None
        tight = tight and implies("real", reached) is True  # of a part of the line it makes a part of its image
        reached = image
    return Support(_class(made), reached, made, loose=not tight)


def _image(transform: Value) -> str | None:
    """What a transform makes of the real line."""
    if not isinstance(transform, Made) or transform.spread:
        return None
    package, _, name = transform.name.rpartition(".")
    if not package.startswith(("pyro.distributions", "torch.distributions")):
        return None
    if name in ("biject_to", "transform_to"):
        return constraint_text(transform.argument(0, "constraint"))
    return _IMAGES.get(name)


def disagreement(guide: Iterable[Value | None], model: Iterable[Value | None]) -> tuple[Support, Support] | None:
    """A pair that shows a mismatch, if every distribution of the guide's site mismatches every one of the model's."""
    pairs = _pairs(guide, model)
    if not pairs or any(inside(g.constraint, m.constraint, g.loose) is not False for g, m in pairs):
        return None
    return pairs[0]


def agreement(guide: Iterable[Value | None], model: Iterable[Value | None]) -> bool:
    """Whether everything that the guide's site may draw surely lies in every support that the model's may have."""
    pairs = _pairs(guide, model)
    return bool(pairs) and all(inside(g.constraint, m.constraint) and not m.loose for g, m in pairs)


def _pairs(guide: Iterable[Value | None], model: Iterable[Value | None]) -> list[tuple[Support, Support]]:
    """Every distribution of the one with every one of the other; none when one of them is not understood."""
    guides, models = [supports(value) for value in guide], [supports(value) for value in model]
    if None in guides or None in models:
        return []
    return [(g, m) for some in guides for g in some or () for others in models for m in others or ()]
