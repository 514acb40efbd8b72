# source: forum.pyro.ai/t/enumeration-and-subsampling-expected-all-enumerated-sample-sites-to-share-common-poutine-scale/4938
# wrong: a global latent is enumerated, and the data below it are subsampled: Pyro cannot scale that
# tip: 14
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoNormal

torch.manual_seed(0)
data = 10.0 + torch.randn(60)


@config_enumerate
def model(data):
    spread = pyro.sample("spread", dist.LogNormal(0.0, 1.0))
    which = pyro.sample("which", dist.Categorical(torch.tensor([0.5, 0.5])))
    locs = torch.tensor([1.0, 10.0])
    with pyro.plate("data", len(data), subsample_size=20) as ind:
        pyro.sample("obs", dist.Normal(locs[which], spread), obs=data[ind])


guide = AutoNormal(pyro.poutine.block(model, hide=["which"]))
elbo = TraceEnum_ELBO(max_plate_nesting=1)
svi = SVI(model, guide, pyro.optim.Adam({"lr": 0.02}), elbo)
for _ in range(600):
    svi.step(data)
