"""How many programs of a folder can be observed: started, recorded, stopped after some steps, and nothing left behind.

    python bench/observe.py pyro/examples            # a checkout of Pyro's repository has its example scripts
    python bench/observe.py --steps 20 my/programs

Programs are found as pyro-fix finds them: files that step an SVI when they are run, with the arguments that the
project's own tests give them.  A program that asks for a module that is not installed, or for data that are not there,
is counted apart: no observer can run it.  Exit codes: 0 limits met, 1 one was missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from measure import positive

from pyro_fix import sources
from pyro_fix.analysis.project import Project, of_concern
from pyro_fix.observation import Observation
from pyro_fix.plans import Finder
from pyro_fix.runner import interpreter, run
from pyro_fix.runner.model import Deep, RunRequest
from pyro_fix.verify import RunPlan

#: Of the programs that have what they ask for, this share is to be observed.
OBSERVED = 0.9
#: Failures that say what is missing here.
MISSING = ("ModuleNotFoundError", "ImportError", "FileNotFoundError", "URLError", "gaierror")


def plans(folders: Sequence[Path]) -> list[RunPlan]:
    """The programs of some folders."""
    read = {}
    for path in sources.discover(folders):
        try:
            source = of_concern(path.absolute(), path.read_bytes())
        except (OSError, sources.SourceError):
            continue
        if source is not None:
            read[source.path] = source
    return Finder().programs(Project(read).read(read.values()))


def outcome(seen: Observation, steps: int) -> tuple[str, str]:
    """``observed``, ``missing`` or ``failed``, and why."""
    made = [len(t.losses) for svi in seen.svis for t in svi.trajectories]
    if made and max(made) > 0:
        looked = sum(svi.look is not None and not svi.look.error for svi in seen.svis)
        words = f"{len(seen.svis)} SVI objects, {max(made)} of {steps} steps, {looked} looked at"
        return "observed", words + (f"; then {seen.failure.kind}" if seen.failure else "")
    failure = seen.failure or next((t.failure for svi in seen.svis for t in svi.trajectories if t.failure), None)
    why = (
        f"{failure.kind}: {failure.message.strip().splitlines()[-1][:120]}"
        if failure and failure.message
        else "no step"
    )
    return ("missing" if failure and failure.kind in MISSING else "failed"), why


def files(folders: Sequence[Path]) -> set[tuple[Path, int]]:
    """Every file below some folders, with the time of its last change."""

    def below(folder: Path) -> Iterator[tuple[Path, int]]:
        for place, _, names in os.walk(folder):
            for name in names:
                path = Path(place, name)
                yield path, path.lstat().st_mtime_ns

    return {entry for folder in folders for entry in below(folder)}


def processes() -> set[int]:
    """All processes of this machine but those of the runner's own, which wait for the next run."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if b"boot.py" in words and b"--warm" not in words:
            found.add(int(entry.parent.name))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--steps", type=positive, default=10, help="SVI steps a program (default: 10)")
    parser.add_argument("--timeout", type=positive, default=120, help="seconds a program (default: 120)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    absent = [folder for folder in arguments.folders if not folder.exists()]
    if absent:
        parser.error(f"{absent[0]}: no such file or folder")
    folders = [folder.resolve() for folder in arguments.folders]
    python = interpreter.find(arguments.python, Path.cwd())
    found = plans(folders)
    before = files(folders)
    counts = {"observed": 0, "missing": 0, "failed": 0}
    started = time.monotonic()
    print("| program | | |\n| --- | --- | --- |")
    for plan in found:
        seen = run(
            RunRequest(
                plan.target,
                python,
                steps=arguments.steps,
                deep=Deep(seeds=4, facts=True),
                expect_svis=plan.expect_svis,
                timeout=arguments.timeout,
            )
        )
        kind, why = outcome(seen, arguments.steps)
        counts[kind] += 1
        name = os.path.relpath(plan.target.cwd / plan.target.name, folders[0])
        print(f"| {' '.join((name, *plan.target.args))} | {kind} | {why} |", flush=True)
    changed = sorted({str(path) for path, _ in before ^ files(folders)})
    stray = processes()
    able = counts["observed"] + counts["failed"]
    share = counts["observed"] / able if able else 1.0
    print(
        f"\n{len(found)} programs: {counts['observed']} observed ({share:.0%} of those that have what they ask for,"
        f" limit {OBSERVED:.0%}), {counts['failed']} not, {counts['missing']} ask for what is not there."
    )
    print(f"Left behind: {len(stray)} processes, {len(changed)} files{': ' + ', '.join(changed) if changed else ''}.")
    print(f"{arguments.steps} steps; {time.monotonic() - started:.0f} s.")
    return 0 if share >= OBSERVED and not stray and not changed else 1


if __name__ == "__main__":
    sys.exit(main())
