"""A forge for tests: real git over http, and GitHub's API as an Enterprise server has it, on 127.0.0.1.

    with ForgeServer() as forge:
        repo = forge.make("ann/demo", {"model.py": "…"})
        token = forge.token()               # of pyro-fix[bot]; permissions can be had fewer
        …                                   # a client at forge.api, git at repo.url
        repo.merge(1, how="squash")         # people, in git itself: see forge_model.Repo
        assert forge.writes() == []         # what the client has changed, or tried to

Branches, commits, files, mergeability and merges are asked of git; pull requests and comments live in memory.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import forge_api
import forge_app
import forge_graphql
from forge_api import Answer
from forge_app import App
from forge_git import ENVIRONMENT
from forge_model import Model, Refused, Repo, Token

_GIT = re.compile(r"/(?P<name>[^/]+/[^/]+?)(?:\.git)?/(?P<what>info/refs|git-upload-pack|git-receive-pack)")
_SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
_PRIMARY = "API rate limit exceeded for user ID 1000001."


@dataclass
class Request:
    """What a client has sent."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    data: bytes
    status: int | None = None
    """What it was answered; None while it was not, or where the connection was dropped."""

    @property
    def target(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def body(self) -> Any:
        """JSON as Python has it; of a push: (old commit, new commit, ref) of each ref."""
        if self.path.endswith("/git-receive-pack"):
            return list(_updates(self.data))
        return json.loads(self.data) if self.data else None

    @property
    def writes(self) -> bool:
        """Whether it is to change something; asking for a token is not, nor git asking whether it may push."""
        if self.method == "GET" or self.path.endswith(("/git-upload-pack", "/access_tokens")):
            return False
        return not (self.path.endswith("/git-receive-pack") and self.data == b"0000")

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


def _updates(data: bytes) -> Iterator[tuple[str, ...]]:
    """The lines ``old new ref`` at the start of what ``git push`` sends."""
    while length := int(data[:4], 16):
        yield tuple(data[4:length].split(b"\0")[0].decode().split())
        data = data[length:]


@dataclass
class Fault:
    """What happens to requests of a method (a regular expression) to a target (one that is searched for)."""

    method: str
    target: str
    left: int
    """How often it is still to happen."""
    when: str = "before"
    """``before`` or ``after`` the request was carried out: the client cannot tell."""
    status: int | None = 502
    """None drops the connection."""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None
    hook: Callable[[], object] | None = None
    """Called before the request, which then goes on as usual."""

    def hits(self, request: Request) -> bool:
        """Whether it happens to this request."""
        found = re.fullmatch(self.method, request.method) and re.search(self.target, request.target)
        return self.left > 0 and found is not None


class ForgeServer(Model):
    """The server; a context."""

    def __init__(self) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="forge-")))
        self.log: list[Request] = []
        self.apps: dict[int, App] = {}
        self._faults: list[Fault] = []
        self._broken: list[Exception] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.forge = self  # type: ignore[attr-defined]
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.api = f"{self.url}/api/v3"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> ForgeServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self.forget()
        if self._broken and error is None:
            raise AssertionError("the test forge is broken") from self._broken[0]

    # --- for tests

    def needs(self, *what: str) -> None:
        """Skip the test where the forge lacks something (``emulate.GAPS``); this one lacks nothing."""

    def writes(self) -> list[Request]:
        """The requests that changed something or tried to; ``log.clear()`` forgets them."""
        return [request for request in self.log if request.writes]

    def fail(
        self,
        method: str,
        target: str,
        status: int | None = 502,
        times: int = 1,
        headers: Mapping[str, str] | None = None,
        body: object = None,
        when: str = "before",
    ) -> Fault:
        """Let requests fail: see :class:`Fault`, which is returned to ask whether any is ``left``."""
        fault = Fault(method, target, times, when, status, headers or {}, body)
        self._faults.append(fault)
        return fault

    def limit(self, method: str, target: str, times: int = 1, seconds: int | None = 0, primary: bool = False) -> Fault:
        """Refuse requests by a rate limit, the secondary one unless told; ``seconds`` (None: not said) is when to try
        again."""
        headers = {} if seconds is None else {"Retry-After": str(seconds)}
        headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"} if primary else {}
        return self.fail(method, target, 403, times, headers, {"message": _PRIMARY if primary else _SECONDARY})

    def before(self, method: str, target: str, hook: Callable[[], object], times: int = 1) -> Fault:
        """Call ``hook`` just before a request is carried out: for instance somebody else's push."""
        fault = Fault(method, target, times, hook=hook)
        self._faults.append(fault)
        return fault

    def app(self, slug: str = "pyro-fix", account: str = "ann", public_key: str = "") -> tuple[App, int]:
        """An app that is installed on an account; the private key is ``forge_app.key_pair()[0]`` unless told."""
        made = App(next(self.ids), slug, public_key or forge_app.key_pair()[1])
        installation = next(self.ids)
        made.installations[installation] = account
        self.apps[made.id] = made
        return made, installation

    # --- answering

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes] | None:
        """Status, headers and body; None drops the connection."""
        self.log.append(request)
        for fault in [fault for fault in self._faults if fault.hook and fault.hits(request)]:
            fault.left -= 1
            assert fault.hook is not None
            fault.hook()  # without the lock: it may be a client of its own
        fault = next((fault for fault in self._faults if not fault.hook and fault.hits(request)), None)
        if fault is None:
            return self._carried_out(request)
        fault.left -= 1
        if fault.when == "after":
            self._carried_out(request)
        if fault.status is None:
            return None
        body = fault.body if fault.body is not None else {"message": "Server Error"}
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return fault.status, {"Content-Type": "application/json; charset=utf-8", **fault.headers}, data

    def _carried_out(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        with self.lock:
            try:
                return self._json(request) if request.path.startswith("/api/") else self._git(request)
            except Exception as error:
                self._broken.append(error)
                return 418, {}, b"the test forge is broken"

    def _json(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        try:
            told = self._api(request)
        except Refused as refused:
            body = {"message": refused.message, "documentation_url": "https://docs.github.com/rest"}
            body |= {"errors": refused.errors} if refused.errors else {}
            told = Answer({**body, "status": str(refused.status)}, refused.status)
        data = b"" if told.status == 204 else json.dumps(told.data).encode()
        return told.status, {"Content-Type": "application/json; charset=utf-8", **told.headers}, data

    def _api(self, request: Request) -> Answer:
        try:
            body = json.loads(request.data) if request.data else None
        except ValueError:
            raise Refused(400, "Problems parsing JSON") from None
        kind, _, held = request.headers.get("Authorization", "").partition(" ")
        path = request.path.removeprefix("/api/v3")
        told = forge_app.answer(self, self.apps, request.method, path, held, body)
        if told is not None:
            return told
        token = self._known(held) if kind else None
        if request.path == "/api/graphql" and request.method == "POST":
            return forge_graphql.graphql(self, token, body)
        return forge_api.answer(self, request.method, path, token, dict(parse_qsl(request.query)), body)

    def _known(self, held: str) -> Token:
        token = self.tokens.get(held)
        if token is None:
            raise Refused(401, "Bad credentials")
        return token

    # --- git

    def _git(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        found = _GIT.fullmatch(unquote(request.path))
        push = "git-receive-pack" in request.target
        try:
            if found is None:
                raise Refused(404, "Not Found")
            repo = self._reached(found["name"], request.headers.get("Authorization", ""), push)
        except Refused as refused:
            headers = {"Content-Type": "text/plain", "WWW-Authenticate": 'Basic realm="GitHub"'}
            return refused.status, headers, f"{refused.message}\n".encode()
        told = _backend(self.folder, repo, found["what"], request)
        for known in self.repositories.values():
            known.sync()  # a fork's push concerns the repository that it is a fork of
        return told

    def _reached(self, name: str, authorization: str, push: bool) -> Repo:
        kind, _, held = authorization.partition(" ")
        token = None
        if kind:
            if kind.lower() == "basic":
                held = base64.b64decode(held).decode(errors="replace").partition(":")[2]
            try:
                token = self._known(held)
            except Refused:
                raise Refused(401, "Invalid username or token.") from None
        repo = self.repositories.get(name.lower())
        if token is None and (push or repo is None or repo.private):
            raise Refused(401, "Authentication required")
        if repo is None or (repo.private and token is not None and not token.may("contents", "read")):
            raise Refused(404, "Repository not found.")
        if push and token is not None and not token.may("contents", "write"):
            raise Refused(403, f"Permission to {repo.name}.git denied to {token.user.login}.")
        return repo


def _backend(folder: Path, repo: Repo, what: str, request: Request) -> tuple[int, dict[str, str], bytes]:
    """What ``git http-backend`` answers."""
    environment = {
        **ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": f"/{repo.name}.git/{what}",
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(request.data)),
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": "somebody",
    }
    done = subprocess.run(["git", "http-backend"], input=request.data, capture_output=True, check=True, env=environment)
    head, _, data = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
    return int(headers.pop("Status", "200").split(" ")[0]), headers, data


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer in one piece, at once
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def _handle(self) -> None:
        forge: ForgeServer = self.server.forge  # type: ignore[attr-defined]
        parts = urlsplit(self.path)
        data = b"".join(self._pieces())
        if self.headers.get("Content-Encoding") == "gzip":
            data = gzip.decompress(data)
        request = Request(self.command, parts.path, parts.query, self.headers, data)
        told = forge.answer(request)
        if told is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        request.status, headers, body = told
        self.send_response(request.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _pieces(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") != "chunked":
            yield self.rfile.read(int(self.headers.get("Content-Length", "0")))
            return
        while size := int(self.rfile.readline().split(b";")[0], 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle
