# source: the answer in forum.pyro.ai/t/try-to-understand-param-with-constraints/4761
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO

data = torch.tensor([4.8, 5.3, 5.1, 4.6, 5.2])


def model(data):
    mu = pyro.sample("mu", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(mu, 1.0), obs=data)


def guide(data):
    loc = pyro.param("loc", torch.tensor(1.0))
    scale = pyro.param("scale", torch.tensor(0.5), constraint=constraints.positive)
    pyro.sample("mu", dist.Normal(loc, scale))


guide(data)
unconstrained = [value.unconstrained() for value in pyro.get_param_store().values()]
optimizer = torch.optim.Adam(unconstrained, lr=0.01)
elbo = Trace_ELBO(num_particles=2)
for _ in range(1500):
    optimizer.zero_grad()
    loss = elbo.differentiable_loss(model, guide, data)
    loss.backward()
    optimizer.step()
