"""Correlated drifts of five stocks from a year of daily returns.

The stocks share the market's moves, so their drifts are correlated in the posterior: the guide is one
multivariate Normal over all five, given by its mean and its Cholesky factor. Returns are in per cent.
"""

import argparse

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO

TICKERS = ("AAA", "BBB", "CCC", "DDD", "EEE")


def simulate(num_days=250):
    gen = torch.Generator().manual_seed(5)
    drift = torch.tensor([0.05, 0.02, -0.03, 0.08, 0.0])
    market = torch.randn(num_days, 1, generator=gen)
    return drift + 0.9 * market + 0.4 * torch.randn(num_days, 5, generator=gen)


def model(returns):
    covariance = 0.81 * torch.ones(5, 5) + 0.16 * torch.eye(5)
    drift = pyro.sample("drift", dist.Normal(torch.zeros(5), 0.2).to_event(1))
    with pyro.plate("days", len(returns)):
        pyro.sample("returns", dist.MultivariateNormal(drift, covariance), obs=returns)


def guide(returns):
    loc = pyro.param("drift_loc", torch.zeros(5))
    scale_tril = pyro.param("drift_scale_tril", 0.05 * torch.eye(5))
    pyro.sample("drift", dist.MultivariateNormal(loc, scale_tril=scale_tril))


def main(args):
    pyro.set_rng_seed(args.seed)
    returns = simulate()
    optim = pyro.optim.Adam({"lr": args.lr})
    elbo = Trace_ELBO(num_particles=8)
    svi = SVI(model, guide, optim, elbo)

    for step in range(args.num_steps):
        loss = svi.step(returns)
        if step % 50 == 0:
            print(f"step {step:4d}  loss {loss:9.2f}")

    print("final loss", round(svi.evaluate_loss(returns), 2))
    tril = pyro.param("drift_scale_tril").detach()
    sd = (tril @ tril.T).diagonal().sqrt()
    for ticker, mean, spread in zip(TICKERS, pyro.param("drift_loc").tolist(), sd.tolist()):
        print(f"{ticker}: {mean:6.3f} +- {spread:.3f} per cent a day")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--num-steps", type=int, default=300)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=0)
    main(parser.parse_args())
