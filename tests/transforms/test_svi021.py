"""Every trap of tip 2 for optimisers without momentum.  What it shares with SVI022 is tested there."""

from __future__ import annotations

import pytest
from optimisers import STEP, build, program, stepped

from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI021"

LRD = "0.1 ** (1 / 1000)"


@pytest.mark.parametrize("kind", ["SGD", "Adagrad", "RMSprop", "Adadelta", "Rprop", "ASGD"])
def test_every_kind(check, kind: str):
    outcome = check(program(f'{kind}({{"lr": 0.1}})'))
    assert outcome.added == [build(f'ClippedAdam({{"lr": 0.01, "lrd": {LRD}}})').strip()]


def test_few_steps_have_a_run_try_a_larger_rate_first(check):
    (finding,) = check(program('SGD({"lr": 0.1})')).findings
    assert [c.label for c in finding.proposal.candidates] == [
        "ClippedAdam with lr 0.01",
        "ClippedAdam with lr 0.001",
        "Adam with lr 0.01, which clamps no gradient",
        "Adam with lr 0.001, which clamps no gradient",
    ]
    assert [c.only_after for c in finding.proposal.candidates] == [Promise(0)] * 2 + [Promise.WHOLE_GRADIENT] * 2
    (finding,) = check(program('SGD({"lr": 0.1})').replace("1000", "20000")).findings
    assert [c.label for c in finding.proposal.candidates][:1] == ["ClippedAdam with lr 0.001"]


@pytest.mark.parametrize(
    ("steps", "parameters", "rates"),
    [
        (1999, 1000, (0.05, 0.01, 0.001)),
        (1999, 1001, (0.01, 0.001)),
        (1999, None, (0.01, 0.001)),
        (4999, 3, (0.01, 0.001)),
        (5000, 3, (0.001,)),
        (0, 3, (0.001,)),
    ],
)
def test_the_fewer_steps_and_parameters_the_larger_the_first_rate(steps: int, parameters: int | None, rates: tuple):
    from pyro_fix_transforms.svi021_optimizer_without_momentum import _rates

    assert _rates(steps, parameters) == rates


@pytest.mark.parametrize("kind", ["Adam", "ClippedAdam", "AdamW", "Adamax", "NAdam", "RAdam"])
def test_kinds_with_momentum(check, kind: str):
    assert check(program(f'{kind}({{"lr": 0.1}})')).findings == ()


@pytest.mark.parametrize(
    ("options", "fixed", "dropped"),
    [
        ('{"lr": 0.1, "nesterov": True}', f'{{"lr": 0.01, "lrd": {LRD}}}', "nesterov"),
        ('{"lr": 0.1, "weight_decay": wd}', f'{{"lr": 0.01, "lrd": {LRD}, "weight_decay": wd}}', ""),
        ("dict(lr=0.1, weight_decay=wd)", f'{{"lr": 0.01, "lrd": {LRD}, "weight_decay": wd}}', ""),
        ('{"lr": rate, "momentum": 0}', f'{{"lr": 0.01, "lrd": {LRD}}}', "momentum"),
        ("{}", f'{{"lr": 0.01, "lrd": {LRD}}}', ""),
    ],
)
def test_options(check, options: str, fixed: str, dropped: str):
    outcome = check(program(f"SGD({options})", before="wd = rate = 0.01\n"))
    assert f"ClippedAdam({fixed})" in outcome.text
    assert dropped in outcome.finding.proposal.candidates[0].label


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        ('SGD({"lr": 0.1}, {"clip_norm": 5.0})', "clip_args"),
        ("SGD(per_param)", "function of the parameter"),
        ("SGD({**base, 'lr': 0.01})", "run time"),
        ("SGD(config['sgd'])", "not a dict"),
        ("SGD(shared)", "other uses"),
    ],
)
def test_options_that_cannot_be_read(check, optimizer: str, why: str):
    before = (
        "base, config = load()\nshared = {'lr': 0.01}\nprint(shared)\ndef per_param(name):\n    return {'lr': 0.01}\n"
    )
    assert why in check(program(optimizer, before=before)).held_back


@pytest.mark.parametrize(
    "loop", ["while True:\n    svi.step(data)\n", "", "for _ in range(10):\n    svi.step(data)\n",
             "for b in load():\n    svi.step(b)\n"]
)  # fmt: skip
def test_without_a_step_count_there_is_no_decay(check, loop: str):
    assert 'ClippedAdam({"lr": 0.001})' in check(stepped('SGD({"lr": 0.1})', loop)).text


def test_the_options_are_written_above_the_count(check):
    text = stepped("SGD(args)", "for _ in range(n):\n    svi.step(0)\n", 'args = {"lr": 0.1}\nn = load()\n')
    assert check(text).added[0] == 'args = {"lr": 0.001}'


def test_two_svis_share_one_optimiser(check):
    text = stepped('SGD({"lr": 0.1})', build("optimizer").replace("svi", "other", 1) + STEP)
    assert 'ClippedAdam({"lr": 0.001})' in check(text).text


@pytest.mark.parametrize(
    "imports", ["from torch.optim import SGD", "from torch.optim import *", "from mine import SGD"]
)
def test_optimiser_of_somebody_else(check, imports: str):
    assert check(program("SGD({})").replace("from pyro.optim import *", imports)).findings == ()


def test_import_is_replaced(check):
    new = check(program('SGD({"lr": 0.1})').replace("from pyro.optim import *", "from pyro.optim import SGD")).text
    assert "from pyro.optim import ClippedAdam\n" in new and "SGD" not in new


def test_second_round_says_nothing_of_the_new_optimiser(check):
    outcome = check(program('SGD({"lr": 0.1})'), codes=("SVI021", "SVI022", "SVI031"))
    assert [f.proposal.code for f in outcome.findings] == ["SVI021"]


def test_suppression(check):
    assert check(program('SGD({"lr": 0.1})').replace("Trace_ELBO())", "Trace_ELBO())  # noqa: SVI021")).findings == ()
