"""A crooked posterior, and a guide that can be crooked: an inverse autoregressive flow, 2,500 steps."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoIAFNormal
from pyro.optim import ClippedAdam

gen = torch.Generator().manual_seed(4)
data = 1.0 + 0.5 * torch.randn(30, generator=gen)


def model(data):
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(a + b**2, 0.5), obs=data)


pyro.set_rng_seed(0)
guide = AutoIAFNormal(model, hidden_dim=[16], num_transforms=2)
num_steps = 2500
svi = SVI(
    model,
    guide,
    ClippedAdam({"lr": 0.005, "lrd": 0.1 ** (1 / num_steps)}),
    Trace_ELBO(num_particles=4, vectorize_particles=True),
)
for step in range(num_steps):
    loss = svi.step(data)
print(loss)
