"""Real clients of a forge: PyGithub and git."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import github
import pytest
from forge_git import ENVIRONMENT
from forge_model import Repo
from forge_server import ForgeServer
from github.Repository import Repository

TEXT = "".join(f"line {n}\n" for n in range(1, 41))
OTHER = TEXT.replace("line 20\n", "line twenty\n")


def client(forge: ForgeServer, token: str = "", **more: Any) -> github.Github:
    """PyGithub on a forge, which neither waits nor tries again."""
    more = {"seconds_between_requests": 0, "seconds_between_writes": 0, "retry": None} | more
    return github.Github(auth=github.Auth.Token(token or forge.token()), base_url=forge.api, **more)


def reached(forge: ForgeServer, repo: Repo, token: str = "", **more: Any) -> Repository:
    """A repository, as PyGithub has it."""
    return client(forge, token, **more).get_repo(repo.name)


def git(folder: Path, token: str, *arguments: str, kind: str = "Basic") -> subprocess.CompletedProcess[str]:
    """Run git with a token in the http header, as the bot does."""
    held = base64.b64encode(f"x-access-token:{token}".encode()).decode() if kind == "Basic" else token
    who = ("-c", "user.name=Bot", "-c", "user.email=bot@example.com")
    header = ("-c", f"http.extraHeader=Authorization: {kind} {held}") if token else ()
    command = ["git", *who, *header, *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def cloned(repo: Repo, token: str, folder: Path) -> Path:
    """Clone a repository to ``folder / "clone"``."""
    done = git(folder, token, "clone", "-q", repo.url, "clone")
    assert done.returncode == 0, done.stderr
    return folder / "clone"


def work(clone: Path, text: str, branch: str = "fix") -> str:
    """Commit a new ``a.py`` on a branch of a clone; returns the commit."""
    (clone / "a.py").write_text(text)
    for command in (("switch", "-qC", branch), ("commit", "-qam", "Fix")):
        assert git(clone, "", *command).returncode == 0
    return git(clone, "", "rev-parse", "HEAD").stdout.strip()


def refusal(error: pytest.ExceptionInfo[github.GithubException]) -> tuple[int, str]:
    """Status and words of what GitHub refuses."""
    errors = error.value.data.get("errors", [])
    details = [e if isinstance(e, str) else e.get("message") or f"{e['field']} {e['code']}" for e in errors]
    return error.value.status, " ".join([error.value.data["message"], *details])
