"""Stars of two clusters: the guide samples which cluster a star is of, instead of summing over both."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(14)

brightness = torch.cat([2.0 + 0.5 * torch.randn(150), 6.0 + 0.5 * torch.randn(100)])


def model(brightness):
    with pyro.plate("clusters", 2):
        level = pyro.sample("level", dist.Normal(4.0, 3.0))
    with pyro.plate("stars", len(brightness)):
        cluster = pyro.sample("cluster", dist.Categorical(torch.tensor([0.5, 0.5])))
        pyro.sample("brightness", dist.Normal(level[cluster], 0.5), obs=brightness)


def guide(brightness):
    loc = pyro.param("loc", torch.tensor([4.0, 4.2]))
    scale = pyro.param("scale", torch.full((2,), 0.1), constraint=constraints.positive)
    with pyro.plate("clusters", 2):
        pyro.sample("level", dist.Normal(loc, scale))
    shares = pyro.param("shares", torch.full((len(brightness), 2), 0.5), constraint=constraints.simplex)
    with pyro.plate("stars", len(brightness)):
        pyro.sample("cluster", dist.Categorical(shares))


def main(num_steps=800):
    svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
    losses = [svi.step(brightness) for _ in range(num_steps)]
    tail = torch.tensor(losses[-100:])
    print(f"loss {tail.mean():.0f} +- {tail.std():.0f}")
    print("levels", [round(level, 1) for level in sorted(pyro.param("loc").tolist())], "(2.0, 6.0)")


if __name__ == "__main__":
    main()
