"""Calibration of a fleet of temperature sensors against a reference instrument.

Every reading is `offset + gain * reference + noise`, with one offset and one gain for each sensor model and a common
noise. There are many readings, and the loss is their sum.
"""

import argparse

import torch
from torch.distributions import constraints

import pyro
import pyro.distributions as dist
import pyro.optim
from pyro.infer import SVI, Trace_ELBO


def simulate(num_readings, num_types):
    """Return (sensor type, reference in standard units, reading)."""
    gen = torch.Generator().manual_seed(13)
    kind = torch.randint(num_types, (num_readings,), generator=gen)
    offset = 0.5 * torch.randn(num_types, generator=gen)
    gain = 1 + 0.1 * torch.randn(num_types, generator=gen)
    reference = torch.randn(num_readings, generator=gen)
    reading = offset[kind] + gain[kind] * reference
    return kind, reference, reading + 0.3 * torch.randn(num_readings, generator=gen)


def model(kind, reference, reading, num_types):
    with pyro.plate("types", num_types):
        offset = pyro.sample("offset", dist.Normal(0.0, 1.0))
        gain = pyro.sample("gain", dist.Normal(1.0, 0.5))
    with pyro.plate("readings", len(reading)):
        mean = offset[kind] + gain[kind] * reference
        pyro.sample("reading", dist.Normal(mean, 0.3), obs=reading)


def guide(kind, reference, reading, num_types):
    with pyro.plate("types", num_types):
        for name, start in (("offset", 0.0), ("gain", 1.0)):
            loc = pyro.param(f"{name}_loc", torch.full((num_types,), start))
            scale = pyro.param(f"{name}_scale", torch.full((num_types,), 0.05), constraint=constraints.positive)
            pyro.sample(name, dist.Normal(loc, scale))


def train(data, args):
    optimizer = pyro.optim.SGD({"lr": args.lr, "momentum": 0.9})
    svi = SVI(model, guide, optimizer, loss=Trace_ELBO())
    for epoch in range(args.epochs):
        loss = svi.step(*data, args.types)
        if epoch % 200 == 0:
            print(f"epoch {epoch:4d}  loss {loss:14.1f}")
    return svi.evaluate_loss(*data, args.types)


def main():
    parser = argparse.ArgumentParser(description="calibrate temperature sensors")
    parser.add_argument("--readings", type=int, default=20_000)
    parser.add_argument("--types", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=2000)
    parser.add_argument("--lr", type=float, default=0.001)
    args = parser.parse_args()

    pyro.set_rng_seed(0)
    print("final loss", round(train(simulate(args.readings, args.types), args), 1))
    print("gains:", [round(g, 3) for g in pyro.param("gain_loc").tolist()])


if __name__ == "__main__":
    main()
