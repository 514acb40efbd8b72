"""The bot's command line from end to end: a checkout, a plan, a forge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import fake_engine
import forge_app
import pytest
from forge_model import Repo
from forge_server import ForgeServer
from test_make import git

FILES = {"a.py": "# fixme-verified\n", "b.py": "# fixme-unverified\n# fixme-rejected\n"}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def repo(forge: ForgeServer) -> Repo:
    return forge.make("ann/demo", FILES)


@pytest.fixture
def checkout(forge: ForgeServer, repo: Repo, tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(repo.git.folder), "checkout")
    return tmp_path / "checkout"


@pytest.fixture
def run(forge: ForgeServer, tmp_path: Path) -> Run:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(fake_engine.SITE)

    def run(folder: Path, *arguments: str, token: str | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("GITHUB", "GH_"))}
        environment = {**kept, "PYTHONPATH": str(tmp_path / "site"), "GITHUB_API_URL": forge.api}
        if token is not None:
            environment["GITHUB_TOKEN"] = token
        command = [sys.executable, "-m", "pyro_fix", "bot", *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_plan_then_publish_without_a_checkout(
    forge: ForgeServer, repo: Repo, checkout: Path, run: Run, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan")
    assert run(checkout, "plan", "--out", plan).returncode == 0
    assert forge.log == []
    (tmp_path / "empty").mkdir()
    publish = ("publish", plan, "--repo", "ann/demo")
    done = run(tmp_path / "empty", *publish, token=forge.token())
    assert (done.returncode, done.stderr) == (0, "looking at the pull requests and branches that are there\n")
    assert done.stdout.startswith("opened: pyro-fix/all http")
    assert repo.tree("pyro-fix/all") == {**FILES, "a.py": "# fixed\n"}
    done = run(tmp_path / "empty", *publish, token=forge.token())
    assert done.stdout.startswith("unchanged: pyro-fix/all")


def test_run_does_both_and_knows_what_was_refused(forge: ForgeServer, repo: Repo, checkout: Path, run: Run) -> None:
    command = ("run", "--repo", "ann/demo", "--unverified", "--quiet")
    assert run(checkout, *command, token=forge.token()).stdout.startswith("opened: pyro-fix/all")
    assert repo.pulls[1].draft
    repo.close(1)
    repo.commit(files={"c.py": "# fixme-verified\n"})
    git(checkout, "pull", "-q")
    done = run(checkout, *command, token=forge.token())
    assert done.stdout.startswith("opened: pyro-fix/all"), done
    assert not repo.pulls[2].draft and repo.tree("pyro-fix/all")["c.py"] == "# fixed\n"


def test_refused_for_a_plan_without_a_token(
    forge: ForgeServer, repo: Repo, checkout: Path, run: Run, tmp_path: Path
) -> None:
    run(checkout, "run", "--repo", "ann/demo", token=forge.token())
    repo.close(1)
    file = tmp_path / "refused.json"
    reader = forge.token(contents="read", pull_requests="read", issues="read")
    assert run(tmp_path, "refused", "--repo", "ann/demo", "--out", str(file), token=reader).returncode == 0
    assert len(json.loads(file.read_text())) == 1
    done = run(checkout, "plan", "--out", str(tmp_path / "plan"), "--refused", str(file))
    assert "0 pull requests" in done.stdout


def test_a_dry_run_needs_no_token_and_no_forge(
    forge: ForgeServer, repo: Repo, checkout: Path, run: Run, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan")
    run(checkout, "plan", "--out", plan, "--unverified")
    for command in (("publish", plan), ("run", "--unverified")):
        done = run(checkout, *command, "--dry-run")
        assert done.returncode == 0, done.stderr
        assert (
            "# pyro-fix: SVI051 unconstrained-param: 2 fixes in 2 files (a draft)\n# from pyro-fix/all" in done.stdout
        )
        assert "close the pull request" in done.stdout
        assert "-# fixme-verified\n+# fixed\n" in done.stdout
    assert forge.log == []
    assert git(checkout, "status", "--porcelain") == ""


def test_settings_of_the_repository(forge: ForgeServer, repo: Repo, checkout: Path, run: Run) -> None:
    (checkout / "pyproject.toml").write_text(
        '[tool.pyro-fix.bot]\ngroup-by = "file"\nlimit = 1\nbranch-prefix = "fixes/"\nlabels = ["svi"]\n'
    )
    done = run(checkout, "run", "--repo", "ann/demo", "--unverified", "--trust", token=forge.token())
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == ["opened", "left alone"]
    assert next(b for b in repo.branches() if b != "main").startswith("fixes/file-a-py-")
    assert "svi" in repo.pulls[1].labels


def test_settings_of_the_repository_that_are_not_trusted(
    forge: ForgeServer, repo: Repo, checkout: Path, run: Run
) -> None:
    (checkout / "pyproject.toml").write_text(
        '[tool.pyro-fix.bot]\nlimit = 1\nbranch-prefix = "main/"\nlabels = ["automerge"]\n'
    )
    done = run(checkout, "run", "--repo", "ann/demo", "--unverified", token=forge.token())
    assert 'sets bot.branch-prefix = "main/", bot.labels = ["automerge"]: the folder is not trusted (' in done.stderr
    assert next(b for b in repo.branches() if b != "main").startswith("pyro-fix/")
    assert "automerge" not in repo.pulls[1].labels


def test_as_an_app(forge: ForgeServer, repo: Repo, checkout: Path, run: Run, tmp_path: Path) -> None:
    app, _ = forge.app()
    key = tmp_path / "key.pem"
    key.write_text(forge_app.key_pair()[0])
    command = ("run", "--repo", "ann/demo", "--app-id", str(app.id), "--private-key", str(key))
    assert run(checkout, *command).stdout.startswith("opened: pyro-fix/all")
    assert repo.pulls[1].user.login == "pyro-fix[bot]"
    assert run(checkout, *command).stdout.startswith("unchanged")
    app.installations.clear()
    assert "is not installed on ann/demo" in run(checkout, *command).stderr
    key.write_text("nonsense")
    assert "holds no private key" in run(checkout, *command).stderr


def test_a_review(forge: ForgeServer, repo: Repo, checkout: Path, run: Run, tmp_path: Path) -> None:
    repo.commit("work", {"w.py": "# fixme-verified\n"})
    repo.open("work")
    git(checkout, "fetch", "-q")
    git(checkout, "switch", "-q", "work")
    plan = str(tmp_path / "plan")
    run(checkout, "plan", "--out", plan)
    done = run(tmp_path, "review", plan, "--repo", "ann/demo", "--pull", "1", token=forge.token())
    assert done.stdout == "pull request 1: comments: 1 new, 0 changed, 0 withdrawn, 0 as they were\n", done.stderr
    assert [note.path for note in repo.pull(1).line_notes] == ["w.py"]


@pytest.mark.parametrize(
    ("arguments", "token", "words"),
    [
        (("--repo", "ann/demo"), None, "there is no token: set GITHUB_TOKEN or GH_TOKEN"),
        (("--repo", "ann/demo", "--token-env", "MINE"), "x", "there is no token: set MINE"),
        (("--repo", "ann/demo"), "two\nlines", "characters that no token has"),
        (("--repo", "ann/demo"), "ghp_nonsense", "the token is not accepted"),
        (("--repo", "ann/nowhere"), "", "no such thing"),
        (("--repo", "demo"), "", "is no OWNER/NAME"),
        ((), "", "says which repository"),
        (("--repo", "ann/demo", "--forge", "mars"), "", "must be one of github, gitlab"),
        (("--repo", "ann/demo", "--limit", "0"), "", "--limit must be a whole number"),
        (("--repo", "ann/demo", "--branch-prefix", "main"), "", "--branch-prefix must be letters"),
        (("--repo", "ann/demo", "--base-url", "http://127.0.0.1:9/api/v3"), "", "cannot be reached"),
        (("--repo", "ann/demo", "--app-id", "1"), None, "go together"),
        (("--repo", "ann/demo", "--config", "nowhere.toml"), "", "cannot be read"),
    ],
)
def test_errors_are_one_line(
    forge: ForgeServer, checkout: Path, run: Run, tmp_path: Path, arguments: tuple[str, ...], token: str, words: str
) -> None:
    plan = str(tmp_path / "plan")
    run(checkout, "plan", "--out", plan)
    done = run(checkout, "publish", plan, *arguments, token=forge.token() if token == "" else token)
    assert done.returncode == 2 and words in done.stderr, done
    assert done.stderr.count("\n") == 1 and "Traceback" not in done.stderr


def test_help_teaches(checkout: Path, run: Run) -> None:
    said = run(checkout, "--help").stdout
    assert run(checkout).stdout == said
    for name in ("plan", "publish", "run", "refused", "review"):
        assert name in said
        assert run(checkout, name, "--help").returncode == 0
    assert "needs no token" in said
