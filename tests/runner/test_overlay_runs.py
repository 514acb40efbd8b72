"""Every way in which a program can come to read its own sources must show the patched text, in one run of a program
that tries them all.  The tree itself keeps the original text (and stale byte code of it)."""

import json
import os
import py_compile
import subprocess
import sys

import pytest
from programs import Project

OLD = {
    "main.py": """
        import inspect, json, linecache, multiprocessing, os, pickle, pkgutil, runpy, subprocess, sys, importlib

        WORD = "main-ORIGINAL"

        class Local:
            pass

        def spawned(queue):
            import plain, package.inner
            queue.put([plain.word(), package.inner.WORD, WORD])

        def main():
            found = {}
            found["main"] = WORD
            import plain
            found["import"] = plain.word()
            import package.inner
            found["relative"] = package.inner.WORD
            import linked
            found["symlink"] = linked.WORD
            import installed_elsewhere
            found["editable"] = installed_elsewhere.WORD
            found["getsource"] = inspect.getsource(plain.word)
            found["getsource of main"] = inspect.getsource(main).count("ORIG" + "INAL")  # ORIGINAL
            found["linecache"] = linecache.getline(plain.__file__, 2)
            found["loader"] = plain.__loader__.get_source("plain")
            found["pkgutil"] = pkgutil.get_data("package", "inner.py").decode()
            found["open"] = open("plain.py").read()
            found["run_path"] = runpy.run_path("plain.py")["word"]()
            spec = importlib.util.spec_from_file_location("other_name", "plain.py")
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            found["by location"] = module.word()
            try:
                plain.fail()
            except ValueError:
                import traceback
                found["traceback"] = traceback.format_exc()
            found["pickle"] = type(pickle.loads(pickle.dumps(Local()))).__module__
            context = multiprocessing.get_context("spawn")
            queue = context.Queue()
            process = context.Process(target=spawned, args=(queue,))
            process.start()
            found["spawn"] = queue.get(timeout=60)
            process.join()
            run = lambda *args: subprocess.run([sys.executable, *args], capture_output=True, text=True).stdout.strip()
            found["subprocess -c"] = run("-c", "import plain; print(plain.word())")
            found["subprocess script"] = run("child.py", "a b")
            found["subprocess -m"] = run("-m", "package.inner")
            import torch
            found["jit"] = torch.jit.script(plain.add)(torch.tensor(1.0)).item()
            import stale
            found["stale"] = stale.WORD
            run = lambda *args: subprocess.run(args, capture_output=True, text=True).stdout
            found["source on disk through the shell"] = run("cat", "plain.py")
            found["path has the probe"] = [entry for entry in sys.path if "pyro_fix" in entry or entry.endswith("site")]
            print(json.dumps(found))

        if __name__ == "__main__":
            main()
    """,
    "plain.py": """
        def word():
            return "plain-ORIGINAL"

        def add(x):
            return x + 1.0

        def fail():
            raise ValueError("ORIGINAL")
    """,
    "package/__init__.py": "",
    "package/inner.py": """
        from . import other
        WORD = "inner-ORIGINAL" + other.WORD
        if __name__ == "__main__":
            print(WORD)
    """,
    "package/other.py": 'WORD = "/other-ORIGINAL"\n',
    "child.py": """
        import sys
        print("child-ORIGINAL", sys.argv, __name__, sys.path[0].endswith("project"))
    """,
    "stale.py": 'WORD = "stale-ORIGINAL"\n',
    "real/linked.py": 'WORD = "linked-ORIGINAL"\n',
    "elsewhere/installed_elsewhere.py": 'WORD = "editable-ORIGINAL"\n',
}
#: What is not replaced by its patched twin of the same length.
PATCHES = ("main.py", "plain.py", "package/inner.py", "package/other.py", "child.py", "stale.py")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    base = tmp_path_factory.mktemp("overlay")
    (base / "project").mkdir()
    project = Project(base / "project")
    overlay = {}
    marks = {}
    for name, text in OLD.items():
        path = project.write(name, text)
        overlay[path] = path.read_bytes().replace(b"ORIGINAL", b"-PATCHED")
    outside = base / "outside"
    (project.folder / "elsewhere").rename(outside)
    del overlay[project.folder / "elsewhere" / "installed_elsewhere.py"]
    overlay[outside / "installed_elsewhere.py"] = b'WORD = "editable--PATCHED"\n'
    overlay[project.folder / "plain.py"] = overlay[project.folder / "plain.py"].replace(b"x + 1.0", b"x + 2.0")
    (project.folder / "linked.py").symlink_to(project.folder / "real" / "linked.py")
    # Byte code of the original, which by size and time might be of the patched text.
    for name in ("stale.py", "plain.py", "package/inner.py"):
        py_compile.compile(str(project.folder / name), doraise=True)
    before = {path: path.read_bytes() for path in sorted(project.folder.rglob("*")) if path.is_file()}
    marks[project.folder / "main.py"] = (4, 10, 16)
    marks[project.folder / "plain.py"] = (3, 6)
    marks[project.folder / "child.py"] = (3,)
    marks[project.folder / "package" / "other.py"] = (1,)
    old = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = str(outside) + (os.pathsep + old if old else "")
    try:
        observation = project.run("main.py", overlay=overlay, marks=marks)
    finally:
        if old is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = old
    after = {path: path.read_bytes() for path in sorted(project.folder.rglob("*")) if path.is_file()}
    assert after == before, "the tree has changed"
    assert observation.failure.kind == "no-svi", (observation, project.output)
    return json.loads(project.output[-1]), observation, project


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("main", "main--PATCHED"),
        ("import", "plain--PATCHED"),
        ("relative", "inner--PATCHED/other--PATCHED"),
        ("symlink", "linked--PATCHED"),
        ("editable", "editable--PATCHED"),
        ("run_path", "plain--PATCHED"),
        ("by location", "plain--PATCHED"),
        ("stale", "stale--PATCHED"),
        ("spawn", ["plain--PATCHED", "inner--PATCHED/other--PATCHED", "main--PATCHED"]),
        ("subprocess -c", "plain--PATCHED"),
        ("subprocess script", "child--PATCHED ['child.py', 'a b'] __main__ True"),
        ("subprocess -m", "inner--PATCHED/other--PATCHED"),
        ("jit", 3.0),
        ("pickle", "__main__"),
        ("getsource of main", 0),
        ("path has the probe", []),
        ("linecache", "def word():\n"),
    ],
)
def test_the_patched_text_runs(seen, way, expected):
    assert seen[0][way] == expected


@pytest.mark.parametrize("way", ["getsource", "loader", "pkgutil", "open", "traceback"])
def test_the_patched_text_is_shown(seen, way):
    assert "-PATCHED" in seen[0][way]
    assert "ORIGINAL" not in seen[0][way]


def test_programs_that_are_not_python_see_the_tree(seen):
    assert "plain-ORIGINAL" in seen[0]["source on disk through the shell"]


def test_marks_of_all_processes_are_counted(seen):
    _, observation, project = seen
    assert {key[len(str(project.folder)) + 1 :]: count for key, count in observation.hits.items()} == {
        "main.py:4": 1,
        "main.py:10": 0,  # runs in the spawned process alone, whose __main__ is not counted
        "main.py:16": 1,
        # Called after an import, by location, in the spawned process and by "-c"; run_path compiles by itself.
        "plain.py:3": 4,
        "plain.py:6": 0,
        "child.py:3": 1,
        "package/other.py:1": 3,
    }


def test_loaded_are_the_projects_files_alone(seen):
    _, observation, project = seen
    names = {os.path.relpath(path, project.folder) for path in observation.loaded}
    assert names == {
        "main.py",
        "plain.py",
        "package/__init__.py",
        "package/inner.py",
        "package/other.py",
        "child.py",
        "stale.py",
        "real/linked.py",
        "../outside/installed_elsewhere.py",
    }


def test_module_targets(project):
    inner = project.write(
        "pkg/inner.py", "from . import other\nimport sys\nprint(other.W, __name__, __package__, sys.argv)\n"
    )
    project.write("pkg/__init__.py", "")
    project.write("pkg/__main__.py", "import os, sys\nprint(__name__, __spec__.name, sys.path[0] == os.getcwd())\n")
    other = project.write("pkg/other.py", "W = 1\n")
    project.run("python -m pkg.inner --x 1", overlay={other: b"W = 2\n"}, marks={inner: (3,)})
    assert project.output == [f"2 __main__ pkg ['{inner}', '--x', '1']"]
    project.run("python -m pkg")
    assert project.output == ["__main__ pkg.__main__ True"]
    failure = project.run("python -m pkg.nothing").failure
    assert (failure.kind, failure.message) == ("ModuleNotFoundError", "No module named pkg.nothing")


def test_options_of_the_interpreter(project):
    project.write("p.py", "import sys, warnings\nprint(__debug__, sys.warnoptions)\n")
    project.run("python -O -W error::UserWarning p.py")
    assert project.output == ["False ['error::UserWarning']"]


def test_the_users_own_sitecustomize_still_runs(project, monkeypatch):
    project.write("site-folder/sitecustomize.py", "import builtins\nbuiltins.customized = 1\n")
    monkeypatch.setenv("PYTHONPATH", str(project.folder / "site-folder"))
    project.write("p.py", "import sys\nprint(customized, sys.modules['sitecustomize'].__file__)\n")
    project.run("p.py")
    assert project.output == [f"1 {project.folder / 'site-folder' / 'sitecustomize.py'}"]


def test_the_trees_program_does_the_same_without_us(seen):
    """The fixture's own check: unpatched, everything is original."""
    _, _, project = seen
    environment = {**os.environ, "PYTHONPATH": str(project.folder.parent / "outside"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=project.folder, capture_output=True, text=True, check=True, env=environment
    )
    assert "PATCHED" not in done.stdout
