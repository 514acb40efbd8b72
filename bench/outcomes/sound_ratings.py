"""Who likes which film: a matrix factorisation, minibatches of the ratings by a subsampling plate, 3,000 steps."""

import torch

import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import ClippedAdam

gen = torch.Generator().manual_seed(7)
people, films, rank = 40, 30, 2
taste, kind = torch.randn(people, rank, generator=gen), torch.randn(films, rank, generator=gen)
who = torch.randint(0, people, (800,), generator=gen)
what = torch.randint(0, films, (800,), generator=gen)
rating = (taste[who] * kind[what]).sum(-1) + 0.3 * torch.randn(800, generator=gen)


def model(who, what, rating):
    with pyro.plate("people", people):
        u = pyro.sample("u", dist.Normal(torch.zeros(people, rank), 1.0).to_event(1))
    with pyro.plate("films", films):
        v = pyro.sample("v", dist.Normal(torch.zeros(films, rank), 1.0).to_event(1))
    with pyro.plate("ratings", len(rating), subsample_size=100) as rows:
        mean = (u[who[rows]] * v[what[rows]]).sum(-1)
        pyro.sample("rating", dist.Normal(mean, 0.3), obs=rating[rows])


def guide(who, what, rating):
    for name, plate, count in (("u", "people", people), ("v", "films", films)):
        loc = pyro.param(f"{name}_loc", lambda: 0.3 * torch.randn(count, rank))
        scale = pyro.param(f"{name}_scale", torch.full((count, rank), 0.1), constraint=constraints.softplus_positive)
        with pyro.plate(plate, count):
            pyro.sample(name, dist.Normal(loc, scale).to_event(1))
    pyro.plate("ratings", len(rating), subsample_size=100)


pyro.set_rng_seed(0)
num_steps = 3000
svi = SVI(
    model, guide, ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps), "clip_norm": 1e4}), TraceMeanField_ELBO()
)
for step in range(num_steps):
    loss = svi.step(who, what, rating)
print(loss)
