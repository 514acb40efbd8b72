"""The parameters that an SVI object trains: in Pyro's parameter store, or local to their modules."""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import Any

import pyro
import torch
from torch.distributions import constraints, transform_to, transforms

#: ``exp`` of what lies between minus this and this is finite in float32 and bfloat16, and so it is times the other.
_CALM, _SENSIBLE = 60.0, 1e6
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
        self._transform: Any = None
        self._monotone: bool | None = None
        self._range: tuple[float, float] | None = None

    def value(self) -> torch.Tensor:
        """The constrained value."""
        with torch.no_grad():
            if self._is_real:
                return self.unconstrained.detach()
            if self._transform is None:
                self._transform = transform_to(self.constraint)
            value: torch.Tensor = self._transform(self.unconstrained)
            return value.detach()

    def widen(self) -> tuple[float, float] | None:
        """Take the present value into the range that is kept here; or return the value's own, which is not.

        A transform that is monotone, element by element, keeps least and greatest: of these the unconstrained ones are
        enough until :meth:`kept` is asked, and what is calm there is finite.
        """
        if self._monotone is None:
            self._monotone = self._is_real or _is_monotone(transform_to(self.constraint), self.unconstrained)
        if self._monotone:
            low, high = extent(self.unconstrained)
            calm = math.inf if self._is_real else _CALM
            if -calm < low and high < calm:  # NaN is not
                self._range = union(self._range, (low, high))
                return None
        return extent(self.value())

    def kept(self) -> tuple[float, float] | None:
        """The constrained range that was kept, if any; none is kept then."""
        if self._range is None:
            return None
        with torch.no_grad():
            ends = self.unconstrained.new_tensor(self._range)
            ends = ends if self._is_real else transform_to(self.constraint)(ends)
        self._range = None
        return extent(ends)

    def inverse(self, value: torch.Tensor) -> torch.Tensor:
        """The unconstrained tensor that stands for a constrained value."""
        with torch.no_grad():
            unconstrained: torch.Tensor = value if self._is_real else transform_to(self.constraint).inv(value)
            return unconstrained


def _is_monotone(transform: Any, value: torch.Tensor) -> bool:
    """Whether a transform goes element by element, all up or all down, and takes calm numbers to finite ones."""
    if value.is_complex() or value.dtype == torch.float16:
        return False
    parts = transform.parts if isinstance(transform, transforms.ComposeTransform) else [transform]
    bends = (transforms.ExpTransform, transforms.SigmoidTransform, transforms.SoftplusTransform)
    return bool(parts) and isinstance(parts[0], bends) and all(map(_is_shift, parts[1:]))


def _is_shift(transform: Any) -> bool:
    """Whether a transform is ``loc + scale * x`` with one sensible number each."""
    if not isinstance(transform, transforms.AffineTransform):
        return False
    ends = (transform.loc, transform.scale)
    numbers = [end.item() if isinstance(end, torch.Tensor) and end.numel() == 1 else end for end in ends]
    return all(isinstance(number, (int, float)) and abs(number) < _SENSIBLE for number in numbers)


def union(known: tuple[float, float] | None, more: tuple[float, float]) -> tuple[float, float]:
    """The range that holds both; NaN where an end of one is."""
    if known is None:
        return more
    return _least(more[0], known[0]), -_least(-more[1], -known[1])


def _least(a: float, b: float) -> float:
    """The lesser; NaN if one is."""
    return a if math.isnan(a) or a < b else b


class Params:
    """The parameters of one SVI object, by name."""

    def __init__(self) -> None:
        """Empty; :meth:`update` finds them."""
        self._found: dict[str, Param] = {}
        self._store_size = -1
        self._ranges: dict[str, tuple[float, float]] = {}

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

    def widen(self) -> str:
        """Take the present values into the ranges; returns the first that is not finite, empty if all are."""
        broken = ""
        for name, param in self._found.items():
            looked = param.widen()
            if looked is not None:
                self._ranges[name] = union(self._ranges.get(name), looked)
                if not broken and not (math.isfinite(looked[0]) and math.isfinite(looked[1])):
                    broken = name
        return broken

    @property
    def ranges(self) -> dict[str, tuple[float, float]]:
        """Least and greatest value of each parameter so far, constrained; NaN if any was."""
        for name in self._found:
            self._settle(name)
        return self._ranges

    def _settle(self, name: str) -> None:
        """Write down what a parameter has kept by itself."""
        kept = self._found[name].kept() if name in self._found else None
        if kept is not None:
            self._ranges[name] = union(self._ranges.get(name), kept)

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
                self._settle(name)
                self._found[name] = Param(leaf, constraints.real if constraint is None else constraint)
        self._from_store = {name for name in self._found if name in store}
        self._store_size = len(store)


def sketch(name: str, tensor: torch.Tensor) -> list[float]:
    """A tensor's elements, or ``PROJECTIONS`` projections that depend on name and size alone.

    The projections are a count sketch: each element goes with a random sign into one random bucket, so inner products
    and norms are kept in expectation at a cost linear in the size.
    """
    flat = tensor.detach().reshape(-1).cpu().to(torch.float64)  # in two moves: MPS knows no float64
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
    if value.numel() == 1:
        only = value.item()
        only = float(only.real if isinstance(only, complex) else only)
        return only, only
    value = value.real if value.is_complex() else value
    low, high = torch.aminmax(value.detach())
    return float(low), float(high)


def norm(tensors: Any) -> float:
    """Euclidean norm of all gradients of ``tensors`` together, the same in whichever order they come (in a set's)."""
    squares = []
    for tensor in tensors:
        grad = getattr(tensor, "grad", None)
        if grad is not None:
            values = grad.detach().coalesce().values() if grad.is_sparse else grad
            length = values.item() if values.numel() == 1 else torch.linalg.vector_norm(values.detach()).item()
            squares.append(abs(length) ** 2)
    total = sum(sorted(squares))
    return math.sqrt(total) if total >= 0 else total


def largest(tensor: Any) -> float:
    """The largest magnitude in a tensor's gradient; 0 where it has none."""
    grad = getattr(tensor, "grad", None)
    if grad is None or grad.numel() == 0:
        return 0.0
    values = grad.detach().coalesce().values() if grad.is_sparse else grad.detach()
    return float(abs(values.item()) if values.numel() == 1 else values.abs().max().item())
