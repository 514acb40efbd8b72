from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pyro_fix.diffs import of_change, unified
from pyro_fix.result import Change
from pyro_fix.sources import from_bytes


def change(path: Path, old: bytes, *swaps: tuple[str, str]) -> Change:
    source = from_bytes(path, old)
    text = source.text
    for before, after in swaps:
        assert before in text
        text = text.replace(before, after)
    return Change(source, text)


def git(folder: Path, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(["git", *arguments], cwd=folder, input=stdin, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    top = tmp_path / "repository"
    top.mkdir()
    assert git(top, "init", "-q").returncode == 0
    return top


def check_applies(folder: Path, *changes: Change) -> None:
    """``git apply`` run in ``folder`` makes of every file exactly the bytes that the change says."""
    for item in changes:
        item.source.path.parent.mkdir(parents=True, exist_ok=True)
        item.source.path.write_bytes(item.source.data)
    patch = b"".join(of_change(item, folder) for item in changes)
    done = git(folder, "apply", "-", stdin=patch)
    assert done.returncode == 0, (done.stderr, patch)
    for item in changes:
        assert item.source.path.read_bytes() == item.source.encode(item.text), patch


CONTENTS = {
    "plain": b"a = 1\nb = 2\nc = 3\n",
    "crlf": b"a = 1\r\nb = 2\r\nc = 3\r\n",
    "mixed newlines": b"a = 1\r\nb = 2\nc = 3\r\n",
    "no newline at the end": b"a = 1\nc = 3\nb = 2",
    "crlf, none at the end": b"a = 1\r\nb = 2",
    "latin-1": "# -*- coding: latin-1 -*-\n# caf\xe9\nb = 2\n".encode("latin-1"),
    "byte order mark on the changed line": b"\xef\xbb\xbfb = 2\nc = 3\n",
    "utf-8": "# caf\u00e9 \u4e16\nb = 2\n".encode(),
    "shift-jis": "# coding: shift_jis\n# \u8868\nb = 2\n".encode("shift_jis"),
    "form feed": b"a = 1\n\x0cb = 2\nc = '\x1c'\n",
    "far apart": b"b = 2\n" + b"x = 0\n" * 20 + b"b = 2\n",
    "looks like a diff": b"--- a\n+++ b\n@@ -1 +1 @@\nb = 2\n",
}


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
def test_git_applies_it_byte_for_byte(repository: Path, data: bytes) -> None:
    check_applies(repository, change(repository / "a.py", data, ("b = 2", "b = 22\nd = 4")))


@pytest.mark.parametrize(
    "name",
    [
        "deep/er/a.py",
        "with space/my file.py",
        "na\u00efve/\u4e16\u754c.py",
        'quo"te.py',
        "back\\slash.py",
        "tab\tbed.py",
        "-dash.py",
        "a/a.py",
        "a/b/a.py",
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows forbids")
def test_git_finds_the_file(repository: Path, name: str) -> None:
    check_applies(repository, change(repository / name, b"b = 2\n", ("2", "3")))


@pytest.mark.parametrize(
    ("folder", "names"),
    [
        ("sub", ["a.py", "x/a.py"]),
        ("sub", ["sub/a.py", "x.py"]),  # git would take "sub/" off a second time
        ("sub", ["sub/sub/a.py"]),
        ("a", ["a/x.py", "x.py"]),
        ("a/b", ["b/x.py", "a/b/x.py", "x.py"]),
        ("sub dir", ["sub dir/a b.py"]),
    ],
)
def test_names_are_relative_to_the_working_folder(repository: Path, folder: str, names: list[str]) -> None:
    here = repository / folder
    here.mkdir(parents=True)
    changes = [change(here / name, b"b = 2\n" + name.encode(), ("b = 2", "b = 3")) for name in names]
    check_applies(here, *changes)


def test_git_refuses_a_file_outside_the_working_folder_aloud(repository: Path) -> None:
    here = repository / "sub"
    here.mkdir()
    (repository / "a.py").write_bytes(b"b = 2\n")
    patch = of_change(change(repository / "a.py", b"b = 2\n", ("2", "3")), here)
    assert git(here, "apply", "-", stdin=patch).returncode != 0


def test_the_target_of_a_link_is_patched(repository: Path) -> None:
    (repository / "real.py").write_bytes(b"b = 2\n")
    (repository / "link.py").symlink_to("real.py")
    patch = of_change(change(repository / "link.py", b"b = 2\n", ("2", "3")), repository)
    assert git(repository, "apply", "-", stdin=patch).returncode == 0
    assert (repository / "link.py").is_symlink()
    assert (repository / "real.py").read_bytes() == b"b = 3\n"


def test_patch_takes_it_outside_a_repository(tmp_path: Path) -> None:
    item = change(tmp_path / "with space" / "a.py", b"a = 1\r\nb = 2", ("2", "3"))
    item.source.path.parent.mkdir()
    item.source.path.write_bytes(item.source.data)
    done = subprocess.run(["patch", "-p1", "--binary"], cwd=tmp_path, input=of_change(item, tmp_path))
    assert done.returncode == 0
    assert item.source.path.read_bytes() == b"a = 1\r\nb = 3"


def test_text_form(tmp_path: Path) -> None:
    assert unified("a\nb", "a\nc", tmp_path / "x.py", tmp_path) == (
        "--- a/x.py\n+++ b/x.py\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n"
        "+c\n\\ No newline at end of file\n"
    )


def test_nothing_changed_is_no_diff(tmp_path: Path) -> None:
    assert unified("a\n", "a\n", tmp_path / "x.py", tmp_path) == ""
    assert of_change(change(tmp_path / "x.py", b"a\n"), tmp_path) == b""


def test_only_the_middle_is_searched_but_lines_count_from_the_start() -> None:
    import difflib
    import random

    from pyro_fix.diffs import _hunks, _lines

    draw = random.Random(0)
    for _ in range(300):
        old = [draw.choice("abcd") + "\n" for _ in range(draw.randrange(0, 40))]
        new = list(old)
        for _ in range(draw.randrange(0, 4)):
            at = draw.randrange(0, len(new) + 1)
            new[at : at + draw.randrange(0, 3)] = [draw.choice("xyz") + "\n" for _ in range(draw.randrange(0, 3))]
        before, after = "".join(old), "".join(new)
        patched = _patched(_lines(before), _hunks(before, after))
        assert "".join(patched) == after
        assert bool(_hunks(before, after)) == any(difflib.unified_diff(_lines(before), _lines(after)))


def _patched(lines: list[str], hunks: str) -> list[str]:
    """Apply hunks at exactly the lines that they name, as ``patch`` without fuzz does."""
    import re

    result: list[str] = []
    at = 0
    for line in hunks.splitlines(keepends=True):
        match = re.match(r"@@ -(\d+)(,\d+)? \+(\d+)(,\d+)? @@", line)
        if match:
            start = int(match[1]) - (match[2] != ",0")
            result += lines[at:start]
            at = start
            assert len(result) == int(match[3]) - (match[4] != ",0")
        elif line[0] in " -":
            assert lines[at] == line[1:]
            at += 1
            if line[0] == " ":
                result.append(line[1:])
        elif line[0] == "+":
            result.append(line[1:])
    return result + lines[at:]
