# source: the way pyro-ppl/pyro#1437 recommends for minibatches made by hand
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(6)
N, batch_size = 400, 40
loader = DataLoader(TensorDataset(3.0 + torch.randn(N)), batch_size=batch_size, shuffle=True)


def model(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    with pyro.plate("data", N, subsample_size=len(x)):
        pyro.sample("x", dist.Normal(mu, 1.0), obs=x)


def guide(x):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("mu", dist.Normal(loc, scale))


svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.02, "lrd": 0.998, "clip_norm": 1000.0}), Trace_ELBO())
for epoch in range(100):
    total = sum(svi.step(x) for (x,) in loader) / N
