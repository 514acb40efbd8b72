"""Counts over known times: Gamma and Poisson."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
times = torch.rand(40, 3, generator=generator) * 5 + 0.5
data = torch.poisson(times * torch.tensor([0.5, 3.0, 8.0]), generator=generator)

def model(times, data):
    with pyro.plate("kinds", 3, dim=-1):
        rate = pyro.sample("rate", dist.Gamma(2.0, 0.5))
        with pyro.plate("rows", len(data), dim=-2):
            pyro.sample("count", dist.Poisson(rate * times), obs=data)

def guide(times, data):
    a = pyro.param("a", 50.0 * torch.ones(3), constraint=constraints.positive)
    b = pyro.param("b", 20.0 * torch.ones(3), constraint=constraints.positive)
    with pyro.plate("kinds", 3, dim=-1):
        pyro.sample("rate", dist.Gamma(a, b))

svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
for step in range(300):
    svi.step(times, data)
"""

REWRITES = (
    harmful("times ignored", ("dist.Poisson(rate * times)", "dist.Poisson(rate * torch.ones(40, 3))")),
    harmful("counts of one more", ("obs=data)", "obs=data + 1)")),
    harmful("rates bounded", ("dist.Poisson(rate * times)", "dist.Poisson(rate.clamp(max=5.0) * times)")),
    harmful(
        "concentrations that stay",
        (
            "50.0 * torch.ones(3), constraint=constraints.positive",
            "50.0 * torch.ones(3), constraint=constraints.interval(0.01, 100.0)",
        ),
    ),
    harmful("a prior of a point", ("dist.Gamma(2.0, 0.5)", "dist.Gamma(200.0, 50.0)")),
    harmful("a rate of a hundredth", ('"lr": 0.02', '"lr": 0.0002'), rate=Rate(lr=0.0002, lrd=1.0)),
    harmful("kinds mixed up", ("obs=data)", "obs=data.flip(-1))")),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            '"b", 20.0 * torch.ones(3), constraint=constraints.positive',
            '"b", 20.0 * torch.ones(3), constraint=constraints.greater_than(0.001)',
        ),
    ),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 120), poutine.scale(guide, scale=1 / 120)"),
    ),
)
