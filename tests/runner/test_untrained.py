"""What asks for gradients, reaches a site and is trained by nobody, as the look at the first step sees it."""

import pytest

from pyro_fix.observation import Untrained
from pyro_fix.runner.model import Deep

HEAD = """
import torch, pyro, pyro.distributions as dist, pyro.poutine as poutine
import pyro.distributions.transforms as T
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam
from pyro.optim import Adam

x = torch.ones(3, 1)
POINT = dist.Normal(0.0, 1.0)

def model(x=None):
    pyro.sample("z", dist.Normal(torch.zeros(3, 1), 1.0).to_event(2))

def train(guide, model=model, x=x):
    svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
    for _ in range(2):
        svi.step(x)

class Encoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loc = torch.nn.Linear(1, 1)
        self.shift = torch.nn.Linear(1, 1)

    def forward(self, x):
        return self.loc(x) + self.shift(x)

def given(loc):
    pyro.sample("z", dist.Normal(loc, 1.0).to_event(2))
"""

#: A program -> what is trained by nobody, without the line.
CASES = {
    "a module of the object's": (
        """
class Vae:
    def __init__(self):
        self.encoder = Encoder()

    def guide(self, x):
        given(self.encoder(x))

train(Vae().guide)
""",
        Untrained("guide", "z", "self.encoder", "Encoder", 4, 4),
    ),
    "a flow": (
        """
flow = T.affine_autoregressive(3, hidden_dims=[4])

def flow_model(x):
    pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))

def flow_guide(x):
    base = dist.Normal(torch.zeros(3), torch.ones(3)).to_event(1)
    pyro.sample("z", dist.TransformedDistribution(base, [flow]))

train(flow_guide, flow_model)
""",
        Untrained("guide", "z", "flow", "AffineAutoregressive", 4, 46),
    ),
    "one in a closure, next to one that is registered": (
        """
def build():
    first, second = Encoder(), Encoder()

    @poutine.scale(scale=2.0)
    def guide(x):
        pyro.module("first", first)
        given(first(x) + second(x))

    return guide

train(build())
""",
        Untrained("guide", "z", "second", "Encoder", 4, 4),
    ),
    "a decoder": (
        """
decoder = torch.nn.Linear(1, 1)

def decoding(x):
    model()
    pyro.sample("obs", dist.Normal(decoder(x), 1.0).to_event(2), obs=x)

train(AutoNormal(model), decoding)
""",
        Untrained("model", "obs", "decoder", "Linear", 2, 2),
    ),
    "a tensor": (
        """
spot = torch.zeros(3, 1, requires_grad=True)
train(lambda x: given(spot))
""",
        Untrained("guide", "z", "spot", "Tensor", 1, 3),
    ),
    "what is registered": (
        """
def registered(x):
    pyro.module("known", known)
    given(known(x))

known = Encoder()
train(registered)
""",
        None,
    ),
    "what another messenger hides": (
        """
hidden = Encoder()

def hiding(x):
    with poutine.block(hide_types=["param"]):
        pyro.module("hidden", hidden)
    given(hidden(x))

train(hiding)
""",
        None,
    ),
    "what is frozen": (
        """
frozen = Encoder().requires_grad_(False)
train(lambda x: given(frozen(x)))
""",
        None,
    ),
    "what no gradient reaches": (
        """
fixed = Encoder()

def without(x):
    with torch.no_grad():
        loc = fixed(x)
    given(loc)

train(without)
""",
        None,
    ),
    "a network in evaluation mode": (
        """
used = Encoder().eval()
train(lambda x: given(used(x)))
""",
        None,
    ),
    "what an optimiser of the program's own holds": (
        """
other = Encoder()
optimiser = torch.optim.SGD(other.parameters(), lr=0.1)
train(lambda x: given(other(x)))
""",
        None,
    ),
    "what was trained before": (
        """
trained = Encoder()
trained(x).sum().backward()
train(lambda x: given(trained(x)))
""",
        None,
    ),
    "a PyroModule": (
        """
class Guide(PyroModule):
    def __init__(self):
        super().__init__()
        self.encoder = Encoder()
        self.scale = PyroParam(torch.ones(3, 1), dist.constraints.positive)

    def forward(self, x):
        pyro.sample("z", dist.Normal(self.encoder(x), self.scale).to_event(2))

train(Guide())
""",
        None,
    ),
    "what is made anew": (
        """
train(lambda x: given(torch.zeros(3, 1, requires_grad=True)))
""",
        None,
    ),
    "data": (
        """
train(given, x=torch.zeros(3, 1, requires_grad=True))
""",
        None,
    ),
    "the lower level": (
        """
later = Encoder()
elbo = Trace_ELBO()
optimiser = None
for _ in range(2):
    loss = elbo.differentiable_loss(model, lambda x: given(later(x)), x)
    optimiser = optimiser or torch.optim.SGD(later.parameters(), lr=0.1)
    loss.backward()
    optimiser.step()
""",
        None,
    ),
}


@pytest.fixture(scope="module")
def looks(shared):
    """Each program has an SVI object of its own; one run looks at all of them."""
    shared.write("main.py", HEAD + "".join(text for text, _ in CASES.values()))
    observation = shared.run("main.py", steps=2, deep=Deep(seeds=2), expect_svis=len(CASES))
    assert observation.failure is None and observation.warnings == ()
    return dict(zip(CASES, [svi.look for svi in observation.svis], strict=True))


@pytest.mark.parametrize("case", CASES)
def test_what_nobody_trains(looks, case):
    expected = CASES[case][1]
    assert looks[case].error == ""
    assert looks[case].untrained == (() if expected is None else (expected,))


def test_where_the_function_begins(looks):
    lines = (HEAD + "".join(text for text, _ in CASES.values())).splitlines()
    where = looks["one in a closure, next to one that is registered"].untrained[0].where
    assert lines[int(where.removeprefix("main.py:")) - 1].strip() == "@poutine.scale(scale=2.0)"
