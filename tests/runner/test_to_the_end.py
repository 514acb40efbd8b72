"""Runs that go to the program's own end, what an optimiser clamps on the way, and the referee at the end."""

from __future__ import annotations

import itertools
import math
from types import SimpleNamespace

import pytest
from programs import NORMAL

from pyro_fix.probe import states
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
    late = ["svi-0-late-0.pt", "svi-0-late-1.pt", "svi-0-late-2.pt"]
    kept = sorted(path.name for path in (tmp_path / "states" / "1").iterdir())
    way = sorted(f"svi-0-way-{step}.pt" for step in range(1, 30, 2))
    assert kept == ["svi-0-first.pt", "svi-0-last.pt", *late, *way]
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


def test_a_referee_of_late_steps(project, tmp_path):
    """Of 30 steps the last three: they share the evaluations, the last parameters having the last of them."""
    project.write("p.py", program())
    project.run("p.py", steps=100, to_the_end=True, save_states=tmp_path, expect_svis=1)
    states = {"a": tmp_path / "0"}
    seen = project.run("p.py", steps=30, referee=Referee(states, 12, ("late", "last")), expect_svis=1).svis[0].referee
    assert len(seen["a/late"]) == 12 and seen["a/late"][8:] == seen["a/last"][8:]
    assert not set(seen["a/late"][:8]) & set(seen["a/last"][:8])


def kept(steps: int, share: float, moments: int) -> list[int]:
    """The steps at which parameters are kept, of so many."""
    entry, found, most = SimpleNamespace(made=0), states.Kept(1, share, moments), 0
    for entry.made in range(1, steps + 1):
        found.follow(entry)
        most = max(most, len(found._kept))
    assert most <= 2 * moments
    assert all(step == state for step, state in found.states(entry))
    return [step for step, _ in found.states(entry)]


@pytest.mark.parametrize("steps", [1, 7, 30, 159, 160, 1000, 5003])
def test_late_steps_lie_evenly_over_the_last_tenth(steps: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(states.referee, "snapshot", lambda entry: entry.made)
    late = kept(steps, states.LATE, states.MOMENTS)
    assert all(0.9 * steps < step < steps for step in late)
    assert len({b - a for a, b in itertools.pairwise(late)}) <= 1
    assert len(late) == len(range(int(0.9 * steps) + 1, steps)) if steps < 80 else 4 <= len(late) <= states.MOMENTS


@pytest.mark.parametrize("steps", [1, 7, 30, 160, 5003])
def test_steps_of_the_way_lie_evenly_over_all_of_it(steps: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(states.referee, "snapshot", lambda entry: entry.made)
    way = kept(steps, 1.0, states.POINTS)
    apart = {b - a for a, b in itertools.pairwise(way)}
    assert len(apart) <= 1 and len(way) <= states.POINTS
    assert len(way) == steps - 1 if steps <= states.POINTS else len(way) >= states.POINTS / 2
    assert not way or (way[0] <= 2 * max(apart, default=1) and steps - way[-1] <= 2 * max(apart, default=1))


def test_large_parameters_are_not_kept_over_and_over(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(states.referee, "snapshot", lambda entry: entry.made)
    late = states.Kept(states.MOST_BYTES, states.LATE, states.MOMENTS)
    for made in range(1, 100):
        late.follow(SimpleNamespace(made=made))
    assert late.states(SimpleNamespace(made=100)) == []
