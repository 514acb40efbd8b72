"""What a step takes, counted: the same on every machine, and beside whatever else that does.

Whether a training can be afforded decides what is looked at, and so must not be left to a clock.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from . import seeds

if TYPE_CHECKING:
    from .entries import Entry


def count(entry: Entry) -> dict[str, int]:
    """Calls that one evaluation of loss and gradient makes, elements of what its operations return, floating-point
    operations of its products, and parameters; nothing where torch is too old to be asked."""
    if importlib.util.find_spec("torch.utils.flop_counter") is None:
        return {}
    return {"calls": _calls(lambda: _evaluate(entry)), "params": sum(1 for _ in entry.params), **_operations(entry)}


def _evaluate(entry: Entry) -> None:
    assert entry.loss_and_grads is not None
    seeds.align("look", entry.ordinal, 0)
    entry.loss_and_grads(entry.model, entry.guide, *entry.args, **entry.kwargs)


def _calls(work: Callable[[], None]) -> int:
    """Calls of functions, Python's and others."""
    found = 0

    def heard(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(heard)
    try:
        work()
    finally:
        sys.setprofile(before)
    return found


def _operations(entry: Entry) -> dict[str, int]:
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_flatten
    from torch.utils.flop_counter import flop_registry

    total = {"elements": 0, "flops": 0}

    class Counting(TorchDispatchMode):  # type: ignore[misc, no-untyped-call, unused-ignore]
        def __torch_dispatch__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
            kwargs = kwargs or {}
            result = function(*args, **kwargs)
            total["elements"] += sum(part.numel() for part in tree_flatten(result)[0] if torch.is_tensor(part))
            formula = flop_registry.get(function._overloadpacket)
            if formula is not None:
                total["flops"] += int(formula(*args, **kwargs, out_val=result))
            return result

    mode: Any = Counting  # without types
    with mode():
        _evaluate(entry)
    return total
