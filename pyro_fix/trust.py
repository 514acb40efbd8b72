"""Whose word a setting is: what stands in the scanned tree is a stranger's, until the user says that it is not.

The *tree* is the repository of the given paths (the folder that holds ``.git``), or where there is none the folder of
the settings that were found, or else the folder of the paths.  It is trusted with ``--trust``, and where the user's own
file (:func:`user_file`) lists it, or a folder above it, under ``trusted``.  On a terminal the user is asked once, when
the answer would change what is run, and the answer is kept there.  The command line, and a ``--config FILE`` outside
the tree, are the user's word.

What a stranger could do with each setting, and what is believed of it without trust:

=========================================  ==========================================  ===============================
setting                                    in a stranger's hand                        without trust
=========================================  ==========================================  ===============================
``verify``                                 turns a listing into a run                  ``false`` only
``paths``                                  has others' files read, and rewritten       those inside the tree
``run``                                    has others' files run                       what names nothing outside it
``python``, a ``.venv`` that is found      is the program that is run                  never
``sandbox``, ``network``, ``readable``,    opens the sandbox                           never; ``sandbox = true``
``writable``, ``require-sandbox``                                                      and ``require-sandbox = true``
``executor``                               sends the project to a machine of theirs    ``local`` only
``memory``, ``processes``, ``jobs``,       takes the machine                           up to :func:`bounds`
``timeout``, ``steps``, ``seeds``,
``prove-within``
``prove``                                  takes the machine for as long as it likes   ``false`` only
``tune``                                   takes several times that                    ``false`` only
``quiet``                                  hides what is said of all this              of all else only
``bot``: ``labels``, ``base``,             has the bot's token act on other branches,  never; ``limit`` up to its
``branch-prefix``, ``limit``               or start what labels start                  default
``select``, ``extend-select``, ``ignore``  hides findings of its own                   always
``exclude``, ``thresholds``, ``observe``,
``unverified``, ``any-pyro-version``,
``stand-ins``,
``device``, ``cache``, ``format``,
``exit-zero``, ``bot.group-by``
=========================================  ==========================================  ===============================
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pyro_fix.config import ConfigError, File, cores, parse
from pyro_fix.visible import in_line

#: What a stranger may ask for of what costs time; of memory half of the machine's, as by default.
MOST: Mapping[str, float] = {"processes": 256, "timeout": 600.0, "steps": 1000, "seeds": 16, "prove_within": 60.0}
#: What a setting may be without trust.
_ONLY: Mapping[str, tuple[object, ...]] = {
    "python": (),
    "sandbox": (True,),
    "require_sandbox": (True,),
    "network": (False,),
    "prove": (False,),
    "tune": (False,),
    "readable": ((),),
    "writable": ((),),
    "executor": ("local",),
}
_RUNNERS = re.compile(r"(python[\d.]*(\.exe)?|pytest|py\.test|jupyter)")


@dataclass(frozen=True)
class Stake:
    """What depends on whether the user trusts a tree."""

    tree: Path
    refused: Mapping[str, object]
    """Settings as they stand there, by the names of :class:`~pyro_fix.config.Options`."""
    believed: File
    """The settings that count without trust."""


def stake(file: File, start: Path, *, explicit: bool, listing: bool, given: Mapping[str, object]) -> Stake:
    """What hangs on trust in the tree of ``start``.

    ``explicit``: the user has named the settings' file; ``listing``: without ``verify`` nothing would be run.
    What the command line gives (``given``) is decided.
    """
    tree = tree_of(file, start, explicit=explicit)
    if not theirs(file, tree):
        return Stake(tree, {}, file)
    values, refused = dict(file.values), {}
    value: Any
    for name, value in file.values.items():
        if given.get(name) not in (None, []):
            continue
        kept = _kept(name, value, tree, listing)
        if kept != value:
            values[name] = kept
            refused[name] = tuple(item for item in value if item not in kept) if isinstance(kept, tuple) else value
            if kept is None or kept == ():
                del values[name]
    return Stake(tree, refused, replace(file, values=values))


def tree_of(file: File, start: Path, *, explicit: bool) -> Path:
    """The tree that holds ``start``, and the settings that were found above it."""
    tree = _repository(start) or start
    found = file.path is not None and not explicit
    return file.root if found and tree.is_relative_to(file.root) else tree


def trees(file: File, given: Sequence[str], tree: Path, *, explicit: bool) -> tuple[Path, ...]:
    """Where files may be changed: the tree of each given path by itself, so that none has a say beside it.

    That is its repository, or where there is none what :func:`tree_of` says; ``tree``, where no path is given.
    """
    starts = {path if os.path.isdir(path) else path.parent for path in map(Path, map(os.path.realpath, given))}  # noqa: PTH112
    found = {_repository(start) or tree_of(file, start, explicit=explicit) for start in starts}
    return tuple(sorted(found)) or (tree,)


def _repository(start: Path) -> Path | None:
    return next((folder for folder in (start, *start.parents) if os.path.exists(folder / ".git")), None)  # noqa: PTH110 - no for what cannot be seen


def theirs(file: File, tree: Path) -> bool:
    """Whether settings are the tree's."""
    return file.path is not None and (file.path.is_relative_to(tree) or _inside(file.path, tree))


def bounds() -> dict[str, float]:
    """The most of each that a tree gets without trust."""
    from pyro_fix.runner import sandbox
    from pyro_fix.runner.model import Sandbox

    return {**MOST, "jobs": cores(), "memory": sandbox.memory(Sandbox())}


def _kept(name: str, value: Any, tree: Path, listing: bool) -> object:
    """What is left of a setting; None where nothing is."""
    if name == "verify":
        return None if value and listing else value
    if name in _ONLY:
        return value if value in _ONLY[name] else None
    if name == "paths":
        return tuple(path for path in value if _inside(path, tree))
    if name == "run":
        return tuple(command for command in value if not _leads_out(command, tree))
    if name in (*MOST, "jobs", "memory"):
        return value if value <= bounds()[name] else None
    return value


def _inside(path: Path, tree: Path) -> bool:
    """Whether a path lies in the tree, wherever links lead."""
    return path.resolve().is_relative_to(tree)


def _leads_out(command: str, tree: Path) -> bool:
    """Whether a command names a file outside of the tree; the interpreter that it names is not the one that is used."""
    try:
        first, *rest = shlex.split(command)
    except ValueError:
        return False  # it is not run at all: runner/target.py says why
    words = rest if _RUNNERS.fullmatch(Path(first).name) else [first, *rest]
    named = [word.rpartition("=")[2].partition("::")[0] for word in words]
    return not all(_inside(Path(word), tree) for word in named if "\0" not in word)


# --- what the user has said


@dataclass(frozen=True)
class Known:
    """What the user's own file says."""

    file: Path | None
    """Where it is, or would be; None where there is no place for it that is not the tree's."""
    folders: Mapping[Path, bool]
    """Folder -> whether it is trusted."""

    def says(self, folder: Path) -> bool | None:
        """Whether a folder is trusted; the nearest folder above it that was spoken of decides."""
        return next((self.folders[above] for above in (folder, *folder.parents) if above in self.folders), None)


def user_file(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Where the user's own settings stand; None where there is no such place."""
    try:
        if environ.get("XDG_CONFIG_HOME"):
            base = Path(environ["XDG_CONFIG_HOME"])
        elif sys.platform == "win32":
            base = Path(environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
        elif sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path.home() / ".config"
    except RuntimeError:  # nobody's home
        return None
    return base / "pyro-fix" / "config.toml" if base.is_absolute() else None


def known(tree: Path) -> Known:
    """What the user has said; nothing where the file lies in the very ``tree``.

    Raises :class:`ConfigError` for a file that cannot be understood.
    """
    file = user_file()
    if file is None or file.is_relative_to(tree) or _inside(file, tree):
        return Known(None, {})
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return Known(file, {})
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror or error}") from error
    return Known(file, _folders(data, file))


def _folders(data: bytes, file: Path) -> dict[Path, bool]:
    table = parse(data, file)
    found: dict[Path, bool] = {}
    for key, value in table.items():
        if key not in ("trusted", "untrusted"):
            raise ConfigError(f"{file}: unknown key {key!r}: there are trusted, untrusted")
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise ConfigError(f"{file}: {key} must be a list of folders, not {value!r}")
        for item in value:
            folder = Path(item).expanduser()
            if not folder.is_absolute():
                raise ConfigError(f"{file}: {key}: {item!r} must be an absolute path, or begin with ~/")
            folder = folder.resolve()
            found[folder] = key == "trusted" and found.get(folder, True)
    return found


def remember(file: Path, tree: Path, trusted: bool) -> None:
    """Add what the user has said of ``tree`` to the user's file; raises :class:`ConfigError` where that fails."""
    key = "trusted" if trusted else "untrusted"
    entry = json.dumps(str(tree), ensure_ascii=False)  # which TOML reads alike
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        new, found = re.subn(rf"^{key}\s*=\s*\[", lambda start: f"{start[0]}{entry}, ", text, count=1, flags=re.M)
        if not found:
            new = f"{key} = [{entry}]\n{text}"
        if _folders(new.encode(), file) != {**_folders(text.encode(), file), tree: trusted}:
            raise ConfigError(f"{file}: cannot be changed without changing what else it says")
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        temporary.write_text(new, encoding="utf-8")
        temporary.replace(file.resolve())
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{file}: the answer cannot be kept: {error}") from error


# --- what is said to the user


def told(refused: Mapping[str, object]) -> str:
    """Settings as they stand in the file, for a line on a terminal."""
    return ", ".join(f"{name.replace('_', '-')} = {_value(value)}" for name, value in refused.items())


def _value(value: object) -> str:
    """A value in one line of plain characters, whatever a stranger has put there."""
    if isinstance(value, (tuple, list)):
        value = [str(item) for item in value]
    elif isinstance(value, Path):
        value = str(value)
    text = json.dumps(value, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def plain(path: Path) -> str:
    """A path, with nothing in it that acts on a terminal."""
    return in_line(str(path))


def how(tree: Path) -> str:
    """How to trust a tree."""
    file = known(tree).file
    return "--trust" if file is None else f"--trust, or trusted = [{_value(tree)}] in {plain(file)}"


def asked(tree: Path, file: Path, what: str) -> bool:
    """Ask on the terminal; ``what`` depends on the answer."""
    print(f"pyro-fix: {what}", file=sys.stderr)
    print(f"Do you trust {plain(tree)}, so that this counts? (kept in {plain(file)}) [y/N] ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def on_terminal(quiet: bool) -> bool:
    """Whether there is somebody to ask."""
    return (
        not quiet and not os.environ.get("CI") and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()
    )
