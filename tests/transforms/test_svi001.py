"""What stops or spoils a program, as runs show it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from shown import check_shown, failing, line_of, site_look, svi_at, trajectory

from pyro_fix.observation import Failure, Feed, InputLook, Look, ParamLook, PlateLook, Untrained
from pyro_fix.result import Finding

CODE = "SVI001"
TEXT = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

net = torch.nn.Linear(1, 1)


def model(data):
    z = pyro.sample("z", dist.Normal(torch.zeros(1, 2), 1.0).to_event(2))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=data)


def guide(data):
    pyro.module("net", net)
    scale = pyro.param("scale", torch.ones(2))
    pyro.sample("z", dist.Normal(0.0, net(data)).to_event(2))


svi = SVI(model, guide, ClippedAdam({"lr": 0.001}), loss=Trace_ELBO())
for _ in range(100):
    svi.step(torch.ones(3))
"""
DISAGREE = "Model and guide shapes disagree at site 'z': torch.Size([1, 2]) vs torch.Size([2, 1])"
STEP = f"main.py:{line_of(TEXT, 'svi.step')}"
GUIDE_LINE = line_of(TEXT, "net(data)")
OUTSIDE = (
    "Expected parameter scale (Tensor of shape (3, 1)) of distribution Normal(loc: 0.0, scale: -1) to satisfy the "
    "constraint GreaterThan(lower_bound=0.0), but found invalid values:\n-1.0\nTrace Shapes:\n Param Sites:"
)


def looked(**changes: object) -> Look:
    guide = site_look(TEXT, "net(data)", event=(2, 1), **changes)
    model = site_look(TEXT, 'z = pyro.sample("z"', event=(1, 2))
    return Look({}, {"z": guide}, {"z": model}, (), {}, ())


def check(
    folder: Path,
    *runs: object,
    look: Look | None = None,
    failure: Failure | None = None,
    text: str = TEXT,
    notes: tuple[str, ...] = (),
):
    return check_shown(folder, CODE, text, svi_at(text, "svi = SVI", *runs, look=look), failure=failure, notes=notes)


def told(finding: Finding) -> tuple[int, str]:
    return finding.proposal.line, finding.proposal.message


def test_a_check_of_pyros_blames_the_guide(tmp_path: Path):
    ended = [replace(failing("ValueError", DISAGREE, where=STEP, site="z"), seed=seed) for seed in range(4)]
    outcome = check(tmp_path, *ended, look=looked())
    assert told(outcome.finding) == (
        GUIDE_LINE,
        f"the program breaks at step 0 on 4 of 4 seeds: ValueError: {DISAGREE}",
    )
    assert outcome.held_back == "give 'z' in the guide the model's event of shape (1, 2)"
    assert outcome.finding.proposal.source == "seen"


def test_a_plate_in_the_guide_alone_is_named(tmp_path: Path):
    message = "Model and guide event_dims disagree at site 'z': 2 vs 1"
    look = looked(plates=(PlateLook("fives", -1, 5, 5),))
    outcome = check(tmp_path, failing("ValueError", message, where=STEP, site="z"), look=look)
    assert "outside of the plate 'fives', which the model lacks" in outcome.held_back


def test_two_sites_of_one_name(tmp_path: Path):
    message = "Multiple sample sites named 'z'\nTrace Shapes:\n Sample Sites:\n z dist"
    where = f"main.py:{line_of(TEXT, 'obs=data')}"
    outcome = check(tmp_path, failing("RuntimeError", message, where=where, site="z"), look=looked())
    assert told(outcome.finding) == (
        line_of(TEXT, "obs=data"),
        "the program breaks at step 0: RuntimeError: Multiple sample sites named 'z'",
    )
    assert outcome.held_back == "give one of the sites 'z' another name"


@pytest.mark.parametrize(
    ("steps", "words"), [((3, 3), "at step 3 on 2 of 2 seeds"), ((3, 17), "at steps 3 to 17 on 2 of 2 seeds")]
)
def test_steps_and_seeds(tmp_path: Path, steps: tuple[int, int], words: str):
    ended = [replace(failing("ValueError", "no", step, STEP), seed=seed) for seed, step in enumerate(steps)]
    assert check(tmp_path, *ended).finding.proposal.message == f"the program breaks {words}: ValueError: no"


def test_some_of_the_seeds(tmp_path: Path):
    outcome = check(tmp_path, trajectory(1.0, 2.0), replace(failing("KeyError", "'a'", 1, STEP), seed=1))
    assert outcome.finding.proposal.message == "the program breaks at step 1 on 1 of 2 seeds: KeyError: 'a'"


def test_what_becomes_nan(tmp_path: Path):
    outcome = check(tmp_path, replace(trajectory(1.0, float("nan"), nonfinite=1), nonfinite="loss"))
    assert told(outcome.finding) == (
        line_of(TEXT, "svi = SVI"),
        "the loss becomes NaN or infinite at step 1",
    )
    after = replace(trajectory(1.0, 2.0, nonfinite=1, failure=Failure("ValueError", "nan", STEP, 2)), nonfinite="scale")
    assert check(tmp_path, after).finding.proposal.message == (
        "parameter 'scale' becomes NaN or infinite at step 1; then ValueError: nan"
    )


@pytest.mark.parametrize("kind", ["FileNotFoundError", "ModuleNotFoundError", "SystemExit", "MemoryError", "killed"])
def test_what_the_machine_lacks_is_no_finding(tmp_path: Path, kind: str):
    assert check(tmp_path, failing(kind, "no", where=STEP)).findings == ()
    assert check(tmp_path, failure=Failure(kind, "no", STEP, pyro=True)).findings == ()


@pytest.mark.parametrize("through_pyro", [True, False])
def test_what_breaks_before_the_first_step(tmp_path: Path, through_pyro: bool):
    outcome = check(tmp_path, failure=Failure("ValueError", "at site 'z'", STEP, pyro=through_pyro))
    assert outcome.finding.proposal.message == "the program breaks: ValueError: at site 'z'"


def test_a_parameter_that_a_plain_optimiser_cannot_train(tmp_path: Path):
    outcome = check(tmp_path, failure=Failure("ValueError", "can't optimize a non-leaf Tensor", STEP))
    assert ".unconstrained()" in outcome.held_back


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("KeyError", "'HOME'"),
        ("IndexError", "list index out of range"),
        ("RuntimeError", "Found no NVIDIA driver on your system"),
        ("RuntimeError", "Dataset not found or corrupted. You can use download=True to download it"),
        ("AssertionError", "Torch not compiled with CUDA enabled"),
    ],
)
def test_what_is_asked_for_and_not_there_is_no_finding(tmp_path: Path, kind: str, message: str):
    assert check(tmp_path, failure=Failure(kind, message, STEP)).findings == ()


@pytest.mark.parametrize("words", ["raise ValueError('at most 10 columns')", "assert columns <= 10"])
def test_a_program_that_says_itself_why_it_ends(tmp_path: Path, words: str):
    text = f"{TEXT}{words}\n"
    where = f"main.py:{line_of(text, words)}"
    assert check(tmp_path, failure=Failure("ValueError", "at most 10 columns", where), text=text).findings == ()


def test_notes_of_the_probe_may_be_why(tmp_path: Path):
    """It hides Pyro's version from an assertion, and the sandbox refuses what the program may do outside of it."""
    failure = Failure("ValueError", "no", STEP)
    for note in ("the program asks for Pyro 1.8", "the sandbox may be why: --network allows sockets"):
        assert check(tmp_path, failure=failure, notes=(note,)).findings == ()


def test_what_training_goes_on_after(tmp_path: Path):
    ended = failing("ValueError", "no", 1, STEP)
    skipped = replace(ended, losses=(1.0, 2.0, 3.0), failure=replace(ended.failure, caught=True))
    message = check(tmp_path, skipped).finding.proposal.message
    assert message.startswith("a step fails, and the program goes on, at step 1: ValueError: no")
    aborted = replace(ended, failure=replace(ended.failure, caught=True))  # and printed: it is the end all the same
    assert check(tmp_path, aborted).findings


def test_sound_runs(tmp_path: Path):
    assert check(tmp_path, trajectory(1.0, 2.0)).findings == ()


# -- a layer's output as it is


def raw(*operations: str, param: str = "net$$$weight", argument: str = "scale") -> Look:
    return looked(feeds=(Feed(argument, "positive", param, operations, False),))


@pytest.mark.parametrize("operations", [("Addmm",), ("Select", "View", "Addmm"), ("Squeeze", "Mm", "T")])
def test_a_layer_gives_a_scale(tmp_path: Path, operations: tuple[str, ...]):
    outcome = check(tmp_path, failing("ValueError", OUTSIDE, where=STEP, site="z"), look=raw(*operations))
    assert "the layer 'net' gives any number: softplus or exp makes a scale of it" in outcome.finding.proposal.message
    assert "Trace Shapes" not in outcome.finding.proposal.message
    assert "dist.Normal(0.0, torch.nn.functional.softplus(net(data)))" in outcome.text
    assert outcome.finding.proposal.candidates[0].needs_run


@pytest.mark.parametrize(
    "look",
    [raw("Exp", "Addmm"), raw("Softplus", "Addmm"), raw("Mul", "Addmm"), raw(), raw("Addmm", argument="loc")],
)
def test_not_a_layer_as_it_is(tmp_path: Path, look: Look):
    outcome = check(tmp_path, failing("ValueError", OUTSIDE, where=STEP, site="z"), look=look)
    assert "layer" not in outcome.finding.proposal.message and not outcome.finding.proposal.candidates


def test_an_argument_that_is_not_spelled_there(tmp_path: Path):
    text = TEXT.replace("dist.Normal(0.0, net(data)).to_event(2)", "make(net(data))")
    guide = site_look(text, "make(net(data))", feeds=(Feed("scale", "positive", "net$$$fc.bias", ("Addmm",), False),))
    look = Look({}, {"z": guide}, {}, (), {}, ())
    outcome = check(tmp_path, failing("ValueError", OUTSIDE, where=STEP, site="z"), look=look, text=text)
    assert "the layer 'net.fc' gives any number" in outcome.finding.proposal.message
    assert outcome.held_back == "write softplus or exp round what the layer gives"


# -- data outside of a support ------------------------------------------------------------------------------------

NOT_WHOLE = (
    "Error while computing log_prob at site 'x':\nExpected value argument (Tensor of shape (3,)) to be within the "
    "support (IntegerGreaterThan(lower_bound=0)) of the distribution Poisson(), but found invalid values:\n[0.5]"
)


@pytest.mark.parametrize(
    ("support", "parents", "are_to_blame"),
    [
        ("nonnegative_integer", ("z",), True),  # the rate moves, the support does not
        ("integer_interval(0, 7)", (), True),
        ("interval(0, 7)", ("z",), False),  # another draw may have another bound
        ("?", (), False),
    ],
)
def test_data_that_no_distribution_gives(tmp_path: Path, support: str, parents: tuple[str, ...], are_to_blame: bool):
    observed = site_look(TEXT, 'pyro.sample("x"', violations=("value: 1 of 3 values outside",), parents=parents)
    look = Look({}, {}, {"x": replace(observed, distribution="Poisson", support=support, observed=True)}, (), {}, ())
    ended = failing("ValueError", NOT_WHOLE, where=STEP, site="x")
    advice = "the data of 'x' hold values that no Poisson gives (its support is nonnegative_integer)"
    assert check(tmp_path, ended, look=look).held_back.startswith(
        advice.replace("nonnegative_integer", support) if are_to_blame else "no fix is known"
    )
    blamed = check_shown(tmp_path, "SVI061", TEXT, svi_at(TEXT, "svi = SVI", ended, look=look)).findings
    assert bool(blamed) is not are_to_blame  # no other guide meets other data


NOT_REAL = (
    "Expected parameter loc (Tensor of shape (3,)) of distribution Normal() to satisfy the constraint Real(), but"
)


@pytest.mark.parametrize(("highest", "is_to_blame"), [(float("nan"), True), (float("inf"), True), (4.0, False)])
def test_what_the_program_is_given_is_no_number(tmp_path: Path, highest: float, is_to_blame: bool):
    """Covariates with gaps: neither the guide nor the line that Pyro names is at fault."""
    given = InputLook("area", (3,), "float32", False, 0.0, highest, None)
    look = Look({}, {}, {}, (), {}, (), inputs=(given,))
    ended = failing("ValueError", NOT_REAL, where=STEP, site="x")
    held_back = check(tmp_path, ended, look=look).held_back
    assert ("NaN or infinity is in what the program is given, 'area'" in held_back) is is_to_blame
    blamed = check_shown(tmp_path, "SVI061", TEXT, svi_at(TEXT, "svi = SVI", ended, look=look)).findings
    assert bool(blamed) is not is_to_blame


# -- enumeration in sequence by the model -------------------------------------------------------------------------

SEQUENTIAL = "At site 'z', model-side sequential enumeration is not implemented. Try parallel enumeration."


def in_sequence(tmp_path: Path, infer: str):
    text = TEXT.replace(".to_event(2))\n    with", f".to_event(2){infer})\n    with")
    site = site_look(text, 'z = pyro.sample("z"', enumerated="sequential", enumerable=True)
    look = Look({}, {}, {"z": site}, (), {}, ())
    return check(tmp_path, failing("NotImplementedError", SEQUENTIAL, where=STEP), look=look, text=text)


@pytest.mark.parametrize(
    ("infer", "becomes"),
    [
        (', infer={"enumerate": "sequential"}', ', infer={"enumerate": "parallel"}'),
        (", infer=dict(enumerate='sequential', num_samples=None)", ", infer=dict(enumerate='parallel', num_samples=None)"),
    ],
)  # fmt: skip
def test_the_model_is_enumerated_in_parallel(tmp_path: Path, infer: str, becomes: str):
    outcome = in_sequence(tmp_path, infer)
    assert becomes in outcome.text and outcome.finding.proposal.candidates[0].needs_run
    assert outcome.finding.proposal.line == line_of(outcome.text, 'z = pyro.sample("z"')


@pytest.mark.parametrize("infer", [", infer=how", ', infer={"enumerate": how("sequential", "sequential")}', ""])
def test_where_that_is_not_spelled_it_is_said(tmp_path: Path, infer: str):
    assert in_sequence(tmp_path, infer).held_back == "have it enumerated in parallel, or by the guide"


def test_what_pyro_refuses_of_a_model_and_a_guide_that_nothing_trains(tmp_path):
    pair = (
        "import torch, pyro, pyro.distributions as dist\n"
        "def model(x):\n    pyro.sample('z', dist.Normal(torch.zeros(2), 1.).to_event(1))\n"
        "def guide(x):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.zeros(2)), 1.))\n"
    )
    (finding,) = check_shown(tmp_path, CODE, pair).findings
    assert "event_dims disagree at site 'z': 1 vs 0" in finding.proposal.message and finding.proposal.line == 5


@pytest.mark.parametrize(
    ("step", "message", "told"), [(0, "size mismatch", True), (3, "size mismatch", False), (0, "no", False)]
)
def test_what_an_earlier_training_left_in_the_store(tmp_path: Path, step: int, message: str, told: bool):
    loc = ParamLook((2,), "real", (0.0, 0.0), 0.0, 0.0)
    look = replace(looked(), params={"loc": loc})
    first = svi_at(TEXT, "svi = SVI", trajectory(1.0, 2.0), look=look)
    second = replace(svi_at(TEXT, "svi = SVI", failing("RuntimeError", message, step, STEP), look=look), ordinal=1)
    outcome = check_shown(tmp_path, CODE, TEXT, first, second)
    assert ("pyro.clear_param_store()" in outcome.held_back) is told


ENCODING = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam


class Vae:
    def __init__(self):
        self.encoder = torch.nn.Linear(1, 1)

    def model(self, data):
        with pyro.plate("data", len(data)):
            pyro.sample("z", dist.Normal(0.0, 1.0))

    def guide(self, data):
        \'\'\'What the encoder says.\'\'\'
        with pyro.plate("data", len(data)):
            pyro.sample("z", dist.Normal(self.encoder(data)[..., 0], 1.0))


vae = Vae()
svi = SVI(vae.model, vae.guide, ClippedAdam({"lr": 0.001}), loss=Trace_ELBO())
for _ in range(100):
    svi.step(torch.ones(3, 1))
"""
ENCODER = Untrained("guide", "z", "self.encoder", "Linear", 2, 2, f"main.py:{line_of(ENCODING, 'def guide')}")


def encoding(folder: Path, *untrained: Untrained, text: str = ENCODING, **params: ParamLook):
    guide = site_look(text, "dist.Normal(self.encoder(data)[..., 0]")
    return check(folder, look=Look(params, {"z": guide}, {}, (), {}, (), untrained=untrained), text=text)


def test_a_network_that_nobody_has_registered(tmp_path: Path):
    outcome = encoding(tmp_path, ENCODER)
    assert told(outcome.finding) == (
        line_of(ENCODING, "dist.Normal(self.encoder"),
        "the 2 parameters of self.encoder (2 numbers), which 'z' of the guide is computed from, are in no param store: "
        "nothing trains them",
    )
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.needs_run and candidate.label == 'register it in the guide: pyro.module("encoder", self.encoder)'
    first = '        with pyro.plate("data", len(data)):\n            pyro.sample("z", dist.Normal(self'
    assert outcome.text == ENCODING.replace(first, '        pyro.module("encoder", self.encoder)\n' + first)


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ({"name": ""}, "register the Linear in the guide, by pyro.module"),
        ({"kind": "Tensor", "name": "spot"}, "make a parameter of spot in the guide, by pyro.param"),
        ({"where": ""}, 'register it in the guide: pyro.module("encoder", self.encoder)'),
    ],
)
def test_what_a_tool_cannot_register(tmp_path: Path, change: dict[str, str], advice: str):
    outcome = encoding(tmp_path, replace(ENCODER, **change))
    assert (outcome.held_back, outcome.texts) == (advice, {})


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ('vae.encoder.load_state_dict(read("encoder.pt"))', "load_state_dict"),
        ('vae.encoder = torch.load("encoder.pt")', "torch.load"),
        ('vae.encoder = torch.hub.load("a", "b")', "torch.hub"),
    ],
)
def test_a_network_that_may_be_wanted_as_it_is(tmp_path: Path, line: str, word: str):
    text = ENCODING.replace("vae = Vae()", f"vae = Vae()\n{line}")
    outcome = encoding(tmp_path, ENCODER, text=text)
    assert outcome.texts == {} and word in outcome.held_back


def test_a_name_that_another_module_has(tmp_path: Path):
    taken = ParamLook((1, 1), "real", (0.0,), 0.0, 0.0)
    assert encoding(tmp_path, ENCODER, **{"encoder$$$weight": taken}).texts == {}
