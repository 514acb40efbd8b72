"""Runs that get out of hand: nothing of them lives on, no call waits for ever, and what is said is what was."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

from pyro_fix.observation import Failure
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner import folders, groups, home, process, remains, warm
from pyro_fix.runner.model import Sandbox

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc")
locked = pytest.mark.skipif(bool(probe.missing()), reason="this machine has no sandbox")
pytestmark = linux

DAEMON = """
    import os, sys, time
    notes = {notes!r}
    if os.fork() == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        with open(notes + "/daemon", "w") as file:
            file.write(str(os.getpid()))
        until = time.time() + 60
        while time.time() < until:
            time.sleep(0.1)
        os._exit(0)
    while not os.path.exists(notes + "/daemon"):
        time.sleep(0.05)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def wait_until(true, seconds=20):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def notes(tmp_path):
    (tmp_path / "notes").mkdir()
    return tmp_path / "notes"


@pytest.fixture
def run(project, notes):
    def run(text, **request):
        project.write("p.py", DAEMON.format(notes=str(notes)) + text)
        return project.run("p.py", sandbox=Sandbox(writable=(notes,)), **request)

    return run


def daemon_is_gone(notes):
    wait_until(lambda: not alive(int((notes / "daemon").read_text())), 5)


def supervisor_of(pid):
    """The process above a daemon: whoever it was made a child of."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@locked
@pytest.mark.parametrize("fresh", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_folders_within_folders(run, notes, fresh):
    text = """
    import posix
    posix.chdir(os.environ["TMPDIR"])
    for _ in range(1500):
        posix.mkdir("d", 0o700)
        posix.chdir("d")
    time.sleep(60)
    """
    seen = run(text, timeout=50, fresh=fresh)
    assert (seen.failure.kind, seen.failure.message) == ("killed", "it put more than 100 folders within each other")
    daemon_is_gone(notes)


@locked
@pytest.mark.parametrize(
    ("grouped", "fresh"),
    [
        (True, False),
        (False, False),
        *(pytest.param(grouped, True, marks=pytest.mark.slow) for grouped in (True, False)),
    ],
)
def test_a_supervisor_that_is_killed(run, notes, grouped, fresh, monkeypatch):
    """By the kernel, for memory; a program cannot reach it."""
    if not grouped:
        warm.end_all()  # one that has a group lives in it
        monkeypatch.setattr(groups, "make", lambda name: None)
    else:
        made = groups.make(f"pyro-fix-test-{os.getpid()}")
        if made is None:
            pytest.skip("there are no control groups to be had here")
        groups.remove(made)

    def kill():
        wait_until((notes / "daemon").exists, 60)
        time.sleep(0.2)
        os.kill(supervisor_of(int((notes / "daemon").read_text())), signal.SIGKILL)

    threading.Thread(target=kill).start()
    began = time.monotonic()
    seen = run("    time.sleep(60)\n", timeout=50, fresh=fresh)
    assert seen.failure == Failure("killed", "was stopped: the process that watched it has died")
    assert time.monotonic() - began < 40
    daemon_is_gone(notes)
    if not grouped:
        warm.end_all()


@locked
def test_what_a_program_holds_and_what_it_may_do_to_who_watches_it(run, project):
    text = """
    import ctypes, errno
    print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1])
    above, pid = [], os.getppid()
    while pid > 1:
        above.append(pid)
        try:
            pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
        except OSError:  # which is refused as well
            break
    import posix, resource, signal
    before = [posix.getpriority(os.PRIO_PROCESS, pid) for pid in above]
    cores = [posix.sched_getaffinity(pid) for pid in above]
    for pid in above:
        for attempt in (
            lambda: posix.setpriority(os.PRIO_PROCESS, pid, 19),
            lambda: posix.setpriority(os.PRIO_USER, 0, 19),
            lambda: posix.setpriority(os.PRIO_PGRP, pid, 19),
            lambda: posix.sched_setaffinity(pid, {min(cores[0])}),
            lambda: posix.sched_setscheduler(pid, posix.SCHED_IDLE, posix.sched_param(0)),
            lambda: resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0)),
            lambda: posix.kill(pid, signal.SIGSTOP),
            lambda: posix.kill(pid, signal.SIGKILL),
            lambda: open(f"/proc/{pid}/mem", "rb").read(1),
            lambda: posix.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY),
            lambda: posix.listdir(f"/proc/{pid}/fd"),
        ):
            try:
                attempt()
            except OSError:
                pass
    print([posix.getpriority(os.PRIO_PROCESS, pid) for pid in above] == before)
    print([posix.sched_getaffinity(pid) for pid in above] == cores)
    print([posix.sched_getscheduler(pid) for pid in above] == [0] * len(above))
    own = posix.getpriority(os.PRIO_PROCESS, 0)
    posix.setpriority(os.PRIO_PROCESS, 0, own + 1)
    print(posix.getpriority(os.PRIO_PROCESS, 0) - own)
    os._exit(0)
    """
    run(text, timeout=50)
    descriptors, *rest = project.output
    assert descriptors == "[0, 1, 2]"
    assert rest == ["True", "True", "True", "1"]


@locked
def test_output_without_an_end_and_a_daemon_that_holds_it(run, notes):
    seen = run("    while True:\n        os.write(1, b'x' * 65536)\n", timeout=15)
    assert seen.failure.kind == "timeout"
    assert seen.seconds < 20
    daemon_is_gone(notes)


def test_a_run_that_is_still_ending_is_not_waited_for(tmp_path, monkeypatch):
    """Something that cannot be killed at the moment."""

    class Stuck:
        def __init__(self):
            reading, self.writing = os.pipe()
            self.stdout = os.fdopen(reading, "rb")
            self.abandoned = False

        def wait(self, seconds=None):
            assert seconds is not None
            return False

        def hang_up(self):
            pass

        def abandon(self):
            self.abandoned = True

        def close(self):
            raise AssertionError("would wait for the reader")

    stuck = Stuck()
    (tmp_path / "status").write_bytes(b" " * 100)
    watch = process._Watch(time.monotonic(), None, None)
    began = time.monotonic()
    end = process._attend(stuck, tmp_path / "status", watch)
    assert time.monotonic() - began < 5
    assert (end.why, end.unwatched, stuck.abandoned) == ("timeout", True, True)
    os.close(stuck.writing)


# A disk that is full.


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A temporary folder with room for half a megabyte."""
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.getuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "x", folder], check=False).returncode
    ):
        pytest.skip("only root can mount one")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def fill(folder):
    with contextlib.suppress(OSError), (folder / "full").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_is_told_before_a_run(small, project):
    project.write("p.py", "print('ran')")
    fill(small)
    seen = project.run("p.py")
    assert seen.failure == Failure("killed", f"no space left in {small}")
    assert project.output == []
    assert list(home.runs().iterdir()) == []
    assert {path.name for path in small.iterdir()} == {"full", home.folder().name}


@locked
def test_a_disk_that_is_filled_is_told_after_the_run(small, project):
    project.write(
        "p.py",
        """
        import os, posix
        file = posix.open(os.environ["TMPDIR"] + "/x", os.O_CREAT | os.O_WRONLY)
        try:
            while True:
                posix.write(file, b"x" * 4096)
        except OSError:
            pass
        os._exit(0)
        """,
    )
    assert project.run("p.py").failure == Failure("killed", f"no space left in {small}")
    assert list(home.runs().iterdir()) == []
    assert list(small.iterdir()) == [home.folder()]


def test_a_full_folder_is_not_exchanged_for_the_users_own(small, monkeypatch):
    fill(small)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(small))
    with pytest.raises(OSError, match="No space left"):
        folders.make()
    assert folders.no_space() == f"no space left in {small}"


def test_groups_of_this_process_are_gone_after_a_run(run):
    run("    os._exit(0)\n")
    living = {parent._group for parent in [*warm._parents.values(), *warm._leaving] if parent is not None}
    remains.leave()  # as this process does at its end: what is empty goes
    assert {path for _, path in remains._made if Path(path).exists()} <= living
