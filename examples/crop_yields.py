"""Yields of fields by soil: the event dimension of the soil weights is not declared."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(13)

soil = torch.randn(300, 4)
yields = soil @ torch.tensor([1.0, -0.5, 0.0, 2.0]) + 5.0 + 0.5 * torch.randn(300)


def model(soil, yields):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(4), 1.0))
    base = pyro.sample("base", dist.Normal(0.0, 10.0))
    with pyro.plate("fields", len(soil)):
        pyro.sample("yield", dist.Normal(base + soil @ weights, 0.5), obs=yields)


def guide(soil, yields):
    loc = pyro.param("loc", torch.zeros(4))
    scale = pyro.param("scale", torch.full((4,), 0.1), constraint=constraints.positive)
    pyro.sample("weights", dist.Normal(loc, scale))
    base_loc = pyro.param("base_loc", torch.tensor(0.0))
    base_scale = pyro.param("base_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("base", dist.Normal(base_loc, base_scale))


def main(num_steps=2000):
    svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
    losses = [svi.step(soil, yields) for _ in range(num_steps)]
    print(f"loss {sum(losses[-100:]) / 100:.1f}")
    print("weights", [round(w, 1) for w in pyro.param("loc").tolist()], "(1.0, -0.5, 0.0, 2.0)")


if __name__ == "__main__":
    main()
