"""Shares of three answers, learned by MAP: params stand in the model."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

torch.manual_seed(7)
answers = torch.multinomial(torch.tensor([0.5, 0.3, 0.2]), 300, replacement=True)
errors = (torch.rand(300) < 0.1).float()


def model(answers, errors):
    shares = pyro.param("shares", torch.tensor([0.4, 0.3, 0.3]), constraint=constraints.simplex)
    rate = pyro.param("rate", torch.tensor(0.5), constraint=constraints.unit_interval)
    shift = pyro.sample("shift", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(answers)):
        pyro.sample("answer", dist.Categorical(shares), obs=answers)
        pyro.sample("error", dist.Bernoulli(rate), obs=errors)
        pyro.sample("offset", dist.Normal(shift, 1.0), obs=errors - 0.5)


guide = AutoNormal(model, init_scale=0.1)
num_steps = 600
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
n = len(answers)
svi = SVI(poutine.scale(model, scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(answers, errors)
print(f"loss {loss:.3f}")
