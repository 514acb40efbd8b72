"""Run a command and say what it cost: shared by the benchmarks of this folder."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


class BenchmarkError(Exception):
    """A benchmark cannot go on; the message is one line."""


@dataclass(frozen=True)
class Cost:
    """What one run of a command took."""

    cpu: float
    """User plus system seconds of the command and of every descendant that it waited for."""
    wall: float
    rss: float
    """Peak resident memory in MB of its largest process; never below ours, which it starts as a copy of."""
    stdout: str
    stderr: str


def checkout_environment(bytecode: Path) -> dict[str, str]:
    """What to set for a Python that is to run this checkout as fast as if it were installed.

    ``transforms`` is a source root like ``src``.  An installed package comes with its byte code, so that of the
    checkout is kept, in the folder ``bytecode``, even where Python was told to write none.
    """
    root = Path(__file__).resolve().parent.parent
    return {
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "transforms")]),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(bytecode),
    }


def run(command: Sequence[str | Path], cwd: Path, environment: Mapping[str, str] | None = None) -> Cost:
    """Run ``command``; raises :class:`BenchmarkError` unless it ends with 0 or 1 (a linter's "there are findings").

    CPU seconds come from ``wait4``, which counts this child alone, however many benchmarks run beside it.
    """
    # Files, not pipes: reading a pipe would need a thread, and an unread one would stop the child.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command], cwd=cwd, stdout=out, stderr=err, env={**os.environ, **(environment or {})}
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        stdout, stderr = out.read(), err.read()
    if child.returncode not in (0, 1) or "Traceback (most recent call last)" in stderr:
        last = (stderr.strip() or stdout.strip() or "no output").splitlines()[-1]
        raise BenchmarkError(f"{command_line(command)} ended with {child.returncode}: {last}")
    megabyte = 1024 * 1024 if sys.platform == "darwin" else 1024
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / megabyte, stdout, stderr)


def command_line(command: Sequence[str | Path]) -> str:
    """A command as a person would type it, cut where it gets long."""
    text = " ".join(str(part) for part in command)
    return text if len(text) <= 120 else text[:117] + "..."


def positive(text: str) -> int:
    """An argparse type."""
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)
