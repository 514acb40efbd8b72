"""Suggest fixes on an existing pull request, on the lines that it changes and on no others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pyro_fix.bot import body
from pyro_fix.bot.forge import Comment, Forge, ForgeError, Remark
from pyro_fix.bot.plan import Fix, Plan
from pyro_fix.bot.without import Hunk, hunks

OUTDATED = "pyro-fix: what this was about is no longer found."


@dataclass(frozen=True)
class _Wanted:
    """A comment that should stand at lines of the pull request."""

    fingerprint: str
    remark: Remark


def review(plan: Plan, forge: Forge, number: int) -> str:
    """Bring the bot's comments at lines into line with ``plan``; returns what was done, in words.

    Raises :class:`ForgeError`, also where the pull request has moved on since the plan was made.
    """
    pull = forge.pull(number)
    if pull.state != "open":
        raise ForgeError(f"pull request {number} is {pull.state}")
    if pull.head != plan.base:
        raise ForgeError(
            f"pull request {number} is at {pull.head[:12]}, the plan at {plan.base[:12]}: plan again there"
        )
    changed = forge.changed_lines(number)
    fixes = {fix.fingerprint: fix for group in plan.groups for fix in group.fixes}
    wanted = [w for fix in fixes.values() for w in _wanted(fix, changed, forge)]
    new, edited, gone = _compare(wanted, forge.remarks(number))
    for comment, words in edited:
        forge.edit_remark(number, comment.id, words)
    for comment in gone:
        if comment.answered:  # a talk must not lose its beginning
            if comment.body != OUTDATED:
                forge.edit_remark(number, comment.id, OUTDATED)
        else:
            forge.delete_remark(number, comment.id)
    if new:
        forge.review(number, pull.head, body.review(len({w.fingerprint for w in new})), [w.remark for w in new])
    counts = (len(new), "new"), (len(edited), "changed"), (len(gone), "withdrawn")
    kept = len(wanted) - len(new) - len(edited)
    return f"pull request {number}: comments: {', '.join(f'{n} {words}' for n, words in counts)}, {kept} as they were"


def _wanted(fix: Fix, changed: Mapping[str, frozenset[int]], forge: Forge) -> Iterator[_Wanted]:
    """The comments for one fix: suggestions where it lies wholly in changed lines, else words where it was found."""
    if fix.cell is not None:
        return  # lines of a notebook's JSON mean nothing to a reader
    places = _places(fix)
    if places and all(set(range(p.first, p.last + 1)) <= changed.get(p.path, frozenset()) for p in places):
        for index, place in enumerate(places):
            suggested = forge.suggestion(place.text, place.first, place.last)
            words = body.remark(fix, suggested, index + 1, len(places))
            yield _Wanted(
                fix.fingerprint,
                Remark(place.path, place.first, place.last, _signed(fix, f"{index}-{place.last - place.first}", words)),
            )
    elif fix.line in changed.get(fix.path, frozenset()):
        words = body.remark(fix, body.diff(fix), 1, 1)
        yield _Wanted(fix.fingerprint, Remark(fix.path, fix.line, fix.line, _signed(fix, "0-0", words)))


@dataclass(frozen=True)
class _Place:
    path: str
    first: int
    last: int
    text: str


def _places(fix: Fix) -> list[_Place]:
    """Lines to be replaced; none where the diff speaks of a text that earlier fixes have changed."""
    if fix.evidence.get("round", 1) != 1:
        return []
    try:
        return [_place(hunk) for hunk in hunks(fix.diff)]
    except ValueError:
        return []


def _place(hunk: Hunk) -> _Place:
    if hunk.before:
        return _Place(hunk.path, hunk.first, hunk.first + len(hunk.before) - 1, "".join(hunk.after))
    if hunk.below:  # lines that are only added stand before the next one
        return _Place(hunk.path, hunk.first, hunk.first, "".join([*hunk.after, hunk.below[0]]))
    if hunk.above:
        return _Place(hunk.path, hunk.first - 1, hunk.first - 1, "".join([hunk.above[-1], *hunk.after]))
    raise ValueError("nothing to hold on to")


def _signed(fix: Fix, part: str, words: str) -> str:
    """With the hidden key by which the comment is found again; how many lines it is about cannot be changed later."""
    return f"{words.rstrip()}\n\n{body.signature(f'{fix.fingerprint}-{part}')}"


def _compare(
    wanted: Sequence[_Wanted], present: Sequence[Comment]
) -> tuple[list[_Wanted], list[tuple[Comment, str]], list[Comment]]:
    """What is new, what has other words in the same place, and what is no longer wanted."""
    known: dict[str, Comment] = {}
    gone = []
    for comment in present:
        key = body.signed(comment.body)
        if key is None:
            continue
        if comment.line is None or key in known:
            gone.append(comment)
        else:
            known[key] = comment
    new, edited = [], []
    for want in wanted:
        key = body.signed(want.remark.body)
        old = known.get(key) if key is not None else None
        if old is None or (old.path, old.line) != (want.remark.path, want.remark.last):
            new.append(want)
            continue
        assert key is not None
        del known[key]
        if old.body.replace("\r\n", "\n").strip() != want.remark.body.strip():
            edited.append((old, want.remark.body))
    return new, edited, [*gone, *known.values()]
