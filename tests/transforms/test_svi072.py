"""Every trap of tip 7 for autoguides."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI072"

PREAMBLE = "import pyro\nimport pyro.infer.autoguide as ag\nfrom pyro.infer.autoguide import *\npyro.infer.SVI()\n"


@pytest.mark.parametrize(
    "kind", ["AutoNormal", "AutoDiagonalNormal", "AutoMultivariateNormal", "AutoLowRankMultivariateNormal",
             "AutoStructured", "AutoGaussian"]
)  # fmt: skip
def test_every_family_that_has_it(check, kind: str):
    outcome = check(f"{PREAMBLE}guide = ag.{kind}(model, init_scale=5.)\n")
    assert outcome.added == [f"guide = ag.{kind}(model, init_scale=0.1)"]
    assert [c.label for c in outcome.finding.proposal.candidates] == [f"init_scale={s}" for s in (0.1, 0.05, 0.01)]


@pytest.mark.parametrize(
    "call",
    ["AutoNormal(model)", "AutoNormal(model, init_scale=0.1)", "AutoNormal(model, init_scale=0.01)",
     "AutoDelta(model, init_scale=5.)", "AutoIAFNormal(model, hidden_dim=[5])", "AutoNormal(model, **options)",
     "AutoLaplaceApproximation(model)", "AutoGuideList(model)", "MyAutoNormal(model, init_scale=5.)",
     "AutoNormal(model, init_scale=scale)", "AutoNormal(model, init_scale=args.init_scale)"],
)  # fmt: skip
def test_no_finding(check, call: str):
    assert check(f"{PREAMBLE}init_scale = 3\ndef fit(model, options, scale, args):\n    return {call}\n").findings == ()


@pytest.mark.parametrize(
    "imports",
    ["from pyro.infer.autoguide import AutoNormal as G", "from pyro.infer.autoguide.guides import AutoNormal as G",
     "import pyro.infer\nG = pyro.infer.autoguide.AutoNormal", "from pyro.contrib.autoguide import AutoNormal as G",
     "from pyro.infer import autoguide as a\nG = a.AutoNormal"],
)  # fmt: skip
def test_import_styles(check, imports: str):
    assert check(f"import pyro\n{imports}\nguide = G(model, init_scale=5.)\n").added == [
        "guide = G(model, init_scale=0.1)"
    ]


def test_positional(check):
    assert check(f"{PREAMBLE}ag.AutoNormal(model, init_to_median, 5.)  # init_scale\n").added == [
        "ag.AutoNormal(model, init_to_median, 0.1)  # init_scale"
    ]


@pytest.mark.parametrize("value", ["WIDE", "5. * 2", "10 if big else 5", "options['scale']"])
def test_no_literal_at_the_call(check, value: str):
    outcome = check(f"{PREAMBLE}WIDE = 5.\noptions = dict(scale=5.)\nag.AutoNormal(model, init_scale={value})\n")
    assert outcome.result.changes == ()
    assert not outcome.findings or "not a literal" in outcome.held_back


def test_argument_by_unpacking(check):
    outcome = check(f"{PREAMBLE}ag.AutoNormal(model, **dict(init_scale=5.))\n")
    assert "not a literal" in outcome.held_back


def test_default_of_a_function(check):
    """Editing the default would change other callers."""
    text = f"{PREAMBLE}def fit(model, scale=5.):\n    return ag.AutoNormal(model, init_scale=scale)\nfit(None)\n"
    assert "not a literal" in check(text).held_back


def test_called_from_two_places_is_one_finding(check):
    text = f"{PREAMBLE}def fit(model):\n    return ag.AutoNormal(model, init_scale=5.)\nfit(1)\nfit(2)\n"
    assert check(text).added == ["return ag.AutoNormal(model, init_scale=0.1)"]


def test_another_library(check):
    assert (
        check("import pyro\nfrom numpyro.infer.autoguide import AutoNormal\nAutoNormal(m, init_scale=5.)\n").findings
        == ()
    )


def test_suppression(check):
    assert check(f"{PREAMBLE}ag.AutoNormal(model, init_scale=5.)  # pyro-fix: ignore[SVI07]\n").findings == ()
