"""What is told of the work while it goes on, for whoever shows it.  Events come from several threads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Round:
    """A round begins, the first being 1."""

    number: int


@dataclass(frozen=True)
class Notice:
    """Something to know of the runs, whatever else they show."""

    words: str


@dataclass(frozen=True)
class Phase:
    """A phase begins."""

    words: str
    tasks: int
    """What it consists of; a task may need several runs, or none where the cache has them."""


@dataclass(frozen=True)
class TaskDone:
    """A task of the phase has ended."""


@dataclass(frozen=True)
class RunBegan:
    """A program is started."""

    key: int
    """Names the run in what is told of it later."""
    what: str
    steps: int = 0
    """How many SVI steps it will make in all; 0 where nobody knows."""


@dataclass(frozen=True)
class RunWrites:
    """The run's steps are being appended to a journal: one line a step, ``"event": "step"``."""

    key: int
    journal: Path


@dataclass(frozen=True)
class RunEnded:
    """The run is over."""

    key: int


Event = Round | Notice | Phase | TaskDone | RunBegan | RunWrites | RunEnded
Progress = Callable[[Event], None]
