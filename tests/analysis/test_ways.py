"""How many steps there are where a program has several ways, or gives up on one."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from reading import PREAMBLE, read

from pyro_fix import sources
from pyro_fix.analysis.project import Project
from pyro_fix.analysis.spell import StepCount, step_count

CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"
HEAD = f"""{PREAMBLE}
import math

def model(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))

num_steps, data, flag = load(), load(), load()
optim = Adam({{"lr": 0.01}})
"""
ONE = "SVI(model, model, optim, Trace_ELBO())"
LOOP = "for i in range(num_steps):\n    svi.step(data)\n"


@pytest.fixture
def counted(tmp_path):
    """The step count of the first optimiser of a program."""

    def count(text: str) -> StepCount:
        program = read(tmp_path, HEAD + textwrap.dedent(text))
        made = [made for made in program.made if made.name == "pyro.optim.Adam"]
        return step_count(program, made[0], made[0].scope)

    return count


def looped(body: str) -> str:
    return f"svi = {ONE}\nfor i in range(num_steps):\n{textwrap.indent(textwrap.dedent(body), '    ')}"


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("abort_on_error", "num_steps"),
        ("step_in_both_branches", "num_steps"),
        ("exclusive_svis", "num_steps"),
        ("replaced_svi", "1000"),
        ("scheduler_of_adam", "1000"),
    ],
)
def test_cases(name: str, source: str):
    program = Project().read([sources.read(CASES / f"{name}.py")])
    (made,) = [made for made in program.made if made.name.startswith("pyro.optim.")]
    assert step_count(program, made, made.scope).source == source


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    svi.step(data)\nexcept (ValueError, RuntimeError):\n    print('bad')\n    break\n",
        "try:\n    svi.step(data)\nexcept KeyboardInterrupt:\n    break\n",
        "try:\n    svi.step(data)\nexcept torch.linalg.LinAlgError as e:\n    break\n",
        "try:\n    svi.step(data)\nexcept Exception as e:\n    print(e)\n    break\n",
        "try:\n    svi.step(data)\nexcept:\n    break\n",
        "loss = svi.step(data)\nif math.isnan(loss):\n    break\n",
        "loss = svi.step(data)\nif torch.isnan(loss).any() or torch.isinf(loss).any():\n    print('nan')\n    break\n",
        "loss = svi.step(data)\nif not math.isfinite(loss):\n    break\n",
        "try:\n    if math.isnan(svi.step(data)):\n        raise ValueError('nan')\nexcept ValueError:\n    break\n",
    ],
)
def test_giving_up_is_no_early_stop(counted, body: str):
    assert counted(looped(body)).source == "num_steps"


@pytest.mark.parametrize(
    "body",
    [
        "try:\n    svi.step(next(data))\nexcept StopIteration:\n    break\n",
        "try:\n    svi.step(next(data))\nexcept Exception:\n    break\n",
        "try:\n    if svi.step(data) < 1:\n        raise ValueError('done')\nexcept ValueError:\n    break\n",
        "try:\n    stop(svi.step(data))\nexcept Stop:\n    break\n",
        "def check(loss):\n    if loss < 1:\n        raise RuntimeError\ntry:\n    check(svi.step(data))\nexcept RuntimeError:\n    break\n",
        "try:\n    svi.step(data)\nexcept ValueError:\n    pass\nelse:\n    break\n",
        "loss = svi.step(data)\nif math.isnan(loss) or loss < 1:\n    break\n",
        "loss = svi.step(data)\nif math.isnan(loss):\n    pass\nelse:\n    break\n",
        "loss = svi.step(data)\nif math.isfinite(loss):\n    break\n",
    ],
)
def test_stopping_early(counted, body: str):
    count = counted(looped(body))
    assert (count.source, count.reason) == (None, "the loop may end early")


@pytest.mark.parametrize(
    "body",
    [
        "if i < 5:\n    svi.step(data)\nelse:\n    svi.step(data)\n",
        "if i < 5:\n    svi.step(data)\nelif i < 9:\n    svi.step(data)\nelse:\n    svi.step(data, True)\n",
        "loss = svi.step(data) if i < 5 else svi.step(data)\n",
        "match i:\n    case 0:\n        svi.step(data)\n    case _:\n        svi.step(data)\n",
        "def one():\n    return svi.step(data)\nif flag:\n    one()\nelse:\n    svi.step(data)\n",
        "if flag:\n    svi.step(data)\nelse:\n    raise ValueError\n",
    ],
)
def test_one_step_whatever_the_way(counted, body: str):
    assert counted(looped(body)).source == "num_steps"


@pytest.mark.parametrize(
    "body",
    [
        "if i < 5:\n    svi.step(data)\n",
        "if i < 5:\n    svi.step(data)\nelif i < 9:\n    svi.step(data)\n",
        "if i < 5:\n    svi.step(data)\n    svi.step(data)\nelse:\n    svi.step(data)\n",
        "if i < 5:\n    svi.step(data)\nelse:\n    if flag:\n        svi.step(data)\n",
        "if i < 5:\n    for x in data:\n        svi.step(x)\nelse:\n    svi.step(data)\n",
        "match i:\n    case 0:\n        svi.step(data)\n    case 1:\n        svi.step(data)\n",
        "if flag:\n    svi.step(data)\nelse:\n    continue\n",
    ],
)
def test_more_or_fewer_steps(counted, body: str):
    assert "condition" in counted(looped(body)).reason


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (f"if flag:\n    svi = {ONE}\nelse:\n    svi = {ONE}\n{LOOP}", "num_steps"),
        (f"svi = {ONE} if flag else {ONE}\n{LOOP}", "num_steps"),
        (f"if flag == 1:\n    svi = {ONE}\nelif flag:\n    svi = {ONE}\nelse:\n    svi = {ONE}\n{LOOP}", "num_steps"),
        (f"def a():\n    return {ONE}\ndef b():\n    return {ONE}\nif flag:\n    svi = a()\nelse:\n    svi = b()\n{LOOP}", "num_steps"),
        (f"if flag:\n    svi = {ONE}\n    for i in range(9):\n        svi.step(data)\nelse:\n    svi = {ONE}\n{LOOP}", None),
        (f"if flag:\n    a = {ONE}\n    svi = {ONE}\n    a.step(data)\n{LOOP}", None),
        (f"a = {ONE}\nsvi = {ONE}\na.step(data)\n{LOOP}", None),
    ],
)  # fmt: skip
def test_svi_objects_of_which_one_is_built(counted, text: str, source: str | None):
    assert counted(text).source == source


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"svi = {ONE}\nsvi = {ONE}\n{LOOP}", 1),
        (f"def fit():\n    svi = {ONE}\n    svi = {ONE}\n    for i in range(num_steps):\n        svi.step()\nfit()\n", 1),
        (f"class T:\n    def __init__(self):\n        self.svi = {ONE}\n        self.svi = {ONE}\n"
         "    def fit(self):\n        for i in range(num_steps):\n            self.svi.step()\nT().fit()\n", 1),
        (f"svi = {ONE}\nif flag:\n    svi = {ONE}\n{LOOP}", 2),
        (f"svi = {ONE}\nother = svi\nsvi = {ONE}\n{LOOP}", 2),
        (f"svi = other = {ONE}\nsvi = {ONE}\n{LOOP}", 2),
        (f"svi = {ONE}\nsvi.step()\nsvi = {ONE}\n{LOOP}", 2),
        (f"svi = {ONE}\nfit(svi)\nsvi = {ONE}\n{LOOP}", 2),
        (f"svi = {ONE}\n", 1),
    ],
)  # fmt: skip
def test_an_object_that_is_replaced_before_any_step_is_dead(tmp_path, text: str, left: int):
    assert len(read(tmp_path, HEAD + text).svis) == left
