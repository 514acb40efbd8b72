from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from pyro_fix import apply
from pyro_fix.apply import ApplyError, write
from pyro_fix.result import Change
from pyro_fix.sources import read

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX only")


def make(path: Path, data: bytes = b"old\n") -> Change:
    path.write_bytes(data)
    return Change(read(path), read(path).text.replace("old", "new"))


def left_overs(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".pyro-fix*")]


def test_bytes_are_kept_outside_the_change(tmp_path: Path) -> None:
    contents = {
        "crlf.py": b"# 1\r\nold\r\n",
        "mixed.py": b"# 1\r\nold\n# 3\r",
        "bom.py": b"\xef\xbb\xbfold\n",
        "latin.py": b"# coding: latin-1\n# caf\xe9\nold",
        "utf8.py": "# caf\u00e9\nold\n".encode(),
    }
    write([make(tmp_path / name, data) for name, data in contents.items()])
    for name, data in contents.items():
        assert (tmp_path / name).read_bytes() == data.replace(b"old", b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(contents)


@posix
def test_a_file_of_another_user_stays_that_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that we may write to a new file could take its place; it would be ours."""
    change = make(tmp_path / "a.py")
    real = os.fstat

    def of_another(descriptor: int) -> os.stat_result:
        found = list(real(descriptor))
        found[4] += 1
        return os.stat_result(found)

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", of_another)
        patched.setattr(os, "fchown", refused)
        with pytest.raises(
            ApplyError, match=r"a\.py: cannot be written: it belongs to another user.*no file was changed"
        ):
            write([change])
    assert (tmp_path / "a.py").read_bytes() == b"old\n" and not left_overs(tmp_path)
    write([change])
    assert (tmp_path / "a.py").read_bytes() == b"new\n"


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root, to be somebody else")
def test_a_file_that_all_may_write_is_not_taken_over() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        change = make(folder / "a.py")
        (folder / "a.py").chmod(0o666)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.setgid(12345)
                os.setuid(12345)
                write([change])
            except ApplyError as error:
                status = 42 if "belongs to another user" in str(error) else 1
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42
        found = (folder / "a.py").stat()
        assert (found.st_uid, (folder / "a.py").read_bytes()) == (0, b"old\n")
        assert not left_overs(folder)


@pytest.mark.skipif(not hasattr(os, "setxattr"), reason="needs extended attributes")
def test_extended_attributes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = make(tmp_path / "a.py")
    try:
        os.setxattr(tmp_path / "a.py", "user.note", b"mine")
    except OSError:
        pytest.skip("this file system has none")
    real = os.setxattr
    with monkeypatch.context() as patched:

        def refused(*_: object) -> None:
            raise OSError(95, "Operation not supported")

        patched.setattr(os, "setxattr", refused)
        with pytest.raises(ApplyError, match=r"its attribute user\.note cannot be kept; no file was changed"):
            write([change])
    assert os.setxattr is real
    write([change])
    assert os.getxattr(tmp_path / "a.py", "user.note") == b"mine"
    assert (tmp_path / "a.py").read_bytes() == b"new\n"


@posix
@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600, 0o4750])
def test_mode_is_kept(tmp_path: Path, mode: int) -> None:
    change = make(tmp_path / "a.py")
    (tmp_path / "a.py").chmod(mode)
    write([change])
    assert (tmp_path / "a.py").read_bytes() == b"new\n"
    assert stat.S_IMODE((tmp_path / "a.py").stat().st_mode) == mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root gives files away")
def test_owner_is_kept(tmp_path: Path) -> None:
    change = make(tmp_path / "a.py")
    os.chown(tmp_path / "a.py", 12345, 23456)
    write([change])
    status = (tmp_path / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@posix
def test_links_are_followed_and_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.py").write_bytes(b"old\n")
    (tmp_path / "link.py").symlink_to("real/a.py")
    source = read(tmp_path / "link.py")
    write([Change(source, "new\n")])
    assert (tmp_path / "link.py").readlink() == Path("real/a.py")
    assert (tmp_path / "real" / "a.py").read_bytes() == b"new\n"


@posix
def test_one_file_under_two_names(tmp_path: Path) -> None:
    one = make(tmp_path / "a.py")
    (tmp_path / "b.py").symlink_to("a.py")
    two = Change(read(tmp_path / "b.py"), "other\n")
    with pytest.raises(ApplyError, match="same file"):
        write([one, two])
    assert (tmp_path / "a.py").read_bytes() == b"old\n"
    write([one, Change(two.source, one.text)])
    assert (tmp_path / "a.py").read_bytes() == b"new\n"


def test_a_file_that_changed_meanwhile_stops_everything(tmp_path: Path) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py", "c.py")]
    (tmp_path / "c.py").write_bytes(b"mine\n")
    with pytest.raises(ApplyError, match=r"c\.py: was changed on disk meanwhile; no file was changed"):
        write(changes)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old\n", b"old\n", b"mine\n"]


def test_a_file_that_is_gone_stops_everything(tmp_path: Path) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    (tmp_path / "b.py").unlink()
    with pytest.raises(ApplyError, match=r"b\.py: is gone"):
        write(changes)
    assert (tmp_path / "a.py").read_bytes() == b"old\n"


def test_a_file_that_changes_between_two_renames_is_kept_and_the_rest_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py", "c.py")]
    replace = Path.replace

    def meddle(self: Path, target: Path) -> Path:
        done = replace(self, target)
        if target.name == "b.py" and target.read_bytes() == b"new\n":
            (tmp_path / "c.py").write_bytes(b"mine\n")
        return done

    monkeypatch.setattr(Path, "replace", meddle)
    with pytest.raises(ApplyError, match=r"c\.py: was changed on disk"):
        write(changes)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        "a.py": b"old\n",
        "b.py": b"old\n",
        "c.py": b"mine\n",
    }


def test_a_rename_that_fails_undoes_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py", "c.py")]
    (tmp_path / "a.py").chmod(0o640)
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if target.name == "c.py":
            raise PermissionError(1, "Operation not permitted", str(self))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(ApplyError, match=r"c\.py: cannot be written: Operation not permitted; no file was changed"):
        write(changes)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old\n"] * 3
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / "a.py").stat().st_mode) == 0o640


def test_what_could_not_be_undone_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    replace, calls = Path.replace, []

    def once(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) > 1:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", once)
    with pytest.raises(ApplyError, match=r"b\.py: .*Input/output error; already changed and not undone: .*a\.py"):
        write(changes)
    assert not left_overs(tmp_path)


@pytest.mark.skipif(not Path("/dev/shm").is_dir() or os.geteuid() != 0, reason="mounts a small file system")
def test_a_full_disk_changes_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("may not mount")
    try:
        changes = [make(disk / name, b"old\n" + b"#" * 60_000) for name in ("a.py", "b.py", "c.py")]
        with pytest.raises(ApplyError, match=r"\.py: cannot be written: No space left on device; no file was changed"):
            write(changes)
        assert all((disk / name).read_bytes().startswith(b"old") for name in ("a.py", "b.py", "c.py"))
        assert not left_overs(disk)
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_failure_while_staging_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    fsync, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ApplyError, match=r"b\.py: cannot be written: No space left on device; no file was changed"):
        write(changes)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old\n"] * 2


@posix
def test_a_read_only_file_is_respected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    (tmp_path / "b.py").chmod(0o444)
    # Root may write everything; what a user is told is what counts.
    monkeypatch.setattr(os, "access", lambda path, mode: bool(Path(path).stat().st_mode & 0o200))
    with pytest.raises(ApplyError, match=r"b\.py: is read-only; no file was changed"):
        write(changes)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old\n"] * 2


def test_a_text_that_the_encoding_cannot_hold(tmp_path: Path) -> None:
    change = make(tmp_path / "a.py", b"# coding: latin-1\nold\n")
    with pytest.raises(ApplyError, match=r"a\.py: its encoding \(iso-8859-1\) cannot hold the new text"):
        write([Change(change.source, change.text + "\u4e16")])
    assert (tmp_path / "a.py").read_bytes() == b"# coding: latin-1\nold\n"


def test_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 252 + ".py")
    write([make(path)])
    assert path.read_bytes() == b"new\n"


def test_nothing_to_write_touches_nothing(tmp_path: Path) -> None:
    change = make(tmp_path / "a.py", b"same\n")
    before = (tmp_path / "a.py").stat()
    write([change])
    write([])
    after = (tmp_path / "a.py").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


@posix
def test_left_overs_of_killed_runs_are_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    gone = tmp_path / f".pyro-fix-{dead.pid}-0.tmp"
    recycled = tmp_path / f".pyro-fix-{os.getpid()}-7.tmp"
    at_work = tmp_path / f".pyro-fix-{os.getppid()}-0.tmp"
    strange = tmp_path / ".pyro-fix-notes.tmp"
    for path in (gone, recycled, at_work, strange):
        path.write_bytes(b"")
    write([make(tmp_path / "a.py"), make(tmp_path / "b.py")])
    assert sorted(left_overs(tmp_path)) == sorted([at_work.name, strange.name])
    assert (tmp_path / "a.py").read_bytes() == (tmp_path / "b.py").read_bytes() == b"new\n"


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_first_rename_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    fsync = os.fsync

    def interrupted(descriptor: int) -> None:
        os.kill(os.getpid(), number)
        fsync(descriptor)

    class Ended(BaseException):
        pass

    def end(*_: object) -> None:
        raise Ended

    monkeypatch.setattr(os, "fsync", interrupted)
    before = signal.signal(number, end)
    try:
        with pytest.raises(Ended):
            write(changes)
        assert signal.getsignal(number) is end
    finally:
        signal.signal(number, before)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"old\n"] * 2


@posix
def test_a_signal_between_renames_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changes = [make(tmp_path / name) for name in ("a.py", "b.py")]
    replace = Path.replace

    def interrupted(self: Path, target: Path) -> Path:
        os.kill(os.getpid(), signal.SIGINT)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(changes)
    assert [path.read_bytes() for path in sorted(tmp_path.iterdir())] == [b"new\n"] * 2


@posix
def test_an_ignored_signal_stays_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change = make(tmp_path / "a.py")
    fsync = os.fsync

    def hang_up(descriptor: int) -> None:
        os.kill(os.getpid(), signal.SIGHUP)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", hang_up)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # What nohup does.
    try:
        write([change])
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (tmp_path / "a.py").read_bytes() == b"new\n"


_WRITER = """
import sys
from pathlib import Path
from pyro_fix.apply import write
from pyro_fix.result import Change
from pyro_fix.sources import read
folder = Path(sys.argv[1])
sources = [read(path) for path in sorted(folder.glob("*.py"))]
print("ready", flush=True)
while True:
    write([Change(source, source.text.translate({111: 110, 110: 111})) for source in sources])
    sources = [read(path) for path in sorted(folder.glob("*.py"))]
"""


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_at_any_moment_every_file_is_old_or_new(tmp_path: Path, number: signal.Signals) -> None:
    """A writer that flips files between two texts for ever is stopped at random moments."""
    old, new = b"o" * 100_000 + b"\n", b"n" * 100_000 + b"\n"
    names = [f"{index}.py" for index in range(5)]
    for name in names:
        (tmp_path / name).write_bytes(old)
    chance = random.Random(0)
    for _ in range(12):
        child = subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0, 0.05))
        child.send_signal(number)
        child.wait()
        child.stdout.close()
        texts = [(tmp_path / name).read_bytes() for name in names]
        assert set(texts) <= {old, new}, "half a file"
        if number != signal.SIGKILL:
            assert len(set(texts)) == 1, "all files or none"
            assert not left_overs(tmp_path)
        for name in names:  # What a kill left unequal must not hide what the next one does.
            (tmp_path / name).write_bytes(old)
    write([make(tmp_path / "last.py")])
    assert not left_overs(tmp_path), "the next run cleans up after a killed one"


def test_temporaries_lie_beside_their_file(tmp_path: Path) -> None:
    """A rename is atomic within one file system alone."""
    (tmp_path / "a").mkdir()
    changes = [make(tmp_path / "a" / "x.py"), make(tmp_path / "y.py")]
    assert all(item.temporary.parent == item.target.parent for item in apply._plan(changes))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_that_has_taken_the_files_place_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("old\n")
    change = Change(read(path), "new\n")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ApplyError, match="no regular file"):
        write([change])


def test_a_link_that_has_taken_the_files_place_is_not_followed(tmp_path: Path) -> None:
    path, other = tmp_path / "a.py", tmp_path / "other.py"
    path.write_text("old\n")
    other.write_text("old\n")
    change = Change(read(path), "new\n", path.resolve())
    path.unlink()
    path.symlink_to(other)
    with pytest.raises(ApplyError, match="leads elsewhere"):
        write([change])
    assert other.read_text() == "old\n"
