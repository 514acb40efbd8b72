# source: pyro-ppl/pyro#571's encoder as it should be: scaled inputs, a softplus for the scale
# wrong: nothing
# tip: sound
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam
from torch import nn

torch.manual_seed(1)
factors = torch.randn(100, 2)
raw = 50_000.0 + 20_000.0 * factors @ torch.randn(2, 6) + 500.0 * torch.randn(100, 6)
x = (raw - raw.mean(0)) / raw.std(0)


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 4))
        self.decoder = nn.Linear(2, 6)

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(x.new_zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("x", dist.Normal(self.decoder(z), 0.2).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", len(x)):
            loc, raw_scale = self.encoder(x).chunk(2, -1)
            pyro.sample("z", dist.Normal(loc, nn.functional.softplus(raw_scale) + 1e-3).to_event(1))


vae = VAE()
svi = SVI(vae.model, vae.guide, Adam({"lr": 0.01}), loss=TraceMeanField_ELBO())
for epoch in range(800):
    loss = svi.step(x) / len(x)
