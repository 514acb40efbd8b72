# source: pyro-ppl/pyro#1224 (review)
# wrong: the start of a positive param is -3, a log scale: its unconstrained value is NaN from the first step
# tip: 5
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from torch.distributions import constraints

torch.manual_seed(9)
design = torch.stack([torch.ones(40), torch.arange(40) % 2.0], -1)
y = design @ torch.tensor([1.0, 0.6]) + 0.3 * torch.randn(40)


def model(design, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1))
    with pyro.plate("trials", len(y)):
        pyro.sample("y", dist.Normal(design @ w, 0.3), obs=y)


def guide(design, y):
    w_loc = pyro.param("guide_mean_weight", torch.zeros(2))
    w_sig = pyro.param("guide_scale_weight", -3 * torch.ones(2), constraint=constraints.positive)
    pyro.sample("w", dist.Normal(w_loc, w_sig).to_event(1))


optim = pyro.optim.Adam({"lr": 0.01})
svi = SVI(model, guide, optim, loss=Trace_ELBO())
for i in range(1000):
    loss = svi.step(design, y)
    if i % 200 == 0:
        print(i, loss)
