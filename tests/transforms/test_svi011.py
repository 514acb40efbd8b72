"""Every trap of tip 1: rates that are right though large, rates that are the user's, runs that say otherwise."""

from __future__ import annotations

import dataclasses
import math

import pytest
from optimisers import PREAMBLE, build, program
from showing import Shown, look, trajectory
from showing import check as check_shown

from pyro_fix.observation import Failure, Feed, SiteLook
from pyro_fix.transform import Promise

pytest_plugins = ["check_fixture"]
CODE = "SVI011"

NAN = Shown([trajectory([100.0] * 12 + [math.nan], rates=[0.5] * 13, nonfinite=12)])
RUNAWAY = Shown([trajectory([100.0] * 20 + [1e6] * 80, rates=[0.5] * 100)])
HEALTHY = Shown([trajectory(rates=[0.5] * 100)])


@pytest.fixture
def seen(tmp_path):
    def run(text: str, judge: Shown):
        path = tmp_path / "main.py"
        path.write_text(text)
        return [finding.proposal for finding in check_shown(path, CODE, judge).findings]

    return run


def rates_tried(proposal) -> list[str]:
    return [candidate.label.removeprefix("learning rate ") for candidate in proposal.candidates]


# --- by the source alone


@pytest.mark.parametrize("rate", ["0.1", "0.5", "1e-1", "1.0", "5"])
def test_large_along_a_noisy_gradient(check, rate: str):
    finding = check(program(f'Adam({{"lr": {rate}}})')).finding
    assert "large for 1000 steps" in finding.proposal.message and finding.proposal.source == "static"
    assert all(candidate.needs_run for candidate in finding.proposal.candidates)


@pytest.mark.parametrize("rate", ["0.099", "0.01", "1e-3", "load()", "lr", "args.lr"])
def test_small_or_unknown(check, rate: str):
    before = "parser = argparse.ArgumentParser()\nparser.add_argument('--lr', default=0.5)\n"
    assert check(program(f'Adam({{"lr": {rate}}})', before=f"{before}args = parser.parse_args()\n")).findings == ()


GENERAL = 'pyro.optim.PyroOptim(torch.optim.{}, {{"lr": {}}})'


def test_what_all_optimisers_are_made_with_has_its_options_behind_its_class(check, seen):
    """``pyro.optim.Adam(…)`` is ``PyroOptim(torch.optim.Adam, …)``; the rate changes, and the class does not."""
    assert check(program(GENERAL.format("Adam", 0.5))).added == [build(GENERAL.format("Adam", 0.05)).strip()]
    assert check(program(GENERAL.format("SGD", 0.5))).findings == ()  # a run has to show it
    (proposal,) = seen(program(GENERAL.format("SGD", 0.5)), NAN)
    assert rates_tried(proposal) == ["0.05", "0.005", "0.001", "0.0001"]
    keywords = "pyro.optim.PyroOptim(optim_args={'lr': 0.5}, optim_constructor=load())"
    assert check(program(keywords)).findings == ()  # nobody knows how long its steps are
    assert rates_tried(seen(program(keywords), NAN)[0])[:1] == ["0.05"]
    (proposal,) = seen(program(GENERAL.format("SGD", 0.5).replace('{"lr": 0.5}', "load()")), NAN)
    assert "not a dict that the source spells out" in proposal.held_back


def test_the_default_rate_is_small(check):
    assert check(program("Adam({})")).findings == ()


@pytest.mark.parametrize("loop", ["for _ in range(300):\n    svi.step(0)\n", "while True:\n    svi.step(0)\n"])
def test_short_runs_need_large_rates(check, loop: str):
    assert check(program('Adam({"lr": 0.1})', loop)).findings == ()


@pytest.mark.parametrize(
    "guide",
    [
        "guide = pyro.infer.autoguide.AutoDelta(model)\n",
        "guide = pyro.poutine.scale(pyro.infer.autoguide.AutoDelta(model), scale=0.1)\n",
        "guide = pyro.infer.autoguide.AutoLaplaceApproximation(model)\n",
        "guide = load()\n",
        "def guide(data):\n    pass\n",
        "def guide(data):\n    pyro.sample('z', dist.Delta(pyro.param('m', torch.tensor(0.))))\n",
        "def guide(data):\n    pyro.sample('z', dist.Delta(pyro.param('m', torch.zeros(3))).to_event(1))\n",
    ],
)
def test_point_estimates_need_large_rates(check, guide: str):
    assert check(program('Adam({"lr": 0.1})', before=guide)).findings == ()


@pytest.mark.parametrize(
    "guide",
    [
        "guide = pyro.infer.autoguide.AutoNormal(model)\n",
        "guide = pyro.poutine.scale(pyro.infer.autoguide.AutoNormal(model), scale=0.1)\n",
        "def guide(data):\n    pyro.sample('z', dist.Normal(pyro.param('m', torch.zeros(3)), 1.).to_event(1))\n",
    ],
)
def test_noisy_guides(check, guide: str):
    assert check(program('Adam({"lr": 0.1})', before=guide)).finding.proposal.candidates


@pytest.mark.parametrize(
    "optimizer",
    [
        'ClippedAdam({"lr": 0.1, "lrd": 0.999})',
        'SGD({"lr": 0.1})',
        'pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.1}, "gamma": 0.9})',
    ],
)
def test_decays_or_has_other_units(check, optimizer: str):
    assert check(program(optimizer)).findings == ()


def test_other_peoples_adam(check):
    text = program('Adam({"lr": 0.5})').replace("from pyro.optim import *", "from mine import Adam")
    assert check(text).findings == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('Adam({"lr": 0.5})', 'Adam({"lr": 0.05})'),
        ('Adam({"lr": .5})', 'Adam({"lr": 0.05})'),
        ("Adam(dict(lr=0.5, betas=(0.9, 0.99)))", "Adam(dict(lr=0.05, betas=(0.9, 0.99)))"),
        ('AdamW(optim_args={"weight_decay": 0.1, "lr": 0.5})', 'AdamW(optim_args={"weight_decay": 0.1, "lr": 0.05})'),
        ('Adam({"lr": 0.5}, {"clip_norm": 10.})', 'Adam({"lr": 0.05}, {"clip_norm": 10.})'),
    ],
)
def test_rewritten(check, before: str, after: str):
    assert check(program(before)).added == [build(after).strip()]


@pytest.mark.parametrize(
    ("lines", "optimizer", "added"),
    [
        ("lr = 0.5\n", 'Adam({"lr": lr})', "lr = 0.05"),
        ("lr: float = 0.5\n", 'Adam({"lr": lr})', "lr: float = 0.05"),
        ('options = {"lr": 0.5}\n', "Adam(options)", 'options = {"lr": 0.05}'),
    ],
)
def test_in_a_variable_of_its_own(check, lines: str, optimizer: str, added: str):
    assert check(program(optimizer, before=lines)).added == [added]


@pytest.mark.parametrize(
    ("lines", "optimizer", "why"),
    [
        ("lr = 0.5\nprint(lr)\n", 'Adam({"lr": lr})', "other uses"),
        ("base = 5\n", 'Adam({"lr": base * 0.1})', ""),
        ('options = {"lr": 0.5}\nprint(options)\n', "Adam(options)", ""),
    ],
)
def test_in_a_variable_with_other_uses(check, lines: str, optimizer: str, why: str):
    checked = check(program(optimizer, before=lines))
    assert not checked.result.changes
    assert [f.proposal.held_back for f in checked.findings if why not in f.proposal.held_back] == []
    assert bool(checked.findings) == bool(why)


def test_a_constant_that_another_file_imports(check):
    text = program('Adam({"lr": LR})', before="LR = 0.5\n")
    helper = "from main import LR\nimport pyro\npyro.param('lr', LR)\n"
    assert "other uses" in check(text, helper=helper).held_back


def test_the_default_of_a_function_is_for_its_callers(check):
    text = PREAMBLE + (
        "def train(lr=0.5):\n    svi = SVI(model, guide, Adam({'lr': lr}), Trace_ELBO())\n"
        "    for _ in range(1000):\n        svi.step(0)\n\ntrain()\n"
    )
    assert "for the user to set" in check(text).held_back


def test_ladder():
    from pyro_fix_transforms.svi011_learning_rate_too_large import ladder

    assert ladder(100.0) == (10.0, 1.0, 0.1, 0.01, 0.001, 0.0001)
    assert ladder(0.5) == (0.05, 0.005, 0.001, 0.0001)
    assert ladder(0.1) == (0.01, 0.001, 0.0001)
    assert ladder(0.3) == (0.03, 0.003, 0.001, 0.0001)
    assert ladder(0.002) == (0.001, 0.0001)
    assert ladder(1e-3) == (1e-4,)
    assert ladder(1e-4) == ()


def test_suppression(check):
    text = program('Adam({"lr": 0.5})').replace("Trace_ELBO())", "Trace_ELBO())  # pyro-fix: ignore[SVI011]")
    assert check(text).findings == ()


# --- by what a run shows


@pytest.mark.parametrize("judge", [NAN, RUNAWAY], ids=["nan", "runaway"])
@pytest.mark.parametrize(
    "text",
    [
        program('Adam({"lr": 0.5})'),
        program('Adam({"lr": 0.5})', "for _ in range(100):\n    svi.step(0)\n"),
        program('Adam({"lr": 0.5})', before="guide = pyro.infer.autoguide.AutoDelta(model)\n"),
        program('SGD({"lr": 0.5})'),
        program('ClippedAdam({"lr": 0.5, "lrd": 0.999})'),
        program('pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 0.5}, "gamma": 0.9})'),
    ],
)
def test_seen_with_any_optimizer_and_number_of_steps(seen, judge: Shown, text: str):
    (proposal,) = seen(text, judge)
    assert proposal.source == "seen" and "at a learning rate of 0.5" in proposal.message
    assert rates_tried(proposal) == ["0.05", "0.005", "0.001", "0.0001"]
    shares = [candidate.rate.share for candidate in proposal.candidates]
    assert shares == pytest.approx([0.1, 0.01, 0.002, 0.0002])


@pytest.mark.parametrize(("what", "found"), [("loc", 1), ("loss", 0)])
def test_at_step_0_only_what_the_update_has_spoilt(seen, what: str, found: int):
    judge = Shown([trajectory([100.0], rates=[0.5], nonfinite=0, what=what)])
    assert len(seen(program('Adam({"lr": 0.5})'), judge)) == found


def test_a_run_without_trouble_takes_the_hypothesis_back(seen):
    assert seen(program('Adam({"lr": 0.5})'), HEALTHY) == []


def test_a_run_that_made_no_step_takes_nothing_back(seen):
    (proposal,) = seen(program('Adam({"lr": 0.5})'), Shown([]))
    assert proposal.source == "static"


def test_thrown_above_its_start_on_most_seeds(seen):
    thrown = [1000.0] * 3 + [5000.0 + t for t in range(97)]
    text = program('Adam({"lr": 0.5})')

    def runs(*losses):
        return Shown([trajectory(each, seed=s, rates=[0.5] * 100) for s, each in enumerate(losses)], look())

    assert "ends above its start" in seen(text, runs(thrown, thrown, ()))[0].message
    assert seen(text, runs(thrown, (), ())) == []


def test_a_leap_has_to_end_no_worse(seen):
    leap = trajectory([1000.0] * 3 + [9000.0] * 20 + [900.0] * 77, rates=[0.5] * 100)
    (proposal,) = seen(program('Adam({"lr": 0.5})'), Shown([leap]))
    assert "before it comes back" in proposal.message
    assert all(Promise.NO_WORSE in candidate.promise for candidate in proposal.candidates)
    (proposal,) = seen(program('Adam({"lr": 0.5})'), NAN)
    assert not any(Promise.NO_WORSE in candidate.promise for candidate in proposal.candidates)


def test_the_first_step_of_a_rate_that_decays(seen):
    judge = Shown([trajectory([100.0] * 12 + [math.nan], rates=[0.495] * 13, nonfinite=12)])
    assert seen(program('ClippedAdam({"lr": 0.5, "lrd": 0.99})'), judge)[0].candidates


def test_a_noisy_start_is_no_yardstick(seen):
    thrown = trajectory([1000.0] * 3 + [5000.0] * 97, rates=[0.5] * 100)
    assert seen(program('Adam({"lr": 0.5})'), Shown([thrown], look(losses=(100.0, 9000.0, 500.0)))) == []


@pytest.mark.parametrize(
    "judge",
    [
        Shown([trajectory([math.nan], rates=[0.5], nonfinite=0)]),
        Shown([trajectory([100.0], rates=[0.5], norms=[math.nan], nonfinite=0, what="m")]),
        Shown([trajectory([100.0] * 5, rates=[0.5] * 5, failure=Failure("ValueError", "scale", step=5))]),
    ],
    ids=["first loss", "first gradient", "exception"],
)
def test_not_to_blame(seen, judge: Shown):
    assert seen(program('Adam({"lr": 0.5})'), judge) == []


SITE = SiteLook("Normal", "real", False, (), -1.0, 1.0)


@pytest.mark.parametrize(
    "changes",
    [
        {"guide": {"z": dataclasses.replace(SITE, violations=("scale: 1 of 1 values not positive",))}},
        {"guide": {"z": SITE}, "model": {"z": dataclasses.replace(SITE, distribution="Gamma", support="positive")}},
        {"error": "RuntimeError: shapes"},
        {
            "guide": {"z": dataclasses.replace(SITE, feeds=(Feed("scale", "positive", "s", (), True),))},
            "bare": True,
        },
    ],
    ids=["argument", "support", "error", "bare param"],
)
def test_another_defect_comes_first(seen, changes: dict):
    from pyro_fix.observation import ParamLook

    if changes.pop("bare", False):
        changes["params"] = {"s": ParamLook((), "real", (1.0,), 1.0, 1.0)}
    judge = dataclasses.replace(NAN, look=look(**changes))
    assert seen(program('Adam({"lr": 0.5})'), judge) == []


@pytest.mark.parametrize(
    ("optimizer", "before", "why"),
    [
        ('Adam({"lr": args.lr})', "args = load()\n", "not a literal"),
        ("Adam(lambda name: {'lr': 0.5})", "", "function of the parameter"),
        ("Adam({**base})", "base = load()\n", "run time"),
        ('Adam({"lr": lr})', "lr = 0.5\nprint(lr)\n", "other uses"),
        ('Adam({"lr": 0.2})', "", "another learning rate"),
    ],
)
def test_seen_but_not_to_be_rewritten(seen, optimizer: str, before: str, why: str):
    (proposal,) = seen(program(optimizer, before=before), NAN)
    assert proposal.candidates == () and why in proposal.held_back


def test_a_smallest_rate_is_not_lowered(seen):
    judge = Shown([trajectory([100.0] * 12 + [math.nan], rates=[1e-4] * 13, nonfinite=12)])
    assert seen(program('Adam({"lr": 0.0001})'), judge) == []


# --- a decay leaves nothing of what the source alone says


@pytest.mark.parametrize(("kind", "code"), [("Adam", "SVI022"), ("ClippedAdam", "SVI031")])
@pytest.mark.parametrize("lines", ["", "lr = 0.5\nprint(lr)\n"], ids=["literal", "variable with other uses"])
def test_a_decay_for_the_same_optimizer_is_the_one_story(check, kind: str, code: str, lines: str):
    text = program(f'{kind}({{"lr": {"lr" if lines else 0.5}}})', before=lines)
    found = check(text, (CODE, "SVI022", "SVI031")).finding.proposal
    assert found.code == code and "lrd" in found.candidates[0].label
    assert found.message.endswith(
        "(SVI011: a learning rate of 0.5 that does not decay is large for 1000 steps along a noisy gradient)"
    )


DECAYS = (CODE, "SVI022", "SVI031")
LARGE = program('Adam({"lr": 0.5})')


@pytest.mark.parametrize(
    ("text", "asked", "told"),
    [
        (LARGE, (CODE,), [CODE]),  # nobody else was asked
        (program('Adam({"lr": 0.5, "amsgrad": True})'), DECAYS, [CODE, "SVI022"]),  # the decay has no fix
        (program('AdamW({"lr": 0.5})'), DECAYS, [CODE]),  # no decay is proposed for it
        (LARGE.replace("Trace_ELBO())", "Trace_ELBO())  # pyro-fix: ignore[SVI022]"), DECAYS, [CODE]),
    ],
    ids=["not asked", "held back", "not proposed", "suppressed"],
)
def test_without_a_decay_it_stands_for_itself(check, text: str, asked: tuple[str, ...], told: list[str]):
    assert [finding.proposal.code for finding in check(text, asked).findings] == told


def test_a_decay_of_another_optimizer_is_another_story(check):
    other = "svi2 = SVI(model, guide, Adam({'lr': 0.01}), Trace_ELBO())\nfor _ in range(1000):\n    svi2.step(data)\n"
    found = check(program('Adam({"lr": 0.5, "amsgrad": True})') + other, (CODE, "SVI022")).findings
    assert [finding.proposal.code for finding in found] == [CODE, "SVI022", "SVI022"]


def test_what_a_run_shows_comes_before_the_decay(tmp_path):
    path = tmp_path / "main.py"
    path.write_text(program('Adam({"lr": 0.5})'))
    found = {finding.proposal.code: finding.proposal for finding in check_shown(path, "SVI0", NAN).findings}
    assert found[CODE].source == "seen" and CODE not in found["SVI022"].message
