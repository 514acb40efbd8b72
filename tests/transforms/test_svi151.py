"""Every trap of tip 15: annealing changes signatures, so it is for plain programs, and only when asked for."""

from __future__ import annotations

import pytest
from checking import Checked

from pyro_fix import catalogue
from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI151"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import *
from pyro.infer.autoguide import AutoNormal
from pyro.optim import Adam
"""
MODEL = ['z = pyro.sample("z", dist.Normal(0., 1.))', 'pyro.sample("x", dist.Normal(z, 1.), obs=data)']
GUIDE = ['pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))']
LOOP = ["for step in range(1000):", "    svi.step(data)"]


def program(
    model=MODEL, guide=GUIDE, loop=LOOP, svi: str = "SVI(model, guide, Adam({}), Trace_ELBO())", arguments: str = "data"
) -> str:
    functions = "".join(
        f"def {name}({arguments}):\n" + "".join(f"    {line}\n" for line in body)
        for name, body in (("model", model), ("guide", guide))
    )
    return f"{PREAMBLE}n = int(input())\ndata = torch.ones(3)\n{functions}svi = {svi}\n" + "\n".join(loop) + "\n"


def test_off_unless_selected():
    (transform,) = [t for t in catalogue.load() if t.code == CODE]
    assert not transform.default and transform.thresholds().keys() == {"share"}


def added(outcome: Checked) -> list[str]:
    return [line for line in outcome.added if not line.startswith("import")]


def test_annealed(check):
    outcome = check(program())
    assert added(outcome) == [
        "def model(data, annealing_factor=1.0):",
        "with poutine.scale(scale=annealing_factor):",
        'z = pyro.sample("z", dist.Normal(0., 1.))',
        "def guide(data, annealing_factor=1.0):",
        "with poutine.scale(scale=annealing_factor):",
        'pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))',
        "svi.step(data, annealing_factor=min(1.0, (step + 1) / 200))",
    ]
    (candidate,) = outcome.finding.proposal.candidates
    assert candidate.promise == Promise.NO_WORSE and candidate.needs_run


@pytest.mark.parametrize(
    ("loop", "lines"),
    [
        (["for i in range(n):", "    svi.step(data)"],
         ["svi.step(data, annealing_factor=min(1.0, (i + 1) / (0.2 * n)))"]),
        (["for _ in range(3):", "    svi.step(data)"],
         ["for step in range(3):", "svi.step(data, annealing_factor=min(1.0, (step + 1) / 1))"]),
        (["from tqdm import trange", "for i in trange(100):", "    svi.step(data)"], None),
        (["from tqdm import tqdm", "for i in tqdm(range(100)):", "    loss = svi.step(data)"],
         ["loss = svi.step(data, annealing_factor=min(1.0, (i + 1) / 20))"]),
    ],
)  # fmt: skip
def test_loops(check, loop: list[str], lines: list[str] | None):
    outcome = check(program(loop=loop))
    if lines is None:
        assert "range" in outcome.held_back
    else:
        assert added(outcome)[6:] == lines


@pytest.mark.parametrize(
    ("arguments", "signature"),
    [
        ("data, **rest", "data, annealing_factor=1.0, **rest"),
        ("data, *rest", "data, *rest, annealing_factor=1.0"),
        ("data=(None)", "data=(None), annealing_factor=1.0"),
    ],
)
def test_signatures(check, arguments: str, signature: str):
    text = check(program(arguments=arguments)).text
    assert f"def model({signature}):" in text and f"def guide({signature}):" in text


def test_neighbours_share_a_block_and_data_stay_out(check):
    model = [
        MODEL[0],
        'w = pyro.sample("w", dist.Normal(0., 1.))',
        "s = w.exp()",
        "with pyro.plate('data', 3):",
        '    v = pyro.sample("v", dist.Normal(z, s))',
        '    pyro.sample("x", dist.Normal(v, 1.), obs=data)',
    ]
    text = check(program(model)).text
    assert (
        "    with poutine.scale(scale=annealing_factor):\n"
        '        z = pyro.sample("z", dist.Normal(0., 1.))\n'
        '        w = pyro.sample("w", dist.Normal(0., 1.))\n'
        "    s = w.exp()\n"
        "    with pyro.plate('data', 3):\n"
        "        with poutine.scale(scale=annealing_factor):\n"
        '            v = pyro.sample("v", dist.Normal(z, s))\n'
        '        pyro.sample("x", dist.Normal(v, 1.), obs=data)\n'
    ) in text


def test_scaled_as_a_whole(check):
    svi = "SVI(poutine.scale(model, scale=0.1), poutine.scale(guide, scale=0.1), Adam({}), Trace_ELBO())"
    assert "def model(data, annealing_factor=1.0):" in check(program(svi=svi)).text


@pytest.mark.parametrize(
    "text",
    [
        program([f"with poutine.scale(scale=beta):\n        {MODEL[0]}", MODEL[1]]),
        program(guide=[f"with poutine.scale(None, beta):\n        {GUIDE[0]}"]),
        program().replace("def model", "@poutine.scale(scale=0.1)\ndef model"),
        program().replace("def guide", "class Anneal:\n    pass\nanneal = Anneal()\ndef guide").replace(
            f"    {GUIDE[0]}", f"    with anneal:\n        {GUIDE[0]}"
        ),
    ],
)  # fmt: skip
def test_annealed_already(check, text: str):
    assert check(text).findings == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (program(svi="SVI(model, AutoNormal(model), Adam({}), Trace_ELBO())"), "guide is no plain function"),
        (program(svi="SVI(load(), guide, Adam({}), Trace_ELBO())"), "model is no plain function"),
        (program() + "samples = Predictive(model)\n", "used elsewhere"),
        (program().replace("def model", "@config_enumerate\ndef model"), "decorated"),
        (program(loop=["svi.step(data)"]), "no single for loop"),
        (program(loop=["for e in range(3):", "    for b in range(4):", "        svi.step(data)"]), "no single for loop"),
        (program(loop=["while True:", "    svi.step(data)"]), "no single for loop"),
        (program(loop=["for b in loader:", "    svi.step(data)"]), "not over a range"),
        (program(loop=["for i in range(1, 10):", "    svi.step(data)"]), "start at 0"),
        (program(loop=["for i in range(n // 2):", "    svi.step(data)"]), "has no name"),
        (program(loop=["for i in range(n):", "    n = n - 1", "    svi.step(data)"]), "its own number"),
        (program(loop=[*LOOP, "svi.step(data)"]), "one loop"),
        (program(loop=["for _ in range(9):", "    print(_)", "    svi.step(data)"]), "count its steps"),
        (program([f"{MODEL[0]}; {MODEL[1]}"]), "cannot be indented"),
        (program(['z = pyro.sample("z", dist.Normal(0., 1.), infer=dict(doc="""a\nb"""))', MODEL[1]]), "cannot be indented"),
        (program(["z = latent()", MODEL[1]]).replace("def model", f"def latent():\n    return {MODEL[0][4:]}\ndef model"), "calls something else"),
        (program([f"if {MODEL[0][4:]} > 0:", "    pass", MODEL[1].replace("z,", "0.,")]), "does more"),
        (program([*MODEL, "annealing_factor = 1"]), "taken"),
        (program().replace("data):\n    z", "data, /):\n    z"), "takes no keywords"),
    ],
)  # fmt: skip
def test_held_back(check, text: str, reason: str):
    assert reason in check(text).held_back


def test_imported_by_another_file(check):
    outcome = check(program(), other="import pyro\nimport main\npyro.param('p', main.model(1))\n")
    assert "used elsewhere" in outcome.held_back


def test_an_import_that_only_the_program_makes_is_not_used_in_the_model(check):
    """Whoever imports the model has no ``poutine``; a local variable of that name hides it as well."""
    text = program().replace("from pyro import poutine\n", "")
    head, _, main = text.partition("svi = ")
    text = f"{head}if __name__ == '__main__':\n    from pyro.poutine import scale\n"
    text += "".join(f"    {line}\n" for line in f"svi = {main}".splitlines())
    lines = added(check(text))
    assert "with pyro.poutine.scale(scale=annealing_factor):" in lines
