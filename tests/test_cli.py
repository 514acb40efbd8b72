"""The command line's contract, on the real console script in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import fake_engine
import pytest

pty = pytest.importorskip("pty", reason="needs POSIX terminals")
resource = pytest.importorskip("resource")

SCRIPT = Path(sys.executable).with_name("pyro-fix")
PLACE = re.compile(r"a\.py:\d+:\d+: SVI051 ")


class Project:
    """A folder of files, and pyro-fix run in it."""

    def __init__(self, folder: Path, site: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")])}
        for name in ("PYRO_FIX_DEBUG", "NO_COLOR", "FORCE_COLOR"):
            self.environment.pop(name, None)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / f"{name}.py").write_bytes(text.encode())

    def read(self, name: str = "a") -> str:
        return (self.folder / f"{name}.py").read_bytes().decode()

    def start(self, *arguments: str, **keywords: object) -> subprocess.Popen[bytes]:
        keywords = {"cwd": self.folder, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **keywords}
        return subprocess.Popen([SCRIPT, *arguments], env=self.environment, **keywords)  # type: ignore[call-overload, no-any-return]

    def run(self, *arguments: str, **keywords: object) -> tuple[int, str, str]:
        child = self.start(*arguments, **keywords)
        out, err = child.communicate(timeout=60)
        return child.returncode, out.decode(), err.decode()


@pytest.fixture
def project(tmp_path: Path) -> Project:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(fake_engine.SITE, encoding="utf-8")
    folder = tmp_path / "project"
    folder.mkdir()
    return Project(folder, site)


# Exit codes.


def test_nothing_to_do_is_0(project: Project) -> None:
    project.write(a="x = 1\n")
    for mode in ([], ["--diff"], ["--apply"]):
        code, out, err = project.run(*mode)
        assert (code, out) == (0, "")
        assert err == "1 file looked at: nothing to do\n"


@pytest.mark.parametrize(
    ("text", "arguments", "expected"),
    [
        ("fixme-verified", [], 1),
        ("fixme-verified", ["--exit-zero"], 0),
        ("fixme-verified", ["--diff"], 1),
        ("fixme-verified", ["--diff", "--exit-zero"], 0),
        ("fixme-verified", ["--apply"], 0),
        ("fixme-none", ["--apply"], 1),
        ("fixme-none", ["--apply", "--exit-zero"], 0),
        ("fixme-rejected", ["--diff"], 1),
        ("fixme-rejected", ["--apply"], 3),
        ("fixme-rejected", ["--apply", "--exit-zero"], 3),
        ("fixme-rejected", ["--apply", "--unverified"], 3),
        ("fixme-unverified", ["--apply"], 3),
        ("fixme-unverified", ["--apply", "--unverified"], 0),
        ("fixme-rejected", ["--apply", "--no-verify"], 0),
        ("fixme-verified fixme-rejected fixme-none", ["--apply"], 3),
        # a suggestion is there at every run: only what could be one, as nothing was run, or a diff of it counts
        ("fixme-unverified-SVI022", [], 1),
        ("fixme-unverified-SVI022", ["--verify"], 0),
        ("fixme-unverified-SVI022", ["--diff"], 0),
        ("fixme-unverified-SVI022", ["--diff", "--unverified"], 1),
        ("fixme-unverified-SVI022", ["--apply"], 0),
        ("fixme-unverified-SVI022", ["--apply", "--unverified"], 0),
        ("fixme-rejected-SVI022", ["--apply"], 0),
        ("fixme-rejected-SVI022", ["--diff"], 0),
        ("fixme-verified-SVI022", ["--diff"], 1),
        ("fixme-unverified-SVI022 fixme-unverified", ["--apply"], 3),
        # nor is there anything to do where it is held back
        ("fixme-none-SVI022", [], 0),
        ("fixme-none-SVI022", ["--verify"], 0),
        ("fixme-none-SVI022", ["--diff"], 0),
        ("fixme-none-SVI022", ["--apply"], 0),
        ("fixme-none-SVI022 fixme-none", ["--diff"], 1),
    ],
)
def test_exit_codes(project: Project, text: str, arguments: list[str], expected: int) -> None:
    project.write(a=f"x = 1  # {text}\n")
    assert project.run(*arguments)[0] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "pyro-fix: nowhere: no such file or folder"),
        (["--bogus"], "--bogus"),
        (["--steps", "ten"], "--steps"),
        (["--steps", "0"], "pyro-fix: --steps must be a whole number of at least 1, not 0"),
        (["--timeout", "nan"], "pyro-fix: --timeout must be a number of seconds above 0"),
        (["--device", "gpu"], "pyro-fix: --device must be one of auto, cpu, cuda, cuda:N, mps, not 'gpu'"),
        (["--device", "cuda:x"], "pyro-fix: --device must be one of auto, cpu, cuda, cuda:N, mps, not 'cuda:x'"),
        (
            ["--executor", "dask://h"],
            "pyro-fix: --executor must be local, dask://HOST:PORT or dask+tls://HOST:PORT, not",
        ),
        (["--python", "/no/python"], "pyro-fix: --python names no Python interpreter: /no/python"),
        (["--config", "none.toml"], "pyro-fix: none.toml: cannot be read: No such file or directory"),
        (["rules", "--format", "xml"], "pyro-fix: --format must be one of text, json, not 'xml'"),
        (["explain"], "pyro-fix: Missing argument 'CODE'"),
    ],
)
def test_mistakes_are_one_clear_line_and_2(project: Project, arguments: list[str], message: str) -> None:
    code, out, err = project.run(*arguments, "--exit-zero" if arguments[0] == "nowhere" else "--quiet")
    if arguments[0] in ("rules", "explain"):
        code, out, err = project.run(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_our_own_error_is_one_line_and_2(project: Project) -> None:
    project.write(a="crash\n")
    code, out, err = project.run("--exit-zero")
    assert (code, out) == (2, "")
    assert err == "pyro-fix: internal error: RuntimeError: two lines (PYRO_FIX_DEBUG=1 shows where)\n"
    project.environment["PYRO_FIX_DEBUG"] = "1"
    assert "Traceback" in project.run()[2]


def test_a_named_file_that_cannot_be_read_is_2(project: Project) -> None:
    project.write(a="x = 1  # fixme-verified\n")
    (project.folder / "bad.py").write_bytes(b"# \xff\n")
    code, out, err = project.run("a.py", "bad.py", "--exit-zero")
    assert code == 2 and PLACE.match(out)
    assert "pyro-fix: bad.py: was skipped" in err
    code, _, err = project.run("--exit-zero")
    assert code == 0, "found in a folder, it is told but does not fail the run"
    assert "skipped: bad.py: is not text" in err


# What is printed.


def test_a_finding_is_one_line(project: Project) -> None:
    project.write(a="\nx = 1  # fixme-verified\n", b="fixme-none\n")
    code, out, err = project.run("a.py", "b.py")
    assert out == (
        "a.py:2:1: SVI051 scale [bold]needs[/x] to be positive [fix: make it fixed]\n"
        "b.py:1:1: SVI051 scale [bold]needs[/x] to be positive [fix: none: it is a getter]\n"
    )
    assert code == 1
    assert "2 findings in 2 files, 1 possible fix" in err


def test_listing_runs_nothing_unless_asked(project: Project) -> None:
    project.write(a="x = 1  # fixme-rejected\n")
    assert "[fix: make it fixed]" in project.run()[1]
    assert "[fix: make it fixed, rejected: reason of rejected]" in project.run("--verify")[1]


def test_absolute_paths_below_the_working_folder_are_shown_short(project: Project) -> None:
    project.write(a="x = 1  # fixme-verified\n")
    assert project.run(str(project.folder))[1].startswith("a.py:1:1: ")


def test_diff_shows_what_apply_writes(project: Project) -> None:
    text = "x = 1  # fixme-verified\r\ny = 2  # fixme-rejected\r\nz = 3  # fixme-unverified"
    for extra in ([], ["--unverified"], ["--no-verify"]):
        project.write(a=text)
        subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
        code, out, _ = project.run("--diff", *extra)
        assert code == 1
        assert project.read() == text, "--diff writes nothing"
        assert out.startswith("--- a/a.py\n+++ b/a.py\n@@")
        done = subprocess.run(["git", "apply"], cwd=project.folder, input=out.encode(), capture_output=True)
        assert done.returncode == 0, done.stderr
        by_git = project.read()
        project.write(a=text)
        project.run("--apply", *extra)
        assert project.read() == by_git != text


def test_diff_says_on_stderr_what_the_runs_said_and_what_was_left_out(project: Project) -> None:
    project.write(a="1  # fixme-verified\n2  # fixme-rejected\n3  # fixme-unverified\n4  # fixme-none\n")
    _, out, err = project.run("--diff")
    assert out.count("\n+") == 2, "one header line, one changed line"
    assert err.splitlines() == [
        "a.py:1:1: SVI051 make it fixed: verified: reason of verified",
        "left out: a.py:2:1: SVI051 make it fixed: rejected: reason of rejected",
        "left out: a.py:3:1: SVI051 make it fixed: unverified: reason of unverified",
        "left out: a.py:4:1: SVI051 scale [bold]needs[/x] to be positive: it is a getter",
        "1 file looked at: 4 findings in 1 file: 1 fix shown in 1 file, 1 rejected, 1 unverified, 1 without a fix",
    ]
    code, out, err = project.run("--diff", "--quiet")
    assert (code, err) == (1, "")
    assert out


def test_a_suggestion_is_told_as_one_everywhere(project: Project) -> None:
    project.write(a="1  # fixme-verified\n2  # fixme-unverified-SVI022\n3  # fixme-none-SVI022\n")
    _, _, err = project.run("--diff")
    assert "left out: a.py:2:1: SVI022 make it fixed: a suggestion: reason of unverified" in err.splitlines()
    held = "SVI022 scale [bold]needs[/x] to be positive"
    assert f"left out: a.py:3:1: {held}: a suggestion: it is a getter" in err.splitlines()
    assert err.splitlines()[-1].endswith("1 fix shown in 1 file, 2 suggestions")
    code, out, _ = project.run("--verify", "--format", "json")
    told = json.loads(out)
    assert [f["fix"]["suggestion"] for f in told["findings"]] == [False, True, True]
    counted = {key: told["summary"][key] for key in ("verified", "unverified", "none", "suggestions")}
    assert (code, counted) == (1, {"verified": 1, "unverified": 0, "none": 0, "suggestions": 2})
    listed = project.run("--verify")[1]
    assert "[fix: make it fixed, a suggestion: reason of unverified]" in listed
    assert f"{held} [fix: none, a suggestion: it is a getter]" in listed
    assert "3 findings in 1 file, 2 possible fixes, 1 suggestion;" in project.run()[2]


def test_apply_tells_what_it_wrote(project: Project) -> None:
    project.write(a="1  # fixme-verified\n2  # fixme-unverified\n")
    code, out, err = project.run("--apply", "--unverified")
    assert (code, out) == (0, "")
    assert "2 fixes applied in 1 file (1 of them not verified)" in err
    assert project.run("--apply")[0] == 0


def test_apply_says_that_nothing_was_verified(project: Project) -> None:
    project.write(a="1  # fixme-verified\n")
    assert "1 fix applied in 1 file (1 of them not verified)" in project.run("--apply", "--no-verify")[2]


def test_a_diff_keeps_the_files_own_bytes(project: Project) -> None:
    data = b"# coding: latin-1\n# caf\xe9\nx = 1  # fixme-verified\n"
    (project.folder / "caf\u00e9 1.py").write_bytes(data)
    subprocess.run(["git", "init", "-q"], cwd=project.folder, check=True)
    child = project.start("--diff")
    out, _ = child.communicate()
    assert b"caf\xe9" in out
    subprocess.run(["git", "apply"], cwd=project.folder, input=out, check=True)
    assert (project.folder / "caf\u00e9 1.py").read_bytes() == data.replace(b"fixme-verified", b"fixed")


def test_json(project: Project) -> None:
    project.write(a="x = 1  # fixme-verified\n", b="fixme-none\n")
    (project.folder / "bad.py").write_bytes(b"# \xff\n")

    def strict(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    code, out, _ = project.run("--verify", "--format", "json")
    document = json.loads(out, parse_constant=strict)
    assert code == 1
    assert set(document) == {"findings", "gone", "proofs", "summary"}
    first, second = document["findings"]
    assert re.fullmatch("[0-9a-f]{24}", first.pop("fingerprint"))
    assert first == {
        "code": "SVI051",
        "name": "unconstrained-param",
        "tip": 5,
        "path": "a.py",
        "cell": None,
        "line": 1,
        "column": 1,
        "message": "scale [bold]needs[/x] to be positive",
        "source": "static",
        "fix": {
            "status": "verified",
            "included": True,
            "reason": "reason of verified",
            "suggestion": False,
            "evidence": {"loss": "nan", "far": ["inf", 1.5], "file": "a.py"},
            "diff": "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x = 1  # fixme-verified\n+x = 1  # fixed\n",
        },
    }
    nothing = {"status": "none", "included": False, "reason": "it is a getter", "suggestion": False}
    nothing |= {"evidence": {}, "diff": ""}
    assert second["fix"] == nothing
    summary = document["summary"]
    assert summary["skipped"][0]["path"] == "bad.py"
    assert (summary["files"], summary["findings"], summary["verified"], summary["none"]) == (3, 2, 1, 1)
    assert (summary["changed"], summary["applied"]) == (["a.py"], False)
    code, out, _ = project.run("--apply", "--format", "json")
    assert json.loads(out)["summary"]["applied"] is True
    assert project.read() == "x = 1  # fixed\n"


# The sandbox.


def test_what_the_sandbox_cannot_do_is_said_or_refused(project: Project, tmp_path: Path) -> None:
    project.write(a="x = 1\n")
    with (tmp_path / "site" / "sitecustomize.py").open("a", encoding="utf-8") as file:
        file.write("from pyro_fix.probe import landlock, sandbox\nlandlock.version = lambda: 0\n")
    code, out, err = project.run("--diff")
    assert (code, out) == (0, "")
    lines = err.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("sandbox: this machine cannot keep a program from writing outside its own folder")
    assert project.run("--diff", "--quiet")[1:] == ("", "")
    for silent in (["--no-verify", "--diff"], ["--diff", "--no-sandbox"], []):  # nothing is run, or it is wanted so
        assert "sandbox" not in project.run(*silent)[2]
    code, out, err = project.run("--diff", "--require-sandbox")
    assert (code, out) == (2, "")
    assert err.startswith("pyro-fix: --require-sandbox: this machine cannot keep a program from writing outside")
    assert len(err.splitlines()) == 1


def test_a_project_cannot_switch_off_a_sandbox_that_is_required(project: Project) -> None:
    project.write(a="x = 1\n")
    (project.folder / "pyproject.toml").write_text("[tool.pyro-fix]\nsandbox = false\n", encoding="utf-8")
    code, _, err = project.run("--diff", "--require-sandbox")
    assert code == 0 and "sets sandbox = false: the folder is not trusted (--trust, " in err
    code, out, err = project.run("--diff", "--require-sandbox", "--trust")
    assert (code, out, err) == (2, "", "pyro-fix: --require-sandbox: the sandbox is switched off\n")


# Configuration and suppression reach the engine.


def test_configuration(project: Project) -> None:
    (project.folder / "pyproject.toml").write_text(
        "[tool.pyro-fix]\npaths = ['src']\nexclude = ['old']\nexit-zero = true\n", encoding="utf-8"
    )
    for folder in ("src/old", "other"):
        (project.folder / folder).mkdir(parents=True)
        (project.folder / folder / "a.py").write_text("fixme-verified\n", encoding="utf-8")
    (project.folder / "src" / "b.py").write_text("fixme-verified\n", encoding="utf-8")
    code, out, _ = project.run()
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["src/b.py"]
    assert project.run("other")[1].startswith("other/a.py")
    assert project.run("other", "--exclude", "a.py")[1] == ""
    (project.folder / "pyproject.toml").write_text("[tool.pyro-fix]\nstep = 3\n", encoding="utf-8")
    code, out, err = project.run()
    assert (code, out) == (2, "")
    assert "unknown key 'step' in [tool.pyro-fix]; did you mean 'steps'?" in err


def test_configuration_lies_where_the_files_lie(project: Project, tmp_path: Path) -> None:
    project.write(a="fixme-verified\n")
    (project.folder / "pyproject.toml").write_text("[tool.pyro-fix]\nexit-zero = true\n", encoding="utf-8")
    assert project.run("project", cwd=tmp_path)[0] == 0
    assert project.run("project/a.py", cwd=tmp_path)[0] == 0
    (tmp_path / "other.toml").write_text("[tool.pyro-fix]\nexit-zero = false\n", encoding="utf-8")
    assert project.run("--config", "other.toml", "project", cwd=tmp_path)[0] == 1


def test_suppression(project: Project) -> None:
    project.write(a="x = 1  # fixme-verified # noqa: SVI051\n")
    assert project.run()[:2] == (0, "")


def test_a_path_may_be_called_like_a_command(project: Project) -> None:
    (project.folder / "rules").mkdir()
    (project.folder / "rules" / "a.py").write_text("fixme-verified\n", encoding="utf-8")
    assert project.run("./rules")[1].startswith("rules/a.py")
    assert project.run("--quiet", "rules")[1].startswith("rules/a.py")


# A terminal, pipes and signals.


def on_terminal(project: Project, *arguments: str, both: bool = True) -> str:
    """What a terminal that is 40 columns wide gets to see."""
    main, other = pty.openpty()
    project.environment.update(TERM="xterm-256color", COLUMNS="40")
    child = project.start(*arguments, stdout=other, stderr=other if both else subprocess.DEVNULL)
    os.close(other)
    seen = b""
    try:
        while data := os.read(main, 4096):
            seen += data
    except OSError:
        pass  # How Linux says that the other end is closed.
    os.close(main)
    child.wait()
    return seen.decode().replace("\r\n", "\n")


def test_a_terminal_gets_colours_and_the_verdict_under_each_diff(project: Project) -> None:
    long = "fixme-verified [/x] [bold]" + " long" * 20
    project.write(a=f"x = 1  # {long}\n", b="fixme-verified\n")
    seen = on_terminal(project, "--diff")
    assert "\x1b[32m+x = 1" in seen and "\x1b[31m-x = 1" in seen
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert f"-x = 1  # {long}\n" in plain, "neither wrapped nor padded, and brackets are no markup"
    first, second = plain.index("a.py:1:1: SVI051 make"), plain.index("+++ b/b.py")
    assert plain.index("+++ b/a.py") < first < second < plain.index("b.py:1:1: SVI051 make")


def test_a_pipe_gets_plain_bytes(project: Project) -> None:
    project.write(a="fixme-verified\n")
    project.environment["FORCE_COLOR"] = "1"
    assert "\x1b" not in project.run("--diff")[1]


def wait_for(child: subprocess.Popen[bytes], text: bytes) -> bytes:
    assert child.stderr is not None
    seen = b""
    while text not in seen:
        data = os.read(child.stderr.fileno(), 4096)
        assert data, seen
        seen += data
    return seen


@pytest.fixture
def hanging(project: Project) -> Iterator[subprocess.Popen[bytes]]:
    project.write(a="hang\n")
    child = project.start("--diff")
    yield child
    child.kill()
    child.communicate()


def test_progress_is_told_after_a_second_and_ctrl_c_is_one_line(hanging: subprocess.Popen[bytes]) -> None:
    begin = time.monotonic()
    assert wait_for(hanging, b"\n") == b"running a.py [/now]\n"
    assert time.monotonic() - begin > 0.9
    hanging.send_signal(signal.SIGINT)
    out, err = hanging.communicate(timeout=20)
    assert (hanging.returncode, out, err) == (130, b"", b"pyro-fix: interrupted\n")


def test_being_ended_is_quiet(hanging: subprocess.Popen[bytes]) -> None:
    wait_for(hanging, b"\n")
    hanging.send_signal(signal.SIGTERM)
    out, err = hanging.communicate(timeout=20)
    assert (hanging.returncode, out, err) == (143, b"", b"")


def test_progress_on_a_terminal_takes_no_markup(project: Project) -> None:
    project.write(a="hang\n")
    main, other = pty.openpty()
    project.environment["TERM"] = "xterm-256color"
    child = project.start("--diff", stderr=other)
    seen = b""
    while not all(text in seen for text in (b"running a.py [/now]", b"40 of 400 steps", b"1 of 3", b"runs made")):
        seen += os.read(main, 4096)
    child.send_signal(signal.SIGINT)
    child.wait(timeout=20)
    while b"\x1b[?25h" not in seen:  # The cursor is back.
        seen += os.read(main, 4096)
    assert child.returncode == 130
    child.communicate()
    os.close(main)
    os.close(other)


@pytest.mark.parametrize("arguments", [[], ["--diff"], ["--format", "json"]])
def test_a_reader_that_leaves_early_is_no_error(project: Project, arguments: list[str]) -> None:
    project.write(**{"x" * 200: "x  # fixme-verified\n" * 600})  # More than a pipe holds.
    child = project.start(*arguments, "--quiet")
    assert child.stdout is not None and child.stderr is not None
    child.stdout.read(10)
    child.stdout.close()
    assert child.stderr.read() == b""
    assert child.wait(timeout=60) == 1
    child.stderr.close()


# Starting.


def cpu_seconds(command: list[str]) -> float:
    """The least of several runs: what else runs on the machine only adds."""
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_help_is_fast() -> None:
    assert cpu_seconds([str(SCRIPT), "--help"]) < 3 * cpu_seconds([sys.executable, "-c", "import typer"])


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["--diff", "."]])
def test_nothing_heavy_is_imported(project: Project, arguments: list[str]) -> None:
    project.write(a="x = 1\n")
    command = [sys.executable, "-X", "importtime", "-m", "pyro_fix", *arguments]
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True)
    assert done.returncode == 0
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "pyro", "libcst", "rich", "numpy"}


def test_version() -> None:
    from pyro_fix import __version__

    assert subprocess.run([SCRIPT, "--version"], capture_output=True, text=True).stdout == f"pyro-fix {__version__}\n"


# The page.


def test_a_report_is_written_beside_everything_else(project: Project) -> None:
    project.write(a="fixme-verified\n", b="fixme-rejected\n")
    for mode in ([], ["--diff"], ["--diff", "--quiet"], ["--apply"]):
        plain = project.run(*mode)[:2] if mode != ["--apply"] else (3, "")
        code, out, err = project.run(*mode, "--report", "report.html")
        assert (code, out) == plain and ("report: report.html" in err) == ("--quiet" not in mode)
        page = (project.folder / "report.html").read_text(encoding="utf-8")
        assert page.startswith("<!DOCTYPE html>") and "SVI051" in page and "make it fixed" in page
        (project.folder / "report.html").unlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("a.py", "must end in .html"),
        ("report", "must end in .html"),
        ("no/where/report.html", "there is no folder no/where"),
        ("folder.html", "is a folder"),
        ("link.html", "cannot be written: it is a link, and may lead anywhere"),
        ("nowhere.html", "cannot be written: it is a link, and may lead anywhere"),
        ("out/x.html", "cannot be written: {}/out is a link, and may lead anywhere"),
        ("pipe.html", "cannot be written: it is no regular file"),
    ],
)
def test_a_report_that_cannot_be_written_is_told_before_anything_is_run(
    project: Project, name: str, reason: str
) -> None:
    project.write(a="crash\n")
    (project.folder / "folder.html").mkdir()
    theirs = project.folder.parent / "theirs"
    theirs.mkdir()
    (theirs / "x.html").write_text("kept")
    for link, target in (("link.html", "x.html"), ("nowhere.html", "y.html"), ("out", "")):
        (project.folder / link).symlink_to(theirs / target)
    os.mkfifo(project.folder / "pipe.html")
    code, out, err = project.run("--diff", "--report", name)
    assert (code, out, err) == (2, "", f"pyro-fix: --report {name}: {reason.format(project.folder)}\n")
    assert project.read() == "crash\n"
    assert [(path.name, path.read_text()) for path in theirs.iterdir()] == [("x.html", "kept")]
