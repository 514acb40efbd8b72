"""Sound programs that look suspicious get no fix from any transform that is on by default."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import check

SOUND = Path(__file__).resolve().parents[2] / "fixtures" / "sound"
PROGRAMS = sorted(path for path in SOUND.iterdir() if path.suffix == ".py" or (path.is_dir() and path.name[0] != "_"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_no_fix(program: Path):
    result = check([program], [], SOUND)
    # what needs a run to be vouched for is for the verifier to refuse
    fixes = [f for f in result.findings for candidate in f.proposal.candidates[:1] if not candidate.needs_run]
    assert [(f.proposal.code, f.proposal.line, f.diff) for f in fixes] == []
    assert result.changes == ()
    assert result.skipped == ()
