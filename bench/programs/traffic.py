"""Visits an hour, on a log scale, under a wide prior."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal, init_to_feasible
from pyro.optim import ClippedAdam

torch.manual_seed(10)
hour = torch.linspace(-1.0, 1.0, 200)
visits = torch.poisson(torch.exp(1.5 + 0.8 * hour))


def model(hour, visits):
    level = pyro.sample("level", dist.Normal(0.0, 100.0))
    trend = pyro.sample("trend", dist.Normal(0.0, 100.0))
    with pyro.plate("hours", len(hour)):
        pyro.sample("visits", dist.Poisson(torch.exp(level + trend * hour)), obs=visits)


guide = AutoNormal(model, init_loc_fn=init_to_feasible, init_scale=0.05)
num_steps = 800
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
n = len(hour)
svi = SVI(poutine.scale(model, scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(hour, visits)
print(f"loss {loss:.3f}")
