"""Depths sounded in a lake: the noise is positive, and its guide is a Normal that does not know that."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(4)

depths = 12.0 + 1.5 * torch.randn(80)


def model(depths):
    mean = pyro.sample("mean", dist.Normal(10.0, 10.0))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
    with pyro.plate("soundings", len(depths)):
        pyro.sample("depth", dist.Normal(mean, noise), obs=depths)


def guide(depths):
    mean_loc = pyro.param("mean_loc", torch.tensor(10.0))
    mean_scale = pyro.param("mean_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("mean", dist.Normal(mean_loc, mean_scale))
    noise_loc = pyro.param("noise_loc", torch.tensor(0.7))
    noise_scale = pyro.param("noise_scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("noise", dist.Normal(noise_loc, noise_scale))


def main(num_steps=2000):
    svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
    for step in range(num_steps):
        loss = svi.step(depths)
        if step % 200 == 0:
            print(f"step {step}: loss {loss:.1f}")
    print(f"loss {loss:.1f}, mean {pyro.param('mean_loc').item():.1f} (12.0)")


if __name__ == "__main__":
    main()
