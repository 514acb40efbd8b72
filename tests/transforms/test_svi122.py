"""Every trap of tip 12: warnings about enumeration."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from showing import Shown, look
from showing import check as check_shown

from pyro_fix.observation import SiteLook

pytest_plugins = ["check_fixture"]
CODE = "SVI122"

PREAMBLE = """
import pyro
import pyro.distributions as dist
from pyro.infer import *
from pyro.optim import Adam
def model():
    pyro.sample("z", dist.Bernoulli(0.5))
def guide():
    pass
"""


def program(elbo: str) -> str:
    return f"{PREAMBLE}elbo = {elbo}\nsvi = SVI(config_enumerate(model), guide, Adam({{}}), elbo)\n"


@pytest.mark.parametrize(
    ("elbo", "fixed"),
    [
        ("TraceEnum_ELBO(strict_enumeration_warning=False)", "TraceEnum_ELBO()"),
        ("TraceEnum_ELBO(strict_enumeration_warning=False, max_plate_nesting=1)", "TraceEnum_ELBO(max_plate_nesting=1)"),
        ("JitTraceEnum_ELBO(max_plate_nesting=1, strict_enumeration_warning=False)", "JitTraceEnum_ELBO(max_plate_nesting=1)"),
        ("TraceTMC_ELBO(strict_enumeration_warning=False)", "TraceTMC_ELBO()"),
    ],
)  # fmt: skip
def test_removed(check, elbo: str, fixed: str):
    outcome = check(program(elbo))
    assert outcome.added == [f"elbo = {fixed}"]
    assert outcome.result.changes == ()


@pytest.mark.parametrize(
    "elbo",
    [
        "TraceEnum_ELBO()",
        "TraceEnum_ELBO(strict_enumeration_warning=True)",
        "TraceEnum_ELBO(strict_enumeration_warning=flag)",
        "TraceEnum_ELBO(**{'strict_enumeration_warning': False})",
        "Trace_ELBO(strict_enumeration_warning=False)",  # it does not look at it
        "Mine(strict_enumeration_warning=False)",
    ],
)
def test_no_finding(check, elbo: str):
    assert check(program(elbo)).findings == ()


@pytest.mark.parametrize(
    ("site", "is_always"),
    [
        ('pyro.sample("z", dist.Bernoulli(0.5))', True),
        ('pyro.sample("z", dist.Bernoulli(0.5), obs=label)', False),
        ('label is not None or pyro.sample("z", dist.Bernoulli(0.5))', False),
        ('pyro.sample("z", dist.Normal(0.0, 1.0))', False),
    ],
)
def test_where_there_may_be_nothing_to_enumerate(check, site: str, is_always: bool):
    """A semi-supervised model is warned of at every step that has its labels."""
    text = program("TraceEnum_ELBO(strict_enumeration_warning=False)").replace("def model()", "def model(label=None)")
    assert bool(check(text.replace('pyro.sample("z", dist.Bernoulli(0.5))', site)).findings) is is_always


@pytest.mark.parametrize("model", ["net.model", "load()"])
def test_a_model_that_is_anybody_s(check, model: str):
    text = program("TraceEnum_ELBO(strict_enumeration_warning=False)")
    assert check(text.replace("config_enumerate(model)", model)).findings == ()


def test_what_a_run_shows(tmp_path: Path):
    path = tmp_path / "main.py"
    path.write_text(program("TraceEnum_ELBO(strict_enumeration_warning=False)"))
    site = SiteLook("Bernoulli", "boolean", False, (), -1.0, 1.0, enumerable=True)
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"z": site}))).findings
    assert finding.proposal.source == "seen" and "config_enumerate is missing" in finding.proposal.held_back
    enumerated = replace(site, enumerated="parallel")
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"z": enumerated}))).findings
    assert finding.proposal.candidates
