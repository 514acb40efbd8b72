"""Keep a run's parameters, and let the original program evaluate those of other runs."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from . import seeds
from .params import Params

if TYPE_CHECKING:
    from .record import Entry, Recorder


def save(params: Params, path: str) -> None:
    """Save every parameter: its unconstrained tensor, its constrained value, its constraint's description."""
    state = {
        name: {
            "unconstrained": param.unconstrained.detach().cpu().clone(),
            "value": param.value().cpu().clone(),
            "constraint": repr(param.constraint),
        }
        for name, param in params
    }
    # In two moves: a run that is killed meanwhile leaves no half file.
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def judge(recorder: Recorder, entry: Entry, asked: dict[str, Any]) -> None:
    """Write one ``referee`` event for each state of this SVI object."""
    warnings.simplefilter("ignore")
    for label, folder in asked["states"].items():
        for when in ("first", "last"):
            losses = [math.nan] * asked["evaluations"]
            path = os.path.join(folder, f"svi-{entry.ordinal}-{when}.pt")
            try:
                problem = _load(entry.params, path)
            except Exception as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                recorder.journal.write("note", text=f"referee, {label}/{when}: {problem}")
            else:
                losses = [_evaluate(entry, number) for number in range(asked["evaluations"])]
            recorder.journal.write("referee", svi=entry.ordinal, label=f"{label}/{when}", losses=losses)


def restoring(params: Params, work: Callable[[], None]) -> None:
    """Do ``work`` in this process and put the parameters back (where a fork is not safe)."""
    kept = [(param.unconstrained, param.unconstrained.detach().clone()) for _, param in params]
    try:
        work()
    finally:
        for tensor, values in kept:
            tensor.data.copy_(values)


def _evaluate(entry: Entry, number: int) -> float:
    from .record import number as as_number

    args, kwargs = entry.batches[number % len(entry.batches)] if entry.batches else (entry.args, entry.kwargs)
    # Each batch and each seed is the same for all states.
    seeds.align("referee", entry.ordinal, number)
    try:
        with torch.no_grad():
            return as_number(entry.loss(entry.model, entry.guide, *args, **kwargs))  # type: ignore[misc]
    except Exception:
        return math.nan


def _load(params: Params, path: str) -> str:
    """Put a saved state into this program's parameters; returns why that is not possible."""
    if not os.path.exists(path):
        return "that run left no parameters"
    state = torch.load(path, map_location="cpu", weights_only=True)
    names = {name for name, _ in params}
    if names != set(state):
        return f"parameters differ: {', '.join(sorted(names ^ set(state)))[:300]}"
    for name, param in params:
        saved = state[name]
        if saved["constraint"] == repr(param.constraint):
            new = saved["unconstrained"]
        else:
            # The value is what both programs mean by the parameter; how it is represented is each one's own matter.
            new = param.inverse(saved["value"].to(param.unconstrained.device))
        if new.shape != param.unconstrained.shape:
            return f"shapes of {name} differ: {tuple(new.shape)} and {tuple(param.unconstrained.shape)}"
        param.unconstrained.data.copy_(new)
    return ""
