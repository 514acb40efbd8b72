# source: pyro-ppl/pyro#2288
# wrong: a sampling statement was forgotten in the guide; Pyro leaves the latent at its prior
# tip: 4
import pyro
import pyro.distributions as dist
import pyro.optim as optim
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO

torch.manual_seed(5)
t = torch.linspace(0, 2, 50)
y = 1.5 + 3.0 * t + 0.2 * torch.randn(50)


def model(t, y):
    level = pyro.sample("level", dist.Normal(0.0, 2.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 2.0))
    with pyro.plate("times", len(t)):
        pyro.sample("y", dist.Normal(level + slope * t, 0.2), obs=y)


def guide(t, y):
    level_loc = pyro.param("level_loc", torch.tensor(0.0))
    level_scale = pyro.param("level_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("level", dist.Normal(level_loc, level_scale))


def train(n_steps):
    svi = SVI(model, guide, optim.Adam({"lr": 0.02}), loss=Trace_ELBO())
    return [svi.step(t, y) for _ in range(n_steps)]


if __name__ == "__main__":
    losses = train(1000)
    print("mean of the last losses:", sum(losses[-50:]) / 50)
