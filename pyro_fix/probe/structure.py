"""Dependencies between sites: Pyro's provenance tensors, and its own inspection of models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any

import torch
from pyro import poutine
from torch.distributions import kl_divergence

from . import sites
from .feeds import Given
from .places import Places

#: Ways on which a value leaves torch, where its provenance is lost.
_LEAVING = frozenset(
    {"item", "tolist", "numpy", "__array__", "__contains__"}
    | {f"__{kind}__" for kind in ("bool", "int", "float", "complex", "index")}
)


class Provenance(poutine.messenger.Messenger):
    """Gives every latent value and parameter a label that all that is computed from it inherits.

    A latent's own label takes the place of those that it inherits, so only direct dependencies show.
    """

    def _pyro_post_sample(self, msg: Any) -> None:
        if msg["is_observed"] or sites.is_subsample(msg) or sites.is_deterministic(msg):
            return
        msg["value"] = labelled(msg["value"], ("site", msg["name"]))

    def _pyro_post_param(self, msg: Any) -> None:
        if isinstance(msg["value"], torch.Tensor):
            msg["value"] = labelled(msg["value"], ("param", msg["name"]))


def labelled(value: Any, label: tuple[str, str]) -> Any:
    """``value`` with this label and no other."""
    from pyro.ops.provenance import detach_provenance, track_provenance

    return track_provenance(detach_provenance(value), frozenset({label}))


def labels(value: Any, kind: str) -> set[str]:
    """The names of one kind that ``value`` was computed from."""
    from pyro.ops.provenance import get_provenance

    return {name for label, name in get_provenance(value) if label == kind}


class Losses:
    """Where latent values left torch within the project: what is computed from them there is not known."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self.found: list[str] = []
        """``train.py:12 (item)``."""

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Look out meanwhile."""
        from pyro.ops.provenance import ProvenanceTensor

        cls: Any = ProvenanceTensor
        real = cls.__dict__["__torch_function__"]

        def spy(this: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            if name in _LEAVING and labels([args, kwargs or {}], "site"):
                self._note(name)
            return real.__func__(this, func, types, args, kwargs)

        cls.__torch_function__ = classmethod(spy)
        try:
            yield
        finally:
            cls.__torch_function__ = real

    def _note(self, name: str) -> None:
        # Pyro itself looks at values as well; that shapes no distribution.
        where = self._places.reader(sys._getframe(2))
        text = f"{where} ({name.strip('_')})"
        if where and text not in self.found:
            self.found.append(text)


def parents(trace: Any) -> dict[str, list[str]]:
    """Each site's direct parents among the latents of its own program, in their order."""
    order = [name for name, _ in sites.samples(trace)]
    found = {}
    for name, site in sites.samples(trace):
        known = _of_distribution(site) - {name}
        found[name] = [other for other in order if other in known]
    return found


def _of_distribution(site: Any) -> set[str]:
    fn = site["fn"]
    if sites.is_deterministic(site):
        return labels(site["value"], "site")
    try:
        return labels(fn.log_prob(site["value"], *site["args"], **site["kwargs"]), "site")
    except Exception:
        return {name for layer in sites.layers(fn) for value in vars(layer).values() for name in labels(value, "site")}


def params_of(site: Any, given: Given) -> Iterator[tuple[str, Any, str]]:
    """The arguments of a site's distribution that were computed from parameters: argument, constraint, parameter."""
    for fn in sites.layers(site["fn"]):
        for argument, value, constraint in sites.given(fn):
            # What arrives has the labels of all that it was broadcast with.
            own = {name for tensor in given.of(fn, argument) or () for name in labels(tensor, "param")}
            for name in sorted(own & labels(value, "param")):
                yield argument, constraint, name


def is_mean_field(model: dict[str, list[str]], guide: dict[str, list[str]]) -> bool:
    """Whether no latent's parent in the model is its descendant in the guide (``TraceMeanField_ELBO``'s condition)."""
    children: dict[str, list[str]] = {}
    for name, above in guide.items():
        for parent in above:
            children.setdefault(parent, []).append(name)
    return not any(set(model.get(name, ())) & _descendants(name, children) for name in guide)


def _descendants(name: str, children: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    waiting = [name]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in found:
                found.add(child)
                waiting.append(child)
    return found


def registered_kl(guide: Any, model: Any) -> list[str]:
    """Latents whose divergence of guide from model has a closed form, as ``TraceMeanField_ELBO`` would ask for it.

    A point mass is left out: its divergence is the prior's density at one point, which is what sampling gives as well.
    """
    found = []
    for name, site in sites.samples(guide):
        other = model.nodes.get(name)
        if other is None or site["is_observed"] or other["is_observed"]:
            continue
        if "Delta" in (type(sites.unwrapped(site["fn"])).__name__, type(sites.unwrapped(other["fn"])).__name__):
            continue
        try:
            with torch.no_grad():
                kl_divergence(site["fn"], other["fn"])
        except Exception:
            continue
        found.append(name)
    return found


def prior(model: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, list[str]]:
    """Pyro's own view of a model's dependencies: site -> the latents that it directly depends on."""
    from pyro.infer.inspect import get_dependencies

    found: Any = get_dependencies(model, args, kwargs)["prior_dependencies"]
    return {name: [other for other in upstream if other != name] for name, upstream in found.items()}
