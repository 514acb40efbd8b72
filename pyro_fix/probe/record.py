"""Record what every SVI object of the program does, step by step, and stop the program when enough was seen.

Pyro's ``SVI``, its optimisers and its ELBOs are patched before the user's code runs.  A step is a call of ``SVI.step``,
or, in the lower-level pattern, an ELBO's loss with the optimiser's step that follows it.
"""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
import time
import traceback
import warnings
import weakref
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import pyro
import pyro.infer.elbo
import pyro.infer.svi
import pyro.optim.optim
import torch
import torch.optim.optimizer
from pyro import poutine

from . import replicas, seeds
from .overlay import Overlay
from .params import Params, extent, norm
from .replicas import Replicas

#: A program that calls ``step`` this often after its SVI objects are done has nothing more to show.
MOST_SKIPPED = 200_000
#: Share of the time that such calls (and what the program does between them) may take.
SKIPPED_SHARE = 1 / 3
#: How many calls of a program that ends early are kept, to be made again.
MOST_CALLS = 64


class Entry:
    """One SVI object (or one ELBO of the lower-level pattern)."""

    def __init__(self, ordinal: int, where: str) -> None:
        """``where``: ``file:line`` of its construction."""
        self.ordinal = ordinal
        self.where = where
        self.svi: Any = None
        """A weak reference; None for the lower-level pattern."""
        self.elbo: Any = None
        self.model: Any = None
        self.guide: Any = None
        self.loss: Callable[..., Any] | None = None
        self.loss_and_grads: Callable[..., Any] | None = None
        self.args: tuple[Any, ...] = ()
        self.kwargs: dict[str, Any] = {}
        """Of the latest step."""
        self.described = False
        self.made = 0
        """How many steps were made."""
        self.done = False
        self.last: Any = None
        """What the last real step returned."""
        self.params = Params()
        self.ranges: dict[str, tuple[float, float]] = {}
        self.calls: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = []
        self.batches: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
        """The distinct arguments of its steps."""
        self.judged = False
        self.saved = False


class _Step:
    """The step that is being made."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.index = entry.made
        self.norm: float | None = None
        self.rates: list[float] = []
        self.loss: Any = None
        self.started = time.process_time()


class Recorder:
    """Everything that is recorded in this process."""

    def __init__(self, spec: dict[str, Any], overlay: Overlay) -> None:
        """``spec`` is what the runner asks for."""
        self.spec = spec
        self.overlay = overlay
        self.journal = overlay.journal
        self.steps: int = spec["steps"]
        self.replicas = Replicas(list(spec["seeds"]), spec["deadline"], self._lost)
        self.ended = False
        self.user_ended = False
        self.stop_program: Callable[[], None] | None = None
        """How to stop the program with manners; None: by leaving the process."""
        self._entries: list[Entry] = []
        self._by_svi: weakref.WeakKeyDictionary[Any, Entry] = weakref.WeakKeyDictionary()
        self._by_elbo: weakref.WeakKeyDictionary[Any, Entry] = weakref.WeakKeyDictionary()
        self._local = threading.local()
        self._current: _Step | None = None
        self._pending: _Step | None = None
        self._split = False
        self._skipped = 0
        self._ever_skipped = False
        self._skipping_since = 0.0
        self._warned: set[str] = set()
        self._optimizing = False
        self._capture: Any = None

    # ------------------------------------------------------------------ patches

    def install(self) -> None:
        """Patch Pyro and torch."""
        svi: Any = pyro.infer.svi.SVI
        real_init = svi.__init__

        @functools.wraps(real_init)
        def init(this: Any, *args: Any, **kwargs: Any) -> None:
            real_init(this, *args, **kwargs)
            loss = kwargs.get("loss", args[3] if len(args) > 3 else None)
            self._quietly(self._built, this, loss)

        svi.__init__ = init
        _patch_tree(svi, "step", self._patched_step)
        _patch_tree(pyro.optim.optim.PyroOptim, "__call__", self._patched_optim)
        for name in ("differentiable_loss", "loss_and_grads"):
            _patch_tree(pyro.infer.elbo.ELBO, name, self._patched_loss)
        for name, hook in (("pre", self._before_torch_step), ("post", self._after_torch_step)):
            register = getattr(sys.modules["torch.optim.optimizer"], f"register_optimizer_step_{name}_hook", None)
            if register is not None:
                register(hook)
        self._watch_warnings()

    def _patched_step(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def step(this: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(self._local, "inside", False):
                return real(this, *args, **kwargs)  # a subclass's step calls its parent's
            return self._svi_step(this, functools.partial(real, this), args, kwargs)

        return step

    def _patched_optim(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def call(this: Any, params: Any, *args: Any, **kwargs: Any) -> Any:
            step = self._current or self._pending
            if step is None or self._optimizing:
                return real(this, params, *args, **kwargs)
            params = params if isinstance(params, (set, list, tuple)) else list(params)
            self._quietly(self._before_update, step, params)
            self._optimizing = True
            try:
                result = real(this, params, *args, **kwargs)
            finally:
                self._optimizing = False
            self._quietly(self._after_update, step, this.optim_objs.values())
            if self._pending is step:
                self._finish_pending(_optimizer_name(this))
            return result

        return call

    def _patched_loss(self, real: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(real)
        def loss(this: Any, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Any:
            if getattr(self._local, "inside", False) or not torch.is_grad_enabled():
                return real(this, model, guide, *args, **kwargs)
            return self._lower_level(this, real, model, guide, args, kwargs)

        return loss

    def _before_torch_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._pending is not None and not self._optimizing and self._current is None:
            params = [param for group in optimizer.param_groups for param in group["params"]]
            self._quietly(self._before_update, self._pending, params)

    def _after_torch_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if self._pending is not None and not self._optimizing and self._current is None:
            self._quietly(self._after_update, self._pending, [optimizer])
            self._finish_pending(type(optimizer).__name__)

    def _watch_warnings(self) -> None:
        real = warnings.showwarning

        def showwarning(message: Any, category: Any, filename: str, lineno: int, *args: Any, **kwargs: Any) -> None:
            self._quietly(self.warned, message, category)
            real(message, category, filename, lineno, *args, **kwargs)

        warnings.showwarning = showwarning

    def warned(self, message: Any, category: Any) -> None:
        """Note a warning of the program."""
        text = f"{getattr(category, '__name__', category)}: {message}".strip()
        if text not in self._warned and len(self._warned) < 100:
            self._warned.add(text)
            self.journal.write("warning", text=text[:500])

    def _quietly(self, work: Callable[..., Any], *args: Any) -> Any:
        """Do ``work``; what fails in it is our problem and not the program's."""
        try:
            # No catch_warnings here: leaving it makes Python forget which warnings it has shown.
            return work(*args)
        except Exception as error:
            self.journal.write("note", text=f"recording failed: {_brief(error)}")
            return None

    # ------------------------------------------------------------------ SVI objects

    def _built(self, svi: Any, loss: Any) -> None:
        if svi in self._by_svi:
            return
        entry = Entry(len(self._entries), self._where(sys._getframe(1)))
        entry.svi = weakref.ref(svi)
        entry.elbo = loss
        self._entries.append(entry)
        self._by_svi[svi] = entry

    def _describe(self, entry: Entry, optimizer: str) -> None:
        if not entry.described:
            entry.described = True
            elbo = _elbo(entry)
            self.journal.write(
                "svi",
                svi=entry.ordinal,
                where=entry.where,
                elbo=_name_of(elbo),
                optimizer=optimizer,
                particles=_particles(elbo),
            )

    def _where(self, frame: FrameType | None) -> str:
        while frame is not None:
            path = os.path.abspath(frame.f_code.co_filename)
            if self.overlay.view.in_project(path):
                return f"{self._label(path)}:{frame.f_lineno}"
            frame = frame.f_back
        return ""

    def _label(self, path: str) -> str:
        cwd = self.spec["target"]["cwd"]
        for base in (cwd, os.path.realpath(cwd)):
            if path.startswith(os.path.join(base, "")):
                return os.path.relpath(path, base)
        return path

    def failure(self, error: BaseException) -> dict[str, str]:
        """An exception in the program, as the journal tells it."""
        where = ""
        trace: TracebackType | None = error.__traceback__
        while trace is not None:
            path = os.path.abspath(trace.tb_frame.f_code.co_filename)
            if self.overlay.view.in_project(path):
                where = f"{self._label(path)}:{trace.tb_lineno}"
            trace = trace.tb_next
        if isinstance(error, SyntaxError) and error.filename and not where:
            where = f"{self._label(os.path.abspath(error.filename))}:{error.lineno}"
        return {"kind": type(error).__name__, "message": str(error)[:2000], "where": where}

    # ------------------------------------------------------------------ SVI.step

    def _svi_step(self, svi: Any, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        entry = self._by_svi.get(svi)
        if entry is None:  # unpickled, or built without __init__
            self._built(svi, None)
            entry = self._by_svi[svi]
        if entry.done or self.ended:
            return self._skip(entry)
        entry.model, entry.guide = svi.model, svi.guide
        entry.loss, entry.loss_and_grads = svi.loss, svi.loss_and_grads
        entry.args, entry.kwargs = args, kwargs
        self._describe(entry, _optimizer_name(svi.optim))
        self._prepare(entry)
        if entry.done:
            return self._skip(entry)
        if len(entry.calls) < MOST_CALLS:
            entry.calls.append((svi.step, args, kwargs))
        step = self._current = _Step(entry)
        self._local.inside = True
        try:
            step.loss = self._traced(entry, functools.partial(real, *args, **kwargs))
        except BaseException as error:
            self._failed(step, error)
            raise
        finally:
            self._current = None
            self._local.inside = False
        self._quietly(self._made, step)
        entry.last = step.loss
        self._advance(entry)
        return step.loss

    def _traced(self, entry: Entry, work: Callable[[], Any]) -> Any:
        """Do ``work``, finding the parameters that it asks for as long as they are not known."""
        if entry.made and not entry.params.stale:
            return work()
        with poutine.trace(param_only=True) as capture:
            self._capture = capture
            result = work()
        self._quietly(entry.params.update, capture.trace)
        return result

    def _prepare(self, entry: Entry) -> None:
        """What has to happen before a step: the deep look, the fork into replicas, the clock, the seed."""
        if entry.made == 0:
            if not self._split:
                self._quietly(_warm_up)
            self._quietly(self._look, entry)
            if not self._split:
                self._split = True
                self._fork()
        if time.time() > self.replicas.deadline:
            self.stop("time")
        if not entry.done:
            seeds.align("step", self.replicas.seed, entry.ordinal, entry.made)

    def _fork(self) -> None:
        if len(self.spec["seeds"]) == 1:
            return
        why = replicas.why_not_fork()
        if why:
            self.journal.write("alone", why=why)
            return
        self.overlay.counter.flush()
        self.replicas.split()
        if not self.replicas.first:
            self.overlay.view.branch(str(self.replicas.seed))

    def _look(self, entry: Entry) -> None:
        deep = self.spec["deep"]
        if deep is None:
            return
        from . import look

        seconds = max(1.0, (self.spec["deadline"] - time.time()) / 2)
        if self.replicas.seed != self.spec["seeds"][0]:
            return
        if self.spec["inline"]:
            with self._passive():
                look.look(self, entry, deep)
            return
        why = replicas.why_not_fork()
        if why:
            self.journal.write("unlooked", svi=entry.ordinal, why=why)
            return
        with self._passive():
            wrong = replicas.forked(lambda: look.look(self, entry, deep), seconds)
        if wrong:
            self.journal.write("look", svi=entry.ordinal, error=f"the look {wrong}")

    def _passive(self) -> _Passive:
        """Nothing is recorded within."""
        return _Passive(self)

    # ------------------------------------------------------------------ within a step

    def _before_update(self, step: _Step, params: Any) -> None:
        step.norm = math.hypot(step.norm or 0.0, norm(params))
        if step.index == 0 and not step.entry.saved:
            step.entry.saved = True
            if self._capture is not None:
                step.entry.params.update(self._capture.trace)
            self._widen(step.entry)
            self._save(step.entry, "first")

    def _after_update(self, step: _Step, optimizers: Any) -> None:
        rates = set(step.rates)
        for optimizer in optimizers:
            for group in getattr(optimizer, "optimizer", optimizer).param_groups:
                rate = group.get("lr")
                if rate is not None:
                    rates.add(float(rate))
        step.rates = sorted(rates)

    def _made(self, step: _Step) -> None:
        entry = step.entry
        spent = time.process_time() - step.started
        loss = number(step.loss)
        finite = self._widen(entry) and math.isfinite(loss)
        self.journal.write(
            "step",
            seed=self.replicas.seed,
            svi=entry.ordinal,
            step=step.index,
            loss=loss,
            rates=step.rates,
            norm=step.norm,
            cpu=spent,
            finite=finite,
        )
        batch = (entry.args, entry.kwargs)
        if len(entry.batches) < MOST_CALLS and not any(_same_batch(batch, known) for known in entry.batches):
            entry.batches.append(batch)
        entry.made = step.index + 1
        self._skipped, self._skipping_since = 0, 0.0
        # What the program draws until its next step is common as well, however much this step has drawn.
        seeds.align("between", self.replicas.seed, entry.ordinal, step.index)

    def _widen(self, entry: Entry) -> bool:
        """Take the parameters' values into their ranges; returns whether all are finite."""
        finite = True
        for name, param in entry.params:
            low, high = extent(param.value())
            finite = finite and math.isfinite(low) and math.isfinite(high)
            if name in entry.ranges:
                least, most = entry.ranges[name]
                low, high = _least(low, least), -_least(-high, -most)
            entry.ranges[name] = low, high
        return finite

    def _failed(self, step: _Step, error: BaseException) -> None:
        entry = step.entry
        self.journal.write("failed", seed=self.replicas.seed, svi=entry.ordinal, step=step.index, **self.failure(error))
        error.__dict__["_pyro_fix_told"] = True
        entry.made = step.index + 1
        if entry.made >= self.steps:
            self.finish(entry, "steps")

    def told(self, error: BaseException) -> bool:
        """Whether the journal has this exception already, as a step's."""
        chain: BaseException | None = error
        while chain is not None:
            if chain.__dict__.get("_pyro_fix_told"):
                return True
            chain = chain.__cause__ or chain.__context__
        return False

    # ------------------------------------------------------------------ the lower-level pattern

    def _lower_level(
        self, elbo: Any, real: Callable[..., Any], model: Any, guide: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Any:
        entry = self._by_elbo.get(elbo)
        if entry is None:
            entry = Entry(len(self._entries), self._where(sys._getframe(1)))
            entry.elbo = elbo
            self._entries.append(entry)
            self._by_elbo[elbo] = entry
        if entry.done or self.ended:
            last = self._skip(entry)
            return last.clone().requires_grad_() if isinstance(last, torch.Tensor) else last
        entry.model, entry.guide, entry.args, entry.kwargs = model, guide, args, kwargs
        entry.loss, entry.loss_and_grads = elbo.loss, elbo.loss_and_grads
        self._prepare(entry)
        step = self._pending = _Step(entry)
        self._local.inside = True
        try:
            loss = self._traced(entry, functools.partial(real, elbo, model, guide, *args, **kwargs))
        except BaseException as error:
            self._pending = None
            self._failed(step, error)
            raise
        finally:
            self._local.inside = False
        step.loss = loss.detach() if isinstance(loss, torch.Tensor) else loss
        return loss

    def _finish_pending(self, optimizer: str) -> None:
        step = self._pending
        if step is None:
            return
        self._pending = None
        entry = step.entry
        self._describe(entry, optimizer)
        self._quietly(self._made, step)
        entry.last = step.loss
        self._advance(entry)

    # ------------------------------------------------------------------ the end

    def _advance(self, entry: Entry) -> None:
        self._quietly(self._referee, entry, False)
        if entry.made >= self.steps:
            self.finish(entry, "steps")
            self._stop_if_done()

    def _stop_if_done(self) -> None:
        if len(self._entries) >= self.spec["expect_svis"] and all(entry.done for entry in self._entries):
            self.stop("steps")

    def _skip(self, entry: Entry) -> Any:
        """A call after an SVI object's last real step."""
        now = time.time()
        self._skipping_since = self._skipping_since or now
        self._skipped += 1
        self._ever_skipped = True
        if not self.user_ended and (
            self._skipped > MOST_SKIPPED
            or now - self._skipping_since > SKIPPED_SHARE * self.spec["timeout"]
            or now > self.replicas.deadline
        ):
            self.stop("skipped")
        return entry.last if entry.last is not None else math.nan

    def finish(self, entry: Entry, reason: str) -> None:
        """An SVI object makes no more steps."""
        if entry.done:
            return
        entry.done = True
        if not entry.made:
            return
        self._quietly(self._save, entry, "last")
        self._quietly(self._referee, entry, True)
        self.journal.write(
            "end",
            seed=self.replicas.seed,
            svi=entry.ordinal,
            reason=reason,
            ranges={name: list(extent_) for name, extent_ in entry.ranges.items()},
        )
        entry.batches = []

    def again(self) -> None:
        """A program in smoke mode makes a few steps and ends: make its calls again until there are enough."""
        self.user_ended = True
        for entry in self._entries:
            if not entry.made or not entry.calls or not entry.params.alive:
                continue
            while not entry.done and not self.ended:
                step, args, kwargs = entry.calls[entry.made % len(entry.calls)]
                step(*args, **kwargs)

    def stop(self, reason: str) -> None:
        """End the program, with everything in the journal."""
        if self.ended:
            return
        self.ended = True
        self.close(reason)
        in_main = threading.current_thread() is threading.main_thread()
        if self.replicas.first and self.stop_program is not None and in_main:
            self.stop_program()
        else:
            self.leave()

    def close(self, reason: str) -> None:
        """Report what is only known at the end."""
        for entry in self._entries:
            self.finish(entry, reason)
        self.overlay.counter.flush()
        self.journal.write("device", device="cuda" if replicas.cuda_in_use() else "cpu")

    def leave(self, status: int = 0) -> Any:
        """Leave the process once the other replicas are done."""
        self.replicas.wait()
        # A replica that comes here is no lost one, whatever the program made of its end.
        return replicas.leave(status if self.replicas.first else 0)

    @property
    def stepped(self) -> bool:
        """Whether any SVI object has tried a step."""
        return any(entry.made for entry in self._entries)

    @property
    def cut_short(self) -> bool:
        """Whether the program got fewer steps than it asked for."""
        return self._ever_skipped or any(entry.done for entry in self._entries)

    def _lost(self, seed: int, why: str) -> None:
        self.journal.write("lost", seed=seed, why=why)

    # ------------------------------------------------------------------ states

    def _save(self, entry: Entry, when: str) -> None:
        folder = self.spec["save_states"]
        if folder is None:
            return
        from . import referee

        folder = os.path.join(folder, str(self.replicas.seed))
        os.makedirs(folder, exist_ok=True)
        referee.save(entry.params, os.path.join(folder, f"svi-{entry.ordinal}-{when}.pt"))

    def _referee(self, entry: Entry, final: bool) -> None:
        asked = self.spec["referee"]
        if asked is None or entry.judged or not (final or entry.made >= min(8, self.steps)):
            return
        entry.judged = True
        if self.replicas.seed != self.spec["seeds"][0]:
            return
        from . import referee

        def work() -> None:
            referee.judge(self, entry, asked)

        with self._passive():
            if replicas.why_not_fork():
                referee.restoring(entry.params, work)
            else:
                wrong = replicas.forked(work, max(1.0, self.spec["deadline"] - time.time()))
                if wrong:
                    self.journal.write("note", text=f"referee: {wrong}")


class _Passive:
    """While it lasts, calls of the patched functions go straight through."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        recorder = self._recorder
        self._kept = recorder._current, recorder._pending, getattr(recorder._local, "inside", False)
        recorder._current = recorder._pending = None
        recorder._local.inside = True
        recorder.overlay.view.noting = False

    def __exit__(self, *exc: object) -> None:
        recorder = self._recorder
        recorder.overlay.view.noting = True
        recorder._current, recorder._pending, recorder._local.inside = self._kept


def _patch_tree(root: Any, name: str, patch: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
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


def _warm_up() -> None:
    """Import what torch's first optimiser imports (2 s), once for all that is forked from here."""
    if "torch._compile" in sys.modules:
        import torch._dynamo  # noqa: F401


def number(loss: Any) -> float:
    """A loss as one number: some ELBOs return tuples, custom ones tensors."""
    try:
        if isinstance(loss, (tuple, list)):
            return math.fsum(number(part) for part in loss)
        return float(loss)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return math.nan


def _least(a: float, b: float) -> float:
    """The lesser; NaN if one is."""
    return a if math.isnan(a) or a < b else b


def _same_batch(a: Any, b: Any) -> bool:
    (args, kwargs), (known, known_kwargs) = a, b
    return (
        len(args) == len(known)
        and kwargs.keys() == known_kwargs.keys()
        and all(x is y for x, y in zip(args, known))  # noqa: B905
        and all(kwargs[key] is known_kwargs[key] for key in kwargs)
    )


def _elbo(entry: Entry) -> Any:
    """The ELBO object, also where SVI was given its bound method."""
    owner = getattr(entry.loss, "__self__", None)
    return owner if owner is not None else entry.elbo


def elbo_of(entry: Entry) -> Any:
    """The entry's ELBO object, if it is one."""
    elbo = _elbo(entry)
    return elbo if isinstance(elbo, pyro.infer.elbo.ELBO) else None


def _name_of(elbo: Any) -> str:
    if isinstance(elbo, pyro.infer.elbo.ELBO):
        return type(elbo).__name__
    return getattr(elbo, "__name__", type(elbo).__name__)


def _particles(elbo: Any) -> int:
    particles = getattr(elbo, "num_particles", 1)
    return particles if isinstance(particles, int) else 1


def _optimizer_name(optim: Any) -> str:
    constructor = getattr(optim, "pt_optim_constructor", None)
    name = getattr(constructor, "__name__", None) or type(optim).__name__
    scheduler = getattr(getattr(optim, "pt_scheduler_constructor", None), "__name__", None)
    return f"{scheduler}({name})" if scheduler else str(name)


def _brief(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}"[:300] + at
