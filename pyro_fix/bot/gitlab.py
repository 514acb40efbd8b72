"""GitLab, its own servers as well, through python-gitlab.

Tested with the real client against answers as GitLab's documentation of its API shows them, and never yet against a
live server.

In GitLab a line of a description or comment that begins with ``/merge`` or ``/approve`` is an order (a quick action).
What the bot writes may quote a repository that nobody vouches for, so no line of it begins with a slash.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyro_fix.bot.added import added
from pyro_fix.bot.forge import Comment, ForgeError, Pull, Remark, Repository, State

if TYPE_CHECKING:
    from gitlab import Gitlab
    from gitlab.v4.objects import ProjectMergeRequest

SERVER = "https://gitlab.com"
#: Tries again of one request, after 0.1 seconds, 0.2, 0.4 ..., or when the server says.
TRIES = 8
DRAFT = "Draft: "
#: Lines above its comment that a suggestion may replace.
FARTHEST = 100
#: By this the bot knows drafts of its own that a run left behind.
_OURS = "<!-- pyro-fix"
#: GitLab takes carriage returns out before it looks for orders.
_ORDER = re.compile(r"^(?=\r*/)", re.MULTILINE)


class GitLab:
    """One project on GitLab; implements :class:`pyro_fix.bot.forge.Forge`."""

    longest_body = 1_000_000

    def __init__(self, name: str, token: str, base_url: str = "") -> None:
        """``name`` is ``GROUP/NAME``; ``base_url`` that of the server; ``token`` one of a person, group or project."""
        self._name = name
        self._token = token
        self._gitlab = _client((base_url or SERVER).rstrip("/").removesuffix("/api/v4"), token)
        with self._told("reading the project"):
            self._project = self._gitlab.projects.get(name)
        self._requests = self._project.mergerequests

    # --- the project

    def repository(self) -> Repository:
        """The project."""
        told = self._project.attributes
        if not told.get("default_branch"):
            raise ForgeError(f"{self._name}: is empty, or the token may not see its code (scope api, role Developer)")
        parts = urlsplit(str(told["http_url_to_repo"]))
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        return Repository(str(told["default_branch"]), url)

    def header(self) -> str:
        """Basic authentication, which takes tokens of every kind under the name ``oauth2``."""
        word = base64.b64encode(f"oauth2:{self._token}".encode()).decode()
        return f"Authorization: Basic {word}"

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; it may be gone already."""
        import gitlab

        with self._told(f"deleting the branch {branch}"):
            try:
                self._project.branches.delete(branch)
            except gitlab.GitlabError as error:
                if error.response_code != 404:
                    raise

    # --- merge requests

    def pulls(self, prefix: str) -> list[Pull]:
        """All in any state from own branches that begin with ``prefix``, newest first."""
        with self._told("listing merge requests"):
            listed = self._requests.list(
                iterator=True, per_page=100, state="all", order_by="created_at", sort="desc", scope="all"
            )
            return [pull for pull in map(_pull, listed) if pull.branch.startswith(prefix)]

    def pull(self, number: int) -> Pull:
        """One merge request."""
        return _pull(self._request(number))

    def open(self, branch: str, base: str, title: str, body: str, draft: bool, labels: Sequence[str]) -> Pull:
        """Open one, or return the one that is open already."""
        import gitlab

        asked = {
            "source_branch": branch,
            "target_branch": base,
            "title": _titled(title, draft),
            "description": _quiet(body),
            "labels": ",".join(labels),
        }
        with self._told("opening a merge request"):
            try:
                return _pull(self._requests.create(asked))
            except gitlab.GitlabError as error:
                if error.response_code != 409:
                    raise
                # An earlier try came through after all.
                listed = self._requests.list(
                    iterator=True, state="opened", source_branch=branch, target_branch=base, scope="all"
                )
                present = [pull for pull in map(_pull, listed) if pull.branch == branch]
                if not present:
                    raise
                return present[0]

    def update(
        self, number: int, title: str, body: str, draft: bool, labels: Sequence[str], gone: Iterable[str]
    ) -> None:
        """Set what differs, in one request."""
        request = self._request(number)
        told = request.attributes
        wanted = {"title": _titled(title, draft), "description": _quiet(body)}
        asked = {key: value for key, value in wanted.items() if (told[key] or "") != value}
        present = set(told["labels"])
        if missing := [label for label in labels if label not in present]:
            asked["add_labels"] = ",".join(missing)
        if superfluous := sorted(present & set(gone)):
            asked["remove_labels"] = ",".join(superfluous)
        if asked:
            with self._told(f"updating merge request {number}"):
                self._requests.update(number, asked)

    def close(self, number: int, body: str, comment: str) -> None:
        """Forget, say why, close."""
        with self._told(f"closing merge request {number}"):
            # First: closed with its memory, it would count as refused.
            self._requests.update(number, {"description": _quiet(body)})
            self._lazy(number).notes.create({"body": _quiet(comment)})
            self._requests.update(number, {"state_event": "close"})

    # --- comments

    def comments(self, number: int) -> list[Comment]:
        """The bot's own comments that stand at no line."""
        with self._told(f"reading comments of merge request {number}"):
            listed = self._lazy(number).notes.list(iterator=True, per_page=100, order_by="created_at", sort="asc")
            notes = [note.attributes for note in listed]
            return [Comment(note["id"], note["body"]) for note in notes if self._own(note) and not note.get("position")]

    def comment(self, number: int, body: str) -> None:
        """Comment on a merge request."""
        with self._told(f"commenting on merge request {number}"):
            self._lazy(number).notes.create({"body": _quiet(body)})

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Change a comment."""
        with self._told(f"changing a comment on merge request {number}"):
            self._lazy(number).notes.update(comment, {"body": _quiet(body)})

    def delete_comment(self, number: int, comment: int) -> None:
        """Delete a comment."""
        with self._told(f"deleting a comment on merge request {number}"):
            self._lazy(number).notes.delete(comment)

    # --- reviews

    def changed_lines(self, number: int) -> Mapping[str, frozenset[int]]:
        """Path -> lines that are added or changed; files whose diff GitLab does not show are left out."""
        return {
            str(file["new_path"]): frozenset(added(str(file["diff"])))
            for file in self._diffs(number)
            if file.get("diff") and not file.get("deleted_file")
        }

    def remarks(self, number: int) -> list[Comment]:
        """The bot's own comments at lines, each the first of its thread."""
        head = _commits(self._request(number))["head_sha"]
        found = []
        with self._told(f"reading the threads of merge request {number}"):
            for thread in self._lazy(number).discussions.list(iterator=True, per_page=100):
                first, *others = thread.attributes["notes"]
                position = first.get("position")
                if not position or not self._own(first):
                    continue
                # A position is carried along with its lines; it stays at an old commit when these are gone.
                line = position.get("new_line") if position.get("head_sha") == head else None
                answered = any(not other["system"] for other in others)
                found.append(Comment(first["id"], first["body"], position["new_path"], line, answered))
        return found

    def review(self, number: int, head: str, body: str, remarks: Sequence[Remark]) -> None:
        """One review with all ``remarks``: drafts that are published together, or else a thread each."""
        request = self._request(number)
        commits = _commits(request)
        if commits["head_sha"] != head:
            raise ForgeError(f"merge request {number} is at {commits['head_sha'][:12]} by now, not at {head[:12]}")
        before = {file["new_path"]: file["old_path"] for file in self._diffs(number)}
        # The words for the whole come last, so that nobody waits for remarks that a broken run never made.
        notes: list[dict[str, Any]] = [
            {
                "note": _quiet(remark.body),
                "position": {
                    **{name: commits[name] for name in ("base_sha", "start_sha", "head_sha")},
                    "position_type": "text",
                    "old_path": before.get(remark.path, remark.path),
                    "new_path": remark.path,
                    "new_line": remark.last,
                },
            }
            for remark in remarks
        ]
        notes.append({"note": f"{_quiet(body)}\n\n{_OURS} review -->"})
        with self._told(f"reviewing merge request {number}"):
            for note in _published(request, notes):
                words = note.pop("note")
                request.discussions.create({"body": words, **note})

    def edit_remark(self, number: int, comment: int, body: str) -> None:
        """Change a comment at lines."""
        self.edit_comment(number, comment, body)

    def delete_remark(self, number: int, comment: int) -> None:
        """Delete a comment at lines."""
        self.delete_comment(number, comment)

    def suggestion(self, text: str, first: int, last: int) -> str:
        """GitLab's says how many lines above its comment it begins.

        What GitLab would not take over as it stands is shown and not offered.
        """
        longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        takes = last - first <= FARTHEST and not _ORDER.search(text)
        kind = f"suggestion:-{last - first}+0" if takes else "python"
        return f"{fence}{kind}\n{text.rstrip(chr(10))}\n{fence}"

    # --- beneath

    def _request(self, number: int) -> ProjectMergeRequest:
        with self._told(f"reading merge request {number}"):
            return self._requests.get(number)

    def _lazy(self, number: int) -> ProjectMergeRequest:
        """The merge request without asking for it."""
        return self._requests.get(number, lazy=True)

    def _diffs(self, number: int) -> list[Mapping[str, Any]]:
        path = f"/projects/{self._project.encoded_id}/merge_requests/{number}/diffs"
        with self._told(f"reading the files of merge request {number}"):
            return list(self._gitlab.http_list(path, iterator=True, per_page=100))

    @cached_property
    def _me(self) -> object:
        """The id of whoever the token belongs to."""
        told = self._gitlab.http_get("/user")
        return told["id"] if isinstance(told, dict) else None

    def _own(self, note: Mapping[str, Any]) -> bool:
        return not note["system"] and note["author"]["id"] == self._me

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Errors of GitLab as one line that says what to do."""
        import gitlab
        import requests

        try:
            yield
        except gitlab.GitlabError as error:
            raise ForgeError(f"{doing} ({self._name}): {_explained(error)}") from error
        except requests.RequestException as error:
            raise ForgeError(f"{doing} ({self._name}): GitLab cannot be reached: {type(error).__name__}") from error


def _client(server: str, token: str) -> Gitlab:
    try:
        import gitlab
    except ImportError:
        raise ForgeError('python-gitlab is not installed: pip install "pyro-fix[bot]"') from None

    class Patient(gitlab.Gitlab):
        def http_request(self, *arguments: Any, **more: Any) -> Any:
            return super().http_request(*arguments, **{"max_retries": TRIES, "obey_rate_limit": True, **more})

    return Patient(
        server,
        private_token=token,
        timeout=60,
        retry_transient_errors=True,
        keep_base_url=True,  # the token goes to this server and to no other
        user_agent="pyro-fix",
    )


def _published(request: ProjectMergeRequest, notes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make ``notes`` as drafts and publish all at once; returns those that are still to be made in another way."""
    import gitlab

    try:
        pending = list(request.draft_notes.list(iterator=True))
    except gitlab.GitlabError as error:
        if error.response_code not in (403, 404, 405):  # servers before 15.9 know no drafts
            raise
        return list(notes)
    for draft in pending:
        if _OURS not in draft.note:
            return list(notes)  # a person's own, who has not meant to publish it yet
        draft.delete()
    made: dict[int, dict[str, Any]] = {}
    try:
        for note in notes:
            made[request.draft_notes.create(note).id] = note
        request.draft_notes.bulk_publish()
        return []
    except gitlab.GitlabError as error:
        if error.response_code in (None, 401, 429):
            raise
        left = [draft for draft in request.draft_notes.list(iterator=True) if draft.id in made]
        for draft in left:
            draft.delete()
        gone = {id(made[number]) for number in made.keys() - {draft.id for draft in left}}  # published after all
        return [note for note in notes if id(note) not in gone]


def _pull(request: Any) -> Pull:
    told = request.attributes
    inside = told["source_project_id"] == told["target_project_id"]
    states: dict[str, State] = {"closed": "closed", "merged": "merged"}  # opened, and locked while it is merged
    return Pull(
        number=told["iid"],
        branch=told["source_branch"] if inside else "",
        base=told["target_branch"],
        head=told.get("sha") or "",
        state=states.get(told["state"], "open"),
        title=told["title"].removeprefix(DRAFT),
        body=told.get("description") or "",
        draft=bool(told.get("draft")),
        labels=frozenset(told["labels"]),
        url=told["web_url"],
    )


def _commits(request: Any) -> Mapping[str, str]:
    """Between which commits the diff lies: ``base_sha``, ``start_sha``, ``head_sha``."""
    told: Mapping[str, str] | None = request.attributes.get("diff_refs")
    if not told or not told.get("head_sha"):
        raise ForgeError(f"merge request {request.attributes['iid']} has no diff yet: try again later")
    return told


def _titled(title: str, draft: bool) -> str:
    return f"{DRAFT}{title}" if draft else title


def _quiet(text: str) -> str:
    """``text`` without lines that GitLab takes for orders: Markdown does not show a space in front."""
    return _ORDER.sub(" ", text)


def _explained(error: Any) -> str:
    code = error.response_code
    words = " ".join(str(error.error_message).split())[:300]
    if code is None:
        return "what answers is no GitLab: check --base-url"
    if code == 401:
        return f"the token is not accepted (401 {words}): it is wrong, expired or revoked"
    if code == 403 and "insufficient_scope" in words:
        return "the token may not do this (403): it lacks the scope api"
    if code == 403:
        return f"the token may not do this (403 {words}): it needs the role Developer and the scope api"
    if code == 404:
        return "there is no such thing, or the token may not see it (404): check --repo and the token's access"
    if code == 429:
        return f"GitLab's rate limit is used up (429 {words}): try again later"
    if code >= 500:
        return f"GitLab answered {code} again and again: try again later"
    return f"GitLab answered {code}: {words}"
