"""Every trap of tip 12: validation."""

from __future__ import annotations

from pathlib import Path

import pytest
from showing import Shown, look
from showing import check as check_shown

from pyro_fix.observation import SiteLook
from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI121"

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
"""
TRAINING = """
def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    pyro.sample("x", dist.Poisson(z.exp()), obs=data)
def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
"""
STEP = "svi.step(torch.ones(3))\n"


def program(*lines: str) -> str:
    return f"{PREAMBLE}{''.join(line + chr(10) for line in lines)}{TRAINING}{STEP}"


def pixels(arguments: str, *lines: str) -> str:
    return program(*lines).replace("dist.Poisson(z.exp())", f"dist.Bernoulli({arguments})")


@pytest.mark.parametrize(
    "lines",
    [
        ["pyro.enable_validation(False)"],
        ["pyro.enable_validation(is_validate=False)"],
        ["dist.enable_validation(False)"],
        ["pyro.infer.enable_validation(False)"],
        ["from pyro import enable_validation as validate", "validate(False)"],
        ["from pyro import *", "enable_validation(False)"],
        ["torch.distributions.Distribution.set_default_validate_args(False)"],
        ["dist.Distribution.set_default_validate_args(False)"],
        ["pyro.settings.set(validate_distributions_pyro=False)"],
        ["pyro.settings.set(validate_infer=False, validate_poutine=False)"],
        ["pyro.enable_validation(", "    False,", ")"],
    ],
)
def test_a_switch_is_removed(check, lines: list[str]):
    outcome = check(program(*lines))
    kept = [line for line in lines if "import *" in line]  # what nothing uses any more goes as well
    assert outcome.text == program(*kept)
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.promise == Promise.RUNS_CLEAN and candidate.needs_run
    assert outcome.result.changes == ()


def test_the_last_switch_counts(check):
    outcome = check(program("pyro.enable_validation(True)", "dist.enable_validation(False)"))
    assert outcome.text == program("pyro.enable_validation(True)")


@pytest.mark.parametrize(
    ("line", "fixed"),
    [
        ("pyro.settings.set(validate_infer=False, other=1)", "pyro.settings.set(other=1)"),
        ("pyro.settings.set(other=1, validate_infer=False)", "pyro.settings.set(other=1)"),
        ("pyro.settings.set(validate_infer=False, validate_poutine=True)", "pyro.settings.set(validate_poutine=True)"),
    ],
)
def test_settings_that_stay(check, line: str, fixed: str):
    assert check(program(line)).added == [fixed]


@pytest.mark.parametrize(
    "lines",
    [
        ["pyro.enable_validation(True)"],
        ["pyro.enable_validation()"],
        ["pyro.enable_validation(__debug__)"],
        ["pyro.enable_validation(not __debug__)"],
        ["pyro.enable_validation(args.validate)"],
        ["VALIDATE = False", "pyro.enable_validation(VALIDATE)"],  # a flag of the file
        ["if fast:", "    pyro.enable_validation(False)"],
        ["try:", "    pyro.enable_validation(False)", "except AttributeError:", "    pass"],
        ["pyro = load()", "pyro.enable_validation(False)"],
        ["mine.enable_validation(False)"],
        ["pyro.settings.set(module_local_params=False)"],
        ["pyro.settings.set(**options)"],
        ["with pyro.validation_enabled(False):", "    trace = inspect()"],  # nothing is trained in it
        ["x = dist.Normal(0., 1., validate_args=False)"],  # no site
    ],
)
def test_no_finding(check, lines: list[str]):
    assert check(program(*lines)).findings == ()


def test_under_main_and_in_functions(check):
    text = f"""{PREAMBLE}{TRAINING}
def main():
    pyro.enable_validation(False)
    {STEP}
if __name__ == "__main__":
    pyro.enable_validation(False)
    main()
"""
    outcome = check(text)
    assert len(outcome.findings) == 2
    assert "enable_validation" not in outcome.text


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["pyro.enable_validation(False); x = 1"], "line of its own"),
        (["x = pyro.enable_validation(False)"], "line of its own"),
        (["pyro.enable_validation(False)", "explore()", "pyro.enable_validation(True)"], "line 8 switches it on again"),
        (["pyro.enable_validation(False)", "explore()", "pyro.enable_validation(was)"], "line 8 switches it on again"),
    ],
)
def test_held_back(check, lines: list[str], reason: str):
    assert reason in check(program(*lines)).held_back


@pytest.mark.parametrize(
    ("context", "fixed"),
    [
        ("pyro.validation_enabled(False)", "pyro.validation_enabled()"),
        ("pyro.validation_enabled(is_validate=False)", "pyro.validation_enabled()"),
        ("pyro.settings.context(validate_infer=False)", "pyro.settings.context()"),
    ],
)
def test_a_context_round_the_steps(check, context: str, fixed: str):
    text = f"{PREAMBLE}{TRAINING}with {context}:\n    for i in range(9):\n        {STEP}"
    assert check(text).added == [f"with {fixed}:"]


def test_a_context_round_a_call_that_steps(check):
    text = f"{PREAMBLE}{TRAINING}def train():\n    {STEP}with pyro.validation_enabled(False):\n    train()\n"
    assert check(text).added == ["with pyro.validation_enabled():"]


@pytest.mark.parametrize(
    ("site", "fixed"),
    [
        ("dist.Poisson(z.exp(), validate_args=False)", "dist.Poisson(z.exp())"),
        ("dist.Poisson(validate_args=False, rate=z.exp())", "dist.Poisson(rate=z.exp())"),
        ("dist.Poisson(z.exp(), validate_args=False).to_event(1)", "dist.Poisson(z.exp()).to_event(1)"),
        ("dist.Independent(dist.Poisson(z.exp(), validate_args=False), 1)", "dist.Independent(dist.Poisson(z.exp()), 1)"),
    ],
)  # fmt: skip
def test_arguments_of_a_site(check, site: str, fixed: str):
    assert check(program().replace("dist.Poisson(z.exp())", site)).text == program().replace(
        "dist.Poisson(z.exp())", fixed
    )


@pytest.mark.parametrize(
    ("switch", "held"),
    [
        ("dist.enable_validation(False)", True),
        ("pyro.enable_validation(False)", True),
        ("pyro.settings.set(validate_distributions_torch=False)", True),
        ("pyro.settings.set(validate_poutine=False)", False),
        ("pyro.infer.enable_validation(False)", False),
    ],
)
def test_a_switch_for_pixels_that_may_be_grey(tmp_path: Path, check, switch: str, held: bool):
    text = pixels("logits=z", switch)
    finding = check(text).finding.proposal
    assert ("site 'x' may lie between 0 and 1" in finding.held_back, bool(finding.candidates)) == (held, not held)
    path = tmp_path / "main.py"
    path.write_text(text)
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "Bernoulli" in words)
    white = SiteLook("Bernoulli", "boolean", True, (3,), 0.0, 1.0, (), f"{path}:{line}")
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"x": white}))).findings
    assert finding.proposal.candidates
    assert check(pixels("logits=z, validate_args=True", switch)).finding.proposal.candidates


def test_pixels_that_may_be_grey(tmp_path: Path, check):
    """Only a run tells whether a Bernoulli's data are zeros and ones."""
    text = pixels("logits=z, validate_args=False")
    assert check(text).findings == ()  # as Pyro's own programs have it
    path = tmp_path / "main.py"
    path.write_text(text)
    line = next(number for number, words in enumerate(text.splitlines(), 1) if "validate_args" in words)
    white = SiteLook("Bernoulli", "boolean", True, (3,), 0.0, 1.0, (), f"{path}:{line}")
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"x": white}))).findings
    assert finding.proposal.candidates
    latent = text.replace(", obs=data)", ")").replace(
        'pyro.sample("z", dist', 'pyro.sample("x", dist.Bernoulli(0.5)); pyro.sample("z", dist'
    )
    assert check(latent).finding.proposal.candidates


@pytest.mark.parametrize("value", ["True", "None", "flag"])
def test_arguments_that_are_validated(check, value: str):
    text = program().replace("z.exp())", f"z.exp(), validate_args={value})")
    assert check(text).findings == ()


def test_a_file_that_only_switches(check):
    outcome = check(program(), setup="import pyro\npyro.enable_validation(False)\n")
    assert [f.proposal.path.name for f in outcome.findings] == ["setup.py"]


def test_a_run_shows_what_is_hidden(tmp_path: Path):
    path = tmp_path / "main.py"
    path.write_text(program("pyro.enable_validation(False)"))
    grey = SiteLook("Bernoulli", "boolean", True, (3,), -1.0, 1.0, ("value: 3 of 3 values not boolean",))
    (finding,) = check_shown(path, CODE, Shown(look=look(model={"x": grey}))).findings
    assert finding.proposal.source == "seen"
    assert "model site 'x', Bernoulli: value: 3 of 3 values not boolean" in finding.proposal.message
    assert finding.proposal.candidates  # the error that the patched run reports is for the verdict
    (finding,) = check_shown(path, CODE, Shown()).findings
    assert finding.proposal.source == "static"
