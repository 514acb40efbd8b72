"""Small programs that break, or that Pyro warns of: what is told of each, from the command line's side.

``fixtures/cases`` has them.  Wherever a verdict says "verified", the program runs, or that very fix has ended what
broke it until then.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Status

CASES = Path(__file__).resolve().parents[1] / "fixtures" / "cases"
#: Program -> the codes whose fixes are in, and a part of what is told of the trouble itself, wherever it is told.
MENDED: dict[str, tuple[Sequence[str], str]] = {
    "shape_mismatch": (["SVI061"], "Model and guide shapes disagree at site 'z': torch.Size([1, 2]) vs torch.Size([2, 1])"),
    "plate_in_guide_only": (["SVI061"], "Model and guide event_dims disagree at site 'z': 1 vs 0"),
    "event_dims": (["SVI061"], "Model and guide event_dims disagree at site 'z': 1 vs 2"),
    "image_event_dims": (["SVI131"], "Shape mismatch inside plate('data') at site obs dim -1, 16 vs 20"),
    "raw_layer_scale": (["SVI001"], "the layer 'lin' gives any number: softplus or exp makes a scale of it"),
    "mean_field_wrong_order": (["SVI002"], "cannot verify the mean-field restriction"),
    "enumerate_not_enumerated": (["SVI141"], "enumeration is asked for at 'k', which Trace_ELBO does not do"),
    "config_enumerate_trace_elbo": (["SVI141"], "enumeration is asked for at 'k', which Trace_ELBO does not do"),
    "guide_samples_observed": (["SVI042"], "the guide samples 'x', which the model observes"),
    "forgotten_labels": (["SVI042"], "obs=y is missing"),
    "guide_replaced": (["SVI041", "SVI051"], "Error while computing log_prob at site 's'"),
    "trained_twice": (["SVI051"], "Expected parameter probs"),
    "second_run_changes": (["SVI041", "SVI051"], "Error while computing log_prob at site 'z'"),
}  # fmt: skip
#: Program -> the finding that stays, with its line.
TOLD = {
    "model_clash": ("SVI001", 10, "RuntimeError: Multiple sample sites named 'z'"),
    "missing_in_a_branch": ("SVI002", 12, "the guide does not sample 'e' wherever the model does"),
}
#: Variations that change nothing about what is told: (program, old, new).
SIBLINGS = [
    ("shape_mismatch", "torch.zeros(2, 1)", "torch.zeros(2, 3)"),
    ("shape_mismatch", "for _ in range(100):\n        svi.step(data)", "while True:\n        svi.step(data)"),
    ("event_dims", "Trace_ELBO())", "Trace_ELBO(num_particles=2))"),
    ("plate_in_guide_only", "Trace_ELBO", "TraceGraph_ELBO"),
    ("enumerate_not_enumerated", "Trace_ELBO", "TraceGraph_ELBO"),
    ("guide_samples_observed", "dist.Normal(m, 1.0))\n\n\nif", "dist.Normal(m, 1.0), obs=data)\n\n\nif"),
    ("raw_layer_scale", "lin(torch.full((1,), 5.0))[0]", "lin(torch.full((1,), 5.0)).squeeze()"),
    ("forgotten_labels", "y[i : i + 40])", "y=y[i : i + 40])"),
]
#: Programs made sound: (program, old, new).
SOUND = [
    ("shape_mismatch", "torch.zeros(2, 1)", "torch.zeros(1, 2)"),
    ("event_dims", 'torch.zeros(2, 1))\n    pyro.sample("z", dist.Normal(loc, 0.1).to_event(2))',
     'torch.zeros(2))\n    pyro.sample("z", dist.Normal(loc, 0.1).to_event(1))'),
    ("model_clash", 'z = z + pyro.sample("z"', 'z = z + pyro.deterministic("zz", z); pyro.sample("x0"'),
    ("enumerate_not_enumerated", "Trace_ELBO", "TraceEnum_ELBO"),
    ("missing_in_a_branch", "if b < 1.0", "if b < 2.0"),
    ("raw_layer_scale", "lin(torch.full((1,), 5.0))[0]", "lin(torch.full((1,), 5.0))[0].exp()"),
]  # fmt: skip


#: What a reason says of the program as it was.
_OF_THE_ORIGINAL = re.compile(
    r"\(nothing of the original compares: .*?\)|\(original: \w+ at step \d+\)|\(original: .*|ends .*; what comes after .*"
)


def run(path: Path) -> Result:
    options = Options(paths=(path,), python=Path(sys.executable), cache=False, root=path.parent, jobs=2)
    result = engine.check(options, lambda _: None)
    for finding in result.findings:  # the invariant
        reason = finding.verdict.reason
        if finding.verdict.status is Status.VERIFIED:
            ends = _OF_THE_ORIGINAL.sub("", reason)
            assert not re.search(r"\w+Error at step|NaN or infinity at step", ends), reason
    return result


def broken(result: Result) -> list[str]:
    return [f.proposal.message for f in result.findings if f.proposal.code in ("SVI001", "SVI002")]


def program(tmp_path: Path, name: str, old: str = "", new: str = "") -> Path:
    text = (CASES / f"{name}.py").read_text()
    assert old in text
    path = tmp_path / f"{name}.py"
    path.write_text(text.replace(old, new) if old else text)
    return path


def mends(result: Result, codes: Sequence[str], told: str) -> None:
    included = {f.proposal.code for f in result.findings if f.included}
    assert included >= set(codes), [(f.proposal.code, f.verdict.reason) for f in result.findings]
    messages = [*(f.proposal.message for f in result.findings), *(one.finding.proposal.message for one in result.gone)]
    assert any(told in message for message in messages), messages


@pytest.mark.slow
@pytest.mark.parametrize("name", MENDED)
def test_what_mends_it_is_found(tmp_path: Path, name: str):
    pytest.importorskip("pyro")
    path = program(tmp_path, name)
    result = run(path)
    mends(result, *MENDED[name])
    if "SVI061" not in MENDED[name][0]:  # the guide stays the user's
        assert not any(f.included and f.proposal.code == "SVI061" for f in result.findings)
    (change,) = result.changes
    path.write_text(change.text)
    again = run(path)
    assert again.changes == (), [(f.proposal.code, f.verdict.reason) for f in again.findings if f.included]
    assert name == "trained_twice" or not broken(again)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOLD)
def test_what_nothing_mends_is_told(tmp_path: Path, name: str):
    pytest.importorskip("pyro")
    result = run(program(tmp_path, name))
    code, line, words = TOLD[name]
    (finding,) = (f for f in result.findings if f.proposal.code == code)
    assert (finding.proposal.line, words in finding.proposal.message) == (line, True), finding.proposal.message
    assert result.changes == ()


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new"), SIBLINGS)
def test_siblings(tmp_path: Path, name: str, old: str, new: str):
    pytest.importorskip("pyro")
    codes, told = MENDED[name]
    mends(run(program(tmp_path, name, old, new)), codes, told.split(": ")[0].split(", which Trace_ELBO")[0])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "old", "new"), SOUND)
def test_sound_programs_have_neither(tmp_path: Path, name: str, old: str, new: str):
    pytest.importorskip("pyro")
    assert broken(run(program(tmp_path, name, old, new))) == []
