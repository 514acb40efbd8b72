from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pyro_fix import fingerprint, sources
from pyro_fix.config import Options
from pyro_fix.engine import check

PROGRAM = "import pyro\n\n\ndef guide():\n    loc = pyro.param('loc', 0.0)\n\n\ndef model():\n    pyro.param('s', 1.0)\n    pyro.param('s', 1.0)\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path / "pkg" / "train.py"


def _of(file: Path, text: str, line: int, code: str = "SVI051", column: int = 1) -> str:
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return fingerprint.of(code, sources.read(file), line, column)


def test_moved_and_indented_lines_keep_it(file: Path) -> None:
    before = _of(file, PROGRAM, 5)
    assert len(before) == 24
    assert _of(file, "# a header\nimport os\n" + PROGRAM, 7) == before
    assert _of(file, PROGRAM.replace("    loc", "        loc"), 5) == before
    assert _of(file, PROGRAM.replace("def model", "def other"), 5) == before


def test_it_tells_findings_apart(file: Path) -> None:
    found = {
        _of(file, PROGRAM, 5),
        _of(file, PROGRAM, 5, "SVI071"),
        _of(file, PROGRAM.replace("0.0", "0.5"), 5),
        _of(file, PROGRAM.replace("def guide", "def guide_2"), 5),
        _of(file, PROGRAM, 9),
        _of(file, PROGRAM, 10),
        _of(file.with_name("other.py"), PROGRAM, 5),
    }
    assert len(found) == 7


def test_two_findings_of_one_line_have_two(file: Path) -> None:
    text = "import pyro\n\n\ndef guide():\n    use(pyro.param('a'), pyro.param('b'))\n"
    first, second = (_of(file, text, 5, column=column) for column in (9, 26))
    assert first != second
    spaced = text.replace(", pyro", ",   pyro")
    assert [_of(file, spaced, 5, column=column) for column in (9, 28)] == [first, second]
    moved = "# a header\n" + text.replace("    use", "        use")
    assert [_of(file, moved, 6, column=column) for column in (13, 30)] == [first, second]


def test_it_does_not_depend_on_where_the_repository_lies(file: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("clone")
    subprocess.run(["git", "init", "-q", elsewhere], check=True)
    assert _of(file, PROGRAM, 5) == _of(elsewhere / "pkg" / "train.py", PROGRAM, 5)


def test_what_cannot_be_parsed_has_one_all_the_same(file: Path) -> None:
    assert _of(file, "def (\nx = 1\n", 2) == _of(file, "\ndef (\nx = 1\n", 3)


def test_the_engine_leaves_out_what_was_refused(file: Path) -> None:
    file.parent.mkdir()
    file.write_text(
        "import pyro, torch\nimport pyro.distributions as dist\n\n\ndef model():\n    s = pyro.param('s', torch.tensor(1.0))\n"
        "    pyro.sample('x', dist.Normal(0.0, s))\n    t = pyro.param('t', torch.tensor(1.0))\n    pyro.sample('y', dist.Normal(0.0, t))\n"
    )
    options = Options(paths=(file,), verify=False)
    first, second = check(options, lambda _: None).findings
    assert first.fingerprint == fingerprint.of("SVI051", sources.read(file), 6, 9) != second.fingerprint
    (left,) = check(
        Options(paths=(file,), verify=False, refused=frozenset({first.fingerprint})), lambda _: None
    ).findings
    assert left.fingerprint == second.fingerprint
