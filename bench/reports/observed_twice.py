# source: forum.pyro.ai/t/beginner-question-on-svi-how-to-find-parameters-of-a-normal-distribution/3953
# wrong: what is to be learnt are parameters of the guide at the observed site; the model has fixed numbers, nothing is learnt
# tip: 4
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO

mu_prior, sigma_prior = 40.0, 1.0
torch.manual_seed(0)
obs = 42.0 + 1.5 * torch.randn(1000)


def model(obs):
    with pyro.plate("samples", len(obs)):
        pyro.sample("test", dist.Normal(mu_prior, sigma_prior), obs=obs)


def guide(obs):
    mu_param = pyro.param("mu_param", torch.tensor(mu_prior))
    sigma_param = pyro.param("sigma_param", torch.tensor(sigma_prior))
    with pyro.plate("samples", len(obs)):
        pyro.sample("test", dist.Normal(mu_param, sigma_param))


optimizer = pyro.optim.Adam({"lr": 0.01, "betas": (0.95, 0.999)})
svi = SVI(model, guide, optimizer, loss=Trace_ELBO(num_particles=2))
n_steps = 600
mu, sigma = [], []
for step in range(n_steps):
    svi.step(obs)
    mu.append(pyro.param("mu_param").item())
    sigma.append(pyro.param("sigma_param").item())
print(mu[-1], sigma[-1])
