from __future__ import annotations

from collections.abc import Iterator

import pytest
from forge_server import ForgeServer


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    """An empty forge: real git over http, and GitHub's API."""
    with ForgeServer() as server:
        yield server
