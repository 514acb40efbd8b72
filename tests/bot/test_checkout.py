from __future__ import annotations

from pathlib import Path

import pytest

from pyro_fix.bot import checkout
from pyro_fix.bot.plan import PlanError


def test_git_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tmp_path / "git"
    git.write_text("#!/bin/sh\nexec sleep 20\n")
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(checkout, "PATIENCE", 0.2)
    with pytest.raises(PlanError, match=r"git rev-parse took longer than 0\.2 seconds"):
        checkout.top(tmp_path)
