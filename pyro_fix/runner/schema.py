"""What the journal of a run may say: each event's fields, with their types and bounds.

A program can write whatever it likes into its journal.  So every event goes through here once, and comes out as what
the rest of the code takes it for, or does not come out at all.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

#: SVI objects, by their ordinals, of one program; steps of one object.
MOST_SVIS, MOST_STEPS = 10_000, 1 << 31
#: Letters of a text; what is longer is cut.
_LONGEST = 1 << 16
_MOST_NAMES, _MOST_NUMBERS, _MOST_SIZES = 100_000, 100_000, 1_000
_INTEGERS = 1 << 62
_UNFIT_LETTERS = re.compile("[\0\ud800-\udfff]")
_PLACE = re.compile(r"[^\0\ud800-\udfff]+:[0-9]{1,9}")
_PATH = re.compile("[^\0\ud800-\udc7f\udd00-\udfff]{1,4096}")

Check = Callable[[Any], Any]


class Unfit(ValueError):
    """An event that none of ours can be; the message says what is wrong with it."""


def fit(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """The event with the fields that are known of it; None for one that nobody asks for.  Raises :class:`Unfit`."""
    name = event.get("event")
    check = EVENTS.get(name) if isinstance(name, str) else None
    if check is None:
        return None
    try:
        return {"event": name, **check(event)}
    except Unfit as error:
        raise Unfit(f"{name}: {error}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Unfit("a text is something else")
    return _UNFIT_LETTERS.sub("\ufffd", value[:_LONGEST])


def _place(value: Any) -> str:
    """``file:line``; what is something else leads nowhere."""
    text = _text(value)
    return text if _PLACE.fullmatch(text) else ""


def _path(value: Any) -> str:
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise Unfit("a path is something else")
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("a yes or no is something else")
    return value


def _integer(low: int = -_INTEGERS, high: int = _INTEGERS) -> Check:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise Unfit("a whole number is something else, or out of bounds")
        return value

    return check


def _number(value: Any) -> float:
    if isinstance(value, float):
        return value
    if not isinstance(value, int) or isinstance(value, bool) or not -_INTEGERS <= value <= _INTEGERS:
        raise Unfit("a number is something else, or out of bounds")
    return float(value)


def _maybe(inner: Check) -> Check:
    return lambda value: None if value is None else inner(value)


def _many(inner: Check, most: int = _MOST_NUMBERS) -> Check:
    def check(value: Any) -> list[Any]:
        if not isinstance(value, list) or len(value) > most:
            raise Unfit("a list is something else, or too long")
        return [inner(item) for item in value]

    return check


def _pair(value: Any) -> list[float]:
    if not isinstance(value, list) or len(value) != 2:
        raise Unfit("a pair is something else")
    return [_number(item) for item in value]


def _named(inner: Check) -> Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or len(value) > _MOST_NAMES:
            raise Unfit("what has names is something else, or too much")
        return {_text(name): inner(item) for name, item in value.items()}

    return check


def _fields(needed: Mapping[str, Check], optional: Mapping[str, Check] | None = None) -> Check:
    def check(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Unfit("fields are something else")
        found = {}
        for name, inner in needed.items():
            if name not in value:
                raise Unfit(f"there is no {name}")
            found[name] = _of(name, inner, value[name])
        for name, inner in (optional or {}).items():
            if name in value:
                found[name] = _of(name, inner, value[name])
        return found

    return check


def _of(name: str, inner: Check, value: Any) -> Any:
    try:
        return inner(value)
    except Unfit as error:
        raise Unfit(f"{name}: {error}") from None


_seed, _svi, _index = _integer(), _integer(0, _INTEGERS), _integer(0, MOST_STEPS)
_count, _shape = _integer(0), _many(_integer(), _MOST_SIZES)
_numbers, _texts = _many(_number), _many(_text)
_failure = {"kind": _text, "message": _text, "where": _place}

_param = _fields(
    {
        "shape": _shape,
        "constraint": _text,
        "values": _numbers,
        "minimum": _number,
        "maximum": _number,
        "where": _place,
    }
)
_plate = _fields({"name": _text, "dim": _maybe(_integer()), "size": _integer(), "subsample": _integer()})
_site = _fields(
    {
        "distribution": _text,
        "support": _text,
        "observed": _flag,
        "shape": _shape,
        "log_prob": _number,
        "scale": _maybe(_number),
        "batch_shape": _shape,
        "event_shape": _shape,
        "plates": _many(_plate, _MOST_SIZES),
        "reparameterised": _flag,
        "enumerable": _flag,
        "enumerated": _text,
        "auxiliary": _flag,
        "minimum": _maybe(_number),
        "maximum": _maybe(_number),
        "spread": _maybe(_pair),
        "where": _place,
        "violations": _texts,
    }
)
_slices = _fields({"particles": _integer(), "worst": _number, "site": _text, "error": _text})
_feed = _fields({"argument": _text, "required": _text, "param": _text, "operations": _texts, "unchanged": _flag})
_site_facts = _fields({}, {"feeds": _many(_feed), "parents": _texts})
_input = _fields(
    {
        "name": _text,
        "shape": _shape,
        "dtype": _text,
        "observed": _flag,
        "minimum": _number,
        "maximum": _number,
        "column_spreads": _maybe(_pair),
        "constant_columns": _count,
        "where": _place,
    }
)
_dependencies = _fields(
    {
        "prior": _named(_texts),
        "posterior": _named(_texts),
        "registered_kl": _texts,
        "mean_field": _maybe(_flag),
        "error": _text,
    }
)
_untrained = _fields(
    {
        "role": _text,
        "site": _text,
        "name": _text,
        "kind": _text,
        "tensors": _count,
        "numbers": _count,
        "where": _place,
    }
)

_work = _fields({"calls": _count, "params": _count, "elements": _count, "flops": _count})

_remark = _fields(
    {"text": _text, "where": _place, "svi": _maybe(_svi), "step": _maybe(_index), "seed": _maybe(_seed)},
)


def _step(value: Any) -> dict[str, Any]:
    """The same as ``_any_step``, at a fraction of the cost where all is as it mostly is: steps are many."""
    numbers, rates = (value.get("seed"), value.get("svi"), value.get("step")), value.get("rates")
    if len(value) == 9 and value.get("nonfinite") == "" and type(rates) is list and len(rates) <= _MOST_SIZES:
        whole = all(type(number) is int and -1 < number < MOST_STEPS for number in numbers)
        floats = (value.get("loss"), value.get("cpu"), *rates)
        norm = value.get("norm", "")
        if whole and all(type(number) is float for number in floats) and (norm is None or type(norm) is float):
            return dict(value)
    return dict(_any_step(value))


_any_step = _fields(
    {
        "seed": _seed,
        "svi": _svi,
        "step": _index,
        "loss": _number,
        "rates": _many(_number, _MOST_SIZES),
        "norm": _maybe(_number),
        "cpu": _number,
        "nonfinite": _text,
    }
)

#: Event -> field -> its type and bounds; the second are the fields that may be missing.
EVENTS: dict[str, Check] = {
    "alone": _fields({}),
    "broke": _fields(_failure, {"site": _text, "pyro": _flag}),
    "device": _fields({"device": _text, "memory": _maybe(_count)}),
    "end": _fields(
        {"seed": _seed, "svi": _svi, "reason": _text, "ranges": _named(_pair), "seconds": _numbers},
        {"own": _maybe(_index), "clamped": _count},
    ),
    "facts": _fields(
        {"svi": _svi},
        {
            "sites": _fields({}, {"guide": _named(_site_facts), "model": _named(_site_facts)}),
            "nesting": _maybe(_integer()),
            "dependencies": _maybe(_dependencies),
            "inputs": _many(_input),
            "errors": _named(_text),
        },
    ),
    "failed": _fields({"seed": _seed, "svi": _svi, "step": _index, **_failure, "site": _text}, {"pyro": _flag}),
    "hits": _fields({"counts": _named(_count)}),
    "loaded": _fields({"path": _path}),
    "look": _fields(
        {"svi": _svi},
        {
            "params": _named(_param),
            "guide": _named(_site),
            "model": _named(_site),
            "losses": _numbers,
            "gradients": _named(_many(_numbers, _MOST_SIZES)),
            "norms": _numbers,
            "slices": _maybe(_slices),
            "untrained": _many(_untrained),
            "work": _maybe(_work),
            "error": _text,
        },
    ),
    "lost": _fields({"seed": _seed, "why": _text}),
    "note": _fields({"text": _text}),
    "pytest": _fields({"status": _integer()}),
    "referee": _fields({"svi": _svi, "label": _text, "losses": _numbers}),
    "reached": _fields({"what": _text, "how": _text, "where": _place}),
    "substitute": _fields({"kind": _text, "what": _text, "lacking": _text, "where": _place}),
    "start": _fields({"python": _text, "torch": _text, "pyro": _text}),
    "step": _step,
    "svi": _fields(
        {
            "svi": _svi,
            "where": _place,
            "elbo": _text,
            "optimizer": _text,
            "particles": _integer(),
            "vectorized": _flag,
            "guide": _text,
        }
    ),
    "unlooked": _fields({"svi": _svi}),
    "uncaught": _fields({"seed": _seed}),
    "warning": _fields({"text": _text}, {"remark": _remark}),
}
