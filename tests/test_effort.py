"""Work grows in proportion to the text: counted in calls of Python functions, which do not depend on the machine's load."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from pyro_fix import engine
from pyro_fix.config import Options

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam, ClippedAdam, SGD
"""
ADAM = "SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())"


def lines(line: str) -> Callable[[int], str]:
    return lambda n: PREAMBLE + "".join(line.replace("I", str(i)) for i in range(n))


def guide(line: str) -> Callable[[int], str]:
    return lambda n: PREAMBLE + "def guide(data):\n" + "".join("    " + line.replace("I", str(i)) for i in range(n))


def followed(text: str, line: str) -> Callable[[int], str]:
    return lambda n: PREAMBLE + text + "".join(line.replace("I", str(i)) for i in range(n))


TEXTS = {
    "switches": lines("pyro.enable_validation(False)\n"),
    "switches in functions": lines("def fI():\n    pyro.enable_validation(False)\n"),
    "params": guide("dist.Gamma(pyro.param('aI', torch.tensor(2.)), 1.)\n"),
    "params of one name": guide("dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)\n"),
    "params with comments": guide("dist.Gamma(pyro.param('aI', torch.tensor(2.)), 1.)  # noqa: SVI161\n"),
    "wrong constraints": guide("dist.Gamma(pyro.param('a', torch.tensor(2.), constraint=constraints.real), 1.)\n"),
    "slips": lines("pyro.param('aI', torch.tensor(1.), constraints=constraints.positive)\n"),
    "sites": guide("pyro.sample('zI', dist.Normal(0., 1.))\n"),
    "svis": followed("def model(): pass\n", f"svi = {ADAM}\nfor i in range(100):\n    svi.step()\n"),
    "functions": lines("def fI():\n    return pyro.param('xI', torch.tensor(1.))\n"),
    "functions that call the next": lines("def fI():\n    return f(I + 1)\n"),
    "classes": lines("class CI:\n    def f(self):\n        return pyro.param('xI', torch.tensor(1.))\n"),
    "imports": followed("pyro.param('x')\n", "import aI\nfrom bI import cI\n"),
    "branches": followed("pyro.param('x')\n", "if aI:\n    bI = 1\nelse:\n    cI = 2\n"),
    "one function's calls": followed("def f(x):\n    return pyro.param('x', torch.tensor(1.))\n", "f(I)\n"),
    "a global of many values": followed("def f():\n    return pyro.param('x', g)\n", "g = h(I)\nf()\n"),
    "sums": followed("x = pyro.param('x', torch.tensor(1.))\n", "x = x + I\n"),
    "steps": followed(f"def model(): pass\nsvi = {ADAM}\n", "svi.step()\n"),
    "comments": followed("pyro.param('x', torch.tensor(1.))\n", "# a comment that says nothing\n"),
    "one long line": lambda n: PREAMBLE + "pyro.param('x', torch.tensor(1.))  # " + "x" * 50 * n,
}  # fmt: skip


def effort(folder: Path, text: str) -> int:
    """How many calls of Python functions it takes to check a file."""
    (folder / "a.py").write_text(text)
    count = 0

    def counted(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        result = engine.check(Options(paths=(folder,), verify=False, root=folder), lambda _: None)
    finally:
        sys.setprofile(before)
    assert result.skipped == ()
    return count


@pytest.mark.parametrize("kind", TEXTS)
def test_twice_the_text_takes_twice_the_work(tmp_path: Path, kind: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        effort(tmp_path, TEXTS[kind](4))  # what is worked out once for all files
        small, large = (effort(tmp_path, TEXTS[kind](n)) for n in (40, 80))
    assert large < 2.4 * small, (small, large)
