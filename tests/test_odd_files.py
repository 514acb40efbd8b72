"""One odd file or folder never ends the scan: it is skipped with one line, the rest is done, and the exit code is 2."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyro_fix import catalogue, engine, rewrite, sources
from pyro_fix.analysis import interpreter
from pyro_fix.analysis.program import Program
from pyro_fix.cli import main
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam, ClippedAdam, SGD
"""
BARE = PREAMBLE + "def guide():\n    dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)\n"
NINES = "9" * 400


def check(folder: Path, *select: str) -> Result:
    return engine.check(Options(paths=(folder,), select=select, verify=False, root=folder), lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file that has a finding, last in order."""
    (tmp_path / "zz_good.py").write_text(BARE)
    return tmp_path


@pytest.fixture(autouse=True)
def in_time() -> Iterator[None]:
    """What hangs is ended."""

    def end(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def assert_skipped(folder: Path, name: str, reason: str, *, odd: bool = True) -> None:
    result = check(folder, "SVI051")
    (skipped,) = result.skipped
    assert (skipped.path.name, skipped.odd) == (name, odd)
    assert reason in skipped.reason and "\n" not in skipped.reason
    assert [change.source.path.name for change in result.changes] == ["zz_good.py"]


# -- files that are none -------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="has no pipes")
def test_what_is_no_regular_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(folder / "pipe.py")
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "endless.py").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(folder / "socket.py"))
        assert main([str(folder), "--select", "SVI051"]) == 2
    out, err = capsys.readouterr()
    assert "zz_good.py:9" in out
    for name in ("pipe.py", "pipe.ipynb", "endless.py", "socket.py"):
        assert err.count(f"{name}: is no regular file") == 1
    assert "internal error" not in err
    assert main([str(folder), "--select", "SVI051", "--quiet"]) == 2
    assert capsys.readouterr().err.count("was skipped") == 4


def test_a_pipe_that_takes_the_place_of_a_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder / "a.py"
    path.write_text(BARE)
    opened = os.open

    def swap(name: Path, *arguments: int) -> int:
        if name == path:
            path.unlink()
            os.mkfifo(path)
        return opened(name, *arguments)

    monkeypatch.setattr(os, "open", swap)
    assert_skipped(folder, "a.py", "is no regular file")


def test_a_file_that_goes_as_we_come_is_nothing_wrong(folder: Path) -> None:
    (folder / "a.py").symlink_to("nowhere.py")
    assert_skipped(folder, "a.py", "cannot be read: No such file", odd=False)
    assert main([str(folder), "--quiet", "--exit-zero"]) == 0


@pytest.mark.parametrize("links", [{"a.py": "a.py"}, {"a.py": "b", "b": "a.py"}])
def test_links_in_a_circle(folder: Path, links: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    for name, target in links.items():
        (folder / name).symlink_to(target)
    assert_skipped(folder, "a.py", "cannot be read: ")
    assert main([str(folder / "a.py"), str(folder / "zz_good.py"), "--select", "SVI051"]) == 2
    out, err = capsys.readouterr()
    assert "zz_good.py:9" in out and "a.py: was skipped: cannot be read" in err


def test_links_to_folders_are_not_followed(folder: Path) -> None:
    (folder / "up").symlink_to("..")
    (folder / "round").symlink_to("round")
    (folder / "up.py").symlink_to(folder)
    (folder / "package.py").mkdir()
    (folder / "package.py" / "inner.py").write_text(BARE)
    result = check(folder, "SVI051")
    assert result.skipped == ()
    assert [change.source.path.name for change in result.changes] == ["inner.py", "zz_good.py"]


@pytest.mark.parametrize("name", ["new\nline.py", "tab\t.py", os.fsdecode(b"\xff.py"), "\x1b[31m.py", "ü" * 80 + ".py"])
def test_names_of_any_letters(folder: Path, name: str) -> None:
    (folder / name).write_text(BARE)
    assert len(check(folder, "SVI051").changes) == 2


# -- folders -------------------------------------------------------------------------------------------------------


def test_a_folder_that_cannot_be_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "closed").mkdir()
    look = os.scandir

    def closed(path: Path) -> object:
        if path.name == "closed":
            raise PermissionError(13, "Permission denied")
        return look(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert_skipped(folder, "closed", "cannot be read: Permission denied")
    options = Options(paths=(folder,), verify=False, root=folder, exclude=("closed",))
    assert engine.check(options, lambda _: None).skipped == ()


UNPRIVILEGED = """
import contextlib, io, os, sys
from pyro_fix.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main([sys.argv[1], "--select", "SVI051", "--quiet"]) == 1  # imports what there is to import
import pyro_fix.runner.interpreter  # and what errors are asked about
os.setgroups([]); os.setegid(65534); os.seteuid(65534)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_folders_and_files_of_somebody_else(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = Path("/tmp") / f"pyro-fix-test-{os.getpid()}"  # pytest's own folders are closed to others
    root.mkdir(mode=0o755)
    try:
        for name in ("closed", "listed"):
            (root / name).mkdir()
            (root / name / "a.py").write_text(BARE)
        (root / "closed").chmod(0o700)
        (root / "listed").chmod(0o744)
        (root / "secret.py").write_text(BARE)
        (root / "secret.py").chmod(0o600)
        (root / "zz_good.py").write_text(BARE)

        def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-c", UNPRIVILEGED, str(root / "zz_good.py"), "--select", "SVI051", *arguments]
            return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=60, check=False)

        done = run(".", cwd=root)
        assert done.returncode == 2 and "zz_good.py:9" in done.stdout
        told = [line for line in done.stderr.splitlines() if line.startswith("skipped: ")]
        assert told == [
            f"skipped: {name}: cannot be read: Permission denied" for name in ("closed", "listed/a.py", "secret.py")
        ]
        done = run(cwd=root / "closed")
        assert done.returncode == 2 and "cannot be read: Permission denied" in done.stderr
        assert "internal error" not in done.stderr
        done = run(str(root / "closed" / "a.py"), str(root / "zz_good.py"), cwd=root)
        assert done.returncode == 2 and "zz_good.py:9" in done.stdout and "internal error" not in done.stderr
    finally:
        subprocess.run(["rm", "-rf", root], check=True)


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "good.py").write_text(BARE)
    script = "import os, sys; from pyro_fix.cli import main; os.rmdir(os.getcwd()); sys.exit(main(sys.argv[1:]))"
    for arguments in ([], [str(tmp_path / "good.py")]):
        command = [sys.executable, "-c", script, *arguments]
        done = subprocess.run(command, cwd=tmp_path / "gone", capture_output=True, text=True, timeout=60, check=False)
        (tmp_path / "gone").mkdir()
        assert done.returncode == 2
        assert done.stderr.startswith("pyro-fix: the working folder") and done.stderr.count("\n") == 1


def test_folders_in_folders_without_end(folder: Path) -> None:
    at = os.open(folder, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deepest", dir_fd=at)
        at, before = os.open("deepest", os.O_RDONLY, dir_fd=at), at
        os.close(before)
    os.close(at)
    assert_skipped(folder, "deepest", "cannot be read: File name too long")
    subprocess.run(["rm", "-rf", folder / "deepest"], check=True)


# -- what is in files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "-" * 50_000 + "1\n",
        "x = " + "not " * 50_000 + "1\n",
        "x = " + "lambda: " * 5000 + "1\n",
        "x = a" + ".b" * 20_000 + "\n",
        "x = a" + "()" * 20_000 + "\n",
        "x = " + "1 + " * 20_000 + "1\n",
        "x = " + "1 ** " * 20_000 + "1\n",
        "if x: pass\n" + "elif x: pass\n" * 5000,
    ],
    ids=["minus", "not", "lambda", "attributes", "calls", "left", "right", "elif"],
)
def test_what_is_nested_too_deeply(folder: Path, text: str) -> None:
    (folder / "a.py").write_text(PREAMBLE + "pyro.param('x')\n" + text)
    result = check(folder, "SVI051")
    assert all(skipped.path.name == "a.py" and skipped.odd for skipped in result.skipped)
    assert len(result.skipped) == 1 and "\n" not in result.skipped[0].reason
    assert [change.source.path.name for change in result.changes] == ["zz_good.py"]


@pytest.mark.parametrize("name", ["undefined", "punycode", "unicode_escape"])
def test_codecs_that_are_none_for_text(folder: Path, name: str) -> None:
    (folder / "a.py").write_text(f"# coding: {name}\n" + BARE)
    assert_skipped(folder, "a.py", "encoding")


@pytest.mark.parametrize("name", ["rot13", "base64", "zip", "nonsense"])
def test_what_python_itself_cannot_read_is_ordinary(folder: Path, name: str) -> None:
    (folder / "a.py").write_text(f"# coding: {name}\n" + BARE)
    assert_skipped(folder, "a.py", "is not text in its declared encoding", odd=False)


def test_files_that_are_too_long(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.py").write_text(BARE + "#" * sources.LARGEST_CODE)
    assert_skipped(folder, "a.py", "is longer than 2 MB")
    (folder / "b.py").write_text("x" * sources.LARGEST_CODE * 2)  # nothing of ours
    assert_skipped(folder, "a.py", "is longer than 2 MB")
    (folder / "a.py").unlink()
    monkeypatch.setattr(sources, "LARGEST_FILE", sources.LARGEST_CODE)
    assert_skipped(folder, "b.py", "is larger than 2 MB")


def svi(optimizer: str = "Adam({'lr': 0.1})", steps: str = "1000", particles: str = "1") -> str:
    loss = f"Trace_ELBO(num_particles={particles})"
    return f"svi = SVI(model, guide, {optimizer}, {loss})\nfor _ in range({steps}):\n    svi.step()\n"


@pytest.mark.parametrize(
    "number", [NINES, "0x" + "f" * 6000, "1e400", "-1e308 * 1e308", "int(1e308)", "9**9**9", "1 << 10**10"]
)
@pytest.mark.parametrize(
    "text",
    [
        svi("Adam({'lr': N})"),
        svi("Adam({'lr': 0.1})", steps="N"),
        svi("SGD({'lr': N})", steps="N"),
        svi("ClippedAdam({'lr': 0.1, 'lrd': N})"),
        svi(particles="N"),
        "AutoNormal(model, init_scale=N)\n",
        "dist.Gamma(pyro.param('a', torch.tensor(N)), torch.full((3,), N))\n",
        "pyro.sample('z', dist.Uniform(N, N))\npyro.sample('y', dist.Binomial(N, pyro.param('p', torch.tensor(0.5))))\n",
        "dist.Gamma(pyro.param('a', torch.tensor(2.), constraint=constraints.interval(0, N)), 1.)\n",
        "x = [0] * N\ny = 'a' * N\nfor i in list(range(N)):\n    pyro.param(y)\n",
    ],
    ids=["lr", "steps", "sgd", "lrd", "particles", "init_scale", "tensor", "bounds", "constraint", "repeated"],
)  # fmt: skip
def test_numbers_that_are_too_large_are_not_understood(folder: Path, text: str, number: str) -> None:
    (folder / "a.py").write_text(PREAMBLE + re.sub(r"\bN\b", number, text))
    result = check(folder)
    assert result.skipped == ()
    for change in result.changes:
        compile(change.text, "a.py", "exec", flags=1024)  # an ast is enough


def test_numbers_that_python_cannot_read(folder: Path) -> None:
    (folder / "a.py").write_text(PREAMBLE + svi(steps="9" * 5000))
    if sys.version_info >= (3, 10, 7):
        assert_skipped(folder, "a.py", "cannot be parsed: line 9", odd=False)


@pytest.mark.parametrize(
    "text",
    [
        "n = 3\n" + "n = n * n\n" * 60 + svi(steps="n"),
        "def train(k):\n    n = k\n" + "    n = n * n\n" * 60 + "    svi = SVI(m, g, Adam({'lr': 0.1}), Trace_ELBO())\n"
        "    for i in range(n):\n        svi.step()\n",
        "n = 0.5\n" + "n = n * n\n" * 60 + svi("ClippedAdam({'lr': 0.1, 'lrd': n})"),
        "n = 3.0\n" + "n = n * n\n" * 60 + "dist.Gamma(pyro.param('a', torch.tensor(n)), 1.)\n",
        "x = pyro.param('a', torch.tensor(1.))\n" + "x = x[0] if c else x.view(-1)\n" * 60 + "dist.Gamma(x, 1.)\n",
        "x = pyro.param('a', torch.tensor(1.))\n" + "x = x + x\n" * 60 + "dist.Gamma(x, 1.)\nif x: pass\n",
        "s = 'a'\n" + "s = f'{s}{s}'\n" * 60 + "pyro.param(s, torch.tensor(1.))\n",
    ],
    ids=["steps", "argument", "lrd", "tensor", "flow", "sum", "name"],
)
def test_values_that_double_with_every_line(folder: Path, text: str) -> None:
    (folder / "a.py").write_text(PREAMBLE + text)
    assert check(folder).skipped == ()


@pytest.mark.parametrize(
    "step", ["svi.step()\n", "for _ in range(100):\n    svi.step()\n", "for _ in range(n):\n    svi.step()\n"]
)
def test_many_steps_in_a_row(folder: Path, step: str) -> None:
    text = PREAMBLE + "n = len(data)\nsvi = SVI(model, guide, Adam({'lr': 0.1}), Trace_ELBO())\n"
    (folder / "a.py").write_text(text + step * 500)
    result = check(folder, "SVI022")
    assert result.skipped == () and len(result.findings) == 1
    assert all(len(change.text) < len(text + step * 500) + 200 for change in result.changes)


def test_a_file_that_takes_too_much_work(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "MAX_WORK", 500)
    (folder / "a.py").write_text(BARE + "x = 1\n" * 500)
    assert_skipped(folder, "a.py", "takes too long to be analysed")


# -- notebooks -----------------------------------------------------------------------------------------------------

CELL = {"cell_type": "code", "source": BARE, "metadata": {}, "outputs": [], "execution_count": None}
NOTEBOOK = json.dumps({"cells": [CELL], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.mark.parametrize("value", ["9" * 5000, "-" + "9" * 5000, "1e99999", "NaN", "-Infinity"])
def test_numbers_of_a_notebook(folder: Path, value: str) -> None:
    text = NOTEBOOK.replace('"execution_count": null', f'"execution_count": {value}')
    (folder / "a.ipynb").write_text(text)
    result = check(folder, "SVI051")
    assert result.skipped == ()
    change = next(change for change in result.changes if change.source.path.name == "a.ipynb")
    assert value.encode() in change.source.encode(change.text)


@pytest.mark.parametrize(
    "text",
    [
        NOTEBOOK.replace('"outputs": []', '"outputs": ' + "[" * 100_000 + "]" * 100_000),
        NOTEBOOK.replace('"outputs": []', '"outputs": ' + '{"a":' * 100_000),
        NOTEBOOK.replace('[{"cell_type"', '[3, null, {"cell_type"'),
        NOTEBOOK.replace('"code"', '["code"]'),
        NOTEBOOK.replace('"nbformat": 4', '"nbformat": [{}]'),
        '["pyro.param("]',
        '"pyro.param(',
        "",
    ],
)
def test_notebooks_of_any_shape(folder: Path, text: str) -> None:
    (folder / "a.ipynb").write_text(text)
    result = check(folder, "SVI051")
    assert [change.source.path.name for change in result.changes] == ["zz_good.py"]
    assert all("internal error" not in skipped.reason for skipped in result.skipped)


def test_cells_that_are_named_twice(folder: Path) -> None:
    """As for any reader of JSON, the last counts."""
    other = json.dumps([{**CELL, "source": "pyro.param('x')\n"}])
    (folder / "a.ipynb").write_text(NOTEBOOK.replace('{"cells"', f'{{"cells": {other}, "cells"'))
    assert [f.cell for f in check(folder, "SVI051").findings] == [1, None]


def test_a_cell_that_is_nested_too_deeply(folder: Path) -> None:
    cells = [CELL, {**CELL, "source": "x = " + "-" * 50_000 + "1"}]
    (folder / "a.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4}))
    result = check(folder, "SVI051")
    ((skipped),) = result.skipped
    assert (skipped.cell, skipped.reason) == (2, "cannot be parsed: is nested too deeply")
    assert len(result.changes) == 2


# -- many ways through few definitions -------------------------------------------------------------------------------

MODEL = """\
def model(data):
    f40(data)
    pyro.sample('z', dist.Normal(0., 1.))
    pyro.sample('x', dist.Normal(0., 1.), obs=data)
def guide(data):
    pyro.sample('y', dist.Normal(0., 1.))
SVI(model, guide, Adam({'lr': 0.1}), Trace_ELBO())
"""
PARAM = "class A0:\n    def f(self):\n        return pyro.param('c', torch.tensor(1.))\nclass B0: pass\n"
HANDLERS = "if aJ:\n    mI = pyro.poutine.scale(mJ, 2.)\nelse:\n    mI = pyro.poutine.mask(mJ, True)\n"
LISTS = "from pyro.infer.autoguide import AutoGuideList\ndef m(): pass\ng0 = AutoNormal(m)\n"
ENDS = "SVI(m, g40, Adam({'lr': 0.1}), Trace_ELBO())\n"


def ladder(text: str, count: int = 40) -> str:
    """A definition that names the one before it, J, more than once, as often as is asked."""
    return "".join(text.replace("I", str(i + 1)).replace("J", str(i)) for i in range(count))


@pytest.mark.parametrize(
    "text",
    [
        "def f0(x): return x\n" + ladder("def fI(x):\n    fJ(x)\n    return fJ(x)\n") + MODEL,
        "f0 = lambda x: x\n" + ladder("fI = lambda x: fJ(x) + fJ(x)\n") + MODEL,
        PARAM + ladder("class AI(AJ, BJ): pass\nclass BI(AJ): pass\n"),
        PARAM + ladder("class AI(AJ, BJ):\n    def g(self): return super().g()\nclass BI(AJ): pass\n") + "A40().g()\n",
        "def m0(d): pass\n" + ladder(HANDLERS) + "SVI(m40, m40, Adam({'lr': 0.1}), Trace_ELBO())\n",
        LISTS + ladder("gI = AutoGuideList(m)\ngI.append(gJ)\ngI.append(gJ)\n") + ENDS,
    ],
    ids=["functions", "lambdas", "classes", "super", "handlers", "guides"],
)
def test_what_is_reached_in_many_ways_is_read_once(folder: Path, text: str) -> None:
    (folder / "a.py").write_text(PREAMBLE + text)
    assert engine.check(Options(paths=(folder,), verify=False, root=folder), lambda _: None).skipped == ()


# -- errors of ours ------------------------------------------------------------------------------------------------


def test_recursion_while_a_file_is_interpreted(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "broken.py").write_text(PREAMBLE + "x = spoilt\npyro.param('x')\n")
    lookup = interpreter.Scope.lookup

    def spoilt(self: interpreter.Scope, name: str) -> object:
        return spoilt(self, name) if name == "spoilt" else lookup(self, name)

    monkeypatch.setattr(interpreter.Scope, "lookup", spoilt)
    assert_skipped(folder, "broken.py", "is nested too deeply to be analysed")


@pytest.mark.parametrize("error", [RuntimeError("two\nlines"), MemoryError()])
def test_an_error_while_a_file_is_interpreted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the files that import it nor those that it imports are to blame."""
    (folder / "broken.py").write_text(PREAMBLE + "import zz_good\nx = spoilt\npyro.param('x')\n")
    (folder / "above.py").write_text(BARE.replace("def", "import broken\ndef"))
    lookup = interpreter.Scope.lookup

    def spoilt(self: interpreter.Scope, name: str) -> object:
        if name == "spoilt":
            raise error
        return lookup(self, name)

    monkeypatch.setattr(interpreter.Scope, "lookup", spoilt)
    result = check(folder, "SVI051")
    ((skipped),) = result.skipped
    assert (skipped.path.name, skipped.odd) == ("broken.py", True)
    assert skipped.reason.startswith(f"internal error: {type(error).__name__}")
    assert skipped.reason.endswith("(PYRO_FIX_DEBUG=1 shows where)") and "\n" not in skipped.reason
    assert [change.source.path.name for change in result.changes] == ["above.py", "zz_good.py"]
    assert main([str(folder)]) == 2
    assert "broken.py: internal error" in capsys.readouterr().err
    monkeypatch.setenv("PYRO_FIX_DEBUG", "1")
    with pytest.raises(type(error)):
        check(folder, "SVI051")


class Faulty(Transform):
    """A transform made for a test: its edits are in ``edits``, or it raises what is there."""

    code, name, tip, promise = "SVI991", "made-for-a-test", 9, Promise.RUNS_CLEAN
    edits: Callable[[str], list[tuple[int, int, str]]]

    def propose(self, program: Program) -> Iterator[Proposal]:
        for param in program.params:
            changes = tuple(Edit(param.module.path, *edit) for edit in type(self).edits(param.module.source.text))
            yield self.finding(param.module, param.call, "a finding", (Candidate(changes, self.promise, "an edit"),))


def faulty(monkeypatch: pytest.MonkeyPatch, edits: Callable[[str], list[tuple[int, int, str]]]) -> None:
    known = next(transform for transform in catalogue.load() if transform.code == "SVI051")
    made = type("Made", (Faulty,), {"edits": staticmethod(edits)})()
    monkeypatch.setattr(catalogue, "load", lambda: (made, known))


def test_an_error_in_a_transform(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def edits(text: str) -> list[tuple[int, int, str]]:
        if "spoilt" in text:
            raise KeyError("spoilt")
        return [(0, 0, "# new\n")]

    faulty(monkeypatch, edits)
    (folder / "a.py").write_text(BARE + "spoilt = 1\n")
    result = check(folder)
    assert [(skipped.path.name, skipped.odd) for skipped in result.skipped] == [("a.py", True)]
    assert {f.proposal.path.name for f in result.findings} == {"zz_good.py"}
    assert "constraint=" in result.changes[0].text and result.changes[0].text.startswith("# new\n")
    assert result.skipped[0].reason.startswith("SVI991: internal error")
    monkeypatch.setenv("PYRO_FIX_DEBUG", "1")
    with pytest.raises(KeyError):
        check(folder)


def test_an_error_in_a_transform_that_no_file_is_to_blame_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Silly(Faulty):
        def propose(self, program: Program) -> Iterator[Proposal]:
            raise KeyError("silly")
            yield

    known = next(transform for transform in catalogue.load() if transform.code == "SVI051")
    monkeypatch.setattr(catalogue, "load", lambda: (Silly(), known))
    result = check(folder)
    ((skipped),) = result.skipped
    assert (str(skipped.path), skipped.odd) == ("SVI991", True) and "KeyError" in skipped.reason
    assert len(result.changes) == 1


@pytest.mark.parametrize("wrong", [[(0, 5, "x"), (3, 8, "y")], [(0, 10**6, "x")], [(5, 3, "x")]])
def test_edits_that_do_not_fit_together(
    folder: Path, monkeypatch: pytest.MonkeyPatch, wrong: list[tuple[int, int, str]]
) -> None:
    faulty(monkeypatch, lambda text: wrong if "spoilt" in text else [(0, 0, "# new\n")])
    (folder / "a.py").write_text(BARE + "spoilt = 1\n")
    result = check(folder)
    ((skipped),) = result.skipped
    assert (skipped.path.name, skipped.odd) == ("a.py", True)
    assert skipped.reason.startswith("SVI991: internal error")
    changes = {change.source.path.name: change.text for change in result.changes}
    assert changes["zz_good.py"].startswith("# new\n") and "constraint" in changes["a.py"]
    monkeypatch.setenv("PYRO_FIX_DEBUG", "1")
    with pytest.raises((rewrite.Conflict, IndexError)):
        check(folder)
