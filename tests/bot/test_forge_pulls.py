"""The test forge's pull requests behave as GitHub's do: asked by PyGithub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import github
import pytest
from forge_clients import OTHER, TEXT, cloned, git, reached, refusal, work
from forge_model import Refused, Repo
from forge_server import ForgeServer

# --- pull requests


def test_a_pull_request_from_git(forge: ForgeServer, repo: Repo) -> None:
    pull = reached(forge, repo).create_pull("main", "fix", title="Fix", body="Words", draft=True)
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
    assert reached(forge, repo).get_branch("fix").commit.sha == pull.head.sha


def test_files_of_every_kind(forge: ForgeServer, repo: Repo) -> None:
    files = {"a.py": None, "new.py": TEXT.replace("7", "seven"), "c.py": "c = 1", "b.py": b"\0\1", "d e.sh": "echo\n"}
    repo.commit("kinds", files, start=repo.head())
    repo.commit("", {"c.txt": "of the base: none of its files\n"})
    shown = {f.filename: f for f in reached(forge, repo).get_pull(repo.open("kinds").number).get_files()}
    assert {name: f.status for name, f in shown.items()} == {
        "b.py": "modified",
        "c.py": "added",
        "d e.sh": "added",
        "new.py": "renamed",
    }
    assert shown["new.py"].previous_filename == "a.py" and shown["b.py"].patch is None
    assert shown["c.py"].patch == "@@ -0,0 +1 @@\n+c = 1\n\\ No newline at end of file"
    forge.longest_patch = 1
    assert [f.patch for f in reached(forge, repo).get_pull(1).get_files() if f.filename == "new.py"] == [None]


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
        reached(forge, repo).create_pull(**({"base": "main", "head": "more", "title": "T", "body": "B"} | asked))
    status, words = refusal(error)
    assert status == 422 and said in words
    assert len(repo.pulls) == 1


def test_a_body_of_the_longest_length(forge: ForgeServer, repo: Repo) -> None:
    assert len(reached(forge, repo).create_pull("main", "fix", title="T", body="ä" * 65_536).body) == 65_536


def test_lists_in_pages_filtered_and_sorted(forge: ForgeServer, repo: Repo) -> None:
    for number in range(1, 6):
        repo.commit(f"b{number}", {"b.py": f"b = {number}\n"}, start=repo.head())
        repo.open(f"b{number}", title=f"{number}")
    repo.close(2)
    asked = reached(forge, repo, per_page=2)
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
    pull = reached(forge, repo).get_pull(1)
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
    assert "has been deleted" in refusal(error)[1]
    repo.git.set_ref("refs/heads/fix", head)  # "Restore branch"
    pull.edit(state="open")
    assert pull.state == "open"


@pytest.mark.parametrize("how", ["merge", "squash"])
def test_people_merge(forge: ForgeServer, repo: Repo, how: str) -> None:
    repo.open("fix", title="Fix")
    repo.commit("", {"b.py": "b = 2\n"})
    made = repo.merge(1, how, by="Bob <bob@example.com>", delete_branch=True)
    pull = reached(forge, repo).get_pull(1)
    assert pull.merged and pull.merged_at is not None and pull.merge_commit_sha == made == repo.head()
    assert (pull.state, pull.merged_by.login, pull.changed_files) == ("closed", "bob", 1)
    assert repo.tree() == {"a.py": OTHER, "b.py": "b = 2\n"}
    assert len(repo.log()[0].parents) == {"merge": 2, "squash": 1}[how]
    assert (repo.log()[0].author, repo.log()[0].committer) == ("Bob", "GitHub")
    assert repo.branches() == ["main"]


def test_conflicts(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    repo.commit("", {"a.py": TEXT.replace("line 20\n", "20\n")})
    pull = reached(forge, repo).get_pull(1)
    assert (pull.mergeable, pull.mergeable_state) == (False, "dirty")
    with pytest.raises(Refused, match="not mergeable"):
        repo.merge(1)


def test_what_pushes_do_to_pull_requests(forge: ForgeServer, repo: Repo, tmp_path: Path) -> None:
    token = forge.token()
    clone = cloned(repo, token, tmp_path)
    repo.open("fix")
    head = work(clone, "a = 2\n")
    assert git(clone, token, "push", "-qf", "origin", "HEAD:fix").returncode == 0
    assert repo.pulls[1].head == head  # by the push itself, before anything asks
    updated = repo.update_branch(1)
    assert repo.pull(1).head == updated and repo.log("fix")[0].committer == "GitHub"
    assert git(clone, token, "push", "-qf", "origin", "origin/main:fix").returncode == 0
    assert repo.pull(1).state == "closed" and repo.pull(1).merged is None  # nothing left in it
    repo.commit("more", {"b.py": "b = 2\n"})
    repo.open("more")
    git(clone, token, "fetch", "-q")
    assert git(clone, token, "push", "-q", "origin", "origin/more:main").returncode == 0
    assert reached(forge, repo).get_pull(2).merged


def test_forks(forge: ForgeServer, repo: Repo) -> None:
    fork = repo.fork("stranger")
    fork.commit("pyro-fix/all", {"b.py": "b = 2\n"}, author="Stranger <s@example.com>")
    repo.open("pyro-fix/all", source=fork, by="stranger")
    pull = reached(forge, repo).get_pull(1)
    assert (pull.head.label, pull.head.repo.full_name) == ("stranger:pyro-fix/all", "stranger/demo")
    assert "pyro-fix/all" not in repo.branches()
    fork.commit("pyro-fix/all", {"b.py": "b = 3\n"})
    assert reached(forge, repo).get_pull(1).head.sha == fork.head("pyro-fix/all")
    repo.commit("pyro-fix/all", {"b.py": "b = 4\n"})
    assert reached(forge, repo).create_pull("main", "pyro-fix/all", title="T", body="").number == 2
    reached(forge, repo).get_git_ref("heads/pyro-fix/all").delete()
    assert {n: p.state for n, p in repo.pulls.items()} == {1: "open", 2: "closed"}
    with pytest.raises(github.GithubException) as error:
        reached(forge, repo).get_git_ref("heads/pyro-fix/all").delete()
    assert refusal(error)[0] in (404, 422)


# --- comments, reviews, labels


def test_comments(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    repo.comment(1, "of a person")
    issue = reached(forge, repo).get_issue(1)
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
    asked = reached(forge, repo)
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
    pull, head = reached(forge, repo).get_pull(1), reached(forge, repo).get_commit(repo.head("fix") or "")
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
    pull, head = reached(forge, repo).get_pull(1), reached(forge, repo).get_commit(repo.head("fix") or "")
    fine: Any = {"path": "a.py", "body": "fine", "line": 20}
    with pytest.raises(github.GithubException) as error:
        pull.create_review(head, "", "COMMENT", [fine, fine | comment])
    assert refusal(error)[0] == 422 and said in refusal(error)[1]
    assert not repo.pull(1).line_notes and not repo.pull(1).reviews  # all or none


def test_a_review_of_a_commit_that_went(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    pull, head = reached(forge, repo).get_pull(1), reached(forge, repo).get_commit(repo.head("fix") or "")
    repo.commit("fix", {"a.py": OTHER + "more\n"}, start=repo.head())
    with pytest.raises(github.GithubException) as error:
        pull.create_review(head, "", "COMMENT", [{"path": "a.py", "body": "words", "line": 20}])
    assert refusal(error) == (422, "Validation Failed end_commit_oid is not part of the pull request")


def test_labels(forge: ForgeServer, repo: Repo) -> None:
    repo.open("fix")
    asked = reached(forge, repo)
    asked.create_label("pyro-fix", "ee4c2c", "fixes")
    for name, colour, said in (("Pyro-Fix", "ee4c2c", "already_exists"), ("new", "#ee4c2c", "invalid")):
        with pytest.raises(github.GithubException) as error:
            asked.create_label(name, colour)
        assert said in refusal(error)[1]
    pull = asked.get_pull(1)
    pull.add_to_labels("pyro-fix", "made of nothing")
    repo.label(1, "of a person", "pyro-fix")
    assert [label.name for label in asked.get_pull(1).labels] == ["pyro-fix", "made of nothing", "of a person"]
    pull.remove_from_labels("made of nothing")
    assert [label.name for label in pull.get_labels()] == ["pyro-fix", "of a person"]
    with pytest.raises(github.GithubException, match="Label does not exist"):
        pull.remove_from_labels("made of nothing")
    assert {label.name: label.color for label in asked.get_labels()}["pyro-fix"] == "ee4c2c"
