# source: forum.pyro.ai/t/distribution-is-converging-to-the-mean/1715
# wrong: a measurement noise of 1e-5 where the rates scatter by 0.1: losses of 1e8, gradients to match, nothing is found
# tip: 10
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(1)
r = torch.distributions.Gamma(25.0, 100.0).sample((100,))
log_growth = torch.log1p(r)


def model(log_growth):
    mean = pyro.sample("mean", dist.Gamma(4.0, 10.0))
    with pyro.plate("data", len(log_growth)):
        pyro.sample("y", dist.Normal(torch.log1p(mean), 1e-3), obs=log_growth)


def guide(log_growth):
    k = pyro.param("k", torch.tensor(10.0), constraint=constraints.positive)
    theta = pyro.param("theta", torch.tensor(10.0), constraint=constraints.positive)
    pyro.sample("mean", dist.Gamma(k, theta))


svi = SVI(model, guide, Adam({"lr": 0.005}), Trace_ELBO())
for step in range(2000):
    loss = svi.step(log_growth)
