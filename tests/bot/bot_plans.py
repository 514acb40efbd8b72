"""Plans without an engine: each line of a repository that says ``fixme-…`` is a finding, whose fix says ``fixed``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from forge_model import Repo

from pyro_fix.bot.plan import File, Fix, Group, GroupBy, Plan
from pyro_fix.diffs import unified

_FIXME = re.compile(r"fixme-(\w+)(-unverified)?")


def plan_of(repo: Repo, group_by: GroupBy = "all", refused: Collection[str] = (), unverified: bool = True) -> Plan:
    """The plan of the default branch as it is; ``unverified``: with the fixes that no run could judge."""
    tree = {path: text for path, text in repo.tree().items() if path.endswith(".py")}
    fixes = [fix for path, text in sorted(tree.items()) for fix in _fixes(path, text)]
    fixes = [fix for fix in fixes if fix.fingerprint not in refused]
    found = {fix.fingerprint: "verified" if fix.verified else "unverified" for fix in fixes}
    held = [fix for fix in fixes if fix.verified or unverified]
    keys = {"all": lambda fix: "all", "rule": lambda fix: fix.code, "file": lambda fix: fix.path}[group_by]
    grouped: dict[str, list[Fix]] = {}
    for fix in held:
        grouped.setdefault(keys(fix), []).append(fix)
    head = repo.head()
    assert head is not None
    groups = tuple(_group(key, part, tree) for key, part in sorted(grouped.items()))
    return Plan(head, group_by, groups, found)


def blob(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _fixes(path: str, text: str) -> list[Fix]:
    lines = text.splitlines(keepends=True)
    fixes = []
    for number, line in enumerate(lines, 1):
        match = _FIXME.search(line)
        if match is None:
            continue
        new = [*lines[: number - 1], _FIXME.sub("fixed", line), *lines[number:]]
        code = f"SVI{len(match[1]) % 10:03}"
        fixes.append(
            Fix(
                fingerprint=hashlib.sha256(f"{path} {line.strip()}".encode()).hexdigest()[:24],
                code=code,
                name="a-rule",
                tip=5,
                path=path,
                cell=None,
                line=number,
                message=f"{match[0]} has no constraint",
                label="add a constraint",
                verified=match[2] is None,
                reason="same start",
                diff=unified(text, "".join(new), Path(path), Path()),
                evidence={"files": [path]},
            )
        )
    return fixes


def _group(key: str, fixes: list[Fix], tree: Mapping[str, str]) -> Group:
    files = []
    for path in sorted({fix.path for fix in fixes}):
        lines = tree[path].splitlines(keepends=True)
        for fix in fixes:
            if fix.path == path:
                lines[fix.line - 1] = _FIXME.sub("fixed", lines[fix.line - 1])
        files.append(File(path, blob(tree[path].encode()), "".join(lines).encode()))
    return Group(key, tuple(fixes), tuple(files))
