"""The parameters that an SVI object trains: in Pyro's parameter store, or local to their modules."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import pyro
import torch
from torch.distributions import constraints, transform_to

#: Tensors of up to this many elements are reported whole.
WHOLE = 64
#: Larger ones are reported as this many random projections.
PROJECTIONS = 32


class Param:
    """One parameter: the tensor that the optimiser changes, and the constraint that its value obeys."""

    def __init__(self, unconstrained: torch.Tensor, constraint: Any) -> None:
        """``unconstrained`` is the leaf tensor itself, not a copy."""
        self.unconstrained = unconstrained
        self.constraint = constraint
        self._is_real = constraint is constraints.real or isinstance(constraint, type(constraints.real))

    def value(self) -> torch.Tensor:
        """The constrained value."""
        with torch.no_grad():
            if self._is_real:
                return self.unconstrained.detach()
            value: torch.Tensor = transform_to(self.constraint)(self.unconstrained)
            return value.detach()

    def inverse(self, value: torch.Tensor) -> torch.Tensor:
        """The unconstrained tensor that stands for a constrained value."""
        with torch.no_grad():
            unconstrained: torch.Tensor = value if self._is_real else transform_to(self.constraint).inv(value)
            return unconstrained


class Params:
    """The parameters of one SVI object, by name."""

    def __init__(self) -> None:
        """Empty; :meth:`update` finds them."""
        self._found: dict[str, Param] = {}
        self._store_size = -1

    def __iter__(self) -> Iterator[tuple[str, Param]]:
        """Yield name and parameter."""
        return iter(self._found.items())

    def __len__(self) -> int:
        """How many there are."""
        return len(self._found)

    def get(self, name: str) -> Param | None:
        """The parameter of that name."""
        return self._found.get(name)

    @property
    def stale(self) -> bool:
        """Whether the store has changed in size since the last update."""
        return len(pyro.get_param_store()) != self._store_size

    @property
    def alive(self) -> bool:
        """Whether the store still holds the very tensors found (the program may have cleared it)."""
        store = pyro.get_param_store()._params
        return all(
            name not in self._from_store or store.get(name) is param.unconstrained
            for name, param in self._found.items()
        )

    def update(self, trace: Any) -> None:
        """Take in what a trace of parameter statements saw."""
        store = pyro.get_param_store()
        for name, site in trace.nodes.items():
            if site["type"] != "param" or site["value"] is None:
                continue
            unconstrained = getattr(site["value"], "unconstrained", None)
            leaf = unconstrained() if callable(unconstrained) else site["value"]
            constraint = store._constraints.get(name) if name in store else site["kwargs"].get("constraint")
            if isinstance(leaf, torch.Tensor):
                self._found[name] = Param(leaf, constraints.real if constraint is None else constraint)
        self._from_store = {name for name in self._found if name in store}
        self._store_size = len(store)


def sketch(name: str, tensor: torch.Tensor) -> list[float]:
    """A tensor's elements, or ``PROJECTIONS`` projections that depend on name and size alone.

    The projections are a count sketch: each element goes with a random sign into one random bucket, so inner products
    and norms are kept in expectation at a cost linear in the size.
    """
    flat = tensor.detach().reshape(-1).to(device="cpu", dtype=torch.float64)
    count = flat.numel()
    if count <= WHOLE:
        return [float(x) for x in flat]
    generator = torch.Generator(device="cpu")
    generator.manual_seed(zlib.crc32(f"{name}:{count}".encode()))
    bucket = torch.randint(PROJECTIONS, (count,), generator=generator, device="cpu")
    sign = torch.randint(2, (count,), generator=generator, device="cpu").to(torch.float64) * 2 - 1
    out = torch.zeros(PROJECTIONS, device="cpu", dtype=torch.float64).index_add_(0, bucket, sign * flat)
    return [float(x) for x in out]


def extent(value: torch.Tensor) -> tuple[float, float]:
    """Least and greatest element; NaN if any element is."""
    if value.numel() == 0:
        return 0.0, 0.0
    low, high = torch.aminmax(value.real if value.is_complex() else value)
    return float(low), float(high)


def norm(tensors: Any) -> float:
    """Euclidean norm of all gradients of ``tensors`` together, the same in whichever order they come (in a set's)."""
    squares = []
    for tensor in tensors:
        grad = getattr(tensor, "grad", None)
        if grad is not None:
            values = grad.detach().coalesce().values() if grad.is_sparse else grad.detach()
            squares.append(float(torch.linalg.vector_norm(values)) ** 2)
    total = sum(sorted(squares))
    return math.sqrt(total) if total >= 0 else total
