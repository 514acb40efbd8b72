"""Every program of ``fixtures/`` becomes, byte for byte, the fixed one beside it.

``NAME.py`` becomes ``NAME.fixed.py``; a program of several files is a folder ``NAME`` that becomes ``NAME.fixed``.
``# before: crashes`` in one of the first two lines says that the program dies before it is fixed, ``# found by: run``
that the source alone shows no defect: it takes a run to find it, and to choose the fix.
"""

from __future__ import annotations

import ast
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from checking import check

from pyro_fix import engine, rewrite, sources
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Status

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
CODES = sorted(folder.name for folder in FIXTURES.glob("SVI*"))
BEFORE = [
    path
    for code in CODES
    for path in sorted((FIXTURES / code).iterdir())
    if ".fixed" not in path.name and (path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"))
]
CRASHES = "# before: crashes"
FOUND_BY_RUN = "# found by: run"


def fixed_of(before: Path) -> Path:
    return before.with_name(f"{before.stem}.fixed{before.suffix}")


def files_of(program: Path) -> list[Path]:
    return sorted(program.rglob("*.py")) if program.is_dir() else [program]


def is_marked(program: Path, mark: str) -> bool:
    """Whether a file of the program says so in its first two lines."""
    return any(mark.encode() in path.read_bytes().splitlines()[:2] for path in files_of(program))


def over(programs: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("before", programs, ids=lambda path: f"{path.parent.name}-{path.stem}")


each = over(BEFORE)
each_static = over([path for path in BEFORE if not is_marked(path, FOUND_BY_RUN)])
each_seen = over([path for path in BEFORE if is_marked(path, FOUND_BY_RUN)])


def fix(program: Path, code: str) -> tuple[Result, Mapping[Path, bytes]]:
    """The findings of one transform, and every file of the program with its fixes in it."""
    result = check(files_of(program), [code], FIXTURES)
    read = {path: sources.read(path) for path in files_of(program)}
    # a fix that needs a run is left out of the changes: take its first candidate
    edits = [e for f in result.findings if f.proposal.candidates for e in f.proposal.candidates[0].edits]
    texts = {c.source.path: c.text for c in result.changes} or rewrite.compose(read, edits).texts
    return result, {path: read[path].encode(texts.get(path, read[path].text)) for path in read}


def test_every_transform_has_fixtures():
    from pyro_fix import catalogue

    assert [transform.code for transform in catalogue.load()] == CODES
    assert all(any(path.parent.name == code for path in BEFORE) for code in CODES)


@each_static
def test_becomes_the_fixed_one(before: Path):
    _, fixed = fix(before, before.parent.name)
    for path, data in fixed.items():
        expected = fixed_of(before) / path.relative_to(before) if before.is_dir() else fixed_of(before)
        assert data.decode("latin-1") == expected.read_bytes().decode("latin-1"), path
    assert any(data != path.read_bytes() for path, data in fixed.items()), "nothing was fixed"


def undeclared(result: Result) -> list[str]:
    """Candidates that promise something that their transform does not say it promises."""
    from pyro_fix import catalogue

    declared = {transform.code: transform.promises or (transform.promise,) for transform in catalogue.load()}
    return [
        f"{finding.proposal.code}: {candidate.promise}"
        for finding in result.findings
        for candidate in finding.proposal.candidates
        if candidate.promise not in declared[finding.proposal.code]
    ]


@each_static
def test_candidates_promise_what_their_transform_declares(before: Path):
    """``bench/verdicts.py --zoo`` asks for what is declared."""
    assert undeclared(check(files_of(before), [before.parent.name], FIXTURES)) == []


@each_static
def test_second_run_proposes_nothing(before: Path):
    result, _ = fix(fixed_of(before), before.parent.name)
    assert [f.proposal.message for f in result.findings if f.proposal.candidates] == []


@each_static
def test_everything_outside_the_edits_stays(before: Path):
    result, fixed = fix(before, before.parent.name)
    for path, data in fixed.items():
        old, new = sources.read(path), sources.from_bytes(path, data)
        assert (old.encoding, old.data.count(b"\r\n") > 0) == (new.encoding, data.count(b"\r\n") > 0)
        assert new.text.count("\n") == new.text.count("\r\n") or "\r\n" not in new.text, "mixed newlines"
        spans = sorted(
            (edit.start, edit.end)
            for finding in result.findings
            for candidate in finding.proposal.candidates[:1]
            for edit in candidate.edits
            if edit.path == path
        )
        at = place = 0
        for start, end in [*spans, (len(old.text), len(old.text))]:  # what lies between two edits is found in order
            kept = old.text[place:start]
            at = new.text.index(kept, at) + len(kept)
            place = max(end, place)
        assert at == len(new.text)


@each_static
def test_comments_survive(before: Path):
    """All but those inside options that are replaced as a whole."""
    _, fixed = fix(before, before.parent.name)
    for path, data in fixed.items():
        new = sources.from_bytes(path, data)
        comments = re.findall(r"#.*", sources.read(path).text)
        lost = [comment for comment in comments if comment not in new.text]
        assert lost == ([] if before.parent.name != "SVI021" else [c for c in lost if "smoothing" in c])
        ast.parse(data)


def run(program: Path) -> subprocess.CompletedProcess[str]:
    target, folder = [program.name], program.parent
    if program.is_dir():
        if (program / "__main__.py").is_file():  # a package: run it under a name that can be imported
            code = f"import sys, types, runpy; p = types.ModuleType('app'); p.__path__ = [{str(program)!r}]; "
            target = ["-c", code + "sys.modules['app'] = p; runpy.run_module('app.__main__', run_name='__main__')"]
        else:
            target, folder = ["train.py"], program
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *target], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def losses(output: str) -> list[float]:
    return [float(number) for number in re.findall(r"loss (\S+)", output)]


@pytest.mark.slow
@each
def test_runs_before_and_after(before: Path):
    pytest.importorskip("pyro")
    old, new = run(before), run(fixed_of(before))
    assert new.returncode == 0, new.stderr
    assert losses(new.stdout) and all(map(math.isfinite, losses(new.stdout)))
    assert (old.returncode != 0) == is_marked(before, CRASHES), old.stderr or "it does not crash"


@pytest.mark.slow
@each_seen
def test_runs_find_it_and_fix_it(before: Path):
    """The whole engine, with verification: what it writes is the fixed program, and of that it asks nothing more."""
    pytest.importorskip("pyro")
    code = before.parent.name

    def verified(program: Path) -> Result:
        paths = tuple(files_of(program))
        options = Options(paths=paths, select=(code,), python=Path(sys.executable), cache=False, root=FIXTURES)
        return engine.check(options, lambda _: None)

    result = verified(before)
    told = [(f.verdict.status.value, f.verdict.reason) for f in result.findings]
    changes = {change.source.path: change.text for change in result.changes}
    for path in files_of(before):
        source = sources.read(path)
        expected = fixed_of(before) / path.relative_to(before) if before.is_dir() else fixed_of(before)
        data = source.encode(changes.get(path, source.text))
        assert data.decode("latin-1") == expected.read_bytes().decode("latin-1"), told
    fixes = [finding for finding in result.findings if finding.included]
    assert fixes and all(finding.verdict.status is Status.VERIFIED for finding in fixes), told
    assert any(finding.proposal.source == "seen" for finding in fixes), told
    again = verified(fixed_of(before))
    assert again.changes == (), [(f.proposal.message, f.verdict.reason) for f in again.findings]
