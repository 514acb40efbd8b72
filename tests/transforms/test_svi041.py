"""Every trap of tip 4 for supports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checking import Checked
from shown import check_shown, site_look, svi_at

from pyro_fix.observation import Look, SiteLook

pytest_plugins = ["check_fixture"]
CODE = "SVI041"

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from pyro.optim import Adam
"""
TENSOR = "torch.tensor(2.0)"


def program(model: str, guide: str, *, before: str = "", pair: str = "model, guide", after: str = "") -> str:
    """A program with ``z``; ``model`` and ``guide`` are statements."""
    bodies = ["".join(f"    {line}\n" for line in text.splitlines()) for text in (model, guide)]
    return (
        f"{PREAMBLE}{before}\ndef model(data):\n{bodies[0]}\ndef guide(data):\n{bodies[1]}\n"
        f"svi = SVI({pair}, optim=Adam({{'lr': 0.01}}), loss=Trace_ELBO())\n{after}"
    )


def one(model: str, guide: str, initial: str = TENSOR, rest: str = "", **more: str) -> str:
    """Distributions of ``z``, where the guide's has the param ``loc``."""
    return program(
        f"pyro.sample('z', {model})",
        f"loc = pyro.param('loc', {initial}{rest})\npyro.sample('z', {guide})",
        **more,
    )


@pytest.mark.parametrize(
    "model",
    [
        "dist.HalfCauchy(1.0)",
        "dist.Gamma(2.0, 1.0)",
        "dist.LogNormal(torch.zeros(()), 1.0)",
        "dist.Exponential(1.0).mask(data > 0)",
        "dist.FoldedDistribution(dist.Normal(0.0, 1.0))",
        "dist.TransformedDistribution(dist.Normal(0.0, 1.0), [dist.transforms.ExpTransform()])",
        "dist.ImproperUniform(constraints.positive, (), ())",
    ],
)
def test_positive(check, model: str):
    outcome = check(one(model, "dist.Normal(loc, 0.1)"))
    assert outcome.added == [
        "loc = pyro.param('loc', torch.tensor(2.0).log())",
        "pyro.sample('z', dist.LogNormal(loc, 0.1))",
    ]
    assert not outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize(
    ("model", "constraint"),
    [
        ("dist.Uniform(0.0, 10.0)", "constraints.interval(0, 10)"),
        ("dist.Uniform(-0.5, high=torch.tensor(4.0))", "constraints.interval(-0.5, 4)"),
        ("dist.Beta(1.0, 2.0)", "constraints.unit_interval"),
        ("dist.Uniform(torch.zeros(3), 3.0 * torch.ones(3)).to_event(1)", "constraints.interval(0, 3)"),
        ("dist.Pareto(1.5, 1.0)", "constraints.greater_than(1.5)"),
    ],
)
def test_intervals_and_half_lines(check, model: str, constraint: str):
    initial = "0.75 * torch.ones(())" if "Beta" in model else TENSOR
    outcome = check(one(model, "dist.Normal(loc, 0.1)", initial))
    transform = f"torch.distributions.biject_to({constraint})"
    assert outcome.added == [
        f"loc = pyro.param('loc', {transform}.inv({initial}))",
        f"pyro.sample('z', dist.TransformedDistribution(dist.Normal(loc, 0.1), {transform}))",
    ]


@pytest.mark.parametrize("family", ["StudentT(3.0, loc, 0.1)", "Laplace(loc, 0.1)", "Cauchy(loc=loc, scale=0.1)"])
def test_other_families_of_the_real_line(check, family: str):
    outcome = check(one("dist.HalfCauchy(1.0)", f"dist.{family}"))
    assert f"dist.TransformedDistribution(dist.{family}, torch.distributions.biject_to(" in outcome.text
    assert "biject_to(constraints.positive).inv(torch.tensor(2.0))" in outcome.text


def test_a_vector(check):
    outcome = check(one("dist.LogNormal(0.0, torch.ones(3)).to_event(1)",
                        "dist.MultivariateNormal(loc, torch.eye(3))", "torch.ones(3)"))  # fmt: skip
    assert "dist.TransformedDistribution(dist.MultivariateNormal(loc, torch.eye(3)), " in outcome.text


@pytest.mark.parametrize(
    ("model", "guide"),
    [
        ("dist.Uniform(0.0, 1.0)", "dist.Beta(loc, 2.0)"),
        ("dist.Beta(1.0, 1.0)", "dist.Uniform(0.0, 1.0)"),
        ("dist.HalfCauchy(1.0)", "dist.Beta(loc, 2.0)"),
        ("dist.HalfCauchy(1.0)", "dist.Delta(loc)"),
        ("dist.HalfCauchy(1.0)", "make_up(loc)"),
        ("make_up(1.0)", "dist.Normal(loc, 1.0)"),
        ("dist.Normal(torch.zeros(3), 1.0).to_event(1)", "dist.MultivariateNormal(loc, torch.eye(3))"),
        ("dist.MultivariateNormal(torch.zeros(3), torch.eye(3))", "dist.Independent(dist.Normal(loc, 1.0), 1)"),
        ("dist.Uniform(-5.0, 5.0)", "dist.Uniform(torch.zeros(()), 5)"),
        ("dist.Uniform(0.0, data.max())", "dist.Uniform(0.0, data.max())"),
        ("dist.Uniform(0.0, data.max())", "dist.Uniform(0.0, 10.0)"),
        ("dist.HalfNormal(1.0)", "dist.TransformedDistribution(dist.Normal(loc, 1.0), [dist.transforms.ExpTransform()])"),
        ("dist.HalfNormal(1.0)", "dist.TransformedDistribution(dist.Gamma(loc, 1.0), make_up())"),
        ("dist.Uniform(-4.0, 4.0)", "dist.VonMises(loc, 1.0)"),
        ("dist.Bernoulli(0.5)", "dist.Bernoulli(loc)"),
        ("dist.Categorical(torch.ones(3))", "dist.Categorical(probs=loc)"),
        ("dist.Exponential(1.0)", "dist.Poisson(loc)"),
        ("dist.HalfNormal(1.0)", "dist.Normal(loc, 1.0).mask(False)"),
        ("dist.HalfNormal(1.0)", "dist.Normal(loc, 1.0) if data.sum() > 0 else dist.LogNormal(loc, 1.0)"),
        ("dist.HalfNormal(1.0) if data.sum() > 0 else dist.Normal(0.0, 1.0)", "dist.Normal(loc, 1.0)"),
    ],
)  # fmt: skip
def test_sound_or_unknown(check, model: str, guide: str):
    assert check(one(model, guide)).findings == ()


def test_every_way_through_a_branch_is_wrong(check):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 1.0) if data.sum() > 0 else dist.Cauchy(loc, 1.0)"))
    assert "depends on a branch" in outcome.held_back


def test_bounds_that_are_not_known(check):
    outcome = check(one("dist.Uniform(0.0, data.max())", "dist.Normal(loc, 1.0)"))
    assert "bounds of the support are not known" in outcome.held_back
    assert "interval(0, …)" in outcome.finding.proposal.message


@pytest.mark.parametrize(
    ("model", "guide", "reason"),
    [
        ("dist.Dirichlet(torch.ones(3))", "dist.Normal(loc, 1.0).to_event(1)", "another shape"),
        ("dist.LKJCholesky(3, 1.0)", "dist.Normal(loc, 1.0).to_event(2)", "another shape"),
        ("dist.Poisson(3.0)", "dist.Normal(loc, 1.0)", "discrete"),
        ("dist.Uniform(0.0, 10.0)", "dist.LogNormal(loc, 1.0)", "no family of the real line"),
        ("dist.Uniform(0.0, 1.0)", "dist.Uniform(0.0, 2.0)", "no family of the real line"),
        ("dist.HalfNormal(1.0)", "dist.Normal(net(data), 1.0)", "computed"),
        ("dist.HalfNormal(1.0)", "dist.Normal(loc.exp(), 1.0)", "computed"),
        ("dist.HalfNormal(1.0)", "dist.Normal(loc, loc)", "something else"),
        ("dist.HalfNormal(1.0)", "dist.Normal(*loc)", "could be moved"),
    ],
)
def test_held_back(check, model: str, guide: str, reason: str):
    assert reason in check(one(model, guide)).held_back


# -- where the guide starts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("initial", "mapped"),
    [
        ("torch.ones(3)", "torch.ones(3).log()"),
        ("2 * torch.ones(3)", "(2 * torch.ones(3)).log()"),
        ("lambda: torch.tensor(0.5)", "lambda: torch.tensor(0.5).log()"),
        ("torch.tensor([1.0, 2.0])", "torch.tensor([1.0, 2.0]).log()"),
        ("START", "START.log()"),
        ("torch.rand(3) + 0.5", "(torch.rand(3) + 0.5).log()"),
    ],
)
def test_initial_values(check, initial: str, mapped: str):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", initial, before="START = torch.ones(3)\n"))
    assert f"pyro.param('loc', {mapped})" in outcome.text
    assert not outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize(
    "initial", ["torch.tensor(0.0)", "torch.zeros(3)", "torch.randn(3)", "torch.tensor([-1.0, 2.0])"]
)
def test_a_start_outside_stays(check, initial: str):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", initial))
    assert outcome.added == ["pyro.sample('z', dist.LogNormal(loc, 0.1))"]
    assert "starts outside" in outcome.finding.proposal.candidates[0].label


def test_an_unknown_start_is_a_ladder(check):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", "data.std()"))
    first, second = outcome.finding.proposal.candidates
    assert first.needs_run and second.needs_run
    assert len(first.edits) == 2 and len(second.edits) == 1


@pytest.mark.parametrize(
    "after", ["print(pyro.param('loc'))\n", "pyro.get_param_store()['loc']\n", "for name in ['loc']:\n    pass\n"]
)
def test_a_location_that_is_read_elsewhere_keeps_its_meaning(check, after: str):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", after=after))
    assert outcome.added == [
        "loc = pyro.param('loc', torch.tensor(2.0), constraint=constraints.positive)",
        "pyro.sample('z', dist.LogNormal(loc.log(), 0.1))",
    ]


def test_a_getter_in_the_guide_is_no_other_reader(check):
    text = program(
        "pyro.sample('z', dist.HalfNormal(1.0))",
        "pyro.sample('z', dist.Normal(pyro.param('loc'), 0.1))",
        before="def start():\n    pyro.param('loc', torch.tensor(2.0))\n",
    )
    assert check(text).added == [
        "pyro.param('loc', torch.tensor(2.0).log())",
        "pyro.sample('z', dist.LogNormal(pyro.param('loc'), 0.1))",
    ]


def test_a_read_start_outside(check):
    text = one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", "torch.tensor(0.0)", after="print(pyro.param('loc'))\n")
    assert "starts outside the support, and is read" in check(text).held_back


def test_the_constraint_is_there_already(check):
    outcome = check(one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", rest=", constraint=constraints.positive"))
    assert outcome.added == ["pyro.sample('z', dist.LogNormal(loc.log(), 0.1))"]


def test_a_positive_location_on_an_interval(check):
    """The commonest case in real code: ``sigma ~ Uniform(0, 10)``."""
    outcome = check(one("dist.Uniform(0.0, 10.0)", "dist.Normal(loc, 0.1)", rest=", constraint=constraints.positive"))
    transform = "torch.distributions.biject_to(constraints.interval(0, 10))"
    assert outcome.added == [
        "loc = pyro.param('loc', torch.tensor(2.0), constraint=constraints.interval(0, 10))",
        f"pyro.sample('z', dist.TransformedDistribution(dist.Normal({transform}.inv(loc), 0.1), {transform}))",
    ]


@pytest.mark.parametrize("given", ["constraints.lower_cholesky", "mine"])
def test_a_constraint_that_cannot_be_changed(check, given: str):
    text = one("dist.Uniform(0.0, 10.0)", "dist.Normal(loc, 0.1)", rest=f", constraint={given}")
    assert "constraint of its own" in check(text).held_back


def test_a_constant_location(check):
    outcome = check(program("pyro.sample('z', dist.HalfNormal(1.0))", "pyro.sample('z', dist.Normal(2.0, 0.1))"))
    assert outcome.added == ["pyro.sample('z', dist.LogNormal(0.693147, 0.1))"]


def test_a_param_of_a_module(check):
    text = (
        PREAMBLE.replace("import Adam", "import Adam\nfrom pyro.nn import PyroModule, PyroParam")
        + """
class Guide(PyroModule):
    def __init__(self):
        super().__init__()
        self.loc = PyroParam(torch.tensor(2.0))
    def forward(self, data):
        pyro.sample('z', dist.Normal(self.loc, 0.1))

def model(data):
    pyro.sample('z', dist.HalfNormal(1.0))

SVI(model, Guide(), Adam({'lr': 0.01}), Trace_ELBO())
"""
    )
    assert check(text).added == [
        "self.loc = PyroParam(torch.tensor(2.0), constraint=constraints.positive)",
        "pyro.sample('z', dist.LogNormal(self.loc.log(), 0.1))",
    ]


def test_initial_values_in_several_places(check):
    text = one(
        "dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)", before="def other():\n    pyro.param('loc', torch.ones(()))\n"
    )
    assert "several places" in check(text).held_back


def test_a_location_of_two_sites(check):
    text = program(
        "pyro.sample('z', dist.HalfNormal(1.0))\npyro.sample('y', dist.Normal(0.0, 1.0))",
        "loc = pyro.param('loc', torch.tensor(2.0))\n"
        "pyro.sample('z', dist.Normal(loc, 0.1))\npyro.sample('y', dist.Normal(loc, 0.1))",
    )
    assert "something else as well" in check(text).held_back


# -- names and imports ----------------------------------------------------------------------------------------------


def test_bare_imports(check):
    text = """
import pyro as p
from pyro import sample as sample_z, param
from pyro.distributions import Normal as N, HalfNormal
from pyro.infer import SVI, Trace_ELBO
from torch import tensor

def model():
    sample_z("z", HalfNormal(1.0))

def guide():
    sample_z("z", N(param("loc", tensor(2.0)), 0.1))

SVI(model, guide, p.optim.Adam({"lr": 0.01}), Trace_ELBO())
"""
    assert check(text).added == ['sample_z("z", p.distributions.LogNormal(param("loc", tensor(2.0).log()), 0.1))']


def test_several_imports_at_one_place(check):
    text = """
from pyro import sample, param, optim
from pyro.distributions import Normal, Beta
from pyro.infer import SVI, Trace_ELBO
from torch import tensor

def model():
    sample("z", Beta(1.0, 1.0))

def guide():
    sample("z", Normal(param("loc", tensor(0.2)), 0.1))

SVI(model, guide, optim.Adam({"lr": 0.01}), Trace_ELBO())
"""
    assert check(text).added == [
        "from pyro.distributions import TransformedDistribution",
        "from torch.distributions import biject_to",
        "from pyro.distributions import constraints",
        'sample("z", TransformedDistribution(Normal(param("loc", biject_to(constraints.unit_interval).inv(tensor(0.2))), '
        "0.1), biject_to(constraints.unit_interval)))",
    ]


def test_not_the_module(check):
    text = one("dist.HalfNormal(1.0)", "dist.Normal(loc, 0.1)").replace(
        "import pyro.distributions as", "import mine as"
    )
    assert check(text).findings == ()


def test_a_distribution_in_a_variable(check):
    text = program(
        "pyro.sample('z', dist.HalfNormal(1.0))",
        "q = dist.Normal(pyro.param('loc', torch.tensor(2.0)), 0.1)\npyro.sample('z', q)",
    )
    assert "q = dist.LogNormal(pyro.param('loc', torch.tensor(2.0).log()), 0.1)" in check(text).text


def test_a_distribution_for_two_sites(check):
    text = program(
        "pyro.sample('z', dist.HalfNormal(1.0))\npyro.sample('y', dist.Normal(0.0, 1.0))",
        "q = dist.Normal(0.0, 0.1)\npyro.sample('z', q)\npyro.sample('y', q)",
    )
    assert "serves other sites" in check(text).held_back


def test_a_helper_that_samples(check):
    text = program(
        "pyro.sample('z', dist.HalfNormal(1.0))\npyro.sample('y', dist.HalfNormal(1.0))",
        "draw('z')\ndraw('y')",
        before="def draw(name):\n    return pyro.sample(name, dist.Normal(0.0, 0.1))\n",
    )
    assert "serves other sites" in check(text).held_back


# -- which sites make a pair -----------------------------------------------------------------------------------------

MODEL, GUIDE = "pyro.sample('z', dist.HalfNormal(1.0))", "pyro.sample('z', dist.Normal(0.0, 0.1))"


@pytest.mark.parametrize(
    ("model", "guide"),
    [
        ("pyro.sample('z', dist.HalfNormal(1.0), obs=data)", GUIDE),
        ("pyro.sample('z', dist.HalfNormal(1.0), **options)", GUIDE),
        ("pyro.sample('y', dist.HalfNormal(1.0))", GUIDE),
        ("for i in range(3):\n    pyro.sample(f'z{i}', dist.HalfNormal(1.0))", "pyro.sample('z1', dist.Normal(0.0, 1.0))"),
        ("for name in names:\n    pyro.sample(name, dist.HalfNormal(1.0))", GUIDE),
        ("with poutine.block():\n    " + MODEL, GUIDE),
        (MODEL, "with handler:\n    " + GUIDE),
    ],
)  # fmt: skip
def test_no_pair(check, model: str, guide: str):
    assert check(program(model, guide)).findings == ()


@pytest.mark.parametrize(
    "pair",
    [
        "poutine.condition(model, data={'z': data}), guide",
        "pyro.condition(model, data={'z': data}), guide",
        "poutine.block(model, hide=['z']), guide",
        "poutine.block(model, expose=['y']), guide",
        "poutine.condition(model, data=known), guide",
        "poutine.replay(model, trace), guide",
        "model, poutine.block(guide, hide=['z'])",
        "model, AutoNormal(model)",
        "mine(model), guide",
        "model, poutine.reparam(guide, {})",
    ],
)
def test_wrappers_that_part_them(check, pair: str):
    assert check(program(MODEL, GUIDE, pair=pair)).findings == ()


@pytest.mark.parametrize(
    "pair",
    [
        "poutine.scale(model, scale=0.1), poutine.scale(guide, scale=0.1)",
        "poutine.condition(model, data={'x': data}), guide",
        "poutine.block(model, hide=['y']), poutine.block(guide, expose=['z', 'y'])",
        "pyro.infer.config_enumerate(model), guide",
        "guide=guide, model=model",
    ],
)
def test_wrappers_that_do_not(check, pair: str):
    assert len(check(program(MODEL, GUIDE, pair=pair)).findings) == 1


@pytest.mark.parametrize(
    "decorator",
    ["@pyro.infer.config_enumerate", "@poutine.scale(scale=0.1)", "@pyro.infer.config_enumerate(default='parallel')"],
)
def test_decorators(check, decorator: str):
    text = program(MODEL, GUIDE).replace("def model", f"{decorator}\ndef model")
    assert len(check(text).findings) == 1


def test_plates(check):
    plate = "with pyro.plate('plate', 3):\n    "
    text = program(plate + MODEL, f"ps = pyro.plate('plate', 3)\nwith ps:\n    {GUIDE}")
    assert "dist.LogNormal(0.0, 0.1)" in check(text).text


def test_a_guide_of_two_models(check):
    text = program(MODEL, GUIDE, before="def other(data):\n    pyro.sample('z', dist.Normal(0.0, 1.0))\n",
                   after="SVI(other, guide, Adam({'lr': 0.01}), Trace_ELBO())\n")  # fmt: skip
    assert "another model" in check(text).held_back


def test_a_guide_of_two_models_that_both_need_it(check):
    text = program(MODEL, GUIDE, before="def other(data):\n    pyro.sample('z', dist.Gamma(1.0, 1.0))\n",
                   after="SVI(other, guide, Adam({'lr': 0.01}), Trace_ELBO())\n")  # fmt: skip
    assert "dist.LogNormal(0.0, 0.1)" in check(text).text


def test_suppression(check):
    assert check(program(MODEL, GUIDE + "  # noqa: SVI041")).findings == ()


def test_what_is_fixed_is_sound(check, tmp_path: Path):
    fixed = check(one("dist.Uniform(0.0, 10.0)", "dist.Normal(loc, 0.1)", after="print(pyro.param('loc'))\n")).text
    assert check(fixed).findings == ()


# -- what runs say ---------------------------------------------------------------------------------------------------


def site(distribution: str, support: str, **changes: object) -> SiteLook:
    return replace(SiteLook(distribution, support, False, (), -1.0, 1.0), **changes)  # type: ignore[arg-type]


def seen(folder: Path, text: str, guide: SiteLook, model: SiteLook) -> Checked:
    """What is said when a run of ``text`` showed ``z`` like this."""
    text = text.replace("def guide(data):\n    ", "def guide(data):\n    _ = 'guide'; ")
    placed = replace(guide, where=site_look(text, "_ = 'guide'").where)
    looked = Look({}, {"z": placed}, {"z": model}, (), {}, ())
    return check_shown(folder, CODE, text, svi_at(text, "svi = SVI(", look=looked))


def test_a_run_shows_what_the_source_does_not(tmp_path: Path):
    text = program("pyro.sample('z', make_up())", GUIDE)
    found = seen(tmp_path, text, site("Normal", "real"), site("Gamma", "positive")).finding.proposal
    assert found.source == "seen" and found.candidates[0].label.startswith("LogNormal")


def test_bounds_that_only_a_run_knows(tmp_path: Path):
    text = program("pyro.sample('z', make_up())", GUIDE)
    found = seen(tmp_path, text, site("Normal", "real"), site("Uniform", "interval(0, 10)")).finding.proposal
    assert "bounds" in found.held_back and "interval(0, 10)" in found.message


def test_a_run_confirms(tmp_path: Path):
    outcome = seen(tmp_path, program(MODEL, GUIDE), site("Normal", "real"), site("HalfNormal", "positive"))
    found = outcome.finding.proposal
    assert found.source == "static" and found.candidates


@pytest.mark.parametrize(
    ("guide", "model"),
    [
        (site("LogNormal", "positive"), site("HalfNormal", "positive")),
        (site("Normal", "real"), site("Normal", "real")),
        (site("Normal", "real"), site("HalfNormal", "positive", observed=True)),
    ],
)
def test_a_run_withdraws(tmp_path: Path, guide: SiteLook, model: SiteLook):
    assert seen(tmp_path, program(MODEL, GUIDE), guide, model).findings == ()


def test_a_draw_outside_is_a_mismatch(tmp_path: Path):
    text = program("pyro.sample('z', make_up())", "pyro.sample('z', make_up())")
    drawn = site(
        "TransformedDistribution", "interval(0, 10)", violations=("value: 3 of 10 values not in interval(0, 10)",)
    )
    found = seen(tmp_path, text, site("TransformedDistribution", "?"), drawn).finding.proposal
    assert found.source == "seen" and found.held_back


@pytest.mark.parametrize("names", [("model", "guide"), ("weigh", "weigh_guide")])
def test_a_guide_of_the_wrong_support_that_nothing_trains(check, names: tuple[str, str]):
    text = (
        "import torch, pyro\nimport pyro.distributions as dist\n"
        f"def {names[0]}(x):\n    pyro.sample('z', dist.HalfNormal(1.))\n"
        f"def {names[1]}(x):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.tensor(2.)), 1.))\n"
    )
    assert "dist.LogNormal(pyro.param('m', torch.tensor(2.).log()), 1.)" in check(text).text
