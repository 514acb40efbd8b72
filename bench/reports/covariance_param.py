# source: pyro-ppl/pyro#2017
# wrong: a covariance matrix is a bare param and is not positive definite any more after some steps
# tip: 5
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

torch.manual_seed(7)
L = torch.tensor([[1.0, 0.0, 0.0], [0.9, 0.3, 0.0], [-0.5, 0.2, 0.4]])
X = torch.randn(40, 3) @ L.T
y = X @ torch.tensor([1.0, 2.0, -1.0]) + 0.5 * torch.randn(40)


class Regression:
    def model(self, X, y):
        w = pyro.sample("w", dist.MultivariateNormal(torch.zeros(3), torch.eye(3)))
        with pyro.plate("rows", X.shape[0]):
            pyro.sample("y", dist.Normal(X @ w, 0.5), obs=y)

    def guide(self, X, y):
        loc = pyro.param("w_loc", torch.zeros(3))
        cov = pyro.param("w_cov", 0.05 * torch.eye(3))
        pyro.sample("w", dist.MultivariateNormal(loc, covariance_matrix=cov))


regression = Regression()
svi = SVI(regression.model, regression.guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for i in range(1000):
    svi.step(X, y)
