"""Curves of losses as inline SVG: no library, no script; colours come from the page's style sheet."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

#: Of the drawing, in its own units; the page scales it down to what there is.
WIDTH, HEIGHT = 480, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 12, 12, 44
#: Where the largest loss is that many times a usual one, a linear axis would show a single spike.
_SPIKE = 100.0
#: Of two programs whose losses take up so little of one axis each gets its own.
_FLAT = 0.04
_TICKS = 5
#: The share of an axis that a label needs.
_APART = 0.07
_MINUS = "\u2212"


@dataclass(frozen=True)
class Curve:
    """One seed's losses."""

    seed: int
    points: tuple[tuple[int, float], ...]
    """Step and loss; a loss may be NaN or infinite."""
    end: str = ""
    """How it ended, where that was badly."""

    @property
    def finite(self) -> list[tuple[int, float]]:
        """The points that can be drawn."""
        return [(step, loss) for step, loss in self.points if math.isfinite(loss)]


@dataclass(frozen=True)
class Series:
    """All seeds of one program; ``kind`` is its class in the style sheet."""

    kind: str
    curves: tuple[Curve, ...]

    @property
    def values(self) -> list[float]:
        """All losses that can be drawn."""
        return [loss for curve in self.curves for _, loss in curve.finite]

    @property
    def median(self) -> list[tuple[int, float]]:
        """At each step over the seeds that have a loss there."""
        at: dict[int, list[float]] = {}
        for curve in self.curves:
            for step, loss in curve.finite:
                at.setdefault(step, []).append(loss)
        return [(step, statistics.median(losses)) for step, losses in sorted(at.items())]


def share_an_axis(series: Sequence[Series]) -> bool:
    """Whether every program's curve can be seen on an axis that holds them all."""
    ranges = [(min(s.values), max(s.values)) for s in series if s.values]
    if len(ranges) < 2:
        return True
    if _spiky([value for s in series for value in s.values]):
        return all(_spiky(s.values) for s in series)
    height = max(high for _, high in ranges) - min(low for low, _ in ranges)
    return all(high - low >= _FLAT * height for low, high in ranges)


def draw(series: Sequence[Series], title: str) -> str:
    """The chart; ``title`` is what a screen reader says of it."""
    values = [value for s in series for value in s.values]
    if not values:
        return ""
    scale = _Scale(values)
    steps = max(step for s in series for curve in s.curves for step, _ in curve.finite)
    first = min(step for s in series for curve in s.curves for step, _ in curve.finite)

    def x(step: int) -> float:
        return _LEFT + (step - first) / max(steps - first, 1) * (WIDTH - _LEFT - _RIGHT)

    def y(loss: float) -> float:
        return HEIGHT - _BOTTOM - scale.share(loss) * (HEIGHT - _TOP - _BOTTOM)

    parts = [f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    for value, label in scale.ticks:
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}"/>')
        parts.append(f'<text class="tick" x="{_LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{label}</text>')
    bottom = HEIGHT - _BOTTOM
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{WIDTH - _RIGHT}"/>')
    for value in _nice(first, steps, whole=True):
        at = f'x="{x(int(value)):.1f}" y="{bottom + 17}"'
        parts.append(f'<text class="tick" {at} text-anchor="middle">{value:g}</text>')
    center = (WIDTH - _RIGHT + _LEFT) / 2
    parts.append(f'<text class="label" x="{center:.0f}" y="{HEIGHT - 8}" text-anchor="middle">SVI step</text>')
    middle = (HEIGHT - _BOTTOM + _TOP) / 2
    name = "loss (&minus;ELBO), symmetric log" if scale.logarithmic else "loss (&minus;ELBO)"
    parts.append(
        f'<text class="label" transform="translate(13 {middle:.0f}) rotate(-90)" text-anchor="middle">{name}</text>'
    )
    for s in series:
        parts += [_line(curve.finite, x, y, f"{s.kind} seed") for curve in s.curves]
    for s in reversed(series):  # the first one's dashes let a line that runs below them be seen
        parts.append(_line(s.median, x, y, f"{s.kind} median"))
        for curve in s.curves:
            if curve.end and curve.finite and not curve.end.startswith("the loss"):
                step, loss = curve.finite[-1]
                parts.append(_cross(x(step), y(loss), s.kind))
    return "".join(parts) + "</svg>"


def _line(
    points: Sequence[tuple[int, float]], x: Callable[[int], float], y: Callable[[float], float], kind: str
) -> str:
    if len(points) == 1:
        ((step, loss),) = points
        return f'<circle class="{kind} dot" cx="{x(step):.1f}" cy="{y(loss):.1f}" r="3"/>'
    path = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in points)
    return f'<polyline class="{kind}" points="{path}"/>' if path else ""


def _cross(x: float, y: float, kind: str) -> str:
    return f'<path class="{kind} cross" d="M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10"/>'


def _spiky(values: Sequence[float]) -> bool:
    sizes = sorted(map(abs, values))
    return bool(sizes) and sizes[-1] > _SPIKE * max(statistics.median(sizes), 1e-300)


class _Scale:
    """Where a loss stands between the axis's ends: linear, or a symmetric logarithm where losses explode."""

    def __init__(self, values: Sequence[float]) -> None:
        sizes = sorted(map(abs, values))
        self.logarithmic = _spiky(values)
        # What lies below a usual small loss counts as zero.
        usual = max(sizes[len(sizes) // 10], sizes[-1] * 1e-30, 1e-12)
        self._unit = 10.0 ** math.floor(math.log10(usual))
        low, high = min(values), max(values)
        margin = 0.04 * (self._bent(high) - self._bent(low)) or max(abs(self._bent(high)) * 0.05, 1e-6)
        self._low, self._high = self._bent(low) - margin, self._bent(high) + margin
        self.ticks = self._decades(low, high) if self.logarithmic else [(v, number(v)) for v in _nice(low, high)]

    def share(self, value: float) -> float:
        return (self._bent(value) - self._low) / (self._high - self._low)

    def _bent(self, value: float) -> float:
        return math.asinh(value / self._unit) if self.logarithmic else value

    def _decades(self, low: float, high: float) -> list[tuple[float, str]]:
        start = round(math.log10(self._unit))
        stop = math.floor(math.log10(max(abs(low), abs(high))))
        stride = max(1, math.ceil((stop - start + 1) / _TICKS))
        sizes = [10.0**power for power in range(start, stop + 1, stride)]
        marks = [*(-size for size in reversed(sizes)), 0.0, *sizes]
        kept: list[float] = []
        for mark in sorted((m for m in marks if low <= m <= high), key=abs):  # round zero they would overlap
            if all(abs(self.share(mark) - self.share(other)) > _APART for other in kept):
                kept.append(mark)
        return [(mark, number(mark)) for mark in kept]


def _nice(low: float, high: float, whole: bool = False) -> list[float]:
    """Round numbers from ``low`` to ``high``, about :data:`_TICKS` of them."""
    if not high > low:
        return [low]
    raw = (high - low) / _TICKS
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * factor for factor in (1, 2, 5, 10) if size * factor >= raw)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [index * step for index in range(first, last + 1)]


def number(value: float) -> str:
    """A number short enough for an axis."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e5:
        return f"{value:.6g}".replace("-", _MINUS)
    mantissa, _, power = f"{value:.2e}".partition("e")
    digits = str(int(power)).replace("-", "⁻").translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))
    mantissa = mantissa.rstrip("0").rstrip(".").replace("-", _MINUS)
    sign = _MINUS * mantissa.startswith(_MINUS)
    return f"{sign}10{digits}" if mantissa == f"{sign}1" else f"{mantissa}·10{digits}"
