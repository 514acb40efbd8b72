# source: pyro-ppl/pyro#2156, pyro-ppl/numpyro#510
# wrong: an autoguide that starts wide makes a model with an exponential go wild early
# tip: 7
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.optim import Adam

torch.manual_seed(0)
x = torch.randn(100, 3)
counts = torch.poisson(torch.exp(1.0 + x @ torch.tensor([0.5, -0.5, 0.2])))


def model(x, counts):
    bias = pyro.sample("bias", dist.Normal(0.0, 3.0))
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 3.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("counts", dist.Poisson(torch.exp(bias + x @ w)), obs=counts)


guide = AutoDiagonalNormal(model, init_scale=4.0)
svi = SVI(model, guide, Adam({"lr": 0.005}), Trace_ELBO())
for step in range(1000):
    svi.step(x, counts)
