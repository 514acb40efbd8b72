"""What files would be, had a fix of an earlier round been written otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pyro_fix import rewrite, sources
from pyro_fix.sources import Source
from pyro_fix.transform import Edit

FILE = Path("train.py")


class Rounds:
    def __init__(self, text: str) -> None:
        self.current: dict[Path, Source] = {FILE: sources.from_bytes(FILE, text.encode())}
        self.rounds: list[rewrite.Round] = []

    def edit(self, old: str, new: str) -> Edit:
        start = self.current[FILE].text.index(old)
        return Edit(FILE, start, start + len(old), new)

    def write(self, *groups: Sequence[Edit]) -> None:
        patch = rewrite.compose(self.current, [edit for group in groups for edit in group])
        ways = {path: rewrite.Way(edits) for path, edits in patch.edits.items()}
        self.rounds.append(rewrite.Round(self.current, groups, ways))
        self.current = {FILE: sources.from_bytes(FILE, patch.texts[FILE].encode())}

    def instead(self, old: Sequence[Edit], new: Sequence[Edit]) -> str | None:
        found = rewrite.instead(self.rounds, old, new, self.current)
        return None if found is None else found.get(FILE, self.current[FILE].text)


def test_another_number_in_the_end() -> None:
    job = Rounds("a = 1\nlr = 0.01\nb = 2\n")
    old, new = [job.edit("1\nb", "25\nb")], [job.edit("0.01", "0.3")]
    job.write(old, [job.edit("a = 1", "a, c = 1, 3")])
    job.write([job.edit("a, c", "first, c")], [job.edit("b = 2", "b = 2 + 2")])
    assert job.instead(old, new) == "first, c = 1, 3\nlr = 0.3\nb = 2 + 2\n"
    assert job.instead(old, old) == job.current[FILE].text


def test_what_was_changed_again_is_left_alone() -> None:
    job = Rounds("lr = 0.02\n")
    old, new = [job.edit("0.02", "0.2")], [job.edit("0.02", "0.5")]
    job.write(old)
    job.write([job.edit("2", "3")])
    assert job.instead(old, new) is None


def test_so_is_what_was_never_written_or_meets_another_fix() -> None:
    job = Rounds("lr = 0.02, 0.9\n")
    old, beside = [job.edit("0.02", "0.2")], [job.edit("0.9", "0.8")]
    assert job.instead(old, beside) is None
    job.write(old, beside)
    assert job.instead(old, [Edit(FILE, 5, 14, "0.5")]) is None
    assert job.instead(old, [Edit(FILE, 5, 9, "0.5")]) == "lr = 0.5, 0.8\n"


def test_several_places_are_one() -> None:
    job = Rounds("s = [9.0, 7.0]\nend = 1\n")
    old = [job.edit("9.0", "0.1"), job.edit("7.0", "0.1")]
    new = [job.edit("9.0", "0.3"), job.edit("7.0", "0.3")]
    job.write(old)
    job.write([job.edit("end", "the_end")])
    assert job.instead(old, new) == "s = [0.3, 0.3]\nthe_end = 1\n"
