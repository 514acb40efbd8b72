"""Keep a run's parameters, and let the original program evaluate those of other runs.

A run whose guide is an autoguide that the original does not have is evaluated with that guide around the ORIGINAL's
model and under the original's ELBO: both losses then bound the evidence of one and the same model.
"""

from __future__ import annotations

import itertools
import math
import os
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyro
import pyro.infer.autoguide
import torch
from pyro import poutine

from . import seeds
from .params import Params

if TYPE_CHECKING:
    from .entries import Entry
    from .record import Recorder


def snapshot(entry: Entry) -> dict[str, Any]:
    """Every parameter (its unconstrained tensor, its constrained value, its constraint's description), and which
    autoguide they belong to."""
    params = {
        name: {
            "unconstrained": param.unconstrained.detach().cpu().clone(),
            "value": param.value().cpu().clone(),
            "constraint": repr(param.constraint),
        }
        for name, param in entry.params
    }
    return {"autoguide": _autoguide(entry.guide), "params": params}


def size(entry: Entry) -> int:
    """Bytes that a snapshot takes."""
    return sum(2 * param.unconstrained.numel() * param.unconstrained.element_size() for _, param in entry.params)


def save(state: dict[str, Any], path: str) -> None:
    """Write a snapshot to a file."""
    # In two moves: a run that is killed meanwhile leaves no half file.
    torch.save(state, path + ".part")
    os.replace(path + ".part", path)


def judge(recorder: Recorder, entry: Entry, asked: dict[str, Any]) -> None:
    """Write one ``referee`` event for each state of this SVI object."""
    warnings.simplefilter("ignore")
    bench = _Bench(recorder, entry)
    for label, folder in asked["states"].items():
        for when in asked["moments"]:
            paths = _paths(folder, entry.ordinal, when)
            bench.write(f"{label}/{when}", bench.losses(f"{label}/{when}", paths, asked["evaluations"]))
        for step, path in _way(folder, entry.ordinal) if asked["way"] else ():
            bench.write(f"{label}/{step}", bench.losses(f"{label}/{step}", [path], asked["way"]))
        if asked["draws"]:
            name = f"{label}/weights"
            bench.write(name, bench.weights(name, _paths(folder, entry.ordinal, "last")[0], asked["draws"]))


class _Bench:
    """Evaluates states, and writes what they are worth."""

    def __init__(self, recorder: Recorder, entry: Entry) -> None:
        self._recorder, self._entry = recorder, entry
        self._guides: dict[str, tuple[Any, Params]] = {"": (entry.guide, entry.params)}

    def write(self, label: str, losses: list[float]) -> None:
        self._recorder.journal.write("referee", svi=self._entry.ordinal, label=label, losses=losses)

    def losses(self, label: str, paths: list[str], evaluations: int) -> list[float]:
        """The states of ``paths`` share the evaluations."""
        losses: list[float] = []
        each = -(-evaluations // len(paths))
        for path in paths:
            numbers = range(len(losses), len(losses) + each)
            guide, problem = self._load(label, path)
            losses += [math.nan if problem else _evaluate(self._entry, guide, number) for number in numbers]
        return losses

    def weights(self, label: str, path: str, draws: int) -> list[float]:
        from .weights import weights

        guide, problem = self._load(label, path)
        if problem:
            return []
        try:
            drawn, problem = weights(self._entry, guide, draws)
        except Exception as error:
            drawn, problem = [], f"{type(error).__name__}: {error}"
        self._note(label, problem)
        return drawn

    def _load(self, label: str, path: str) -> tuple[Any, str]:
        try:
            guide, problem = _load(self._entry, path, self._guides)
        except Exception as error:
            guide, problem = None, f"{type(error).__name__}: {error}"
        self._note(label, problem)
        return guide, problem

    def _note(self, label: str, problem: str) -> None:
        if problem:
            self._recorder.journal.write("note", text=f"referee, {label}: {problem}")


def _paths(folder: str, ordinal: int, when: str) -> list[str]:
    """Where the states of a moment lie: ``late`` are several, one after the other."""
    name = os.path.join(folder, f"svi-{ordinal}-{when}")
    if when != "late":
        return [f"{name}.pt"]
    numbers = itertools.takewhile(lambda number: os.path.exists(f"{name}-{number}.pt"), itertools.count())
    return [f"{name}-{number}.pt" for number in numbers] or [f"{name}-0.pt"]


def _way(folder: str, ordinal: int) -> list[tuple[int, str]]:
    """The steps that a run has kept on its way, in their order, and where their states lie."""
    start = f"svi-{ordinal}-way-"
    names = [name for name in os.listdir(folder) if name.startswith(start)] if os.path.isdir(folder) else []
    steps = sorted(int(name[len(start) : -len(".pt")]) for name in names if name.endswith(".pt"))
    return [(step, os.path.join(folder, f"{start}{step}.pt")) for step in steps]


def restoring(params: Params, work: Callable[[], None]) -> None:
    """Do ``work`` in this process and put the parameters back (where a fork is not safe)."""
    kept = [(param.unconstrained, param.unconstrained.detach().clone()) for _, param in params]
    store = pyro.get_param_store()
    names = set(store.keys())
    try:
        work()
    finally:
        for tensor, values in kept:
            tensor.data.copy_(values)
        for name in set(store.keys()) - names:
            del store[name]


def _evaluate(entry: Entry, guide: Any, number: int) -> float:
    from .entries import number as as_number

    args, kwargs = entry.batches[number % len(entry.batches)] if entry.batches else (entry.args, entry.kwargs)
    # Each batch and each seed is the same for all states.
    seeds.align("referee", entry.ordinal, number)
    try:
        with torch.no_grad():
            return as_number(entry.loss(entry.model, guide, *args, **kwargs))  # type: ignore[misc]
    except Exception:
        return math.nan


def _load(entry: Entry, path: str, guides: dict[str, tuple[Any, Params]]) -> tuple[Any, str]:
    """Put a saved state into parameters of this program; returns the guide that has them, and why there is none.

    ``guides`` holds the program's own guide under the empty name, and the autoguides that were made so far.
    """
    if not os.path.exists(path):
        return None, "that run left no parameters"
    saved = torch.load(path, map_location="cpu", weights_only=True)
    kind = saved["autoguide"] if saved["autoguide"] != _autoguide(entry.guide) else ""
    if kind not in guides:
        guides[kind] = _make(entry, kind)
    guide, params = guides[kind]
    return guide, _fill(params, saved["params"])


def _fill(params: Params, saved: dict[str, Any]) -> str:
    names = {name for name, _ in params}
    if names != set(saved):
        return f"parameters differ: {', '.join(sorted(names ^ set(saved)))[:300]}"
    for name, param in params:
        if saved[name]["constraint"] == repr(param.constraint):
            new = saved[name]["unconstrained"]
        else:
            # The value is what both programs mean by the parameter; how it is represented is each one's own matter.
            new = param.inverse(saved[name]["value"].to(param.unconstrained.device))
        if new.shape != param.unconstrained.shape:
            return f"shapes of {name} differ: {tuple(new.shape)} and {tuple(param.unconstrained.shape)}"
        param.unconstrained.data.copy_(new)
    return ""


# ---------------------------------------------------------------------- autoguides


def _unwrapped(guide: Any) -> tuple[list[Any], Any]:
    """The handlers round a guide, outermost first, and what is in them; see ``pyro.poutine.messenger.unwrap``."""
    handlers = []
    while True:
        if type(guide).__name__ == "_bound_partial":
            guide = guide.func
        elif hasattr(guide, "func") and len(getattr(guide, "args", ())) >= 2:
            handlers.append(guide.args[0])
            guide = guide.args[1]
        else:
            return handlers, guide


def _autoguide(guide: Any) -> str:
    """The name of the class of Pyro's autoguides that a guide is a plain object of; empty when it is none."""
    kind = type(_unwrapped(guide)[1])
    return kind.__name__ if getattr(pyro.infer.autoguide, kind.__name__, None) is kind else ""


def _make(entry: Entry, kind: str) -> tuple[Any, Params]:
    """An autoguide for this program's model, scaled as its own guide is, and its parameters (the model's included)."""
    handlers, _ = _unwrapped(entry.guide)
    others = [type(handler).__name__ for handler in handlers if type(handler).__name__ != "ScaleMessenger"]
    if others:
        raise TypeError(f"the guide is within {others[0]}: another guide cannot take its place")
    guide = getattr(pyro.infer.autoguide, kind)(_unscaled(entry.model))
    for handler in reversed(handlers):
        guide = handler(guide)
    seeds.align("referee", entry.ordinal, kind)
    with poutine.trace(param_only=True) as capture:
        trace = poutine.trace(guide).get_trace(*entry.args, **entry.kwargs)
        poutine.trace(poutine.replay(entry.model, trace=trace)).get_trace(*entry.args, **entry.kwargs)
    params = Params()
    params.update(capture.trace)
    return guide, params


def _unscaled(model: Any) -> Any:
    """The model without scales round it: what an autoguide would be made of."""
    handlers, inner = _unwrapped(model)
    for handler in reversed([handler for handler in handlers if type(handler).__name__ != "ScaleMessenger"]):
        inner = handler(inner)
    return inner
