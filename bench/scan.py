"""CPU seconds of pyro-fix's static pass beside other linters and codemods, on one tree.

The tree is a copy of the installed ``pyro`` package, ``torch/distributions`` and ``torch/nn``.  Every peer is
installed, pinned, into a virtual environment of its own (torchfix and fixit ask for different LibCSTs) below
``--cache``; none of them pulls torch.  See README.md in this folder.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from measure import BenchmarkError, Cost, checkout_environment, positive, run


@dataclass(frozen=True)
class Tool:
    """One line of the table."""

    name: str
    requirement: str
    """What pip installs; empty for pyro-fix itself."""
    command: Callable[[Path, Path], list[str | Path]]
    """Folder of the tool's executables, tree -> the command to measure."""
    slow: bool = False
    """Takes more than ten seconds, so it runs once; the others run ``--repeat`` times, in turns."""
    writes: bool = False
    """Rewrites the tree, so every run gets a fresh copy."""

    @property
    def peer(self) -> str:
        """The name that ``--peers`` takes."""
        return self.requirement.partition("==")[0] or self.name


def _ruff(*options: str) -> Callable[[Path, Path], list[str | Path]]:
    return lambda binaries, tree: [binaries / "ruff", "check", "--no-cache", "--isolated", "--quiet", *options, tree]


PYRO_FIX = Tool("pyro-fix", "", lambda _, tree: [sys.executable, "-m", "pyro_fix", "--no-verify", tree])
PEERS = (
    Tool("ruff, F rules", "ruff==0.17.6", _ruff("--select", "F")),
    Tool("ruff, default rules", "ruff==0.17.6", _ruff()),
    Tool(
        "pyupgrade",
        "pyupgrade==3.22.0",
        lambda binaries, tree: [binaries / "pyupgrade", "--exit-zero-even-if-changed", *python_files(tree)],
        slow=True,
        writes=True,
    ),
    Tool("fixit lint", "fixit==2.2.1", lambda binaries, tree: [binaries / "fixit", "lint", tree], slow=True),
    Tool("torchfix", "torchfix==0.7.0", lambda binaries, tree: [binaries / "torchfix", tree], slow=True),
)

#: Line of the table -> what its CPU seconds, divided by pyro-fix's, must at least be.  Of ruff it is the rules that
#: people get who ask for none; the narrower F set is there to be seen.
TARGETS = {"torchfix": 20.0, "fixit lint": 20.0, "ruff, default rules": 1 / 6}


def python_files(tree: Path) -> list[Path]:
    """Every Python file below ``tree``."""
    return sorted(tree.rglob("*.py"))


def build_tree(target: Path) -> None:
    """Copy the Python files of the installed pyro, torch/distributions and torch/nn; imports neither."""
    for package, parts in (("pyro", [""]), ("torch", ["distributions", "nn"])):
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            raise BenchmarkError(f'{sys.executable} has no {package}: python -m pip install "pyro-fix[verify]"')
        folder = Path(spec.submodule_search_locations[0])
        for part in parts:
            for file in python_files(folder / part):
                copy = target / package / file.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)


def install(requirement: str, cache: Path) -> Path:
    """Make sure that ``requirement`` is installed below ``cache``; returns the folder of its executables."""
    folder = cache / f"{requirement}-py{sys.version_info.major}.{sys.version_info.minor}"
    binaries = folder / ("Scripts" if os.name == "nt" else "bin")
    done = folder / "installed"
    if done.exists():
        return binaries
    print(f"installing {requirement} into {folder}", file=sys.stderr)
    try:
        venv.create(folder, with_pip=True, clear=True)
        python = str(binaries / "python")
        command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement]
        subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        text = error.stderr or error.stdout or ""
        text = text if isinstance(text, str) else text.decode(errors="replace")
        reason = next((line for line in text.splitlines() if line.startswith("ERROR:")), str(error))
        raise BenchmarkError(f"{requirement} cannot be installed: {reason.removeprefix('ERROR:').strip()}") from error
    except OSError as error:
        raise BenchmarkError(f"{requirement} cannot be installed into {folder}: {error}") from error
    done.touch()
    return binaries


def measure(tool: Tool, binaries: Path, tree: Path, scratch: Path) -> Cost:
    """One run of ``tool`` over ``tree``."""
    if tool.writes:
        copy = scratch / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(tree, copy)
        tree = copy
    environment = checkout_environment(scratch / "bytecode") if tool is PYRO_FIX else None
    cost = run(tool.command(binaries, tree), scratch, environment)
    print(f"  {tool.name}: {cost.cpu:.2f} CPU s, {cost.wall:.2f} s, {cost.rss:.0f} MB", file=sys.stderr)
    return cost


def table(costs: dict[str, list[Cost]]) -> str:
    """Medians, and how often pyro-fix's CPU seconds go into each."""
    own = statistics.median(cost.cpu for cost in costs[PYRO_FIX.name])
    lines = [
        "| tool | runs | CPU s | wall s | peak RSS, MB | CPU s / pyro-fix's |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, runs in costs.items():
        cpu, wall = (statistics.median(getattr(cost, field) for cost in runs) for field in ("cpu", "wall"))
        rss = max(cost.rss for cost in runs)
        lines.append(f"| {name} | {len(runs)} | {cpu:.2f} | {wall:.2f} | {rss:.0f} | {cpu / own:.2f} |")
    return "\n".join(lines)


def verdicts(costs: dict[str, list[Cost]]) -> list[tuple[bool, str]]:
    """Whether each target was met by the medians, with a sentence that says so."""
    own = statistics.median(cost.cpu for cost in costs[PYRO_FIX.name])
    found = []
    for name, least in TARGETS.items():
        if name in costs:
            ratio = statistics.median(cost.cpu for cost in costs[name]) / own
            wanted = f"at least {least:.0f}x faster than" if least >= 1 else f"within {1 / least:.0f}x of"
            was = f"{ratio:.1f}x faster" if ratio >= 1 else f"{1 / ratio:.1f}x slower"
            met = ratio >= least
            found.append((met, f"{'met' if met else 'MISSED'}: {wanted} {name}: {was}"))
    return found


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pyro-fix-bench"
    names = sorted({tool.peer for tool in PEERS})
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=positive, default=5, help="runs of the fast tools, in turns (default 5)")
    parser.add_argument(
        "--skip-slow", action="store_true", help="leave out pyupgrade, fixit and torchfix (up to minutes each)"
    )
    parser.add_argument("--peers", nargs="*", choices=names, default=names, metavar="PEER", help=", ".join(names))
    parser.add_argument("--cache", type=Path, default=cache, help=f"where the peers are installed (default {cache})")
    return parser.parse_args(argv)


def benchmark(tools: Iterable[Tool], repeat: int, cache: Path) -> dict[str, list[Cost]]:
    """Install, build the tree and measure: the slow tools once, the others in turns after a run to warm caches."""
    tools = list(tools)
    binaries = {tool: install(tool.requirement, cache) if tool.requirement else Path() for tool in tools}
    costs: dict[str, list[Cost]] = {tool.name: [] for tool in tools}
    with tempfile.TemporaryDirectory(prefix="pyro-fix-bench-") as folder:
        scratch, tree = Path(folder), Path(folder) / "tree"
        build_tree(tree)
        files = python_files(tree)
        lines = sum(file.read_bytes().count(b"\n") for file in files)
        print(f"tree: {len(files)} files, {lines:,} lines; Python {sys.version.split()[0]}")
        fast = [tool for tool in tools if not tool.slow]
        print("warming up", file=sys.stderr)
        for tool in fast:
            measure(tool, binaries[tool], tree, scratch)
        for turn in range(repeat):
            print(f"turn {turn + 1} of {repeat}", file=sys.stderr)
            for tool in fast:
                costs[tool.name].append(measure(tool, binaries[tool], tree, scratch))
        for tool in tools:
            if tool.slow:
                print(f"{tool.name}, once", file=sys.stderr)
                costs[tool.name].append(measure(tool, binaries[tool], tree, scratch))
    return costs


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; exit code 1 when a target was missed, 2 when a tool cannot be installed or run."""
    options = arguments(argv)
    tools = [PYRO_FIX, *(t for t in PEERS if t.peer in options.peers and not (t.slow and options.skip_slow))]
    try:
        costs = benchmark(tools, options.repeat, options.cache)
    except BenchmarkError as error:
        print(f"bench/scan.py: {error}", file=sys.stderr)
        return 2
    print(table(costs))
    results = verdicts(costs)
    for _, sentence in results:
        print(sentence)
    return 0 if all(met for met, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main())
