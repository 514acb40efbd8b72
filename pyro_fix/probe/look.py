"""The deep look at an SVI object's first step: parameters, sites, supports, losses and gradients.

It runs in a forked copy of the program (or in a process that is made for it), so it may initialise parameters, draw
numbers and switch validation off as it likes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyro
import torch
from pyro import poutine
from torch.distributions import constraints
from torch.distributions.utils import lazy_property

from . import seeds
from .params import extent, norm, sketch

if TYPE_CHECKING:
    from .record import Entry, Recorder


def look(recorder: Recorder, entry: Entry, deep: dict[str, Any]) -> None:
    """Look, and write one ``look`` event."""
    from .record import number

    found: dict[str, Any] = {}
    warnings.simplefilter("ignore")
    # What is invalid is reported below; an exception would hide all that comes after it.
    pyro.enable_validation(False)
    try:
        first = recorder.spec["seeds"][0]
        traces = []
        for seed in range(max(1, deep["seeds"])):
            # The first execution draws what the first real step will draw: parameters that it makes are the same.
            parts = ("step", first, entry.ordinal, 0) if seed == 0 else ("look", seed)
            traces.append(_traces(entry, parts))
        found["params"] = {
            name: {
                "shape": list(param.unconstrained.shape),
                "constraint": support_name(param.constraint),
                "values": sketch(name, param.value()),
                "extent": list(extent(param.value())),
            }
            for name, param in entry.params
        }
        for which, name in enumerate(("guide", "model")):
            found[name] = _sites([pair[which] for pair in traces])
        losses, norms = [], []
        gradients: dict[str, list[list[float]]] = {name: [] for name, _ in entry.params}
        assert entry.loss_and_grads is not None
        for seed in range(deep["seeds"]):
            _clear_gradients(entry)
            seeds.align("look", entry.ordinal, seed)
            with poutine.trace(param_only=True):
                losses.append(number(entry.loss_and_grads(entry.model, entry.guide, *entry.args, **entry.kwargs)))
            for name, param in entry.params:
                grad = param.unconstrained.grad
                gradients[name].append(sketch(name, torch.zeros_like(param.unconstrained) if grad is None else grad))
            norms.append(norm(param.unconstrained for _, param in entry.params))
        found.update(losses=losses, gradients=gradients, norms=norms)
        if deep["slices"]:
            from . import slices

            found["slices"] = slices.replay(entry)
    except Exception as error:
        found["error"] = f"{type(error).__name__}: {error}"[:1000]
    recorder.journal.write("look", svi=entry.ordinal, **found)


def _clear_gradients(entry: Entry) -> None:
    for _, param in entry.params:
        param.unconstrained.grad = None


def _traces(entry: Entry, parts: tuple[Any, ...]) -> tuple[Any, Any]:
    seeds.align(*parts)
    with poutine.trace(param_only=True) as capture:
        guide = poutine.trace(entry.guide).get_trace(*entry.args, **entry.kwargs)
        model = poutine.trace(poutine.replay(entry.model, trace=guide)).get_trace(*entry.args, **entry.kwargs)
    entry.params.update(capture.trace)
    return guide, model


# ---------------------------------------------------------------------- sites


def _sites(traces: list[Any]) -> dict[str, Any]:
    """What the first trace shows of each site, with the violations of all traces."""
    found: dict[str, Any] = {}
    for trace in traces:
        for name, site in trace.nodes.items():
            if site["type"] != "sample" or is_subsample(site):
                continue
            if name not in found:
                found[name] = _site(site)
            seen = found[name]["violations"]
            known = {violation.split(":")[0] for violation in seen}
            seen += [violation for violation in _violations(site) if violation.split(":")[0] not in known]
    return found


def is_subsample(site: Any) -> bool:
    """Whether the site is a plate's choice of a subsample."""
    return type(site["fn"]).__name__ == "_Subsample"


def _site(site: Any) -> dict[str, Any]:
    fn, value, scale = site["fn"], site["value"], site["scale"]
    try:
        log_prob = float(fn.log_prob(value, *site["args"], **site["kwargs"]).sum())
    except Exception:
        log_prob = math.nan
    if isinstance(scale, torch.Tensor):
        scale = float(scale) if scale.numel() == 1 else None
    return {
        "distribution": type(unwrapped(fn)).__name__,
        "support": support_name(_support(fn)),
        "observed": bool(site["is_observed"]),
        "shape": list(getattr(value, "shape", ())),
        "log_prob": log_prob,
        "scale": None if scale is None else float(scale),
        "violations": [],
    }


def unwrapped(fn: Any) -> Any:
    """The distribution inside ``Independent``, masks and expansions."""
    while type(fn).__name__ in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        fn = fn.base_dist
    return fn


def _layers(fn: Any) -> Iterator[Any]:
    """A distribution and those inside it."""
    while fn is not None:
        yield fn
        fn = getattr(fn, "base_dist", None)


def _violations(site: Any) -> Iterator[str]:
    mask = site["mask"]
    if mask is False:
        return
    for fn in _layers(site["fn"]):
        if getattr(fn, "_mask", None) is False:
            return
    for fn in _layers(site["fn"]):
        try:
            arguments = fn.arg_constraints
        except Exception:
            continue
        for name, constraint in arguments.items():
            if _is_dependent(constraint):
                continue
            if name not in vars(fn) and isinstance(getattr(type(fn), name, None), lazy_property):
                continue  # probs computed from logits are not what the program gave
            value = getattr(fn, name, None)
            if isinstance(value, torch.Tensor):
                yield from _outside(name, value, constraint, None)
    support = _support(site["fn"])
    if support is not None and isinstance(site["value"], torch.Tensor) and not _is_dependent(support):
        yield from _outside("value", site["value"], support, mask)


def _outside(what: str, value: torch.Tensor, constraint: Any, mask: Any) -> Iterator[str]:
    try:
        with torch.no_grad():
            bad = ~constraint.check(value)
            if isinstance(mask, torch.Tensor):
                bad = bad & mask
            count = int(bad.sum())
    except Exception:
        return
    if count:
        name = support_name(constraint)
        yield f"{what}: {count} of {bad.numel()} values not {_WORDS.get(name, 'in ' + name)}"


_WORDS = {
    "positive": "positive",
    "real": "real numbers",
    "simplex": "on the simplex",
    "positive_definite": "positive definite",
}
_is_dependent: Any = constraints.is_dependent


def _support(fn: Any) -> Any:
    if type(unwrapped(fn)).__name__ == "Delta":
        return None  # says "real" of whatever point it is put on
    try:
        return fn.support
    except Exception:
        return None


def support_name(constraint: Any) -> str:
    """A constraint's normalised name: those that differ on a set of measure zero alone share one; ``?`` unknown."""
    if constraint is None or _is_dependent(constraint):
        return "?"
    name = type(constraint).__name__.lstrip("_")
    if name == "IndependentConstraint":
        return support_name(constraint.base_constraint)
    if name in ("GreaterThan", "GreaterThanEq"):
        bound = _bound(constraint.lower_bound)
        return "positive" if bound == "0" else f"greater_than({bound})"
    if name == "LessThan":
        return f"less_than({_bound(constraint.upper_bound)})"
    if name in ("Interval", "HalfOpenInterval", "IntegerInterval", "IntegerGreaterThan", "IntegerLessThan"):
        low = _bound(getattr(constraint, "lower_bound", None))
        high = _bound(getattr(constraint, "upper_bound", None))
        if name == "IntegerGreaterThan":
            return "nonnegative_integer" if low == "0" else f"integer_greater_than({low})"
        if name == "IntegerLessThan":
            return f"integer_less_than({high})"
        if name == "IntegerInterval":
            return "boolean" if (low, high) == ("0", "1") else f"integer_interval({low}, {high})"
        return "unit_interval" if (low, high) == ("0", "1") else f"interval({low}, {high})"
    return _NAMES.get(name, "?" if name in ("Cat", "Stack", "MixtureSameFamilyConstraint") else _snake(name))


_NAMES = {
    "Real": "real",
    "RealVector": "real",
    "Boolean": "boolean",
    "SoftplusPositive": "positive",
    "SoftplusLowerCholesky": "lower_cholesky",
    "PositiveOrderedVector": "positive_ordered_vector",
    "CorrCholesky": "corr_cholesky",
}


def _snake(name: str) -> str:
    return "".join("_" + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _bound(bound: Any) -> str:
    if isinstance(bound, torch.Tensor):
        if bound.numel() == 0:
            return "?"
        low, high = float(bound.min()), float(bound.max())
        return f"{low:.4g}" if low == high else f"{low:.4g}..{high:.4g}"
    return "?" if bound is None else f"{float(bound):.4g}"
