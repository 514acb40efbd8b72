"""Bike hires an hour: a Poisson regression that is trained with far too large a learning rate."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(1)

temperature = torch.randn(500)
hires = torch.poisson(torch.exp(2.0 + 0.7 * temperature))


def model(temperature, hires):
    base = pyro.sample("base", dist.Normal(0.0, 2.0))
    effect = pyro.sample("effect", dist.Normal(0.0, 2.0))
    with pyro.plate("hours", len(temperature)):
        pyro.sample("hires", dist.Poisson(torch.exp(base + effect * temperature)), obs=hires)


def guide(temperature, hires):
    base_loc = pyro.param("base_loc", torch.tensor(0.0))
    base_scale = pyro.param("base_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("base", dist.Normal(base_loc, base_scale))
    effect_loc = pyro.param("effect_loc", torch.tensor(0.0))
    effect_scale = pyro.param("effect_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("effect", dist.Normal(effect_loc, effect_scale))


def main(num_steps=1500):
    svi = SVI(model, guide, Adam({"lr": 20.0}), loss=Trace_ELBO())
    losses = [svi.step(temperature, hires) for _ in range(num_steps)]
    print(f"loss {sum(losses[-100:]) / 100:.1f}")
    print(f"base {pyro.param('base_loc').item():.2f} (2.00), effect {pyro.param('effect_loc').item():.2f} (0.70)")


if __name__ == "__main__":
    main()
