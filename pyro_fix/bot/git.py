"""Commits and branches of a repository on a forge, without a checkout and without running anything of it.

Everything happens in a bare repository of our own in a temporary folder: no hook, filter or setting of the user or of
the repository has a say.  The token reaches git by its environment, so that no command line shows it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from pyro_fix.bot.forge import ForgeError
from pyro_fix.bot.plan import File

#: Who makes commits.  The address is nobody's: a commit with another committer was touched by people.
NAME, EMAIL = "pyro-fix[bot]", "pyro-fix[bot]@users.noreply.github.com"
#: Seconds that git may take to reach the forge.
PATIENCE = 600
_OVERTAKEN = re.compile(r"stale info|fetch first|non-fast-forward|cannot lock ref|reference already exists")


class Raced(Exception):
    """Somebody else has moved the branch since it was looked at; nothing was changed."""


@dataclass(frozen=True)
class Tip:
    """The last commit of a branch of the bot's."""

    commit: str
    parent: str
    """Empty for a root commit; the first one of a merge."""
    tree: str
    ours: bool
    """Whether the bot made it, and nobody has touched it since."""


class Remote:
    """A repository on a forge, as git sees it; a context, at whose end the temporary folder goes."""

    def __init__(self, url: str, header: str) -> None:
        """``url`` over http(s); ``header`` is the http header that lets git in."""
        self._url = url
        self._environment = _environment(url, header)
        self._secrets = [word for word in header.split(" ") if len(word) > 8]

    def __enter__(self) -> Remote:
        """Make the temporary repository."""
        if shutil.which("git") is None:
            raise ForgeError("git is not installed")
        self._folder = Path(tempfile.mkdtemp(prefix="pyro-fix-git-"))
        try:
            self._git("init", "--quiet", "--bare", ".")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- reading

    def heads(self, *patterns: str) -> dict[str, str]:
        """Branch -> commit, of branches that match a pattern such as ``pyro-fix/*``."""
        listed = self._reach("ls-remote", "--heads", self._url, *(f"refs/heads/{pattern}" for pattern in patterns))
        rows = (line.split("\t") for line in listed.splitlines())
        return {name.removeprefix("refs/heads/"): commit for commit, name in rows}

    def fetch(self, *commits: str) -> None:
        """Get commits, each with its parent; by id, so that none can have changed since it was listed."""
        self._reach("fetch", "--quiet", "--no-tags", "--depth=2", self._url, *dict.fromkeys(commits))

    def blobs(self, commit: str, paths: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Path -> mode and blob, of those ``paths`` that ``commit`` has."""
        listed = self._git("ls-tree", "-z", "--full-tree", commit, "--", *paths) if paths else ""
        rows = (entry.split("\t", 1) for entry in listed.split("\0") if entry)
        return {path: (told.split(" ")[0], told.split(" ")[2]) for told, path in rows}

    def content(self, blob: str) -> bytes:
        """The bytes of a blob."""
        return self._run(("cat-file", "blob", blob)).stdout

    def tip(self, commit: str) -> Tip:
        """What a branch's last commit is."""
        tree, parents, *who = self._git("show", "--no-patch", "--format=%T%n%P%n%ae%n%ce", commit).splitlines()
        return Tip(commit, parents.split(" ")[0], tree, parents.count(" ") == 0 and who == [EMAIL, EMAIL])

    def tree(self, commit: str) -> str:
        """The id of a commit's tree."""
        return self._git("rev-parse", f"{commit}^{{tree}}").strip()

    # --- making

    def commit(self, base: str, files: Sequence[File], message: str) -> str:
        """A commit on ``base`` with new contents; the same arguments give the same id, whenever and wherever.

        ``files`` have to be what :func:`fits` lets through.
        """
        modes = {path: mode for path, (mode, _) in self.blobs(base, [file.path for file in files]).items()}
        index = {"GIT_INDEX_FILE": str(self._folder / "index")}
        self._git("read-tree", base, more=index)
        for file in files:
            blob = self._git("hash-object", "-w", "--no-filters", "--stdin", data=file.data).strip()
            self._git("update-index", "--cacheinfo", f"{modes[file.path]},{blob},{file.path}", more=index)
        tree = self._git("write-tree", more=index).strip()
        (self._folder / "index").unlink()
        date = f"@{self._git('show', '--no-patch', '--format=%ct', base).strip()} +0000"
        return self._commit(tree, base, message, date)

    def merged(self, old: str, base: str, head: str) -> str:
        """The tree that ``base`` would have with what lies between ``old`` and ``head``; empty where they conflict."""
        date = "@0 +0000"
        # Commits of our own stand for the history between, which was not fetched.
        root = self._commit(self.tree(old), "", "", date)
        sides = [self._commit(self.tree(commit), root, "", date) for commit in (base, head)]
        done = self._run(("merge-tree", "--write-tree", *sides), check=False)
        if done.returncode not in (0, 1):
            raise ForgeError(f"git merge-tree failed ({_words(done.stderr)}): pyro-fix bot needs git 2.38 or newer")
        return done.stdout.decode().split("\n")[0] if done.returncode == 0 else ""

    def _commit(self, tree: str, parent: str, message: str, date: str) -> str:
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", NAME), ("EMAIL", EMAIL), ("DATE", date))
        }
        parents = ("-p", parent) if parent else ()
        return self._git("commit-tree", tree, *parents, data=message.encode(), more=who).strip()

    # --- writing

    def push(self, commit: str, branch: str, expected: str) -> None:
        """Set a branch to ``commit`` if it is still at ``expected`` (empty: if it does not exist).

        Raises :class:`Raced` where it is not, and changes nothing then.
        """
        lease = f"--force-with-lease=refs/heads/{branch}:{expected}"
        done = self._run(("push", "--porcelain", lease, self._url, f"{commit}:refs/heads/{branch}"), check=False)
        if done.returncode == 0:
            return
        said = (done.stdout + done.stderr).decode(errors="replace")
        if _OVERTAKEN.search(said):
            raise Raced(branch)
        raise self._error("push", done)

    # --- running git

    def _reach(self, *arguments: str) -> str:
        done = self._run(arguments, check=False)
        if done.returncode:
            raise self._error(arguments[0], done)
        return done.stdout.decode("utf-8", "surrogateescape")

    def _git(self, *arguments: str, data: bytes = b"", more: Mapping[str, str] | None = None) -> str:
        return self._run(arguments, data, more).stdout.decode("utf-8", "surrogateescape")

    def _run(
        self, arguments: Sequence[str], data: bytes = b"", more: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        command = ["git", "--literal-pathspecs", *arguments]
        environment = {**self._environment, **(more or {})}
        try:
            done = subprocess.run(
                command,
                cwd=self._folder,
                env=environment,
                input=data,
                capture_output=True,
                timeout=PATIENCE,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ForgeError(f"git {arguments[0]} took longer than {PATIENCE} seconds") from None
        if check and done.returncode:
            raise self._error(arguments[0], done)
        return done

    def _error(self, what: str, done: subprocess.CompletedProcess[bytes]) -> ForgeError:
        said = _words(done.stderr + b"\n" + done.stdout)
        for secret in self._secrets:
            said = said.replace(secret, "…")
        if re.search(r"\b401\b|Authentication failed|could not read Username|terminal prompts disabled", said):
            return ForgeError(f"git {what}: the token is not accepted by {self._url}")
        if re.search(r"\b403\b|permission to .* denied|protected branch|not allowed to push", said, re.IGNORECASE):
            return ForgeError(f"git {what}: the token may not write to {self._url} (contents: write): {said}")
        if re.search(r"\b404\b|Repository not found|repository .* not found", said, re.IGNORECASE):
            return ForgeError(f"git {what}: there is no {self._url}, or the token may not see it")
        return ForgeError(f"git {what} failed: {said}")


def _environment(url: str, header: str) -> dict[str, str]:
    """Nothing but what git needs: no settings of the user or the system, no questions, the token."""
    kept = {"PATH", "SYSTEMROOT", "TMPDIR", "TEMP", "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO"}
    kept |= {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    environment = {name: value for name, value in os.environ.items() if name.upper() in kept}
    settings = {
        f"http.{url}.extraHeader": header,
        "core.hooksPath": os.devnull,
        "protocol.allow": "never",
        "protocol.http.allow": "always",
        "protocol.https.allow": "always",
        "gc.auto": "0",
        "credential.helper": "",
    }
    environment |= {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings.items()):
        environment |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return environment


def fits(files: Sequence[File], known: Mapping[str, tuple[str, str]]) -> bool:
    """Whether every file of a plan is, in a commit, the regular file that the plan was made from."""
    return all(
        file.path in known and known[file.path][0] in ("100644", "100755") and known[file.path][1] == file.old
        for file in files
    )


def _words(output: bytes) -> str:
    lines = output.decode(errors="replace").splitlines()
    kept = [
        line.removeprefix("fatal: ").removeprefix("remote: ") for line in lines if line.strip() and "Done" not in line
    ]
    return " ".join(" ".join(kept).split())[:300]
