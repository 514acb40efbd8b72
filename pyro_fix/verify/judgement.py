"""What a promise's judge answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Judgement:
    """Whether a pair of runs kept a promise."""

    kept: bool | None
    """None: the runs cannot tell."""
    reason: str
    """A clause for a terminal line; it states what was compared and what came out."""
    evidence: dict[str, object] = field(default_factory=dict)
    """JSON-ready numbers."""
    waits: bool = False
    """``kept`` is None only for a trouble that the original has as well: another fix of the program may cure it."""
    shown: str = ""
    """What a judgement that waits could show before the trouble came."""
    weak: bool = False
    """``kept`` is None only for noise: more runs may decide."""
    defer: bool = False
    """``kept`` is None only for a trouble that the original has as well, and that hides what was promised: it can be
    judged once the program's other fixes are in."""
    final: bool = False
    """No later candidate of the ladder can do better."""


def merge(judgements: Sequence[Judgement]) -> Judgement:
    """All of several judgements: broken when one is, kept when all are; the reason is that of the deciding ones."""
    for kept in (False, None):
        deciding = [judgement for judgement in judgements if judgement.kept is kept]
        if deciding:
            break
    else:
        deciding = list(judgements)
    open_ones = [judgement for judgement in deciding if judgement.kept is None]
    waits = bool(open_ones) and all(judgement.waits for judgement in open_ones)
    weak = bool(open_ones) and all(judgement.weak for judgement in open_ones)
    defer = bool(open_ones) and all(judgement.defer for judgement in open_ones)
    evidence: dict[str, object] = {}
    for judgement in judgements:
        evidence |= judgement.evidence
    reason = "; ".join(dict.fromkeys(judgement.reason for judgement in deciding if judgement.reason))
    shown = "; ".join(dict.fromkeys(judgement.shown for judgement in deciding if judgement.shown))
    return Judgement(deciding[0].kept if deciding else None, reason, evidence, waits, shown, weak, defer)
