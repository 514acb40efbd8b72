"""Effects of several schools round a common one."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(8)
true_effects = 3.0 + 1.5 * torch.randn(12)
measured = true_effects + 0.5 * torch.randn(12)
errors = torch.full((12,), 0.5)


def model(measured, errors):
    common = pyro.sample("common", dist.Normal(0.0, 5.0))
    spread = pyro.sample("spread", dist.LogNormal(0.0, 1.0))
    with pyro.plate("schools", len(measured)):
        effect = pyro.sample("effect", dist.Normal(common, spread))
        pyro.sample("measured", dist.Normal(effect, errors), obs=measured)


def guide(measured, errors):
    common_loc = pyro.param("common_loc", torch.tensor(0.0))
    common_scale = pyro.param("common_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("common", dist.Normal(common_loc, common_scale))
    spread_loc = pyro.param("spread_loc", torch.tensor(0.5))
    spread_scale = pyro.param("spread_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("spread", dist.LogNormal(spread_loc, spread_scale))
    effect_loc = pyro.param("effect_loc", torch.zeros(12))
    effect_scale = pyro.param("effect_scale", torch.full((12,), 0.1), constraint=constraints.positive)
    with pyro.plate("schools", len(measured)):
        pyro.sample("effect", dist.Normal(effect_loc, effect_scale))


num_steps = 1000
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
n = len(measured)
svi = SVI(
    poutine.scale(model, scale=1 / n),
    poutine.scale(guide, scale=1 / n),
    optim,
    loss=Trace_ELBO(num_particles=3, vectorize_particles=True),
)
for step in range(num_steps):
    loss = svi.step(measured, errors)
print(f"loss {loss:.3f}")
