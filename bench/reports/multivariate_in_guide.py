# source: forum.pyro.ai/t/svi-normal-in-model-multivariatenormal-in-guide/4859
# wrong: Normals in a plate in the model, one MultivariateNormal in the guide: the event dims disagree
# tip: 13
import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(0)
A = torch.randn(30, 4)
y = A @ torch.tensor([1.0, 0.0, -1.0, 2.0]) + 0.3 * torch.randn(30)


def model(A, y):
    with pyro.plate("components", 4):
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(A @ a, 0.3), obs=y)


def guide(A, y):
    loc = pyro.param("loc", torch.zeros(4))
    tril = pyro.param("tril", 0.1 * torch.eye(4), constraint=constraints.lower_cholesky)
    pyro.sample("a", dist.MultivariateNormal(loc, scale_tril=tril))


svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for step in range(1000):
    svi.step(A, y)
