"""Importance weights of a guide: how far it is from the posterior (Yao et al. 2018, "Yes, but did it work?")."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from pyro import poutine
from pyro.distributions.util import scale_and_mask
from pyro.poutine.util import site_is_subsample

from . import seeds

if TYPE_CHECKING:
    from .entries import Entry

#: Elements of all latents together: with many more the weights say nothing but that there are many.
MOST_ELEMENTS = 100


def weights(entry: Entry, guide: Any, draws: int) -> tuple[list[float], str]:
    """Logarithms of the weights of ``draws`` draws, shape (draws,), in nats; or why there are none.

    Scales do not count: what is asked is whether the guide is like the posterior, whatever the ELBO is divided by.
    """
    found = []
    with torch.no_grad():
        for number in range(draws):
            seeds.align("weights", entry.ordinal, number)
            drawn = poutine.trace(guide).get_trace(*entry.args, **entry.kwargs)
            replayed = poutine.trace(poutine.replay(entry.model, trace=drawn)).get_trace(*entry.args, **entry.kwargs)
            if not number and (why := _unfit(drawn) or _unfit(replayed)):
                return [], why
            found.append(_log_density(replayed) - _log_density(drawn))
    return found, ""


def _unfit(trace: Any) -> str:
    elements = 0
    for name, site in trace.nodes.items():
        if site["type"] != "sample":
            continue
        if site_is_subsample(site):
            if site["fn"].subsample_size is not None and site["fn"].subsample_size < site["fn"].size:
                return f"plate '{name}' takes a minibatch"
        elif not site["is_observed"]:
            if site["fn"].support.is_discrete:
                return f"latent '{name}' is discrete"
            elements += site["value"].numel()
    return f"the latents have {elements} elements, more than {MOST_ELEMENTS}" if elements > MOST_ELEMENTS else ""


def _log_density(trace: Any) -> float:
    trace.compute_log_prob()
    sites = [s for s in trace.nodes.values() if s["type"] == "sample" and not site_is_subsample(s)]
    masked: Any = scale_and_mask  # without types
    return float(sum(masked(s["unscaled_log_prob"], 1.0, s["mask"]).sum() for s in sites))
