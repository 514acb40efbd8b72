"""Every trap of tip 10."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from showing import Shown, look, trajectory
from showing import check as check_shown

from pyro_fix.observation import PlateLook, SiteLook
from pyro_fix.result import Finding

pytest_plugins = ["check_fixture"]
CODE = "SVI101"

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.infer import *
from pyro.infer.autoguide import AutoNormal
from pyro.optim import *
from torch.utils.data import DataLoader
"""

MODEL = """
def model(data):
    z = pyro.sample("z", dist.Normal(0., 1.))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.), obs=data)
"""

GUIDE = """
def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("m", torch.tensor(0.)), 1.))
"""

SVI = 'svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())\n'
STEP = "for _ in range(1000):\n    loss = svi.step(data)\n"


def program(
    model: str = MODEL, guide: str = GUIDE, before: str = "data = load()\n", svi: str = SVI, step: str = STEP
) -> str:
    return PREAMBLE + model + guide + before + svi + step


def model_of(*lines: str, arguments: str = "data") -> str:
    return f"\ndef model({arguments}):\n    z = pyro.sample('z', dist.Normal(0., 1.))\n" + "".join(
        f"    {line}\n" for line in lines
    )


def wrapped(size: str) -> str:
    return SVI.replace(
        "model, guide", f"poutine.scale(model, scale=1 / {size}), poutine.scale(guide, scale=1 / {size})"
    )


# -- what N is ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plate", "size"),
    [
        ("len(data)", "len(data)"),
        ("data.shape[0]", "data.shape[0]"),
        ("data.size(0)", "data.size(0)"),
        ("N", "N"),
        ("1000", "1000"),
        ("size=N", "N"),
        ("N, subsample_size=10", "N"),
        ("N, subsample=data", "N"),
        ("N, dim=-1", "N"),
    ],
)
def test_size_of_the_plate(check, plate: str, size: str):
    model = model_of(f"with pyro.plate('d', {plate}):", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)")
    text = check(program(model, before="data = load()\nN = int(data.numel())\n")).text
    assert wrapped(size) in text
    compile(text, "main.py", "exec")


def test_nested_plates(check):
    model = model_of(
        "with pyro.plate('a', 50), pyro.plate('b', N):", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)"
    )
    assert wrapped("(50 * N)") in check(program(model, before="data = load()\nN = 40\n")).text


def test_plate_in_a_variable(check):
    model = model_of("plate = pyro.plate('d', N)", "with plate:", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)")
    assert wrapped("N") in check(program(model, before="data = load()\nN = 400\n")).text


def test_size_known_in_the_caller_only_as_its_argument(check):
    """The model's ``data`` is what ``step`` is given."""
    text = program(
        before="def main(observations):\n",
        svi=f"    {SVI}",
        step="    for _ in range(9):\n        svi.step(observations)\n",
    )
    assert "poutine.scale(model, scale=1 / len(observations))" in check(text).text


def test_size_given_by_keyword(check):
    text = program(step="for _ in range(9):\n    svi.step(data=data)\n")
    assert wrapped("len(data)") in check(text).text


def test_data_that_is_loaded_after_the_svi(check):
    text = program(before="", step="data = load()\n" + STEP)
    assert "not known how to write the size of the plate" in check(text).held_back


def test_minibatches_without_the_size_of_the_data_set(check):
    """``len(batch)`` in the plate, and nothing that tells the batches' number."""
    text = program(before="loader = DataLoader(load())\n", step="for batch in loader:\n    svi.step(batch)\n")
    assert "not known how to write the size of the plate" in check(text).held_back


def test_minibatches_with_the_size_of_the_data_set(check):
    model = model_of(
        "with pyro.plate('d', total, subsample=batch):",
        "    pyro.sample('x', dist.Normal(z, 1.), obs=batch)",
        arguments="batch, total",
    )
    text = program(
        model,
        GUIDE.replace("data", "*args"),
        "N = 500\nloader = DataLoader(load())\n",
        step="for batch in loader:\n    svi.step(batch, N)\n",
    )
    assert wrapped("N") in check(text).text


def test_stepped_with_different_data(check):
    text = program(step="svi.step(data)\nsvi.step(load())\n")
    assert "not known how to write the size of the plate" in check(text).held_back


def test_few_data(check):
    model = model_of("with pyro.plate('d', 20):", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)")
    assert check(program(model)).findings == ()


def test_no_plate(check):
    assert check(program(model_of("pyro.sample('x', dist.Normal(z, 1.), obs=data)"))).findings == ()


def test_no_data(check):
    assert (
        check(program(model_of("with pyro.plate('d', 500):", "    pyro.sample('x', dist.Normal(z, 1.))"))).findings
        == ()
    )


def test_data_in_different_plates(check):
    model = model_of("with pyro.plate('a', 500):", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)",
                     "with pyro.plate('b', 300):", "    pyro.sample('y', dist.Normal(z, 1.), obs=data)")  # fmt: skip
    assert check(program(model)).result.changes == ()


def test_data_partly_outside_a_plate(check):
    model = model_of("pyro.sample('y', dist.Normal(z, 1.), obs=data[0])",
                     "with pyro.plate('b', 300):", "    pyro.sample('x', dist.Normal(z, 1.), obs=data)")  # fmt: skip
    assert check(program(model)).result.changes == ()


def test_sequential_plate(check):
    model = model_of("for i in pyro.plate('d', 500):", "    pyro.sample(f'x_{i}', dist.Normal(z, 1.), obs=data[i])")
    assert check(program(model)).result.changes == ()


def test_observed_through_condition(check):
    model = model_of("with pyro.plate('d', 500):", "    pyro.sample('x', dist.Normal(z, 1.))")
    assert (
        check(program(model, svi=SVI.replace("model,", "pyro.condition(model, data={'x': data}),"))).result.changes
        == ()
    )


# -- scaled already -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "svi",
    [
        "svi = SVI(poutine.scale(model, scale=1 / len(data)), poutine.scale(guide, scale=1 / len(data)), Adam({}), Trace_ELBO())\n",
        "svi = SVI(poutine.scale(model, scale=0.1), guide, Adam({}), Trace_ELBO())\n",
        "svi = SVI(model, poutine.scale(guide, 0.1), Adam({}), Trace_ELBO())\n",
        "scaled = poutine.scale(model, scale=0.1)\nsvi = SVI(scaled, guide, Adam({}), Trace_ELBO())\n",
        "model = poutine.scale(scale=0.1)(model)\nsvi = SVI(model, guide, Adam({}), Trace_ELBO())\n",
        "svi = SVI(config_enumerate(poutine.scale(model, 0.1)), guide, Adam({}), Trace_ELBO())\n",
        "svi = SVI(pyro.poutine.handlers.scale(model, scale=0.1), guide, Adam({}), Trace_ELBO())\n",
    ],
)
def test_scaled_in_the_call(check, svi: str):
    assert check(program(svi=svi)).findings == ()


@pytest.mark.parametrize(
    "decorator",
    ["@poutine.scale(scale=0.1)", "@pyro.poutine.scale(scale=0.1)", "@config_enumerate\n@poutine.scale(scale=0.1)"],
)
def test_scaled_by_a_decorator(check, decorator: str):
    assert check(program(MODEL.replace("\ndef", f"\n{decorator}\ndef"))).findings == ()


def test_annealed_latents_of_model_and_guide(check):
    model = MODEL.replace("    z = pyro", "    with poutine.scale(scale=beta):\n        z = pyro").replace(
        "(data)", "(data, beta)", 1
    )
    assert check(program(model)).findings == ()


def test_scaled_in_a_helper_of_the_model(check):
    model = (
        "\ndef prior():\n    with poutine.scale(scale=0.1):\n        return pyro.sample('z', dist.Normal(0., 1.))\n"
        + MODEL.replace('pyro.sample("z", dist.Normal(0., 1.))', "prior()")
    )
    assert check(program(model)).findings == ()


def test_scaled_by_a_class_of_its_own(check):
    model = MODEL.replace("    z = pyro", "    with Annealing(0.1):\n        z = pyro")
    outcome = check(program("\nclass Annealing(poutine.scale_messenger.ScaleMessenger):\n    pass\n" + model))
    assert outcome.result.changes == ()


# -- what the program does with the loss ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        "for _ in range(9):\n    loss = svi.step(data) / len(data)\n",
        "for _ in range(9):\n    loss = svi.step(data)\n    print(loss / len(data))\n",
        "total = 0\nfor _ in range(9):\n    total += svi.step(data)\nprint(total / len(data))\n",
        "total = 0\nfor _ in range(9):\n    total = total + svi.step(data)\ntotal /= 9\n",
        "losses = []\nfor _ in range(9):\n    losses.append(svi.step(data))\nprint(sum(losses) / 9)\n",
        "losses = [svi.step(data) for _ in range(9)]\nprint(losses[-1] / len(data))\n",
        "def normalised(x):\n    return x / len(data)\nfor _ in range(9):\n    normalised(svi.step(data))\n",
        "for _ in range(9):\n    svi.step(data)\nprint(svi.evaluate_loss(data) / len(data))\n",
    ],
)  # fmt: skip
def test_a_loss_that_is_divided_is_normalised_already(check, step: str):
    assert check(program(step=step)).findings == ()


@pytest.mark.parametrize(
    ("step", "why"),
    [
        ("for _ in range(9):\n    if svi.step(data) < 100:\n        break\n", "compares"),
        ("best = 1e9\nfor _ in range(9):\n    loss = svi.step(data)\n    if loss < best:\n        best = loss\n", "compares"),
        ("for _ in range(9):\n    loss = svi.step(data)\n    assert loss < 1e5\n", "compares"),
        ("loss = svi.evaluate_loss(data)\nif loss > 1e3:\n    print('bad')\nfor _ in range(9):\n    svi.step(data)\n", "compares"),
    ],
)  # fmt: skip
def test_loss_that_means_something(check, step: str, why: str):
    assert why in check(program(step=step)).held_back


@pytest.mark.parametrize(
    "step",
    ["for i in range(9):\n    loss = svi.step(data)\n    if i % 100 == 0:\n        print(i / 9, loss)\n",
     "losses = []\nfor _ in range(9):\n    losses.append(svi.step(data))\n",
     "best = 1e9\nfor _ in range(9):\n    best = min(best, svi.step(data))\n",
     "for _ in range(9):\n    loss = svi.step(data)\n    if loss is None:\n        pass\n"],
)  # fmt: skip
def test_loss_that_is_only_shown(check, step: str):
    assert wrapped("len(data)") in check(program(step=step)).text


# -- optimiser and ELBO ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        ('SGD({"lr": 0.01})', "SGD depends"),
        ('SGD({"lr": 0.01, "momentum": 0.9})', "SGD depends"),
        ('ClippedAdam({"lr": 0.01, "clip_norm": 5.0})', "clip_norm"),
        ('Adam({"lr": 0.01, "weight_decay": 0.1})', "weight_decay"),
        ('Adam({"lr": 0.01}, {"clip_norm": 5.0})', "clips"),
        ('pyro.optim.PyroOptim(torch.optim.SGD, {"lr": 0.01})', "SGD depends"),
        ('pyro.optim.PyroOptim(torch.optim.Adam, {"weight_decay": 0.1})', "weight_decay"),
        ('pyro.optim.PyroOptim(torch.optim.Adam, {"lr": 0.01}, {"clip_norm": 5.0})', "clips"),
        ('pyro.optim.PyroOptim(load(), {"lr": 0.01})', "not known"),
        ("optimizer", "not known"),
        ("per_param", "not known"),
        ("torch.optim.Adam([])", "not known"),
    ],
)
def test_optimiser_that_depends_on_the_scale(check, optimizer: str, why: str):
    svi = SVI.replace('Adam({"lr": 0.01})', optimizer)
    assert why in check(program(before="data, optimizer, per_param = load()\n", svi=svi)).held_back


@pytest.mark.parametrize(
    "optimizer",
    ['ClippedAdam({"lr": 0.01, "lrd": 0.999})', 'Adagrad({"lr": 0.01})', 'AdamW({"lr": 0.01})',
     'pyro.optim.PyroOptim(torch.optim.Adam, {"lr": 0.01})'],
)  # fmt: skip
def test_optimiser_that_does_not(check, optimizer: str):
    outcome = check(program(svi=SVI.replace('Adam({"lr": 0.01})', optimizer)))
    assert "poutine.scale(model, scale=1 / len(data))" in outcome.text


@pytest.mark.parametrize(
    "elbo",
    [
        "TraceEnum_ELBO(max_plate_nesting=1)",
        "TraceMeanField_ELBO()",
        "JitTrace_ELBO()",
        "TraceGraph_ELBO()",
        "Trace_ELBO(num_particles=3)",
    ],
)
def test_linear_elbos(check, elbo: str):
    assert "poutine.scale(model, scale=1 / len(data))" in check(program(svi=SVI.replace("Trace_ELBO()", elbo))).text


@pytest.mark.parametrize(
    "elbo",
    [
        "RenyiELBO(alpha=0.5)",
        "TraceTailAdaptive_ELBO()",
        "MMD()",
        "EnergyDistance()",
        "ReweightedWakeSleep()",
        "my_loss",
        "MyELBO()",
    ],
)
def test_other_losses(check, elbo: str):
    assert (
        check(
            program(
                before="data, my_loss = load()\nclass MyELBO(Trace_ELBO): pass\n", svi=SVI.replace("Trace_ELBO()", elbo)
            )
        ).findings
        == ()
    )


# -- the call -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "SVI(model=model, guide=guide, optim={o}, loss={l})",
            "SVI(model={s}(model, scale={x}), guide={s}(guide, scale={x}), optim={o}, loss={l})",
        ),
        (
            "SVI(model,\n          guide,  # by hand\n          {o}, {l})",
            "SVI({s}(model, scale={x}),\n          {s}(guide, scale={x}),  # by hand\n          {o}, {l})",
        ),
        (
            "SVI(config_enumerate(model), guide, {o}, {l})",
            "SVI({s}(config_enumerate(model), scale={x}), {s}(guide, scale={x}), {o}, {l})",
        ),
        (
            "SVI(model, AutoNormal(model), {o}, {l})",
            "SVI({s}(model, scale={x}), {s}(AutoNormal(model), scale={x}), {o}, {l})",
        ),
    ],
)
def test_layouts(check, before: str, after: str):
    names = {"o": 'Adam({"lr": 0.01})', "l": "Trace_ELBO()", "s": "poutine.scale", "x": "1 / len(data)"}
    outcome = check(program(svi=f"svi = {before}\n".format(**names)))
    assert f"svi = {after}\n".format(**names) in outcome.text
    compile(outcome.text, "main.py", "exec")


@pytest.mark.parametrize("svi", ["SVI(*both, Adam({}), Trace_ELBO())", "SVI(model, guide, Adam({}))", "SVI(**options)"])
def test_calls_that_do_not_say_what_they_are_given(check, svi: str):
    assert check(program(before="data, both, options = load()\n", svi=f"svi = {svi}\n")).findings == ()


def test_autoguide_keeps_its_methods(check):
    """It is wrapped inside the call, not where it is made."""
    text = program(guide="", before="data = load()\nguide = AutoNormal(model)\n") + "print(guide.median())\n"
    new = check(text).text
    assert "guide = AutoNormal(model)\n" in new
    assert wrapped("len(data)") in new


@pytest.mark.parametrize(
    ("imports", "scale"),
    [
        ("from pyro import poutine", "poutine.scale"),
        ("import pyro.poutine as handlers", "handlers.scale"),
        ("from pyro.poutine import scale", "scale"),
        ("", "pyro.poutine.scale"),
        ("poutine = None", "pyro.poutine.scale"),
    ],
)
def test_import_styles(check, imports: str, scale: str):
    text = program().replace("from pyro import poutine", imports)
    assert f"{scale}(model, scale=1 / len(data)), {scale}(guide, scale=1 / len(data))" in check(text).text


def test_poutine_is_imported_where_nothing_leads_to_it(check):
    text = """
        from pyro import sample, plate
        from pyro.distributions import Normal
        from pyro.infer import SVI, Trace_ELBO
        from pyro.optim import Adam
        def model(data):
            with plate("d", len(data)):
                sample("x", Normal(0., 1.), obs=data)
        def guide(data):
            pass
        data = load()
        svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
        for _ in range(9):
            svi.step(data)
    """
    new = check(text).text
    assert "from pyro.optim import Adam\nfrom pyro import poutine\n" in new.replace("        ", "")
    assert new.index("import poutine") < new.index("poutine.scale")


def test_poutine_and_pyro_are_something_else(check):
    text = (
        program()
        .replace("import pyro\n", "")
        .replace("from pyro import poutine", "import pyro as p, pyro.poutine\npyro = p\npoutine = 3")
    )
    outcome = check(text)
    assert (
        "SVI(p.poutine.scale(model, scale=1 / len(data)), p.poutine.scale(guide, scale=1 / len(data))," in outcome.text
    )


def test_models_that_are_methods(check):
    text = PREAMBLE + (
        "class Regression:\n"
        "    def model(self, data):\n        with pyro.plate('d', len(data)):\n"
        "            pyro.sample('x', dist.Normal(0., 1.), obs=data)\n"
        "    def guide(self, data):\n        pass\n"
        "    def fit(self, data):\n"
        "        svi = SVI(self.model, self.guide, Adam({'lr': 0.01}), Trace_ELBO())\n"
        "        for _ in range(9):\n            svi.step(data)\n"
    )
    assert (
        "SVI(poutine.scale(self.model, scale=1 / len(data)), poutine.scale(self.guide, scale=1 / len(data)),"
        in check(text).text
    )


def test_two_svis(check):
    outcome = check(
        program()
        + SVI.replace("svi =", "other =").replace("Adam", "SGD")
        + "for _ in range(9):\n    other.step(data)\n"
    )
    assert [bool(f.proposal.candidates) for f in outcome.findings] == [True, False]


def test_suppression(check):
    assert check(program(svi=SVI.replace("\n", "  # noqa: SVI101\n"))).findings == ()


def observed(*sizes: int) -> SiteLook:
    plates = (PlateLook("data", -1, sizes[0], sizes[-1]),)
    return SiteLook("Normal", "real", True, (sizes[-1],), -1.0, 1.0, plates=plates)


def shown(tmp_path: Path, text: str, level: float, site: SiteLook) -> tuple[Finding, ...]:
    path = tmp_path / "main.py"
    path.write_text(text)
    losses = [5000.0] * 50 + [level] * 50
    return check_shown(path, CODE, Shown([trajectory(losses)], look(model={"x": site}))).findings


@pytest.mark.parametrize(
    ("level", "site", "found"),
    [
        (-1234.5, observed(1000), True),
        (1234.5, observed(1000, 20), True),  # subsampled
        (3.0, observed(1000), False),
        (-3.0, observed(1000), False),
        (60.0, observed(30), False),
    ],
)
def test_a_run_says_how_large(tmp_path: Path, level: float, site: SiteLook, found: bool):
    findings = shown(tmp_path, program(), level, site)
    assert bool(findings) == found
    for finding in findings:
        assert finding.proposal.source == "seen" and finding.proposal.candidates
        assert "about 1.23e+03" in finding.proposal.message


def test_a_run_without_a_plate(tmp_path: Path):
    text = program().replace("with pyro.plate", "with frames")
    assert text != program()
    (finding,) = shown(tmp_path, text, 1234.5, replace(observed(1000), plates=()))
    assert finding.proposal.source == "seen" and "nothing says what N is" in finding.proposal.held_back
    assert shown(tmp_path, text, 3.0, observed(1000)) == ()


# -- who else calls the function --------------------------------------------------------------------------------

TRAINER = """
class Trainer:
    def __init__(self, data):
        ROWS

    def model(self, batch):
        z = pyro.sample("z", dist.Normal(0., 1.))
        with pyro.plate("data", SIZE, subsample=batch):
            pyro.sample("x", dist.Normal(z, 1.), obs=batch)

    def run(self):
        svi = SVI(self.model, AutoNormal(self.model), Adam({"lr": 0.01}), Trace_ELBO())
        for batch in self.rows.split(50):
            svi.step(batch)
"""


@pytest.mark.parametrize(
    "main", ["if __name__ == '__main__':\n    x = load()\n    Trainer(x).run()\n", "x = load()\nTrainer(x).run()\n"]
)
def test_method_says_what_its_object_has(check, main: str):
    """``x`` is the same object in this run; whoever imports the class has no ``x``, or another."""
    trainer = TRAINER.replace("ROWS", "self.rows = data").replace("SIZE", "len(self.rows)")
    text = check(PREAMBLE + trainer + main).text
    assert "poutine.scale(self.model, scale=1 / len(self.rows))" in text


def test_a_name_that_only_the_program_has_is_no_size(check):
    """The model reads ``x`` itself, but who builds the SVI object need not have come to that."""
    trainer = TRAINER.replace("ROWS", "self.rows = data").replace("SIZE", "len(x)")
    trainer = trainer.replace("self.rows.split(50)", "chunks()")
    main = "if __name__ == '__main__':\n    x = load()\n    Trainer(load()).run()\n"
    assert "how to write the size of the plate" in check(PREAMBLE + trainer + main).held_back


def test_an_import_that_only_the_program_makes_is_not_used(check):
    text = PREAMBLE.replace("from pyro import poutine\n", "").replace("import *\n", "import SVI, Trace_ELBO\n", 1)
    text = text.replace("from pyro.optim import *", "from pyro.optim import Adam")
    fit = "def fit(data):\n" + "".join(f"    {line}\n" for line in (SVI + STEP).splitlines())
    main = "if __name__ == '__main__':\n    from pyro.poutine import scale\n    fit(load())\n"
    added = check(text + MODEL + GUIDE + fit + main).added
    assert added[0].startswith("svi = SVI(pyro.poutine.scale(model, scale=1 / len(data))")
