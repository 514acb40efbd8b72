"""Runs over a real Dask cluster on loopback: a scheduler and two workers, each a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")

from programs import NORMAL  # noqa: E402

from pyro_fix.observation import Observation  # noqa: E402
from pyro_fix.runner import dask_executor, dask_worker, parcels, run  # noqa: E402
from pyro_fix.runner.executor import ExecutorError, connect  # noqa: E402
from pyro_fix.runner.model import Referee, RunRequest, Sandbox  # noqa: E402
from pyro_fix.runner.target import parse  # noqa: E402

PYTHON = Path(sys.executable)
SCRIPT = PYTHON.with_name("pyro-fix")

TRAIN = """
import time
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(6):
    svi.step(data)
    time.sleep(PAUSE)
"""


class Cluster:
    """A scheduler and workers."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.address = f"dask://127.0.0.1:{self.port}"
        self.environment = {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"}
        self.environment |= {"OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        self.processes: list[subprocess.Popen[bytes]] = []
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.1)
        raise AssertionError("the scheduler did not start")

    def worker(self, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        where = ["--host", "127.0.0.1", "--local-directory", str(self.folder)]
        size = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--memory-limit", "0"]
        return self._start("worker", f"tcp://127.0.0.1:{self.port}", *where, *size, *options, **environment)

    def await_workers(self, count: int) -> None:
        with distributed.Client(f"tcp://127.0.0.1:{self.port}", set_as_default=False) as client:
            client.wait_for_workers(count, timeout=60)

    def _start(self, *words: str, **environment: str) -> subprocess.Popen[bytes]:
        log = (self.folder / f"log{len(self.processes)}").open("wb")
        command = [sys.executable, "-m", "dask", *words]
        process = subprocess.Popen(
            command, env={**self.environment, **environment}, stdout=log, stderr=log, cwd=self.folder
        )
        self.processes.append(process)
        return process

    def close(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    (tmp_path / "cluster").mkdir()
    cluster = Cluster(tmp_path / "cluster")
    try:
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def cluster(empty: Cluster) -> Cluster:
    empty.worker()
    empty.worker()
    empty.await_workers(2)
    return empty


def programs(folder: Path) -> list[int]:
    """The processes that run a program of that folder: the probe's children work there."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "cwd").readlink() == folder and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found


def parents(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        found.append(pid)
    return found


def wait_until(test, seconds: float = 60.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            found = test()
            if found:
                return found
        time.sleep(0.02)
    raise AssertionError("it did not come to pass")


def write(folder: Path, name: str, text: str, pause: float = 0.0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(NORMAL + text.replace("PAUSE", str(pause)))
    return path


def alike(seen: Observation) -> Observation:
    """Without what differs from run to run: times."""
    svis = tuple(
        replace(svi, trajectories=tuple(replace(t, step_seconds=0.0) for t in svi.trajectories)) for svi in seen.svis
    )
    return replace(seen, svis=svis, seconds=0.0)


# --- what one cluster can show, one after the other: starting it costs more than the runs


def test_runs_over_a_cluster(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    path = write(folder, "train.py", TRAIN)
    request = RunRequest(parse("train.py", folder), PYTHON, steps=3, seeds=(0, 1))
    executor = connect(cluster.address)
    try:
        assert executor.ready(PYTHON, "auto", Sandbox()).slots == 2

        # The same is seen as here, and the parameters come back.
        here, there = tmp_path / "here", tmp_path / "there"
        here.mkdir()
        there.mkdir()
        mine = run(replace(request, save_states=here))
        theirs = executor.run(replace(request, save_states=there))
        assert alike(theirs) == alike(mine) and theirs.svis
        assert (
            parcels.pack(there).keys()
            == parcels.pack(here).keys()
            == {f"{seed}/svi-0-{when}.pt" for seed in (0, 1) for when in ("first", "last")}
        )

        # What a referee judges goes there.
        judged = replace(request, seeds=(0,), referee=Referee({"a": there / "0", "b": here / "1"}))
        referee = executor.run(judged).svis[0].referee
        assert referee == run(judged).svis[0].referee
        assert set(referee) == {"a/first", "a/last", "b/first", "b/last"}

        # An overlay goes there.
        seen = executor.run(replace(request, overlay={path: b"raise ValueError('laid over')\n"}))
        assert seen.failure is not None and (seen.failure.kind, seen.failure.message) == ("ValueError", "laid over")

        # Other files than ours are noticed, be it that they are run or read.
        job = executor._job(request)
        other = replace(job, files={str(path): "0"})
        executor._job = lambda asked: other
        with pytest.raises(ExecutorError, match=rf"^--executor dask:[^ ]+: worker tcp:[^ ]+ has another {path} than"):
            executor.run(request)
        executor._job = lambda asked: replace(job, identity=replace(job.identity, ours="Python 2.7, pyro-fix 9"))
        with pytest.raises(
            ExecutorError, match=r"has Python 3\.\d+, pyro-fix .*and this machine Python 2.7, pyro-fix 9"
        ):
            executor.run(request)
        del executor._job

        # Nobody offers a graphics card.
        with pytest.raises(ExecutorError, match=r"no worker that offers GPU \(dask worker --resources 'GPU=1'\)$"):
            executor.ready(PYTHON, "cuda", None)
        with pytest.raises(ExecutorError, match=r"cannot be run"):
            executor.ready(Path("/no/python"), "cpu", None)

        # What is cancelled ends on the workers as well.
        write(folder, "slow.py", TRAIN, pause=60.0)
        slow = replace(request, target=parse("slow.py", folder), seeds=(0,))
        answers: list[Observation] = []
        waiting = threading.Thread(target=lambda: answers.append(executor.run(slow)))
        waiting.start()
        wait_until(lambda: programs(folder))
        executor.stop()
        waiting.join(60)
        assert answers[0].failure is not None and answers[0].failure.message == "was stopped"
        wait_until(lambda: not programs(folder))
        assert executor.run(slow).failure == answers[0].failure  # and nothing is started any more
    finally:
        executor.close()
    assert not list(cluster.folder.glob("**/pyro-fix-*"))

    # The same where pyro-fix itself is interrupted or killed.
    command = [SCRIPT, "--diff", "--no-cache", "--quiet", "--executor", cluster.address, "--run", "slow.py", "slow.py"]
    worker = {process.pid for process in cluster.processes}
    for how, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as ended:
            wait_until(lambda: [pid for pid in programs(folder) if worker & set(parents(pid))])
            ended.send_signal(how)
            err = ended.communicate(timeout=60)[1]
        assert (ended.returncode, err) == (code, b"pyro-fix: interrupted\n" if how == signal.SIGINT else b"")
        wait_until(lambda: not programs(folder))

    # And where the scheduler dies.
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as ended:
        wait_until(lambda: [pid for pid in programs(folder) if worker & set(parents(pid))])
        cluster.scheduler.kill()
        err = ended.communicate(timeout=60)[1]
    said = f"pyro-fix: --executor {cluster.address}: the connection to the scheduler was lost\n"
    assert (ended.returncode, err.decode()) == (2, said)
    wait_until(lambda: not programs(folder), 60)


# --- the main job

DEFECTS = """\
import time
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO

data = torch.tensor([1.0, 2.0, 3.0])

def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", 3):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(loc, scale))

if __name__ == "__main__":
    svi = SVI(model, guide, pyro.optim.Adam({"lr": RATE}), Trace_ELBO())
    for _ in range(150):
        svi.step()
        time.sleep(0.01)
"""


@pytest.mark.slow
def test_a_worker_dies_in_the_middle(cluster: Cluster, tmp_path: Path) -> None:
    folder = (tmp_path / "project").resolve()
    folder.mkdir()
    for name, rate in (("one.py", "0.01"), ("two.py", "10.0")):
        (folder / name).write_text(DEFECTS.replace("RATE", rate))
    cache = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    arguments = ["--diff", "--format", "json", "--steps", "30", "--seeds", "2", "--python", sys.executable]
    arguments += ["one.py", "two.py"]
    local = subprocess.run([SCRIPT, *arguments], cwd=folder, env=cache, capture_output=True, text=True, timeout=300)
    assert local.returncode == 1, local.stderr

    counter = tmp_path / "counted"
    site = tmp_path / "site"
    site.mkdir()
    (site / "counting.py").write_text(COUNTING)
    command = [sys.executable, str(site / "counting.py"), str(counter), "--executor", cluster.address, *arguments]
    fresh = [*command, "--no-cache"]
    with subprocess.Popen(fresh, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as remote:
        workers = {process.pid: process for process in cluster.processes}

        def busy() -> list[int]:
            return [pid for program in programs(folder) for pid in parents(program) if pid in workers]

        wait_until(lambda: busy() and counter.exists() and len(counter.read_text().split()) >= 2)
        victim = wait_until(busy)[0]
        os.kill(victim, signal.SIGKILL)
        out, err = remote.communicate(timeout=300)
    assert remote.returncode == 1, err

    mine, theirs = json.loads(local.stdout), json.loads(out)
    assert verdicts(theirs) == verdicts(mine) and len(verdicts(mine)) >= 3
    assert {"verified"} <= {status for *_, status, _ in verdicts(mine)}
    assert workers[victim].wait(10) == -signal.SIGKILL
    # What it was running was given to the other one.
    with distributed.Client(f"tcp://127.0.0.1:{cluster.port}", set_as_default=False) as client:
        events = [event for _, event in client.get_events("all") if event["action"] == "remove-worker"]
    assert len(events) == 1 and len(events[0]["processing-tasks"]) >= 1
    # Every run that was asked for was answered, once.
    lines = counter.read_text().split()
    asked = [line[1:] for line in lines if line[0] == "?"]
    answered = [line[1:] for line in lines if line[0] == "!"]
    assert sorted(asked) == sorted(answered) and len(set(asked)) == len(asked) == int(lines[-1])
    wait_until(lambda: not programs(folder))

    # A run is the same run wherever it was made: what the cache has from here need not be run there.
    counter.unlink()
    again = subprocess.run(command, cwd=folder, env=cache, capture_output=True, text=True, timeout=300)
    assert verdicts(json.loads(again.stdout)) == verdicts(mine)
    assert counter.read_text() == "0\n"


#: pyro-fix, with every request of the lab noted as it is asked, and as it is answered; in the end the lab's own count.
COUNTING = """\
import hashlib, sys, threading
from pyro_fix.__main__ import main
from pyro_fix.runner.dask_executor import Dask
from pyro_fix.verify.lab import Lab

path, lock = sys.argv.pop(1), threading.Lock()

def note(word):
    with lock, open(path, "a") as file:
        file.write(word + "\\n")

real, labs = Dask.run, []

def run(self, request):
    asked = repr((request.target, sorted(request.overlay.items()), request.seeds, request.deep, request.referee))
    name = hashlib.sha256(asked.encode()).hexdigest()
    note("?" + name)
    seen = real(self, request)
    note("!" + name)
    return seen

def __exit__(self, *error):
    note(str(self.runs))
    leave(self, *error)

Dask.run, leave, Lab.__exit__ = run, Lab.__exit__, __exit__
sys.exit(main())
"""


def verdicts(document: dict[str, object]) -> list[tuple[object, ...]]:
    rows = []
    for finding in document["findings"]:  # type: ignore[attr-defined]
        fix = finding["fix"]
        losses = fix["evidence"].get("runs")
        rows.append(
            (finding["path"], finding["line"], finding["code"], fix["diff"], losses, fix["status"], fix["reason"])
        )
    return rows


# --- what cannot be


def test_a_worker_with_another_pyro_fix(empty: Cluster, tmp_path: Path) -> None:
    (tmp_path / "site" / "pyro_fix").mkdir(parents=True)
    (tmp_path / "site" / "pyro_fix" / "__init__.py").write_text("raise ImportError('a broken one')\n")
    empty.worker(PYTHONPATH=str(tmp_path / "site"))
    empty.await_workers(1)
    executor = connect(empty.address)
    try:
        with pytest.raises(
            ExecutorError, match=r"worker tcp://127.0.0.1:\d+ has no pyro-fix that could be asked: .*a broken one"
        ):
            executor.ready(PYTHON, "auto", None)
    finally:
        executor.close()


def test_a_program_that_kills_workers_and_a_cluster_without_any(
    empty: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executor = connect(empty.address)
    try:
        with pytest.raises(ExecutorError, match=r"the cluster has no worker$"):
            executor.ready(PYTHON, "auto", None)
        # A task that takes its workers with it, as running out of memory does, is tried on two and given up.
        monkeypatch.setattr(dask_worker, "perform", _die)
        request = RunRequest(parse("train.py", write(tmp_path / "project", "train.py", TRAIN).parent), PYTHON)
        for _ in range(2):
            empty.worker("--resources", "GPU=1")
        empty.await_workers(2)
        with pytest.raises(ExecutorError, match=r": tcp://127[^ ]+: --device cuda:99: this interpreter's torch finds "):
            executor.ready(PYTHON, "cuda:99", None)
        failure = executor.run(request).failure
        assert failure is not None
        assert (failure.kind, failure.message) == ("killed", "2 Dask workers died while they ran it")
        monkeypatch.setattr(dask_executor, "PATIENCE", 3.0)
        with pytest.raises(ExecutorError, match=r"the cluster has had no worker for 3 s$"):
            executor.run(request)
    finally:
        executor.close()


#: By value, since no worker knows this module.
_die = eval("lambda job, key: __import__('os').kill(__import__('os').getpid(), 9)", {})


def test_no_scheduler_is_one_line_and_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_executor, "CONNECT", 1)
    with pytest.raises(
        ExecutorError, match=r"^--executor dask://127.0.0.1:1: there is no scheduler that answers: [^\n]+$"
    ):
        connect("dask://127.0.0.1:1")


def test_no_dask_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ExecutorError, match=r"^--executor dask://h:1: needs Dask: pip install 'pyro-fix\[dask\]'$"):
        connect("dask://h:1")


def test_links_are_no_parameters(tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    (saved / "0").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (saved / "0" / "svi-0-first.pt").symlink_to(tmp_path / "secret")
    (saved / "0" / "svi-0-last.pt").write_bytes(b"parameters")
    (saved / "0" / "other").write_bytes(b"?")
    (saved / "1").symlink_to(tmp_path)
    (saved / "0" / "svi-0-late-3.pt").write_bytes(b"late")
    (saved / "0" / "svi-0-way-128.pt").write_bytes(b"on the way")
    os.mkfifo(saved / "0" / "svi-1-last.pt")
    assert parcels.pack(saved) == {
        "0/svi-0-last.pt": b"parameters",
        "0/svi-0-late-3.pt": b"late",
        "0/svi-0-way-128.pt": b"on the way",
    }
    parcels.unpack({"0/svi-0-last.pt": b"p", "../evil": b"e", "0/../svi-0-last.pt": b"e"}, tmp_path / "new")
    assert [p.relative_to(tmp_path / "new").as_posix() for p in (tmp_path / "new").rglob("*.pt")] == ["0/svi-0-last.pt"]
