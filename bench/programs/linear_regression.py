"""Linear regression with a learned noise."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(0)
raw = torch.randn(400, 3) * torch.tensor([1.0, 20.0, 30000.0]) + torch.tensor([0.0, 50.0, 60000.0])
x = (raw - raw.mean(0)) / raw.std(0)
standard = (raw - torch.tensor([0.0, 50.0, 60000.0])) / torch.tensor([1.0, 20.0, 30000.0])
y = standard @ torch.tensor([1.0, -2.0, 0.5]) + 3.0 + 0.5 * torch.randn(400)


def model(x, y):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(3), 2.0).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 5.0))
    noise = pyro.sample("noise", dist.LogNormal(0.0, 1.0))
    mean = (weights.unsqueeze(-2) @ x.T).squeeze(-2) + bias.unsqueeze(-1)
    with pyro.plate("data", len(x), dim=-1):
        pyro.sample("y", dist.Normal(mean, noise.unsqueeze(-1)), obs=y)


def guide(x, y):
    loc = pyro.param("loc", torch.zeros(3))
    scale = pyro.param("scale", torch.full((3,), 0.1), constraint=constraints.positive)
    pyro.sample("weights", dist.Normal(loc, scale).to_event(1))
    bias_loc = pyro.param("bias_loc", torch.tensor(0.0))
    bias_scale = pyro.param("bias_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("bias", dist.Normal(bias_loc, bias_scale))
    noise_loc = pyro.param("noise_loc", torch.tensor(0.5))
    noise_scale = pyro.param("noise_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("noise", dist.LogNormal(noise_loc, noise_scale))


num_steps = 1000
optim = ClippedAdam({"lr": 0.05, "lrd": 0.1 ** (1 / num_steps)})
svi = SVI(poutine.scale(model, scale=1 / len(x)), poutine.scale(guide, scale=1 / len(x)), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(x, y)
print(f"loss {loss:.3f}")
