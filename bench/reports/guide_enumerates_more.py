# source: pyro-ppl/pyro#2919
# wrong: the guide's Normal depends on an enumerated site which the model's does not: Pyro refuses the shapes
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.optim import Adam

seen = torch.tensor(0.6)


def model():
    x = pyro.sample("x", dist.Normal(0.0, 1.0))
    p = torch.where(x > 0, torch.tensor(0.8), torch.tensor(0.3))
    pyro.sample("i", dist.Bernoulli(p))
    pyro.sample("seen", dist.Normal(x, 0.5), obs=seen)


@config_enumerate
def guide():
    p = pyro.param("p", torch.tensor(0.3), constraint=constraints.unit_interval)
    locs = pyro.param("locs", torch.tensor([-0.5, 1.0]))
    i = pyro.sample("i", dist.Bernoulli(p)).long()
    pyro.sample("x", dist.Normal(locs[i], 0.5))


svi = SVI(model, guide, Adam({"lr": 0.01}), TraceEnum_ELBO())
for _ in range(500):
    svi.step()
