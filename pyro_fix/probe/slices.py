"""Slice replay: does a vectorised ELBO compute for each particle what the plain program computes for one?

The guide and the model are traced the way the ELBO itself traces them, all particles in one plate.  Then each
particle's slice of every latent is put into the plain guide and model, and every site's log-prob must be the same.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from pyro import poutine

from . import seeds
from .sites import is_subsample, unwrapped

if TYPE_CHECKING:
    from .entries import Entry

_SEED = ("slices", 0)


def replay(entry: Entry) -> dict[str, Any]:
    """Compare; returns the fields of ``SliceReplay``."""
    from .entries import elbo_of

    elbo = elbo_of(entry)
    particles = getattr(elbo, "num_particles", 1)
    answer: dict[str, Any] = {"particles": particles, "worst": math.nan, "site": "", "error": ""}
    if elbo is None or particles < 2 or not elbo.vectorize_particles:
        answer["error"] = "the ELBO does not vectorise its particles"
        return answer
    try:
        with torch.no_grad():
            answer["worst"], answer["site"] = _compare(entry, elbo, particles)
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"[:500]
    return answer


def _compare(entry: Entry, elbo: Any, particles: int) -> tuple[float, str]:
    args, kwargs = entry.args, entry.kwargs
    plain = _plain_traces(entry, {}, {})
    if elbo.max_plate_nesting == math.inf:
        elbo._guess_max_plate_nesting(entry.model, entry.guide, args, kwargs)
    dim = -elbo.max_plate_nesting
    seeds.align(*_SEED)
    guide = poutine.trace(elbo._vectorized_num_particles(entry.guide)).get_trace(*args, **kwargs)
    replayed = poutine.replay(elbo._vectorized_num_particles(entry.model), trace=guide)
    model = poutine.trace(replayed).get_trace(*args, **kwargs)
    worst, where = 0.0, ""
    for particle in range(particles):
        cut = [_cut(wide, narrow, particle, particles, dim) for wide, narrow in ((guide, plain[0]), (model, plain[1]))]
        for wide, narrow in zip((guide, model), _plain_traces(entry, cut[0], cut[1])):  # noqa: B905
            for name, site in narrow.nodes.items():
                if not _counts(site):
                    continue
                if name not in wide.nodes:
                    raise ValueError(f"site {name} is missing when the particles are vectorised")
                error = _disagreement(wide.nodes[name], site, particle, particles, dim)
                if not error <= worst:  # NaN is worst of all
                    worst, where = error, name
    return worst, where


def _counts(site: Any) -> bool:
    """Whether the site has a log-prob of its own: a point mass is on its value or, by rounding, beside it."""
    return (
        site["type"] == "sample"
        and not is_subsample(site)
        and type(unwrapped(site["fn"])).__name__ != "Delta"
        and not site["infer"].get("_deterministic")
    )


def _plain_traces(entry: Entry, guide_values: dict[str, Any], model_values: dict[str, Any]) -> tuple[Any, Any]:
    """Trace the plain guide and model, with given values at their latent sites."""
    seeds.align(*_SEED)
    guide = poutine.trace(_Substitute(entry.guide, guide_values)).get_trace(*entry.args, **entry.kwargs)
    replayed = poutine.replay(entry.model, trace=guide)
    model = poutine.trace(_Substitute(replayed, model_values)).get_trace(*entry.args, **entry.kwargs)
    return guide, model


class _Values(poutine.messenger.Messenger):
    """Gives latent sites their values, and leaves what they are otherwise alone."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.values and not msg["is_observed"]:
            msg["value"] = self.values[msg["name"]]
            msg["done"] = True


class _Substitute:
    """A program whose latent sites take given values."""

    def __init__(self, fn: Any, values: dict[str, Any]) -> None:
        self.fn = fn
        self.values = values

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        with _Values(self.values):
            return self.fn(*args, **kwargs)


def _cut(wide: Any, narrow: Any, particle: int, particles: int, dim: int) -> dict[str, Any]:
    """One particle's values of the latent sites, in the plain program's shapes."""
    values: dict[str, Any] = {}
    for name, site in wide.nodes.items():
        if site["type"] != "sample" or site["is_observed"] or name not in narrow.nodes:
            continue
        value = site["value"]
        if is_subsample(site):
            values[name] = value
            continue
        if type(unwrapped(site["fn"])).__name__ == "Delta":
            continue  # the plain program computes it from the others
        at = dim - site["fn"].event_dim
        shape = narrow.nodes[name]["value"].shape
        if value.dim() >= -at and value.size(at) == particles:
            value = value.select(at, particle)
        if value.numel() == shape.numel():
            value = value.reshape(shape)
        elif value.numel() == 1:
            value = value.expand(shape) if value.dim() <= len(shape) else value.reshape(()).expand(shape)
        else:
            raise ValueError(
                f"site {name} has shape {tuple(value.shape)} in a particle and {tuple(shape)} in the plain program"
            )
        values[name] = value
    return values


def _disagreement(wide: Any, narrow: Any, particle: int, particles: int, dim: int) -> float:
    """Greatest difference of two sites' log-probs, relative to the greater of their sizes."""
    a, b = _log_prob(wide), _log_prob(narrow)
    if a.dim() >= -dim and a.size(dim) == particles:
        a = a.select(dim, particle)
    if a.numel() == b.numel():
        a, b = a.reshape(-1), b.reshape(-1)
    else:
        a, b = a.sum().reshape(1), b.sum().reshape(1)
    same = (a == b) | (a.isnan() & b.isnan())  # infinities agree
    difference = torch.where(same, torch.zeros_like(a), (a - b).abs())
    size = torch.maximum(a.abs(), b.abs())
    size = size[size.isfinite()]
    # A site whose log-probs all are near zero is held to an absolute error.
    scale = max(float(size.max()) if size.numel() else 0.0, 1e-2)
    return float(difference.max()) / scale if difference.numel() else 0.0


def _log_prob(site: Any) -> Any:
    return site["fn"].log_prob(site["value"], *site["args"], **site["kwargs"]).detach().cpu().to(torch.float64)
