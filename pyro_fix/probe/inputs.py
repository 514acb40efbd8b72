"""The tensors that a program hands to its model and guide."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import torch

from . import sites
from .executions import callee
from .params import extent
from .structure import labelled

#: How deep tuples, lists and dicts are looked into, and how many tensors are told of.
DEPTH = 3
MOST = 50


def named(model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """Every tensor among the arguments, by the name that the model (or else the guide) gives it."""
    found: list[tuple[str, torch.Tensor]] = []
    for name, value in [*zip(_names(model, guide, args, kwargs), args), *kwargs.items()]:  # noqa: B905
        found += _tensors(name, value, DEPTH)
    return found[:MOST]


def with_labels(value: Any, name: str, depth: int = DEPTH) -> Any:
    """``value`` with a label on each of its tensors: the name that :func:`named` gives it."""
    if type(value) in (list, tuple, dict) and depth:
        parts = [with_labels(part, inner, depth - 1) for inner, part in _parts(name, value)]
        return dict(zip(value, parts)) if isinstance(value, dict) else type(value)(parts)  # noqa: B905
    return labelled(value, ("input", name)) if isinstance(value, torch.Tensor) else value


def labelled_arguments(
    model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with labels on their tensors."""
    names = _names(model, guide, args, kwargs)
    return (
        tuple(with_labels(value, name) for name, value in zip(names, args)),  # noqa: B905
        {name: with_labels(value, name) for name, value in kwargs.items()},
    )


def describe(name: str, value: torch.Tensor, observed: bool, where: str) -> dict[str, Any]:
    """What a transform may ask of one input."""
    with torch.no_grad():
        numbers = value.detach()
        if numbers.is_sparse:
            numbers = numbers.to_dense()
        numbers = (numbers.abs() if numbers.is_complex() else numbers).cpu().to(torch.float64)
        low, high = extent(numbers)
        columns = _column_spreads(numbers)
        spreads = columns[columns > 0]
        return {
            "name": name,
            "shape": list(value.shape),
            "dtype": str(value.dtype).removeprefix("torch."),
            "observed": observed,
            "minimum": low,
            "maximum": high,
            "column_spreads": [float(spreads.min()), float(spreads.max())] if spreads.numel() else None,
            "constant_columns": columns.numel() - spreads.numel(),
            "where": where,
        }


def is_observed(value: torch.Tensor, model: Any) -> bool:
    """Whether a tensor, or a view of it, or one that equals it, is the value of an observed site of a trace."""
    return any(
        isinstance(site["value"], torch.Tensor) and _same(value, site["value"])
        for _, site in sites.samples(model)
        if site["is_observed"] and not sites.is_deterministic(site)
    )


def _same(value: torch.Tensor, observed: torch.Tensor) -> bool:
    try:
        if value.untyped_storage().data_ptr() == observed.untyped_storage().data_ptr() != 0:
            return True
        return value.shape == observed.shape and bool(torch.equal(value.to(observed.dtype), observed))
    except Exception:
        return False


def _column_spreads(numbers: torch.Tensor) -> torch.Tensor:
    """The standard deviation of each column; empty for a tensor of fewer than two dimensions."""
    if numbers.dim() < 2 or not numbers.numel():
        return numbers.new_empty(0)
    return numbers.reshape(-1, numbers.shape[-1]).std(0, unbiased=False)


def _names(model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str]:
    """A name for each positional argument."""
    for fn in (model, guide):
        names = _own_names(fn, args, kwargs)
        if names is not None:
            return names
    return [f"args[{i}]" for i in range(len(args))]


def _own_names(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[str] | None:
    """The names that a program's signature gives its positional arguments; None where they do not fit."""
    try:
        signature = inspect.signature(_runs(fn))
        bound = signature.bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        return None
    found: list[str] = []
    for name, value in bound.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            found += [f"{name}[{i}]" for i in range(len(value))]
        elif kind is not inspect.Parameter.VAR_KEYWORD and name not in kwargs:
            found.append(name)
    return found


def _runs(fn: Any) -> Any:
    inner = callee(fn)
    return inner.forward if isinstance(inner, torch.nn.Module) else inner


def _parts(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in pairs:
        yield f"{name}[{key!r}]", part


def _tensors(name: str, value: Any, depth: int) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif type(value) in (list, tuple, dict) and depth:
        for inner, part in _parts(name, value):
            yield from _tensors(inner, part, depth - 1)
