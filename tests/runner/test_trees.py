"""Folders that a program has made to be hard to remove, and those that a killed pyro-fix has left."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pyro_fix.runner import folders, parcels, trees

posix = pytest.mark.skipif(os.name != "posix", reason="POSIX files")


@pytest.fixture
def hard(tmp_path):
    """A folder with one of everything, and its neighbour, which must stay."""
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour" / "precious").write_text("precious")
    root = tmp_path / "root"
    root.mkdir()
    here = os.getcwd()
    os.chdir(root)
    try:
        for _ in range(1200):  # longer than any path may be, and than Python can recurse
            os.mkdir("d" * 60)
            os.chdir("d" * 60)
        os.chdir(root)
        os.mkdir(b"\xff\xfe\n ")
        Path("file").touch()
        os.symlink(tmp_path / "neighbour", "link")
        os.symlink("/nowhere", b"\xff\xfe\n /link")
        os.mkfifo("pipe")
        os.makedirs("closed/inner")
        Path("closed/inner/file").touch()
        os.chmod("closed/inner", 0)
        os.chmod("closed", 0o300)
    finally:
        os.chdir(here)
    return root


@posix
def test_everything_goes_and_nothing_else(hard):
    assert trees.remove(str(hard))
    assert not hard.exists()
    assert (hard.parent / "neighbour" / "precious").read_text() == "precious"


@posix
@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can become somebody else")
def test_closed_folders_go_for_who_is_not_root():
    code = f"""
import os, sys, tempfile
sys.path.insert(0, {str(Path(trees.__file__).parent)!r})
import trees
os.setuid(65534)
root = tempfile.mkdtemp(prefix="pyro-fix-test-", dir="/tmp")
os.makedirs(root + "/closed/inner/below")
open(root + "/closed/inner/file", "w").close()
for folder in ("/closed/inner", "/closed"):
    os.chmod(root + folder, 0)
size = trees.measure(root, 100)
for folder in ("/closed/inner", "/closed"):
    os.chmod(root + folder, 0)
sys.exit(0 if trees.remove(root) and size.names == 4 else 1)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@posix
def test_a_link_in_its_place_is_not_followed(tmp_path):
    (tmp_path / "neighbour").mkdir()
    (tmp_path / "neighbour" / "precious").touch()
    (tmp_path / "link").symlink_to(tmp_path / "neighbour")
    assert not trees.remove(str(tmp_path / "link"))
    assert trees.measure(str(tmp_path / "link"), 100) == (0, 0, 0)
    assert (tmp_path / "neighbour" / "precious").exists()


@posix
def test_a_measure_has_bounds(tmp_path):
    for number in range(50):
        (tmp_path / str(number)).write_bytes(b"x" * 5000)
    assert trees.measure(str(tmp_path), 1000).used >= 50 * 5000
    assert trees.measure(str(tmp_path), 10).names == 11
    folder = tmp_path
    for _ in range(trees.MOST_DEEP + 5):
        folder /= "d"
    folder.mkdir(parents=True)
    assert trees.measure(str(tmp_path), 1000).deep == trees.MOST_DEEP + 1


def test_a_removal_comes_to_an_end(tmp_path):
    (tmp_path / "root" / "a").mkdir(parents=True)
    assert not trees.remove(str(tmp_path / "root"), 0.0)


@posix
def test_what_a_killed_one_has_left_is_removed_a_day_later(tmp_path, monkeypatch):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    there = f"{os.getppid()}-{folders._began(os.getppid())}"
    left = tmp_path / f"pyro-fix-{gone.pid}-1-abc"
    states = tmp_path / f"pyro-fix-states-{gone.pid}-1-abc"
    young = tmp_path / f"pyro-fix-{gone.pid}-1-young"
    kept = [
        tmp_path / f"pyro-fix-{there}-abc",  # its owner lives
        tmp_path / f"pyro-fix-states-{folders.owner()}-abc",
        tmp_path / f"pyro-fix-reports-{gone.pid}",  # not of ours
        tmp_path / f"other-{gone.pid}-1-abc",
        young,
    ]
    for folder in (left, states, *kept):
        (folder / "inner").mkdir(parents=True)
        if folder != young:
            os.utime(folder, (1, 1))
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / f"pyro-fix-{gone.pid}-1-link"
    link.symlink_to(tmp_path / "elsewhere")
    os.utime(link, (1, 1), follow_symlinks=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made = folders.make()
    end = time.monotonic() + 10
    while (left.exists() or states.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not left.exists()
    assert not states.exists()
    assert all(folder.exists() for folder in kept)
    assert link.is_symlink()
    assert (tmp_path / "elsewhere").exists()
    folders.remove(made)


def test_a_number_that_another_process_has_now_is_no_owner():
    assert folders.left(f"pyro-fix-{os.getpid()}-1-abc") is sys.platform.startswith("linux")
    assert not folders.left(f"pyro-fix-{folders.owner()}-abc")
    assert not folders.left("pyro-fix-abc")


@posix
def test_a_removal_that_takes_long_is_left_to_another_process(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(folders, "_PATIENCE", 0.0)
    made = folders.make()
    (made / "inner").mkdir()
    folders.remove(made)
    end = time.monotonic() + 10
    while made.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not made.exists()


@posix
def test_parameters_are_looked_for_where_they_lie_and_no_deeper(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "svi-0-first.pt").write_bytes(b"a")
    (tmp_path / "svi-1-last.pt").write_bytes(b"b")
    os.mkfifo(tmp_path / "svi-2-last.pt")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "svi-0-first.pt").write_bytes(b"c")
    (tmp_path / "1").symlink_to(tmp_path / "elsewhere")
    here = os.getcwd()
    os.chdir(tmp_path / "0")
    for _ in range(1100):
        os.mkdir("0")
        os.chdir("0")
    os.chdir(here)
    assert parcels.pack(tmp_path) == {"0/svi-0-first.pt": b"a", "svi-1-last.pt": b"b"}
    assert trees.remove(str(tmp_path / "0"))
