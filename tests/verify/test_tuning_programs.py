"""Real programs whose fixes write a number that is not the best: tuning finds a better one, and none where there is none."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from handmade import far

from pyro_fix import catalogue, engine, tuning
from pyro_fix.analysis.program import Program
from pyro_fix.config import Options
from pyro_fix.result import Finding, Result
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Rate, Transform

IMPORTS = """\
import pyro
import torch
from pyro import distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.infer.autoguide import AutoNormal

"""
#: From 0 to 20 in 400 steps: a rate of 0.05 is just not enough once it decays to a tenth.
FAR = far("OPTIMIZER", 400)
#: The posterior is 0.03 wide, and 150 steps of 0.002 change a scale by a third.
WIDE = f"""{IMPORTS}
data = 0.1 * torch.randn(20, generator=torch.Generator().manual_seed(1))


def model(data):
    with pyro.plate("data", len(data)):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        pyro.sample("x", dist.Normal(z, 0.03), obs=data)


guide = AutoNormal(model, init_scale=10.0)
svi = SVI(model, guide, pyro.optim.Adam({{"lr": 0.002}}), Trace_ELBO())
for step in range(150):
    svi.step(data)
"""
#: Thirty noisy directions: a large rate ends above the optimum.
NOISY = f"""{IMPORTS}
data = torch.full((30,), 20.0)


def model(data):
    with pyro.plate("data", len(data)):
        z = pyro.sample("z", dist.Normal(0.0, 3.0))
        pyro.sample("x", dist.Poisson(z.exp()), obs=data)


guide = AutoNormal(model)
svi = SVI(model, guide, pyro.optim.Adam({{"lr": RATE}}), Trace_ELBO())
for step in range(400):
    svi.step(data)
"""


class FirstRate(Transform):
    """Writes a rate of 0.05, and may write others."""

    code, name, tip, promise, by_the_end = "SVI901", "a-rate", 1, Promise.DECLARED_RATE, True

    def __init__(self, high: float = 0.2) -> None:
        self.high = high

    def propose(self, program: Program) -> Iterator[Proposal]:
        for path, module in program.modules.items():
            for match in re.finditer(re.escape('"lr": 0.04'), module.source.text):
                write = partial(self._candidate, path, match.end() - 4, match.end())
                line = module.source.line_of(match.start())
                yield Proposal(self.code, self.name, 1, path, line, 1, "a bad idea", (write(0.05),))

    def _candidate(self, path: Path, start: int, end: int, rate: float) -> Candidate:
        number = Number("learning rate", rate, 0.1, self.high, partial(self._candidate, path, start, end))
        edit, rates = Edit(path, start, end, repr(rate)), Rate(share=rate / 0.04)
        return Candidate((edit,), self.promise, f"{rate:g}", rates, needs_run=True, numbers=(number,))


SLOW = FAR.replace("OPTIMIZER", 'pyro.optim.ClippedAdam({"lr": 0.04})')

Check = Callable[..., Result]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Check:
    def run(text: str, chosen: str | Transform, **options: object) -> Result:
        if isinstance(chosen, Transform):
            monkeypatch.setattr(catalogue, "load", lambda: [chosen])
        path = tmp_path / "train.py"
        path.write_text(text)
        select = () if isinstance(chosen, Transform) else (chosen,)
        asked = Options(paths=(path,), cache=False, prove_within=60.0, tune=True, select=select, root=tmp_path)
        return engine.check(replace(asked, **options), lambda _: None)  # type: ignore[arg-type]

    return run


def changed(result: Result) -> str:
    (change,) = result.changes
    return change.text


def told(finding: Finding) -> list[dict[str, object]]:
    found = finding.verdict.evidence[tuning.TUNING]
    assert isinstance(found, list)
    return found


def test_a_rate_that_is_too_small_for_the_steps(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "RUNGS", ((1.0, 2),))
    monkeypatch.setattr(tuning, "FRESH", (100, 101, 102))
    result = check(SLOW.replace("400", "60"), FirstRate(0.1), seeds=2)
    (finding,) = result.findings
    assert '{"lr": 0.1}' in changed(result) and finding.included, finding.verdict.reason
    assert '+svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.1})' in finding.diff
    assert re.search(r"learning rate 0\.1 in place of 0\.05: better by [\d,]+ nats \(95 % CI", finding.verdict.reason)
    (one,) = told(finding)
    assert one["is"] == 0.1 and one["fresh seeds"] == [100, 101, 102]
    assert one["trainings"] == 2 * 2 + 2 * 3
    assert "--tune" in str(finding.verdict.evidence["reproduce"])


def test_without_a_proof_that_can_be_afforded_nothing_is_tried(check: Check) -> None:
    (finding,) = check(SLOW, FirstRate(), prove_within=0.01, seeds=2).findings
    assert finding.included and "rungs" not in told(finding)[0]
    assert re.search(r"; not tuned: 400 steps take about .* of CPU; --prove runs them$", finding.verdict.reason)


@pytest.mark.slow
def test_the_rate_of_another_optimiser(check: Check) -> None:
    result = check(FAR.replace("OPTIMIZER", 'pyro.optim.SGD({"lr": 1e-6})'), "SVI021")
    rate = re.search(r'Adam\(\{"lr": (0\.[235])\}\)', changed(result))
    assert rate, changed(result)
    assert f"learning rate {rate[1]} in place of 0.05: better by" in result.findings[0].verdict.reason


@pytest.mark.slow
def test_an_initial_scale(check: Check) -> None:
    result = check(WIDE, "SVI072")
    assert "init_scale=0.03)" in changed(result), result.findings[0].verdict.reason
    assert result.proofs[0].verdict == "better"


@pytest.mark.slow
def test_both_numbers_of_a_decay(check: Check) -> None:
    result = check(NOISY.replace("RATE", "0.09"), "SVI022")
    first, second = told(result.findings[0])
    assert re.search(r'"lr": 0\.(05|1), "lrd": 0\.\d+ \*\* \(1 / 400\)', changed(result)), changed(result)
    assert (first["number"], first["was"]) == ("learning rate", 0.225) and first["is"] in (0.05, 0.1)
    shares = {rung["share of the steps"] for rung in second["rungs"]}  # type: ignore[attr-defined]
    assert shares == {1.0}, "a part of the training tells nothing of a decay"


@pytest.mark.slow
def test_where_none_is_better_nothing_changes(check: Check) -> None:
    result = check(NOISY.replace("RATE", "20.0"), "SVI011")
    (finding,) = result.findings
    assert re.search(r"learning rate \S+ stays: none of \d others is seen to end better$", finding.verdict.reason)
    (one,) = told(finding)
    assert one["is"] == one["was"] and f'Adam({{"lr": {one["was"]}}})' in changed(result)
