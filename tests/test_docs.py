"""A transform's docstring is its documentation: its headings are there, and its example is true."""

from __future__ import annotations

import ast
import inspect
import math
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from showing import Shown, look, trajectory

from pyro_fix import catalogue, engine, rewrite, sources
from pyro_fix.config import Options
from pyro_fix.observation import Failure, Feed, InputLook, Remark, SiteLook
from pyro_fix.transform import Transform

HEADINGS = ["What it does", "Why", "Example", "Holds back when", "Promise"]

IMPORTS = """\
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from pyro.optim import *
"""

#: What an example leaves out, by a word that it must not define itself.
BEFORE = {
    "def model(": "def model(data):\n    z = pyro.sample('z', dist.Normal(0.0, 1.0))\n"
    "    with pyro.plate('data', len(data)):\n        pyro.sample('x', dist.Normal(z, 1.0), obs=data)\n",
    "def guide(": "def guide(data):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.tensor(0.0)), 1.0))\n",
    "num_steps =": "data = torch.randn(500)\nnum_steps = int(input())\n",
    "optim = ": "optim = Adam({'lr': 0.01})\n",
}
#: The same where an example hands over covariates.
REGRESSION = (
    "x, y = torch.randn(400, 3), torch.randn(400)\n"
    "def model(x, y):\n    w = pyro.sample('w', dist.Normal(torch.zeros(3), 1.0).to_event(1))\n"
    "    with pyro.plate('data', len(x)):\n        pyro.sample('y', dist.Normal(x @ w, 1.0), obs=y)\n"
    "guide = AutoNormal(model)\nsvi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\n"
)
AFTER = {
    "svi = ": "svi = SVI(model, guide, optim, loss=Trace_ELBO())\n",
    "svi.step": "while True:\n    svi.step(data)\n",
}

#: What a run shows of an example whose defect the source alone does not.
UNCOVERED = Failure("ValueError", 'at site "weights", invalid log_prob shape\n  Expected [], actual [5]')
SHOWN = {
    "SVI023": Shown(look=look(noise=5.0)),
    "SVI061": Shown([trajectory([100.0, math.nan], nonfinite=1)]),
    "SVI062": Shown([trajectory([1e8 / (1 + t) ** 4 for t in range(100)])], look(losses=(1e8, 1e8))),
    "SVI082": Shown([trajectory([1000.0 + 50.0 * (-1) ** t for t in range(100)])], look(noise=5.0)),
    "SVI111": Shown(look=look(inputs=(InputLook("x", (400, 3), "float32", False, -3.0, 9e4, (1.0, 2e4)),))),
    "SVI131": Shown([trajectory(failure=UNCOVERED)]),
    "SVI162": Shown([trajectory(norms=[8.0] * 50 + [1e9] + [8.0] * 49)]),
}


class Layer(Shown):
    """A run in which a layer's output was a scale as it is."""

    def observe(self, program, base):
        (run,) = super().observe(program, base)
        site = next(site for site in program.sites if "encoder" in ast.unparse(site.call))
        feed = Feed("scale", "positive", "encoder$$$weight", ("Select", "Addmm"), False)
        seen = SiteLook("Normal", "real", False, (), -1.0, 1.0, where=f"{site.module.path}:{site.call.lineno}")
        looked = replace(run.svis[0].look, guide={"z": replace(seen, feeds=(feed,))})
        message = "Expected parameter scale (Tensor of shape ()) of distribution Normal() to satisfy the constraint"
        ended = trajectory(failure=Failure("ValueError", message, seen.where, 0, "z"))
        return (replace(run, svis=(replace(run.svis[0], trajectories=(ended,), look=looked),)),)


class Warned(Shown):
    """A run in which Pyro warned of the order of sites."""

    def observe(self, program, base):
        (run,) = super().observe(program, base)
        remark = Remark("Failed to verify mean field restriction on the guide.", run.svis[0].where, 0, 0, (0,))
        return (replace(run, remarks=(remark,)),)


SHOWN |= {"SVI001": Layer(), "SVI002": Warned()}


def program(example: str) -> str:
    """A whole program around an example."""
    if "svi.step(x, y)" in example:
        return f"{IMPORTS}{REGRESSION}{example}\n"
    if "guide = " in example:
        example += "\nsvi = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\n"
    if "elbo = " in example:
        example += "\nsvi = SVI(model, guide, Adam({'lr': 0.01}), elbo)\n"
    before = "".join(text for word, text in BEFORE.items() if word not in example)
    after = "".join(text for word, text in AFTER.items() if word not in example)
    return f"{IMPORTS}{before}{example}\n{after}"


def blocks(transform: Transform) -> list[str]:
    section = inspect.getdoc(type(transform)).partition("## Example")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


each = pytest.mark.parametrize("transform", catalogue.load(), ids=lambda t: t.code)


@each
def test_headings(transform: Transform):
    text = inspect.getdoc(type(transform))
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    summary = text.splitlines()
    assert summary[0].endswith(".") and summary[1] == ""
    for part in re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]:
        assert part.strip(), "an empty section"


@each
def test_the_example_is_true(transform: Transform, tmp_path: Path):
    before, after = blocks(transform)
    path = tmp_path / "example.py"
    path.write_text(program(before))
    options = Options(paths=(path,), select=(transform.code,), verify=False, root=tmp_path)
    result = engine.check(options, lambda _: None, SHOWN.get(transform.code))
    edits = [e for f in result.findings if f.proposal.candidates for e in f.proposal.candidates[0].edits]
    (new,) = rewrite.compose({path: sources.read(path)}, edits).texts.values()
    assert squeezed(new) == squeezed(program(after))


def test_the_pages_are_what_the_docstrings_say():
    tools = Path(__file__).resolve().parents[1] / "tools" / "generate_docs.py"
    result = subprocess.run([sys.executable, tools, "--check"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def squeezed(text: str) -> str:
    """Examples may be laid out more widely than what is written, and reach a name by another way that is imported."""
    return re.sub(r",(?=[)\]}])", "", re.sub(r"\s+", "", text)).replace("dist.constraints", "constraints")
