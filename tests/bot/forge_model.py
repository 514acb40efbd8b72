"""What the test forge knows: repositories, tokens, pull requests; and what people do there, in git itself."""

from __future__ import annotations

import itertools
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from threading import RLock

from forge_git import Bare, Changed, Commit, Content

#: GitHub itself, which commits what is clicked on its pages.
WEB_FLOW = "GitHub <noreply@github.com>"


class Refused(Exception):
    """An answer that is no success; ``errors`` go into its body."""

    def __init__(self, status: int, message: str, *errors: object) -> None:
        super().__init__(message)
        self.status, self.message, self.errors = status, message, list(errors)


def now() -> datetime:
    """The time, to the second, as in GitHub's answers."""
    return datetime.now(timezone.utc).replace(microsecond=0)


@dataclass(frozen=True)
class User:
    """Somebody, or an app's bot."""

    login: str
    id: int

    @property
    def kind(self) -> str:
        return "Bot" if self.login.endswith("[bot]") else "User"


@dataclass(frozen=True)
class Token:
    """What a token may do: permission -> ``read`` or ``write``."""

    value: str
    user: User
    permissions: Mapping[str, str]
    installation: bool = False
    """One of an app or of Actions: it is told no user."""

    def may(self, permission: str, access: str) -> bool:
        """``permission`` may name several by ``|``: any will do."""
        held = {self.permissions.get(name) for name in permission.split("|")}
        return "write" in held or (access == "read" and "read" in held)


@dataclass
class Note:
    """A comment below a pull request."""

    id: int
    user: User
    body: str
    made: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)


@dataclass
class LineNote(Note):
    """A comment at lines of a diff (GitHub: review comment)."""

    review: int | None = None
    path: str = ""
    commit: str = ""
    """The commit that its lines are of."""
    first: int | None = None
    last: int = 0
    side: str = "RIGHT"
    hunk: str = ""
    reply_to: int | None = None


@dataclass
class Review:
    """A review, whose comments are kept with the pull request's."""

    id: int
    user: User
    body: str
    state: str
    commit: str
    made: datetime = field(default_factory=now)


@dataclass
class Pull:
    """A pull request; what depends on git is brought up to date by :meth:`Repo.sync`."""

    id: int
    number: int
    repo: Repo
    source: Repo
    """Where its branch lies: the repository itself, or a fork."""
    branch: str
    base: str
    head: str
    start: str
    """The commit that the base branch stood at when it was last looked at; a closed one keeps it."""
    title: str
    body: str | None
    draft: bool
    user: User
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    line_notes: list[LineNote] = field(default_factory=list)
    reviews: list[Review] = field(default_factory=list)
    made: datetime = field(default_factory=now)
    updated: datetime = field(default_factory=now)
    closed: datetime | None = None
    merged: datetime | None = None
    merger: User | None = None
    merge_commit: str | None = None
    may_be_modified: bool = True

    @property
    def label(self) -> str:
        """``OWNER:BRANCH``."""
        return f"{self.source.owner}:{self.branch}"

    def changed(self, commit: str = "") -> list[Changed]:
        """The files that it changes (or did up to ``commit``)."""
        return self.repo.git.changed(self.start, commit or self.head)

    def commits(self) -> list[Commit]:
        """Its commits, oldest first."""
        return self.repo.git.log(f"{self.start}..{self.head}", "--reverse")

    def lines_now(self, note: LineNote) -> tuple[int | None, int | None]:
        """First and last line of a comment in the present diff; the last is None where they changed or left it."""
        hunks = {file.path: file.hunks for file in self.changed()}.get(note.path, ())
        lines = []
        for line in (note.first, note.last):
            there = self.repo.git.line_now(note.path, line, note.commit, self.head) if line else None
            held = there is not None and any(hunk.holds(there, note.side) for hunk in hunks)
            lines.append(there if held else None)
        return (lines[0] if lines[1] else None), lines[1]

    def end(self, merged_by: User | None = None, commit: str | None = None) -> None:
        """Close it; with ``commit``, as merged by that."""
        self.state, self.closed, self.updated = "closed", now(), now()
        if commit is not None:
            self.merged, self.merger, self.merge_commit = self.closed, merged_by, commit


class Repo:
    """A repository of the forge, with what people do to it.  Everybody may do everything here: rights are a token's."""

    def __init__(self, forge: Model, name: str, git: Bare, default_branch: str, parent: Repo | None = None) -> None:
        self.forge, self.name, self.git, self.default_branch, self.parent = forge, name, git, default_branch, parent
        self.owner, _, self.short = name.partition("/")
        self.id = next(forge.ids)
        self.made = now()
        self.private = False
        self.drafts = True
        """Whether drafts may be opened: private repositories of free plans have none."""
        self.actions_may_open = True
        """Whether the settings let Actions open pull requests; GitHub's default is no."""
        self.pulls: dict[int, Pull] = {}
        self.labels: dict[str, tuple[int, str, str]] = {}
        """Name -> id, colour and description."""

    @property
    def url(self) -> str:
        """Where git fetches and pushes."""
        return f"{self.forge.url}/{self.name}.git"

    # --- what is there

    def head(self, branch: str = "") -> str | None:
        """The commit that a branch (the default one) stands at; None where there is none."""
        return self.git.head(branch or self.default_branch)

    def branches(self) -> list[str]:
        """Names of the branches, sorted."""
        return sorted(self.git.heads())

    def log(self, branch: str = "") -> list[Commit]:
        """The commits of a branch, newest first."""
        return self.git.log(f"refs/heads/{branch or self.default_branch}")

    def tree(self, branch: str = "") -> dict[str, str]:
        """Path -> text of the files of a branch."""
        return self.git.tree(f"refs/heads/{branch or self.default_branch}")

    def pull(self, number: int) -> Pull:
        """A pull request as it stands."""
        with self.forge.lock:
            self.sync()
            if number not in self.pulls:
                raise Refused(404, "Not Found")
            return self.pulls[number]

    # --- what people do

    def commit(
        self,
        branch: str = "",
        files: Mapping[str, Content] | None = None,
        author: str = "Ann <ann@example.com>",
        message: str = "Work",
        start: str | None = None,
    ) -> str:
        """Commit as ``author`` on a branch, or on the commit ``start``: that makes a branch, or forces it elsewhere."""
        branch = branch or self.default_branch
        with self.forge.lock:
            start = start or self.head(branch) or self.head()
            made = self.git.write(branch, files or {}, author, message, start, self.forge.seconds())
            self.sync()
        return made

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; its pull request closes."""
        with self.forge.lock:
            self.git.delete(branch)
            self.sync()

    def open(
        self,
        branch: str,
        title: str = "Work",
        body: str | None = "",
        by: str = "ann",
        base: str = "",
        draft: bool = False,
        source: Repo | None = None,
    ) -> Pull:
        """Open a pull request from a branch, of ``source`` where that is a fork."""
        source, base, user = source or self, base or self.default_branch, self.forge.user(by)
        with self.forge.lock:
            self.sync()
            head, start = source.git.head(branch), self.git.head(base)
            for where, commit in (("head", head), ("base", start)):
                if commit is None:
                    raise _invalid({"resource": "PullRequest", "field": where, "code": "invalid"})
            assert head is not None and start is not None
            self._fetch(source, head)
            if self.git.merge_base(start, head) is None:
                raise _custom(f"The {branch} branch has no history in common with {base}")
            if self.git.has_ancestor(head, start):
                raise _custom(f"No commits between {base} and {branch}")
            number = next(self.forge.numbers[self.name])
            pull = Pull(next(self.forge.ids), number, self, source, branch, base, head, start, title, body, draft, user)
            if any(other.state == "open" and _same(other, pull) for other in self.pulls.values()):
                raise _custom(f"A pull request already exists for {pull.label}.")
            if draft and not self.drafts:
                raise Refused(422, "Draft pull requests are not supported in this repository.")
            self.pulls[pull.number] = pull
            self.git.set_ref(f"refs/pull/{number}/head", head)
        return pull

    def merge(
        self, number: int, how: str = "merge", by: str = "Ann <ann@example.com>", delete_branch: bool = False
    ) -> str:
        """Merge a pull request (``how``: ``merge`` or ``squash``); returns the commit."""
        with self.forge.lock:
            pull = self.pull(number)
            tree = self.git.merged_tree(pull.start, pull.head)
            if pull.state != "open" or pull.draft or tree is None:
                raise Refused(405, "Pull Request is not mergeable")
            if how == "squash":
                parents, message = [pull.start], f"{pull.title} (#{number})"
            else:
                parents, message = [pull.start, pull.head], f"Merge pull request #{number} from {pull.label}"
            made = self.git.make_commit(tree, parents, by, WEB_FLOW, message)
            self.git.set_ref(f"refs/heads/{pull.base}", made)
            pull.end(self.forge.user(login_of(by)), made)
            if delete_branch:
                self.git.delete(pull.branch)
            self.sync()
        return made

    def update_branch(self, number: int, by: str = "Ann <ann@example.com>") -> str:
        """Merge the base into a pull request's branch, as the button does; returns the commit."""
        with self.forge.lock:
            pull = self.pull(number)
            tree = self.git.merged_tree(pull.head, pull.start)
            assert tree is not None, "they conflict"
            message = f"Merge branch '{pull.base}' into {pull.branch}"
            made = self.git.make_commit(tree, [pull.head, pull.start], by, WEB_FLOW, message)
            self.git.set_ref(f"refs/heads/{pull.branch}", made)
            self.sync()
        return made

    def close(self, number: int) -> None:
        """Close a pull request without merging it."""
        with self.forge.lock:
            self.pull(number).end()

    def reopen(self, number: int) -> None:
        """Open a closed one again, if its branch is where it was."""
        with self.forge.lock:
            pull = self.pull(number)
            at = pull.source.git.head(pull.branch)
            why = f"The {pull.branch} branch was force-pushed or recreated." if at != pull.head else ""
            why = f"The {pull.branch} branch has been deleted." if at is None else why
            if any(other.state == "open" and _same(other, pull) for other in self.pulls.values()):
                why = f"There is already an open pull request from {pull.branch} to {pull.base}."
            if pull.merged or why:
                raise _custom(f"state cannot be changed. {why}".strip(), field="state")
            pull.state, pull.closed, pull.updated = "open", None, now()

    def edit(self, number: int, **fields: str) -> None:
        """Change ``title`` or ``body`` of a pull request."""
        pull = self.pull(number)
        pull.title, pull.body = fields.get("title", pull.title), fields.get("body", pull.body)
        pull.updated = now()

    def label(self, number: int, *names: str) -> None:
        """Put labels on a pull request."""
        pull = self.pull(number)
        for name in names:
            self.add_label(name)
            if name not in pull.labels:
                pull.labels.append(name)

    def comment(self, number: int, body: str, by: str = "ann") -> Note:
        """Comment on a pull request."""
        note = Note(next(self.forge.ids), self.forge.user(by), body)
        self.pull(number).notes.append(note)
        return note

    def reply(self, number: int, comment: int, body: str, by: str = "ann") -> LineNote:
        """Answer a comment at lines of a diff."""
        pull = self.pull(number)
        first = next((note for note in pull.line_notes if note.id == comment), None)
        if first is None:
            raise Refused(404, "Not Found")
        review = Review(next(self.forge.ids), self.forge.user(by), "", "COMMENTED", pull.head)
        pull.reviews.append(review)
        place = {"path": first.path, "commit": first.commit, "first": first.first, "last": first.last}
        place |= {"side": first.side, "hunk": first.hunk}
        made = LineNote(next(self.forge.ids), review.user, body, review=review.id, **place)  # type: ignore[arg-type]
        made.reply_to = first.reply_to or first.id
        pull.line_notes.append(made)
        return made

    def fork(self, owner: str) -> Repo:
        """A fork with all branches."""
        with self.forge.lock:
            made = self.forge.repository(f"{owner}/{self.short}", None, self.default_branch, self)
            made._fetch(self, "+refs/heads/*:refs/heads/*")
        return made

    # --- beneath

    def add_label(self, name: str, colour: str = "ededed", description: str = "") -> None:
        """Make a label that is not there."""
        self.labels.setdefault(name, (next(self.forge.ids), colour, description))

    def sync(self) -> None:
        """Look in git at what pushes, of whomever, have done to the open pull requests."""
        pulls = [pull for pull in self.pulls.values() if pull.state == "open"]
        heads = {source: source.git.heads() for source in {self, *(pull.source for pull in pulls)}} if pulls else {}
        for pull in pulls:
            head, start = heads[pull.source].get(pull.branch), heads[self].get(pull.base)
            if (head, start) == (pull.head, pull.start):
                continue
            if head is None or start is None:
                pull.end()
                continue
            if head != pull.head:
                self._fetch(pull.source, head)
                self.git.set_ref(f"refs/pull/{pull.number}/head", head)
                pull.updated = now()
            if self.git.has_ancestor(head, start):
                # The base got its commits by a push, or the branch lost them by one.
                pull.end(pull.user, start if head == pull.head else None)
                pull.head = head
                continue
            pull.head, pull.start = head, start

    def _fetch(self, source: Repo, what: str) -> None:
        if source is not self:
            self.git.git("fetch", "--quiet", "--no-tags", str(source.git.folder), what)


class Model:
    """All repositories, people and tokens of a forge."""

    url = ""
    longest_patch = 3000
    """Lines of a patch, beyond which the list of files leaves it out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = RLock()
        self.ids = itertools.count(1_000_001)
        self.repositories: dict[str, Repo] = {}
        self.numbers: dict[str, itertools.count[int]] = {}
        self.tokens: dict[str, Token] = {}
        self._users: dict[str, User] = {}
        self._seconds = itertools.count(int(time.time()) - 100_000)

    def seconds(self) -> int:
        """A date for a commit: each has its own, so that logs have one order."""
        return next(self._seconds)

    def user(self, login: str) -> User:
        """Whoever has a login."""
        return self._users.setdefault(login.lower(), User(login, next(self.ids)))

    def token(
        self,
        login: str = "pyro-fix[bot]",
        contents: str = "write",
        pull_requests: str = "write",
        issues: str = "write",
        installation: bool = False,
    ) -> str:
        """A new token; a permission is ``write``, ``read`` or ``""``; see :class:`Token` for ``installation``."""
        value = f"{'ghs' if installation else 'ghp'}_{next(self.ids):036d}"
        held = {"contents": contents, "pull_requests": pull_requests, "issues": issues}
        held = {name: access for name, access in held.items() if access} | {"metadata": "read"}
        self.tokens[value] = Token(value, self.user(login), held, installation)
        return value

    def make(self, name: str, files: Mapping[str, Content], default_branch: str = "main") -> Repo:
        """A repository ``OWNER/NAME`` with one commit."""
        return self.repository(name, files, default_branch, None)

    def repository(
        self, name: str, files: Mapping[str, Content] | None, default_branch: str, parent: Repo | None
    ) -> Repo:
        """A repository with one commit, or with none."""
        assert name.lower() not in self.repositories and re.fullmatch(r"[\w.-]+/[\w.-]+", name)
        folder = self.folder / f"{name}.git"
        repo = self._repo(name, Bare.create(folder, default_branch), default_branch, parent)
        self.repositories[name.lower()] = repo
        self.numbers[name] = itertools.count(1)
        if files is not None:
            repo.commit(default_branch, files, message="Start")
        return repo

    def _repo(self, name: str, git: Bare, default_branch: str, parent: Repo | None) -> Repo:
        return Repo(self, name, git, default_branch, parent)

    def forget(self) -> None:
        """Remove everything, the folder too."""
        shutil.rmtree(self.folder, ignore_errors=True)


def login_of(author: str) -> str:
    """A login for ``NAME <ADDRESS>``."""
    return author.partition(" <")[0].lower().replace(" ", "-")


def _same(one: Pull, other: Pull) -> bool:
    return one is not other and (one.source, one.branch, one.base) == (other.source, other.branch, other.base)


def _invalid(*errors: object) -> Refused:
    return Refused(422, "Validation Failed", *errors)


def _custom(message: str, **more: str) -> Refused:
    return _invalid({"resource": "PullRequest", "code": "custom", **more, "message": message})
