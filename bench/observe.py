"""How many programs of a folder can be observed: started, recorded, stopped after some steps, and nothing left behind.

    python bench/observe.py --commands bench/observe-pyro.txt pyro/examples pyro/tutorial/source   # a checkout of Pyro
    python bench/observe.py --least 1 --steps 20 my/programs

Programs are found as pyro-fix finds them: files that step an SVI when they are run, with the arguments that the
project's own tests give them; ``--commands`` names more.  After each one, the bench looks for processes and files that
it has left.  A program that is not observed is run once more by Python alone, in a copy of its project: only where it
breaks there in the same way is it counted apart, as one that asks for a module that is not installed or breaks by
itself.  Counted apart is also what wants to download data, which the sandbox does not let it.

Exit codes: 0 limits met, 1 one was missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from measure import positive

import pyro_fix
from pyro_fix import notebook, sources
from pyro_fix.analysis.project import Project, of_concern
from pyro_fix.observation import Failure, Observation
from pyro_fix.plans import Finder
from pyro_fix.plans.tree import root_of
from pyro_fix.runner import home, interpreter, run, target
from pyro_fix.runner.model import Deep, RunRequest, Target
from pyro_fix.verify import RunPlan

#: Of the programs that could be observed, this share is to be.
OBSERVED = 0.9
#: What a refused connection raises.
REFUSED = ("URLError", "HTTPError", "gaierror")
#: What the kinds of outcomes are called in the table.
WORDS = {
    "observed": "observed",
    "failed": "not observed",
    "download": "needs a download",
    "module": "needs a module",
    "broken": "breaks by itself",
}
_PR_SET_CHILD_SUBREAPER = 36
_BOOT = Path(pyro_fix.__file__).parent / "probe" / "boot.py"
_VERSION = re.compile(r"^(\s*)assert pyro\.__version__.*$", re.M)
_RAISED = re.compile(r"^([\w.]+)(?:: (.*))?$")
#: ``python NAME ARGS`` and ``python -m NAME ARGS``, with folders at the end of the path as pyro-fix has them there.
_PLAIN = """\
import os, runpy, sys
kind, name, places, *sys.argv[1:] = sys.argv[1:]
sys.argv[0] = name
sys.path[0] = os.getcwd() if kind == "module" else os.path.dirname(os.path.abspath(name))
sys.path += places.split(os.pathsep)
runpy.run_module(name, run_name="__main__") if kind == "module" else runpy.run_path(name, run_name="__main__")
"""


def plans(folders: Sequence[Path]) -> list[RunPlan]:
    """The programs of some folders."""
    read = {}
    for path in sources.discover(folders, lambda path, why: print(f"{path}: {why}", file=sys.stderr)):
        try:
            source = of_concern(path.absolute(), sources.read_bytes(path))
        except sources.SourceError:
            continue
        if source is not None:
            read[source.path] = source
    return Finder().programs(Project(read).read(read.values()))


def named(text: str, folder: Path) -> list[RunPlan]:
    """The programs that a file names, a command a line, as seen from ``folder``; raises :class:`ValueError`."""
    lines = [line.strip() for line in text.splitlines()]
    found = [target.parse(line, folder) for line in lines if line and not line.startswith("#")]
    return [RunPlan(replace(one, path=(root_of(folder / one.name),))) for one in found]


def outcome(seen: Observation, steps: int) -> tuple[str, str]:
    """``observed``, ``download`` or ``failed``, and why."""
    made = [len(trajectory.losses) for svi in seen.svis for trajectory in svi.trajectories]
    ended = seen.failure is None or seen.failure.kind not in ("timeout", "killed")
    if made and 0 < max(made) <= steps and ended:
        looked = sum(svi.look is not None and not svi.look.error for svi in seen.svis)
        objects = "1 SVI object" if len(seen.svis) == 1 else f"{len(seen.svis)} SVI objects"
        words = f"{objects}, {max(made)} steps, {looked} looked at"
        return "observed", words + (f"; then {seen.failure.kind}" if seen.failure else "")
    failure = failure_of(seen)
    if failure is None:
        return "failed", f"{max(made, default=0)} steps"
    words = f"{failure.kind}: {last_line(failure.message)[:120]}".rstrip(": ")
    return ("download" if failure.kind in REFUSED else "failed"), words


def failure_of(seen: Observation) -> Failure | None:
    """What kept the program from its steps."""
    within = (trajectory.failure for svi in seen.svis for trajectory in svi.trajectories)
    return seen.failure or next((failure for failure in within if failure), None)


def last_line(text: str) -> str:
    """The last line that says something; empty where none does."""
    return (text.strip().splitlines() or [""])[-1].strip()


def plain(one: Target, python: Path, seconds: float) -> tuple[str, str] | None:
    """Class and last line of what the program raises by Python alone; None where it does not within ``seconds``.

    It runs in a copy of its project, which its assertions of Pyro's version were taken out of: pyro-fix runs a program
    past them.
    """
    root = root_of(one.cwd / one.name) if one.kind == "script" else one.cwd
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch, root.name)
        shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git", "__pycache__"), symlinks=True)
        cwd = copy / one.cwd.relative_to(root)
        name = str(cwd / os.path.relpath(one.cwd / one.name, one.cwd)) if one.kind == "script" else one.name
        if one.is_notebook:
            Path(name := f"{name}.py").write_bytes(notebook.read(one.cwd / one.name).runnable)
        script = Path(name) if one.kind == "script" else copy.joinpath(*name.split(".")).with_suffix(".py")
        script.write_text(_VERSION.sub(r"\1pass", script.read_text("utf-8")), "utf-8")
        places = os.pathsep.join(str(copy / place.relative_to(root)) for place in one.path)
        try:
            done = subprocess.run(
                [str(python), "-c", _PLAIN, one.kind, name, places, *one.args],
                cwd=cwd,
                env={**os.environ, "MPLBACKEND": "Agg"},
                capture_output=True,
                text=True,
                timeout=seconds,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return None
    said = done.stderr.replace(str(copy), str(root)).strip()
    raised = [match for line in said.splitlines() if (match := _RAISED.match(line))]
    if done.returncode == 0 or "Traceback" not in said or not raised:
        return None
    return raised[-1][1].rpartition(".")[2], last_line(said)


def judged(seen: Observation, one: Target, python: Path, steps: int, seconds: float) -> tuple[str, str]:
    """As :func:`outcome`; ``module`` or ``broken`` where Python alone does no better."""
    kind, why = outcome(seen, steps)
    failure = failure_of(seen)
    if kind != "failed" or failure is None:
        return kind, why
    alone = plain(one, python, seconds)
    if alone is None or alone[0] != failure.kind or not alone[1].endswith(last_line(failure.message)):
        return kind, f"{why} (by Python alone: {alone[1] if alone else 'nothing is raised'})"
    return ("module" if failure.kind == "ModuleNotFoundError" else "broken"), f"{why}, by Python alone too"


@dataclass
class Traces:
    """What is there of processes and files, to be compared with what is there later."""

    processes: dict[int, str]
    files: set[tuple[Path, int]]

    @classmethod
    def now(cls, folders: Sequence[Path]) -> Traces:
        """Of this process's descendants, and of what lies below some folders."""
        return cls(descendants(), set(below(folders)))

    def left(self, folders: Sequence[Path]) -> list[str]:
        """What has come to be, changed or gone since, in words; processes have a second to end."""
        end = time.monotonic() + 1
        while (started := descendants().keys() - self.processes.keys()) and time.monotonic() < end:
            time.sleep(0.02)
        now = Traces.now(folders)
        words = [f"process {pid} ({now.processes[pid]})" for pid in sorted(started & now.processes.keys())]
        # What programs are forked from stays, and its order: one for each place that a project may have to be shown.
        words = [word for word in words if f"{_BOOT} --warm" not in word]
        changed = {str(path) for path, _ in self.files ^ now.files}
        return words + sorted(path for path in changed if not path.startswith(f"{home.orders()}{os.sep}warm-"))


def below(folders: Sequence[Path]) -> Iterator[tuple[Path, int]]:
    """Every file and folder below some folders, with the time of its last change."""
    for top in folders:
        for place, inner, names in os.walk(top):
            for name in (*inner, *names):
                with contextlib.suppress(OSError):
                    path = Path(place, name)
                    # A folder's own time changes with what is in it, which is seen by itself.
                    yield path, 0 if name in inner else path.lstat().st_mtime_ns


def descendants() -> dict[int, str]:
    """Living processes that this one has started, or that have lost their parents among those -> their commands."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found: dict[int, str] = {}
    for pid in parents:
        above = pid
        while above in parents and above != os.getpid():
            above = parents[above]
        if above == os.getpid() != pid:
            with contextlib.suppress(OSError):
                found[pid] = Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ").strip()
    return found


_FIRST = """\
import torch, pyro, pyro.distributions as dist
def model(): pyro.sample("x", dist.Normal(0.0, 1.0))
def guide(): pyro.sample("x", dist.Normal(pyro.param("m", torch.tensor(1.0)), 1.0))
pyro.infer.SVI(model, guide, pyro.optim.Adam({"lr": 0.1}), pyro.infer.Trace_ELBO()).step()
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument(
        "--commands", type=Path, help="a file of further programs: a command a line, in the first folder"
    )
    parser.add_argument("--steps", type=positive, default=10, help="SVI steps a program (default: 10)")
    parser.add_argument("--timeout", type=positive, default=120, help="seconds a program (default: 120)")
    parser.add_argument("--least", type=positive, default=25, help="programs to be observed (default: 25)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    absent = [folder for folder in arguments.folders if not folder.exists()]
    if absent:
        parser.error(f"{absent[0]}: no such file or folder")
    folders = [folder.resolve() for folder in arguments.folders]
    found = plans(folders)
    if arguments.commands is not None:
        known = {plan.target.cwd / plan.target.name for plan in found}
        try:
            more = named(arguments.commands.read_text("utf-8"), folders[0])
        except (OSError, ValueError) as error:
            parser.error(str(error))
        found += [plan for plan in more if plan.target.cwd / plan.target.name not in known]
    python = interpreter.find(arguments.python, Path.cwd())
    if sys.platform == "linux":  # daemons come to us
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as private:
        # Nobody else writes here: what is found was left by a program.
        users, scratch = Path(private, "home"), Path(private, "tmp")
        for folder, variable in ((users, "HOME"), (scratch, "TMPDIR")):
            folder.mkdir()
            os.environ[variable] = str(folder)
        tempfile.tempdir = None
        first = Path(private, "first.py")
        first.write_text(_FIRST, "utf-8")
        # Afterwards the process is there that the next ones are forked from.
        run(RunRequest(Target("script", str(first), (), first.parent, ""), python, steps=1))
        watched = [*{root_of(folder / "file") for folder in folders}, users, scratch, Path("/dev/shm")]
        return measure(found, python, folders[0], watched, arguments)


def measure(
    found: Sequence[RunPlan], python: Path, folder: Path, watched: Sequence[Path], arguments: argparse.Namespace
) -> int:
    """Run all programs; returns the exit code."""
    counts = dict.fromkeys(WORDS, 0)
    left: list[str] = []
    started = time.monotonic()
    print("| program | | | seconds | left behind |\n| --- | --- | --- | --- | --- |")
    for plan in found:
        before = Traces.now(watched)
        seen = run(
            RunRequest(
                plan.target,
                python,
                steps=arguments.steps,
                deep=Deep(seeds=4, facts=True),
                expect_svis=plan.expect_svis,
                timeout=arguments.timeout,
                stand_ins=False,
            )
        )
        stray = before.left(watched)
        left += stray
        kind, why = judged(seen, plan.target, python, arguments.steps, arguments.timeout)
        counts[kind] += 1
        where = plan.target.name.replace(".", "/") + ".py" if plan.target.kind == "module" else plan.target.name
        name = os.path.relpath(plan.target.cwd / where, folder)
        command = shlex.join((name, *plan.target.args)).replace("|", "\\|")
        cells = (command, WORDS[kind], why.replace("|", "\\|"), f"{seen.seconds:.1f}", ", ".join(stray) or "nothing")
        print(f"| {' | '.join(cells)} |", flush=True)
    able = counts["observed"] + counts["failed"]
    share = counts["observed"] / able if able else 0.0
    print(
        f"\n{len(found)} programs: {counts['observed']} observed (limit {arguments.least}), {counts['failed']} not:"
        f" {share:.0%} of those that can be (limit {OBSERVED:.0%}).  Apart: {counts['download']} need a download,"
        f" {counts['module']} a module that is not installed, {counts['broken']} break by Python alone too.\n"
        f"Left behind: {len(left)} processes or files.  At most {arguments.steps} steps each;"
        f" {time.monotonic() - started:.0f} s."
    )
    return 0 if share >= OBSERVED and counts["observed"] >= arguments.least and not left else 1


if __name__ == "__main__":
    sys.exit(main())
