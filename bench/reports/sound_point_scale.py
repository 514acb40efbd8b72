# source: pyro-ppl/pyro#2696 as its author mends it: the spread of the noise is a point, inside its interval
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

torch.manual_seed(3)
x = torch.rand(80) * 3
y = 9.0 - 0.2 * x + 0.3 * torch.randn(80)


def model(x, y):
    a = pyro.sample("a", dist.Normal(0.0, 10.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0))
    sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
    with pyro.plate("data", len(x)):
        pyro.sample("obs", dist.Normal(a + b * x, sigma), obs=y)


def guide(x, y):
    loc = pyro.param("loc", torch.tensor([8.0, 0.0]))
    tril = pyro.param("tril", 0.1 * torch.eye(2), constraint=constraints.lower_cholesky)
    both = pyro.sample("both", dist.MultivariateNormal(loc, scale_tril=tril), infer={"is_auxiliary": True})
    pyro.sample("a", dist.Delta(both[..., 0]))
    pyro.sample("b", dist.Delta(both[..., 1]))
    sigma = pyro.param("sigma_point", torch.tensor(1.0), constraint=constraints.interval(1e-3, 10.0))
    pyro.sample("sigma", dist.Delta(sigma))


num_steps = 1500
svi = SVI(model, guide, ClippedAdam({"lr": 0.03, "lrd": 0.1 ** (1 / num_steps), "clip_norm": 1e3}), Trace_ELBO())
for step in range(num_steps):
    svi.step(x, y)
