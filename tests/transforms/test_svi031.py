"""Every trap of tip 3 for ClippedAdam.  Step counts and options are tested with SVI022, which shares them."""

from __future__ import annotations

import pytest
from optimisers import build, program, stepped

pytest_plugins = ["check_fixture"]
CODE = "SVI031"

LRD = "0.1 ** (1 / 1000)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"lr": 0.01}', '{"lr": 0.025, "lrd": LRD}'),
        ('{"lr": 0.01, "clip_norm": 5.0}', '{"lr": 0.025, "clip_norm": 5.0, "lrd": LRD}'),
        ("dict(lr=0.01)", "dict(lr=0.025, lrd=LRD)"),
        ("{'lr': 0.01, 'betas': (0.95, 0.999)}", "{'lr': 0.025, 'betas': (0.95, 0.999), 'lrd': LRD}"),
        ('{\n    "lr": 0.01,  # small\n}', '{\n    "lr": 0.025,  # small\n    "lrd": LRD,\n}'),
        ('{\n    "lr": 0.01  # small\n}', '{\n    "lr": 0.025,  # small\n    "lrd": LRD\n}'),
    ],
)
def test_added(check, before: str, after: str):
    assert f"ClippedAdam({after.replace('LRD', LRD)})" in check(program(f"ClippedAdam({before})")).text


def test_added_behind_the_class(check):
    made = "pyro.optim.PyroOptim(pyro.optim.clipped_adam.ClippedAdam, {})"
    assert check(program(made.format('{"lr": 0.01}'))).added == [
        build(made.format(f'{{"lr": 0.025, "lrd": {LRD}}}')).strip()
    ]
    assert check(program(made.format('{"lr": 0.01, "lrd": 0.999}'))).findings == ()


@pytest.mark.parametrize("lrd", ["1.0", "0.999", "0.1 ** (1 / 1000)", "lrd"])
def test_decays_already(check, lrd: str):
    assert check(program(f'ClippedAdam({{"lr": 0.01, "lrd": {lrd}}})', before="lrd = 0.99\n")).findings == ()


def test_default_decay_is_none(check):
    """``lrd`` defaults to 1: no decay."""
    assert check(program('ClippedAdam({"lr": 0.01})')).added == [
        build(f'ClippedAdam({{"lr": 0.025, "lrd": {LRD}}})').strip()
    ]


def test_declared_rate(check):
    rate = check(program('ClippedAdam({"lr": 0.02})')).finding.proposal.candidates[0].rate
    assert rate is not None and rate.lr == 0.05
    assert rate.lrd is not None and rate.lrd**1000 == pytest.approx(0.1)


def test_declared_rate_that_only_a_run_can_tell(check):
    text = stepped('ClippedAdam({"lr": lr})', "for _ in range(n):\n    svi.step(0)\n", "lr, n = load()\n")
    rate = check(text).finding.proposal.candidates[0].rate
    assert rate is not None and rate.lr is None and rate.lrd is None


@pytest.mark.parametrize(
    "optimizer",
    ["ClippedAdam(lambda name: {'lr': 0.01})", "ClippedAdam({**base})", "ClippedAdam(base)", "ClippedAdam(*base)"],
)
def test_options_that_may_hold_a_decay(check, optimizer: str):
    assert check(program(optimizer, before="base = load()\n")).findings == ()


def test_a_decay_in_options_that_cannot_be_rewritten(check):
    before = "base = {'lr': 0.025, 'lrd': 0.999}\nprint(base)\n"
    assert check(program("ClippedAdam(base)", before=before)).findings == ()


def test_options_that_cannot_be_rewritten(check):
    outcome = check(program('ClippedAdam({"lr": 0.01}, {"clip_norm": 1.})'))
    assert "clip_args" in outcome.held_back


def test_smoke_runs_are_left_alone(check):
    assert check(stepped('ClippedAdam({"lr": 0.01})', "for _ in range(5):\n    svi.step(data)\n")).findings == ()


def test_early_stopping(check):
    loop = "for _ in range(1000):\n    if svi.step(data) < best:\n        break\n"
    assert "may end early" in check(stepped('ClippedAdam({"lr": 0.01})', loop)).held_back


def test_torchs_has_none(check):
    text = program('ClippedAdam({"lr": 0.01})').replace("from pyro.optim import *", "from mine import ClippedAdam")
    assert check(text).findings == ()


def test_suppression(check):
    text = program('ClippedAdam({"lr": 0.01})').replace("Trace_ELBO())", "Trace_ELBO())  # pyro-fix: ignore[SVI031]")
    assert check(text).findings == ()
