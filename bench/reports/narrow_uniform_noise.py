# source: pyro-ppl/pyro#2696
# wrong: the guide of a Uniform(0, 10) scale is Normal(loc, 0.05); near a small scale it draws negative ones
# tip: 4
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

torch.manual_seed(3)
ruggedness = torch.rand(60) * 3
is_africa = (torch.arange(60) % 3 == 0).float()
log_gdp = 9.0 - 2.0 * is_africa - 0.2 * ruggedness + 0.4 * is_africa * ruggedness + 0.05 * torch.randn(60)


def model(is_africa, ruggedness, log_gdp):
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b_a = pyro.sample("bA", dist.Normal(0.0, 1.0))
    b_r = pyro.sample("bR", dist.Normal(0.0, 1.0))
    b_ar = pyro.sample("bAR", dist.Normal(0.0, 1.0))
    sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
    mean = a + b_a * is_africa + b_r * ruggedness + b_ar * is_africa * ruggedness
    with pyro.plate("data", len(ruggedness)):
        pyro.sample("obs", dist.Normal(mean, sigma), obs=log_gdp)


def guide(is_africa, ruggedness, log_gdp):
    a_loc = pyro.param("a_loc", torch.tensor(8.0))
    a_scale = pyro.param("a_scale", torch.tensor(0.1), constraint=constraints.positive)
    sigma_loc = pyro.param("sigma_loc", torch.tensor(1.0), constraint=constraints.positive)
    weights_loc = pyro.param("weights_loc", torch.zeros(3))
    weights_scale = pyro.param("weights_scale", torch.full((3,), 0.1), constraint=constraints.positive)
    pyro.sample("a", dist.Normal(a_loc, a_scale))
    pyro.sample("bA", dist.Normal(weights_loc[0], weights_scale[0]))
    pyro.sample("bR", dist.Normal(weights_loc[1], weights_scale[1]))
    pyro.sample("bAR", dist.Normal(weights_loc[2], weights_scale[2]))
    pyro.sample("sigma", dist.Normal(sigma_loc, torch.tensor(0.05)))


svi = SVI(model, guide, Adam({"lr": 0.05}), loss=Trace_ELBO())
for i in range(1500):
    elbo = svi.step(is_africa, ruggedness, log_gdp)
    if i % 500 == 0:
        print(f"Elbo loss: {elbo}")
