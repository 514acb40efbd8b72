"""The engine without verification: rounds, merging, what is skipped and why."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from showing import Shown, trajectory

from pyro_fix import catalogue, engine, rewrite, sources
from pyro_fix.analysis.program import Program
from pyro_fix.config import Options
from pyro_fix.judge import NEEDS_RUN, Static
from pyro_fix.observation import Observation
from pyro_fix.result import Result
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Transform, Verdict

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
"""


def check(folder: Path, *select: str, **options: object) -> Result:
    settings = Options(paths=(folder,), select=select, verify=False, root=folder)
    return engine.check(Options(**{**vars(settings), **options}), lambda _: None)


def write(folder: Path, **files: str | bytes) -> None:
    for name, text in files.items():
        path = folder.joinpath(*name.split("__")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())


BARE = PREAMBLE + "def guide():\n    dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)\n"


# -- rounds -------------------------------------------------------------------------------------------------------


def test_a_fix_can_bring_another_finding_to_light(tmp_path):
    write(tmp_path, a=BARE)
    result = check(tmp_path, "SVI051", "SVI161")
    assert [(f.proposal.code, f.included) for f in result.findings] == [("SVI051", True), ("SVI161", True)]
    (change,) = result.changes
    assert change.text == BARE.replace(
        "torch.tensor(2.)", "torch.tensor(2.), constraint=constraints.greater_than(0.001)"
    )
    assert change.source.data == BARE.encode()  # the difference is against the file on disk


def test_nothing_is_written(tmp_path):
    write(tmp_path, a=BARE)
    check(tmp_path)
    assert (tmp_path / "a.py").read_bytes() == BARE.encode()


def test_a_second_run_finds_nothing(tmp_path):
    write(tmp_path, a=BARE)
    (change,) = check(tmp_path).changes
    write(tmp_path, a=change.text)
    assert check(tmp_path).findings == ()


def test_findings_are_in_order_and_where_the_file_on_disk_has_them(tmp_path):
    """The import that the first round adds moves what the second one finds."""
    text = "import torch\nfrom pyro import param\nfrom pyro.distributions import Gamma\n\n\ndef guide():\n    Gamma(param('a', torch.tensor(2.)), 1.)\n"
    write(tmp_path, a=text)
    result = check(tmp_path, "SVI051", "SVI161")
    assert [(f.proposal.code, f.proposal.line) for f in result.findings] == [("SVI051", 7), ("SVI161", 7)]
    assert "+from pyro.distributions import constraints" in result.findings[0].diff


def test_two_params_of_one_statement_are_two_findings(tmp_path):
    """Each is known by its own place, so that one run mends both to the end."""
    params = [f"pyro.param('{name}', torch.tensor(2.))" for name in "ab"]
    text = PREAMBLE + f"def guide():\n    dist.Gamma({', '.join(params)}); dist.Beta({', '.join(params)})\n"
    write(tmp_path, a=text)
    result = check(tmp_path, "SVI051", "SVI161")
    assert len({f.fingerprint for f in result.findings}) == len(result.findings) == 4
    start = text.splitlines()[5].index("pyro.param('a'") + 1
    assert {f.proposal.column for f in result.findings} == {start, start + len(params[0]) + 2}
    (change,) = result.changes
    write(tmp_path, a=change.text)
    assert check(tmp_path).findings == ()


def test_the_way_back_from_edits():
    text = "abcdefghij"
    edits = [
        Edit(Path("a"), 0, 0, "++"),
        Edit(Path("a"), 2, 4, "X"),
        Edit(Path("a"), 6, 6, "yyy"),
        Edit(Path("a"), 9, 10, ""),
    ]
    patch = rewrite.compose({Path("a"): sources.from_bytes(Path("a"), text.encode())}, edits)
    assert patch.texts[Path("a")] == "++abXefyyyghi"
    way = rewrite.Way(patch.edits[Path("a")])
    assert [way.back(at) for at in range(13)] == [0, 0, 0, 1, 2, 4, 5, 6, 6, 6, 6, 7, 8]


def test_listing_needs_one_round(tmp_path):
    write(tmp_path, a=BARE)
    result = check(tmp_path, listing=True)
    assert [f.proposal.code for f in result.findings] == ["SVI051"]
    assert result.changes == ()


class Rule(Transform):
    """A transform made for a test: ``edit(text)`` gives the start, end and replacement of its edits."""

    code, name, tip, promise = "SVI991", "made-for-a-test", 9, Promise.RUNS_CLEAN
    edit: Callable[[str], list[tuple[int, int, str]]]
    needs_run = False

    def propose(self, program: Program) -> Iterator[Proposal]:
        for module in program.modules.values():
            node = next(n.value for n in module.tree.body if isinstance(n, ast.Expr))
            changes = type(self).edit(module.source.text)
            edits = tuple(Edit(module.path, *change) for change in changes)
            if edits:
                yield self.finding(
                    module, node, "a finding", (Candidate(edits, self.promise, "an edit", needs_run=self.needs_run),)
                )


@pytest.fixture
def rules(monkeypatch):
    def use(*edits: Callable[[str], list[tuple[int, int, str]]], **members: object) -> None:
        made = [
            type(f"Rule{i}", (Rule,), {"code": f"SVI99{i}", "edit": staticmethod(edit), **members})()
            for i, edit in enumerate(edits)
        ]
        monkeypatch.setattr(catalogue, "load", lambda: tuple(made))

    return use


PROGRAM = "import pyro\npyro.param('x')\nabcdef = 1\n"


def at(text: str, word: str, new: str) -> list[tuple[int, int, str]]:
    start = text.find(word)
    return [(start, start + len(word), new)] if start >= 0 else []


def test_fixes_that_overlap_are_applied_in_rounds(tmp_path, rules):
    """The second one sees what the first one made of the place."""
    rules(lambda t: at(t, "abcdef", "ABcdef"), lambda t: at(t, "abcdef", "never") + at(t, "ABcdef", "ABCDef"))
    write(tmp_path, a=PROGRAM)
    result = check(tmp_path)
    assert [f.included for f in result.findings] == [True, True]
    assert "ABCDef = 1" in result.changes[0].text


def test_fixes_that_undo_each_other_come_to_an_end(tmp_path, rules):
    rules(lambda t: at(t, "abcdef", "fedcba"), lambda t: at(t, "fedcba", "abcdef"))
    write(tmp_path, a=PROGRAM)
    result = check(tmp_path)
    assert len(result.findings) == 2  # each has had its say once


def test_a_fix_that_never_settles_comes_to_an_end(tmp_path, rules):
    rules(lambda t: at(t, "abcdef", "abcdefg"))
    write(tmp_path, a=PROGRAM)
    assert "abcdefg = 1" in check(tmp_path).changes[0].text


def test_text_that_would_not_parse_is_never_made(tmp_path, rules):
    rules(lambda t: at(t, "abcdef = 1", "abcdef = ("), lambda t: at(t, "'x'", "'y'"))
    write(tmp_path, a=PROGRAM, b=PROGRAM.replace("abcdef", "other"))
    result = check(tmp_path)
    assert [change.source.path.name for change in result.changes] == ["b.py"]
    assert all(ast.parse(change.text) for change in result.changes)


def test_what_needs_a_run_is_left_out(tmp_path, rules):
    rules(lambda t: at(t, "abcdef", "new"), needs_run=True)
    write(tmp_path, a=PROGRAM)
    result = check(tmp_path)
    (finding,) = result.findings
    assert result.changes == () and not finding.included
    assert finding.verdict.status is Status.UNVERIFIED and "needs a run" in finding.verdict.reason
    assert "+new = 1" in finding.diff


# -- one place, several callers -------------------------------------------------------------------------------------


def test_callers_that_agree_are_one_finding(tmp_path):
    text = PREAMBLE + (
        "def scale():\n    return pyro.param('s', torch.tensor(1.))\n"
        "def a():\n    dist.Normal(0., scale())\ndef b():\n    dist.Laplace(0., scale())\n"
    )
    write(tmp_path, a=text)
    assert len(check(tmp_path, "SVI051").findings) == 1


SVI = """\
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam
def make():
    return SVI(None, None, ClippedAdam({"lr": 0.1}), Trace_ELBO())
"""


def test_callers_that_differ_hold_the_fix_back(tmp_path):
    write(tmp_path, a=SVI + "".join(f"svi = make()\nfor _ in range({n}):\n    svi.step()\n" for n in (100, 200)))
    result = check(tmp_path, "SVI031")
    (finding,) = result.findings
    assert result.changes == ()
    assert "where the optimiser is built" in finding.verdict.reason


def test_callers_that_agree_on_the_edit_but_not_on_the_rate(tmp_path):
    """``n`` is right for both; how fast the rate falls is for a run to say."""
    text = (
        SVI.replace("make()", "make(n)").replace("return", "svi =")
        + "    for _ in range(n):\n        svi.step()\nmake(100)\nmake(200)\n"
    )
    write(tmp_path, a=text)
    (finding,) = check(tmp_path, "SVI031").findings
    assert finding.proposal.candidates and not finding.included
    (candidate,) = finding.proposal.candidates
    assert candidate.rate is not None and candidate.rate.lrd is None


# -- files --------------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_read_are_skipped_with_a_reason(tmp_path):
    write(
        tmp_path,
        good=BARE,
        syntax="import pyro\npyro.param(\n",
        text=b"import pyro\npyro.param('\xff')\n",
        null=b"import pyro\npyro.param('x')\x00\n",
    )
    result = check(tmp_path)
    reasons = {skipped.path.name: skipped.reason for skipped in result.skipped}
    assert set(reasons) == {"syntax.py", "text.py", "null.py"}
    assert reasons["syntax.py"].startswith("cannot be parsed: line 2")
    assert "encoding" in reasons["text.py"]
    assert all("\n" not in reason for reason in reasons.values())
    assert [change.source.path.name for change in result.changes] == ["good.py"]
    assert result.files == 4


def test_excluded_files_are_not_read(tmp_path):
    write(tmp_path, a=BARE, old__b=BARE)
    result = check(tmp_path, "SVI051", exclude=("old",))
    assert [f.proposal.path.name for f in result.findings] == ["a.py"]
    assert result.files == 1


def test_excluded_files_still_tell_facts(tmp_path):
    """They are part of the program, and nothing in them is changed."""
    write(
        tmp_path,
        a=PREAMBLE + "from b import scale\ndef guide():\n    dist.Normal(0., scale())\n    pyro.param('x')\n",
        b=PREAMBLE + "def scale():\n    return pyro.param('s', torch.tensor(1.)).exp()\n",
    )
    assert check(tmp_path, exclude=("b.py",)).findings == ()


def test_imported_files_that_were_not_asked_for_are_not_changed(tmp_path):
    write(
        tmp_path,
        a=PREAMBLE + "from b import scale\ndef guide():\n    dist.Normal(0., scale())\n    pyro.param('x')\n",
        b=PREAMBLE + "def scale():\n    return pyro.param('s', torch.tensor(1.))\n",
    )
    assert check(tmp_path, paths=(tmp_path / "a.py",)).findings == ()
    assert len(check(tmp_path).changes) == 1


def test_a_path_that_does_not_exist(tmp_path):
    with pytest.raises(sources.SourceError, match="no such file"):
        check(tmp_path, paths=(tmp_path / "missing",))


def test_a_code_that_does_not_exist(tmp_path):
    with pytest.raises(ValueError, match="no transform"):
        check(tmp_path, "SVI9")


def test_tests_are_held_back_unless_they_are_named(tmp_path):
    text = BARE.replace("def guide", "def test_guide")
    write(tmp_path, test_a=text)
    (finding,) = check(tmp_path, "SVI051").findings
    assert not finding.proposal.candidates and "test" in finding.verdict.reason
    assert len(check(tmp_path, "SVI051", paths=(tmp_path / "test_a.py",)).changes) == 1


def test_the_same_file_twice(tmp_path):
    write(tmp_path, a=BARE)
    assert check(tmp_path, paths=(tmp_path, tmp_path / "a.py")).files == 1


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "import pyro\n", "\ufeff"])
def test_files_without_anything(tmp_path, text: str):
    write(tmp_path, a=text)
    result = check(tmp_path)
    assert (result.findings, result.changes, result.skipped) == ((), (), ())


def test_relative_paths(tmp_path, monkeypatch):
    write(tmp_path, a=BARE)
    monkeypatch.chdir(tmp_path)
    result = check(tmp_path, paths=(Path("a.py"),))
    assert len(result.changes) == 1
    assert result.findings[0].diff.startswith("--- a/a.py\n+++ b/a.py\n")


@pytest.mark.parametrize(
    "data",
    [
        BARE.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + BARE.encode(),
        b"# coding: latin-1\n# \xfc\n" + BARE.encode(),
        BARE.rstrip("\n").encode(),
    ],
)
def test_bytes_outside_the_edit_stay(tmp_path, data: bytes):
    write(tmp_path, a=data)
    (change,) = check(tmp_path, "SVI051").changes
    new = change.source.encode(change.text)
    assert new == data.replace(b"torch.tensor(2.)", b"torch.tensor(2.), constraint=constraints.positive")


def test_what_is_held_back_is_looked_at_again(tmp_path: Path) -> None:
    """SGD keeps the ELBO from being normalised; once ClippedAdam is there, nothing does, and a second run is quiet."""
    file = tmp_path / "program.py"
    file.write_text(
        "import pyro\nimport pyro.distributions as dist\nimport torch\nfrom pyro import poutine\n"
        "from pyro.infer import SVI, Trace_ELBO\nfrom pyro.optim import SGD\n\ndata = torch.randn(1000)\n\n\n"
        "def model(x):\n    z = pyro.sample('z', dist.Normal(0.0, 1.0))\n    with pyro.plate('data', len(x)):\n"
        "        pyro.sample('x', dist.Normal(z, 1.0), obs=x)\n\n\ndef guide(x):\n"
        "    pyro.sample('z', dist.Normal(pyro.param('m', torch.tensor(0.0)), 1.0))\n\n\n"
        "svi = SVI(model, guide, SGD({'lr': 0.1}), Trace_ELBO())\nfor _ in range(500):\n    svi.step(data)\n"
    )

    options = Options(paths=(file,), select=("SVI021", "SVI101"), root=tmp_path)
    result = engine.check(options, lambda _: None, AllVerified())
    assert [f.proposal.code for f in result.findings if f.included] == ["SVI101", "SVI021"]
    assert len(result.findings) == 2
    file.write_text(result.changes[0].text)
    assert not engine.check(options, lambda _: None, AllVerified()).findings


def test_a_transform_waits_for_those_that_have_the_first_word(tmp_path: Path) -> None:
    write(tmp_path, a=BARE)

    class Late(Transform):
        """Comes after constraints."""

        code, name, tip, promise, after = "SVI061", "late", 6, Promise.NO_WORSE, ("SVI05",)

        def propose(self, program: Program) -> Iterator[Proposal]:
            for param in program.params:
                edit = Edit(param.module.path, 0, 0, "# late\n")
                if "# late" not in param.module.source.text:
                    yield self.finding(param.module, param.call, "late", (Candidate((edit,), self.promise, "late"),))

    class Remembers(AllVerified):
        rounds: ClassVar[list[list[str]]] = []

        def decide(self, program, base, proposals):
            self.rounds.append([p.code for p in proposals])
            return super().decide(program, base, proposals)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "load", lambda: (*_only("SVI051"), Late()))
        result = engine.check(Options(paths=(tmp_path,), root=tmp_path), lambda _: None, Remembers())
    assert [codes for codes in Remembers.rounds if codes] == [["SVI051"], ["SVI061"]]
    assert sorted(f.proposal.code for f in result.findings if f.included) == ["SVI051", "SVI061"]


def test_what_only_a_run_can_tell_does_not_wait_where_nothing_runs(tmp_path: Path) -> None:
    """Another file's constraint, say, has nothing to do with it; a run would be wanted all the same."""
    write(tmp_path, a=BARE, b="import pyro\npyro.enable_validation(False)\nprint()\n")
    switch = next(f for f in check(tmp_path, "SVI051", "SVI121", listing=True).findings if f.proposal.code == "SVI121")
    assert (switch.verdict.status, switch.verdict.reason) == (Status.UNVERIFIED, NEEDS_RUN)


def test_it_does_not_wait_for_fixes_that_wait_themselves(tmp_path: Path) -> None:
    """One that can only be judged once another defect is gone is judged again with what waited for it."""
    write(tmp_path, a=BARE)

    class Last(Transform):
        """Comes after everything."""

        code, name, tip, promise, after = "SVI061", "last", 6, Promise.NO_WORSE, ("SVI",)

        def propose(self, program: Program) -> Iterator[Proposal]:
            for param in program.params:
                edit = Edit(param.module.path, 0, 0, "# last\n")
                if "# last" not in param.module.source.text:
                    yield self.finding(param.module, param.call, "last", (Candidate((edit,), self.promise, "last"),))

    class Defers(AllVerified):
        rounds: ClassVar[list[list[str]]] = []

        def decide(self, program, base, proposals):
            self.rounds.append([p.code for p in proposals])
            verdicts = super().decide(program, base, proposals)
            deferred = Verdict(Status.UNVERIFIED, "goes wrong as the original does", {"deferred": True})
            return [deferred if p.code == "SVI051" else v for p, v in zip(proposals, verdicts, strict=True)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(catalogue, "load", lambda: (*_only("SVI051"), Last()))
        result = engine.check(Options(paths=(tmp_path,), root=tmp_path), lambda _: None, Defers())
    assert Defers.rounds[:2] == [["SVI051"], ["SVI051", "SVI061"]]
    assert [f.proposal.code for f in result.findings if f.included] == ["SVI061"]
    assert len(Defers.rounds) <= 3


class Breaks(Rule):
    """What stops the program of each file that says ``bad``."""

    code, tip = "SVI990", 0

    def propose(self, program: Program) -> Iterator[Proposal]:
        for path, module in program.modules.items():
            if "bad" in module.source.text:
                node = next(n.value for n in module.tree.body if isinstance(n, ast.Expr))
                told = self.finding(module, node, "the program breaks", held_back="no fix is known for it")
                yield replace(told, programs=frozenset({f"python {path.name}"}))


class Mends(Rule):
    edit = staticmethod(lambda text: at(text, "bad", "good"))


class Ends(Static):
    """Runs each file, which reads ``common.py``; each fix ends what breaks the program of its file, or of ``common_of``."""

    can_run: ClassVar[bool] = True

    def __init__(self, common_of: str = "") -> None:
        self.common_of = common_of

    def observe(self, program: Program, base: object) -> Sequence[Observation]:
        return [
            Observation(
                *(f"python {path.name}", "python", {}, "cpu", (), {}, (path.name, "common.py"), None, (), 1.0),
                cwd=str(path.parent),
            )
            for path in program.modules
            if path.name != "common.py"
        ]

    def decide(self, program: Program, base: object, proposals: Sequence[Proposal]) -> list[Verdict]:
        def verdict(proposal: Proposal) -> Verdict:
            name = self.common_of if proposal.path.name == "common.py" else proposal.path.name
            return Verdict(Status.VERIFIED, "", {"command": f"python {name}", "ends": {}}, proposal.candidates[0])

        return [verdict(p) if p.candidates else Verdict(Status.NONE, p.held_back) for p in proposals]


class TestMended:
    BAD = PROGRAM.replace("abcdef", "bad")

    def by(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, listing: bool = False, **files: str) -> list[str]:
        monkeypatch.setattr(catalogue, "load", lambda: (Breaks(), Mends()))
        monkeypatch.chdir(folder)
        write(folder, **files)
        options = Options(paths=(folder,), root=folder, listing=listing)
        result = engine.check(options, lambda _: None, Ends("a.py"))
        broke = [f for f in result.findings if not f.proposal.tip]
        return [one.reason for one in result.gone] if not listing else [f.verdict.reason for f in broke]

    def test_each_program_by_its_own_fixes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        files = {"a": self.BAD, "b": self.BAD}
        assert self.by(tmp_path, monkeypatch, **files) == ["by SVI991 a.py:2", "by SVI991 b.py:2"]
        listed = self.by(tmp_path, monkeypatch, listing=True, **files)
        assert listed == ["SVI991 a.py:2 ends it", "SVI991 b.py:2 ends it"]

    def test_a_file_that_several_programs_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever was seen to end it there is named; the fix of a shared file where nobody else was."""
        alone = {"a": PROGRAM, "b": PROGRAM, "common": self.BAD}
        assert self.by(tmp_path, monkeypatch, **alone) == ["by SVI991 common.py:2"]
        each = self.by(tmp_path, monkeypatch, **(alone | {"a": self.BAD, "b": self.BAD}))
        assert each == ["by SVI991 a.py:2, SVI991 common.py:2", "by SVI991 b.py:2", "by SVI991 common.py:2"]


class AllVerified(Static):
    """Runs nothing, and takes every fix for verified."""

    can_run: ClassVar[bool] = True

    def decide(self, program, base, proposals):
        return [
            Verdict(Status.VERIFIED, "", {}, p.candidates[0]) if p.candidates else Verdict(Status.NONE, p.held_back)
            for p in proposals
        ]


def _only(code: str) -> tuple[Transform, ...]:
    return catalogue.select(LOADED, [code], [])


LOADED = catalogue.load()


def test_what_runs_leave_nothing_of_is_told(tmp_path: Path) -> None:
    """In one line each, with the reason where the transform gives one."""
    from pyro_fix.report import json as as_json
    from pyro_fix.report import text

    path = tmp_path / "train.py"
    path.write_text(
        "import torch, pyro\nimport pyro.distributions as dist\nfrom pyro.infer import SVI, Trace_ELBO\n\n\n"
        "def model(data):\n    z = pyro.sample('z', dist.Normal(0.0, 1.0))\n"
        "    with pyro.plate('n', len(data)):\n        pyro.sample('x', dist.Normal(z, 1.0), obs=data)\n\n\n"
        "def guide(data):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.tensor(0.0)), 1.0))\n\n\n"
        "data = torch.randn(len(__name__))\nsvi = SVI(model, guide, pyro.optim.Adam({'lr': 0.01}), Trace_ELBO())\nsvi.step(data)\n"
    )
    options = Options(paths=(path,), select=("SVI101",), root=tmp_path)
    assert len(check(path, "SVI101").findings) == 1
    result = engine.check(options, lambda _: None, Shown([trajectory([1.0] * 100)]))
    assert result.findings == ()
    (line,) = text.gone(result, tmp_path)
    assert line.startswith("withdrawn: train.py:17:7: SVI101 the ELBO grows with the number of data")
    assert line.endswith(": the loss is about 1 in the run")
    assert '"how": "withdrawn"' in as_json.document(result, tmp_path, applied=False)
