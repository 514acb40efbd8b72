"""Small programs that were misread once, and their siblings: what the source alone says of them."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from checking import Checked
from checking import check as check_paths

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.transform import Status

pytest_plugins = ["check_fixture"]
CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"

HEAD = """
import argparse
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule, PyroParam
from pyro.optim import *

def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.), obs=data)

def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))

data = load()
"""


def case(name: str, *codes: str) -> Checked:
    """What the source alone says of a program."""
    path = CASES / f"{name}.py"
    return Checked(check_paths([path], codes, CASES), path)


def told(outcome: Checked) -> set[str]:
    return {finding.proposal.code for finding in outcome.findings}


# -- configuration ------------------------------------------------------------------------------------------------


def test_values_of_a_configuration():
    """0.5, 8, 5.0 and 1000 are defaults that this program does not use."""
    assert not told(case("config_values")) & {"SVI011", "SVI072", "SVI081"}


def test_defaults_of_a_configuration_that_are_used(check):
    text = (
        (CASES / "config_values.py")
        .read_text()
        .replace("Config(steps=600, lr=0.001, n=500, particles=1, init_scale=0.1)", "Config()")
    )
    assert told(check(text, ("SVI011", "SVI072", "SVI081"))) == {"SVI011", "SVI072", "SVI081"}


def test_n_is_an_attribute():
    assert case("attribute_steps", "SVI101").text.count("scale=1 / self.n_samples") == 2


# -- flags --------------------------------------------------------------------------------------------------------

FLAGS = ("SVI011", "SVI021", "SVI022", "SVI031")
CHOICES = {
    "if": "if kind == 'sgd':\n    optim = SGD({'lr': 0.5})\nelse:\n    optim = Adam({'lr': 0.5})\n",
    "expression": "optim = SGD({'lr': 0.5}) if kind else Adam({'lr': 0.5})\n",
    "table": "optim = {'sgd': SGD, 'adam': Adam}[kind]({'lr': 0.5})\n",
    "built table": "optim = {'sgd': SGD({'lr': 0.5}), 'adam': Adam({'lr': 0.5})}[kind]\n",
    "returns": "def make():\n    if kind == 'sgd':\n        return SGD({'lr': 0.5})\n    return Adam({'lr': 0.5})\noptim = make()\n",
    "match": "match kind:\n    case 'sgd':\n        optim = SGD({'lr': 0.5})\n    case _:\n        optim = Adam({'lr': 0.5})\n",
    "default": "optim = kind or Adam({'lr': 0.5})\n",
}  # fmt: skip
TRAINED = "svi = SVI(model, guide, optim, Trace_ELBO())\nfor i in range(1000):\n    svi.step(data)\n"


def test_flags_of_the_command_line():
    assert not told(case("optimizer_flag")) & set(FLAGS)


@pytest.mark.parametrize("choice", CHOICES.values(), ids=CHOICES)
def test_optimisers_among_which_the_program_chooses(check, choice: str):
    assert check(f"{HEAD}kind = load()\n{choice}{TRAINED}", FLAGS).findings == ()


def test_svi_objects_with_an_optimiser_each(check):
    one = "svi = SVI(model, guide, {}({{'lr': 0.5}}), Trace_ELBO())\n"
    text = (
        f"if load():\n    {one.format('SGD')}else:\n    {one.format('Adam')}for i in range(1000):\n    svi.step(data)\n"
    )
    assert check(HEAD + text, FLAGS).findings == ()


@pytest.mark.parametrize("branch", ["if load():\n    print(1)\n", "if load():\n    data = data[:5]\n"])
def test_branches_that_choose_no_optimiser(check, branch: str):
    assert told(check(f"{HEAD}{branch}optim = SGD({{'lr': 0.5}})\n{TRAINED}", FLAGS)) == {"SVI021"}


PASSED = "def train(args, lr, momentum):\n    svi = SVI(model, guide, SGD({}), Trace_ELBO())\n    for i in range(900):\n        svi.step(data)\n"


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ('{"lr": lr}', '"lr": lr,'),
        ('{"lr": args.lr}', '"lr": args.lr,'),
        ('{"lr": args.lr, "momentum": 0.9}', '"lr": args.lr,'),
        ('{"lr": 0.1, "weight_decay": args.wd}', '"weight_decay": args.wd}'),
    ],
)
def test_what_is_passed_in_stays(check, options: str, kept: str):
    text = PASSED.replace("{}", options)
    assert kept in check(f"{HEAD}{text}train(load(), 0.1, 0.9)\n", ("SVI021",)).text


@pytest.mark.parametrize("options", ['{"lr": 0.1, "momentum": args.momentum}', '{"lr": 0.1, "momentum": momentum}'])
def test_no_option_that_is_passed_in_is_dropped(check, options: str):
    text = PASSED.replace("{}", options)
    assert "momentum comes from" in check(f"{HEAD}{text}train(load(), 0.1, 0.9)\n", ("SVI021",)).held_back


# -- initial values -----------------------------------------------------------------------------------------------

HALF = HEAD.replace("dist.Normal(0., 1.))\n    with", "dist.HalfNormal(1.))\n    with")


def test_a_leaf_is_moved_in_value():
    outcome = case("requires_grad_loc", "SVI041")
    assert "torch.tensor(2.0, requires_grad=True).detach().log()" in outcome.text


@pytest.mark.parametrize(
    ("initial", "wanted"),
    [
        ("torch.ones((), requires_grad=True)", "torch.ones((), requires_grad=True).detach().log()"),
        ("torch.tensor(2.).requires_grad_()", "torch.tensor(2.).requires_grad_().detach().log()"),
        ("torch.nn.Parameter(torch.tensor(2.))", "torch.nn.Parameter(torch.tensor(2.)).detach().log()"),
        ("2. * torch.ones((), requires_grad=True)", "(2. * torch.ones((), requires_grad=True)).detach().log()"),
        ("torch.tensor(2.)", "torch.tensor(2.).log()"),
        ("torch.tensor(2., requires_grad=False)", "torch.tensor(2., requires_grad=False).log()"),
    ],
)
def test_leaves(check, initial: str, wanted: str):
    text = HALF.replace("torch.tensor(0.)", initial)
    assert f'pyro.param("m", {wanted})' in check(f"{text}optim = Adam({{}})\n{TRAINED}", ("SVI041",)).text


@pytest.mark.parametrize(
    ("initial", "wanted"),
    [
        ("torch.ones(3, requires_grad=True)", "0.1 * torch.ones(3, requires_grad=True).detach()"),
        ("torch.ones(3)", "0.1 * torch.ones(3)"),
        ("torch.tensor(5.0, requires_grad=True)", "torch.tensor(0.1, requires_grad=True)"),
    ],
)
def test_leaves_that_are_made_smaller(check, initial: str, wanted: str):
    text = HEAD.replace(", 1.))\n\ndata", f', pyro.param("s", {initial}, constraint=constraints.positive)))\n\ndata')
    text = text.replace("torch.ones(3", "2.0 * torch.ones(3") if "ones" in initial else text
    wanted = wanted.replace("* torch.ones(3, requires_grad=True).detach()", "* torch.ones(3, requires_grad=True)")
    assert f'pyro.param("s", {wanted}, c' in check(f"{text}optim = Adam({{}})\n{TRAINED}", ("SVI071",)).text


# -- names and attributes that are used twice ---------------------------------------------------------------------


def test_two_guides_of_which_one_runs():
    assert case("two_guides_one_name").findings == ()


TWO = 'def a():\n    w = pyro.param("w", {}){}\n    pyro.sample("a", {})\ndef b():\n    w = pyro.param("w", {}){}\n    pyro.sample("b", {})\n'
SCALE, RATE, LOC = "dist.Normal(0., w)", "dist.Bernoulli(w)", "dist.Normal(w, 1.)"
POSITIVE, UNIT, NONE = (f"torch.tensor(.5){c}" for c in (", constraint=constraints.positive", ", constraint=constraints.unit_interval", ""))  # fmt: skip


@pytest.mark.parametrize(
    ("first", "one", "second", "other", "codes"),
    [
        (POSITIVE, SCALE, UNIT, RATE, set()),
        (NONE, LOC, POSITIVE, SCALE, set()),
        (UNIT, SCALE, POSITIVE, SCALE, set()),
        (POSITIVE, RATE, UNIT, RATE, {"SVI053"}),
        (POSITIVE, RATE, POSITIVE, SCALE, {"SVI053"}),
        (NONE, SCALE, POSITIVE, SCALE, {"SVI051"}),
        (NONE, SCALE, NONE, LOC, {"SVI051"}),
    ],
)
def test_calls_of_one_name(check, first: str, one: str, second: str, other: str, codes: set[str]):
    text = HEAD + TWO.format(first, "", one, second, "", other)
    assert told(check(text, ("SVI051", "SVI053"))) == codes


def test_a_getter_reads_what_either_made(check):
    text = (
        HEAD
        + TWO.format(POSITIVE, "", SCALE, UNIT, "", RATE)
        + 'def c():\n    pyro.sample("c", dist.Bernoulli(pyro.param("w")))\n'
    )
    assert told(check(text, ("SVI051", "SVI053"))) == {"SVI053"}


def test_a_class_and_its_subclass():
    outcome = case("base_and_subclass")
    assert told(outcome) == {"SVI161"}
    assert outcome.text.count("greater_than(0.001)") == 2


@pytest.mark.parametrize(
    ("second", "fixed"),
    [
        ("PyroParam(torch.ones(3), constraint=constraints.positive)", 2),
        ("PyroParam(torch.ones(3),   constraint=constraints.positive)", 2),
        ("PyroParam(2 * torch.ones(3), constraint=constraints.positive)", 0),
        ("PyroParam(torch.ones(3), constraint=constraints.real)", 0),
    ],
)
def test_params_of_a_class_and_its_subclass(check, second: str, fixed: int):
    forward = '    def forward(self, x):\n        pyro.sample("g", dist.Gamma(self.a, 1.))\n'
    text = (
        f"{HEAD}class Base(PyroModule):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.a = PyroParam(torch.ones(3), constraint=constraints.positive)\n{forward}"
        f"class Sub(Base):\n    def __init__(self):\n        super().__init__()\n        self.a = {second}\n{forward}"
    )
    outcome = check(text, ("SVI161",))
    assert sum(bool(f.proposal.candidates) and not f.proposal.held_back for f in outcome.findings) == fixed
    assert outcome.findings


# -- optimisers of the project's ----------------------------------------------------------------------------------


def test_a_scheduler_is_its_optimiser():
    assert not case("scheduler_of_adam", "SVI101").finding.proposal.held_back


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        ('pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "gamma": 0.999})', ""),
        ('pyro.optim.StepLR({"optimizer": torch.optim.RMSprop, "optim_args": {"lr": 0.05}, "step_size": 9})', ""),
        ('pyro.optim.OneCycleLR({"optimizer": torch.optim.AdamW, "optim_args": {"lr": 0.05}, "max_lr": 1, "total_steps": 9})', ""),
        ('pyro.optim.ExponentialLR({"optimizer": torch.optim.SGD, "optim_args": {"lr": 0.05}, "gamma": 0.999})', "the step of SGD"),
        ('pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05, "weight_decay": 0.1}, "gamma": 0.9})', "weight_decay"),
        ('pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "gamma": 0.9}, {"clip_norm": 1.})', "clips"),
        ('pyro.optim.ReduceLROnPlateau({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}})', "looks at the loss"),
        ("pyro.optim.ExponentialLR(load())", "ExponentialLR"),
    ],
)  # fmt: skip
def test_schedulers(check, optimizer: str, why: str):
    outcome = check(f"{HEAD}optim = {optimizer}\n{TRAINED}", ("SVI101",))
    assert why in outcome.held_back if why else outcome.finding.proposal.candidates


def test_an_object_that_is_replaced():
    assert {finding.proposal.line for finding in case("replaced_svi", "SVI09", "SVI10").findings} == {17}


# -- functions inside functions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["defined_in_main", "guide_factory"])
def test_inner_functions(name: str):
    outcome = case(name, "SVI051", "SVI091")
    assert told(outcome) == {"SVI051", "SVI091"}
    assert "torch.tensor(0.2), constraint=dist.constraints.positive)" in outcome.text


GUIDE = 'def guide(data):\n    pyro.sample("z", dist.Normal(0., pyro.param("s", {})))\n'
FIT = "svi = SVI(model, {guide}, Adam({{'lr': 0.01}}), Trace_ELBO())\nfor i in range(900):\n    svi.step(data)\n"
BARE = "torch.tensor(.5)"


def inside(header: str, *blocks: str) -> str:
    return header + textwrap.indent("".join(blocks), "    ")


@pytest.mark.parametrize(
    "text",
    [
        inside("def main():\n", GUIDE, FIT.format(guide="guide")) + "main()\n",
        inside("def main(n):\n", GUIDE, FIT.format(guide="guide")) + "main(5)\nmain(6)\n",
        inside("def main():\n", inside("def train():\n", GUIDE, FIT.format(guide="guide")), "train()\n") + "main()\n",
        inside("def make():\n", GUIDE, "return guide\n") + FIT.format(guide="make()"),
        inside("def make():\n", GUIDE, "return guide\n") + inside("def main():\n", FIT.format(guide="make()")) + "main()\n",
        inside("class Guides:\n", inside("def make(self):\n", GUIDE, "return guide\n")) + FIT.format(guide="Guides().make()"),
        inside("def main():\n", inside("class Guide(PyroModule):\n", GUIDE.replace("guide(", "forward(self, ")),
               FIT.format(guide="Guide()")) + "main()\n",
        inside("def main():\n", "@poutine.scale(scale=0.5)\n", GUIDE, FIT.format(guide="guide")) + "main()\n",
        inside("def train(guide):\n", FIT.format(guide="guide")) + inside("def main():\n", GUIDE, "train(guide)\n") + "main()\n",
        inside("def main():\n", GUIDE, FIT.format(guide="guide")),
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_sound", [False, True])
def test_guides_inside_functions(check, text: str, is_sound: bool):
    text = "from pyro import poutine\n" + HEAD + text
    sound = text.replace("{}", f"{BARE}, constraint=constraints.positive")
    outcome = check(sound if is_sound else text.replace("{}", BARE), ("SVI051",))
    assert told(outcome) == (set() if is_sound else {"SVI051"})


def test_a_factory_in_another_file(check):
    lib = HEAD + inside("def make():\n", GUIDE.format(BARE), "return guide\n")
    outcome = check(f"from lib import make, model\n{HEAD}{FIT.format(guide='make()')}", ("SVI051",), lib=lib)
    assert outcome.finding.proposal.path.name == "lib.py"


def test_inner_functions_see_the_values_of_the_call(check):
    """A scale that this call makes positive is sound, and one that it does not is not."""
    factory = inside(
        "def make(constraint):\n",
        GUIDE.replace("{})))", f"{BARE}, constraint=constraint)))"),
        "return guide\n",
    )
    for given, codes in (("constraints.positive", set()), ("constraints.real", {"SVI053"}), ("None", {"SVI051"})):
        text = f"{HEAD}{factory}{FIT.format(guide=f'make({given})')}"
        assert told(check(text, ("SVI051", "SVI053"))) == codes - {"SVI051"}


def test_n_is_what_the_call_gives(check):
    inner = HEAD[HEAD.index("def model") :].replace("data = load()\n", "").replace("len(data))", "n)")
    text = (
        HEAD.replace("def model", "def other")
        + inside("def main(n):\n", inner, FIT.format(guide="guide"))
        + "main(500)\n"
    )
    assert "scale=1 / n)" in check(text, ("SVI101",)).text
    assert check(text.replace("main(500)", "main(50)"), ("SVI101",)).findings == ()


# -- names that loops fill ----------------------------------------------------------------------------------------


def test_a_support_under_names_that_loops_fill():
    outcome = case("loop_fstring", "SVI041")
    assert "torch.tensor(1.0), constraint=dist.constraints.positive)" in outcome.text
    assert "dist.LogNormal(loc.log(), 0.1)" in outcome.text


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ('f"s_{i}", dist.Normal', '"s_%d" % i, dist.Normal', True),
        ("range(3):\n        total", "range(len(data)):\n        total", False),
        ("dist.HalfNormal(1.0)", "dist.Normal(0., 1.0)", False),
        ("dist.Normal(loc", "dist.LogNormal(loc", False),
    ],
)
def test_supports_under_names_that_loops_fill(check, old: str, new: str, found: bool):
    text = (CASES / "loop_fstring.py").read_text()
    assert old in text
    assert bool(check(text.replace(old, new), ("SVI041",)).findings) == found


# -- point estimates ----------------------------------------------------------------------------------------------


def test_a_point_estimate_is_kept_on_the_support():
    outcome = case("delta_param", "SVI05")
    assert told(outcome) == {"SVI051"}
    assert "torch.tensor(1.0), constraint=dist.constraints.positive)" in outcome.text


@pytest.mark.parametrize(
    ("latent", "point", "code", "wanted"),
    [
        ("dist.Gamma(1., 1.)", "dist.Delta(s)", "SVI051", "positive"),
        ("dist.Beta(1., 1.)", "dist.Delta(s)", "SVI051", "unit_interval"),
        ("dist.Uniform(0., 5.)", "dist.Delta(s)", "SVI051", "interval(0, 5)"),
        ("dist.HalfNormal(torch.ones(3)).to_event(1)", "dist.Delta(s).to_event(1)", "SVI051", "positive"),
        ("dist.HalfNormal(torch.ones(3)).to_event(1)", "dist.Delta(s, event_dim=1)", "SVI051", "positive"),
        ("dist.Beta(1., 1.)", "dist.Delta(p)", "SVI053", "unit_interval"),
    ],
)
def test_point_estimates(check, latent: str, point: str, code: str, wanted: str):
    outcome = check(point_estimate(latent, point), ("SVI05",))
    assert told(outcome) == {code}
    assert f"constraints.{wanted})" in outcome.text


@pytest.mark.parametrize(
    ("latent", "point"),
    [
        ("dist.Normal(0., 1.)", "dist.Delta(s)"),
        ("dist.HalfNormal(1.)", "dist.Delta(s.exp())"),
        ("dist.HalfNormal(1.)", "dist.Delta(p)"),
        ("dist.HalfNormal(1.)", "dist.Normal(s, 1.)"),
        ("dist.Poisson(1.)", "dist.Delta(s)"),
        ("dist.Uniform(0., data.max())", "dist.Delta(s)"),
        ("load()", "dist.Delta(s)"),
        ("(dist.Normal(0., 1.) if load() else dist.HalfNormal(1.))", "dist.Delta(s)"),
    ],
)
def test_point_estimates_of_which_nothing_is_asked(check, latent: str, point: str):
    assert check(point_estimate(latent, point), ("SVI05",)).findings == ()


def test_a_point_estimate_for_two_models(check):
    text = point_estimate("dist.HalfNormal(1.)", "dist.Delta(s)")
    other = 'def other(data):\n    pyro.sample("z", dist.Normal(0., 1.))\nSVI(other, guide, Adam({}), Trace_ELBO())\n'
    assert check(text + other, ("SVI05",)).findings == ()
    assert told(check(text + other.replace("Normal(0., ", "Gamma(1., "), ("SVI05",))) == {"SVI051"}


def point_estimate(latent: str, point: str) -> str:
    return (
        f'{HEAD}def model(data):\n    pyro.sample("z", {latent})\n'
        'def guide(data):\n    s = pyro.param("s", torch.tensor(.5))\n'
        '    p = pyro.param("p", torch.tensor(.5), constraint=constraints.positive)\n'
        f'    pyro.sample("z", {point})\n{FIT.format(guide="guide")}'
    )


# -- shapes and sizes ---------------------------------------------------------------------------------------------


def test_shapes_that_the_mean_field_loss_refuses():
    assert case("mean_field_shapes", "SVI091").findings == ()


@pytest.mark.parametrize(
    ("prior", "posterior", "found"),
    [
        ("dist.Normal(torch.zeros(3), 1.)", "dist.Normal(m, 1.)", False),
        ("dist.Normal(0., torch.ones(1, 1))", "dist.Normal(m, 1.)", False),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(m, torch.ones(2)).to_event(1)", True),
        ("dist.Normal(torch.zeros(1), 1.)", "dist.Normal(m, torch.ones(1))", True),
        ("dist.Normal(0., 1.)", "dist.Normal(m, torch.ones(1))", True),
        ("dist.Normal(0., 1.)", "dist.Normal(m, 1.)", True),
        ("dist.Normal(load(), 1.)", "dist.Normal(m, 1.)", True),
        ("dist.Normal(0., 1.)", "dist.Normal(0., 1.)", False),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(torch.zeros(2), 1.).to_event(1)", False),
        ("dist.Normal(data, 1.)", "dist.Normal(data, 1.)", False),
        ("dist.Normal(0., 1.)", "dist.Normal(0., 2.)", True),
    ],
)
def test_closed_forms(check, prior: str, posterior: str, found: bool):
    """Nothing where the shapes do not fit, or where the guide draws from the prior."""
    text = (
        f'{HEAD}def model(data):\n    pyro.sample("z", {prior})\n'
        f'def guide(data):\n    m = pyro.param("m", torch.tensor(0.))\n    pyro.sample("z", {posterior})\n{FIT.format(guide="guide")}'
    )
    assert bool(check(text, ("SVI091",)).findings) == found


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ("torch.randn(3)", False),
        ("torch.randn(99, 2)", False),
        ("torch.tensor([1., 2., 3.])", False),
        ("[1., 2., 3.]", False),
        ("torch.randn(100)", True),
        ("torch.randn(500, 3)", True),
        ("load()", True),
    ],
)
@pytest.mark.parametrize("size", ["len(data)", "data.shape[0]", "data.size(0)"])
def test_few_data_by_the_source(check, data: str, found: bool, size: str):
    if data[0] == "[" and size != "len(data)":
        pytest.skip("a list has no shape")
    text = HEAD.replace("load()", data).replace("len(data)", size) + FIT.format(guide="guide")
    assert bool(check(text, ("SVI101",)).findings) == found


@pytest.mark.parametrize("size", ["self.n", "len(self.data.x)", "self.config['n']", "self.data.x.shape[0]"])
def test_n_through_attributes(check, size: str):
    text = f"""
        import pyro, torch
        import pyro.distributions as dist
        from pyro.infer import SVI, Trace_ELBO
        from pyro.optim import Adam
        class Fit:
            def __init__(self, data, config):
                self.data, self.config, self.n = data, config, len(data.x)
            def model(self):
                z = pyro.sample("z", dist.Normal(0., 1.))
                with pyro.plate("d", {size}):
                    pyro.sample("x", dist.Normal(z, 1.), obs=self.data.x)
            def guide(self):
                pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))
            def fit(self):
                svi = SVI(self.model, self.guide, Adam({{"lr": 0.01}}), Trace_ELBO())
                for i in range(900):
                    svi.step()
        Fit(load(), load()).fit()
    """
    assert f"scale=1 / {size})" in check(text, ("SVI101",)).text


# -- params -------------------------------------------------------------------------------------------------------

BARE_GUIDE = f'def guide(data):\n    s = pyro.param("s", {BARE})\n    pyro.sample("z", dist.Normal(0., s))\n'


@pytest.mark.parametrize(
    ("held", "is_held"),
    [
        ('torch.optim.Adam([pyro.param("s")], lr=0.1)', True),
        ('torch.optim.Adam(params=[pyro.param("s")], lr=0.1)', True),
        ('torch.optim.SGD([{"params": [pyro.param("s")], "lr": 0.1}])', True),
        ('torch.optim.Adam([pyro.param(n) for n in ("s",)], lr=0.1)', False),
        ('torch.optim.Adam([pyro.param("m")], lr=0.1)', False),
        ('torch.optim.Adam([pyro.param("s").unconstrained()], lr=0.1)', False),
        ("torch.optim.Adam(load(), lr=0.1)", False),
    ],
)
def test_params_that_a_torch_optimiser_holds(check, held: str, is_held: bool):
    outcome = check(f"{HEAD}{BARE_GUIDE}optim = {held}\n", ("SVI051",))
    assert ("no longer be a leaf" in outcome.finding.proposal.held_back) == is_held


@pytest.mark.parametrize(
    ("start", "constraint", "is_outside"),
    [
        ("torch.tensor(-1.)", "positive", True),
        ("torch.zeros(3)", "positive", True),
        ("torch.randn(3)", "positive", True),
        ("torch.tensor(2.)", "unit_interval", True),
        ("torch.tensor([.5, .6])", "interval(0., 0.55)", True),
        ("torch.tensor(1.)", "positive", False),
        ("torch.rand(3)", "positive", False),
        ("torch.ones(3) / 3", "simplex", False),
        ("load()", "positive", False),
        ("torch.randn(3).exp()", "positive", False),
        ("torch.tensor(-1.)", "real", False),
    ],
)
def test_a_start_outside_its_own_constraint(check, start: str, constraint: str, is_outside: bool):
    text = f'{HEAD}s = pyro.param("s", {start}, constraint=constraints.{constraint})\n'
    messages = [finding.proposal.message for finding in check(text, ("SVI05",)).findings]
    assert any("its own constraint" in message for message in messages) == is_outside
    assert len(messages) == is_outside


# -- files that are named alone -----------------------------------------------------------------------------------


@pytest.mark.parametrize("marked", [True, False])
def test_a_file_is_read_with_those_that_import_it(tmp_path: Path, marked: bool):
    """What a trainer elsewhere hands to a model counts, whichever file is named."""
    inner = HEAD[HEAD.index("def model") :].replace("data = load()\n", "")
    head = HEAD[: HEAD.index("def model")]
    guide = inner.replace("1.))\n\n", 'pyro.param("s", torch.tensor(.5))))\n\n')
    (tmp_path / "parts.py").write_text(head + guide)
    trainer = tmp_path / ("scripts/train.py" if marked else "train.py")
    trainer.parent.mkdir(exist_ok=True)
    start = "import sys\nsys.path.append('..')\n" if marked else ""
    trainer.write_text(
        f"{start}{head}from parts import (model,\n    guide)\ndata = load()\n{FIT.format(guide='guide')}"
    )
    (tmp_path / "other.py").write_text(f"{HEAD}from elsewhere import parts_of\n")
    if marked:
        (tmp_path / "pyproject.toml").write_text("")

    def found(*paths: Path) -> set[tuple[str, int]]:
        result = check_paths(list(paths), ["SVI051", "SVI041", "SVI042"], tmp_path)
        return {(f.proposal.code, f.proposal.line) for f in result.findings if f.proposal.path.name == "parts.py"}

    (tmp_path / "parts.py").write_text(
        (head + guide).replace("dist.Normal(0., 1.))\n    with", "dist.Gamma(1., 1.))\n    with")
    )
    assert found(tmp_path / "parts.py") == found(tmp_path) == {("SVI041", 17), ("SVI051", 17)}


# -- all of them --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", sorted(CASES.glob("*.py")), ids=lambda path: path.stem)
def test_a_second_run_changes_nothing(tmp_path: Path, program: Path):
    path = tmp_path / program.name
    path.write_bytes(program.read_bytes())
    for change in check_paths([path], [], tmp_path).changes:
        path.write_text(change.text)
    assert check_paths([path], [], tmp_path).changes == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("requires_grad_loc", "SVI041"),
        ("delta_param", "SVI051"),
        ("defined_in_main", "SVI051"),
        ("guide_factory", "SVI051"),
        ("loop_fstring", "SVI041"),
        ("image_event_dims", "SVI131"),
        ("scheduler_of_adam", "SVI101"),
    ],
)
def test_runs_agree(name: str, code: str):
    options = Options(paths=(CASES / f"{name}.py",), select=(code,), root=CASES, cache=False)
    (finding,) = engine.check(options, lambda _: None).findings
    assert finding.verdict.status is Status.VERIFIED, finding.verdict.reason


def test_what_stands_behind_a_star_is_not_known(check):
    text = f"{HEAD}{FIT.format(guide='guide')}".replace("def model(data", "def model(a, data").replace(
        "def guide(", "def guide(a, "
    )
    assert "scale=1 / len(data)" in check(text.replace("svi.step(data)", "svi.step(0, data)"), ("SVI101",)).text
    assert "not known" in check(text.replace("svi.step(data)", "svi.step(*load(), 0, data)"), ("SVI101",)).held_back


def test_a_literal_of_the_model_is_no_callers(check):
    text = HEAD.replace('pyro.plate("data", len(data))', 'pyro.plate("data", 500)') + inside(
        "def main():\n", FIT.format(guide="guide")
    )
    assert "scale=1 / 500)" in check(f"{text}main()\n", ("SVI101",)).text


# -- what Pyro refuses, and the source shows ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("model_clash", 10, "Multiple sample sites named 'z'"),
        ("shape_mismatch", 16, "Model and guide shapes disagree at site 'z': [1, 2] vs [2, 1]"),
        ("event_dims", 16, "Model and guide event_dims disagree at site 'z': 1 vs 2"),
        ("plate_in_guide_only", 17, "Model and guide event_dims disagree at site 'z': 1 vs 0"),
    ],
)
def test_what_ends_every_step_is_told_without_a_run(name, line, words):
    (finding,) = case(name, "SVI001").findings
    assert finding.proposal.line == line and words in finding.proposal.message and not finding.proposal.candidates


@pytest.mark.parametrize("name", ["coin", "state_space", "guide_replaced", "loop_fstring", "second_run_changes"])
def test_what_pyro_takes_is_no_clash(name):
    assert not case(name, "SVI001").findings
