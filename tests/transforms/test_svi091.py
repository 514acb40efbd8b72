"""Every trap of tip 9."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from showing import Shown, look
from showing import check as check_shown

from pyro_fix.observation import Dependencies, SiteLook
from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI091"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import *
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroSample
from pyro.optim import Adam
"""
Z, W = 'z = pyro.sample("z", dist.Normal(0., 1.))', 'w = pyro.sample("w", dist.Gamma(1., 1.))'
X = 'pyro.sample("x", dist.Normal(z, 1.), obs=data)'
GUIDE = ['z = pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))']
BOTH = [*GUIDE, 'w = pyro.sample("w", dist.Gamma(pyro.param("a", torch.tensor(1.)), 1.))']


def program(
    model=(Z, X), guide=GUIDE, elbo: str = "Trace_ELBO()", svi: str = "SVI(model, guide, Adam({}), elbo)"
) -> str:
    functions = "".join(
        f"def {name}(data):\n" + "".join(f"    {line}\n" for line in body)
        for name, body in (("model", model), ("guide", guide))
    )
    return f"{PREAMBLE}{functions}elbo = {elbo}\nsvi = {svi}\nsvi.step(torch.ones(3))\n"


@pytest.mark.parametrize(
    ("elbo", "fixed"),
    [
        ("Trace_ELBO()", "TraceMeanField_ELBO()"),
        ("Trace_ELBO(num_particles=5, vectorize_particles=True)", "TraceMeanField_ELBO(num_particles=5, vectorize_particles=True)"),
        ("Trace_ELBO(3, retain_graph=True)", "TraceMeanField_ELBO(3, retain_graph=True)"),
        ("Trace_ELBO(**options)", "TraceMeanField_ELBO(**options)"),
        ("pyro.infer.Trace_ELBO()", "pyro.infer.TraceMeanField_ELBO()"),
        ("pyro.infer.trace_elbo.Trace_ELBO()", "TraceMeanField_ELBO()"),
    ],
)  # fmt: skip
def test_becomes_mean_field(check, elbo: str, fixed: str):
    outcome = check(program(elbo=elbo))
    assert f"elbo = {fixed}" in outcome.added
    assert outcome.result.changes == ()  # only a run can tell that nothing shifts
    gains, kept = outcome.finding.proposal.candidates
    assert gains.promise == Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE
    assert kept.promise == Promise.SAME_EXPECTATION and kept.edits == gains.edits
    assert "noise" not in outcome.finding.proposal.message  # no gain is promised before it is measured


@pytest.mark.parametrize(
    ("imported", "elbo", "added"),
    [
        ("from pyro.infer import SVI, Trace_ELBO", "Trace_ELBO()",
         ["from pyro.infer import SVI, TraceMeanField_ELBO", "elbo = TraceMeanField_ELBO()"]),
        ("from pyro.infer import SVI, Trace_ELBO as T", "T()",
         ["from pyro.infer import SVI, TraceMeanField_ELBO", "elbo = TraceMeanField_ELBO()"]),
        ("from pyro.infer import Trace_ELBO, SVI, TraceMeanField_ELBO", "Trace_ELBO()",
         ["from pyro.infer import SVI, TraceMeanField_ELBO", "elbo = TraceMeanField_ELBO()"]),
        ("from pyro.infer import SVI, Trace_ELBO\nother = Trace_ELBO()", "Trace_ELBO()",
         ["elbo = pyro.infer.TraceMeanField_ELBO()"]),
        ("from pyro import infer as i\nfrom pyro.infer import SVI", "i.Trace_ELBO()", ["elbo = i.TraceMeanField_ELBO()"]),
    ],
)  # fmt: skip
def test_names(check, imported: str, elbo: str, added: list[str]):
    assert check(program(elbo=elbo).replace("from pyro.infer import *", imported)).added == added


@pytest.mark.parametrize(
    "text",
    [
        program(elbo="TraceMeanField_ELBO()"),
        program(elbo="(JitTrace_ELBO if flag else Trace_ELBO)()"),
        program(elbo="Trace_ELBO().differentiable_loss"),
        program(svi="SVI(model, AutoNormal(model), Adam({}), elbo)"),  # a Delta's density would be ignored
        program(svi="SVI(poutine.mask(model, mask=m), guide, Adam({}), elbo)"),
        program(svi="SVI(unknown, guide, Adam({}), elbo)"),
        # not reparameterised
        program([Z.replace("Normal(0., 1.)", "Poisson(1.)"), X], [GUIDE[0].replace("Normal(", "Poisson(").replace(", 1.))", "))")]),
        program([Z, W, X], [GUIDE[0], 'w = pyro.sample("w", dist.Delta(a))']),
        # no closed form
        program([Z.replace("Normal", "StudentT"), X]),
        program([Z.replace("1.))", "1.).to_event(1))"), X]),
        # another order, other sites
        program([Z, W, X], BOTH[::-1]),
        program([Z, W, X]),
        program([Z, X], BOTH),
        # a guide with structure
        program([Z, W, X], [GUIDE[0], 'w = pyro.sample("w", dist.Gamma(z.exp(), 1.))']),
        program([Z, W, X], [GUIDE[0], "a = torch.empty(3)", "for i in range(3):", "    a = step(a)",
                            'w = pyro.sample("w", dist.Gamma(a, 1.))']),
        # masks and scales of one side
        program([Z.replace("1.))", "1.).mask(m))"), X]),
        program(["with poutine.mask(mask=m):", f"    {Z}", X]),
        program(["with poutine.scale(scale=0.1):", f"    {Z}", X]),
        # latents that are not all spelled
        program(['for i in range(3):', '    z = pyro.sample(f"z_{i}", dist.Normal(0., 1.))', X],
                ['for i in range(3):', '    pyro.sample(f"z_{i}", dist.Normal(0., 1.))']),
        program(["lifted = pyro.random_module('net', net, prior)()", Z, X]),
    ],
)  # fmt: skip
def test_no_finding(check, text: str):
    assert check(text).findings == ()


def test_several_factors(check):
    message = check(program([Z, W, X], BOTH)).finding.proposal.message
    assert "'z', 'w'" in message


def test_one_elbo_of_two_svis(check):
    second = "\nsvi2 = SVI(model, other, Adam({}), elbo)\n"
    other = "def other(data):\n    pyro.sample('z', dist.Delta(torch.tensor(0.)))\n"
    assert check(other + program() + second).findings == ()
    assert check(program() + second.replace("other", "guide")).added == ["elbo = TraceMeanField_ELBO()"]


def test_name_is_taken(check):
    text = (
        program()
        .replace("import pyro\n", "from pyro import param, sample\n")
        .replace("pyro.infer import *", "pyro.infer import SVI, Trace_ELBO")
    )
    text = text.replace("pyro.sample", "sample").replace("pyro.param", "param")
    assert check(text).added == ["from pyro.infer import SVI, TraceMeanField_ELBO", "elbo = TraceMeanField_ELBO()"]
    assert "taken" in check(f"{text}TraceMeanField_ELBO = 1\n").held_back


def site(distribution: str = "Normal", **changes: object) -> SiteLook:
    made = SiteLook(distribution, "real", False, (), -1.0, 1.0, reparameterised=True)
    return replace(made, **changes)  # type: ignore[arg-type]


KNOWN = Dependencies({"z": ()}, {"z": ()}, ("z",), True)
#: What the source alone says nothing of: an unknown model and guide.
HIDDEN = f"{PREAMBLE}elbo = Trace_ELBO()\nsvi = SVI(load('model'), load('guide'), Adam({{}}), elbo)\n"


def seen(tmp_path: Path, text: str, **changes: object):
    path = tmp_path / "main.py"
    path.write_text(text)
    arguments = {"guide": {"z": site()}, "model": {"z": site()}, "dependencies": KNOWN, **changes}
    return check_shown(path, CODE, Shown(look=look(**arguments))).findings


def test_a_run_speaks(tmp_path: Path):
    (finding,) = seen(tmp_path, HIDDEN)
    assert finding.proposal.source == "seen" and len(finding.proposal.candidates) == 2


CONTRADICTIONS = [
    {"dependencies": replace(KNOWN, mean_field=False)},
    {"dependencies": replace(KNOWN, registered_kl=())},
    {"guide": {"z": site(reparameterised=False)}},
    {"guide": {"z": site("Delta")}},
    {"guide": {"z": site(enumerated="parallel")}},
    {"guide": {"z": site(scale=0.5)}},
    {"guide": {"z": site(scale=None)}, "model": {"z": site(scale=None)}},
    {"guide": {"z": site(batch_shape=())}, "model": {"z": site(batch_shape=(1,))}},
    {"guide": {"z": site(event_shape=(2,))}},
    {"guide": {}},
    {"model": {"z": site(), "w": site()}},
    {"guide": {"z": site(), "w": site()}, "model": {"w": site(), "z": site()}},
]


@pytest.mark.parametrize("changes", CONTRADICTIONS)
@pytest.mark.parametrize("text", [HIDDEN, program()], ids=["hidden", "spelled"])
def test_a_run_contradicts(tmp_path: Path, text: str, changes: dict[str, object]):
    assert seen(tmp_path, text, **changes) == ()


@pytest.mark.parametrize("unknown", [None, replace(KNOWN, mean_field=None), replace(KNOWN, error="no trace")])
def test_a_run_that_does_not_tell(tmp_path: Path, unknown: Dependencies | None):
    assert seen(tmp_path, HIDDEN, dependencies=unknown) == ()
    (finding,) = seen(tmp_path, program(), dependencies=unknown)
    assert finding.proposal.source == "static"
