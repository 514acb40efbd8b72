"""A second opinion: GitHub's API as the npm package ``emulate`` has it, with the test forge's git below it.

    with EmulatedForge(emulate.install(folder)) as forge: …         # then as forge_server.ForgeServer

The forge passes requests under ``/api/`` on to emulate, and before each it brings emulate's branches to where git's
stand, commit by commit through the API: emulate hashes objects as git does, so the ids are the same.  What emulate does
not do is named in ``GAPS``; a test that needs it says so by ``forge.needs(…)``.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import shutil
import subprocess
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import forge_app
import pytest
from forge_app import App
from forge_git import Bare, Content
from forge_model import LineNote, Note, Pull, Refused, Repo, Token, now
from forge_server import ForgeServer, Request

PACKAGE = "emulate@0.11.2"  # pinned: other versions are other things, or need a newer Node.js
#: What a test may need -> why emulate has it not.
GAPS: Mapping[str, str] = {
    "heads": "a pull request keeps the head that it was opened with, whatever is pushed, forced or deleted",
    "merged by push": "commits that reach the base by a push do not merge a pull request",
    "refusals": "a second pull request of a branch, one of a branch that is not there (which is then made) or without "
    "commits, and bodies of any length are taken",
    "files": "the files of a pull request are invented, and there are none",
    "reviews": "comments of a review need a position in the diff: lines and sides are not known",
    "drafts": "there is no GraphQL, by which alone drafts change",
    "tokens": "tokens are fixed at the start, all with every right; one that nobody knows counts as the first of them",
    "settings": "repositories have no settings that forbid drafts or what Actions may do",
    "forks": "forks have no git below them here",
}
_PEOPLE = ("ann", "bob", "stranger", "pyro-fix[bot]", "github-actions[bot]")
_APP, _INSTALLATION = 12345, 100


class Missing(Exception):
    """Why emulate cannot be had."""


def install(folder: Path) -> Path:
    """The folder that has emulate, installed there by npm if it was not; raises :class:`Missing`."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Missing("Node.js is not installed")
    if not (folder / "node_modules" / "emulate").is_dir():
        options = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=0", "--prefer-offline")
        (folder / "package.json").write_text("{}")
        try:
            done = subprocess.run(
                [npm, "install", *options, PACKAGE], cwd=folder, capture_output=True, text=True, timeout=60, check=False
            )
        except subprocess.TimeoutExpired:
            raise Missing(f"npm took too long to install {PACKAGE}") from None
        if done.returncode:
            raise Missing(f"npm cannot install {PACKAGE}: {' '.join(done.stderr.split())[:200]}")
    return folder


class EmulatedForge(ForgeServer):
    """The test forge with emulate's API in place of its own."""

    def __init__(self, package: Path) -> None:
        super().__init__()
        private, _ = forge_app.key_pair()
        installed = [{"installation_id": _INSTALLATION, "account": "ann", "repository_selection": "all"}]
        app = {
            "app_id": _APP,
            "slug": "pyro-fix",
            "name": "pyro-fix",
            "private_key": private,
            "installations": installed,
        }
        app["permissions"] = forge_app.RIGHTS
        seed = {
            "tokens": {f"token-{login}": {"login": login, "scopes": ["repo", "user"]} for login in _PEOPLE},
            "github": {"users": [{"login": login} for login in _PEOPLE], "apps": [app]},
        }
        rights = {"contents": "write", "pull_requests": "write", "issues": "write"}
        self.tokens = {f"token-{login}": Token(f"token-{login}", self.user(login), rights) for login in _PEOPLE}
        self._node = subprocess.Popen(
            ["node", str(Path(__file__).with_suffix(".mjs")), str(package), self.api, json.dumps(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._node.stdout is not None
        self._port = int(self._node.stdout.readline())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._node.kill()
        self._node.communicate()
        super().__exit__(kind, error, trace)

    # --- the same for tests

    def needs(self, *what: str) -> None:
        for gap in what:
            if gap in GAPS:
                pytest.skip(f"{PACKAGE}: {GAPS[gap]}")

    def token(
        self,
        login: str = "pyro-fix[bot]",
        contents: str = "write",
        pull_requests: str = "write",
        issues: str = "write",
        installation: bool = False,
    ) -> str:
        if {contents, pull_requests, issues} != {"write"} or installation:
            self.needs("tokens")
        return f"token-{login}"

    def app(self, slug: str = "pyro-fix", account: str = "ann", public_key: str = "") -> tuple[App, int]:
        assert (slug, account, public_key) == ("pyro-fix", "ann", ""), "the one that emulate was started with"
        return App(_APP, slug, forge_app.key_pair()[1], installations={_INSTALLATION: account}), _INSTALLATION

    def repository(
        self, name: str, files: Mapping[str, Content] | None, default_branch: str, parent: Repo | None
    ) -> Repo:
        if parent is not None:
            self.needs("forks")
        owner, _, short = name.partition("/")
        self.ask("POST", "/user/repos", {"name": short}, owner)
        for login in _PEOPLE:
            if login != owner:
                self.ask("PUT", f"/repos/{name}/collaborators/{quote(login)}", {"permission": "push"}, owner)
        return super().repository(name, files, default_branch, parent)

    def _repo(self, name: str, git: Bare, default_branch: str, parent: Repo | None) -> Repo:
        return EmulatedRepo(self, name, git, default_branch, parent)

    # --- asking emulate

    def ask(self, method: str, path: str, body: object = None, by: str = "ann") -> Any:
        """What emulate answers somebody; raises :class:`Refused`."""
        headers = {"Authorization": f"Bearer token-{by}", "Content-Type": "application/json"}
        status, _, data = self._passed(method, path, headers, json.dumps(body).encode() if body is not None else b"")
        told = json.loads(data) if data else None
        if status >= 400:
            raise Refused(status, str(told))
        return told

    def _passed(
        self, method: str, path: str, headers: Mapping[str, str], data: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        try:
            connection.request(method, path, data, dict(headers))
            told = connection.getresponse()
            return told.status, {name.title(): value for name, value in told.getheaders()}, told.read()
        finally:
            connection.close()

    def _json(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        for repo in self.repositories.values():
            repo.sync()
        kept = ("Authorization", "Content-Type", "Accept")
        headers = {name: request.headers[name] for name in kept if request.headers.get(name)}
        path = re.sub(r"^/api(/v3)?", "", request.target)
        if path.endswith("/access_tokens") and request.body == {"permissions": {}}:
            request.data = b""  # to GitHub that is all permissions, to emulate none
        issue = request.method == "GET" and re.search(r"/issues/\d+$", path) is not None
        if issue:
            path = path.replace("/issues/", "/pulls/")  # to emulate no pull request is an issue
        status, told, data = self._passed(request.method, path, headers, request.data)
        if issue and status == 200:
            pull = json.loads(data)
            data = json.dumps(pull | {"url": pull["issue_url"]}).encode()
        # Git lies beside the API here; emulate knows one address.
        data = re.sub(rb'/api/v3/([^/"]+/[^/"]+\.git)"', rb'/\1"', data)
        data = data.replace(b"/git/ref/heads/", b"/git/refs/heads/")  # the address that is deleted
        deleted = re.fullmatch(r"/repos/([^/]+/[^/]+)/git/refs/heads/(.+)", path)
        if request.method == "DELETE" and deleted and status == 204:
            self.repositories[deleted[1].lower()].git.delete(deleted[2])
        if path.endswith("/access_tokens") and status == 201:
            made = json.loads(data)
            self.tokens[made["token"]] = Token(made["token"], self.user("pyro-fix[bot]"), made["permissions"], True)
        return status, {name: told[name] for name in ("Content-Type", "Link") if name in told}, data


class EmulatedRepo(Repo):
    """A repository in git whose pull requests are emulate's."""

    forge: EmulatedForge

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known: set[str] = set()
        """Objects that emulate has."""
        self._there: dict[str, str] = {}
        """Its branches."""

    @property
    def pulls(self) -> dict[int, Pull]:
        """All pull requests, asked of emulate."""
        listed = self._ask("GET", "/pulls?state=all&per_page=100&direction=asc")
        return {told["number"]: self._pull(told) for told in listed}

    @pulls.setter
    def pulls(self, value: dict[int, Pull]) -> None:
        assert not value

    def _ask(self, method: str, path: str, body: object = None, by: str = "ann") -> Any:
        return self.forge.ask(method, f"/repos/{self.name}{path}", body, by)

    def _pull(self, told: Mapping[str, Any]) -> Pull:
        def note(said: Mapping[str, Any], kind: type[Note]) -> Any:
            return kind(said["id"], self.forge.user(said["user"]["login"]), said["body"])

        number, user = told["number"], self.forge.user(told["user"]["login"])
        head, base = told["head"], told["base"]
        ends = (head["ref"], base["ref"], head["sha"], base["sha"])
        made = Pull(told["id"], number, self, self, *ends, told["title"], told["body"], told["draft"], user)
        made.state, made.labels = told["state"], [label["name"] for label in told["labels"]]
        made.merged = datetime.fromisoformat(told["merged_at"].replace("Z", "+00:00")) if told["merged_at"] else None
        made.merge_commit = told["merge_commit_sha"]
        made.notes = [note(said, Note) for said in self._ask("GET", f"/issues/{number}/comments?per_page=100")]
        made.line_notes = [note(said, LineNote) for said in self._ask("GET", f"/pulls/{number}/comments?per_page=100")]
        return made

    # --- what people do

    def pull(self, number: int) -> Pull:
        return self._pull(self._ask("GET", f"/pulls/{number}"))

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
        assert source in (None, self), GAPS["forks"]
        self.sync()
        told = {"title": title, "body": body, "head": branch, "base": base or self.default_branch, "draft": draft}
        return self._pull(self._ask("POST", "/pulls", told, by))

    def merge(
        self, number: int, how: str = "merge", by: str = "Ann <ann@example.com>", delete_branch: bool = False
    ) -> str:
        pull = self.pull(number)
        self._ask("PUT", f"/pulls/{number}/merge", {"merge_method": how})
        tree = self.git.merged_tree(pull.start, pull.head)
        assert tree is not None
        parents = [pull.start] if how == "squash" else [pull.start, pull.head]
        made = self.git.make_commit(tree, parents, by, by, f"{pull.title} (#{number})")
        self.git.set_ref(f"refs/heads/{pull.base}", made)  # in git; emulate's own merge gives way to it
        self._there.pop(pull.base)
        if delete_branch:
            self.git.delete(pull.branch)
        self.sync()
        return made

    def close(self, number: int) -> None:
        self._ask("PATCH", f"/pulls/{number}", {"state": "closed"})

    def reopen(self, number: int) -> None:
        self._ask("PATCH", f"/pulls/{number}", {"state": "open"})

    def edit(self, number: int, **fields: str) -> None:
        self._ask("PATCH", f"/pulls/{number}", fields)

    def label(self, number: int, *names: str) -> None:
        self._ask("POST", f"/issues/{number}/labels", {"labels": list(names)})

    def comment(self, number: int, body: str, by: str = "ann") -> Note:
        told = self._ask("POST", f"/issues/{number}/comments", {"body": body}, by)
        return Note(told["id"], self.forge.user(by), body, now(), now())

    def reply(self, number: int, comment: int, body: str, by: str = "ann") -> LineNote:
        self.forge.needs("reviews")
        raise AssertionError

    def update_branch(self, number: int, by: str = "Ann <ann@example.com>") -> str:
        self.forge.needs("heads")
        raise AssertionError

    # --- emulate's branches as git's

    def sync(self) -> None:
        """Bring emulate's branches to where git's stand, with the objects that they lead to."""
        heads = self.git.heads()
        for branch, head in heads.items():
            if self._there.get(branch) == head:
                continue
            for commit in self.git.log(head, "--reverse", "--topo-order"):
                if commit.sha not in self._known:
                    self._send(commit.sha)
            try:
                self._ask("PATCH", f"/git/refs/heads/{branch}", {"sha": head, "force": True})
            except Refused:
                self._ask("POST", "/git/refs", {"ref": f"refs/heads/{branch}", "sha": head})
        for branch in self._there.keys() - heads.keys():
            try:
                self._ask("DELETE", f"/git/refs/heads/{branch}")
            except Refused as refused:
                assert refused.status == 404
        self._there = heads

    def _send(self, sha: str) -> None:
        told = self.git.commit(sha)
        assert told is not None
        rows = [row.partition("\t") for row in self.git.git("ls-tree", "-r", "-z", sha).split("\0") if row]
        entries = []
        for about, _, path in rows:
            mode, kind, blob = about.split(" ")
            if blob not in self._known:
                content = base64.b64encode(self.git.content(blob)).decode()
                self._ask("POST", "/git/blobs", {"content": content, "encoding": "base64"})
                self._known.add(blob)
            entries.append({"path": path, "mode": mode, "type": kind, "sha": blob})
        tree = self._ask("POST", "/git/trees", {"tree": entries})["sha"]
        body = {"message": told.message + "\n", "tree": tree, "parents": list(told.parents)}
        body["author"] = {"name": told.author, "email": told.email, "date": told.date}
        body["committer"] = {"name": told.committer, "email": told.committer_email, "date": told.committed}
        made = self._ask("POST", "/git/commits", body)["sha"]
        assert made == sha, f"emulate has {made} for the commit {sha}: its message must end in one newline"
        self._known.add(sha)
