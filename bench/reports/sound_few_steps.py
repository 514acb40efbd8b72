# source: a MAP estimate as in pyro-ppl/pyro#1849; a high rate and few steps, which are just enough
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDelta
from pyro.optim import Adam

torch.manual_seed(0)
x = torch.linspace(-1, 1, 60)
y = 2.0 - 3.0 * x + 0.2 * torch.randn(60)


def model(x, y):
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b = pyro.sample("b", dist.Normal(0.0, 10.0))
    s = pyro.sample("s", dist.LogNormal(-1.0, 1.0))
    with pyro.plate("d", len(x)):
        pyro.sample("y", dist.Normal(a + b * x, s), obs=y)


guide = AutoDelta(model)
svi = SVI(model, guide, Adam({"lr": 0.2}), Trace_ELBO())
for _ in range(600):
    svi.step(x, y)
