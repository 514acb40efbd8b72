# source: pyro-ppl/pyro#2220, pyro-ppl/pyro#1471
# wrong: particles are vectorised over a model that branches on a sampled value
# tip: 8
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

rainy = torch.tensor([1.2, 0.4, 2.2, 1.9, 0.8])


def model(rain):
    level = pyro.sample("level", dist.Normal(0.0, 2.0))
    if level.item() > 0:
        mean = level
    else:
        mean = 0.1 * level
    with pyro.plate("days", len(rain)):
        pyro.sample("rain", dist.Normal(mean, 0.5), obs=rain)


def guide(rain):
    loc = pyro.param("loc", torch.tensor(0.5))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("level", dist.Normal(loc, scale))


elbo = Trace_ELBO(num_particles=3, vectorize_particles=True)
svi = SVI(model, guide, Adam({"lr": 0.01}), elbo)
for _ in range(500):
    svi.step(rainy)
