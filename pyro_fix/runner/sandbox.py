"""What a run is kept from: its environment, the policy that the probe puts in force, the word on what cannot be."""

from __future__ import annotations

import os
import re
import stat
import time
from collections import deque
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from pyro_fix.probe import reach
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner.model import RunRequest, Sandbox

#: Words of a variable's name, between its underscores, that speak of something secret.
_SECRET_WORDS = """
APIKEY AUTH AUTHORIZATION AUTHTOKEN BEARER COOKIE COOKIES CREDENTIAL CREDENTIALS CREDS DSN JWT KEY KEYS
LOGIN NETRC PASS PASSCODE PASSPHRASE PASSW PASSWD PASSWORD PASSWORDS PAT PIN PRIVATE PSK PW PWD SECRET SECRETS SESSION
SIGNATURE TOKEN TOKENS WEBHOOK WEBHOOKS XAUTHORITY"""
_SECRET_ENDS = """
CONNECTIONSTRING CREDENTIALS CREDS KEY KEYFILE KEYS PASS PASSFILE PASSPHRASE PASSWD PASSWORD PASSWORDS PW PWD SECRET
SECRETS TOKEN TOKENFILE TOKENS"""
#: Words that only end like these, and whole names that do.
_PLAIN_WORDS = """
BYPASS COMPASS DONKEY ENCOMPASS HOCKEY HOTKEY JOCKEY MONKEY OVERPASS SURPASS TRESPASS TURKEY UNDERPASS WHISKEY"""
_PLAIN_NAMES = re.compile(r"(?:OLD)?PWD|XDG_\w+")
#: Families of variables: clouds, forges, CI, agents and daemons.
_SECRET_FAMILIES = """
ACTIONS_ ANTHROPIC_ ARM_ AWS_ AZURE_ BUILDKITE_ CI_ CIRCLE_ CODEBUILD_ DBUS_ DOCKER_ GCP_ GH_ GITEA_ GITHUB_ GITLAB_
GOOGLE_ GPG_ INPUT_ JENKINS_ KUBE NPM_ OPENAI_ PGP_ PYPI_ RUNNER_ SSH_ SUDO_ SYSTEM_ACCESS TF_VAR_ TRAVIS_ TWINE_
VAULT_"""
#: How well-known tokens begin.  In a path such letters are the name of a folder.
_TOKENS = (
    "gh[pousr]_ github_pat_ gl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct)- hf_ sk- [sr]k_(?:live|test)_ whsec_"
    " xox[a-z]- xapp- (?:AKIA|ASIA) eyJ npm_ pypi- dckr_pat_"
    " SG\\. AIza ya29\\. do[op]_v1_ shp(?:at|ca|pa|ss)_ hv[sb]\\."
    " nvapi- gsk_ xai- pplx- tskey- PMAK- lin_api_ figd_ r8_ AGE-SECRET-KEY-"
)
_SECRET_VALUES = re.compile(
    rf"(?<![\w/])(?:{'|'.join(_TOKENS.split())})[\w-]{{10,}}|-----BEGIN "
    # https://name:password@host, https://token@host
    r"|://[^/\s@]*:[^/\s@]+@|://[^/\s@:]{20,}@"
    r"|[?&](?:access_?token|api_?key|auth|code|key|password|pwd|secret|sig|signature|token)=[^&\s]{8,}"
    # connection strings of databases and clouds
    r"|(?:\b|_)(?:password|passwd|pwd|accountkey|sharedaccesskey|sharedaccesssignature|sharedsecret)\s*=\s*[^\s;]"
    # who knows the address may post there
    r"|://(?:hooks\.slack\.com|hooks\.zapier\.com|(?:\w+\.)?discord(?:app)?\.com/api/webhooks|outlook\.office\.com/webhook"
    r"|[\w.-]+\.webhook\.office\.com|[\w.-]+\.logic\.azure\.com|api\.telegram\.org/bot|chat\.googleapis\.com/v1)",
    re.IGNORECASE,
)
#: Files of a project that hold secrets, by their names.
_SECRET_FILES = re.compile(
    r"\.env|\.env[-_~].*|\.flaskenv|token\.(?:json|pickle)|auth\.json|\.env\.(?!(?:example|sample|template|dist|defaults?)$).*|.+\.env|\.envrc|secrets?\.(?:toml|ya?ml|json)"
    r"|credentials(?:\.json)?|client_secrets?.*\.json|.*service[-_]?account.*\.json|kaggle\.json|id_(?:rsa|dsa|ecdsa|ed25519)"
    r"|.+\.(?:p12|pfx|jks|keystore|kdbx|tfstate|tfvars)|kubeconfig"
    r"|[._]netrc|\.(?:npmrc|pypirc|git-credentials|pgpass|htpasswd|dockercfg|boto|s3cfg|my\.cnf|vault-token)",
    re.IGNORECASE,
)
#: These do where they hold a private key: certificates are public.
_KEY_FILES = re.compile(r".+\.(?:pem|key|ppk)", re.IGNORECASE)
_PRIVATE_KEY = re.compile(rb"PRIVATE KEY|PuTTY-User-Key-File")
#: Folders of what others wrote: certificates of authorities, examples.
_NOT_OF_THE_PROJECT = {"site-packages", "dist-packages", "node_modules", "__pycache__"}
#: Entries of a project that are looked at for such files: data sets can have very many.  Folders beyond are withheld.
_MOST_ENTRIES = 1_000_000
_LEAST_MEMORY = 2 << 30
_TEMPORARY = re.compile(r"pyro-fix-(?:[a-z]+-)*(?:\d+-\d+-)?\w{8}")
#: Seconds for which it is known where a project's secrets lie.
_WHILE = 60.0
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
    return _has_secret_name(name.upper()) or _SECRET_VALUES.search(value) is not None


def _has_secret_name(name: str) -> bool:
    if _PLAIN_NAMES.fullmatch(name):
        return False
    words = set(re.split(r"[^A-Z]+", name)) - set(_PLAIN_WORDS.split())  # KEY2 is one of several keys
    return (
        any(part in name for part in ("SECRET", "PASSWORD", "CREDENTIAL"))
        or not words.isdisjoint(_SECRET_WORDS.split())
        or any(word.endswith(tuple(_SECRET_ENDS.split())) for word in words)
        or name.startswith(tuple(_SECRET_FAMILIES.split()))
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
    return limits_of(request.sandbox, [scratch, *([request.save_states.absolute()] if request.save_states else [])])


def limits_of(allowed: Sandbox | None, folders: Sequence[Path]) -> dict[str, Any] | None:
    """What the supervisor counts."""
    if allowed is None:
        return None
    return {"memory": memory(allowed), "processes": allowed.processes, "disk": DISK, "folders": [*map(str, folders)]}


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
    found = policy_of(request.sandbox, writable, own, [])
    if found is None or request.sandbox is None:
        return None
    opened = [*request.sandbox.readable, *request.sandbox.writable]
    return {**found, "others": _other_runs(scratch), "withheld": _withheld(roots, opened)}


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
        "others": [],
        "withheld": [],
        "network": allowed.network,
        "memory": memory(allowed),
        "disk": DISK,
        "processes": allowed.processes,
        "required": allowed.required,
        "forks": False,
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
        # What may not be seen of these changes from run to run.
        "others": [],
        "withheld": [],
        "forks": True,
    }


def _hidden(environment: Mapping[str, str]) -> list[str]:
    """Files that secret variables name: keys of clouds, an agent's socket; and where CI keeps its own."""
    named = [value for name, value in environment.items() if value.startswith(os.sep) and _is_secret(name, value)]
    folder = environment.get("RUNNER_TEMP", "")
    return [path for path in named if Path(path).exists() and not Path(path).is_dir()] + ([folder] if folder else [])


def _other_runs(scratch: Path) -> list[str]:
    """What other runs keep: those of this process beside this one, and those of others beside them all."""
    own = scratch.parent
    home = own.parent.parent
    others = [path for path in home.parent.glob("pyro-fix-*") if path != home and _TEMPORARY.fullmatch(path.name)]
    return [*map(str, others), *(str(path) for path in own.parent.glob("run-*") if path != own)]


def _withheld(roots: Sequence[str], opened: Sequence[Path]) -> list[str]:
    """Files of the project that hold secrets, and that the user has not opened."""
    open_ = [os.path.realpath(path) for path in opened]
    moment = int(time.monotonic() // _WHILE)
    tops = {top for root in roots for top in (root, _outermost(root))}
    found = {path for top in tops for path in (*_secret_files(top, moment), *_above(top, moment))}
    return sorted(path for path in found if not any(path == own or path.startswith(f"{own}{os.sep}") for own in open_))


@lru_cache(maxsize=64)
def _secret_files(root: str, _: int) -> tuple[str, ...]:
    """Real paths; looked for anew after a while, and not for each run."""
    found, left = [], _MOST_ENTRIES
    waiting = deque([os.path.realpath(root)])
    while waiting and left > 0:
        folder = waiting.popleft()
        try:
            with os.scandir(folder) as entries:
                listed = list(islice(entries, left))
        except OSError:
            continue
        left -= len(listed)
        for entry in listed:
            try:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _NOT_OF_THE_PROJECT and entry.name != ".git":
                        waiting.append(entry.path)
                elif _is_secret_file(entry.name, entry.path):
                    found += [entry.path, os.path.realpath(entry.path)]  # a link can lead to where it really is
            except OSError:
                continue
    return tuple(dict.fromkeys([*found, *waiting]))


def _outermost(root: str) -> str:
    """The outermost repository that a folder lies in: a submodule's secrets may be those of the whole."""
    path = Path(os.path.realpath(root))
    return str(next((top for top in reversed((path, *path.parents)) if os.path.exists(top / ".git")), path))  # noqa: PTH110


@lru_cache(maxsize=64)
def _above(root: str, _: int) -> tuple[str, ...]:
    """Secret files in the folders above: whoever looks for settings looks there as well."""
    found = []
    for folder in Path(os.path.realpath(root)).parents:
        try:
            with os.scandir(folder) as entries:
                names = [(entry.name, entry.path) for entry in islice(entries, _MOST_ENTRIES) if not entry.is_dir()]
            found += [path for name, path in names if _is_secret_file(name, path)]
        except OSError:
            continue
    return tuple(found)


def _is_secret_file(name: str, path: str) -> bool:
    if _SECRET_FILES.fullmatch(name):
        return True
    if not _KEY_FILES.fullmatch(name):
        return False
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))  # it may be a pipe
    try:
        return stat.S_ISREG(os.fstat(descriptor).st_mode) and bool(_PRIVATE_KEY.search(os.read(descriptor, 1 << 16)))
    finally:
        os.close(descriptor)
