"""Prevalence of an infection in several regions, from an imperfect test.

The test's sensitivity and specificity are point estimates, pinned down by validation samples of known status; every
region's prevalence has a posterior on the logit scale. A good test has a specificity close to one.
"""

import argparse

import torch
from torch.distributions import constraints

import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

# Validation of the test: how many people of known status were tested, and of how many the result was right.
INFECTED, INFECTED_RIGHT = torch.tensor(150.0), torch.tensor(138.0)
HEALTHY, HEALTHY_RIGHT = torch.tensor(900.0), torch.tensor(895.0)


def simulate(num_regions, seed=3):
    """Return (people tested, positive tests) of each region."""
    gen = torch.Generator().manual_seed(seed)
    tested = torch.randint(200, 600, (num_regions,), generator=gen).float()
    prevalence = torch.sigmoid(-3 + 0.7 * torch.randn(num_regions, generator=gen))
    return tested, torch.binomial(tested, 0.92 * prevalence + 0.006 * (1 - prevalence), generator=gen)


def model(tested, positive):
    sensitivity = pyro.param("sensitivity", torch.tensor(0.8), constraint=constraints.positive)
    specificity = pyro.param("specificity", torch.tensor(0.8), constraint=constraints.positive)
    pyro.sample("infected_right", dist.Binomial(INFECTED, sensitivity), obs=INFECTED_RIGHT)
    pyro.sample("healthy_right", dist.Binomial(HEALTHY, specificity), obs=HEALTHY_RIGHT)
    with pyro.plate("regions", len(tested)):
        prevalence = pyro.sample("logit", dist.Normal(-2.0, 1.5)).sigmoid()
        rate = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
        pyro.sample("positive", dist.Binomial(tested, rate), obs=positive)


def guide(tested, positive):
    loc = pyro.param("logit_loc", torch.full_like(tested, -2.0))
    scale = pyro.param("logit_scale", torch.full_like(tested, 0.1), constraint=constraints.positive)
    with pyro.plate("regions", len(tested)):
        pyro.sample("logit", dist.Normal(loc, scale))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--regions", type=int, default=10)
    parser.add_argument("--num-steps", type=int, default=600)
    parser.add_argument("--learning-rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()

    pyro.set_rng_seed(args.seed)
    tested, positive = simulate(args.regions)

    # A loss per region is easier to read than one for the whole country.
    scaled_model = poutine.scale(model, scale=1 / args.regions)
    scaled_guide = poutine.scale(guide, scale=1 / args.regions)
    optim = ClippedAdam({"lr": args.learning_rate})
    svi = SVI(scaled_model, scaled_guide, optim, loss=Trace_ELBO())

    for step in range(args.num_steps):
        loss = svi.step(tested, positive)
        if step % 100 == 0:
            print(f"step {step:4d}  loss {loss:8.4f}")

    print("final loss", round(svi.evaluate_loss(tested, positive), 4))
    print("sensitivity:", round(pyro.param("sensitivity").item(), 3))
    print("specificity:", round(pyro.param("specificity").item(), 3))
    print("prevalence:", [round(p, 3) for p in pyro.param("logit_loc").sigmoid().tolist()])


if __name__ == "__main__":
    main()
