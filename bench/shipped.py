"""What the transforms of the catalogue promise, and which of it decides."""

from __future__ import annotations

from collections.abc import Iterable

from pyro_fix import catalogue
from pyro_fix.transform import Promise


def combinations() -> tuple[Promise, ...]:
    """Every combination of promises that some transform's candidates make, smaller ones first."""
    found = {promise for transform in catalogue.load() for promise in (transform.promises or (transform.promise,))}
    return tuple(sorted(found, key=lambda promise: (len(parts(promise)), promise.value)))


def parts(promise: Promise) -> tuple[Promise, ...]:
    """The single promises in one."""
    return tuple(part for part in Promise if part in promise)


def worth_trying(promise: Promise, decided: Iterable[Promise]) -> bool:
    """Whether a combination may say more than those that were tried: none does that has one of them in it."""
    return not any(less in promise for less in decided)


def name(promise: Promise) -> str:
    """In words, as the tables have it."""
    return " and ".join(str(part.name) for part in parts(promise)).lower().replace("_", " ")
