"""The numbers that fixes write, and that tuning may write others for: each is written by its own transform."""

from __future__ import annotations

from pathlib import Path

import pytest
from optimisers import PREAMBLE, program
from showing import Shown, look, trajectory
from showing import check as check_shown

from pyro_fix import catalogue, rewrite, sources
from pyro_fix.transform import Candidate, Promise, Rate

FLAT = trajectory([1000.0 + 50.0 * (-1) ** t for t in range(100)])
NOISY = Shown([FLAT], look(noise=5.0))
DIVERGES = Shown([trajectory([100.0] * 50 + [1e9] * 50, rates=[0.5] * 100)])
FALLS = Shown([trajectory(rates=[0.02 * 0.5 ** (t // 5) for t in range(100)])])
STEPS = 'pyro.optim.StepLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.02}, "step_size": 5, "gamma": 0.5})'
LEFT = "share of the rate at the last step"

SCALE = f"""{PREAMBLE}
def guide(data):
    scale = pyro.param("scale", torch.tensor([5.0, 3.0]), constraint=dist.constraints.positive)
    pyro.sample("z", dist.Normal(torch.zeros(2), scale).to_event(1))


def model(data):
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    pyro.sample("x", dist.Normal(z, 1.0).to_event(1), obs=data)


svi = SVI(model, guide, Adam({{"lr": 0.01}}), Trace_ELBO())
"""
ANNEALED = """\
import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO

data = torch.zeros(5)


def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


def guide(data):
    loc = pyro.param("loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(loc, 1.0))


svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
for step in range(2000):
    svi.step(data)
"""


def candidate(folder: Path, code: str, text: str, judge: Shown) -> tuple[Candidate, Path]:
    path = folder / "main.py"
    path.write_text(text)
    found = [f.proposal for f in check_shown(path, code, judge).findings if f.proposal.candidates]
    assert found, "no fix"
    return found[0].candidates[0], path


def written(candidate: Candidate, path: Path) -> str:
    source = sources.read(path)
    return rewrite.compose({path: source}, candidate.edits).texts[path]


@pytest.mark.parametrize(
    ("code", "text", "judge", "numbers", "name", "value", "words", "rate"),
    [
        (
            *("SVI011", program('Adam({"lr": 0.5})'), DIVERGES, {"learning rate": 0.05}, "learning rate", 0.2),
            *('Adam({"lr": 0.2})', Rate(share=0.4)),
        ),
        (
            *("SVI021", program('SGD({"lr": 0.5})'), Shown(), {"learning rate": 0.05, LEFT: 0.1}, "learning rate", 0.3),
            *('ClippedAdam({"lr": 0.3, "lrd": 0.1 ** (1 / 1000)})', None),
        ),
        (
            *("SVI021", program('SGD({"lr": 0.5})'), Shown(), {"learning rate": 0.05, LEFT: 0.1}, LEFT, 0.01),
            *('ClippedAdam({"lr": 0.05, "lrd": 0.01 ** (1 / 1000)})', None),
        ),
        (
            *("SVI022", program('Adam({"lr": 0.01})'), Shown(), {"learning rate": 0.025, LEFT: 0.1}, "learning rate"),
            *(0.05, 'ClippedAdam({"lr": 0.05, "lrd": 0.1 ** (1 / 1000)})', Rate(0.05, 0.1 ** (1 / 1000))),
        ),
        (
            *("SVI022", program('Adam({"lr": 0.5})'), Shown(), {LEFT: 0.1}, LEFT, 0.03),
            *('ClippedAdam({"lr": 0.5, "lrd": 0.03 ** (1 / 1000)})', Rate(0.5, 0.03 ** (1 / 1000))),
        ),
        (
            *(
                "SVI031",
                program("ClippedAdam({})"),
                Shown(),
                {"learning rate": 0.0025, LEFT: 0.1},
                "learning rate",
                0.01,
            ),
            *('ClippedAdam({"lr": 0.01, "lrd": 0.1 ** (1 / 1000)})', Rate(0.01, 0.1 ** (1 / 1000))),
        ),
        (
            *("SVI031", program('ClippedAdam({"lr": args.lr})', before="args = load()\n"), Shown()),
            *({"factor of the learning rate": 2.5, LEFT: 0.1}, "factor of the learning rate", 5.0),
            *('ClippedAdam({"lr": 5 * args.lr, "lrd": 0.1 ** (1 / 1000)})', Rate(lrd=0.1 ** (1 / 1000), times=5.0)),
        ),
        (
            *("SVI032", program('ClippedAdam({"lr": 0.01, "lrd": 0.9})'), Shown(), {LEFT: 0.1}, LEFT, 0.5),
            *('ClippedAdam({"lr": 0.01, "lrd": 0.5 ** (1 / 1000)})', Rate(0.01, 0.5 ** (1 / 1000))),
        ),
        (
            *("SVI032", program(STEPS), FALLS, {"number of equal parts": 4}, "number of equal parts", 3.0),
            *('"step_size": 1000 // 3, "gamma": 0.5', None),
        ),
        (
            *("SVI071", SCALE, Shown(), {"initial scale": 0.1}, "initial scale", 0.03),
            *("torch.tensor([0.03, 0.03])", None),
        ),
        (
            *("SVI072", program("Adam({})", before="guide = pyro.infer.autoguide.AutoNormal(model, init_scale=4.0)\n")),
            *(Shown(), {"initial scale": 0.1}, "initial scale", 0.02, "init_scale=0.02", None),
        ),
        (
            *("SVI082", program("Adam({})"), NOISY, {"number of particles": 2}, "number of particles", 3.0),
            *("Trace_ELBO(num_particles=3, vectorize_particles=True)", None),
        ),
        (
            *("SVI151", ANNEALED, Shown(), {"share of the steps with annealing": 0.2}),
            *("share of the steps with annealing", 0.05, "min(1.0, (step + 1) / 100)", None),
        ),
    ],
)
def test_another_number_is_written(
    tmp_path: Path,
    code: str,
    text: str,
    judge: Shown,
    numbers: dict[str, float],
    name: str,
    value: float,
    words: str,
    rate: Rate | None,
) -> None:
    first, path = candidate(tmp_path, code, text, judge)
    assert {number.name: number.value for number in first.numbers} == numbers
    assert all(number.low <= number.value <= number.high for number in first.numbers)
    number = next(number for number in first.numbers if number.name == name)
    other = number.written(value)
    assert other is not None and words in written(other, path), written(other, path) if other else None
    assert words not in written(first, path)
    assert other.rate == rate and other.promise == first.promise and other.steps == first.steps
    assert other.label != first.label
    assert {n.name: n.value for n in other.numbers} == numbers | {name: value}
    # And back again, whatever the numbers beside it are.
    back = next(n for n in other.numbers if n.name == name).written(number.value)
    assert back is not None and written(back, path) == written(first, path) and back.label == first.label


def test_both_numbers_of_a_decay_stay(tmp_path: Path) -> None:
    first, path = candidate(tmp_path, "SVI022", program('Adam({"lr": 0.01})'), Shown())
    faster = next(n for n in first.numbers if n.name == LEFT).written(0.02)
    assert faster is not None
    both = next(n for n in faster.numbers if n.name == "learning rate").written(0.1)
    assert both is not None and '{"lr": 0.1, "lrd": 0.02 ** (1 / 1000)}' in written(both, path)
    assert both.rate == Rate(0.1, 0.02 ** (1 / 1000)) and Promise.BETTER_END in both.promise


def test_what_may_not_be_is_not_written(tmp_path: Path) -> None:
    first, _ = candidate(tmp_path, "SVI011", program('Adam({"lr": 0.5})'), DIVERGES)
    assert first.numbers[0].written(0.5) is None, "the rate that diverges"


def test_every_transform_with_numbers_chooses_by_the_end(tmp_path: Path) -> None:
    numbered = {"SVI011", "SVI021", "SVI022", "SVI031", "SVI032", "SVI071", "SVI072", "SVI082", "SVI151"}
    assert {transform.code for transform in catalogue.load() if transform.by_the_end} >= numbered
