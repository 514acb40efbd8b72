"""GitLab through the real python-gitlab, against a server that answers as GitLab's documentation shows."""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from gitlab_server import BASE, HEAD, SOMEBODY, START, TOKEN, Server, note, request, serving

from pyro_fix.bot.forge import Comment, Forge, ForgeError, Remark, Repository
from pyro_fix.bot.gitlab import FARTHEST, TRIES, GitLab

pytest.importorskip("gitlab")
NAME = "group/sub/name"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as server:
        monkeypatch.setattr("gitlab.utils.time", SimpleNamespace(sleep=server.waits.append, time=lambda: 0.0))
        yield server


@pytest.fixture
def forge(server: Server) -> GitLab:
    return GitLab(NAME, TOKEN, server.url)


def position(line: int, head: str = HEAD, path: str = "src/a.py") -> dict[str, Any]:
    told = {"base_sha": BASE, "start_sha": START, "head_sha": head, "position_type": "text"}
    return {"type": "DiffNote", "position": {**told, "old_path": path, "new_path": path, "new_line": line}}


def diff(new: str, text: str, old: str = "", **more: Any) -> dict[str, Any]:
    return {
        "old_path": old or new,
        "new_path": new,
        "a_mode": "100644",
        "b_mode": "100644",
        "diff": text,
        "collapsed": False,
        "too_large": False,
        "new_file": False,
        "renamed_file": bool(old),
        "deleted_file": False,
        "generated_file": False,
    } | more


def test_is_a_forge(forge: GitLab) -> None:
    held: Forge = forge
    told = Repository("main", "http://gitlab.example.com/group/sub/name.git")
    assert held.repository() == told


def test_the_url_for_git_holds_no_credentials(server: Server) -> None:
    server.project["http_url_to_repo"] = "http://me:secret@gitlab.example.com:8080/group/sub/name.git"
    told = GitLab(NAME, TOKEN, server.url + "/api/v4/").repository()
    assert told.url == "http://gitlab.example.com:8080/group/sub/name.git"


def test_an_empty_project(server: Server) -> None:
    server.project["default_branch"] = None
    with pytest.raises(ForgeError, match=f"{NAME}: is empty"):
        GitLab(NAME, TOKEN, server.url).repository()


def test_git_is_let_in_by_basic_authentication(forge: GitLab) -> None:
    kind, word = forge.header().removeprefix("Authorization: ").split(" ")
    assert kind == "Basic" and base64.b64decode(word).decode() == f"oauth2:{TOKEN}"


class TestMergeRequests:
    def test_all_states_of_own_branches_newest_first(self, server: Server, forge: GitLab) -> None:
        states = {1: "merged", 2: "closed", 3: "opened", 4: "locked"}
        server.requests = {iid: request(iid, state=state) for iid, state in states.items()}
        server.requests[5] = request(5, source_branch="feature")
        server.requests[6] = request(6, source_project_id=99)
        server.requests[7] = request(7, source_project_id=None)
        told = forge.pulls("pyro-fix/")
        assert [(pull.number, pull.state) for pull in told] == [(4, "open"), (3, "open"), (2, "closed"), (1, "merged")]

    def test_the_token_goes_to_no_other_server(self, server: Server, forge: GitLab) -> None:
        server.links = "http://127.0.0.1:9"
        server.requests = {iid: request(iid) for iid in range(1, 6)}
        assert len(forge.pulls("pyro-fix/")) == 5

    def test_one_of_a_fork_has_no_branch(self, server: Server, forge: GitLab) -> None:
        server.requests[6] = request(6, source_project_id=99)
        assert forge.pull(6).branch == ""
        assert forge.pull(6).head == HEAD

    def test_opening_tells_all(self, server: Server, forge: GitLab) -> None:
        pull = forge.open("pyro-fix/all", "main", "Fix two", "Body", True, ["pyro-fix", "unverified"])
        assert server.requests[1]["title"] == "Draft: Fix two"
        assert (pull.title, pull.draft, pull.body) == ("Fix two", True, "Body")
        assert (pull.branch, pull.base, pull.state, pull.number) == ("pyro-fix/all", "main", "open", 1)
        assert pull.labels == {"pyro-fix", "unverified"}
        assert pull.url == server.requests[1]["web_url"]

    def test_one_that_is_open_already_is_returned(self, server: Server, forge: GitLab) -> None:
        server.requests = {
            1: request(1, state="closed"),
            2: request(2, title="There"),
            3: request(3, source_project_id=9),
        }
        assert forge.open("pyro-fix/all", "main", "Fix", "", False, []).number == 2

    def test_an_answer_that_got_lost(self, server: Server, forge: GitLab) -> None:
        server.fail("POST projects/3/merge_requests", 502, done=True)
        assert forge.open("pyro-fix/all", "main", "Fix", "", False, []).number == 1
        assert len(server.requests) == 1

    def test_updating_sends_what_differs(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(
            1, title="Draft: Fix", description="old", labels=["pyro-fix", "unverified", "mine"]
        )
        forge.update(1, "Fix", "new", False, ["pyro-fix", "more"], ["unverified", "absent"])
        (sent,) = [body for method, _, body in server.asked if method == "PUT"]
        assert sent == {"title": "Fix", "description": "new", "add_labels": "more", "remove_labels": "unverified"}
        assert server.requests[1]["labels"] == ["pyro-fix", "mine", "more"]
        assert not server.requests[1]["draft"]

    def test_updating_sends_nothing_where_nothing_differs(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1, title="Draft: Fix", description=None, labels=["pyro-fix"])
        forge.update(1, "Fix", "", True, ["pyro-fix"], ["unverified"])
        assert server.sent() == []

    def test_closing_forgets_first_and_says_why(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1, description="memory")
        forge.close(1, "forgotten", "Nothing is left.")
        one = "projects/3/merge_requests/1"
        assert server.sent() == [f"PUT {one}", f"POST {one}/notes", f"PUT {one}"]
        assert server.asked[-3][2] == {"description": "forgotten"}
        assert server.requests[1]["state"] == "closed"
        assert server.notes[0]["body"] == "Nothing is left."

    def test_deleting_a_branch_that_may_be_gone(self, server: Server, forge: GitLab) -> None:
        server.branches = {"pyro-fix/all", "main"}
        forge.delete_branch("pyro-fix/all")
        forge.delete_branch("pyro-fix/all")
        assert server.branches == {"main"}


class TestComments:
    def test_own_ones_at_no_line_oldest_first(self, server: Server, forge: GitLab) -> None:
        server.notes = [
            note(13, "second"),
            note(11, "first"),
            note(12, "not mine", SOMEBODY),
            note(14, "changed the title", system=True),
        ]
        server.discussions = [{"id": "d", "individual_note": False, "notes": [note(15, "at a line", **position(3))]}]
        assert forge.comments(1) == [Comment(11, "first"), Comment(13, "second")]

    def test_writing_changing_deleting(self, server: Server, forge: GitLab) -> None:
        forge.comment(1, "words")
        (made,) = forge.comments(1)
        forge.edit_comment(1, made.id, "other words")
        assert forge.comments(1) == [Comment(made.id, "other words")]
        forge.delete_comment(1, made.id)
        assert forge.comments(1) == []


class TestReviews:
    def test_changed_lines(self, server: Server, forge: GitLab) -> None:
        server.diffs = [
            diff(
                "src/a.py",
                "@@ -1,3 +1,4 @@\n one\n-two\n+TWO\n+more\n three\n@@ -9 +10 @@\n-x\n+y\n\\ No newline at end\n",
            ),
            diff("new.py", "@@ -0,0 +1,2 @@\n+a\n+b\n", new_file=True),
            diff("gone.py", "@@ -1 +0,0 @@\n-a\n", deleted_file=True),
            diff("large.py", "", too_large=True),
        ]
        assert forge.changed_lines(1) == {"src/a.py": {2, 3, 10}, "new.py": {1, 2}}

    def test_remarks_are_first_in_their_threads(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        threads = [
            [note(1, "mine", **position(3))],
            [note(2, "answered", **position(4)), note(3, "why?", SOMEBODY, **position(4))],
            [note(4, "outdated", **position(5, head="0" * 40)), note(5, "changed this line", system=True)],
            [note(6, "not mine", SOMEBODY, **position(6)), note(7, "my answer", **position(6))],
            [note(8, "at no line")],
        ]
        server.discussions = [{"id": str(n), "individual_note": False, "notes": t} for n, t in enumerate(threads)]
        assert forge.remarks(1) == [
            Comment(1, "mine", "src/a.py", 3, False),
            Comment(2, "answered", "src/a.py", 4, True),
            Comment(4, "outdated", "src/a.py", None, False),
        ]

    def test_one_review_is_published_at_once(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        server.diffs = [diff("src/a.py", "@@ -1 +1 @@\n-a\n+b\n", old="src/old.py")]
        forge.review(1, HEAD, "One fix.", [Remark("src/a.py", 1, 3, "words")])
        assert [each.partition("merge_requests/1/")[2] for each in server.sent()] == [
            "draft_notes",
            "draft_notes",
            "draft_notes/bulk_publish",
        ]
        first, last = (thread["notes"][0] for thread in server.discussions)
        assert first["body"] == "words"
        assert first["position"] == {
            "base_sha": BASE,
            "start_sha": START,
            "head_sha": HEAD,
            "position_type": "text",
            "old_path": "src/old.py",
            "new_path": "src/a.py",
            "new_line": 3,
            "old_line": None,
        }
        assert last["body"].startswith("One fix.") and "position" not in last
        assert forge.remarks(1)[0].line == 3

    def test_a_request_that_has_moved_on(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        with pytest.raises(ForgeError, match="merge request 1 is at aaaaaaaaaaaa by now, not at cccccccccccc"):
            forge.review(1, "c" * 40, "", [])
        server.requests[1]["diff_refs"] = None
        with pytest.raises(ForgeError, match="has no diff yet"):
            forge.review(1, HEAD, "", [])
        assert server.sent() == []

    @pytest.mark.parametrize(
        "what", ["GET projects/3/merge_requests/1/draft_notes", "POST projects/3/merge_requests/1/draft_notes"]
    )
    def test_threads_where_there_are_no_drafts(self, server: Server, forge: GitLab, what: str) -> None:
        server.requests[1] = request(1)
        server.fail(what, 404, {"error": "404 Not Found"})
        forge.review(1, HEAD, "Whole.", [Remark("src/a.py", 3, 3, "words")])
        bodies = [thread["notes"][0]["body"].partition("\n")[0] for thread in server.discussions]
        assert bodies == ["words", "Whole."]
        assert server.drafts == []

    def test_drafts_that_cannot_be_published_leave_nothing_behind(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        server.fail("POST projects/3/merge_requests/1/draft_notes/bulk_publish", 500, times=TRIES + 1)
        forge.review(1, HEAD, "Whole.", [Remark("src/a.py", 3, 3, "words")])
        assert server.drafts == []
        assert [thread["notes"][0]["body"].partition("\n")[0] for thread in server.discussions] == ["words", "Whole."]

    def test_drafts_that_were_published_after_all(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        server.fail("POST projects/3/merge_requests/1/draft_notes/bulk_publish", 400, done=True)
        forge.review(1, HEAD, "Whole.", [Remark("src/a.py", 3, 3, "words")])
        assert [thread["notes"][0]["body"].partition("\n")[0] for thread in server.discussions] == ["words", "Whole."]

    def test_drafts_of_a_broken_run_go_and_those_of_people_stay(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        server.drafts = [{"id": 1, "note": "x\n\n<!-- pyro-fix: fix 0 -->", "position": None}]
        forge.review(1, HEAD, "Whole.", [])
        assert len(server.discussions) == 1
        server.drafts = [{"id": 1, "note": "a thought", "position": None}]
        forge.review(1, HEAD, "Whole.", [])
        assert [draft["note"] for draft in server.drafts] == ["a thought"]
        assert len(server.discussions) == 2

    def test_changing_and_deleting_a_remark(self, server: Server, forge: GitLab) -> None:
        server.requests[1] = request(1)
        server.discussions = [{"id": "d", "individual_note": False, "notes": [note(1, "mine", **position(3))]}]
        forge.edit_remark(1, 1, "other")
        assert [remark.body for remark in forge.remarks(1)] == ["other"]
        forge.delete_remark(1, 1)
        assert forge.remarks(1) == []

    def test_suggestions(self, forge: GitLab) -> None:
        assert forge.suggestion("a\nb\n", 3, 5) == "```suggestion:-2+0\na\nb\n```"
        assert forge.suggestion("a\n", 3, 3) == "```suggestion:-0+0\na\n```"
        assert forge.suggestion('"""\n```\n"""\n', 3, 3).startswith("````suggestion:-0+0\n")
        assert forge.suggestion("a\n", 1, 2 + FARTHEST).startswith("```python\n")


class TestOrders:
    """Lines that GitLab would carry out."""

    @pytest.mark.parametrize("text", ["/merge", "words\n/approve\nmore", "words\n\r/merge", "````\n/merge\n````"])
    def test_nothing_that_is_sent_begins_a_line_with_a_slash(self, server: Server, forge: GitLab, text: str) -> None:
        server.requests[1] = request(1)
        forge.update(1, "Fix", text, False, [], [])
        forge.close(1, text, text)
        forge.comment(1, text)
        forge.edit_comment(1, server.notes[0]["id"], text)
        forge.review(1, HEAD, text, [Remark("src/a.py", 3, 3, text)])
        server.requests.clear()
        forge.open("pyro-fix/all", "main", "Fix", text, False, [])
        sent = [str(value) for _, _, body in server.asked for value in body.values()]
        assert sum("/" in value for value in sent) >= 7
        lines = [line for value in sent for line in value.replace("\r", "").split("\n")]
        assert [line for line in lines if line.startswith("/")] == []

    def test_code_that_would_be_changed_by_it_is_not_offered(self, forge: GitLab) -> None:
        assert forge.suggestion("x = (a\n/ b)\n", 3, 4).startswith("```python\n")
        assert forge.suggestion("x = (a\n  / b)\n", 3, 4).startswith("```suggestion:-1+0\n")


class TestErrors:
    def test_a_wrong_token(self, server: Server) -> None:
        with pytest.raises(ForgeError) as told:
            GitLab(NAME, "glpat-wrong-and-secret", server.url)
        assert "the token is not accepted (401 401 Unauthorized)" in str(told.value)
        assert "wrong-and-secret" not in str(told.value)

    @pytest.mark.parametrize(
        ("status", "answer", "words"),
        [
            (403, {"error": "insufficient_scope", "error_description": "…", "scope": "api"}, "lacks the scope api"),
            (403, {"message": "403 Forbidden"}, "needs the role Developer"),
            (404, {"message": "404 Not Found"}, "or the token may not see it"),
            (400, {"message": {"labels": ["is\ninvalid"]}}, "answered 400"),
        ],
    )
    def test_what_is_refused(self, server: Server, forge: GitLab, status: int, answer: Any, words: str) -> None:
        server.fail("POST", status, answer)
        with pytest.raises(ForgeError) as told:
            forge.open("pyro-fix/all", "main", "Fix", "", False, [])
        assert words in str(told.value)
        assert NAME in str(told.value) and "\n" not in str(told.value) and TOKEN not in str(told.value)

    def test_a_project_that_is_not_there(self, server: Server) -> None:
        with pytest.raises(ForgeError, match=r"reading the project .*: check --repo"):
            GitLab("other/name", TOKEN, server.url)

    def test_what_is_no_gitlab(self, server: Server) -> None:
        server.fail("GET", 200, b"<html>")
        with pytest.raises(ForgeError, match="no GitLab: check --base-url"):
            GitLab(NAME, TOKEN, server.url)

    def test_nobody_answers(self, server: Server) -> None:
        with pytest.raises(ForgeError, match="GitLab cannot be reached: ConnectionError"):
            GitLab(NAME, TOKEN, "http://127.0.0.1:9")

    @pytest.mark.parametrize("status", [429, 500, 502, 503])
    def test_patience(self, server: Server, forge: GitLab, status: int) -> None:
        server.fail("GET projects/3/merge_requests", status, times=TRIES)
        assert forge.pulls("pyro-fix/") == []
        assert len(server.waits) == TRIES

    @pytest.mark.parametrize(("status", "words"), [(429, "rate limit is used up"), (503, "answered 503 again")])
    def test_patience_has_an_end(self, server: Server, forge: GitLab, status: int, words: str) -> None:
        server.fail("GET projects/3/merge_requests", status, times=TRIES + 1)
        with pytest.raises(ForgeError, match=words):
            forge.pulls("pyro-fix/")

    def test_without_the_extra(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "gitlab", None)
        with pytest.raises(ForgeError, match=r'not installed: pip install "pyro-fix\[bot\]"'):
            GitLab(NAME, TOKEN)
