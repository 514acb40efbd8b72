"""What is going on, on stderr, for whatever takes longer than a second."""

from __future__ import annotations

import contextlib
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.status import Status
    from rich.text import Text

#: Seconds that a task may take unseen.
PATIENCE = 1.0


class Progress:
    """Call it with a message when a task begins.

    On a terminal, a run that takes longer than :data:`PATIENCE` gets one line that follows the tasks; elsewhere
    each task that does gets a line of its own.
    """

    def __init__(self, shown: bool = True) -> None:
        """Show nothing at all unless ``shown``."""
        self._open = shown
        self._terminal = sys.stderr.isatty()
        self._lock = threading.Lock()
        self._message = ""
        self._timer: threading.Timer | None = None
        self._status: Status | None = None

    def __call__(self, message: str) -> None:
        """Say that the task before has ended and this one begins."""
        with self._lock:
            if not self._open:
                return
            self._message = message
            if self._status is not None:
                self._status.update(_plain(message))
            elif self._timer is None or not self._terminal:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = threading.Timer(PATIENCE, self._show)
                self._timer.daemon = True
                self._timer.start()

    def _show(self) -> None:
        with self._lock:
            if not self._open or threading.current_thread() is not self._timer:
                return  # Another task began, or the last one ended, while this thread waited for the lock.
            if self._terminal:
                from rich.console import Console

                self._status = Console(stderr=True).status(_plain(self._message))
                self._status.start()
            else:
                with contextlib.suppress(OSError):  # Nobody listens; the main thread will find out by itself.
                    print(self._message, file=sys.stderr, flush=True)

    def __enter__(self) -> Progress:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wipe the line."""
        with self._lock:
            self._open = False
            if self._timer is not None:
                self._timer.cancel()
            if self._status is not None:
                self._status.stop()


def _plain(message: str) -> Text:
    """Text, because rich takes brackets in a string for markup."""
    from rich.text import Text

    return Text(message)
