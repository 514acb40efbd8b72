"""What the bot asks of a place that hosts repositories: GitHub (``github.py``), GitLab (``gitlab.py``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

State = Literal["open", "closed", "merged"]


class ForgeError(Exception):
    """What the forge refuses or cannot do; the message is one line for the user, and holds no token."""


@dataclass(frozen=True)
class Repository:
    """The repository that pull requests are opened in."""

    default_branch: str
    url: str
    """Where git fetches and pushes, over http(s), without credentials."""


@dataclass(frozen=True)
class Pull:
    """A pull request (on GitLab: merge request) as it stands."""

    number: int
    branch: str
    """The branch that it comes from, in the repository itself: those of forks are none of ours."""
    base: str
    """The branch that it is to be merged into."""
    head: str
    """The commit that the branch stood at when the forge was asked."""
    state: State
    title: str
    body: str
    draft: bool
    labels: frozenset[str]
    url: str


@dataclass(frozen=True)
class Comment:
    """A comment of the bot's own; ``path`` is set on one that stands at lines of a diff."""

    id: int
    body: str
    path: str = ""
    line: int | None = None
    """The last line that it is about, in the new file; None where the lines have gone meanwhile."""
    answered: bool = False
    """Whether somebody has answered it."""


@dataclass(frozen=True)
class Remark:
    """A comment to be made at lines of a diff: ``first`` to ``last`` of the new file, 1-based."""

    path: str
    first: int
    last: int
    body: str


class Forge(Protocol):
    """One repository on one forge.  All methods raise :class:`ForgeError`."""

    longest_body: int
    """Characters that a body or comment may have."""

    def repository(self) -> Repository:
        """The repository."""

    def header(self) -> str:
        """The http header by which git may fetch and push: ``Authorization: …``."""

    def pulls(self, prefix: str) -> list[Pull]:
        """Pull requests in any state from the repository's own branches that begin with ``prefix``, newest first."""

    def pull(self, number: int) -> Pull:
        """One pull request, whatever branch it comes from; ``branch`` is empty where that lies in a fork."""

    def open(self, branch: str, base: str, title: str, body: str, draft: bool, labels: Sequence[str]) -> Pull:
        """Open a pull request, or return the one that is open from ``branch`` already."""

    def update(
        self, number: int, title: str, body: str, draft: bool, labels: Sequence[str], gone: Iterable[str]
    ) -> None:
        """Set title, body and whether it is a draft; add ``labels`` and take the labels ``gone`` away."""

    def close(self, number: int, body: str, comment: str) -> None:
        """Set the body, say why, and close."""

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; it may be gone already."""

    def comments(self, number: int) -> list[Comment]:
        """The bot's own comments of a pull request that stand at no line, oldest first."""

    def comment(self, number: int, body: str) -> None:
        """Comment on a pull request."""

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Change a comment of :meth:`comments`."""

    def delete_comment(self, number: int, comment: int) -> None:
        """Delete a comment of :meth:`comments`."""

    def changed_lines(self, number: int) -> Mapping[str, frozenset[int]]:
        """Path -> lines of the new file that the pull request adds or changes."""

    def remarks(self, number: int) -> list[Comment]:
        """The bot's own comments at lines of a pull request's diff."""

    def review(self, number: int, head: str, body: str, remarks: Sequence[Remark]) -> None:
        """Make one review, which neither approves nor refuses, with all ``remarks`` on the commit ``head``."""

    def edit_remark(self, number: int, comment: int, body: str) -> None:
        """Change a comment of :meth:`remarks`."""

    def delete_remark(self, number: int, comment: int) -> None:
        """Delete a comment of :meth:`remarks`."""

    def suggestion(self, text: str, first: int, last: int) -> str:
        """The Markdown by which a reader can take lines ``first`` to ``last`` of the new file replaced by ``text``."""
