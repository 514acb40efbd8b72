"""Common random numbers: both programs of a comparison draw the same numbers in the same step."""

from __future__ import annotations

import hashlib
import random
import sys
from typing import Any

_MASK = 2**64 - 1


def derive(*parts: Any) -> int:
    """A seed below 2**63 that depends on nothing but ``parts``."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def align(*parts: Any) -> None:
    """Seed torch, numpy and random from ``parts``."""
    _seed(derive(*parts))


class Stream:
    """The seeds of one SVI object's steps, each of which depends on its name and the step alone."""

    def __init__(self, *parts: Any) -> None:
        """``parts`` tell this stream from others."""
        self._start = derive(*parts)

    def align(self, step: int) -> None:
        """The same as the function, for a step."""
        # A hash a step would cost more than the seeding: Weyl's sequence, mixed as in SplitMix64.
        mixed = (self._start + (step + 1) * 0x9E3779B97F4A7C15) & _MASK
        mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
        _seed((mixed ^ (mixed >> 31)) >> 1)


def _seed(seed: int) -> None:
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)
    torch = sys.modules.get("torch")
    if torch is not None:
        # torch.manual_seed would queue one more lazy CUDA call, with a formatted stack, at every step.
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        elif sys.platform == "darwin" and hasattr(torch, "mps") and torch.backends.mps.is_available():
            torch.mps.manual_seed(seed)


def tame_numpy() -> None:
    """Make unseeded ``numpy.random.default_rng()`` follow the common seed instead of the system's entropy."""
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return
    real = numpy.random.default_rng

    def default_rng(seed: Any = None) -> Any:
        return real(int(numpy.random.randint(2**31 - 1)) if seed is None else seed)

    default_rng.__doc__ = real.__doc__
    numpy.random.default_rng = default_rng
