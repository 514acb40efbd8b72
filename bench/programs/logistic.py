"""Logistic regression with an autoguide."""

import torch

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal, init_to_median
from pyro.optim import ClippedAdam

torch.manual_seed(9)
raw = torch.stack([torch.randn(300), 10000.0 + 5000.0 * torch.randn(300)], -1)
x = (raw - raw.mean(0)) / raw.std(0)
standard = torch.stack([raw[:, 0], (raw[:, 1] - 10000.0) / 5000.0], -1)
passed = (torch.rand(300) < torch.sigmoid(standard @ torch.tensor([1.5, -1.0]))).float()


def model(x, passed):
    weights = pyro.sample("weights", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    bias = pyro.sample("bias", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("passed", dist.Bernoulli(logits=x @ weights + bias), obs=passed)


guide = AutoNormal(model, init_loc_fn=init_to_median, init_scale=0.1)
num_steps = 600
optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
svi = SVI(poutine.scale(model, scale=1 / len(x)), poutine.scale(guide, scale=1 / len(x)), optim, loss=Trace_ELBO())
for step in range(num_steps):
    loss = svi.step(x, passed)
print(f"loss {loss:.3f}")
