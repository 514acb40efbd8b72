"""Rates under an autoguide, with few counts to tell: what the prior's part of the objective is worth shows here."""

from pyro_fix.transform import Promise, Rate
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.poisson(torch.tensor([0.5, 2.0, 8.0]), generator=generator)

def model(data):
    with pyro.plate("n", len(data)):
        rate = pyro.sample("rate", dist.Gamma(0.5, 0.1))
        pyro.sample("obs", dist.Poisson(rate), obs=data)

guide = AutoNormal(model, init_scale=0.1)
svi = SVI(model, guide, Adam({{"lr": 0.05}}), loss=Trace_ELBO())
for step in range(250):
    svi.step(data)
"""

REWRITES = (
    # Pyro takes the KL divergence of an autoguide's Delta for that of a point: the density that it carries is left out.
    harmful("the mean-field ELBO", ("loss=Trace_ELBO()", "loss=TraceMeanField_ELBO()")),
    harmful("a prior of another shape", ("dist.Gamma(0.5, 0.1)", "dist.Gamma(5.0, 0.1)")),
    harmful("one rate for all", ("dist.Poisson(rate)", "dist.Poisson(rate.mean())")),
    harmful("a rate of a hundredth", ('"lr": 0.05', '"lr": 0.0005'), rate=Rate(lr=0.0005, lrd=1.0)),
    harmful("a point estimate", ("AutoNormal(model, init_scale=0.1)", "AutoDelta(model)")),
    right("a number written otherwise", Promise.RUNS_CLEAN, ("0.05", "5e-2")),
    right(
        "a start at the counts",
        Promise.BETTER_START | Promise.NO_WORSE | Promise.RUNS_CLEAN,
        (
            "init_scale=0.1",
            'init_scale=0.1, init_loc_fn=init_to_value(values={"rate": data + 0.5})',
        ),
    ),
)
