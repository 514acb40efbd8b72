"""A logistic regression under PyTorch's own scheduler: the rate falls to nothing along a cosine."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal
from pyro.optim import CosineAnnealingLR

gen = torch.Generator().manual_seed(9)
x = torch.randn(300, 6, generator=gen)
truth = torch.tensor([1.0, -1.0, 0.5, 0.0, 0.0, 2.0])
y = (torch.rand(300, generator=gen) < torch.sigmoid(x @ truth)).float()


def model(x, y):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(6), 1.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Bernoulli(logits=x @ weights), obs=y)


pyro.set_rng_seed(0)
num_steps = 1500
scheduler = CosineAnnealingLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.03}, "T_max": num_steps})
svi = SVI(model, AutoMultivariateNormal(model, init_scale=0.05), scheduler, Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(x, y)
    scheduler.step()
print(loss)
