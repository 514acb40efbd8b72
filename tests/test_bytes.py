"""Bytes outside of edits stay as they are, whatever a file's encoding and newlines, and so do comments."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from pyro_fix import engine, rewrite, sources
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.transform import Edit

PREAMBLE = "import torch\nimport pyro\nimport pyro.distributions as dist\nfrom pyro.distributions import constraints\n"
BARE = PREAMBLE + "def guide():\n    dist.Gamma(pyro.param('a', torch.tensor(2.)), 1.)  # TEXT\n"
FIXED = BARE.replace("(2.)", "(2.), constraint=constraints.positive")


def check(path: Path, *select: str) -> Result:
    return engine.check(Options(paths=(path,), select=select, verify=False, root=path), lambda _: None)


def fixed(path: Path, data: bytes, *select: str) -> bytes | None:
    """What becomes of a file's bytes; None where it is left alone."""
    path.write_bytes(data)
    result = check(path, *select)
    return result.changes[0].source.encode(result.changes[0].text) if result.changes else None


# -- encodings -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        ("cp932", b"\x81\xe6 \x87\x9a"),  # two codes of one sign
        ("big5", b"\xa1\x5a \xa1\xc3"),
        ("iso2022_jp", b'\x1b$B$"\x1b(B\x1b$B$$\x1b(B'),  # a shift out and in that no encoder writes
        ("iso2022_kr", b"a \x1b$)C b"),
        ("hz", b"~{<:Ky~}~{2;~}"),
        ("utf_7", b"+AGE- and +AOQA5A-"),
        ("raw_unicode_escape", rb"\u00e9"),
        ("unicode_escape", rb"\x41"),
    ],
)
def test_encodings_that_do_not_come_back(tmp_path: Path, encoding: str, data: bytes) -> None:
    path = tmp_path / "a.py"
    text = f"# coding: {encoding}\n{BARE}".encode().replace(b"TEXT", data)
    try:
        same = text.decode(encoding).encode(encoding) == text
    except UnicodeError:
        pytest.skip("this Python's codec refuses it")
    new = fixed(path, text, "SVI051")
    if same:
        assert new == text.replace(b"(2.)", b"(2.), constraint=constraints.positive")
    else:
        assert new is None
        ((skipped),) = check(path).skipped
        assert skipped.odd and "would not bring back the same bytes" in skipped.reason


@pytest.mark.parametrize(
    "encoding", ["cp932", "big5", "cp950", "euc_kr", "shift_jis", "gb18030", "koi8-r", "cp1252", "utf-8-sig"]
)
def test_encodings_that_come_back(tmp_path: Path, encoding: str) -> None:
    header = "" if encoding == "utf-8-sig" else f"# coding: {encoding}\n"
    words = {"koi8-r": "привет", "cp1252": "naïve €", "euc_kr": "한국", "utf-8-sig": "ü 語"}.get(encoding, "一二三")
    text = header + BARE.replace("TEXT", words)
    new = fixed(tmp_path / "a.py", text.encode(encoding), "SVI051")
    assert new == (header + FIXED.replace("TEXT", words)).encode(encoding)


def test_an_edit_within_what_another_character_began(tmp_path: Path) -> None:
    """UTF-7 spells letters between ``+`` and ``-`` together: an edit between two of them would change both."""
    path = tmp_path / "a.py"
    source = sources.Source(path, "äö".encode("utf-7"), "utf-7", "äö")
    assert not rewrite.survives(source, (Edit(path, 1, 1, "ü"),))
    assert rewrite.doubt({path: source}, (Edit(path, 1, 1, "ü"),)).startswith("in its encoding, utf-7")
    plain = sources.Source(path, b"ab", "utf-7", "ab")
    assert rewrite.survives(plain, (Edit(path, 1, 1, "c"),)) and not rewrite.doubt(
        {path: plain}, (Edit(path, 1, 1, "c"),)
    )


# -- newlines ------------------------------------------------------------------------------------------------------

ODD_LINES = (
    "import torch\nimport pyro\nfrom pyro.distributions import Gamma\nfrom pyro.infer import SVI, Trace_ELBO\n"
    "from pyro.optim import Adam\n\x0c\nx = 'a\x0bb\x1cc\u2028d'  # \x85 e\ndef guide():\n    Gamma(\n"
    "        pyro.param('ü', torch.tensor(2.)),  # one\n        # two\n        pyro.param(\n            'b',\n"
    "            torch.tensor(2.),  # three\n        ),\n    )\nsvi = SVI(guide, guide, Adam({\n    'lr': 0.1,  # rate\n"
    "}), Trace_ELBO())\nfor i in range(1000):\n    svi.step()\n"
)


@pytest.mark.parametrize("newline", ["\n", "\r", "\r\n"])
@pytest.mark.parametrize("shape", ["plain", "bom", "no last newline"])
def test_newlines(tmp_path: Path, newline: str, shape: str) -> None:
    def shaped(text: str) -> bytes:
        text = text.rstrip("\n") if shape == "no last newline" else text
        return text.replace("\n", newline).encode("utf-8-sig" if shape == "bom" else "utf-8")

    reference = fixed(tmp_path / "a.py", ODD_LINES.encode())
    assert reference is not None and reference.count(b"constraint=") == 2
    places = [(f.proposal.code, f.proposal.line, f.proposal.column) for f in check(tmp_path / "a.py").findings]
    path = tmp_path / "b.py"
    assert fixed(path, shaped(ODD_LINES)) == shaped(reference.decode())
    assert [(f.proposal.code, f.proposal.line, f.proposal.column) for f in check(path).findings] == places


def test_lines_of_edits_count_every_kind_of_newline() -> None:
    path = Path("a.py")
    source = sources.from_bytes(path, b"a\rb\r\nc\nd\x0ce")
    at = source.text.index
    edits = [Edit(path, at(word), at(word) + 1, word.upper()) for word in "abcde"]
    assert rewrite.compose({path: source}, edits).lines[path] == (1, 2, 3, 4)
    assert [source.line_of(at(word)) for word in "abcde"] == [1, 2, 3, 4, 4]


# -- comments ------------------------------------------------------------------------------------------------------


def test_edits_that_would_lose_a_comment_are_held_back() -> None:
    path = Path("a.py")
    text = "f(a,  # why\n  b)\nx = '# no comment'\n"
    source = sources.from_bytes(path, text.encode())
    start, end = text.index("a"), text.index("b")
    assert (
        rewrite.doubt({path: source}, (Edit(path, start, end, "c, "),)) == "a comment that stands in it would be lost"
    )
    assert not rewrite.doubt({path: source}, (Edit(path, start, end, "c,  # also; # why\n  "),))
    assert not rewrite.doubt({path: source}, (Edit(path, text.index("'#"), len(text) - 1, "1"),))


OPTIMISERS = {
    'SGD({\n    # before\n    "lr": 0.1,  # tuned by hand\n    "momentum": 0.9,  # from the paper\n    # last\n})': [
        "# before",
        '"lr": 0.01,  # tuned by hand',
        "# from the paper",
        "# last",
    ],
    'SGD({"lr": 0.1,  # a rate\n "weight_decay": wd})': ['"lr": 0.01,  # a rate', '"weight_decay": wd'],
    "SGD(dict(\n    lr=0.1,\n    weight_decay=(\n        1e-3  # within\n    ),  # behind\n))": [
        "# within",
        "# behind",
    ],
    'SGD(  # opening\n    {"lr": 0.1}  # closing\n)': ["# opening", "# closing"],
}


@pytest.mark.parametrize("written", OPTIMISERS)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_svi021_keeps_every_comment(tmp_path: Path, written: str, newline: str) -> None:
    text = (
        "from pyro.infer import SVI, Trace_ELBO\nfrom pyro.optim import SGD\nwd = 0.1\ndef f():\n"
        f"    svi = SVI(None, None, {written}, Trace_ELBO())\n    for _ in range(1000):\n        svi.step()\n"
    )
    path = tmp_path / "a.py"
    path.write_bytes(text.replace("\n", newline).encode())
    (finding,) = check(path, "SVI021").findings
    assert finding.proposal.candidates
    source = sources.read(path)
    for candidate in finding.proposal.candidates:
        new = rewrite.compose({path: source}, candidate.edits).texts[path]
        source.check(new)
        for comment in re.findall(r"# [a-z ]+", written):
            assert comment in new
        assert newline == "\n" or not re.search(r"(?<!\r)\n" if newline == "\r\n" else r"\n", new)
    new = rewrite.compose({path: source}, finding.proposal.candidates[0].edits).texts[path]
    for words in OPTIMISERS[written]:
        assert words in new


# -- programs of any shape -----------------------------------------------------------------------------------------

_NAMES = some.text("abüé語_", min_size=1, max_size=3)
_INITIAL = some.sampled_from(
    ["torch.tensor(2.)", "torch.ones(3)", "torch.tensor([1., 2.])", "torch.rand(3)", "init", "lambda: torch.ones(2)"]
)
_CONSTRAINT = some.sampled_from(["", "", ", constraint=constraints.positive", ", constraint=constraints.real"])
_COMMENT = some.sampled_from(["", "", "  # a comment", "  # ü 語 (, 'x'"])


@some.composite
def _param(draw: some.DrawFn) -> str:
    text = f"pyro.param('{draw(_NAMES)}', {draw(_INITIAL)}{draw(_CONSTRAINT)})"
    return draw(some.sampled_from([text, text, f"{text}.exp()", f"({text})", f"{text}.expand([3])"]))


@some.composite
def _distribution(draw: some.DrawFn) -> str:
    kind = draw(some.sampled_from(["dist.Gamma", "dist.Beta", "dist.Normal", "Gamma", "dist.Pareto"]))
    values = [draw(_param()), draw(some.one_of(_param(), some.just("1.")))]
    gap = draw(some.sampled_from([", ", ",", " , "]))
    if draw(some.booleans()):
        gap = f",{draw(_COMMENT)}\n            "
        return f"{kind}(\n            {gap.join(values)},{draw(_COMMENT)}\n        )"
    return f"{kind}({gap.join(values)})"


@some.composite
def _statement(draw: some.DrawFn) -> str:
    made = draw(some.lists(_distribution(), min_size=1, max_size=3))
    form = draw(some.sampled_from(["; ", ", ", "site"]))
    if form == "site":
        return "; ".join(f"pyro.sample('s', {one})" for one in made) + draw(_COMMENT)
    return form.join(made) + draw(_COMMENT)


@some.composite
def _program(draw: some.DrawFn) -> bytes:
    body = draw(some.lists(_statement(), min_size=1, max_size=4))
    text = PREAMBLE + "from pyro.distributions import Gamma\ndef guide(init):\n"
    if draw(some.booleans()):
        text = text.replace("from pyro.distributions import constraints\n", "")  # has to be imported, or reached
        text = text.replace("constraints.", "dist.constraints.")
        body = [line.replace("=constraints.", "=dist.constraints.") for line in body]
    text += "".join(f"    {statement}\n" for statement in body)
    text = text if draw(some.booleans()) else text.rstrip("\n")
    text = text.replace("\n", draw(some.sampled_from(["\n", "\r\n", "\r"])))
    return text.encode(draw(some.sampled_from(["utf-8", "utf-8-sig"])))


_WRITTEN = re.compile(
    rb",\s*constraint=[\w.]+(\([-\d., ]*\))?,?|from pyro\.distributions import constraints[\r\n]+|\s+"
)


def _holds(path: Path, data: bytes) -> None:
    """One run mends all that it will, and touches constraints alone."""
    new = fixed(path, data)
    if new is None:
        return
    assert _WRITTEN.sub(b"", new).replace(b",)", b")") == _WRITTEN.sub(b"", data).replace(b",)", b")")
    assert set(re.findall(rb"\r\n|\r|\n", new)) == set(re.findall(rb"\r\n|\r|\n", data))
    assert re.findall(rb"# [^\r\n]*", new) == re.findall(rb"# [^\r\n]*", data)
    compile(new, "a.py", "exec")
    assert fixed(path, new) is None, "a second run changes more"


_SETTINGS = {"deadline": None, "derandomize": True, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=40, **_SETTINGS)
@given(data=_program())
def test_any_program_is_mended_by_one_run(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    _holds(tmp_path_factory.mktemp("any") / "a.py", data)


@pytest.mark.slow
@settings(max_examples=int(os.environ.get("PYRO_FIX_EXAMPLES", "1000")), **_SETTINGS)
@given(data=_program())
def test_any_of_many_programs_is_mended_by_one_run(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    _holds(tmp_path_factory.mktemp("any") / "a.py", data)
