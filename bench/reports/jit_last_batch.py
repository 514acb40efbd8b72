# source: pyro-ppl/pyro#1358
# wrong: JitTrace_ELBO with batches of different sizes: what was compiled for the first size is used for the last
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, JitTrace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal
from pyro.optim import Adam

torch.manual_seed(0)
data = 2.0 + torch.randn(250)


def model(batch):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", 250, subsample=torch.zeros(len(batch), dtype=torch.long)):
        pyro.sample("obs", dist.Normal(loc, scale).expand([batch.shape[0]]), obs=batch)


guide = AutoDiagonalNormal(model)
svi = SVI(model, guide, Adam({"lr": 0.02}), loss=JitTrace_ELBO(ignore_jit_warnings=True))
for epoch in range(250):
    for batch in data.split(100):
        svi.step(batch)
print(guide.median())
