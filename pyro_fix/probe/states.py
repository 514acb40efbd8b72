"""When parameters are kept, and when this program judges those of other runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from . import referee, replicas

if TYPE_CHECKING:
    from .entries import Entry
    from .record import Recorder

#: After this many steps the program has shown most of the batches that it has.
EARLY = 8
#: Of a training that goes to its end, the share of the steps whose parameters stand for where it ends: under a fixed
#: rate the last ones alone are a draw from all those that it bounces between.
LATE = 0.1
#: At so many of those steps, and twice as many while nobody knows how many there will be.
MOMENTS = 8
#: Of the way there, at so many steps, and twice as many while nobody knows.
POINTS = 16
#: Bytes that these may take together.
MOST_BYTES = 200_000_000


def save(recorder: Recorder, entry: Entry, when: str) -> None:
    """Keep the parameters, if that is asked for; ``when`` is ``first`` or ``last``."""
    if recorder.spec["save_states"] is not None:
        referee.save(referee.snapshot(entry), _path(recorder, entry, when))


class Kept:
    """The parameters over the last part of the steps so far, at even distances."""

    def __init__(self, size: int, share: float, moments: int) -> None:
        """``size``: bytes that the parameters take at one step; ``share``: of the steps, the part that is of interest;
        ``moments``: at so many steps, and twice as many while nobody knows how many there will be."""
        self._most = 2 * moments if 2 * moments * size <= MOST_BYTES else 0
        self._share, self._moments = share, moments
        self._kept: list[tuple[int, dict[str, Any]]] = []
        self._stride = 1

    def follow(self, entry: Entry) -> None:
        """A step was made."""
        if not self._most or entry.made % self._stride:
            return
        self._kept = [(step, state) for step, state in self._kept if step > (1 - self._share) * entry.made]
        self._kept.append((entry.made, referee.snapshot(entry)))
        if len(self._kept) > self._most:
            self._stride *= 2
            self._kept = [(step, state) for step, state in self._kept if step % self._stride == 0]

    def states(self, entry: Entry) -> list[tuple[int, dict[str, Any]]]:
        """Numbers of steps, and what was kept after as many; the last parameters are not among it."""
        first = (1 - self._share) * entry.made
        kept = [(step, state) for step, state in self._kept if first < step < entry.made]
        return kept[:: -(-len(kept) // self._moments)] if kept else []


def follow(recorder: Recorder, entry: Entry) -> None:
    """A step was made: where the program is trained to its end, this may be one of the last."""
    if recorder.spec["save_states"] is not None and recorder.spec["to_the_end"]:
        if entry.late is None:
            size = referee.size(entry)
            entry.late, entry.way = Kept(size, LATE, MOMENTS), Kept(size, 1.0, POINTS)
        entry.late.follow(entry)
        entry.way.follow(entry)


def save_late(recorder: Recorder, entry: Entry) -> None:
    """Keep the parameters of late steps, and of the way there, if that is asked for."""
    if recorder.spec["save_states"] is not None and recorder.spec["to_the_end"]:
        late = entry.late.states(entry) if entry.late else []
        for number, state in enumerate([*(state for _, state in late), referee.snapshot(entry)]):
            referee.save(state, _path(recorder, entry, f"late-{number}"))
        for step, state in entry.way.states(entry) if entry.way else []:
            referee.save(state, _path(recorder, entry, f"way-{step}"))


def _path(recorder: Recorder, entry: Entry, when: str) -> str:
    folder = os.path.join(recorder.spec["save_states"], str(recorder.replicas.seed))
    os.makedirs(folder, exist_ok=True)
    return os.path.join(folder, f"svi-{entry.ordinal}-{when}.pt")


def judge(recorder: Recorder, entry: Entry, final: bool) -> None:
    """Have the states of other runs evaluated, if that is asked for, once and as early as the batches are known."""
    asked = recorder.spec["referee"]
    if asked is None or entry.judged:
        return
    # After as many steps as there are evaluations it has shown as many batches as can be used.
    if not (final or entry.made >= min(max(EARLY, asked["evaluations"]), recorder.most_steps)):
        return
    entry.judged = True
    if recorder.replicas.seed != recorder.spec["seeds"][0]:
        return

    def work() -> None:
        referee.judge(recorder, entry, asked)

    with recorder.passive():
        if replicas.why_not_fork():
            referee.restoring(entry.params, work)
        else:
            wrong = replicas.forked(work, max(1.0, recorder.spec["deadline"] - time.time()))
            if wrong:
                recorder.journal.write("note", text=f"referee: {wrong}")
