"""A guide that is a module."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.nn import PyroModule, PyroParam
from pyro.optim import ClippedAdam

torch.manual_seed(4)
x = torch.linspace(-1.0, 1.0, 150)
y = 0.5 - 1.5 * x + 0.3 * torch.randn(150)


def model(x, y):
    intercept = pyro.sample("intercept", dist.Normal(0.0, 2.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 2.0))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(intercept + slope * x, 0.3), obs=y)


class Guide(PyroModule):
    def __init__(self):
        super().__init__()
        self.intercept_loc = PyroParam(torch.tensor(0.0))
        self.intercept_scale = PyroParam(torch.tensor(0.1), constraint=constraints.positive)
        self.slope_loc = PyroParam(torch.tensor(0.0))
        self.slope_scale = PyroParam(torch.tensor(0.1), constraint=constraints.positive)

    def forward(self, x, y):
        pyro.sample("intercept", dist.Normal(self.intercept_loc, self.intercept_scale))
        pyro.sample("slope", dist.Normal(self.slope_loc, self.slope_scale))


guide = Guide()
num_steps = 800
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
svi = SVI(poutine.scale(model, scale=1 / len(x)), poutine.scale(guide, scale=1 / len(x)), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(x, y)
print(f"loss {loss:.3f}")
