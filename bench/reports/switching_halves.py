# source: forum.pyro.ai/t/what-is-it-doing-in-the-hmm-tutorial/4535 (a program after that tutorial)
# wrong: the states of a hidden Markov chain are sampled by the guide under Trace_ELBO: noise, and the emissions stay mixed
# tip: 14
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(0)
state = (torch.arange(30) // 6) % 2
sequence = torch.tensor([-1.0, 2.0])[state] + 0.4 * torch.randn(30)
probs_x = torch.tensor([[0.8, 0.2], [0.2, 0.8]])


def model(sequence):
    locs = pyro.sample("locs", dist.Normal(torch.tensor([-0.5, 0.5]), 2.0).to_event(1))
    x = torch.tensor(0)
    for t in pyro.markov(range(len(sequence))):
        x = pyro.sample(f"x_{t}", dist.Categorical(probs_x[x]))
        pyro.sample(f"y_{t}", dist.Normal(locs[x], 0.4), obs=sequence[t])


def guide(sequence):
    loc = pyro.param("loc", torch.tensor([-0.5, 0.5]))
    scale = pyro.param("scale", 0.1 * torch.ones(2), constraint=constraints.positive)
    pyro.sample("locs", dist.Normal(loc, scale).to_event(1))
    q = pyro.param("q", 0.5 * torch.ones(len(sequence), 2), constraint=constraints.simplex)
    for t in pyro.markov(range(len(sequence))):
        pyro.sample(f"x_{t}", dist.Categorical(q[t]))


svi = SVI(model, guide, Adam({"lr": 0.02}), loss=Trace_ELBO())
for step in range(150):
    svi.step(sequence)
