"""A random walk below weekly sales: local level model, unrolled, one guide for all levels; 2,000 steps."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam

gen = torch.Generator().manual_seed(13)
weeks = 60
level = torch.cumsum(0.2 * torch.randn(weeks, generator=gen), 0) + 5
sales = level + 0.4 * torch.randn(weeks, generator=gen)


def model(sales):
    drift = pyro.param("drift", torch.tensor(0.3), constraint=constraints.softplus_positive)
    noise = pyro.param("noise", torch.tensor(0.5), constraint=constraints.softplus_positive)
    steps = pyro.sample("steps", dist.Normal(torch.zeros(weeks), 1.0).to_event(1))
    start = pyro.sample("start", dist.Normal(5.0, 2.0))
    with pyro.plate("weeks", weeks):
        pyro.sample("sales", dist.Normal(start + drift * steps.cumsum(0), noise), obs=sales)


def guide(sales):
    loc = pyro.param("loc", torch.zeros(weeks))
    scale = pyro.param("scale", torch.full((weeks,), 0.3), constraint=constraints.softplus_positive)
    pyro.sample("steps", dist.Normal(loc, scale).to_event(1))
    start = pyro.param("start_loc", torch.tensor(5.0))
    start_scale = pyro.param("start_scale", torch.tensor(0.2), constraint=constraints.softplus_positive)
    pyro.sample("start", dist.Normal(start, start_scale))


pyro.set_rng_seed(0)
svi = SVI(model, guide, Adam({"lr": 0.01}), TraceMeanField_ELBO())
for step in range(2000):
    loss = svi.step(sales)
print(loss)
