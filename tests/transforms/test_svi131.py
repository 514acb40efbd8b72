"""Every trap of tip 13 for shapes."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
from shown import check_shown, failing, line_of, site_look, svi_at, trajectory

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.judge import ByRuns
from pyro_fix.observation import Look, Observation, PlateLook, SiteLook
from pyro_fix.transform import Promise

CODE = "SVI131"

HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO
from pyro.optim import Adam

"""
MODEL = """\
def model(data):
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))
    pyro.sample("x", dist.Normal(z.sum(), 1.0), obs=data)

"""
GUIDE = """\
def guide(data):
    m = pyro.param("m", torch.zeros(3))
    pyro.sample("z", dist.Normal(m, 0.1))

"""
TAIL = """\
svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for _ in range(100):
    svi.step(data)
"""
TEXT = HEAD + MODEL + GUIDE + TAIL
CALM = trajectory(*[100.0 - t / 2 for t in range(100)])
DATA = (PlateLook("data", -1, 10, 10),)


def uncovered(site: str):
    return failing("ValueError", f'at site "{site}", invalid log_prob shape\n  Expected [], actual [3]\n  Try one of')


def misfit(site: str, plate: str = "data"):
    return failing("ValueError", f"Shape mismatch inside plate('{plate}') at site {site} dim -1, 10 vs 3")


def looked(model: dict[str, SiteLook], guide: dict[str, SiteLook] | None = None) -> Look:
    return Look({}, guide or {}, model, (), {}, ())


def check(folder: Path, text: str, look: Look | None, *trajectories: object, **files: str):
    seen = svi_at(text, "svi = SVI", *(trajectories or (CALM,)), look=look)  # type: ignore[arg-type]
    return check_shown(folder, CODE, text, seen, **files)


def both(text: str = TEXT) -> Look:
    model = site_look(text, "torch.zeros(3), 1.0", (3,), (3,))
    guide = site_look(text, "dist.Normal(m, 0.1)", (3,), (3,))
    return looked({"z": model, "x": site_look(text, "z.sum()", observed=True)}, {"z": guide})


@pytest.mark.parametrize("end", [CALM, uncovered("z")])
def test_model_and_guide_together(tmp_path: Path, end: object):
    """Whether validation is off, and nothing happens, or on."""
    outcome = check(tmp_path, TEXT, both(), end)
    assert outcome.finding.proposal.message == "model site 'z': no plate covers its batch of shape (3,)"
    assert outcome.finding.proposal.line == line_of(TEXT, 'sample("z", dist.Normal(torch')
    assert outcome.added == [
        'z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))',
        'pyro.sample("z", dist.Normal(m, 0.1).to_event(1))',
    ]
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.needs_run and candidate.promise == Promise.RUNS_CLEAN
    assert outcome.finding.proposal.source == "seen"


def test_the_guide_alone_where_the_model_has_it(tmp_path: Path):
    text = TEXT.replace("torch.zeros(3), 1.0)", "torch.zeros(3), 1.0).to_event(1)")
    look = looked(
        {"z": site_look(text, "torch.zeros(3), 1.0", (3,), (), (3,))},
        {"z": site_look(text, "dist.Normal(m, 0.1)", (3,), (3,))},
    )
    outcome = check(tmp_path, text, look, uncovered("z"))
    assert outcome.added == ['pyro.sample("z", dist.Normal(m, 0.1).to_event(1))']
    assert outcome.finding.proposal.message.startswith("guide site 'z'")


def test_two_dimensions(tmp_path: Path):
    text = TEXT.replace("torch.zeros(3)", "torch.zeros(3, 4)")
    look = looked({"z": site_look(text, "torch.zeros(3, 4), 1.0", (3, 4), (3, 4))})
    assert check(tmp_path, text, look).added == [
        'z = pyro.sample("z", dist.Normal(torch.zeros(3, 4), 1.0).to_event(2))'
    ]


def test_one_that_is_declared_already(tmp_path: Path):
    text = TEXT.replace("torch.zeros(3), 1.0)", "torch.zeros(3, 4), 1.0).to_event(1)")
    look = looked({"z": site_look(text, "torch.zeros(3, 4), 1.0", (3, 4), (3,), (4,))})
    assert check(tmp_path, text, look).added == [
        'z = pyro.sample("z", dist.Normal(torch.zeros(3, 4), 1.0).to_event(2))'
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ('pyro.sample("z", prior)', 'pyro.sample("z", prior.to_event(1))'),
        ('pyro.sample("z", a if data is None else b)', 'pyro.sample("z", (a if data is None else b).to_event(1))'),
        (
            'pyro.sample(fn=dist.Normal(0, ones), name="z")',
            'pyro.sample(fn=dist.Normal(0, ones).to_event(1), name="z")',
        ),
        (
            'pyro.sample("z", dist.Normal(0, ones).mask(m))',
            'pyro.sample("z", dist.Normal(0, ones).mask(m).to_event(1))',
        ),
    ],
)
def test_expressions(tmp_path: Path, given: str, expected: str):
    text = HEAD + f"def model(data):\n    z = {given}\n\n" + GUIDE + TAIL
    outcome = check(tmp_path, text, looked({"z": site_look(text, "z = pyro.sample", (3,), (3,))}))
    assert outcome.added == [f"z = {expected}"]


@pytest.mark.parametrize(
    ("shape", "batch", "event", "plates"),
    [
        ((), (), (), ()),
        ((3,), (), (3,), ()),
        ((1,), (1,), (), ()),
        ((10,), (10,), (), DATA),
        ((10, 3), (10,), (3,), DATA),
        ((4, 10), (4, 10), (), (PlateLook("k", -2, 4, 4), *DATA)),
    ],
)
def test_covered(tmp_path: Path, shape, batch, event, plates):
    assert check(tmp_path, TEXT, looked({"z": site_look(TEXT, "torch.zeros(3), 1.0", shape, batch, event, plates)})).findings == ()  # fmt: skip


def test_nothing_was_run(tmp_path: Path):
    assert check_shown(tmp_path, CODE, TEXT).findings == ()


OBSERVED = "def model(data):\n    pyro.sample('x', dist.Normal(mean, 1.0), obs=data)\n\n"


def observed(folder: Path, shape: tuple[int, ...], batch: tuple[int, ...], model: str = OBSERVED, **changes):
    text = HEAD + model + GUIDE + TAIL
    look = looked({"x": site_look(text, "pyro.sample('x'", shape, batch, observed=True, **changes)})
    return check(folder, text, look, uncovered("x"))


def test_data_of_one_dimension_may_get_a_plate(tmp_path: Path):
    outcome = observed(tmp_path, (10,), (10,))
    assert [c.label for c in outcome.finding.proposal.candidates] == [".to_event(1)", "a plate"]
    assert outcome.added == ["pyro.sample('x', dist.Normal(mean, 1.0).to_event(1), obs=data)"]


@pytest.mark.parametrize("statement", ["{}", "x = {}", "return {}"])
def test_one_distribution_for_all_data_gets_a_plate(tmp_path: Path, statement: str):
    model = OBSERVED.replace("pyro.sample('x', dist.Normal(mean, 1.0), obs=data)",
                             statement.format("pyro.sample('x', dist.Normal(mean, 1.0), obs=data)"))  # fmt: skip
    outcome = observed(tmp_path, (10,), (), model)
    assert [c.label for c in outcome.finding.proposal.candidates] == ["a plate"]
    sample = statement.format("pyro.sample('x', dist.Normal(mean, 1.0), obs=data)")
    assert f'    with pyro.plate("x_plate", len(data)):\n        {sample}\n' in outcome.text


@pytest.mark.parametrize(
    "model",
    [
        "def model(data):\n    pyro.sample('x', dist.Normal(mean, 1.0), obs=data[0])\n\n",
        "def model(data):\n    x = 1; pyro.sample('x', dist.Normal(mean, 1.0), obs=data)\n\n",
        "def model(data):\n    x = f(pyro.sample('x', dist.Normal(mean, 1.0), obs=data))\n\n",
        "def model(data):\n    if data is not None: pyro.sample('x', dist.Normal(mean, 1.0), obs=data)\n\n",
    ],
)
def test_a_plate_that_cannot_be_written_plainly(tmp_path: Path, model: str):
    assert "plainly" in observed(tmp_path, (10,), (), model).held_back


@pytest.mark.parametrize(("shape", "batch"), [((10,), (10, 1)), ((10, 1), (10,)), ((), (3,)), ((10,), (3, 10))])
def test_values_of_another_shape(tmp_path: Path, shape, batch):
    """``.to_event`` would run, and pair every element with every other one."""
    assert "every element would meet every other one" in observed(tmp_path, shape, batch).held_back


def test_a_column_within_a_plate_is_tried(tmp_path: Path):
    """(10, 1) data under a plate of 10 become (10, 10): what it was before, only a run can tell."""
    outcome = observed(tmp_path, (10, 1), (10, 10), plates=DATA)
    assert outcome.finding.proposal.message == "model site 'x': plate 'data' does not cover its batch of shape (10, 10)"
    assert [c.label for c in outcome.finding.proposal.candidates] == [".to_event(1)", ".to_event(2)"]


def test_beside_a_plate_nothing_is_changed_without_need(tmp_path: Path):
    look = looked({"z": site_look(TEXT, "torch.zeros(3), 1.0", (3, 10), (3, 10), plates=DATA)})
    assert "permuted" in check(tmp_path, TEXT, look, CALM).held_back


def test_a_plate_that_subsamples(tmp_path: Path):
    plates = (PlateLook("data", -1, 100, 10),)
    look = looked({"z": site_look(TEXT, "torch.zeros(3), 1.0", (3, 10), (3, 10), plates=plates)})
    assert "subsamples" in check(tmp_path, TEXT, look, uncovered("z")).held_back


def test_one_call_that_makes_sites_of_several_shapes(tmp_path: Path):
    text = TEXT.replace('pyro.sample("z", dist.Normal(torch', 'pyro.sample(f"z{i}", dist.Normal(torch')
    sites = {f"z{i}": site_look(text, "torch.zeros(3), 1.0", shape, shape) for i, shape in enumerate([(3,), ()])}
    assert "several shapes" in check(tmp_path, text, looked(sites)).held_back


def test_unpacked_arguments(tmp_path: Path):
    text = HEAD + "def model(data):\n    z = pyro.sample(*site)\n\n" + GUIDE + TAIL
    look = looked({"z": site_look(text, "pyro.sample(*site)", (3,), (3,))})
    assert "not given in the call" in check(tmp_path, text, look).held_back


# -- by what Pyro says, where the shapes could not be looked at


def test_a_distribution_that_does_not_fit_its_plate(tmp_path: Path):
    outcome = check(tmp_path, TEXT, None, misfit("z"))
    assert [c.label for c in outcome.finding.proposal.candidates] == [".to_event(1)", ".to_event(2)", ".to_event(3)"]
    assert outcome.added == [
        'z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))',
        'pyro.sample("z", dist.Normal(m, 0.1).to_event(1))',
    ]


def test_first_where_it_is_not_declared(tmp_path: Path):
    text = TEXT.replace("torch.zeros(3), 1.0)", "torch.zeros(3), 1.0).to_event(1)")
    assert check(tmp_path, text, None, misfit("z")).added == ['pyro.sample("z", dist.Normal(m, 0.1).to_event(1))']
    declared = text.replace("dist.Normal(m, 0.1)", "dist.Normal(m, 0.1).to_event(1)")
    more = check(tmp_path, declared, None, misfit("z"))
    assert [c.label for c in more.finding.proposal.candidates] == [".to_event(2)", ".to_event(3)", ".to_event(4)"]
    assert 'pyro.sample("z", dist.Normal(m, 0.1).to_event(2))' in more.added
    unknown = declared.replace("to_event(1)", "to_event(k)")
    assert check(tmp_path, unknown, None, misfit("z")).findings == ()


@pytest.mark.parametrize(
    "message",
    ["Model and guide shapes disagree at site 'z': torch.Size([3]) vs torch.Size([4])",
     "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0",
     'at site "z" within plate("data", dim=-1), dim collision\n  Try setting dim arg in other plates.'],
)  # fmt: skip
def test_other_shape_errors_have_no_fix(tmp_path: Path, message: str):
    assert check(tmp_path, TEXT, None, failing("ValueError", message)).findings == ()


def test_a_site_that_the_source_does_not_have(tmp_path: Path):
    assert check(tmp_path, TEXT, None, uncovered("w")).findings == ()


@pytest.mark.parametrize("message", [misfit, uncovered])
def test_a_site_that_fits_until_the_last_batch(tmp_path: Path, message):
    """It is the data that have another shape then; a site that comes later on has been through no step."""
    failure = message("z").failure
    late = failing("ValueError", failure.message, step=8)
    z = site_look(TEXT, "z = pyro.sample", (10,), (10,), plates=DATA)
    assert check(tmp_path, TEXT, looked({"z": z}), late).findings == ()
    assert check(tmp_path, TEXT, None, late).findings == ()
    assert check(tmp_path, TEXT, looked({"x": z}), late).finding.proposal.candidates


def test_a_plate_that_subsamples_by_the_source(tmp_path: Path):
    model = """\
def model(data):
    with pyro.plate("data", 100, subsample_size=10):
        z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))

"""
    assert "subsamples" in check(tmp_path, HEAD + model + GUIDE + TAIL, None, misfit("z")).held_back


def test_max_plate_nesting(tmp_path: Path):
    text = TEXT.replace("Trace_ELBO())", "TraceEnum_ELBO(max_plate_nesting=1))")
    message = 'at site "x", plate stack overflow\n  Try increasing max_plate_nesting to at least 2'
    outcome = check(tmp_path, text, None, failing("ValueError", message))
    assert outcome.added == ['svi = SVI(model, guide, Adam({"lr": 0.01}), loss=TraceEnum_ELBO(max_plate_nesting=2))']


def test_max_plate_nesting_that_is_no_literal(tmp_path: Path):
    text = TEXT.replace("Trace_ELBO())", "TraceEnum_ELBO(max_plate_nesting=depth))")
    message = 'at site "x", plate stack overflow\n  Try increasing max_plate_nesting to at least 2'
    assert "not a literal" in check(tmp_path, text, None, failing("ValueError", message)).held_back


def test_enumerated_dimensions_that_meet_a_plate(tmp_path: Path):
    """Pyro then speaks of a plate's shape, and means the ELBO's nesting."""
    text = TEXT.replace("Trace_ELBO())", "TraceEnum_ELBO(max_plate_nesting=0))")
    look = replace(looked({}), max_plate_nesting=1)
    outcome = check(tmp_path, text, look, misfit("z"))
    assert outcome.added == ['svi = SVI(model, guide, Adam({"lr": 0.01}), loss=TraceEnum_ELBO(max_plate_nesting=1))']
    deep = check(tmp_path, text.replace("nesting=0", "nesting=1"), look, misfit("z"))
    assert [c.label for c in deep.finding.proposal.candidates] == [".to_event(1)", ".to_event(2)", ".to_event(3)"]
    unknown = check(tmp_path, text.replace("nesting=0", "nesting=float('inf')"), look, misfit("z"))
    assert unknown.finding.proposal.candidates


def test_others_in_plates_may_lack_it_as_well(tmp_path: Path):
    """Pyro stops at the first site that does not fit."""
    model = """\
def model(data):
    with pyro.plate("groups", 8):
        z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0))
        w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("data", 10):
        pyro.sample("x", dist.Normal(z.sum(-1), 1.0), obs=data)

"""
    outcome = check(
        tmp_path, HEAD + model + TAIL.replace(", guide", ", AutoNormal(model)"), None, misfit("z", "groups")
    )
    last = outcome.finding.proposal.candidates[-1]
    assert last.label == ".to_event(1) at all sites in plates"
    assert sum(edit.replacement == ".to_event(1)" for edit in last.edits) == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["plates_and_events", "enumerated", "batch_shape_particles", "item_particles", "sequential_plate_particles"]
)
def test_runs_of_sound_programs_show_nothing(name: str):
    """Neither of shapes nor of guides."""
    pytest.importorskip("pyro")
    path = Path(__file__).resolve().parents[2] / "fixtures" / "sound" / f"{name}.py"
    codes = ("SVI061", "SVI062", CODE)
    options = Options(paths=(path,), select=codes, python=Path(sys.executable), cache=False, root=path.parent)
    with ByRuns(options, lambda _: None) as runs:
        watched = Remembering(runs)
        result = engine.check(options, lambda _: None, watched)
    looks = [svi.look for run in watched.seen for svi in run.svis]
    assert looks and all(look and look.model and not look.error for look in looks), looks
    assert [(f.proposal.code, f.proposal.message) for f in result.findings] == []


class Remembering:
    """A judge that keeps what another one saw."""

    def __init__(self, judge: ByRuns) -> None:
        self._judge = judge
        self.seen: list[Observation] = []

    def observe(self, program, base):
        self.seen += (found := self._judge.observe(program, base))
        return found

    def prove(self):
        return []

    def decide(self, program, base, proposals):
        return self._judge.decide(program, base, proposals)
