# source: pyro-ppl/pyro#2282, pyro-ppl/pyro#1911
# wrong: the parameters of the guide's flow are registered nowhere, so nothing of it is trained
# tip: outside
import pyro
import pyro.distributions as dist
import pyro.distributions.transforms as T
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(0)
x = torch.tensor([[2.1, -1.0], [1.8, -1.2], [2.2, -0.7]])
transform = T.affine_autoregressive(2, hidden_dims=[8])


def model(x):
    z = pyro.sample("z", dist.Normal(torch.zeros(2), 2.0).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(z, 0.3).to_event(1), obs=x)


def guide(x):
    base = dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1)
    pyro.sample("z", dist.TransformedDistribution(base, [transform]))


svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for step in range(1000):
    svi.step(x)
