from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import emulate
import pytest
from forge_clients import OTHER, TEXT
from forge_model import Repo
from forge_server import ForgeServer


@pytest.fixture
def forge() -> Iterator[ForgeServer]:
    """An empty forge: real git over http, and GitHub's API."""
    with ForgeServer() as server:
        yield server


@pytest.fixture
def repo(forge: ForgeServer) -> Repo:
    """A repository with a branch ``fix``, which changes line 20 of ``a.py``."""
    made = forge.make("ann/demo", {"a.py": TEXT, "b.py": "b = 1\n"})
    made.commit("fix", {"a.py": OTHER}, message="Fix")
    return made


@pytest.fixture(scope="session")
def emulate_package(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that has the npm package ``emulate``; skips where it is not to be had."""
    cache = getattr(request.config, "cache", None)  # none with -p no:cacheprovider
    try:
        return emulate.install(cache.mkdir("emulate") if cache else tmp_path_factory.mktemp("emulate"))
    except emulate.Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(params=["forge", pytest.param("emulate", marks=pytest.mark.slow)])
def either(request: pytest.FixtureRequest) -> Iterator[ForgeServer]:
    """The test forge, and the test forge with emulate's API; a test says what it ``needs`` of the latter's gaps."""
    if request.param == "forge":
        server = ForgeServer()
    else:
        server = emulate.EmulatedForge(request.getfixturevalue("emulate_package"))
    with server:
        yield server
