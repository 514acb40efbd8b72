"""SVI051, SVI052, SVI053 and SVI161 where a run speaks: what only it shows, what it denies, and how near it came."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from pyro_fix_transforms.svi051_unconstrained_param import UnconstrainedParam
from pyro_fix_transforms.svi052_unconstrained_pyro_param import UnconstrainedPyroParam
from pyro_fix_transforms.svi053_wrong_constraint import WrongConstraint
from pyro_fix_transforms.svi161_param_near_boundary import ParamNearBoundary

from pyro_fix import sources
from pyro_fix.analysis.join import join
from pyro_fix.analysis.project import Project
from pyro_fix.observation import Feed, Look, Observation, ParamLook, SiteLook, SviObservation, Trajectory
from pyro_fix.transform import Proposal, Transform

HEAD = """\
import torch, pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam
from elsewhere import passed_on
"""


def proposals(
    transform: Transform, folder: Path, text: str, site: tuple[str, Feed], low: float = 0.5
) -> list[Proposal]:
    """What a transform says of a program in which one site of a run, on its last line, has one feed."""
    path = folder / "main.py"
    path.write_text(HEAD + textwrap.dedent(text))
    lines = path.read_text().splitlines()
    (made,) = [number for number, line in enumerate(lines, 1) if "pyro.param(" in line or "= PyroParam(" in line]
    kind, feed = site
    look = Look(
        params={feed.param: ParamLook((), "real", (1.0,), 1.0, 1.0, f"main.py:{made}")},
        guide={"z": SiteLook(kind, "real", False, (), -1.0, 1.0, where=f"main.py:{len(lines)}", feeds=(feed,))},
        model={},
        losses=(),
        gradients={},
        gradient_norms=(),
        max_plate_nesting=0,
    )
    trajectory = Trajectory(0, (1.0,), ((0.1,),), (1.0,), 0.1, None, None, {feed.param: (low, 2.0)})
    svi = SviObservation(0, "main.py:99", "Trace_ELBO", "Adam", 1, (trajectory,), look)
    run = Observation("python main.py", "python", {}, "cpu", (svi,), {}, (), None, (), 0.0, str(folder))
    program = Project().read([sources.read(path)])
    join(program, [run])
    return list(transform.propose(program))


BARE = """
def guide():
    s = pyro.param("s", torch.tensor(1.0))
    pyro.sample("z", dist.Normal(0.0, {s}))
"""
UNCHANGED = Feed("scale", "positive", "s", (), True)
CHANGED = Feed("scale", "positive", "s", ("Exp",), False)


def test_a_run_finds_what_the_source_hides(tmp_path):
    (found,) = proposals(UnconstrainedParam(), tmp_path, BARE.format(s="passed_on(s)"), ("Normal", UNCHANGED))
    assert (found.source, found.message) == (
        "seen",
        "param 's' has no constraint, but it is Normal's scale, which must be positive",
    )
    assert found.candidates[0].needs_run


def test_a_run_that_agrees_leaves_the_word_to_the_source(tmp_path):
    (found,) = proposals(UnconstrainedParam(), tmp_path, BARE.format(s="s"), ("Normal", UNCHANGED))
    assert found.source == "static" and not found.candidates[0].needs_run


def test_a_run_that_disagrees_withdraws(tmp_path):
    assert proposals(UnconstrainedParam(), tmp_path, BARE.format(s="s"), ("Normal", CHANGED)) == []


@pytest.mark.parametrize("feed", [UNCHANGED, CHANGED], ids=["unchanged", "changed"])
def test_what_depends_on_the_way_is_left_alone(tmp_path, feed):
    text = BARE.format(s="s if flag else torch.exp(s)")
    assert proposals(UnconstrainedParam(), tmp_path, text, ("Normal", feed)) == []


def test_what_cannot_be_read_is_held_back(tmp_path):
    text = BARE.format(s="passed_on(s)").replace("torch.tensor(1.0)", "torch.tensor(-1.0)")
    (found,) = proposals(UnconstrainedParam(), tmp_path, text, ("Normal", UNCHANGED))
    assert found.source == "seen" and found.held_back.startswith("its initial value would violate the constraint")


def test_attributes_of_modules(tmp_path):
    text = """
    class Net(PyroModule):
        def __init__(self):
            super().__init__()
            self.s = PyroParam(torch.tensor(1.0))

        def forward(self):
            pyro.sample("z", dist.Normal(0.0, passed_on(self.s)))
    """
    (found,) = proposals(UnconstrainedPyroParam(), tmp_path, text.rstrip(), ("Normal", UNCHANGED))
    assert found.source == "seen" and found.candidates


def test_a_wrong_constraint(tmp_path):
    text = """
    def guide():
        p = pyro.param("p", torch.tensor(0.5), constraint=constraints.positive)
        pyro.sample("z", dist.Bernoulli(passed_on(p)))
    """
    feed = Feed("probs", "unit_interval", "p", (), True)
    (found,) = proposals(WrongConstraint(), tmp_path, text.rstrip(), ("Bernoulli", feed))
    assert found.source == "seen" and found.candidates[0].label == "constraint unit_interval"


CONCENTRATION = """
def guide():
    a = pyro.param("a", torch.tensor(2.0), constraint=constraints.positive)
    pyro.sample("z", dist.Gamma({a}, 1.0))
"""


@pytest.mark.parametrize(("a", "source"), [("a", "static"), ("passed_on(a)", "seen")])
def test_how_near_the_run_came(tmp_path, a, source):
    feed = Feed("concentration", "positive", "a", (), True)
    text = CONCENTRATION.format(a=a)
    (found,) = proposals(ParamNearBoundary(), tmp_path, text, ("Gamma", feed), low=0.00213)
    assert found.message == (
        "a is Gamma's concentration and may come arbitrarily near 0; in the run it came down to 0.00213"
    )
    assert (found.source, found.candidates[0].needs_run) == (source, source == "seen")


def test_a_run_that_broke_says_nothing_of_the_boundary(tmp_path):
    feed = Feed("concentration", "positive", "a", (), True)
    (found,) = proposals(ParamNearBoundary(), tmp_path, CONCENTRATION.format(a="a"), ("Gamma", feed), low=float("nan"))
    assert found.message.endswith("near 0")
