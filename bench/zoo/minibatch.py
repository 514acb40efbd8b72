"""A mean and a scale from minibatches that a plate draws."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(300, generator=generator) * 1.5 - 2

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", len(data), subsample_size=30) as rows:
        pyro.sample("obs", dist.Normal(loc, sigma), obs=data[rows])

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))
    k = pyro.param("k", torch.tensor(0.0))
    t = pyro.param("t", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("sigma", dist.LogNormal(k, t))

svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(data)
"""

_ROWS = "subsample_size=30) as rows:"

REWRITES = (
    harmful("the same minibatch for ever", (_ROWS, "subsample=torch.arange(30)) as rows:")),
    harmful("other rows than were drawn", ("obs=data[rows])", "obs=data[rows % 30])")),
    harmful(
        "a minibatch that is not scaled up",
        (
            'pyro.plate("n", len(data), subsample_size=30) as rows:',
            'pyro.plate("n", 30):\n        rows = torch.randperm(len(data))[:30]',
        ),
    ),
    harmful("the least of each minibatch", ("obs=data[rows])", "obs=data[rows].clamp(max=-2.0))")),
    harmful(
        "the minibatch drawn from those above", ("obs=data[rows])", "obs=data.sort().values[100 + rows * 2 // 3])")
    ),
    harmful("a rate of a hundredth", ('"lr": 0.02', '"lr": 0.0002')),
    harmful(
        "a scale that cannot shrink much",
        (
            '"s", torch.tensor(0.3), constraint=constraints.positive',
            '"s", torch.tensor(0.3), constraint=constraints.greater_than(0.25)',
        ),
    ),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            '"s", torch.tensor(0.3), constraint=constraints.positive',
            '"s", torch.tensor(0.3), constraint=constraints.greater_than(0.001)',
        ),
    ),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 300), poutine.scale(guide, scale=1 / 300)"),
    ),
)
