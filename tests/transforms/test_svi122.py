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


def test_what_a_run_shows(tmp_path: Path):
    path = tmp_path / "main.py"
    path.write_text(program("TraceEnum_ELBO(strict_enumeration_warning=False)"))
    site = SiteLook("Bernoulli", "boolean", False, (), -1.0, 1.0, enumerable=True)
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"z": site}))).findings
    assert finding.proposal.source == "seen" and "config_enumerate is missing" in finding.proposal.held_back
    enumerated = replace(site, enumerated="parallel")
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"z": enumerated}))).findings
    assert finding.proposal.candidates
