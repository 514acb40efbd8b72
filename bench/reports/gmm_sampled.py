# source: forum.pyro.ai/t/traceenum-elbo-reference/1110
# wrong: the assignments of a mixture are sampled under Trace_ELBO; the means do not come to their values
# tip: 14
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from torch.distributions import constraints

data = torch.tensor([0.0, 1.0, 10.0, 11.0, 12.0] * 4) + 0.1 * torch.arange(20) - 0.95
K = 2


def model(data):
    with pyro.plate("components", K):
        locs = pyro.sample("locs", dist.Normal(0.0, 10.0))
    weights = torch.tensor([0.5, 0.5])
    with pyro.plate("data", len(data)):
        assignment = pyro.sample("assignment", dist.Categorical(weights))
        pyro.sample("obs", dist.Normal(locs[assignment], 1.0), obs=data)


def full_guide(data):
    locs_q = pyro.param("locs_q", torch.tensor([4.0, 5.0]))
    scale_q = pyro.param("scale_q", torch.tensor([0.1, 0.1]), constraint=constraints.positive)
    with pyro.plate("components", K):
        pyro.sample("locs", dist.Normal(locs_q, scale_q))
    with pyro.plate("data", len(data)):
        assignment_probs = pyro.param("assignment_probs", torch.ones(len(data), K) / K, constraint=constraints.simplex)
        pyro.sample("assignment", dist.Categorical(assignment_probs))


optim = pyro.optim.Adam({"lr": 0.05, "betas": (0.8, 0.99)})
elbo = Trace_ELBO()
svi = SVI(model, full_guide, optim, loss=elbo)
losses = []
for i in range(300):
    losses.append(svi.step(data))
    if i % 100 == 0:
        print(i, losses[-1])
