"""Notebooks: found, read, analysed by cell, rewritten byte for byte, and run."""

from __future__ import annotations

import ast
import difflib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from notebooks import LAYOUTS, code, document, prose

from pyro_fix import engine, sources
from pyro_fix import notebook as notebooks
from pyro_fix.apply import write
from pyro_fix.cli import main
from pyro_fix.config import Options
from pyro_fix.diffs import of_change
from pyro_fix.notebook import magics
from pyro_fix.report import json as report
from pyro_fix.report import text as plain
from pyro_fix.result import Result
from pyro_fix.sources import SourceError
from pyro_fix.transform import Status

IMPORTS = """\
%matplotlib inline
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam"""
DATA = """\
%%time
!pip install \\
    nothing
pyro.set_rng_seed(0)
data = torch.randn(50) * 2 + 3  # caf\u00e9 \u2028 <b>
files = !ls"""
MODEL = """\
def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, 2.0), obs=data)

def guide(data):
    m = pyro.param("m", torch.tensor(0.0))
    s = pyro.param("s", torch.tensor(0.9))
    pyro.sample("loc", dist.Normal(m, s))
"""
TRAIN = """\
svi = SVI(model, guide, ClippedAdam({"lr": 0.01}), loss=Trace_ELBO())
for step in range(200):
    %time loss = svi.step(data)
guide?"""
CELLS = [prose("# A model\n\nof `pyro.param`"), code(IMPORTS), code(DATA), prose("and"), code(MODEL), code(TRAIN)]
BARE, FIXED = "torch.tensor(0.9))", "torch.tensor(0.9), constraint=constraints.positive)"


def check(path: Path, *select: str, **options: object) -> Result:
    settings = {"paths": (path,), "select": select or ("SVI051",), "verify": False, "root": path.parent}
    return engine.check(Options(**{**settings, **options}), lambda _: None)


def save(folder: Path, data: bytes | dict[str, object], name: str = "nb.ipynb") -> Path:
    path = folder / name
    path.write_bytes(data if isinstance(data, bytes) else json.dumps(data, indent=1).encode())
    return path


def cells_of(data: bytes) -> list[str]:
    return ["".join(cell["source"]) for cell in json.loads(data.decode("utf-8-sig"))["cells"]]


# -- the file ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_fix_changes_its_line_and_no_other_byte(tmp_path: Path, layout: str) -> None:
    path = save(tmp_path, LAYOUTS[layout](CELLS))
    before = path.read_bytes()
    source = sources.read(path)
    assert source.encode(source.text) == before
    result = check(path)
    assert [(f.proposal.code, f.cell, f.proposal.line, f.proposal.column) for f in result.findings] == [
        ("SVI051", 5, 8, 9)
    ]
    write(result.changes)
    after = path.read_bytes()
    assert cells_of(after) == [cell.replace(BARE, FIXED) for cell in cells_of(before)]
    # What was inserted is all that differs: taken out again, the file is the old one.
    inserted = FIXED.removeprefix(BARE[:-1])[:-1].encode()
    assert after.count(inserted) == 1
    assert after.replace(inserted, b"") == before
    assert check(path).findings == ()
    assert sources.read(path).text == result.changes[0].text


@pytest.mark.parametrize("layout", LAYOUTS)
def test_lines_come_and_go(tmp_path: Path, layout: str) -> None:
    """A new line is one line of the file where the file keeps a line a line; everything else stays."""
    source = sources.read(save(tmp_path, LAYOUTS[layout](CELLS)))
    text = source.text.replace("import torch\n", "import torch\nimport os  # \u00e9\n")
    text = text.replace("files = !ls\n", "files = !ls\nlast = 1\n").replace(
        '    m = pyro.param("m", torch.tensor(0.0))\n', ""
    )
    after = source.encode(text)
    expected = [
        cell.replace("import torch\n", "import torch\nimport os  # \u00e9\n")
        .replace("files = !ls", "files = !ls\nlast = 1")
        .replace('    m = pyro.param("m", torch.tensor(0.0))\n', "")
        for cell in cells_of(source.data)
    ]
    assert cells_of(after) == expected
    assert sources.from_bytes(source.path, after).text == text
    assert json.loads(after.decode("utf-8-sig"))["metadata"] == json.loads(source.data.decode("utf-8-sig"))["metadata"]
    if layout.startswith(("jupyter", "indent", "tabs", "crlf", "byte", "keys", "html")):
        a, b = (data.decode("latin-1").splitlines() for data in (source.data, after))
        changed = [line for line in difflib.ndiff(a, b) if line[0] in "+-"]
        assert len(changed) == 5, changed  # two new, one gone, and one that got a comma
    if "escaped" in layout:
        assert after.isascii()


def test_endings_of_lines_inside_cells_are_kept(tmp_path: Path) -> None:
    path = save(tmp_path, document([code(MODEL.replace("\n", "\r\n")), code(IMPORTS.replace("\n", "\r\n"))][::-1]))
    (change,) = check(path).changes
    assert change.source.newline == "\r\n"
    assert cells_of(change.source.encode(change.text))[1] == MODEL.replace(BARE, FIXED).replace("\n", "\r\n")


def test_an_import_that_is_added_stays_in_its_cell(tmp_path: Path) -> None:
    imports = "import torch\nfrom pyro import param, sample\nfrom pyro.distributions import Normal"
    cells = [code(imports), prose("x"), code('def guide():\n    sample("x", Normal(0., param("s", torch.tensor(1.))))')]
    (change,) = check(save(tmp_path, document(cells))).changes
    after = cells_of(change.source.encode(change.text))
    assert after[0] == imports + "\nfrom pyro.distributions import constraints"
    assert "constraint=constraints.positive" in after[2]


def test_a_cell_that_spells_our_separator(tmp_path: Path) -> None:
    cells = [code("# %% [cell 2]\nx = 1\n# %%% [cell 9]"), *CELLS]
    path = save(tmp_path, document(cells))
    result = check(path)
    assert [f.cell for f in result.findings] == [6]
    (change,) = result.changes
    assert cells_of(change.source.encode(change.text))[0] == cells[0][1]


def test_a_lost_separator_is_refused(tmp_path: Path) -> None:
    source = sources.read(save(tmp_path, document(CELLS)))
    with pytest.raises(ValueError, match="between two cells"):
        source.encode(source.text.replace("# %% [cell 3]\n", ""))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'{"cells": [pyro', "is not valid JSON: line 1"),
        (b'{"cells": []} pyro', "is not valid JSON: line 1: Extra data"),
        (b'["pyro"]', "is not valid JSON: line 1: Expecting '{'"),
        (b"[" * 99999 + b"pyro", "is not valid JSON"),
        (b'{"cells": [], "pyro": ' + b"[" * 99999, "is nested too deeply"),
        (b'{"worksheets": [{"cells": ["import pyro"]}], "nbformat": 3}', "is in notebook format 3; only format 4 is read"),
        (b'{"pyro": 1}', "is no Jupyter notebook; only format 4 is read"),
        (b'{"cells": [{"cell_type": "code", "source": [1, "pyro"]}], "nbformat": 4}', "whose source is no text"),
        (b'{"cells": [], "x": "pyro \xff", "nbformat": 4}', "is not UTF-8"),
        (json.dumps(document(CELLS, language="R")).encode(), "its cells are written in r"),
    ],
)  # fmt: skip
def test_what_is_no_python_notebook_is_skipped(tmp_path: Path, data: bytes, reason: str) -> None:
    result = check(save(tmp_path, data))
    assert result.findings == ()
    assert [skipped.cell for skipped in result.skipped] == [None]
    assert reason in result.skipped[0].reason
    assert "\n" not in result.skipped[0].reason


def test_notebooks_are_found_beside_python_files(tmp_path: Path) -> None:
    for name in ("b.ipynb", "a.py", "c.txt", ".ipynb_checkpoints/b-checkpoint.ipynb", "sub/d.ipynb"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in sources.discover([tmp_path], print)] == ["a.py", "b.ipynb", "d.ipynb"]


def test_outputs_cost_no_search(tmp_path: Path) -> None:
    """They mention everything, and say nothing of the code."""
    notebook = document([code("import torch")])
    notebook["cells"][0]["outputs"] = [{"text": "import pyro\npyro.param('x')" * 10}]
    assert check(save(tmp_path, notebook)).findings == ()


# -- what Python reads ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("%matplotlib inline\nx = 1", "0\nx = 1"),
        ("!ls 'it\nx = 1", "0\nx = 1"),
        ("if x:\n    !ls\n    y = 1", "if x:\n    0\n    y = 1"),
        ("!pip install \\\n   a \\\n   b\nx = 1", "0\n\n\nx = 1"),
        ("x = !ls 'it\ny = %who\nz = 1", "x = []\ny = []\nz = 1"),
        ("a, b.c = !ls", "a, b.c = []"),
        ("?f\nf?\nif x:\n  f.g??\nx = 1", "0\n0\nif x:\n  0\nx = 1"),
        ("%time x = f()\n", "0;    x = f()\n"),
        ("%time for i in x: pass\ny", "0\ny"),
        ("for i in x:\n    %timeit f(i)\n", "for i in x:\n    0;      f(i)\n"),
        ("%%time\nx = 1\n%who\n", "0\nx = 1\n0\n"),
        ("\n%%capture out\nx = 1", "\n0\nx = 1"),
        ("%%bash\nfor i in *; do\n  echo $i\ndone", "\n\n\n"),
        ("%%html\n<b>\n", "\n\n"),
        ("pip install numpy", ""),
        ("cd data", ""),
        ("x = (1\n  % 2\n  / 3)\n%who", "x = (1\n  % 2\n  / 3)\n0"),
        ("s = '''\n%who\n!ls\n'''\n%who", "s = '''\n%who\n!ls\n'''\n0"),
        ("x = 7 \\\n  % 2\n%who", "x = 7 \\\n  % 2\n0"),
        ("x = 1 # it's (\n%who", "x = 1 # it's (\n0"),
        ("def f(a, b='%x'):\n    return '[' % a\n%who", "def f(a, b='%x'):\n    return '[' % a\n0"),
        ("x != !y", None),
        ("x == 1\r\n%who\r\ny\r\n", "x == 1\r\n0\r\ny\r\n"),
        ("plt.plot(x);", "plt.plot(x);"),
        ("await f()", "await f()"),
        ("/f 1\n,f a\n;f a", "0\n0\n0"),
        ("print 'old'\nx = 1", None),
        ("x = [\n", None),
        ("x = 1 \\", None),
        ("ls = 1", "ls = 1"),
    ],
)  # fmt: skip
def test_magics(cell: str, expected: str | None) -> None:
    masked = magics.masked(cell)
    if expected is None:
        assert masked.error
        assert not masked.code.strip()
        assert masked.runs.startswith("raise SyntaxError(")
    else:
        assert (masked.code, masked.error) == (expected, "")
        ast.parse(masked.code)
    ends = re.findall("[\r\n]", cell)
    assert re.findall("[\r\n]", masked.code) == ends
    assert re.findall("[\r\n]", masked.runs) == ends


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("from __future__ import annotations, division\nx = 1", "pass\nx = 1"),
        ("%who\nfrom __future__ import (\n    annotations)\nx = 1", "0\npass\n\nx = 1"),
        ("%cd -q data/x", "__import__('os').chdir(__import__('os').path.expanduser('data/x'))"),
        ("%cd data\nx = 1", "__import__('os').chdir(__import__('os').path.expanduser('data'))\nx = 1"),
        ("  x = 1\n  if x:\n    y = 2\n", "x = 1\nif x:\n  y = 2\n"),
        ("return 1\nx", "raise SyntaxError(\"'return' outside function (<cell>, line 1)\")\n"),
        ("await f()", "await f()"),
    ],
)
def test_what_is_run_in_a_cells_place(cell: str, expected: str) -> None:
    assert magics.masked(cell).runs == expected


def test_places_in_the_tree_are_places_in_the_text(tmp_path: Path) -> None:
    source = sources.read(save(tmp_path, document(CELLS)))
    names = [node for node in ast.walk(source.parse()) if isinstance(node, ast.Name)]
    assert len(names) > 30
    for node in names:
        start = source.offset(node.lineno, node.col_offset)
        assert source.text[start : start + len(node.id)] == node.id


def test_a_broken_cell_does_not_spoil_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, document([*CELLS, code("print 'python 2'\ny = pyro.param('y')")]))
    result = check(path)
    assert [(f.cell, f.included) for f in result.findings] == [(5, True)]
    ((skipped),) = result.skipped
    assert (skipped.path, skipped.cell) == (path, 7)
    assert main([str(path), "--no-verify", "--select", "SVI051", "--exit-zero"]) == 0
    err = capsys.readouterr().err
    assert re.search(r"skipped: .*nb\.ipynb:cell 7: cannot be parsed: line 1: ", err)


def test_a_fix_that_breaks_a_cell_is_refused(tmp_path: Path) -> None:
    source = sources.read(save(tmp_path, document([*CELLS, code("print 'python 2'")])))
    source.check(source.text.replace(BARE, FIXED))
    source.check(source.text.replace("print 'python 2'", "print 'x'"))  # was broken before
    with pytest.raises(SyntaxError, match="cell 5"):
        source.check(source.text.replace(BARE, "torch.tensor(0.9)"))


def test_letters_that_no_file_can_hold(tmp_path: Path) -> None:
    """Half a surrogate pair is valid in JSON."""
    path = save(tmp_path, document([*CELLS, code("x = '\ud83d'")]))
    result = check(path)
    assert [f.included for f in result.findings] == [True]
    assert [skipped.cell for skipped in result.skipped] == [7]
    write(result.changes)
    assert check(path).findings == ()


def test_what_cells_say_is_not_warned_of(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    cells = [code(IMPORTS), code("x = '\\d'\nif x is 0: pass\n!ls"), code(MODEL)]
    path = save(tmp_path, document(cells))
    subprocess.run([sys.executable, "-m", "pyro_fix", "-q", "--no-verify", path, "--select", "SVI051"], check=False)
    out, err = capfd.readouterr()
    assert "nb.ipynb:cell 3:8:9" in out
    assert err == ""


def test_comments_silence_in_cells(tmp_path: Path) -> None:
    quiet = MODEL.replace(BARE, f"{BARE}  # pyro-fix: ignore[SVI051]")
    assert check(save(tmp_path, document([code(IMPORTS), code(quiet)]))).findings == ()
    whole = "!echo it's\n# pyro-fix: ignore-file"
    assert check(save(tmp_path, document([code(IMPORTS), code(whole), code(MODEL)]))).findings == ()


# -- reports ----------------------------------------------------------------------------------------------------------


def test_reports_name_cell_and_line(tmp_path: Path) -> None:
    result = check(save(tmp_path, document(CELLS)))
    (line,) = plain.findings(result, tmp_path, False)
    assert line.startswith("nb.ipynb:cell 5:8:9: SVI051 ")
    (finding,) = json.loads(report.document(result, tmp_path, applied=False))["findings"]
    assert (finding["path"], finding["cell"], finding["line"], finding["column"]) == ("nb.ipynb", 5, 8, 9)
    assert finding["fix"]["diff"].encode() == of_change(result.changes[0], Path.cwd())


def test_both_reports_tell_one_place(tmp_path: Path) -> None:
    """What holds a fix back stands in another cell, and is named by it in JSON as in text."""
    model = code(
        "def model(x):\n    z = pyro.sample('z', dist.Normal(torch.zeros(2), 1.0).to_event(1))\n"
        "    pyro.sample('x', dist.Normal(z[0], 1.0), obs=x)"
    )
    training = code("svi = SVI(model, AutoNormal(model), Adam({'lr': 0.1}), Trace_ELBO(num_particles=9))\nsvi.step(x)")
    extra = "\nfrom pyro.infer import SVI, Trace_ELBO\nfrom pyro.infer.autoguide import AutoNormal\nfrom pyro.optim import Adam"
    path = save(tmp_path, document([code(IMPORTS + extra), model, training]))
    result = engine.check(Options(paths=(path,), select=("SVI081",), verify=False, root=tmp_path), lambda _: None)
    (line,) = plain.findings(result, tmp_path, False)
    (finding,) = json.loads(report.document(result, tmp_path, applied=False))["findings"]
    assert finding["fix"]["reason"].startswith("line 3 of cell 2 has ")
    assert finding["fix"]["reason"] in line


def test_places_in_words(tmp_path: Path) -> None:
    source = sources.read(save(tmp_path, document(CELLS)))
    line = source.lines.index("def guide(data):\n") + 1
    assert source.place(line) == (5, 6)
    assert (
        source.located(f"boom (sub/nb.ipynb:{line}), my_nb.ipynb:{line}")
        == f"boom (sub/nb.ipynb:cell 5:6), my_nb.ipynb:{line}"
    )
    assert source.told(f"line {line} has x") == "line 6 of cell 5 has x"


@pytest.mark.parametrize("layout", ["jupyter", "jupyter, no line at the end", "one line", "crlf", "byte order mark"])
def test_git_applies_the_diff(tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save(tmp_path, LAYOUTS[layout](CELLS), "my notebook.ipynb")
    (change,) = check(path).changes
    diff = of_change(change, tmp_path)
    assert subprocess.run(["git", "apply", "--check", "-"], input=diff, check=False).returncode == 0
    subprocess.run(["git", "apply", "-"], input=diff, check=True)
    assert path.read_bytes() == change.source.encode(change.text)
    if not layout.startswith("one"):
        assert sum(line[:1] in (b"+", b"-") for line in diff.splitlines()) == 4  # with the two that name the file


# -- runs -------------------------------------------------------------------------------------------------------------

SHOWN = """\
from IPython.display import clear_output, HTML
import ipywidgets as widgets
from tqdm.notebook import trange
display(HTML("<b>"))
get_ipython().run_line_magic("who", "")
assert "colab" not in str(get_ipython())
@widgets.interact(x=1)
def show(x):
    clear_output()
for _ in trange(2):
    pass
try:
    import matplotlib
except ImportError:
    pass
else:
    %matplotlib inline
    import matplotlib.pyplot as plt
    plt.switch_backend("TkAgg")
    plt.plot([1, 2]);
    plt.show()
import asyncio
await asyncio.sleep(0)"""


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes, Result]:
    """One verification of a notebook that reads a file beside it, and breaks in a cell below its training."""
    pytest.importorskip("pyro")
    folder = tmp_path_factory.mktemp("run")
    (folder / "data.txt").write_text("3.5\n")
    (folder / "helper.py").write_text("shift = 0.0\n")
    data = DATA + "\nfrom helper import shift\ndata += shift + float(open('data.txt').read())"
    cells = [prose("# x"), code(IMPORTS), code(SHOWN), code(data), code(MODEL), code(TRAIN), code("print 'python 2'")]
    path = save(folder, LAYOUTS["jupyter"](cells))
    before = path.read_bytes()
    result = check(path, verify=True, python=Path(sys.executable), steps=40, timeout=240.0, cache=False, jobs=1)
    assert sorted(p.name for p in folder.iterdir()) == ["data.txt", "helper.py", "nb.ipynb"]
    return path, before, result


def test_a_notebook_is_run_and_its_fix_verified(verified: tuple[Path, bytes, Result]) -> None:
    path, before, result = verified
    (finding,) = result.findings
    assert finding.verdict.status is Status.VERIFIED, finding.verdict
    assert (finding.cell, finding.proposal.line) == (5, 8)
    assert finding.verdict.evidence["command"] == "jupyter execute nb.ipynb"
    assert path.read_bytes() == before
    (change,) = result.changes
    assert cells_of(change.source.encode(change.text)) == [cell.replace(BARE, FIXED) for cell in cells_of(before)]


@pytest.mark.parametrize("command", ["nb.ipynb", "python nb.ipynb", "jupyter execute sub/nb.ipynb"])
def test_a_notebook_is_a_command(tmp_path: Path, command: str) -> None:
    from pyro_fix.runner.target import parse

    (tmp_path / "sub").mkdir()
    for folder in (tmp_path, tmp_path / "sub"):
        save(folder, document(CELLS))
    target = parse(command, tmp_path)
    assert target.cwd == (tmp_path / "sub" if "sub" in command else tmp_path)
    assert (target.kind, target.name, target.command) == ("script", "nb.ipynb", "jupyter execute nb.ipynb")
    with pytest.raises(ValueError, match="takes no arguments"):
        parse("nb.ipynb --fast", tmp_path)
    save(tmp_path, b"{", "bad.ipynb")
    with pytest.raises(ValueError, match=r"bad\.ipynb: is not valid JSON"):
        parse("bad.ipynb", tmp_path)


@pytest.mark.slow
def test_a_cell_that_breaks_is_named(tmp_path: Path) -> None:
    pytest.importorskip("pyro")
    broken = "%matplotlib inline\n\n1 / 0"
    path = save(tmp_path, document([code(IMPORTS), code(broken), code(DATA), code(MODEL), code(TRAIN)]))
    result = check(path, verify=True, python=Path(sys.executable), steps=5, cache=False, jobs=1)
    (finding,) = result.findings
    assert finding.verdict.status is Status.UNVERIFIED
    assert "ZeroDivisionError: division by zero (nb.ipynb:cell 2:3)" in finding.verdict.reason


@pytest.mark.slow
def test_a_cell_that_nobody_can_parse_stops_the_run(tmp_path: Path) -> None:
    pytest.importorskip("pyro")
    path = save(tmp_path, document([code(IMPORTS), code("\nprint 'old'"), code(DATA), code(MODEL), code(TRAIN)]))
    result = check(path, verify=True, python=Path(sys.executable), steps=5, cache=False, jobs=1)
    (finding,) = result.findings
    assert finding.verdict.status is Status.UNVERIFIED
    assert "SyntaxError" in finding.verdict.reason
    assert "(nb.ipynb:cell 2:1)" in finding.verdict.reason


def test_the_program_of_a_notebook_has_its_lines(tmp_path: Path) -> None:
    source = notebooks.read(
        save(tmp_path, document([code("# coding: latin-1\nx = '\u00e9'"), *CELLS, code("print 'old'")]))
    )
    program = source.runnable.decode()
    assert len(program.splitlines()) == len(source.code.splitlines()) == len(source.text.splitlines())
    compile(source.runnable, "nb", "exec")


def test_an_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot be read"):
        notebooks.read(tmp_path / "none.ipynb")


ASKED = "Trace_ELBO().loss(model, guide, data)"


@pytest.mark.parametrize(
    ("last", "is_trained"),
    [
        (TRAIN, True),
        (ASKED, False),
        ("guide(data)", True),  # the training may be yet to be written
        (f"{ASKED}\noptim = ClippedAdam({{}})", True),
        (f"{ASKED}\nimport helpers\nhelpers.train(model, guide)", True),
        (f"{ASKED}\nimport somebodys\nsomebodys.Trainer(model, guide)", True),
    ],
)
def test_a_param_that_is_never_trained_needs_no_constraint(tmp_path: Path, last: str, is_trained: bool):
    """A notebook that shows shapes; of a file one knows less, since others may import it."""
    path = save(tmp_path, document([*CELLS[:-1], code(last)]))
    assert bool(check(path).findings) is is_trained
    file = save(tmp_path, "\n".join([IMPORTS.partition("\n")[2], MODEL]).encode(), "main.py")
    assert check(file).findings
