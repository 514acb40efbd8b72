# source: pyro-ppl/pyro#1488, pyro-ppl/pyro#3094
# wrong: a second, larger model is trained in the same process, and finds the first one's params in the store
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(2)
xs = torch.randn(120, 4)
ys = xs @ torch.tensor([1.0, -1.0, 0.5, 0.0]) + 0.1 * torch.randn(120)


def fit(x, y, steps):
    d = x.shape[1]

    def model(x, y):
        w = pyro.sample("w", dist.Normal(torch.zeros(d), 1.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ w, 0.1), obs=y)

    def guide(x, y):
        loc = pyro.param("loc", torch.zeros(d))
        scale = pyro.param("scale", 0.1 * torch.ones(d), constraint=constraints.positive)
        pyro.sample("w", dist.Normal(loc, scale).to_event(1))

    svi = SVI(model, guide, ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / steps)}), Trace_ELBO())
    for _ in range(steps):
        svi.step(x, y)
    return pyro.param("loc").detach().clone()


for z_dim in (2, 4):
    print(z_dim, fit(xs[:, :z_dim], ys, steps=600))
