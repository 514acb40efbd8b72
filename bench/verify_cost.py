"""What verification costs: a forked run beside a fresh one, ten fixes beside a plain run, the recorder beside none."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import BenchmarkError, Cost, checkout_environment, positive, run

#: Verifying ten fixes may cost this many times one plain run of as many steps as one of its runs makes.
VERIFYING = 3.0
#: A recorded step may take this many times the CPU of a plain one.
RECORDED = 1.10
#: Steps of the runs whose difference is the cost of a step.
FEW, MANY = 200, 1200

HEAD = """\
import sys

import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import {optimizer}
from torch.distributions import constraints

STEPS = int(sys.argv[1])
pyro.set_rng_seed(0)
data = torch.randn({rows}, {columns}) * 0.5 + torch.arange({columns}.0)


def model(data):
    for i, column in enumerate(data.T):
        loc = pyro.sample(f"loc_{{i}}", dist.Normal(0.0, 10.0))
        with pyro.plate(f"data_{{i}}", len(column)):
            pyro.sample(f"obs_{{i}}", dist.Normal(loc, 0.5), obs=column)


def guide(data):
"""
SITE = """\
    loc_{i} = pyro.param("loc_{i}_loc", torch.tensor(0.0))
    scale_{i} = pyro.param("loc_{i}_scale", torch.tensor(0.5){constraint})
    pyro.sample("loc_{i}", dist.Normal(loc_{i}, scale_{i}))
"""
TAIL = """

svi = SVI(model, guide, {optimizer}({rate}), loss=Trace_ELBO())
for step in range(STEPS):
    svi.step(data)
"""


def program(columns: int, bare: int, rows: int = 100, decays: bool = True) -> str:
    """A regression per column; ``bare`` of their guides' scales have no constraint, and the rate need not decay."""
    optimizer = "ClippedAdam" if decays else "Adam"
    rate = '{"lr": 0.001, "lrd": 0.1 ** (1 / STEPS)}' if decays else '{"lr": 0.001}'
    constraint = ", constraint=constraints.positive"
    sites = [SITE.format(i=i, constraint="" if i < bare else constraint) for i in range(columns)]
    head = HEAD.format(optimizer=optimizer, rows=rows, columns=columns)
    return head + "".join(sites) + TAIL.format(optimizer=optimizer, rate=rate)


class Costs:
    """Runs commands in one folder, with this interpreter and this checkout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._environment = {**checkout_environment(folder / "bytecode"), "OMP_NUM_THREADS": "1"}

    def of(self, *arguments: str | Path) -> Cost:
        return run([sys.executable, *arguments], self._folder, self._environment)

    def recorded(self, file: Path, steps: int, *, times: int = 1, fresh: bool = True) -> float:
        """CPU seconds of this many recorded runs."""
        how = "fresh" if fresh else "forked"
        return self.of(Path(__file__).resolve(), "--record", how, str(times), str(steps), file).cpu

    def plain(self, file: Path, steps: int) -> float:
        return self.of(file, str(steps)).cpu


def record(how: str, times: str, steps: str, file: str) -> int:
    """In a process of its own, whose descendants are counted: run the program, recorded and nothing more."""
    from pyro_fix.runner import run as start
    from pyro_fix.runner.model import RunRequest
    from pyro_fix.runner.target import parse

    target = parse(f"{Path(file).name} {steps}", Path(file).parent)
    request = RunRequest(target, Path(sys.executable), steps=int(steps), fresh=how == "fresh", device="cpu")
    for _ in range(int(times)):
        seen = start(request)
        if seen.failure is not None or [len(t.losses) for svi in seen.svis for t in svi.trajectories] != [int(steps)]:
            print(f"the program was not run: {seen.failure}", file=sys.stderr)
            return 2
    return 0


def starts(costs: Costs, folder: Path, repeat: int) -> list[tuple[str, float]]:
    """CPU seconds of a fresh run, of the first in a fork, and of each further one."""
    file = folder / "small.py"
    file.write_text(program(1, 0), encoding="utf-8")
    fresh, first, more = [], [], []
    for _ in range(repeat):
        fresh.append(costs.recorded(file, 20))
        first.append(costs.recorded(file, 20, fresh=False))
        more.append((costs.recorded(file, 20, times=11, fresh=False) - first[-1]) / 10)
    return [
        ("a fresh run", statistics.median(fresh)),
        ("the first run in a fork, with the start of what is forked", statistics.median(first)),
        ("each further one", statistics.median(more)),
    ]


def verifying(costs: Costs, folder: Path, steps: int, columns: int) -> tuple[float, float, int]:
    """CPU seconds of one plain run and of verifying ten fixes; how many fixes were verified."""
    file = folder / "ten.py"
    file.write_text(program(columns, columns - 1, decays=False), encoding="utf-8")
    plain = costs.plain(file, steps)
    command = f"{file.name} {10**9}"  # who verifies stops it
    options = ["--diff", "--no-cache", "--select", "SVI051,SVI022", "--format", "json", "--quiet", "--device", "cpu"]
    told = costs.of("-m", "pyro_fix", *options, "--steps", str(steps), "--run", command, file)
    findings = json.loads(told.stdout)["findings"]
    verified = [finding for finding in findings if (finding["fix"] or {}).get("status") == "verified"]
    return plain, told.cpu, len(verified)


def recording(costs: Costs, file: Path, repeat: int) -> tuple[float, float]:
    """CPU milliseconds of a plain and of a recorded step."""
    plain, recorded = [], []
    for _ in range(repeat):
        few, few_recorded = costs.plain(file, FEW), costs.recorded(file, FEW)
        many, many_recorded = costs.plain(file, MANY), costs.recorded(file, MANY)
        plain.append(1000 * (many - few) / (MANY - FEW))
        recorded.append(1000 * (many_recorded - few_recorded) / (MANY - FEW))
    return statistics.median(plain), statistics.median(recorded)


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was measured; exit code 1 when a limit was missed, 2 when a command fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=positive, default=3, help="runs of each command, in turns (default 3)")
    parser.add_argument("--steps", type=positive, default=100, help="steps of a run that verifies (default 100)")
    parser.add_argument("--record", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--only", choices=("starts", "verifying", "recording"), help="leave the other parts out")
    options = parser.parse_args(argv)
    if options.record:
        return record(*options.record)
    met = True
    try:
        with tempfile.TemporaryDirectory(prefix="pyro-fix-bench-") as name:
            folder = Path(name).resolve()
            costs = Costs(folder)
            costs.of("-c", "import torch, pyro, torch._dynamo")  # writes the byte code that an installed package has
            if options.only in (None, "starts"):
                print("| 20 steps of a small program | CPU s |\n| --- | --- |")
                for what, seconds in starts(costs, folder, options.repeat):
                    print(f"| {what} | {seconds:.2f} |", flush=True)
            if options.only in (None, "verifying"):
                plain, cost, verified = verifying(costs, folder, options.steps, 10)
                ratio = cost / plain
                met = met and verified == 10 and ratio <= VERIFYING
                print(f"\n| ten fixes, {options.steps} steps | CPU s |\n| --- | --- |")
                print(f"| python program.py | {plain:.2f} |\n| pyro-fix --diff | {cost:.2f} |")
                word = "met" if ratio <= VERIFYING else "MISSED"
                print(
                    f"{word}: within {VERIFYING:.0f}x of a plain run: {ratio:.2f}x; {verified} of 10 verified",
                    flush=True,
                )
            if options.only in (None, "recording"):
                print("\n| a step | plain ms | recorded ms | ratio |\n| --- | --- | --- | --- |")
                for columns, rows in ((1, 100), (10, 100), (1, 30_000)):
                    file = folder / "watched.py"
                    file.write_text(program(columns, 0, rows), encoding="utf-8")
                    bare, watched = recording(costs, file, options.repeat)
                    met = met and watched <= RECORDED * bare
                    sites = f"{2 * columns} sites, {rows} rows"
                    print(f"| {sites} | {bare:.2f} | {watched:.2f} | {watched / bare:.2f} |", flush=True)
    except BenchmarkError as error:
        print(f"bench/verify_cost.py: {error}", file=sys.stderr)
        return 2
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
