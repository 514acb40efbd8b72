"""Every trap of tip 5 for ``PyroParam``."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI052"

PREAMBLE = """
import torch
import torch.nn.functional as F
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam, pyro_method
"""


def module(init: list[str], forward: list[str], rest: str = "") -> str:
    lines = ["class Guide(PyroModule):", "    def __init__(self):", "        super().__init__()"]
    lines += (
        [f"        {line}" for line in init]
        + ["    def forward(self, data):"]
        + [f"        {line}" for line in forward]
    )
    return PREAMBLE + "\n".join(lines) + "\n" + rest


SCALE = "self.s = PyroParam(torch.tensor(1.))"
ADDED = "self.s = PyroParam(torch.tensor(1.), constraint=constraints.positive)"
USE = "pyro.sample('z', dist.Normal(0., self.s))"


@pytest.mark.parametrize(
    ("init", "forward"),
    [
        ([SCALE], [USE]),
        ([SCALE], ["s = self.s", "pyro.sample('z', dist.Normal(0., s).to_event(1))"]),
        ([SCALE], ["m, s = 0., self.s", "dist.Normal(m, s)"]),
        ([SCALE, "self.t = 3"], ["dist.LogNormal(loc=self.t, scale=self.s)"]),
        ([SCALE], ["self.draw()", "", "def draw(self):", "    return dist.Normal(0., self.s)"]),
        (["self.setup()"], [USE, "", "    def setup(self):".strip(), f"    {SCALE}"]),
        ([SCALE], ["dist.Normal(0., self.s.expand([3]))"]),
    ],
)
def test_attribute_that_arrives_unchanged(check, init: list[str], forward: list[str]):
    if "" in forward:  # what follows is another method
        cut = forward.index("")
        text = module(init, forward[:cut], "".join(f"    {line}\n" for line in forward[cut + 1 :]))
    else:
        text = module(init, forward)
    assert check(text).added == [ADDED]


@pytest.mark.parametrize(
    "value", ["self.s.exp()", "F.softplus(self.s)", "self.s + 1e-4", "self.s.abs()", "torch.clamp(self.s, 0.1)",
              "self.positive(self.s)", "self.softplus(self.s)", "self.valid"]
)  # fmt: skip
def test_attribute_that_is_made_valid(check, value: str):
    text = module(
        [SCALE, "self.softplus = torch.nn.Softplus()"],
        [f"pyro.sample('z', dist.Normal(0., {value}))"],
        "    def positive(self, x):\n        return torch.exp(x)\n"
        "    @property\n    def valid(self):\n        return self.s.square()\n",
    )
    assert check(text).findings == ()


def test_constrained_already(check):
    text = module(
        ["self.s = PyroParam(torch.tensor(1.), constraints.positive)",
         "self.t = PyroParam(torch.tensor(1.), constraint=constraints.positive)"],
        ["dist.Normal(0., self.s)", "dist.Normal(0., self.t)"],
    )  # fmt: skip
    assert check(text).findings == ()


@pytest.mark.parametrize(
    "imports", ["import pyro.nn as pn", "from pyro import nn as pn", "import pyro as p\npn = p.nn"]
)
def test_import_styles(check, imports: str):
    text = module(["self.s = pn.PyroParam(torch.tensor(1.))"], [USE]).replace("class", f"{imports}\n\nclass", 1)
    assert "pn.PyroParam(torch.tensor(1.), constraint=constraints.positive)" in check(text).text


def test_star_import(check):
    text = module([SCALE], [USE]).replace(
        "from pyro.nn import PyroModule, PyroParam, pyro_method", "from pyro.nn import *"
    )
    assert check(text).added == [ADDED]


@pytest.mark.parametrize("initial", ["torch.tensor(-1.)", "torch.zeros(2)", "torch.randn(2)"])
def test_initial_value_that_violates(check, initial: str):
    assert "violate" in check(module([f"self.s = PyroParam({initial})"], [USE])).held_back


def test_changed_in_place(check):
    text = module([SCALE], [USE], "    def clip(self):\n        self.s.data.clamp_(min=1e-3)\n")
    assert "in place" in check(text).held_back


def test_assigned_in_several_places(check):
    text = module([SCALE], [USE], "    def reset(self):\n        self.s = PyroParam(torch.tensor(-1.).exp())\n")
    outcome = check(text)
    assert outcome.result.changes == ()


def test_attribute_assigned_by_somebody_else(check):
    text = module([], [USE], "guide = Guide()\nguide.s = PyroParam(torch.tensor(1.))\nguide(None)\n")
    assert "guide.s = PyroParam(torch.tensor(1.), constraint=constraints.positive)" in check(text).text


def test_module_of_another_file(check):
    outcome = check(
        module([], ["dist.Normal(0., self.scale.s)"]).replace("super().__init__()", "super().__init__()\n        self.scale = Scale()")
        .replace("class", "from scales import Scale\n\nclass", 1) + "svi = pyro.infer.SVI(Guide(), Guide(), None, None)\n",
        scales="""
            import torch
            import pyro.distributions as dist
            from pyro.nn import PyroModule, PyroParam
            class Scale(PyroModule):
                def __init__(self):
                    super().__init__()
                    self.s = PyroParam(torch.tensor(1.))
        """,
    )  # fmt: skip
    assert "constraint=dist.constraints.positive" in outcome.texts["scales.py"]


def test_plain_parameter_is_torchs(check):
    text = module(["self.s = torch.nn.Parameter(torch.tensor(1.))"], [USE])
    assert check(text).findings == ()


def test_decorator(check):
    """``@PyroParam`` on a method: the method is the initial value, and nothing can be added to it as a keyword."""
    text = module([], [USE]) + "    @PyroParam\n    def s(self):\n        return torch.tensor(1.)\n"
    outcome = check(text)
    assert outcome.result.changes == ()


def test_decorator_with_arguments(check):
    text = module([], [USE]) + (
        "    @PyroParam(constraint=constraints.positive)\n    def s(self):\n        return torch.tensor(1.)\n"
    )
    assert check(text).findings == ()


def test_suppression(check):
    assert check(module([f"{SCALE}  # noqa: SVI052"], [USE])).findings == ()
