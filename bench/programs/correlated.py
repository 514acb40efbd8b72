"""A guide with a full covariance."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(6)
x = torch.randn(200, 1) + 0.1 * torch.randn(200, 2)
y = x @ torch.tensor([1.0, 2.0]) + 0.5 * torch.randn(200)


def model(x, y):
    weights = pyro.sample("weights", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    with pyro.plate("data", len(x)):
        pyro.sample("y", dist.Normal(x @ weights, 0.5), obs=y)


def guide(x, y):
    loc = pyro.param("loc", torch.zeros(2))
    factor = pyro.param("factor", 0.1 * torch.eye(2), constraint=constraints.lower_cholesky)
    pyro.sample("weights", dist.MultivariateNormal(loc, scale_tril=factor))


num_steps = 800
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
svi = SVI(
    poutine.scale(model, scale=1 / len(x)),
    poutine.scale(guide, scale=1 / len(x)),
    optim,
    loss=TraceMeanField_ELBO(),
)
for step in range(num_steps):
    loss = svi.step(x, y)
print(f"loss {loss:.3f}")
