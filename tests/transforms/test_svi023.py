"""Every trap of tip 2's betas: they are for gradients that a run shows to be mostly noise, and only where asked for."""

from __future__ import annotations

import math

import pytest
from optimisers import program
from showing import Shown, look, trajectory
from showing import check as check_shown

pytest_plugins = ["check_fixture"]
CODE = "SVI023"

NOISY = Shown(look=look(noise=5.0))


@pytest.fixture
def seen(tmp_path):
    def run(text: str, judge: Shown = NOISY):
        path = tmp_path / "main.py"
        path.write_text(text)
        findings = check_shown(path, CODE, judge).findings
        return [finding.proposal for finding in findings], [finding.diff for finding in findings]

    return run


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Adam({"lr": 0.01})', 'Adam({"lr": 0.01, "betas": (0.95, 0.999)})'),
        ("ClippedAdam(dict(lr=0.01))", "ClippedAdam(dict(lr=0.01, betas=(0.95, 0.999)))"),
        ("Adam({'betas': (0.9, 0.999), 'lr': 0.01})", "Adam({'betas': (0.95, 0.999), 'lr': 0.01})"),
        ('Adam({"lr": 0.01, "betas": (0.90, 0.999)})', 'Adam({"lr": 0.01, "betas": (0.95, 0.999)})'),
        ('NAdam({"lr": 0.01}, {"clip_norm": 1.0})', 'NAdam({"lr": 0.01, "betas": (0.95, 0.999)}, {"clip_norm": 1.0})'),
    ],
)
def test_steadier(seen, before: str, after: str):
    (proposal,), (diff,) = seen(program(before))
    assert after in diff and proposal.source == "seen" and proposal.candidates[0].needs_run


@pytest.mark.parametrize(
    "optimizer",
    [
        'Adam({"lr": 0.01, "betas": (0.95, 0.999)})',
        'Adam({"lr": 0.01, "betas": (0.8, 0.99)})',
        'Adam({"lr": 0.01, "betas": betas})',
        'SGD({"lr": 0.01})',
        'RMSprop({"lr": 0.01})',
    ],
)
def test_betas_of_its_own_or_none(seen, optimizer: str):
    assert seen(program(optimizer, before="betas = (0.9, 0.999)\n"))[0] == []


@pytest.mark.parametrize(
    "judge",
    [
        Shown(look=look(noise=2.0)),
        Shown([trajectory([100.0] * 12 + [math.nan], nonfinite=12)], look(noise=5.0)),
        Shown(look=look(gradients={"m": ((1.0,), (-1.0,))})),
        Shown(look=look(gradients={"m": ((math.nan,),) * 32})),
        Shown(look=look(noise=5.0, error="RuntimeError: shapes")),
    ],
    ids=["less noise", "breaks", "few seeds", "not finite", "no look"],
)
def test_nothing_to_say(seen, judge: Shown):
    assert seen(program('Adam({"lr": 0.01})'), judge)[0] == []


def test_nothing_without_a_run(check):
    assert check(program('Adam({"lr": 0.01})')).findings == ()


def test_only_where_asked_for():
    from pyro_fix import catalogue

    codes = [transform.code for transform in catalogue.select(catalogue.load(), (), ())]
    assert CODE not in codes and "SVI082" not in codes and "SVI011" in codes


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [("Adam(lambda name: {'lr': 0.01})", "function of the parameter"), ("Adam({**base})", "run time")],
)
def test_options_that_cannot_be_read(seen, optimizer: str, why: str):
    (proposal,), _ = seen(program(optimizer, before="base = load()\n"))
    assert proposal.candidates == () and why in proposal.held_back
