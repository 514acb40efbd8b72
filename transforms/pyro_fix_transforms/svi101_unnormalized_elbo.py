"""SVI101."""

from __future__ import annotations

import ast
import math
import statistics
from collections.abc import Iterator, Sequence
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis.health import LEVEL_STEPS
from pyro_fix.analysis.optimizers import clips, scheduled
from pyro_fix.analysis.program import Program, Site, Step, Svi, functions_of
from pyro_fix.analysis.shapes import number
from pyro_fix.analysis.spell import spell
from pyro_fix.analysis.values import Argument, Function, Instance, Library, Made, Value, options, same, walk
from pyro_fix.observation import SviObservation
from pyro_fix.transform import Candidate, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._counted import miscounted

#: Fewer data than this leave the ELBO near order one.
FEWEST_DATA = 100
_REMEDY = "scaled by 1/N it is of order one"
#: Losses that are linear in the scale of model and guide.
LINEAR = frozenset(
    {"Trace_ELBO", "TraceGraph_ELBO", "TraceMeanField_ELBO", "TraceEnum_ELBO"}
    | {"JitTrace_ELBO", "JitTraceGraph_ELBO", "JitTraceMeanField_ELBO", "JitTraceEnum_ELBO"}
)
#: Optimisers whose steps do not depend on the scale of the gradient.
SCALE_FREE = frozenset({"Adam", "AdamW", "ClippedAdam", "Adamax", "NAdam", "RAdam", "RMSprop", "Adagrad", "Adadelta"})


class UnnormalizedElbo(Transform):
    """Normalise the ELBO to order one.

    ## What it does
    Finds an `SVI` whose model has its data in a plate of size N and nothing that scales it, and wraps both model and
    guide in `poutine.scale(..., scale=1 / N)`, inside the `SVI` call, so that an autoguide keeps its methods.

    Where the data are minibatches of more, N is what the plate has to know. A plate of the minibatch's size that
    nothing scales, beside latents that all minibatches share, counts the prior once for every minibatch; a plate that
    subsamples and a `poutine.scale` by the same share count the data too often. Both are told, and are for you to put
    right: the objective becomes another one, which no run can compare.

    ## Why
    For N data the ELBO is of order N: float32 loses precision, clipping thresholds lose their meaning, and the number
    that is printed says nothing (tip 10).

    ## Example
    ```python
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```
    becomes
    ```python
    svi = SVI(
        poutine.scale(model, scale=1 / len(data)),
        poutine.scale(guide, scale=1 / len(data)),
        optim,
        loss=Trace_ELBO(),
    )
    ```
    up to its layout. The loss that `svi.step` returns is N times smaller afterwards. Where a run shows a loss of order
    one, or fewer than a hundred data, or the program divides the loss itself, nothing is found.

    ## Holds back when
    - anything scales the model or the guide already, for example an annealing factor;
    - the program compares the loss with a threshold: what it decides would change;
    - the optimiser's step depends on the gradient's scale (SGD, or a `clip_norm`);
    - the ELBO is not linear in the scale (`RenyiELBO`, importance weighting);
    - N is not known where the `SVI` is built;
    - a run shows a large loss, and the data stand in no plate, or in different ones;
    - the data of a minibatch count another number of times than they should.

    ## Promise
    Same objective: at equal parameters, loss and gradients equal the original's times one constant, 1/N.
    """

    code, name, tip = "SVI101", "unnormalized-elbo", 10
    promise = Promise.SAME_OBJECTIVE
    largest = Threshold(10.0, "losses of a run up to this size, either way, count as of order one")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an SVI object."""
        stepped = {id(svi.call) for svi in program.svis if svi.steps}
        for svi in program.svis:
            if not svi.steps and id(svi.call) in stepped:  # the same call made one that tells more, of what it is given
                continue
            model, guide = svi.node(0, "model"), svi.node(1, "guide")
            if model is None or guide is None or not svi.is_trained or not _is_linear(svi):
                continue
            is_scaled = _is_scaled(program, svi)
            wrong = list(miscounted(program, svi, is_scaled))
            for one in wrong:
                yield self.finding(one.module, one.node, one.message, held_back=one.advice)
            if wrong or is_scaled or svi.loss_divided:
                continue
            seen = [one.svi for one in program.seen.svi(svi)]
            level = _level(seen)
            if level is not None and (level <= self.largest or _number_of_data(seen) < FEWEST_DATA):
                few = f"fewer than {FEWEST_DATA} data"
                why = few if level > self.largest else f"the loss is about {level:.3g} in the run"
                self.withdraw(program, svi.module, svi.call, why)
                continue
            plates = _data_plates(program, svi)
            if not plates:
                if level is not None and _number_of_data(seen) < math.inf and not svi.is_lowlevel:
                    message = f"the loss is about {level:.3g} in the run; an ELBO that is normalised is of order one"
                    doubt = "the data stand in no plate, or in several, so nothing says what N is"
                    yield self.finding(svi.module, svi.call, message, held_back=doubt, source="seen")
                continue
            sizes = [_size(plate) for plate in plates]
            counts = [number(size, _arguments(svi, size)) if size is not None else None for size in sizes]
            known = [count for count in counts if count is not None]
            if len(known) == len(sizes) and math.prod(known) < FEWEST_DATA:
                continue
            message = f"the ELBO grows with the number of data, N; {_REMEDY}"
            if level is not None:
                message = f"the loss is about {level:.3g} in the run, and grows with the number of data, N; {_REMEDY}"
            texts = [spell(size, svi.scope, _arguments(svi, size)) if size is not None else None for size in sizes]
            there = imports.reference(svi.module, svi.scope, "pyro.poutine.scale", svi.call)
            doubt = _doubt(svi)
            if not doubt and not all(texts):
                doubt = "it is not known how to write the size of the plate where the SVI object is built"
            if not doubt and there is None:
                doubt = "the name poutine is taken here"
            source: Literal["static", "seen"] = "static" if level is None else "seen"
            if doubt or there is None:
                yield self.finding(svi.module, svi.call, message, held_back=doubt, source=source)
                continue
            product = " * ".join(str(text) for text in texts)
            scale = f"1 / {product}" if len(texts) == 1 else f"1 / ({product})"
            changes = list(there.edits)
            for node in (model, guide):
                changes += edits.wrap(svi.module, node, f"{there.text}(", f", scale={scale})")
            candidate = Candidate(tuple(changes), self.promise, f"poutine.scale by {scale}")
            yield self.finding(svi.module, svi.call, message, (candidate,), source=source)


def _level(svis: Sequence[SviObservation]) -> float | None:
    """How large the loss is where the runs stopped; None where no run tells."""
    ends = [t.losses[-LEVEL_STEPS:] for svi in svis for t in svi.trajectories if t.losses]
    levels = [abs(statistics.median(losses)) for losses in ends if all(map(math.isfinite, losses))]
    return max(levels, default=None)


def _number_of_data(svis: Sequence[SviObservation]) -> float:
    """N, as a run shows it; infinite where it does not, so that nothing is concluded from it."""
    looks = [svi.look for svi in svis if svi.look is not None]
    counts = [
        max(math.prod(site.shape), math.prod(plate.size for plate in site.plates))
        for look in looks
        for site in look.model.values()
        if site.observed
    ]
    return max(counts, default=math.inf)


def _is_linear(svi: Svi) -> bool:
    losses = options(svi.loss)
    return bool(losses) and all(
        isinstance(loss, Made) and loss.name.startswith("pyro.infer.") and loss.name.rpartition(".")[2] in LINEAR
        for loss in losses
    )


def _is_scaled(program: Program, svi: Svi) -> bool:
    """Whether anything scales the model or the guide already, or may do so: a handler that the project wrote itself."""
    if svi.model is None or svi.guide is None:
        return True
    functions = {node for value in (svi.model, svi.guide) for node in functions_of(value)}
    contexts = [context for site in program.sites_of(functions) for context in site.contexts]
    decorators = [
        decorator
        for value in (svi.model, svi.guide)
        for option in options(value)
        if isinstance(option, Function)
        for decorator in option.decorators
    ]
    return any(isinstance(context, Instance) for context in contexts) or any(
        isinstance(part, (Made, Library)) and part.name == "pyro.poutine.scale"
        for value in (svi.model, svi.guide, *contexts, *decorators)
        for part in walk(value)
    )


def _data_plates(program: Program, svi: Svi) -> tuple[Made, ...]:
    """The plates around the observed sites of the model, when all of them have the same."""
    model = set(functions_of(svi.model))
    observed = [site for site in program.sites_of(model) if site.observed]
    found = {site.plates for site in observed}
    if len(found) != 1 or any(_has_other_size(site) for site in observed):
        return ()
    return next(iter(found))


def _has_other_size(site: Site) -> bool:
    return any(_size(plate) is None for plate in site.plates)


def _size(plate: Made) -> Value | None:
    return plate.argument(1, "size")


def _arguments(svi: Svi, size: Value) -> dict[Value, Value]:
    """What the model's arguments in ``size`` are in the scope that steps the SVI object."""
    step = svi.steps[0] if svi.steps else None
    if step is None or not all(_gives_the_same(step, other) for other in svi.steps):
        return {}
    known: dict[Value, Value] = {}
    given = () if any(isinstance(arg, ast.Starred) for arg in step.call.args) else step.arguments
    for part in walk(size):
        if not isinstance(part, Argument):
            continue
        for function in functions_of(svi.model):
            if function is part.function:
                names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
                position = names.index(part.name) - (names[0] == "self") if part.name in names else -1
                if part.name in step.keywords:
                    known[part] = step.keywords[part.name]
                elif 0 <= position < len(given):
                    known[part] = given[position]
    return known


def _gives_the_same(left: Step, right: Step) -> bool:
    """Whether two steps hand the same values to the model."""
    if left.call is right.call:
        return True
    pairs = zip(left.arguments, right.arguments, strict=False)
    equal = len(left.arguments) == len(right.arguments) and all(same(one, other) for one, other in pairs)
    keys = left.keywords.keys() | right.keywords.keys()
    return equal and all(k in left.keywords and left.keywords[k] is right.keywords.get(k) for k in keys)


_UNKNOWN = "the optimiser is not known, so its step may depend on the gradient's scale"


def _doubt(svi: Svi) -> str:
    if svi.loss_compared:
        return "the program compares the loss with something; a threshold would change its meaning"
    if svi.is_lowlevel:
        return "the loss is asked for by hand, and what becomes of it may depend on its scale"
    for optimizer in options(svi.optimizer):
        if not isinstance(optimizer, Made) or not optimizer.name.startswith("pyro.optim."):
            return _UNKNOWN
        if optimizer.name.rpartition(".")[2] == "ReduceLROnPlateau":
            return "ReduceLROnPlateau looks at the loss, and at thresholds of its scale"
        kind, given = scheduled(optimizer)
        if not kind:
            return _UNKNOWN
        if kind not in SCALE_FREE:
            return f"the step of {kind} depends on the gradient's scale"
        if given is not None and ("clip_norm" in given.items or "weight_decay" in given.items):
            return "clip_norm and weight_decay are relative to the gradient's scale"
        if clips(optimizer):
            return "the optimiser clips gradients, relative to their scale"
    return ""
