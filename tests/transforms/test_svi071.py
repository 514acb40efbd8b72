"""Every trap of tip 7 for hand-written guides."""

from __future__ import annotations

import pytest
from showing import Shown, look
from showing import check as check_shown

pytest_plugins = ["check_fixture"]
CODE = "SVI071"

PREAMBLE = """
import torch
import torch.nn.functional as F
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
"""

MODEL = """
def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    pyro.sample("x", dist.Normal(z, 1.), obs=data)
"""

SVI = """
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.01}), Trace_ELBO())
"""


def program(*lines: str, model: str = MODEL, before: str = "") -> str:
    return PREAMBLE + before + model + "\ndef guide(data):\n" + "".join(f"    {line}\n" for line in lines) + SVI


def one(initial: str, use: str = "pyro.sample('z', dist.Normal(0., s))", given: str = "constraints.positive") -> str:
    return program(f"s = pyro.param('s', {initial}, constraint={given})", use)


@pytest.mark.parametrize(
    ("initial", "shrunk"),
    [
        ("torch.tensor(100.)", "torch.tensor(0.1)"),
        ("torch.tensor(12345.6)", "torch.tensor(0.1)"),
        ("torch.tensor([5., 2.])", "torch.tensor([0.1, 0.1])"),
        ("torch.tensor([[5., 2.], [3., 4.]])", "torch.tensor([[0.1, 0.1], [0.1, 0.1]])"),
        ("torch.full((3,), 10.)", "torch.full((3,), 0.1)"),
        ("torch.full([3], 1e2)", "torch.full([3], 0.1)"),
        ("10. * torch.ones(3)", "0.1 * torch.ones(3)"),
        ("torch.ones(3) * 10", "torch.ones(3) * 0.1"),
        ("lambda: torch.tensor(7.)", "lambda: torch.tensor(0.1)"),
        ("torch.tensor(7.).to(data.device)", "torch.tensor(0.1).to(data.device)"),
        ("torch.tensor(7., dtype=torch.double)", "torch.tensor(0.1, dtype=torch.double)"),
        ("torch.tensor(7.).expand(3)", "torch.tensor(0.1).expand(3)"),
    ],
)
def test_shrunk(check, initial: str, shrunk: str):
    outcome = check(one(initial))
    assert outcome.added == [f"s = pyro.param('s', {shrunk}, constraint=constraints.positive)"]
    assert [c.label for c in outcome.finding.proposal.candidates] == [f"initial value {s}" for s in (0.1, 0.05, 0.01)]


@pytest.mark.parametrize(
    "initial", ["torch.tensor(1.)", "torch.ones(3)", "torch.tensor(0.5)", "torch.rand(3)", "torch.tensor([0.5, 3.])",
                "load()", "scale_from(data)", "torch.randn(3).exp()"]
)  # fmt: skip
def test_exactly_one_and_what_is_not_known_is_no_error(check, initial: str):
    assert check(one(initial)).findings == ()


@pytest.mark.parametrize(
    "initial", ["torch.tensor(WIDE)", "WIDE * torch.ones(3)", "START", "start()", "torch.tensor(5)", "5 + torch.ones(3)",
                "torch.tensor(10. if WIDE else 20.)", "torch.ones(3) * 2 * 5"]
)  # fmt: skip
def test_value_that_is_no_literal_at_the_call(check, initial: str):
    """A variable, and a literal of an integer dtype: other things may hang on them."""
    before = "WIDE = 10.\nSTART = torch.tensor(10.)\ndef start():\n    return torch.tensor(10.)\n"
    text = program(f"s = pyro.param('s', {initial}, constraint=constraints.positive)",
                   "pyro.sample('z', dist.Normal(0., s))", before=before)  # fmt: skip
    outcome = check(text)
    assert outcome.result.changes == ()
    assert not outcome.findings or "not a literal" in outcome.held_back


@pytest.mark.parametrize(
    "use",
    [
        "pyro.sample('z', dist.Gamma(s, 1.))",
        "pyro.sample('z', dist.Gamma(1., s))",
        "pyro.sample('z', dist.Beta(s, s))",
        "pyro.sample('z', dist.Dirichlet(s))",
        "pyro.sample('z', dist.InverseGamma(s, s))",
        "pyro.sample('z', dist.StudentT(s, 0., 1.))",
        "pyro.sample('z', dist.Exponential(s))",
        "pyro.sample('z', dist.HalfNormal(s))",
        "pyro.sample('z', dist.Normal(s, 1.))",
        "pyro.sample('z', dist.Normal(0., s.sqrt()))",
        "pyro.sample('z', dist.Normal(0., 1 / s))",
        "pyro.sample('z', dist.Normal(0., F.softplus(s)))",
        "pyro.sample('z', dist.Normal(0., s + 1e-3))",
    ],
)
def test_only_standard_deviations(check, use: str):
    """A smaller concentration or rate is wider, not narrower."""
    assert check(one("torch.tensor(50.)", use)).findings == ()


@pytest.mark.parametrize(
    "use",
    [
        "dist.LogNormal(0., s)",
        "dist.Laplace(0., s)",
        "dist.Normal(0., s).to_event(1)",
        "dist.Normal(loc=0., scale=s[None])",
    ],
)
def test_standard_deviations_of_other_families(check, use: str):
    assert "torch.tensor(0.1)" in check(one("torch.tensor(50.)", f"pyro.sample('z', {use})")).text


def test_noise_of_the_model_is_learned(check):
    model = """
def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    noise = pyro.param("noise", torch.tensor(50.), constraint=constraints.positive)
    pyro.sample("x", dist.Normal(z, noise), obs=data)
"""
    assert check(program("pyro.sample('z', dist.Normal(0., 1.))", model=model)).findings == ()


def test_param_of_guide_and_model(check):
    model = """
def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    pyro.sample("x", dist.Normal(z, pyro.param("s")), obs=data)
"""
    text = program("s = pyro.param('s', torch.tensor(50.))", "pyro.sample('z', dist.Normal(0., s))", model=model)
    assert check(text).findings == ()


def test_guide_without_an_svi(check):
    """Nobody knows that it is a guide."""
    assert check(one("torch.tensor(50.)").replace(SVI, "")).findings == ()


def test_scale_and_concentration_at_once(check):
    text = one("torch.tensor(50.)", "pyro.sample('z', dist.Normal(0., s)); pyro.sample('y', dist.Gamma(s, 1.))")
    assert "something else" in check(text).held_back


def test_helper_of_the_guide(check):
    text = program("pyro.sample('z', dist.Normal(0., scale()))", before=(
        "def scale():\n    return pyro.param('s', torch.tensor(50.), constraint=constraints.positive)\n"
    ))  # fmt: skip
    assert "torch.tensor(0.1)" in check(text).text


def test_helper_of_guide_and_model(check):
    model = MODEL.replace("dist.Normal(z, 1.)", "dist.Normal(z, scale('x'))")
    text = program("pyro.sample('z', dist.Normal(0., scale('z')))", model=model, before=(
        "def scale(name):\n    return pyro.param(name, torch.tensor(50.), constraint=constraints.positive)\n"
    ))  # fmt: skip
    outcome = check(text)
    assert outcome.result.changes == ()


def test_guide_that_is_a_method(check):
    text = (
        PREAMBLE
        + MODEL
        + (
            "class Posterior:\n    def guide(self, data):\n"
            "        pyro.sample('z', dist.Normal(0., pyro.param('s', torch.tensor(50.), constraint=constraints.positive)))\n"
            "svi = SVI(model, Posterior().guide, pyro.optim.Adam({}), Trace_ELBO())\n"
        )
    )
    assert "torch.tensor(0.1)" in check(text).text


def test_guide_of_another_module(check):
    outcome = check(
        PREAMBLE + "from guides import guide\n" + MODEL + SVI,
        guides=PREAMBLE
        + "def guide(data):\n    pyro.sample('z', dist.Normal(0., pyro.param('s', torch.tensor(50.))))\n",
    )
    assert "torch.tensor(0.1)" in outcome.texts["guides.py"]


def test_one_name_in_several_places(check):
    text = program("if data is None:", "    s = pyro.param('s', torch.tensor(50.))", "else:",
                   "    s = pyro.param('s', torch.tensor(60.))", "pyro.sample('z', dist.Normal(0., s))")  # fmt: skip
    outcome = check(text)
    assert outcome.result.changes == ()
    assert "several places" in outcome.findings[0].proposal.held_back


def test_changed_in_place(check):
    text = one("torch.tensor(50.)", "pyro.sample('z', dist.Normal(0., s)); s.data.mul_(0.5)")
    assert "in place" in check(text).held_back


def test_changed_in_place_after_a_step(check):
    text = one("torch.tensor(50.)") + "def after_step():\n    pyro.param('s').data.clamp_(max=1.)\n"
    assert "in place" in check(text).held_back


@pytest.mark.parametrize(
    ("given", "sizes"),
    [("constraints.greater_than(0.02)", [0.1, 0.05]), ("constraints.interval(0.001, 200.)", [0.1, 0.05, 0.01]),
     ("constraints.greater_than(0.5)", []), ("which", [])],
)  # fmt: skip
def test_the_constraint_allows_it(check, given: str, sizes: list[float]):
    finding = check(one("torch.tensor(50.)", given=given)).finding
    assert [c.label for c in finding.proposal.candidates] == [f"initial value {size}" for size in sizes]
    assert sizes or "no smaller value" in finding.proposal.held_back


def test_new_value_keeps_the_layout(check):
    text = program("s = pyro.param(", "    's',", "    torch.tensor(  # wide", "        [5.,", "         6.]),",
                   "    constraint=constraints.positive)", "pyro.sample('z', dist.Normal(0., s))")  # fmt: skip
    assert check(text).added == ["[0.1,", "0.1]),"]


def test_suppression(check):
    text = program("pyro.sample('z', dist.Normal(0., pyro.param('s', torch.tensor(50.))))  # noqa: SVI071")
    assert check(text).findings == ()


def test_composes_with_svi051(check):
    text = program("pyro.sample('z', dist.Normal(0., pyro.param('s', torch.tensor(50.))))")
    outcome = check(text, codes=("SVI051", "SVI071"))
    assert outcome.added == [
        "pyro.sample('z', dist.Normal(0., pyro.param('s', torch.tensor(0.1), constraint=constraints.positive)))"
    ]


# --- by what a run shows: a start up to 1 is no error, unless the gradient is mostly noise


GUIDE = """
import torch, pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

def model():
    pyro.sample("z", dist.Normal(torch.zeros(3), 1.).to_event(1))

def guide():
    s = pyro.param("s", INITIAL, constraint=constraints.positive)
    pyro.sample("z", dist.Normal(torch.zeros(3), s).to_event(1))

svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(100):
    svi.step()
"""


def seen(folder, initial: str, noise: float, ran: tuple[str, ...] = ("s",)):
    path = folder / "main.py"
    path.write_text(GUIDE.replace("INITIAL", initial))
    judge = Shown(look=look(noise=noise), params=dict.fromkeys(ran, 1.0))
    return check_shown(path, CODE, judge).findings


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("torch.tensor(1.0)", "torch.tensor(0.1)"),
        ("torch.tensor([1.0, 0.5, 0.5])", "torch.tensor([0.1, 0.1, 0.1])"),
        ("torch.full((3,), 0.5)", "torch.full((3,), 0.1)"),
        ("torch.ones(3)", "0.1 * torch.ones(3)"),
        ("torch.ones(3).to('cpu')", "0.1 * torch.ones(3).to('cpu')"),
        ("lambda: torch.ones(3)", "lambda: 0.1 * torch.ones(3)"),
    ],
)
def test_seen_to_be_noisy(tmp_path, before: str, after: str):
    (finding,) = seen(tmp_path, before, 4.0)
    assert finding.proposal.source == "seen" and "the noise is 4 times the mean" in finding.proposal.message
    assert all(candidate.needs_run for candidate in finding.proposal.candidates)
    assert f'+    s = pyro.param("s", {after}, constraint' in finding.diff


def test_seen_with_little_noise(tmp_path):
    assert seen(tmp_path, "torch.tensor(1.0)", 1.4) == ()


def test_noise_elsewhere(tmp_path):
    assert seen(tmp_path, "torch.tensor(1.0)", 4.0, ran=()) == ()


def test_narrow_already(tmp_path):
    assert seen(tmp_path, "torch.tensor(0.1)", 4.0) == ()


def test_what_the_source_shows_needs_no_noise(tmp_path):
    (finding,) = seen(tmp_path, "torch.tensor(5.0)", 0.1)
    assert finding.proposal.source == "static" and not finding.proposal.candidates[0].needs_run


def test_seen_but_not_literal(tmp_path):
    (finding,) = seen(tmp_path, "0.5 + torch.full((3,), 0.5)", 4.0)
    assert "not a literal" in finding.proposal.held_back


NAMED = (
    "wide = 50.",
    "s = pyro.param('s', torch.tensor(wide), constraint=constraints.positive)",
    "t = pyro.param('t', wide * torch.ones(()), constraint=constraints.positive)",
    "pyro.sample('z', dist.Normal(0., s))",
    "pyro.sample('w', dist.Normal(0., t))",
)


def test_a_number_with_a_name_that_serves_scales_alone(check):
    outcome = check(program(*NAMED))
    assert len(outcome.findings) == 2 and outcome.text == program(*NAMED).replace("wide = 50.", "wide = 0.1")


@pytest.mark.parametrize(
    "more",
    [
        "print(wide)",
        "wide = 3.",
        "u = pyro.param('u', torch.tensor(wide), constraint=constraints.positive)\n    pyro.sample('v', dist.Gamma(u, 1.))",
        "u = pyro.param('u', torch.tensor(wide), constraint=constraints.greater_than(1.))\n"
        "    pyro.sample('v', dist.Normal(0., u))",
    ],
)
def test_a_number_whose_name_has_other_uses(check, more: str):
    outcome = check(program(*NAMED, more))
    assert outcome.result.changes == ()
    assert all(not finding.proposal.candidates for finding in outcome.findings)
