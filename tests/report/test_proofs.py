"""What programs are worth with their fixes, as it is told."""

from __future__ import annotations

import json as strict
from dataclasses import replace
from pathlib import Path

import pytest

from pyro_fix.bot import proofs as pulls
from pyro_fix.proof import Point, Proof, Side
from pyro_fix.report import html, json, proofs, text
from pyro_fix.report.markup import plain
from pyro_fix.result import Result

EVIL = "<script>alert(1)</script>"


def side(start: float, end: float, **more: object) -> Side:
    way = tuple(
        Point(step, {seed: start + (end - start) * step / 800 for seed in (0, 1)}) for step in (0, 200, 400, 800)
    )
    return Side(800, {0: end, 1: end}, {}, way, 0.002, 3.5, **more)  # type: ignore[arg-type]


BETTER = Proof(
    "python train.py",
    0,
    (0, 1),
    "better",
    "better by 12.3 nats (95 % CI 9.9 to 14.8, 2 seeds)",
    side(100, 52.3, khat=0.9),
    side(100, 40.0, khat=0.31),
    (12.3, 9.9, 14.8),
    60,
    410,
    "the original's objective",
)
UNKNOWN = Proof("python long.py", 0, (0, 1), "cannot tell", "20,000 steps take about 9 min of CPU; --prove runs them")
WORSE = replace(BETTER, verdict="worse", reason="worse by 3 nats (95 % CI 2 to 4, 2 seeds)", svi=1)


def result(*found: Proof) -> Result:
    return Result((), (), (), 1, (), found)


def test_one_line_a_program() -> None:
    assert list(text.proofs(result(BETTER, UNKNOWN))) == [
        "python train.py: better by 12.3 nats (95 % CI 9.9 to 14.8, 2 seeds); k\u0302 0.9 → 0.31",
        "python long.py: cannot tell: 20,000 steps take about 9 min of CPU; --prove runs them",
    ]


AS_IT_IS = Proof(
    "python sound.py", 0, (0, 1), "as it is", "ELBO -52 after 800 steps (2 seeds)", side(100, 52, khat=0.4)
)


def test_a_program_that_no_fix_has_changed() -> None:
    assert list(text.proofs(result(AS_IT_IS))) == [
        "python sound.py: as it is: ELBO -52 after 800 steps (2 seeds); k\u0302 0.4"
    ]
    page = "".join(proofs.section([AS_IT_IS], str))
    assert "ELBO -52 after 800 steps" in page and "<svg" in page


def test_svi_objects_of_one_program_are_told_apart() -> None:
    first, second = text.proofs(result(BETTER, WORSE))
    assert "(SVI object 0): better" in first and "(SVI object 1): worse by 3" in second


def test_json_has_all_of_it() -> None:
    (told, unknown) = strict.loads(json.document(result(BETTER, UNKNOWN), Path(), False))["proofs"]
    assert told["verdict"] == "better" and told["gain"] == {
        "mean": 12.3,
        "95 % interval": [9.9, 14.8],
        "per datum": pytest.approx(0.205),
    }
    assert told["after"]["losses"] == {"0": 40.0, "1": 40.0} and told["before"]["khat"] == 0.9
    assert [point["step"] for point in told["before"]["way"]] == [0, 200, 400, 800]
    assert "before" not in unknown and "gain" not in unknown


def test_the_page_has_the_sentence_both_curves_and_a_table() -> None:
    page = "\n".join(proofs.section([BETTER], plain))
    assert "Better by 12.3 nats" in page and "by the original's objective" in page.replace("&#x27;", "'")
    assert page.count('class="original median"') == 1 and page.count('class="patched median"') == 1
    assert "0.205 per datum" in page and "<td>0.31</td>" in page
    assert not list(proofs.section([], plain))


def test_nothing_of_a_program_is_markup() -> None:
    evil = replace(BETTER, program=EVIL, reason=EVIL)
    assert EVIL not in html.document(result(evil), Path(), "diff", True)
    assert EVIL not in pulls.told([json.of_proof(replace(BETTER, reason=EVIL))])


def test_a_pull_request_has_a_sentence_and_a_chart() -> None:
    told = pulls.told([strict.loads(json.dumps(json.of_proof(BETTER)))])
    assert "`python train.py`: better by 12.3 nats" in told and "```mermaid" in told and "410" not in told
    assert told.count("line [") == 2


def test_a_plan_may_say_anything() -> None:
    odd: list[dict[str, object]] = [
        {},
        {"program": 3, "reason": []},
        {
            "program": "p",
            "reason": "r",
            "before": 3,
            "after": {"way": [1, {"step": "x"}, {"step": 1, "losses": {"0": "nan", "x": 2}}]},
        },
    ]
    assert "p" in pulls.told(odd) and pulls.told([]) == ""
