"""Starting, watching and killing children; most programs here never import torch by themselves."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from pyro_fix.runner import home, process, run, stop_all
from pyro_fix.runner.model import RunRequest, Sandbox
from pyro_fix.runner.target import parse


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_gone(pids, seconds=5):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not any(alive(pid) for pid in pids):
            return True
        time.sleep(0.02)
    return False


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end, "the program did not start"
        time.sleep(0.02)


DAEMONS = """
    import os, signal, subprocess, sys, time
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    pids = {pids!r}
    def note(pid):
        with open(pids, "a") as file:
            file.write(f"{{pid}}\\n")
    note(os.getpid())
    if os.fork() == 0:                      # a daemon: two forks and a session of its own
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 100)
        note(os.getpid())
        while True:
            time.sleep(1)
    # one without our environment
    child = subprocess.Popen(["sleep", "1000"], env={{}}, start_new_session=True)
    note(child.pid)
    time.sleep(0.3)
    {last}
"""


@pytest.fixture
def pids_file(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes" / "pids"


@pytest.fixture
def project(project, tmp_path):
    """A program of this file may leave notes outside of its scratch folder."""
    run = project.run
    project.run = lambda command, **request: run(command, sandbox=Sandbox(writable=(tmp_path / "notes",)), **request)
    return project


@pytest.fixture(autouse=True)
def nothing_left_in_tmp(tmp_path):
    (tmp_path / "system-tmp").mkdir()
    yield
    assert list(home.runs().iterdir()) == []
    assert list((tmp_path / "system-tmp").iterdir()) == []


def test_a_timeout_kills_daemons_and_who_ignores_signals(project, pids_file):
    project.write("p.py", DAEMONS.format(pids=str(pids_file), last="time.sleep(1000)"))
    seen = project.run("p.py", timeout=20)
    assert (seen.failure.kind, seen.failure.message) == ("timeout", "ran longer than 20 s")
    assert seen.seconds < 24
    pids = [int(line) for line in pids_file.read_text().split()]
    assert len(pids) == 3
    assert wait_gone(pids)


def test_what_a_program_leaves_behind_ends_with_it(project, pids_file):
    project.write("p.py", DAEMONS.format(pids=str(pids_file), last="print('bye')"))
    seen = project.run("p.py")
    assert seen.failure.kind == "no-svi"
    assert project.output == ["bye"]
    assert wait_gone([int(line) for line in pids_file.read_text().split()])


def test_stop_all_ends_runs_of_other_threads(project, pids_file):
    project.write("p.py", DAEMONS.format(pids=str(pids_file), last="time.sleep(1000)"))
    seen = []
    threads = [threading.Thread(target=lambda: seen.append(project.run("p.py", timeout=100))) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 60
    while not pids_file.exists() or len(pids_file.read_text().split()) < 6:
        assert time.monotonic() < end
        time.sleep(0.05)
    stop_all()
    for thread in threads:
        thread.join(10)
    assert [found.failure.kind for found in seen] == ["killed", "killed"]
    assert wait_gone([int(line) for line in pids_file.read_text().split()])


RUNNER = """
    import sys, tempfile
    from pathlib import Path
    from pyro_fix.runner import run
    from pyro_fix.runner.model import RunRequest, Sandbox
    from pyro_fix.runner.target import parse
    tempfile.tempdir = {tmp!r}
    sandbox = Sandbox(writable=(Path({notes!r}),))
    run(RunRequest(parse("p.py", Path({folder!r})), Path(sys.executable), timeout=100, sandbox=sandbox))
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow), signal.SIGKILL]
)
def test_when_the_runner_dies_everything_does(project, pids_file, tmp_path, number):
    project.write("p.py", DAEMONS.format(pids=str(pids_file), last="time.sleep(1000)"))
    code = textwrap.dedent(
        RUNNER.format(folder=str(project.folder), tmp=str(tmp_path / "system-tmp"), notes=str(pids_file.parent))
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    end = time.monotonic() + 60
    while not pids_file.exists() or len(pids_file.read_text().split()) < 3:
        assert time.monotonic() < end
        time.sleep(0.05)
    runner.send_signal(number)
    runner.wait(10)
    assert wait_gone([int(line) for line in pids_file.read_text().split()])
    end = time.monotonic() + 20
    while list((tmp_path / "system-tmp").iterdir()) and time.monotonic() < end:
        time.sleep(0.05)


def test_output_is_heard_line_by_line_and_not_as_text_of_ours(project):
    project.write(
        "p.py", "import sys\nprint('one')\nsys.stderr.write('two\\n')\nsys.stdout.buffer.write(b'\\xff\\n')\n"
    )
    project.run("p.py")
    assert sorted(project.output) == ["one", "two", "\ufffd"]


def test_the_environment(project, monkeypatch):
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    project.write(
        "sub/p.py",
        """
        import json, os, sys, tempfile
        print(json.dumps([sys.argv, sys.path[0], __name__, __file__, __spec__, __package__,
                          os.environ["MPLBACKEND"], os.environ["PYTHONHASHSEED"],
                          tempfile.gettempdir().startswith(os.environ["TMPDIR"]),
                          any("pyro_fix" in entry or entry.endswith("/site") for entry in sys.path),
                          os.getcwd(), sys.stdin.read()]))
        """,
    )
    import json

    project.run("sub/p.py --epochs 3 'a b'")
    folder = str(project.folder)
    assert json.loads(project.output[-1]) == [
        ["sub/p.py", "--epochs", "3", "a b"],
        folder + "/sub",
        "__main__",
        "sub/p.py",
        None,
        None,
        "Agg",
        "0",
        True,
        False,
        folder,
        "",
    ]


@pytest.mark.parametrize(
    ("text", "kind", "message", "where"),
    [
        ("import torchvision_of_nobody", "ModuleNotFoundError", "No module named 'torchvision_of_nobody'", "p.py:1"),
        (
            "def f():\n    return open('data.csv')\nf()",
            "FileNotFoundError",
            "[Errno 2] No such file or directory: 'data.csv'",
            "p.py:2",
        ),
        ("x = (", "SyntaxError", "'(' was never closed (p.py, line 1)", "p.py:1"),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--x'])", "SystemExit", "exit status 2", "p.py:2"),
        ("import sys\nsys.exit('no data here')", "SystemExit", "exit status 1: no data here", "p.py:2"),
        ("import sys\nprint('done')\nsys.exit(0)", "no-svi", "the program ended without a step of SVI", ""),
        ("import os\nos.kill(os.getpid(), 11)", "killed", "died of SIGSEGV", ""),
        ("import os\nos._exit(3)", "no-svi", "the program ended without a step of SVI (exit status 3: )", ""),
    ],
)
def test_programs_that_break_before_any_step(project, text, kind, message, where):
    project.write("p.py", text)
    seen = project.run("p.py")
    failure = seen.failure
    assert (failure.kind, failure.where) == (kind, where)
    assert failure.message == message or (kind == "SyntaxError" and failure.message.endswith("(p.py, line 1)"))
    assert seen.svis == ()


def test_an_interpreter_without_torch(project, tmp_path):
    import venv

    venv.create(tmp_path / "bare")
    project.write("p.py", "")
    seen = project.run("p.py", python=tmp_path / "bare" / "bin" / "python")
    assert seen.failure.kind == "no-pyro"
    assert "pip install 'pyro-fix[verify]'" in seen.failure.message
    assert "\n" not in seen.failure.message


def test_asking_for_cuda_where_there_is_none(project, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    project.write("p.py", "print('ran')")
    seen = project.run("p.py", device="cuda")
    assert seen.failure.kind == "no-device"
    assert project.output == []


def test_a_failing_listener_does_not_break_the_run(project):
    project.write("p.py", "print('x' * 100000)\nprint('y' * 100000)")

    def listen(line):
        raise RuntimeError

    target = parse("p.py", project.folder)
    assert run(RunRequest(target, Path(sys.executable)), on_line=listen).failure.kind == "no-svi"


def test_no_process_is_remembered_when_runs_are_over(project):
    assert not process._running
