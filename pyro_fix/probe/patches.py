"""Patch Pyro's ``SVI``, its optimisers and its ELBOs, and torch's optimisers, to tell the recorder what they do."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyro.infer.elbo
import pyro.infer.svi
import pyro.optim.optim
import torch
import torch.optim.optimizer

from .entries import optimizer_name

if TYPE_CHECKING:
    from .record import Recorder


def install(recorder: Recorder) -> None:
    """Patch Pyro and torch; the user's code has not run yet."""
    svi: Any = pyro.infer.svi.SVI
    _patch_init(recorder, svi)
    optim = _Optim(recorder)
    patch_tree(svi, "step", functools.partial(_step, recorder))
    patch_tree(pyro.optim.optim.PyroOptim, "__call__", optim.patched)
    for name in ("differentiable_loss", "loss_and_grads"):
        patch_tree(pyro.infer.elbo.ELBO, name, functools.partial(_loss, recorder))
    for name, hook in (("pre", optim.before_torch), ("post", optim.after_torch)):
        register = getattr(sys.modules["torch.optim.optimizer"], f"register_optimizer_step_{name}_hook", None)
        if register is not None:
            register(hook)
    _watch_warnings(recorder)


def _patch_init(recorder: Recorder, svi: Any) -> None:
    real = svi.__init__

    @functools.wraps(real)
    def init(this: Any, *args: Any, **kwargs: Any) -> None:
        real(this, *args, **kwargs)
        loss = kwargs.get("loss", args[3] if len(args) > 3 else None)
        recorder.quietly(recorder.built, this, loss)

    svi.__init__ = init


def _step(recorder: Recorder, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def step(this: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.inside:
            return real(this, *args, **kwargs)  # a subclass's step calls its parent's
        return recorder.steps.make(this, functools.partial(real, this), args, kwargs)

    return step


def _loss(recorder: Recorder, real: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(real)
    def loss(this: Any, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Any:
        if recorder.inside or not torch.is_grad_enabled():
            return real(this, model, guide, *args, **kwargs)
        return recorder.lower_level.loss(this, real, model, guide, args, kwargs)

    return loss


class _Optim:
    """The patches of optimisers: Pyro's use torch's, which then are none of the user's."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._optimizing = False

    def patched(self, real: Callable[..., Any]) -> Callable[..., Any]:
        recorder = self._recorder

        @functools.wraps(real)
        def call(this: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
            step = recorder.current or recorder.lower_level.pending
            if step is None or self._optimizing:
                return real(this, params, *args, **kwargs)
            params = params if isinstance(params, (set, list, tuple)) else list(params)
            recorder.quietly(recorder.steps.before_update, step, params)
            self._optimizing = True
            try:
                result = real(this, params, *args, **kwargs)
            finally:
                self._optimizing = False
            recorder.quietly(recorder.steps.after_update, step, this.optim_objs.values())
            if recorder.lower_level.pending is step:
                recorder.lower_level.finish(optimizer_name(this))
            return result

        return call

    def before_torch(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        pending = None if self._optimizing else self._pending
        if pending is not None:
            params = [param for group in optimizer.param_groups for param in group["params"]]
            self._recorder.quietly(self._recorder.steps.before_update, pending, params)

    def after_torch(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        pending = None if self._optimizing else self._pending
        if pending is not None:
            self._recorder.quietly(self._recorder.steps.after_update, pending, [optimizer])
            self._recorder.lower_level.finish(type(optimizer).__name__)

    @property
    def _pending(self) -> Any:
        """The step of the lower-level pattern that a torch optimiser of the user's is about to end."""
        return self._recorder.lower_level.pending if self._recorder.current is None else None


def _watch_warnings(recorder: Recorder) -> None:
    real = warnings.showwarning

    def showwarning(message: Any, category: Any, filename: str, lineno: int, *args: Any, **kwargs: Any) -> None:
        recorder.quietly(recorder.warned, message, category, filename)
        real(message, category, filename, lineno, *args, **kwargs)

    warnings.showwarning = showwarning


def patch_tree(root: Any, name: str, patch: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Patch the method ``name`` of ``root`` and of every subclass that overrides it, now or later."""

    def patch_own(cls: Any) -> None:
        method = vars(cls).get(name)
        if callable(method) and not getattr(method, "__isabstractmethod__", False):
            setattr(cls, name, patch(method))

    def walk(cls: Any) -> None:
        patch_own(cls)
        for child in cls.__subclasses__():
            walk(child)

    walk(root)
    real = root.__init_subclass__

    def init_subclass(cls: Any, **kwargs: Any) -> None:
        if hasattr(real, "__func__"):
            real.__func__(cls, **kwargs)
        else:  # object's own
            super(root, cls).__init_subclass__(**kwargs)
        patch_own(cls)

    root.__init_subclass__ = classmethod(init_subclass)  # type: ignore[arg-type]
