from __future__ import annotations

from dataclasses import replace

import pytest
from bot_fixes import FIX, OTHER

from pyro_fix.bot import memory
from pyro_fix.bot.forge import Pull, State
from pyro_fix.bot.memory import Memory


def _pull(body: str, state: State) -> Pull:
    return Pull(1, "pyro-fix/all", "main", "0" * 40, state, "", body, False, frozenset(), "")


def test_a_round_trip_through_a_body() -> None:
    kept = memory.of([FIX, OTHER], "1" * 40)
    spelled = memory.spelled(kept)
    assert memory.read(f"words\r\n\r\n{spelled}\r\n") == kept
    assert "--" not in spelled.removeprefix("<!--").removesuffix("-->")


def test_it_changes_with_fixes_and_verdicts_alone() -> None:
    told = memory.of([FIX, OTHER], "1" * 40).told
    assert memory.of([OTHER, FIX], "2" * 40).told == told
    assert memory.of([replace(FIX, line=99, reason="other numbers"), OTHER], "").told == told
    assert memory.of([FIX], "").told != told
    assert memory.of([replace(FIX, verified=False), OTHER], "").told != told


@pytest.mark.parametrize(
    "body", ["", "<!-- pyro-fix: {} -->", "<!-- pyro-fix: {x} -->", '<!-- pyro-fix: {"fixes":3} -->']
)
def test_no_memory(body: str) -> None:
    assert memory.read(body) is None


def test_the_last_one_counts() -> None:
    first, last = memory.spelled(memory.of([FIX], "1" * 40)), memory.spelled(Memory())
    assert memory.read(f"{first}\n{last}") == Memory()


def test_only_what_was_closed_unmerged_is_refused() -> None:
    body = memory.spelled(memory.of([FIX], ""))
    assert memory.refused([_pull(body, "open"), _pull(body, "merged"), _pull("", "closed")]) == frozenset()
    assert memory.refused([_pull(body, "closed")]) == {FIX.fingerprint}
    assert memory.refused([_pull(memory.spelled(Memory()), "closed")]) == frozenset()
