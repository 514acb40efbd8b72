"""When parameters are kept, and when this program judges those of other runs."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from . import referee, replicas

if TYPE_CHECKING:
    from .entries import Entry
    from .record import Recorder

#: After this many steps the program has shown most of the batches that it has.
EARLY = 8


def save(recorder: Recorder, entry: Entry, when: str) -> None:
    """Keep the parameters, if that is asked for; ``when`` is ``first`` or ``last``."""
    folder = recorder.spec["save_states"]
    if folder is None:
        return
    folder = os.path.join(folder, str(recorder.replicas.seed))
    os.makedirs(folder, exist_ok=True)
    referee.save(entry, os.path.join(folder, f"svi-{entry.ordinal}-{when}.pt"))


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
