"""Runs in forks of a process that has torch and Pyro loaded: the same as fresh ones, and as little left behind."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import venv
from pathlib import Path

import pytest
import torch

from pyro_fix.runner import run, stop_all, warm
from pyro_fix.runner.model import Deep, RunRequest
from pyro_fix.runner.target import parse

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="forked on Linux alone")

#: What a forked run shares with others is frozen.
FORKED = "import gc\nprint(gc.get_freeze_count() > 0)\n"

STATE = """
    import sys
    stack, frame = [], sys._getframe()
    while frame:
        stack.append(frame.f_code.co_name)
        frame = frame.f_back
    import gc, json, locale, multiprocessing.process, os, random, resource, signal, tempfile, threading, warnings
    import numpy, pyro, torch
    replaced = {
        name: [key for key, value in vars(module).items()
               if type(value) is type(json.dumps) and "pyro_fix/probe" in value.__code__.co_filename]
        for name, module in list(sys.modules.items()) if name.split(".")[0] != "_pyro_fix_probe" and hasattr(module, "__dict__")
    }
    ours = ("PYRO_FIX_SPEC", "PYTHONPATH", "TMPDIR")
    print(json.dumps({
        "stack": stack,
        "argv": [sys.argv, sys.orig_argv[1:] if hasattr(sys, "orig_argv") else None],
        "path": sys.path,
        "flags": [repr(sys.flags), sys.warnoptions, sys.executable, sys.getrecursionlimit()],
        "environment": {key: value for key, value in os.environ.items() if key not in ours},
        "folders": [os.getcwd(), tempfile.gettempdir() == os.environ["TMPDIR"], multiprocessing.process.ORIGINAL_DIR],
        "signals": [str(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "blocked": str(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "filters": [repr(entry) for entry in warnings.filters],
        "random": [random.random(), torch.rand(2).tolist(), numpy.random.rand(), numpy.random.default_rng().random()],
        "store": len(pyro.get_param_store()),
        "main": sorted(vars(sys.modules["__main__"])),
        "threads": [threading.active_count(), len(os.listdir("/proc/self/task")), torch.get_num_threads()],
        "streams": [[s.isatty(), s.line_buffering, s.write_through, s.encoding, s.errors, s.seekable(), s.name, s.mode]
                    for s in (sys.stdin, sys.stdout, sys.stderr)],
        "session": [os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid()],
        "limits": [os.umask(0o22), resource.getrlimit(resource.RLIMIT_NOFILE), os.nice(0)],
        "descriptors": sorted(os.readlink(f"/proc/self/fd/{n}").split(":")[0]
                              for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}")),
        "torch": [torch.is_grad_enabled(), str(torch.get_default_dtype()), torch.distributions.Distribution._validate_args,
                  torch.save is torch.serialization.save],
        "collector": [gc.get_threshold(), gc.isenabled()],
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": [str(sys.excepthook), str(threading.excepthook), str(sys.gettrace()), len(sys.meta_path)],
        "replaced": {name: keys for name, keys in replaced.items() if keys},
        "probe": "_pyro_fix_probe.warm" in sys.modules,
    }))
"""


def parent():
    """The process that was forked last."""
    return [one for one in warm._parents.values() if one is not None][-1]


def forked(project, command="p.py", **request):
    project.run(command, **request)
    return {"True": True, "False": False}[project.output[-1]]


def gone(pids, seconds=10):
    end = time.monotonic() + seconds
    while any(Path(f"/proc/{pid}").exists() and state(pid) not in "ZX" for pid in pids):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"


def same(seen):
    """An observation without what is timed."""
    told = dataclasses.asdict(seen)
    del told["seconds"]
    for svi in told["svis"]:
        for trajectory in svi["trajectories"]:
            del trajectory["step_seconds"]
        for name in [name for name in (svi["look"] or {}).get("slices") or {} if "seconds" in name]:
            del svi["look"]["slices"][name]
    return repr(told)  # NaN is NaN


def both(path, **request):
    request = RunRequest(
        parse(path.name, path.parent),
        Path(sys.executable),
        marks={path: tuple(range(1, 60, 3))},
        seeds=(0, 1),
        deep=Deep(facts=True, slices=True),
        **{"steps": 10, **request},
    )
    fork, fresh = run(request), run(dataclasses.replace(request, fresh=True))
    assert fork.svis
    assert same(fork) == same(fresh)


def test_a_program_finds_what_it_finds_in_a_fresh_process(project, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"lib{os.pathsep}{project.folder}/other")
    project.write("p.py", STATE)
    found = []
    for fresh in (False, True):
        project.run("p.py --a 1", fresh=fresh)
        found.append(json.loads(project.output[-1]))
    fork, fresh = found
    assert fork.pop("path") == fresh.pop("path")
    assert fork == fresh
    assert "builtins" in fork["replaced"]


@pytest.mark.parametrize("name", ["bench/programs/coin_flips.py", "examples/house_prices.py"])
def test_what_is_seen_is_the_same_bit_for_bit(name):
    both(ROOT / name)


@pytest.mark.slow
@pytest.mark.parametrize(
    "path",
    [path for folder in ("bench/programs", "examples") for path in sorted((ROOT / folder).glob("*.py"))],
    ids=lambda path: path.name,
)
def test_what_is_seen_is_the_same_in_all_our_programs(path):
    both(path, steps=25, timeout=300)


def test_what_a_failing_program_shows_is_the_same(project, normal):
    body = "    if len(pyro.get_param_store()) > 1:\n        raise ValueError('no')\n"
    text = normal.replace("def model(data):\n", "def model(data):\n" + body)
    both(project.write("p.py", text + "svi = SVI(model, guide, Adam({'lr': 0.1}), Trace_ELBO())\nsvi.step(data)\n"))


def test_runs_are_forked_unless_asked_not_to_be(project):
    project.write("p.py", FORKED)
    assert forked(project)
    assert forked(project, device="cpu")
    assert not forked(project, fresh=True)
    assert not forked(project, "python -O p.py")


def test_modules_that_hide_what_is_loaded(project):
    project.write("p.py", FORKED)
    project.write("other/p.py", FORKED)
    project.write("other/mpmath/__init__.py", "")  # which torch would import
    project.write("other/data/p.py", "")
    assert forked(project)
    assert not forked(project, "other/p.py")
    assert not forked(project, "python -m p", overlay={Path(torch.__file__): Path(torch.__file__).read_bytes()})
    assert forked(project, "python -m p")
    project.write("sympy.py", "")  # the same, as a file
    assert not forked(project, "python -m p")


def test_what_the_users_own_start_up_loads(project, monkeypatch):
    project.write("start/sitecustomize.py", "import helper\n")
    project.write("start/helper.py", "")
    project.write("p.py", FORKED)
    monkeypatch.setenv("PYTHONPATH", str(project.folder / "start"))
    assert not forked(project)


def test_after_its_death_runs_are_fresh(project):
    project.write("p.py", FORKED)
    assert forked(project)
    process = parent()._process
    os.kill(process.pid, signal.SIGKILL)
    assert gone([process.pid])
    assert not forked(project)
    stop_all()
    warm._parents.clear()
    assert forked(project)


def test_a_fork_that_dies_at_once_is_repeated(project, tmp_path):
    venv.create(tmp_path / "env")
    packages = next((tmp_path / "env").glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text(f"{Path(torch.__file__).parents[1]}\n")
    # What only a fork of a fork does, such as a program that is forked from its supervisor.
    (packages / "sitecustomize.py").write_text(
        textwrap.dedent(
            """
            import os
            depth = [0]
            def forked():
                depth[0] += 1
                if depth[0] == 2:
                    os.kill(os.getpid(), 11)
            os.register_at_fork(after_in_child=forked)
            """
        )
    )
    project.write("p.py", FORKED)
    assert not forked(project, python=tmp_path / "env" / "bin" / "python")


def test_several_at_once(project):
    project.write("p.py", "import sys\nprint(sys.argv[1])\n")
    seen = {}

    def start(number):
        lines = []
        run(RunRequest(parse(f"p.py {number}", project.folder), Path(sys.executable)), on_line=lines.append)
        seen[number] = lines

    threads = [threading.Thread(target=start, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert seen == {number: [str(number)] for number in range(6)}


def test_a_run_can_be_given_up_while_everything_loads(project):
    stop_all()
    project.write("p.py", FORKED)
    found = []
    thread = threading.Thread(target=lambda: found.append(project.run("p.py")))
    thread.start()
    while not any(one is not None for one in warm._parents.values()):
        time.sleep(0.01)
    process = parent()._process
    time.sleep(0.2)
    stop_all()
    thread.join(5)
    assert found[0].failure.kind == "killed"
    assert gone([process.pid])


RUNNER = """
    import sys, tempfile
    from pathlib import Path
    from pyro_fix.runner import run, warm
    from pyro_fix.runner.model import RunRequest
    from pyro_fix.runner.target import parse
    tempfile.tempdir = {tmp!r}
    def line(text):
        print(text, *(one._process.pid for one in warm._parents.values()), flush=True)
    run(RunRequest(parse("p.py", Path({folder!r})), Path(sys.executable), timeout=100), on_line=line)
"""


@pytest.mark.parametrize("when", ["end", "running", "loading"])
def test_nothing_outlives_the_runner(project, tmp_path, when):
    project.write(
        "p.py", f"import os, time\nprint(os.getpid(), os.getppid())\ntime.sleep({0 if when == 'end' else 100})\n"
    )
    (tmp_path / "tmp").mkdir()
    code = textwrap.dedent(RUNNER.format(folder=str(project.folder), tmp=str(tmp_path / "tmp")))
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    if when == "loading":
        children = Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
        pids = []
        end = time.monotonic() + 60
        while not pids:
            assert time.monotonic() < end
            time.sleep(0.05)
            for pid in children.read_text().split():
                if "--warm" in Path(f"/proc/{pid}/cmdline").read_text():
                    pids = [int(pid)]
        while not list((tmp_path / "tmp").rglob("*order.json")):
            assert time.monotonic() < end
            time.sleep(0.01)
        time.sleep(0.3)
    else:
        pids = [int(word) for word in runner.stdout.readline().split()]
        assert len(pids) == 3
    if when != "end":
        runner.kill()
    assert runner.wait(30) == (0 if when == "end" else -9)
    assert gone(pids, 30)
    end = time.monotonic() + 5
    while list((tmp_path / "tmp").iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)
    runner.stdout.close()
