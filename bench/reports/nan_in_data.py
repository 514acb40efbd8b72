# source: BayraktarLab/cell2location#225
# wrong: one value of the data is missing (NaN); Gamma's rate is NaN after the first step
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

torch.manual_seed(0)
library = torch.distributions.Gamma(4.0, 2.0).sample((80,))
library[17] = float("nan")


def model(size):
    alpha = pyro.sample("alpha", dist.Gamma(9.0, 3.0))
    rate = pyro.sample("rate", dist.Gamma(alpha, 1.0))
    with pyro.plate("cells", len(size)):
        pyro.sample("size", dist.Gamma(alpha, rate, validate_args=False), obs=size)


guide = AutoNormal(model)
svi = SVI(model, guide, ClippedAdam({"lr": 0.01, "lrd": 0.998}), loss=Trace_ELBO())
for epoch in range(1000):
    svi.step(library)
