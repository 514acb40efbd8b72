"""Losses of both programs as a plot that is text: a Mermaid chart, which both forges draw, and one line for mail."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from pyro_fix.bot.runs import Run, Trajectory

#: Points of a chart, and letters of a line.
POINTS, LETTERS = 40, 24
#: One axis shows two lines where neither spans less than this share of it.
_SHARE = 1 / 12
#: What can be added and drawn, and what is none.
_FINITE, _TINY = 1e299, 1e-290
_BARS = "▁▂▃▄▅▆▇█"
_GREY, _RED = "#8b949e", "#d1442f"


def mermaid(run: Run) -> str:
    """The block of a chart, with a caption; empty where there is nothing to draw."""
    lines = [(name, colour, _median(side)) for name, colour, side in _sides(run)]
    lines = [(name, colour, points[:POINTS]) for name, colour, points in lines if len(points) > 1]
    if len(lines) == 2 and not _share_an_axis(lines[0][2], lines[1][2]):
        lines = lines[1:]
    if not lines:
        return ""
    count = min(len(points) for _, _, points in lines)
    lines = [(name, colour, points[:count]) for name, colour, points in lines]
    values = [loss for _, _, points in lines for _, loss in points]
    low, high, peak = min(values), max(values), max(map(abs, values))
    flat = high - low <= max(1e-9 * peak, _TINY)
    room = 0.05 * (high - low if not flat else peak if peak > _TINY else 1.0)
    spell, unit = _spelling(high - low + 2 * room, peak)
    first, last = lines[0][2][0][0], lines[0][2][-1][0]
    colours = ", ".join(colour for _, colour, _ in lines)
    rows = [
        "```mermaid",
        f'%%{{init: {{"themeVariables": {{"xyChart": {{"plotColorPalette": "{colours}"}}}}}}}}%%',
        "xychart-beta",
        f'    x-axis "step" {first} --> {last}',
        f'    y-axis "loss{unit}" {spell(low - room)} --> {spell(high + room)}',
        *(f"    line [{', '.join(spell(loss) for _, loss in points)}]" for _, _, points in lines),
        "```",
    ]
    named = {_GREY: "grey: the original program", _RED: "red: the patched one"}
    seeds = max(len(run.original), len(run.patched))
    caption = f"Loss (-ELBO), median of {seeds} seed{'s' * (seeds != 1)}; {'; '.join(named[c] for _, c, _ in lines)}."
    return "\n".join([*rows, "", caption])


def sparkline(side: Sequence[Trajectory]) -> str:
    """The median loss as a line of letters, from its lowest to its highest; empty where there is none."""
    points = _median(side, LETTERS)
    if len(points) < 2:
        return ""
    losses = [loss for _, loss in points]
    low, high = min(losses), max(losses)
    scale = (len(_BARS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BARS[round((loss - low) * scale)] for loss in losses)


def _spelling(span: float, peak: float) -> tuple[Callable[[float], str], str]:
    """How numbers are written so that ``span`` has some four digits, and the unit: Mermaid reads no exponents."""
    power = 0 if peak <= _TINY or 1e-3 <= peak < 1e6 else math.floor(math.log10(peak))
    digits = min(max(3 - math.floor(math.log10(span) - power), 0), 15)
    return lambda value: f"{value / 10.0**power:.{digits}f}", f" / 1e{power}" if power else ""


def _sides(run: Run) -> list[tuple[str, str, Sequence[Trajectory]]]:
    return [("original", _GREY, run.original), ("patched", _RED, run.patched)]


def _median(side: Sequence[Trajectory], points: int = POINTS) -> list[tuple[int, float]]:
    """Step and median of the seeds that came so far, as long as that is half of them; thinned."""
    steps = max((trajectory.steps for trajectory in side), key=len, default=())
    found = []
    for index, step in enumerate(steps):
        losses = [t.losses[index] for t in side if index < len(t.losses) and t.steps[index] == step]
        finite = [loss for loss in losses if abs(loss) < _FINITE]  # NaN is not
        if 2 * len(finite) < len(side):
            break
        found.append((step, statistics.median(finite)))
    if len(found) <= points:
        return found
    return [found[round(n * (len(found) - 1) / (points - 1))] for n in range(points)]


def _share_an_axis(first: Sequence[tuple[int, float]], second: Sequence[tuple[int, float]]) -> bool:
    """Whether both lines have as many steps, and neither would look flat beside the other."""
    spans = []
    for points in (first, second):
        losses = [loss for _, loss in points]
        spans.append((min(losses), max(losses)))
    whole = max(high for _, high in spans) - min(low for low, _ in spans)
    if [step for step, _ in first] != [step for step, _ in second] or not math.isfinite(whole):
        return False
    return whole == 0 or all((high - low) / whole >= _SHARE for low, high in spans)
