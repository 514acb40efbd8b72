"""Another guide before the referee, on real programs in a real child."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("pyro")

from pyro_fix.runner.model import Target
from pyro_fix.sources import read
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict
from pyro_fix.verify import RunPlan, Verifier, VerifyOptions

PROGRAM = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoDelta, AutoNormal, init_to_value
from pyro.optim import Adam

pyro.set_rng_seed({seed})
data = torch.randn(50) * 2 + 3

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, 2.0), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.1), constraint=constraints.positive)
    pyro.sample("loc", {family})

svi = SVI(model, guide, Adam({{"lr": 0.05}}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(data)
"""
SOUND = "dist.Normal(m, s)"
BROKEN = "dist.Normal(m, s - 0.101)"
POINT = "dist.Delta(m)"
NORMAL = "AutoNormal(model)"
FAR = 'AutoNormal(model, init_loc_fn=init_to_value(values={"loc": torch.tensor(300.0)}))'
DELTA = "AutoDelta(model)"


def verdict(folder: Path, family: str, replacement: str, seed: int = 0) -> Verdict:
    """What becomes of a fix that puts ``replacement`` in the guide's place."""
    path = folder / "train.py"
    path.write_text(PROGRAM.format(family=family, seed=seed))
    source = read(path)
    start = source.text.index("SVI(model, guide") + len("SVI(model, ")
    edit = Edit(path, start, start + len("guide"), replacement)
    candidate = Candidate((edit,), Promise.NO_WORSE | Promise.RUNS_CLEAN, replacement)
    fix = Proposal("SVI999", "a-fix", 6, path, source.line_of(start), 1, "m", (candidate,))
    plan = RunPlan(Target("script", "train.py", (), folder, "test"), 1)
    options = VerifyOptions(Path(sys.executable), steps=80, timeout=240)
    (found,) = Verifier([plan], {path: source}, options).verify([fix])
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "replacement", "status", "words"),
    [
        (BROKEN, NORMAL, Status.VERIFIED, "its own loss falls"),  # the original's first step left nothing
        (BROKEN, DELTA, Status.VERIFIED, "its own loss falls"),
        (SOUND, NORMAL, Status.VERIFIED, "no worse by the referee"),  # two guides, one evidence
        (SOUND, FAR, Status.REJECTED, "worse by the referee"),
        (SOUND, DELTA, Status.UNVERIFIED, "gives latent 'loc' a density"),  # a point's loss is in other units
        (POINT, DELTA, Status.VERIFIED, "no worse by the referee"),
    ],
)
def test_verdicts(tmp_path: Path, family: str, replacement: str, status: Status, words: str) -> None:
    found = verdict(tmp_path, family, replacement)
    assert found.status is status and words in found.reason, found.reason
