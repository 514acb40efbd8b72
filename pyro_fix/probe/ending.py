"""How recorded SVI objects, and the program, come to their ends."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import devices, replicas, states
from .entries import Entry

if TYPE_CHECKING:
    from .record import Recorder

#: A program that calls ``step`` this often after its SVI objects are done has nothing more to show.
MOST_SKIPPED = 200_000
#: Share of the time that such calls (and what the program does between them) may take.
SKIPPED_SHARE = 1 / 3


class Ending:
    """Whether enough was seen, and what is to be done then."""

    def __init__(self, recorder: Recorder) -> None:
        """The program has just begun."""
        self._recorder = recorder
        self.ended = False
        self.user_ended = False
        self.ever_skipped = False
        self.stop_program: Callable[[], None] | None = None
        """How to stop the program with manners; None: by leaving the process."""
        self._skipped = 0
        self._skipping_since = 0.0

    def made_a_step(self) -> None:
        """The program is not idle."""
        self._skipped, self._skipping_since = 0, 0.0

    def skip(self, entry: Entry) -> Any:
        """A call after an SVI object's last real step."""
        now = time.time()
        self._skipping_since = self._skipping_since or now
        self._skipped += 1
        self.ever_skipped = True
        if not self.user_ended and (
            self._skipped > MOST_SKIPPED
            or now - self._skipping_since > SKIPPED_SHARE * self._recorder.spec["timeout"]
            or now > self._recorder.replicas.deadline
        ):
            self.stop("skipped")
        return entry.last if entry.last is not None else math.nan

    def finish(self, entry: Entry, reason: str) -> None:
        """An SVI object makes no more steps."""
        if entry.done:
            return
        entry.done = True
        if not entry.made:
            return
        recorder = self._recorder
        recorder.quietly(states.save, recorder, entry, "last")
        recorder.quietly(states.save_late, recorder, entry)
        recorder.quietly(states.judge, recorder, entry, True)
        recorder.journal.write(
            "end",
            seed=recorder.replicas.seed,
            svi=entry.ordinal,
            reason=reason,
            ranges={name: list(extent_) for name, extent_ in entry.params.ranges.items()},
            seconds=recorder.quietly(recorder.meter.seconds, entry.ordinal) or [],
            own=entry.own,
            clamped=entry.clamped,
        )
        entry.batches = []

    def stop_if_done(self) -> None:
        """Stop once every SVI object that the source builds has made its steps, or has judged what it was to judge."""
        entries = self._recorder.entries
        if len(entries) < self._recorder.spec["expect_svis"]:
            return
        if all(entry.done or entry.judged for entry in entries):
            self.stop("steps")

    def again(self) -> None:
        """A program in smoke mode makes a few steps and ends: make its calls again until there are enough."""
        self.user_ended = True
        for entry in self._recorder.entries:
            if not entry.made or not entry.calls or not entry.params.alive:
                continue
            if not entry.done:
                entry.own = entry.made
            while not entry.done and not self.ended:
                step, args, kwargs = entry.calls[entry.made % len(entry.calls)]
                step(*args, **kwargs)

    def stop(self, reason: str) -> None:
        """End the program, with everything in the journal."""
        if self.ended:
            return
        self.ended = True
        self.close(reason)
        in_main = threading.current_thread() is threading.main_thread()
        if self._recorder.replicas.first and self.stop_program is not None and in_main:
            self.stop_program()
        else:
            self.leave()

    def close(self, reason: str) -> None:
        """Report what is only known at the end."""
        for entry in self._recorder.entries:
            self.finish(entry, reason)
        self._recorder.overlay.counter.flush()
        self._recorder.journal.check()
        memory = self._recorder.quietly(self._recorder.meter.memory)
        self._recorder.journal.write("device", device=devices.name(), memory=memory)

    def leave(self, status: int = 0) -> Any:
        """Leave the process once the other replicas are done."""
        self._recorder.replicas.wait()
        # A replica that comes here is no lost one, whatever the program made of its end.
        return replicas.leave(status if self._recorder.replicas.first else 0)
