# source: pyro.ai tutorial "SVI Part I", as in pyro-ppl/pyro#2817 (a question about its arithmetic; the program is right)
# wrong: nothing
# tip: sound
import math

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

data = torch.tensor([1.0] * 16 + [0.0] * 24)


def model(data):
    f = pyro.sample("latent_fairness", dist.Beta(10.0, 10.0))
    with pyro.plate("tosses", len(data)):
        pyro.sample("obs", dist.Bernoulli(f), obs=data)


def guide(data):
    alpha_q = pyro.param("alpha_q", torch.tensor(15.0), constraint=constraints.positive)
    beta_q = pyro.param("beta_q", torch.tensor(15.0), constraint=constraints.positive)
    pyro.sample("latent_fairness", dist.Beta(alpha_q, beta_q))


svi = SVI(model, guide, Adam({"lr": 0.003, "betas": (0.90, 0.999)}), loss=Trace_ELBO())
for step in range(2000):
    svi.step(data)
alpha, beta = pyro.param("alpha_q").item(), pyro.param("beta_q").item()
print(alpha / (alpha + beta), math.sqrt(alpha * beta / (alpha + beta + 1)) / (alpha + beta))
