"""Proofs on the page: by program a sentence, the curve of the objective to the end, and a table of both programs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence

from pyro_fix.proof import Proof, Side
from pyro_fix.report import chart
from pyro_fix.report.chart import Curve, Series

Text = Callable[[object], str]

_KINDS = {"better": "verified", "worse": "rejected", "as good": "none", "as it is": "none", "cannot tell": "unverified"}


def section(proofs: Sequence[Proof], text: Text) -> Iterator[str]:
    """Nothing where there is no proof."""
    if not proofs:
        return
    yield "<h2>Trained to the end, with all fixes and without</h2>"
    for proof in proofs:
        yield '<article class="proof">\n<header>'
        yield f"<h3><code>{text(proof.program)}</code></h3>"
        yield f'<span><span class="badge {_KINDS[proof.verdict]}">{text(proof.verdict)}</span></span>\n</header>'
        yield f"<p>{text(_sentence(proof))}</p>"
        yield from _figure(proof, text)
        yield "</article>"


def _sentence(proof: Proof) -> str:
    judged = f", by {proof.judge}" if proof.judge and proof.before is not None else ""
    return f"{proof.reason[:1].upper()}{proof.reason[1:]}{judged}."


def _figure(proof: Proof, text: Text) -> Iterator[str]:
    sides = {"original": proof.before, "patched": proof.after}
    series = [Series(kind, _curves(side)) for kind, side in sides.items() if side is not None]
    drawn = [one for one in series if one.values]
    yield '<figure class="runs">'
    if drawn:
        groups = [drawn] if chart.share_an_axis(drawn) else [[one] for one in drawn]
        plots = "".join(f"<div>{chart.draw(group, f'Loss of {proof.program} to its end')}</div>" for group in groups)
        yield '<div class="charts">'
        yield f'<h4>Loss (&minus;ELBO, nats) at parameters on the way</h4>\n<div class="plots">{plots}</div></div>'
    rows = [(name, [cell(side) for side in sides.values()]) for name, cell in _ROWS]
    yield '<div><table class="stack"><thead><tr><th></th><th>original</th><th>with the fixes</th></tr></thead>\n<tbody>'
    for name, cells in rows:
        if any(cells):
            yield f'<tr><th scope="row">{name}</th>{"".join(f"<td>{text(value)}</td>" for value in cells)}</tr>'
    yield "</tbody></table>"
    if proof.gain is not None:
        mean, low, high = proof.gain
        each = f", {mean / proof.data:.3g} per datum" if proof.data else ""
        yield f"<p>Gain {text(f'{mean:.4g} nats, 95 % interval {low:.4g} to {high:.4g}{each}')}.</p>"
    yield "</div></figure>"


def _curves(side: Side | None) -> tuple[Curve, ...]:
    if side is None:
        return ()
    seeds = sorted({seed for point in side.way for seed in point.losses})
    return tuple(
        Curve(seed, tuple((point.step, point.losses[seed]) for point in side.way if seed in point.losses))
        for seed in seeds
    )


def _end(side: Side | None) -> str:
    return f"{statistics.fmean(side.losses.values()):.5g}" if side is not None and side.losses else ""


def _finite(side: Side | None) -> str:
    if side is None:
        return ""
    wrong = f": {next(iter(side.endings.values()))}" if side.endings else ""
    return f"{len(side.losses)} of {len(side.losses) + len(side.endings)}{wrong}"


def _number(value: float | None, shape: str) -> str:
    return "" if value is None else format(value, shape)


_ROWS: tuple[tuple[str, Callable[[Side | None], str]], ...] = (
    ("Steps", lambda side: f"{side.steps:,}" if side is not None else ""),
    ("Loss at the end, nats", _end),
    ("Trainings that end well", _finite),
    (
        "ELBO still rises at the end",
        lambda side: f"by {side.rise[0]:.3g} nats over {side.rise[1]:,} steps" if side and side.rise else "",
    ),
    ("Seconds a step", lambda side: _number(side.step_seconds, ".3g") if side else ""),
    ("Norm of the gradient at the end", lambda side: _number(side.gradient_noise, ".3g") if side else ""),
    (
        "Pareto k&#770; of the fit",
        lambda side: (_number(side.khat, ".2g") or side.khat_missing) if side is not None else "",
    ),
)
