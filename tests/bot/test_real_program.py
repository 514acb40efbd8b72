"""From a program that goes wrong to a merged pull request: the real engine, real runs, real git, GitHub's API."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from forge_server import ForgeServer
from test_make import git

EXAMPLE = Path(__file__).parents[2] / "examples" / "ab_test.py"


@pytest.mark.slow
def test_from_a_broken_program_to_a_merged_pull_request(forge: ForgeServer, tmp_path: Path) -> None:
    repo = forge.make("ann/shop", {"src/ab_test.py": EXAMPLE.read_text()})
    git(tmp_path, "clone", "-q", str(repo.git.folder), "checkout")
    checkout = tmp_path / "checkout"
    environment = {**os.environ, "GITHUB_TOKEN": forge.token(), "XDG_CACHE_HOME": str(tmp_path / "cache")}

    def run() -> str:
        git(checkout, "pull", "-q")
        command = [sys.executable, "-m", "pyro_fix", "bot", "run", "--repo", "ann/shop", "--base-url", forge.api, "-q"]
        done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run().startswith("opened: pyro-fix/all")
    (pull,) = repo.pulls.values()
    assert not pull.draft
    for words in (
        "SVI051",
        "ValueError at step 1",
        "xychart-beta",
        "of the gradient",
        "torch",
        "--seeds 4 --steps 100",
    ):
        assert words in pull.body, words
    assert str(tmp_path) not in pull.body
    fixed = repo.tree("pyro-fix/all")["src/ab_test.py"]
    assert "constraint=" in fixed and fixed != EXAMPLE.read_text()
    forge.log.clear()
    assert run().startswith("unchanged: pyro-fix/all")
    assert forge.writes() == []
    repo.merge(1)
    assert run() == "nothing to do\n"
    assert forge.writes() == []
    assert git(checkout, "status", "--porcelain") == ""
