# source: pyro-ppl/pyro#2187, forum.pyro.ai/t/problem-with-enumeration-for-batch-data-in-deep-markov-models/1200
# wrong: the mask has a trailing dimension of one, so it broadcasts the log probabilities to a square
# tip: 13
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

torch.manual_seed(0)
steps = 1.0 + 0.5 * torch.randn(40)
seen = torch.arange(40) < 30


def model(steps, seen):
    drift = pyro.sample("drift", dist.Normal(0.0, 1.0))
    with pyro.plate("sequences", len(steps)):
        with poutine.mask(mask=seen.unsqueeze(-1)):
            pyro.sample("steps", dist.Normal(drift, 0.5), obs=steps)


guide = AutoNormal(model)
svi = SVI(model, guide, ClippedAdam({"lr": 0.01, "lrd": 0.998}), Trace_ELBO())
for _ in range(800):
    svi.step(steps, seen)
