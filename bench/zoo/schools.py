"""Groups with effects of their own round a common mean."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
effects = torch.randn(8, generator=generator) * 2 + 4
data = effects + torch.randn(12, 8, generator=generator)

def model(data):
    mu = pyro.sample("mu", dist.Normal(0.0, 10.0))
    tau = pyro.sample("tau", dist.HalfNormal(5.0))
    with pyro.plate("groups", 8, dim=-1):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        with pyro.plate("rows", 12, dim=-2):
            pyro.sample("obs", dist.Normal(theta, 1.0), obs=data)

def guide(data):
    pyro.sample("mu", dist.Normal(pyro.param("mu_loc", torch.tensor(0.0)), pyro.param("mu_scale", torch.tensor(0.3), constraint=constraints.positive)))
    pyro.sample("tau", dist.LogNormal(pyro.param("tau_loc", torch.tensor(0.0)), pyro.param("tau_scale", torch.tensor(0.2), constraint=constraints.positive)))
    loc = pyro.param("loc", torch.zeros(8))
    scale = pyro.param("scale", 0.8 * torch.ones(8), constraint=constraints.positive)
    with pyro.plate("groups", 8, dim=-1):
        pyro.sample("theta", dist.Normal(loc, scale))

svi = SVI(model, guide, SGD({{"lr": 0.002}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(data)
"""

REWRITES = (
    harmful("one effect for all", ("dist.Normal(theta, 1.0)", "dist.Normal(theta.mean(), 1.0)")),
    harmful(
        "three groups of eight",
        (
            '        with pyro.plate("rows", 12, dim=-2):',
            '        with pyro.plate("rows", 12, dim=-2), poutine.mask(mask=torch.arange(8) < 3):',
        ),
    ),
    harmful(
        "groups that know nothing of each other", ("dist.Normal(mu, tau)", "dist.Normal(mu.detach(), tau.detach())")
    ),
    harmful("a rate of a hundredth", ('"lr": 0.002', '"lr": 0.00002'), rate=Rate(lr=0.00002, lrd=1.0)),
    harmful("effects frozen where they start", ("dist.Normal(loc, scale)", "dist.Normal(loc.detach(), scale)")),
    harmful("rows counted as ten", ("dist.Normal(theta, 1.0)", "dist.Normal(theta, 10.0)")),
    harmful(
        "a tight interval for a spread",
        (
            "0.8 * torch.ones(8), constraint=constraints.positive",
            "0.8 * torch.ones(8), constraint=constraints.interval(0.75, 5.0)",
        ),
    ),
    right(
        "an optimiser with momentum",
        Promise.SAME_START | Promise.WHOLE_GRADIENT | Promise.NO_WORSE | Promise.NO_WORSE_END,
        ('SGD({"lr": 0.002}', 'ClippedAdam({"lr": 0.05, "clip_norm": float("inf")}'),
    ),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            "torch.tensor(0.2), constraint=constraints.positive",
            "torch.tensor(0.2), constraint=constraints.greater_than(0.001)",
        ),
    ),
    right("the mean-field ELBO", Promise.SAME_EXPECTATION, ("loss=Trace_ELBO()", "loss=TraceMeanField_ELBO()")),
)
