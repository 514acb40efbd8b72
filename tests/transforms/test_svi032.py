"""Every trap of tip 3 for a decay that is too fast.  Step counts and options are tested with SVI022, which shares them."""

from __future__ import annotations

import pytest
from optimisers import build, program, stepped
from showing import Shown, trajectory
from showing import check as check_shown

pytest_plugins = ["check_fixture"]
CODE = "SVI032"

LRD = "0.1 ** (1 / 1000)"


@pytest.mark.parametrize("lrd", ["0.95", "0.993", ".9", "1e-1", "0.1 ** (1 / 100)", "1 - 0.05", "0.5"])
def test_too_fast(check, lrd: str):
    finding = check(program(f'ClippedAdam({{"lr": 0.01, "lrd": {lrd}}})'))
    assert finding.added == [build(f'ClippedAdam({{"lr": 0.01, "lrd": {LRD}}})').strip()]
    assert finding.finding.proposal.source == "static"


def test_too_fast_behind_the_class(check):
    made = "pyro.optim.PyroOptim(pyro.optim.clipped_adam.ClippedAdam, {{'lr': 0.01, 'lrd': {}}})"
    assert check(program(made.format("0.9"))).added == [build(made.format(LRD)).strip()]


@pytest.mark.parametrize(
    "lrd", ["0.9999", "0.994", "1.0", "1", "0.1 ** (1 / 1000)", "1e-2 ** (1 / 1000)", "0.0", "1.1"]
)
def test_slow_enough(check, lrd: str):
    assert check(program(f'ClippedAdam({{"lr": 0.01, "lrd": {lrd}}})')).findings == ()


@pytest.mark.parametrize("lrd", ["lrd", "load()", "args.lrd", "gamma ** (1 / 10)"])
def test_unknown(check, lrd: str):
    before = "args = load()\nlrd, gamma = load()\n"
    assert check(program(f'ClippedAdam({{"lr": 0.01, "lrd": {lrd}}})', before=before)).findings == ()


def test_none_is_given(check):
    assert check(program('ClippedAdam({"lr": 0.01})')).findings == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("dict(lr=0.01, lrd=0.9)", "dict(lr=0.01, lrd=LRD)"),
        ("{'lrd': 0.9, 'lr': 0.01}", "{'lrd': LRD, 'lr': 0.01}"),
        ('{"lrd": 0.9}', '{"lrd": LRD}'),
        ('{\n    "lr": 0.01,\n    "lrd": 0.9,  # gently\n}', '{\n    "lr": 0.01,\n    "lrd": LRD,  # gently\n}'),
    ],
)
def test_rewritten(check, before: str, after: str):
    assert f"ClippedAdam({after.replace('LRD', LRD)})" in check(program(f"ClippedAdam({before})")).text


def test_in_terms_of_the_name_of_the_count(check):
    text = stepped('ClippedAdam({"lr": 0.01, "lrd": 0.95})', "for _ in range(num_steps):\n    svi.step(data)\n")
    assert check(text).added == ['optimizer = ClippedAdam({"lr": 0.01, "lrd": 0.1 ** (1 / num_steps)})']


def test_epochs_times_batches(check):
    """Gentle for the epochs, but a step is a batch."""
    loop = "for epoch in range(100):\n    for batch in range(50):\n        svi.step(batch)\n"
    checked = check(stepped('ClippedAdam({"lr": 0.01, "lrd": 0.98})', loop))
    assert checked.added == ['optimizer = ClippedAdam({"lr": 0.01, "lrd": 0.1 ** (1 / (100 * 50))})']
    assert "after 5000 steps" in checked.finding.proposal.message


def test_declared_rate(check):
    rate = check(program('ClippedAdam({"lr": 0.02, "lrd": 0.9})')).finding.proposal.candidates[0].rate
    assert rate is not None and rate.lr == 0.02
    assert rate.lrd is not None and rate.lrd**1000 == pytest.approx(0.1)


def test_in_a_variable(check):
    text = program('ClippedAdam({"lr": 0.01, "lrd": lrd})', before="lrd = 0.9\n")
    assert "not a number that is written at the call" in check(text).held_back


@pytest.mark.parametrize(
    "loop",
    [
        "for _ in range(20):\n    svi.step(data)\n",
        "while True:\n    svi.step(data)\n",
        "for _ in range(1000):\n    if svi.step(data) < best:\n        break\n",
    ],
    ids=["smoke", "endless", "early stopping"],
)
def test_the_source_does_not_tell(check, loop: str):
    assert check(stepped('ClippedAdam({"lr": 0.01, "lrd": 0.5})', loop)).findings == ()


@pytest.mark.parametrize("options", ["lambda name: {'lr': 0.01, 'lrd': 0.9}", '{**base, "lrd": 0.9}'])
def test_options_that_cannot_be_read(check, options: str):
    assert check(program(f"ClippedAdam({options})", before="base = load()\n")).findings == ()


def test_other_schedulers_are_by_epoch(check):
    text = program('pyro.optim.ExponentialLR({"optimizer": torch.optim.Adam, "optim_args": {"lr": 1.}, "gamma": 0.9})')
    assert check(text).findings == ()


def test_suppression(check):
    text = program('ClippedAdam({"lr": 0.01, "lrd": 0.9})')
    assert check(text.replace("Trace_ELBO())", "Trace_ELBO())  # pyro-fix: ignore[SVI032]")).findings == ()


# --- by what a run shows

FALLING = Shown([trajectory(rates=[0.01 * 0.9**t for t in range(100)])])


@pytest.fixture
def seen(tmp_path):
    def run(text: str, judge: Shown):
        path = tmp_path / "main.py"
        path.write_text(text)
        return [finding.proposal for finding in check_shown(path, CODE, judge).findings]

    return run


def test_a_run_shows_it_where_the_count_has_only_a_name(seen):
    loop = "for _ in range(num_steps):\n    svi.step(data)\n"
    text = stepped('ClippedAdam({"lr": 0.01, "lrd": 0.9})', loop, "num_steps = int(input())\n")
    (proposal,) = seen(text, FALLING)
    assert proposal.source == "seen" and "after 100 steps" in proposal.message
    assert "num_steps" in proposal.candidates[0].label


def test_a_run_shows_it_of_an_unknown_decay(seen):
    text = program('ClippedAdam({"lr": 0.01, "lrd": lrd})', before="lrd = float(input())\n")
    (proposal,) = seen(text, FALLING)
    assert proposal.source == "seen" and "not a number" in proposal.held_back


def test_a_run_whose_rate_lasts_shows_nothing(seen):
    text = program('ClippedAdam({"lr": 0.01, "lrd": lrd})', before="lrd = float(input())\n")
    assert seen(text, Shown([trajectory(rates=[0.01 * 0.95**t for t in range(100)])])) == []


# --- schedulers that are stepped with every batch

SCHEDULER = 'pyro.optim.{}({{"optimizer": torch.optim.Adam, "optim_args": {{"lr": 0.02}}, {}}})'


def falling_every(steps: int, factor: float, length: int = 100) -> Shown:
    return Shown([trajectory(rates=[0.02 * factor ** (t // steps) for t in range(length)])])


@pytest.mark.parametrize(
    ("options", "every", "factor", "wanted"),
    [
        ('"step_size": 5, "gamma": 0.5', 5, 0.5, "1000 // 4"),
        ('"step_size": 10', 10, 0.1, "1000 // 2"),
        ('"step_size": 30, "gamma": 0.1', 30, 0.1, "1000 // 2"),  # the 100 steps of the run leave a thousandth ...
        ('"step_size": 40, "gamma": 0.5', 40, 0.5, "1000 // 4"),  # ... or a quarter, the 1000 of the training nothing
        ('"step_size": 2, "gamma": 0.01', 2, 0.01, "1000 // 2"),
    ],
)
def test_a_step_size_that_was_meant_for_epochs(seen, options: str, every: int, factor: float, wanted: str):
    (proposal,) = seen(program(SCHEDULER.format("StepLR", options)), falling_every(every, factor))
    assert [c.label for c in proposal.candidates] == [f"step_size = {wanted}"] and proposal.source == "seen"
    assert proposal.message.startswith("step_size leaves")


@pytest.mark.parametrize(
    ("options", "rates"),
    [
        ('"step_size": 5, "gamma": 0.5', [0.02] * 100),  # stepped once an epoch
        ('"step_size": 400, "gamma": 0.5', [0.02] * 100),
        ('"step_size": 90, "gamma": 0.9', [0.02 * 0.9 ** (t // 90) for t in range(100)]),
        ('"step_size": 5, "gamma": 0.5', [0.02 * 0.5 ** (t // 50) for t in range(100)][:40]),  # too few to tell
    ],
)
def test_a_step_size_that_lasts(seen, options: str, rates: list[float]):
    assert seen(program(SCHEDULER.format("StepLR", options)), Shown([trajectory(rates=rates)])) == []


@pytest.mark.parametrize(
    ("options", "rates", "why"),
    [
        ('"step_size": 5, "gamma": 0.97', [0.02 * 0.5**t for t in range(100)], "no number that brings"),
        ('"step_size": n, "gamma": 0.5', [0.02 * 0.5 ** (t // 5) for t in range(100)], "not a number"),
        (
            '"step_size": 5, "gamma": 0.5',
            [0.02 * 0.5 ** (t // 5 + t // 20) for t in range(100)],
            "not stepped at every",
        ),
    ],
)
def test_a_step_size_that_is_left(seen, options: str, rates: list[float], why: str):
    text = program(SCHEDULER.format("StepLR", options), before="n = int(input())\n")
    (proposal,) = seen(text, Shown([trajectory(rates=rates)]))
    assert not proposal.candidates and why in proposal.held_back


def test_what_a_factor_leaves_at_the_end_of_a_long_training(seen):
    """A hundred steps leave a third, a thousand nothing."""
    text = program(SCHEDULER.format("ExponentialLR", '"gamma": 0.99'))
    (proposal,) = seen(text, falling_every(1, 0.99))
    assert "after 1000 steps" in proposal.message and proposal.candidates[0].label == f"gamma = {LRD}"
    assert seen(program(SCHEDULER.format("ExponentialLR", '"gamma": 0.995')), falling_every(1, 0.995)) == []
