"""Messages of exceptions: what names the cause is never lost, and no message is longer than a person reads."""

from __future__ import annotations

import time

import pytest

from pyro_fix.analysis.health import said_of
from pyro_fix.analysis.sayings import IN_A_LINE, LONGEST, cut, shortened
from pyro_fix.observation import Failure

ROW = ", ".join(f"-0.{n:04}" for n in range(100))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            f"of tensor([{ROW}]): mind it",
            "of tensor([-0.0000, -0.0001, -0.0002, ..., -0.0097, -0.0098, -0.0099]): mind it",
        ),
        ("tensor([1., 2., 3.], requires_grad=True)", "tensor([1., 2., 3.], requires_grad=True)"),
        ("tensor([[1, 2],  [3, nan]])", "tensor([[1, 2], [3, nan]])"),
        (
            f"tensor([{', '.join(['[0., 1.]'] * 40)}], device='cuda:0')",
            f"tensor([{', '.join(['[0., 1.]'] * 3)}, ..., {', '.join(['[0., 1.]'] * 3)}], device='cuda:0')",
        ),
        (
            f"sites [{', '.join(map(repr, 'abcdefghijkl'))}] here",
            f"sites [{', '.join(map(repr, 'abcdefghijkl'))}] here",
        ),
        ("a ] b [ c, d [1, 2", "a ] b [ c, d [1, 2"),
        ("one, two [x,y] and [1, x, [2, 3]]", "one, two [x,y] and [1, x, [2, 3]]"),
        ("shape torch.Size([3, 4]) vs []", "shape torch.Size([3, 4]) vs []"),
    ],
)
def test_long_rows_of_numbers_are_short_and_words_are_whole(said: str, told: str):
    assert shortened(said) == told


def test_the_end_of_a_message_is_kept():
    failure = Failure("ValueError", f"Expected scale:\n tensor([{ROW}])\nsince 'tau' is -1\n Trace Shapes:\n x 3 |")
    assert said_of(failure).endswith(f"{ROW[-60:]}]) since 'tau' is -1") and len(said_of(failure)) > 900
    assert shortened(said_of(failure)).endswith("-0.0099]) since 'tau' is -1")
    assert cut("a" * 50 + "the cause", 30).endswith("…athe cause") and len(cut("a" * 50, 30)) == 30


@pytest.mark.parametrize("unit", ["[", "]", "[1, ", "[[1], ", ",", "é]["])
def test_no_message_is_too_much(unit: str):
    began = time.process_time()
    assert len(shortened(unit * 1_000_000)) <= IN_A_LINE
    assert len(said_of(Failure("E", unit * 1_000_000))) <= LONGEST
    assert time.process_time() - began < 2
