"""Minibatches that are scaled by nobody, or twice (SVI101)."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI101"
HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam
from torch.utils.data import DataLoader, TensorDataset
N, B = 640, 64
X = torch.randn(N)
loader = DataLoader(TensorDataset(X), batch_size=B, shuffle=True)
"""
SVI = "svi = SVI(model, AutoNormal(model), Adam({'lr': 0.01}), Trace_ELBO())\n"


def model(plate: str, arguments: str = "x", latent: str = "", data: str = "x", scale: str = "") -> str:
    return (
        f"def model({arguments}):\n    w = pyro.sample('w', dist.Normal(0.0, 1.0))\n{latent}"
        f"    with {plate}{scale}:\n        pyro.sample('obs', dist.Normal(w, 1.0), obs={data})\n"
    )


LOOP = "for epoch in range(9):\n    for (x,) in loader:\n        svi.step(x)\n"
PLATE = "pyro.plate('data', len(x))"


@pytest.mark.parametrize(
    "text",
    [
        model(PLATE) + SVI + LOOP,
        model("pyro.plate('data', x.shape[0])") + SVI + LOOP,
        model("pyro.plate('data', x.size(0))") + SVI + LOOP,
        model("pyro.plate('data', B)") + SVI + LOOP,
        model("pyro.plate('data', len(batch[0]))", "batch", data="batch[0]") + SVI + LOOP.replace("(x,)", "x"),
        model(PLATE) + SVI + "for epoch in range(9):\n    total = sum(svi.step(x) for (x,) in loader)\n",
        model(PLATE) + SVI + LOOP.replace("(x,) in loader", "i, (x,) in enumerate(loader)"),
        model(PLATE, "y, x=None") + SVI + LOOP.replace("svi.step(x)", "svi.step(1, x=x)"),
        model(PLATE) + SVI + LOOP.replace("(x,) in loader", "x in X.split(B)"),
        model(PLATE) + SVI + LOOP.replace("(x,) in loader", "x, y in zip(X.split(B), X.split(B))"),
        model("pyro.plate('data', B)") + SVI + LOOP.replace("(x,) in loader", "x in X.split(B)"),
        model(PLATE) + SVI + "for e in range(9):\n    for i in range(0, N, B):\n        svi.step(X[i : i + B])\n",
        model(PLATE)
        + SVI
        + "for e in range(9):\n    for i in range(0, N, B):\n        x = X[i : i + B]\n        svi.step(x)\n",
        model(PLATE) + SVI + "for e in range(9):\n    idx = torch.randperm(N)[:B]\n    svi.step(X[idx])\n",
        model(PLATE) + SVI + "for e in range(9):\n    svi.step(X[torch.randint(0, N, (B,))])\n",
        model("pyro.plate('data', torch.relu(x.view(-1, 1)).shape[0])") + SVI + LOOP,
        model(PLATE)
        + f"def main(n):\n    {SVI}    for epoch in range(n):\n        for (x,) in loader:\n            svi.step(x)\nmain(9)\n",
    ],
)
def test_a_minibatch_that_counts_as_all_the_data(check, text: str):
    outcome = check(HEAD + text)
    assert "the prior of 'w' once for every minibatch" in outcome.finding.proposal.message
    assert "give the plate the number of all data" in outcome.held_back


def test_the_plate_and_its_size_are_named(check):
    outcome = check(HEAD + model("pyro.plate('data', size=x.shape[0])") + SVI + LOOP)
    assert "plate 'data' has the size of a minibatch, x.shape[0], and" in outcome.finding.proposal.message
    assert "(len(loader.dataset), where the SVI is made)" in outcome.held_back
    assert "x.shape[0] as its subsample_size" in outcome.held_back


@pytest.mark.parametrize(
    "text",
    [
        model("pyro.plate('data', N, subsample_size=len(x))") + SVI + LOOP,
        model("pyro.plate('data', N)") + SVI + LOOP,
        model("pyro.plate('features', x.shape[1])") + SVI + LOOP,
        model("pyro.plate('features', x.size(-1))") + SVI + LOOP,
        model("pyro.plate('features', len(x.t()))") + SVI + LOOP,
        model(PLATE, scale=", poutine.scale(scale=N / len(x))") + SVI + LOOP,
        model(PLATE).replace("        pyro.sample", "        with poutine.scale(scale=10.0):\n            pyro.sample")
        + SVI
        + LOOP,
        model(PLATE) + SVI.replace("SVI(model", "SVI(poutine.scale(model, 0.1)") + LOOP,
        model(PLATE, latent="    pyro.factor('prior', -0.1 * w)\n") + SVI + LOOP,
        model(PLATE)
        .replace("    w = ", "    with pyro.plate('data', len(x)):\n        w = ")
        .replace("    with pyro.plate('data', len(x)):\n        pyro.sample", "        pyro.sample")
        + SVI
        + LOOP,
        model(PLATE).replace("    w = pyro.sample('w', dist.Normal(0.0, 1.0))", "    w = pyro.param('w', X[0])")
        + SVI
        + LOOP,
        model(PLATE) + SVI + "for (x,) in loader:\n    svi.step(x)\n",  # each is seen once, as data come in
        model(PLATE) + SVI + LOOP.replace("loader", "DataLoader(TensorDataset(X), batch_size=len(X))"),
        model(PLATE) + SVI + "for e in range(9):\n    svi.step(X)\n",
        model(PLATE) + SVI + "for e in range(9):\n    svi.step(X[torch.randperm(N)])\n",
        model(PLATE) + SVI + "for e in range(9):\n    svi.step(X[:B])\n",
        model(PLATE) + SVI + "for e in range(9):\n    for (y,) in loader:\n        svi.step(X)\n",
    ],
)
def test_what_is_scaled_or_needs_no_scale(check, text: str):
    assert not [f for f in check(HEAD + text).findings if "minibatch" in f.proposal.message]


INDEXED = "pyro.plate('data', N, subsample_size=B) as i"
STEPS = "for e in range(9):\n    svi.step(X)\n"


@pytest.mark.parametrize(
    "text",
    [
        model(INDEXED, data="x[i]", scale=", poutine.scale(scale=N / B)"),
        model(INDEXED, data="x[i]", scale=", poutine.scale(None, N / B)"),
        model(INDEXED, data="x[i]", scale=", poutine.scale(scale=10.0)"),
        model("poutine.scale(scale=N / B)", data="x[i]", scale=f", {INDEXED}"),
        model(
            "pyro.plate('data', size=len(x), subsample_size=B) as i",
            data="x[i]",
            scale=", poutine.scale(scale=len(x) / B)",
        ),
    ],
)
def test_scaled_twice(check, text: str):
    outcome = check(HEAD + text + SVI + STEPS)
    assert "scaled twice" in outcome.finding.proposal.message and "poutine.scale" in outcome.held_back


@pytest.mark.parametrize(
    "text",
    [
        model(INDEXED, data="x[i]", scale=", poutine.scale(scale=1 / N)"),
        model(INDEXED, data="x[i]", scale=", poutine.scale(scale=0.5)"),
        model("pyro.plate('data', B)", data="x[:B]", scale=", poutine.scale(scale=N / B)"),
        model(INDEXED, data="x[i]") + "model = poutine.scale(model, N / B)\n",
    ],
)
def test_a_scale_that_is_another_one(check, text: str):
    assert not [f for f in check(HEAD + text + SVI + STEPS).findings if "twice" in f.proposal.message]
