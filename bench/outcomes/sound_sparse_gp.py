"""A sparse variational Gaussian process for a noisy wave, by pyro.contrib.gp, stepped as any SVI."""

import torch

import pyro
import pyro.contrib.gp as gp
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.optim import Adam

gen = torch.Generator().manual_seed(2)
x = torch.linspace(0, 6, 80)
y = torch.sin(2 * x) + 0.2 * torch.randn(80, generator=gen)

pyro.set_rng_seed(0)
kernel = gp.kernels.RBF(input_dim=1, variance=torch.tensor(1.0), lengthscale=torch.tensor(1.0))
process = gp.models.VariationalSparseGP(
    x, y, kernel, Xu=torch.linspace(0, 6, 12), likelihood=gp.likelihoods.Gaussian(torch.tensor(0.5)), whiten=True
)
svi = SVI(process.model, process.guide, Adam({"lr": 0.01}), TraceMeanField_ELBO())
for step in range(1200):
    loss = svi.step()
print(loss, kernel.lengthscale.item())
