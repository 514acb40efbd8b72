"""A hidden Markov chain, its states summed over."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
states = [0]
for t in range(11):
    states.append(states[-1] if torch.rand((), generator=generator) < 0.8 else 1 - states[-1])
data = torch.tensor([-1.5, 1.5])[states] + torch.randn(6, 12, generator=generator)

def model(data):
    stay = pyro.sample("stay", dist.Beta(2.0, 2.0))
    locs = pyro.sample("locs", dist.Normal(torch.zeros(2), 3.0).to_event(1))
    moves = torch.stack([torch.stack([stay, 1 - stay]), torch.stack([1 - stay, stay])])
    state = 0
    for t in pyro.markov(range(data.shape[1])):
        state = pyro.sample(f"state_{{t}}", dist.Categorical(moves[state]), infer={{"enumerate": "parallel"}})
        with pyro.plate(f"rows_{{t}}", len(data)):
            pyro.sample(f"obs_{{t}}", dist.Normal(locs[state], 1.0), obs=data[:, t])

def guide(data):
    a = pyro.param("a", torch.tensor([5.0, 5.0]), constraint=constraints.positive)
    pyro.sample("stay", dist.Beta(a[0], a[1]))
    loc = pyro.param("loc", torch.tensor([-0.5, 0.5]))
    pyro.sample("locs", dist.Normal(loc, pyro.param("scale", torch.tensor(0.2), constraint=constraints.positive)).to_event(1))

svi = SVI(model, guide, Adam({{"lr": 0.05}}), loss=TraceEnum_ELBO(max_plate_nesting=1))
for step in range(120):
    svi.step(data)
"""

REWRITES = (
    harmful("the end of the sequence dropped", ("range(data.shape[1])", "range(data.shape[1] - 6)")),
    harmful("states that know no past", ("moves[state]", "moves[0]")),
    harmful("levels detached", ("dist.Normal(locs[state], 1.0)", "dist.Normal(locs[state].detach(), 1.0)")),
    harmful("observations one step late", ("obs=data[:, t])", "obs=data[:, t - 1])")),
    harmful("states drawn from the prior", ('infer={"enumerate": "parallel"}', "infer={}")),
    harmful(
        "no step after the 65th",
        ("    svi.step(data)", "    if step < 65:\n        svi.step(data)"),
        ('"lr": 0.05', '"lr": 0.01'),
    ),
    right(
        "a bound away from zero",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        (
            "torch.tensor(0.2), constraint=constraints.positive",
            "torch.tensor(0.2), constraint=constraints.greater_than(0.001)",
        ),
    ),
)
