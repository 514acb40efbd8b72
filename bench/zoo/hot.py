"""A learning rate that throws the parameters out."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(50, generator=generator) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, 2.0), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))

svi = SVI(model, guide, Adam({{"lr": 60.0}}), loss=Trace_ELBO())
for step in range(200):
    svi.step(data)
"""

REWRITES = (
    harmful("a rate that never moves", ("60.0", "1e-7"), rate=Rate(lr=1e-7, lrd=1.0)),
    harmful(
        "a sane rate, and no parameter to train",
        ("60.0", "0.05"),
        ("dist.Normal(m, s)", "dist.Normal(m.detach(), s.detach())"),
        rate=Rate(lr=0.05, lrd=1.0),
    ),
    harmful("as hot nearly", ("60.0", "40.0"), rate=Rate(lr=40.0, lrd=1.0)),
    right(
        "a sane rate",
        Promise.DECLARED_RATE | Promise.STABLE | Promise.NO_WORSE_END,
        ("60.0", "0.1"),
        rate=Rate(lr=0.1, lrd=1.0),
    ),
)

MENDED_BY = "a sane rate"
