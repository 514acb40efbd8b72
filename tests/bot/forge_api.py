"""GitHub's REST API over the test forge's model.

Answers are GitHub's, down to the words of its errors where a client could read them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import forge_bodies as bodies
import forge_shapes as shapes
from forge_model import LineNote, Model, Note, Pull, Refused, Repo, Review, Token, now


@dataclass
class Call:
    """One request, its token looked up."""

    model: Model
    token: Token | None
    """None: nobody in particular, who may read what is public."""
    query: Mapping[str, str]
    body: Any
    groups: Mapping[str, str] = field(default_factory=dict)

    @property
    def repo(self) -> Repo:
        """The repository of the path; hidden from those who may not see it."""
        repo = self.model.repositories.get(f"{self.groups['owner']}/{self.groups['name']}".lower())
        if repo is None or (repo.private and (self.token is None or not self.token.may("contents", "read"))):
            raise Refused(404, "Not Found")
        return repo

    @property
    def pull(self) -> Pull:
        """The pull request of the path."""
        return self.repo.pull(int(self.groups["number"]))

    @property
    def author(self) -> Token:
        """Whose token it is, where somebody has to be."""
        if self.token is None:
            raise Refused(401, "Requires authentication")
        return self.token

    def demand(self, permission: str, access: str) -> None:
        """Refuse a token that may not."""
        if access == "write" or self.token is not None:
            may = self.author.may(permission, access)
            kind = "integration" if self.author.installation else "personal access token"
            if not may:
                raise Refused(403, f"Resource not accessible by {kind}")

    def taken(self, fields: Mapping[str, bodies.Field]) -> dict[str, Any]:
        """The body, checked."""
        return bodies.check(self.body, fields)


@dataclass(frozen=True)
class Answer:
    """A status and what to send; a list is cut into pages."""

    data: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Call], Answer]
_ROUTES: list[tuple[str, re.Pattern[str], str, Handler]] = []
_REPO = "/repos/(?P<owner>[^/]+)/(?P<name>[^/]+)"
_ISSUE, _PULL = _REPO + r"/issues/(?P<number>\d+)", _REPO + r"/pulls/(?P<number>\d+)"


def _route(method: str, path: str, permission: str = "metadata") -> Callable[[Handler], Handler]:
    """``permission`` is what a token needs: to read for GET, to write for all else."""

    def register(handler: Handler) -> Handler:
        _ROUTES.append((method, re.compile(path), permission, handler))
        return handler

    return register


def answer(model: Model, method: str, path: str, token: Token | None, query: Mapping[str, str], body: Any) -> Answer:
    """What GitHub would say; raises :class:`Refused`."""
    for known, pattern, permission, handler in _ROUTES:
        found = pattern.fullmatch(path)
        if known == method and found is not None:
            call = Call(model, token, query, body, {name: unquote(held) for name, held in found.groupdict().items()})
            if "owner" in call.groups:
                call.repo.sync()  # and 404 before 403
                call.demand(permission, "read" if method == "GET" else "write")
            told = handler(call)
            return _paged(told, model, path, query) if isinstance(told.data, list) and method == "GET" else told
    raise Refused(418, f"The test forge does not know {method} {path}")  # no 404 or 5xx, which clients take well


def _paged(told: Answer, model: Model, path: str, query: Mapping[str, str]) -> Answer:
    size = min(max(int(query.get("per_page", "30")), 1), 100)
    number, last = int(query.get("page", "1")), max(1, math.ceil(len(told.data) / size))
    links = {"prev": number - 1, "first": 1} if number > 1 else {}
    links |= {"next": number + 1, "last": last} if number < last else {}

    def url(to: int) -> str:
        words = "&".join(f"{name}={value}" for name, value in {**query, "page": to}.items())
        return f"{model.url}/api/v3{path}?{words}"

    headers = {"Link": ", ".join(f'<{url(to)}>; rel="{name}"' for name, to in links.items())} if links else {}
    return Answer(told.data[(number - 1) * size : number * size], told.status, headers)


# --- whoever asks, and the repository


@_route("GET", "/user")
def _user(call: Call) -> Answer:
    if call.author.installation:
        raise Refused(403, "Resource not accessible by integration")
    return Answer(shapes.user(call.author.user, call.model.url))


@_route("GET", _REPO)
def _repository(call: Call) -> Answer:
    writes = call.token is not None and call.token.may("contents", "write")
    rights = {"admin": False, "maintain": False, "push": writes, "triage": writes, "pull": True}
    return Answer(shapes.repository(call.repo, rights if call.token else None))


@_route("GET", _REPO + "/branches", "contents")
def _branches(call: Call) -> Answer:
    git = call.repo.git
    return Answer([shapes.branch(call.repo, name, told) for name in git.heads() if (told := git.commit(name))])


@_route("GET", _REPO + "/branches/(?P<branch>.+)", "contents")
def _branch(call: Call) -> Answer:
    told = call.repo.git.commit(f"refs/heads/{call.groups['branch']}")
    if told is None:
        raise Refused(404, "Branch not found")
    return Answer(shapes.branch(call.repo, call.groups["branch"], told))


@_route("GET", _REPO + "/commits/(?P<commit>[^/]+)", "contents")
def _commit(call: Call) -> Answer:
    told = call.repo.git.commit(call.groups["commit"])
    if told is None:
        raise Refused(422, f"No commit found for SHA: {call.groups['commit']}")
    return Answer(shapes.commit(call.repo, told))


@_route("GET", _REPO + "/git/refs?/heads/(?P<branch>.+)", "contents")
def _ref(call: Call) -> Answer:
    sha = call.repo.head(call.groups["branch"])
    if sha is None:
        raise Refused(404, "Not Found")
    return Answer(shapes.ref(call.repo, call.groups["branch"], sha))


@_route("GET", _REPO + "/git/matching-refs/heads/(?P<prefix>.*)", "contents")
def _refs(call: Call) -> Answer:
    found = {name: sha for name, sha in call.repo.git.heads().items() if name.startswith(call.groups["prefix"])}
    return Answer([shapes.ref(call.repo, name, sha) for name, sha in found.items()])


@_route("DELETE", _REPO + "/git/refs/heads/(?P<branch>.+)", "contents")
def _delete_ref(call: Call) -> Answer:
    branch = call.groups["branch"]
    if call.repo.head(branch) is None:
        raise Refused(422, "Reference does not exist")
    if branch == call.repo.default_branch:
        raise Refused(422, "Cannot delete the default branch")
    call.repo.delete_branch(branch)
    return Answer(status=204)


# --- pull requests


@_route("GET", _REPO + "/pulls", "pull_requests")
def _pulls(call: Call) -> Answer:
    asked = call.query
    state, head, base = asked.get("state", "open"), asked.get("head", ""), asked.get("base", "")
    newest = asked.get("direction", "desc" if asked.get("sort", "created") == "created" else "asc") == "desc"
    found = [
        pull
        for pull in call.repo.pulls.values()
        if state in ("all", pull.state) and base in ("", pull.base) and (":" not in head or head == pull.label)
    ]
    found.sort(key=lambda pull: (pull.updated if asked.get("sort") == "updated" else pull.made, pull.number))
    return Answer([shapes.pull(pull, whole=False) for pull in (found[::-1] if newest else found)])


@_route("POST", _REPO + "/pulls", "pull_requests")
def _open(call: Call) -> Answer:
    body, repo = call.taken(bodies.NEW_PULL), call.repo
    login = call.author.user.login
    if login == "github-actions[bot]" and not repo.actions_may_open:
        raise Refused(403, "GitHub Actions is not permitted to create or approve pull requests.")
    _check_texts(body)
    owner, _, branch = body["head"].rpartition(":")
    source = repo.forge.repositories.get(f"{owner or repo.owner}/{repo.short}".lower(), None)
    if source is None:
        invalid = {"resource": "PullRequest", "field": "head", "code": "invalid"}
        raise Refused(422, "Validation Failed", invalid)
    draft = bool(body.get("draft"))
    made = repo.open(branch, body["title"], body.get("body"), login, body["base"], draft, source)
    made.may_be_modified = bool(body.get("maintainer_can_modify", True))
    return Answer(shapes.pull(made), 201)


@_route("GET", _PULL, "pull_requests")
def _read(call: Call) -> Answer:
    return Answer(shapes.pull(call.pull))


@_route("PATCH", _PULL, "pull_requests")
def _edit(call: Call) -> Answer:
    body, pull = call.taken(bodies.EDITED_PULL), call.pull
    _check_texts(body)
    base = body.get("base", pull.base)
    if call.repo.head(base) is None:
        raise Refused(422, "Validation Failed", {"resource": "PullRequest", "field": "base", "code": "invalid"})
    pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
    pull.updated = now()
    if body.get("state", pull.state) != pull.state:
        if pull.state == "open":
            pull.end()
        else:
            call.repo.reopen(pull.number)
    if base != pull.base:
        pull.base = base
        call.repo.sync()
    return Answer(shapes.pull(pull))


def _check_texts(body: Mapping[str, Any]) -> None:
    bodies.short_enough("PullRequest", body.get("body"))
    bodies.short_enough("PullRequest", body.get("title"), "title", 256)
    if "title" in body and not body["title"].strip():
        missing = {"resource": "PullRequest", "code": "missing_field", "field": "title"}
        raise Refused(422, "Validation Failed", missing)


@_route("GET", _PULL + "/files", "pull_requests")
def _files(call: Call) -> Answer:
    pull = call.pull
    return Answer([shapes.file(pull, changed, call.model.longest_patch) for changed in pull.changed()])


@_route("GET", _PULL + "/commits", "pull_requests")
def _commits(call: Call) -> Answer:
    return Answer([shapes.commit(call.repo, told) for told in call.pull.commits()])


# --- comments below a pull request


@_route("GET", _ISSUE, "issues|pull_requests")
def _issue(call: Call) -> Answer:
    return Answer(shapes.issue(call.pull))


@_route("GET", _ISSUE + "/comments", "issues|pull_requests")
def _notes(call: Call) -> Answer:
    return Answer([shapes.note(call.pull, note) for note in call.pull.notes])


@_route("POST", _ISSUE + "/comments", "issues|pull_requests")
def _add_note(call: Call) -> Answer:
    body = call.taken(bodies.BODY)["body"]
    _check_comment("IssueComment", body)
    note = call.repo.comment(call.pull.number, body, call.author.user.login)
    return Answer(shapes.note(call.pull, note), 201)


_NOTE = _REPO + r"/issues/comments/(?P<id>\d+)"


@_route("GET", _NOTE, "issues|pull_requests")
def _note(call: Call) -> Answer:
    return Answer(shapes.note(*_found(call, lambda pull: pull.notes)))


@_route("PATCH", _NOTE, "issues|pull_requests")
def _edit_note(call: Call) -> Answer:
    pull, note = _found(call, lambda pull: pull.notes)
    note.body = _new_body(call, "IssueComment", note)
    return Answer(shapes.note(pull, note))


@_route("DELETE", _NOTE, "issues|pull_requests")
def _delete_note(call: Call) -> Answer:
    pull, note = _found(call, lambda pull: pull.notes)
    pull.notes.remove(note)
    return Answer(status=204)


def _found(call: Call, of: Callable[[Pull], Sequence[Note]]) -> tuple[Pull, Any]:
    for pull in call.repo.pulls.values():
        for note in of(pull):
            if note.id == int(call.groups["id"]):
                return pull, note
    raise Refused(404, "Not Found")


def _new_body(call: Call, resource: str, note: Note) -> str:
    body = call.taken(bodies.BODY)["body"]
    _check_comment(resource, body)
    note.updated = now()
    return str(body)


def _check_comment(resource: str, body: str) -> None:
    if not body.strip():
        raise Refused(422, "Validation Failed", {"resource": resource, "code": "missing_field", "field": "body"})
    if len(body) > bodies.LONGEST:
        words = f"Body is too long (maximum is {bodies.LONGEST} characters)"
        error = {"resource": resource, "code": "unprocessable", "field": "data", "message": words}
        raise Refused(422, "Validation Failed", error)


# --- reviews, and comments at lines


@_route("GET", _PULL + "/reviews", "pull_requests")
def _reviews(call: Call) -> Answer:
    return Answer([shapes.review(call.pull, review) for review in call.pull.reviews])


@_route("POST", _PULL + "/reviews", "pull_requests")
def _add_review(call: Call) -> Answer:
    body, pull, user = call.taken(bodies.NEW_REVIEW), call.pull, call.author.user
    commit, said, comments = body.get("commit_id", pull.head), body.get("body", ""), body.get("comments", [])
    event = body.get("event", "")
    if not said and not comments:
        raise Refused(422, "Unprocessable Entity", "Review body can't be blank")
    if event == "APPROVE" and user == pull.user:
        raise Refused(422, "Unprocessable Entity", "Can not approve your own pull request")
    if said:
        _check_comment("PullRequestReview", said)
    kind = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}
    review = Review(next(call.model.ids), user, said, kind.get(event, "PENDING"), commit)
    notes = [_line_note(call, pull, review, told) for told in comments]  # all or none
    _in_pull(pull, commit)
    pull.reviews.append(review)
    pull.line_notes += notes
    return Answer(shapes.review(pull, review))


@_route("GET", _PULL + "/comments", "pull_requests")
def _line_notes(call: Call) -> Answer:
    return Answer([shapes.line_note(call.pull, note) for note in call.pull.line_notes])


@_route("POST", _PULL + "/comments", "pull_requests")
def _add_line_note(call: Call) -> Answer:
    body, pull, user = call.taken(bodies.NEW_LINE_NOTE), call.pull, call.author.user
    if "in_reply_to" in body:
        _check_comment("PullRequestReviewComment", body["body"])
        made = call.repo.reply(pull.number, body["in_reply_to"], body["body"], user.login)
        return Answer(shapes.line_note(pull, made), 201)
    for name in ("commit_id", "path"):
        if name not in body:
            raise Refused(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
    review = Review(next(call.model.ids), user, "", "COMMENTED", body["commit_id"])
    made = _line_note(call, pull, review, body)
    pull.reviews.append(review)
    pull.line_notes.append(made)
    return Answer(shapes.line_note(pull, made), 201)


@_route("POST", _PULL + r"/comments/(?P<id>\d+)/replies", "pull_requests")
def _reply(call: Call) -> Answer:
    body = call.taken(bodies.BODY)["body"]
    _check_comment("PullRequestReviewComment", body)
    made = call.repo.reply(call.pull.number, int(call.groups["id"]), body, call.author.user.login)
    return Answer(shapes.line_note(call.pull, made), 201)


def _in_pull(pull: Pull, commit: str) -> None:
    if commit not in {told.sha for told in pull.commits()}:
        words = "end_commit_oid is not part of the pull request"
        error = {"resource": "PullRequestReviewComment", "code": "custom", "field": "end_commit_oid", "message": words}
        raise Refused(422, "Validation Failed", error)


def _line_note(call: Call, pull: Pull, review: Review, told: Mapping[str, Any]) -> LineNote:
    """A comment at lines, which have to lie in one hunk of the diff up to the review's commit."""
    _in_pull(pull, review.commit)
    _check_comment("PullRequestReviewComment", told["body"])
    if "line" not in told:
        raise Refused(422, "Unprocessable Entity", "Line could not be resolved")
    side, last, first = told.get("side", "RIGHT"), told["line"], told.get("start_line")
    changed = {file.path: file for file in pull.changed(review.commit)}.get(told["path"])
    if changed is None:
        raise Refused(422, "Unprocessable Entity", "Path could not be resolved")
    hunk = next((hunk for hunk in changed.hunks if hunk.holds(last, side)), None)
    if hunk is None:
        raise Refused(422, "Unprocessable Entity", "Line could not be resolved")
    if first is not None and not (first < last and hunk.holds(first, told.get("start_side", side))):
        words = "Start line must precede the end line and be part of the same hunk"
        raise Refused(422, "Unprocessable Entity", words)
    note = LineNote(next(call.model.ids), review.user, told["body"], review=review.id, path=told["path"])
    note.commit, note.first, note.last, note.side = review.commit, first, last, side
    note.hunk = changed.patch[:1000]
    return note


_LINE_NOTE = _REPO + r"/pulls/comments/(?P<id>\d+)"


@_route("GET", _LINE_NOTE, "pull_requests")
def _read_line_note(call: Call) -> Answer:
    return Answer(shapes.line_note(*_found(call, lambda pull: pull.line_notes)))


@_route("PATCH", _LINE_NOTE, "pull_requests")
def _edit_line_note(call: Call) -> Answer:
    pull, note = _found(call, lambda pull: pull.line_notes)
    note.body = _new_body(call, "PullRequestReviewComment", note)
    return Answer(shapes.line_note(pull, note))


@_route("DELETE", _LINE_NOTE, "pull_requests")
def _delete_line_note(call: Call) -> Answer:
    pull, note = _found(call, lambda pull: pull.line_notes)
    pull.line_notes.remove(note)
    return Answer(status=204)


# --- labels


@_route("GET", _REPO + "/labels", "issues|pull_requests")
def _labels(call: Call) -> Answer:
    return Answer([shapes.label(call.repo, name) for name in sorted(call.repo.labels)])


@_route("GET", _REPO + "/labels/(?P<label>[^/]+)", "issues|pull_requests")
def _label(call: Call) -> Answer:
    if call.groups["label"] not in call.repo.labels:
        raise Refused(404, "Not Found")
    return Answer(shapes.label(call.repo, call.groups["label"]))


@_route("POST", _REPO + "/labels", "issues|pull_requests")
def _add_label(call: Call) -> Answer:
    body, repo = call.taken(bodies.NEW_LABEL), call.repo
    name, colour = body["name"], body.get("color", "ededed")
    if name.lower() in {known.lower() for known in repo.labels}:
        raise Refused(422, "Validation Failed", {"resource": "Label", "code": "already_exists", "field": "name"})
    if re.fullmatch("[0-9a-fA-F]{6}", colour) is None:
        raise Refused(422, "Validation Failed", {"resource": "Label", "code": "invalid", "field": "color"})
    bodies.short_enough("Label", name, "name", 50)
    bodies.short_enough("Label", body.get("description"), "description", 100)
    repo.add_label(name, colour, body.get("description", ""))
    return Answer(shapes.label(repo, name), 201)


@_route("GET", _ISSUE + "/labels", "issues|pull_requests")
def _pull_labels(call: Call) -> Answer:
    return Answer([shapes.label(call.repo, name) for name in call.pull.labels])


@_route("POST", _ISSUE + "/labels", "issues|pull_requests")
def _label_pull(call: Call) -> Answer:
    told = {"labels": call.body} if isinstance(call.body, list) else call.body
    pull = call.pull
    call.repo.label(pull.number, *bodies.check(told, bodies.LABELS)["labels"])
    return Answer([shapes.label(call.repo, name) for name in pull.labels])


@_route("DELETE", _ISSUE + "/labels", "issues|pull_requests")
def _unlabel_all(call: Call) -> Answer:
    call.pull.labels.clear()
    return Answer(status=204)


@_route("DELETE", _ISSUE + "/labels/(?P<label>[^/]+)", "issues|pull_requests")
def _unlabel(call: Call) -> Answer:
    pull = call.pull
    if call.groups["label"] not in pull.labels:
        raise Refused(404, "Label does not exist")
    pull.labels.remove(call.groups["label"])
    return Answer([shapes.label(call.repo, name) for name in pull.labels])
