"""What is printed cannot act on a terminal, and what cannot be printed is told by the exit code."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pty", reason="needs POSIX terminals")

from test_cli import Project, on_terminal, project  # noqa: F401

from pyro_fix.report import streams
from pyro_fix.visible import in_line, visible

FULL = Path("/dev/full")
full = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
#: Sets a title, clears, forges a line, turns round, hides, 8-bit controls, a line separator; markup of rich's.
EVIL = "\x1b]0;t\x07\x1b[2J\x9b31m\u202eyp\u2066\u200b\u2028\x7f[red][|x]"
#: What no terminal may get, whatever a repository holds; our own colours and movements are taken out before.
ACTS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028-\u202e\u2066-\u2069]")
OURS = re.compile(r"\x1b\[(?:\d{1,2}(?:;\d+)*m|\?25[lh]|2K|1A)")


# Escapes.


def test_everything_that_acts_is_spelled_out() -> None:
    told = in_line(f"{EVIL}\nsecond line\r")
    assert not ACTS.search(told) and "\n" not in told and "\r" not in told
    assert told.startswith("\\x1b]0;t\\x07\\x1b[2J\\x9b31m\\u202eyp\\u2066\\u200b\\u2028\\x7f[red]")
    assert (
        visible("a\tb\nc \u00e9 \u4e16 \U0001f469\u200d\U0001f52c")
        == "a\tb\nc \u00e9 \u4e16 \U0001f469\u200d\U0001f52c"
    )
    assert in_line("\udcff") == "\\udcff"  # a byte of a file's name that is no letter


@pytest.fixture
def evil(project: Project) -> Project:  # noqa: F811
    (project.folder / f"a{EVIL}\nfixed.py:1:1: all is well.py").write_text("x  # fixme-verified \x1b]0;t\x07\n")
    (project.folder / f"b{EVIL}.py").write_bytes(b"# \xff\n")
    return project


@pytest.mark.parametrize("arguments", [[], ["--diff"], ["--apply"], ["--verify"], ["--diff", "--report", "r.html"]])
def test_nothing_of_a_repository_acts_on_a_terminal(evil: Project, arguments: list[str]) -> None:
    seen = OURS.sub("", on_terminal(evil, *arguments))
    assert "\\x1b]0;t" in seen and "\\u202e" in seen
    assert not ACTS.search(seen), ascii(seen)
    assert not re.search("^(?:fixed|second)", seen, re.MULTILINE)


@pytest.mark.parametrize("arguments", [[], ["--apply"], ["--format", "json"]])
def test_nor_through_a_pipe(evil: Project, arguments: list[str]) -> None:
    for text in evil.run(*arguments)[1:]:
        assert not ACTS.search(text), ascii(text)
        assert not text.startswith("fixed") and "\nfixed" not in text


def test_a_diff_in_a_pipe_is_byte_for_byte_and_git_takes_it(evil: Project) -> None:
    code, out, _ = evil.run("--diff")
    assert code == 1 and "-x  # fixme-verified \x1b]0;t\x07\n" in out, "the file's own bytes"
    header = [line for line in out.splitlines() if line.startswith(("---", "+++"))]
    assert not any(ACTS.search(line) for line in header)
    subprocess.run(["git", "apply", "-"], cwd=evil.folder, input=out.encode(), check=True)
    (name,) = (path for path in evil.folder.iterdir() if path.name.startswith("a"))
    assert "fixed" in name.read_text()


@pytest.mark.parametrize("arguments", [[f"nowhere{EVIL}"], [f"--{EVIL}"], ["explain", EVIL], ["--config", EVIL]])
def test_mistakes_do_not_act(project: Project, arguments: list[str]) -> None:  # noqa: F811
    code, out, err = project.run(*arguments)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert not ACTS.search(err), ascii(err)


def test_progress_does_not_act(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pyro_fix.report.progress import Progress, State
    from pyro_fix.watch import Notice, RunBegan

    state = State()
    state.hear(RunBegan(1, f"observing {EVIL}\nx", 4))
    assert not any(ACTS.search(what) or "\n" in what for what, _ in state.lines())
    with Progress() as progress:
        progress(Notice(EVIL))
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and not ACTS.search(told)


def test_a_patch_on_a_terminal_is_shown_and_elsewhere_given(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr(sys, "stdout", os.fdopen(1, "w", closefd=False))
    raw = b"-a \x1b[2J\r\n+b \xff\r\n"
    streams.data(raw)
    sys.stdout.flush()
    assert capfdbinary.readouterr().out == raw
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    streams.data(raw)
    assert capfdbinary.readouterr().out == "-a \\x1b[2J\n+b \ufffd\n\n".encode()


def test_json_is_json_for_every_reader(project: Project) -> None:  # noqa: F811
    """Half of a surrogate pair is no text for strict readers, and names of files need not be UTF-8."""
    os.close(os.open(os.fsencode(project.folder) + b"/bad\xff.py", os.O_CREAT | os.O_WRONLY))
    Path(os.fsdecode(os.fsencode(project.folder) + b"/bad\xff.py")).write_text("x  # fixme-verified\n")
    code, out, err = project.run("--format", "json")
    assert code == 1, err
    assert not re.search(r"(?<!\\)\\u[dD][89a-fA-F]", out)
    assert json.loads(out)["findings"][0]["path"] == "bad\\udcff.py"


# Streams that are closed, full, or without a reader.

ALL = [
    [],
    ["--diff"],
    ["--format", "json"],
    ["rules"],
    ["rules", "--format", "json"],
    ["explain", "SVI051"],
    ["--help"],
]
ALL += [["--version"]]


def in_shell(project: Project, *arguments: str, redirect: str) -> tuple[int, str, str]:  # noqa: F811
    script = Path(sys.executable).with_name("pyro-fix")
    words = f"{shlex.join([str(script), *arguments])} {redirect}"
    done = subprocess.run(
        ["bash", "-c", words], cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout, done.stderr


@full
@pytest.mark.parametrize("arguments", ALL)
@pytest.mark.parametrize(
    ("redirect", "words"),
    [
        (">/dev/full", "standard output cannot be written: No space left on device"),
        (">&-", "standard output is closed"),
    ],
)
def test_results_that_nobody_can_have_are_2(
    project: Project,  # noqa: F811
    arguments: list[str],
    redirect: str,
    words: str,
) -> None:
    project.write(a="x = 1  # fixme-verified\n")
    code, out, err = in_shell(project, *arguments, redirect=redirect)
    assert (code, out) == (2, "")
    assert err.endswith(f"pyro-fix: {words}\n") and "Traceback" not in err and "Exception" not in err


@full
def test_more_than_a_buffer_is_2_as_well(project: Project) -> None:  # noqa: F811
    project.write(**{f"a{number}": "x = 1  # fixme-verified\n" * 300 for number in range(4)})
    code, _, err = in_shell(project, "--quiet", redirect=">/dev/full")
    assert (code, err) == (2, "pyro-fix: standard output cannot be written: No space left on device\n")


@full
def test_messages_that_are_lost_are_no_success(project: Project) -> None:  # noqa: F811
    project.write(a="x = 1\n")
    assert in_shell(project, redirect="2>/dev/full") == (2, "", "")
    project.write(a="x = 1  # fixme-verified\n")
    code, out, _ = in_shell(project, redirect="2>/dev/full")
    assert code == 2 and "a.py:1:1" in out


@pytest.mark.parametrize("redirect", ["2>&-", "<&-", "<&- 2>&-"])
def test_messages_that_nobody_wants_are_no_error(project: Project, redirect: str) -> None:  # noqa: F811
    project.write(a="x = 1  # fixme-verified\n")
    code, out, err = in_shell(project, redirect=redirect)
    assert code == 1 and out.count("\n") == 1, "messages do not go to standard output instead"
    assert err.count("\n") == (0 if "2>" in redirect else 1)
    assert in_shell(project, "--apply", redirect=redirect)[0] == 0
    assert project.read() == "x = 1  # fixed\n"


@full
def test_a_report_on_a_full_disk_is_one_line_and_2(project: Project) -> None:  # noqa: F811
    project.write(a="x = 1  # fixme-verified\n")
    limit = "ulimit -f 1; trap '' XFSZ;"
    script = shlex.quote(str(Path(sys.executable).with_name("pyro-fix")))
    done = subprocess.run(
        ["bash", "-c", f"{limit} {script} --verify --quiet --report r.html"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "pyro-fix: --report r.html: cannot be written: File too large\n"
    assert not list(project.folder.glob("*.html")) and not list(project.folder.glob(".pyro*"))


@pytest.mark.parametrize("arguments", ALL)
def test_a_reader_of_one_line_is_no_error(project: Project, arguments: list[str]) -> None:  # noqa: F811
    project.write(a="x = 1  # fixme-verified\n" * 2000)
    code, out, err = in_shell(project, *arguments, redirect="| head -1; exit ${PIPESTATUS[0]}")
    assert code in (0, 1) and out.count("\n") <= 1
    assert "Traceback" not in err and "Exception" not in err and "Broken" not in err
