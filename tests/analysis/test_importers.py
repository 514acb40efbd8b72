"""Which files of a project import the ones that were named."""

from __future__ import annotations

import pytest

from pyro_fix.analysis.importers import importing


@pytest.mark.parametrize(
    ("importer", "statement", "is_found"),
    [
        ("train.py", "import lib.model", True),
        ("train.py", "import os, lib.model as m", True),
        ("train.py", "from lib import model", True),
        ("train.py", "from lib import (\n    data,\n    model as m,\n)", True),
        ("train.py", "from lib.model import guide", True),
        ("lib/train.py", "from . import model", True),
        ("lib/train.py", "from .model import guide", True),
        ("lib/train.py", "import model", True),
        ("tests/test_a.py", "from lib.model import guide", True),
        ("scripts/deep/run.py", "from lib import model", True),
        ("other/train.py", "from . import model", False),
        ("other/train.py", "from other.model import guide", False),
        ("other/train.py", "import models", False),
        ("train.py", "# import lib.model", False),
        ("train.py", "from lib import other", False),
    ],
)
def test_what_an_import_means(tmp_path, importer, statement, is_found):
    for name, text in {"lib/model.py": "", "setup.py": "", "other/model.py": "", importer: statement}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    found = [path for path, _ in importing([tmp_path / "lib/model.py"])]
    assert found == [tmp_path / importer][:is_found]


def test_also_through_others(tmp_path):
    for name, text in {"a.py": "", "b.py": "import a", "c.py": "import b", "d.py": "import e", "setup.py": ""}.items():
        (tmp_path / name).write_text(text)
    assert [path.name for path, _ in importing([tmp_path / "a.py"])] == ["b.py", "c.py"]
