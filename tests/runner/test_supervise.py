"""Programs that try to outlive, outrun or blind their supervisor, which is run by itself here: without torch."""

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from pyro_fix.runner import groups, limits, supervise, trees

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc, and its subreapers")
MIB = 1 << 20


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Supervised:
    """A supervisor and its program; the program may use ``note(pid)``, and ends by itself after a while."""

    def __init__(self, folder, code, group=None, **given):
        self.folder = folder
        (folder / "scratch").mkdir()
        self.status = folder / "status.json"
        self.status.write_bytes(b" " * 4096)
        head = f"""
            import ctypes, mmap, os, signal, sys, time
            signal.alarm(60)
            def note(pid=None):
                with open({str(folder / "pids")!r}, "a") as file:
                    file.write(f"{{pid or os.getpid()}}\\n")
            os.chdir({str(folder / "scratch")!r})
        """
        taken = {"memory": 1 << 40, "processes": 256, "disk": 1 << 40, "folders": [str(folder / "scratch")], **given}
        order = {
            "command": [sys.executable, "-I", "-S", "-c", textwrap.dedent(head) + textwrap.dedent(code)],
            "cwd": "/",
            "env": dict(os.environ),
            "status": str(self.status),
            "scratch": str(folder / "scratch"),
            "limits": taken,
            "group": group,
        }
        (folder / "order.json").write_text(json.dumps(order))
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", supervise.__file__, str(folder / "order.json")],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pids(self):
        path = self.folder / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def wait_for(self, count, seconds=20):
        end = time.monotonic() + seconds
        while len(self.pids) < count:
            assert time.monotonic() < end, "the program did not start"
            time.sleep(0.01)

    def hang_up(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def end(self, seconds=20):
        try:
            self.process.wait(seconds)
        finally:
            self.hang_up()
        return json.loads(self.status.read_text())


@pytest.fixture
def supervised(tmp_path):
    started = []

    def start(code, **given):
        started.append(Supervised(tmp_path, code, **given))
        return started[-1]

    yield start
    for one in started:
        one.hang_up()
        with contextlib.suppress(subprocess.TimeoutExpired):
            one.process.wait(20)
        one.process.kill()
        for pid in one.pids:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
    trees.remove(str(tmp_path / "scratch"))


@pytest.fixture
def group():
    made = groups.make(f"pyro-fix-test-{os.getpid()}")
    if made is None:
        pytest.skip("there are no control groups to be had here")
    yield made
    groups.kill(made)
    assert groups.remove(made)


DAEMON = """
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        os.closerange(0, 100)
        note()
        while True:
            time.sleep(1)
    while not os.path.exists("../pids"):
        time.sleep(0.01)
"""


def test_a_supervisor_tells_how_the_program_ended(supervised):
    assert supervised("sys.exit(3)").end() == {"status": 3, "exceeded": ""}


def test_folders_within_folders_do_not_end_it(supervised):
    one = supervised(DAEMON + "    for _ in range(1500): os.mkdir('d'); os.chdir('d')\n    time.sleep(50)")
    assert one.end() == {"status": None, "exceeded": "it put more than 100 folders within each other"[3:]}
    assert not alive(one.pids[0])


def test_whatever_is_raised_the_end_comes(tmp_path, monkeypatch):
    """The look at what a run takes may fail in any way: the program is killed all the same."""
    pid = os.fork()
    if pid == 0:  # the supervisor of this test
        with contextlib.suppress(BaseException):
            monkeypatch.setattr(supervise, "_watch", lambda *_: [].pop())
            (tmp_path / "status").write_bytes(b" " * 4096)
            order = {"status": str(tmp_path / "status"), "limits": None, "group": None, "scratch": str(tmp_path)}

            def start(inside):
                child = os.fork()
                if child == 0:
                    time.sleep(30)
                    os._exit(0)
                (tmp_path / "child").write_text(str(child))
                return child

            reading, _ = os.pipe()
            supervise.oversee(order, start, reading, lambda: False)
        os._exit(0)
    os.waitpid(pid, 0)
    assert not alive(int((tmp_path / "child").read_text()))
    assert "could not be watched any more: IndexError" in json.loads((tmp_path / "status").read_text())["exceeded"]


CHAINS = """
    until = time.time() + 40
    for number in range(40):
        if os.fork() == 0:
            if number == 0:
                note()
            while time.time() < until:   # whoever lives has just been born, and dies at once
                if os.fork():
                    os._exit(0)
                os.setsid()
            os._exit(0)
    note()
    time.sleep(50)
"""


def test_who_forks_and_exits_at_once_is_met_all_the_same(supervised):
    one = supervised(CHAINS)
    one.wait_for(2)
    time.sleep(0.3)
    one.hang_up()
    began = time.monotonic()
    one.process.wait(30)
    assert time.monotonic() - began < 15
    one.process = subprocess.Popen(["true"], stdin=subprocess.PIPE)  # nothing is left to be told to end
    marks = [path for path in Path("/proc").glob("[0-9]*/cmdline") if str(one.folder).encode() in _bytes(path)]
    assert marks == []


def test_the_killing_goes_on_until_the_kernel_says_that_nobody_is_left():
    """Not for some seconds, and not until nobody is seen: who forks and exits is seen by chance."""
    pid = os.fork()
    if pid == 0:  # the supervisor of this test
        status = 1
        with contextlib.suppress(BaseException):
            child = os.fork()
            if child == 0:
                os.setsid()
                time.sleep(60)
                os._exit(0)
            time.sleep(0.2)

            class Blind:
                looks = 0

                @classmethod
                def descendants(cls, root):
                    cls.looks += 1
                    return limits.descendants(root) if cls.looks > 150 else ([], 0)

            supervise._kill_all(os.getpid() + 1_000_000, None, groups, Blind)
            status = 0 if Blind.looks > 150 and not alive(child) else 2
        os._exit(status)
    assert os.WEXITSTATUS(os.waitpid(pid, 0)[1]) == 0


def _bytes(path):
    with contextlib.suppress(OSError):
        return path.read_bytes()
    return b""


def test_a_group_ends_at_once(supervised, group):
    one = supervised(CHAINS, group=group)
    one.wait_for(2)
    assert len((Path(group) / "cgroup.procs").read_text().split()) > 1
    began = time.monotonic()
    one.hang_up()
    one.process.wait(20)
    assert time.monotonic() - began < 5


def test_groups_that_nobody_owns_are_removed(supervised, group):
    one = supervised("    note()\n    time.sleep(50)", group=group)
    one.wait_for(1)
    groups.sweep(lambda name: name.startswith("pyro-fix-test-0"))
    assert Path(group).exists(), "of another name"
    groups.sweep(lambda name: name == Path(group).name)
    assert not alive(one.pids[0])
    assert not Path(group).exists()
    os.mkdir(group)


@pytest.mark.parametrize(
    ("name", "take"),
    [
        ("memfd", "f = os.memfd_create('x'); [os.write(f, b'x' * (1 << 20)) for _ in range(300)]"),
        (
            "memfd, closed and no longer resident",
            "f = os.memfd_create('x'); os.ftruncate(f, 300 << 20); m = mmap.mmap(f, 300 << 20); os.close(f)\n"
            "    for i in range(0, 300 << 20, 4096): m[i] = 1\n"
            "    m.madvise(mmap.MADV_DONTNEED)",
        ),
        ("shared anonymous", "m = mmap.mmap(-1, 300 << 20)\n    for i in range(0, 300 << 20, 4096): m[i] = 1"),
        ("/dev/shm", "f = open('/dev/shm/pyro-fix-test', 'wb'); os.unlink(f.name)\n    f.write(b'x' * (300 << 20))"),
        ("own", "x = bytearray(300 << 20)"),
        (
            "what the kernel needs to know of much that is mapped",
            "m = mmap.mmap(-1, 1 << 37, flags=mmap.MAP_PRIVATE | 0x4000, prot=mmap.PROT_READ)\n"
            "    for i in range(0, 1 << 37, 1 << 21): m[i]",
        ),
        (
            "by one that cannot be looked at",
            "ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); f = os.memfd_create('x')\n"
            "    [os.write(f, b'x' * (1 << 20)) for _ in range(300)]",
        ),
    ],
)
def test_memory_of_every_kind_counts(supervised, name, take):
    one = supervised(f"    note()\n    {take}\n    time.sleep(50)", memory=200 * MIB)
    assert one.end() == {"status": None, "exceeded": "took more than 200 MiB of memory (--memory)"}


def test_memory_that_may_be_taken_is_left_alone(supervised):
    """Four processes share one piece, which counts once."""
    code = """
    f = os.memfd_create("x")
    os.ftruncate(f, 100 << 20)
    m = mmap.mmap(f, 100 << 20)
    for i in range(0, 100 << 20, 4096):
        m[i] = 1
    for _ in range(3):
        if os.fork() == 0:
            sum(m[i] for i in range(0, 100 << 20, 4096))
            time.sleep(1)
            os._exit(0)
    time.sleep(1)
    sys.exit(7)
    """
    assert supervised(code, memory=250 * MIB).end() == {"status": 7, "exceeded": ""}


def test_files_that_were_removed_while_open_count(supervised):
    code = """
    f = open("x", "wb")
    os.unlink("x")
    for _ in range(120):
        f.write(b"x" * (1 << 20))
    f.flush()
    time.sleep(50)
    """
    assert supervised(code, disk=64 * MIB).end()["exceeded"] == "wrote more than 64 MiB of files"


def test_the_number_of_files_has_a_bound(supervised, monkeypatch, tmp_path):
    (tmp_path / "many").mkdir()
    for number in range(30):
        (tmp_path / "many" / str(number)).touch()
    monkeypatch.setattr(limits, "MOST_NAMES", 20)
    taken = {"memory": 1 << 40, "processes": 256, "disk": 1 << 40, "folders": [str(tmp_path / "many")]}
    assert limits.Watch(os.getpid(), taken, trees).exceeded() == "made more than 20 files"


def test_a_full_disk_does_not_swallow_the_last_words(tmp_path):
    """The runner has made room for them."""
    (tmp_path / "status").write_bytes(b" " * 4096)
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        with contextlib.suppress(BaseException):
            supervise._tell(str(tmp_path / "status"), {"status": 5, "exceeded": ""})
        os._exit(0)
    os.waitpid(pid, 0)
    assert json.loads((tmp_path / "status").read_text()) == {"status": 5, "exceeded": ""}


def test_signals_do_not_end_it(supervised):
    one = supervised("    note()\n    time.sleep(50)")
    one.wait_for(1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        one.process.send_signal(number)
    time.sleep(0.3)
    assert one.process.poll() is None
    one.hang_up()
    one.process.wait(10)
    assert not alive(one.pids[0])


def test_the_program_is_who_the_kernel_ends_first(supervised):
    one = supervised("    print(open('/proc/self/oom_score_adj').read(), file=open('../score', 'w'))")
    one.end()
    assert (one.folder / "score").read_text().split() == ["1000"]


def test_a_look_costs_little():
    """It is made twenty times a second."""
    watch = limits.Watch(os.getpid(), {"memory": 1 << 40, "processes": 256, "disk": 1 << 40, "folders": []}, trees)
    began = time.process_time()
    for _ in range(100):
        watch._processes()
    assert (time.process_time() - began) / 100 < 0.005
