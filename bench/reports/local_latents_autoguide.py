# source: pyro-ppl/numpyro#1199
# wrong: AutoDiagonalNormal for latents of a subsampled plate: it packs the first batch's into one vector
# tip: 6
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.optim import ClippedAdam

torch.manual_seed(3)
truth = 2.0 + torch.randn(60)
measured = truth + 0.3 * torch.randn(60)


def model(measured):
    centre = pyro.sample("centre", dist.Normal(0.0, 5.0))
    with pyro.plate("items", len(measured), subsample_size=15) as ind:
        item = pyro.sample("item", dist.Normal(centre, 1.0))
        pyro.sample("measured", dist.Normal(item, 0.3), obs=measured[ind])


guide = AutoDiagonalNormal(model)
svi = SVI(model, guide, ClippedAdam({"lr": 0.02, "lrd": 0.999}), Trace_ELBO())
for step in range(1500):
    svi.step(measured)
