"""Rents by size, age and distance, in square millimetres, years and light years, so to speak."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

pyro.set_rng_seed(11)

size = 60000.0 + 20000.0 * torch.randn(400)
rooms = 3.0 + torch.randn(400)
flats = torch.stack([size, rooms], -1)
rents = 5.0 + 1.5 * (size - 60000.0) / 20000.0 + 0.8 * (rooms - 3.0) + 0.3 * torch.randn(400)


def model(flats, rents):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    base = pyro.sample("base", dist.Normal(0.0, 5.0))
    with pyro.plate("flats", len(flats)):
        pyro.sample("rent", dist.Normal(base + flats @ weights, 0.3), obs=rents)


def main(num_steps=2000):
    guide = AutoNormal(model, init_scale=0.05)
    optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    for _ in range(num_steps):
        loss = svi.step(flats, rents)
    print(f"loss {loss:.1f}")


if __name__ == "__main__":
    main()
