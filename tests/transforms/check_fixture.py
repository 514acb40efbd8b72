"""The fixture ``check``, for test modules that say ``pytest_plugins = ["check_fixture"]``.

It is not in a conftest.py: another folder's tests import from theirs by that name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from checking import Checked, check_text


@pytest.fixture
def check(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Checked]:
    """``check(text, **files)`` with the transform that the test module names in ``CODE``."""

    def run(text: str, codes: tuple[str, ...] = (), named: bool = True, **files: str) -> Checked:
        return check_text(tmp_path, codes or (request.module.CODE,), text, files, named)

    return run
