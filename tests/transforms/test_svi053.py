"""Every trap of tip 5 for constraints that are there and not enough."""

from __future__ import annotations

import pytest

from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI053"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam
"""


def guide(*lines: str, before: str = "") -> str:
    return PREAMBLE + before + "\ndef guide(data):\n" + "".join(f"    {line}\n" for line in lines)


def one(given: str, use: str, initial: str = "torch.tensor(.5)") -> str:
    return guide(f"p = pyro.param('p', {initial}, constraint={given})", use)


@pytest.mark.parametrize(
    ("given", "use", "wanted"),
    [
        ("constraints.positive", "dist.Bernoulli(p)", "constraints.unit_interval"),
        ("constraints.real", "dist.Normal(0., p)", "constraints.positive"),
        ("constraints.interval(-1., 1.)", "dist.Normal(0., p)", "constraints.positive"),
        ("constraints.greater_than(-1)", "dist.Exponential(p)", "constraints.positive"),
        ("constraints.less_than(1.)", "dist.Exponential(p)", "constraints.positive"),
        ("constraints.interval(0., 2.)", "dist.Geometric(probs=p)", "constraints.unit_interval"),
        ("dist.constraints.positive", "dist.Bernoulli(p)", "constraints.unit_interval"),
        ("constraints.independent(constraints.real, 1)", "dist.Normal(0., p)", None),
    ],
)
def test_replaced(check, given: str, use: str, wanted: str | None):
    outcome = check(one(given, use))
    if wanted is None:  # a constraint that is put together is not read
        assert outcome.result.changes == ()
    else:
        assert f"pyro.param('p', torch.tensor(.5), constraint={wanted})" in outcome.text


@pytest.mark.parametrize(
    ("given", "use"),
    [
        ("constraints.unit_interval", "dist.Normal(0., p)"),
        ("constraints.greater_than(0.1)", "dist.Normal(0., p)"),
        ("constraints.greater_than_eq(0.)", "dist.Normal(0., p)"),
        ("constraints.softplus_positive", "dist.Normal(0., p)"),
        ("constraints.interval(0.1, 0.9)", "dist.Bernoulli(p)"),
        ("constraints.nonnegative", "dist.Poisson(p)"),
        ("constraints.simplex", "dist.Categorical(p)"),
        ("constraints.softplus_lower_cholesky", "dist.MultivariateNormal(data, scale_tril=p)"),
        ("constraints.corr_cholesky", "dist.MultivariateNormal(data, scale_tril=p)"),
        ("constraints.positive", "dist.Normal(p, 1.)"),
        ("constraints.greater_than(eps)", "dist.Normal(0., p)"),
        ("constraints.interval(low, high)", "dist.Bernoulli(p)"),
        ("which", "dist.Bernoulli(p)"),
        ("constraints.positive if data else constraints.unit_interval", "dist.Bernoulli(p)"),
        ("constraints.positive", "dist.Bernoulli(p / (1 + p))"),
        ("constraints.positive", "dist.Bernoulli(1 - torch.exp(-p))"),
        ("constraints.real", "dist.Normal(0., p.exp())"),
        ("constraints.positive", "dist.Bernoulli(logits=p)"),
        ("my_constraint", "dist.Bernoulli(p)"),
    ],
)
def test_sound(check, given: str, use: str):
    assert check(one(given, use)).findings == ()


@pytest.mark.parametrize("kind", ["Categorical", "OneHotCategorical", "Multinomial"])
@pytest.mark.parametrize("given", ["positive", "greater_than(0.1)"])
def test_probabilities_that_the_distribution_normalises(check, kind: str, given: str):
    assert check(one(f"constraints.{given}", f"dist.{kind}(probs=p)", "torch.ones(3) / 3")).findings == ()


@pytest.mark.parametrize("argument", ["covariance_matrix", "scale_tril", "precision_matrix"])
@pytest.mark.parametrize(("size", "is_sound"), [(1, True), (2, False)])
def test_a_matrix_of_one_number(check, argument: str, size: int, is_sound: bool):
    """Every positive number is a positive definite matrix, and a lower Cholesky factor."""
    use = f"dist.MultivariateNormal(torch.zeros({size}), {argument}=p)"
    outcome = check(one("constraints.positive", use, f"torch.ones({size}, {size})"))
    assert bool(outcome.findings) is not is_sound


@pytest.mark.parametrize("kind", ["Categorical", "OneHotCategorical", "Multinomial"])
@pytest.mark.parametrize("start", ["torch.ones(4, 3) / 3", "torch.tensor([.2, .3, .5])", "torch.ones(K) / K"])
def test_probabilities_that_are_one_by_one(check, kind: str, start: str):
    text = one("constraints.unit_interval", f"dist.{kind}(probs=p)", start).replace("\ndef", "K = load()\ndef")
    outcome = check(text)
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.label == "constraint simplex" and candidate.needs_run
    assert candidate.promise & Promise.NO_WORSE_END and "divides it by its sum" in outcome.finding.proposal.message


@pytest.mark.parametrize("start", ["torch.ones(3)", "0.5 * torch.ones(3)", "torch.rand(3)", "load()"])
def test_weights_between_0_and_1_that_start_as_no_simplex(check, start: str):
    assert all("not enough" not in f.proposal.message for f in check(
        one("constraints.unit_interval", "dist.Categorical(probs=p)", start)).findings)  # fmt: skip


def test_probabilities_that_may_be_negative(check):
    outcome = check(one("constraints.real", "dist.Categorical(p)", "torch.ones(3) / 3"))
    assert "constraint=constraints.simplex" in outcome.text


def test_positional_constraint(check):
    outcome = check(guide("dist.Bernoulli(pyro.param('p', torch.tensor(.5), constraints.positive))"))
    assert "torch.tensor(.5), constraints.unit_interval)" in outcome.text


def test_pyro_param_attribute(check):
    text = PREAMBLE + (
        "class M(PyroModule):\n    def __init__(self):\n        super().__init__()\n"
        "        self.p = PyroParam(torch.tensor(.5), constraint=constraints.positive)\n"
        "    def forward(self):\n        pyro.sample('x', dist.Bernoulli(self.p))\n"
    )
    assert "PyroParam(torch.tensor(.5), constraint=constraints.unit_interval)" in check(text).text


def test_constraint_in_a_variable(check):
    """The variable may have other uses: only the argument is replaced."""
    text = guide(
        "dist.Bernoulli(pyro.param('p', torch.tensor(.5), constraint=POSITIVE))",
        before="POSITIVE = constraints.positive\n",
    )
    assert "constraint=constraints.unit_interval" in check(text).text


@pytest.mark.parametrize(
    "initial", ["torch.tensor(1.5)", "torch.tensor(0.)", "torch.ones(3)", "torch.tensor([.5, 2.])"]
)
def test_initial_value_outside(check, initial: str):
    assert "violate" in check(one("constraints.positive", "dist.Bernoulli(p)", initial)).held_back


@pytest.mark.parametrize(
    "kind", ["LogNormal(-1., 1.)", "Gamma(2., 1.)", "HalfNormal(1.)", "Exponential(1.)", "Beta(2., 2.)"]
)
@pytest.mark.parametrize("draw", ["dist.{0}.sample([3])", "dist.{1}.sample(dist.{0}, [3])"])
def test_a_draw_from_within_starts_inside(check, kind: str, draw: str):
    initial = draw.format(kind, kind.partition("(")[0])
    assert check(one("constraints.positive", "dist.Gamma(p, p)", initial)).findings == ()


@pytest.mark.parametrize("initial", ["torch.randn(3)", "dist.Normal(5., 1.).sample([3])", "-torch.ones(3)"])
def test_a_start_that_may_lie_outside(check, initial: str):
    found = check(one("constraints.positive", "dist.Gamma(p, p)", initial)).finding
    assert "may start outside its own constraint positive" in found.proposal.message


@pytest.mark.parametrize(("given", "initial"), [("positive", "torch.zeros(3)"), ("unit_interval", "torch.ones(3)")])
def test_a_start_on_a_bound(check, given: str, initial: str):
    found = check(one(f"constraints.{given}", "dist.Normal(0., p)", initial)).finding
    assert f"starts on a bound of its own constraint {given}" in found.proposal.message


@pytest.mark.parametrize(
    "fill",
    [
        "for i in range(3):\n        start[i] = data[i]",
        "start[:] = data",
        "start.data[0] = 1.",
        "start[0].fill_(1.)",
        "start.view(-1)[0] = 1.",
        "torch.nn.init.constant_(start, 1.)",
        "start[0] += 1.",
    ],
)
def test_a_start_that_is_filled_element_by_element(check, fill: str):
    """Zeros that are all written over are no start."""
    lines = ("start = torch.zeros(3)", fill, "p = pyro.param('p', start, constraint=constraints.positive)")
    assert check(guide(*lines, "dist.Gamma(p, p)")).findings == ()


def test_initial_value_unknown(check):
    outcome = check(one("constraints.positive", "dist.Bernoulli(p)", "load()"))
    assert outcome.result.changes == ()
    assert outcome.finding.proposal.candidates[0].needs_run


def test_name_with_different_constraints(check):
    text = guide("dist.Bernoulli(pyro.param('p', torch.tensor(.5), constraint=constraints.positive))") + (
        "def other():\n    return pyro.param('p', torch.tensor(.5), constraint=constraints.unit_interval)\n"
    )
    assert "different constraints" in check(text).held_back


def test_every_call_of_one_name(check):
    text = guide("dist.Bernoulli(pyro.param('p', torch.tensor(.5), constraint=constraints.positive))") + (
        "def other():\n    return pyro.param('p', torch.tensor(.5), constraint=constraints.positive)\n"
    )
    assert check(text).text.count("constraint=constraints.unit_interval") == 2


def test_getter_is_where_it_is_used(check):
    text = guide(
        "pyro.param('p', torch.tensor(.5), constraint=constraints.positive)", "dist.Bernoulli(pyro.param('p'))"
    )
    assert "constraint=constraints.unit_interval" in check(text).text


def test_changed_in_place(check):
    text = guide("p = pyro.param('p', torch.tensor(.5), constraint=constraints.positive)", "dist.Bernoulli(p)",
                 "p.data.clamp_(max=1.)")  # fmt: skip
    assert "in place" in check(text).held_back


def test_no_constraint_is_for_svi051(check):
    assert check(guide("dist.Bernoulli(pyro.param('p', torch.tensor(.5)))")).findings == ()


def test_constraints_of_torch(check):
    text = one("constraints.positive", "dist.Bernoulli(p)").replace(
        "from pyro.distributions import c", "from torch.distributions import c"
    )
    assert "constraint=constraints.unit_interval" in check(text).text


def test_only_the_constraint_itself_is_imported(check):
    text = one("positive", "dist.Bernoulli(p)").replace(
        "import constraints", "import Normal\nfrom pyro.distributions.constraints import positive"
    )
    assert "constraint=dist.constraints.unit_interval" in check(text).text


def test_suppression(check):
    assert (
        check(
            guide("dist.Bernoulli(pyro.param('p', torch.tensor(.5), constraint=constraints.positive))  # noqa: SVI053")
        ).findings
        == ()
    )


def test_constraint_that_callers_pass(check):
    text = guide("dist.Bernoulli(make('p', constraints.positive))", before=(
        "def make(name, constraint):\n    return pyro.param(name, torch.tensor(.5), constraint=constraint)\n"
    ))  # fmt: skip
    assert "argument of the function" in check(text).held_back


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ("positive", "-3 * torch.ones(2)"),
        ("positive", "torch.tensor(-0.5)"),
        ("nonnegative", "torch.full((2,), -2.)"),
        ("softplus_positive", "torch.ones(2) * -1.5"),
        ("greater_than(0.01)", "torch.tensor([-3., -1.])"),
    ],
)
def test_a_logarithm_as_the_start_of_what_has_to_be_positive(check, given: str, start: str):
    outcome = check(one(f"constraints.{given}", "dist.Normal(0., p)", start))
    proposal = outcome.finding.proposal
    (candidate,) = proposal.candidates
    assert "outside its own constraint" in proposal.message and candidate.needs_run
    assert candidate.promise == Promise.RUNS_CLEAN
    assert [edit.replacement for edit in candidate.edits] == ["torch.exp(", ")"]


@pytest.mark.parametrize(
    ("given", "start"),
    [
        ("positive", "torch.zeros(2)"),
        ("positive", "torch.randn(2)"),
        ("positive", "torch.tensor([-1., 2.])"),
        ("greater_than(0.1)", "torch.tensor(-5.)"),
        ("unit_interval", "torch.tensor(-5.)"),
        ("interval(0., 2.)", "torch.tensor(3.)"),
        ("positive", "torch.tensor(-5., requires_grad=True)"),
        ("positive", "-5."),
    ],
)
def test_a_start_outside_that_may_mean_anything(check, given: str, start: str):
    findings = check(one(f"constraints.{given}", "dist.Normal(0., p)", start)).findings
    assert all(not finding.proposal.candidates for finding in findings)


def test_constraints_that_callers_pass_differ(check):
    text = guide("make('q', constraints.unit_interval)", "dist.Bernoulli(make('p', constraints.positive))", before=(
        "def make(name, constraint):\n    return pyro.param(name, torch.tensor(.5), constraint=constraint)\n"
    ))  # fmt: skip
    assert check(text).result.changes == ()
