"""Every trap of tip 16's exploding gradients."""

from __future__ import annotations

import math

import pytest
from optimisers import program
from showing import Shown, look, trajectory
from showing import check as check_shown

pytest_plugins = ["check_fixture"]
CODE = "SVI162"


def spiking(*norms: float, **changes) -> Shown:
    """A run whose gradients are 8 long, then as long as said, then 8 again."""
    path = [8.0] * 50 + list(norms)
    return Shown([trajectory(norms=[*path, *[8.0] * (100 - len(path))], **changes)])


SPIKE = spiking(1e9)


@pytest.fixture
def seen(tmp_path):
    def run(text: str, judge: Shown = SPIKE):
        path = tmp_path / "main.py"
        path.write_text(text)
        findings = check_shown(path, CODE, judge).findings
        return [finding.proposal for finding in findings], [finding.diff for finding in findings]

    return run


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Adam({"lr": 0.01})', 'ClippedAdam({"lr": 0.01, "clip_norm": 10.0})'),
        (
            'Adam({"lr": 0.01, "betas": (0.95, 0.999), "weight_decay": 0.1})',
            'ClippedAdam({"lr": 0.01, "betas": (0.95, 0.999), "weight_decay": 0.1, "clip_norm": 10.0})',
        ),
        ("Adam(dict(lr=lr))", "ClippedAdam(dict(lr=lr, clip_norm=10.0))"),
        ('pyro.optim.Adam({"lr": 0.01})', 'pyro.optim.ClippedAdam({"lr": 0.01, "clip_norm": 10.0})'),
    ],
)
def test_clipped(seen, before: str, after: str):
    (proposal,), (diff,) = seen(program(before, before="lr = float(input())\n"))
    assert after in diff
    assert proposal.source == "seen" and "spikes to 1e+09 at step 50" in proposal.message
    (candidate,) = proposal.candidates
    assert candidate.rate is not None and candidate.rate.share == 1.0 and candidate.needs_run


def test_the_import_follows(seen):
    text = program('Adam({"lr": 0.01})').replace("from pyro.optim import *", "from pyro.optim import Adam")
    _, (diff,) = seen(text)
    assert "+from pyro.optim import ClippedAdam\n" in diff


@pytest.mark.parametrize(
    "judge",
    [
        spiking(math.inf),
        Shown([trajectory([100.0] * 51 + [math.nan], norms=[8.0] * 50 + [1e20, math.nan], nonfinite=51)]),
        Shown([trajectory(), spiking(1e6).trajectories[0]]),
    ],
    ids=["overflow", "then NaN", "one seed"],
)
def test_spikes(seen, judge: Shown):
    assert len(seen(program('Adam({"lr": 0.01})'), judge)[0]) == 1


@pytest.mark.parametrize(
    "judge",
    [
        Shown(),
        spiking(7e3),
        spiking(*[8.0 * 1.5**t for t in range(50)]),
        Shown([trajectory(norms=[1e9] * 5 + [1e3] * 95)]),
        Shown([trajectory(norms=[1e9 * 0.7**t for t in range(100)])]),
        Shown([trajectory(norms=[math.nan] * 100)]),
        Shown([trajectory([100.0] * 50 + [math.nan] * 2, norms=[8.0] * 50 + [math.inf] * 2, nonfinite=50)]),
        spiking(1e9, rates=[0.5] * 100),
        Shown([]),
    ],
    ids=["none", "short", "growth", "start", "falling", "unknown", "after NaN", "hot rate", "no step"],
)
def test_no_spikes(seen, judge: Shown):
    assert seen(program('Adam({"lr": 0.01})'), judge)[0] == []


@pytest.mark.parametrize("optimizer", ['ClippedAdam({"lr": 0.01})', 'SGD({"lr": 0.01})', 'AdamW({"lr": 0.01})'])
def test_other_optimisers(seen, optimizer: str):
    assert seen(program(optimizer))[0] == []


def test_an_optimiser_that_clips_in_the_run(seen):
    judge = Shown(SPIKE.trajectories, look(), optimizer="ClippedAdam")
    assert seen(program('Adam({"lr": 0.01})'), judge)[0] == []


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        ('Adam({"lr": 0.01, "amsgrad": True})', "amsgrad"),
        ("Adam(lambda name: {'lr': 0.01})", "function of the parameter"),
        ("Adam({**base})", "run time"),
        ('Adam({"lr": 0.01}, {"clip_norm": 1.0})', "clip_args"),
    ],
)
def test_held_back(seen, optimizer: str, why: str):
    (proposal,), _ = seen(program(optimizer, before="base = load()\n"))
    assert proposal.candidates == () and why in proposal.held_back


def test_nothing_without_a_run(check):
    assert check(program('Adam({"lr": 0.01})')).findings == ()
