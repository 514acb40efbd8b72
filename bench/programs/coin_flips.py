"""The bias of a coin, and of several more of the same mint."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(1)
truth = torch.tensor([0.2, 0.5, 0.6, 0.8])
flips = (torch.rand(60, 4) < truth).float()


def model(flips):
    with pyro.plate("coins", 4, dim=-1):
        fairness = pyro.sample("fairness", dist.Beta(2.0, 2.0))
        with pyro.plate("flips", len(flips), dim=-2):
            pyro.sample("heads", dist.Bernoulli(fairness), obs=flips)


def guide(flips):
    a = pyro.param("a", torch.full((4,), 5.0), constraint=constraints.greater_than(0.001))
    b = pyro.param("b", torch.full((4,), 5.0), constraint=constraints.greater_than(0.001))
    with pyro.plate("coins", 4, dim=-1):
        pyro.sample("fairness", dist.Beta(a, b))


num_steps = 800
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
elbo = Trace_ELBO(num_particles=4, vectorize_particles=True)
n = flips.numel()
svi = SVI(poutine.scale(model, scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=elbo)
for step in range(num_steps):
    loss = svi.step(flips)
print(f"loss {loss:.3f}")
