"""Logistic regression with an autoguide-like guide of its own."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
x = torch.randn(150, 4, generator=generator)
y = torch.bernoulli(torch.sigmoid(x @ torch.tensor([2.0, -1.0, 0.0, 0.5]) - 0.5), generator=generator)

def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(4), 2.0).to_event(1))
    b = pyro.sample("b", dist.Normal(0.0, 2.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Bernoulli(logits=(x * w).sum(-1) + b), obs=y)

def guide(x, y):
    loc = pyro.param("loc", torch.zeros(5))
    scale = pyro.param("scale", 0.2 * torch.ones(5), constraint=constraints.positive)
    pyro.sample("w", dist.Normal(loc[:4], scale[:4]).to_event(1))
    pyro.sample("b", dist.Normal(loc[4], scale[4]))

svi = SVI(model, guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO(num_particles=2))
for step in range(200):
    svi.step(x, y)
"""

_STEP = "    svi.step(x, y)"
_Y = 'pyro.sample("y", dist.Bernoulli(logits=(x * w).sum(-1) + b), obs=y)'

REWRITES = (
    harmful("labels the other way round", ("obs=y)", "obs=1 - y)")),
    harmful("logits clamped", ("logits=(x * w).sum(-1) + b", "logits=((x * w).sum(-1) + b).clamp(-1.0, 1.0)")),
    harmful("only what is positive", (_STEP, "    svi.step(x[y > 0], y[y > 0])")),
    harmful(
        "every row counted twice",
        ('with pyro.plate("rows", len(y)):', 'with pyro.plate("rows", len(y)), poutine.scale(scale=2.0):'),
    ),
    harmful("a narrow prior", ("dist.Normal(torch.zeros(4), 2.0)", "dist.Normal(torch.zeros(4), 0.2)")),
    harmful("a start of the widest", ("0.2 * torch.ones(5)", "20.0 * torch.ones(5)")),
    harmful("a start far off", ("torch.zeros(5)", "torch.full((5,), -9.0)")),
    harmful(
        "steps of one sign only",
        ('    loc = pyro.param("loc", torch.zeros(5))', '    loc = pyro.param("loc", torch.zeros(5)).clamp(min=0.0)'),
    ),
    harmful("a rate that is nothing", ('"lr": 0.02', '"lr": 0.0002'), rate=Rate(lr=0.0002, lrd=1.0)),
    harmful(
        "particles as a vector, and a narrow prior",
        ("num_particles=2", "num_particles=2, vectorize_particles=True"),
        ("dist.Normal(torch.zeros(4), 2.0)", "dist.Normal(torch.zeros(4), 0.2)"),
    ),
    harmful(
        "particles as a vector, and other labels",
        ("num_particles=2", "num_particles=2, vectorize_particles=True"),
        ("obs=y)", "obs=(x[:, 1] > 0).float())"),
    ),
    harmful(
        "particles as a vector, and a weight detached",
        ("num_particles=2", "num_particles=2, vectorize_particles=True"),
        ("dist.Normal(loc[4], scale[4])", "dist.Normal(loc[4].detach(), scale[4])"),
    ),
    harmful("no step after the 40th", (_STEP, "    if step < 40:\n        svi.step(x, y)")),
    right(
        "particles as a vector",
        Promise.SAME_SITES_SLICED,
        ("num_particles=2", "num_particles=2, vectorize_particles=True"),
    ),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 150), poutine.scale(guide, scale=1 / 150)"),
    ),
    right(
        "an autoguide",
        Promise.NO_WORSE | Promise.RUNS_CLEAN,
        ("svi = SVI(model, guide", "svi = SVI(model, AutoNormal(model)"),
    ),
)
