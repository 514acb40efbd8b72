"""Dose-response curve of a drug with Gaussian noise of the assay, as a PyroModule.

The three numbers of the Hill curve (top, position, slope) have a posterior through an automatic mean-field guide; the
noise of the assay is a point estimate. Replicates agree closely: the noise is small compared with the response.
"""

import torch

import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal, init_to_median
from pyro.nn import PyroModule, PyroParam, PyroSample


class HillCurve(PyroModule):
    """response = top / (1 + exp(-slope * (dose - position))), dose in log10 units."""

    def __init__(self):
        super().__init__()
        self.top = PyroSample(dist.LogNormal(0.0, 0.5))
        self.position = PyroSample(dist.Normal(0.0, 2.0))
        self.slope = PyroSample(dist.LogNormal(0.5, 0.5))
        self.assay_noise = PyroParam(torch.tensor(0.2))

    def forward(self, dose, response=None):
        mean = self.top * torch.sigmoid(self.slope * (dose - self.position))
        with pyro.plate("wells", len(dose)):
            return pyro.sample("response", dist.Normal(mean, self.assay_noise), obs=response)


def simulate(num_wells=192):
    """Return (log10 dose, response)."""
    gen = torch.Generator().manual_seed(2)
    dose = torch.linspace(-3, 3, num_wells)
    response = 0.9 / (1 + torch.exp(-2.0 * (dose - 0.4)))
    return dose, response + 0.02 * torch.randn(num_wells, generator=gen)


def main():
    pyro.set_rng_seed(0)
    dose, response = simulate()
    model = HillCurve()
    guide = AutoNormal(model, init_scale=0.02, init_loc_fn=init_to_median)
    num_steps = 800
    optim = pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 0.1 ** (1 / num_steps)})
    svi = SVI(model, guide, optim, Trace_ELBO())

    for step in range(num_steps):
        loss = svi.step(dose, response)
        if step % 100 == 0:
            print(f"step {step:4d}  loss {loss:9.2f}  noise {model.assay_noise.item():.4f}")

    print("final loss", round(svi.evaluate_loss(dose, response), 2))
    print("curve:", {name: round(value.item(), 3) for name, value in guide.median().items()})
    print("noise of the assay:", round(model.assay_noise.item(), 4))


if __name__ == "__main__":
    main()
