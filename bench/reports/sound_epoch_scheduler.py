# source: the usage that pyro-ppl/pyro#1910 settles on: one step of the scheduler an epoch
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal
from pyro.optim import ExponentialLR

torch.manual_seed(0)
x = torch.randn(300, 3)
y = x @ torch.tensor([2.0, -3.0, 1.0]) + 0.5 * torch.randn(300)


def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 3.0).to_event(1))
    with pyro.plate("rows", 300, subsample_size=len(x)):
        pyro.sample("y", dist.Normal(x @ w, 0.5), obs=y)


guide = AutoMultivariateNormal(model, init_scale=0.05)
scheduler = ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.05}, "gamma": 0.97})
svi = SVI(model, guide, scheduler, loss=Trace_ELBO())
num_epochs, batches = 50, list(zip(x.split(30), y.split(30)))
for epoch in range(num_epochs):
    for xb, yb in batches:
        svi.step(xb, yb)
    scheduler.step()
