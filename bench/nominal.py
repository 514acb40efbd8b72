"""How far the time of a step by what it does lies from the time by a clock: where ``nominal``'s numbers are from.

    python bench/nominal.py                     # programs, outcomes and examples of the project
    python bench/nominal.py my/programs

Each program is observed once. On an idle machine like the one that the numbers were chosen on the ratios lie round 1;
on another one all of them are off by what that is faster or slower, which changes no verdict.

Exit codes: 0 all within ``nominal.APART``, 1 one is not, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from pyro_fix.runner import interpreter, run
from pyro_fix.runner.model import Deep, RunRequest
from pyro_fix.runner.target import parse
from pyro_fix.verify.nominal import APART, measured_seconds, seconds_of

HERE = Path(__file__).resolve().parent
FOLDERS = (HERE / "programs", HERE / "outcomes", HERE.parent / "examples")


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="scripts that step an SVI when they are run")
    parser.add_argument("--steps", type=int, default=40, help="of each program (default: 40)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    python = interpreter.find(arguments.python, Path.cwd())
    ratios = []
    print("| program | clock, ms | counted, ms | ratio |\n| --- | --- | --- | --- |")
    for path in (path for folder in arguments.folders or FOLDERS for path in sorted(folder.glob("*.py"))):
        target = parse(path.name, path.parent)
        seen = run(RunRequest(target, python, steps=arguments.steps, deep=Deep(facts=True), device="cpu"))
        for svi in seen.svis:
            work = svi.look.work if svi.look is not None else None
            if max((len(t.losses) for t in svi.trajectories), default=0) < arguments.steps:
                continue  # it breaks: what it has shown is how it gets ready
            if work is None:
                print(f"| {path.stem} | | not counted | |")
                continue
            clock, counted = measured_seconds(svi), seconds_of(work)
            ratios.append(counted / clock)
            print(f"| {path.stem} | {1000 * clock:.2f} | {1000 * counted:.2f} | {ratios[-1]:.2f} |", flush=True)
    if not ratios:
        parser.error("no program was observed")
    met = all(1 / APART <= ratio <= APART for ratio in ratios)
    low, high = min(ratios), max(ratios)
    print(f"\n{len(ratios)} SVI objects: ratio {statistics.median(ratios):.2f} in the middle, {low:.2f} to {high:.2f};")
    print(f"limit {APART:g} either way: {'met' if met else 'MISSED'}.")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
