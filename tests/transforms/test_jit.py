"""ELBOs that compile their loss: every transform does with them what it does with those that they stand for.

Pyro compiles such a loss once for every set of keywords, model and guide, and keeps what is no tensor as a constant.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from checking import Checked, check
from shown import check_shown, svi_at, trajectory
from test_fixtures import BEFORE, FIXTURES, FOUND_BY_RUN, files_of, is_marked, over

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.transform import Status

pytest_plugins = ["check_fixture"]

HELD_BACK = {"SVI091": "compiles its loss anew at every step", "SVI151": "anew for every factor"}
_ELBO = re.compile(r"\b(Trace(?:Graph|MeanField|Enum)?_ELBO)\b")
PROGRAM = """
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import *

def model(data):
    {model}
    pyro.sample("x", dist.Normal(z, 1.), obs=data)

def guide(data):
    {guide}

elbo = {elbo}
"""


def compiled(text: str) -> str:
    return _ELBO.sub(r"Jit\1", text)


def copy(program: Path, folder: Path, change=lambda text: text) -> list[Path]:
    """The files of a fixture, changed, in another folder."""
    base = program if program.is_dir() else program.parent
    paths = []
    for path in files_of(program):
        paths.append(folder / path.relative_to(base))
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(change(path.read_bytes().decode("latin-1")).encode("latin-1"))
    return paths


def told(found: Checked) -> list[tuple[int, str, list[str], str]]:
    findings = [finding.proposal for finding in found.findings]
    return [(one.line, one.message, [c.label for c in one.candidates], one.held_back) for one in findings]


@over([path for path in BEFORE if not is_marked(path, FOUND_BY_RUN)])
def test_a_compiled_elbo_is_like_another(before: Path, tmp_path: Path):
    code = before.parent.name
    plain = check(copy(before, tmp_path / "plain"), [code], tmp_path / "plain")
    jit = check(copy(before, tmp_path / "jit", compiled), [code], tmp_path / "jit")
    if code in HELD_BACK:
        assert [HELD_BACK[code] in f.proposal.held_back for f in jit.findings] == [True] * len(plain.findings)
        assert jit.changes == ()
    else:
        as_plain = [
            (line, message.replace("Jit", ""), [label.replace("Jit", "") for label in labels], reason)
            for line, message, labels, reason in told(jit)
        ]
        assert as_plain == told(plain)


@pytest.mark.parametrize("elbo", ["JitTrace_ELBO()", "JitTrace_ELBO() if flag else Trace_ELBO()", "make()"])
def test_no_factor_for_what_may_be_compiled(tmp_path: Path, elbo: str):
    """Every value of a keyword is compiled for itself: a rising factor would compile at every step."""
    text = (FIXTURES / "SVI151" / "ladder.py").read_text()
    assert text.count("Trace_ELBO()") == 1
    path = tmp_path / "main.py"
    path.write_text(text.replace("Trace_ELBO()", elbo).replace("import Trace", "import JitTrace_ELBO, Trace"))
    (finding,) = check([path], ["SVI151"], tmp_path).findings
    assert "anew for every factor" in finding.proposal.held_back and not finding.proposal.candidates


LOOP = "for _ in range(9):\n    elbo.differentiable_loss(model, guide, torch.ones(3)).backward()\n"
DISCRETE = {
    "model": 'z = pyro.sample("z", dist.Bernoulli(0.3))',
    "guide": 'pyro.sample("z", dist.Bernoulli(pyro.param("q", torch.tensor(0.5))))',
}


@pytest.mark.parametrize("elbo", ["Trace_ELBO()", "JitTrace_ELBO()"])
def test_what_is_wrapped_at_every_call(tmp_path: Path, elbo: str):
    path = tmp_path / "main.py"
    path.write_text(PROGRAM.format(elbo=elbo, **DISCRETE) + LOOP)
    (finding,) = check([path], ["SVI141"], tmp_path).findings
    assert bool(finding.proposal.candidates) is ("Jit" not in elbo)
    assert ("anew at every call" in finding.proposal.held_back) is ("Jit" in elbo)


NAN = trajectory(100.0, float("nan"), nonfinite=1)


@pytest.mark.parametrize(
    "loop",
    [
        LOOP,
        "loss = elbo(model, guide)\nfor _ in range(9):\n    loss(torch.ones(3)).backward()\n",
    ],
)
def test_parameters_that_a_torch_optimiser_would_not_know(tmp_path: Path, loop: str):
    """It was made for the guide's parameters; an autoguide has others, and one that a loop makes starts anew."""
    normal = 'z = pyro.sample("z", dist.Normal(0., 1.))'
    guide = 'pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))'
    text = PROGRAM.format(model=normal, guide=guide, elbo="Trace_ELBO()") + loop
    call = "differentiable_loss" if loop is LOOP else "loss(torch"
    found = check_shown(tmp_path, "SVI061", text, svi_at(text, call, NAN))
    assert "plain torch optimiser" in found.held_back

    path = tmp_path / "main.py"
    path.write_text(PROGRAM.format(model=f"{normal}\n    w = {normal[4:].replace('z', 'w')}", guide=guide, elbo="Trace_ELBO()") + loop)  # fmt: skip
    (finding,) = check([path], ["SVI042"], tmp_path).findings
    assert "plain torch optimiser" in finding.proposal.held_back


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("SVI051/regression.py", [Status.VERIFIED] * 2),
        ("SVI081/elbo_module.py", [Status.VERIFIED]),
        ("SVI101/regression.py", [Status.VERIFIED]),
        ("SVI141/switch.py", [Status.VERIFIED]),
    ],
)
def test_a_compiled_elbo_is_run_like_another(tmp_path: Path, name: str, statuses: list[Status]):
    before = FIXTURES / name
    paths = copy(before, tmp_path, compiled)
    options = Options(paths=tuple(paths), select=(before.parent.name,), root=tmp_path, cache=False)
    findings = engine.check(options, lambda _: None).findings
    assert [f.verdict.status for f in findings] == statuses, [f.verdict.reason for f in findings]
