# source: pyro-ppl/pyro#877
# wrong: concentrations and rates of Gamma guides are bare params
# tip: 5
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

x = torch.tensor([8.4097, 1.2, 3.3])
y = torch.tensor([32.229, 6.1, 14.0])


def model(x, y):
    weight = pyro.sample("weight", dist.Gamma(5.0, 2.0))
    bias = pyro.sample("bias", dist.Gamma(7.0, 5.6))
    with pyro.plate("points", len(x)):
        pyro.sample("obs", dist.Cauchy(weight * x + bias, 1.0), obs=y)


def guide(x, y):
    w_alpha = pyro.param("w_alpha", torch.tensor(1.0))
    w_beta = pyro.param("w_beta", torch.tensor(3.0))
    b_alpha = pyro.param("b_alpha", torch.tensor(1.0))
    b_beta = pyro.param("b_beta", torch.tensor(1.0))
    pyro.sample("weight", dist.Gamma(w_alpha, w_beta))
    pyro.sample("bias", dist.Gamma(b_alpha, b_beta))


svi = SVI(model, guide, Adam({"lr": 0.05}), loss=Trace_ELBO(num_particles=2))
for i in range(800):
    loss = svi.step(x, y)
    if (i + 1) % 500 == 0:
        print("loss:", loss)
