"""Every trap of misspelt keywords."""

from __future__ import annotations

import pytest
from pyro_fix_transforms.svi054_unknown_param_argument import _alike, _one_slip

from pyro_fix.analysis import distributions

pytest_plugins = ["check_fixture"]
CODE = "SVI054"

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.nn import PyroParam
"""


def guide(*lines: str) -> str:
    return PREAMBLE + "\ndef guide(data):\n" + "".join(f"    {line}\n" for line in lines)


@pytest.mark.parametrize(
    ("call", "fixed"),
    [
        ("pyro.param('p', x, contrainst=c)", "pyro.param('p', x, constraint=c)"),
        ("pyro.param('p', x, constraints=c)", "pyro.param('p', x, constraint=c)"),
        ("pyro.param('p', x, constrant = c)", "pyro.param('p', x, constraint = c)"),
        ("pyro.param('p', init_tesnor=x)", "pyro.param('p', init_tensor=x)"),
        ("pyro.param('p', x, event_dims=1)", "pyro.param('p', x, event_dim=1)"),
        ("PyroParam(x, Constraint=c)", "PyroParam(x, constraint=c)"),
        ("PyroParam(init_val=x)", "PyroParam(init_value=x)"),
        ("dist.Normal(0.0, scael=x)", "dist.Normal(0.0, scale=x)"),
        ("dist.Gamma(concentratoin=x, rat=x)", None),
        ("dist.Bernoulli(prob=x)", "dist.Bernoulli(probs=x)"),
        ("dist.Categorical(logit=x)", "dist.Categorical(logits=x)"),
        ("dist.Normal(0.0, 1.0, validate_arg=False)", "dist.Normal(0.0, 1.0, validate_args=False)"),
        ("dist.Binomial(total_counts=3, probs=x)", "dist.Binomial(total_count=3, probs=x)"),
    ],
)
def test_slips(check, call: str, fixed: str | None):
    outcome = check(guide(call))
    assert outcome.added == [fixed or call.replace("concentratoin", "concentration")]


@pytest.mark.parametrize(
    "call",
    [
        "pyro.param('p', x, constraint=c, event_dim=1)",
        "pyro.param(name='p', init_tensor=x)",
        "PyroParam(init_value=x, constraint=c, event_dim=0)",
        "dist.Normal(loc=x, scale=x, validate_args=False)",
        "dist.Poisson(x, is_sparse=True)",
        "dist.NegativeBinomial(total_count=x, logits=x)",
        "dist.TransformedDistribution(base_distribution=x, transforms=x)",
        "dist.Uniform(loc=0.0, high=1.0)",  # low and loc are no slip of each other
        "dist.Normal(mean=x, std=x)",
        "pyro.param('p', x, dim=1)",
        "mine.Normal(scal=x)",
        "dist.Unheard(scal=x)",
        "pyro.sample('z', x, infre={})",
    ],
)
def test_no_slip(check, call: str):
    assert check(guide(call)).findings == ()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ("pyro.param('p', x, contrainst=c, **more)", "can be seen"),
        ("pyro.param('p', x, c, contrainst=c)", "given as well"),
        ("pyro.param('p', x, constraint=c, contrainst=c)", "given as well"),
        ("pyro.param('p', x, constrant=c, contraint=c)", "given as well"),
        ("dist.Beta(concentration=x)", "not clear"),
        ("dist.Normal(*x, scal=x)", "can be seen"),
    ],
)
def test_held_back(check, call: str, reason: str):
    assert reason in check(guide(call)).held_back


def test_names(check):
    text = """
from pyro import param as P
from torch.distributions import Normal as N
import pyro.nn as pn
from pyro.distributions import *

a = P("a", 1, constrant=2)
b = N(0, scal=1)
c = pn.PyroParam(0, constraints=1)
d = HalfNormal(scales=1)
"""
    assert check(text).added == [
        'a = P("a", 1, constraint=2)',
        "b = N(0, scale=1)",
        "c = pn.PyroParam(0, constraint=1)",
        "d = HalfNormal(scale=1)",
    ]


def test_a_call_that_is_reached_twice_is_one_finding(check):
    text = (
        PREAMBLE
        + "\ndef make(name):\n    return pyro.param(name, torch.ones(3), constrant=constraints.positive)\n\nmake('a')\nmake('b')\n"
    )
    assert len(check(text).findings) == 1


def test_a_comment_between_stays(check):
    outcome = check(guide("pyro.param(", "    'p', x,", "    contrainst=  # mine", "        c,", ")"))
    assert "    constraint=  # mine" in outcome.text


@pytest.mark.parametrize("code", ["SVI051", "SVI053", "SVI071"])
def test_a_param_with_an_unknown_keyword_is_not_bare(check, code: str):
    """Otherwise SVI051 would add a second ``constraint=``."""
    text = guide("s = pyro.param('s', torch.tensor(5.0), contrainst=constraints.positive)",
                 "pyro.sample('z', dist.Normal(0.0, s))")  # fmt: skip
    assert [f for f in check(text, codes=(code,)).findings if "contrain" in f.diff or "constraint=" in f.diff] == []


def test_suppression(check):
    assert check(guide("pyro.param('p', x, contrainst=c)  # noqa: SVI054")).findings == ()


@pytest.mark.parametrize(
    ("left", "right", "alike"),
    [
        ("contrainst", "constraint", True),
        ("constraint", "constraint", True),
        ("scale", "sacle", True),
        ("scale", "scal", True),
        ("rate", "rates", True),
        ("probs", "prob", True),
        ("probs", "logits", False),
        ("rate", "scale", False),
        ("concentration0", "concentration1", True),
        ("covariance_matrix", "precision_matrix", False),
        ("temperature", "total_count", False),
    ],
)
def test_alike(left: str, right: str, alike: bool):
    assert _alike(left, right) is _alike(right, left) is alike


def test_one_slip_is_one():
    assert _one_slip("abcd", "abdc") and _one_slip("abcd", "abc") and _one_slip("abcd", "abxd")
    assert not _one_slip("abcd", "badc") and not _one_slip("abcd", "ab") and not _one_slip("abcd", "axyd")


def test_arguments_are_those_of_the_installed_pyro():
    pyro = pytest.importorskip("pyro")
    import inspect

    assert distributions.FUNCTIONS["pyro.param"] == tuple(inspect.signature(pyro.param).parameters)
    with pytest.raises(TypeError):
        pyro.param("p", contrainst=None)
    assert distributions.argument_names("pyro.distributions.Normal") == {"loc", "scale", "validate_args"}
    assert distributions.argument_names("pyro.sample") is None
