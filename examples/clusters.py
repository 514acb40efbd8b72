"""Mixture of Gaussians over two measurements of penguins, with the assignment of each bird enumerated.

Weights and spreads of the components are point estimates, the centres have a mean-field posterior. There are
more components than species on purpose: the weights of those that are not needed should fall to almost nothing.
"""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, TraceEnum_ELBO, config_enumerate
from pyro.optim import ClippedAdam

NUM_COMPONENTS = 6


def simulate(num_birds=300):
    """Bill length and flipper length, standardised, of three species."""
    gen = torch.Generator().manual_seed(11)
    centres = torch.tensor([[-1.2, -0.8], [1.0, -0.5], [0.5, 1.3]])
    species = torch.randint(3, (num_birds,), generator=gen)
    return centres[species] + 0.25 * torch.randn(num_birds, 2, generator=gen)


@config_enumerate
def model(data):
    weights = pyro.param("weights", torch.ones(NUM_COMPONENTS) / NUM_COMPONENTS)
    spread = pyro.param("spread", torch.ones(NUM_COMPONENTS))
    with pyro.plate("components", NUM_COMPONENTS):
        centres = pyro.sample("centres", dist.Normal(torch.zeros(2), 1.5).to_event(1))
    with pyro.plate("birds", len(data)):
        component = pyro.sample("component", dist.Categorical(weights))
        scale = spread[component].unsqueeze(-1)
        pyro.sample("data", dist.Normal(centres[component], scale).to_event(1), obs=data)


def guide(data):
    start = data[torch.linspace(0, len(data) - 1, NUM_COMPONENTS).long()]
    loc = pyro.param("centres_loc", start.clone())
    scale = pyro.param("centres_scale", torch.full((NUM_COMPONENTS, 2), 0.05))
    with pyro.plate("components", NUM_COMPONENTS):
        pyro.sample("centres", dist.Normal(loc, scale).to_event(1))


def train(data, num_steps=500):
    optim = ClippedAdam({"lr": 0.02, "lrd": 0.1 ** (1 / num_steps)})
    svi = SVI(model, guide, optim, loss=TraceEnum_ELBO(max_plate_nesting=1))
    for step in range(num_steps):
        loss = svi.step(data)
        if step % 100 == 0:
            print(f"step {step:4d}  loss {loss:9.2f}")
    return svi.evaluate_loss(data)


if __name__ == "__main__":
    pyro.set_rng_seed(0)
    birds = simulate()
    print("final loss", round(train(birds), 2))
    print("weights:", [round(w, 3) for w in pyro.param("weights").tolist()])
    print("spreads:", [round(s, 3) for s in pyro.param("spread").tolist()])
