# source: forum.pyro.ai/t/properly-using-a-scheduler-with-an-optimizer/730, pyro-ppl/pyro#1910
# wrong: the scheduler, meant for epochs, is stepped with every minibatch; the rate is nothing after a few of them
# tip: 3
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import StepLR

torch.manual_seed(0)
x = torch.randn(320, 3)
y = x @ torch.tensor([2.0, -3.0, 1.0]) + 0.5 * torch.randn(320)


def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 3.0).to_event(1))
    with pyro.plate("rows", 320, subsample_size=len(x)):
        pyro.sample("y", dist.Normal(x @ w, 0.5), obs=y)


guide = AutoNormal(model, init_scale=0.05)
scheduler = StepLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.02}, "step_size": 5, "gamma": 0.5})
svi = SVI(model, guide, scheduler, loss=Trace_ELBO())
for epoch in range(60):
    for xb, yb in zip(x.split(32), y.split(32)):
        svi.step(xb, yb)
        scheduler.step()
