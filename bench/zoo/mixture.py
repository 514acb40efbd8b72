"""A mixture whose assignments are summed over."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
data = torch.cat([torch.randn(30, generator=generator) - 3, torch.randn(50, generator=generator) + 2])

@config_enumerate
def model(data):
    weights = pyro.sample("weights", dist.Dirichlet(torch.ones(2)))
    with pyro.plate("parts", 2):
        locs = pyro.sample("locs", dist.Normal(0.0, 5.0))
    with pyro.plate("n", len(data)):
        part = pyro.sample("part", dist.Categorical(weights))
        pyro.sample("obs", dist.Normal(locs[part], 1.0), obs=data)

def guide(data):
    counts = pyro.param("counts", torch.tensor([5.0, 5.0]), constraint=constraints.positive)
    pyro.sample("weights", dist.Dirichlet(counts))
    loc = pyro.param("loc", torch.tensor([-1.0, 1.0]))
    scale = pyro.param("scale", torch.tensor([0.2, 0.2]), constraint=constraints.positive)
    with pyro.plate("parts", 2):
        pyro.sample("locs", dist.Normal(loc, scale))

svi = SVI(model, guide, Adam({{"lr": 0.03}}), loss=TraceEnum_ELBO(max_plate_nesting=1))
for step in range(200):
    svi.step(data)
"""

REWRITES = (
    harmful(
        "assignments drawn from the prior",
        ("loss=TraceEnum_ELBO(max_plate_nesting=1)", "loss=Trace_ELBO()"),
        ("@config_enumerate\n", ""),
    ),
    harmful("one part alone", ("locs[part]", "locs[part * 0]")),
    harmful("weights that are not learnt", ("dist.Categorical(weights)", "dist.Categorical(weights.detach())")),
    harmful(
        "counts that cannot grow",
        (
            "torch.tensor([5.0, 5.0]), constraint=constraints.positive",
            "torch.tensor([5.0, 5.0]), constraint=constraints.interval(4.9, 5.1)",
        ),
    ),
    harmful("outliers cut off", ("obs=data)", "obs=data.clamp(-2.0, 2.0))")),
    harmful("parts pulled to zero", ("dist.Normal(0.0, 5.0)", "dist.Normal(0.0, 0.1)")),
    harmful("a tenth of the data", ("    svi.step(data)", "    svi.step(data[::10])")),
    right(
        "lax checks made strict",
        Promise.RUNS_CLEAN,
        ("max_plate_nesting=1", "max_plate_nesting=1, strict_enumeration_warning=True"),
    ),
    right(
        "a scale on both sides",
        Promise.SAME_OBJECTIVE,
        ("SVI(model, guide", "SVI(poutine.scale(model, scale=1 / 80), poutine.scale(guide, scale=1 / 80)"),
    ),
)
