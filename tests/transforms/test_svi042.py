"""Every trap of tip 4 for sites that only one side has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checking import Checked
from shown import check_shown, svi_at

from pyro_fix.observation import Look, ParamLook, SiteLook

pytest_plugins = ["check_fixture"]
CODE = "SVI042"

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoGuideList, AutoNormal
from pyro.optim import Adam
"""
Z, W = "pyro.sample('z', dist.Normal(0.0, 1.0))", "w = pyro.sample('w', dist.HalfNormal(1.0))"


def program(model: str, guide: str, *, before: str = "", pair: str = "model, guide", loss: str = "Trace_ELBO()", after: str = "") -> str:  # fmt: skip
    bodies = ["".join(f"    {line}\n" for line in text.splitlines()) for text in (model, guide)]
    return (
        f"{PREAMBLE}{before}\ndef model(data):\n{bodies[0]}\ndef guide(data):\n{bodies[1]}\n"
        f"optim = Adam({{'lr': 0.01}})\nsvi = SVI({pair}, optim=optim, loss={loss})\n{after}"
    )


def test_a_latent_that_the_guide_lacks(check):
    outcome = check(program(f"{Z}\n{W}", Z))
    assert outcome.finding.proposal.message == "the guide lacks 'w', which the model samples"
    assert outcome.added == [
        "guides = pyro.infer.autoguide.AutoGuideList(model)",
        "guides.append(guide)",
        'guides.append(pyro.infer.autoguide.AutoNormal(poutine.block(model, expose=["w"])))',
        "svi = SVI(model, guides, optim=optim, loss=Trace_ELBO())",
    ]
    assert outcome.finding.proposal.candidates[0].needs_run and not outcome.result.changes


def test_several_latents_in_a_function(check):
    text = program(f"{Z}\n{W}\npyro.sample('v', dist.Beta(1.0, 1.0))", Z, pair="model, guide")
    text = text.replace("optim = ", "def build():\n    optim = ").replace("svi = ", "    return ")
    assert check(text).added == [
        "guides = pyro.infer.autoguide.AutoGuideList(model)",
        "guides.append(guide)",
        'guides.append(pyro.infer.autoguide.AutoNormal(poutine.block(model, expose=["w", "v"])))',
        "return SVI(model, guides, optim=optim, loss=Trace_ELBO())",
    ]


def test_a_site_that_the_model_lacks(check):
    outcome = check(program(Z, f"{Z}\n{W}"))
    assert outcome.finding.proposal.message == "the guide samples 'w', which the model lacks"
    assert "one of the two is wrong" in outcome.held_back


def test_a_slip_in_a_name(check):
    assert check(program("pyro.sample('alpha', dist.Normal(0.0, 1.0))", "pyro.sample('alhpa', dist.Normal(0.0, 1.0))")).finding.proposal.message == (
        "the guide lacks 'alpha', which the model samples; the guide samples 'alhpa', which the model lacks"
    )  # fmt: skip


def test_a_helper_that_samples_counts(check):
    before = "def noise():\n    return pyro.sample('w', dist.HalfNormal(1.0))\n"
    assert check(program(f"{Z}\n{W}", f"{Z}\nnoise()", before=before)).findings == ()


@pytest.mark.parametrize(
    "extra",
    [
        "pyro.sample('w', dist.Normal(0.0, 1.0), obs=data)",
        "pyro.sample('w', dist.Normal(0.0, 1.0), **more)",
        "pyro.sample('w', dist.Delta(data.sum()))",
        "pyro.deterministic('w', data.sum())",
        "pyro.factor('w', data.sum())",
        "pyro.sample('w', dist.Bernoulli(0.5))",
        "pyro.sample('w', dist.Categorical(torch.ones(3)), infer={'enumerate': 'parallel'})",
        "pyro.sample('w', dist.Normal(0.0, 1.0), infer={'is_auxiliary': True})",
        "pyro.sample('w', make_up())",
        "if data is None:\n    pyro.sample('w', dist.Normal(0.0, 1.0))",
        "for i in range(3):\n    pyro.sample('w', dist.Normal(0.0, 1.0))",
        "pyro.sample(f'w{len(data)}', dist.Normal(0.0, 1.0))",
        "with poutine.block():\n    pyro.sample('w', dist.Normal(0.0, 1.0))",
        "data is None and pyro.sample('w', dist.Normal(0.0, 1.0))",
        "if data is None:\n    return\npyro.sample('w', dist.Normal(0.0, 1.0))",
    ],
)
def test_no_latent_that_needs_a_guide(check, extra: str):
    assert check(program(f"{Z}\n{extra}", Z)).findings == ()


@pytest.mark.parametrize(
    "guide",
    [
        "mystery(data)",
        "data.model()",
        "net.weight.sum()",
        "pyro.module('net', data)(data)",
        "for name in ('w',):\n    pyro.sample(name, dist.Normal(0.0, 1.0))",
        "pyro.sample(f'{data}', dist.Normal(0.0, 1.0))",
        "if data is None:\n    pyro.sample('w', dist.LogNormal(0.0, 1.0))",
        "getattr(pyro, 'sample')('w', dist.LogNormal(0.0, 1.0))",
        "import mine\nmine.rest()",
    ],
)
def test_a_guide_that_may_sample_more(check, guide: str):
    before = "class Net(pyro.nn.PyroModule):\n    pass\nnet = Net()\n"
    assert check(program(f"{Z}\n{W}", f"{Z}\n{guide}", before=before)).findings == ()


@pytest.mark.parametrize("guide", ["data.sum().exp()", "torch.exp(data)", "x = len(data)\nprint(x)", "helper()"])
def test_a_guide_that_is_understood(check, guide: str):
    before = "def helper():\n    return torch.zeros(3).view(-1)\n"
    assert len(check(program(f"{Z}\n{W}", f"{Z}\n{guide}", before=before)).findings) == 1


@pytest.mark.parametrize(
    "pair",
    [
        "model, AutoNormal(model)",
        "poutine.condition(model, data={'w': data}), guide",
        "poutine.block(model, hide=['w']), guide",
        "poutine.condition(model, data=data), guide",
        "mine(model), guide",
        "model, parts",
    ],
)
def test_wrappers(check, pair: str):
    before = "parts = AutoGuideList(None)\n"
    assert check(program(f"{Z}\n{W}", Z, pair=pair, before=before)).findings == ()


@pytest.mark.parametrize("loss", ["pyro.infer.EnergyDistance()", "mine()"])
def test_losses_without_a_bound(check, loss: str):
    assert check(program(f"{Z}\n{W}", Z, loss=loss)).findings == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (program(f"{Z}\n{W}", f"return {Z}"), "returns something"),
        (program(f"{Z}\n{W}", f"with pyro.plate('p', 3):\n    {Z}"), "makes plates"),
        (program(f"{Z}\n{W}", Z, after="guide(None)\n"), "used elsewhere"),
        (program(f"{Z}\n{W}", Z, after="SVI(model, guide, optim, Trace_ELBO())\n"), "several SVI objects"),
        (program(f"{Z}\npyro.sample('w', dist.Poisson(3.0))", Z), "discrete"),
        (program(f"{Z}\n{W}", Z, after="guides = []\n"), "is taken"),
        (program(f"{Z}\n{W}", Z, pair="poutine.scale(model, scale=0.1), guide"), "no plain names"),
    ],
    ids=["returns", "plates", "used", "several", "discrete", "taken", "wrapped"],
)
def test_held_back(check, text: str, reason: str):
    found = check(text).findings
    assert found and all(reason in f.proposal.held_back for f in found)


def test_within_the_scales_of_the_svi_call(check):
    pair = "poutine.scale(model, scale=0.1), poutine.scale(guide, scale=0.1)"
    text = check(program(f"{Z}\n{W}", Z, pair=pair)).text
    assert "SVI(poutine.scale(model, scale=0.1), poutine.scale(guides, scale=0.1)" in text
    assert "guides.append(guide)" in text


def test_suppression(check):
    text = program(f"{Z}\n{W}", Z).replace("Trace_ELBO())", "Trace_ELBO())  # pyro-fix: ignore[SVI042]")
    assert check(text).findings == ()


def test_what_is_fixed_is_sound(check):
    assert check(check(program(f"{Z}\n{W}", Z)).text).findings == ()


# -- what runs say ---------------------------------------------------------------------------------------------------

LATENT = SiteLook("Normal", "real", False, (), -1.0, 1.0)


def seen(folder: Path, text: str, model: dict[str, SiteLook], guide: dict[str, SiteLook], **changes: object) -> Checked:
    looked = Look({}, guide, model, (), {}, (), **changes)  # type: ignore[arg-type]
    return check_shown(folder, CODE, text, svi_at(text, "svi = SVI(", look=looked))


UNKNOWN = program("mystery(data)", "mystery(data)")


def test_a_run_shows_what_the_source_does_not(tmp_path: Path):
    found = seen(tmp_path, UNKNOWN, {"z": LATENT, "w": LATENT}, {"z": LATENT}).finding.proposal
    assert found.source == "seen" and "'w'" in found.message and found.candidates[0].needs_run


def test_a_run_shows_too_much(tmp_path: Path):
    outcome = seen(tmp_path, UNKNOWN, {"z": LATENT}, {"z": LATENT, "u": LATENT})
    assert "which the model lacks" in outcome.finding.proposal.message and outcome.held_back


@pytest.mark.parametrize(
    "changes",
    [
        {"observed": True},
        {"enumerable": True},
        {"enumerated": "parallel"},
        {"distribution": "Delta"},
    ],
)
def test_what_needs_no_guide(tmp_path: Path, changes: dict[str, object]):
    other = replace(LATENT, **changes)  # type: ignore[arg-type]
    assert seen(tmp_path, UNKNOWN, {"z": LATENT, "w": other}, {"z": LATENT}).findings == ()


def test_auxiliary_sites(tmp_path: Path):
    helper = replace(LATENT, auxiliary=True)
    assert seen(tmp_path, UNKNOWN, {"z": LATENT}, {"z": LATENT, "u": helper}).findings == ()


def test_a_run_withdraws(tmp_path: Path):
    text = program(f"{Z}\n{W}", Z)
    assert seen(tmp_path, text, {"z": LATENT, "w": LATENT}, {"z": LATENT, "w": LATENT}).findings == ()
    assert seen(tmp_path, text, {"z": LATENT, "w": replace(LATENT, observed=True)}, {"z": LATENT}).findings == ()


@pytest.mark.parametrize("error", ["", "KeyError: 'z'"])
def test_a_guide_that_samples_nothing(tmp_path: Path, error: str):
    outcome = seen(tmp_path, program(Z, "pyro.param('m', torch.tensor(0.0))"), {"z": LATENT}, {}, error=error)
    assert outcome.finding.proposal.message == "the guide lacks 'z', which the model samples"
    assert outcome.finding.proposal.candidates


def test_a_look_that_failed_says_nothing(tmp_path: Path):
    for error in ("no trace", "KeyError: 'data'"):
        assert seen(tmp_path, UNKNOWN, {"z": LATENT}, {}, error=error).findings == ()
    text = program(f"{Z}\n{W}", Z)
    assert len(seen(tmp_path, text, {}, {}, error="no trace").findings) == 1


MODULE = """\
class Guide(pyro.nn.PyroModule):
    def __init__(self):
        super().__init__()
        self.loc = pyro.nn.PyroParam(torch.tensor(0.0))

    def forward(self, data):
        pyro.sample("z", dist.Normal(self.loc, 0.1))

guide = Guide()
"""


def module_guide(after: str = "") -> str:
    return program(f"{Z}\n{W}", Z, before=MODULE, after=after).replace("def guide(data)", "def unused(data)")


def test_a_guide_that_is_a_module(tmp_path: Path):
    outcome = seen(tmp_path, module_guide(), {"z": LATENT, "w": LATENT}, {"z": LATENT})
    assert outcome.added == [
        "guides = pyro.infer.autoguide.AutoGuideList(model)",
        "guides.append(guide)",
        'guides.append(pyro.infer.autoguide.AutoNormal(poutine.block(model, expose=["w"])))',
        "svi = SVI(model, guides, optim=optim, loss=Trace_ELBO())",
    ]


@pytest.mark.parametrize("reader", ["print(pyro.param('loc'))\n", "print(dict(pyro.get_param_store()))\n"])
def test_names_of_a_modules_parameters(tmp_path: Path, reader: str):
    assert (
        "have other names" in seen(tmp_path, module_guide(reader), {"z": LATENT, "w": LATENT}, {"z": LATENT}).held_back
    )


def test_a_module_of_torch_alone(tmp_path: Path):
    text = module_guide().replace("pyro.nn.PyroModule", "torch.nn.Module")
    assert "no PyroModule" in seen(tmp_path, text, {"z": LATENT, "w": LATENT}, {"z": LATENT}).held_back


# -- what is observed


def test_the_guide_samples_what_is_observed(check):
    x = "with pyro.plate('n', 3):\n    pyro.sample('x', dist.Normal(0.0, 1.0), obs=data)"
    outcome = check(program(f"{Z}\n{x}", f"{Z}\n{x.replace(', obs=data', '')}"))
    assert outcome.finding.proposal.message == (
        "the guide samples 'x', which the model observes: nothing is inferred about data"
    )
    assert outcome.text.count("pyro.plate") == 1 and outcome.text.count("'x'") == 1


@pytest.mark.parametrize(
    ("guide", "told"),
    [
        ("pyro.sample('x', dist.Normal(m, s))", "; what 'm' and 's' should learn of them belongs in the model's distribution"),
        ("pyro.sample('z', dist.Normal(m, 1.0))\npyro.sample('x', dist.Normal(0.0, s))", "; what 's' should learn of them belongs"),
        ("pyro.sample('z', dist.Normal(m, s))\npyro.sample('x', dist.Normal(m, s))", ""),
    ],
)  # fmt: skip
def test_what_was_to_be_learnt_there_belongs_in_the_model(check, guide: str, told: str):
    """Without the statement nothing learns these parameters: that has to be said."""
    params = "m = pyro.param('m', torch.tensor(0.0))\ns = pyro.param('s', torch.tensor(1.0))\n"
    outcome = check(program(f"{Z}\npyro.sample('x', dist.Normal(0.0, 1.0), obs=data)", params + guide))
    message = next(f for f in outcome.findings if "samples 'x'" in f.proposal.message).proposal.message
    assert message.partition("about data")[2].startswith(told) and bool(told) is ("learn" in message)


PARAM = ParamLook((), "real", (1.0,), 1.0, 1.0)


@pytest.mark.parametrize(("more", "held"), [({}, True), ({"loc": PARAM}, False)])
def test_a_statement_stays_that_alone_is_trained(tmp_path: Path, more: dict[str, ParamLook], held: bool):
    """Without it nothing would be learnt at all, and the program would look sound."""
    text = program(
        "pyro.sample('x', dist.Normal(0.0, 1.0), obs=data)",
        "s = pyro.param('s', torch.tensor(1.0))\npyro.sample('x', dist.Normal(0.0, s))",
    )
    x = replace(LATENT, observed=True)
    looked = Look({"s": PARAM, **more}, {"x": LATENT}, {"x": x}, (), {}, ())
    outcome = check_shown(tmp_path, CODE, text, svi_at(text, "svi = SVI(", look=looked))
    assert ("nothing would be trained" in outcome.finding.proposal.held_back) is held


@pytest.mark.parametrize(
    ("guide", "left"),
    [
        ("pyro.sample('x', dist.Normal(0.0, 1.0))", "def guide(data):\n    pass\n"),
        (f"{Z}\npyro.sample('x', dist.Normal(0.0, 1.0))", f"def guide(data):\n    {Z}\n"),
        (
            f"{Z}\nwith pyro.plate('n', 3):\n    pyro.sample('x', dist.Normal(0.0, 1.0))\n    {W}",
            f"def guide(data):\n    {Z}\n    with pyro.plate('n', 3):\n        {W}\n",
        ),
    ],
)
def test_only_the_statement_goes(check, guide: str, left: str):
    model = f"{Z}\n{W}\npyro.sample('x', dist.Normal(0.0, 1.0), obs=data)"
    outcome = check(program(model, f"{guide}\n" if "w'" in guide else guide))
    assert left in outcome.texts["main.py"] or any(left in text for text in outcome.texts.values())


@pytest.mark.parametrize(
    ("model", "guide", "why"),
    [
        ("pyro.sample('x', dist.Normal(0.0, 1.0), obs=data)", "x = pyro.sample('x', dist.Normal(0.0, 1.0))\nreturn x", "is used"),
    ],
)  # fmt: skip
def test_what_is_used_stays(check, model: str, guide: str, why: str):
    assert why in check(program(model, guide)).held_back


def test_data_that_may_be_none(check):
    text = program("pyro.sample('x', dist.Normal(0.0, 1.0), obs=data)", "pyro.sample('x', dist.Normal(0.0, 1.0))")
    assert check(text.replace("def model(data)", "def model(data=None)")).findings == ()


@pytest.mark.parametrize("model", ["data", "data, y=None"])
def test_a_semi_supervised_guide_samples_the_labels_that_are_missing(check, model: str):
    text = f"""
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

def model({model}):
    y = pyro.sample("y", dist.Normal(0.0, 1.0), obs=data)

def guide({model}):
    if data is None:
        pyro.sample("y", dist.Normal(0.0, 1.0))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
"""
    assert check(text).findings == ()
    always = text.replace("if data is None:", "if True or data:").replace("    if True or data:\n        ", "    ")
    assert "which the model observes" in check(always).finding.proposal.message


def test_a_conditioned_model_is_observed_from_outside(check):
    text = program("pyro.sample('x', dist.Normal(0.0, 1.0))", "pyro.sample('x', dist.Normal(0.0, 1.0))")
    assert check(text).findings == ()


LABELS = """\
def model(x, y=None):
    z = pyro.sample('z', dist.Normal(0.0, 1.0))
    y = pyro.sample('y', dist.Bernoulli(logits=x))
    pyro.sample('x', dist.Normal(z + y, 1.0), obs=x)


def guide(x, y=None):
    pyro.sample('z', dist.Normal(y.mean(), 1.0))


svi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())
"""


@pytest.mark.parametrize("step", ["svi.step(xs, ys)", "svi.step(xs, y=ys)"])
def test_labels_that_are_forgotten(check, step: str):
    outcome = check(f"{PREAMBLE}xs, ys = torch.ones(3), torch.ones(3)\n{LABELS}{step}\n")
    assert outcome.finding.proposal.message == (
        "the argument 'y' is handed to the model and never observed: the sample 'y' takes its place; obs=y is missing"
    )
    assert "y = pyro.sample('y', dist.Bernoulli(logits=x), obs=y)" in outcome.text


@pytest.mark.parametrize(
    ("assigned", "read", "found"),
    [
        ("label = ", "label", True),
        ("", "1.0", True),
        ("y_label = ", "y_label + len(locals())", False),
        ("label = ", "label + (0 if y is None else 0)", False),
        ("label = ", "label if y is None else y", False),
    ],
)
def test_an_argument_of_the_name_of_a_site_that_nothing_reads(check, assigned: str, read: str, found: bool):
    """The sample's value has another name, or none."""
    model = LABELS.replace("y = pyro.sample('y'", f"{assigned}pyro.sample('y'").replace("z + y", f"z + {read}")
    outcome = check(f"{PREAMBLE}xs, ys = torch.ones(3), torch.ones(3)\n{model}svi.step(xs, ys)\n")
    told = [f for f in outcome.findings if "never observed" in f.proposal.message]
    assert bool(told) == found
    assert not found or f"{assigned}pyro.sample('y', dist.Bernoulli(logits=x), obs=y)" in outcome.text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("svi.step(xs, ys)", "svi.step(xs)"),  # unsupervised: nothing is handed in
        ("svi.step(xs, ys)", "svi.step(xs, None)"),
        ("logits=x))", "logits=x), obs=y)"),
        ("    z = pyro.sample('z', dist.Normal(0.0, 1.0))\n    y", "    z = pyro.sample('z', dist.Normal(y.mean(), 1.0))\n    y"),
        ("    y = pyro.sample", "    if y is None:\n        y = pyro.sample"),
        ("    y = pyro.sample", "    label = pyro.sample"),
        ("    pyro.sample('z', dist.Normal(y.mean(), 1.0))", "    pyro.sample('z', dist.Normal(0.0, 1.0))\n    pyro.sample('y', dist.Bernoulli(0.5))"),
    ],
)  # fmt: skip
def test_labels_that_are_not(check, old: str, new: str):
    text = f"{PREAMBLE}xs, ys = torch.ones(3), torch.ones(3)\n{LABELS}svi.step(xs, ys)\n"
    assert text.count(old) == 1
    outcome = check(text.replace(old, new))
    assert not any("never observed" in finding.proposal.message for finding in outcome.findings)


# --- nothing in the project trains the two


X = "pyro.sample('x', dist.Normal(0.0, 1.0), obs=data)"


def untrained(model: str, guide: str, after: str = "") -> str:
    return program(model, guide).partition("optim = ")[0] + after


def test_a_model_and_a_guide_by_their_names(check):
    outcome = check(untrained(f"{Z}\n{W}\n{X}", Z))
    assert outcome.finding.proposal.message == "the guide lacks 'w', which the model samples"
    assert outcome.finding.proposal.line == 11 and "sample it in the guide" in outcome.held_back
    outcome = check(untrained(f"{Z}\n{X}", f"{Z}\n{W}"))
    assert outcome.finding.proposal.message == "the guide samples 'w', which the model lacks"
    assert outcome.finding.proposal.line == 15 and "one of the two is wrong" in outcome.held_back


def test_a_guide_by_its_name_that_samples_data(check):
    found = check(untrained(f"{Z}\n{X}", f"{Z}\npyro.sample('x', dist.Normal(0.0, 1.0))")).finding
    assert "which the model observes" in found.proposal.message and not found.included


@pytest.mark.parametrize(
    "text",
    [
        untrained(f"{Z}\n{W}", Z),  # what is observed somebody else says
        untrained(f"{Z}\n{W}\n{X}", Z, "conditioned = pyro.condition(model, data={'w': torch.tensor(1.0)})\n"),
        untrained(f"{Z}\n{W}\n{X}", Z, "posterior = pyro.infer.Importance(model, guide)\n"),
        untrained(f"{Z}\n{X}", f"{Z}\nhelper(data)"),
        untrained(f"{Z}\nk = pyro.sample('k', dist.Bernoulli(0.5))\n{X}", Z),  # an ELBO may enumerate it
        untrained(f"{Z}\n{W}\n{X}", "return load(data)"),
    ],
    ids=["no data", "conditioned", "importance", "unknown", "discrete", "no guide"],
)
def test_nothing_that_the_training_may_make_right(check, text: str):
    assert check(text).findings == ()


def test_a_run_has_the_only_word_of_what_it_trains(tmp_path: Path):
    text = untrained(f"{Z}\n{W}\n{X}", Z, "make = getattr(pyro.infer, 'SV' + 'I')\n")
    assert len(check_shown(tmp_path, CODE, text).findings) == 1
    site = replace(LATENT, where="main.py:15")
    look = Look({}, {"z": site}, {"z": LATENT, "w": LATENT}, (), {}, ())
    assert check_shown(tmp_path, CODE, text, svi_at(text, "getattr", look=look)).findings == ()


def test_an_svi_call_has_the_only_word(check):
    text = program(f"{Z}\n{W}\n{X}", Z)
    assert check(text).finding.proposal.candidates
