"""Two SVI objects, stepped in turn: two halves of a study, with a model each."""

from pyro_fix.transform import Promise
from zoo import HEAD, harmful, right

PROGRAM = f"""{HEAD}
first = torch.randn(30, generator=generator) + 1
second = torch.randn(40, generator=generator) * 2 - 3

def first_model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, 1.0), obs=data)

def first_guide(data):
    m = pyro.param("m1", torch.tensor(0.0))
    pyro.sample("loc", dist.Normal(m, pyro.param("s1", torch.tensor(0.3), constraint=constraints.positive)))

def second_model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, 2.0), obs=data)

def second_guide(data):
    m = pyro.param("m2", torch.tensor(0.0))
    pyro.sample("loc", dist.Normal(m, pyro.param("s2", torch.tensor(0.3))))

one = SVI(first_model, first_guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
two = SVI(second_model, second_guide, Adam({{"lr": 0.02}}), loss=Trace_ELBO())
for step in range(200):
    one.step(first)
    two.step(second)
"""

REWRITES = (
    harmful("the other half's data", ("    two.step(second)", "    two.step(first)")),
    harmful(
        "a second object that is stepped once", ("    two.step(second)", "    if step < 70:\n        two.step(second)")
    ),
    harmful("a shared parameter", ('"m2", torch.tensor(0.0)', '"m1", torch.tensor(0.0)')),
    harmful(
        "the second's spread detached",
        (
            'dist.Normal(m, pyro.param("s2", torch.tensor(0.3)))',
            'dist.Normal(m.detach(), pyro.param("s2", torch.tensor(0.3)))',
        ),
    ),
    right(
        "a constraint",
        Promise.SAME_START | Promise.RUNS_CLEAN,
        ('"s2", torch.tensor(0.3))', '"s2", torch.tensor(0.3), constraint=constraints.positive)'),
    ),
)
