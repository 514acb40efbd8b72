"""What a repository needs, as a folder: the new files by pull request, and the evidence for every fix.

    plan/plan.json          everything but the files
    plan/files/BLOB         new contents, by the id that git gives them
    plan/NUMBER-KEY.patch   the same for people: ``git apply plan/1-all.patch``
    plan/report.html        the page that ``--report`` writes

``read`` takes a folder that nobody vouches for, and says in one line what is wrong with it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pyro_fix import __version__, regular
from pyro_fix.report.json import dumps

#: Raised when the form of ``plan.json`` changes.
SCHEMA = 1
#: Bytes of ``plan.json``, and of a changed file, that are read at most.
MOST_JSON, MOST_FILE = 64 * 2**20, 16 * 2**20
#: The page for people beside the plan.
PAGE = "report.html"
SUFFIXES = (".py", ".pyi", ".ipynb")

GroupBy = Literal["rule", "file", "all"]
GROUPINGS: tuple[GroupBy, ...] = ("rule", "file", "all")

T = TypeVar("T")


class PlanError(Exception):
    """A plan that cannot be used; the message is one line for the user."""


@dataclass(frozen=True)
class Fix:
    """One fix of a pull request."""

    fingerprint: str
    code: str
    name: str
    tip: int
    path: str
    """Relative to the top of the repository, with slashes."""
    cell: int | None
    """Of a notebook: the cell that ``line`` is a line of."""
    line: int
    message: str
    """What is wrong, in words; like all text here it may quote the repository."""
    label: str
    """What the fix does, in a few words."""
    verified: bool
    reason: str
    """The verdict in a sentence."""
    diff: str
    """Unified diff of this fix alone."""
    evidence: Mapping[str, object] = field(default_factory=dict)
    """As in ``--format json`` (docs/verification.md, Evidence)."""


@dataclass(frozen=True)
class File:
    """The new content of a file."""

    path: str
    """Relative to the top of the repository, with slashes."""
    old: str
    """The id of the blob that it replaces."""
    data: bytes

    @property
    def blob(self) -> str:
        """The id that git gives the new content; ``old`` tells by which hash."""
        hasher = hashlib.sha1 if len(self.old) == 40 else hashlib.sha256
        return hasher(b"blob %d\0" % len(self.data) + self.data).hexdigest()


@dataclass(frozen=True)
class Group:
    """What one pull request would hold."""

    key: str
    """``all``, a code, or a path: it names the branch."""
    fixes: tuple[Fix, ...]
    files: tuple[File, ...]
    patch: bytes = b""
    """The change of all files, for people; nothing is made of it."""
    proofs: tuple[Mapping[str, object], ...] = ()
    """What the programs are worth with all of it, trained to their end, as in ``--format json``."""


@dataclass(frozen=True)
class Plan:
    """Everything that ``publish`` has to know of a repository at one commit."""

    base: str
    """The commit that was looked at."""
    group_by: GroupBy
    groups: tuple[Group, ...]
    found: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint -> status (``verified``, ``rejected``, ``unverified``, ``none``) of every finding, with fix or
    without."""
    version: str = __version__


def write(plan: Plan, folder: Path) -> None:
    """Write ``plan`` to ``folder``, which may hold an older plan and nothing else; raises :class:`PlanError`."""
    old = check_folder(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in sorted(old, key=lambda name: name != "plan.json"):  # first out, last in: half a plan is none
            (folder / name).unlink()
        (folder / "files").mkdir(exist_ok=True)
        for number, group in enumerate(plan.groups, 1):
            for file in group.files:
                regular.write(folder / "files" / file.blob, file.data)
            regular.write(folder / _patch_name(number, group.key), group.patch)
        regular.write(folder / "plan.json", f"{dumps(_document(plan))}\n".encode())
    except OSError as error:
        raise PlanError(f"{folder}: cannot be written: {error.strerror or error}") from error


def check_folder(folder: Path) -> set[str]:
    """The files of the older plan in ``folder``, relative to it: a new one may take their place.

    Raises :class:`PlanError` where anything else is there.  The folder may have come with the repository that is
    looked at, so no name is taken for ours but those that a valid plan gives, and no link is followed.
    """
    try:
        link = regular.link_in(folder)
        if link is not None:
            raise PlanError(f"{folder}: {link} is a link, and may lead anywhere: name another folder")
        held = _held(folder) if folder.exists() else set()
    except OSError as error:
        raise PlanError(f"{folder}: cannot hold a plan: {error.strerror or error}") from error
    if held:
        try:
            plan = read(folder)
        except PlanError as error:
            raise PlanError(f"{folder}: holds other files than a plan: name a new folder ({error})") from error
        odd = sorted(held - _names(plan))
        if odd:
            raise PlanError(f"{folder}: holds other files than a plan: name a new folder ({odd[0]!r} is none of ours)")
    return held


def _held(folder: Path) -> set[str]:
    """Every file of a folder and of its ``files``; raises :class:`PlanError` for what is no regular file."""
    found = set()
    for prefix in ("", "files/"):
        with os.scandir(folder / prefix) if not prefix or (folder / prefix).exists() else nullcontext(()) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    found.add(f"{prefix}{entry.name}")
                elif prefix or entry.name != "files" or not entry.is_dir(follow_symlinks=False):
                    raise PlanError(f"{folder}: {prefix + entry.name!r} is no file of a plan: name a new folder")
    return found


def _names(plan: Plan) -> set[str]:
    """The files that a plan may consist of, relative to its folder."""
    patches = {_patch_name(number, group.key) for number, group in enumerate(plan.groups, 1)}
    return {"plan.json", PAGE, *patches, *(f"files/{file.blob}" for group in plan.groups for file in group.files)}


def _patch_name(number: int, key: str) -> str:
    return f"{number}-{re.sub('[^A-Za-z0-9_.-]+', '-', key)[-80:].strip('-.')}.patch"


def _document(plan: Plan) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "version": plan.version,
        "base": plan.base,
        "group by": plan.group_by,
        "found": dict(sorted(plan.found.items())),
        "groups": [
            {
                "key": group.key,
                "files": [{"path": file.path, "old": file.old, "new": file.blob} for file in group.files],
                "fixes": [vars(fix) for fix in group.fixes],
                "proofs": list(group.proofs),
            }
            for group in plan.groups
        ],
    }


def read(folder: Path) -> Plan:
    """The plan in ``folder``; raises :class:`PlanError` where it is none, or names what no plan may change."""
    path = folder / "plan.json"
    try:
        data = regular.read(path, MOST_JSON + 1)
        if len(data) > MOST_JSON:
            raise PlanError(f"{path}: is too large for a plan")
        document = json.loads(data)
    except OSError as error:
        raise PlanError(f"{folder}: holds no plan: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise PlanError(f"{path}: is not valid JSON: {error}") from error
    try:
        return _plan(_typed(document, dict), folder)
    except (KeyError, TypeError, ValueError) as error:
        raise PlanError(f"{path}: is not a plan of this version of pyro-fix: {error}") from error


def _plan(told: dict[str, Any], folder: Path) -> Plan:
    if told["schema"] != SCHEMA:
        raise ValueError(f"schema {told['schema']!r}, not {SCHEMA}")
    if told["group by"] not in GROUPINGS:
        raise ValueError(f"group by {told['group by']!r}")
    listed = enumerate(_typed(told["groups"], list), 1)
    groups = tuple(_group(number, _typed(group, dict), folder) for number, group in listed)
    if len({group.key for group in groups}) < len(groups):
        raise ValueError("two groups of one name")
    found = {_hexadecimal(key, 24): _typed(value, str) for key, value in _typed(told["found"], dict).items()}
    return Plan(_hexadecimal(told["base"]), told["group by"], groups, found, _typed(told["version"], str))


def _group(number: int, told: dict[str, Any], folder: Path) -> Group:
    files = tuple(_file(_typed(file, dict), folder) for file in _typed(told["files"], list))
    fixes = tuple(_fix(_typed(fix, dict)) for fix in _typed(told["fixes"], list))
    if not files or not fixes or len({file.path for file in files}) < len(files):
        raise ValueError("a group without fixes or files, or with a file twice")
    key = _typed(told["key"], str)
    patch = folder / _patch_name(number, key)
    shown = patch.is_file() and not patch.is_symlink() and patch.stat().st_size <= MOST_FILE
    proofs = tuple(_typed(proof, dict) for proof in _typed(told.get("proofs", []), list))
    return Group(key, fixes, files, patch.read_bytes() if shown else b"", proofs)


def _file(told: dict[str, Any], folder: Path) -> File:
    path, blob = _inside(told["path"]), _hexadecimal(told["new"])
    stored = folder / "files" / blob
    try:
        if stored.is_symlink() or stored.stat().st_size > MOST_FILE:
            raise ValueError(f"the new content of {path!r} is no file of a sensible size")
        file = File(path, _hexadecimal(told["old"]), stored.read_bytes())
    except OSError as error:
        raise ValueError(f"the new content of {path!r} cannot be read: {error.strerror or error}") from error
    if file.blob != blob:
        raise ValueError(f"the new content of {path!r} is not what the plan says")
    return file


def _fix(told: dict[str, Any]) -> Fix:
    cell = told["cell"]
    return Fix(
        fingerprint=_hexadecimal(told["fingerprint"], 24),
        code=_matching(told["code"], r"SVI\d{3}|[A-Z]+\d+"),
        name=_matching(told["name"], r"[a-z0-9-]+"),
        tip=_typed(told["tip"], int),
        path=_inside(told["path"]),
        cell=None if cell is None else _typed(cell, int),
        line=_typed(told["line"], int),
        message=_typed(told["message"], str),
        label=_typed(told["label"], str),
        verified=_typed(told["verified"], bool),
        reason=_typed(told["reason"], str),
        diff=_typed(told["diff"], str),
        evidence=_typed(told["evidence"], dict),
    )


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{str(value)[:40]!r} where a {kind.__name__} belongs")
    return value


def _matching(value: Any, pattern: str) -> str:
    if re.fullmatch(pattern, _typed(value, str)) is None:
        raise ValueError(f"{value[:40]!r} is not of the form {pattern}")
    return str(value)


def _hexadecimal(value: Any, *lengths: int) -> str:
    text = _matching(value, r"[0-9a-f]+")
    if len(text) not in (lengths or (40, 64)):
        raise ValueError(f"{text[:70]!r} has {len(text)} digits")
    return text


def _inside(value: Any) -> str:
    """A path that a fix may change: a Python file or notebook below the top, and nothing of git's or a forge's own."""
    text = _typed(value, str)
    path = PurePosixPath(text)
    hidden = {part.casefold() for part in path.parts} & {".git", ".github", ".gitlab", "..", "."}
    plain = str(path) == text and not re.search(r"[\x00-\x1f\x7f\\]", text)
    if path.is_absolute() or hidden or not plain or path.suffix not in SUFFIXES:
        raise ValueError(f"{text[:200]!r} is no file that a fix may change")
    return text
