"""What verification costs: a forked run beside a fresh one, ten fixes beside a plain run, a proof beside trainings to
the end, the recorder beside none.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import BenchmarkError, Cost, checkout_environment, positive, run

#: Verifying ten fixes may cost this many times one plain run of the same number of steps: of as many as the program
#: makes in one run that is verified, under all its seeds together.
VERIFYING = 3.0
SEEDS = 4
#: A proof of ten fixes may cost this many times the plain runs to the end that it makes itself: of the program as it is
#: and with the fixes, under each seed.
PROVING = 2.2
#: A recorded step may take this many times the CPU of a plain one.
RECORDED = 1.10
#: Turns with the recorder and without, within one process, and CPU seconds of each: between them a machine that others
#: use changes by more than the recorder costs.
TURNS, TURN = 30, 0.15

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

#: The program itself takes turns: with the recorder, and with all that it has patched going straight through.
IN_TURNS = """

import gc
import json
import statistics
import time

svi = SVI(model, guide, {optimizer}({rate}), loss=Trace_ELBO())
recorder = next(found for found in gc.get_objects() if type(found).__name__ == "Recorder")
svi.step(data)


def turn(inside, steps):
    recorder.inside = inside
    started = time.process_time()
    for _ in range(steps):
        svi.step(data)
    recorder.inside = False
    return (time.process_time() - started) / steps


steps = max(5, int({seconds} / turn(True, 20)))
pairs = [(turn(True, steps), turn(False, steps)) for _ in range({turns})]
plain, recorded, ratio = (
    statistics.median(values)
    for values in ([a for a, _ in pairs], [b for _, b in pairs], [b / a for a, b in pairs])
)
raise RuntimeError(json.dumps([plain, recorded, ratio]))  # the one way by which a program is heard
"""


def program(columns: int, bare: int, rows: int = 100, decays: bool = True, turns: bool = False) -> str:
    """A regression per column; ``bare`` of their guides' scales have no constraint, and the rate need not decay."""
    optimizer = "ClippedAdam" if decays else "Adam"
    rate = '{"lr": 0.001, "lrd": 0.1 ** (1 / STEPS)}' if decays else '{"lr": 0.001}'
    constraint = ", constraint=constraints.positive"
    sites = [SITE.format(i=i, constraint="" if i < bare else constraint) for i in range(columns)]
    head = HEAD.format(optimizer=optimizer, rows=rows, columns=columns)
    tail = IN_TURNS if turns else TAIL
    return head + "".join(sites) + tail.format(optimizer=optimizer, rate=rate, seconds=TURN, turns=TURNS)


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


def verifying(costs: Costs, folder: Path, steps: int, columns: int) -> tuple[float, float, float, int]:
    """CPU seconds of a plain run of a trajectory's steps, of one of all seeds' steps, and of verifying ten fixes; how
    many fixes were verified."""
    file = folder / "ten.py"
    file.write_text(program(columns, columns), encoding="utf-8")
    short, plain = costs.plain(file, steps), costs.plain(file, SEEDS * steps)
    command = f"{file.name} {10**9}"  # who verifies stops it
    options = ["--diff", "--no-cache", "--select", "SVI051", "--format", "json", "--quiet", "--device", "cpu"]
    length = ["--steps", str(steps), "--seeds", str(SEEDS), "--prove-within", "0"]
    told = costs.of("-m", "pyro_fix", *options, *length, "--run", command, file)
    findings = json.loads(told.stdout)["findings"]
    verified = [finding for finding in findings if (finding["fix"] or {}).get("status") == "verified"]
    return short, plain, told.cpu, len(verified)


def proving(costs: Costs, folder: Path, steps: int, columns: int) -> tuple[float, float, float, str]:
    """CPU seconds of plain runs to the end, of verifying ten fixes, and of proving them too; what the proof says."""
    file = folder / "proven.py"
    file.write_text(program(columns, columns), encoding="utf-8")
    options = ["--diff", "--no-cache", "--select", "SVI051", "--format", "json", "--quiet", "--device", "cpu"]
    command = [*options, "--seeds", str(SEEDS), "--run", f"{file.name} {steps}", file]
    verified = costs.of("-m", "pyro_fix", *command, "--prove-within", "0")
    proven = costs.of("-m", "pyro_fix", *command, "--prove")
    before = costs.plain(file, steps)
    costs.of("-m", "pyro_fix", *command, "--prove-within", "0", "--apply")
    plain = SEEDS * (before + costs.plain(file, steps))
    proofs = json.loads(proven.stdout)["proofs"]
    return plain, verified.cpu, proven.cpu, "; ".join(f"{proof['reason']}" for proof in proofs)


def turns(file: str) -> int:
    """In a process of its own: run a program that takes turns, and print what it found."""
    from pyro_fix.runner import run as start
    from pyro_fix.runner.model import RunRequest
    from pyro_fix.runner.target import parse

    target = parse(f"{Path(file).name} 100000", Path(file).parent)
    seen = start(RunRequest(target, Path(sys.executable), steps=10**9, device="cpu"))
    if seen.failure is None or seen.failure.kind != "RuntimeError":
        print(f"the program was not run: {seen.failure}", file=sys.stderr)
        return 2
    print(seen.failure.message)
    return 0


def recording(costs: Costs, file: Path, repeat: int) -> tuple[float, float, float]:
    """CPU milliseconds of a plain and of a recorded step, and the median of the turns' ratios."""
    told = [json.loads(costs.of(Path(__file__).resolve(), "--turns", file).stdout) for _ in range(repeat)]
    plain, recorded, ratio = (statistics.median(values) for values in zip(*told, strict=True))
    return 1000 * plain, 1000 * recorded, ratio


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was measured; exit code 1 when a limit was missed, 2 when a command fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=positive, default=3, help="runs of each command, in turns (default 3)")
    parser.add_argument("--steps", type=positive, default=100, help="steps of a run that verifies (default 100)")
    parser.add_argument("--end", type=positive, default=500, help="steps of a program that is proven (default 500)")
    parser.add_argument("--record", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--turns", help=argparse.SUPPRESS)
    parser.add_argument(
        "--only", choices=("starts", "verifying", "proving", "recording"), help="leave the other parts out"
    )
    options = parser.parse_args(argv)
    if options.record:
        return record(*options.record)
    if options.turns:
        return turns(options.turns)
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
                rows = [verifying(costs, folder, options.steps, 10) for _ in range(options.repeat)]
                short, plain, cost = (statistics.median(column) for column in list(zip(*rows, strict=True))[:3])
                verified, ratio = min(row[3] for row in rows), cost / plain
                met = met and verified == 10 and ratio <= VERIFYING
                print(f"\n| ten fixes, {options.steps} steps on {SEEDS} seeds | CPU s |\n| --- | --- |")
                print(f"| python program.py, {options.steps} steps | {short:.2f} |")
                print(f"| python program.py, {SEEDS * options.steps} steps | {plain:.2f} |")
                print(f"| pyro-fix --diff | {cost:.2f} |")
                word = "met" if ratio <= VERIFYING else "MISSED"
                print(f"{word}: within {VERIFYING:.0f}x of a plain run of {SEEDS * options.steps} steps: {ratio:.2f}x")
                print(f"({cost / short:.2f}x of one of {options.steps} steps); {verified} of 10 verified", flush=True)
            if options.only in (None, "proving"):
                found = [proving(costs, folder, options.end, 10) for _ in range(options.repeat)]
                columns = list(zip(*found, strict=True))[:3]
                plain, without, proven = (statistics.median(column) for column in columns)
                ratio = (proven - without) / plain
                met = met and ratio <= PROVING
                print(f"\n| ten fixes, {options.end} steps to the end on {SEEDS} seeds | CPU s |\n| --- | --- |")
                print(f"| python program.py, {SEEDS} times as it is and {SEEDS} times with the fixes | {plain:.2f} |")
                print(f"| pyro-fix --diff --prove-within 0 | {without:.2f} |")
                print(f"| pyro-fix --diff --prove | {proven:.2f} |")
                word = "met" if ratio <= PROVING else "MISSED"
                print(
                    f"{word}: the proof within {PROVING}x of the plain runs: {ratio:.2f}x ({found[-1][3]})", flush=True
                )
            if options.only in (None, "recording"):
                print("\n| a step | plain ms | recorded ms | ratio |\n| --- | --- | --- | --- |")
                for columns, rows in ((1, 100), (10, 100), (1, 30_000)):
                    file = folder / "watched.py"
                    file.write_text(program(columns, 0, rows, turns=True), encoding="utf-8")
                    bare, watched, ratio = recording(costs, file, options.repeat)
                    met = met and ratio <= RECORDED
                    sites = f"{2 * columns} sites, {rows} rows"
                    print(f"| {sites} | {bare:.2f} | {watched:.2f} | {ratio:.3f} |", flush=True)
    except BenchmarkError as error:
        print(f"bench/verify_cost.py: {error}", file=sys.stderr)
        return 2
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
