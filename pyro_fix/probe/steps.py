"""Steps of SVI objects: what comes before one, what happens within, and what is told of it."""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyro import poutine

from . import replicas, seeds, states
from .devices import in_use
from .entries import Entry, Step, number, optimizer_name, same_batch
from .params import largest, norm

if TYPE_CHECKING:
    from .record import Recorder

#: How many calls of a program that ends early are kept, to be made again.
MOST_CALLS = 64


class Steps:
    """The steps that are made in this process."""

    def __init__(self, recorder: Recorder) -> None:
        """Nothing is made yet."""
        self._recorder = recorder
        asked = recorder.spec["referee"]
        self._most_batches = MOST_CALLS if asked is None else max(MOST_CALLS, asked["evaluations"])
        self._split = False
        self._capture: Any = None
        self._streams: dict[tuple[str, int, int], seeds.Stream] = {}

    def make(self, svi: Any, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """``svi.step(*args, **kwargs)``, where ``real`` is the bound method that Pyro wrote."""
        recorder = self._recorder
        entry = recorder.entry_of(svi)
        if entry.done or recorder.ending.ended:
            return recorder.ending.skip(entry)
        entry.model, entry.guide = svi.model, svi.guide
        entry.loss, entry.loss_and_grads = svi.loss, svi.loss_and_grads
        entry.args, entry.kwargs = args, kwargs
        if not entry.described:
            recorder.describe(entry, optimizer_name(svi.optim))
        self.prepare(entry)
        if entry.done:
            return recorder.ending.skip(entry)
        if len(entry.calls) < MOST_CALLS:
            entry.calls.append((svi.step, args, kwargs))
        step = recorder.current = Step(entry)
        step.mark = recorder.quietly(recorder.meter.mark) if in_use() else None
        recorder.inside = True
        try:
            step.loss = self.traced(entry, functools.partial(real, *args, **kwargs))
        except BaseException as error:
            self.failed(step, error)
            raise
        finally:
            recorder.current = None
            recorder.inside = False
        self.finish(step)
        return step.loss

    def traced(self, entry: Entry, work: Callable[[], Any]) -> Any:
        """Do ``work``, finding the parameters that it asks for as long as they are not known."""
        if entry.made and not entry.params.stale:
            return work()
        with poutine.trace(param_only=True) as capture:
            self._capture = capture
            result = work()
        self._recorder.quietly(entry.params.update, capture.trace)
        return result

    def prepare(self, entry: Entry) -> None:
        """What has to happen before a step: the deep look, the fork into replicas, the clock, the seed."""
        recorder = self._recorder
        if entry.made == 0:
            if not self._split:
                recorder.quietly(_warm_up)
            recorder.quietly(self._look, entry)
            if not self._split:
                self._split = True
                self._fork()
                recorder.quietly(recorder.meter.begin)
        if time.time() > recorder.replicas.deadline:
            recorder.ending.stop("time")
        if not entry.done:
            if not recorder.ending.user_ended:  # such a step was made before
                recorder.overlay.ledger.commit()
            self._align("step", entry, entry.made)

    def _align(self, what: str, entry: Entry, step: int) -> None:
        """Seed what comes next from nothing but what it is, the run's seed, the SVI object and the step."""
        key = what, self._recorder.replicas.seed, entry.ordinal
        stream = self._streams.get(key)
        if stream is None:
            stream = self._streams[key] = seeds.Stream(*key)
        stream.align(step)

    def _fork(self) -> None:
        recorder = self._recorder
        if len(recorder.spec["seeds"]) == 1:
            return
        why = replicas.why_not_fork()
        if why:
            recorder.journal.write("alone", why=why)
            return
        recorder.overlay.counter.flush()
        recorder.replicas.split()
        if not recorder.replicas.first:
            recorder.overlay.view.branch(str(recorder.replicas.seed))

    def _look(self, entry: Entry) -> None:
        recorder = self._recorder
        deep = recorder.spec["deep"]
        if deep is None:
            return
        from . import look

        seconds = max(1.0, (recorder.spec["deadline"] - time.time()) / 2)
        if recorder.replicas.seed != recorder.spec["seeds"][0]:
            return
        if recorder.spec["inline"]:
            with recorder.passive():
                look.look(recorder, entry, deep)
            return
        why = replicas.why_not_fork()
        if why:
            recorder.journal.write("unlooked", svi=entry.ordinal, why=why)
            return
        with recorder.passive():
            wrong = replicas.forked(lambda: look.look(recorder, entry, deep), seconds)
        if wrong:
            recorder.journal.write("look", svi=entry.ordinal, error=f"the look {wrong}")

    def before_update(self, step: Step, params: Any) -> None:
        """The gradients are there, and the parameters as they were."""
        entry = step.entry
        step.norm = math.hypot(step.norm or 0.0, norm(params))
        if step.index == 0 and not entry.saved:
            entry.saved = True
            if self._capture is not None:
                entry.params.update(self._capture.trace)
            entry.params.widen()
            states.save(self._recorder, entry, "first")

    def after_update(self, step: Step, optimizers: Any) -> None:
        """The parameters have moved."""
        rates = set(step.rates)
        for optimizer in optimizers:
            for group in getattr(optimizer, "optimizer", optimizer).param_groups:
                rate = group.get("lr")
                if rate is not None:
                    rates.add(float(rate))
                clamp = group.get("clip_norm")
                # Of a shorter gradient no element can be beyond it.
                if clamp is not None and step.norm is not None and not step.clamped and not step.norm < clamp:
                    step.clamped = any(largest(param) >= clamp for param in group["params"])
        step.rates = sorted(rates)

    def finish(self, step: Step) -> None:
        """A step was made: tell of it, and see whether that was the last one."""
        recorder, entry = self._recorder, step.entry
        if in_use():
            recorder.quietly(recorder.meter.step, entry.ordinal, step.mark)
        recorder.quietly(self._tell, step)
        entry.last = step.loss
        recorder.quietly(states.follow, recorder, entry)
        recorder.quietly(states.judge, recorder, entry, False)
        if entry.made >= recorder.most_steps:
            recorder.ending.finish(entry, "steps")
        recorder.ending.stop_if_done()

    def _tell(self, step: Step) -> None:
        recorder, entry = self._recorder, step.entry
        spent = time.process_time() - step.started
        loss = number(step.loss)
        broken = entry.params.widen()
        recorder.journal.step(
            seed=recorder.replicas.seed,
            svi=entry.ordinal,
            step=step.index,
            loss=loss,
            rates=step.rates,
            norm=step.norm,
            cpu=spent,
            nonfinite=broken if math.isfinite(loss) else "loss",
        )
        batch = (entry.args, entry.kwargs)
        if len(entry.batches) < self._most_batches and not any(same_batch(batch, known) for known in entry.batches):
            entry.batches.append(batch)
        entry.made = step.index + 1
        entry.clamped += step.clamped
        recorder.ending.made_a_step()
        # What the program draws until its next step is common as well, however much this step has drawn.
        self._align("between", entry, step.index)

    def failed(self, step: Step, error: BaseException) -> None:
        """A step raised something."""
        recorder, entry = self._recorder, step.entry
        recorder.overlay.ledger.blame(error)
        told = recorder.places.failure(error)
        told["where"] = told["where"] or recorder.places.around(sys._getframe())  # a check of Pyro's own: the step
        recorder.journal.write("failed", seed=recorder.replicas.seed, svi=entry.ordinal, step=step.index, **told)
        error.__dict__["_pyro_fix_told"] = True
        entry.made = step.index + 1
        if entry.made >= recorder.most_steps:
            recorder.ending.finish(entry, "steps")

    @staticmethod
    def told(error: BaseException) -> bool:
        """Whether the journal has this exception already, as a step's."""
        chain: BaseException | None = error
        while chain is not None:
            if chain.__dict__.get("_pyro_fix_told"):
                return True
            chain = chain.__cause__ or chain.__context__
        return False


def _warm_up() -> None:
    """Import what torch's first optimiser imports (2 s), once for all that is forked from here."""
    if "torch._compile" in sys.modules:
        import torch._dynamo  # noqa: F401
