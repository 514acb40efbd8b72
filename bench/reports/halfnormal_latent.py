# source: forum.pyro.ai/t/setting-constraints-and-guides-on-constrained-distributions/742
# wrong: a Normal guide for a HalfNormal latent draws negative scales; the run dies sooner or later
# tip: 4
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints


def model(y):
    mu = pyro.sample("mu", dist.Normal(torch.zeros(1), torch.ones(1)))
    sigma = pyro.sample("sigma", dist.HalfNormal(torch.ones(1)))
    with pyro.plate("obs", y.shape[0]):
        pyro.sample("y", dist.Normal(mu, sigma), obs=y)


def guide(y):
    mu_loc = pyro.param("mu_loc", torch.ones(1))
    mu_scale = pyro.param("mu_scale", torch.ones(1), constraint=constraints.positive)
    pyro.sample("mu", dist.Normal(mu_loc, mu_scale))
    sigma_loc = pyro.param("sigma_loc", torch.ones(1), constraint=constraints.positive)
    sigma_scale = pyro.param("sigma_scale", torch.ones(1), constraint=constraints.positive)
    pyro.sample("sigma", dist.Normal(sigma_loc, sigma_scale))


def main():
    torch.manual_seed(1)
    data = torch.randn(100)
    svi = SVI(model, guide, Adam({"lr": 0.03}), loss=Trace_ELBO(max_plate_nesting=1))
    for j in range(500):
        loss = svi.step(data)
        if j % 100 == 0:
            print(f"[iteration {j + 1:04d}] loss: {loss / len(data):.4f}")


if __name__ == "__main__":
    main()
