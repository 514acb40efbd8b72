"""Independent Normals in model and guide: the KL divergence has a closed form."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(5)
data = torch.randn(200, 2) + torch.tensor([1.0, -1.0])


def model(data):
    mean = pyro.sample("mean", dist.Normal(torch.zeros(2), 3.0).to_event(1))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(mean, 1.0).to_event(1), obs=data)


def guide(data):
    loc = pyro.param("loc", torch.zeros(2))
    scale = pyro.param("scale", torch.full((2,), 0.1), constraint=constraints.positive)
    pyro.sample("mean", dist.Normal(loc, scale).to_event(1))


num_steps = 600
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
n = data.numel()
svi = SVI(poutine.scale(model, scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=TraceMeanField_ELBO())
for step in range(num_steps):
    loss = svi.step(data)
print(f"loss {loss:.3f}")
