"""A hidden Markov model of dry and wet spells, states enumerated, transitions as points."""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta
from pyro.optim import Adam
from pyro.poutine import block

gen = torch.Generator().manual_seed(8)
stay = torch.tensor([0.9, 0.8])
state, rain = 0, []
for _ in range(120):
    rain.append(float(torch.rand((), generator=gen) < (0.1, 0.85)[state]))
    if torch.rand((), generator=gen) > stay[state]:
        state = 1 - state
rain = torch.tensor(rain)


@config_enumerate
def model(rain):
    with pyro.plate("states", 2):
        moves = pyro.sample("moves", dist.Dirichlet(torch.tensor([[4.0, 1.0], [1.0, 4.0]])))
        wet = pyro.sample("wet", dist.Beta(torch.tensor([1.0, 4.0]), torch.tensor([4.0, 1.0])))
    x = 0
    for t in pyro.markov(range(len(rain))):
        x = pyro.sample(f"x_{t}", dist.Categorical(moves[x]))
        pyro.sample(f"rain_{t}", dist.Bernoulli(wet[x]), obs=rain[t])


guide = AutoDelta(block(model, expose=["moves", "wet"]))
svi = SVI(model, guide, Adam({"lr": 0.02}), TraceEnum_ELBO(max_plate_nesting=1))
for step in range(150):
    loss = svi.step(rain)
print(loss, pyro.param("AutoDelta.wet"))
