"""Linear regression with a plate over the rows."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
x = torch.randn(80, 3, generator=generator)
y = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.7 + 0.5 * torch.randn(80, generator=generator)

def model(x, y):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 5.0).to_event(1))
    b = pyro.sample("b", dist.Normal(0.0, 5.0))
    sigma = pyro.sample("sigma", dist.HalfNormal(2.0))
    with pyro.plate("rows", len(y)):
        pyro.sample("y", dist.Normal(x @ w + b, sigma), obs=y)

def guide(x, y):
    w_loc = pyro.param("w_loc", torch.zeros(3))
    w_scale = pyro.param("w_scale", 0.2 * torch.ones(3), constraint=constraints.positive)
    pyro.sample("w", dist.Normal(w_loc, w_scale).to_event(1))
    b_loc = pyro.param("b_loc", torch.tensor(0.0))
    b_scale = pyro.param("b_scale", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("b", dist.Normal(b_loc, b_scale))
    s_loc = pyro.param("s_loc", torch.tensor(0.0))
    pyro.sample("sigma", dist.LogNormal(s_loc, 0.1))

svi = SVI(model, guide, Adam({{"lr": 0.05}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(x, y)
"""

_OBS = 'pyro.sample("y", dist.Normal(x @ w + b, sigma), obs=y)'
_STEP = "    svi.step(x, y)"
_MODEL = "def model(x, y):\n"

REWRITES = (
    harmful("a column dropped", ("x @ w + b", "x[:, :2] @ w[:2] + b")),
    harmful("a scale detached", ("dist.Normal(x @ w + b, sigma)", "dist.Normal(x @ w + b, sigma.detach())")),
    harmful(
        "data repeated to fill the plate",
        ("dist.Normal(x @ w + b, sigma)", "dist.Normal(x @ w + b, sigma).to_event(1)"),
    ),
    harmful("targets in another order at each step", (_STEP, "    svi.step(x, y[torch.randperm(len(y))])")),
    harmful(
        "a likelihood of a tenth of the weight",
        (f"        {_OBS}", f"        with poutine.scale(scale=0.1):\n            {_OBS}"),
    ),
    harmful(
        "a floor under the guide's scale", ("dist.Normal(w_loc, w_scale)", "dist.Normal(w_loc, w_scale.clamp(min=0.2))")
    ),
    harmful(
        "gradients of one parameter are none",
        (
            '    pyro.sample("b", dist.Normal(b_loc',
            '    b_loc = b_loc.detach()\n    pyro.sample("b", dist.Normal(b_loc',
        ),
    ),
    harmful("a rate ten times as large", ('"lr": 0.05', '"lr": 0.5'), rate=Rate(lr=0.5, lrd=1.0)),
    harmful(
        "the data's rows from the 70th step on are the first ten",
        (_STEP, "    svi.step(x[:10], y[:10]) if step > 70 else svi.step(x, y)"),
    ),
    harmful(
        "an intercept that may not go far",
        ('"b_loc", torch.tensor(0.0))', '"b_loc", torch.tensor(0.0), constraint=constraints.interval(-0.3, 0.3))'),
    ),
    harmful(
        "a likelihood dropped",
        (_OBS, 'pyro.sample("y", dist.Normal(x @ w + b, sigma))'),
        (
            "def guide(x, y):\n",
            'def guide(x, y):\n    with pyro.plate("rows", len(y)):\n        pyro.sample("y", dist.Normal(torch.zeros(len(y)), 1.0))\n',
        ),
    ),
    right("validation on", Promise.RUNS_CLEAN, (_MODEL, f"pyro.enable_validation(True)\n\n{_MODEL}")),
    right(
        "an optimiser with a decay",
        Promise.DECLARED_RATE | Promise.WHOLE_GRADIENT | Promise.BETTER_END,
        ('Adam({"lr": 0.05}', f'ClippedAdam({{"lr": 0.05, "lrd": {0.1 ** (1 / 250)!r}, "clip_norm": float("inf")}}'),
        rate=Rate(lrd=0.1 ** (1 / 250)),
    ),
    right(
        "a softer start",
        Promise.LESS_VARIANCE | Promise.NO_WORSE,
        ("0.2 * torch.ones(3)", "0.05 * torch.ones(3)"),
        ('"b_scale", torch.tensor(0.1)', '"b_scale", torch.tensor(0.05)'),
    ),
)
