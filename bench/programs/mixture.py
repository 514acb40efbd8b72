"""A mixture of two Gaussians whose assignments are enumerated."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal, init_to_median
from pyro.optim import ClippedAdam

torch.manual_seed(2)
data = torch.cat([torch.randn(120) * 0.5 - 2.0, torch.randn(80) * 0.5 + 1.5])


def model(data):
    share = pyro.sample("share", dist.Beta(5.0, 5.0))
    low = pyro.sample("low", dist.Normal(-1.0, 2.0))
    high = pyro.sample("high", dist.Normal(1.0, 2.0))
    spread = pyro.sample("spread", dist.LogNormal(-0.5, 0.3))
    with pyro.plate("data", len(data), dim=-1):
        upper = pyro.sample("upper", dist.Bernoulli(share))
        mean = upper * high + (1 - upper) * low
        pyro.sample("x", dist.Normal(mean, spread), obs=data)


guide = AutoNormal(poutine.block(model, hide=["upper"]), init_loc_fn=init_to_median, init_scale=0.05)
num_steps = 600
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
elbo = TraceEnum_ELBO(max_plate_nesting=1)
n = len(data)
svi = SVI(poutine.scale(config_enumerate(model), scale=1 / n), poutine.scale(guide, scale=1 / n), optim, loss=elbo)
for step in range(num_steps):
    loss = svi.step(data)
print(f"loss {loss:.3f}")
