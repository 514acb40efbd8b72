"""Drifts of 300 sensors under a narrow prior: the KL divergence is sampled, though it has a closed form."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(9)

drifts = 0.02 * torch.randn(300)
readings = 7.0 + drifts + 0.5 * torch.randn(20, 300)


def model(readings):
    level = pyro.sample("level", dist.Normal(0.0, 10.0))
    drift = pyro.sample("drift", dist.Normal(torch.zeros(300), 0.02).to_event(1))
    with pyro.plate("readings", len(readings)):
        pyro.sample("reading", dist.Normal(level + drift, 0.5).to_event(1), obs=readings)


def guide(readings):
    level_loc = pyro.param("level_loc", torch.tensor(5.0))
    level_scale = pyro.param("level_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("level", dist.Normal(level_loc, level_scale))
    loc = pyro.param("loc", torch.zeros(300))
    scale = pyro.param("scale", torch.full((300,), 0.1), constraint=constraints.positive)
    pyro.sample("drift", dist.Normal(loc, scale).to_event(1))


def main(num_steps=1000):
    svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
    losses = torch.tensor([svi.step(readings) for _ in range(num_steps)])
    print(f"loss {losses[-100:].mean():.1f} +- {losses[-100:].std():.1f}")


if __name__ == "__main__":
    main()
