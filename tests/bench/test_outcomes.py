"""``bench/outcomes.py``: its programs, its words, its table."""

from __future__ import annotations

import ast
import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import outcomes  # noqa: E402
from outcomes import Outcome, compared, table, verdict  # noqa: E402


def test_there_are_enough_programs_and_each_has_a_name_of_its_own() -> None:
    found = list(outcomes.programs((), 0))
    assert len(found) >= 60 and len({program.name for program in found}) == len(found)
    assert sum(program.sound for program in found) >= 30
    kinds = {program.name: program.sound for program in found}
    assert kinds["reports/sound_gmm"] and kinds["cases/coin"] and kinds["outcomes/sound_radon"]
    assert not kinds["reports/gmm_sampled"] and not kinds["examples/growth"]
    for program in found:
        ast.parse(program.text)


@pytest.mark.parametrize(
    ("before", "after", "word"),
    [
        ([10.0, 10.1, 9.9], [8.0, 8.1, 8.2], "better"),
        ([10.0, 10.1, 9.9], [12.0, 12.1, 12.2], "worse"),
        ([10.0, 10.1, 9.9], [10.05, 10.0, 9.95], "equal"),
        ([10.0, 10.1, 9.9], [9.95, 10.05, 9.85], "equal"),  # as sure as it is small
        ([10.0, math.nan, 9.9], [50.0, 50.0, 50.0], "better"),
        ([10.0, 10.0, 9.9], [5.0, math.nan, 5.0], "worse"),
        ([math.nan] * 3, [math.nan] * 3, "equal"),
    ],
)
def test_words(before: list[float], after: list[float], word: str) -> None:
    assert compared(before, after)[0] == word


ONES = [
    Outcome("a", True, ["SVI022"], [5.0, 5.1], [4.0, 4.1], "better: …"),
    Outcome("b", False, ["SVI051", "SVI101"], [9.0, 9.2], [5.0, 5.1], "", {"SVI051": [9.0, 9.1], "SVI101": [5.0, 5.1]}),
    Outcome("c", True, [], [1.0, 1.0], [1.0, 1.0]),
]


def test_the_table_tells_programs_and_transforms() -> None:
    told = "\n".join(table(ONES))
    assert "| a | sound | SVI022 | better | +1 " in told
    assert "| SVI022 | 1 | 0 | 0 | +1 |" in told
    assert "| SVI051 | 1 | 0 | 0 | +4 |" in told and "| SVI101 | 0 | 1 | 0 | +0 |" in told


def test_what_is_worse_misses_the_limit() -> None:
    assert verdict(ONES)[0]
    worse = Outcome("d", True, ["SVI101"], [1.0, 1.1], [3.0, 3.1])
    met, words = verdict([*ONES, worse])
    assert not met and "worse: d" in words
    equal = Outcome("e", False, ["SVI101"], [1.0, 1.1], [1.0, 1.1])
    assert not verdict([*ONES, equal])[0], "nine of ten spoilt ones have to be better"


@pytest.mark.slow
def test_one_program_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "outcomes.json"
    monkeypatch.setattr(sys, "argv", ["outcomes.py", "--select", "SVI051-", "--seeds", "2", "--json", str(record)])
    assert outcomes.main() == 0
    (one,) = json.loads(record.read_text())
    assert not one["sound"] and "SVI051" in one["codes"] and len(one["after"]) == 2
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--resume"])
    capsys.readouterr()
    assert outcomes.main() == 0
    assert "[1/" not in capsys.readouterr().err


RUNS_OFF = """\
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

data = 3 + torch.randn(20, generator=torch.Generator().manual_seed(0))


def model():
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("data", 20):
        pyro.sample("x", dist.Normal(loc, 1.0), obs=data)


def guide():
    loc = pyro.param("loc_q", torch.tensor(0.0))
    scale = pyro.param("scale_q", torch.tensor(0.02))
    pyro.sample("loc", dist.Normal(loc, scale))


svi = SVI(model, guide, ClippedAdam({"lr": 0.03, "lrd": 0.1 ** (1 / 60)}), Trace_ELBO())
for step in range(60):
    svi.step()
"""


@pytest.mark.slow
def test_a_program_is_mended_and_trained(tmp_path: Path) -> None:
    (tmp_path / "runs_off.py").write_text(RUNS_OFF)
    command = [sys.executable, str(BENCH / "outcomes.py"), str(tmp_path), "--seeds", "2", "--json", "o.json", "--each"]
    command.append("--option=--no-cache")
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    (told,) = json.loads((tmp_path / "o.json").read_text())
    assert "SVI051" in told["codes"] and len(told["before"]) == len(told["after"]) == 2, run.stderr
    assert run.returncode == 0 and f"| {tmp_path.name}/runs_off | sound | " in run.stdout
