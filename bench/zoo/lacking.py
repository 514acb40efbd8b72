"""A latent that the guide does not sample: Pyro warns, and draws it from the prior."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(40, generator=generator) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, sigma), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))

svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(data)
"""

_SVI = "svi = SVI(model, guide"
_LIST = "guides = AutoGuideList(model)\nguides.append(guide)\n"
_MEND = (_SVI, f'{_LIST}guides.append(AutoNormal(poutine.block(model, expose=["sigma"])))\nsvi = SVI(model, guides')

REWRITES = (
    harmful("a guide for it, and data cut", _MEND, ("    svi.step(data)", "    svi.step(data[:5])")),
    harmful("a guide for it, and the other one held", _MEND, ("dist.Normal(m, s)", "dist.Normal(m.detach(), s)")),
    harmful(
        "a guide for it, and a twentieth of the likelihood",
        _MEND,
        ('    with pyro.plate("n", len(data)):', '    with pyro.plate("n", len(data)), poutine.scale(scale=0.05):'),
    ),
    harmful(
        "the latent dropped from the model",
        ('    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))', "    sigma = torch.tensor(9.0)"),
    ),
    right("a guide for it", Promise.RUNS_CLEAN, _MEND),
)

MENDED_BY = "a guide for it"
