"""A bare repository of the test forge, and what the forge asks git about it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Content = str | bytes | None
"""What a file is to hold; None deletes it."""

_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
_STATUS = {"A": "added", "M": "modified", "D": "removed", "R": "renamed", "T": "changed"}
#: Nothing of whoever runs the tests has a say.
ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}
_SETTINGS = """\
[core]
	repositoryformatversion = 0
	bare = true
	logallrefupdates = false
[http]
	receivepack = true
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
[receive]
	autogc = false
	denyDeleteCurrent = true
[gc]
	auto = 0
"""
#: Refuses pushes to the branches that the file ``protected`` names, in GitHub's words.
_UPDATE_HOOK = """\
#!/bin/sh
if grep -qxF "$1" "$GIT_DIR/protected" 2>/dev/null; then
  echo "error: GH006: Protected branch update failed for $1." >&2
  exit 1
fi
"""


@dataclass(frozen=True)
class Commit:
    """One commit, as ``git log`` tells it."""

    sha: str
    parents: tuple[str, ...]
    tree: str
    author: str
    email: str
    committer: str
    committer_email: str
    date: str
    committed: str
    message: str


@dataclass(frozen=True)
class Hunk:
    """A hunk's first line and number of lines, in the old file and in the new one."""

    old: int
    old_count: int
    new: int
    new_count: int

    def holds(self, line: int, side: str) -> bool:
        """Whether a line of one side is in it, changed or as context."""
        first, count = (self.new, self.new_count) if side == "RIGHT" else (self.old, self.old_count)
        return first <= line < first + count


@dataclass(frozen=True)
class Changed:
    """A file that differs between two commits."""

    path: str
    previous: str
    status: str
    blob: str
    additions: int
    deletions: int
    patch: str
    """From its first ``@@`` on; empty where git shows none."""
    hunks: tuple[Hunk, ...] = field(default=())


class Bare:
    """A bare repository in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def create(cls, folder: Path, default_branch: str = "main") -> Bare:
        """An empty repository: by hand, as that costs no process."""
        for inner in ("objects/pack", "objects/info", "refs/heads", "refs/tags", "info", "hooks"):
            (folder / inner).mkdir(parents=True)
        (folder / "HEAD").write_text(f"ref: refs/heads/{default_branch}\n")
        (folder / "config").write_text(_SETTINGS)
        hook = folder / "hooks" / "update"
        hook.write_text(_UPDATE_HOOK)
        hook.chmod(0o755)
        return cls(folder)

    def git(self, *arguments: str, data: bytes = b"", environment: Mapping[str, str] | None = None) -> str:
        """What a git command prints; raises ``subprocess.CalledProcessError`` where it fails."""
        return self._run(arguments, data, environment).decode("utf-8", "replace")

    def content(self, blob: str) -> bytes:
        """The bytes of a blob."""
        return self._run(("cat-file", "blob", blob))

    def _run(self, arguments: Sequence[str], data: bytes = b"", environment: Mapping[str, str] | None = None) -> bytes:
        done = subprocess.run(
            ["git", "--git-dir", str(self.folder), *arguments],
            input=data,
            capture_output=True,
            check=False,
            env={**ENVIRONMENT, **(environment or {})},
        )
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, arguments, done.stdout, done.stderr)
        return done.stdout

    def asked(self, *arguments: str) -> str | None:
        """What a git command prints, stripped; None where it fails."""
        try:
            return self.git(*arguments).strip()
        except subprocess.CalledProcessError:
            return None

    # --- reading

    def heads(self) -> dict[str, str]:
        """Branch -> commit."""
        listed = self.git("for-each-ref", "--format=%(refname:lstrip=2)%09%(objectname)", "refs/heads")
        return dict(line.split("\t") for line in listed.splitlines())

    def head(self, branch: str) -> str | None:
        """The commit that a branch stands at."""
        return self.heads().get(branch)

    def commit(self, revision: str) -> Commit | None:
        """A commit, or None where there is no such one."""
        if re.fullmatch(r"[\w./-]+", revision) is None or revision.startswith("-"):
            return None
        listed = self.asked("log", "--no-walk", *_LOG, f"{revision}^{{commit}}")
        return _commits(listed)[0] if listed else None

    def log(self, revision: str, *options: str) -> list[Commit]:
        """The commits that lead to ``revision`` (``A..B`` works too), newest first."""
        return _commits(self.git("log", *_LOG, *options, revision))

    def tree(self, revision: str) -> dict[str, str]:
        """Path -> text of all files of a commit."""
        listed = self.git("ls-tree", "-rz", "--full-tree", revision)
        entries = [(*told.split(" "), path) for told, _, path in (e.partition("\t") for e in listed.split("\0") if e)]
        return {path: self.git("cat-file", kind, blob) for _, kind, blob, path in entries}

    def has_ancestor(self, ancestor: str, commit: str) -> bool:
        """Whether ``ancestor`` leads to ``commit``."""
        return self.asked("merge-base", "--is-ancestor", ancestor, commit) is not None

    def merge_base(self, one: str, other: str) -> str | None:
        """The last commit that leads to both."""
        return self.asked("merge-base", one, other)

    def merged_tree(self, one: str, other: str) -> str | None:
        """The tree of a merge; None where they conflict."""
        written = self.asked("merge-tree", "--write-tree", one, other)
        return written.split("\n")[0] if written else None

    def changed(self, base: str, head: str) -> list[Changed]:
        """The files that ``head`` changes since it left ``base``, as on the page of a pull request."""
        start = self.merge_base(base, head) or base
        raw = [e for e in self.git("diff", "--raw", "-z", "--no-abbrev", "-M", start, head).split("\0") if e]
        shown = self.git("diff", "--no-color", "--no-ext-diff", "--no-textconv", "-M", start, head)
        patches = re.split(r"^diff --git .*\n", shown, flags=re.MULTILINE)[1:]
        found = []
        while raw:
            *_, blob, letter = raw.pop(0).split(" ")
            previous = raw.pop(0)
            path = raw.pop(0) if letter[0] in "RC" else previous
            patch = patches[len(found)]
            start_of_hunks = _HUNK.search(patch)
            patch = patch[start_of_hunks.start() :].removesuffix("\n") if start_of_hunks else ""
            rows = patch.split("\n")
            added, removed = (sum(row.startswith(sign) for row in rows) for sign in "+-")
            hunks = tuple(hunks_of(patch))
            found.append(Changed(path, previous, _STATUS[letter[0]], blob, added, removed, patch, hunks))
        return found

    def line_now(self, path: str, line: int, then: str, now: str) -> int | None:
        """Which line of ``path`` in the commit ``now`` is ``line`` of the commit ``then``; None where it changed."""
        if then == now:
            return line
        shift = 0
        for hunk in hunks_of(self.git("diff", "-U0", "--no-color", "--no-ext-diff", then, now, "--", path)):
            if hunk.old_count and hunk.holds(line, "LEFT"):
                return None
            if hunk.old < line:
                shift += hunk.new_count - hunk.old_count
        return line + shift

    # --- writing

    def write(
        self, branch: str, files: Mapping[str, Content], author: str, message: str, start: str | None, seconds: int
    ) -> str:
        """Commit ``files`` on ``start`` (None: no parent), set ``branch`` to it, and return it.

        ``author`` is ``NAME <ADDRESS>``; ``seconds`` its date.  Names ending in ``.sh`` are made executable.
        """
        words = f"{message}\n".encode()
        rows = [
            f"commit refs/heads/{branch}\nauthor {author} {seconds} +0000\n".encode(),
            f"committer {author} {seconds} +0000\ndata {len(words)}\n".encode() + words + b"\n",
            f"from {start}\n".encode() if start else b"",
        ]
        for path, content in files.items():
            if content is None:
                rows.append(f"D {path}\n".encode())
            else:
                data = content.encode() if isinstance(content, str) else content
                mode = "100755" if path.endswith(".sh") else "100644"
                rows.append(f"M {mode} inline {path}\ndata {len(data)}\n".encode() + data + b"\n")
        self.git("fast-import", "--quiet", "--force", "--date-format=raw-permissive", data=b"".join(rows))
        return self.git("rev-parse", f"refs/heads/{branch}").strip()

    def make_commit(self, tree: str, parents: Iterable[str], author: str, committer: str, message: str) -> str:
        """A commit of a tree that is there, on no branch."""
        names = {"AUTHOR": author, "COMMITTER": committer}
        who = {f"GIT_{role}_NAME": name.partition(" <")[0] for role, name in names.items()}
        who |= {f"GIT_{role}_EMAIL": name.partition(" <")[2].rstrip(">") for role, name in names.items()}
        options = [word for parent in parents for word in ("-p", parent)]
        return self.git("commit-tree", tree, *options, data=f"{message}\n".encode(), environment=who).strip()

    def set_ref(self, name: str, commit: str) -> None:
        """Let a ref such as ``refs/heads/main`` stand at a commit."""
        self.git("update-ref", name, commit)

    def delete(self, branch: str) -> None:
        """Delete a branch."""
        self.git("update-ref", "-d", f"refs/heads/{branch}")

    def protect(self, *branches: str) -> None:
        """Refuse pushes to ``branches`` alone."""
        (self.folder / "protected").write_text("".join(f"refs/heads/{branch}\n" for branch in branches))


_LOG = ("-z", "--format=%H%n%P%n%T%n%an%n%ae%n%cn%n%ce%n%aI%n%cI%n%B")


def _commits(listed: str) -> list[Commit]:
    found = []
    for entry in filter(None, listed.split("\0")):
        sha, parents, tree, author, email, committer, address, date, committed, message = entry.split("\n", 9)
        names = (author, email, committer, address)
        found.append(Commit(sha, tuple(parents.split()), tree, *names, date, committed, message.rstrip("\n")))
    return found


def hunks_of(patch: str) -> Iterable[Hunk]:
    """The hunks of one file's patch."""
    for found in _HUNK.finditer(patch):
        old, old_count, new, new_count = found.groups()
        yield Hunk(int(old), int(old_count or 1), int(new), int(new_count or 1))
