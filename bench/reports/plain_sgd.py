# source: pymc-devs/pymc#3522 (the same program in Pyro)
# wrong: SGD on the sum over all data: NaN; Adam has no trouble
# tip: 2
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

torch.manual_seed(40)
n = 500
x1 = torch.randn(n, 1)
X = torch.cat([x1, x1**2, x1**3], -1)
y = torch.cos(2.0 * x1).squeeze(-1) + 0.1 * torch.randn(n)


def model(X, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(X)):
        pyro.sample("y", dist.Normal(X @ w + b, 0.7), obs=y)


guide = AutoNormal(model, init_scale=0.05)
svi = SVI(model, guide, pyro.optim.SGD({"lr": 0.01, "momentum": 0.1}), Trace_ELBO())
for it in range(1200):
    loss = svi.step(X, y)
