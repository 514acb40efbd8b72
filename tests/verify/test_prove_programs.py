"""Proofs of real programs: trained to their end, with all their fixes and without."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from handmade import far

from pyro_fix import catalogue, engine
from pyro_fix.analysis.program import Program
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Rate, Status, Transform
from pyro_fix.verify import ends

FAR = far('pyro.optim.ClippedAdam({"lr": 0.1, "lrd": 1.0})', 350)


class Literal(Transform):
    """Writes one thing for another, and promises next to nothing."""

    name, tip, summary, after = "a-literal", 3, "", ()

    def __init__(self, code: str, old: str, new: str, rate: Rate) -> None:
        self.code, self._old, self._new, self._rate = code, old, new, rate

    def propose(self, program: Program) -> Iterator[Proposal]:
        for path, module in program.modules.items():
            for match in re.finditer(re.escape(self._old), module.source.text):
                edit = Edit(path, match.start(), match.end(), self._new)
                candidate = Candidate((edit,), Promise.DECLARED_RATE, self._new, self._rate, needs_run=True)
                line = module.source.line_of(match.start())
                yield Proposal(self.code, self.name, 3, path, line, 1, f"{self._old} is a bad idea", (candidate,))


SLOWER = Literal("SVI901", '"lrd": 1.0', '"lrd": 0.97', Rate(0.1, 0.97))
FASTER = Literal("SVI902", '"lr": 0.1', '"lr": 0.13', Rate(0.13, 1.0))


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    # The rounds' own look at the end would have found it.
    monkeypatch.setattr(ends, "HARM_BUDGET", 0.0)
    monkeypatch.setattr(ends, "BUDGET", 0.0)

    def run(text: str, *transforms: Transform, **options: object) -> Result:
        monkeypatch.setattr(catalogue, "load", lambda: list(transforms))
        path = tmp_path / "train.py"
        path.write_text(text)
        asked = Options(paths=(path,), cache=False, seeds=3, prove_within=60.0, root=tmp_path)
        return engine.check(replace(asked, **options), lambda _: None)  # type: ignore[arg-type]

    yield run


@pytest.mark.slow
def test_a_fix_that_costs_at_the_end_is_left_out(check) -> None:  # type: ignore[no-untyped-def]
    result = check(FAR, SLOWER)
    (finding,) = result.findings
    assert finding.verdict.status is Status.REJECTED and not result.changes
    assert re.match(
        r"trained to its end with it the program is worse by .* nats \(95 % CI .*, 16 seeds\)", finding.verdict.reason
    )


@pytest.mark.slow
def test_the_other_one_stays(check) -> None:  # type: ignore[no-untyped-def]
    result = check(FAR, SLOWER, FASTER)
    assert [f.included for f in result.findings] == [False, True], [f.verdict.reason for f in result.findings]
    (proof,) = result.proofs
    assert proof.verdict in ("better", "as good") and proof.judge == "the original's objective"
    assert proof.data == 40
    assert proof.before is not None and proof.before.steps == 350
    points = [point.step for point in proof.before.way]
    assert points[0] == 0 and points[-1] == 350 and 8 <= len(points) <= 18 and points == sorted(points)
    assert proof.reached is not None and proof.reached < 350


def test_without_a_budget_nothing_is_proven(check) -> None:  # type: ignore[no-untyped-def]
    result = check(FAR, SLOWER, prove_within=0.01)
    assert [f.included for f in result.findings] == [True]
    (proof,) = result.proofs
    assert proof.verdict == "cannot tell" and "350 steps take about" in proof.reason
    assert not check(FAR, SLOWER, prove_within=0.0).proofs


@pytest.mark.slow
def test_asked_for_it_is_proven_at_any_cost(check) -> None:  # type: ignore[no-untyped-def]
    result = check(FAR, SLOWER, prove_within=0.0, prove=True)
    assert [f.included for f in result.findings] == [False]


@pytest.mark.slow
def test_how_good_both_fits_are(check) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("arviz_stats")
    (proof,) = check(FAR, FASTER).proofs
    assert proof.before is not None and proof.after is not None
    # The posterior is a Normal, and so is the guide.
    assert proof.after.khat is not None and proof.after.khat < 0.7, proof.after.khat_missing
    assert proof.before.gradient_noise is not None and proof.before.step_seconds is not None


SLOW = FAR.replace('{"lr": 0.1, "lrd": 1.0}', '{"lr": 0.01, "lrd": 1.0}')


def test_a_program_that_nothing_is_wrong_with_is_told_as_it_is(check) -> None:  # type: ignore[no-untyped-def]
    (proof,) = check(SLOW).proofs
    assert proof.verdict == "as it is" and proof.after is None and proof.before is not None
    assert re.fullmatch(
        r"ELBO -[\d.,]+ after 350 steps \(3 seeds\); the ELBO still rises, by [\d.,]+ nats over the last \d+ steps",
        proof.reason,
    ), proof.reason


def test_a_training_that_goes_wrong_after_the_short_run_is_told(check) -> None:  # type: ignore[no-untyped-def]
    late = FAR.replace("svi.step(data)", "svi.step(data if step < 300 else data / 0 * 0)")
    (proof,) = check(late).proofs
    assert proof.verdict == "as it is" and proof.reason == "3 of 3 trainings go wrong: ValueError at step 300"
