"""Programs to run, for the tests of this folder."""

import sys
import textwrap
from pathlib import Path

from pyro_fix.runner import run
from pyro_fix.runner.model import RunRequest
from pyro_fix.runner.target import parse


class Project:
    """A folder with programs, and runs of them."""

    def __init__(self, folder):
        self.folder = folder
        self.output = []

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def run(self, command, **request):
        self.output = []
        request.setdefault("python", Path(sys.executable))
        request.setdefault("steps", 4)
        target = parse(command, self.folder)
        return run(RunRequest(target, **request), on_line=self.output.append)


NORMAL = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

data = torch.randn(20) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(data)):
        pyro.sample("obs", dist.Normal(loc, 1.0), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))
"""
