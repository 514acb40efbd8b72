"""Train a program to its own end, and say what it has learnt: the measure of ``bench/reports.py``.

    python bench/trained.py program.py --seeds 2 --draws 200

The program runs as it is, by Python alone; only the random numbers of its first step on are chosen by a seed, so that
its data stay the same.  What is measured is measured on the model and guide that were stepped last, never on parameters
by name: a guide may be rewritten.  Prints a line of JSON for each seed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import runpy
import sys
import traceback
import warnings
from collections import deque
from pathlib import Path
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import SVI
from pyro.infer.elbo import ELBO
from pyro.poutine.util import site_is_subsample

#: Of the latest steps, by whose minibatches the ELBO is measured.
BATCHES = 32


class Last:
    """What was stepped last, and how it ended."""

    def __init__(self, seed: int) -> None:
        self.model: Any = None
        self.guide: Any = None
        self.loss: Any = None
        self.arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
        self.recent: deque[tuple[tuple[Any, ...], dict[str, Any]]] = deque(maxlen=BATCHES)
        """Arguments of the latest steps: of a program that goes through minibatches, several of them."""
        self.steps = 0
        self.value = math.nan
        self._seed = seed

    def watch(self) -> None:
        """Have every step told, of SVI objects and of the lower level's losses."""
        step, last = SVI.step, self

        def watched_step(svi: SVI, *args: Any, **kwargs: Any) -> Any:
            last.stepped(svi.model, svi.guide, svi.loss, args, kwargs)
            value = step(svi, *args, **kwargs)
            last.value = float(value) if isinstance(value, (int, float)) else math.nan
            return value

        SVI.step = watched_step
        for kind in _below(ELBO):
            if "differentiable_loss" in vars(kind):
                kind.differentiable_loss = self._lower(vars(kind)["differentiable_loss"])

    def _lower(self, method: Any) -> Any:
        last = self

        def watched(elbo: ELBO, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Any:
            if not last.steps or last.loss is elbo.loss:  # inside a step it is the step's own
                last.stepped(model, guide, elbo.loss, args, kwargs)
            value = method(elbo, model, guide, *args, **kwargs)
            last.value = float(value.detach()) if torch.is_tensor(value) else math.nan
            return value

        return watched

    def stepped(self, model: Any, guide: Any, loss: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self.steps:
            pyro.set_rng_seed(1000 + self._seed)
        self.steps += 1
        self.model, self.guide, self.loss, self.arguments = model, guide, loss, (args, kwargs)
        self.recent.append(self.arguments)


def _below(kind: type) -> list[type]:
    return [kind, *(found for child in kind.__subclasses__() for found in _below(child))]


def measured(last: Last, draws: int) -> dict[str, object]:
    """Means and spreads of the latents, values of parameters, the ELBO, the scale of the observations."""
    args, kwargs = last.arguments
    values: dict[str, list[torch.Tensor]] = {}
    scale = 1.0
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(draws):
            guide = poutine.trace(last.guide).get_trace(*args, **kwargs)
            model = poutine.trace(poutine.replay(last.model, trace=guide)).get_trace(*args, **kwargs)
            for name, site in model.nodes.items():
                if site["type"] != "sample" or site_is_subsample(site) or not torch.is_tensor(site["value"]):
                    continue
                if not site["is_observed"]:
                    values.setdefault(name, []).append(site["value"].double())
                elif not torch.is_tensor(site["scale"]):
                    scale = float(site["scale"])
        losses = []
        for number in range(draws):
            args, kwargs = last.recent[number % len(last.recent)]
            losses.append(float(last.loss(last.model, last.guide, *args, **kwargs)))
    stacked = {name: torch.stack(list(drawn)) for name, drawn in values.items() if len({v.shape for v in drawn}) == 1}
    return {
        "means": {name: drawn.mean(0).tolist() for name, drawn in stacked.items()},
        "sds": {name: drawn.std(0).tolist() for name, drawn in stacked.items()},
        "params": {name: value.detach().tolist() for name, value in pyro.get_param_store().items()},
        "elbo": -sum(losses) / len(losses),
        "scale": scale,
    }


def train(program: str, seed: int, draws: int) -> dict[str, object]:
    """Run the program and measure what it was trained to."""
    last = Last(seed)
    last.watch()
    report: dict[str, object] = {"raised": ""}
    pyro.set_rng_seed(0)  # data that the program draws without a seed of its own are the same every time
    try:
        runpy.run_path(program, run_name="__main__")
    except SystemExit as end:
        if end.code not in (None, 0):
            report["raised"] = f"SystemExit: {end.code}"
    except Exception as error:
        traceback.print_exc()
        report["raised"] = f"{type(error).__name__}: {error}"
    report |= {"steps": last.steps, "last": last.value}
    if not report["raised"] and last.steps:
        try:
            report |= measured(last, draws)
        except Exception as error:  # what was learnt cannot even be drawn from
            traceback.print_exc()
            report["raised"] = f"afterwards: {type(error).__name__}: {error}"
    return report


def main() -> int:
    """Train and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("rest", nargs="*", help="the program's own arguments")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    sys.argv = [arguments.program, *arguments.rest]
    sys.path[0] = str(Path(arguments.program).resolve().parent)  # as `python program.py` has it
    out, sys.stdout = sys.stdout, sys.stderr
    for seed in range(arguments.seeds):
        child = os.fork()  # each seed in a process of its own, and torch is loaded once
        if child == 0:
            print(json.dumps(train(arguments.program, seed, arguments.draws)), file=out, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
    return 0


if __name__ == "__main__":
    sys.exit(main())
