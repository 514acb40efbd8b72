"""The test forge behaves as GitHub does: asked by real git and by PyGithub."""

from __future__ import annotations

import base64
import subprocess
import time
from pathlib import Path
from typing import Any

import forge_app
import github
import jwt
import pytest
import requests
from forge_git import ENVIRONMENT
from forge_model import Refused, Repo
from forge_server import ForgeServer
from github.Repository import Repository

TEXT = "".join(f"line {n}\n" for n in range(1, 41))
OTHER = TEXT.replace("line 20\n", "line twenty\n")


def _client(forge: ForgeServer, token: str = "", **more: Any) -> github.Github:
    more = {"seconds_between_requests": 0, "seconds_between_writes": 0, "retry": None} | more
    return github.Github(auth=github.Auth.Token(token or forge.token()), base_url=forge.api, **more)


def _asked(forge: ForgeServer, repo: Repo, token: str = "", **more: Any) -> Repository:
    return _client(forge, token, **more).get_repo(repo.name)


def _git(folder: Path, token: str, *arguments: str, kind: str = "Basic") -> subprocess.CompletedProcess[str]:
    held = base64.b64encode(f"x-access-token:{token}".encode()).decode() if kind == "Basic" else token
    who = ("-c", "user.name=Bot", "-c", "user.email=bot@example.com")
    header = ("-c", f"http.extraHeader=Authorization: {kind} {held}") if token else ()
    command = ["git", *who, *header, *arguments]
    return subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def _clone(repo: Repo, token: str, folder: Path) -> Path:
    done = _git(folder, token, "clone", "-q", repo.url, "clone")
    assert done.returncode == 0, done.stderr
    return folder / "clone"


def _work(clone: Path, text: str, branch: str = "fix") -> str:
    (clone / "a.py").write_text(text)
    for command in (("switch", "-qC", branch), ("commit", "-qam", "Fix")):
        assert _git(clone, "", *command).returncode == 0
    return _git(clone, "", "rev-parse", "HEAD").stdout.strip()


def _refused(error: pytest.ExceptionInfo[github.GithubException]) -> tuple[int, str]:
    errors = error.value.data.get("errors", [])
    details = [e if isinstance(e, str) else e.get("message") or f"{e['field']} {e['code']}" for e in errors]
    return error.value.status, " ".join([error.value.data["message"], *details])


@pytest.fixture
def repo(forge: ForgeServer) -> Repo:
    made = forge.make("ann/demo", {"a.py": TEXT, "b.py": "b = 1\n"})
    made.commit("fix", {"a.py": OTHER}, message="Fix")
    return made


# --- git


def test_clone_push_and_fetch_by_commit(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = _clone(repo, token, tmp_path)
    head = _work(clone, "a = 1\n")
    for kind, branch in (("Basic", "one"), ("Bearer", "two")):
        assert _git(clone, token, "push", "-q", "origin", f"HEAD:{branch}", kind=kind).returncode == 0
        assert repo.head(branch) == head
    assert repo.tree("one") == {"a.py": "a = 1\n", "b.py": "b = 1\n"}
    assert next((c.author, c.committer, c.message) for c in repo.log("one")) == ("Bot", "Bot", "Fix")
    (tmp_path / "bare").mkdir()
    _git(tmp_path / "bare", "", "init", "-q", "--bare")
    assert _git(tmp_path / "bare", token, "fetch", "-q", "--depth=2", repo.url, head).returncode == 0
    assert [w.body for w in forge.writes()] == [[("0" * 40, head, f"refs/heads/{b}")] for b in ("one", "two")]


def test_a_push_larger_than_gits_buffer(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = _clone(repo, token, tmp_path)
    head = _work(clone, "".join(f"{n * n:x}\n" for n in range(3000)))
    assert _git(clone, token, "-c", "http.postBuffer=2000", "push", "-q", "origin", "HEAD:large").returncode == 0
    assert repo.head("large") == head and len(forge.writes()) == 1


def test_who_may_push(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    clone = _clone(repo, "", tmp_path)  # a public repository
    _work(clone, "a = 1\n")
    for token, said in (
        (forge.token(contents="read"), "Permission to ann/demo.git denied to pyro-fix[bot]"),
        ("ghp_unknown", "could not read Username"),  # git asks for another, and may not
        ("", "could not read Username"),
    ):
        done = _git(clone, token, "push", "origin", "HEAD:fix")
        assert done.returncode and said in done.stderr, done.stderr
    repo.private = True
    for token in ("", "ghp_unknown", forge.token(contents="")):
        assert _git(clone, token, "fetch", repo.url).returncode
    repo.git.protect("main")
    assert "GH006" in _git(clone, forge.token(), "push", "origin", "HEAD:main").stderr
    assert repo.log()[0].message == "Start"


def test_a_race_is_seen_before_the_push_and_in_it(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = _clone(repo, token, tmp_path)
    _work(clone, "a = 1\n")
    push = ("push", f"--force-with-lease=fix:{repo.head('fix')}", "origin", "HEAD:fix")
    forge.before("GET", r"info/refs\?service=git-receive-pack", lambda: repo.commit("fix", {"b.py": "b = 2\n"}))
    assert "stale info" in _git(clone, token, *push).stderr
    push = ("push", f"--force-with-lease=fix:{repo.head('fix')}", "origin", "HEAD:fix")
    hook = forge.before("POST", "git-receive-pack$", lambda: repo.commit("fix", {"b.py": "b = 3\n"}))
    assert "[remote rejected]" in _git(clone, token, *push).stderr and hook.left == 0
    assert [c.author for c in repo.log("fix")][:2] == ["Ann", "Ann"]


# --- pull requests


def test_a_pull_request_from_git(forge: ForgeServer, repo: Repo) -> None:
    pull = _asked(forge, repo).create_pull("main", "fix", title="Fix", body="Words", draft=True)
    assert (pull.number, pull.state, pull.draft, pull.title, pull.body) == (1, "open", True, "Fix", "Words")
    assert (pull.head.ref, pull.head.sha, pull.head.repo.full_name) == ("fix", repo.head("fix"), "ann/demo")
    assert (pull.base.ref, pull.base.sha, pull.user.login, pull.user.type) == (
        "main",
        repo.head(),
        "pyro-fix[bot]",
        "Bot",
    )
    assert (pull.merged, pull.mergeable, pull.mergeable_state, pull.commits) == (False, True, "draft", 1)
    (file,) = pull.get_files()
    assert (file.filename, file.status, file.additions, file.deletions) == ("a.py", "modified", 1, 1)
    assert file.patch.startswith("@@ -17,7 +17,7 @@") and file.patch.endswith("line 22\n line 23")
    assert [c.commit.message for c in pull.get_commits()] == ["Fix"]
    assert _asked(forge, repo).get_branch("fix").commit.sha == pull.head.sha


def test_files_of_every_kind(forge: ForgeServer, repo: Repo) -> None:
    files = {"a.py": None, "new.py": TEXT.replace("7", "seven"), "c.py": "c = 1", "b.py": b"\0\1", "d e.sh": "echo\n"}
    repo.commit("kinds", files, start=repo.head())
    repo.commit("", {"c.txt": "of the base: none of its files\n"})
    shown = {f.filename: f for f in _asked(forge, repo).get_pull(repo.open("kinds").number).get_files()}
    assert {name: f.status for name, f in shown.items()} == {
        "b.py": "modified",
        "c.py": "added",
        "d e.sh": "added",
        "new.py": "renamed",
    }
    assert shown["new.py"].previous_filename == "a.py" and shown["b.py"].patch is None
    assert shown["c.py"].patch == "@@ -0,0 +1 @@\n+c = 1\n\\ No newline at end of file"
    forge.longest_patch = 1
    assert [f.patch for f in _asked(forge, repo).get_pull(1).get_files() if f.filename == "new.py"] == [None]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"head": "fix"}, "A pull request already exists for ann:fix."),
        ({"head": "gone"}, "head invalid"),
        ({"head": "stranger:fix"}, "head invalid"),
        ({"base": "gone"}, "base invalid"),
        ({"head": "same"}, "No commits between main and same"),
        ({"body": "x" * 65_537}, "body is too long (maximum is 65536 characters)"),
        ({"title": "x" * 257}, "title is too long (maximum is 256 characters)"),
        ({"title": " "}, "title missing_field"),
        ({"draft": True}, "Draft pull requests are not supported"),
    ],
)
def test_what_cannot_be_opened(forge: ForgeServer, repo: Repo, asked: dict[str, Any], said: str) -> None:
    repo.open("fix")
    repo.commit("more", {"b.py": "b = 2\n"})
    repo.git.set_ref("refs/heads/same", repo.head())
    repo.drafts = False
    with pytest.raises(github.GithubException) as error:
        _asked(forge, repo).create_pull(**({"base": "main", "head": "more", "title": "T", "body": "B"} | asked))
    status, words = _refused(error)
    assert status == 422 and said in words
    assert len(repo.pulls) == 1


def test_a_body_of_the_longest_length(forge: ForgeServer, repo: Repo) -> None:
    assert len(_asked(forge, repo).create_pull("main", "fix", title="T", body="ä" * 65_536).body) == 65_536


def test_lists_in_pages_filtered_and_sorted(forge: ForgeServer, repo: Repo) -> None:
    for number in range(1, 6):
        repo.commit(f"b{number}", {"b.py": f"b = {number}\n"}, start=repo.head())
        repo.open(f"b{number}", title=f"{number}")
    repo.close(2)
    asked = _asked(forge, repo, per_page=2)
    assert [p.number for p in asked.get_pulls(state="all", sort="created", direction="desc")] == [5, 4, 3, 2, 1]
    assert [p.number for p in asked.get_pulls(state="closed")] == [2]
    assert [p.number for p in asked.get_pulls(state="open", head="ann:b3")] == [3]
    assert asked.get_pulls(state="all").totalCount == 5
    assert sum("page=" in request.query for request in forge.log) >= 3
    forge.log.clear()
    assert asked.get_pulls(state="all")[0].merged is False  # not in lists, as on GitHub: asked for
    assert [request.path[-8:] for request in forge.log] == ["mo/pulls", "/pulls/5"]


def test_edit_close_and_reopen(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    pull = _asked(forge, repo).get_pull(1)
    pull.edit(title="New", body="Words")
    pull.convert_to_draft()
    assert repo.pull(1).draft and pull.draft
    pull.mark_ready_for_review()
    pull.edit(state="closed")
    assert (pull.state, pull.merged_at, pull.title, repo.pull(1).draft) == ("closed", None, "New", False)
    pull.edit(state="open")
    head = repo.pull(1).head
    repo.delete_branch("fix")
    pull.update()
    assert (pull.state, pull.head.sha) == ("closed", head)
    with pytest.raises(github.GithubException) as error:
        pull.edit(state="open")
    assert "has been deleted" in _refused(error)[1]
    repo.git.set_ref("refs/heads/fix", head)  # "Restore branch"
    pull.edit(state="open")
    assert pull.state == "open"


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_people_merge(forge: ForgeServer, repo: Repo, how: str) -> None:
    repo.open("fix", title="Fix")
    repo.commit("", {"b.py": "b = 2\n"})
    made = repo.merge(1, how, by="Bob <bob@example.com>", delete_branch=True)
    pull = _asked(forge, repo).get_pull(1)
    assert pull.merged and pull.merged_at is not None and pull.merge_commit_sha == made == repo.head()
    assert (pull.state, pull.merged_by.login, pull.changed_files) == ("closed", "bob", 1)
    assert repo.tree() == {"a.py": OTHER, "b.py": "b = 2\n"}
    assert len(repo.log()[0].parents) == {"merge": 2, "squash": 1}[how]
    assert (repo.log()[0].author, repo.log()[0].committer) == ("Bob", "GitHub")
    assert repo.branches() == ["main"]


def test_conflicts(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    repo.commit("", {"a.py": TEXT.replace("line 20\n", "20\n")})
    pull = _asked(forge, repo).get_pull(1)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    with pytest.raises(Refused, match="not mergeable"):
        repo.merge(1)


def test_what_pushes_do_to_pull_requests(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = _clone(repo, token, tmp_path)
    repo.open("fix")
    head = _work(clone, "a = 2\n")
    assert _git(clone, token, "push", "-qf", "origin", "HEAD:fix").returncode == 0
    assert repo.pulls[1].head == head  # by the push itself, before anything asks
    updated = repo.update_branch(1)
    assert repo.pull(1).head == updated and repo.log("fix")[0].committer == "GitHub"
    assert _git(clone, token, "push", "-qf", "origin", "origin/main:fix").returncode == 0
    assert repo.pull(1).state == "closed" and repo.pull(1).merged is None  # nothing left in it
    repo.commit("more", {"b.py": "b = 2\n"})
    repo.open("more")
    _git(clone, token, "fetch", "-q")
    assert _git(clone, token, "push", "-q", "origin", "origin/more:main").returncode == 0
    assert _asked(forge, repo).get_pull(2).merged


def test_forks(forge: ForgeServer, repo: Repo) -> None:
    fork = repo.fork("stranger")
    fork.commit("pyro-fix/all", {"b.py": "b = 2\n"}, author="Stranger <s@example.com>")
    repo.open("pyro-fix/all", source=fork, by="stranger")
    pull = _asked(forge, repo).get_pull(1)
    assert (pull.head.label, pull.head.repo.full_name) == ("stranger:pyro-fix/all", "stranger/demo")
    assert "pyro-fix/all" not in repo.branches()
    fork.commit("pyro-fix/all", {"b.py": "b = 3\n"})
    assert _asked(forge, repo).get_pull(1).head.sha == fork.head("pyro-fix/all")
    repo.commit("pyro-fix/all", {"b.py": "b = 4\n"})
    assert _asked(forge, repo).create_pull("main", "pyro-fix/all", title="T", body="").number == 2
    _asked(forge, repo).get_git_ref("heads/pyro-fix/all").delete()
    assert {n: p.state for n, p in repo.pulls.items()} == {1: "open", 2: "closed"}
    with pytest.raises(github.GithubException) as error:
        _asked(forge, repo).get_git_ref("heads/pyro-fix/all").delete()
    assert _refused(error)[0] in (404, 422)


# --- comments, reviews, labels


def test_comments(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    repo.comment(1, "of a person")
    issue = _asked(forge, repo).get_issue(1)
    made = issue.create_comment("of the bot")
    assert [(c.user.login, c.user.type, c.body) for c in issue.get_comments()] == [
        ("ann", "User", "of a person"),
        ("pyro-fix[bot]", "Bot", "of the bot"),
    ]
    made.edit("edited")
    assert issue.get_comment(made.id).body == "edited"
    made.delete()
    assert [note.body for note in repo.pull(1).notes] == ["of a person"]
    for body in ("", "x" * 65_537):
        with pytest.raises(github.GithubException) as error:
            issue.create_comment(body)
        assert error.value.status == 422


def test_a_review_and_its_comments(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    asked = _asked(forge, repo)
    pull, head = asked.get_pull(1), asked.get_commit(repo.head("fix") or "")
    comments: list[Any] = [
        {"path": "a.py", "body": "one", "side": "RIGHT", "line": 20},
        {"path": "a.py", "body": "two", "side": "RIGHT", "start_line": 19, "start_side": "RIGHT", "line": 23},
    ]
    review = pull.create_review(head, "Words", "COMMENT", comments)
    assert [(r.body, r.state) for r in pull.get_reviews()] == [("Words", "COMMENTED")]
    one, two = pull.get_review_comments()
    assert (one.path, one.line, one.start_line, one.body) == ("a.py", 20, None, "one")
    assert (two.line, two.start_line, two.pull_request_review_id) == (23, 19, review.id)
    answer = repo.reply(1, one.id, "Why?")
    assert pull.get_review_comment(answer.id).in_reply_to_id == one.id
    two.edit("edited")
    one.delete()
    assert [c.body for c in pull.get_review_comments()] == ["edited", "Why?"]


def test_comments_follow_their_lines_or_are_outdated(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    pull, head = _asked(forge, repo).get_pull(1), _asked(forge, repo).get_commit(repo.head("fix") or "")
    lines = (18, 20)
    pull.create_review(head, "", "COMMENT", [{"path": "a.py", "body": f"{n}", "line": n} for n in lines])
    repo.commit("fix", {"a.py": "first\n" + OTHER.replace("twenty", "XX")})
    assert [(c.line, c.original_line) for c in pull.get_review_comments()] == [(19, 18), (None, 20)]
    repo.commit("fix", {"a.py": TEXT, "b.py": "b = 2\n"})
    assert [c.line for c in pull.get_review_comments()] == [None, None]


@pytest.mark.parametrize(
    ("comment", "said"),
    [
        ({"line": 16}, "Line could not be resolved"),
        ({"line": 24}, "Line could not be resolved"),
        ({"line": 20, "start_line": 16}, "Start line"),
        ({"line": 20, "start_line": 20}, "Start line"),
        ({"line": 1, "path": "b.py"}, "Path could not be resolved"),
        ({"line": 20, "body": ""}, "body missing_field"),
        ({"line": 20, "body": "x" * 65_537}, "Body is too long"),
        ({"line": "20"}, "is not an integer"),
        ({"line": 20, "side": "NEW"}, "is not a member"),
        ({"line": 20, "end_line": 21}, '"end_line" is not a permitted key'),
    ],
)
def test_what_cannot_be_reviewed(forge: ForgeServer, repo: Repo, comment: dict[str, Any], said: str) -> None:
    repo.open("fix")
    pull, head = _asked(forge, repo).get_pull(1), _asked(forge, repo).get_commit(repo.head("fix") or "")
    fine: Any = {"path": "a.py", "body": "fine", "line": 20}
    with pytest.raises(github.GithubException) as error:
        pull.create_review(head, "", "COMMENT", [fine, fine | comment])
    assert _refused(error)[0] == 422 and said in _refused(error)[1]
    assert not repo.pull(1).line_notes and not repo.pull(1).reviews  # all or none


def test_a_review_of_a_commit_that_went(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    pull, head = _asked(forge, repo).get_pull(1), _asked(forge, repo).get_commit(repo.head("fix") or "")
    repo.commit("fix", {"a.py": OTHER + "more\n"}, start=repo.head())
    with pytest.raises(github.GithubException) as error:
        pull.create_review(head, "", "COMMENT", [{"path": "a.py", "body": "words", "line": 20}])
    assert _refused(error) == (422, "Validation Failed end_commit_oid is not part of the pull request")


def test_labels(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    asked = _asked(forge, repo)
    asked.create_label("pyro-fix", "ee4c2c", "fixes")
    for name, colour, said in (("Pyro-Fix", "ee4c2c", "already_exists"), ("new", "#ee4c2c", "invalid")):
        with pytest.raises(github.GithubException) as error:
            asked.create_label(name, colour)
        assert said in _refused(error)[1]
    pull = asked.get_pull(1)
    pull.add_to_labels("pyro-fix", "made of nothing")
    assert [label.name for label in asked.get_pull(1).labels] == ["pyro-fix", "made of nothing"]
    pull.remove_from_labels("made of nothing")
    assert [label.name for label in pull.get_labels()] == ["pyro-fix"]
    with pytest.raises(github.GithubException, match="Label does not exist"):
        pull.remove_from_labels("made of nothing")
    assert {label.name: label.color for label in asked.get_labels()}["pyro-fix"] == "ee4c2c"


# --- rights


def test_rights_of_tokens(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    reader = forge.token(contents="read", pull_requests="read", issues="", installation=True)
    pull = _asked(forge, repo, reader).get_pull(1)
    refused = (403, "Resource not accessible by integration")
    for write in (
        lambda: pull.edit(title="New"),
        lambda: pull.add_to_labels("x"),
        lambda: pull.create_issue_comment("x"),
        lambda: _asked(forge, repo, reader).get_git_ref("heads/fix").delete(),
        lambda: _client(forge, reader).get_user().login,
    ):
        with pytest.raises(github.GithubException) as error:
            write()
        assert _refused(error) == refused
    with pytest.raises(github.GithubException, match="Resource not accessible"):
        pull.convert_to_draft()
    with pytest.raises(github.BadCredentialsException):
        _asked(forge, repo, "ghp_unknown")
    repo.private = True
    with pytest.raises(github.UnknownObjectException):
        _asked(forge, repo, forge.token(contents=""))
    assert (repo.pull(1).title, repo.pull(1).draft, repo.branches()) == ("Work", False, ["fix", "main"])


def test_actions_that_may_open_nothing(forge: ForgeServer, repo: Repo) -> None:
    repo.actions_may_open = False
    token = forge.token("github-actions[bot]", installation=True)
    with pytest.raises(github.GithubException) as error:
        _asked(forge, repo, token).create_pull("main", "fix", title="T", body="B")
    assert _refused(error) == (403, "GitHub Actions is not permitted to create or approve pull requests.")


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
    assert _clone(repo, integration.get_access_token(installation).token, tmp_path).is_dir()
    assert [w.path for w in forge.writes()] == ["/api/v3/repos/ann/demo/pulls"]
    with pytest.raises(github.GithubException) as error:
        integration.get_access_token(installation, permissions={"administration": "write"})
    assert _refused(error)[0] == 422
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
    asked = _asked(forge, repo)
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
    asked = _asked(forge, repo)
    fault = forge.fail("POST", "/pulls$", status, when=when)
    with pytest.raises((github.GithubException, requests.ConnectionError)):
        asked.create_pull("main", "fix", title="T", body="B")
    assert len(repo.pulls) == made and fault.left == 0
    if not made:
        assert asked.create_pull("main", "fix", title="T", body="B").number == 1


def test_a_push_that_came_through_though_it_failed(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = _clone(repo, token, tmp_path)
    head = _work(clone, "a = 1\n", "new")
    forge.fail("POST", "git-receive-pack", 502, when="after")
    assert _git(clone, token, "push", "origin", "new").returncode
    assert repo.head("new") == head


def test_rate_limits_are_waited_for(forge: ForgeServer, repo: Repo) -> None:
    every: Any = {"allowed_methods": None}  # PyGithub's default tries PATCH once
    retry = github.GithubRetry(total=3, secondary_rate_wait=0.01, backoff_factor=0, **every)
    asked = _asked(forge, repo, retry=retry)
    forge.limit("POST", "/pulls$", times=2, seconds=None)
    forge.limit("PATCH", "/pulls/1$", seconds=0)
    asked.create_pull("main", "fix", title="T", body="B").edit(title="U")
    assert [w.status for w in forge.writes()] == [403, 403, 201, 403, 200]
    forge.limit("GET", "/pulls/1$", seconds=None)
    with pytest.raises(github.RateLimitExceededException):
        _asked(forge, repo).get_pull(1)


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
