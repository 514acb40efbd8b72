"""What pyro-fix costs before it does anything: CPU of ``--help``, and which modules a static pass imports."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from measure import BenchmarkError, Cost, checkout_environment, positive, run

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "python -c 'import typer'": ("-c", "import typer"),
    "pyro-fix --help": ("-m", "pyro_fix", "--help"),
    "pyro-fix --version": ("-m", "pyro_fix", "--version"),
}

#: ``pyro-fix --help`` may take this many times the CPU of ``import typer``, which it cannot do without.
LIMIT = 3.0

#: A program in which there is nothing to find, so nothing to edit.
SOUND = """\
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints


def model(data):
    rate = pyro.sample("rate", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("obs", dist.Exponential(rate), obs=data)


def guide(data):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.05), constraint=constraints.positive)
    pyro.sample("rate", dist.LogNormal(loc, scale))
"""

#: The same with a parameter that lacks its constraint: there is an edit to make.
DEFECTIVE = SOUND.replace(", constraint=constraints.positive", "")


def modules(report: str) -> set[str]:
    """The modules of a report of ``python -X importtime``."""
    rows = (line.rpartition("|") for line in report.splitlines() if line.startswith("import time:"))
    return {name.strip() for _, bar, name in rows if bar}


def loaded(program: str, finding: str, heavy: Iterable[str], folder: Path) -> list[str]:
    """Which packages of ``heavy`` the static pass imports over a file of ``program``, where it finds ``finding``."""
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    cost = python(folder, "-X", "importtime", "-m", "pyro_fix", "--no-verify", str(file))
    found = {name.partition(".")[0] for name in modules(cost.stderr)}
    if "pyro_fix" not in found:
        raise BenchmarkError("python -X importtime -m pyro_fix reported no import of pyro_fix")
    if ("SVI" in cost.stdout) != bool(finding) or finding not in cost.stdout:
        raise BenchmarkError(
            f"expected {finding or 'no finding'} in {file.name}, not {cost.stdout.strip() or 'none'!r}"
        )
    return sorted(found.intersection(heavy))


def python(folder: Path, *arguments: str) -> Cost:
    """Run our interpreter on the checkout, in a ``folder`` outside any project."""
    return run([sys.executable, *arguments], folder, checkout_environment(folder / "bytecode"))


def measure(repeat: int, folder: Path) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Median CPU seconds of each command; the heavy modules that a static pass over each program imports."""
    costs: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for turn in range(repeat + 1):
        for name, command in COMMANDS.items():
            cpu = python(folder, *command).cpu
            if turn:  # the first turn warms the caches
                costs[name].append(cpu)
    return {name: statistics.median(values) for name, values in costs.items()}, {
        "a sound file": loaded(SOUND, "", ("torch", "pyro", "numpy", "libcst"), folder),
        "a file with a finding": loaded(DEFECTIVE, "SVI051", ("torch", "pyro", "numpy"), folder),
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Print what was measured; exit code 1 when a limit was missed, 2 when a command fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeat", type=positive, default=11, help="runs of each command, in turns (default 11)")
    repeat = parser.parse_args(argv).repeat
    try:
        with tempfile.TemporaryDirectory(prefix="pyro-fix-bench-") as folder:
            medians, imported = measure(repeat, Path(folder))
    except BenchmarkError as error:
        print(f"bench/startup.py: {error}", file=sys.stderr)
        return 2
    print("| command | runs | CPU ms |\n| --- | --- | --- |")
    for name, median in medians.items():
        print(f"| {name} | {repeat} | {1000 * median:.0f} |")
    ratio = medians["pyro-fix --help"] / medians["python -c 'import typer'"]
    print(f"{'met' if ratio <= LIMIT else 'MISSED'}: --help within {LIMIT:.0f}x of importing typer: {ratio:.2f}x")
    for what, names in imported.items():
        print(
            f"{'MISSED' if names else 'met'}: the static pass over {what} imports {', '.join(names) or 'nothing heavy'}"
        )
    return 0 if ratio <= LIMIT and not any(imported.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
