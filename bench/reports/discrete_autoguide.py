# source: pyro-ppl/numpyro#1017
# wrong: an autoguide for a model with a discrete latent, which it cannot transform
# tip: 14
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam

torch.manual_seed(0)
waits = torch.cat([2.0 + 0.3 * torch.randn(40), 4.5 + 0.3 * torch.randn(60)])


def model(waits):
    share = pyro.sample("share", dist.Beta(2.0, 2.0))
    short = pyro.sample("short", dist.Normal(2.0, 1.0))
    gap = pyro.sample("gap", dist.LogNormal(0.0, 1.0))
    with pyro.plate("eruptions", len(waits)):
        long = pyro.sample("long", dist.Bernoulli(share))
        pyro.sample("wait", dist.Normal(short + long * gap, 0.3), obs=waits)


guide = AutoNormal(model)
svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
for _ in range(800):
    svi.step(waits)
