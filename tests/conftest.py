"""For every test."""

import signal
from collections.abc import Iterator

import pytest

from pyro_fix import config

SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

# Whoever starts us in the background may have had Ctrl-C ignored, which children inherit; the tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def signals_as_they_were() -> Iterator[None]:
    """The command line, called in this process, has them end it: not those that later tests send."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def unproven(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fixes come to at the end is for the tests that are marked ``proven``: it would double what others take."""
    if request.node.get_closest_marker("proven") is None:
        monkeypatch.setattr(config, "PROVE_WITHIN", 0.0)
