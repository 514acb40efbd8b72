import sys
from pathlib import Path

import pytest

from pyro_fix.observation import Failure
from pyro_fix.runner import interpreter
from pyro_fix.runner.interpreter import Interpreter, InterpreterError, check, find


def environment(folder):
    (folder / "bin").mkdir(parents=True)
    python = folder / "bin" / "python"
    python.symlink_to(sys.executable)
    return python


def test_the_order_of_preference(tmp_path):
    active, conda, own, asked = (environment(tmp_path / name) for name in ("active", "conda", "project/.venv", "asked"))
    variables = {"VIRTUAL_ENV": str(tmp_path / "active"), "CONDA_PREFIX": str(tmp_path / "conda")}
    project = tmp_path / "project"
    assert find(asked, project, variables) == asked
    assert find(tmp_path / "asked", project, variables) == asked
    assert find(None, project, variables) == active
    del variables["VIRTUAL_ENV"]
    assert find(None, project, variables) == conda
    assert find(None, project, {}) == Path(sys.executable), "nobody vouches for what lies in the project"
    assert find(None, project, {}, trusted=True) == own
    assert find(None, tmp_path, {}, trusted=True) == Path(sys.executable)
    assert find(None, project, {"VIRTUAL_ENV": str(tmp_path / "deleted")}, trusted=True) == own


def test_the_link_of_a_virtual_environment_is_kept(tmp_path):
    python = environment(tmp_path / "v")
    assert find(python, tmp_path) == python != python.resolve()


@pytest.mark.parametrize("name", ["missing", "notes.txt"])
def test_one_that_cannot_be_used(tmp_path, name):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(InterpreterError) as caught:
        find(tmp_path / name, tmp_path)
    assert str(caught.value).startswith(f"--python {tmp_path / name}: ") and "\n" not in str(caught.value)


def test_ours_has_torch_and_pyro():
    found = check(Path(sys.executable))
    assert isinstance(found, Interpreter)
    assert found.version == ".".join(map(str, sys.version_info[:3])) and found.torch and found.pyro


def test_one_without_torch_and_pyro(tmp_path):
    script = tmp_path / "python"
    script.write_text('#!/bin/sh\necho \'["3.11.1", "2.1", ""]\'\n')
    script.chmod(0o755)
    found = check(script)
    assert isinstance(found, Failure) and found.kind == "no-pyro"
    assert "has no pyro-ppl: pip install 'pyro-fix[verify]'" in found.message


@pytest.mark.parametrize("body", ["exit 1", "echo hello", "exit 0"])
def test_one_that_is_no_python(tmp_path, body):
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{body}\n")
    script.chmod(0o755)
    found = check(script)
    assert isinstance(found, Failure) and "is no Python that can be run" in found.message


def test_the_answer_is_kept(monkeypatch):
    check(Path(sys.executable))
    monkeypatch.setattr(interpreter.locked, "ask", None)
    assert isinstance(check(Path(sys.executable)), Interpreter)
