"""What a sandboxed run may read: everything but where people and machines keep what is secret.

Landlock only knows how to allow, so "all but these" is spelt out: the entries of every folder above a hidden one.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Iterator

from . import system

#: In the home folder what begins with a dot is settings, keys and histories; these are programs and their data.
_OPEN_IN_HOME = """
.asdf .cache .conda .config .cuda .data .fonts .julia .keras .local .mamba .matplotlib .micromamba .nix-profile
.nv .pixi .pyenv .pyro .rye .sklearn .theano .theanorc .torch .triton .uv .venv .venvs .virtualenvs"""
_KEYS = (".ssh", ".aws", ".gnupg", ".kube", ".docker", ".azure", ".gsutil", ".netrc", ".pgpass", ".git-credentials")
_OPEN_IN_CONFIG = ("fontconfig", "matplotlib", "numba", "torch", "user-dirs.dirs")
_HIDDEN_BELOW_HOME = (
    ".cache/huggingface/token",
    ".cache/huggingface/stored_tokens",
    ".cache/pip",
    ".cache/pyro-fix",
    ".local/share/keyrings",
    ".local/share/kwalletd",
    ".local/share/python_keyring",
    ".local/share/jupyter/runtime",
    ".local/share/fish",
    ".local/share/uv/credentials",
    ".conda/aau_token",
    ".local/state",
)
_HIDDEN = (
    "/dev",  # what a program needs of it is given by name
    "/proc",  # and this
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/krb5.keytab",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/ssh",
    "/etc/sudoers",
    "/etc/sudoers.d",
)
#: What others' processes leave in folders for temporary files: tickets, agents' and displays' sockets.
_HIDDEN_IN_TMP = re.compile(r"krb5cc.*|ssh-.*|gpg-.*|\.(?:X11|ICE|XIM|Test|font)-unix|\.X\d+-lock|tmux-.*")
#: Of the machine, and not of a process; others hold memory, messages and keyrings of the kernel.
_HIDDEN_IN_PROC = (
    "kcore",
    "kmsg",
    "keys",
    "kpagecgroup",
    "kpagecount",
    "kpageflags",
    "kallsyms",
    "vmallocinfo",
    "sysvipc",
)
#: Mounted disks lie here; all else below ``/run`` is sockets, and secrets handed to containers.
_OPEN_IN_RUN = ("media", "mount")
_CREDENTIALS = re.compile(rb"extraheader|://[^/\s@]+@", re.I)

DEVICES = ("null", "zero", "full", "random", "urandom", "tty", "kfd", "dri", "nvidia-caps", "dxg")


def readable(own: Iterable[str], hidden: Iterable[str], *, others: bool = False) -> list[str]:
    """Files and folders that together hold all that may be read.

    ``own`` are folders of the program: they stay open although something above them is hidden, but not what is hidden
    below them.  ``hidden`` comes on top of what is hidden for every program.  ``others``: what ``/proc`` says of other
    processes too, for one that programs are forked from: their numbers are not known yet.
    """
    own = [os.path.realpath(path) for path in [*own, *_python()]]
    secret = {*_secrets(), *map(os.path.realpath, hidden)}
    for path in own:
        secret |= set(_with_credentials(path))
    # Nobody means to hide everything.
    secret = {path for path in secret if path != "/"}
    found = [path for root in dict.fromkeys(["/", *own]) for path in _beside(root, sorted(secret))]
    return [*found, *(["/proc"] if others else _own_proc())]


def _own_proc() -> Iterator[str]:
    """What ``/proc`` says of the machine and of this process, but of no other: command lines hold passwords."""
    for name in _names("/proc"):
        path = os.path.join("/proc", name)
        if not name.isdigit() and name not in _HIDDEN_IN_PROC and not _is_link(path):
            yield path
    yield f"/proc/{os.getpid()}"


def beside_secrets(paths: Iterable[str], hidden: Iterable[str]) -> list[str]:
    """Those of ``paths`` that lie below a hidden place, or below a folder that holds one.

    What is made there later has to be allowed by name.
    """
    spelled = set()
    for place in {*_secrets(), *map(os.path.realpath, hidden)}:
        spelled |= {place, *_above(place)}
    found = sorted({path for path in map(os.path.realpath, paths) if not spelled.isdisjoint([path, *_above(path)])})
    return [path for path in found if not set(found).intersection(_above(path))]


def _above(path: str) -> Iterator[str]:
    """The folders above, but for the root of all."""
    while os.path.dirname(path) not in (path, "/"):
        path = os.path.dirname(path)
        yield path


def with_credentials(own: Iterable[str]) -> list[str]:
    """Files of these folders that hold a password or a token."""
    return sorted({path for root in own for path in _with_credentials(root)})


def devices() -> list[str]:
    """The device files that programs need, graphics cards with them."""
    found = [name for name in _names("/dev") if name in DEVICES or name.startswith("nvidia")]
    return [os.path.join("/dev", name) for name in found]


def _python() -> list[str]:
    places = [sys.prefix, sys.base_prefix, sys.exec_prefix, *sys.path, os.path.dirname(os.path.abspath(__file__))]
    return [place for place in places if place and os.path.exists(place)]


def _beside(root: str, secret: list[str]) -> Iterator[str]:
    """What to allow so that all below ``root`` is but the secret places below it."""
    below = os.path.join(root, "")
    inside = [path for path in secret if path.startswith(below)]
    if not inside:
        yield root
        return
    hidden = set(inside)
    for name in _names(root):
        path = below + name
        # The place that a link leads to is allowed, or not, where it lies.
        if path not in hidden and not _is_link(path):
            yield from _beside(path, inside)


def _secrets() -> Iterator[str]:
    yield from _HIDDEN
    for folder in ("/tmp", "/var/tmp"):
        yield from (os.path.join(folder, name) for name in _names(folder) if _HIDDEN_IN_TMP.fullmatch(name))
    yield from (f"/run/{name}" for name in _names("/run") if name not in _OPEN_IN_RUN)
    homes = {os.path.expanduser("~"), "/root", *(os.path.join("/home", name) for name in _names("/home"))}
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    for home in sorted(os.path.realpath(home) for home in homes if home.startswith("/") and home != "/"):
        for name in _names(home):
            if name.startswith(".") and name not in _OPEN_IN_HOME.split():
                path = os.path.join(home, name)
                yield path
                target = os.path.realpath(path)
                # A link to where someone keeps such files together; keys are hidden wherever they lie.
                if target.startswith(os.path.join(home, "")) or (name in _KEYS and target != "/"):
                    yield target
        config = os.path.join(home, ".config")
        yield from (os.path.join(config, name) for name in _names(config) if name not in _OPEN_IN_CONFIG)
        yield from (os.path.join(home, name) for name in _HIDDEN_BELOW_HOME)


def _with_credentials(root: str) -> Iterator[str]:
    """The repository's settings where they hold a password or a token, as CI leaves them."""
    git = os.path.join(root, ".git")
    folders = [git]
    told = _start_of(git)  # in a work tree, and in a submodule, it is a file
    if told.startswith(b"gitdir:"):
        own = os.path.join(root, os.fsdecode(told[7:].strip()))
        folders = [own, os.path.join(own, os.fsdecode(_start_of(os.path.join(own, "commondir")).strip() or b"."))]
    folders += [os.path.join(folder, "modules", name) for folder in folders for name in _names(folder + "/modules")]
    for folder in folders:
        for name in ("config", "config.worktree"):
            path = os.path.realpath(os.path.join(folder, name))
            if _CREDENTIALS.search(_start_of(path)):
                yield path


def _start_of(path: str) -> bytes:
    try:
        descriptor = system.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return b""
    try:
        return system.read(descriptor, 1 << 20)
    except OSError:  # a folder
        return b""
    finally:
        system.close(descriptor)


def _names(folder: str) -> list[str]:
    try:
        return system.listdir(folder)
    except OSError:
        return []


def _is_link(path: str) -> bool:
    try:
        return (system.lstat(path).st_mode & 0o170000) == 0o120000
    except OSError:
        return True
