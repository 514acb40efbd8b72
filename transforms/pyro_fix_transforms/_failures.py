"""What an exception of a run is about."""

from __future__ import annotations

import re

from pyro_fix.observation import Failure

#: What torch and Pyro say when a value, not the program's code, is at fault.
_NUMERIC = re.compile(
    r"Expected (?:parameter|value argument)|within the support|satisfy the constraint|\bnan\b|\binf(?:inity)?\b"
    r"|not positive[- ]definite|singular|cholesky|linalg",
    re.IGNORECASE,
)


def of_values(failure: Failure) -> bool:
    """Whether an exception complains of numbers: an invalid argument, NaN, a matrix that cannot be factorised."""
    return _NUMERIC.search(failure.message) is not None
