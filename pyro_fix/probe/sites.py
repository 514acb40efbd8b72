"""What one execution of a guide or a model shows of its sample sites."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.distributions.utils import lazy_property

from .params import extent
from .supports import either, image, is_dependent, support_name

#: Distributions that only wrap another one.
_WRAPPERS = ("Independent", "MaskedDistribution", "ExpandedDistribution")
#: Where a distribution keeps the ones that it is made of.
_INNER = ("base_dist", "_mixture_distribution", "_component_distribution")


def describe(traces: list[Any], places: Mapping[str, str]) -> dict[str, Any]:
    """What the first trace shows of each site, with the violations of all traces.

    ``places``: where the sites' statements are.
    """
    found: dict[str, Any] = {}
    for trace in traces:
        for name, site in samples(trace):
            # First of all: asking a distribution for anything else may leave computed arguments in it.
            violations = list(_violations(site))
            if name not in found:
                found[name] = {**_site(site), "where": places.get(name, ""), "violations": []}
            found[name]["support"] = either(found[name]["support"], support_name(support_of(site["fn"])))
            seen = found[name]["violations"]
            known = {violation.split(":")[0] for violation in seen}
            seen += [violation for violation in violations if violation.split(":")[0] not in known]
    return found


def samples(trace: Any) -> Iterator[tuple[str, Any]]:
    """The sample sites of a trace but for the plates' own."""
    for name, site in trace.nodes.items():
        if site["type"] == "sample" and not is_subsample(site):
            yield name, site


def is_subsample(site: Any) -> bool:
    """Whether the site is a plate's choice of a subsample."""
    return type(site["fn"]).__name__ == "_Subsample"


def is_deterministic(site: Any) -> bool:
    """Whether the site only gives a computed value a name."""
    return bool(site["infer"].get("_deterministic"))


def plate_nesting(traces: list[Any]) -> int:
    """As many rightmost dimensions as plates use."""
    dims = [
        -frame.dim
        for trace in traces
        for _, site in samples(trace)
        for frame in site["cond_indep_stack"]
        if frame.vectorized and frame.dim is not None
    ]
    return max(dims, default=0)


def unwrapped(fn: Any) -> Any:
    """The distribution inside ``Independent``, masks and expansions."""
    while type(fn).__name__ in _WRAPPERS:
        fn = fn.base_dist
    return fn


def layers(fn: Any) -> Iterator[Any]:
    """A distribution and those inside it, outermost first."""
    yield fn
    for name in _INNER:
        inner = vars(fn).get(name) if hasattr(fn, "__dict__") else None
        if inner is not None:
            yield from layers(inner)


def _site(site: Any) -> dict[str, Any]:
    fn, value, scale = site["fn"], site["value"], site["scale"]
    try:
        log_prob = float(fn.log_prob(value, *site["args"], **site["kwargs"]).sum())
    except Exception:
        log_prob = math.nan
    if isinstance(scale, torch.Tensor):
        scale = float(scale) if scale.numel() == 1 else None
    minimum, maximum = _extent(value)
    return {
        "distribution": type(unwrapped(fn)).__name__,
        "support": support_name(support_of(fn)),
        "observed": bool(site["is_observed"]),
        "shape": list(getattr(value, "shape", ())),
        "log_prob": log_prob,
        "scale": None if scale is None else float(scale),
        "batch_shape": list(getattr(fn, "batch_shape", ())),
        "event_shape": list(getattr(fn, "event_shape", ())),
        "plates": [_plate(frame) for frame in site["cond_indep_stack"]],
        "reparameterised": _reparameterised(fn, value),
        "enumerable": _flag(fn, "has_enumerate_support"),
        "enumerated": str(site["infer"].get("enumerate") or ""),
        "auxiliary": bool(site["infer"].get("is_auxiliary")),
        "minimum": minimum,
        "maximum": maximum,
        "spread": _spread(fn),
    }


def _plate(frame: Any) -> dict[str, Any]:
    full = getattr(frame, "full_size", None) or frame.size
    return {
        "name": frame.name,
        "dim": frame.dim if frame.vectorized else None,
        "size": int(full),
        "subsample": int(frame.size),
    }


def _flag(fn: Any, name: str) -> bool:
    try:
        return bool(getattr(fn, name, False))
    except Exception:
        return False


def _reparameterised(fn: Any, value: Any) -> bool:
    if not _flag(fn, "has_rsample"):
        return False
    flows_in = any(tensor.requires_grad for layer in layers(fn) for tensor in _tensors(layer))
    return not flows_in or bool(getattr(value, "requires_grad", False))


def _tensors(fn: Any) -> Iterator[torch.Tensor]:
    for value in vars(fn).values() if hasattr(fn, "__dict__") else ():
        if isinstance(value, torch.Tensor):
            yield value


def _extent(value: Any) -> tuple[float | None, float | None]:
    if not isinstance(value, torch.Tensor) or not value.numel():
        return None, None
    try:
        low, high = extent(value.detach())
    except Exception:
        return None, None
    return (None, None) if math.isnan(low) else (low, high)


def _spread(fn: Any) -> list[float] | None:
    """Least and greatest standard deviation; None unless every one is finite."""
    try:
        with torch.no_grad():
            low, high = extent(fn.stddev)
    except Exception:
        return None
    return [low, high] if math.isfinite(low) and math.isfinite(high) else None


def given(fn: Any) -> Iterator[tuple[str, torch.Tensor, Any]]:
    """The arguments of one distribution (not of those inside it) that are tensors, with their constraints.

    What it computes from its arguments when that is asked for (``probs`` from ``logits``) is left out.
    """
    try:
        arguments = fn.arg_constraints
    except Exception:
        return
    for name, constraint in arguments.items():
        if name not in vars(fn) and isinstance(getattr(type(fn), name, None), lazy_property):
            continue
        try:
            value = getattr(fn, name, None)
        except Exception:
            continue
        if isinstance(value, torch.Tensor):
            yield name, value, constraint


def _violations(site: Any) -> Iterator[str]:
    mask = site["mask"]
    if mask is False:
        return
    chain = list(layers(site["fn"]))
    if any(getattr(fn, "_mask", None) is False for fn in chain):
        return
    for fn in chain:
        for name, value, constraint in given(fn):
            if not is_dependent(constraint):
                yield from _outside(name, value, constraint, None)
    support = support_of(site["fn"])
    if support is not None and isinstance(site["value"], torch.Tensor) and not is_dependent(support):
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


def support_of(fn: Any) -> Any:
    """A distribution's support; None where it says nothing or nothing true."""
    if type(unwrapped(fn)).__name__ == "Delta":
        return None  # says "real" of whatever point it is put on
    try:
        inner = unwrapped(fn)
        return image(inner) if type(inner).__name__ == "TransformedDistribution" else fn.support
    except Exception:
        return None
