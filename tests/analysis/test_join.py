"""What runs show, joined to what the source says: a run withdraws what it contradicts, and adds what only it saw."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from reading import param, read, uses

from pyro_fix.analysis.join import join
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.requirements import requirement
from pyro_fix.observation import Feed, Look, Observation, ParamLook, SiteLook, SviObservation

HEAD = "import torch, pyro\nimport pyro.distributions as dist\n"


def look(params: dict[str, int], sites: dict[str, tuple[int, str, list[Feed]]], *, facts: bool = True) -> Look:
    """Parameters by the lines that made them, guide sites by line, distribution and feeds."""
    return Look(
        params={
            name: ParamLook((), "real", (1.0,), 1.0, 1.0, f"main.py:{line}" if line else "")
            for name, line in params.items()
        },
        guide={
            name: SiteLook(kind, "real", False, (), -1.0, 1.0, where=f"main.py:{line}", feeds=tuple(feeds))
            for name, (line, kind, feeds) in sites.items()
        },
        model={},
        losses=(),
        gradients={},
        gradient_norms=(),
        max_plate_nesting=0 if facts else None,
    )


def run(folder: Path, *looks: Look) -> Observation:
    svis = tuple(
        SviObservation(i, "main.py:99", "Trace_ELBO", "Adam", 1, (), look=look) for i, look in enumerate(looks)
    )
    return Observation("python main.py", "python", {}, "cpu", svis, {}, (), None, (), 0.0, str(folder))


def feed(argument: str, param: str, *operations: str, unchanged: bool | None = None) -> Feed:
    required = "real" if argument == "loc" else "positive"
    return Feed(argument, required, param, operations, not operations if unchanged is None else unchanged)


BARE = HEAD + "def guide():\n    s = pyro.param('s', torch.tensor(1.0))\n    pyro.sample('z', dist.Normal(0.0, s))\n"


def joined(folder: Path, text: str, *looks: Look) -> Program:
    program = read(folder, text)
    join(program, [run(folder, *looks)])
    return program


def test_a_run_confirms(tmp_path):
    program = joined(tmp_path, BARE, look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s")])}))
    assert uses(program) == [("Normal", "scale", True)]
    assert [use.source for use in param(program).uses] == ["static"]
    assert requirement(program, param(program)).source == "static"


@pytest.mark.parametrize(
    "feeds",
    [[feed("scale", "s", "Exp")], [], [feed("loc", "s")], [feed("scale", "other")]],
    ids=["changed", "nothing", "another argument", "another param"],
)
def test_a_run_contradicts(tmp_path, feeds):
    program = joined(tmp_path, BARE, look({"s": 4}, {"z": (5, "Normal", feeds)}))
    assert ("Normal", "scale", True) not in uses(program)


@pytest.mark.parametrize(
    ("params", "sites", "facts"),
    [
        ({}, {"z": (5, "Normal", [])}, True),
        ({"s": 4}, {}, True),
        ({"s": 4}, {"z": (5, "LogNormal", [])}, True),
        ({"s": 4}, {"z": (5, "Normal", [])}, False),
        ({"s": 4}, {"z": (5, "Normal", [feed("scale", "s", unchanged=False)])}, True),
    ],
    ids=["param not made", "site not reached", "another distribution", "no facts gathered", "operations not seen"],
)
def test_a_run_that_did_not_see_says_nothing(tmp_path, params, sites, facts):
    program = joined(tmp_path, BARE, look(params, sites, facts=facts))
    assert ("Normal", "scale", True) in uses(program)


def test_one_look_that_confirms_is_enough(tmp_path):
    program = joined(
        tmp_path,
        BARE,
        look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s", "Exp")])}),
        look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s")])}),
    )
    assert uses(program) == [("Normal", "scale", True)]


HIDDEN = (
    HEAD
    + "table = {}\ndef guide():\n    table.update(s=pyro.param('s', torch.tensor(1.0)))\n    scale = unknown(table)\n"
    + "    pyro.sample('z', dist.Gamma(1.0, scale))\n"
)


def test_a_run_adds_what_the_source_does_not_show(tmp_path):
    site = (7, "Gamma", [Feed("rate", "positive", "s", (), True)])
    program = joined(tmp_path, HIDDEN, look({"s": 5}, {"z": site}))
    (use,) = param(program).uses
    assert (use.distribution.name, use.argument, use.required) == ("pyro.distributions.Gamma", "rate", "positive")
    assert (use.source, use.unchanged, use.reshaped) == ("seen", True, False)
    assert use.distribution is program.sites[0].distribution and use.functions == program.sites[0].functions
    needed = requirement(program, param(program))
    assert (needed.source, needed.required) == ("seen", "positive")
    assert needed.wish() == "Gamma's rate, which must be positive"


def test_what_the_source_calls_changed_is_not_added(tmp_path):
    """It goes both ways, and a constraint would be applied to both."""
    text = BARE.replace("dist.Normal(0.0, s)", "dist.Normal(0.0, s if flag else s.exp())")
    program = joined(tmp_path, text, look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s")])}))
    assert uses(program) == [("Normal", "scale", False)]


NAMESPACE = BARE.replace("s = pyro.param('s', torch.tensor(1.0))", "s = unknown(pyro.param('s', torch.tensor(1.0)))")


def test_a_run_looks_into_what_the_source_hides(tmp_path):
    assert uses(read(tmp_path, NAMESPACE)) == [("Normal", "scale", False)]
    program = joined(tmp_path, NAMESPACE, look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s")])}))
    assert uses(program) == [("Normal", "scale", True)] and param(program).uses[0].source == "seen"
    program = joined(tmp_path, NAMESPACE, look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s", "Exp")])}))
    assert uses(program) == [("Normal", "scale", False)]


def test_looks_that_disagree_change_nothing(tmp_path):
    looks = [look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s", *ops)])}) for ops in ((), ("Exp",))]
    assert uses(joined(tmp_path, NAMESPACE, *looks)) == [("Normal", "scale", False)]


MAKER = (
    HEAD
    + "def make(name, value):\n    return pyro.param(name, value)\n"
    + "def guide():\n    a, b = unknown(make)\n    pyro.sample('z', dist.Normal(a, b))\n"
)


def test_a_call_that_makes_several_params_needs_all_of_them_to_agree(tmp_path):
    differ = {"z": (7, "Normal", [feed("loc", "a"), feed("scale", "b")])}
    assert [u.argument for u in param(joined(tmp_path, MAKER, look({"a": 4, "b": 4}, differ))).uses] == []
    agree = {"z": (7, "Normal", [feed("scale", "a"), feed("scale", "b")])}
    assert [u.argument for u in param(joined(tmp_path, MAKER, look({"a": 4, "b": 4}, agree))).uses] == ["scale"]


def test_a_distribution_from_elsewhere_gets_a_stand_in(tmp_path):
    text = HEAD + "def guide():\n    s = pyro.param('s', torch.tensor(1.0))\n    pyro.sample('z', unknown(s))\n"
    program = joined(tmp_path, text, look({"s": 4}, {"z": (5, "Normal", [feed("scale", "s")])}))
    (use,) = param(program).uses
    assert (use.distribution.name, use.distribution.node) == ("pyro.distributions.Normal", program.sites[0].call)
    assert use.source == "seen"


def test_matrices_remember_that_they_were_moved(tmp_path):
    moved = replace(feed("scale", "s", "Transpose"), unchanged=True)
    program = joined(tmp_path, HIDDEN.replace("Gamma(1.0", "Normal(0.0"), look({"s": 5}, {"z": (7, "Normal", [moved])}))
    assert param(program).uses[0].reshaped


def test_without_runs_nothing_changes(tmp_path):
    program = read(tmp_path, BARE)
    join(program, [])
    assert uses(program) == [("Normal", "scale", True)] and program.seen.runs == ()
