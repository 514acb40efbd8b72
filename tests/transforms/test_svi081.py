"""Every trap of tip 8."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI081"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import *
from pyro.optim import Adam
"""

GUIDE = """
def guide(data):
    pyro.sample("z", dist.Normal(0., 1.))
"""

ADDED = "vectorize_particles=True"


def program(*model: str, elbo: str = "Trace_ELBO(num_particles=10)", guide: str = GUIDE, before: str = "") -> str:
    body = "".join(f"    {line}\n" for line in model)
    return f"{PREAMBLE}{before}def model(data):\n{body}{guide}svi = SVI(model, guide, Adam({{}}), {elbo})\n"


Z = 'z = pyro.sample("z", dist.Normal(0., 1.))'


@pytest.mark.parametrize(
    ("elbo", "fixed"),
    [
        ("Trace_ELBO(num_particles=10)", "Trace_ELBO(num_particles=10, vectorize_particles=True)"),
        ("Trace_ELBO(10)", "Trace_ELBO(10, vectorize_particles=True)"),
        ("TraceMeanField_ELBO(num_particles=2)", "TraceMeanField_ELBO(num_particles=2, vectorize_particles=True)"),
        ("TraceEnum_ELBO(num_particles=2, max_plate_nesting=1)", "TraceEnum_ELBO(num_particles=2, max_plate_nesting=1, vectorize_particles=True)"),
        ("JitTrace_ELBO(num_particles=2, ignore_jit_warnings=True)", "JitTrace_ELBO(num_particles=2, ignore_jit_warnings=True, vectorize_particles=True)"),
        ("Trace_ELBO(num_particles=K)", "Trace_ELBO(num_particles=K, vectorize_particles=True)"),
    ],
)  # fmt: skip
def test_proposed_and_left_to_a_run(check, elbo: str, fixed: str):
    outcome = check(program(Z, elbo=elbo, before="K = 5\n"))
    assert fixed in outcome.text
    assert outcome.result.changes == ()  # the source alone cannot tell that every shape is right
    assert outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize(
    "elbo",
    ["Trace_ELBO()", "Trace_ELBO(num_particles=1)", "Trace_ELBO(num_particles=n)",
     "Trace_ELBO(num_particles=10, vectorize_particles=True)", "Trace_ELBO(num_particles=10, vectorize_particles=False)",
     "Trace_ELBO(10, 1, 1, True)", "Trace_ELBO(10, float('inf'), 1, True)", "Trace_ELBO(**options)", "Trace_ELBO(num_particles=10, **options)",
     "Trace_ELBO(num_particles=10, vectorize_particles=flag)"],
)  # fmt: skip
def test_no_finding(check, elbo: str):
    outcome = check(program(Z, elbo=elbo, before="n, options, flag = load()\n"))
    assert not any(f.proposal.candidates for f in outcome.findings)


@pytest.mark.parametrize(
    "lines",
    [
        ["if z > 0:", "    pass"],
        ["while z > 0:", "    break"],
        ["z.item()"],
        ["k = int(z)"],
        ["k = float(z)"],
        ["z.tolist()"],
        ["z.detach().numpy()"],
        ["y = z.t()"],
        ["for i in pyro.plate('data', 10):", "    pyro.sample(f'x_{i}', dist.Normal(z, 1.), obs=data[i])"],
        ["for i, j in enumerate(pyro.plate('data', 10)):", "    pass"],
        ["plate = pyro.plate('data', 10)", "for i in plate:", "    pass"],
        ["y = 1 if z > 0 else 2"],
        ["assert z > 0"],
        ["y = z > 0 and data"],
        ["for i in range(int(z)):", "    pass"],
        ["w = z * 2", "if (w > 0).any():", "    pass"],
    ],
)
def test_code_that_expects_one_particle(check, lines: list[str]):
    assert "expects one particle" in check(program(Z, *lines)).held_back


def test_code_that_does_not_look_at_samples(check):
    text = program(Z, "if data.item() > 3:", "    pass", "for i in range(3):", "    pass", "if z is None:", "    pass")
    assert ADDED in check(text).text


def test_in_a_helper_of_the_model(check):
    text = program(Z, "y = transform(z)", before="def transform(x):\n    return x.item()\n")
    assert "expects one particle" in check(text).held_back


def test_in_the_guide(check):
    guide = GUIDE.replace("pyro.sample", "z = pyro.sample") + "    z.item()\n"
    assert "expects one particle" in check(program(Z, guide=guide)).held_back


def test_in_another_function(check):
    text = program(Z) + "def report(data):\n    z = pyro.sample('q', dist.Normal(0., 1.))\n    print(z.item())\n"
    assert ADDED in check(text).text


def test_model_behind_a_wrapper(check):
    text = program(Z, "z.item()").replace("SVI(model,", "SVI(pyro.poutine.scale(model, scale=0.1),")
    assert "expects one particle" in check(text).held_back


def test_elbo_in_a_variable(check):
    text = program(Z, elbo="elbo", before="elbo = Trace_ELBO(num_particles=3)\n")
    assert check(text).added == [f"elbo = Trace_ELBO(num_particles=3, {ADDED})"]


def test_elbo_chosen_by_a_flag(check):
    before = "elbo = JitTrace_ELBO if flag else Trace_ELBO\n"
    text = program(Z, elbo="elbo(num_particles=3)", before=before)
    assert f"elbo(num_particles=3, {ADDED})" in check(text).text


def test_suppression(check):
    text = program(Z).replace("num_particles=10))", "num_particles=10))  # noqa: SVI081")
    assert check(text).findings == ()
