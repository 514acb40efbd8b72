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
