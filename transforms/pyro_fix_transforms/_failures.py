"""What an exception of a run is about."""

from __future__ import annotations

import math
import re

from pyro_fix.observation import Failure, Look, SiteLook

#: What torch and Pyro say when a value, not the program's code, is at fault.
_NUMERIC = re.compile(
    r"Expected (?:parameter|value argument)|within the support|satisfy the constraint|\bnan\b|\binf(?:inity)?\b"
    r"|not positive[- ]definite|singular|cholesky|linalg",
    re.IGNORECASE,
)


def of_values(failure: Failure) -> bool:
    """Whether an exception complains of numbers: an invalid argument, NaN, a matrix that cannot be factorised."""
    return _NUMERIC.search(failure.message) is not None


def of_data(failure: Failure, look: Look | None) -> SiteLook | None:
    """The observed site whose data an exception complains of: they lie outside of a support that nothing moves."""
    if look is None or "Expected value argument" not in failure.message:
        return None
    site = look.model.get(failure.site)
    if site is None or not site.observed or not any(words.startswith("value") for words in site.violations):
        return None
    moves = "(" in site.support and bool(site.parents)
    return None if moves or site.support == "?" else site


def broken_inputs(failure: Failure, look: Look | None) -> list[str]:
    """The tensors that the program was given with NaN or infinity in them, where an exception complains of numbers."""
    if look is None or not of_values(failure):
        return []
    return [given.name for given in look.inputs if not (math.isfinite(given.minimum) and math.isfinite(given.maximum))]
