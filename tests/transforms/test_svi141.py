"""Every trap of tip 14."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from showing import Shown, look
from showing import check as check_shown

from pyro_fix.observation import PlateLook, SiteLook
from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI141"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import *
from pyro.infer.autoguide import AutoNormal, AutoDelta
from pyro.optim import Adam
"""
Z = 'z = pyro.sample("z", dist.Bernoulli(0.3))'
W = 'w = pyro.sample("w", dist.Normal(0., 1.))'
X = 'pyro.sample("x", dist.Normal(z, 1.), obs=data)'
IN_GUIDE = 'pyro.sample("z", dist.Bernoulli(pyro.param("q", torch.tensor(0.5))))'


def program(
    model=(Z, X), guide=(IN_GUIDE,), elbo: str = "Trace_ELBO()", svi: str = "SVI(model, guide, Adam({}), elbo)"
) -> str:
    functions = "".join(
        f"def {name}(data):\n" + "".join(f"    {line}\n" for line in body)
        for name, body in (("model", model), ("guide", guide))
    )
    return f"{PREAMBLE}{functions}elbo = {elbo}\nsvi = {svi}\nsvi.step(torch.ones(3))\n"


@pytest.mark.parametrize(
    ("elbo", "fixed"),
    [
        ("Trace_ELBO()", "TraceEnum_ELBO(max_plate_nesting=0)"),
        ("TraceGraph_ELBO()", "TraceEnum_ELBO(max_plate_nesting=0)"),
        ("JitTrace_ELBO(ignore_jit_warnings=True)", "JitTraceEnum_ELBO(ignore_jit_warnings=True, max_plate_nesting=0)"),
        ("Trace_ELBO(max_plate_nesting=2)", "TraceEnum_ELBO(max_plate_nesting=2)"),
        ("Trace_ELBO(3, 2)", "TraceEnum_ELBO(3, 2)"),
        ("pyro.infer.Trace_ELBO(\n    num_particles=2,\n)", "pyro.infer.TraceEnum_ELBO("),
        ("Trace_ELBO(**options)", "TraceEnum_ELBO(**options)"),
    ],
)
def test_together(check, elbo: str, fixed: str):
    outcome = check(program(elbo=elbo))
    assert f"elbo = {fixed}" in outcome.added
    assert "svi = SVI(model, config_enumerate(guide), Adam({}), elbo)" in outcome.added
    exact, plain = outcome.finding.proposal.candidates
    assert exact.promise == Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE
    assert plain.promise == Promise.SAME_EXPECTATION and plain.edits == exact.edits
    assert outcome.result.changes == ()


def test_the_guide_lacks_it(check):
    outcome = check(program([W, Z, X], ['pyro.sample("w", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))']))
    assert outcome.added == [
        "elbo = TraceEnum_ELBO(max_plate_nesting=0)",
        "svi = SVI(config_enumerate(model), guide, Adam({}), elbo)",
    ]
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.promise == Promise.RUNS_CLEAN  # the original estimates something else


def test_both_wrapped_where_each_has_its_own(check):
    other = 'v = pyro.sample("v", dist.Categorical(torch.ones(3)))'
    outcome = check(program([Z, other, X]))
    assert "svi = SVI(config_enumerate(model), config_enumerate(guide), Adam({}), elbo)" in outcome.added
    assert "'z', 'v'" in outcome.finding.proposal.message


@pytest.mark.parametrize(
    ("guide", "added"),
    [
        ("AutoNormal(model)", ['guide = AutoNormal(poutine.block(model, hide=["z"]))']),
        ("AutoNormal(poutine.block(model, hide=['z']))", []),
        ("AutoDelta(poutine.block(model, expose=['w']))", []),
    ],
)
def test_autoguides(check, guide: str, added: list[str]):
    text = program([W, Z, X]).replace("elbo = ", f"guide = {guide}\nelbo = ")
    assert check(text).added == [
        *added,
        "elbo = TraceEnum_ELBO(max_plate_nesting=0)",
        "svi = SVI(config_enumerate(model), guide, Adam({}), elbo)",
    ]


@pytest.mark.parametrize(
    ("lines", "nesting"),
    [
        (["with pyro.plate('a', 3):", f"    {Z}", f"    {X}"], 1),
        (["with pyro.plate('a', 3), pyro.plate('b', 2):", f"    {Z}", f"    {X}"], 2),
        (["with pyro.plate('a', 3, dim=-3):", f"    {Z}", f"    {X}"], 3),
        (["with pyro.plate('a', 3, dim=-2):", f"    {Z}", "    with pyro.plate('b', 2, dim=-1):", f"        {X}"], 2),
        (["with pyro.plate('a', 3, dim=-2):", f"    {Z}", "    with pyro.plate('b', 2):", f"        {X}"], 2),
        ([Z, "with pyro.plate('a', 3):", f"    {X}"], 1),
        (["with poutine.scale(scale=0.1):", f"    {Z}", f"    {X}"], 0),
    ],
)
def test_nesting(check, lines: list[str], nesting: int):
    assert f"elbo = TraceEnum_ELBO(max_plate_nesting={nesting})" in check(program(lines)).added


@pytest.mark.parametrize(
    "text",
    [
        program([W, X.replace("z,", "w,")], ['pyro.sample("w", dist.Normal(0., 1.))']),
        program(elbo="TraceEnum_ELBO()"),
        program(elbo="RenyiELBO()"),
        program(elbo="Trace_ELBO().differentiable_loss"),
        program([Z.replace("Bernoulli(0.3)", "Poisson(3.)"), X], [IN_GUIDE.replace("Bernoulli", "Poisson")]),
        program([Z.replace("Bernoulli", "Geometric"), X], [IN_GUIDE.replace("Bernoulli", "Geometric")]),
        program([Z.replace("0.3)", "torch.ones(3)).to_event(1)"), X]),  # Pyro enumerates no products
        program([Z.replace("))", "), obs=data)"), X]),
        program([Z.replace("))", "), infer={'enumerate': 'parallel'})"), X]),
        program([Z.replace("))", "), **options)"), X]),
        program(guide=[IN_GUIDE[:-1] + ", infer={'enumerate': 'parallel'})"]),
        program(svi="SVI(config_enumerate(model), guide, Adam({}), elbo)"),
        program(svi="SVI(model, config_enumerate(guide), Adam({}), elbo)"),
        program(svi="SVI(pyro.condition(model, data={'z': one}), guide, Adam({}), elbo)"),
        program(svi="SVI(poutine.block(model, hide=['z']), guide, Adam({}), elbo)"),
        program(["with frames():", f"    {Z}", f"    {X}"]),  # it may observe them
        program(elbo="Trace_ELBO() if flag else RenyiELBO()"),
        program(svi="SVI(load(), guide, Adam({}), elbo)"),
        program(svi="SVI(model, load(), Adam({}), elbo)"),
        program().replace("def model", "@config_enumerate\ndef model"),
        program().replace("def guide", "@config_enumerate(default='parallel')\ndef guide"),
    ],
)
def test_no_finding(check, text: str):
    assert check(text).findings == ()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([Z, "if z:", "    pass", X], "branch on a sampled value"),
        ([Z, "k = int(z)", X], "int() of a sampled value"),
        ([Z, "z.item()", X], ".item()"),
        ([Z, "for i in range(z):", "    pass", X], "loop over a sampled value"),
        (["for i in pyro.plate('a', 3):", "    pass", Z, X], "sequential loop over a plate"),
        (["for i in range(3):", '    z = pyro.sample(f"z_{i}", dist.Bernoulli(0.3))', X], "pyro.markov"),
        (["with pyro.plate('a', 3, dim=d):", f"    {Z}", X], "how deep the plates nest"),
    ],
)
def test_held_back(check, lines: list[str], reason: str):
    assert reason in check(program(lines)).held_back


def test_one_elbo_of_two_svis(check):
    assert "several SVI" in check(program() + "svi2 = SVI(model, guide, Adam({}), elbo)\n").held_back


def test_semi_supervised(check):
    text = program([Z.replace("))", "), obs=label)"), X]).replace("def model(data)", "def model(data, label=None)")
    assert check(text).findings == ()


def test_wrapped_already(check):
    outcome = check(program(svi="SVI(poutine.scale(model, 0.1), poutine.scale(guide, 0.1), Adam({}), elbo)"))
    assert "config_enumerate(poutine.scale(guide, 0.1))" in outcome.text


def test_imports(check):
    text = program().replace("from pyro.infer import *", "from pyro.infer import SVI, Trace_ELBO")
    text = text.replace("import pyro\n", "from pyro import param, sample\n")
    text = text.replace("pyro.sample", "sample").replace("pyro.param", "param")
    added = check(text).added
    assert "from pyro.infer import SVI, TraceEnum_ELBO" in added
    assert "from pyro.infer import config_enumerate" in added


def site(**changes: object) -> SiteLook:
    made = SiteLook("Bernoulli", "boolean", False, (), -1.0, 1.0, where="main.py:9", enumerable=True)
    return replace(made, **changes)  # type: ignore[arg-type]


def seen(tmp_path: Path, text: str, **changes: object):
    path = tmp_path / "main.py"
    path.write_text(text)
    arguments = {"guide": {"z": site()}, "model": {"z": site()}, "max_plate_nesting": 2, **changes}
    return check_shown(path, CODE, Shown(look=look(**arguments))).findings


HIDDEN = program(svi="SVI(load('model'), load('guide'), Adam({}), elbo)")


def test_a_run_speaks(tmp_path: Path):
    (finding,) = seen(tmp_path, HIDDEN)
    assert finding.proposal.source == "seen"
    assert "TraceEnum_ELBO(max_plate_nesting=2)" in finding.diff
    assert "SVI(load('model'), config_enumerate(load('guide')), Adam({}), elbo)" in finding.diff
    (finding,) = seen(tmp_path, HIDDEN, guide={})
    assert "SVI(config_enumerate(load('model')), load('guide'), Adam({}), elbo)" in finding.diff


@pytest.mark.parametrize(
    "model",
    [
        {"z": site(observed=True)},
        {"z": site(enumerable=False)},
        {"z": site(enumerated="parallel")},
        {"z": site(distribution="OneOneMatching")},
    ],
)
@pytest.mark.parametrize("text", [HIDDEN, program()], ids=["hidden", "spelled"])
def test_a_run_contradicts(tmp_path: Path, text: str, model: dict[str, SiteLook]):
    assert seen(tmp_path, text, model=model) == ()


def test_a_run_shows_why_not(tmp_path: Path):
    (finding,) = seen(tmp_path, HIDDEN, model={"z": site(plates=(PlateLook("a", None, 3, 3),))})
    assert "sequential plate" in finding.proposal.held_back
    (finding,) = seen(tmp_path, HIDDEN, model={"z_0": site(), "z_1": site()})
    assert "pyro.markov" in finding.proposal.held_back


@pytest.mark.parametrize(("given", "is_missing"), [("obs=label", True), ("obs=None", False)])
def test_labels_that_no_step_hands_in(tmp_path: Path, given: str, is_missing: bool):
    """To sum over what was to be learnt from hides that it was forgotten."""
    text = program([Z.replace("))", f"), {given})"), X], guide=("pass",))
    text = text.replace("def model(data)", "def model(data, label=None)")
    (finding,) = seen(tmp_path, text, guide={})
    assert ("no step hands its data in" in finding.proposal.held_back) is is_missing
    assert bool(finding.proposal.candidates) is not is_missing


FORGOTTEN = program([Z, X], guide=("pass",)).replace("(data):", "(data, z):").replace(".ones(3)", ".ones(3), data")
ANOTHER = 'v = pyro.sample("v", dist.Bernoulli(0.5))'


def test_labels_that_are_forgotten_are_no_latent(tmp_path: Path, check):
    """SVI042 gives them their ``obs=``: they are data, and not to be summed over."""
    assert check(FORGOTTEN, codes=("SVI042",)).finding.proposal.candidates
    assert check(FORGOTTEN).findings == () and seen(tmp_path, FORGOTTEN, guide={}) == ()
    outcome = check(FORGOTTEN.replace(X, f"{ANOTHER}\n    {X}"))
    assert outcome.finding.proposal.message.startswith("the discrete latent 'v' could")
    assert outcome.held_back == "'z' is data whose obs= is missing, and would be enumerated as well"


def test_a_run_that_fails_leaves_the_source_to_speak(tmp_path: Path):
    (finding,) = seen(tmp_path, program(), error="ValueError", model={})
    assert finding.proposal.source == "static"


def test_a_class_that_depends_on_a_flag(check):
    outcome = check(program(elbo="JitTrace_ELBO() if flag else Trace_ELBO(2)"))
    assert outcome.added[0] == (
        "elbo = JitTraceEnum_ELBO(max_plate_nesting=0) if flag else TraceEnum_ELBO(2, max_plate_nesting=0)"
    )
    assert len(outcome.findings) == 1


# -- enumeration that is asked for


def asked(tmp_path: Path, mark: str, guide: str = "", elbo: str = "Trace_ELBO()"):
    text = program(guide=(IN_GUIDE,) if guide else ("pass",), elbo=elbo)
    site = replace(SiteLook("Bernoulli", "boolean", False, (), -1.0, 1.0), enumerable=True)
    sides = {
        "model": {"z": replace(site, enumerated=mark)},
        "guide": {"z": replace(site, enumerated=guide)} if guide else {},
    }
    path = tmp_path / "main.py"
    path.write_text(text)
    return check_shown(path, CODE, Shown(look=look(max_plate_nesting=1, **sides)))


def test_enumeration_that_the_elbo_does_not_do(tmp_path: Path):
    (finding,) = asked(tmp_path, "parallel").findings
    assert finding.proposal.message == (
        "enumeration is asked for at 'z', which Trace_ELBO does not do: it draws a sample"
    )
    (candidate,) = finding.proposal.candidates
    assert candidate.label == "TraceEnum_ELBO" and candidate.promise is Promise.RUNS_CLEAN
    assert any("max_plate_nesting=1" in edit.replacement for edit in candidate.edits)
    assert not any("config_enumerate" in edit.replacement for edit in candidate.edits)


def test_enumeration_that_the_guide_asks_for(tmp_path: Path):
    (finding,) = asked(tmp_path, "", "parallel").findings
    assert Promise.SAME_EXPECTATION in finding.proposal.candidates[0].promise


@pytest.mark.parametrize(("mark", "elbo"), [("sequential", "Trace_ELBO()"), ("parallel", "TraceEnum_ELBO()")])
def test_enumeration_that_is_done_or_cannot_be(tmp_path: Path, mark: str, elbo: str):
    assert asked(tmp_path, mark, elbo=elbo).findings == ()
