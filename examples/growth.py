"""Growth of a colony: a hand-written guide takes the logarithm of what can be negative."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(7)

days = torch.linspace(0.0, 5.0, 60)
sizes = torch.exp(0.5 + 0.005 * days + 0.1 * torch.randn(60))


def model(days, sizes):
    start = pyro.sample("start", dist.Normal(0.0, 2.0))
    rate = pyro.sample("rate", dist.LogNormal(-1.0, 1.0))
    with pyro.plate("days", len(days)):
        pyro.sample("size", dist.LogNormal(start + rate * days, 0.1), obs=sizes)


def guide(days, sizes):
    start_loc = pyro.param("start_loc", torch.tensor(0.2))
    start_scale = pyro.param("start_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("start", dist.Normal(start_loc, start_scale))
    # the median of the rate is what is learned
    median = pyro.param("median", torch.tensor(0.02))
    rate_scale = pyro.param("rate_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("rate", dist.LogNormal(torch.log(median - 0.04), rate_scale))


def main(num_steps=1500):
    svi = SVI(model, guide, Adam({"lr": 0.05}), loss=Trace_ELBO())
    losses = [svi.step(days, sizes) for _ in range(num_steps)]
    print(f"loss {sum(losses[-100:]) / 100:.1f}")


if __name__ == "__main__":
    main()
