"""Yields under a fertiliser whose effect sets in above a threshold: the prior holds the latent where the data are mute."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(15)

yields = 3.0 + torch.randn(40)


def model(yields):
    uptake = pyro.sample("uptake", dist.Normal(0.0, 0.16))
    response = 3.0 * torch.sigmoid(9.0 * (uptake - 1.1))
    with pyro.plate("fields", len(yields)):
        pyro.sample("yield", dist.Normal(response, 1.0), obs=yields)


def guide(yields):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.05), constraint=constraints.positive)
    pyro.sample("uptake", dist.Normal(loc, scale))


def main(num_steps=1500):
    svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
    for step in range(num_steps):
        loss = svi.step(yields)
        if step % 300 == 0:
            print(f"step {step}: loss {loss:.1f}")
    print(f"loss {loss:.1f}, uptake {pyro.param('loc').item():.2f}")


if __name__ == "__main__":
    main()
