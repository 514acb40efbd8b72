"""Both programs' runs as a figure: losses of all seeds, and how noisy their gradients are."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pyro_fix.report import chart
from pyro_fix.report.chart import Curve, Series
from pyro_fix.report.markup import plain


class Side(NamedTuple):
    """One of the two programs."""

    kind: str
    """``original`` or ``patched``: its name in the evidence and its class on the page."""
    words: str
    """What it has beside its name, for the legend."""


def figure(row: Mapping[str, object], sides: Sequence[Side]) -> str:
    """What the evidence keeps of one SVI object's runs."""
    series = [Series(side.kind, _curves(row.get(side.kind))) for side in sides]
    drawn = [s for s in series if s.values]
    groups = [drawn] if chart.share_an_axis(drawn) else [[s] for s in drawn]
    parts = [f'<figure class="runs{" two" * (len(groups) > 1)}">', '<div class="charts">']
    if drawn:
        title = f"Losses of SVI object {row.get('svi')}"
        charts = "".join(f"<div>{chart.draw(group, f'{title}: {_summary(group)}')}</div>" for group in groups)
        parts.append(f'<h4>Loss (&minus;ELBO) of both programs, all seeds</h4>\n<div class="plots">{charts}</div>')
        parts.append(f'<ul class="legend">{"".join(map(_legend, drawn, _chosen(sides, drawn)))}</ul>')
        if len(groups) > 1:
            parts.append('<p class="soft">Each on an axis of its own: their losses differ too much for one.</p>')
    noise = _noise(row.get("gradient at step 0"))
    parts += ["</div>", f"<div>{noise}</div>" if noise else "", "<div>\n<h4>What ran</h4>"]
    parts += [f"<figcaption>{line}</figcaption>" for line in _captions(row, series, sides)]
    return "\n".join([*filter(None, parts), "</div>\n</figure>"])


def _chosen(sides: Sequence[Side], drawn: Sequence[Series]) -> list[Side]:
    return [side for side in sides if any(s.kind == side.kind for s in drawn)]


def _curves(side: object) -> tuple[Curve, ...]:
    if not isinstance(side, Mapping):
        return ()
    return tuple(_curve(told) for told in side["trajectories"])


def _curve(told: Mapping[str, object]) -> Curve:
    losses, every = told["losses"], told.get("every", 1)
    assert isinstance(losses, (list, tuple)) and isinstance(every, int)
    points = [(index * every, _number(loss)) for index, loss in enumerate(losses)]
    last = int(str(told["steps"])) - 1
    if "last" in told and points and points[-1][0] < last:
        points.append((last, _number(told["last"])))
    return Curve(int(str(told["seed"])), tuple(points), str(told["end"]))


def _number(value: object) -> float:
    """A number of the evidence, where NaN and infinities are words."""
    return float(value) if isinstance(value, (int, float, str)) else math.nan


def _summary(group: Sequence[Series]) -> str:
    """The chart for who cannot see it."""
    words = []
    for series in group:
        median = series.median
        seeds = len(series.curves)
        start, end = chart.number(median[0][1]), chart.number(median[-1][1])
        steps = median[-1][0] - median[0][0] + 1
        words.append(f"{series.kind}, median of {seeds} seeds: {start} at first, {end} after {steps} steps")
    return "; ".join(words)


def _legend(series: Series, side: Side) -> str:
    line = f'<line class="{series.kind} median" x1="0" x2="28" y1="6" y2="6"/>'
    seeds = len(series.curves)
    many = f"{seeds} seeds; thick: their median" if seeds > 1 else f"seed {series.curves[0].seed}"
    words = f"<b>{series.kind}</b>" + (f" ({plain(side.words)})" if side.words else "")
    return f'<li><svg viewBox="0 0 28 12" aria-hidden="true">{line}</svg>{words}, {many}</li>'


def _captions(row: Mapping[str, object], series: Sequence[Series], sides: Sequence[Side]) -> Iterator[str]:
    for s, side in zip(series, sides, strict=True):
        told = row.get(side.kind)
        if not isinstance(told, Mapping):
            yield f"The {side.kind} program did not get as far as this SVI object."
            continue
        particles = f", {told['particles']} particles" if told["particles"] != 1 else ""
        about = f"{told['elbo']}{particles}, {told['optimizer']}, guide "
        at = f", built at {plain(told['where'])}" if told["where"] else ""
        yield f"<b>{side.kind}</b>: {plain(about)}<code>{plain(told['guide'])}</code>{at}"
        ended = [trajectory["own"] for trajectory in told["trajectories"] if "own" in trajectory]
        if ended:
            yield f"<b>{side.kind}</b>: {plain(beyond(min(ended)))}"
        ends: dict[str, list[int]] = {}
        for curve in s.curves:
            if curve.end:
                ends.setdefault(curve.end, []).append(curve.seed)
        for end, seeds in ends.items():
            which = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
            cross = "" if end.startswith("the loss") else "&times; "
            yield f"{cross}<b>{side.kind}</b>, {which}: {plain(end)}"


def beyond(own: int) -> str:
    """What it means that a program ended before enough was seen of it."""
    return (
        f"the program ended after {own} step{'s' * (own != 1)}, and its calls were made again: "
        "a rate that decays over as many is at its end there"
    )


def _noise(told: object) -> str:
    """Bars for the noise of both gradients: a pair of numbers that can be seen."""
    if not isinstance(told, Mapping):
        return ""
    pair = {kind: told[kind] for kind in ("original", "patched")}
    noises = {kind: float(side["noise"]) for kind, side in pair.items() if isinstance(side["noise"], (int, float))}
    seeds = pair["original"]["seeds"]
    if len(noises) < 2 or not all(map(math.isfinite, noises.values())):
        return ""
    longest = max(noises.values()) or 1.0
    parts = [f"<h4>Gradient noise at step 0, {seeds} common seeds, this fix alone</h4>", '<div class="bars">']
    for kind, noise in noises.items():
        share = 70 * noise / longest
        bar = f'<i class="{kind}" style="width:{share:.1f}%"></i>{noise:.3g}'
        parts.append(f'<span>{kind}</span><span class="bar">{bar}</span>')
    parts.append("</div>")
    numbers = [f"{kind} {_shown(s['variance'])}, mean norm {_shown(s['norm'])}" for kind, s in pair.items()]
    parts.append(
        "<figcaption>Standard deviation over the seeds in units of the mean gradient's length "
        f"(variance: {'; '.join(numbers)}).</figcaption>"
    )
    return "\n".join(parts)


def _shown(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, (int, float)) else str(value)
