"""Make a plan: look at a checkout, verify, and put what holds into groups of one pull request each."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from pyro_fix import engine
from pyro_fix.bot import checkout
from pyro_fix.bot.plan import SUFFIXES, File, Fix, Group, GroupBy, Plan, PlanError
from pyro_fix.config import Options
from pyro_fix.diffs import of_change
from pyro_fix.report import json
from pyro_fix.report.text import label
from pyro_fix.result import Change, Finding, Result
from pyro_fix.transform import Status
from pyro_fix.watch import Progress

_HEADER = re.compile(r"^--- a/.*\n\+\+\+ b/.*\n(?=@@ )", re.MULTILINE)
_NAME = re.compile(r"^(--- a/|\+\+\+ b/)([^\t\n]*)(\t?)$", re.MULTILINE)


def make(options: Options, group_by: GroupBy, progress: Progress) -> tuple[Plan, Result]:
    """The plan for the checkout that holds the working folder, and all that was found there.

    Raises :class:`PlanError` where there is no checkout or files that would change differ from its commit, and what
    :func:`pyro_fix.engine.check` raises.
    """
    top = checkout.top(Path.cwd())
    base = checkout.commit(top)
    result = engine.check(options, progress)
    groups = [_group(key, part, top) for key, part in _parts(result, options, group_by, progress) if part.changes]
    found: dict[str, str] = {}
    for finding in result.findings:
        # Two findings may have one fingerprint; the one that has a fix to offer speaks for both.
        if found.get(finding.fingerprint) != Status.VERIFIED.value:
            found[finding.fingerprint] = finding.verdict.status.value
    return Plan(base, group_by, tuple(groups), found), result


def _parts(result: Result, options: Options, group_by: GroupBy, progress: Progress) -> Iterator[tuple[str, Result]]:
    """Key and result of each group.

    A pull request has to hold alone, so each group is looked at and verified by itself; the programs as they are were
    run already.
    """
    included = [finding for finding in result.findings if finding.included]
    if group_by == "all":
        yield "all", result
    elif group_by == "rule":
        codes = sorted({finding.proposal.code for finding in included})
        for code in codes:
            alone = replace(options, select=(code,), extend_select=(), ignore=())
            yield code, result if len(codes) == 1 else engine.check(alone, progress)
    else:
        top = checkout.top(Path.cwd())
        paths = sorted({finding.proposal.path for finding in included})
        for path in paths:
            alone = replace(options, paths=(path,))
            yield _relative(path, top), result if len(paths) == 1 else engine.check(alone, progress)


def _group(key: str, result: Result, top: Path) -> Group:
    fixes = tuple(_fix(finding, top) for finding in result.findings if finding.included)
    known = checkout.blobs(top, (_relative(change.source.path, top) for change in result.changes))
    files = tuple(_file(change, top, known) for change in result.changes)
    patch = b"".join(of_change(change, top) for change in result.changes)
    proofs = tuple(_from_top(json.of_proof(proof), f"{top}{os.sep}") for proof in result.proofs if proof.compares)
    return Group(key, fixes, files, patch, proofs)  # type: ignore[arg-type]


def _file(change: Change, top: Path, known: dict[str, str]) -> File:
    path = _relative(change.source.path, top)
    if path not in known or not path.endswith(SUFFIXES):
        raise PlanError(f"{path}: is no regular file of the commit that is checked out: exclude it, or commit it")
    file = File(path, known[path], change.source.encode(change.text))
    if replace(file, data=change.source.data).blob != file.old:
        raise PlanError(f"{path}: differs from the commit that is checked out: commit or stash it")
    return file


def _fix(finding: Finding, top: Path) -> Fix:
    proposal, verdict = finding.proposal, finding.verdict
    told = json.of_finding(finding, top)
    assert isinstance(told["fix"], dict)
    return Fix(
        fingerprint=finding.fingerprint,
        code=proposal.code,
        name=proposal.name,
        tip=proposal.tip,
        path=_relative(proposal.path, top),
        cell=finding.cell,
        line=proposal.line,
        message=proposal.message,
        label=label(finding),
        verified=verdict.status is Status.VERIFIED,
        reason=verdict.reason,
        diff=_rooted(finding.diff, top),
        evidence={key: _from_top(value, f"{top}{os.sep}") for key, value in told["fix"]["evidence"].items()},
    )


def _rooted(diff: str, top: Path) -> str:
    """A diff whose names are relative to the repository's top, whatever the working folder is."""
    here = os.path.relpath(Path.cwd(), top).replace(os.sep, "/")
    if here == "." or diff.startswith("diff --git "):  # which is relative to the top already
        return diff
    name = partial(re.sub, _NAME, lambda found: f"{found[1]}{posixpath.normpath(f'{here}/{found[2]}')}{found[3]}")
    return _HEADER.sub(lambda found: name(found[0]), diff)


def _from_top(value: object, top: str) -> object:
    """A value of the evidence, with paths below the repository's top as everybody has them."""
    if isinstance(value, str):
        return value.replace(top, "")
    if isinstance(value, Mapping):
        return {key: _from_top(item, top) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_from_top(item, top) for item in value]
    return value


def _relative(path: Path, top: Path) -> str:
    path = path.absolute()
    if not path.is_relative_to(top):
        raise PlanError(f"{path}: lies outside the repository {top}")
    return path.relative_to(top).as_posix()
