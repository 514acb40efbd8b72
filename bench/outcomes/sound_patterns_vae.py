"""A variational autoencoder of small binary patterns: an amortised guide, minibatches, epochs over a DataLoader."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam


def patterns(count, size=8):
    """Bars, upright or lying, with a little noise: shape (count, size * size)."""
    gen = torch.Generator().manual_seed(3)
    image = torch.zeros(count, size, size)
    for row in range(count):
        at = int(torch.randint(0, size, (), generator=gen))
        if torch.rand((), generator=gen) < 0.5:
            image[row, at] = 1.0
        else:
            image[row, :, at] = 1.0
    flip = torch.rand(image.shape, generator=gen) < 0.02
    return torch.where(flip, 1 - image, image).reshape(count, -1)


class VAE(nn.Module):
    def __init__(self, pixels=64, hidden=64, latent=4):
        super().__init__()
        self.latent = latent
        self.encoder = nn.Sequential(nn.Linear(pixels, hidden), nn.Softplus(), nn.Linear(hidden, 2 * latent))
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.Softplus(), nn.Linear(hidden, pixels))

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), self.latent), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, raw = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, nn.functional.softplus(raw) + 1e-3).to_event(1))


def main():
    pyro.set_rng_seed(0)
    vae = VAE()
    svi = SVI(vae.model, vae.guide, Adam({"lr": 1e-3, "betas": (0.95, 0.999)}), Trace_ELBO())
    loader = DataLoader(TensorDataset(patterns(1000)), batch_size=50, shuffle=True)
    for epoch in range(100):
        total = sum(svi.step(batch) for (batch,) in loader)
        if epoch % 20 == 0:
            print(epoch, total / 1000)


if __name__ == "__main__":
    main()
