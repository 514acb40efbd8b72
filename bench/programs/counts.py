"""Counts with a rate of their own for each group, and a Gamma guide."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(3)
counts = torch.poisson(torch.tensor([2.0, 5.0, 9.0]).expand(50, 3))


def model(counts):
    with pyro.plate("groups", 3, dim=-1):
        rate = pyro.sample("rate", dist.Gamma(2.0, 0.5))
        with pyro.plate("days", len(counts), dim=-2):
            pyro.sample("count", dist.Poisson(rate), obs=counts)


def guide(counts):
    concentration = pyro.param("concentration", torch.full((3,), 20.0), constraint=constraints.greater_than(0.001))
    rate = pyro.param("rate_of_rate", torch.full((3,), 5.0), constraint=constraints.greater_than(0.001))
    with pyro.plate("groups", 3, dim=-1):
        pyro.sample("rate", dist.Gamma(concentration, rate))


num_steps = 800
optim = ClippedAdam({"lr": 0.03, "lrd": 0.1 ** (1 / num_steps)})
n = counts.numel()
svi = SVI(poutine.scale(model, scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(counts)
print(f"loss {loss:.3f}")
