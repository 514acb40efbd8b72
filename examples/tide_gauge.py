"""Water levels: a constant rate that is right at the start and never lets the parameters settle."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam

pyro.set_rng_seed(3)

hours = torch.linspace(0.0, 48.0, 200)
waves = torch.stack([torch.sin(0.506 * hours), torch.cos(0.506 * hours), torch.ones(200)], -1)
levels = waves @ torch.tensor([1.0, -0.5, 4.0]) + 0.1 * torch.randn(200)


def model(waves, levels):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(3), 5.0).to_event(1))
    with pyro.plate("hours", len(waves)):
        pyro.sample("level", dist.Normal(waves @ weights, 0.1), obs=levels)


def main(num_steps=1500):
    guide = AutoNormal(model, init_scale=0.05)
    svi = SVI(model, guide, Adam({"lr": 0.5}), loss=Trace_ELBO())
    losses = torch.tensor([svi.step(waves, levels) for _ in range(num_steps)])
    print(f"loss {losses[-100:].mean():.1f} +- {losses[-100:].std():.1f}")


if __name__ == "__main__":
    main()
