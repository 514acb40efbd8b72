"""The whole road, on real programs in a real child."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyro")

from pyro_fix.runner.model import Target
from pyro_fix.sources import read
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Rate, Status, Verdict
from pyro_fix.verify import RunPlan, Verifier, VerifyOptions

PROGRAM = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

pyro.set_rng_seed(0)
data = torch.randn(50) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    sigma = pyro.sample("sigma", dist.LogNormal(0.0, 1.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, sigma), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("loc", dist.Normal(m, s))
    k = pyro.param("k", torch.tensor(0.0))
    t = pyro.param("t", torch.tensor(0.3), constraint=constraints.positive)
    pyro.sample("sigma", dist.LogNormal(k, t))

svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(data)
"""


class Program:
    def __init__(self, folder: Path, *changes: tuple[str, str]) -> None:
        self.path = folder / "train.py"
        text = PROGRAM
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.path.write_text(text)

    def fix(self, promise: Promise, *changes: tuple[str, str], rate: Rate | None = None) -> Proposal:
        source = read(self.path)
        edits = []
        for old, new in changes:
            assert source.text.count(old) == 1, old
            start = source.text.index(old)
            edits.append(Edit(self.path, start, start + len(old), new))
        line = source.line_of(edits[0].start)
        return Proposal(
            "SVI999", "a-fix", 1, self.path, line, 1, "m", (Candidate(tuple(edits), promise, "a fix", rate),)
        )

    def verify(self, *fixes: Proposal, steps: int = 40) -> list[Verdict]:
        plan = RunPlan(Target("script", "train.py", (), self.path.parent, "test"), 1)
        options = VerifyOptions(Path(sys.executable), steps=steps, timeout=240)
        before = self.path.read_bytes()
        verdicts = Verifier([plan], {self.path: read(self.path)}, options).verify(fixes)
        assert self.path.read_bytes() == before
        assert [p.name for p in self.path.parent.iterdir()] == ["train.py"]
        return verdicts


def test_a_constraint_that_a_crashing_program_lacks(tmp_path: Path) -> None:
    bare = ('"s", torch.tensor(1.0), constraint=constraints.positive', '"s", torch.tensor(0.9)')
    program = Program(tmp_path, bare, ('"m", torch.tensor(0.0)', '"m", torch.tensor(3.0)'), ('"lr": 0.01', '"lr": 0.3'))
    (verdict,) = program.verify(
        program.fix(
            Promise.SAME_START | Promise.RUNS_CLEAN, ("tensor(0.9)", "tensor(0.9), constraint=constraints.positive")
        )
    )
    assert verdict.status is Status.VERIFIED, verdict.reason
    assert "same start: 4 parameters and 32 losses equal" in verdict.reason
    assert "(original: ValueError at step" in verdict.reason


@pytest.mark.slow
def test_the_promises_on_one_program(tmp_path: Path) -> None:
    program = Program(tmp_path, ("Trace_ELBO()", "Trace_ELBO(num_particles=4)"))
    scaled = "pyro.poutine.scale({}, scale=1 / 50)"
    lrd = 0.1 ** (1 / 1000)
    declared = (
        ("import Adam", "import ClippedAdam"),
        ('Adam({"lr": 0.01}', f'ClippedAdam({{"lr": 0.01, "lrd": {lrd!r}}}'),
    )
    verdicts = program.verify(
        program.fix(Promise.DECLARED_RATE, *declared, rate=Rate(0.01, lrd)),
        program.fix(
            Promise.SAME_OBJECTIVE, ("SVI(model, guide", f"SVI({scaled.format('model')}, {scaled.format('guide')}")
        ),
        program.fix(Promise.SAME_SITES_SLICED, ("particles=4", "particles=4, vectorize_particles=True")),
        program.fix(Promise.LESS_VARIANCE, ("tensor(1.0)", "tensor(0.1)")),
        program.fix(Promise.RUNS_CLEAN, ('"sigma", dist.LogNormal(k, t)', '"sigma", dist.Normal(k, t)')),
    )
    reasons = [verdict.reason for verdict in verdicts]
    assert [v.status for v in verdicts] == [Status.VERIFIED] * 4 + [Status.REJECTED], reasons
    assert "same objective times 0.02" in reasons[1]
    assert "which the original does not" in reasons[4]


@pytest.mark.slow
def test_harmful_fixes_are_rejected(tmp_path: Path) -> None:
    program = Program(tmp_path)
    alone = ("SVI(model", "SVI(pyro.poutine.scale(model, scale=1 / 50)")
    scaled, wide = program.verify(
        program.fix(Promise.SAME_OBJECTIVE, alone), program.fix(Promise.NO_WORSE, ("tensor(1.0)", "tensor(30.0)"))
    )
    assert scaled.status is Status.REJECTED and "not the same objective" in scaled.reason
    assert wide.status is Status.REJECTED and "worse by the referee" in wide.reason
