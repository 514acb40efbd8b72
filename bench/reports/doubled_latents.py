# source: pyro-ppl/pyro#773
# wrong: the guide draws every z_i round mu instead of what the datum says, and mu itself outside its interval
# tip: 6
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

data = [19.0, 20.4, 21.1, 18.6, 20.0]


def model(data, sigma):
    mu = pyro.sample("mu", dist.Uniform(0.0, 20.0))
    for i in range(len(data)):
        z_i = pyro.sample("z_{}".format(i), dist.Normal(mu, sigma))
        pyro.sample("x_{}".format(i), dist.Normal(2 * z_i, 0.3), obs=torch.tensor(data[i]))


def guide(data, sigma):
    mu_mean = pyro.param("mu_mean", torch.tensor(15.0))
    mu_sigma = pyro.param("mu_sigma", torch.tensor(-2.3))
    mu = pyro.sample("mu", dist.Normal(mu_mean, torch.exp(mu_sigma)))
    for i in range(len(data)):
        pyro.sample("z_{}".format(i), dist.Normal(mu, sigma))


svi = SVI(model, guide, Adam({"lr": 0.05}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(data, 0.5)
print(pyro.param("mu_mean").item())
