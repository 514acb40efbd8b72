"""What is going on, on stderr, for whatever takes longer than a second.

A terminal gets a picture that moves: the phase and its tasks, every program that runs with its steps so far and their
rate, the time that it took and what is left.  Elsewhere there are plain lines, a few seconds apart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pyro_fix import regular
from pyro_fix.report import streams
from pyro_fix.visible import in_line
from pyro_fix.watch import Event, Notice, Phase, Round, RunBegan, RunEnded, RunWrites, TaskDone

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.spinner import Spinner

#: Seconds that the work may take unseen.
PATIENCE = 1.0
#: Seconds between two plain lines, and between two where nothing new began.
PACE, QUIET = 3.0, 20.0
#: Seconds of a phase after which its speed says something.
ENOUGH = 3.0
_FRAMES_A_SECOND = 8
_STEP = b'"event": "step"'
#: Bytes of a journal that are read between two frames.
_MOST_READ = 4 << 20


@dataclass
class _Run:
    """A program that is running."""

    what: str
    steps: int
    began: float
    journals: dict[Path, _Journal] = field(default_factory=dict)

    @property
    def made(self) -> int:
        """How many steps its journals tell of."""
        return sum(journal.count() for journal in self.journals.values())


@dataclass
class _Journal:
    """Counts the steps in a file that grows."""

    path: Path
    read: int = 0
    steps: int = 0
    first: float = 0.0
    """When the first step was seen."""

    def count(self) -> int:
        """Steps so far; only what is new is read, and a line that is half written waits."""
        # The program may write there what it likes, and put something else there.
        with contextlib.suppress(OSError):
            new = regular.read(self.path, _MOST_READ, self.read)
            whole = new[: new.rfind(b"\n") + 1]
            self.read += len(whole)
            self.steps += whole.count(_STEP)
        if self.steps and not self.first:
            self.first = time.monotonic()
        return self.steps


class State:
    """What is known of the work at this moment."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` gives seconds."""
        self._clock = clock
        self.began = clock()
        self.round = 1
        self.phase = Phase("", 0)
        self.done = 0
        self.finished = 0
        """Runs that are over."""
        self.runs: dict[int, _Run] = {}
        self._phase_began = self.began

    def hear(self, event: Event) -> None:
        """Take note of an event."""
        if isinstance(event, Round):
            self.round = event.number
        elif isinstance(event, Phase):
            self.phase, self.done, self._phase_began = event, 0, self._clock()
        elif isinstance(event, TaskDone):
            self.done += 1
        elif isinstance(event, RunBegan):
            self.runs[event.key] = _Run(in_line(event.what), event.steps, self._clock())
        elif isinstance(event, RunWrites) and event.key in self.runs:
            self.runs[event.key].journals[event.journal] = _Journal(event.journal)
        elif isinstance(event, RunEnded):
            self.finished += self.runs.pop(event.key, None) is not None

    def left(self) -> float | None:
        """Seconds that the phase will still take at the speed of its tasks so far; None where nobody can tell."""
        spent = self._clock() - self._phase_began
        if not self.done or spent < ENOUGH:
            return None
        return spent / self.done * max(self.phase.tasks - self.done, 0)

    def headline(self) -> str:
        """Round, phase, tasks, runs, time."""
        parts = [f"round {self.round}"]
        if self.phase.tasks:
            parts.append(f"{self.phase.words}: {min(self.done, self.phase.tasks)} of {self.phase.tasks}")
        parts += [f"{self.finished} run{'s' * (self.finished != 1)} made", clock(self._clock() - self.began)]
        left = self.left()
        if left:
            parts.append(f"about {clock(left)} left in this phase")
        return ", ".join(parts)

    def lines(self) -> Iterator[tuple[str, str]]:
        """A run a line: what runs, and how far it is."""
        now = self._clock()
        for run in list(self.runs.values()):
            made = run.made
            steps = f"{made} of {run.steps} steps" if run.steps >= made > 0 else f"{made} steps" if made else "starting"
            if not run.steps and not made:
                steps = "running"
            first = min((journal.first for journal in run.journals.values() if journal.first), default=now)
            rate = f", {made / (now - first):.0f}/s" if made > 1 and now - first > 0.5 else ""
            yield run.what, f"{steps}{rate}, {clock(now - run.began)}"


class Progress:
    """Hears events, and shows them; nothing at all unless ``shown``."""

    def __init__(self, shown: bool = True) -> None:
        """Show what is heard on stderr, or nothing."""
        self._open = shown
        self._lock = threading.Lock()
        self._state = State()
        self._timer: threading.Timer | None = None
        self._live: Live | None = None
        self._spinner: Spinner | None = None
        self._last = 0.0
        self._told: set[int] = set()

    def __call__(self, event: Event) -> None:
        """Take note; what is shown follows by itself."""
        with self._lock:
            if not self._open:
                return
            if isinstance(event, Notice):
                streams.err(event.words)
                return
            self._state.hear(event)
            # Before anything is run nothing takes long enough to be shown, nor pays for importing what shows it.
            if isinstance(event, RunBegan) and self._timer is None and self._live is None:
                self._wake(PATIENCE)

    def _wake(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._show)
        self._timer.daemon = True
        self._timer.start()

    def _show(self) -> None:
        _leave_signals_to_the_main_thread()
        with self._lock:
            if not self._open:
                return
            if not _moves():
                self._line()
                self._wake(PACE)
                return
        # Without the lock: being made and being started it draws, for which it asks _picture.
        live = self._live = _live(self._picture)
        live.start()
        if not self._open:
            live.stop()

    def _line(self) -> None:
        """Tell of a run that nobody has heard of, or that the work goes on."""
        now, state = time.monotonic(), self._state
        new = next((key for key in state.runs if key not in self._told), None)
        if new is not None:
            line = state.runs[new].what
            self._told = set(state.runs)  # those that began meanwhile were too quick to be told
        elif now - self._last >= QUIET:
            line = state.headline()
        else:
            return
        self._last = now
        with contextlib.suppress(ValueError):  # it is closed
            streams.err(line)

    def _picture(self) -> RenderableType:
        """Called by rich's own thread, which must never wait for one that waits for it."""
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        with self._lock:
            state = self._state
            table = Table.grid(padding=(0, 1), expand=True)
            table.add_column(width=1)
            table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
            table.add_column(no_wrap=True, justify="right")
            # Text, because rich takes brackets in a string for markup.
            rows = [(Text("·", "dim"), Text(what), Text(how, "dim")) for what, how in state.lines()]
            head = Text(state.headline(), "bold", no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*row)
        if self._spinner is None:
            self._spinner = Spinner("dots")
        self._spinner.update(text=head)
        return Group(self._spinner, table) if rows else self._spinner

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the picture, and leave the terminal as it was."""
        with self._lock:
            self._open = False
            if self._timer is not None:
                self._timer.cancel()
        # Without the lock, which both threads may be waiting for.
        if self._timer is not None:
            self._timer.join()
        if self._live is not None:
            self._live.stop()


def _leave_signals_to_the_main_thread() -> None:
    """Ctrl-C that the kernel gives to this thread would not wake the one that has to act on it.

    Threads that are started from here inherit it.
    """
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def _moves() -> bool:
    """Whether stderr is a terminal on which lines can be written over."""
    return sys.stderr.isatty() and os.environ.get("TERM", "dumb") not in ("dumb", "unknown")


def _live(picture: Callable[[], RenderableType]) -> Live:
    from rich.console import Console
    from rich.live import Live

    return Live(
        console=Console(stderr=True),
        get_renderable=picture,
        refresh_per_second=_FRAMES_A_SECOND,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def clock(seconds: float) -> str:
    """``8 s``, ``2:05 min``, ``1:02:05 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02} min"
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"
