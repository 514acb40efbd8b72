"""The test forge's git, its tokens, and what tests can do to a client."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import forge_app
import github
import jwt
import pytest
import requests
from forge_clients import client, cloned, git, reached, refusal, work
from forge_model import Repo
from forge_server import ForgeServer

# --- git


def test_clone_push_and_fetch_by_commit(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = cloned(repo, token, tmp_path)
    head = work(clone, "a = 1\n")
    for kind, branch in (("Basic", "one"), ("Bearer", "two")):
        assert git(clone, token, "push", "-q", "origin", f"HEAD:{branch}", kind=kind).returncode == 0
        assert repo.head(branch) == head
    assert repo.tree("one") == {"a.py": "a = 1\n", "b.py": "b = 1\n"}
    assert next((c.author, c.committer, c.message) for c in repo.log("one")) == ("Bot", "Bot", "Fix")
    (tmp_path / "bare").mkdir()
    git(tmp_path / "bare", "", "init", "-q", "--bare")
    assert git(tmp_path / "bare", token, "fetch", "-q", "--depth=2", repo.url, head).returncode == 0
    assert [w.body for w in forge.writes()] == [[("0" * 40, head, f"refs/heads/{b}")] for b in ("one", "two")]


def test_a_push_larger_than_gits_buffer(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = cloned(repo, token, tmp_path)
    head = work(clone, "".join(f"{n * n:x}\n" for n in range(3000)))
    assert git(clone, token, "-c", "http.postBuffer=2000", "push", "-q", "origin", "HEAD:large").returncode == 0
    assert repo.head("large") == head and len(forge.writes()) == 1


def test_who_may_push(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    clone = cloned(repo, "", tmp_path)  # a public repository
    work(clone, "a = 1\n")
    for token, said in (
        (forge.token(contents="read"), "Permission to ann/demo.git denied to pyro-fix[bot]"),
        ("ghp_unknown", "could not read Username"),  # git asks for another, and may not
        ("", "could not read Username"),
    ):
        done = git(clone, token, "push", "origin", "HEAD:fix")
        assert done.returncode and said in done.stderr, done.stderr
    repo.private = True
    for token in ("", "ghp_unknown", forge.token(contents="")):
        assert git(clone, token, "fetch", repo.url).returncode
    repo.git.protect("main")
    assert "GH006" in git(clone, forge.token(), "push", "origin", "HEAD:main").stderr
    assert repo.log()[0].message == "Start"


def test_a_race_is_seen_before_the_push_and_in_it(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = cloned(repo, token, tmp_path)
    work(clone, "a = 1\n")
    push = ("push", f"--force-with-lease=fix:{repo.head('fix')}", "origin", "HEAD:fix")
    forge.before("GET", r"info/refs\?service=git-receive-pack", lambda: repo.commit("fix", {"b.py": "b = 2\n"}))
    assert "stale info" in git(clone, token, *push).stderr
    push = ("push", f"--force-with-lease=fix:{repo.head('fix')}", "origin", "HEAD:fix")
    hook = forge.before("POST", "git-receive-pack$", lambda: repo.commit("fix", {"b.py": "b = 3\n"}))
    assert "[remote rejected]" in git(clone, token, *push).stderr and hook.left == 0
    assert [c.author for c in repo.log("fix")][:2] == ["Ann", "Ann"]


# --- rights


def test_rights_of_tokens(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    reader = forge.token(contents="read", pull_requests="read", issues="", installation=True)
    pull = reached(forge, repo, reader).get_pull(1)
    refused = (403, "Resource not accessible by integration")
    for write in (
        lambda: pull.edit(title="New"),
        lambda: pull.add_to_labels("x"),
        lambda: pull.create_issue_comment("x"),
        lambda: reached(forge, repo, reader).get_git_ref("heads/fix").delete(),
        lambda: client(forge, reader).get_user().login,
    ):
        with pytest.raises(github.GithubException) as error:
            write()
        assert refusal(error) == refused
    with pytest.raises(github.GithubException, match="Resource not accessible"):
        pull.convert_to_draft()
    with pytest.raises(github.BadCredentialsException):
        reached(forge, repo, "ghp_unknown")
    repo.private = True
    with pytest.raises(github.UnknownObjectException):
        reached(forge, repo, forge.token(contents=""))
    assert (repo.pull(1).title, repo.pull(1).draft, repo.branches()) == ("Work", False, ["fix", "main"])


def test_actions_that_may_open_nothing(forge: ForgeServer, repo: Repo) -> None:
    repo.actions_may_open = False
    token = forge.token("github-actions[bot]", installation=True)
    with pytest.raises(github.GithubException) as error:
        reached(forge, repo, token).create_pull("main", "fix", title="T", body="B")
    assert refusal(error) == (403, "GitHub Actions is not permitted to create or approve pull requests.")


def test_an_app(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    app, installation = forge.app()
    private, _ = forge_app.key_pair()
    quick: Any = {"seconds_between_requests": 0, "seconds_between_writes": 0}
    auth = github.Auth.AppAuth(app.id, private)
    integration = github.GithubIntegration(auth=auth, base_url=forge.api, **quick)
    assert integration.get_app().slug == "pyro-fix"
    assert integration.get_repo_installation("ann", "demo").id == installation
    assert [found.id for found in integration.get_installations()] == [installation]
    client = github.Github(auth=auth.get_installation_auth(installation), base_url=forge.api, **quick)
    pull = client.get_repo("ann/demo").create_pull("main", "fix", title="T", body="B")
    assert pull.user.login == "pyro-fix[bot]"
    assert cloned(repo, integration.get_access_token(installation).token, tmp_path).is_dir()
    assert [w.path for w in forge.writes()] == ["/api/v3/repos/ann/demo/pulls"]
    with pytest.raises(github.GithubException) as error:
        integration.get_access_token(installation, permissions={"administration": "write"})
    assert refusal(error)[0] == 422
    with pytest.raises(github.UnknownObjectException):
        integration.get_repo_installation("bob", "demo")


def test_signatures_that_are_none(forge: ForgeServer, repo: Repo) -> None:
    app, _ = forge.app()
    private, _ = forge_app.key_pair()
    auth = github.Auth.AppAuth(app.id, private)
    head, claims, _ = auth.create_jwt().split(".")
    times = {"iat": int(time.time()) - 60, "iss": str(app.id)}
    late, expired, timeless = (
        jwt.encode({**times, **more}, private, "RS256")
        for more in ({"exp": times["iat"] + 3600}, {"exp": times["iat"] + 30}, {})
    )
    unknown = github.Auth.AppAuth(app.id + 1, private).create_jwt()
    for signed in (f"{head}.{claims}.AAAA", late, expired, timeless, unknown, forge.token()):
        got = requests.get(f"{forge.api}/app", headers={"Authorization": f"Bearer {signed}"}, timeout=5)
        assert got.status_code == 401, got.text
    assert requests.get(f"{forge.api}/app", headers={"Authorization": f"Bearer {auth.token}"}, timeout=5).ok


# --- what tests can do to a client


def test_writes_are_counted(forge: ForgeServer, repo: Repo) -> None:
    asked = reached(forge, repo)
    assert forge.writes() == []
    asked.create_pull("main", "fix", title="T", body="B").edit(title="U")
    assert [str(w) for w in forge.writes()] == [
        "POST /api/v3/repos/ann/demo/pulls -> 201",
        "PATCH /api/v3/repos/ann/demo/pulls/1 -> 200",
    ]
    assert forge.writes()[1].body == {"title": "U"}


@pytest.mark.parametrize("status", [502, None])
@pytest.mark.parametrize(("when", "made"), [("before", 0), ("after", 1)])
def test_failures_before_and_after(forge: ForgeServer, repo: Repo, status: int | None, when: str, made: int) -> None:
    asked = reached(forge, repo)
    fault = forge.fail("POST", "/pulls$", status, when=when)
    with pytest.raises((github.GithubException, requests.ConnectionError)):
        asked.create_pull("main", "fix", title="T", body="B")
    assert len(repo.pulls) == made and fault.left == 0
    if not made:
        assert asked.create_pull("main", "fix", title="T", body="B").number == 1


def test_a_push_that_came_through_though_it_failed(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = cloned(repo, token, tmp_path)
    head = work(clone, "a = 1\n", "new")
    forge.fail("POST", "git-receive-pack", 502, when="after")
    assert git(clone, token, "push", "origin", "new").returncode
    assert repo.head("new") == head


def test_rate_limits_are_waited_for(forge: ForgeServer, repo: Repo) -> None:
    every: Any = {"allowed_methods": None}  # PyGithub's default tries PATCH once
    retry = github.GithubRetry(total=3, secondary_rate_wait=0.01, backoff_factor=0, **every)
    asked = reached(forge, repo, retry=retry)
    forge.limit("POST", "/pulls$", times=2, seconds=None)
    forge.limit("PATCH", "/pulls/1$", seconds=0)
    asked.create_pull("main", "fix", title="T", body="B").edit(title="U")
    assert [w.status for w in forge.writes()] == [403, 403, 201, 403, 200]
    forge.limit("GET", "/pulls/1$", seconds=None)
    with pytest.raises(github.RateLimitExceededException):
        reached(forge, repo).get_pull(1)


def test_nonsense_is_refused(forge: ForgeServer, repo: Repo) -> None:
    headers = {"Authorization": f"Bearer {forge.token()}"}
    repo.open("fix")

    def said(method: str, path: str, body: Any) -> tuple[int, str]:
        got = requests.request(method, f"{forge.api}/repos/ann/demo{path}", json=body, headers=headers, timeout=5)
        return got.status_code, got.json()["message"].removeprefix("Invalid request.\n\n")

    assert said("PATCH", "/pulls/1", {"draft": True}) == (422, '"draft" is not a permitted key.')
    assert said("PATCH", "/pulls/1", {"state": "merged"})[0] == 422
    assert said("PATCH", "/pulls/1", {"title": None}) == (422, "For 'title', None is not a string.")
    assert said("POST", "/pulls", {"title": "T", "head": "fix"}) == (422, '"base" wasn\'t supplied.')
    assert said("POST", "/pulls", ["T"])[0] == 422
    assert said("POST", "/issues/1/labels", {"labels": [1]}) == (422, "For 'labels/0', 1 is not a string.")
    assert said("POST", "/pulls/1/nonsense", {})[0] == 418
    assert said("PATCH", "/pulls/9", {"title": "T"}) == (404, "Not Found")
