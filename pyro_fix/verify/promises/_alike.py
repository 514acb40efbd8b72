"""What a fix leaves alone that says nothing of it: the data, the priors, what is trained, and how fast.

Each function tells one difference in words, and nothing where there is none.  A promise speaks of what a fix changes; a
rewrite that mends one thing and spoils another keeps it all the same, unless somebody looks at the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from pyro_fix.analysis.health import breakdown
from pyro_fix.observation import Look, SiteLook, SviObservation
from pyro_fix.verify.numeric import VALUE_TOLERANCE, finite, relative
from pyro_fix.verify.stats import norm

#: Of rates, and of what a float32 is once it has been printed and read.
TOLERANCE = 1e-4
#: ELBOs that sum over what is enumerated; others draw it.
SUMMING = "Enum"


def said(before: Look, after: Look) -> str:
    """What nearly every promise leaves alone, of one look: the data, the priors, and what a gradient reaches."""
    return data(before, after) or priors(before, after) or trained(before, after)


def data(before: Look, after: Look) -> str:
    """Observed sites that are gone, hold fewer or other values, or count another number of times."""
    for name, old in before.model.items():
        new = after.model.get(name)
        if not old.observed or (new is None and after.error):
            continue
        if new is None or not new.observed:
            return f"the observed site '{name}' is {'gone' if new is None else 'observed no longer'}"
        if math.prod(new.shape) < math.prod(old.shape):
            return f"the observed site '{name}' has {math.prod(new.shape)} values instead of {math.prod(old.shape)}"
        if not _draws_rows(old) and not _draws_rows(new):
            for a, b in ((old.minimum, new.minimum), (old.maximum, new.maximum)):
                if a is not None and b is not None and relative(a, b) > VALUE_TOLERANCE:
                    return f"the observed site '{name}' holds other data: {a:.4g} became {b:.4g}"
        if old.scale and new.scale is not None and relative(new.scale, old.scale) > TOLERANCE:
            return f"the observed site '{name}' counts {new.scale / old.scale:.4g} times as much"
    return ""


def _draws_rows(site: SiteLook) -> bool:
    """Whether a plate draws which of the data are seen: other random numbers may be met in a patched program."""
    return any(plate.subsample < plate.size for plate in site.plates)


def priors(before: Look, after: Look) -> str:
    """A latent of the model that depends on no other one, and has another distribution."""
    if before.dependencies is None or before.dependencies.error:
        return ""  # nobody knows which ones depend on no other
    for name, old in before.model.items():
        new = after.model.get(name)
        if _draws_rows(old):
            continue
        if new is None or old.observed or new.observed or old.parents or old.spread is None or new.spread is None:
            continue
        if "?" not in (old.support, new.support) and old.support != new.support:
            return f"the prior of '{name}' has the support {new.support} instead of {old.support}"
        if any(relative(a, b) > TOLERANCE for a, b in zip(old.spread, new.spread, strict=True)):
            return (
                f"the prior of '{name}' has the standard deviation {new.spread[1]:.4g} instead of {old.spread[1]:.4g}"
            )
    return ""


def latents(before: SviObservation, after: SviObservation) -> str:
    """A latent that is gone, or that only the prior draws any more."""
    old, new = before.look, after.look
    if old is None or new is None or old.error or new.error or not new.guide:
        return ""
    gone = sorted(_latent(old) - _latent(new) - _observed(new))
    if gone:
        return f"the model has lost its latent '{gone[0]}'"
    drawn = uncovered(after) - uncovered(before)
    if drawn:
        return f"nothing but the prior draws the latent '{min(drawn)}' any more"
    return ""


def points(before: Look, after: Look) -> str:
    """A latent that the guide puts on a point, and had a distribution for."""
    if before.error or after.error or not after.guide:
        return ""
    lost = sorted((_with_density(before) - _with_density(after)) & _latent(after) - set(_enumerated(after)))
    return f"the guide has a point in the place of a distribution for '{lost[0]}'" if lost else ""


def uncovered(svi: SviObservation) -> set[str]:
    """Latents of the model that the guide does not sample, and that nobody sums over."""
    look = svi.look
    if look is None or look.error or not look.guide:
        return set()
    summed = set(_enumerated(look)) if SUMMING in svi.elbo else set()
    return _latent(look) - look.guide.keys() - summed


def _enumerated(look: Look) -> Iterable[str]:
    return (name for sites in (look.guide, look.model) for name, site in sites.items() if site.enumerated)


def _latent(look: Look) -> set[str]:
    return {name for name, site in look.model.items() if not site.observed}


def _observed(look: Look) -> set[str]:
    return {name for name, site in look.model.items() if site.observed}


def _with_density(look: Look) -> set[str]:
    """The latents that the guide draws, rather than puts on a point."""
    if any(site.auxiliary for site in look.guide.values()):
        return set(look.guide)  # an autoguide's Delta holds what was drawn at an auxiliary site
    return {name for name, site in look.guide.items() if site.distribution != "Delta"}


def drawn(before: SviObservation, after: SviObservation) -> str:
    """Random numbers that are the same whatever the seed; an ELBO that sums has none to draw, nor has a model without
    latents once the guide draws none of its data."""
    old, new = before.look, after.look
    if old is None or new is None or before.elbo != after.elbo or min(len(old.losses), len(new.losses)) < 2:
        return ""
    if not (_latent(old) or new.guide or new.error or any(map(_draws_rows, old.model.values()))):
        return ""
    varies, frozen = len(set(old.losses)) > 1, len(set(new.losses)) == 1
    return "its loss is the same under every seed" if varies and frozen and finite(new.losses) else ""


def counterparts(before: Iterable[str], after: Iterable[str]) -> dict[str, str]:
    """Names of parameters, and what they are called now: a module that another one has taken in (``AutoGuideList``)
    calls its own ``AutoGuideList.0.loc``.  Those that are there no longer are missing."""
    names = list(after)
    found = {}
    for name in sorted(before):
        called = [name] if name in names else [other for other in names if other.endswith(f".{name}")]
        if len(called) == 1:
            found[name] = called[0]
    return found


def constraints(before: Look, after: Look) -> str:
    """A parameter that moves in another space: a bound that shuts out where it would go shows at no first step."""
    for name, other in counterparts(before.params, after.params).items():
        old, new = before.params[name].constraint, after.params[other].constraint
        if old != new:
            return f"the parameter '{name}' has the constraint {new} instead of {old}"
    return ""


def parameters(before: Look, after: Look) -> str:
    """Parameters that only one of them has."""
    differ = sorted(before.params.keys() ^ after.params.keys())
    return f"it trains other parameters: {', '.join(differ)}" if differ else ""


def trained(before: Look, after: Look) -> str:
    """A parameter that the gradient reaches no longer."""
    for name, other in counterparts(before.gradients, after.gradients).items():
        lost = is_reached(before, name) and is_reached(after, other) is False
        if lost and not _is_of_data_alone(name, before, after):
            return f"no gradient reaches the parameter '{name}' any more"
    return ""


def is_reached(look: Look, name: str) -> bool | None:
    """Whether a gradient reaches a parameter; None where that is no number, or nothing is known of it."""
    values = [value for row in look.gradients.get(name, ()) for value in row]
    return norm(values) > 0 if values and finite(values) else None


def _is_of_data_alone(name: str, before: Look, after: Look) -> bool:
    """Whether all that a parameter fed is sites of the guide that the model observes, and that are gone: they draw what
    nobody uses, and nothing is learnt there."""
    fed = {
        (role, site)
        for role, sites in (("guide", before.guide), ("model", before.model))
        for site, seen in sites.items()
        if any(feed.param == name for feed in seen.feeds)
    }
    gone = drawn_data(before) - after.guide.keys()
    return bool(fed) and all(role == "guide" and site in gone for role, site in fed)


def drawn_data(look: Look) -> set[str]:
    """Sites that the model observes and the guide samples: with their densities in it the loss bounds nothing."""
    return _observed(look) & look.guide.keys()


def steps(before: SviObservation, after: SviObservation) -> str:
    """An optimiser that makes other steps, or fewer of them."""
    theirs = {trajectory.seed: trajectory for trajectory in before.trajectories}
    # an optimiser without a parameter has no rate either, whatever it was given
    had_nothing = before.look is not None and not before.look.params and bool(before.look.untrained)
    for trajectory in after.trajectories:
        other = theirs.get(trajectory.seed)
        if other is None:
            continue
        broken = breakdown(other) is not None or breakdown(trajectory) is not None  # rates compare until then
        if not broken and trajectory.own is not None and (other.own is None or other.own > trajectory.own):
            return f"it ends after {trajectory.own} steps, which the original does not"
        sound = [t.first_nonfinite + 1 for t in (other, trajectory) if t.first_nonfinite is not None]
        until = min([len(other.rates), len(trajectory.rates), *sound])
        for step, (old, new) in enumerate(zip(other.rates[:until], trajectory.rates[:until], strict=True)):
            if not old and had_nothing:
                continue
            if not all(math.isfinite(t.losses[step]) for t in (other, trajectory)):
                continue  # a step that raised, which the program caught
            if len(old) != len(new) or any(relative(a, b) > TOLERANCE for a, b in zip(old, new, strict=True)):
                return f"the learning rate of step {step} is {_told(new)} instead of {_told(old)}"
    return ""


def _told(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values) or "none"
