"""Values written as source that means the same in another place."""

from __future__ import annotations

import pytest
from reading import PREAMBLE, read

from pyro_fix.analysis.spell import spell, step_count


@pytest.fixture
def count(tmp_path):
    """How many steps the optimiser of a program makes."""

    def counted(text: str):
        program = read(tmp_path, f"{PREAMBLE}from tqdm import trange\n{text}")
        (made,) = [made for made in program.made if made.name == "pyro.optim.Adam"][:1]
        return step_count(program, made, made.scope)

    return counted


SVI = "svi = SVI(None, None, Adam({}), None)\n"


@pytest.mark.parametrize(
    ("before", "rounds", "source"),
    [
        ("", "100", "100"),
        ("n = 100\n", "n", "n"),
        ("n = load()\n", "n", "n"),
        ("n = m = load()\n", "m", "n"),
        ("n = load()\n", "n // 10", "(n // 10)"),
        ("smoke = load()\n", "500 if not smoke else 2", "(500 if not smoke else 2)"),
        ("smoke = 'CI' in load()\n", "2 if smoke else 500", "(2 if smoke else 500)"),
        ("args = load()\n", "2 if args.smoke else args.steps", "(2 if args.smoke else args.steps)"),
        ("args = load()\n", "9 if args.kind == 'quick' else 90", "(9 if args.kind == 'quick' else 90)"),
        ("n = load()\n", "(9 if n > 3 else 90) * 10", "((9 if n > 3 else 90) * 10)"),
        ("n = load()\n", "1 if n < 3 else 2 if not n == 5 else 3", "(1 if n < 3 else (2 if not n == 5 else 3))"),
        ("args = load()\n", "args.steps or 500", "(args.steps or 500)"),
        ("n = load()\nquick = n and load()\n", "2 if quick else n", "(2 if quick else n)"),
        ("n = load()\n", "2 * n + 1", "((2 * n) + 1)"),
        ("args = load()\n", "args.steps", "args.steps"),
        ("cfg = load()\n", "cfg['train']['steps']", "cfg['train']['steps']"),
        ("cfg = load()\nkey = 'steps'\n", "cfg[key]", "cfg[key]"),
        ("cfg = load()\n", "cfg[0]", "cfg[0]"),
        ("cfg = {'steps': load()}\n", "cfg['steps']", "cfg['steps']"),
        ("cfg = {'steps': 70}\n", "cfg['steps']", "cfg['steps']"),
        ("data = load()\n", "len(data)", "len(data)"),
        ("data = load()\n", "data.shape[0]", "data.shape[0]"),
        ("data = load()\n", "data.size(0)", "data.size(0)"),
        ("data = load()\n", "len(data) // 8", "(len(data) // 8)"),
        ("", "len(load())", None),
        ("", "load()", None),
        ("", "True", None),
        ("n = 3.5\n", "int(n * 100)", "int((n * 100))"),
        ("import os\n", "int(os.environ['N'])", None),
        ("n = load()\n", "-n", None),
        ("n = load()\n", "max(n, 10)", "max(n, 10)"),
        ("class C:\n    steps = 80\n", "C.steps", "C.steps"),
        ("x = load()\ndef f(): return x\n", "f()", None),
    ],
)
def test_spelling(count, before: str, rounds: str, source: str | None):
    counted = count(f"{before}{SVI}for _ in range({rounds}):\n    svi.step()\n")
    assert counted.source == source
    assert source is not None or "not known" in counted.reason


@pytest.mark.parametrize(
    ("loops", "source", "literal"),
    [
        (["range(100)"], "100", 100),
        (["range(10)", "range(20)"], "(10 * 20)", 200),
        (["range(n)", "range(20)"], "(n * 20)", None),
        (["range(a + b)", "range(20)"], "((a + b) * 20)", None),
        (["range(2)", "range(3)", "trange(4)"], "(2 * 3 * 4)", 24),
        (["(1, 2, 3)"], "3", 3),
        (["[1, 2]", "range(50)"], "(2 * 50)", 100),
    ],
)
def test_products_keep_their_value(count, loops: list[str], source: str, literal: int | None):
    """What is written is divided by, so it has to bind tightly."""
    text = (
        "".join("    " * i + f"for _ in {loop}:\n" for i, loop in enumerate(loops))
        + "    " * len(loops)
        + "svi.step()\n"
    )
    counted = count(f"n = a = b = load()\na = load()\nb = load()\n{SVI}{text}")
    assert (counted.source, counted.literal) == (source, literal)


def test_a_value_is_looked_up_as_it_was(count):
    """``n`` is written because it still holds what the loop will see, not because it has that name."""
    assert count(f"n = load()\nm = n\nn = load()\n{SVI}for _ in range(m):\n    svi.step()\n").source == "m"
    assert count(f"n = load()\nm = n\nn = load()\n{SVI}for _ in range(n):\n    svi.step()\n").source == "n"


def test_dunder_names_are_not_written(count):
    assert count(f"__n = load()\n{SVI}for _ in range(__n):\n    svi.step()\n").source is None


def test_name_of_a_loop_variable(count):
    """It changes from round to round, and so does what it means."""
    text = f"{SVI}for n in (100, 200):\n    for _ in range(n):\n        svi.step()\n"
    assert count(text).source is None


def test_arguments_are_replaced_by_what_is_given(tmp_path):
    program = read(
        tmp_path,
        f"{PREAMBLE}def model(data):\n    pyro.plate('d', len(data))\n    return pyro.sample('x', dist.Normal(0., 1.))\n",
    )
    (site,) = program.sites
    scope = program.modules[tmp_path / "main.py"].scope
    (value,) = [v for v in [scope.names["model"]]]
    assert spell(value, scope) == "model"
    assert site.name == "x"


@pytest.mark.parametrize(
    "text",
    [
        f"{SVI}smoke = load()\nfor _ in range(2 if smoke else 500):\n    svi.step()\n",
        f"{SVI}for _ in range(2 if load() else 500):\n    svi.step()\n",
        f"n = load()\n{SVI}for _ in range(2 if n is None else n):\n    svi.step()\n",
        f"n = load()\nx = n > 2\nn = 3\n{SVI}for _ in range(2 if x < load() < 3 else 500):\n    svi.step()\n",
    ],
)
def test_a_choice_that_cannot_be_made_there_is_not_written(count, text: str):
    counted = count(text)
    assert counted.source is None and "depends on a condition" in counted.reason
