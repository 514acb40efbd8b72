"""Waiting times of a queue: validation is off, so a spread that has crossed zero goes unnoticed."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.enable_validation(False)
pyro.set_rng_seed(12)

minutes = torch.exp(1.0 + 0.4 * torch.randn(200))


def model(minutes):
    loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    with pyro.plate("customers", len(minutes)):
        pyro.sample("minutes", dist.LogNormal(loc, 0.4), obs=minutes)


def guide(minutes):
    centre = pyro.param("centre", torch.tensor(0.0))
    spread = pyro.param("spread", torch.tensor(0.05))
    pyro.sample("loc", dist.Normal(centre, spread))


def main(num_steps=1500):
    svi = SVI(model, guide, Adam({"lr": 0.05}), loss=Trace_ELBO())
    losses = [svi.step(minutes) for _ in range(num_steps)]
    print(f"loss {sum(losses[-100:]) / 100:.1f}")
    print(f"centre {pyro.param('centre').item():.2f} (1.00), spread {pyro.param('spread').item():.3f} (0.028)")


if __name__ == "__main__":
    main()
