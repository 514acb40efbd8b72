# source: pyro-ppl/pyro#2790
# wrong: Multinomial gets the number of words instead of the number of draws as its total count
# tip: 12
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDelta
from pyro.optim import Adam

counts = torch.tensor([5.0, 4.0, 2.0, 5.0, 6.0, 5.0, 3.0, 3.0, 1.0, 5.0])


def model(counts):
    theta = pyro.sample("theta", dist.Dirichlet(2.0 * torch.ones(len(counts))))
    pyro.sample("counts", dist.Multinomial(len(counts), theta), obs=counts)


guide = AutoDelta(model)
svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
for step in range(500):
    svi.step(counts)
