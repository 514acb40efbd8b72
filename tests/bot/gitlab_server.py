"""As much of GitLab's REST API as the bot asks of it, over http, in the shapes that its documentation shows.

It is a stand-in: what it answers is what the documentation says, and not what a server was seen to answer.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "glpat-0123456789abcdef"
ME, SOMEBODY = 42, 7
PROJECT = 3
BASE, START, HEAD = "b" * 40, "5" * 40, "a" * 40
PAGE = 2  # short, so that every list takes several

Answer = tuple[int, Any]


def user(number: int) -> dict[str, Any]:
    return {"id": number, "username": f"user{number}", "name": f"User {number}", "state": "active", "avatar_url": None,
            "web_url": f"http://gitlab.example.com/user{number}"}  # fmt: skip


def request(iid: int, **more: Any) -> dict[str, Any]:
    """A merge request as lists and single answers show it."""
    return {
        "id": 1000 + iid,
        "iid": iid,
        "project_id": PROJECT,
        "title": "Fix",
        "description": "",
        "state": "opened",
        "merged_at": None,
        "closed_at": None,
        "created_at": "2026-04-29T08:46:00Z",
        "updated_at": "2026-04-29T08:46:00Z",
        "target_branch": "main",
        "source_branch": "pyro-fix/all",
        "author": user(ME),
        "source_project_id": PROJECT,
        "target_project_id": PROJECT,
        "labels": [],
        "draft": False,
        "work_in_progress": False,
        "merge_status": "can_be_merged",
        "detailed_merge_status": "mergeable",
        "sha": HEAD,
        "merge_commit_sha": None,
        "squash_commit_sha": None,
        "user_notes_count": 0,
        "web_url": f"http://gitlab.example.com/group/sub/name/-/merge_requests/{iid}",
        "diff_refs": {"base_sha": BASE, "head_sha": HEAD, "start_sha": START},
    } | more


def note(number: int, body: str, author: int = ME, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "type": None,
        "body": body,
        "attachment": None,
        "author": user(author),
        "created_at": "2026-04-29T08:46:00Z",
        "updated_at": "2026-04-29T08:46:00Z",
        "system": False,
        "noteable_id": 1001,
        "noteable_type": "MergeRequest",
        "project_id": PROJECT,
        "noteable_iid": 1,
        "resolvable": False,
    } | more


@dataclass
class Server:
    """What a project holds, and what was asked of it."""

    url: str = ""
    links: str = ""
    """Where links to further pages lead, if not to ``url``: a server may not know what it is called from outside."""
    project: dict[str, Any] = field(default_factory=dict)
    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    notes: list[dict[str, Any]] = field(default_factory=list)
    discussions: list[dict[str, Any]] = field(default_factory=list)
    drafts: list[dict[str, Any]] = field(default_factory=list)
    diffs: list[dict[str, Any]] = field(default_factory=list)
    branches: set[str] = field(default_factory=set)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, path and body of every request."""
    broken: list[tuple[str, int, Any, bool]] = field(default_factory=list)
    """The start of ``METHOD path``, status and answer of a request that fails once; whether it is done all the same."""
    waits: list[float] = field(default_factory=list)
    """Seconds that the client would have waited between tries."""
    _next: int = 500

    def fail(self, what: str, status: int, answer: Any = None, times: int = 1, done: bool = False) -> None:
        """Answer requests that begin with ``what`` so."""
        self.broken += [(what, status, answer, done)] * times

    def sent(self) -> list[str]:
        """What was written, in short."""
        return [f"{method} {path}" for method, path, _ in self.asked if method != "GET"]

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        self.asked.append((method, path, body))
        for number, (what, status, answer, done) in enumerate(self.broken):
            if f"{method} {path}".startswith(what):
                del self.broken[number]
                if done:
                    self._right(method, path, query, body)
                return status, answer if answer is not None else {"message": f"{status} broken"}
        return self._right(method, path, query, body)

    def _right(self, method: str, path: str, query: dict[str, str], body: Any) -> Answer:
        if (method, path) == ("GET", "user"):
            return 200, user(ME)
        if not path.startswith(("projects/group/sub/name", f"projects/{PROJECT}")):
            return 404, {"message": "404 Project Not Found"}
        rest = path.removeprefix("projects/group/sub/name").removeprefix(f"projects/{PROJECT}").strip("/")
        for verb, pattern, do in _ROUTES:
            match = re.fullmatch(pattern, rest)
            if match and verb == method:
                return do(self, match, query, body)
        return 404, {"error": "404 Not Found"}

    def number(self) -> int:
        self._next += 1
        return self._next


def _requests(server: Server, _: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    wanted = {key: query[key] for key in ("source_branch", "target_branch") if key in query}
    if query.get("state", "all") != "all":
        wanted["state"] = query["state"]
    return 200, [r for _, r in sorted(server.requests.items(), reverse=True) if wanted.items() <= r.items()]


def _open(server: Server, _: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    for present in server.requests.values():
        if (present["source_branch"], present["state"]) == (body["source_branch"], "opened"):
            words = f"Another open merge request already exists for this source branch: !{present['iid']}"
            return 409, {"message": [words]}
    iid = max(server.requests, default=0) + 1
    labels = body["labels"].split(",") if body["labels"] else []
    told = {key: body[key] for key in ("source_branch", "target_branch", "title", "description")}
    server.requests[iid] = request(iid, **told, labels=labels, draft=body["title"].startswith("Draft: "))
    return 201, server.requests[iid]


def _request(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    found = server.requests.get(int(match[1]))
    return (200, found) if found else (404, {"message": "404 Not found"})


def _update(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    found = server.requests[int(match[1])]
    found |= {key: body[key] for key in ("title", "description") if key in body}
    found["draft"] = found["title"].startswith("Draft: ")
    found["labels"] = [label for label in found["labels"] if label not in body.get("remove_labels", "").split(",")]
    found["labels"] += body["add_labels"].split(",") if "add_labels" in body else []
    found["state"] = {"close": "closed"}.get(body.get("state_event", ""), found["state"])
    return 200, found


def _notes(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    threads = [each for thread in server.discussions for each in thread["notes"]]
    return 200, sorted([*server.notes, *threads], key=lambda n: n["id"], reverse=query.get("sort") != "asc")


def _note(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    server.notes.append(note(server.number(), body["body"]))
    return 201, server.notes[-1]


def _change(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    for found in [*server.notes, *(each for thread in server.discussions for each in thread["notes"])]:
        if found["id"] == int(match[2]):
            found["body"] = body["body"]
            return 200, found
    return 404, {"message": "404 Not found"}


def _drop(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    server.notes = [found for found in server.notes if found["id"] != int(match[2])]
    server.discussions = [thread for thread in server.discussions if thread["notes"][0]["id"] != int(match[2])]
    return 204, None


def _thread(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    position = body.get("position")
    kind = {"type": "DiffNote", "position": position | {"old_line": None}} if position else {"type": "DiscussionNote"}
    first = note(server.number(), body["body"], **kind)
    server.discussions.append({"id": f"{first['id']:040x}", "individual_note": False, "notes": [first]})
    return 201, server.discussions[-1]


def _draft(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    told = {"note": body["note"], "position": body.get("position"), "author_id": ME, "merge_request_id": 1001}
    more = {"resolve_discussion": False, "discussion_id": None, "commit_id": None, "line_code": None}
    server.drafts.append({"id": server.number(), **told, **more})
    return 201, server.drafts[-1]


def _draft_gone(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    server.drafts = [draft for draft in server.drafts if draft["id"] != int(match[2])]
    return 204, None


def _publish(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    for draft in server.drafts:
        _thread(server, match, {}, {"body": draft["note"], "position": draft["position"]})
    server.drafts = []
    return 204, None


def _branch(server: Server, match: re.Match[str], query: dict[str, str], body: Any) -> Answer:
    if match[1] not in server.branches:
        return 404, {"message": "404 Branch Not Found"}
    server.branches.remove(match[1])
    return 204, None


_MR = r"merge_requests/(\d+)"
_ROUTES: list[tuple[str, str, Callable[[Server, re.Match[str], dict[str, str], Any], Answer]]] = [
    ("GET", "", lambda server, *_: (200, server.project)),
    ("GET", "merge_requests", _requests),
    ("POST", "merge_requests", _open),
    ("GET", _MR, _request),
    ("PUT", _MR, _update),
    ("GET", rf"{_MR}/diffs", lambda server, *_: (200, server.diffs)),
    ("GET", rf"{_MR}/notes", _notes),
    ("POST", rf"{_MR}/notes", _note),
    ("PUT", rf"{_MR}/notes/(\d+)", _change),
    ("DELETE", rf"{_MR}/notes/(\d+)", _drop),
    ("GET", rf"{_MR}/discussions", lambda server, *_: (200, server.discussions)),
    ("POST", rf"{_MR}/discussions", _thread),
    ("GET", rf"{_MR}/draft_notes", lambda server, *_: (200, server.drafts)),
    ("POST", rf"{_MR}/draft_notes", _draft),
    ("DELETE", rf"{_MR}/draft_notes/(\d+)", _draft_gone),
    ("POST", rf"{_MR}/draft_notes/bulk_publish", _publish),
    ("DELETE", "repository/branches/(.+)", _branch),
]


@contextmanager
def serving() -> Iterator[Server]:
    """A server with one project, ``group/sub/name``, for as long as the context lasts."""
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else {}
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            if self.headers.get("PRIVATE-TOKEN") != TOKEN:
                status, told = 401, {"message": "401 Unauthorized"}
            else:
                path = unquote(parts.path.removeprefix("/api/v4/"))
                status, told = state.answer(self.command, path, query, sent)
            self._send(status, told, int(query.get("page", "1")), parts.path)

        def _send(self, status: int, told: Any, page: int, path: str) -> None:
            self.send_response(status)
            if isinstance(told, list) and status == 200:
                if told[page * PAGE :]:
                    self.send_header("Link", f'<{state.links or state.url}{path}?page={page + 1}>; rel="next"')
                told = told[(page - 1) * PAGE : page * PAGE]
            data = b"" if told is None else told if isinstance(told, bytes) else json.dumps(told).encode()
            if status != 204:
                self.send_header("Content-Type", "text/html" if isinstance(told, bytes) else "application/json")
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_DELETE = _serve

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        state.url = f"http://127.0.0.1:{http.server_port}"
        state.project = {
            "id": PROJECT,
            "path_with_namespace": "group/sub/name",
            "default_branch": "main",
            "http_url_to_repo": "http://gitlab.example.com/group/sub/name.git",
            "web_url": "http://gitlab.example.com/group/sub/name",
        }
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()
