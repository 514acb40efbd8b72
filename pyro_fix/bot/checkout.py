"""What ``plan`` asks the user's checkout: which commit it is at, and which blobs its files are there.

Git is told to run nothing that the repository's configuration names, and to fetch nothing: what is missing in a partial
clone would be asked for by a command of the repository's choice.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

from pyro_fix.bot.plan import PlanError

_QUIET = ("-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-optional-locks", "--literal-pathspecs")
#: Seconds that git may take: a checkout may hold pipes, and files without end, in place of its own.
PATIENCE = 60.0
#: No protocol has this name, so none is allowed, whatever the configuration says.
_ALONE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat"}


def top(folder: Path) -> Path:
    """The top of the working tree that holds ``folder``; raises :class:`PlanError` where there is none."""
    return Path(_git(folder, "rev-parse", "--show-toplevel").removesuffix("\n"))


def commit(folder: Path) -> str:
    """The commit that is checked out."""
    return _git(folder, "rev-parse", "--verify", "--quiet", "HEAD^{commit}").strip()


def blobs(folder: Path, paths: Iterable[str]) -> dict[str, str]:
    """Path -> blob of those ``paths``, relative to the top ``folder``, that are regular files in the commit."""
    wanted = sorted(set(paths))
    if not wanted:
        return {}
    listed = _git(folder, "ls-tree", "-z", "--full-tree", "HEAD", "--", *wanted)
    found = {}
    for entry in filter(None, listed.split("\0")):
        told, _, path = entry.partition("\t")
        mode, kind, blob = told.split(" ")
        if kind == "blob" and mode in ("100644", "100755"):
            found[path] = blob
    return found


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *_QUIET, *arguments]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **_ALONE},
            timeout=PATIENCE,
        )
    except FileNotFoundError:
        raise PlanError("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise PlanError(f"{folder}: git {arguments[0]} took longer than {PATIENCE:g} seconds") from None
    if done.returncode:
        words = " ".join(done.stderr.decode(errors="replace").split()) or f"git {arguments[0]} failed"
        raise PlanError(f"{folder}: {words.removeprefix('fatal: ')}")
    return done.stdout.decode("utf-8", "surrogateescape")
