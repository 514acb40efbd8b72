"""The supports of transformed distributions, and of sites that are not the same in every execution."""

import pyro.distributions as dist
import pytest
import torch
from torch.distributions import biject_to, constraints
from torch.distributions.transforms import AffineTransform, ExpTransform, PowerTransform, SigmoidTransform

from pyro_fix.probe.sites import support_of
from pyro_fix.probe.supports import either, support_name


def transformed(base, *transforms):
    return dist.TransformedDistribution(base, list(transforms))


@pytest.mark.parametrize(
    ("distribution", "name"),
    [
        (transformed(dist.Normal(0.0, 1.0), ExpTransform()), "positive"),
        (transformed(dist.Normal(0.0, 1.0), biject_to(constraints.positive)), "positive"),
        (transformed(dist.Normal(0.0, 1.0), biject_to(constraints.interval(0.0, 10.0))), "interval(0, 10)"),
        (transformed(dist.Normal(0.0, 1.0), biject_to(constraints.greater_than(1.5))), "greater_than(1.5)"),
        (transformed(dist.Normal(0.0, 1.0), biject_to(constraints.less_than(2.0))), "less_than(2)"),
        (transformed(dist.Normal(torch.zeros(3), 1.0), SigmoidTransform()).to_event(1), "unit_interval"),
        (transformed(dist.Beta(1.0, 1.0), AffineTransform(1.0, -3.0)), "interval(-2, 1)"),
        (transformed(dist.Gamma(1.0, 1.0), ExpTransform()), "greater_than(1)"),
        (transformed(dist.Normal(0.0, 1.0), AffineTransform(1.0, 2.0)), "real"),
        (
            transformed(dist.MultivariateNormal(torch.zeros(2), torch.eye(2)), biject_to(constraints.positive)),
            "positive",
        ),
        (transformed(dist.Normal(torch.zeros(2), 1.0), biject_to(constraints.simplex)), "simplex"),
        (transformed(dist.Gamma(1.0, 1.0), PowerTransform(torch.tensor(2.0))), "positive"),
    ],
)
def test_images(distribution, name):
    assert support_name(support_of(distribution)) == name
    assert support_of(distribution).check(distribution.sample((500,))).all()


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("positive", "positive", "positive"),
        ("positive", "real", "?"),
        ("?", "real", "?"),
        ("interval(0, 1.5)", "interval(0, 0.5)", "interval(0, 0.5..1.5)"),
        ("interval(0, 0.5..1.5)", "interval(-2, 7)", "interval(-2..0, 0.5..7)"),
        ("greater_than(1)", "interval(0, 2)", "?"),
        ("interval(0, ?)", "interval(0, 1)", "?"),
    ],
)
def test_either(one, other, both):
    assert either(one, other) == both


def test_bounds_that_float32_tells_apart():
    one, other = (support_name(constraints.interval(0.0, torch.tensor(high))) for high in (1.00002, 1.00003))
    assert one != other
