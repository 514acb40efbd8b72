"""Names that loops fill, of sites in the model and in the guide."""

from __future__ import annotations

import pytest
from reading import PREAMBLE, read

from pyro_fix.analysis.pairing import pairs

SAMPLE = "pyro.sample({name}, dist.Normal(0., 1.))"
FIRST = 'for i in range(3): pyro.sample(f"s_{i}", dist.Normal(0., 1.))'


@pytest.fixture
def paired(tmp_path):
    """Whether the only latent of a model is known to be the only one of its guide."""

    def pair(model: str, guide: str, before: str = "") -> bool:
        text = f"{PREAMBLE}{before}\ndef model(x, k):\n    {model}\ndef guide(x, k):\n    {guide}\n"
        program = read(tmp_path, f"{text}svi = SVI(model, guide, Adam({{}}), Trace_ELBO())\n")
        return bool([pair.name for pair in pairs(program, program.svis[0])])

    return pair


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ('f"s_{i}"', "s_{}"),
        ('"s_{}".format(i)', "s_{}"),
        ('"s_{0}_{1}".format(i, 4)', "s_{}_4"),
        ('"s_{a}".format(a=i)', "s_{}"),
        ('"s_%d" % i', "s_{}"),
        ('"s_%s_%s" % (i, "b")', "s_{}_b"),
        ('"s_" + str(i)', "s_{}"),
        ('"s" + "_" + str(3)', "s_3"),
        ('f"s_{1}"', "s_1"),
        ('f"s_{i:03d}"', "s_{}"),
        ('"s_{:03d}".format(i)', None),
        ('"s_%03d" % i', None),
        ('"s_{}".format(*i)', None),
        ('"s_{}{}".format(i)', None),
        ("load(i)", None),
    ],
)
def test_names(tmp_path, name: str, text: str | None):
    program = read(tmp_path, f"{PREAMBLE}def f(i):\n    {SAMPLE.format(name=name)}\n")
    assert program.sites[0].name == text


@pytest.mark.parametrize(
    ("model", "guide"),
    [
        (FIRST, FIRST),
        (FIRST, FIRST.replace('f"s_{i}"', '"s_{}".format(i)')),
        (FIRST, FIRST.replace('f"s_{i}"', '"s_%d" % i')),
        (FIRST, FIRST.replace('f"s_{i}"', '"s_" + str(i)')),
        (FIRST, FIRST.replace("i}", "j}").replace("for i", "for j")),
        (FIRST.replace("3", "k"), FIRST.replace("3", "k")),
        (FIRST.replace("3", "N"), FIRST.replace("3", "N")),
        (FIRST.replace("3", "len(x)"), FIRST.replace("3", "len(x)")),
        (FIRST.replace("3", "x.shape[0]"), FIRST.replace("3", "x.shape[0]")),
        (FIRST.replace("range(3)", "['a', 'b']"), FIRST.replace("range(3)", "['a', 'b']")),
        (FIRST.replace("for i in range(3)", "for i, y in enumerate(x)"), FIRST.replace("for i in range(3)", "for i, y in enumerate(x)")),
        (FIRST.replace("range(3)", "pyro.plate('p', 3)"), FIRST.replace("range(3)", "pyro.plate('p', 3)")),
        (FIRST.replace("{i}", "{i + 1}"), FIRST.replace("{i}", "{i + 1}")),
    ],
)  # fmt: skip
def test_loops_over_the_same(paired, model: str, guide: str):
    assert paired(model, guide, "N = load()")


TWO = 'for i in range(3):\n        for j in range(3): pyro.sample(f"s_{i}_{j}", dist.Normal(0., 1.))'


@pytest.mark.parametrize(
    ("model", "guide"),
    [
        (FIRST, FIRST.replace("3", "4")),
        (FIRST, FIRST.replace("s_", "t_")),
        (FIRST.replace("3", "k"), FIRST.replace("3", "len(x)")),
        (FIRST, FIRST.replace("range(3)", "range(1, 3)")),
        (FIRST.replace("range(3)", "load()"), FIRST.replace("range(3)", "load()")),
        (FIRST, FIRST.replace("{i}", "{i + 1}")),
        (FIRST, FIRST.replace("{i}", "{k}")),
        (FIRST, FIRST.replace("range(3)", "enumerate(x)")),
        (TWO, TWO.replace("_{j}", "_{i}")),
        (FIRST.replace("for i in range(3)", "for i, y in enumerate(x, 1)"), FIRST.replace("for i in range(3)", "for i, y in enumerate(x)")),
    ],
)  # fmt: skip
def test_loops_over_others(paired, model: str, guide: str):
    assert not paired(model, guide)


def test_two_loops(paired):
    assert paired(TWO, TWO)
    assert not paired(TWO, TWO.replace("{i}_{j}", "{j}_{i}").replace("range(3)", "range(2)", 1))
