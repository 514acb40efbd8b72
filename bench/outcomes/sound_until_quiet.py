"""Poisson counts by site and season, trained until the loss has not fallen for a while."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam

gen = torch.Generator().manual_seed(6)
base = torch.randn(20, 1, generator=gen) * 0.4 + 1.5
season = torch.tensor([0.3, -0.1, -0.4, 0.2])
counts = torch.poisson((base + season).exp(), generator=gen)


def model(counts):
    with pyro.plate("seasons", 4, dim=-1):
        effect = pyro.sample("effect", dist.Normal(0.0, 0.5))
    with pyro.plate("sites", 20, dim=-2):
        level = pyro.sample("level", dist.Normal(1.0, 1.0))
        with pyro.plate("visits", 4, dim=-1):
            pyro.sample("counts", dist.Poisson((level + effect).exp()), obs=counts)


def guide(counts):
    for name, shape, dim in (("effect", (4,), -1), ("level", (20, 1), -2)):
        loc = pyro.param(f"{name}_loc", torch.zeros(shape))
        scale = pyro.param(f"{name}_scale", torch.full(shape, 0.1), constraint=constraints.softplus_positive)
        with pyro.plate({"effect": "seasons", "level": "sites"}[name], shape[0], dim=dim):
            pyro.sample(name, dist.Normal(loc, scale))


pyro.set_rng_seed(0)
svi = SVI(model, guide, Adam({"lr": 0.01}), TraceMeanField_ELBO(num_particles=4))
best, since = float("inf"), 0
for step in range(3000):
    loss = svi.step(counts)
    best, since = (loss, 0) if loss < best - 0.1 else (best, since + 1)
    if since > 300:
        break
print(step, loss)
