# source: pyro-ppl/pyro#2361
# wrong: RenyiELBO does not work with sequential plates
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, RenyiELBO
from pyro.optim import Adam

data = torch.tensor([0.9, 1.1, 1.3, 0.7])


def model(data):
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    for i in pyro.plate("data_plate", len(data)):
        pyro.sample("data_{:d}".format(i), dist.Normal(x, 0.5), obs=data[i])


def guide(data):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("x", dist.Normal(loc, scale))


svi = SVI(model, guide, Adam({"lr": 0.01}), RenyiELBO(alpha=0.5, num_particles=4))
for step in range(500):
    svi.step(data)
