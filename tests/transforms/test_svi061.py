"""Every trap of tip 6 for putting an autoguide in the place of a guide."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from pyro_fix_transforms.svi061_autoguide_fallback import AutoguideFallback
from shown import check_shown, failing, line_of, site_look, svi_at, trajectory

from pyro_fix.observation import Failure, Look, PlateLook, SiteLook
from pyro_fix.transform import Promise

CODE = "SVI061"

HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal, AutoDelta
from pyro.optim import Adam

"""
MODEL = """\
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

"""
GUIDE = """\
def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(1.0))
    pyro.sample("z", dist.Normal(m, s))

"""
TAIL = """\
pyro.clear_param_store()
svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for _ in range(100):
    svi.step(data)
"""

NAN = trajectory(100.0, math.nan, nonfinite=1)
CALM = trajectory(*[100.0 - t / 2 for t in range(100)])
RUNAWAY = trajectory(*[100.0 * 1.2**t for t in range(100)])
INVALID = failing("ValueError", "Expected parameter scale (Tensor) of distribution Normal to satisfy", step=7)


def check(folder: Path, *trajectories: object, model: str = MODEL, guide: str = GUIDE, tail: str = TAIL,
          look: Look | None = None, **files: str):  # fmt: skip
    text = HEAD + model + guide + tail
    seen = svi_at(text, "svi = SVI", *(trajectories or (NAN,)), look=look)  # type: ignore[arg-type]
    return check_shown(folder, CODE, text, seen, **files)


@pytest.mark.parametrize(
    ("trajectories", "words"),
    [
        ([NAN, NAN], "ends in NaN or infinity at step 1 on 2 of 2 seeds"),
        ([INVALID], "fails: ValueError at step 7"),
        ([RUNAWAY], "makes the loss diverge"),
        ([RUNAWAY, NAN, CALM], "on 2 of 3 seeds"),
    ],
)
def test_found(tmp_path: Path, trajectories: list[object], words: str):
    outcome = check(tmp_path, *trajectories)
    assert words in outcome.finding.proposal.message and outcome.finding.proposal.source == "seen"
    first, second = outcome.finding.proposal.candidates
    assert (first.label, second.label) == ("AutoNormal in place of the guide", "AutoDelta in place of the guide")
    assert first.needs_run and Promise.NO_WORSE | Promise.RUNS_CLEAN in first.promise
    assert outcome.added == ['svi = SVI(model, AutoNormal(model), Adam({"lr": 0.01}), loss=Trace_ELBO())']
    assert "def guide(data):" in outcome.text


@pytest.mark.parametrize(
    "trajectories",
    [
        [CALM],
        [CALM, CALM, NAN],
        [failing("TypeError", "guide() missing 1 required positional argument")],
        [failing("NameError", "name 'm' is not defined", where="main.py:16")],
        [failing("RuntimeError", "mat1 and mat2 shapes cannot be multiplied", where="main.py:13")],  # in the model
        [failing("timeout", "")],
    ],
)
def test_not_found(tmp_path: Path, trajectories: list[object]):
    assert check(tmp_path, *trajectories).findings == ()


def test_an_exception_in_the_guides_own_lines(tmp_path: Path):
    text = HEAD + MODEL + GUIDE + TAIL
    where = f"main.py:{line_of(text, 'dist.Normal(m, s)')}"
    broken = failing("RuntimeError", "The size of tensor a (3) must match the size of tensor b (4)", where=where)
    assert "RuntimeError at step 0" in check(tmp_path, broken).finding.proposal.message


def test_nothing_was_run(tmp_path: Path):
    assert check_shown(tmp_path, CODE, HEAD + MODEL + GUIDE + TAIL).findings == ()


def test_an_autoguide_is_no_custom_guide(tmp_path: Path):
    assert check(tmp_path, guide="guide = AutoNormal(model)\n").findings == ()


def test_it_waits_for_every_other_code():
    assert "SVI011".startswith(AutoguideFallback.after)


@pytest.mark.parametrize(
    ("guide", "words"),
    [
        ("def guide(data):\n    m = pyro.param('m', data.mean())\n    pyro.sample('z', dist.Normal(m, 1.0))\n",
         "computes with its argument 'data'"),
        ("def guide(data):\n    m = encode(data)\n    pyro.sample('z', dist.Normal(m, 1.0))\n",
         "computes with its argument 'data'"),
        ("def guide(data, scale=1.0):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.zeros(())), scale))\n",
         "computes with its argument 'scale'"),
        ("def guide(data):\n    pyro.module('net', net)\n    pyro.sample('z', dist.Normal(net(), 1.0))\n",
         "registers a network"),
        ("guide = lambda data: pyro.sample('z', dist.Normal(pyro.param('m', torch.zeros(())), 1.0))\n", "plain function"),
        ("@poutine.block\ndef guide(data):\n    pass\n", "plain function"),
        ("class Guide:\n    def run(self, data):\n        pyro.sample('z', dist.Normal(pyro.param('m', zero), 1.0))\n"
         "guide = Guide().run\n", "method"),
    ],
)  # fmt: skip
def test_amortised_and_other_guides(tmp_path: Path, guide: str, words: str):
    assert words in check(tmp_path, guide=guide).held_back


def test_sizes_and_plates_are_no_amortisation(tmp_path: Path):
    guide = """\
def guide(data):
    m = pyro.param("m", torch.zeros(len(data), data.shape[1], device=data.device))
    with pyro.plate("n", data.size(0)):
        pyro.sample("z", dist.Normal(m, 1.0))

"""
    assert check(tmp_path, guide=guide).finding.proposal.candidates


@pytest.mark.parametrize(
    "use",
    ["Predictive(model, guide=guide, num_samples=10)", "guide(data)", "trace = poutine.trace(guide).get_trace(data)",
     "other = SVI(model, guide, Adam({}), loss=Trace_ELBO())"],
)  # fmt: skip
def test_a_guide_that_is_used_elsewhere(tmp_path: Path, use: str):
    assert "used in another place" in check(tmp_path, tail=f"{TAIL}{use}\n").held_back


@pytest.mark.parametrize("use", ["from main import guide", "import main\nmain.guide(1)"])
def test_a_guide_that_another_file_uses(tmp_path: Path, use: str):
    assert "used in another place" in check(tmp_path, plots=f"import pyro\n{use}\npyro.infer.SVI()\n").held_back


def test_an_unrelated_guide_of_another_file(tmp_path: Path):
    assert check(tmp_path, other="import pyro\ndef guide():\n    pyro.sample()\nguide()\n").finding.proposal.candidates


def test_a_guide_that_is_an_argument(tmp_path: Path):
    tail = "def fit(model, guide):\n    svi = SVI(model, guide, Adam({}), loss=Trace_ELBO())\n    svi.step(1)\nfit(model, guide)\n"
    assert "argument of the function" in check(tmp_path, tail=tail).held_back


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("print(pyro.param('m').item())", "read by its name"),
        ("def plot():\n    return pyro.param('s')", "read by its name"),
        ("store = pyro.get_param_store()", "store is read"),
        ("pyro.get_param_store().save('model.pt')", "store is read"),
        ("for name, value in pyro.get_param_store().items():\n    print(name)", "store is read"),
    ],
)
def test_parameters_that_are_read_by_name(tmp_path: Path, use: str, words: str):
    assert words in check(tmp_path, tail=f"{TAIL}{use}\n").held_back


def test_clearing_the_store_is_no_reading(tmp_path: Path):
    tail = TAIL.replace("pyro.clear_param_store()", "pyro.get_param_store().clear()")
    assert check(tmp_path, tail=tail).finding.proposal.candidates


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("dist.Normal(0.0, 1.0)", "dist.Bernoulli(0.5)", "discrete"),
        ("dist.Normal(0.0, 1.0)", "dist.Poisson(3.0).mask(True)", "discrete"),
        ('"n", len(data)', '"n", len(data), subsample_size=5', ""),
        ("dist.Normal(0.0, 1.0))", 'dist.Normal(0.0, 1.0))\n    with pyro.plate("k", 9, subsample_size=3):\n'
         '        w = pyro.sample("w", dist.Normal(0.0, 1.0))', "subsamples"),
    ],
)  # fmt: skip
def test_models_that_an_autoguide_does_not_fit(tmp_path: Path, old: str, new: str, words: str):
    outcome = check(tmp_path, model=MODEL.replace(old, new))
    if words:
        assert words in outcome.held_back
    else:  # the data alone are subsampled: the run shows what the source of the latents does not
        plates = (PlateLook("n", -1, 20, 5),)
        seen = SiteLook("Normal", "real", True, (5,), -1.0, 4.0, plates=plates)
        look = Look({}, {}, {"x": seen}, (), {}, ())
        assert "subsamples" in check(tmp_path, model=MODEL.replace(old, new), look=look).held_back


@pytest.mark.parametrize("changes", [{"enumerable": True, "support": "integer_interval(0, 3)"}, {"support": "boolean"}])
def test_a_discrete_latent_that_only_the_run_shows(tmp_path: Path, changes: dict[str, object]):
    model = MODEL.replace("dist.Normal(0.0, 1.0)", "make_prior()")
    site = site_look(HEAD + model, "make_prior()", **changes)
    assert "discrete" in check(tmp_path, model=model, look=Look({}, {}, {"z": site}, (), {}, ())).held_back


def test_latents_of_a_minibatch(tmp_path: Path):
    model = """\
def model(data):
    with pyro.plate("n", len(data)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

"""
    batches = TAIL.replace("for _ in range(100):", "for batch in loader:").replace("svi.step(data)", "svi.step(batch)")
    assert "batch" in check(tmp_path, model=model, tail=batches).held_back
    assert check(tmp_path, model=model).finding.proposal.candidates
    assert check(tmp_path, tail=batches).finding.proposal.candidates


def test_a_point_estimate_stays_one(tmp_path: Path):
    guide = 'def guide(data):\n    pyro.sample("z", dist.Delta(pyro.param("m", torch.tensor(0.0))))\n\n'
    (candidate,) = check(tmp_path, guide=guide).finding.proposal.candidates
    assert candidate.label == "AutoDelta in place of the guide"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("SVI(pyro.condition(model, data={}), guide, Adam({}), Trace_ELBO())",
         "SVI(pyro.condition(model, data={}), AutoNormal(pyro.condition(model, data={})), Adam({}), Trace_ELBO())"),
        ("SVI(poutine.scale(model, scale=0.1), poutine.scale(guide, scale=0.1), Adam({}), Trace_ELBO())",
         "SVI(poutine.scale(model, scale=0.1), poutine.scale(AutoNormal(model), scale=0.1), Adam({}), Trace_ELBO())"),
        ("SVI(guide=guide, model=model, optim=Adam({}), loss=Trace_ELBO())",
         "SVI(guide=AutoNormal(model), model=model, optim=Adam({}), loss=Trace_ELBO())"),
    ],
)  # fmt: skip
def test_where_it_is_put(tmp_path: Path, call: str, expected: str):
    assert check(tmp_path, tail=f"svi = {call}\nsvi.step(data)\n").added == [f"svi = {expected}"]


@pytest.mark.parametrize("model", ["poutine.block(model, hide=['x'])", "lambda data: model(data)", "make(model)"])
def test_a_model_that_is_made_within_the_call(tmp_path: Path, model: str):
    tail = f"svi = SVI({model}, guide, Adam({{}}), Trace_ELBO())\nsvi.step(data)\n"
    assert "made within" in check(tmp_path, tail=tail).held_back


def test_the_import_is_added(tmp_path: Path):
    text = (HEAD + MODEL + GUIDE + TAIL).replace("from pyro.infer.autoguide import AutoNormal, AutoDelta\n", "")
    text = text.replace("import pyro\n", "from pyro import param, sample, plate, clear_param_store\n")
    for name in ("param", "sample", "plate", "clear_param_store"):
        text = text.replace(f"pyro.{name}(", f"{name}(")
    outcome = check_shown(tmp_path, CODE, text, svi_at(text, "svi = SVI", NAN))
    assert "from pyro.infer.autoguide import AutoNormal" in outcome.added


def test_a_run_that_broke_outside_its_steps_says_nothing(tmp_path: Path):
    text = HEAD + MODEL + GUIDE + TAIL
    failure = Failure("FileNotFoundError", "data.csv", "main.py:1")
    assert check_shown(tmp_path, CODE, text, svi_at(text, "svi = SVI"), failure=failure).findings == ()


MODULE = """\
class Guide(pyro.nn.PyroModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Linear(1, 1)
        self.loc = pyro.nn.PyroParam(torch.tensor(0.0))

    def forward(self, data):
        with pyro.plate("n", len(data)):
            pass
        pyro.sample("z", dist.Normal(self.loc, 1.0))

guide = Guide()
"""


def test_a_guide_that_is_a_module(tmp_path: Path):
    outcome = check(tmp_path, guide=MODULE)
    assert outcome.finding.proposal.message.startswith("the guide 'Guide' ends in NaN")
    assert outcome.added == ['svi = SVI(model, AutoNormal(model), Adam({"lr": 0.01}), loss=Trace_ELBO())']


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("self.loc, 1.0", "self.net(data).sum(), 1.0", "computes with its argument 'data'"),
        ("guide = Guide()\n", "guide = Guide()\nprint(guide.loc)\n", "used in another place"),
        ("pyro.nn.PyroModule", "torch.nn.Module", "is a method"),
    ],
)
def test_modules_that_are_more(tmp_path: Path, old: str, new: str, reason: str):
    assert reason in check(tmp_path, guide=MODULE.replace(old, new)).held_back
