"""``bench/observe.py``: what counts as observed, what counts apart, and what is left behind."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_fix.observation import Failure, Observation
from pyro_fix.runner import run, target
from pyro_fix.runner.model import RunRequest

BENCH = Path(__file__).resolve().parents[2] / "bench"
GOOD = """
import sys, torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

def model():
    pyro.sample("x", dist.Normal(0.0, 1.0))

def guide():
    pyro.sample("x", dist.Normal(pyro.param("m", torch.tensor(1.0)), 1.0))

svi = SVI(model, guide, Adam({"lr": 0.1}), Trace_ELBO())
"""
STEPS = "for _ in range(1000):\n    svi.step()\n"


@pytest.fixture
def observe(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield importlib.import_module("observe")
    for name in ("measure", "observe"):
        sys.modules.pop(name, None)


def bench(folder, *options):
    command = [sys.executable, str(BENCH / "observe.py"), "--steps", "3", *options, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_what_cannot_be_observed_counts_apart(tmp_path):
    programs = {
        "breaks.py": GOOD + "assert pyro.__version__.startswith('1.0')\n[].nothing\n" + STEPS,
        "downloads.py": GOOD + "from urllib.request import urlopen\nurlopen('http://example.invalid/data')\n" + STEPS,
        "good.py": GOOD + "open('left', 'w')\n" + STEPS,
        "imports.py": GOOD + "import no_such_module\n" + STEPS,
    }
    (tmp_path / "setup.py").touch()
    for name, text in programs.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "commands").write_text("# the same once more, and another\npython good.py\npython -u other.py --x 1\n")
    (tmp_path / "other.py").write_text(GOOD + "assert sys.argv[1:] == ['--x', '1']\ngetattr(svi, 'step')()\n")
    done = bench(tmp_path, "--least", "2", "--commands", str(tmp_path / "commands"))
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = {line.split(" | ")[0][2:]: line.split(" | ")[1] for line in done.stdout.splitlines()[2:7]}
    assert outcomes == {
        "breaks.py": "breaks by itself",
        "downloads.py": "needs a download",
        "good.py": "observed",
        "imports.py": "needs a module",
        "other.py --x 1": "observed",
    }
    assert "3 steps" in done.stdout
    assert "Left behind: 0" in done.stdout


def test_too_few_are_a_failure(tmp_path):
    (tmp_path / "good.py").write_text(GOOD + STEPS)
    assert bench(tmp_path, "--least", "2").returncode == 1


def test_what_only_the_runner_breaks_is_not_excused(observe, tmp_path):
    (tmp_path / "good.py").write_text(
        GOOD + "import os\nif 'PYRO_FIX_SPEC' in os.environ:\n    raise KeyError\n" + STEPS
    )
    program = target.parse("python good.py", tmp_path)
    seen = run(RunRequest(program, Path(sys.executable)))
    kind, why = observe.judged(seen, program, Path(sys.executable), 3, 60)
    assert (kind, why) == ("failed", "KeyError (by Python alone: nothing is raised)")


@pytest.mark.parametrize("failure", [Failure("timeout", "ran longer than 1 s"), Failure("no-svi", "no step")])
def test_what_made_no_step_or_did_not_stop_is_not_observed(observe, failure):
    seen = Observation("python p.py", "python", {}, "cpu", (), {}, (), failure, (), 1.0)
    assert observe.outcome(seen, 3)[0] == "failed"


def test_processes_and_files_that_are_left_are_named(observe, tmp_path):
    (tmp_path / "old").write_text("1")
    before = observe.Traces.now([tmp_path])
    assert before.left([tmp_path]) == []
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    try:
        (tmp_path / "new").write_text("1")
        (tmp_path / "old").unlink()
        process, *files = before.left([tmp_path])
    finally:
        child.kill()
        child.wait()
    assert process.startswith(f"process {child.pid} (") and "time.sleep" in process
    assert files == [str(tmp_path / "new"), str(tmp_path / "old")]
