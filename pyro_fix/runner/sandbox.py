"""What a run is kept from: its environment, the policy that the probe puts in force, the word on what cannot be."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

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
    sandbox = request.sandbox
    if sandbox is None:
        return None
    folders = [str(scratch), *([str(request.save_states.absolute())] if request.save_states else [])]
    return {"memory": memory(sandbox), "processes": sandbox.processes, "disk": DISK, "folders": folders}


def policy(request: RunRequest, scratch: Path, roots: Sequence[str]) -> dict[str, Any] | None:
    """What the probe puts in force; None where the user wants none of it."""
    sandbox = request.sandbox
    if sandbox is None:
        return None
    writable = [scratch, *([request.save_states.absolute()] if request.save_states else []), *sandbox.writable]
    states = request.referee.states.values() if request.referee else ()
    own = [*roots, scratch.parent, *(str(folder.absolute()) for folder in states), *map(str, request.target.path)]
    return {
        "writable": [str(path) for path in writable],
        "readable": [str(path) for path in sandbox.readable],
        "own": [str(path) for path in own],
        "hidden": _hidden(os.environ),
        "network": sandbox.network,
        "memory": memory(sandbox),
        "disk": DISK,
        "processes": sandbox.processes,
        "required": sandbox.required,
    }


def _hidden(environment: Mapping[str, str]) -> list[str]:
    """Files that secret variables name: keys of clouds, an agent's socket; and where CI keeps its own."""
    named = [value for name, value in environment.items() if value.startswith(os.sep) and _is_secret(name, value)]
    folder = environment.get("RUNNER_TEMP", "")
    return [path for path in named if Path(path).exists() and not Path(path).is_dir()] + ([folder] if folder else [])
