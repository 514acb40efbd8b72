"""The catalogue for a person: ``pyro-fix rules`` and ``pyro-fix explain``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from pyro_fix.report.json import dumps
from pyro_fix.transform import Promise, Transform

#: The sixteen tips of Pyro's tutorial "SVI Part IV: Tips and Tricks", in our words, and what comes before them.
TIPS = {
    0: "A program runs, and Pyro has nothing to say of it",
    1: "Start with a small learning rate",
    2: "Use Adam or ClippedAdam by default",
    3: "Let the learning rate decay",
    4: "Give model and guide the same support",
    5: "Constrain parameters that need it",
    6: "Use an autoguide where a custom guide makes trouble",
    7: "Initialise guide distributions with low variance",
    8: "Weigh particles against the size of mini-batches",
    9: "Use TraceMeanField_ELBO where it applies",
    10: "Normalise the ELBO",
    11: "Mind the scales of numbers",
    12: "Keep validation on",
    13: "Declare event dimensions and plates rightly",
    14: "Enumerate discrete latents",
    15: "Anneal the KL term of complex models",
    16: "Clip gradients, and keep sensitive parameters off the boundary",
}
TUTORIAL = "https://pyro.ai/examples/svi_part_iv.html"


def heading(tip: int) -> str:
    """``Tip 3: …``; what comes before the tutorial's tips has no number."""
    words = TIPS.get(tip, "of SVI")
    return f"Tip {tip}: {words}" if tip else f"Before all tips: {words}"


def table(transforms: Sequence[Transform]) -> str:
    """One line a transform: code, tip, default, name, summary."""
    width = max((len(transform.name) for transform in transforms), default=0)
    return "\n".join(
        f"{t.code}  {f'tip {t.tip:>2}' if t.tip else 'before'}  {'on ' if t.default else 'off'}  {t.name:<{width}}"
        f"  {summary(t)}"
        for t in transforms
    )


def as_json(transforms: Sequence[Transform]) -> str:
    """The same as a JSON list."""
    return dumps([_entry(transform) for transform in transforms])


def find(transforms: Sequence[Transform], code: str) -> Transform:
    """The transform with this code or name; raises :class:`ValueError` with the nearest."""
    by_key = {key: t for t in transforms for key in (t.code.lower(), t.name)}
    if code.lower() not in by_key:
        import difflib

        near = difflib.get_close_matches(code.lower(), by_key, n=1, cutoff=0)
        hint = f"; did you mean {by_key[near[0]].code}?" if near else ""
        raise ValueError(f"there is no transform {code!r}{hint}")
    return by_key[code.lower()]


def markdown(transform: Transform) -> str:
    """The transform's documentation."""
    tip = f" (tip {transform.tip})" if transform.tip else ""
    return f"# {transform.code} {transform.name}{tip}\n\n{_documentation(transform)}"


def document(transform: Transform) -> str:
    """The transform's documentation as a JSON object."""
    return dumps({**_entry(transform), "documentation": _documentation(transform)})


def summary(transform: Transform) -> str:
    """The first paragraph of the documentation, on one line."""
    return " ".join(_documentation(transform).split("\n\n", 1)[0].split())


def section(transform: Transform, title: str) -> str:
    """What the documentation says under a heading; empty where there is none."""
    _, _, rest = f"\n{_documentation(transform)}\n".partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0].strip()


def _documentation(transform: Transform) -> str:
    return inspect.getdoc(type(transform)) or ""


def _entry(transform: Transform) -> dict[str, object]:
    return {
        "code": transform.code,
        "name": transform.name,
        "tip": transform.tip,
        "default": transform.default,
        "promise": [str(p.name).lower().replace("_", "-") for p in Promise if p in transform.promise],
        "summary": summary(transform),
    }
