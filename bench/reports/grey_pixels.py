# source: pyro-ppl/pyro#2038
# wrong: grey pixels under a Bernoulli; with validation (the default by now) the first step raises
# tip: 12
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch import nn

torch.manual_seed(0)
rows = torch.randint(0, 2, (64, 1)).float()
images = torch.sigmoid(6 * (rows - 0.5) * torch.tensor([1.0, 1, -1, -1, 1, -1, 1, 1]) + 0.5 * torch.randn(64, 8))


class VAE(nn.Module):
    def __init__(self, z_dim=2, hidden=16):
        super().__init__()
        self.z_dim = z_dim
        self.encoder = nn.Sequential(nn.Linear(8, hidden), nn.Softplus(), nn.Linear(hidden, 2 * z_dim))
        self.decoder = nn.Sequential(nn.Linear(z_dim, hidden), nn.Softplus(), nn.Linear(hidden, 8), nn.Sigmoid())

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            z = pyro.sample("latent", dist.Normal(x.new_zeros(x.shape[0], self.z_dim), 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(self.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", x.shape[0]):
            loc, log_scale = self.encoder(x).chunk(2, -1)
            pyro.sample("latent", dist.Normal(loc, log_scale.exp()).to_event(1))


vae = VAE()
svi = SVI(vae.model, vae.guide, Adam({"lr": 1.0e-2}), loss=Trace_ELBO())
for epoch in range(300):
    loss = svi.step(images)
    if epoch % 50 == 0:
        print(f"[epoch {epoch:03d}] average training loss: {loss / len(images):.4f}")
