"""GitHub, and GitHub Enterprise, through PyGithub: REST, and GraphQL for what REST cannot do (drafts)."""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pyro_fix.bot.added import added
from pyro_fix.bot.forge import Comment, ForgeError, Pull, Remark, Repository, State

if TYPE_CHECKING:
    from github.Auth import Auth
    from github.NamedUser import NamedUser
    from github.Organization import Organization
    from github.PullRequest import PullRequest

API = "https://api.github.com"
#: Tries of one request (rate limits and 5xx), and seconds that a rate limit is waited for at most.
TRIES, LONGEST_WAIT = 6, 900.0
_COLOURS = {"unverified": "fbca04"}


def with_token(name: str, token: str, base_url: str = "", patience: float = 1.0) -> GitHub:
    """The repository ``name`` by a personal token, or by the ``GITHUB_TOKEN`` of Actions."""
    _installed()
    from github import Auth

    return GitHub(name, Auth.Token(token), base_url, patience)


def as_app(name: str, app: str, key: str, base_url: str = "", patience: float = 1.0) -> GitHub:
    """The repository ``name`` as the GitHub App ``app``, whose private key ``key`` is (PEM)."""
    _installed()
    import github
    import jwt
    import requests

    try:
        asking = github.Auth.AppAuth(app, key)
        integration = github.GithubIntegration(auth=asking, base_url=base_url or API, per_page=100)
        installation = integration.get_repo_installation(*name.split("/"))
        return GitHub(name, asking.get_installation_auth(installation.id), base_url, patience)
    except github.GithubException as error:
        if error.status == 404:
            raise ForgeError(f"the App {app} is not installed on {name}") from error
        raise ForgeError(f"the App {app}: {_explained(error)}") from error
    except requests.RequestException as error:
        raise ForgeError(_unreached(error)) from error
    except (ValueError, TypeError, jwt.PyJWTError) as error:
        raise ForgeError("--private-key: holds no private key that can sign (PEM, RSA)") from error


def _installed() -> None:
    try:
        import github  # noqa: F401
    except ImportError:
        raise ForgeError('PyGithub is not installed: pip install "pyro-fix[bot]"') from None


class GitHub:
    """One repository on GitHub; implements :class:`pyro_fix.bot.forge.Forge`."""

    longest_body = 65_536

    def __init__(self, name: str, auth: Auth, base_url: str = "", patience: float = 1.0) -> None:
        """``name`` is ``OWNER/NAME``; ``base_url`` that of an Enterprise server's API, as
        ``https://HOST/api/v3``; ``patience`` the factor of the waits between tries, in seconds."""
        import github

        logging.getLogger("github").setLevel(logging.ERROR)  # it tells of every try again
        retry = github.GithubRetry(
            total=TRIES,
            connect=2,
            allowed_methods=None,  # all of them: what was carried out twice is found and mended by the next run
            backoff_factor=patience,
            secondary_rate_wait=60 * patience,
            max_rate_limit_wait=LONGEST_WAIT,
        )
        self._name = name
        self._auth = auth
        self._github = github.Github(
            auth=auth,
            base_url=base_url or API,
            retry=retry,
            per_page=100,
            timeout=60,
            seconds_between_requests=0,
            seconds_between_writes=min(patience, 1.0),
            user_agent="pyro-fix",
        )
        with self._told("reading the repository"):
            self._repository = self._github.get_repo(name)

    # --- the repository

    def repository(self) -> Repository:
        """The repository."""
        repository = self._repository
        parts = urlsplit(repository.clone_url)
        return Repository(repository.default_branch, parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl())

    def header(self) -> str:
        """Basic authentication, which GitHub's git wants for tokens of every kind."""
        with self._told("asking for a token"):
            token = self._auth.token
        word = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        return f"Authorization: Basic {word}"

    def delete_branch(self, branch: str) -> None:
        """Delete a branch; it may be gone already."""
        import github

        with self._told(f"deleting the branch {branch}"):
            try:
                self._repository.get_git_ref(f"heads/{branch}").delete()
            except github.GithubException as error:
                if error.status not in (404, 422):
                    raise

    # --- pull requests

    def pulls(self, prefix: str) -> list[Pull]:
        """All in any state from own branches that begin with ``prefix``, newest first."""
        with self._told("listing pull requests"):
            listed = self._repository.get_pulls(state="all", sort="created", direction="desc")
            return [pull for pull in map(self._pull, listed) if pull.branch.startswith(prefix)]

    def pull(self, number: int) -> Pull:
        """One pull request."""
        with self._told(f"reading pull request {number}"):
            return self._pull(self._repository.get_pull(number))

    def open(self, branch: str, base: str, title: str, body: str, draft: bool, labels: Sequence[str]) -> Pull:
        """Open one, as no draft where the plan of the owner has none; or return the one that is open already."""
        import github

        with self._told("opening a pull request"):
            try:
                made = self._repository.create_pull(base, branch, title=title, body=body, draft=draft)
            except github.GithubException as error:
                words = str(error.data)
                if error.status == 422 and "already exists" in words:  # an earlier try came through after all
                    owner = self._name.partition("/")[0]
                    made = self._repository.get_pulls(state="open", head=f"{owner}:{branch}")[0]
                elif error.status == 422 and draft and "raft" in words:
                    made = self._repository.create_pull(base, branch, title=title, body=body)
                else:
                    raise
        self._label(made, labels, ())
        return self._pull(made)

    def update(
        self, number: int, title: str, body: str, draft: bool, labels: Sequence[str], gone: Iterable[str]
    ) -> None:
        """Set what differs."""
        import github

        with self._told(f"updating pull request {number}"):
            pull = self._repository.get_pull(number)
            if pull.title != title or (pull.body or "") != body:
                pull.edit(title=title, body=body)
            if pull.draft != draft:
                try:
                    pull.convert_to_draft() if draft else pull.mark_ready_for_review()
                except github.GithubException as error:
                    logging.getLogger(__name__).info("draft: %s", error)  # not to be had everywhere; the label says it
        self._label(pull, labels, gone)

    def _label(self, pull: PullRequest, labels: Sequence[str], gone: Iterable[str]) -> None:
        """Labels help people to filter; a token that may not set them is no reason to fail."""
        import github

        present = {label.name for label in pull.labels}
        try:
            with self._told("labelling"):
                missing = [label for label in labels if label not in present]
                if missing:
                    self._make_labels(missing)
                    pull.add_to_labels(*missing)
                for label in present & set(gone):
                    pull.remove_from_labels(label)
        except ForgeError as error:
            if not isinstance(error.__cause__, github.GithubException) or error.__cause__.status not in (403, 404, 422):
                raise

    def _make_labels(self, labels: Iterable[str]) -> None:
        import github

        for label in labels:
            try:
                self._repository.create_label(label, _COLOURS.get(label, "ee4c2c"))
            except github.GithubException as error:
                if error.status != 422:  # it exists
                    raise

    def close(self, number: int, body: str, comment: str) -> None:
        """Forget, say why, close."""
        with self._told(f"closing pull request {number}"):
            pull = self._repository.get_pull(number)
            pull.edit(body=body)  # first: closed with its memory, it would count as refused
            pull.create_issue_comment(comment)
            pull.edit(state="closed")

    # --- comments

    def comments(self, number: int) -> list[Comment]:
        """The bot's own comments that stand at no line."""
        with self._told(f"reading comments of pull request {number}"):
            me = self._me()
            listed = self._repository.get_pull(number).get_issue_comments()
            return [Comment(c.id, c.body or "") for c in listed if _by(c.user, me)]

    def comment(self, number: int, body: str) -> None:
        """Comment on a pull request."""
        with self._told(f"commenting on pull request {number}"):
            self._repository.get_pull(number).create_issue_comment(body)

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Change a comment."""
        with self._told(f"changing a comment on pull request {number}"):
            self._repository.get_pull(number).get_issue_comment(comment).edit(body)

    def delete_comment(self, number: int, comment: int) -> None:
        """Delete a comment."""
        with self._told(f"deleting a comment on pull request {number}"):
            self._repository.get_pull(number).get_issue_comment(comment).delete()

    # --- reviews

    def changed_lines(self, number: int) -> Mapping[str, frozenset[int]]:
        """Path -> lines that are added or changed; files whose diff GitHub does not show are left out."""
        with self._told(f"reading the files of pull request {number}"):
            files = self._repository.get_pull(number).get_files()
            return {file.filename: frozenset(added(file.patch)) for file in files if file.patch}

    def remarks(self, number: int) -> list[Comment]:
        """The bot's own comments at lines."""
        with self._told(f"reading the reviews of pull request {number}"):
            me = self._me()
            listed = list(self._repository.get_pull(number).get_review_comments())
        answered = {comment.in_reply_to_id for comment in listed}
        return [Comment(c.id, c.body or "", c.path, c.line, c.id in answered) for c in listed if _by(c.user, me)]

    def review(self, number: int, head: str, body: str, remarks: Sequence[Remark]) -> None:
        """One review with all ``remarks``."""
        comments: list[Any] = [
            {"path": remark.path, "body": remark.body, "side": "RIGHT", "line": remark.last}
            | ({"start_line": remark.first, "start_side": "RIGHT"} if remark.first < remark.last else {})
            for remark in remarks
        ]
        with self._told(f"reviewing pull request {number}"):
            commit = self._repository.get_commit(head)
            self._repository.get_pull(number).create_review(commit, body, "COMMENT", comments)

    def edit_remark(self, number: int, comment: int, body: str) -> None:
        """Change a comment at lines."""
        with self._told(f"changing a comment on pull request {number}"):
            self._repository.get_pull(number).get_review_comment(comment).edit(body)

    def delete_remark(self, number: int, comment: int) -> None:
        """Delete a comment at lines."""
        with self._told(f"deleting a comment on pull request {number}"):
            self._repository.get_pull(number).get_review_comment(comment).delete()

    def suggestion(self, text: str, first: int, last: int) -> str:
        """GitHub's lies at the lines of its comment."""
        longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
        fence = "`" * (longest + 1)
        return f"{fence}suggestion\n{text.rstrip(chr(10))}\n{fence}"

    # --- beneath

    def _pull(self, pull: PullRequest) -> Pull:
        inside = pull.head.repo is not None and pull.head.repo.full_name.lower() == self._name.lower()
        state: State = "open" if pull.state == "open" else "merged" if pull.merged_at else "closed"
        return Pull(
            number=pull.number,
            branch=pull.head.ref if inside else "",
            base=pull.base.ref,
            head=pull.head.sha,
            state=state,
            title=pull.title,
            body=pull.body or "",
            draft=bool(pull.draft),
            labels=frozenset(label.name for label in pull.labels),
            url=pull.html_url,
        )

    def _me(self) -> str:
        """The login of whoever the token belongs to; empty where a token of an app is not told."""
        import github

        try:
            return self._github.get_user().login
        except github.GithubException as error:
            if error.status == 403:  # GITHUB_TOKEN and installations have no user
                return ""
            raise

    @contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """Errors of GitHub as one line that says what to do."""
        import github
        import requests

        try:
            yield
        except github.GithubException as error:
            raise ForgeError(f"{doing} ({self._name}): {_explained(error)}") from error
        except requests.RequestException as error:
            raise ForgeError(f"{doing} ({self._name}): {_unreached(error)}") from error


def _by(user: NamedUser | Organization | None, me: str) -> bool:
    """Whether a comment is the bot's own: by its login, or, where an app is not told its own, by being an app's."""
    return user is not None and (user.login == me if me else user.type == "Bot")


def _unreached(error: Exception) -> str:
    """Why there is no answer at all, after all tries."""
    status = re.search(r"too many (\d+) error responses", str(error))
    if status is not None:
        return f"GitHub answered {status[1]} again and again: try again later"
    return f"GitHub cannot be reached ({type(error).__name__}): check --base-url and the network"


def _explained(error: Any) -> str:
    data = error.data if isinstance(error.data, dict) else {}
    said = str(data.get("message") or error.message or "no reason given")
    details = [
        str(e.get("message") or e.get("code")) if isinstance(e, dict) else str(e) for e in data.get("errors", [])
    ]
    words = " ".join(" ".join([said, *details]).split())[:300]
    if error.status == 401:
        return f"the token is not accepted (401 {words}): it is wrong, expired or revoked"
    if error.status == 403 and "rate limit" in words.lower():
        return f"GitHub's rate limit is used up (403 {words}): try again later"
    if error.status == 403:
        return f"the token may not do this (403 {words}): it needs contents: write and pull requests: write"
    if error.status == 404:
        return "there is no such thing, or the token may not see it (404): check --repo and the token's access"
    if error.status >= 500:
        return f"GitHub answered {error.status} again and again: try again later"
    return f"GitHub answered {error.status}: {words}"
