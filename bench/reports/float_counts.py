# source: pyrovelocity/pyrovelocity#77
# wrong: normalised, no longer whole counts under a Poisson: the support is violated at the first step
# tip: 12
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

torch.manual_seed(0)
raw = torch.poisson(torch.tensor([2.0, 5.0, 9.0]).expand(50, 3))
counts = raw * (12.0 / raw.sum(-1, keepdim=True)).clamp(max=1.5)


def model(counts):
    with pyro.plate("genes", 3, dim=-1):
        rate = pyro.sample("rate", dist.LogNormal(1.0, 1.0))
        with pyro.plate("cells", 50, dim=-2):
            pyro.sample("counts", dist.Poisson(rate), obs=counts)


num_steps = 500
guide = AutoNormal(model)
svi = SVI(model, guide, ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)}), Trace_ELBO())
for step in range(num_steps):
    svi.step(counts)
