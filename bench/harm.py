"""Whether the rewrites of the zoo do the harm that they are said to do: what ``verdicts.py --zoo`` is held to.

    python bench/harm.py                      # three data sets, a training each
    python bench/harm.py --kind normal --seeds 5

Every program is trained to its end as it is and with each rewrite, by Python alone, on other data for each seed.  Then
the ORIGINAL's model judges both guides, on the original's data (of a program that is broken as it is, the mended
one's): the loss, and what each says of the latents.  A rewrite is harmful where it breaks the program, or, on most data
sets, where it ends higher by ``NATS`` at least, or with a latent that lies or spreads elsewhere (by ``MOVED`` of the
original's standard deviations, or by a factor of ``SPREAD``).

Exit codes: 0 as said, 1 a rewrite is called what it is not, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import sys
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyro
import torch
from measure import positive
from pyro import poutine
from pyro.infer import SVI
from pyro.poutine.util import site_is_subsample
from zoo import Kind, Rewrite, kinds

T = TypeVar("T")
NATS, MOVED, SPREAD = 1.0, 1.0, 2.0
#: Calls of a program's own to judge by, and draws of each.
CALLS, DRAWS = 8, 32


class Trained:
    """The SVI objects of a program that has been run to its end, in the order in which it steps them."""

    def __init__(self, path: Path, data: int, seed: int | None = None) -> None:
        """``data``: which data set; ``seed``: of the training, as many as data sets where none is given."""
        self.calls: dict[int, deque[tuple[tuple[Any, ...], dict[str, Any]]]] = {}
        self.svis: dict[int, SVI] = {}
        step = SVI.step

        def watched(svi: SVI, *args: Any, **kwargs: Any) -> Any:
            if not self.svis:
                pyro.set_rng_seed(1000 + (data if seed is None else seed))
            self.svis[id(svi)] = svi
            self.calls.setdefault(id(svi), deque(maxlen=CALLS)).append((args, kwargs))
            return step(svi, *args, **kwargs)

        SVI.step, sys.argv = watched, [str(path), str(data)]  # type: ignore[method-assign]
        pyro.clear_param_store()
        pyro.set_rng_seed(0)
        try:
            runpy.run_path(str(path), run_name="__main__")
        finally:
            SVI.step = step  # type: ignore[method-assign]
        self.state = pyro.get_param_store().get_state()


def judged(original: Trained, other: Trained) -> list[dict[str, Any]]:
    """What the original's models think of the other's guides, by SVI object: the loss, and the latents' moments."""
    pyro.get_param_store().set_state(other.state)
    told = []
    for mine, theirs in zip(original.svis.values(), other.svis.values(), strict=True):
        losses: list[float] = []
        drawn: dict[str, list[torch.Tensor]] = {}
        for number in range(CALLS * DRAWS):
            calls = original.calls[id(mine)]
            args, kwargs = calls[number % len(calls)]
            pyro.set_rng_seed(number)
            losses.append(float(mine.loss(mine.model, theirs.guide, *args, **kwargs)))
            if number % len(calls):
                continue
            trace = poutine.trace(theirs.guide).get_trace(*args, **kwargs)
            for name, site in trace.nodes.items():
                if site["type"] == "sample" and not site["infer"].get("is_auxiliary") and not site_is_subsample(site):
                    drawn.setdefault(name, []).append(site["value"].detach().double())
        latents = {name: torch.stack(values) for name, values in drawn.items()}
        moments = {name: (values.mean(0).flatten(), values.std(0).flatten()) for name, values in latents.items()}
        told.append({"loss": sum(losses) / len(losses), "moments": moments})
    return told


def compared(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> str:
    """What is worse, in words; empty where nothing is."""
    for mine, theirs in zip(before, after, strict=True):
        if not theirs["loss"] - mine["loss"] < NATS:
            return f"{theirs['loss'] - mine['loss']:.3g} nats"
        if theirs["loss"] < mine["loss"] - NATS:
            continue  # what has come further lies elsewhere
        for name, (mean, spread) in mine["moments"].items():
            if name not in theirs["moments"] or theirs["moments"][name][0].shape != mean.shape:
                return f"no '{name}'"
            other, width = theirs["moments"][name]
            if mean.numel() > 32 or not spread.min() > 0:
                continue
            moved, ratio = ((other - mean).abs() / spread).max(), (width / spread).log().abs().max().exp()
            if not moved < MOVED or not ratio < SPREAD:
                return f"'{name}' moved by {float(moved):.2g} sd, spread by {float(ratio):.2g}"
    return ""


def seed_of(kind: Kind, data: int, folder: Path) -> dict[str, str]:
    """What is worse with each rewrite, on one data set."""
    path = folder / f"{kind.name}-{data}.py"
    reference = [rewrite for rewrite in kind.rewrites if rewrite.name == kind.reference]
    path.write_text(reference[0].applied(kind.program) if reference else kind.program, encoding="utf-8")
    original = Trained(path, data)
    before = judged(original, original)
    worse = partial(_worse, kind.program, original=original, before=before, path=path, data=data)
    told = {rewrite.name: apart(partial(worse, rewrite)) for rewrite in kind.rewrites}
    return {name: "the process died" if words is None else words for name, words in told.items()}


def _worse(
    program: str, rewrite: Rewrite, original: Trained, before: Sequence[dict[str, Any]], path: Path, data: int
) -> str:
    path = path.with_name(f"{path.stem}-{os.getpid()}.py")
    path.write_text(rewrite.applied(program), encoding="utf-8")
    try:
        other = Trained(path, data)
        return compared(before, judged(original, other))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:80] if str(error) else ''}"


def apart(work: Callable[[], T]) -> T | None:
    """What ``work`` returns, done in a process of its own so that it leaves nothing behind; None where that died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, json.dumps(work()).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    found: T | None = json.loads(text) if text else None
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Train everything, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=positive, default=3, help="data sets (default: 3)")
    parser.add_argument("--kind", action="append", default=[], metavar="NAME", help="only these kinds of programs")
    arguments = parser.parse_args(argv)
    known = {kind.name: kind for kind in kinds()}
    unknown = set(arguments.kind) - set(known)
    if unknown:
        parser.error(f"no such kind: {min(unknown)}; there are {', '.join(known)}")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    wrong = 0
    print("| program | rewrite | | worse | how |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="pyro-fix-harm-") as folder:
        for name in arguments.kind or known:
            seen = [seed_of(known[name], data, Path(folder)) for data in range(arguments.seeds)]
            for rewrite in known[name].rewrites:
                found = [one[rewrite.name] for one in seen if one[rewrite.name]]
                as_said = len(found) > arguments.seeds / 2 if rewrite.harmful else len(found) <= arguments.seeds / 2
                wrong += not as_said
                said = "harmful" if rewrite.harmful else "right"
                share = f"{len(found)} of {arguments.seeds}"
                print(
                    f"| {name} | {rewrite.name} | {said} | {share} | {'; '.join(dict.fromkeys(found))} |"
                    f"{'' if as_said else ' NOT AS SAID'}",
                    flush=True,
                )
    print(f"\n{'all are as said' if not wrong else f'{wrong} are not as said'}; {arguments.seeds} data sets.")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
