"""``bench/reports.py``: its programs, its table, its scores."""

from __future__ import annotations

import argparse
import ast
import importlib
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).resolve().parents[2] / "bench"
PROGRAMS = sorted((BENCH / "reports").glob("*.py"))
TINY = """
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

data = torch.tensor([1.0, 2.0, 3.0])


def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", 3):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(START)), torch.tensor(0.577)))


svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(5):
    svi.step(data)
"""


@pytest.fixture(autouse=True)
def bench_on_path(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    yield
    for name in ("measure", "reports"):
        sys.modules.pop(name, None)


@pytest.fixture
def reports():
    return importlib.import_module("reports")


def said(reports, *findings, code=0, changed=True):
    return reports.Said(code, findings, changed)


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_a_program_says_where_it_comes_from_and_what_is_wrong(path, reports):
    source, wrong, tip, *_ = path.read_text("utf-8").splitlines()
    ast.parse(path.read_text("utf-8"))
    assert re.match(r"# source: \S", source) and re.match(r"# wrong: \S", wrong)
    truth = reports.truths()[path.stem]
    assert tip.removeprefix("# tip: ") == ("sound" if truth.sound else str(truth.tip or "outside"))


def test_the_table_and_the_programs_belong_together(reports):
    names = {path.stem for path in PROGRAMS}
    cases = {path.stem for path in reports.CASES.glob("*.py")}
    assert names <= set(reports.truths()) and not names & cases


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_every_truth_can_be_told(path, reports):
    """A sound program has targets; another one also has a mend, which parses, and a cause to be named."""
    truth = reports.truths()[path.stem]
    assert truth.means or truth.sds or truth.params or truth.elbo or not truth.trains
    if not truth.sound:
        assert truth.mend and (truth.codes or truth.words)
    ast.parse(reports.mended(path, truth))
    re.compile(truth.words)


def test_there_are_enough_of_them(reports):
    known = [reports.truths()[path.stem] for path in PROGRAMS]
    assert sum(not truth.sound for truth in known) >= 40
    assert sum(truth.sound for truth in known) >= 8
    assert {truth.tip for truth in known if not truth.sound} >= {1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14}


def test_an_error_is_a_multiple_of_what_is_allowed(reports):
    truth = reports.truth_of("t", {"means": {"z": [[1.0, 2.0], 0.5]}, "sds": {"z": [0.1, 0.5]}, "elbo": [-10.0, 2.0]})
    good = {"raised": "", "steps": 3, "means": {"z": [1.0, 2.25]}, "sds": {"z": [0.1, 0.1]}, "elbo": -9.0, "scale": 1.0}
    assert truth.error(good) == pytest.approx(0.5)
    assert truth.error({**good, "elbo": -14.0}) == pytest.approx(2.0)
    assert truth.error({**good, "elbo": -1.4, "scale": 0.1}) == pytest.approx(2.0)
    assert truth.error({**good, "sds": {"z": [math.e * 0.1, 0.1]}}) == pytest.approx(2.0)
    for broken in ({"raised": "ValueError"}, {"means": {}}, {"means": {"z": [1.0, 2.0, 3.0]}}, {"elbo": math.nan}):
        assert truth.error({**good, **broken}) == math.inf


@pytest.mark.parametrize(
    ("before", "after", "findings", "code", "changed", "score"),
    [
        ([math.inf], [0.5], [("SVI051", "", "verified")], 0, True, "solved"),
        ([5.0, 5.0], [2.0, 2.0], [], 0, True, "helped"),
        ([5.0], [5.0], [("SVI051", "", "none")], 1, False, "helped"),
        ([5.0], [5.0], [("SVI999", "out of the support", "none")], 1, False, "helped"),
        ([5.0], [5.0], [("SVI022", "", "verified")], 0, True, "silent"),
        ([5.0], [5.0], [("SVI051", "", "verified")], 0, True, "misled"),
        ([5.0], [9.0], [("SVI022", "", "verified")], 0, True, "misled"),
        ([5.0], [math.inf], [("SVI051", "", "verified")], 3, True, "misled"),
        ([math.inf], [math.inf], [], 0, False, "misled"),
        ([math.inf], [math.inf], [("SVI051", "", "verified")], 0, True, "misled"),
        ([math.inf], [math.inf], [("SVI022", "", "verified")], 3, True, "misled"),
        ([math.inf], [math.inf], [("SVI022", "", "rejected")], 3, False, "silent"),
        ([math.inf], [math.inf], [("SVI051", "", "rejected")], 3, False, "helped"),
    ],
)
def test_scores(reports, before, after, findings, code, changed, score):
    truth = reports.truth_of("t", {"tip": 5, "codes": ["SVI051"], "words": "support"})
    assert reports.scored(truth, before, after, said(reports, *findings, code=code, changed=changed))[0] == score


def test_a_sound_program_is_unharmed_or_harmed(reports):
    truth = reports.truth_of("t", {"sound": True})
    fixed = said(reports, ("SVI022", "", "verified"))
    assert reports.scored(truth, [0.2], [0.9], fixed)[0] == "solved"
    assert reports.scored(truth, [0.2], [1.1], fixed)[0] == "misled"
    assert reports.scored(truth, [0.95], [1.05], fixed)[0] == "solved", "another draw"
    assert reports.scored(truth, [0.9, 1.4], [0.9, 1.5], fixed)[0] == "solved", "that seed missed it by itself"
    assert reports.scored(truth, [0.9, 1.4], [1.2, 1.2], fixed)[0] == "misled", "seed by seed"
    assert reports.scored(truth, [21.0], [21.0], said(reports, changed=False))[0] == "solved", "nothing was done to it"


def test_what_does_not_show_in_training_is_scored_by_the_fix(reports):
    truth = reports.truth_of("t", {"tip": 8, "codes": ["SVI081"], "trains": False})
    assert reports.scored(truth, [0.0], [0.0], said(reports, ("SVI081", "", "verified")))[0] == "solved"
    assert reports.scored(truth, [0.0], [0.0], said(reports, ("SVI081", "", "rejected"), changed=False))[0] == "helped"
    assert reports.scored(truth, [0.0], [0.0], said(reports, changed=False))[0] == "silent"


def test_the_limits(reports):
    def scores(**counts):
        kinds = [kind for kind, count in counts.items() for _ in range(count)]
        return [reports.Score(kind, kind, "", 5, False, None) for kind in kinds]

    assert reports.verdict(scores(solved=16, helped=3, silent=1))[0]
    assert not reports.verdict(scores(solved=14, helped=6))[0]
    assert not reports.verdict(scores(solved=18, silent=2))[0]
    assert not reports.verdict(scores(solved=19, misled=1))[0]


@pytest.mark.parametrize("arguments", [["--select", "no_such_program"], ["--resume", "--select", "lost_site"]])
def test_bad_arguments_are_told(arguments):
    done = subprocess.run([sys.executable, BENCH / "reports.py", *arguments], capture_output=True, text=True)
    assert done.returncode == 2 and "Traceback" not in done.stderr


def test_another_file_is_not_resumed_from(tmp_path):
    (tmp_path / "other.json").write_text('{"findings": []}')
    command = [sys.executable, BENCH / "reports.py", "--resume", "--json", tmp_path / "other.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2 and "not written by an earlier run" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_program_is_measured_by_its_model_and_guide(reports, tmp_path):
    pytest.importorskip("pyro")
    path = tmp_path / "tiny.py"
    path.write_text(TINY.replace("START", "2.0"))
    (report,) = reports.train(Path(sys.executable), path, reports.Truth("tiny"), 1, 60)
    truth = reports.truth_of("tiny", {"means": {"z": [1.98, 0.2]}, "sds": {"z": [0.577, 0.2]}})
    assert report["steps"] == 5 and truth.error(report) <= 1, report


def test_a_program_that_breaks_is_told(reports, tmp_path):
    pytest.importorskip("pyro")
    path = tmp_path / "tiny.py"
    path.write_text(TINY.replace("START", "float('nan')"))
    (report,) = reports.train(Path(sys.executable), path, reports.Truth("tiny"), 1, 60)
    assert report["raised"].startswith("ValueError") and reports.Truth("tiny").error(report) == math.inf


@pytest.mark.slow
def test_one_program_from_the_report_to_the_score(reports):
    pytest.importorskip("pyro")
    arguments = argparse.Namespace(python=Path(sys.executable), seeds=1, timeout=600)
    path = BENCH / "reports" / "halfnormal_latent.py"
    truth = reports.truths()[path.stem]
    record = reports.seen(path, truth, arguments)
    assert record.before[0]["raised"] and reports.score(truth, record).score == "solved", record


def test_a_record_is_scored_again_by_the_table(reports):
    told = {"raised": "", "steps": 5, "means": {"z": 1.0}, "sds": {}, "params": {}, "elbo": 0.0, "scale": 1.0}
    record = reports.Record("t", [told], [{**told, "means": {"z": 2.0}}], 0, [["SVI051", "", "verified"]], True, "", 1)
    assert reports.score(reports.truth_of("t", {"tip": 5, "means": {"z": [2.0, 0.1]}}), record).score == "solved"
    assert reports.score(reports.truth_of("t", {"tip": 5, "means": {"z": [1.0, 0.1]}}), record).score == "misled"
    line = reports.table([reports.score(reports.truth_of("t", {"tip": 5, "means": {"z": [2.0, 0.1]}}), record)])
    assert "| t | 5 | solved | trains well now | SVI051 verified | 0 |" in line


@pytest.mark.slow
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_the_mended_version_trains_well_and_the_program_does_not(path, reports, tmp_path):
    pytest.importorskip("pyro")
    truth = reports.truths()[path.stem]
    copy = tmp_path / path.name
    copy.write_text(path.read_text("utf-8"))
    if not truth.sound and truth.trains:
        assert max(reports.errors(truth, reports.train(Path(sys.executable), copy, truth, 1, 300))) > 1
    copy.write_text(reports.mended(path, truth))
    assert max(reports.errors(truth, reports.train(Path(sys.executable), copy, truth, 1, 300))) <= 1
