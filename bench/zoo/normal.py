"""A Normal with unknown location and scale."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(50, generator=generator) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, sigma), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))
    k = pyro.param("k", torch.tensor(0.0))
    t = pyro.param("t", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("sigma", dist.LogNormal(k, t))

svi = SVI(model, guide, Adam({{"lr": 0.03}}), loss=Trace_ELBO())
for step in range(300):
    svi.step(data)
"""

_STEP = "    svi.step(data)"
_SCALED = "SVI(model, guide"
_M = 'pyro.param("m", torch.tensor(0.0))'
_LOC = 'pyro.sample("loc", dist.Normal(m, s))'

REWRITES = (
    harmful("half of the data", (_STEP, "    svi.step(data[:25])")),
    harmful("shifted data", ("obs=data)", "obs=data + 1.0)")),
    harmful("a detached location", ("dist.Normal(m, s)", "dist.Normal(m.detach(), s)")),
    harmful("a clamp that binds later", ("dist.Normal(m, s)", "dist.Normal(m.clamp(max=1.5), s)")),
    harmful(
        "a tight interval",
        (
            "torch.tensor(1.0), constraint=constraints.positive",
            "torch.tensor(1.0), constraint=constraints.interval(0.9, 1.1)",
        ),
    ),
    harmful("no step after the 70th", (_STEP, "    if step < 70:\n        svi.step(data)")),
    harmful("a plate ten times as large", ("len(data)):", "10 * len(data), subsample_size=len(data)):")),
    harmful("a rate of a hundredth", ('"lr": 0.03', '"lr": 0.0003'), rate=Rate(lr=0.0003, lrd=1.0)),
    harmful(
        "a decay that ends in 50 steps",
        ('Adam({"lr": 0.03}', 'ClippedAdam({"lr": 0.03, "lrd": 0.9}'),
        rate=Rate(lrd=0.9),
    ),
    harmful(
        "a point in the guide's place",
        (_LOC, 'pyro.sample("loc", dist.Delta(m))'),
        ('    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)\n', ""),
    ),
    harmful("another prior", ("dist.Normal(0.0, 10.0)", "dist.Normal(0.0, 0.3)")),
    harmful("a seed set in the guide", ("def guide(data):\n", "def guide(data):\n    pyro.set_rng_seed(0)\n")),
    harmful("a constant in a parameter's place", (_M, "torch.tensor(0.0)")),
    harmful(
        "parameters forgotten every 100 steps",
        (_STEP, f"    if step % 100 == 98:\n        pyro.clear_param_store()\n{_STEP}"),
    ),
    harmful("a scale on the model alone", (_SCALED, "SVI(poutine.scale(model, scale=0.1), guide")),
    right("a number written otherwise", Promise.RUNS_CLEAN, ('"lr": 0.03', '"lr": 0.030')),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        (_SCALED, "SVI(poutine.scale(model, scale=1 / 50), poutine.scale(guide, scale=1 / 50)"),
    ),
    right("the mean-field ELBO", Promise.SAME_EXPECTATION, ("loss=Trace_ELBO()", "loss=TraceMeanField_ELBO()")),
    right(
        "steadier averages",
        Promise.SAME_START | Promise.NO_WORSE | Promise.NO_WORSE_END,
        ('"lr": 0.03', '"lr": 0.03, "betas": (0.95, 0.999)'),
    ),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            "torch.tensor(0.3), constraint=constraints.positive",
            "torch.tensor(0.3), constraint=constraints.greater_than(0.001)",
        ),
    ),
    right("a narrower start", Promise.LESS_VARIANCE | Promise.NO_WORSE, ("torch.tensor(1.0)", "torch.tensor(0.1)")),
)
