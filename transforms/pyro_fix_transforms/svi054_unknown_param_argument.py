"""SVI054."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from difflib import SequenceMatcher

from pyro_fix.analysis import distributions
from pyro_fix.analysis.calls import unknown_keywords
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform

#: Names that share this much, as ``difflib`` counts, are one name spelled in two ways: ``contrainst``, ``constraint``.
ALIKE = 0.85
#: Of shorter names any two look alike: ``loc`` and ``low``.
SHORTEST = 4


class UnknownParamArgument(Transform):
    """Spell a keyword the way the callee does.

    ## What it does
    Finds a keyword of `pyro.param`, `PyroParam` or a distribution that the callee does not have, and that is a slip of
    one that it has, and spells it right.

    ## Why
    The call raises `TypeError` when it is reached, which may be late, in a branch that a short run does not take; and
    the constraint that was meant protects nothing until then (tip 5).

    ## Example
    ```python
    scale = pyro.param("scale", torch.tensor(0.1), contrainst=constraints.positive)
    ```
    becomes
    ```python
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    ```

    ## Holds back when
    - the call has more arguments than can be seen (`**options`), or is given the right keyword as well;
    - the keyword resembles several that the callee has.

    All slips of a file are mended together, because one that is left ends the program.

    A keyword that resembles none is not reported.

    ## Promise
    The patched program runs clean.
    """

    code, name, tip = "SVI054", "unknown-param-argument", 5
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a call; a program with one slip left dies all the same, so they are mended by the file."""
        found = [_Slips(made) for made in {id(made.node): made for made in program.misnamed}.values()]
        sound: dict[Module, list[_Slips]] = {}
        for slips in found:
            if not slips.doubt:
                sound.setdefault(slips.made.module, []).append(slips)
        edits = {module: tuple(edit for slips in those for edit in slips.edits) for module, those in sound.items()}
        for slips in found:
            if not slips.meant:
                continue
            told = "; ".join(f"{k.arg!r} for {' or '.join(map(repr, names))}" for k, names in slips.meant)
            callee = slips.made.name.removeprefix("pyro.distributions.").removeprefix("pyro.nn.")
            message = f"{callee} has no such argument: {told}"
            changes = edits.get(slips.made.module, ())
            label = ", ".join(f"{names[0]}=" for _, names in slips.meant)
            if len(sound.get(slips.made.module, ())) > 1:
                label += " (with the other slips of this file)"
            candidate = Candidate(changes, self.promise, label)
            yield self.finding(slips.made.module, slips.made.node, message, (candidate,), held_back=slips.doubt)


class _Slips:
    """The misspelt keywords of one call."""

    def __init__(self, made: Made) -> None:
        unknown = unknown_keywords(made)
        self.made = made
        self.meant = [(k, names) for k in made.node.keywords if k.arg in unknown and (names := meant(k.arg, made))]
        self.doubt = _doubt(made, [names for _, names in self.meant])

    @property
    def edits(self) -> Iterator[Edit]:
        """Every keyword as it is meant."""
        for keyword, names in self.meant:
            yield _respelled(self.made, keyword, names[0])


def meant(keyword: str | None, made: Made) -> list[str]:
    """The arguments of the callee that ``keyword`` may be a slip of, in alphabetic order."""
    names = distributions.argument_names(made.name) or frozenset()
    if keyword is None or len(keyword) < SHORTEST:
        return []
    return sorted(name for name in names if len(name) >= SHORTEST and _alike(keyword, name))


def _alike(keyword: str, name: str) -> bool:
    return _one_slip(keyword, name) or SequenceMatcher(None, keyword, name, autojunk=False).ratio() >= ALIKE


def _one_slip(left: str, right: str) -> bool:
    """Whether one letter was added, lost, replaced or swapped with its neighbour, or whether only case differs."""
    if left.lower() == right.lower():
        return True
    short, long = sorted((left, right), key=len)
    start = next((i for i, (a, b) in enumerate(zip(short, long, strict=False)) if a != b), len(short))
    if len(short) < len(long):
        return short[start:] == long[start + 1 :]
    a, b = short[start:], long[start:]
    return a[1:] == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])


def _doubt(made: Made, names: list[list[str]]) -> str:
    if made.spread or any(keyword.arg is None for keyword in made.node.keywords):
        return "the call has more arguments than can be seen"
    if any(len(some) > 1 for some in names):
        return "it is not clear which argument is meant"
    wanted = [some[0] for some in names]
    if len(set(wanted)) < len(wanted) or set(wanted) & _given(made):
        return "the right argument is given as well"
    return ""


def _given(made: Made) -> set[str]:
    """The arguments that are given under their right names, or by position."""
    package, _, name = made.name.rpartition(".")
    known = distributions.lookup(name) if package == "pyro.distributions" else None
    order = known.arguments if known is not None else distributions.FUNCTIONS.get(made.name, ())
    return {*made.keywords, *order[: len(made.arguments)]}


def _respelled(made: Made, keyword: ast.keyword, name: str) -> Edit:
    start = made.module.source.offset(keyword.lineno, keyword.col_offset)
    assert keyword.arg is not None
    return Edit(made.module.path, start, start + len(keyword.arg), name)
