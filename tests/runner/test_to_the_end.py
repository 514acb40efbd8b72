"""Runs that go to the program's own end, what an optimiser clamps on the way, and the referee at the end."""

from __future__ import annotations

import math

import pytest
from programs import NORMAL

from pyro_fix.runner.model import Referee

LOOP = """
svi = SVI(model, guide, {optimizer}, Trace_ELBO())
for step in range(30):
    svi.step({data})
"""


def program(optimizer: str = 'Adam({"lr": 0.01})', data: str = "data") -> str:
    return NORMAL.replace("import Adam", "import Adam, ClippedAdam") + LOOP.format(optimizer=optimizer, data=data)


def test_no_call_is_made_again(project, tmp_path):
    project.write("p.py", program())
    seen = project.run("p.py", steps=100, seeds=(0, 1), to_the_end=True, save_states=tmp_path / "states", expect_svis=1)
    assert [(len(t.losses), t.finished, t.own) for t in seen.svis[0].trajectories] == [(30, True, None)] * 2
    assert sorted(path.name for path in (tmp_path / "states" / "1").iterdir()) == ["svi-0-first.pt", "svi-0-last.pt"]
    again = project.run("p.py", steps=100, seeds=(0,), expect_svis=1)
    assert [(len(t.losses), t.own) for t in again.svis[0].trajectories] == [(100, 30)]
    assert again.svis[0].trajectories[0].losses[:30] == seen.svis[0].trajectories[0].losses


@pytest.mark.parametrize(
    ("optimizer", "data", "clamped"),
    [
        ('ClippedAdam({"lr": 0.01})', "data", 30),
        ('ClippedAdam({"lr": 0.01, "clip_norm": 1e6})', "data", 0),
        ('ClippedAdam({"lr": 0.01, "clip_norm": float("inf")})', "data", 0),
        # a gradient that is longer than the clamp, with no element beyond it, or with one at some steps only
        ('ClippedAdam({"lr": 0.001, "clip_norm": 1000.0})', "data * (1000 if step % 3 == 0 else 1)", 10),
        ('Adam({"lr": 0.01})', "data", 0),
    ],
)
def test_steps_whose_gradient_is_clamped(project, optimizer: str, data: str, clamped: int):
    project.write("p.py", program(optimizer, data))
    seen = project.run("p.py", steps=30, expect_svis=1)
    assert [t.clamped for t in seen.svis[0].trajectories] == [clamped]


def test_a_referee_of_ends_looks_at_as_many_batches(project, tmp_path):
    """Batches differ, and 12 of them tell more than the first eight."""
    project.write("p.py", program(data="data[step : step + 3]"))
    project.run("p.py", steps=30, save_states=tmp_path, expect_svis=1)
    states = {"a": tmp_path / "0"}
    often = project.run("p.py", steps=30, referee=Referee(states, 12, ("last",)), expect_svis=1).svis[0].referee
    assert set(often) == {"a/last"} and len(set(often["a/last"])) == 12 and all(map(math.isfinite, often["a/last"]))
    seldom = project.run("p.py", steps=30, referee=Referee(states, 8), expect_svis=1).svis[0].referee
    assert seldom["a/last"] == often["a/last"][:8]
