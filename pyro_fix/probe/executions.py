"""Run a guide, and a model against it, for their traces: as much of both as can be run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pyro import poutine

from . import seeds

if TYPE_CHECKING:
    from .entries import Entry


class Execution:
    """The traces of a guide and of the model that was replayed against it."""

    def __init__(self, guide: Any, model: Any, params: Any, errors: list[Exception]) -> None:
        """Traces are cut short where ``errors`` (of the guide, of the model) were raised."""
        self.guide = guide
        self.model = model
        self.params = params
        """The trace of parameter statements."""
        self.errors = errors


def execute(
    entry: Entry,
    parts: tuple[Any, ...],
    *,
    within_guide: tuple[Any, ...] = (),
    within_model: tuple[Any, ...] = (),
    arguments: tuple[tuple[Any, ...], dict[str, Any]] | None = None,
) -> Execution:
    """Run both once under the seed that ``parts`` stand for, each within its context managers.

    ``arguments`` take the place of those of the step.  Whatever one of the two raises, its trace holds the sites until
    then, and the model is run all the same.
    """
    seeds.align(*parts)
    args, kwargs = arguments or (entry.args, entry.kwargs)
    errors: list[Exception] = []
    with poutine.trace(param_only=True) as capture:
        with _within(within_guide):
            guide = _trace(entry.guide, args, kwargs, errors)
        with _within(within_model):
            model = _trace(poutine.replay(entry.model, trace=guide), args, kwargs, errors)
    return Execution(guide, model, capture.trace, errors)


def _trace(fn: Any, args: tuple[Any, ...], kwargs: dict[str, Any], errors: list[Exception]) -> Any:
    handler = poutine.trace(fn)
    try:
        handler(*args, **kwargs)
    except Exception as error:
        errors.append(error)
    return handler.msngr.get_trace()


@contextlib.contextmanager
def _within(managers: tuple[Any, ...]) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        for manager in managers:
            stack.enter_context(manager)
        yield


def callee(fn: Any) -> Any:
    """What a model or guide is without Pyro's handlers round it (see ``pyro.poutine.messenger.unwrap``)."""
    while True:
        if type(fn).__name__ == "_bound_partial":
            fn = fn.func
        elif getattr(getattr(fn, "func", None), "__name__", "") == "_context_wrap" and len(fn.args) > 1:
            fn = fn.args[1]
        elif type(fn).__module__.startswith("pyro.poutine.") and hasattr(fn, "fn"):
            fn = fn.fn
        else:
            return fn


def name_of(fn: Any) -> str:
    """The name of a program that is a function, the class of one that is an object."""
    fn = callee(fn)
    while not hasattr(fn, "__name__") and hasattr(fn, "func"):  # a partial of the user's
        fn = fn.func
    return str(getattr(fn, "__name__", type(fn).__name__))
