"""The catalogue for a person: ``pyro-fix rules`` and ``pyro-fix explain``."""

from __future__ import annotations

import inspect
from collections.abc import Sequence

from pyro_fix.report.json import dumps
from pyro_fix.transform import Promise, Transform


def table(transforms: Sequence[Transform]) -> str:
    """One line a transform: code, tip, default, name, summary."""
    width = max((len(transform.name) for transform in transforms), default=0)
    return "\n".join(
        f"{t.code}  tip {t.tip:>2}  {'on ' if t.default else 'off'}  {t.name:<{width}}  {summary(t)}"
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
    return f"# {transform.code} {transform.name} (tip {transform.tip})\n\n{_documentation(transform)}"


def document(transform: Transform) -> str:
    """The transform's documentation as a JSON object."""
    return dumps({**_entry(transform), "documentation": _documentation(transform)})


def summary(transform: Transform) -> str:
    """The first paragraph of the documentation, on one line."""
    return " ".join(_documentation(transform).split("\n\n", 1)[0].split())


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
