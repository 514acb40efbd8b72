"""What a run is kept from: its environment, the policy that the probe puts in force, the word on what cannot be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pyro_fix.probe import reach
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner.model import RunRequest, Sandbox

#: Words of a variable's name, between its underscores, that speak of something secret.
_SECRET_WORDS = """
APIKEY AUTH AUTHORIZATION AUTHTOKEN BEARER COOKIE COOKIES CREDENTIAL CREDENTIALS CREDS DSN KEY KEYS
LOGIN NETRC PASS PASSPHRASE PASSWD PASSWORD PASSWORDS PAT PRIVATE PSK PW SECRET SECRETS SESSION SIGNATURE TOKEN TOKENS
XAUTHORITY"""
_SECRET_ENDS = ("TOKEN", "SECRET", "PASSWORD", "PASSWD", "APIKEY", "ACCESSKEY", "CREDENTIALS")
#: Families of variables: clouds, forges, CI, agents and daemons.
_SECRET_FAMILIES = """
ACTIONS_ ANTHROPIC_ ARM_ AWS_ AZURE_ BUILDKITE_ CI_ CIRCLE_ CODEBUILD_ DBUS_ DOCKER_ GCP_ GH_ GITEA_ GITHUB_ GITLAB_
GOOGLE_ GPG_ INPUT_ JENKINS_ KUBE NPM_ OPENAI_ PGP_ PYPI_ RUNNER_ SSH_ SUDO_ SYSTEM_ACCESS TF_VAR_ TRAVIS_ TWINE_
VAULT_"""
#: ``https://name:password@host``, and what well-known tokens look like.
_SECRET_VALUES = re.compile(
    r"://[^/\s@]*:[^/\s@]+@|-----BEGIN |\b(gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abp]-|AKIA|eyJ)[\w-]{10,}"
)
_LEAST_MEMORY = 2 << 30
#: Bytes of files that a run may leave in its folder; they go with it.
DISK = 16 << 30


def missing() -> list[str]:
    """What this machine cannot keep a program from."""
    return probe.missing()


def notice(lacking: Sequence[str]) -> str:
    """One line on that; empty where nothing is missing."""
    if not lacking:
        return ""
    return (
        f"sandbox: this machine cannot keep a program from {', '.join(lacking)}; only run code that you trust"
        " (--require-sandbox refuses to run)"
    )


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what is secret by its name or its look."""
    return {name: value for name, value in environment.items() if not _is_secret(name, value)}


def _is_secret(name: str, value: str) -> bool:
    words = re.split(r"[^A-Z0-9]+", name.upper())
    return (
        not set(words).isdisjoint(_SECRET_WORDS.split())
        or any(word.endswith(_SECRET_ENDS) for word in words)
        or name.upper().startswith(tuple(_SECRET_FAMILIES.split()))
        or _SECRET_VALUES.search(value) is not None
    )


def memory(sandbox: Sandbox) -> int:
    """Bytes that all processes of a run may have together: what was asked for, or half of what there is."""
    if sandbox.memory is not None:
        return sandbox.memory
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            there = min(there, int(Path(path).read_text(encoding="ascii")))
        except (OSError, ValueError):
            continue
    return max(_LEAST_MEMORY, there // 2)


def limits(request: RunRequest, scratch: Path) -> dict[str, Any] | None:
    """What the supervisor counts."""
    return limits_of(request.sandbox, scratch)


def limits_of(allowed: Sandbox | None, scratch: Path) -> dict[str, Any] | None:
    """What the supervisor counts."""
    if allowed is None:
        return None
    return {"memory": memory(allowed), "processes": allowed.processes, "disk": DISK, "folder": str(scratch)}


def policy(request: RunRequest, scratch: Path, roots: Sequence[str], more: Sequence[Path]) -> dict[str, Any] | None:
    """What is put in force for a run; None where the user wants none of it.

    ``more``: places that may be read beside those of the program.
    """
    writable = [scratch, *([request.save_states.absolute()] if request.save_states else [])]
    states = request.referee.states.values() if request.referee else ()
    own: list[str | Path] = [
        *roots,
        scratch.parent,
        *(folder.absolute() for folder in states),
        *request.target.path,
        *more,
    ]
    return policy_of(request.sandbox, writable, own, [])


def policy_of(
    allowed: Sandbox | None, writable: Sequence[Path], own: Sequence[str | Path], hidden: Sequence[str]
) -> dict[str, Any] | None:
    """The same for whatever else is started of the project's."""
    if allowed is None:
        return None
    return {
        "writable": [str(path) for path in (*writable, *allowed.writable)],
        "readable": [str(path) for path in allowed.readable],
        "own": [str(path) for path in own],
        "hidden": [*_hidden(os.environ), *hidden],
        "network": allowed.network,
        "memory": memory(allowed),
        "disk": DISK,
        "processes": allowed.processes,
        "required": allowed.required,
    }


def around(policy: Mapping[str, Any], shared: Sequence[Path], places: Sequence[Path]) -> dict[str, Any]:
    """The policy of a process that forks many runs, ``policy`` being that of one: nothing that a run may do is missing.

    It is the same for runs of one project.  ``shared`` are the folders that hold what all of them write, ``places``
    those of the interpreter.
    """
    apart = [path for path in policy["writable"] if not any(map(Path(path).resolve().is_relative_to, shared))]
    own = [path for path in policy["own"] if not any(map(Path(path).resolve().is_relative_to, shared))]
    hidden = [*policy["hidden"], *reach.with_credentials(own)]
    beside = reach.beside_secrets(own, hidden)
    return {
        **policy,
        "writable": [*map(str, shared), *apart],
        "own": [*map(str, places), *beside],
        "hidden": hidden,
    }


def _hidden(environment: Mapping[str, str]) -> list[str]:
    """Files that secret variables name: keys of clouds, an agent's socket; and where CI keeps its own."""
    named = [value for name, value in environment.items() if value.startswith(os.sep) and _is_secret(name, value)]
    folder = environment.get("RUNNER_TEMP", "")
    return [path for path in named if Path(path).exists() and not Path(path).is_dir()] + ([folder] if folder else [])
