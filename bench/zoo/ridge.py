"""A point estimate: ridge regression by AutoDelta."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
x = torch.randn(60, 3, generator=generator)
y = x @ torch.tensor([1.0, -1.0, 2.0]) + 0.4 * torch.randn(60, generator=generator)

def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ w, sigma), obs=y)

guide = AutoDelta(model, init_loc_fn=init_to_median)
svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(x, y)
"""

REWRITES = (
    harmful("a prior of a tenth", ("dist.Normal(torch.zeros(3), 1.0)", "dist.Normal(torch.zeros(3), 0.05)")),
    harmful("the last rows alone", ("    svi.step(x, y)", "    svi.step(x[50:], y[50:])")),
    harmful("columns in another order", ("x @ w", "x.flip(-1) @ w")),
    harmful(
        "a likelihood of a hundredth",
        ('with pyro.plate("rows", len(y)):', 'with pyro.plate("rows", len(y)), poutine.scale(scale=0.01):'),
    ),
    harmful("weights detached", ("dist.Normal(x @ w, sigma)", "dist.Normal(x @ w.detach(), sigma)")),
    harmful(
        "a decay that ends in 50 steps",
        ('Adam({"lr": 0.02}', 'ClippedAdam({"lr": 0.02, "lrd": 0.95}'),
        rate=Rate(lrd=0.95),
    ),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 60), poutine.scale(guide, scale=1 / 60)"),
    ),
)
