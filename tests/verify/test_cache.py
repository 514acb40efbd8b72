from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path

import pytest
from handmade import look, observation, svi, trajectory

from pyro_fix.observation import Failure, Observation, SliceReplay
from pyro_fix.runner.identity import changed_since, file_clock, file_hash, interpreter_hash
from pyro_fix.verify.cache import Cache, decode, default_folder


def test_an_observation_survives_the_round_trip(tmp_path: Path) -> None:
    bad = trajectory(failure=Failure("ValueError", "m", "train.py:3", 7), losses=(1.0, math.inf), first_nonfinite=1)
    seen = observation(
        svi(look=look(slices=SliceReplay(2, 0.5, "z")), trajectories=(bad,), referee={"a/last": (1.0, 2.0)}),
        hits={"/a.py:3": 1},
        warnings=("w",),
    )
    cache = Cache(tmp_path / "cache")
    cache.put("k", seen, [])
    assert cache.get("k") == seen
    assert isinstance(cache.get("k"), Observation)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"observation": {}, "files": {}}', '{"observation": {"command": 1}, "files": {}}']
)
def test_a_corrupt_entry_is_no_entry(tmp_path: Path, content: str) -> None:
    (tmp_path / "k.json").write_text(content)
    assert Cache(tmp_path).get("k") is None


def test_an_entry_of_another_shape_is_no_entry(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    cache.put("k", observation(svi()), [])
    entry = json.loads((tmp_path / "k.json").read_text())
    entry["observation"]["svis"][0]["ordinal"] = "first"
    (tmp_path / "k.json").write_text(json.dumps(entry))
    assert cache.get("k") is None


def test_an_entry_depends_on_its_files(tmp_path: Path) -> None:
    data, missing = tmp_path / "data.csv", tmp_path / "missing.csv"
    data.write_text("1")
    cache = Cache(tmp_path / "cache")
    cache.put("k", observation(), [data, missing])
    assert cache.get("k") is not None
    missing.write_text("")
    assert cache.get("k") is None
    missing.unlink()
    data.write_text("22")
    assert cache.get("k") is None


def test_the_entries_used_least_recently_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path, limit=2)
    for age, key in enumerate("abc"):
        cache.put(key, observation(), [])
        if key != "c":
            os.utime(tmp_path / f"{key}.json", (age, age))
        if key == "b":
            assert cache.get("a") is not None  # used: b is the oldest now
    assert cache.get("b") is None
    assert cache.get("a") is not None and cache.get("c") is not None


def test_a_folder_that_cannot_be_written_is_no_cache(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    cache = Cache(tmp_path / "file" / "cache")
    cache.put("k", observation(), [])
    assert cache.get("k") is None


ODD = {
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to itself": lambda path: path.symlink_to(path),
    "deeply nested": lambda path: path.write_text('{"observation": ' + "[" * 200_000),
    "nested, and whole": lambda path: path.write_text("[" * 200_000 + "]" * 200_000),
    "huge": lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600), 1 << 32),
    "not text": lambda path: path.write_bytes(b"\xff\xfe\x00" * 100),
}


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
@pytest.mark.parametrize("kind", ODD)
def test_an_odd_entry_is_no_entry_and_makes_room(tmp_path: Path, kind: str) -> None:
    ODD[kind](tmp_path / "k.json")
    cache = Cache(tmp_path, limit=1)
    assert cache.get("k") is None
    cache.put("k", observation(), [])
    assert (cache.get("k") is not None) == (kind != "a folder")
    cache.put("other", observation(), [])  # what is too much goes, what cannot go is no hindrance
    assert cache.get("other") is not None or kind == "a folder"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
def test_an_entry_of_another_user_is_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = Cache(tmp_path)
    cache.put("k", observation(), [])
    assert cache.get("k") is not None
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert cache.get("k") is None


def test_a_full_disk_leaves_no_half_entry(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    full = observation(warnings=("x" * 300_000,))
    cache = Cache(tmp_path)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        cache.put("k", full, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert cache.get("k") is None and not list(tmp_path.iterdir())
    cache.put("k", full, [])
    assert cache.get("k") is not None


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX")
def test_what_is_no_file_has_no_content(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "file").write_text("")
    found = [file_hash(tmp_path / name) for name in ("pipe", "zero", ".", "missing", "\0")]
    assert found == [""] * 5 and file_hash(tmp_path / "file")


def test_a_file_that_was_replaced_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("1")
    os.utime(file, (0, 0))
    time.sleep(0.02)  # longer than the clock of files takes to move
    moment = file_clock()
    assert not changed_since(file, moment) and not changed_since(tmp_path / "missing", moment)
    time.sleep(0.02)
    file.write_text("2")
    os.utime(file, (0, 0))  # as a program would that hides it
    assert changed_since(file, moment)


def test_installing_something_changes_the_interpreter(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    packages = tmp_path / "lib" / "python3.11" / "site-packages"
    packages.mkdir(parents=True)
    python.parent.mkdir()
    python.write_text("")
    (tmp_path / "pyvenv.cfg").write_text("home = /usr/bin\n")
    before = interpreter_hash(python)
    (packages / "torch-2.13.0.dist-info").mkdir()
    interpreter_hash.cache_clear()
    assert interpreter_hash(python) != before


def test_the_default_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_folder() == tmp_path / "pyro-fix"
    monkeypatch.setenv("XDG_CACHE_HOME", "here")  # not wherever we happen to be
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    assert default_folder() == tmp_path / "home" / ".cache" / "pyro-fix"


def test_without_a_home_there_is_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    assert default_folder() is None


def test_decode_refuses_what_does_not_fit() -> None:
    assert decode(tuple[float, ...], [1, 2.5]) == (1.0, 2.5)
    assert decode(float | None, None) is None
    with pytest.raises(TypeError):
        decode(int, "1")
    with pytest.raises(TypeError):
        decode(tuple[float, ...], "12")
