from __future__ import annotations

import os
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from pyro_fix import config
from pyro_fix.config import ConfigError, Options, combine, load


def write(folder: Path, table: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pyproject.toml").write_text(f"[project]\nname = 'x'\n[tool.pyro-fix]\n{table}\n", encoding="utf-8")
    return folder


def test_every_setting_has_a_check() -> None:
    assert set(config._CHECKS) == {f.name for f in fields(Options)} - {
        "root",
        "file",
        "listing",
        "refused",
        "trees",
        "trusted",
    }


def test_no_file_means_defaults(tmp_path: Path) -> None:
    file = load(tmp_path)
    assert not file.values
    assert combine(file, {}) == Options()


def test_every_key_is_read(tmp_path: Path) -> None:
    write(
        tmp_path,
        f"""
        paths = ["src", "more"]
        exclude = ["old/**"]
        select = ["SVI05", "SVI08,SVI10"]
        extend-select = ["SVI023"]
        ignore = ["SVI052"]
        thresholds.SVI072.widest = 1
        verify = false
        observe = false
        unverified = true
        run = ["train.py --epochs 2"]
        python = '{sys.executable}'
        steps = 7
        timeout = 3
        device = "cpu"
        seeds = 2
        jobs = 3
        executor = "dask://10.0.0.1:8786"
        cache = false
        sandbox = false
        require-sandbox = true
        readable = ["secrets"]
        writable = ["/var/tmp/out"]
        network = true
        memory = "1.5 GiB"
        processes = 9
        format = "json"
        exit-zero = true
        quiet = true
        """,
    )
    (tmp_path / "deep" / "er").mkdir(parents=True)
    options = combine(load(tmp_path / "deep" / "er"), {})
    assert options == Options(
        paths=(tmp_path / "src", tmp_path / "more"),
        exclude=("old/**",),
        select=("SVI05", "SVI08", "SVI10"),
        extend_select=("SVI023",),
        ignore=("SVI052",),
        thresholds={"SVI072": {"widest": 1.0}},
        verify=False,
        observe=False,
        unverified=True,
        run=("train.py --epochs 2",),
        python=Path(sys.executable),
        steps=7,
        timeout=3.0,
        device="cpu",
        seeds=2,
        jobs=3,
        executor="dask://10.0.0.1:8786",
        cache=False,
        sandbox=False,
        require_sandbox=True,
        readable=(tmp_path / "secrets",),
        writable=(Path("/var/tmp/out"),),
        network=True,
        memory=3 << 29,
        processes=9,
        format="json",
        exit_zero=True,
        quiet=True,
        root=tmp_path,
        file=tmp_path / "pyproject.toml",
    )


def test_command_line_wins(tmp_path: Path) -> None:
    write(tmp_path, "steps = 7\nselect = ['SVI05']\nverify = true\ntimeout = 9")
    options = combine(
        load(tmp_path), {"steps": 8, "select": ["SVI1,SVI02"], "verify": False, "timeout": None, "run": []}
    )
    assert (options.steps, options.select, options.verify, options.timeout) == (8, ("SVI1", "SVI02"), False, 9.0)


def test_the_nearest_file_with_our_table_counts(tmp_path: Path) -> None:
    write(tmp_path, "steps = 7")
    inner = tmp_path / "package"
    inner.mkdir()
    (inner / "pyproject.toml").write_text("[project]\nname = 'pyro-fix-user'\n", encoding="utf-8")
    assert load(inner).values == {"steps": 7}
    write(inner, "steps = 8")
    assert load(inner).values == {"steps": 8}


def test_paths_are_shown_from_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "paths = ['src']")
    monkeypatch.chdir(tmp_path)
    assert combine(load(tmp_path), {}).paths == (Path("src"),)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("selct = []", "unknown key 'selct' in [tool.pyro-fix]; did you mean 'select'?"),
        ("exit_zero = true", "unknown key 'exit_zero' in [tool.pyro-fix]; did you mean 'exit-zero'?"),
        ("root = 'x'", "unknown key 'root'"),
        ("apply = true", "unknown key 'apply'"),
        ("steps = 'ten'", "tool.pyro-fix.steps must be a whole number of at least 1, not 'ten'"),
        ("steps = 0", "at least 1, not 0"),
        ("steps = true", "not True"),
        ("steps = 1.5", "not 1.5"),
        ("timeout = -1", "tool.pyro-fix.timeout must be a number of seconds above 0, not -1"),
        ("timeout = inf", "not inf"),
        ("timeout = nan", "not nan"),
        ("verify = 'yes'", "tool.pyro-fix.verify must be true or false, not 'yes'"),
        ("exit-zero = 1", "tool.pyro-fix.exit-zero must be true or false"),
        ("select = 'SVI05'", "tool.pyro-fix.select must be a list of strings, not 'SVI05'"),
        ("run = [1]", "must be a list of strings"),
        ("device = 'gpu'", "tool.pyro-fix.device must be one of auto, cpu, cuda, cuda:N, mps, not 'gpu'"),
        ("device = 'cuda:-1'", "not 'cuda:-1'"),
        (
            "executor = 'dask'",
            "tool.pyro-fix.executor must be local, dask://HOST:PORT or dask+tls://HOST:PORT, not 'dask'",
        ),
        ("executor = 'tcp://h:8786'", "not 'tcp://h:8786'"),
        ("format = []", "must be one of text, json"),
        ("python = 'no/such/python'", "names no Python interpreter: no/such/python"),
        ("python = 3", "must be the path of a Python interpreter"),
        ("python = '.'", "a folder without an interpreter"),
        ("steps = ", "is not valid TOML"),
        ("a." * 4_000 + "a = 1", "cannot be read as settings: line 4 has more than 100 dots"),
        ("[" + "a." * 4_000 + "a]", "cannot be read as settings: line 4 has more than 100 dots"),
        ("a." * 50_000 + "a = 1", "cannot be read as settings: line 4 is longer than 10000 bytes"),
        ("# a line\n" * 120_000, "cannot be read as settings: is longer than 1000000 bytes"),
        ("steps = " + "9" * 5_000, "cannot be read as settings: a number has too many digits"),
        ("paths = " + "[" * 5_000, "cannot be read as settings: is nested too deeply"),
        ("paths = [\n" + "[\n" * 50_000, "cannot be read as settings: is nested too deeply"),
        ("memory = 8", "tool.pyro-fix.memory must be a size such as '8GiB', not 8"),
        ("memory = 'much'", "must be a size such as '8GiB', not 'much'"),
        ("memory = '0 GB'", "must be a size such as '8GiB', not '0 GB'"),
        ("processes = 0", "at least 1, not 0"),
        ("writable = '/tmp'", "must be a list of strings"),
        ("thresholds = 3", "must be a table of tables, such as SVI071 = { widest = 2.0 }"),
        ("thresholds.SVI072 = 3", "must be a table of tables"),
        ("thresholds.SVI072.widest = 'x'", "SVI072.widest must be a number, not 'x'"),
    ],
)
def test_mistakes_are_one_clear_line(tmp_path: Path, table: str, message: str) -> None:
    write(tmp_path, table)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "pyproject.toml") in str(caught.value)


def test_dots_that_are_no_keys_are_welcome(tmp_path: Path) -> None:
    dots = "." * 200
    write(tmp_path, f'exclude = [\'{dots}\']  # {dots}\n[tool.other]\nx = """\n{dots}\n"""')
    assert load(tmp_path).values == {"exclude": (dots,)}


def test_the_table_must_be_a_table(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("tool.pyro-fix = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="must be a table"):
        load(tmp_path)


def test_a_broken_file_that_does_not_name_us_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[[[", encoding="utf-8")
    assert not load(tmp_path).values


@pytest.mark.parametrize(
    ("text", "size"), [("512", 512), ("1k", 1 << 10), ("2 MB", 2 << 20), ("8GiB", 8 << 30), ("0.5T", 1 << 39)]
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    assert combine(load(tmp_path), {"memory": text}).memory == size


def test_mistakes_on_the_command_line_name_the_option(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--seeds must be a whole number of at least 1, not 0"):
        combine(load(tmp_path), {"seeds": 0})


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX layout")
def test_python_may_be_an_environment_a_file_or_a_name(tmp_path: Path) -> None:
    (tmp_path / "env" / "bin").mkdir(parents=True)
    link = tmp_path / "env" / "bin" / "python"
    link.symlink_to(sys.executable)
    write(tmp_path, "python = 'env'")
    assert combine(load(tmp_path), {}).python == link
    assert combine(load(tmp_path), {"python": str(link)}).python == link, "a link finds its own environment"
    found = combine(load(tmp_path), {"python": "sh"}).python
    assert found is not None and found.is_absolute() and os.access(found, os.X_OK)


@pytest.mark.parametrize(
    ("pattern", "out", "kept"),
    [
        ("old", ["old/a.py", "x/old/a.py"], ["older/a.py", "a/old.py"]),
        ("old/", ["old/a.py"], ["older/a.py"]),
        ("old/**", ["old/a.py", "old/b/a.py"], ["x/old/a.py"]),
        ("src/old", ["src/old/a.py", "src/old/b/c.py"], ["old/a.py"]),
        ("*_gen.py", ["a_gen.py", "x/y/b_gen.py"], ["gen.py"]),
        ("**/gen.py", ["gen.py", "x/gen.py"], ["agen.py"]),
    ],
)
def test_exclude(tmp_path: Path, pattern: str, out: list[str], kept: list[str]) -> None:
    options = Options(exclude=(pattern,), root=tmp_path)
    assert [name for name in out + kept if options.excluded(tmp_path / name)] == out


def test_a_file_that_was_named_is_never_excluded(tmp_path: Path) -> None:
    options = Options(paths=(tmp_path / "old" / "a.py",), exclude=("old",), root=tmp_path)
    assert not options.excluded(tmp_path / "old" / "a.py")
    assert options.excluded(tmp_path / "old" / "b.py")
