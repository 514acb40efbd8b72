from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import fake_engine
import pytest

from pyro_fix.bot import plan as plans

Run = Callable[..., subprocess.CompletedProcess[str]]


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "a.py").write_bytes(b"# fixme-verified\r\n# fixme-verified-SVI021\r\n")
    (folder / "src" / "b.py").write_text("# fixme-verified\n# fixme-rejected\n# fixme-none\n# fixme-unverified\n")
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``pyro-fix bot …`` in a process of its own, with the stand-in for the engine."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(fake_engine.SITE)

    def run(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site"), **(env or {})}
        command = [sys.executable, "-m", "pyro_fix", "bot", *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return run


def test_a_plan_of_everything(checkout: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    done = run(checkout, "plan", "--out", str(out), "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{out}: 1 pull request, 3 fixes" in done.stdout
    plan = plans.read(out)
    assert plan.base == git(checkout, "rev-parse", "HEAD")
    (group,) = plan.groups
    assert (group.key, [(fix.code, fix.path, fix.line) for fix in group.fixes]) == (
        "all",
        [("SVI051", "src/a.py", 1), ("SVI021", "src/a.py", 2), ("SVI051", "src/b.py", 1)],
    )
    assert {file.path: file.data for file in group.files}["src/a.py"] == b"# fixed\r\n# fixed\r\n"
    assert group.files[0].old == git(checkout, "rev-parse", "HEAD:src/a.py")
    assert sorted(plan.found.values()) == ["none", "rejected", "unverified", "verified", "verified", "verified"]
    assert "unconstrained-param" in (out / "report.html").read_text()
    git(checkout, "apply", str(out / "1-all.patch"))
    assert (checkout / "src" / "a.py").read_bytes() == b"# fixed\r\n# fixed\r\n"


def test_grouped_by_rule_each_holds_alone(checkout: Path, run: Run, tmp_path: Path) -> None:
    run(checkout, "plan", "--out", str(tmp_path / "plan"), "--group-by", "rule")
    first, second = plans.read(tmp_path / "plan").groups
    assert (first.key, second.key) == ("SVI021", "SVI051")
    assert first.files[0].data == b"# fixme-verified\r\n# fixed\r\n"
    assert [file.path for file in second.files] == ["src/a.py", "src/b.py"]


def test_grouped_by_file(checkout: Path, run: Run, tmp_path: Path) -> None:
    (checkout / "pyproject.toml").write_text('[tool.pyro-fix.bot]\ngroup-by = "file"\n')
    run(checkout, "plan", "--out", str(tmp_path / "plan"))
    plan = plans.read(tmp_path / "plan")
    assert [(group.key, len(group.fixes)) for group in plan.groups] == [("src/a.py", 2), ("src/b.py", 1)]


def test_options_of_pyro_fix_itself_and_a_subfolder(checkout: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    done = run(checkout / "src", "plan", "--select", "SVI051", "--out", str(out), "--unverified", "b.py")
    assert done.returncode == 0, done.stderr
    (group,) = plans.read(out).groups
    assert [(fix.path, fix.verified) for fix in group.fixes] == [("src/b.py", True), ("src/b.py", False)]
    assert group.fixes[0].diff.startswith("--- a/src/b.py\n+++ b/src/b.py\n@@ ")
    git(checkout, "apply", "--check", str(out / "1-all.patch"))


def test_what_was_refused_is_left_out(checkout: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "plan"
    run(checkout, "plan", "--out", str(out))
    first = plans.read(out).groups[0].fixes[0]
    (tmp_path / "refused.json").write_text(json.dumps([first.fingerprint]))
    run(checkout, "plan", "--out", str(out), "--refused", str(tmp_path / "refused.json"))
    plan = plans.read(out)
    assert first.fingerprint not in plan.found
    assert plan.groups[0].files[0].data == b"# fixme-verified\r\n# fixed\r\n"


def test_nothing_to_fix(checkout: Path, run: Run, tmp_path: Path) -> None:
    done = run(checkout, "plan", "--out", str(tmp_path / "plan"), "--select", "SVI101")
    assert done.returncode == 0 and "0 pull requests" in done.stdout
    assert plans.read(tmp_path / "plan").groups == ()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan",), "Missing option '--out'"),
        (("plan", "--out", "plan", "--diff"), "--diff: has no meaning"),
        (("plan", "--out", "plan", "--format", "json"), "--format: has no meaning"),
        (("plan", "--out", "plan", "--no-verify"), "offers nothing that was not run"),
        (("plan", "--out", "plan", "--nonsense"), "--nonsense"),
        (("plan", "--out", "plan", "nowhere.py"), "nowhere.py: no such file"),
        (("plan", "--out", "src"), "name a new folder"),
        (("plan", "--out", "plan", "--group-by", "mood"), "must be one of rule, file, all"),
        (("plan", "--out", "plan", "--refused", "nowhere"), "cannot be read"),
        (("plan", "--out", "plan", "--refused", "src/a.py"), "is not what pyro-fix bot refused writes"),
        (("publish", "nowhere", "--dry-run"), "holds no plan"),
        (("nonsense",), "No such command 'nonsense'"),
    ],
)
def test_errors_are_one_line(checkout: Path, run: Run, arguments: tuple[str, ...], words: str) -> None:
    done = run(checkout, *arguments)
    assert done.returncode == 2, done
    assert words in done.stderr.replace("\n", " ") and "Traceback" not in done.stderr
    assert not (checkout / "plan").exists()


def test_a_file_that_differs_from_the_commit(checkout: Path, run: Run, tmp_path: Path) -> None:
    (checkout / "src" / "a.py").write_text("# fixme-verified\n")
    done = run(checkout, "plan", "--out", str(tmp_path / "plan"))
    assert done.returncode == 2 and "src/a.py: differs from the commit" in done.stderr
    (checkout / "new.py").write_text("# fixme-verified\n")
    done = run(checkout, "plan", "--out", str(tmp_path / "plan"), "new.py")
    assert done.returncode == 2 and "new.py: is no regular file of the commit" in done.stderr


def test_without_a_checkout(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loose").mkdir()
    done = run(tmp_path / "loose", "plan", "--out", "plan")
    assert done.returncode == 2 and "not a git repository" in done.stderr


def test_nothing_that_the_repository_configures_is_run(checkout: Path, run: Run, tmp_path: Path) -> None:
    trap = tmp_path / "trap.sh"
    trap.write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    trap.chmod(0o755)
    git(checkout, "config", "core.fsmonitor", str(trap))
    git(checkout, "config", "core.hooksPath", str(tmp_path))
    assert run(checkout, "plan", "--out", str(tmp_path / "plan")).returncode == 0
    assert not (tmp_path / "sprung").exists()
