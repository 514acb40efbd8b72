"""What the project's interpreter does before any of our code runs in it is done inside; each attack has a control."""

import json
import subprocess
import sys
import textwrap
import time
import venv
from pathlib import Path

import pytest
import torch

from pyro_fix.observation import Failure
from pyro_fix.probe import reach
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner import devices, home, interpreter, locked, sandbox, warm
from pyro_fix.runner.model import Sandbox

pytestmark = pytest.mark.skipif(bool(probe.missing()), reason="this machine has no sandbox")

#: Says in its own folder, in others', over the network and by signals, that it was there.
ATTACK = """
    import os, posix, socket
    def attempt(call):
        try:
            return call() or "done"
        except OSError as error:
            return type(error).__name__
    def connect():
        with socket.socket(socket.AF_UNIX) as one:
            one.connect({outside!r} + "/agent")
    told = [
        attempt(lambda: posix.close(posix.open({outside!r} + "/ran", os.O_CREAT | os.O_WRONLY))),
        attempt(lambda: open({home!r} + "/.ssh/id").read()),
        attempt(lambda: socket.socket(socket.AF_INET) and None),
        attempt(connect),
        attempt(lambda: os.kill({pid}, 0)),
        str("GITHUB_TOKEN" in os.environ),
    ]
    os.write(2, ("told " + repr(told) + "\\n").encode())
"""
REFUSED = ["PermissionError"] * 5 + ["False"]


@pytest.fixture
def world(project, tmp_path, monkeypatch):
    """Where the attacker would go."""
    import os
    import socket

    (tmp_path / "outside").mkdir()
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    (tmp_path / "home" / ".ssh" / "id").write_text("key")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GITHUB_TOKEN", "secret")
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind("outside/agent")  # addresses of UNIX sockets are short
        agent.listen()
        code = ATTACK.format(outside=str(tmp_path / "outside"), home=str(tmp_path / "home"), pid=os.getpid())
        yield textwrap.dedent(code)


def told(output):
    return [line for line in output if line.startswith("told ")]


@pytest.mark.parametrize(
    ("name", "fresh"),
    [("sitecustomize.py", False), ("torch.py", False), ("torch.py", True), ("pyro/__init__.py", True)],
)
def test_modules_of_the_tree_on_the_users_path(project, tmp_path, monkeypatch, world, name, fresh):
    project.write(f"src/{name}", world)
    project.write("p.py", "")
    monkeypatch.setenv("PYTHONPATH", str(project.folder / "src"))
    project.run("p.py", fresh=fresh, timeout=100)
    assert set(told(project.output)) == {f"told {REFUSED}"} and not (tmp_path / "outside" / "ran").exists()
    project.run("p.py", fresh=True, timeout=100, sandbox=None)
    assert (tmp_path / "outside" / "ran").exists(), "the control"


def environment(folder, code):
    venv.create(folder)
    packages = next(folder.glob("lib/python*/site-packages"))
    (packages / "all.pth").write_text(f"{Path(torch.__file__).parents[1]}\nimport attack\n")
    (packages / "attack.py").write_text(code)
    return folder / "bin" / "python"


@pytest.mark.parametrize("fresh", [False, True])
def test_an_environments_own_start_up(project, tmp_path, world, fresh):
    python = environment(tmp_path / "env", world)
    project.write("p.py", "print('ran')")
    seen = project.run("p.py", python=python, fresh=fresh, timeout=100)
    assert "ran" in project.output and seen.failure.kind == "no-svi", project.output
    assert not (tmp_path / "outside" / "ran").exists()
    if fresh:
        assert set(told(project.output)) == {f"told {REFUSED}"}
    else:
        assert warm._parents, "also what runs are forked from"
    project.run("p.py", python=python, fresh=True, timeout=100, sandbox=None)
    assert (tmp_path / "outside" / "ran").exists(), "the control"


@pytest.mark.parametrize("ask", ["versions", "device"])
def test_it_is_asked_inside(tmp_path, world, ask):
    python = environment(tmp_path / "env", world)

    def asked(allowed):
        if ask == "versions":
            return interpreter.check(python, allowed)
        with pytest.raises(devices.DeviceError, match="finds no"):
            devices.check(python, "cuda:99", allowed)

    asked(Sandbox())
    assert not (tmp_path / "outside" / "ran").exists()
    asked(None)
    assert (tmp_path / "outside" / "ran").exists(), "the control"


def script(tmp_path, body):
    path = tmp_path / "python-of-theirs"
    path.write_text(f"#!{sys.executable} -S\n{textwrap.dedent(body)}")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("print('[1, 2, 3]')", "it says [1, 2, 3]"),
        ('print(\'["3.11.0\\\\u001b[2J", "1", "1"]\')', "it says ['3.11.0\\x1b[2J', '1', '1']"),
        ("print('[' * 100000)", "no Python that can be run"),
        ("import sys\nfor _ in range(3000): print('x' * 65536)\nprint('[]')", "it says []"),
        ("import os\nos.kill(os.getpid(), 9)", "no Python that can be run"),
        ('print(\'["eleven", "1", "1"]\')', "no Python that can be run"),
    ],
)
def test_whatever_it_answers(tmp_path, body, said):
    found = interpreter.check(script(tmp_path, body))
    assert isinstance(found, Failure) and said in found.message and "\x1b" not in found.message
    assert len(found.message) < 1000


def test_nothing_of_it_stays(tmp_path):
    python = script(
        tmp_path,
        """
        import os, sys, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.chdir("/tmp")
                sys.stdout.close()
                time.sleep(100)
            os._exit(0)
        print('["3.11.0", "1", "1"]', flush=True)
        """,
    )
    began = time.monotonic()
    found = interpreter.check(python)
    assert isinstance(found, interpreter.Interpreter) and time.monotonic() - began < 30
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert str(python) not in entry.read_text()
        except OSError:
            continue


def test_one_that_never_answers(tmp_path):
    with pytest.raises(locked.NoAnswer, match="has not answered in 1 s"):
        locked.ask(script(tmp_path, "import time\ntime.sleep(100)"), "", allowed=Sandbox(), seconds=1)


# --- what is written where


def test_orders_lie_where_no_program_can_change_them(project):
    project.write(
        "p.py",
        f"""
        import os, posix
        for name in ("orders", "loading"):
            folder = os.path.join({str(home.folder())!r}, name)
            try:
                posix.open(folder + "/x", os.O_CREAT | os.O_WRONLY)
                print("written")
            except OSError as error:
                print(type(error).__name__)
        """,
    )
    for fresh in (False, True):
        project.run("p.py", fresh=fresh)
        assert project.output == ["PermissionError"] * 2


def test_nothing_is_left_but_what_is_in_use(project):
    project.write("p.py", "print(1)")
    for fresh in (False, True):
        project.run("p.py", fresh=fresh)
    assert list(home.runs().iterdir()) == []
    assert [path.name for path in home.orders().iterdir() if not path.name.startswith("warm-")] == []


def test_the_folder_goes_with_the_process(tmp_path):
    code = "import tempfile\nfrom pyro_fix.runner import home\ntempfile.tempdir = {!r}\nprint(home.runs())"
    done = subprocess.run(
        [sys.executable, "-c", code.format(str(tmp_path))], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(str(tmp_path)) and list(tmp_path.iterdir()) == []


def test_where_an_interpreter_lies(tmp_path):
    real = Path(sys.executable).resolve()
    assert real.parents[1] in locked.places(Path(sys.executable))
    evil = tmp_path / "evil"
    (evil / "bin").mkdir(parents=True)
    (tmp_path / "secrets" / "keys").mkdir(parents=True)
    (evil / "bin" / "python").symlink_to(real)
    (evil / "pyvenv.cfg").write_text(f"home = {tmp_path / 'secrets' / 'keys'}\n")
    assert tmp_path / "secrets" not in locked.places(evil / "bin" / "python"), "there is no program there"


def test_what_forks_all_may_do_what_each_may(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("")
    project = tmp_path / "project"
    (project / ".git").mkdir(parents=True)
    (project / ".git" / "config").write_text("url = https://me:word@host/x\n")
    one = sandbox.policy_of(Sandbox(writable=(tmp_path / "out",)), [home.runs() / "a"], [project, project / "src"], [])
    around = sandbox.around(one, [home.runs()], [])
    assert around["writable"] == [str(home.runs()), str(tmp_path / "out")]
    assert around["own"] == [str(project)], "the home folder is spelled out"
    assert str(project / ".git" / "config") in around["hidden"]
    other = sandbox.policy_of(
        Sandbox(writable=(tmp_path / "out",)), [home.runs() / "b"], [project / "src", project], []
    )
    assert json.dumps(sandbox.around(other, [home.runs()], [])) == json.dumps(around)
    assert reach.beside_secrets(["/usr/lib"], []) == []
