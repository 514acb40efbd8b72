"""The lower-level pattern: an ELBO's loss, and an optimiser of the user's that makes a step with its gradients."""

from __future__ import annotations

import functools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from .entries import Entry, Step

if TYPE_CHECKING:
    from .record import Recorder


class LowerLevel:
    """The steps that are made this way; each ELBO object stands for an SVI object."""

    def __init__(self, recorder: Recorder) -> None:
        """Nothing was seen yet."""
        self._recorder = recorder
        self._entries: weakref.WeakKeyDictionary[Any, Entry] = weakref.WeakKeyDictionary()
        self.pending: Step | None = None
        """The step whose loss is known, and whose update is still to come."""

    def loss(
        self, elbo: Any, real: Callable[..., Any], model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        """A call of an ELBO's loss by the program itself."""
        recorder = self._recorder
        entry = self._entries.get(elbo)
        if entry is None:
            entry = self._entries[elbo] = recorder.new_entry()
            entry.elbo = elbo
        if entry.done or recorder.ending.ended:
            last = recorder.ending.skip(entry)
            return last.clone().requires_grad_() if isinstance(last, torch.Tensor) else last
        entry.model, entry.guide, entry.args, entry.kwargs = model, guide, args, kwargs
        entry.loss, entry.loss_and_grads = elbo.loss, elbo.loss_and_grads
        recorder.steps.prepare(entry)
        step = self.pending = Step(entry)
        step.mark = recorder.quietly(recorder.meter.mark)
        recorder.inside = True
        try:
            loss = recorder.steps.traced(entry, functools.partial(real, elbo, model, guide, *args, **kwargs))
        except BaseException as error:
            self.pending = None
            recorder.steps.failed(step, error)
            raise
        finally:
            recorder.inside = False
        step.loss = loss.detach() if isinstance(loss, torch.Tensor) else loss
        return loss

    def finish(self, optimizer: str) -> None:
        """The update that belongs to the pending step was made."""
        step = self.pending
        if step is None:
            return
        self.pending = None
        self._recorder.describe(step.entry, optimizer)
        self._recorder.steps.finish(step)
