"""Whether the losses of two guides, or of one model under other inputs, mean the same thing.

Minus an ELBO bounds the evidence of the model whatever the guide is, as long as the guide gives a density to the same
latents.  One that is given as a point (a MAP estimate) lacks its entropy, and a latent that the guide leaves out is
drawn from the prior: such a loss is in units of its own.

Where a fix changes what the model is conditioned on (covariates in other units, tip 11), the parameters mean something
else, and the original cannot evaluate them.  The observations are the same, so each program's own loss bounds the
evidence of the same data, and these compare.
"""

from __future__ import annotations

from pyro_fix.observation import Look, SviObservation


def unlike(original: SviObservation, patched: SviObservation) -> str:
    """Why losses under the two guides do not compare; empty when they do."""
    before, after = original.look, patched.look
    if before is None or after is None or not (before.guide and before.model and after.guide and after.model):
        # one guide under two names is not known to be two, and most fixes leave the guide alone
        return "" if original.guide == patched.guide else "the guide is another one, and only one of them can be seen"
    differ = sorted(_with_density(before) ^ _with_density(after))
    if not differ:
        return ""
    return f"one of the guides gives latent '{differ[0]}' a density, the other one does not"


def bound_the_same(original: SviObservation, patched: SviObservation) -> str:
    """Why the ELBOs of two programs, each by itself, do not bound the evidence of the same data; empty when they do."""
    before, after = original.look, patched.look
    if before is None or after is None or not (before.model and after.model):
        return "only one of the models can be seen"
    old, new = ({name: row[:1] + row[2:] for name, row in _observations(look).items()} for look in (before, after))
    if old != new:
        name = next(name for name in sorted(old | new) if old.get(name) != new.get(name))
        return f"the observations of '{name}' are not the same"
    if not (before.guide and after.guide):
        return unlike(original, patched)
    summed = {name for name, site in after.model.items() if site.enumerated}
    points = sorted((_with_density(before) ^ _with_density(after)) - summed)
    return f"one of the guides gives latent '{points[0]}' a density, the other one does not" if points else ""


def _with_density(look: Look) -> set[str]:
    """The latents of the model that the guide draws, rather than puts on a point or leaves to the prior."""
    drawn = {name for name, site in look.guide.items() if name in look.model and not look.model[name].observed}
    if any(site.auxiliary for site in look.guide.values()):
        return drawn  # an autoguide's Delta holds a value that was drawn at an auxiliary site, with its density
    return {name for name in drawn if look.guide[name].distribution != "Delta"}


def other_inputs(original: SviObservation, patched: SviObservation) -> bool:
    """Whether the model is given other inputs than in the original, about the same observations in the same scale."""
    before, after = original.look, patched.look
    if before is None or after is None or not before.inputs or _observations(before) != _observations(after):
        return False
    old, new = _given(before), _given(after)
    return old.keys() == new.keys() and old != new


def other_families(original: SviObservation, patched: SviObservation) -> bool:
    """Whether one guide draws a latent from another family, so that its parameters mean something else.

    The original would take the logarithm of a number for the number.  What both programs bound is the same.
    """
    before, after = original.look, patched.look
    if (
        before is None
        or after is None
        or original.guide != patched.guide
        or _observations(before) != _observations(after)
    ):
        return False
    common = before.guide.keys() & after.guide.keys()
    return any(before.guide[name].distribution != after.guide[name].distribution for name in common)


def _given(look: Look) -> dict[str, tuple[object, ...]]:
    return {given.name: (given.shape, given.minimum, given.maximum) for given in look.inputs if not given.observed}


def _observations(look: Look) -> dict[str, tuple[object, ...]]:
    sites = {name: site for name, site in look.model.items() if site.observed}
    return {name: (site.shape, site.scale, site.minimum, site.maximum) for name, site in sites.items()}
