# source: pyro-ppl/pyro#1143
# wrong: an autoguide for a model that has parameters only
# tip: 6
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.optim import Adam

torch.manual_seed(4)
waiting = torch.distributions.Weibull(3.0, 1.5).sample((200,))


def model(waiting):
    scale = pyro.param("weibull_scale", torch.tensor(1.0), constraint=constraints.positive)
    shape = pyro.param("weibull_shape", torch.tensor(1.0), constraint=constraints.positive)
    with pyro.plate("n", len(waiting)):
        pyro.sample("waiting", dist.Weibull(scale, shape), obs=waiting)


guide = AutoDiagonalNormal(model)
svi = SVI(model, guide, Adam({"lr": 0.02}), Trace_ELBO())
for step in range(800):
    svi.step(waiting)
