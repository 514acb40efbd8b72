# source: pyro-ppl/pyro#1437
# wrong: minibatches are made by hand and the plate has the batch's size: the prior counts twenty times what it should
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(6)
N, batch_size = 400, 20
loader = DataLoader(TensorDataset(3.0 + torch.randn(N)), batch_size=batch_size, shuffle=True)


def model(x):
    mu = pyro.sample("mu", dist.Normal(0.0, 0.2))
    with pyro.plate("batch", len(x)):
        pyro.sample("x", dist.Normal(mu, 1.0), obs=x)


def guide(x):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("mu", dist.Normal(loc, scale))


epochs = 60
svi = SVI(model, guide, ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / (epochs * len(loader)))}), Trace_ELBO())
for epoch in range(epochs):
    total = sum(svi.step(x) for (x,) in loader)
    if epoch % 20 == 0:
        print(epoch, total / N)
