"""A/B test of a shop's checkout page over many small shops, with a Beta posterior for every conversion rate.

The conversion rates are latent with a Beta prior; the guide is a Beta for each of them, so posterior and guide are of
one family and the fit should be exact.
"""

from dataclasses import dataclass

import torch

import pyro
import pyro.distributions as dist
from pyro import param, plate, sample
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import RMSprop


@dataclass
class Config:
    num_shops: int = 12
    num_steps: int = 1500
    learning_rate: float = 0.2
    seed: int = 0


def simulate(num_shops):
    """Visitors and purchases, each of shape (shops, 2): page A and page B."""
    gen = torch.Generator().manual_seed(31)
    visitors = torch.randint(20, 200, (num_shops, 2), generator=gen).float()
    rates = torch.tensor([0.02, 0.05]) * (1 + torch.rand(num_shops, 1, generator=gen))
    return visitors, torch.binomial(visitors, rates, generator=gen)



def model(visitors, purchases):
    with plate("shops", len(visitors), dim=-2), plate("pages", 2, dim=-1):
        rate = sample("rate", dist.Beta(1.0, 10.0))
        sample("purchases", dist.Binomial(visitors, rate), obs=purchases)


def guide(visitors, purchases):
    successes = param("successes", torch.ones(len(visitors), 2) * 2)
    failures = param("failures", torch.ones(len(visitors), 2) * 10)
    with plate("shops", len(visitors), dim=-2), plate("pages", 2, dim=-1):
        sample("rate", dist.Beta(successes, failures))


def main(config=Config()):
    pyro.set_rng_seed(config.seed)
    visitors, purchases = simulate(config.num_shops)
    svi = SVI(model, guide, RMSprop({"lr": config.learning_rate}), loss=TraceMeanField_ELBO())
    for step in range(config.num_steps):
        loss = svi.step(visitors, purchases)
        if step % 150 == 0:
            print(f"step {step:4d}  loss {loss:9.2f}")
    print("final loss", round(svi.evaluate_loss(visitors, purchases), 2))
    a, b = param("successes").detach(), param("failures").detach()
    print("mean conversion of A and B:", (a / (a + b)).mean(0).tolist())


if __name__ == "__main__":
    main()
