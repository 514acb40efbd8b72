"""The breaks that SVI001 mends by itself, by what Pyro or torch said."""

from __future__ import annotations

from pathlib import Path

import pytest
from checking import Checked
from shown import check_shown, failing, line_of, svi_at

HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal
from pyro.optim import ClippedAdam

{}
svi = SVI(model, guide, ClippedAdam({{"lr": 0.001}}), loss={})
for _ in range(100):
    svi.step(load())
"""


def program(body: str, elbo: str = "Trace_ELBO()", guide: str = "guide = AutoNormal(model)\n") -> str:
    return HEAD.format(f"{body}\n{guide}", elbo)


def check(folder: Path, text: str, message: str, site: str = "", step: int = 0, kind: str = "ValueError") -> Checked:
    where = f"main.py:{line_of(text, 'svi.step')}"
    ended = failing(kind, message, step, where, site)
    return check_shown(folder, "SVI001", text, svi_at(text, "svi = SVI", ended))


# -- particles

BRANCHES = """
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    loc = z if z > 0 else -z
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(loc, 1.0), obs=data)
"""


@pytest.mark.parametrize(
    "message",
    [
        "a Tensor with 3 elements cannot be converted to Scalar",
        "Boolean value of Tensor with more than one value is ambiguous",
        "only one element tensors can be converted to Python scalars",
        "only integer tensors of a single element can be converted to an index",
    ],
)
@pytest.mark.parametrize("elbo", ["Trace_ELBO(3, vectorize_particles={})", "Trace_ELBO(vectorize_particles={})"])
def test_particles_in_turn(tmp_path: Path, message: str, elbo: str):
    outcome = check(tmp_path, program(BRANCHES, elbo.format(True)), message, kind="RuntimeError")
    assert outcome.text == program(BRANCHES, elbo.format(False))
    assert "several numbers at once" in outcome.finding.proposal.message
    assert outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize("elbo", ["Trace_ELBO(3)", "Trace_ELBO(3, vectorize_particles=many)", "Trace_ELBO(**options)"])
def test_particles_that_are_not_vectorised_here(tmp_path: Path, elbo: str):
    text = program("options, many = {}, load()" + BRANCHES, elbo)
    outcome = check(tmp_path, text, "a Tensor with 3 elements cannot be converted to Scalar")
    assert outcome.held_back == "no fix is known for it"


def test_an_exception_of_another_kind_is_not_of_the_particles(tmp_path: Path):
    text = program("\ndef model(data):\n    pyro.sample('x', dist.Normal(0., 1.), obs=data)\n",
                   "Trace_ELBO(3, vectorize_particles=True)")  # fmt: skip
    assert check(tmp_path, text, "'a'", kind="KeyError").held_back == "no fix is known for it"


# -- what was compiled

PLAIN = """
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 100, subsample=data):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)
"""
SIZES = "The size of tensor a (100) must match the size of tensor b (50) at non-singleton dimension 0"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("pyro.infer.JitTrace_ELBO()", "pyro.infer.Trace_ELBO()"),
        ("pyro.infer.JitTraceEnum_ELBO(max_plate_nesting=1)", "pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)"),
        ("pyro.infer.JitTrace_ELBO(ignore_jit_warnings=True)", "pyro.infer.Trace_ELBO()"),
        ("pyro.infer.JitTrace_ELBO(2, jit_options={})", "pyro.infer.Trace_ELBO(2)"),
    ],
)
def test_compiled_for_other_shapes(tmp_path: Path, given: str, wanted: str):
    outcome = check(tmp_path, program(PLAIN, given), SIZES, step=2, kind="RuntimeError")
    assert outcome.text == program(PLAIN, wanted)


def test_shapes_that_never_fitted_are_not_of_the_compiler(tmp_path: Path):
    outcome = check(tmp_path, program(PLAIN, "pyro.infer.JitTrace_ELBO()"), SIZES, kind="RuntimeError")
    assert outcome.held_back == "no fix is known for it"


# -- nothing to draw

PARAMETERS = """
def model(data):
    scale = pyro.param("scale", torch.tensor(1.0), constraint=dist.constraints.positive)
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Exponential(scale), obs=data)
"""
NOTHING = "AutoNormal found no latent variables; Use an empty guide instead"


def test_an_autoguide_of_nothing(tmp_path: Path):
    outcome = check(tmp_path, program(PARAMETERS), NOTHING, kind="RuntimeError")
    bare = program(PARAMETERS, guide="guide = lambda *args, **kwargs: None\n")
    imported = "from pyro.infer.autoguide import AutoNormal\n"
    assert outcome.text == bare.replace(imported, ""), "nothing uses the name any more"
    used = f"{program(PARAMETERS)}print(AutoNormal)\n"
    assert imported in check(tmp_path, used, NOTHING, kind="RuntimeError").text
    text = program(PARAMETERS, guide="guide = AutoNormal(model, init_loc_fn=median)\n")
    text = text.replace(
        imported, f"{imported}from pyro.infer.autoguide.initialization import init_to_median as median\n"
    )
    assert check(tmp_path, text, NOTHING, kind="RuntimeError").text == bare.replace(imported, "")
    text = program(PARAMETERS, guide="").replace("SVI(model, guide", "SVI(model, AutoNormal(model)")
    assert "SVI(model, lambda *args, **kwargs: None, " in check(tmp_path, text, NOTHING, kind="RuntimeError").text


def test_an_autoguide_that_is_asked_for_its_median(tmp_path: Path):
    text = program(PARAMETERS) + "print(guide.median())\n"
    assert check(tmp_path, text, NOTHING, kind="RuntimeError").held_back == "write a guide that does nothing"


# -- the total of counts

COUNTS = """
def model(data):
    theta = pyro.sample("theta", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("rows", len(data)):
        pyro.sample("x", {}, obs=data)
"""
TOTAL = (
    "Error while computing log_prob at site 'x':\nExpected value argument (Tensor of shape ({})) to be within the "
    "support (Multinomial()) of the distribution Multinomial(), but found invalid values:\ntensor({})"
)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("dist.Multinomial(3, theta)", "dist.Multinomial(int(data{}), theta)"),
        (
            "dist.Multinomial(total_count=len(data), probs=theta)",
            "dist.Multinomial(total_count=int(data{}), probs=theta)",
        ),
        ("dist.Multinomial(data.shape[0], theta).to_event(0)", "dist.Multinomial(int(data{}), theta).to_event(0)"),
    ],
)
@pytest.mark.parametrize(
    ("shape", "row"), [("3,", ".sum()"), ("3", ".sum()"), ("20, 3", ".sum(-1).max()"), ("2, 20, 3", ".sum(-1).max()")]
)
def test_the_sum_of_the_counts(tmp_path: Path, given: str, wanted: str, shape: str, row: str):
    message = TOTAL.format(shape, "[5., 4., 2.]")
    outcome = check(tmp_path, program(COUNTS.format(given)), message, "x")
    assert outcome.text == program(COUNTS.format(wanted.format(row)))


@pytest.mark.parametrize("values", ["[0.5, 0.25, 0.25]", "[5.1, 4., 2.]", "[1e-3, 1.]"])
def test_what_is_no_count(tmp_path: Path, values: str):
    text = program(COUNTS.format("dist.Multinomial(3, theta)"))
    assert check(tmp_path, text, TOTAL.format("3,", values), "x").held_back.startswith("give it the sum")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def model(data)", "def model(data=None)"),
        ("obs=data", "obs=data.flip(0)"),
        ("pyro.sample", "draws = dist.Multinomial(3, theta)\n        pyro.sample"),
    ],
)
def test_counts_that_are_not_plain(tmp_path: Path, old: str, new: str):
    text = COUNTS.format("dist.Multinomial(3, theta)")
    if "draws" in new:
        text = text.replace('"x", dist.Multinomial(3, theta)', '"x", draws').replace(
            '        pyro.sample("x"', f'        {new}("x"'
        )
    else:
        text = text.replace(old, new)
    outcome = check(tmp_path, program(text), TOTAL.format("3,", "[5., 4., 2.]"), "x")
    assert not outcome.finding.proposal.candidates and "has to sum" in outcome.finding.proposal.message


# -- plates of each other's dimension

PLATES = """
def model(data):
    with pyro.plate("schools", 3{}):
        effect = pyro.sample("effect", dist.Normal(0.0, 3.0))
        with pyro.plate("pupils", 25{}):
            pyro.sample("x", dist.Normal(effect, 1.0), obs=data)
"""
TURNED = (
    "Error while computing log_prob at site 'x':\nValue is not broadcastable with batch_shape+event_shape: "
    "torch.Size([{}]) vs torch.Size([{}])."
)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((", dim=-1", ", dim=-2"), (", dim=-2", ", dim=-1")),
        ((", dim=-2", ", dim=-1"), (", dim=-1", ", dim=-2")),
        (("", ""), (", dim=-2", ", dim=-1")),
        ((", None, None, -1", ", dim=-2"), (", None, None, -2", ", dim=-1")),
    ],
)
@pytest.mark.parametrize("sizes", [("3, 25", "25, 3"), ("3, 25, 7", "25, 3, 7")])
def test_plates_that_the_data_have_turned(tmp_path: Path, before: tuple, after: tuple, sizes: tuple[str, str]):
    outcome = check(tmp_path, program(PLATES.format(*before)), TURNED.format(*sizes), "x")
    assert outcome.text == program(PLATES.format(*after))


def test_plates_of_the_guide_turn_with_those_of_the_model(tmp_path: Path):
    guide = """
def guide(data):
    with pyro.plate("schools", 3, dim={}):
        pyro.sample("effect", dist.Normal(pyro.param("loc", torch.zeros(3)), 1.0))
"""
    text = program(PLATES.format(", dim=-1", ", dim=-2"), guide=guide.format(-1))
    outcome = check(tmp_path, text, TURNED.format("3, 25", "25, 3"), "x")
    assert outcome.text == program(PLATES.format(", dim=-2", ", dim=-1"), guide=guide.format(-2))


@pytest.mark.parametrize("sizes", [("3, 25", "25, 4"), ("25", "25, 3"), ("4, 3, 25", "25, 3")])
def test_shapes_that_are_not_turned(tmp_path: Path, sizes: tuple[str, str]):
    outcome = check(tmp_path, program(PLATES.format("", "")), TURNED.format(*sizes), "x")
    assert outcome.held_back == "no fix is known for it"


@pytest.mark.parametrize("dims", [(", dim=-1", ""), (", dim=at", ", dim=-2")])
def test_dims_that_are_not_known(tmp_path: Path, dims: tuple[str, str]):
    text = program("at = load()" + PLATES.format(*dims))
    outcome = check(tmp_path, text, TURNED.format("3, 25", "25, 3"), "x")
    assert outcome.held_back == "exchange the dims of the two plates"


# -- enumerated outside, subsampled inside

ENUMERATED = """
@pyro.infer.config_enumerate
def model(data):
    which = pyro.sample("which", dist.Categorical(torch.ones(2) / 2))
    with pyro.plate("data", len(data){}){} ind:
        pyro.sample("x", dist.Normal(which, 1.0), obs=data[ind])
"""
ONE_SCALE = "Expected all enumerated sample sites to share a common poutine.scale, but found 2 different scales."


def test_all_of_the_data(tmp_path: Path):
    text = program(ENUMERATED.format(", subsample_size=20", " as"))
    outcome = check(tmp_path, text, ONE_SCALE)
    assert outcome.text == program(ENUMERATED.format("", " as"))
    assert "'data': all of the data" in outcome.finding.proposal.candidates[0].label


def test_a_minibatch_that_is_handed_over_stays(tmp_path: Path):
    text = program(ENUMERATED.format(", subsample_size=len(data)", " as")).replace(" as ind:", ":").replace("[ind]", "")
    assert check(tmp_path, text, ONE_SCALE).held_back.startswith("take all of the data")
