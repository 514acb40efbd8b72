"""Models and guides that no SVI call brings together."""

from __future__ import annotations

import pytest
from reading import PREAMBLE, read

from pyro_fix import sources
from pyro_fix.analysis.project import Project

BODY = 'pyro.sample("z", dist.HalfNormal(1.))'
DATA = 'pyro.sample("x", dist.Normal(0., 1.), obs=data)'
PROPOSAL = 'pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))'


def define(name: str, *lines: str, margin: str = "") -> str:
    first = "self, data" if margin else "data"
    return f"{margin}def {name}({first}):\n" + "".join(f"{margin}    {line}\n" for line in lines) + "\n"


@pytest.fixture
def paired(tmp_path):
    """The names of the functions that are brought together."""

    def run(text: str, **files: str) -> set[tuple[str, str]]:
        program = read(tmp_path, PREAMBLE + text, **{name: PREAMBLE + content for name, content in files.items()})
        assert program.sites
        return {(couple.model.node.name, couple.guide.node.name) for couple in program.couples}

    return run


MODEL, GUIDE = define("model", BODY, DATA), define("guide", PROPOSAL)


@pytest.mark.parametrize(
    ("model", "guide"),
    [
        ("model", "guide"),
        ("model_a", "guide_a"),
        ("a_model", "a_guide"),
        ("model1", "guide1"),
        ("_model", "_guide"),
        ("scale", "scale_guide"),
    ],
)
def test_by_name(paired, model: str, guide: str):
    assert paired(define(model, BODY, DATA) + define(guide, PROPOSAL)) == {(model, guide)}


def test_several_side_by_side(paired):
    text = "".join(define(f"model_{k}", BODY) + define(f"guide_{k}", PROPOSAL) for k in "ab")
    assert paired(text) == {("model_a", "guide_a"), ("model_b", "guide_b")}


def test_methods(paired):
    methods = define("model", BODY, margin="    ") + define("guide", PROPOSAL, margin="    ")
    assert paired(f"class Weight:\n{methods}") == {("model", "guide")}


def test_an_inherited_model_and_a_guide_of_its_own(tmp_path):
    text = f"class A:\n{define('model', BODY, margin='    ')}class B(A):\n{define('guide', PROPOSAL, margin='    ')}"
    (couple,) = read(tmp_path, PREAMBLE + text).couples
    assert (couple.model.node.lineno, couple.guide.node.lineno) == (7, 11)


def test_what_a_factory_makes(paired):
    inner = (define("model", BODY) + define("guide", PROPOSAL)).replace("\n", "\n    ")
    text = f"def make(k):\n    {inner}\n    return model, guide\n"
    assert paired(f"{text}\nfirst, second = make(1), make(2)\n") == {("model", "guide")}


@pytest.mark.parametrize(
    "text",
    [
        MODEL + GUIDE + "svi = SVI(model, guide, Adam({}), Trace_ELBO())\n",
        MODEL + GUIDE + "svi = SVI(model, pyro.infer.autoguide.AutoNormal(model), Adam({}), Trace_ELBO())\n",
        MODEL + GUIDE + "def train(g):\n    return SVI(model, g, Adam({}), Trace_ELBO())\n",
        MODEL + GUIDE + "auto = pyro.infer.autoguide.AutoNormal(model)\n",
        MODEL + GUIDE + "from pyro.infer import MCMC, NUTS\nmcmc = MCMC(NUTS(model), num_samples=10)\n",
        MODEL + GUIDE + "posterior = pyro.infer.Importance(model, guide, num_samples=10)\n",
        MODEL + GUIDE + "def whole(data):\n    model(data)\n    pyro.sample('w', dist.Normal(0., 1.))\n",
        MODEL + GUIDE + GUIDE.replace("1.)", "2.)"),
        define("model_a", BODY) + define("a_model", BODY) + define("guide_a", PROPOSAL),
        define("model_a", BODY) + define("guide_b", PROPOSAL),
        define("model", BODY) + define("guide", "return load(data)"),
        define("model", "return load(data)") + define("guide", PROPOSAL),
        define("model", BODY) + define("guide", 'pyro.sample("star", dist.Normal(0., 1.))'),
        MODEL + GUIDE.replace("guide", "model_and_guide"),
        MODEL + GUIDE + "hidden = pyro.poutine.block(model, hide=['z'])\n",
        MODEL + GUIDE + "from pyro.poutine import block as without\nhidden = without(model, hide=['z'])\n",
        MODEL + GUIDE + "fit(model=model, proposal=guide)\n",
        MODEL + GUIDE + "model = load(model)\n",
        MODEL + MODEL.replace("1.)", "2.)") + GUIDE,
        MODEL
        + GUIDE
        + "if torch.cuda.is_available():\n"
        + define("guide", PROPOSAL, margin="    ").replace("self, ", ""),
        define("model", BODY) + "guide = lambda data: 1\n" + define("train", PROPOSAL),
        define("scale", BODY)
        + define("scale_model", BODY)
        + define("model_scale", BODY)
        + define("scale_guide", PROPOSAL),
        define("scale", BODY) + define("scale_guide", PROPOSAL) + define("guide_scale", PROPOSAL),
        MODEL + GUIDE.replace("data", ""),
        define("remodel", BODY) + define("guided", PROPOSAL),
        define("model", BODY) + f"class A:\n{define('guide', PROPOSAL, margin='    ')}",
        f"class A:\n{define('model', BODY, margin='    ')}class B:\n{define('guide', PROPOSAL, margin='    ')}",
        f"class A:\n{define('model', BODY, margin='    ')}{define('guide', PROPOSAL, margin='    ') * 2}",
        define("make_model", BODY.replace("pyro", "return pyro"), *define("model", BODY).splitlines())
        + define("make", *define("guide", PROPOSAL).splitlines(), "return guide"),
        define("model", BODY) + define("guide", 'pyro.sample("z", dist.Normal(0., 1.), obs=data)'),
        MODEL
        + GUIDE
        + "from pyro.contrib.oed.eig import marginal_eig\neig = marginal_eig(sorted, data, 'x', 'z', 9)\n",
    ],
    ids=[
        *("SVI", "another guide", "guide of a caller", "autoguide", "MCMC", "importance", "part of a model"),
        *("two guides", "two models", "other stems", "guide samples nothing", "model samples nothing"),
        *("nothing in common", "both", "blocked", "blocked by another name", "handed on", "bound again"),
        *("a model twice", "a guide in a branch", "a guide that is none", "three models", "two guides of one"),
        "other arguments",
        *("words that hold them", "a method for a function", "two classes", "a method twice", "two scopes"),
        *("observed alone", "design"),
    ],
)
def test_not(paired, text: str):
    assert paired(text) == set()


def test_whoever_imports_them_may_do_other_things(paired):
    library = MODEL + GUIDE
    assert paired("import lib\n", lib=library) == {("model", "guide")}
    for use in ("SVI(lib.model, lib.guide, Adam({}), Trace_ELBO())", "pyro.condition(lib.model, data={})"):
        assert paired(f"import lib\nuse = {use}\n", lib=library) == set()


@pytest.mark.parametrize("named", ["main", "lib"])
def test_whichever_file_is_named(tmp_path, named: str):
    main = f"{PREAMBLE}from lib import *\nSVI(model, guide, Adam({{}}), Trace_ELBO())\n"
    read(tmp_path, main, lib=PREAMBLE + MODEL + GUIDE)
    assert Project().read([sources.read(tmp_path / f"{named}.py")]).couples == []
