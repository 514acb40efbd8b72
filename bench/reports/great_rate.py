# source: pyro-ppl/pyro#1755
# wrong: a positive param turns NaN although it has its constraint: the steps are far too large
# tip: 1
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

torch.manual_seed(0)
M = 4
samples = torch.tensor([0.5, 1.0, 2.0, 4.0]) * torch.randn(100, M)


def model(samples):
    theta = pyro.sample("theta", dist.HalfCauchy(torch.ones(M)).to_event(1))
    tril = theta.diag()
    with pyro.plate("N", len(samples)):
        pyro.sample("obs", dist.MultivariateNormal(torch.zeros(M), scale_tril=tril), obs=samples)


def guide(samples):
    loc = pyro.param("theta_loc", torch.zeros(M))
    scale = pyro.param("theta_scale", 0.1 * torch.ones(M), constraint=constraints.positive)
    pyro.sample("theta", dist.LogNormal(loc, scale).to_event(1))


svi = SVI(model, guide, Adam({"lr": 50.0}), Trace_ELBO())
for _ in range(1000):
    svi.step(samples)
