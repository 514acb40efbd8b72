# source: pyro-ppl/pyro#2790
# wrong: a LogNormal guide for a Dirichlet latent: what it draws sums to anything
# tip: 4
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

votes = torch.tensor([30.0, 15.0, 5.0])


def model(votes):
    theta = pyro.sample("theta", dist.Dirichlet(torch.ones(3)))
    pyro.sample("votes", dist.Multinomial(50, theta), obs=votes)


def guide(votes):
    loc = pyro.param("loc", torch.full((3,), -1.1))
    scale = pyro.param("scale", torch.full((3,), 0.1), constraint=constraints.positive)
    pyro.sample("theta", dist.LogNormal(loc, scale).to_event(1))


svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(votes)
