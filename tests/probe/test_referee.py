"""The referee evaluates an autoguide that the program itself does not have, round its own model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal

from pyro_fix.probe import referee
from pyro_fix.probe.params import Params


def model(data: object) -> None:
    offset = pyro.param("offset", torch.tensor(0.5))
    z = pyro.sample("z", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", 3):
        pyro.sample("x", dist.Normal(z + offset, 1.0), obs=torch.tensor([1.0, 2.0, 3.0]))


def guide(data: object) -> None:
    pyro.sample("z", dist.LogNormal(pyro.param("a", torch.tensor(0.0)), 0.1))


@pytest.fixture(autouse=True)
def empty_store() -> None:
    pyro.clear_param_store()


def entry(model: Any, guide: Any) -> Any:
    params = Params()
    with poutine.trace(param_only=True) as capture:
        Trace_ELBO().loss(model, guide, None)
    params.update(capture.trace)
    return SimpleNamespace(
        ordinal=0, model=model, guide=guide, args=(None,), kwargs={}, batches=[], loss=Trace_ELBO().loss, params=params
    )


def saved(trained: Any, path: Path) -> list[float]:
    """Leave a state that is not the initial one; returns its losses."""
    for _, param in trained.params:
        param.unconstrained.data.add_(0.25)
    referee.save(referee.snapshot(trained), str(path))
    return [referee._evaluate(trained, trained.guide, number) for number in range(3)]


def scaled(program: Any) -> Any:
    return poutine.scale(program, scale=0.5)


@pytest.mark.parametrize("kind", [AutoNormal, AutoDelta])
@pytest.mark.parametrize("wrap", [lambda program: program, scaled])
def test_another_guide_round_the_same_model(tmp_path: Path, kind: Any, wrap: Any) -> None:
    path = tmp_path / "state.pt"
    expected = saved(entry(wrap(model), wrap(kind(model))), path)
    pyro.clear_param_store()
    original = entry(wrap(model), wrap(guide))
    made, problem = referee._load(original, str(path), {"": (original.guide, original.params)})
    assert problem == ""
    assert [referee._evaluate(original, made, number) for number in range(3)] == expected


def test_the_same_guide_is_the_programs_own(tmp_path: Path) -> None:
    path = tmp_path / "state.pt"
    expected = saved(entry(model, guide), path)
    pyro.clear_param_store()
    original = entry(model, guide)
    made, problem = referee._load(original, str(path), {"": (original.guide, original.params)})
    assert (made, problem) == (guide, "")
    assert [referee._evaluate(original, made, number) for number in range(3)] == expected


def test_an_autoguide_of_another_model(tmp_path: Path) -> None:
    def other(data: object) -> None:
        pyro.sample("w", dist.Normal(0.0, 1.0))

    saved(entry(other, AutoNormal(other)), tmp_path / "state.pt")
    pyro.clear_param_store()
    original = entry(model, guide)
    _, problem = referee._load(original, str(tmp_path / "state.pt"), {"": (original.guide, original.params)})
    assert problem.startswith("parameters differ")


def test_a_guide_within_another_handler_is_not_replaced(tmp_path: Path) -> None:
    saved(entry(model, AutoNormal(model)), tmp_path / "state.pt")
    pyro.clear_param_store()
    original = entry(model, poutine.block(guide, hide=["none"]))
    with pytest.raises(TypeError, match="BlockMessenger"):
        referee._load(original, str(tmp_path / "state.pt"), {"": (original.guide, original.params)})


def test_a_subclass_of_an_autoguide_is_not_known() -> None:
    class Mine(AutoNormal):
        """Does what it likes."""

    assert referee._autoguide(AutoNormal(model)) == "AutoNormal"
    assert referee._autoguide(Mine(model)) == referee._autoguide(guide) == ""


def test_what_was_made_leaves_the_store(tmp_path: Path) -> None:
    """Where a fork is not safe the program goes on in this very process."""
    saved(entry(model, AutoNormal(model)), tmp_path / "state.pt")
    pyro.clear_param_store()
    original = entry(model, guide)
    guides = {"": (original.guide, original.params)}
    referee.restoring(original.params, lambda: referee._load(original, str(tmp_path / "state.pt"), guides))
    assert set(pyro.get_param_store().keys()) == {"offset", "a"}
    assert pyro.param("offset").item() == 0.5
