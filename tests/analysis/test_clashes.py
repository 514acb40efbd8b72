"""What Pyro refuses, told without a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from reading import PREAMBLE, read

from pyro_fix import sources
from pyro_fix.analysis.clashes import clashes
from pyro_fix.analysis.project import Project

CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"


@pytest.fixture
def told(tmp_path):
    """What Pyro would say of a model and a guide."""

    def words(model: str, guide: str = "pass") -> list[str]:
        text = f"{PREAMBLE}\ndef model(x):\n    {model}\ndef guide(x):\n    {guide}\n"
        program = read(tmp_path, f"{text}svi = SVI(model, guide, Adam({{}}), Trace_ELBO())\n")
        return [clash.words for clash in clashes(program, program.svis[0])]

    return words


@pytest.mark.parametrize(
    ("name", "line", "words"),
    [
        ("model_clash", 10, "Multiple sample sites named 'z'"),
        ("event_dims", 16, "Model and guide event_dims disagree at site 'z': 1 vs 2"),
    ],
)
def test_cases(name: str, line: int, words: str):
    program = Project().read([sources.read(CASES / f"{name}.py")])
    assert [(c.site.call.lineno, c.words) for c in clashes(program, program.svis[0])] == [(line, words)]


Z = 'pyro.sample("z", dist.Normal(0., 1.))'


@pytest.mark.parametrize(
    "model",
    [
        f"{Z}\n    {Z}",
        f'{Z}\n    with pyro.plate("d", 3):\n        {Z}',
        f"for i in range(3):\n        {Z}",
        f"for i in pyro.plate('p', 3):\n        {Z}".replace("pyro.plate('p', 3)", "[1, 2]"),
    ],
)
def test_one_name_twice(told, model: str):
    assert told(model) == ["Multiple sample sites named 'z'"]


@pytest.mark.parametrize(
    "model",
    [
        f"if x:\n        {Z}\n    else:\n        {Z}",
        f"{Z}\n    if x:\n        {Z}",
        f"for i in range(3):\n        {Z.replace(chr(34) + 'z' + chr(34), 'f' + chr(34) + 'z{i}' + chr(34))}",
        f"if x:\n        for i in range(3):\n            {Z}",
        f"for i in range(1):\n        {Z}",
        f"for i in x:\n        {Z}",
        f"with scope(prefix='a'):\n        {Z}\n    {Z}",
        f"{Z}\n    {Z.replace('z', 'w')}",
    ],
)
def test_names_that_need_not_meet(told, model: str):
    assert told(model) == []


@pytest.mark.parametrize(
    ("first", "second", "collide"),
    [
        ('pyro.plate("a", 3, dim=-1)', 'pyro.plate("b", 4, dim=-1)', True),
        ('pyro.plate("a", 3, dim=-2)', 'pyro.plate("b", 4, dim=-1)', False),
        ('pyro.plate("a", 3)', 'pyro.plate("b", 4)', False),
        ('pyro.plate("a", 3, dim=-1)', 'pyro.plate("b", 4)', False),
        ('pyro.plate("a", 3, dim=k)', 'pyro.plate("b", 4, dim=k)', False),
    ],
)
def test_plates(told, first: str, second: str, collide: bool):
    words = ["collide at dim=-1: plate 'a' and plate 'b'"] if collide else []
    assert told(f"with {first}, {second}:\n        {Z}") == words


def draws(distribution: str) -> str:
    return f'pyro.sample("z", {distribution})'


@pytest.mark.parametrize(
    ("model", "guide", "words"),
    [
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(torch.zeros(2), 1.)", "event_dims disagree"),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(torch.zeros(3), 1.).to_event(1)", "[2] vs [3]"),
        ("dist.Normal(torch.zeros(2), 1.)", "dist.Normal(torch.zeros(3), 1.)", "[2] vs [3]"),
        ("dist.Normal(torch.zeros(2), 1.)", "dist.Normal(torch.zeros(1), 1.)", "[2] vs [1]"),
        ("dist.Normal(torch.zeros(1), 1.)", "dist.Normal(0., 1.)", ""),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(torch.zeros(2), 1.).to_event(1)", ""),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.Normal(load(), 1.).to_event(1)", ""),
        ("dist.Normal(torch.zeros(2), 1.).to_event(1)", "dist.MultivariateNormal(x, x)", ""),
    ],
)
def test_shapes(told, model: str, guide: str, words: str):
    found = told(draws(model), draws(guide))
    assert len(found) == bool(words)
    assert all(words in one for one in found)


def test_what_a_caller_loops_over_or_opens_is_not_the_model_s_own(tmp_path):
    """Plotting ten draws of a guide makes ten traces, and a plate for many samples is none of the SVI object's."""
    program = read(
        tmp_path,
        f"""{PREAMBLE}
def model(x):
    with pyro.plate("data", 3, dim=-1):
        {Z}
def guide(x):
    with pyro.plate("data", 3, dim=-1):
        {Z}
def draw(x):
    for i in range(10):
        guide(x)
    with pyro.plate("samples", 100, dim=-1):
        return guide(x)
svi = SVI(model, guide, Adam({{}}), Trace_ELBO())
for i in range(10):
    model(None)
with pyro.plate("samples", 100, dim=-1):
    model(None)
draw(None)
""",
    )
    assert not list(clashes(program, program.svis[0]))


def test_loops_and_plates_of_what_the_model_calls_are_its_own(tmp_path):
    program = read(
        tmp_path,
        f"""{PREAMBLE}
def step(x):
    {Z}
def model(x):
    for i in range(3):
        step(x)
    with pyro.plate("a", 2, dim=-1):
        outer(x)
def outer(x):
    with pyro.plate("b", 3, dim=-1):
        pyro.sample("y", dist.Normal(0., 1.), obs=x)
svi = SVI(model, lambda x: None, Adam({{}}), Trace_ELBO())
""",
    )
    words = [clash.words for clash in clashes(program, program.svis[0])]
    assert words == ["Multiple sample sites named 'z'", "collide at dim=-1: plate 'a' and plate 'b'"]
