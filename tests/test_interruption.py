"""Ctrl-C, SIGTERM and SIGHUP end pyro-fix within three seconds, in whatever it is doing, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="POSIX signals")

SCRIPT = Path(sys.executable).with_name("pyro-fix")
MOST = 3.0
ENGINE = """
import sys, threading, time, types
engine = types.ModuleType("pyro_fix.engine")
def say(word):
    print(word, file=sys.stderr, flush=True)
def check(options, progress):
    {work}
engine.check = check
sys.modules["pyro_fix.engine"] = engine
"""
DEAF = """
    import subprocess
    from pyro_fix.runner import folders, process
    (folders.make("states-") / "file").touch()
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    say(f"here {child.pid}")
    while True:
        try:
            time.sleep(100)
        except BaseException:
            pass
"""
SLOW_IMPORT = """
import sys, time
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            print("here 0", file=sys.stderr, flush=True)
            time.sleep(30)
sys.meta_path.insert(0, Finder())
"""


class Started:
    """pyro-fix, with a site of its own making, until it has said that it is where it is wanted."""

    def __init__(self, folder: Path, site: str) -> None:
        (folder / "site").mkdir()
        (folder / "site" / "sitecustomize.py").write_text(site, encoding="utf-8")
        (folder / "tmp").mkdir()
        (folder / "a.py").write_text("import pyro\n", encoding="utf-8")
        self.tmp = folder / "tmp"
        environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "TMPDIR": str(self.tmp)}
        self.child = subprocess.Popen(
            [SCRIPT, "a.py"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup would have it ignored
        )
        assert self.child.stderr is not None
        word, _, number = self.child.stderr.readline().partition(" ")
        assert word == "here"
        self.number = int(number)
        time.sleep(0.2)  # until it does what it has announced

    def end(self, *signals: int) -> tuple[int, str]:
        began = time.monotonic()
        for number in signals:
            self.child.send_signal(number)
            time.sleep(0.1)
        try:
            _, err = self.child.communicate(timeout=20)
        finally:
            self.child.kill()
        assert time.monotonic() - began < MOST
        return self.child.returncode, err


SIGNALS = [(signal.SIGINT, 130, "pyro-fix: interrupted\n"), (signal.SIGTERM, 143, ""), (signal.SIGHUP, 129, "")]


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_while_it_starts(tmp_path: Path, number: int, code: int, said: str) -> None:
    assert Started(tmp_path, SLOW_IMPORT).end(number) == (code, said)


@pytest.mark.parametrize(("number", "code", "said"), SIGNALS)
def test_while_something_swallows_exceptions(tmp_path: Path, number: int, code: int, said: str) -> None:
    started = Started(tmp_path, ENGINE.format(work=DEAF))
    assert list(started.tmp.iterdir())
    assert started.end(number) == (code, said)
    end = time.monotonic() + 5
    while time.monotonic() < end and (list(started.tmp.iterdir()) or _lives(started.number)):
        time.sleep(0.05)
    assert not list(started.tmp.iterdir())
    assert not _lives(started.number)


def test_a_second_one_hastens_it(tmp_path: Path) -> None:
    began = time.monotonic()
    started = Started(tmp_path, ENGINE.format(work=DEAF))
    began = time.monotonic()
    assert started.end(signal.SIGINT, signal.SIGINT) == (130, "pyro-fix: interrupted\n")
    assert time.monotonic() - began < 1.9


def test_a_second_one_does_not_break_what_is_put_away(tmp_path: Path) -> None:
    work = """
    try:
        say("here 0")
        time.sleep(100)
    finally:
        time.sleep(0.25)
        say("put away")
"""
    code, err = Started(tmp_path, ENGINE.format(work=work)).end(signal.SIGINT, signal.SIGINT)
    assert (code, err) == (130, "put away\npyro-fix: interrupted\n")


def test_while_the_interpreter_waits_for_a_thread(tmp_path: Path) -> None:
    work = """
    threading.Thread(target=time.sleep, args=(100,)).start()
    threading.Timer(0.5, say, ["here 0"]).start()
    raise RuntimeError("the end")
"""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(ENGINE.format(work=work), encoding="utf-8")
    (tmp_path / "a.py").touch()
    child = subprocess.Popen(
        [SCRIPT, "a.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "site")},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    while not child.stderr.readline().startswith("here"):
        pass
    began = time.monotonic()
    child.send_signal(signal.SIGINT)
    child.wait(20)
    assert (child.returncode, time.monotonic() - began < MOST) == (130, True)


def test_who_ignores_them_is_not_asked(tmp_path: Path) -> None:
    """``nohup``, and what a shell starts in the background, keep their say."""
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from pyro_fix import interruption; interruption.heed()\n"
        "print(signal.getsignal(signal.SIGHUP) == signal.SIG_IGN, signal.getsignal(signal.SIGINT).__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True pyro_fix.interruption\n"


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


PROGRAM = """
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
until = time.time() + 60
import pyro
from pyro.infer import SVI, Trace_ELBO
def model(): pyro.sample("z", pyro.distributions.Normal(0.0, 1.0))
def guide(): pyro.sample("z", pyro.distributions.Normal(pyro.param("m", __import__("torch").tensor(0.0)), pyro.param("s", __import__("torch").tensor(1.0))))
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
"""
HOSTILE = {
    "it floods its output": "while time.time() < until: os.write(1, b'x' * 65536)",
    "it forks without an end": """
for _ in range(20):
    if os.fork() == 0:
        while time.time() < until:
            if os.fork(): os._exit(0)
            os.setsid()
        os._exit(0)
while time.time() < until: time.sleep(0.1)""",
    "it has filled its journal": """
with open(os.path.dirname(os.environ["TMPDIR"]) + "/journal.jsonl", "a") as file:
    for _ in range(1_000_000): file.write('{"event": "note", "text": "' + "x" * 50 + '"}\\n')
while time.time() < until: time.sleep(0.1)""",
    "its journal is a pipe": """
path = os.path.dirname(os.environ["TMPDIR"]) + "/journal.jsonl"
import posix
posix.rename(path, path + "-old") if os.path.exists(path) else None
posix.mkfifo(path)
while time.time() < until: time.sleep(0.1)""",
    "it has made many folders": """
import posix
for number in range(2000): posix.mkdir(os.environ["TMPDIR"] + f"/{number}", 0o700)
while time.time() < until: time.sleep(0.1)""",
}


@pytest.mark.slow
@pytest.mark.parametrize("what", HOSTILE)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_a_program_does_its_worst(tmp_path: Path, what: str, number: int, code: int) -> None:
    tmp = tmp_path / "tmp"
    tmp.mkdir()
    (tmp_path / "project").mkdir()
    text = (
        PROGRAM
        + f"os.write(2, b'there')\nimport posix\nposix.mkdir(os.environ['TMPDIR'] + '/there')\n{HOSTILE[what]}\n"
    )
    (tmp_path / "project" / "train.py").write_text(text + "for _ in range(100): svi.step()\n", encoding="utf-8")
    child = subprocess.Popen(
        [SCRIPT, "--diff", "--no-cache", "--run", "train.py"],
        cwd=tmp_path / "project",
        env={**os.environ, "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 60
        while not list(tmp.glob("pyro-fix-*/first/tmp/there")):
            assert time.monotonic() < end and child.poll() is None
            time.sleep(0.1)
        time.sleep(1)
        began = time.monotonic()
        child.send_signal(number)
        _, err = child.communicate(timeout=20)
        took = time.monotonic() - began
    finally:
        child.kill()
    assert child.returncode == code
    assert took < MOST
    assert "Traceback" not in err
    end = time.monotonic() + 20
    while time.monotonic() < end and (list(tmp.iterdir()) or str(tmp_path) in _commands()):
        time.sleep(0.2)
    assert not list(tmp.iterdir())
    assert str(tmp_path) not in _commands()


def _commands() -> str:
    return subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
