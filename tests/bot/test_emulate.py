"""What the test forge and emulate, two readings of GitHub's API, agree on; and the gaps of emulate, each shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import emulate
import forge_app
import github
import pytest
from forge_clients import OTHER, TEXT, cloned, git, reached, work
from forge_model import Repo
from forge_server import ForgeServer

QUICK: Any = {"seconds_between_requests": 0, "seconds_between_writes": 0, "retry": None}


def _made(forge: ForgeServer) -> Repo:
    repo = forge.make("ann/demo", {"a.py": TEXT, "folder/run.sh": "echo\n"})
    repo.commit("fix", {"a.py": OTHER}, message="Fix\n\nWords")
    return repo


def test_a_pull_request_from_push_to_close(either: ForgeServer, tmp_path: Path) -> None:
    repo, token = _made(either), either.token()
    clone = cloned(repo, token, tmp_path)
    head = work(clone, "a = 1\n", "pyro-fix/all")
    assert git(clone, token, "push", "-q", "origin", "pyro-fix/all").returncode == 0
    there = reached(either, repo, token)
    assert (there.default_branch, there.clone_url) == ("main", repo.url)
    made = there.create_pull("main", "pyro-fix/all", title="T", body="B", draft=True)
    pull = there.get_pull(made.number)
    assert (pull.head.sha, pull.head.ref, pull.head.repo.full_name) == (head, "pyro-fix/all", "ann/demo")
    assert (pull.base.ref, pull.state, pull.draft, pull.merged_at) == ("main", "open", True, None)
    pull.edit(title="U", body="C")
    pull.add_to_labels("pyro-fix")
    said = pull.create_issue_comment("words")
    said.edit("other words")
    assert [(c.user.login, c.body) for c in there.get_issue(1).get_comments()] == [("pyro-fix[bot]", "other words")]
    seen = repo.pull(1)
    assert (seen.title, seen.body, seen.labels, seen.notes[0].body) == ("U", "C", ["pyro-fix"], "other words")
    pull.remove_from_labels("pyro-fix")
    said.delete()
    pull.edit(state="closed")
    there.get_git_ref("heads/pyro-fix/all").delete()
    seen = repo.pull(1)
    assert (seen.state, seen.merged, seen.labels, seen.notes) == ("closed", None, [], [])
    assert repo.branches() == ["fix", "main"]
    assert [p.number for p in there.get_pulls(state="all", sort="created", direction="desc")] == [1]


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_people_merge(either: ForgeServer, how: str) -> None:
    repo = _made(either)
    repo.open("fix", by="bob")
    made = repo.merge(1, how, delete_branch=True)
    pull = reached(either, repo).get_pull(1)
    assert (pull.state, pull.merged, repo.head(), repo.branches()) == ("closed", True, made, ["main"])
    assert reached(either, repo).get_branch("main").commit.sha == made and repo.tree()["a.py"] == OTHER


def test_an_app(either: ForgeServer, tmp_path: Path) -> None:
    app, number = either.app()
    repo = _made(either)
    auth = github.Auth.AppAuth(app.id, forge_app.key_pair()[0])
    integration = github.GithubIntegration(auth=auth, base_url=either.api, **QUICK)
    assert integration.get_repo_installation("ann", "demo").id == number
    cloned(repo, integration.get_access_token(number).token, tmp_path)
    there = github.Github(auth=auth.get_installation_auth(number), base_url=either.api, **QUICK).get_repo("ann/demo")
    assert there.create_pull("main", "fix", title="T", body="B").user.login == "pyro-fix[bot]"
    with pytest.raises(github.GithubException) as error:
        integration.get_access_token(number, {"checks": "write"})
    assert error.value.status == 422


def test_faults_reach_either(either: ForgeServer) -> None:
    repo = _made(either)
    either.fail("POST", "/pulls$", 502, when="after")
    with pytest.raises(github.GithubException):
        reached(either, repo).create_pull("main", "fix", title="T", body="B")
    assert [p.title for p in repo.pulls.values()] == ["T"] and [w.status for w in either.writes()] == [502]


def test_what_people_do(either: ForgeServer) -> None:
    repo = _made(either)
    repo.open("fix", title="T", by="bob")
    repo.edit(1, body="of a person")
    repo.label(1, "new")
    repo.comment(1, "words", by="bob")
    repo.close(1)
    pull = reached(either, repo).get_pull(1)
    assert (pull.title, pull.body, pull.state, pull.merged) == ("T", "of a person", "closed", False)
    assert ([label.name for label in pull.labels], pull.user.login) == (["new"], "bob")
    assert [c.user.login for c in pull.get_issue_comments()] == ["bob"]
    repo.reopen(1)
    assert repo.pull(1).state == "open" and either.writes() == []


def _head_moves(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix")
    moved = repo.commit("fix", {"a.py": "a = 1\n"})
    return repo.pull(1).head == moved


def _merged_by_push(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix")
    repo.git.set_ref("refs/heads/main", repo.head("fix") or "")
    return repo.pull(1).merged is not None


def _refuses(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix")
    with pytest.raises(github.GithubException):
        reached(forge, repo).create_pull("main", "fix", title="T", body="B")
    return True


def _files(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix")
    return [file.filename for file in reached(forge, repo).get_pull(1).get_files()] == ["a.py"]


def _reviews(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix")
    there = reached(forge, repo)
    comment: Any = {"path": "a.py", "line": 20, "side": "RIGHT", "body": "words"}
    there.get_pull(1).create_review(there.get_commit(repo.head("fix") or ""), "", "COMMENT", [comment])
    return len(repo.pull(1).line_notes) == 1


def _drafts(forge: ForgeServer, repo: Repo) -> bool:
    repo.open("fix", draft=True)
    reached(forge, repo).get_pull(1).mark_ready_for_review()
    return not repo.pull(1).draft


def _tokens(forge: ForgeServer, repo: Repo) -> bool:
    with pytest.raises(github.GithubException):
        reached(forge, repo, "ghp_unknown").create_pull("main", "fix", title="T", body="B")
    return True


_SHOWN: dict[str, Callable[[ForgeServer, Repo], bool]] = {
    "heads": _head_moves,
    "merged by push": _merged_by_push,
    "refusals": _refuses,
    "files": _files,
    "reviews": _reviews,
    "drafts": _drafts,
    "tokens": _tokens,
}


@pytest.mark.parametrize("gap", _SHOWN)
def test_gaps(either: ForgeServer, gap: str) -> None:
    """The test forge has it, and emulate has not: whoever raises the version sees what may go from ``GAPS``."""
    repo = _made(either)
    if isinstance(either, emulate.EmulatedForge):
        with pytest.raises((AssertionError, github.GithubException, pytest.fail.Exception)):
            assert _SHOWN[gap](either, repo)
        with pytest.raises(pytest.skip.Exception):
            either.needs(gap)
    else:
        assert _SHOWN[gap](either, repo)
        either.needs(gap)
