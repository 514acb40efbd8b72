"""What becomes of programs of which it was reported that a decay, or the clamp that comes with it, made them worse."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Status

CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"
CODES = ("SVI022", "SVI031", "SVI032")
#: Program -> the rate that is written there; a decay from that rate made each of them worse.
CONSTANT = {"coin": "0.0005", "uniform_sigma": "0.05", "state_space": "0.02", "slow_rate": "0.001"}
CLAMPED = ("clipping_bias", "clamp_binds")


def checked(name: str, verify: bool, unverified: bool = False) -> tuple[Result, str]:
    path = CASES / f"{name}.py"
    asked = Options(
        paths=(path,),
        select=CODES,
        verify=verify,
        unverified=unverified,
        python=Path(sys.executable),
        cache=False,
        root=CASES,
    )
    result = engine.check(asked, lambda _: None)
    return result, next((change.text for change in result.changes), path.read_text())


@pytest.mark.parametrize("name", [*CONSTANT, *CLAMPED])
@pytest.mark.parametrize("unverified", [False, True])
def test_the_source_alone_vouches_for_no_decay(name: str, unverified: bool):
    result, _ = checked(name, verify=False, unverified=unverified)
    assert [f.proposal.code for f in result.findings] == ["SVI022"] and result.changes == ()


@pytest.mark.parametrize(
    "optimizer",
    [
        'pyro.optim.Adam({"lr": 0.01, "amsgrad": True})',
        "pyro.optim.Adam(lambda name: {})",
        'pyro.optim.ClippedAdam({"lr": 0.01})',
        'pyro.optim.ClippedAdam({"lr": 0.01, "lrd": factor})',
    ],
)
def test_a_decay_that_is_held_back_is_a_suggestion(optimizer: str, tmp_path: Path):
    path = tmp_path / "main.py"
    path.write_text(
        "import pyro\nfrom pyro.infer import SVI, Trace_ELBO\n"
        f"factor = 0.9\nsvi = SVI(model, guide, {optimizer}, Trace_ELBO())\n"
        f"for step in range(1000):\n    loss = svi.step()\n{'' if 'lrd' in optimizer else '    if loss < 1: break'}\n"
    )
    result = engine.check(Options(paths=(path,), select=CODES, verify=False, root=tmp_path), lambda _: None)
    assert result.findings and not any(finding.proposal.candidates for finding in result.findings)
    assert all(finding.suggestion for finding in result.findings)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONSTANT)
def test_only_a_decay_that_is_seen_to_gain(name: str):
    pytest.importorskip("pyro")
    result, text = checked(name, verify=True)
    (finding,) = result.findings
    assert "lrd" not in text or finding.verdict.status is Status.VERIFIED
    if finding.included:
        assert "the loss ends lower by" in finding.verdict.reason
        assert f'"lr": {CONSTANT[name]}, ' not in text  # the travel is kept


@pytest.mark.slow
@pytest.mark.parametrize("name", CLAMPED)
def test_no_clamp_that_binds(name: str):
    pytest.importorskip("pyro")
    result, text = checked(name, verify=True)
    (finding,) = result.findings
    (earlier,) = finding.verdict.evidence["earlier candidates"]
    assert earlier["reason"].startswith("ClippedAdam would clamp the gradient in ")
    assert "ClippedAdam" not in text or '"clip_norm": float("inf")' in text


def test_a_scheduler_that_is_stepped_once_a_batch():
    pytest.importorskip("pyro")
    result, text = checked("scheduler_per_batch", verify=True)
    (finding,) = result.findings
    assert finding.proposal.code == "SVI032" and finding.verdict.status is Status.VERIFIED, finding.verdict.reason
    assert '"gamma": 0.1 ** (1 / (epochs * len(dataloader)))' in text
    assert "trained to its end (150 steps, 4 seeds) the loss ends lower by" in finding.verdict.reason
