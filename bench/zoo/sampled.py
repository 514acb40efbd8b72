"""A discrete latent that is drawn, and a latent that the guide forgets."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(25, generator=generator) + 2

def model(data):
    on = pyro.sample("on", dist.Bernoulli(0.5))
    loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc + 0.3 * on, 1.0), obs=data)

def guide(data):
    p = pyro.param("p", torch.tensor(0.5), constraint=constraints.unit_interval)
    pyro.sample("on", dist.Bernoulli(p))
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))

svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO(num_particles=2))
for step in range(200):
    svi.step(data)
"""

_ENUM = ("def guide(data):", "@config_enumerate\ndef guide(data):")
_LOSS = "Trace_ELBO(num_particles=2)"

REWRITES = (
    harmful(
        "summed over, and a location detached",
        _ENUM,
        (_LOSS, "TraceEnum_ELBO(num_particles=2)"),
        ("dist.Normal(m, s)", "dist.Normal(m.detach(), s)"),
    ),
    harmful(
        "summed over, and another effect", _ENUM, (_LOSS, "TraceEnum_ELBO(num_particles=2)"), ("0.3 * on", "6.0 * on")
    ),
    harmful("always on", ("dist.Bernoulli(p)", "dist.Bernoulli(1e-3 * p)"), ("loc + 0.3 * on", "loc * on")),
    right("summed over", Promise.SAME_EXPECTATION, _ENUM, (_LOSS, "TraceEnum_ELBO(num_particles=2)")),
    right(
        "summed over, less variance",
        Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE,
        _ENUM,
        (_LOSS, "TraceEnum_ELBO(num_particles=2)"),
    ),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            "torch.tensor(0.3), constraint=constraints.positive",
            "torch.tensor(0.3), constraint=constraints.greater_than(0.001)",
        ),
    ),
)
