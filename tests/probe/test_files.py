"""The view of the file system, in a child that has it installed (it replaces functions of the whole process)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

CHILD = """
import sys
sys.path.insert(0, {repository!r})
from pyro_fix.probe import files
from pyro_fix.probe.journal import Journal
view = files.View({overlay!r}, [{project!r}], {scratch!r}, Journal({journal!r}), free={free!r})
files.install(view)
import os, io, json, shutil, pathlib, glob, tempfile, tokenize, linecache
project = {project!r}
os.chdir(project)
"""


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "project"
    (folder / "data" / "deep").mkdir(parents=True)
    (folder / "data" / "a.txt").write_text("old a")
    (folder / "data" / "deep" / "b.txt").write_text("old b")
    (folder / "model.py").write_text("x = 'original'\n")
    (tmp_path / "scratch").mkdir()
    return folder


def snapshot(folder):
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes()) if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_folders_that_may_be_written_to_are_still_the_projects(project):
    start = CHILD.format(
        repository=str(REPOSITORY),
        overlay={},
        project=str(project),
        scratch=str(project.parent / "scratch"),
        journal=str(project.parent / "scratch" / "journal"),
        free=[str(project)],
    )
    code = """
for name in ("data/a.txt", "read.txt"):
    open(name).read() if os.path.exists(name) else None
    open(name, "w").write("new")  # read before it is written: its start counts
    open(name).read()
open("data/deep/b.txt", "a").write("more")  # added to: as well
open("made.txt", "w").write("1")
open("made.txt").read()  # made by itself: there is nothing to depend on
assert view.in_project(project + "/model.py"), "places in it have names"
assert not view.in_project({scratch!r} + "/x")
print(pathlib.Path("data/a.txt").read_text())
"""
    code = code.replace("{scratch!r}", repr(str(project.parent / "scratch")))
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (project / "data" / "a.txt").read_text() == "new"
    told = [json.loads(line) for line in (project.parent / "scratch" / "journal").read_text().splitlines()]
    loaded = {Path(event["path"]).name for event in told if event["event"] == "loaded"}
    assert loaded == {"a.txt", "b.txt"}


def child(project, code, overlay=None):
    scratch = project.parent / "scratch"
    shown = {}
    for name, text in (overlay or {}).items():
        (scratch / name).write_text(text)
        shown[str((project / name).resolve())] = str(scratch / name)
    start = CHILD.format(
        repository=str(REPOSITORY),
        overlay=shown,
        project=str(project),
        scratch=str(scratch),
        journal=str(scratch / "journal"),
        free=[],
    )
    before = snapshot(project)
    done = subprocess.run([sys.executable, "-c", start + code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert snapshot(project) == before, "the project's own files have changed"
    return done.stdout


def test_what_is_written_is_read_again(project):
    out = child(
        project,
        """
open("new.txt", "w").write("one")
open("new.txt", "a").write(" two")
assert open("new.txt").read() == "one two"
open("data/a.txt", "a").write(" and more")
assert pathlib.Path("data/a.txt").read_text() == "old a and more"
with open("data/deep/b.txt", "r+") as f:
    f.write("new")
assert io.open(os.path.abspath("data/deep/b.txt")).read() == "new b"
pathlib.Path("touched").touch()
assert os.path.exists("touched") and os.path.getsize("new.txt") == 7
handle = os.open("raw", os.O_WRONLY | os.O_CREAT)
os.write(handle, b"raw"); os.close(handle)
assert open("raw", "rb").read() == b"raw"
print(sorted(os.listdir(".")), sorted(glob.glob("*.txt")), sorted(p.name for p in pathlib.Path("data").iterdir()))
print(open("new.txt").name)
open("opened", "w", opener=lambda path, flags: os.open(path, flags)).write("by an opener")
assert open("opened").read() == "by an opener"
assert open(file="opened", mode="r", buffering=-1, encoding="utf-8", errors=None, newline=None).read()
assert open("opened", "r", -1, "utf-8", None, None, True, None).read()
""",
    )
    assert out.splitlines() == [
        "['data', 'model.py', 'new.txt', 'raw', 'touched'] ['new.txt'] ['a.txt', 'deep']",
        "new.txt",
    ]


def test_folders(project):
    child(
        project,
        """
os.makedirs("out/x/y")
os.makedirs("out/x", exist_ok=True)
pathlib.Path("out/z").mkdir(parents=True, exist_ok=True)
open("out/x/y/f", "w").write("1")
assert sorted(os.listdir("out")) == ["x", "z"]
assert [d for d, _, _ in os.walk("out")] .__len__() == 4
os.chdir("out/x")
open("here", "w").write("2")
assert open("here").read() == "2"
os.chdir(project)
for call in (lambda: os.mkdir("data"), lambda: os.mkdir("out")):
    try: call()
    except FileExistsError: pass
    else: raise AssertionError("made again")
try: os.mkdir("none/x")
except FileNotFoundError: pass
else: raise AssertionError
""",
    )


def test_files_seem_to_go(project):
    child(
        project,
        """
os.remove("data/a.txt")
assert not os.path.exists("data/a.txt") and os.listdir("data") == ["deep"]
try: open("data/a.txt")
except FileNotFoundError as error: assert error.filename == "data/a.txt", error.filename
else: raise AssertionError
shutil.rmtree("data")
assert not os.path.isdir("data")
os.makedirs("data")
assert os.listdir("data") == []
open("data/c.txt", "w").write("c")
assert os.listdir("data") == ["c.txt"]
os.rename("data/c.txt", "data/d.txt")
assert os.listdir("data") == ["d.txt"] and open("data/d.txt").read() == "c"
""",
    )


def test_moves(project):
    child(
        project,
        """
os.replace("data/a.txt", "data/z.txt")
assert open("data/z.txt").read() == "old a" and not os.path.exists("data/a.txt")
with tempfile.NamedTemporaryFile("w", delete=False) as f: f.write("tmp")
shutil.move(f.name, "data/from_tmp.txt")
assert open("data/from_tmp.txt").read() == "tmp"
shutil.copyfile("model.py", "copy.py")
assert open("copy.py").read() == "x = 'original'\\n"
""",
    )


def test_errors_are_the_usual_ones(project):
    child(
        project,
        """
def fails(kind, call):
    try: call()
    except kind as error: return error
    raise AssertionError(kind)
assert fails(FileNotFoundError, lambda: open("none/x", "w")).filename == "none/x"
assert fails(FileNotFoundError, lambda: open("none")).filename == "none"
fails(FileNotFoundError, lambda: open("none", "r+"))
fails(FileExistsError, lambda: open("data/a.txt", "x"))
fails(IsADirectoryError, lambda: open("data", "w"))
fails(FileNotFoundError, lambda: os.remove("none"))
fails(ValueError, lambda: open("x", "bad"))
fails(TypeError, lambda: open(None))
assert not os.path.exists("none")
open("fresh", "x").write("1")
fails(FileExistsError, lambda: open("fresh", "x"))
""",
    )


def test_the_overlay_is_what_is_read(project):
    (project / "link.py").symlink_to(project / "model.py")
    child(
        project,
        """
new = "x = 'patched'\\n"
assert open("model.py").read() == io.open("model.py").read() == pathlib.Path("model.py").read_text() == new
assert tokenize.open("model.py").read() == new and linecache.getline(os.path.abspath("model.py"), 1) == new
assert open("link.py").read() == new and io.open_code(os.path.abspath("model.py")).read() == new.encode()
handle = os.open("model.py", os.O_RDONLY)
assert os.read(handle, 100) == new.encode()
open("model.py", "a").write("y = 1\\n")
assert open("model.py").read() == new + "y = 1\\n"
""",
        {"model.py": "x = 'patched'\n"},
    )


def test_smaller_changes(project):
    child(
        project,
        """
pathlib.Path("model.py").touch()
os.chmod("model.py", 0o600)
os.utime("data/a.txt", (1, 1))
os.truncate("data/a.txt", 3)
assert open("data/a.txt").read() == "old"
open("w.txt", "w").write("w")
os.utime("w.txt", (1, 1))
assert os.stat("w.txt").st_mtime == 1
os.symlink("w.txt", "latest")
assert open("latest").read() == "w"
""",
    )
    assert (project / "model.py").stat().st_mode & 0o777 == 0o644


def test_reads_are_noted_and_libraries_are_not(project):
    child(project, "open('data/a.txt').read(); open(os.__file__).read(); open('made', 'w'); open('made')")
    lines = (project.parent / "scratch" / "journal").read_text().splitlines()
    assert [json.loads(line)["path"] for line in lines] == [str(project / "data" / "a.txt")]


def test_writes_outside_the_project_are_the_programs_own(project, tmp_path):
    child(project, f"open({str(tmp_path / 'elsewhere')!r}, 'w').write('1')")
    assert (tmp_path / "elsewhere").read_text() == "1"
