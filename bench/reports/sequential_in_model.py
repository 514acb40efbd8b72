# source: pyro-ppl/pyro#2916, forum.pyro.ai/t/inferring-discrete-latent-variable/3172
# wrong: sequential enumeration in the model is not implemented
# tip: 14
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, TraceEnum_ELBO
from pyro.optim import Adam

torch.manual_seed(11)
heights = torch.cat([-2.0 + 0.5 * torch.randn(30), 2.0 + 0.5 * torch.randn(70)])


def model(heights):
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    low = pyro.param("low", torch.tensor(-1.0))
    high = pyro.param("high", torch.tensor(1.0))
    with pyro.plate("people", len(heights)):
        kind = pyro.sample("kind", dist.Bernoulli(p), infer={"enumerate": "sequential"})
        loc = low * (1 - kind) + high * kind
        pyro.sample("height", dist.Normal(loc, 0.5), obs=heights)


def guide(heights):
    pass


svi = SVI(model, guide, Adam({"lr": 0.05}), TraceEnum_ELBO(max_plate_nesting=1))
for step in range(300):
    loss = svi.step(heights)
print(pyro.param("p").item(), pyro.param("low").item(), pyro.param("high").item())
