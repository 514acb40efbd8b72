"""The forms in which models, guides and losses come: wrappers, modules, EasyGuide, the lower-level pattern."""

from __future__ import annotations

import textwrap

import pytest
from reading import PREAMBLE, read

from pyro_fix.analysis.program import Program, Site, Svi
from pyro_fix.analysis.project import concerns
from pyro_fix.analysis.roles import functions_of, parts_of
from pyro_fix.analysis.seen import Seen
from pyro_fix.analysis.spell import spell
from pyro_fix.analysis.values import Made
from pyro_fix.observation import Observation, SviObservation

HEAD = f"""{PREAMBLE}
import functools
import torch.nn as nn
from pyro import poutine
from pyro.contrib.easyguide import EasyGuide, easy_guide
from pyro.infer import TraceEnum_ELBO, JitTrace_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta, AutoGuideList, AutoNormal
from pyro.nn import PyroModule, PyroParam, PyroSample

def model(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))
"""


@pytest.fixture
def facts(tmp_path):
    return lambda text: read(tmp_path, HEAD + textwrap.dedent(text))


def observed(cwd: str, where: str) -> Observation:
    """A run that saw one SVI object."""
    svi = SviObservation(0, where, "Trace_ELBO", "Adam", 1, ())
    return Observation("", "", {}, "cpu", (svi,), {}, (), None, (), 0.0, cwd)


def only(program: Program) -> Svi:
    (svi,) = program.svis
    return svi


def names(svi: Svi) -> tuple[list[str], list[str]]:
    """What runs as model and as guide: names of functions, classes of autoguides, and why something is not known."""
    return described(svi.model), described(svi.guide)


def described(value) -> list[str]:
    found = []
    for part in parts_of(value):
        if isinstance(part.runs, Made):
            found.append(part.runs.name.rpartition(".")[2])
        elif part.runs is not None:
            found.append(getattr(part.runs.node, "name", "lambda"))
        if part.unknown:
            found.append("?")
    return found


# -- wrappers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected", "handlers"),
    [
        ("model", ["model"], []),
        ("lambda x: model(x)", ["lambda"], []),
        ("functools.partial(model, x=3)", ["model"], ["partial"]),
        ("poutine.scale(model, 0.1)", ["model"], ["scale"]),
        ("poutine.scale(fn=model, scale=0.1)", ["model"], ["scale"]),
        ("poutine.scale(scale=0.1)(model)", ["model"], ["scale"]),
        ("poutine.block(model, hide=['z'])", ["model"], ["block"]),
        ("poutine.block(hide=['z'])(poutine.mask(model, mask=False))", ["model"], ["block", "mask"]),
        ("pyro.condition(model, data={'z': 1.0})", ["model"], ["condition"]),
        ("poutine.condition(model, data={'z': 1.0})", ["model"], ["condition"]),
        ("config_enumerate(model)", ["model"], ["config_enumerate"]),
        ("config_enumerate(default='parallel')(model)", ["model"], ["config_enumerate"]),
        ("config_enumerate(model, 'parallel')", ["model"], ["config_enumerate"]),
        ("model if flag else guide", ["model", "guide"], []),
        ("load()", ["?"], []),
        ("pickle.load(model)", ["?"], []),
        ("poutine.scale(load(), 0.1)", ["?"], ["scale"]),
        ("AutoNormal(model)", ["AutoNormal"], []),
    ],
)
def test_what_is_wrapped(facts, given: str, expected: list[str], handlers: list[str]):
    svi = only(facts(f"svi = SVI({given}, guide, Adam({{}}), Trace_ELBO())"))
    assert names(svi) == (expected, ["guide"])
    assert [h.name.rpartition(".")[2] for h in parts_of(svi.model)[0].handlers] == handlers


@pytest.mark.parametrize(
    ("decorator", "handlers", "understood"),
    [
        ("config_enumerate", ["config_enumerate"], True),
        ("config_enumerate(default='parallel')", ["config_enumerate"], True),
        ("poutine.scale(scale=0.1)", ["scale"], True),
        ("poutine.block(hide=['z'])", ["block"], True),
        ("torch.no_grad", [], True),
        ("torch.jit.script", [], False),
        ("mine", [], False),
        ("easy_guide(model)", [], False),
    ],
)
def test_decorators(facts, decorator: str, handlers: list[str], understood: bool):
    text = f"@{decorator}\ndef m():\n    pass\nSVI(m, guide, Adam({{}}), Trace_ELBO())\n"
    (part,) = parts_of(only(facts(text)).model)
    assert [h.name.rpartition(".")[2] for h in part.handlers] == handlers
    assert bool(part.unknown) is not understood


def test_methods_are_models(facts):
    program = facts(
        """
        class Experiment:
            def __init__(self):
                self.guide = AutoNormal(self.model)

            def model(self):
                pyro.sample("w", dist.Normal(0.0, 1.0))

            def train(self):
                SVI(self.model, self.guide, Adam({}), Trace_ELBO())

        Experiment().train()
        """
    )
    svi = only(program)
    assert names(svi) == (["model"], ["AutoNormal"])
    assert [site.name for site in program.sites_of(functions_of(svi.model))] == ["w"]


def test_models_that_call_their_base(facts):
    """``super().model()`` runs the base's, on the same object."""
    program = facts(
        """
        class Base:
            def __init__(self, scale):
                self.scale = pyro.param("scale", torch.tensor(1.0))

            def model(self):
                pyro.sample("z", dist.Normal(0.0, self.scale))

            def guide(self):
                pyro.sample("z", dist.Normal(0.0, 1.0))

        class Wider(Base):
            def __init__(self):
                super().__init__(3)

            def model(self):
                super().model()
                pyro.sample("w", dist.Normal(0.0, 1.0))

        it = Wider()
        SVI(it.model, it.guide, Adam({}), Trace_ELBO())
        it.model()
        """
    )
    svi = only(program)
    assert {site.name for site in program.sites_of(functions_of(svi.model))} == {"z", "w"}
    assert {site.name for site in program.sites_of(functions_of(svi.guide))} == {"z"}
    (param,) = program.params
    assert [(use.argument, use.unchanged) for use in param.uses] == [("scale", True)]


@pytest.mark.parametrize("base", ["nn.Module", "load()", "Unknown"])
def test_bases_that_are_not_of_the_project(facts, base: str):
    program = facts(
        f"class M({base}):\n    def __init__(self):\n        super().__init__()\n        super().model(3)\nM()\n"
    )
    assert program.svis == []


def test_a_wrapped_model_can_be_called(facts):
    program = facts(
        """
        def base(scale):
            pyro.sample("y", dist.Normal(0.0, scale))

        def outer():
            return poutine.scale(base, scale=0.5)(pyro.param("s", torch.tensor(1.0)))

        narrow = functools.partial(base, scale=pyro.param("t", torch.tensor(1.0)))
        narrow()
        """
    )
    assert [[use.argument for use in param.uses] for param in program.params] == [["scale"], ["scale"]]
    (site,) = [site for site in program.sites if site.name == "y" and site.contexts]
    assert [context.name for context in site.contexts] == ["pyro.poutine.scale"]


def test_autoguide_lists(facts):
    svi = only(
        facts(
            """
            guides = AutoGuideList(model)
            guides.append(AutoDelta(poutine.block(model, expose=["z"])))
            guides.add(guide)
            SVI(model, guides, Adam({}), Trace_ELBO())
            """
        )
    )
    assert names(svi)[1] == ["AutoGuideList", "AutoDelta", "guide"]


def test_pyro_module_returns_its_module(facts):
    program = facts(
        """
        class Net(nn.Module):
            def forward(self):
                return pyro.param("s", torch.tensor(1.0))

        net = Net()

        def m():
            module = pyro.module("net", net)
            pyro.sample("y", dist.Normal(0.0, module()))
        """
    )
    (param,) = program.params
    assert [(use.argument, use.unchanged) for use in param.uses] == [("scale", True)]


# -- modules ------------------------------------------------------------------------------------------------------


def priors(program: Program) -> dict[str | None, tuple[str, bool]]:
    """The ``PyroSample`` sites: name -> class of the distribution, whether a function reads them."""
    return {
        site.name: (getattr(site.distribution, "name", "?").rpartition(".")[2], bool(site.functions))
        for site in program.sites
        if site.kind == "PyroSample"
    }


REGRESSION = """
class Regression(PyroModule):
    def __init__(self, n):
        super().__init__()
        self.linear = PyroModule[nn.Linear](n, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, n]).to_event(2))
        self.linear.bias = PyroSample(lambda self: dist.Normal(0.0, self.noise))
        self.sigma = PyroSample(dist.LogNormal(0.0, 1.0))

    def forward(self, x, y=None):
        mean = self.linear(x)
        pyro.sample("obs", dist.Normal(mean, self.sigma), obs=y)
"""


def test_pyro_samples_are_sites(facts):
    program = facts(f"{REGRESSION}\nm = Regression(3)\nSVI(m, AutoNormal(m), Adam({{}}), Trace_ELBO())\nm(1)\n")
    assert priors(program) == {
        "linear.weight": ("?", True),
        "linear.bias": ("Normal", True),
        "sigma": ("LogNormal", True),
    }
    svi = only(program)
    assert names(svi) == (["forward"], ["AutoNormal"])
    found = {site.name for site in program.sites_of(functions_of(svi.model))}
    assert found == {"linear.weight", "linear.bias", "sigma", "obs"}


def test_a_module_that_was_moved_is_the_same_one(facts):
    made = "m = Regression(3).to(device).train()\nguide = AutoNormal(m).to(device)\n"
    svi = only(facts(f"{REGRESSION}\ndevice = 'cpu'\n{made}SVI(m, guide, Adam({{}}), Trace_ELBO())\n"))
    assert names(svi) == (["forward"], ["AutoNormal"])


@pytest.mark.parametrize(
    "text",
    [
        "class Own:\n    def forward(self): ...\n",  # no module: its ``to`` may do anything, as may one that it writes itself
        "class Own(nn.Module):\n    def forward(self): ...\n    def to(self, device): return other(device)\n",
    ],
)
def test_what_is_moved_otherwise_is_not_followed(facts, text: str):
    svi = only(facts(f"{text}\nm = Own().to('cpu')\nSVI(m, guide, Adam({{}}), Trace_ELBO())\n"))
    assert not list(functions_of(svi.model))


def test_paths_through_nested_modules(facts):
    program = facts(
        """
        class Inner(PyroModule):
            def __init__(self):
                super().__init__()
                self.scale = PyroSample(dist.HalfNormal(1.0))

            def forward(self):
                return self.scale

        class Outer(PyroModule):
            shared = PyroSample(dist.Normal(0.0, 1.0))

            def __init__(self):
                super().__init__()
                self.a, self.b = None, None
                self.first = Inner()
                self.second = Inner()

            def forward(self):
                return self.first() + self.second() + self.shared + self.shared

        Outer()()
        """
    )
    assert set(priors(program)) == {"first.scale", "second.scale", "shared"}
    assert len([site for site in program.sites if site.kind == "PyroSample"]) == 3


def test_paths_of_modules_that_nothing_makes(facts):
    """Someone may put them anywhere."""
    assert set(priors(facts(REGRESSION))) == {None} or None in priors(facts(REGRESSION))


def test_modules_that_hold_each_other(facts):
    program = facts(
        """
        class Node(PyroModule):
            def __init__(self):
                self.w = PyroSample(dist.Normal(0.0, 1.0))

        a, b = Node(), Node()
        a.other = b
        b.other = a
        a.w
        """
    )
    assert set(priors(program)) == {None}


def test_pyro_params_that_are_decorators(facts):
    program = facts(
        """
        class M(PyroModule):
            @PyroParam(event_dim=0)
            def s(self):
                return torch.tensor(2.0)

            def forward(self):
                pyro.sample("y", dist.Normal(0.0, self.s))

        M()()
        """
    )
    (param,) = program.params
    assert [(use.argument, use.unchanged) for use in param.uses] == [("scale", True)]
    assert isinstance(param.initial, Made)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("pyro.random_module('net', net, {'w': dist.Normal(0., 1.)})()", "random_module"),
        ("self.group(match='x').sample('xs', dist.Normal(0., 1.).expand([2]))", "EasyGuide's sample"),
        ("self.map_estimate('x')", "map_estimate"),
        ("pyro.sample('x', dist.Normal(0., 1.))", None),
        ("df.sample(3)", None),
    ],
)
def test_sites_that_the_source_does_not_spell(facts, body: str, what: str | None):
    program = facts(
        f"""
        class G(EasyGuide):
            def guide(self, net, df):
                {body}

        g = G(model)
        SVI(model, g, Adam({{}}), Trace_ELBO())
        """
    )
    assert names(only(program))[1] == ["guide"]
    found = program.unspelled_in(functions_of(only(program).guide))
    assert [what in one.what for one in found] == [True] if what else not found


# -- the lower-level pattern --------------------------------------------------------------------------------------

LOSS_FN = """
elbo = Trace_ELBO(num_particles=3)
loss_fn = elbo.differentiable_loss
with poutine.trace(param_only=True) as capture:
    loss = loss_fn(model, guide, 3)
optimizer = torch.optim.Adam([1], lr=0.1)
for _ in range(100):
    loss = loss_fn(model, guide, 3)
    loss.backward()
    optimizer.step()
"""


def test_differentiable_losses(facts):
    program = facts(LOSS_FN)
    svi = only(program)
    assert svi.is_lowlevel
    assert names(svi) == (["model"], ["guide"])
    assert [len(step.loops) for step in svi.steps] == [0, 1]
    assert [len(step.arguments) for step in svi.steps] == [1, 1]
    (elbo,) = [made for made in program.made if made.name == "pyro.infer.Trace_ELBO"]
    assert program.makers_of(elbo) == [svi]
    assert svi.node(0, "model") is None, "two calls would have to change"


@pytest.mark.parametrize(
    "loss",
    [
        "elbo.differentiable_loss(model, guide, 3).backward()",
        "elbo.loss_and_grads(model, guide, 3)",
        "torch.mean(elbo.differentiable_loss(model, guide, 3))",
        "(lambda m: elbo.differentiable_loss(m, guide))(model)",
    ],
)
def test_single_losses(facts, loss: str):
    program = facts(f"elbo = JitTrace_ELBO()\nfor _ in range(5):\n    {loss}\n")
    svi = only(program)
    assert names(svi) == (["model"], ["guide"])
    assert svi.node(1, "guide") is svi.call.args[1]
    assert [spell(step.loops[0].count, svi.scope) for step in svi.steps] == ["5"]
    assert program.roles(next(iter(functions_of(svi.guide)))) == {"guide"}


def test_losses_of_methods(facts):
    """``self.model`` is another object every time it is asked for, and the same model all the same."""
    program = facts(
        """
        class T:
            def model(self): ...
            def guide(self): ...
            def train(self):
                elbo = Trace_ELBO()
                elbo.differentiable_loss(self.model, self.guide)
                for _ in range(5):
                    elbo.differentiable_loss(self.model, self.guide)
        T().train()
        """
    )
    assert len(only(program).steps) == 2


@pytest.mark.parametrize("loss", ["elbo.loss(model, guide, 3)", "fn(model, guide)", "elbo.differentiable_loss(model)"])
def test_evaluations_are_no_steps(facts, loss: str):
    assert facts(f"elbo = Trace_ELBO()\n{loss}\n").svis == []


def test_partial_losses_are_left_alone(facts):
    """Their calls do not hold model and guide where a rewrite would look for them."""
    program = facts("fn = functools.partial(Trace_ELBO().differentiable_loss, model, guide)\nfn(1)\n")
    assert program.svis == []


def test_an_elbo_that_depends_on_a_branch(facts):
    program = facts(
        """
        elbo = JitTrace_ELBO() if flag else Trace_ELBO()
        loss_fn = elbo.differentiable_loss
        for _ in range(5):
            loss_fn(model, guide)
        """
    )
    svi = only(program)
    assert len(svi.steps) == 1
    assert all(program.makers_of(made) == [svi] for made in program.made if "ELBO" in made.name)


def test_elbo_modules(facts):
    program = facts(
        """
        elbo = TraceEnum_ELBO(max_plate_nesting=1)(model, guide)
        elbo(3)
        for _ in range(7):
            loss = elbo(3)
            loss.backward()
        """
    )
    svi = only(program)
    assert svi.is_lowlevel
    assert svi.node(0, "model") is svi.call.args[0]
    assert [len(step.loops) for step in svi.steps] == [0, 1]
    assert [call.lineno for _, call in svi.calls] == [svi.call.lineno + 1, svi.call.lineno + 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from pyro.infer import Trace_ELBO\nelbo = Trace_ELBO()(model, guide)", True),
        ("from pyro.infer import Trace_ELBO\nloss = Trace_ELBO().differentiable_loss", True),
        ("from pyro.infer import Trace_ELBO\nprint(Trace_ELBO())", False),
    ],
)
def test_files_of_the_lower_level_are_read(text: str, expected: bool):
    assert concerns(text.encode()) is expected


def test_a_run_is_joined_where_the_loss_is_first_called(tmp_path):
    for text in (LOSS_FN, "elbo = Trace_ELBO()(model, guide)\nelbo(3)\n"):
        program = read(tmp_path, HEAD + text)
        svi = only(program)
        line = svi.calls[0][1].lineno
        run = observed(str(tmp_path), f"main.py:{line}")
        program.seen = Seen([run])
        assert [seen.run for seen in program.seen.svi(svi)] == [run]


def test_a_run_is_joined_where_an_attribute_is_read(facts, tmp_path):
    program = facts(f"{REGRESSION}\nRegression(3)(1)\n")

    def site(name: str) -> Site:
        (found,) = [site for site in program.sites if site.name == name]
        return found

    (module, node) = site("sigma").read_at[0]
    text = module.source.lines[node.lineno - 1]
    assert "self.sigma)" in text and node.lineno != site("sigma").call.lineno
