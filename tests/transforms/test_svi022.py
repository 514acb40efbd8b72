"""Every trap of tips 2 and 3 for Adam."""

from __future__ import annotations

import pytest
from optimisers import PREAMBLE, STEP, build, program, stepped
from showing import Shown, trajectory
from showing import check as check_shown

from pyro_fix import rewrite, sources

pytest_plugins = ["check_fixture"]
CODE = "SVI022"

ADAM = 'Adam({"lr": 0.01})'


def clipped(count: str) -> str:
    return f'ClippedAdam({{"lr": 0.025, "lrd": 0.1 ** (1 / {count})}})'


# -- options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Adam({"lr": 0.01})', 'ClippedAdam({"lr": 0.025, "lrd": LRD})'),
        ("Adam({'lr': 0.01})", "ClippedAdam({'lr': 0.025, 'lrd': LRD})"),
        ("Adam(dict(lr=0.01))", "ClippedAdam(dict(lr=0.025, lrd=LRD))"),
        ("Adam(optim_args={'lr': 0.01})", "ClippedAdam(optim_args={'lr': 0.025, 'lrd': LRD})"),
        ('Adam({"lr": lr, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1})',
         'ClippedAdam({"lr": lr, "betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1, "lrd": LRD})'),
        ('Adam({"lr": 0.01,})', 'ClippedAdam({"lr": 0.025, "lrd": LRD,})'),
        ("Adam({})", 'ClippedAdam({"lr": 0.0025, "lrd": LRD})'),
    ],
)  # fmt: skip
def test_options_are_kept(check, before: str, after: str):
    assert after.replace("LRD", "0.1 ** (1 / 1000)") in check(program(before, before="lr = 0.01\n")).text


@pytest.mark.parametrize(
    ("optimizer", "why"),
    [
        ('Adam({"lr": 0.01, "amsgrad": True})', "amsgrad"),
        ('Adam({"lr": 0.01, "momentum": 0.9})', "momentum"),
        ('Adam({"lr": 0.01, "fused": True})', "fused"),
        ('Adam({"lr": 0.01, "foreach": True})', "foreach"),
        ('Adam({"lr": 0.01, "maximize": True})', "maximize"),
        ('Adam({"lr": 0.01}, {"clip_norm": 5.0})', "clip_args"),
        ('Adam({"lr": 0.01}, clip_args={"clip_value": 5.0})', "clip_args"),
        ("Adam(per_param)", "function of the parameter"),
        ("Adam(lambda name: {'lr': 0.01})", "function of the parameter"),
        ("Adam({**base, 'lr': 0.01})", "run time"),
        ("Adam({key: 0.01})", "run time"),
        ("Adam(config['adam'])", "not a dict"),
        ("Adam(shared)", "other uses"),
        ("Adam()", "no options"),
        ("Adam(*options)", "passed by"),
    ],
)
def test_options_that_cannot_be_kept(check, optimizer: str, why: str):
    before = (
        "base, key, config, options = load()\nshared = {'lr': 0.01}\nprint(shared)\n"
        "def per_param(name):\n    return {'lr': 0.01 if name else 0.1}\n"
    )
    assert why in check(program(optimizer, before=before)).held_back


def test_options_in_a_variable(check):
    outcome = check(program("Adam(args)", before='args = {"lr": 0.01}\n'))
    assert outcome.added == ['args = {"lr": 0.025, "lrd": 0.1 ** (1 / 1000)}', build("ClippedAdam(args)").strip()]


def test_options_in_a_variable_that_is_filled_later(check):
    before = 'args = {}\nargs["lr"] = 0.01\n'
    assert check(program("Adam(args)", before=before)).held_back


def test_options_in_a_variable_above_the_count(check):
    """``num_steps`` cannot be read where the dict is written."""
    text = stepped(
        "Adam(args)", "for _ in range(num_steps):\n    svi.step(data)\n", 'args = {"lr": 0.01}\nnum_steps = load()\n'
    )
    assert "not known where the optimiser is built" in check(text).held_back


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "call", "fixed"),
    [
        ("import pyro.optim as o", "o.Adam", "o.ClippedAdam"),
        ("from pyro import optim", "optim.Adam", "optim.ClippedAdam"),
        ("import pyro.optim", "pyro.optim.Adam", "pyro.optim.ClippedAdam"),
        ("from pyro.optim import Adam as A", "A", "ClippedAdam"),
        ("from pyro.optim import Adam, ClippedAdam", "Adam", "ClippedAdam"),
        ("from pyro.optim import Adam, ClippedAdam as C", "Adam", "C"),
        ("from pyro.optim import Adam", "Adam", "ClippedAdam"),
        ("from pyro.optim import Adam, SGD", "Adam", "ClippedAdam"),
        ("from pyro.optim.pytorch_optimizers import Adam", "Adam", "pyro.optim.ClippedAdam"),
    ],
)
def test_import_styles(check, imports: str, call: str, fixed: str):
    text = program(f'{call}({{"lr": 0.01}})').replace("from pyro.optim import *", imports)
    new = check(text).text
    assert f'{fixed}({{"lr": 0.025, "lrd": 0.1 ** (1 / 1000)}})' in new
    compile(new, "main.py", "exec")


def test_import_that_nothing_else_uses_is_replaced(check):
    text = program(ADAM).replace("from pyro.optim import *", "from pyro.optim import Adam")
    assert "from pyro.optim import ClippedAdam\n" in check(text).added[0] + "\n"


@pytest.mark.parametrize(
    ("imports", "call", "fixed"),
    [
        ("from pyro.optim import Adam as A, SGD", "A", "from pyro.optim import ClippedAdam, SGD"),
        ("from pyro.optim import Adam, ClippedAdam", "Adam", "from pyro.optim import ClippedAdam"),
        ("from pyro.optim import ClippedAdam, Adam as A", "A", "from pyro.optim import ClippedAdam"),
        (
            "from pyro.optim import ClippedAdam\nfrom pyro.optim import Adam",
            "Adam",
            "from pyro.optim import ClippedAdam",
        ),
        ("from pyro.optim.pytorch_optimizers import Adam", "Adam", ""),
        # who reads the comment may know more
        (
            "from pyro.optim import ClippedAdam, Adam  # both",
            "Adam",
            "from pyro.optim import ClippedAdam, Adam  # both",
        ),
        ("if load:\n    from pyro.optim import Adam", "Adam", "if load:\n    from pyro.optim import Adam"),
        ("from pyro.optim import Adam as A\nfrom torch.optim import A", "A", None),
    ],
)
def test_imports_that_would_be_left_over(check, imports: str, call: str, fixed: str | None):
    text = program(f'{call}({{"lr": 0.01}})').replace("from pyro.optim import *", imports)
    if fixed is None:
        assert check(text).findings == ()
        return
    new = check(text).text
    assert new.replace(f"{fixed}\n" if fixed else "", "", 1).count("Adam") == new.count("Adam") - fixed.count("Adam")
    assert f"{fixed}\n" in new and ("Adam as A" not in new)
    compile(new, "main.py", "exec")


@pytest.mark.parametrize(
    "use",
    [
        '__all__ = ["Adam"]\n',
        'def make(optimizer: "Adam"):\n    pass\n',
        'x = globals()["Adam"]\n',
        "def make(optimizer: Adam):\n    pass\n",
    ],
)
def test_imports_that_are_not_left_over(check, use: str):
    text = program(ADAM, before=use).replace("from pyro.optim import *", "from pyro.optim import Adam, ClippedAdam")
    assert "from pyro.optim import Adam, ClippedAdam\n" in check(text).text


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        ("from main import Adam\n", True),
        ("from main import *\n", True),
        ("import main\nprint(main.Adam)\n", True),
        ("import main\nprint(main.data)\n", False),
    ],
)
def test_imports_that_other_files_take(check, text: str, is_taken: bool):
    """``train.py`` is where some get their names from."""
    main = program(ADAM).replace("from pyro.optim import *", "from pyro.optim import Adam")
    new = check(main, other=f"import pyro\nfrom pyro.infer import SVI\npyro.param('x')\n{text}").text
    assert ("from pyro.optim import Adam\n" in new) is is_taken
    assert "ClippedAdam(" in new


def test_import_that_others_use_is_kept(check):
    text = program(ADAM, before="other = Adam\n").replace("from pyro.optim import *", "from pyro.optim import Adam")
    new = check(text).text
    assert "from pyro.optim import Adam\n" in new and "ClippedAdam(" in new


@pytest.mark.parametrize(
    "imports", ["from torch.optim import Adam", "from torch.optim import *", "from mine import Adam"]
)
def test_adam_of_somebody_else(check, imports: str):
    text = program(ADAM).replace("from pyro.optim import *", imports)
    assert check(text).findings == ()


def test_adam_rebound_later_in_the_file(check):
    """One file may import both, one after the other, under one name."""
    text = program(ADAM).replace("from pyro.optim import *", "from pyro.optim import Adam")
    text += "from torch.optim import Adam\nother = Adam(net.parameters(), lr=0.1)\n"
    new = check(text).text
    assert clipped("1000") in new and "other = Adam(net.parameters(), lr=0.1)" in new
    assert "from torch.optim import Adam\n" in new


def test_adam_rebound_before(check):
    text = program(ADAM, before="from torch.optim import Adam\n")
    assert check(text).findings == ()


def test_clipped_adam_is_something_else_here(check):
    text = program(ADAM, before="class ClippedAdam: pass\n").replace(
        "from pyro.optim import *", "from pyro.optim import Adam"
    )
    outcome = check(text)
    assert "pyro.optim.ClippedAdam(" in outcome.text


def test_adam_that_no_svi_uses(check):
    assert check(PREAMBLE + f"optimizer = {ADAM}\n").findings == ()


# -- how many steps -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loop", "count"),
    [
        ("for _ in range(num_steps):\n    svi.step(data)\n", "num_steps"),
        ("for _ in range(0, num_steps):\n    svi.step(data)\n", "num_steps"),
        ("for _ in range(1, num_steps + 1):\n    svi.step(data)\n", "num_steps"),
        ("for _ in range(1, 1 + num_steps):\n    svi.step(data)\n", "num_steps"),
        ("for _ in range(1, 501):\n    svi.step(data)\n", "500"),
        ("for _ in trange(num_steps):\n    svi.step(data)\n", "num_steps"),
        ("for _ in tqdm(range(num_steps)):\n    svi.step(data)\n", "num_steps"),
        ("for i, _ in enumerate(range(num_steps)):\n    svi.step(data)\n", "num_steps"),
        ("pbar = tqdm(range(num_steps), desc='x')\nfor _ in pbar:\n    svi.step(data)\n    pbar.set_postfix()\n", "num_steps"),
        ("losses = [svi.step(data) for _ in range(num_steps)]\n", "num_steps"),
        ("for e in range(3):\n    for b in range(num_steps):\n        svi.step(data)\n", "(3 * num_steps)"),
        ("for _ in range(int(1e3)):\n    svi.step(data)\n", "1000"),
        ("for _ in range(1000 if True else 1000):\n    svi.step(data)\n", "1000"),
        ("for i in range(num_steps):\n    loss = svi.step(data)\n    if i % 10 == 0:\n        print(loss)\n", "num_steps"),
        ("for i in range(num_steps):\n    with ctx:\n        svi.step(data)\n", "num_steps"),
        ("for i in range(num_steps):\n    if i > 3:\n        continue_logging = 1\n    svi.step(data)\nelse:\n    print()\n", "num_steps"),
        ("def train():\n    for i in range(num_steps):\n        svi.step(data)\ntrain()\n", "num_steps"),
        ("def step(x):\n    return svi.step(x)\nfor i in range(num_steps):\n    step(data)\n", "num_steps"),
        ("for _ in range(2 * num_steps):\n    svi.step(data)\n", "(2 * num_steps)"),
        ("for _ in range(num_steps - 1):\n    svi.step(data)\n", "(num_steps - 1)"),
    ],
)  # fmt: skip
def test_step_count(check, loop: str, count: str):
    assert clipped(count) in check(stepped(ADAM, loop)).text


@pytest.mark.parametrize(
    ("loop", "why"),
    [
        ("while True:\n    svi.step(data)\n", "may end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    i += 2\n", "may end early"),
        ("for _ in range(num_steps):\n    if svi.step(data) < 1:\n        break\n", "may end early"),
        ("def t():\n    for _ in range(num_steps):\n        if svi.step(data) < 1:\n            return\nt()\n", "may end early"),
        ("for i in range(num_steps):\n    if i % 2:\n        svi.step(data)\n", "condition"),
        ("for i in range(num_steps):\n    if i % 2:\n        continue\n    svi.step(data)\n", "condition"),
        ("for i in range(num_steps):\n    data and svi.step(data)\n", "condition"),
        ("for i in range(num_steps):\n    x = svi.step(data) if data else 0\n", "condition"),
        ("for batch in load():\n    svi.step(batch)\n", "not known"),
        ("for _ in itertools.count():\n    svi.step(data)\n", "not known"),
        ("for _ in range(*bounds):\n    svi.step(data)\n", "not known"),
        ("svi.step(data)\n", "in no loop"),
        ("", "not found"),
        ("if data:\n    for _ in range(9):\n        svi.step(data)\nfor _ in range(9):\n    svi.step(data)\n", "several places"),
        ("for _ in range(num_steps):\n    try:\n        svi.step(data)\n    except StopIteration:\n        break\n", "may end early"),
        ("[svi.step(data) for i in range(num_steps) if i % 2]\n", "may end early"),
        ("for svi_ in (svi, svi):\n    for _ in range(num_steps):\n        svi_.step(data)\n", "not found"),
        ("for _ in range(num_steps):\n    match data:\n        case 1:\n            svi.step(data)\n", "condition"),
    ],
)  # fmt: skip
def test_step_count_that_is_not_known(check, loop: str, why: str):
    assert why in check(stepped(ADAM, loop, "import itertools\nbounds = load()\nnum_steps = 500\n")).held_back


@pytest.mark.parametrize("steps", [1, 2, 49])
def test_smoke_runs_are_left_alone(check, steps: int):
    assert check(stepped(ADAM, f"for _ in range({steps}):\n    svi.step(data)\n")).findings == ()


def test_epochs_times_batches(check):
    before = "epochs = 10\nloader = DataLoader(load(), batch_size=8)\n"
    loop = "for epoch in range(epochs):\n    for x, y in loader:\n        svi.step(x)\n"
    assert clipped("(epochs * len(loader))") in check(stepped(ADAM, loop, before)).text


def test_loader_built_after_the_optimiser(check):
    loop = "loader = DataLoader(load())\nfor epoch in range(num_steps):\n    for x in loader:\n        svi.step(x)\n"
    assert "not known where the optimiser is built" in check(stepped(ADAM, loop)).held_back


def test_count_assigned_after_the_optimiser(check):
    loop = "n = load()\nfor _ in range(n):\n    svi.step(data)\n"
    assert "not known where the optimiser is built" in check(stepped(ADAM, loop)).held_back


def test_literal_assigned_after_the_optimiser(check):
    """The name cannot be read there, the number can be written."""
    loop = "n = 700\nfor _ in range(n):\n    svi.step(data)\n"
    assert clipped("700") in check(stepped(ADAM, loop)).text


def test_count_rebound_in_between(check):
    loop = "num_steps = 900\nfor _ in range(num_steps):\n    svi.step(data)\n"
    assert clipped("900") in check(stepped(ADAM, loop)).text


def test_count_rebound_to_something_unknown(check):
    loop = "num_steps = load()\nfor _ in range(num_steps):\n    svi.step(data)\n"
    assert "not known where" in check(stepped(ADAM, loop)).held_back


def test_count_that_depends_on_a_condition(check):
    loop = "n = 1000\nif smoke_test:\n    n = 2\nfor _ in range(n):\n    svi.step(data)\n"
    assert "condition" in check(stepped(ADAM, loop, "import os\nsmoke_test = 'CI' in os.environ\n")).held_back


@pytest.mark.parametrize(
    "loop",
    [
        "n = 2 if smoke_test else 1000\nfor _ in range(n):\n    svi.step(data)\n",
        "for _ in range(2 if smoke_test else 1000):\n    svi.step(data)\n",
    ],
)
def test_count_that_an_expression_chooses(check, loop: str):
    text = stepped(ADAM, loop, "import os\nsmoke_test = 'CI' in os.environ\n")
    assert clipped("(2 if smoke_test else 1000)") in check(text).text


def test_count_that_depends_on_a_condition_above(check):
    before = "import os\nsmoke_test = 'CI' in os.environ\nnum_steps = 2 if smoke_test else 1000\n"
    loop = "for _ in range(num_steps):\n    svi.step(data)\n"
    assert clipped("num_steps") in check(stepped(ADAM, loop, before)).text


def test_count_of_a_function_s_argument(check):
    text = PREAMBLE + (
        "def train(data, n=1000):\n"
        f"    optimizer = {ADAM}\n    {build('optimizer')}"
        "    for _ in range(n):\n        svi.step(data)\n"
    )
    assert clipped("n") in check(text).text


def test_count_of_another_function_s_argument(check):
    text = PREAMBLE + (
        f"def make():\n    return SVI(model, guide, {ADAM}, Trace_ELBO())\n"
        "def train(data, n=1000):\n    svi = make()\n    for _ in range(n):\n        svi.step(data)\n"
    )
    assert "not known where" in check(text).held_back


def test_argparse(check):
    text = PREAMBLE + (
        "def main(args):\n"
        f"    optimizer = {ADAM}\n    {build('optimizer')}"
        "    for _ in range(args.num_steps):\n        svi.step(None)\n"
        "if __name__ == '__main__':\n"
        "    parser = argparse.ArgumentParser()\n    parser.add_argument('--num-steps', type=int, default=1000)\n"
        "    main(parser.parse_args())\n"
    )
    assert clipped("args.num_steps") in check(text).text


def test_argument_that_is_changed_in_between(check):
    text = PREAMBLE + (
        "def main(args):\n"
        f"    optimizer = {ADAM}\n    {build('optimizer')}"
        "    args.num_steps = args.num_steps // 2\n"
        "    for _ in range(args.num_steps):\n        svi.step(None)\n"
    )
    assert "the number of steps" in check(text).held_back


def test_attribute_of_self(check):
    text = PREAMBLE + (
        "class Trainer:\n"
        "    def __init__(self, n):\n        self.n = n\n"
        f"        self.svi = SVI(model, guide, {ADAM}, Trace_ELBO())\n"
        "    def run(self, data):\n        for _ in range(self.n):\n            self.svi.step(data)\n"
        "Trainer(1000).run(None)\n"
    )
    outcome = check(text)
    assert any(clipped(name) in outcome.text for name in ("self.n", "n"))


def test_closure(check):
    text = PREAMBLE + (
        "def main(n):\n"
        f"    def make():\n        return {ADAM}\n"
        f"    {build('make()')}"
        "    for _ in range(n):\n        svi.step(None)\n"
    )
    assert clipped("n") in check(text).text


def test_closure_over_a_name_that_is_bound_later(check):
    text = PREAMBLE + (
        "def main():\n"
        f"    def make():\n        return {ADAM}\n"
        f"    {build('make()')}    n = load()\n"
        "    for _ in range(n):\n        svi.step(None)\n"
    )
    assert "not known where" in check(text).held_back


def test_global_that_is_bound_after_the_call(check):
    text = (
        PREAMBLE
        + f"def make():\n    return {ADAM}\n{build('make()')}n = load()\nfor _ in range(n):\n    svi.step(None)\n"
    )
    assert "not known where" in check(text).held_back


def test_builtin_that_is_shadowed(check):
    text = stepped(
        ADAM,
        "for _ in range(num_steps):\n    svi.step(data)\n",
        "num_steps = 5\ndef range(n):\n    return list(load())\n",
    )
    assert not any(f.proposal.candidates for f in check(text).findings)


# -- which optimiser, which SVI ------------------------------------------------------------------------------------


def test_two_svis_share_one_optimiser(check):
    text = stepped(ADAM, build("optimizer").replace("svi", "other", 1) + STEP)
    assert "several SVI calls" in check(text).held_back


def test_a_loop_builds_svis_with_one_optimiser(check):
    text = (
        PREAMBLE
        + f"optimizer = {ADAM}\nfor i in range(3):\n    {build('optimizer')}    for _ in range(1000):\n        svi.step(data)\n"
    )
    assert "a loop builds" in check(text).held_back


def test_a_loop_builds_both(check):
    text = PREAMBLE + f"for i in range(3):\n    {build(ADAM)}    for _ in range(1000):\n        svi.step(data)\n"
    assert clipped("1000") in check(text).text


def test_scheduler_is_in_charge(check):
    before = "scheduler = ExponentialLR({'optimizer': torch.optim.Adam, 'optim_args': {'lr': 0.01}, 'gamma': 0.9})\n"
    assert check(program("scheduler", before=before)).findings == ()


def test_optimiser_chosen_by_a_flag(check):
    """Flags that choose an optimiser are the user's."""
    before = f"if flag:\n    optimizer = {ADAM}\nelse:\n    optimizer = SGD({{'lr': 0.1}})\n"
    assert check(program("optimizer", before=before)).findings == ()


def test_learning_rate_changed_by_hand(check):
    """The program sets the rate itself, so it would decay twice."""
    loop = "for _ in range(1000):\n    svi.step(data)\n    for p in optimizer.optim_objs.values():\n        p.param_groups[0]['lr'] *= 0.99\n"
    assert check(stepped(ADAM, loop)).held_back


def test_optimiser_of_another_module(check):
    outcome = check(
        PREAMBLE
        + "from settings import optimizer, num_steps\n"
        + build("optimizer")
        + "for _ in range(num_steps):\n    svi.step(0)\n",
        settings='from pyro.optim import Adam\nnum_steps = 500\noptimizer = Adam({"lr": 0.01})\nsvi = "SVI("\n',
    )
    assert clipped("num_steps") in outcome.texts["settings.py"]


def test_callers_with_different_counts_of_one_function(check):
    """What is written must be right for every caller."""
    text = PREAMBLE + (
        f"def train(n):\n    {build(ADAM)}    for _ in range(n):\n        svi.step(None)\ntrain(100)\ntrain(200)\n"
    )
    assert clipped("n") in check(text).text


def test_callers_with_different_counts_elsewhere(check):
    text = PREAMBLE + (
        f"def make():\n    return SVI(model, guide, {ADAM}, Trace_ELBO())\n"
        "svi = make()\nfor _ in range(100):\n    svi.step(0)\n"
        "svi = make()\nfor _ in range(200):\n    svi.step(0)\n"
    )
    outcome = check(text)
    assert outcome.result.changes == ()
    assert "where the optimiser is built" in outcome.held_back, "a caller's number is not the function's"


def test_suppression(check):
    assert check(program(f"{ADAM}").replace("Trace_ELBO())", "Trace_ELBO())  # noqa: SVI022")).findings == ()


def test_composes_with_svi101(check):
    """The optimiser stands in the very call whose model and guide are wrapped."""
    text = program(ADAM).replace('    z = pyro.sample("z", dist.Normal(0., 1.))\n', (
        '    z = pyro.sample("z", dist.Normal(0., 1.))\n'
        '    with pyro.plate("d", 500):\n        pyro.sample("x", dist.Normal(z, 1.), obs=data)\n'
    ))  # fmt: skip
    outcome = check(text, codes=("SVI022", "SVI101"))
    edits = [edit for finding in outcome.findings for edit in finding.proposal.candidates[0].edits]
    new = rewrite.compose({outcome.path: sources.read(outcome.path)}, edits).texts[outcome.path]
    assert (
        "svi = SVI(pyro.poutine.scale(model, scale=1 / 500), pyro.poutine.scale(guide, scale=1 / 500), "
        f"{clipped('1000')}, Trace_ELBO())"
    ) in new.splitlines()


# -- rates that come from elsewhere -------------------------------------------------------------------------------

FLAG = "parser = argparse.ArgumentParser()\nparser.add_argument('--lr', type=float)\nargs = parser.parse_args()\n"


@pytest.mark.parametrize(
    ("rate", "becomes"),
    [
        ("args.lr", "2.5 * args.lr"),
        ('options["lr"]', '2.5 * options["lr"]'),
        ("float(args.lr)", "2.5 * float(args.lr)"),
        ("args.lr / 2", "2.5 * (args.lr / 2)"),
        ("args.lr if args.lr else 0.01", "2.5 * (args.lr if args.lr else 0.01)"),
    ],
)
def test_a_rate_that_comes_from_elsewhere_is_multiplied_where_it_is_used(shown, rate: str, becomes: str):
    text = program(f'Adam({{"lr": {rate}, "eps": 1e-7}})', before=f"{FLAG}options = vars(args)\n")
    proposal = shown(text, Shown([trajectory(rates=[0.02] * 100)]))
    one = proposal.candidates[0]
    assert one.label.startswith(f"ClippedAdam with lr = {becomes} and lrd = 0.1 ** (1 / 1000)")
    assert (one.rate.lr, one.rate.times) == (None, 2.5)
    new = rewritten(text, one)
    assert f'ClippedAdam({{"lr": {becomes}, "eps": 1e-7, "lrd": 0.1 ** (1 / 1000)}})' in new


@pytest.mark.parametrize(
    "runs",
    [
        [],  # nothing was run
        [trajectory(rates=[0.1] * 100)],  # large already
        [trajectory(rates=[0.01] * 100), trajectory(rates=[0.02] * 100, seed=1)],  # which one the user takes is open
    ],
)
def test_one_that_runs_do_not_show_is_left_as_it_is(shown, runs: list):
    text = program('Adam({"lr": args.lr})', before=FLAG)
    one = shown(text, Shown(runs)).candidates[0]
    assert 'ClippedAdam({"lr": args.lr, "lrd": 0.1 ** (1 / 1000)})' in rewritten(text, one)
    assert one.rate.times == 1.0


def test_a_number_with_other_uses(check):
    """It is known without a run, and whoever else reads it goes on with the old one."""
    new = check(program('Adam({"lr": lr})', before="lr = 0.01\nprint(lr)\n")).text
    assert "lr = 0.01\nprint(lr)\n" in new and 'ClippedAdam({"lr": 2.5 * lr, "lrd": ' in new


@pytest.fixture
def shown(tmp_path):
    def run(text: str, judge: Shown):
        path = tmp_path / "main.py"
        path.write_text(text)
        (finding,) = check_shown(path, CODE, judge).findings
        return finding.proposal

    return run


def rewritten(text: str, candidate) -> str:
    (path,) = {edit.path for edit in candidate.edits}
    return rewrite.compose({path: sources.read(path)}, candidate.edits).texts[path]
