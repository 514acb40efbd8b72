"""Times until a part fails, by temperature: a Weibull regression with a full covariance, 2,000 steps."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoMultivariateNormal, init_to_median
from pyro.optim import Adam

gen = torch.Generator().manual_seed(12)
heat = torch.randn(120, generator=gen)
uniform = torch.rand(120, generator=gen)
time = torch.exp(2.0 - 0.5 * heat) * (-uniform.log()) ** (1 / 1.8)


def model(heat, time):
    shape = pyro.sample("shape", dist.LogNormal(0.0, 0.5))
    start = pyro.sample("start", dist.Normal(0.0, 3.0))
    slope = pyro.sample("slope", dist.Normal(0.0, 1.0))
    with pyro.plate("parts", len(heat)):
        pyro.sample("time", dist.Weibull((start + slope * heat).exp(), shape), obs=time)


pyro.set_rng_seed(0)
guide = AutoMultivariateNormal(model, init_loc_fn=init_to_median, init_scale=0.1)
svi = SVI(model, guide, Adam({"lr": 0.005}), Trace_ELBO(num_particles=2))
for step in range(2000):
    loss = svi.step(heat, time)
print(loss)
