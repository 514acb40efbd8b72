"""Which bodies the test forge takes: types and names of fields, as GitHub's descriptions of its API have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from forge_model import Refused

LONGEST = 65_536
"""Characters that a body may have."""


@dataclass(frozen=True)
class Field:
    """What a field may be."""

    kind: str
    """``string``, ``integer``, ``boolean``, ``array`` or ``object``."""
    required: bool = False
    null: bool = False
    one_of: tuple[str, ...] = ()
    inner: Mapping[str, Field] | Field | None = None
    """Of an object: its fields (None: any); of an array: its elements."""


_KINDS = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict}
TEXT, NAMED, FLAG, NUMBER = Field("string"), Field("string", required=True), Field("boolean"), Field("integer")
MAYBE = Field("string", null=True)
SIDE = Field("string", one_of=("LEFT", "RIGHT"))
LINES: Mapping[str, Field] = {
    "path": NAMED,
    "body": NAMED,
    "position": NUMBER,
    "line": NUMBER,
    "side": SIDE,
    "start_line": NUMBER,
    "start_side": SIDE,
}
BODY: Mapping[str, Field] = {"body": NAMED}
NEW_PULL: Mapping[str, Field] = {
    "title": NAMED,
    "head": NAMED,
    "base": NAMED,
    "head_repo": TEXT,
    "body": MAYBE,
    "draft": FLAG,
    "maintainer_can_modify": FLAG,
}
EDITED_PULL: Mapping[str, Field] = {
    "title": TEXT,
    "body": MAYBE,
    "state": Field("string", one_of=("open", "closed")),
    "base": TEXT,
    "maintainer_can_modify": FLAG,
}
NEW_REVIEW: Mapping[str, Field] = {
    "commit_id": TEXT,
    "body": TEXT,
    "event": Field("string", one_of=("APPROVE", "REQUEST_CHANGES", "COMMENT")),
    "comments": Field("array", inner=Field("object", inner=LINES)),
}
NEW_LINE_NOTE: Mapping[str, Field] = {
    **LINES,
    "path": TEXT,
    "commit_id": TEXT,
    "in_reply_to": NUMBER,
    "subject_type": Field("string", one_of=("line", "file")),
}
NEW_LABEL: Mapping[str, Field] = {"name": NAMED, "color": TEXT, "description": TEXT}
LABELS: Mapping[str, Field] = {"labels": Field("array", required=True, inner=TEXT)}
NEW_TOKEN: Mapping[str, Field] = {
    "permissions": Field("object"),
    "repositories": Field("array", inner=TEXT),
    "repository_ids": Field("array", inner=NUMBER),
}
QUERY: Mapping[str, Field] = {"query": NAMED, "variables": Field("object"), "operationName": MAYBE}


def check(body: Any, fields: Mapping[str, Field]) -> dict[str, Any]:
    """``body`` as it is, if it fits; raises :class:`Refused` in GitHub's words otherwise."""
    told = _wrong(body, Field("object", inner=fields), "")
    if told:
        raise Refused(422, f"Invalid request.\n\n{told}")
    assert isinstance(body, dict)
    return body


def short_enough(resource: str, body: str | None, name: str = "body", most: int = LONGEST) -> None:
    """Refuse a text that is too long, or holds what no text may."""
    if body is not None and len(body) > most:
        words = f"{name} is too long (maximum is {most} characters)"
        raise Refused(
            422, "Validation Failed", {"resource": resource, "code": "custom", "field": name, "message": words}
        )


def _wrong(value: Any, field: Field, where: str) -> str:
    if value is None and field.null:
        return ""
    kind = _KINDS[field.kind]
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        article = "an" if field.kind[0] in "aio" else "a"
        return f"For '{where.lstrip('/') or 'links/0/schema'}', {value!r} is not {article} {field.kind}."
    if field.one_of and value not in field.one_of:
        return f"For '{where.lstrip('/')}', {value!r} is not a member of {list(field.one_of)}."
    if isinstance(value, list) and isinstance(field.inner, Field):
        return next(filter(None, (_wrong(v, field.inner, f"{where}/{n}") for n, v in enumerate(value))), "")
    if isinstance(value, dict) and isinstance(field.inner, Mapping):
        for name, inner in field.inner.items():
            if inner.required and name not in value:
                return f'"{name}" wasn\'t supplied.'
        for name, held in value.items():
            if name not in field.inner:
                return f'"{name}" is not a permitted key.'
            if told := _wrong(held, field.inner[name], f"{where}/{name}"):
                return told
    return ""
