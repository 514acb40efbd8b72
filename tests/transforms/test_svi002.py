"""Warnings of Pyro's own, as runs show them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from checking import Checked
from shown import Shown, line_of, site_look, trajectory

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.observation import Dependencies, Look, Observation, Remark, SviObservation

CODE = "SVI002"
TEXT = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam


def model(data):
    b = pyro.sample("b", dist.Gamma(1.0, 1.0))
    if b < 2.0:
        pyro.sample("e", dist.Normal(0.0, 1.0))


def guide(data):
    b = pyro.sample("b", dist.Gamma(1.0, 2.0))
    with pyro.plate("fives", 5):
        pyro.sample("w", dist.Normal(0.0, 1.0))
    if b < 1.0:
        pyro.sample("e", dist.Normal(0.1, 1.0))


svi = SVI(model, guide, ClippedAdam({"lr": 0.001}), loss=TraceMeanField_ELBO())
svi.step(torch.ones(3))
"""
STEP = f"main.py:{line_of(TEXT, 'svi.step')}"
MODEL = {"e": site_look(TEXT, 'pyro.sample("e", dist.Normal(0.0')}
GUIDE = {"e": site_look(TEXT, 'pyro.sample("e", dist.Normal(0.1')}
ORDER = "Failed to verify mean field restriction on the guide. To eliminate this warning, ensure model and guide sites"
BOTH = Look({}, GUIDE, MODEL, (), {}, ())


def check(folder: Path, text: str, look: Look | None = BOTH, seeds: tuple[int, ...] = (0, 2), svi: int | None = 0):
    (folder / "main.py").write_text(TEXT)
    runs = tuple(trajectory(1.0, 2.0, seed=seed) for seed in range(4))
    where = f"main.py:{line_of(TEXT, 'svi = SVI')}"
    seen = SviObservation(0, where, "TraceMeanField_ELBO", "ClippedAdam", 1, runs, look)
    remarks = (Remark(text, STEP, svi, 3, seeds),)
    run = Observation("python main.py", "p", {}, "cpu", (seen,), {}, (), None, (), 1.0, str(folder), None, remarks)
    options = Options(paths=(folder / "main.py",), select=(CODE,), verify=False, root=folder)
    return Checked(engine.check(options, lambda _: None, Shown(run)), folder / "main.py")


@pytest.mark.parametrize("look", [BOTH, replace(BOTH, guide={}, model={}), None])
def test_missing_at_later_steps(tmp_path: Path, look: Look | None):
    outcome = check(tmp_path, "Found vars in model but not guide: {'e'}", look)
    assert outcome.finding.proposal.message == (
        "Pyro warns at step 3 on 2 of 4 seeds: the guide does not sample 'e' wherever the model does"
    )
    assert outcome.finding.proposal.line == line_of(TEXT, 'pyro.sample("e", dist.Normal(0.0')
    assert outcome.held_back


def test_missing_from_the_first_step_on_is_anothers(tmp_path: Path):
    assert check(tmp_path, "Found vars in model but not guide: {'e'}", replace(BOTH, guide={})).findings == ()


def test_extra_at_later_steps(tmp_path: Path):
    text = "Found non-auxiliary vars in guide but not model, consider marking these infer={'is_auxiliary': True}: {'e'}"
    outcome = check(tmp_path, text)
    assert outcome.finding.proposal.message.endswith("the guide samples 'e' where the model does not")
    assert outcome.finding.proposal.line == line_of(TEXT, 'pyro.sample("e", dist.Normal(0.1')
    assert check(tmp_path, text, replace(BOTH, model={})).findings == ()
    observed = {"e": replace(MODEL["e"], observed=True)}
    assert check(tmp_path, text, replace(BOTH, model=observed)).findings == ()


def test_a_plate_in_the_guide_alone(tmp_path: Path):
    outcome = check(tmp_path, "Found plate statements in guide but not model: {'fives'}")
    assert "the guide has the plate 'fives', which the model lacks" in outcome.finding.proposal.message
    assert outcome.finding.proposal.line == line_of(TEXT, '"fives"')


def test_another_warning_is_told_as_it_is(tmp_path: Path):
    outcome = check(tmp_path, "Found auxiliary vars in the model: {'e'}")
    assert outcome.finding.proposal.message.endswith("Found auxiliary vars in the model: {'e'}")
    assert outcome.finding.proposal.line == line_of(TEXT, "svi.step")


@pytest.mark.parametrize("text", ["Encountered NaN: loss", "Encountered -inf: log_prob_sum at site 'e'"])
def test_numbers_are_anothers(tmp_path: Path, text: str):
    assert check(tmp_path, text).findings == ()


def test_outside_of_steps(tmp_path: Path):
    assert check(tmp_path, "Found auxiliary vars in the model: {'e'}", svi=None).findings == ()


@pytest.mark.parametrize(
    ("known", "found"),
    [
        (None, True),
        (Dependencies({}, {}, (), False), True),
        (Dependencies({}, {}, (), None, "lost"), True),
        (Dependencies({}, {}, (), True), False),  # the order alone does no harm
    ],
)
def test_the_mean_field_restriction(tmp_path: Path, known: Dependencies | None, found: bool):
    outcome = check(tmp_path, ORDER, replace(BOTH, dependencies=known))
    assert bool(outcome.findings) is found
    if found:
        assert "loss=Trace_ELBO())" in outcome.text and "import SVI, Trace_ELBO" in outcome.text
        assert outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize(("carried", "found"), [(-1.3, True), (0.0, False)])
def test_a_density_that_the_analytic_kl_leaves_out(tmp_path: Path, carried: float, found: bool):
    """An autoguide's Delta carries the Jacobian of a constrained latent; an unconstrained one, or a MAP guide's, none."""
    guide = {"b": replace(GUIDE["e"], distribution="Delta", log_prob=carried)}
    outcome = check(tmp_path, "Encountered NaN: loss", replace(BOTH, guide=guide, model={"b": MODEL["e"]}))
    assert bool(outcome.findings) is found
    if found:
        assert "leaves out the density that the guide's Delta at 'b' carries" in outcome.finding.proposal.message
        assert "loss=Trace_ELBO())" in outcome.text
