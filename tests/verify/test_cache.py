from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest
from handmade import look, observation, svi, trajectory

from pyro_fix.observation import Failure, Observation, SliceReplay
from pyro_fix.runner.identity import interpreter_hash
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


def test_decode_refuses_what_does_not_fit() -> None:
    assert decode(tuple[float, ...], [1, 2.5]) == (1.0, 2.5)
    assert decode(float | None, None) is None
    with pytest.raises(TypeError):
        decode(int, "1")
    with pytest.raises(TypeError):
        decode(tuple[float, ...], "12")
