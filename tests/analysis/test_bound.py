"""Names are written where they are bound for everybody who comes there, and nowhere else."""

from __future__ import annotations

import ast

import pytest
from reading import PREAMBLE, read

from pyro_fix import imports
from pyro_fix.analysis.scopes import around
from pyro_fix.analysis.spell import step_count

STEPS = "svi = SVI(None, None, Adam({'lr': 0.1}), None)"
GUARD = "if __name__ == '__main__':\n"
#: A loop elsewhere makes the steps, so that the function with the optimiser does not read ``n`` itself.
AWAY = "def train(svi):\n    for _ in range(n):\n        svi.step()\n"


@pytest.fixture
def source(tmp_path):
    """What is written for the number of steps where the optimiser of a program is built."""

    def written(text: str, **files: str) -> str | None:
        program = read(tmp_path, f"{PREAMBLE}{text}", **files)
        made = [made for made in program.made if made.name == "pyro.optim.Adam"]
        return step_count(program, made[0], made[0].arguments[0].scope).source

    return written


FIT = f"{AWAY}def fit():\n    {STEPS}\n    train(svi)\n"
CONFIG = "import config\ndef train(svi):\n    for _ in range(config.n):\n        svi.step()\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # a plain function: only what every importer has
        (f"{FIT}n = load()\nfit()\n", "n"),
        (f"{FIT}{GUARD}    n = load()\n    fit()\n", None),
        (f"{FIT}n = None\n{GUARD}    n = load()\n    fit()\n", None),
        (f"{FIT}if load():\n    n = load()\nfit()\n", None),
        (f"{FIT}if load():\n    n = load()\nelse:\n    raise SystemExit\nfit()\n", "n"),
        (f"import sys\n{FIT}try:\n    n = load()\nexcept OSError:\n    sys.exit(1)\nfit()\n", "n"),
        (f"{FIT}try:\n    n = load()\nexcept OSError:\n    pass\nfit()\n", None),
        (f"{FIT}for _ in load():\n    n = 3\nfit()\n", None),
        (f"{FIT}with load() as n:\n    fit()\n", "n"),
        (f"{FIT}def setup():\n    global n\n    n = load()\nsetup()\nfit()\n", None),
        (f"{FIT}n = load()\nfit()\ndel n\n", None),
        # what the function reads itself is there for who calls it, unless a branch reads it
        (f"def fit():\n    {STEPS}\n    for _ in range(n):\n        svi.step()\n{GUARD}    n = load()\n    fit()\n", "n"),
        (f"{FIT}    if svi:\n        print(n)\n{GUARD}    n = load()\n    fit()\n", None),
        (f"{FIT}    print([n for n in ()])\n{GUARD}    n = load()\n    fit()\n", None),
        # a variable of the function's own hides the file's, wherever it is assigned
        (f"{FIT}    n = 3\nn = load()\nfit()\n", None),
        (f"{FIT}    [n for n in ()]\nn = load()\nfit()\n", "n"),
        # a nested function, and what stands round it
        (f"def outer():\n    n = load()\n    def fit():\n        {STEPS}\n        go(svi, n)\n    fit()\n"
         "def go(svi, k):\n    for _ in range(k):\n        svi.step()\nouter()\n", "n"),
        (f"def go(svi, k):\n    for _ in range(k):\n        svi.step()\ndef outer():\n    if load():\n        n = load()\n"
         f"    def fit():\n        {STEPS}\n        if svi:\n            pass\n        use(svi)\n    def use(svi):\n"
         "        go(svi, n)\n    fit()\nouter()\n", None),
        # the top level itself, where the name is in scope, or is not
        (f"{GUARD}    n = load()\n    {STEPS}\n    for _ in range(n):\n        svi.step()\n", "n"),
        (f"{GUARD}    n = load()\n{GUARD}    {STEPS}\n    for _ in range(n):\n        svi.step()\n", "n"),
        (f"a = load()\nif a:\n    n = load()\n{STEPS}\nif a:\n    for _ in range(n):\n        svi.step()\n", None),
        (f"if load():\n    n = load()\n    {STEPS}\n    for _ in range(n):\n        svi.step()\n", "n"),
        (f"for n in load():\n    pass\nm = load()\n{STEPS}\nfor _ in range(m):\n    svi.step()\n", "m"),
        (f"with load() as f:\n    n = load()\n{STEPS}\nfor _ in range(n):\n    svi.step()\n", "n"),
        (f"from contextlib import suppress\nwith suppress(OSError):\n    n = load()\n{STEPS}\n"
         "for _ in range(n):\n    svi.step()\n", None),
        # a function of a branch is there for who went through it
        (f"if load():\n    n = load()\n    def train(svi):\n        for _ in range(n):\n            svi.step()\n"
         f"    def fit():\n        {STEPS}\n        train(svi)\n    fit()\n", "n"),
    ],
)  # fmt: skip
def test_functions_and_files(source, text: str, expected: str | None):
    assert source(text) == expected


CLASS = (
    "class Trainer:\n    BODY\n    def __init__(self, k):\n        self.k = k\n    def run(self):\n        "
    f"{STEPS}\n        self.go(svi)\n    def go(self, svi):\n        for _ in range(self.k):\n            svi.step()\n"
)


@pytest.mark.parametrize("bound", [f"{GUARD}    n = load()\n    ", "n = load()\n"])
def test_method_says_what_its_object_has(source, bound: str):
    """``self.k`` is what everybody's object has; ``n`` is what this program gave to one of them."""
    assert source(f"{CLASS.replace('BODY', 'pass')}{bound}Trainer(n).run()\n") == "self.k"


def test_class_attribute(source):
    text = CLASS.replace("        self.k = k\n", "        pass\n")
    assert source(f"{text.replace('BODY', 'k = load()')}Trainer(1).run()\n") == "self.k"
    body = f"class C:\n    n = load()\n    def fit(self):\n        {STEPS}\n        train(svi, C.n)\n"
    train = "def train(svi, k):\n    for _ in range(k):\n        svi.step()\n"
    assert source(f"{train}{body}C().fit()\n") in ("self.n", "C.n")  # and never n, which is no name there


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("n = load()\n", "config.n"),
        (f"{GUARD}    n = load()\n", None),
        ("if load():\n    n = load()\n", None),
        ("try:\n    n = load()\nfinally:\n    pass\n", "config.n"),
        ("def setup():\n    global n\n    n = load()\nsetup()\n", None),
    ],
)
def test_global_of_another_module(source, config: str, expected: str | None):
    fit = f"def fit():\n    {STEPS}\n    train(svi)\nfit()\n"
    assert source(f"{CONFIG}{fit}", config=f"import pyro\n{config}") == expected


def test_default_of_a_parameter(source):
    """It is evaluated where the function is defined."""
    fit = "def fit(optim=Adam({'lr': 0.1})):\n    svi = SVI(None, None, optim, None)\n    train(svi)\n"
    assert source(f"{AWAY}{fit}n = load()\nfit()\n") is None
    assert source(f"n = load()\n{AWAY}{fit}fit()\n") == "n"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("from pyro import poutine\ndef f():\n    mark\n", "poutine.scale"),
        ("def f():\n    mark\nif __name__ == '__main__':\n    from pyro import poutine\n", "pyro.poutine.scale"),
        ("if __name__ == '__main__':\n    from pyro import poutine\n    mark\n", "poutine.scale"),
        ("from pyro import poutine\ndef f():\n    mark\n    poutine = 3\n", "pyro.poutine.scale"),
        ("def f():\n    mark\n    pyro = 3\n", None),
        ("try:\n    from pyro import poutine\nexcept ImportError:\n    poutine = None\ndef f():\n    mark\n",
         "poutine.scale"),
    ],
)  # fmt: skip
def test_names_of_libraries(tmp_path, text: str, written: str | None):
    program = read(tmp_path, f"import pyro\n{text}")
    module = program.modules[tmp_path / "main.py"]
    (mark,) = [node for node in ast.walk(module.tree) if isinstance(node, ast.Name) and node.id == "mark"]
    there = imports.reference(module, around(module, mark), "pyro.poutine.scale", mark)
    assert written == (there.text if there is not None and not there.edits else None)
