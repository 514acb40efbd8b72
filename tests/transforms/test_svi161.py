"""Every trap of tip 16."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI161"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam
"""

NEW = "constraint=constraints.greater_than(0.001)"


def guide(*lines: str, before: str = "") -> str:
    return PREAMBLE + before + "\ndef guide(data):\n" + "".join(f"    {line}\n" for line in lines)


def one(use: str, initial: str = "torch.tensor(2.)", given: str = "constraints.positive") -> str:
    return guide(f"a = pyro.param('a', {initial}, constraint={given})", use)


@pytest.mark.parametrize(
    "use",
    ["dist.Gamma(a, 1.)", "dist.Gamma(1., rate=a)", "dist.InverseGamma(a, 1.)", "dist.Beta(a, 1.)", "dist.Beta(1., a)",
     "dist.Dirichlet(a)", "dist.Dirichlet(a.expand([3]))", "dist.BetaBinomial(a, 1., 10)", "dist.GammaPoisson(a, 1.)",
     "dist.Gamma(a, 1.).to_event(1)", "dist.Gamma(a[data], 1.)", "dist.DirichletMultinomial(a, 10)",
     "q = {'a': a}; dist.Gamma(q['a'], 1.)", "dist.Gamma(*(a, 1.))"],
)  # fmt: skip
def test_bounded(check, use: str):
    assert check(one(use)).added == [f"a = pyro.param('a', torch.tensor(2.), {NEW})"]


@pytest.mark.parametrize(
    "use",
    ["dist.Normal(0., a)", "dist.Gamma(a + 1e-3, 1.)", "dist.Gamma(a.clamp(min=0.01), 1.)", "dist.Gamma(torch.exp(a), 1.)",
     "dist.Gamma(1. + a, 1.)", "dist.Poisson(a)", "dist.Beta(a * 2, 1.)", "a"],
)  # fmt: skip
def test_not_sensitive_or_made_safe(check, use: str):
    assert check(one(use)).findings == ()


@pytest.mark.parametrize(
    "given", ["constraints.greater_than(0.1)", "constraints.interval(0.1, 10.)", "constraints.softplus_positive",
              "constraints.simplex", "mine", "constraints.greater_than(eps)", "None"]
)  # fmt: skip
def test_other_constraints_are_meant(check, given: str):
    assert check(one("dist.Gamma(a, 1.)", given=given)).findings == ()


def test_no_constraint_is_for_svi051(check):
    assert check(guide("dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)")).findings == ()


@pytest.mark.parametrize(
    "initial", ["torch.tensor(1e-3)", "torch.tensor(0.0005)", "1e-4 * torch.ones(3)", "torch.zeros(3)"]
)
def test_initial_value_below_the_bound(check, initial: str):
    assert "not above the bound" in check(one("dist.Gamma(a, 1.)", initial)).held_back


@pytest.mark.parametrize("initial", ["torch.rand(3)", "torch.tensor([1., 0.0001])", "torch.randn(2)"])
def test_initial_value_that_may_lie_below_the_bound(check, initial: str):
    assert "may lie below the bound" in check(one("dist.Gamma(a, 1.)", initial)).held_back


def test_initial_value_just_above_the_bound(check):
    assert NEW in check(one("dist.Gamma(a, 1.)", "torch.tensor(0.01)")).text


def test_initial_value_unknown(check):
    outcome = check(one("dist.Gamma(a, 1.)", "load()"))
    assert outcome.result.changes == ()
    assert outcome.finding.proposal.candidates[0].needs_run


def test_sparse_dirichlet_is_bounded_and_not_lifted(check):
    """``alpha < 1`` is intended sparsity: the initial value stays."""
    assert check(one("dist.Dirichlet(a)", "0.1 * torch.ones(5)")).added == [
        f"a = pyro.param('a', 0.1 * torch.ones(5), {NEW})"
    ]


def test_name_with_different_constraints(check):
    text = (
        one("dist.Gamma(a, 1.)")
        + "def f():\n    pyro.param('a', torch.tensor(2.), constraint=constraints.greater_than(0.1))\n"
    )
    assert "different constraints" in check(text).held_back


def test_every_call_of_one_name(check):
    text = one("dist.Gamma(a, 1.)") + "def f():\n    pyro.param('a', torch.tensor(3.), constraints.positive)\n"
    text = check(text).text
    assert text.count("greater_than(0.001)") == 2


def test_changed_in_place(check):
    text = guide("a = pyro.param('a', torch.tensor(2.), constraint=constraints.positive)", "dist.Gamma(a, 1.)",
                 "a.data.clamp_(min=1e-3)")  # fmt: skip
    assert "in place" in check(text).held_back


def test_helper_makes_concentrations_and_scales(check):
    """A bound above zero does a scale no harm, but what it is for is another param's."""
    text = guide("dist.Gamma(make('a'), make('b'))", before=(
        "def make(name):\n    return pyro.param(name, torch.tensor(2.), constraint=constraints.positive)\n"
    ))  # fmt: skip
    assert NEW in check(text).text


def test_attribute_of_a_module(check):
    text = PREAMBLE + (
        "class M(PyroModule):\n    def __init__(self):\n        super().__init__()\n"
        "        self.a = PyroParam(torch.tensor(2.), constraints.positive)\n"
        "    def forward(self):\n        pyro.sample('x', dist.Gamma(self.a, 1.))\n"
    )
    assert "PyroParam(torch.tensor(2.), constraints.greater_than(0.001))" in check(text).text


def test_the_constraint_itself_was_imported(check):
    text = one("dist.Gamma(a, 1.)", given="positive").replace(
        "import constraints", "import Gamma\nfrom torch.distributions.constraints import positive"
    )
    assert "constraint=dist.constraints.greater_than(0.001)" in check(text).text


def test_after_svi051_in_a_later_round(check):
    """The constraint that tip 5 adds is the one that tip 16 tightens."""
    outcome = check(guide("dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)"), codes=("SVI051", "SVI161"))
    assert [f.proposal.code for f in outcome.findings] == ["SVI051", "SVI161"]
    assert outcome.added == [f"dist.Gamma(pyro.param('a', torch.tensor(2.), {NEW}), 1.)"]


def test_suppression(check):
    text = guide("dist.Gamma(pyro.param('a', torch.tensor(2.), constraint=constraints.positive), 1.)  # noqa: SVI161")
    assert check(text).findings == ()


def test_constraint_that_callers_pass(check):
    text = guide("dist.Gamma(make('p', constraints.positive), 1.)", before=(
        "def make(name, constraint):\n    return pyro.param(name, torch.tensor(2.), constraint=constraint)\n"
    ))  # fmt: skip
    assert "argument of the function" in check(text).held_back
