"""Every trap of tip 11: covariates alone, and only where nothing else is meant in their old units."""

from __future__ import annotations

import textwrap

import pytest
from showing import Shown, look
from showing import check as check_shown

from pyro_fix.observation import InputLook

CODE = "SVI111"


def given(name: str = "x", **changes: object) -> InputLook:
    fields = {"shape": (400, 2), "dtype": "float32", "observed": False, "minimum": -3.0, "maximum": 9e5}
    return InputLook(name=name, **{**fields, "column_spreads": (1.0, 2e5), **changes})  # type: ignore[arg-type]


PROGRAM = """\
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam


def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ w, 1.0), obs=y)


x, y = torch.load("data.pt")
svi = SVI(model, AutoNormal(model), Adam({"lr": 0.01}), Trace_ELBO())
"""
LOOP = """\
for step in range(1000):
    svi.step(x, y)
"""


@pytest.fixture
def seen(tmp_path):
    def run(text: str, *inputs: InputLook):
        path = tmp_path / "main.py"
        path.write_text(text)
        return [f.proposal for f in check_shown(path, CODE, Shown(look=look(inputs=inputs or (given(),)))).findings]

    return run


def test_standardised_before_the_loop(seen):
    (proposal,) = seen(PROGRAM + LOOP)
    assert proposal.source == "seen" and "2e+05" in proposal.message
    (edit,) = proposal.candidates[0].edits
    assert edit.replacement == "x = (x - x.mean(0)) / x.std(0)\n"
    assert proposal.candidates[0].needs_run


def test_in_a_function_with_a_keyword(seen):
    loop = "def train(features, y):\n    for _ in range(9):\n        svi.step(y=y, x=features)\ntrain(x, y)\n"
    (proposal,) = seen(PROGRAM + loop)
    assert proposal.candidates[0].edits[0].replacement.startswith("    features = (features - features.mean(0))")


def test_a_variable_of_the_file_gets_another_name_in_a_function(seen):
    loop = "def train():\n    for _ in range(9):\n        svi.step(x, y)\ntrain()\n"
    (proposal,) = seen(PROGRAM + loop)
    assert [edit.replacement for edit in proposal.candidates[0].edits] == [
        "    scaled_x = (x - x.mean(0)) / x.std(0)\n",
        "scaled_",
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"observed": True},
        {"column_spreads": (1.0, 900.0), "maximum": 50.0},
        {"column_spreads": None, "shape": (400,)},
        {"dtype": "int64"},
    ],
)
def test_silent(seen, fields):
    assert seen(PROGRAM + LOOP, given(**fields)) == []


def test_large_numbers_of_one_spread(seen):
    (proposal,) = seen(PROGRAM + LOOP, given(column_spreads=(2e4, 3e4), maximum=6e4))
    assert "up to 6e+04" in proposal.message and proposal.candidates


def test_thresholds_can_be_set(tmp_path):
    from pyro_fix import catalogue

    (transform,) = catalogue.select(catalogue.configure(catalogue.load(), {CODE: {"ratio": 10.0}}), [CODE], [])
    assert transform._unscaled(given(column_spreads=(1.0, 20.0), maximum=50.0))


@pytest.mark.parametrize(
    ("loop", "reason"),
    [
        (LOOP + "print(x.mean())\n", "used after the loop"),
        ("for step in range(9):\n    svi.step(x, y)\n    print(x)\n", "for something else"),
        ("for x, y in loader:\n    svi.step(x, y)\n", "batches"),
        ("for step in range(9):\n    svi.step(x[:10], y)\n", "no plain name"),
        ("svi.step(x, y)\n", "in no loop"),
        (LOOP + LOOP, "in several places"),
        ("def report():\n    return x\n" + LOOP, "functions of the file read x"),
        ("[svi.step(x, y) for _ in range(9)]\n", "in no loop"),
    ],
)
def test_held_back(seen, loop, reason):
    (proposal, *_) = seen(PROGRAM + textwrap.dedent(loop))
    assert reason in proposal.held_back and not proposal.candidates


@pytest.mark.parametrize(
    ("fields", "reason"), [({"constant_columns": 1}, "vanish"), ({"shape": (4, 10, 2)}, "only matrices")]
)
def test_tensors_to_leave_alone(seen, fields, reason):
    (proposal,) = seen(PROGRAM + LOOP, given(**fields))
    assert reason in proposal.held_back
