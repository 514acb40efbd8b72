# source: pyro-ppl/pyro#1640
# wrong: the point estimate of a Dirichlet latent is a bare param; after one step it is no simplex any more
# tip: 5
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

K, V = 3, 14
counts = torch.zeros(K, V)
for k in range(K):
    counts[k, k * 4 : k * 4 + 5] = 6.0


def model(counts):
    with pyro.plate("topics", K):
        beta = pyro.sample("beta", dist.Dirichlet(1.5 * torch.ones(V)))
        pyro.sample("words", dist.Multinomial(30, beta), obs=counts)


def guide(counts):
    beta_q = pyro.param("beta_q", torch.ones(K, V) / V)
    with pyro.plate("topics", K):
        pyro.sample("beta", dist.Delta(beta_q, event_dim=1))


svi = SVI(model, guide, Adam({"lr": 0.02}), Trace_ELBO())
for step in range(1000):
    svi.step(counts)
print(pyro.param("beta_q").detach())
