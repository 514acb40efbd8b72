"""Radon in houses of many counties: intercepts by county, 4,000 steps under a rate that halves every thousand."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

gen = torch.Generator().manual_seed(11)
county = torch.randint(0, 30, (600,), generator=gen)
floor = torch.randint(0, 2, (600,), generator=gen).float()
level = 1.3 + 0.4 * torch.randn(30, generator=gen)
log_radon = level[county] - 0.7 * floor + 0.7 * torch.randn(600, generator=gen)


def model(county, floor, log_radon):
    mean = pyro.sample("mean", dist.Normal(0.0, 2.0))
    spread = pyro.sample("spread", dist.LogNormal(-1.0, 0.5))
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 0.5))
    with pyro.plate("counties", 30):
        offset = pyro.sample("offset", dist.Normal(0.0, 1.0))
    with pyro.plate("houses", len(county)):
        at = mean + spread * offset[county] + slope * floor
        pyro.sample("radon", dist.Normal(at, noise), obs=log_radon)


guide = AutoNormal(model, init_scale=0.05)
num_steps = 4000
optim = ClippedAdam({"lr": 0.02, "lrd": 0.5 ** (1 / 1000), "clip_norm": 1000.0})
svi = SVI(model, guide, optim, Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(county, floor, log_radon)
print(f"loss {loss:.2f}")
