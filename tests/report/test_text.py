"""Findings and verdicts in plain words."""

from __future__ import annotations

from pathlib import Path

from pyro_fix.report import html, json, text
from pyro_fix.result import Finding, Gone, Result
from pyro_fix.transform import Candidate, Promise, Proposal, Status, Verdict

BRIEF = "ValueError at step 3 (4 of 4 seeds)"
WHAT = f"{BRIEF}: Expected parameter scale of distribution Normal to be so and…"
TOLD = "the program breaks at step 3: ValueError: Expected parameter scale of distribution Normal to be so and so"


def waiting(line: int, reason: str = f"waits: the program still breaks: {WHAT}", **more: object) -> Finding:
    candidate = Candidate((), Promise.SAME_OBJECTIVE, "a fix")
    proposal = Proposal("SVI101", "a-name", 10, Path("a.py"), line, 1, "a message", (candidate,))
    evidence = {"deferred": True, "breaks": {"what": WHAT, "brief": BRIEF}, **more}
    return Finding(proposal, Verdict(Status.UNVERIFIED, reason, evidence, candidate))


def cause(line: int) -> Finding:
    return Finding(Proposal("SVI001", "breaks", 0, Path("a.py"), line, 1, TOLD), Verdict(Status.NONE, "no fix"))


def reasons(*findings: Finding, gone: tuple[Gone, ...] = ()) -> list[str]:
    result = Result(findings, (), (), 1, gone)
    told = text.once(result)
    assert [f.proposal for f in told.findings] == [f.proposal for f in findings]
    return [finding.verdict.reason for finding in told.findings]


def test_what_ended_a_program_is_said_at_length_once() -> None:
    assert reasons(waiting(1), waiting(2), waiting(3)) == [
        f"waits: the program still breaks: {WHAT}",
        "waits for the same",
        "waits for the same",
    ]


def test_where_it_is_a_finding_of_its_own_the_others_refer_to_it() -> None:
    brief = f"waits: the program still breaks: {BRIEF}"
    assert reasons(waiting(1), cause(2), waiting(3)) == [brief, "no fix", "waits for the same"]
    assert reasons(waiting(1), gone=(Gone(cause(2), "mended", "by another"),)) == [brief]


def test_what_a_verified_fix_says_of_the_original_is_shortened_as_well() -> None:
    held = waiting(1, f"runs clean (original: {WHAT}; this fix alone ends it)", deferred=False)
    assert reasons(cause(2), held)[1] == f"runs clean (original: {BRIEF}; this fix alone ends it)"
    assert reasons(held, waiting(2)) == [held.verdict.reason, f"waits: the program still breaks: {BRIEF}"]


def test_another_trouble_is_told() -> None:
    other = {"what": "RuntimeError at step 0: shapes", "brief": "RuntimeError at step 0"}
    second = waiting(2, f"waits: the program still breaks: {other['what']}", breaks=other)
    assert reasons(waiting(1), second)[1] == second.verdict.reason


def test_a_message_is_whole_but_for_long_rows_of_numbers() -> None:
    """The cause stands behind the tensor; what is there for programs to read has every number."""
    numbers = [f"-0.{n:03}" for n in range(200)]
    message = f"the program breaks: ValueError: found tensor([{', '.join(numbers)}]) since 'tau' is -1"
    proposal = Proposal("SVI001", "breaks", 0, Path("a.py"), 1, 1, message)
    result = Result((Finding(proposal, Verdict(Status.NONE, "no fix")),), (), (), 1)
    rows = f"[{', '.join(numbers[:3])}, ..., {', '.join(numbers[-3:])}]"
    for line in (*text.findings(result, Path(), True), *text.left_out(result, Path())):
        assert f"found tensor({rows}) since 'tau' is -1" in line
    assert message in json.document(result, Path(), applied=False)
    assert message in html.document(result, Path(), "diff", True).replace("&#x27;", "'")
