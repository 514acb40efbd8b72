"""Every trap of tip 6 for where an autoguide starts."""

from __future__ import annotations

import inspect
import math
from pathlib import Path

import pytest
from pyro_fix_transforms.svi062_autoguide_init import DEAF, DEFAULTS
from shown import check_shown, failing, svi_at, trajectory

from pyro_fix.analysis.distributions import AUTOGUIDES
from pyro_fix.observation import SviObservation
from pyro_fix.transform import Promise

CODE = "SVI062"

HEAD = """\
import pyro
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal, AutoDiagonalNormal, AutoDelta, AutoIAFNormal, init_to_mean, init_to_value
from pyro.optim import Adam

def model(data):
    pyro.sample("z", pyro.distributions.Normal(0.0, 1.0))

"""
TAIL = "svi = SVI(model, guide, Adam({}), Trace_ELBO())\nfor _ in range(100):\n    svi.step(1)\n"

WILD = trajectory(*[1e7 / (1 + t) ** 4 for t in range(100)])
CALM = trajectory(*[100.0 - t / 2 for t in range(100)])
BAD_VALUE = failing("ValueError", "Expected parameter scale (Tensor of shape ()) of distribution Normal to satisfy")


def shown(text: str, *trajectories: object) -> SviObservation:
    return svi_at(text, "svi = SVI", *trajectories)  # type: ignore[arg-type]


def check(folder: Path, guide: str, *trajectories: object, head: str = HEAD, tail: str = TAIL):
    text = f"{head}guide = {guide}\n{tail}"
    return check_shown(folder, CODE, text, shown(text, *trajectories))


@pytest.mark.parametrize(
    ("trajectories", "words"),
    [
        ([WILD, WILD], "starts at a loss of"),
        ([trajectory(math.nan, nonfinite=0)], "not finite"),
        ([BAD_VALUE, BAD_VALUE], "fails at its first step: ValueError at step 0"),
    ],
)
def test_found(tmp_path: Path, trajectories: list[object], words: str):
    outcome = check(tmp_path, "AutoNormal(model)", *trajectories)
    assert words in outcome.finding.proposal.message and outcome.finding.proposal.source == "seen"
    assert [c.label for c in outcome.finding.proposal.candidates] == [
        "init_loc_fn=init_to_median", "init_loc_fn=init_to_mean",
    ]  # fmt: skip
    assert all(c.needs_run and Promise.NO_WORSE in c.promise for c in outcome.finding.proposal.candidates)


@pytest.mark.parametrize(
    "trajectories",
    [
        [CALM],
        [WILD, CALM],
        [BAD_VALUE, CALM],
        [failing("ValueError", "Expected parameter scale", step=3)],  # it did start
        [failing("RuntimeError", "The size of tensor a (3) must match the size of tensor b (4)")],
        [failing("NotImplementedError", "Cannot transform _IntegerInterval constraints")],
        [trajectory(*WILD.losses[:10])],  # too short to know where it comes down to
        [trajectory(*[1e9] * 100)],  # large is not wild
        [],
    ],
)
def test_not_found(tmp_path: Path, trajectories: list[object]):
    assert check(tmp_path, "AutoNormal(model)", *trajectories).findings == ()


def test_nothing_was_run(tmp_path: Path):
    assert check_shown(tmp_path, CODE, f"{HEAD}guide = AutoNormal(model)\n{TAIL}").findings == ()


@pytest.mark.parametrize(
    ("guide", "ladder"),
    [
        ("AutoNormal(model)", ["median", "mean"]),
        ("AutoDelta(model)", ["mean", "feasible"]),
        ("AutoDiagonalNormal(model, init_scale=0.1)", ["mean", "feasible"]),
        ("AutoNormal(model, init_loc_fn=init_to_mean)", ["median", "feasible"]),
        ("AutoNormal(model, init_loc_fn=pyro.infer.autoguide.init_to_median)", ["mean", "feasible"]),
        ("AutoNormal(model, init_loc_fn=pyro.infer.autoguide.initialization.init_to_sample)",
         ["median", "mean", "feasible"]),
    ],
)  # fmt: skip
def test_the_one_in_use_is_left_out(tmp_path: Path, guide: str, ladder: list[str]):
    candidates = check(tmp_path, guide, WILD).finding.proposal.candidates
    assert [c.label for c in candidates] == [f"init_loc_fn=init_to_{name}" for name in ladder]


def test_a_plain_one_is_replaced_in_place(tmp_path: Path):
    guide = "AutoDiagonalNormal(model, init_to_mean, 0.1)  # from the mean"
    outcome = check(tmp_path, guide, WILD)
    expected = "guide = AutoDiagonalNormal(model, pyro.infer.autoguide.init_to_median, 0.1)  # from the mean"
    assert outcome.added == [expected]


@pytest.mark.parametrize(
    "given",
    ["init_to_value(values={})", "lambda site: site['value']", "start", "partial(init_to_mean)", "init_to_value"],
)
def test_the_users_own_start(tmp_path: Path, given: str):
    assert "user's own" in check(tmp_path, f"AutoNormal(model, init_loc_fn={given})", WILD).held_back


def test_unpacked_arguments(tmp_path: Path):
    assert "unpacked" in check(tmp_path, "AutoNormal(model, **options)", WILD).held_back


@pytest.mark.parametrize("guide", ["AutoIAFNormal(model, hidden_dim=[5])", "custom", "make(model)"])
def test_guides_that_do_not_take_it(tmp_path: Path, guide: str):
    head = f"{HEAD}def custom(data):\n    pass\n\n"
    assert check(tmp_path, guide, WILD, head=head).findings == ()


@pytest.mark.parametrize(
    ("imports", "call", "expected"),
    [
        ("import pyro\nfrom pyro.infer.autoguide import AutoNormal, init_to_median as at_median", "AutoNormal(model)",
         ["guide = AutoNormal(model, init_loc_fn=at_median)"]),
        ("import pyro as p\nimport pyro.infer.autoguide as ag", "ag.AutoNormal(model)",
         ["guide = ag.AutoNormal(model, init_loc_fn=ag.init_to_median)"]),
        ("from pyro.infer.autoguide import AutoNormal", "AutoNormal(model)",
         ["from pyro.infer.autoguide import init_to_median", "guide = AutoNormal(model, init_loc_fn=init_to_median)"]),
        ("from pyro.infer.autoguide import AutoNormal\nfrom pyro.infer.autoguide.initialization import init_to_median",
         "AutoNormal(model)", ["guide = AutoNormal(model, init_loc_fn=init_to_median)"]),
    ],
)  # fmt: skip
def test_import_styles(tmp_path: Path, imports: str, call: str, expected: list[str]):
    head = f"{imports}\nfrom pyro.infer import SVI, Trace_ELBO\nfrom pyro.optim import Adam\n"
    assert check(tmp_path, call, WILD, head=head).added == expected


def test_the_name_is_taken(tmp_path: Path):
    head = (
        "from pyro.infer.autoguide import AutoNormal\nfrom pyro.infer import SVI, Trace_ELBO\n"
        "from pyro.optim import Adam\ninit_to_median = init_to_mean = init_to_feasible = None\n"
    )
    assert "taken" in check(tmp_path, "AutoNormal(model)", WILD, head=head).held_back


@pytest.mark.parametrize("wrapped", ["pyro.poutine.scale(guide, scale=0.1)", "guide"])
def test_the_autoguide_is_found_behind_handlers_and_functions(tmp_path: Path, wrapped: str):
    tail = f"def fit(guide):\n    svi = SVI(model, {wrapped}, Adam({{}}), Trace_ELBO())\n    svi.step(1)\nfit(guide)\n"
    assert len(check(tmp_path, "AutoNormal(model)", WILD, tail=tail).finding.proposal.candidates) == 2


def test_two_svi_objects_of_one_guide_are_one_finding(tmp_path: Path):
    text = f"{HEAD}guide = AutoNormal(model)\n{TAIL}warm = SVI(model, guide, Adam({{}}), Trace_ELBO())\nwarm.step(1)\n"
    runs = [shown(text, WILD), svi_at(text, "warm = SVI", WILD)]
    assert len(check_shown(tmp_path, CODE, text, *runs).findings) == 1


def test_the_defaults_are_pyros():
    guides = pytest.importorskip("pyro.infer.autoguide")
    for kind, arguments in AUTOGUIDES.items():
        if "init_loc_fn" in arguments and kind not in DEAF:
            default = inspect.signature(getattr(guides, kind).__init__).parameters["init_loc_fn"].default
            name = getattr(default, "func", default).__name__
            assert DEFAULTS.get(kind, "init_to_median") == name, kind


# -- a prior that all steps together cannot cross

WIDE = """\
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDelta, AutoDiagonalNormal, AutoMultivariateNormal, AutoNormal
from pyro.infer.autoguide import init_to_mean, init_to_median, init_to_sample
from pyro.optim import SGD, Adam, ClippedAdam

def model(data):
    weight = pyro.sample("weight", {})
    pyro.sample("bias", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(weight, 1e9), obs=data)

guide = {}
svi = SVI(model, guide, {}, Trace_ELBO())
for _ in range({}):
    svi.step(1.0)
"""


def wide(
    prior: str = "dist.Normal(0.0, 1000.0)",
    guide: str = "AutoDiagonalNormal(model)",
    optimizer: str = 'Adam({"lr": 0.01})',
    steps: str = "1000",
) -> str:
    return WIDE.format(prior, guide, optimizer, steps)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"prior": "dist.Normal(torch.zeros(3), 1e3 * torch.ones(3)).to_event(1)"},
        {"prior": "dist.Normal(0.0, 100.0).expand([2]).to_event(1)"},
        {"prior": "dist.Cauchy(0.0, 50.0)"},
        {"prior": "dist.StudentT(3.0, 0.0, 50.0)"},
        {"guide": "AutoMultivariateNormal(model)"},
        {"guide": "AutoNormal(model, init_loc_fn=init_to_median)"},
        {"guide": "AutoDelta(model, init_to_sample)", "prior": "dist.Normal(0.0, 11.0)"},
        {"optimizer": "Adam({})", "prior": "dist.Normal(0.0, 20.0)"},
        {"optimizer": 'ClippedAdam({"lr": 0.01, "lrd": 0.999})'},
    ],
)
def test_too_far_to_come_back(tmp_path: Path, changes: dict[str, str]):
    finding = check_shown(tmp_path, CODE, wide(**changes)).finding
    proposal = finding.proposal
    assert "'weight' at draws from a prior" in proposal.message and proposal.source == "static"
    assert "init_loc_fn=init_to_mean" in [candidate.label for candidate in proposal.candidates]
    assert all(candidate.needs_run for candidate in proposal.candidates)


@pytest.mark.parametrize(
    "changes",
    [
        {"prior": "dist.Normal(0.0, 10.0)"},
        {"prior": "dist.Normal(0.0, scale)"},
        {"prior": "dist.LogNormal(0.0, 1000.0)"},
        {"prior": "dist.Uniform(0.0, 1000.0)"},
        {"prior": "dist.Normal(torch.zeros(2), torch.tensor([1.0, 1000.0])).to_event(1)"},
        {"guide": "AutoNormal(model)"},  # starts at a feasible point, which is none of the prior's draws
        {"guide": "AutoDiagonalNormal(model, init_loc_fn=init_to_mean)"},
        {"guide": "AutoDiagonalNormal(model, init_loc_fn=start)"},
        {"guide": "AutoDiagonalNormal(model, **options)"},
        {"optimizer": 'SGD({"lr": 0.01})'},
        {"optimizer": 'Adam({"lr": rate})'},
        {"optimizer": "make()"},
        {"steps": "n"},
        {"steps": "100000"},
    ],
)
def test_near_enough_or_not_known(tmp_path: Path, changes: dict[str, str]):
    text = wide(**changes).replace("def model", "scale, start, options, rate, n = load()\n\ndef model")
    assert check_shown(tmp_path, CODE, text).findings == ()
