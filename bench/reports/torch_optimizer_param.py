# source: forum.pyro.ai/t/try-to-understand-param-with-constraints/4761
# wrong: a plain torch optimiser is given a constrained param, which is no leaf of the graph
# tip: outside
import pyro
import pyro.distributions as dist
import torch
from pyro import param, sample
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO
from torch.optim import Adam

pyro.clear_param_store()
data = torch.tensor([4.8, 5.3, 5.1, 4.6, 5.2])


def model(data):
    mu = param("mu", torch.tensor(1.0), constraint=constraints.greater_than(0))
    with pyro.plate("data", len(data)):
        sample("x", dist.Normal(mu, 1), obs=data)


def guide(data):
    pass


model(data)
optimizer = Adam([param("mu")], lr=0.01)
loss_fn = Trace_ELBO().differentiable_loss
for _ in range(1000):
    optimizer.zero_grad()
    loss = loss_fn(model, guide, data)
    loss.backward()
    optimizer.step()
print(param("mu").item())
