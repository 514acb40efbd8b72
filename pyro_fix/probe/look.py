"""The deep look at an SVI object's first step: parameters, sites, supports, losses and gradients.

It runs in a forked copy of the program (or in a process that is made for it), so it may initialise parameters, draw
numbers and switch validation off as it likes.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import pyro
import torch
from pyro import poutine

from . import seeds, sites, untrained, work
from .executions import Execution, execute
from .params import extent, norm, sketch
from .places import Statements
from .supports import support_name

if TYPE_CHECKING:
    from .entries import Entry
    from .record import Recorder


def look(recorder: Recorder, entry: Entry, deep: dict[str, Any]) -> None:
    """Look, and write one ``look`` event; then one of ``facts``, where these are asked for."""
    found: dict[str, Any] = {}
    warnings.simplefilter("ignore")
    # What is invalid is reported below; an exception would hide all that comes after it.
    pyro.enable_validation(False)
    first = ("step", recorder.spec["seeds"][0], entry.ordinal, 0)
    try:
        executions = _executions(recorder, entry, deep["seeds"], first, found)
        found["params"] = _params(entry, executions[0][1])
        for which in ("guide", "model"):
            traces = [getattr(execution, which) for execution, _ in executions]
            found[which] = sites.describe(traces, executions[0][1][which].sites)
        traced = [execution for execution, _ in executions]
        found["untrained"] = recorder.quietly(untrained.find, entry, traced, recorder.places) or []
        if "error" not in found:
            _evaluate(entry, deep, found)
            if deep["facts"]:
                found["work"] = recorder.quietly(work.count, entry)
    except Exception as error:
        found.setdefault("error", _words(error))
    recorder.journal.write("look", svi=entry.ordinal, **found)
    if deep["facts"]:
        from .facts import gather

        recorder.journal.write("facts", svi=entry.ordinal, **gather(recorder, entry, first))


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:1000]


def _executions(
    recorder: Recorder, entry: Entry, count: int, first: tuple[Any, ...], found: dict[str, Any]
) -> list[tuple[Execution, dict[str, Statements]]]:
    """Guide and model under each seed, until one raises something."""
    executions = []
    for seed in range(max(1, count)):
        # The first execution draws what the first real step will draw: parameters that it makes are the same.
        parts = first if seed == 0 else ("look", seed)
        heard = {which: Statements(recorder.places) for which in ("guide", "model")}
        execution = execute(entry, parts, within_guide=(heard["guide"],), within_model=(heard["model"],))
        entry.params.update(execution.params)
        executions.append((execution, heard))
        if execution.errors:
            found["error"] = _words(execution.errors[0])
            break
    return executions


def _params(entry: Entry, heard: dict[str, Statements]) -> dict[str, Any]:
    found = {}
    for name, param in entry.params:
        minimum, maximum = extent(param.value())
        found[name] = {
            "shape": list(param.unconstrained.shape),
            "constraint": support_name(param.constraint),
            "values": sketch(name, param.value()),
            "minimum": minimum,
            "maximum": maximum,
            "where": heard["guide"].params.get(name) or heard["model"].params.get(name, ""),
        }
    return found


def _evaluate(entry: Entry, deep: dict[str, Any], found: dict[str, Any]) -> None:
    """Loss and gradient under each common seed."""
    from .entries import number

    losses, norms = [], []
    gradients: dict[str, list[list[float]]] = {name: [] for name, _ in entry.params}
    assert entry.loss_and_grads is not None
    for seed in range(deep["seeds"]):
        for _, param in entry.params:
            param.unconstrained.grad = None
        seeds.align("look", entry.ordinal, seed)
        with poutine.trace(param_only=True):
            losses.append(number(entry.loss_and_grads(entry.model, entry.guide, *entry.args, **entry.kwargs)))
        for name, param in entry.params:
            grad = param.unconstrained.grad
            gradients[name].append(sketch(name, torch.zeros_like(param.unconstrained) if grad is None else grad))
        norms.append(norm(param.unconstrained for _, param in entry.params))
    found.update(losses=losses, gradients=gradients, norms=norms)
    if deep["slices"]:
        from . import slices

        found["slices"] = slices.replay(entry)
