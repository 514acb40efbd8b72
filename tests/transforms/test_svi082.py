"""Every trap of tip 8's particles: they are for losses that a run shows to be mostly noise, and only where asked for."""

from __future__ import annotations

import pytest
from optimisers import PREAMBLE, program
from showing import Shown, look, trajectory
from showing import check as check_shown

pytest_plugins = ["check_fixture"]
CODE = "SVI082"

FLAT = trajectory([1000.0 + 50.0 * (-1) ** t for t in range(100)])
NOISY = Shown([FLAT], look(noise=5.0))


@pytest.fixture
def seen(tmp_path):
    def run(text: str, judge: Shown = NOISY):
        path = tmp_path / "main.py"
        path.write_text(text)
        findings = check_shown(path, CODE, judge).findings
        return [finding.proposal for finding in findings], [finding.diff for finding in findings]

    return run


def with_loss(loss: str, before: str = "") -> str:
    return program('Adam({"lr": 0.01})', before=before).replace("Trace_ELBO())", f"{loss})")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Trace_ELBO()", "Trace_ELBO(num_particles=2, vectorize_particles=True)"),
        ("Trace_ELBO(num_particles=1)", "Trace_ELBO(num_particles=2, vectorize_particles=True)"),
        (
            "Trace_ELBO(max_plate_nesting=1)",
            "Trace_ELBO(max_plate_nesting=1, num_particles=2, vectorize_particles=True)",
        ),
        ("loss=Trace_ELBO()", "loss=Trace_ELBO(num_particles=2, vectorize_particles=True)"),
        (
            "pyro.infer.TraceMeanField_ELBO()",
            "pyro.infer.TraceMeanField_ELBO(num_particles=2, vectorize_particles=True)",
        ),
    ],
)
def test_particles(seen, before: str, after: str):
    (proposal,), (diff,) = seen(with_loss(before))
    assert after in diff and proposal.source == "seen"
    assert [candidate.label for candidate in proposal.candidates] == [
        f"{count} particles, vectorised" for count in (2, 5, 10)
    ]
    assert all(candidate.needs_run for candidate in proposal.candidates)


def test_in_a_variable(seen):
    _, (diff,) = seen(with_loss("elbo", "elbo = Trace_ELBO()\n"))
    assert "+elbo = Trace_ELBO(num_particles=2, vectorize_particles=True)\n" in diff


@pytest.mark.parametrize(
    "loss",
    [
        "Trace_ELBO(num_particles=3)",
        "Trace_ELBO(num_particles=n)",
        "Trace_ELBO(vectorize_particles=False)",
        "Trace_ELBO(1)",
        "Trace_ELBO(**options)",
    ],
)
def test_particles_of_its_own(seen, loss: str):
    assert seen(with_loss(loss, "options = load()\nn = load()\n"))[0] == []


@pytest.mark.parametrize(
    "judge",
    [
        Shown([trajectory()], look(noise=5.0)),
        Shown([FLAT], look(noise=0.5)),
        Shown([FLAT], look(noise=5.0), particles=4),
        Shown([FLAT, trajectory(), trajectory()], look(noise=5.0)),
        Shown([trajectory(FLAT.losses[:10])], look(noise=5.0)),
        Shown([], look(noise=5.0)),
    ],
    ids=["progress", "signal", "particles", "most seeds", "short", "no step"],
)
def test_nothing_to_say(seen, judge: Shown):
    assert seen(with_loss("Trace_ELBO()"), judge)[0] == []


@pytest.mark.parametrize(
    ("loss", "before"),
    [("Trace_ELBO", ""), ("loss_fn", "def loss_fn(model, guide, data):\n    return 0.\n"), ("elbo", "elbo = load()\n")],
)
def test_no_call_to_give_them_to(seen, loss: str, before: str):
    (proposal,), _ = seen(with_loss(loss, before))
    assert proposal.candidates == () and "not built by a call" in proposal.held_back


def test_models_that_expect_one_particle(seen):
    text = (
        PREAMBLE + "svi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\nfor _ in range(9):\n    svi.step(0)\n"
    ).replace('z = pyro.sample("z", dist.Normal(0., 1.))', 'z = pyro.sample("z", dist.Normal(0., 1.)).item()')
    (proposal,), _ = seen(text)
    assert proposal.candidates == () and "one particle" in proposal.held_back


def test_nothing_without_a_run(check):
    assert check(with_loss("Trace_ELBO()")).findings == ()
