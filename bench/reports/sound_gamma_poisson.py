# source: forum.pyro.ai/t/distribution-is-converging-to-the-mean/1715's kind of guide where it is right
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

counts = torch.tensor([3.0, 5.0, 4.0, 6.0, 2.0, 4.0, 5.0, 3.0, 7.0, 4.0])


def model(counts):
    rate = pyro.sample("rate", dist.Gamma(2.0, 0.5))
    with pyro.plate("days", len(counts)):
        pyro.sample("count", dist.Poisson(rate), obs=counts)


def guide(counts):
    shape = pyro.param("shape", torch.tensor(20.0), constraint=constraints.greater_than(0.01))
    inverse = pyro.param("inverse", torch.tensor(5.0), constraint=constraints.greater_than(0.01))
    pyro.sample("rate", dist.Gamma(shape, inverse))


svi = SVI(model, guide, Adam({"lr": 0.02}), Trace_ELBO(num_particles=4, vectorize_particles=True))
for step in range(1500):
    svi.step(counts)
