"""A robust location under an autoguide."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.randn(60, generator=generator) * 1.2 + 5

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    scale = pyro.sample("scale", dist.HalfCauchy(2.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.StudentT(4.0, loc, scale), obs=data)

guide = AutoNormal(model, init_scale=0.5)
svi = SVI(model, guide, Adam({{"lr": 0.03}}), loss=Trace_ELBO())
for step in range(300):
    svi.step(data)
"""

REWRITES = (
    harmful("a point estimate", ("AutoNormal(model, init_scale=0.5)", "AutoDelta(model)")),
    harmful(
        "a scale that is left to a point",
        (
            "AutoNormal(model, init_scale=0.5)",
            'AutoGuideList(model)\nguide.append(AutoNormal(poutine.block(model, expose=["loc"])))\nguide.append(AutoDelta(poutine.block(model, expose=["scale"])))',
        ),
    ),
    harmful(
        "a start far off",
        (
            "init_scale=0.5",
            'init_scale=0.5, init_loc_fn=init_to_value(values={"loc": torch.tensor(-40.0), "scale": torch.tensor(0.5)})',
        ),
    ),
    harmful("tails cut off", ("obs=data)", "obs=data.clamp(max=5.0))")),
    harmful("the model without its scale", ("dist.StudentT(4.0, loc, scale)", "dist.StudentT(4.0, loc, 4.0)")),
    harmful("data of the other sign", ("obs=data)", "obs=-data)")),
    harmful("a rate of a hundredth", ('"lr": 0.03', '"lr": 0.0003'), rate=Rate(lr=0.0003, lrd=1.0)),
    right("a narrower start", Promise.LESS_VARIANCE | Promise.NO_WORSE, ("init_scale=0.5", "init_scale=0.1")),
    right(
        "a start at the data's moments",
        Promise.BETTER_START | Promise.NO_WORSE | Promise.RUNS_CLEAN,
        (
            "init_scale=0.5",
            'init_scale=0.5, init_loc_fn=init_to_value(values={"loc": data.mean(), "scale": data.std()})',
        ),
    ),
)
