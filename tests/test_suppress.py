from __future__ import annotations

from pathlib import Path

import pytest

from pyro_fix.sources import from_bytes
from pyro_fix.suppress import suppressed
from pyro_fix.transform import Proposal


def silenced(text: str, line: int = 2, end_line: int = 0, code: str = "SVI051") -> bool:
    path = Path("a.py")
    return suppressed(
        from_bytes(path, text.encode()), Proposal(code, "a-name", 5, path, line, 1, "why", end_line=end_line)
    )


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "#noqa",
        "# NOQA",
        "# noqa:SVI051",
        "# noqa: SVI051",
        "# noqa : svi051",
        "# noqa: E501, SVI051",
        "# noqa: E501 SVI051",
        "# noqa: SVI05",
        "# noqa: SVI",
        "# noqa: SVI051 because the scale is known",
        "# type: ignore # noqa: SVI051",
        "# type: ignore[attr-defined]  # pyro-fix: ignore[SVI051]",
        "# pyro-fix: ignore",
        "# pyro-fix:ignore[SVI051]",
        "# pyro-fix: ignore[SVI101, SVI05]",
        "# pyro-fix: ignore[svi051] known",
    ],
)
def test_on_the_line(comment: str) -> None:
    assert silenced(f"a = 1\nb = 2  {comment}\n")
    assert not silenced(f"a = 1  {comment}\nb = 2\n")
    assert not silenced(f"a = 1\nb = 2\n{comment}\n")


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: E501",
        "# noqa: SVI052",
        "# noqa: S",  # flake8-bandit's
        "# noqa: SVI0511",
        "# noqa:",
        "# noqa: the scale is known",
        "# noqability",
        "# pyro-fix: ignore[SVI052]",
        "# pyro-fix: ignore[]",
        "# pyro-fix: ignored",
        "# pyro-fix ignore",
        "# no qa",
    ],
)
def test_another_comment_silences_nothing(comment: str) -> None:
    assert not silenced(f"a = 1\nb = 2  {comment}\n")


def test_any_line_of_the_statement_counts() -> None:
    text = "a = f(\n    1,\n    2,  # noqa: SVI051\n)\nb = 2\n"
    assert silenced(text, line=1, end_line=4)
    assert not silenced(text, line=1)
    assert not silenced(text, line=5, end_line=5)


def test_the_whole_file() -> None:
    assert silenced("# pyro-fix: ignore-file\na = 1\n")
    assert silenced("a = 1\nb = 2\n# pyro-fix: ignore-file[SVI05]\n")
    assert not silenced("# pyro-fix: ignore-file[SVI10]\nb = 2\n")
    assert not silenced("# pyro-fix: ignore-files\nb = 2\n")


def test_strings_are_no_comments() -> None:
    assert not silenced('a = 1\nb = "# noqa"\n')
    assert not silenced("a = '''\n# pyro-fix: ignore-file\n'''\n", line=1, end_line=3)
    assert silenced('a = 1\nb = "# noqa: E501"  # noqa: SVI051\n')


def test_carriage_returns() -> None:
    assert silenced("a = 1\r\nb = 2  # noqa: SVI051\r\nc = 3\r\n")


def test_a_file_that_ends_in_the_middle() -> None:
    assert silenced("a = 1\nb = (  # noqa\n")
