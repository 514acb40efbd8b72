"""Sound programs that look suspicious get no fix that changes what they mean, from any transform that is on by default.

The source alone refuses most; some fixes are for a run to refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from checking import check

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.transform import Status

SOUND = Path(__file__).resolve().parents[2] / "fixtures" / "sound"
PROGRAMS = sorted(path for path in SOUND.iterdir() if path.suffix == ".py" or (path.is_dir() and path.name[0] != "_"))

#: Fixes that the source alone suggests, and that a run finds to be wrong.
REFUSED: Mapping[str, set[str]] = {
    "batch_shape_particles": {"SVI081"},
    "stacked_switch": {"SVI141"},
}
#: Fixes that mean the same: a closed form in the place of an estimate.
CLOSED_FORM = {"SVI091"}
SUGGESTED = {"branching_particles", "getters", "grey_pixels", "lower_level", "per_param_options", "sparse_dirichlet"}
SUGGESTED |= {"trained_in_pieces"}

each = pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)


@each
def test_no_fix(program: Path):
    result = check([program], [], SOUND)
    fixes = [f for f in result.findings for candidate in f.proposal.candidates[:1] if not candidate.needs_run]
    assert [(f.proposal.code, f.proposal.line, f.diff) for f in fixes] == []
    assert result.changes == ()
    assert result.skipped == ()
    for_a_run = {f.proposal.code for f in result.findings if f.proposal.candidates}
    assert for_a_run - CLOSED_FORM == REFUSED.get(program.stem, set())
    assert for_a_run >= CLOSED_FORM if program.stem in SUGGESTED else not for_a_run & CLOSED_FORM


@pytest.mark.slow
@each
def test_a_run_refuses_what_is_wrong(program: Path):
    """Whoever finds it: the source, or the run itself."""
    result = engine.check(Options(paths=(program,), root=SOUND, cache=False), lambda _: None)
    assert result.skipped == ()
    verified = {f.proposal.code for f in result.findings if f.verdict.status is Status.VERIFIED}
    told = [(f.proposal.code, f.proposal.line, f.verdict.reason) for f in result.findings]
    assert verified <= CLOSED_FORM, told
    refused = {f.proposal.code for f in result.findings if f.verdict.status in (Status.REJECTED, Status.NONE)}
    assert REFUSED.get(program.stem, set()) <= refused, told
