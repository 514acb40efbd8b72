"""Sparse regression: thirty covariates of which three matter; 5,000 steps of Adam under a fixed rate."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam

gen = torch.Generator().manual_seed(5)
x = torch.randn(150, 30, generator=gen)
truth = torch.zeros(30)
truth[:3] = torch.tensor([2.0, -1.5, 1.0])
y = x @ truth + 0.5 * torch.randn(150, generator=gen)


def model(x, y):
    common = pyro.sample("common", dist.LogNormal(-2.0, 1.0))
    noise = pyro.sample("noise", dist.LogNormal(-1.0, 1.0))
    with pyro.plate("covariates", x.shape[1]):
        local = pyro.sample("local", dist.LogNormal(0.0, 1.0))
        weight = pyro.sample("weight", dist.Normal(0.0, common * local))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ weight, noise), obs=y)


pyro.set_rng_seed(0)
guide = AutoNormal(model, init_scale=0.1)
svi = SVI(model, guide, Adam({"lr": 0.005}), Trace_ELBO())
for step in range(5000):
    loss = svi.step(x, y)
    if step % 1000 == 0:
        print(step, loss)
