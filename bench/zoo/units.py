"""Covariates in units of their own."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
x = torch.randn(60, 2, generator=generator) * torch.tensor([1.0, 80.0]) + torch.tensor([0.0, 200.0])
y = 0.5 * x[:, 0] + 0.02 * (x[:, 1] - 200) + 0.3 * torch.randn(60, generator=generator)

def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    b = pyro.sample("b", dist.Normal(0.0, 5.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ w + b, 1.0), obs=y)

guide = AutoNormal(model, init_scale=0.01)
svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
for step in range(300):
    svi.step(x, y)
"""

_STANDARD = ("def model(x, y):", "x = (x - x.mean(0)) / x.std(0)\n\ndef model(x, y):")

REWRITES = (
    harmful(
        "standardised, and one lost",
        ("def model(x, y):", "x = (x - x.mean(0)) / x.std(0) * torch.tensor([1.0, 0.0])\n\ndef model(x, y):"),
    ),
    harmful("standardised, and targets shuffled", _STANDARD, ("    svi.step(x, y)", "    svi.step(x, y.flip(0))")),
    harmful(
        "standardised, and held",
        _STANDARD,
        ("init_scale=0.01)", "init_scale=0.01)\nguide(x, y)\nguide.locs.w_unconstrained.requires_grad_(False)"),
    ),
    right("standardised", Promise.NO_WORSE, _STANDARD),
)

MENDED_BY = "standardised"
