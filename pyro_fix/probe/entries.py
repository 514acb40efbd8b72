"""SVI objects of the program, and steps of theirs, as they are recorded."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any

import pyro.infer.elbo

from .params import Params


class Entry:
    """One SVI object (or one ELBO of the lower-level pattern)."""

    def __init__(self, ordinal: int, where: str) -> None:
        """``where``: ``file:line`` of its construction."""
        self.ordinal = ordinal
        self.where = where
        self.svi: Any = None
        """A weak reference; None for the lower-level pattern."""
        self.elbo: Any = None
        self.model: Any = None
        self.guide: Any = None
        self.loss: Callable[..., Any] | None = None
        self.loss_and_grads: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        """Of the latest step."""
        self.described = False
        self.made = 0
        """How many steps were made."""
        self.clamped = 0
        """In how many of them the optimiser clamped the gradient."""
        self.own: int | None = None
        """How many of them the program made by itself, where it ended before there were enough."""
        self.done = False
        self.last: Any = None
        """What the last real step returned."""
        self.params = Params()
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.batches: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        """The distinct arguments of its steps."""
        self.late: Any = None
        """The parameters of its latest steps (``states.Kept``), where they are kept."""
        self.way: Any = None
        """... and those of the way there."""
        self.judged = False
        self.saved = False


class Step:
    """The step that is being made."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.index = entry.made
        self.norm: float | None = None
        self.rates: list[float] = []
        self.clamped = False
        self.loss: Any = None
        self.mark: Any = None
        """Where it begins on the device, if one is in use."""
        self.started = time.process_time()


def number(loss: Any) -> float:
    """A loss as one number: some ELBOs return tuples, custom ones tensors."""
    try:
        if isinstance(loss, (tuple, list)):
            return math.fsum(number(part) for part in loss)
        return float(loss)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def same_batch(a: Any, b: Any) -> bool:
    """Whether two pairs of arguments and keywords are the very same objects."""
    (args, kwargs), (known, known_kwargs) = a, b
    return (
        len(args) == len(known)
        and all(map(operator.is_, args, known))
        and kwargs.keys() == known_kwargs.keys()
        and all(kwargs[key] is known_kwargs[key] for key in kwargs)
    )


def loss_of(entry: Entry) -> Any:
    """What computes the entry's loss: the ELBO object, also where SVI was given its bound method."""
    owner = getattr(entry.loss, "__self__", None)
    return owner if owner is not None else entry.elbo


def elbo_of(entry: Entry) -> Any:
    """The entry's ELBO object, if it is one."""
    elbo = loss_of(entry)
    return elbo if isinstance(elbo, pyro.infer.elbo.ELBO) else None


def elbo_name(elbo: Any) -> str:
    """The class of an ELBO, the name of any other loss."""
    if isinstance(elbo, pyro.infer.elbo.ELBO):
        return type(elbo).__name__
    return getattr(elbo, "__name__", type(elbo).__name__)


def particles(elbo: Any) -> int:
    """How many particles an ELBO averages over."""
    count = getattr(elbo, "num_particles", 1)
    return count if isinstance(count, int) else 1


def optimizer_name(optim: Any) -> str:
    """``Adam``, or ``ExponentialLR(Adam)``."""
    constructor = getattr(optim, "pt_optim_constructor", None)
    name = getattr(constructor, "__name__", None) or type(optim).__name__
    scheduler = getattr(getattr(optim, "pt_scheduler_constructor", None), "__name__", None)
    return f"{scheduler}({name})" if scheduler else str(name)
