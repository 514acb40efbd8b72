"""A guide whose support is not the model's: mended, and mended with harm beside."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(60, generator=generator).mul(0.3).add(1.0).exp()

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    sigma = pyro.sample("sigma", dist.Gamma(2.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.LogNormal(loc, sigma), obs=data)
        pyro.sample("seen", dist.Normal(loc.exp(), 1.0), obs=data)

def guide(data):
    pyro.sample("loc", dist.Normal(pyro.param("m", torch.tensor(0.0)), pyro.param("s", torch.tensor(0.1), constraint=constraints.positive)))
    k = pyro.param("k", torch.tensor(1.0))
    pyro.sample("sigma", dist.Normal(k, 0.05))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(data)
"""

_SITE = "dist.Normal(k, 0.05)"
_MEND = (_SITE, "dist.LogNormal(k, 0.05)")

REWRITES = (
    harmful(
        "mended, and a likelihood dropped",
        _MEND,
        ('        pyro.sample("obs", dist.LogNormal(loc, sigma), obs=data)\n', ""),
    ),
    harmful("mended by a point", (_SITE, "dist.Delta(k.exp())")),
    harmful("mended, and detached", (_SITE, "dist.LogNormal(k.detach(), 0.05)")),
    harmful("mended, and the data cut", _MEND, ("    svi.step(data)", "    svi.step(data[:10])")),
    harmful("mended, and another prior", _MEND, ("dist.Normal(0.0, 5.0)", "dist.Normal(0.0, 0.05)")),
    harmful("mended by the model", ("dist.Gamma(2.0, 1.0)", "dist.Normal(20.0, 1.0)")),
    right("a guide of the right support", Promise.RUNS_CLEAN, _MEND),
)

MENDED_BY = "a guide of the right support"
