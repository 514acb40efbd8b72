# source: forum.pyro.ai "SVI using MultivariateNormal" (December 2022), its random_large_value
# wrong: the guide's scales start at 50, so that the gradients are noise for most of the run
# tip: 7
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from torch import tensor

x3_obs = tensor([1.0, 1.1, 1.2])


def model(x3_obs):
    loc_prior = tensor(1.0)
    x1 = pyro.sample("x1", dist.Normal(loc_prior, 1))
    x2 = pyro.sample("x2", dist.Normal(x1, 0.5))
    with pyro.plate("mini_batch", len(x3_obs)):
        pyro.sample("x3", dist.Normal(x2, 0.3), obs=x3_obs)


def guide(x3_obs):
    random_large_value = 50.0
    x1_loc = pyro.param("x1_loc", tensor(0.0))
    x2_loc = pyro.param("x2_loc", tensor(0.0))
    x1_scale = pyro.param("x1_scale", tensor(random_large_value), constraint=constraints.positive)
    x2_scale = pyro.param("x2_scale", tensor(random_large_value), constraint=constraints.positive)
    pyro.sample("x1", dist.Normal(x1_loc, x1_scale))
    pyro.sample("x2", dist.Normal(x2_loc, x2_scale))


pyro.clear_param_store()
svi = pyro.infer.SVI(model, guide, optim=pyro.optim.Adam({"lr": 5e-3}), loss=pyro.infer.Trace_ELBO())
n_steps = 1000
for step in range(n_steps):
    svi.step(x3_obs)
