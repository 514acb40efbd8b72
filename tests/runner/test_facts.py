"""The facts of a run: where statements are, what feeds what, how sites depend on each other, what is handed over."""

import pytest
from programs import NORMAL

from pyro_fix.observation import Feed, PlateLook
from pyro_fix.runner.model import Deep

FACTS = Deep(seeds=2, facts=True)


def place(name, text, part):
    """The only line of a program in which ``part`` stands."""
    (line,) = [number for number, line in enumerate(text.splitlines(), 1) if part in line]
    return f"{name}.py:{line}"


def feeds(site):
    return {(feed.argument, feed.param): (feed.required, feed.operations, feed.unchanged) for feed in site.feeds}


REGRESSION = """\
import torch, pyro, pyro.distributions as dist
import torch.nn.functional as F
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

N, D = 12, 3
x = torch.randn(N, D) * torch.tensor([1.0, 100.0, 0.01])
y = torch.randn(N)

def model(x, y, extra=None):
    noise = pyro.param("noise", torch.tensor(0.5))
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    total = pyro.deterministic("total", a + b)
    p = pyro.sample("p", dist.Beta(2.0, 2.0))
    w = pyro.sample("w", dist.Normal(torch.zeros(D), 1.0).to_event(1))
    k = pyro.sample("k", dist.Categorical(torch.ones(3) / 3))
    with pyro.plate("data", len(x), subsample_size=6) as i:
        mean = (w * x[i]).sum(-1) + total + p
        pyro.sample("obs", dist.Normal(mean, noise),
                    obs=(y[i] - y.mean()) / y.std())

def made_elsewhere(loc, scale):
    return dist.Normal(loc, scale)

def guide(x, y, extra=None):
    b_log = pyro.param("b_log", torch.tensor(-1.0))
    b = pyro.sample("b", made_elsewhere(pyro.param("b_loc", torch.tensor(0.0)), b_log.exp()))
    a_scale = pyro.param("a_scale",
                         torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("a", dist.Normal(0.5 * b, F.softplus(a_scale)))
    c0 = pyro.param("c0", torch.tensor(2.0))
    c1 = pyro.param("c1", torch.ones(2))
    pyro.sample("p", dist.Beta(c1[0], c0))
    w_loc = pyro.param("w_loc", torch.zeros(D))
    w_scale = pyro.param("w_scale", torch.ones(1))
    pyro.sample("w", dist.Normal(w_loc.detach(), w_scale.expand(D)).to_event(1))
    probs = pyro.param("probs", torch.ones(3) / 3)
    pyro.sample("k", dist.Categorical(probs=probs), infer={"enumerate": "parallel"})

svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO(num_particles=2, vectorize_particles=False))
for i in range(100):
    svi.step(x,
             y=y, extra={"n": torch.ones(2)})
"""


@pytest.fixture(scope="module")
def regression(shared):
    shared.write("regression.py", REGRESSION)
    observation = shared.run("regression.py", steps=2, deep=FACTS)
    assert observation.failure is None and observation.svis[0].look.error == ""
    return observation.svis[0]


def test_places_of_statements(regression):
    look = regression.look
    places = {name: param.where for name, param in look.params.items()}
    assert places["b_loc"] == place("regression", REGRESSION, "made_elsewhere(pyro")
    assert places["a_scale"] == place("regression", REGRESSION, "a_scale = ")
    assert look.guide["b"].where == places["b_loc"]
    assert look.model["b"].where == place("regression", REGRESSION, 'b = pyro.sample("b", dist')
    assert look.model["obs"].where == place("regression", REGRESSION, 'pyro.sample("obs"')
    assert all(site.where for site in [*look.guide.values(), *look.model.values()])


def test_what_an_svi_object_is(regression):
    assert (regression.guide, regression.vectorized, regression.num_particles) == ("guide", False, 2)


def test_sites(regression):
    look = regression.look
    assert look.model["obs"].plates == (PlateLook("data", -1, 12, 6),) and look.model["w"].plates == ()
    assert (look.model["obs"].batch_shape, look.model["obs"].event_shape) == ((6,), ())
    assert (look.model["w"].batch_shape, look.model["w"].event_shape) == ((), (3,))
    assert look.max_plate_nesting == 1
    assert {name: site.reparameterised for name, site in look.guide.items()} == {
        "a": True, "b": True, "p": True, "w": True, "k": False,
    }  # fmt: skip
    assert look.guide["k"].enumerable and not look.guide["a"].enumerable
    assert look.guide["k"].enumerated == "parallel" and look.guide["a"].enumerated == ""
    assert look.guide["b"].spread == pytest.approx((0.36788, 0.36788), rel=1e-4)
    assert look.model["p"].spread == pytest.approx((0.05**0.5, 0.05**0.5), rel=1e-4)
    assert look.guide["k"].spread is None
    assert look.guide["w"].minimum < look.guide["w"].maximum
    assert look.guide["b"].minimum == look.guide["b"].maximum == look.model["b"].minimum


def test_feeds(regression):
    guide, model = regression.look.guide, regression.look.model
    assert feeds(guide["b"]) == {
        ("loc", "b_loc"): ("real", (), True),
        ("scale", "b_log"): ("positive", ("Exp",), False),
    }
    # The parameter's own constraint is no operation, and b is a matter of its own.
    assert feeds(guide["a"]) == {("scale", "a_scale"): ("positive", ("Softplus",), False)}
    # Beta keeps both of its arguments in one tensor.
    assert feeds(guide["p"]) == {
        ("concentration1", "c1"): ("positive", ("Select",), True),
        ("concentration0", "c0"): ("positive", (), True),
    }
    # Autograd does not see what was detached, provenance does.
    assert feeds(guide["w"]) == {
        ("loc", "w_loc"): ("real", (), False),
        ("scale", "w_scale"): ("positive", ("Expand",), True),
    }
    # That Categorical normalises its probs is none of the program's operations.
    assert feeds(guide["k"]) == {("probs", "probs"): ("simplex", (), True)}
    # What the guide's parameters did to the latents does not show in the model.
    assert feeds(model["obs"]) == {("scale", "noise"): ("positive", (), True)}
    assert not model["b"].feeds and not model["k"].feeds


def test_dependencies(regression):
    look = regression.look
    assert look.model["obs"].parents == ("a", "b", "p", "w") and look.model["b"].parents == ("a",)
    assert look.model["total"].parents == ("a", "b")
    assert look.guide["a"].parents == ("b",) and look.guide["b"].parents == ()
    told = look.dependencies
    assert told.error == ""
    assert told.prior["obs"] == ("a", "b", "p", "w") and told.prior["b"] == ("a",) and told.prior["a"] == ()
    assert told.posterior == {"b": (), "a": ("b",), "p": (), "w": (), "k": ()}
    assert told.registered_kl == ("b", "a", "p", "w", "k")
    assert told.mean_field is False, "b's parent a in the model is its child in the guide"


def test_inputs(regression):
    inputs = {given.name: given for given in regression.look.inputs}
    assert {name: (given.shape, given.observed) for name, given in inputs.items()} == {
        "x": ((12, 3), False),
        "y": ((12,), True),
        "extra['n']": ((2,), False),
    }
    least, most = inputs["x"].column_spreads
    assert most / least > 1000 and inputs["y"].column_spreads is None
    assert inputs["x"].minimum < -10 and inputs["x"].dtype == "float32"
    assert inputs["x"].where == place("regression", REGRESSION, "svi.step(x")


MODULES = """\
import torch, pyro, pyro.distributions as dist, torch.nn as nn, pyro.poutine as poutine
from pyro.infer import SVI, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.nn import PyroModule, PyroParam, PyroSample
from pyro.optim import Adam
from torch.distributions import constraints

class Inner(PyroModule):
    def __init__(self):
        super().__init__()
        self.rate = PyroParam(lambda: torch.tensor(2.0),
                              constraint=constraints.positive)

class Net(PyroModule):
    def __init__(self):
        super().__init__()
        self.inner = Inner()
        self.lin = PyroModule[nn.Linear](2, 1)
        self.lin.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 2]).to_event(2))
        self.bias = PyroSample(dist.Normal(0.0, 1.0))
        self.scale = PyroParam(torch.tensor(0.5))

    def forward(self, x, *rest):
        pyro.sample("s", dist.Gamma(self.inner.rate, 1.0))
        mean = self.lin(x).squeeze(-1) + self.bias
        with pyro.plate("d", len(x)):
            return pyro.sample("obs", dist.Normal(mean, self.scale), obs=rest[0])

x, y = torch.randn(10, 2), torch.randn(10)
net = Net()
guide = AutoNormal(net)
svi = SVI(poutine.scale(net, 0.1), poutine.scale(guide, 0.1), Adam({"lr": 0.01}), TraceMeanField_ELBO())
for i in range(10):
    svi.step(x, y)
"""


@pytest.fixture(scope="module")
def modules(shared):
    shared.write("modules.py", MODULES)
    observation = shared.run("modules.py", steps=3, deep=FACTS)
    assert observation.failure is None and observation.svis[0].look.error == ""
    return observation.svis[0]


def test_attributes_of_modules(modules):
    look = modules.look
    assert look.params["scale"].where == place("modules", MODULES, "self.scale = ")
    assert look.params["inner.rate"].where == place("modules", MODULES, "self.rate = ")
    assert look.model["bias"].where == place("modules", MODULES, "+ self.bias")
    assert feeds(look.model["obs"])["scale", "scale"] == ("positive", (), True)
    assert feeds(look.model["obs"])["loc", "lin.bias"] == ("real", ("Add", "Squeeze", "Addmm"), False)
    assert feeds(look.model["s"]) == {("concentration", "inner.rate"): ("positive", (), True)}


def test_an_autoguide_has_no_places(modules):
    look = modules.look
    assert modules.guide == "AutoNormal"
    assert not any(site.where for site in look.guide.values())
    assert look.params["AutoNormal.locs.bias"].where == ""
    assert look.guide["bias_unconstrained"].auxiliary and not look.guide["bias"].auxiliary
    assert look.guide["bias"].parents == ("bias_unconstrained",)
    assert look.dependencies.mean_field is True
    assert look.dependencies.registered_kl == (), "the divergence of a point mass saves no sampling"


def test_names_of_inputs_behind_handlers(modules):
    assert [(given.name, given.observed) for given in modules.look.inputs] == [("x", False), ("rest[0]", True)]


def test_facts_change_nothing(modules, shared):
    """The plain run of the same program, bit for bit."""
    plain = shared.run("modules.py", steps=3).svis[0]
    assert plain.look is None
    (before,), (after,) = plain.trajectories, modules.trajectories
    assert (before.losses, before.ranges) == (after.losses, after.ranges)
    # Pyro keeps parameters in a set: the order in which their norms are summed up differs from run to run.
    assert after.gradient_norms == pytest.approx(before.gradient_norms, rel=1e-12)


BROKEN = """\
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

data = torch.randn(10)

def model(data):
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", 10):
        pyro.sample("obs", dist.Normal(a, b), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    pyro.sample("a", dist.Normal(m, 1.0))
    s = pyro.param("s", torch.tensor(0.2))
    pyro.sample("b",
                dist.LogNormal(torch.zeros(3) + torch.zeros(4), s))

svi = SVI(model, guide, Adam({"lr": 0.1}), Trace_ELBO())
for i in range(5):
    svi.step(data)
"""


def test_a_guide_that_breaks_in_the_middle(shared):
    shared.write("broken.py", BROKEN)
    svi = shared.run("broken.py", steps=2, deep=FACTS).svis[0]
    look = svi.look
    assert look.error.startswith("RuntimeError: The size of tensor a (3)")
    assert list(look.guide) == ["a"] and list(look.model) == ["a", "b", "obs"] and set(look.params) == {"m", "s"}
    assert look.guide["a"].feeds == (Feed("loc", "real", "m", (), True),)
    assert look.losses == () and look.dependencies.mean_field is None
    assert look.dependencies.error.startswith("RuntimeError")
    assert [(given.name, given.observed) for given in look.inputs] == [("data", True)]
    failure = svi.trajectories[0].failure
    assert (failure.site, failure.where) == ("b", place("broken", BROKEN, "torch.zeros(4)"))


LEAVING = (
    NORMAL
    + """
from pyro.infer import TraceMeanField_ELBO

def hidden(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    spread = pyro.sample("spread", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("obs", dist.Normal(loc.item(), spread), obs=data)

def same(data):
    guide(data)
    pyro.sample("spread", dist.LogNormal(pyro.param("r", torch.tensor(0.0)), 0.1))

svi = SVI(hidden, same, Adam({"lr": 1e18}), Trace_ELBO())
for i in range(1000):
    svi.step(data)
"""
)


@pytest.fixture(scope="module")
def leaving(shared):
    shared.write("leaving.py", LEAVING)
    return shared.run("leaving.py", steps=50, deep=FACTS).svis[0]


def test_what_leaves_torch_makes_the_structure_unknown(leaving):
    told = leaving.look.dependencies
    assert told.mean_field is None
    assert told.error == f"a latent value leaves torch at {place('leaving', LEAVING, 'loc.item()')} (item)"
    assert told.posterior == {"loc": (), "spread": ()}


def test_what_was_not_finite_first(leaving):
    trajectory = leaving.trajectories[0]
    assert trajectory.first_nonfinite is not None
    assert trajectory.nonfinite in ("loss", "m", "s", "r")
    if trajectory.nonfinite == "loss":
        assert not abs(trajectory.losses[trajectory.first_nonfinite]) < float("inf")


@pytest.fixture(scope="module")
def moved(shared):
    shared.write("moved.py", "\n\n" + REGRESSION)
    return shared.run("moved.py", steps=1, deep=Deep(seeds=2)).svis[0].look


def test_facts_are_only_gathered_when_they_are_asked_for(moved):
    assert moved.guide["b"].where and moved.guide["b"].spread is not None
    assert moved.guide["b"].feeds == () == moved.inputs
    assert moved.dependencies is None and moved.max_plate_nesting is None


def test_looks_that_differ_in_places_and_facts_are_equal(regression, moved):
    """What a patch changed is told by comparing looks; it moves lines, and its looks are made without facts."""
    look = regression.look
    assert moved.guide["b"].where != look.guide["b"].where
    assert (moved.params, moved.guide, moved.model) == (look.params, look.guide, look.model)


def test_what_a_step_does_is_counted(shared):
    text = NORMAL + 'SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO()).step(data)\n'
    shared.write("counted.py", text)
    shared.write("larger.py", text.replace("randn(20)", "randn(2000)"))
    first, again, larger = (
        shared.run(name, steps=1, deep=FACTS).svis[0].look.work for name in ("counted.py", "counted.py", "larger.py")
    )
    assert first.params == 2 and first.calls > 200 and first.elements > 20 and first.flops == 0
    assert (again.elements, again.flops) == (first.elements, first.flops)
    assert abs(again.calls - first.calls) <= 0.01 * first.calls
    assert larger.elements > first.elements + 2 * 1980 and abs(larger.calls - first.calls) <= 0.01 * first.calls
    assert shared.run("counted.py", steps=1, deep=Deep(seeds=2)).svis[0].look.work is None
