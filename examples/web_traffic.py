"""Poisson regression of hourly page views on the hour of the day, the day of the week and campaigns.

The guide is automatic. Its initial scale was set wide "to explore"; coefficients of a log-linear model live on a
logarithmic scale, where five units are a factor of 150.
"""

import math

import torch

import pyro
import pyro.distributions as dist
from pyro import infer, optim
from pyro.infer import autoguide


def simulate(num_hours=24 * 28):
    """Return (design matrix, page views) for four weeks."""
    gen = torch.Generator().manual_seed(17)
    hour = torch.arange(num_hours).float()
    day = 2 * math.pi * hour / 24
    week = 2 * math.pi * hour / (24 * 7)
    campaign = (torch.rand(num_hours, generator=gen) < 0.1).float()
    design = torch.stack([torch.ones(num_hours), day.sin(), day.cos(), week.sin(), week.cos(), campaign], dim=-1)
    coefficients = torch.tensor([2.5, -0.6, -0.3, 0.2, 0.1, 0.7])
    return design, torch.poisson((design @ coefficients).exp(), generator=gen)


def model(design, views):
    size = design.shape[-1]
    coefficients = pyro.sample("coefficients", dist.Normal(0.0, 2.0).expand([size]).to_event(1))
    log_rate = design @ coefficients
    with pyro.plate("hours", len(views)):
        pyro.sample("views", dist.Poisson(log_rate.exp()), obs=views)


def fit(design, views, num_steps):
    guide = autoguide.AutoNormal(model, init_scale=5.0)
    svi = infer.SVI(model, guide, optim.Adam({"lr": 0.01}), loss=infer.Trace_ELBO())
    losses = []
    for step in range(num_steps):
        losses.append(svi.step(design, views) / len(views))
        if step % 200 == 0:
            print(f"step {step:4d}  loss per hour {losses[-1]:12.4g}")
    return guide, losses


def main():
    pyro.set_rng_seed(0)
    design, views = simulate()
    guide, losses = fit(design, views, num_steps=1000)
    tail = torch.tensor(losses[-100:])
    print(f"loss per hour over the last 100 steps: {tail.mean():.4g} +- {tail.std():.4g}")
    print("final loss", round(tail.mean().item(), 4))
    print("coefficients:", [round(c, 2) for c in guide.median()["coefficients"].tolist()])


if __name__ == "__main__":
    main()
