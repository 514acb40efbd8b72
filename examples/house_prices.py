"""Bayesian linear regression of house prices on living area, age and distance to the centre.

The posterior over the three weights, the intercept and the log of the noise is a mean-field Normal,
written by hand. Prices are in units of 100,000, covariates are standardised.
"""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

NUM_STEPS = 600


def make_data(num_houses=400):
    """Simulate sales: (covariates, prices)."""
    gen = torch.Generator().manual_seed(7)
    area = 60 + 90 * torch.rand(num_houses, generator=gen)
    age = 80 * torch.rand(num_houses, generator=gen)
    distance = 15 * torch.rand(num_houses, generator=gen)
    price = 0.6 + 0.025 * area - 0.006 * age - 0.05 * distance
    price = price + 0.25 * torch.randn(num_houses, generator=gen)
    x = torch.stack([area, age, distance], dim=-1)
    return (x - x.mean(0)) / x.std(0), price


def model(x, price):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(3), torch.ones(3)).to_event(1))
    intercept = pyro.sample("intercept", dist.Normal(2.0, 2.0))
    noise = pyro.sample("noise", dist.LogNormal(-1.0, 1.0))
    mean = intercept + x @ weights
    with pyro.plate("houses", len(price)):
        pyro.sample("price", dist.Normal(mean, noise), obs=price)


def guide(x, price):
    weights_loc = pyro.param("weights_loc", torch.zeros(3))
    weights_scale = pyro.param("weights_scale", 0.1 * torch.ones(3))
    pyro.sample("weights", dist.Normal(weights_loc, weights_scale).to_event(1))

    intercept_loc = pyro.param("intercept_loc", torch.tensor(2.0))
    intercept_scale = pyro.param("intercept_scale", torch.tensor(0.1))
    pyro.sample("intercept", dist.Normal(intercept_loc, intercept_scale))

    noise_loc = pyro.param("noise_loc", torch.tensor(-1.0))
    noise_scale = pyro.param("noise_scale", torch.tensor(0.1))
    pyro.sample("noise", dist.LogNormal(noise_loc, noise_scale))


pyro.set_rng_seed(0)
x, price = make_data()
svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())

for step in range(NUM_STEPS):
    loss = svi.step(x, price)
    if step % 100 == 0:
        print(f"step {step:4d}  loss {loss:10.2f}")

print("final loss", round(svi.evaluate_loss(x, price), 2))
for name in ("weights", "intercept"):
    loc = pyro.param(f"{name}_loc").detach()
    scale = pyro.param(f"{name}_scale").detach()
    print(f"{name}: {loc.tolist()} +- {scale.tolist()}")
