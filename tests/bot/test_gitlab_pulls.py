"""Merge requests from end to end: real git over http, beside the stand-in for GitLab's API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from bot_plans import plan_of
from forge_model import Repo
from forge_server import ForgeServer
from gitlab_server import SOMEBODY, TOKEN, Server, note, request, serving

from pyro_fix.bot.gitlab import GitLab
from pyro_fix.bot.plan import Plan
from pyro_fix.bot.publish import publish
from pyro_fix.bot.review import OUTDATED, review
from pyro_fix.bot.settings import Settings

FILES = {"a.py": "import pyro\na  # fixme-one\n", "b.py": "# b\n# fixme-two-unverified\n"}


@pytest.fixture
def repo(forge: ForgeServer) -> Repo:
    made = forge.make("ann/demo", FILES)
    forge.tokens[TOKEN] = forge.tokens[forge.token()]
    return made


@pytest.fixture
def server(repo: Repo) -> Iterator[Server]:
    with serving() as server:
        server.project["http_url_to_repo"] = repo.url
        yield server


def bring(server: Server, plan: Plan) -> list[str]:
    """Publish; returns what became of each, and forgets what was asked until then."""
    server.asked.clear()
    told = publish(plan, GitLab("group/sub/name", TOKEN, server.url), Settings(), lambda _: None)
    return [outcome.what for outcome in told]


def test_open_and_run_again(repo: Repo, server: Server) -> None:
    assert bring(server, plan_of(repo)) == ["opened"]
    made = server.requests[1]
    assert made["title"] == "Draft: pyro-fix: SVI003 a-rule: 2 fixes in 2 files"
    assert made["labels"] == ["pyro-fix", "unverified"]
    assert repo.tree("pyro-fix/all")["a.py"] == "import pyro\na  # fixed\n"
    assert bring(server, plan_of(repo)) == ["unchanged"]
    assert server.sent() == []


def test_what_is_verified_in_the_end_is_no_draft(repo: Repo, server: Server) -> None:
    bring(server, plan_of(repo))
    assert bring(server, plan_of(repo, unverified=False)) == ["updated"]
    assert server.requests[1]["title"] == "pyro-fix: SVI003 a-rule: 1 fix in 1 file"
    assert server.requests[1]["labels"] == ["pyro-fix"]


def test_closing_refuses(repo: Repo, server: Server) -> None:
    bring(server, plan_of(repo))
    server.requests[1]["state"] = "closed"
    assert bring(server, plan_of(repo)) == ["left alone"]
    assert server.sent() == []


def test_closed_when_nothing_is_left(repo: Repo, server: Server) -> None:
    bring(server, plan_of(repo))
    server.branches = {"pyro-fix/all"}
    plan = replace(plan_of(repo), groups=(), found={})
    assert bring(server, plan) == ["closed"]
    assert (server.requests[1]["state"], server.branches) == ("closed", set())
    assert bring(server, plan_of(repo)) == ["opened"]  # that was no refusal


def test_review_and_review_again(repo: Repo, server: Server) -> None:
    plan = plan_of(repo)
    commits = {"base_sha": "b" * 40, "start_sha": "b" * 40, "head_sha": plan.base}
    server.requests[5] = request(5, source_branch="work", sha=plan.base, diff_refs=commits)
    server.diffs = [{"old_path": "a.py", "new_path": "a.py", "diff": "@@ -1 +1,2 @@\n import pyro\n+a  # fixme-one\n"}]
    forge = GitLab("group/sub/name", TOKEN, server.url)
    assert review(plan, forge, 5).endswith("comments: 1 new, 0 changed, 0 withdrawn, 0 as they were")
    (first, _) = (thread["notes"][0] for thread in server.discussions)
    assert "```suggestion:-0+0\na  # fixed\n```" in first["body"]
    server.asked.clear()
    assert review(plan, forge, 5).endswith("comments: 0 new, 0 changed, 0 withdrawn, 1 as they were")
    assert server.sent() == []
    server.discussions[0]["notes"].append(note(9, "Why?", SOMEBODY))
    assert review(replace(plan, groups=()), forge, 5).endswith("1 withdrawn, 0 as they were")
    assert first["body"] == OUTDATED
