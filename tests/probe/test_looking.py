"""Names of supports, sketches of tensors, seeds: what both programs of a comparison must agree on."""

import math
import subprocess
import sys
from pathlib import Path

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import constraints

from pyro_fix.probe import params, seeds, sites, supports


@pytest.mark.parametrize(
    ("distribution", "name"),
    [
        (dist.Normal(0.0, 1.0), "real"),
        (dist.Normal(torch.zeros(3), 1.0).to_event(1), "real"),
        (dist.MultivariateNormal(torch.zeros(2), torch.eye(2)), "real"),
        (dist.LogNormal(0.0, 1.0), "positive"),
        (dist.Gamma(1.0, 1.0), "positive"),
        (dist.Exponential(1.0), "positive"),
        (dist.HalfCauchy(1.0), "positive"),
        (dist.Gamma(1.0, 1.0).expand([3]).to_event(1).mask(torch.tensor(True)), "positive"),
        (dist.TransformedDistribution(dist.Normal(0.0, 1.0), [dist.transforms.ExpTransform()]), "positive"),
        (dist.Beta(1.0, 1.0), "unit_interval"),
        (dist.Uniform(0.0, 1.0), "unit_interval"),
        (dist.Uniform(0.0, 10.0), "interval(0, 10)"),
        (dist.Uniform(torch.zeros(2), torch.tensor([1.0, 2.0])), "interval(0, 1..2)"),
        (dist.Dirichlet(torch.ones(3)), "simplex"),
        (dist.Bernoulli(0.5), "boolean"),
        (dist.Categorical(torch.ones(3)), "integer_interval(0, 2)"),
        (dist.Poisson(1.0), "nonnegative_integer"),
        (dist.LKJCholesky(2, 1.0), "corr_cholesky"),
        (dist.Delta(torch.tensor(1.0)), "?"),
        (dist.Delta(torch.ones(2), event_dim=1), "?"),
    ],
)
def test_supports(distribution, name):
    assert supports.support_name(sites.support_of(distribution)) == name


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        (constraints.positive, "positive"),
        (constraints.nonnegative, "positive"),
        (constraints.greater_than(0.001), "greater_than(0.001)"),
        (constraints.less_than(2.0), "less_than(2)"),
        (constraints.interval(-1, 1), "interval(-1, 1)"),
        (constraints.half_open_interval(0, 1), "unit_interval"),
        (constraints.independent(constraints.positive, 1), "positive"),
        (constraints.lower_cholesky, "lower_cholesky"),
        (constraints.positive_definite, "positive_definite"),
        (constraints.dependent, "?"),
    ],
)
def test_constraints(constraint, name):
    assert supports.support_name(constraint) == name


def test_small_tensors_are_told_whole():
    assert params.sketch("x", torch.tensor([[1.0, 2.0], [3.0, math.inf]])) == [1.0, 2.0, 3.0, math.inf]


def test_large_tensors_are_projected():
    torch.manual_seed(0)
    a, b = torch.randn(10_000), torch.randn(10_000)
    one, other = params.sketch("x", a), params.sketch("x", b)
    assert len(one) == params.PROJECTIONS
    assert params.sketch("x", 3 * a - b) == pytest.approx(
        [3 * x - y for x, y in zip(one, other, strict=True)], abs=1e-3
    )
    assert params.sketch("y", a) != one
    assert math.hypot(*one) == pytest.approx(float(a.norm()), rel=0.5)


def test_sketches_and_seeds_are_the_same_in_every_process():
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r})\n"
        "import torch\nfrom pyro_fix.probe import params, seeds\n"
        "print(params.sketch('x', torch.arange(1000.0))[:4], seeds.derive('step', 1, 0, 5))"
    )
    here = f"{params.sketch('x', torch.arange(1000.0))[:4]} {seeds.derive('step', 1, 0, 5)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == here


def test_aligned_programs_draw_the_same():
    import random

    import numpy

    def draw():
        return torch.rand(1).item(), random.random(), numpy.random.rand()

    seeds.align("step", 0, 0, 1)
    first = draw()
    draw()
    seeds.align("step", 0, 0, 1)
    assert draw() == first
    seeds.align("step", 0, 0, 2)
    assert all(x != y for x, y in zip(draw(), first, strict=True))


def test_a_stream_gives_each_step_its_own_seed():
    def drawn(stream, step):
        stream.align(step)
        return torch.rand(1).item()

    one, other = seeds.Stream("step", 0, 0), seeds.Stream("step", 0, 1)
    first = [drawn(one, step) for step in range(300)]
    assert len({*first, *(drawn(other, step) for step in range(300))}) == 600
    torch.rand(7)  # whatever is drawn meanwhile
    assert drawn(seeds.Stream("step", 0, 0), 250) == first[250]


@pytest.mark.parametrize(
    "constraint",
    [
        constraints.real,
        constraints.positive,
        constraints.unit_interval,
        constraints.interval(-3.0, 2.0),
        constraints.greater_than(0.5),
        constraints.less_than(0.5),
        dist.constraints.softplus_positive,
        constraints.simplex,
        constraints.lower_cholesky,
        dist.constraints.ordered_vector,
    ],
    ids=str,
)
def test_ranges_are_those_of_the_values(constraint):
    """Where only unconstrained ends are kept, and where values are looked at whole."""
    torch.manual_seed(0)
    leaf = torch.zeros(3, 3, requires_grad=True)
    found = params.Params()
    found._found["x"] = param = params.Param(leaf, constraint)
    low, high = math.inf, -math.inf
    for step in range(20):
        with torch.no_grad():
            leaf.copy_(torch.randn(3, 3) * (step + 1))
        assert found.widen() == ""
        low, high = min(low, param.value().min().item()), max(high, param.value().max().item())
        if step == 10:
            assert found.ranges["x"] == pytest.approx((low, high), rel=1e-6)
    assert found.ranges["x"] == pytest.approx((low, high), rel=1e-6)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1000.0])
def test_what_is_not_finite_is_found_at_its_step(bad):
    leaf = torch.zeros(2, requires_grad=True)
    found = params.Params()
    found._found["x"] = params.Param(leaf, constraints.positive)
    assert found.widen() == ""
    with torch.no_grad():
        leaf[1] = bad  # exp(1000) is infinite
    assert found.widen() == "x"
    low, high = found.ranges["x"]
    assert math.isnan(high) if math.isnan(bad) else (low, high) == (1.0, math.inf)


def test_the_norm_of_gradients():
    x, y = torch.tensor([3.0], requires_grad=True), torch.tensor([1.0], requires_grad=True)
    (2 * x.sum() ** 2 / 4 + 4 * y.sum()).backward()
    assert params.norm([x, y, torch.tensor(1.0)]) == pytest.approx(5.0)
    x.grad.fill_(math.nan)
    assert math.isnan(params.norm([x, y]))
    assert params.extent(torch.tensor([1.0, math.nan]))[0] != params.extent(torch.tensor([1.0]))[0]


def site(fn, value, mask=None):
    return {"fn": fn, "value": value, "mask": mask, "args": (), "kwargs": {}, "scale": 1.0, "is_observed": False}


@pytest.mark.parametrize(
    ("fn", "value", "mask", "violations"),
    [
        (dist.Normal(0.0, torch.tensor([1.0, -1.0]), validate_args=False), torch.zeros(2), None, ["scale: 1 of 2 values not positive"]),
        (dist.Normal(math.nan, 1.0, validate_args=False), torch.tensor(0.0), None, ["loc: 1 of 1 values not real numbers"]),
        (dist.LogNormal(0.0, 1.0), torch.tensor([-1.0, 2.0]), None, ["value: 1 of 2 values not positive"]),
        (dist.LogNormal(0.0, 1.0), torch.tensor([-1.0, 2.0]), torch.tensor([False, True]), []),
        (dist.LogNormal(0.0, 1.0), torch.tensor([-1.0, 2.0]), False, []),
        (
            dist.Gamma(torch.tensor([0.0, 1.0]), 1.0, validate_args=False).to_event(1),
            torch.tensor([1.0, 1.0]),
            None,
            ["concentration: 1 of 2 values not positive"],
        ),
        (dist.Categorical(logits=torch.zeros(3)), torch.tensor(1), None, []),
        (dist.Bernoulli(0.5), torch.tensor([0.5, 1.0]), None, ["value: 1 of 2 values not in boolean"]),
        (dist.Delta(torch.tensor(-1.0)), torch.tensor(-1.0), None, []),
    ],
)  # fmt: skip
def test_violations(fn, value, mask, violations):
    assert list(sites._violations(site(fn, value, mask))) == violations
