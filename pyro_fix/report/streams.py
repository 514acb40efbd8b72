"""Standard output and standard error: everything that is printed goes by way of here.

Words can come from a repository or a program, so none reach a terminal but those that can be seen (``visible``).  And
either stream may be closed, full, or without a reader: that ends in an exit code and one line, if anybody hears it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator

from pyro_fix.visible import in_line, visible

#: What did not come through to standard error.
_lost: list[OSError] = []


def prepare() -> None:
    """Make sure that there is something to print to, and that no file we open becomes what others print to."""
    _lost.clear()
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Results that nobody can have are an error, as on a full disk; messages that nobody wants are none.
            os.open(os.devnull, os.O_RDONLY if number == 1 else os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # A path or message must not fail for its letters.


class Lost(Exception):
    """Results could not be printed; the message says why."""


@contextlib.contextmanager
def printing() -> Iterator[None]:
    """Where an :class:`OSError` speaks of standard output; that its reader has gone is nothing to speak of."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        closed = error.errno == errno.EBADF
        raise Lost("standard output " + ("is closed" if closed else f"cannot be written: {error.strerror}")) from error


def out(line: str) -> None:
    """Print one line."""
    page(in_line(line))


def page(text: str) -> None:
    """Print a text of many lines."""
    with printing():
        print(visible(text))


def data(raw: bytes) -> None:
    """Print a diff: as it is for a program that applies it, and so that it can be seen on a terminal."""
    if sys.stdout.isatty():
        page("\n".join(line.removesuffix("\r") for line in raw.decode("utf-8", "replace").split("\n")))
    else:
        with printing():
            sys.stdout.buffer.write(raw)


def err(line: str) -> None:
    """Print one line to standard error.  That nobody hears it is no reason to stop."""
    try:
        print(in_line(line), file=sys.stderr, flush=True)
    except BrokenPipeError:
        return
    except OSError as error:
        _lost.append(error)


def settle(code: int, at_least: int) -> int:
    """The exit code, ``at_least`` that where something was lost; Python will find nothing to complain of at exit."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                _lost.append(error)
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return max(code, at_least) if _lost else code
