"""Who wants to follow a run while it goes on is told where its journal is; nothing in the child is slowed by it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_LISTENING = threading.local()


@contextmanager
def followed(hear: Callable[[Path], None]) -> Iterator[None]:
    """``hear`` is told the journal of every child that this thread starts in the meantime."""
    _LISTENING.hear = hear
    try:
        yield
    finally:
        _LISTENING.hear = None


def tell(journal: Path) -> None:
    """A child of this thread is about to write to ``journal``."""
    hear = getattr(_LISTENING, "hear", None)
    if hear is not None:
        hear(journal)
