from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from pyro_fix.bot import plot
from pyro_fix.bot.runs import Run, Trajectory

#: All that Mermaid's grammar takes for a number: no exponents.
NUMBER = r"-?\d+(?:\.\d+)?"
CHART = re.compile(
    rf"""```mermaid
%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "(#[0-9a-f]{{6}}(?:, #[0-9a-f]{{6}})?)"}}}}}}}}%%
xychart-beta
    x-axis "step" (\d+) --> (\d+)
    y-axis "loss(?: / 1e(-?\d+))?" ({NUMBER}) --> ({NUMBER})
((?:    line \[{NUMBER}(?:, {NUMBER})+\]\n){{1,2}})```

Loss \(-ELBO\), median of \d+ seeds?; [a-z:; ]+\.\Z"""
)
DOWN = tuple(100.0 - n for n in range(30))


def _run(original: tuple[float, ...] | None, patched: tuple[float, ...] | None, every: int = 1) -> Run:
    sides = [
        () if losses is None else (Trajectory(0, tuple(range(0, len(losses) * every, every)), losses, ""),)
        for losses in (original, patched)
    ]
    return Run(0, sides[0], sides[1], None)


def _lines(chart: str) -> list[list[float]]:
    """The losses that a chart draws, by line."""
    found = CHART.fullmatch(chart)
    assert found is not None, chart
    scale = 10.0 ** int(found[4] or 0)
    low, high = float(found[5]) * scale, float(found[6]) * scale
    lines = [[float(n) * scale for n in re.findall(NUMBER, row)] for row in found[7].splitlines()]
    assert low < high and all(low <= loss <= high for line in lines for loss in line)
    assert len(found[1].split(", ")) == len(lines)
    return lines


def test_both_lines_and_which_is_which() -> None:
    chart = plot.mermaid(_run(DOWN, tuple(loss / 2 for loss in DOWN)))
    assert _lines(chart) == [list(DOWN), [loss / 2 for loss in DOWN]]
    assert chart.endswith("median of 1 seed; grey: the original program; red: the patched one.")
    assert 'x-axis "step" 0 --> 29' in chart


@pytest.mark.parametrize("factor", [1e-280, 1e-9, 1e-5, 1e-3, 1.0, -1.0, 1e3, 1e4, 1e6, -1e9, 1e200, 1e296])
def test_losses_of_any_size_are_numbers_to_mermaid(factor: float) -> None:
    losses = tuple(factor * loss for loss in DOWN)
    (line,) = _lines(plot.mermaid(_run(None, losses)))
    assert all(math.isclose(one, other, rel_tol=1e-3) for one, other in zip(line, losses, strict=True))


def test_small_changes_of_large_losses_are_seen() -> None:
    (line,) = _lines(plot.mermaid(_run(None, tuple(1e7 + loss / 100 for loss in DOWN))))
    assert line[0] - line[-1] == pytest.approx(0.29, rel=1e-2)


@pytest.mark.parametrize("loss", [0.0, 5e-324, 3.0, -1e7, 1e290])
def test_a_loss_that_does_not_change(loss: float) -> None:
    (line,) = _lines(plot.mermaid(_run(None, (loss, loss, loss))))
    assert len(line) == 3


def test_what_one_axis_cannot_show_is_left_out() -> None:
    steep = tuple(1e6 * loss for loss in DOWN)
    for original in (steep, (math.nan,) * 30, (1.0,), None):
        chart = plot.mermaid(_run(original, DOWN))
        assert _lines(chart) == [list(DOWN)]
        assert "grey" not in chart and "red: the patched one" in chart
    for losses in (None, (), (1.0,), (math.nan, math.inf), (1e300, -1e300, 1e300)):
        assert plot.mermaid(_run(losses, losses)) == ""
    assert "grey: the original" in plot.mermaid(_run(DOWN, None))


def test_long_curves_are_thinned() -> None:
    chart = plot.mermaid(_run(None, tuple(float(n) for n in range(1000)), every=10))
    (line,) = _lines(chart)
    assert len(line) == plot.POINTS and (line[0], line[-1]) == (0, 999)
    assert "0 --> 9990" in chart


def test_the_median_goes_on_while_half_of_the_seeds_do() -> None:
    run = _run(None, DOWN)
    short = Trajectory(1, (0, 1), (0.0, math.inf), "broke")
    (line,) = _lines(plot.mermaid(replace(run, patched=(*run.patched, short))))
    assert line[:3] == [50, 99, 98] and len(line) == 30
    (line,) = _lines(plot.mermaid(replace(run, patched=(*run.patched, short, replace(short, losses=(1.0, 2.0))))))
    assert line == [1, 50.5]


def test_a_line_of_letters() -> None:
    line = plot.sparkline(_run(None, DOWN).patched)
    assert len(line) == plot.LETTERS and line[0] == "█" and line[-1] == "▁"
    assert plot.sparkline(_run(None, (2.0, 2.0)).patched) == "▁▁"
    assert plot.sparkline(()) == plot.sparkline(_run(None, (1.0,)).patched) == ""
