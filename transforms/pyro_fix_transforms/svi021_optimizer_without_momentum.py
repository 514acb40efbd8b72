"""SVI021."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Iterator, Mapping

from pyro_fix import edits
from pyro_fix.analysis.optimizers import Options, given_to_svi, options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.spell import StepCount, step_count
from pyro_fix.analysis.values import Made
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Transform
from pyro_fix_transforms import _classes
from pyro_fix_transforms._clipped_adam import FEWEST_STEPS, GAMMA, decay_of, left_over, renamed
from pyro_fix_transforms._rates import LARGEST, SMALLEST, literal_rate, runs_of

#: Optimisers of ``pyro.optim`` that follow every gradient as it comes.
PLAIN = frozenset({"SGD", "Adagrad", "RMSprop", "Adadelta", "Rprop", "ASGD"})
#: The rate that the new optimiser starts with: the old one's is in other units.  Source: tip 1.
LEARNING_RATE = 1e-3
#: Adam moves a parameter by about its rate a step, so that few steps at 0.001 would not bring it far enough: with fewer
#: steps than these a run is asked about a rate of 0.01 first ...
FEW_STEPS = 5000
#: ... and with so few about one of 0.05 before that, where a run has shown so few parameters that there is no network.
VERY_FEW_STEPS, FEW_PARAMETERS = 2000, 1000
KEPT = ("weight_decay",)


class OptimizerWithoutMomentum(Transform):
    """Use an optimiser with momentum: `SGD` and its kin become `ClippedAdam`.

    ## What it does
    Rewrites SGD, Adagrad, RMSprop, Adadelta, Rprop and ASGD that are given to an `SVI` to `ClippedAdam` with a
    learning rate of 0.001, and a decay where the number of steps is known. Where there are fewer than 5000 steps, a
    rate of 0.01 is tried first; before it one of 0.05, where there are fewer than 2000 and a run shows no more than
    1000 numbers to train. A rate that is an argument, an attribute or a variable with other uses stays. `ClippedAdam`
    clamps each element of the gradient at 10; where a run shows that it would, it is `Adam` instead. A weight decay is
    kept; options that both lack (`momentum`, `nesterov`, `alpha`) are dropped, and named in the verdict. `--tune` tries
    other rates, from 0.0001 to 1, and decays that leave 0.01 to 0.5 of the rate.

    ## Why
    The gradient of the ELBO is noisy, and its elements differ by orders of magnitude. Momentum averages the noise,
    and Adam's steps do not depend on the gradient's scale (tip 2).

    ## Example
    ```python
    svi = SVI(model, guide, SGD({"lr": 0.1}), loss=Trace_ELBO())
    ```
    becomes
    ```python
    svi = SVI(model, guide, ClippedAdam({"lr": 0.001}), loss=Trace_ELBO())
    ```

    ## Holds back when
    - its options are a function of the parameter, or put together at run time;
    - it clips gradients through `clip_args`;
    - an option that would be dropped is an argument, an attribute or a variable; one of several optimisers that a flag
      or a branch chooses is no finding;
    - no run is possible: only a run can tell that the new rate is not too small for the number of steps.

    ## Promise
    Same start: parameters, sites and losses of the first step are the original's, since another optimiser changes no
    objective. Whole gradient: none is clamped. No worse: judged by the original program's objective, the new
    optimiser's parameters are not worse; where the original diverged, the patched program does not. No worse end: the
    same where both programs end, if training them so long can be afforded.
    """

    code, name, tip = "SVI021", "optimizer-without-momentum", 2
    by_the_end = True
    promise = Promise.SAME_START | Promise.WHOLE_GRADIENT | Promise.NO_WORSE | Promise.NO_WORSE_END

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an optimiser."""
        for made in given_to_svi(program):
            kind = made.name.rpartition(".")[2]
            if kind not in PLAIN:
                continue
            options = options_of(made)
            message = f"{kind} follows every noisy gradient; ClippedAdam has momentum and knows each parameter's scale"
            if isinstance(options, str):
                yield self.finding(made.module, made.node, message, held_back=options)
                continue
            dropped = _passed_in(options)
            if dropped:
                doubt = f"its option {dropped} comes from elsewhere, and would be dropped"
                yield self.finding(made.module, made.node, message, held_back=doubt)
                continue
            rename = renamed(program, made)
            if rename is None:
                yield self.finding(made.module, made.node, message, held_back="the name ClippedAdam is taken here")
                continue
            count = step_count(program, made, options.scope)
            rates: tuple[float | str, ...] = _rates(count.literal or 0, _parameters(program, made))
            given = options.node_of("lr")
            if given is not None and isinstance(literal_rate(program, made, options), str):
                rates = (edits.text_of(made.module, given),)  # which is for the program's user to set
            plain = _classes.renamed(program, made, "pyro.optim.Adam")
            candidates = [self._candidate(made, options, count, rate, rename) for rate in rates]
            candidates += [self._unclamped(made, options, count, rate, plain) for rate in rates if plain is not None]
            yield self.finding(made.module, made.node, message, tuple(candidates))

    def _candidate(
        self,
        made: Made,
        options: Options,
        count: StepCount,
        rate: float | str,
        rename: tuple[Edit, ...],
        left: float = GAMMA,
    ) -> Candidate:
        entries = {"lr": f"{rate}"}
        numbers = _rate(rate, lambda other: self._candidate(made, options, count, other, rename, left))
        faster = "" if left == GAMMA else f" that falls to {left:g} of it"
        if count.source and not (count.literal and count.literal < FEWEST_STEPS):
            entries["lrd"] = decay_of(count, left)
            share = left_over(left, lambda other: self._candidate(made, options, count, rate, rename, other))
            numbers = (*numbers, share)
        label = f"ClippedAdam with lr {rate}{faster}{_dropped(options)}"
        changes = (*rename, _options(made, options, entries))
        return Candidate(changes, self.promise, label, needs_run=True, steps=count.literal, numbers=numbers)

    def _unclamped(
        self, made: Made, options: Options, count: StepCount, rate: float | str, rename: tuple[Edit, ...]
    ) -> Candidate:
        label = f"Adam with lr {rate}, which clamps no gradient{_dropped(options)}"
        return Candidate(
            (*rename, _options(made, options, {"lr": f"{rate}"})),
            self.promise,
            label,
            needs_run=True,
            only_after=Promise.WHOLE_GRADIENT,
            steps=count.literal,
            numbers=_rate(rate, lambda other: self._unclamped(made, options, count, other, rename)),
        )


def _rate(rate: float | str, written: Callable[[float], Candidate]) -> tuple[Number, ...]:
    """The rate as a number, where it is one that stands there."""
    return () if isinstance(rate, str) else (Number("learning rate", rate, SMALLEST, LARGEST, written),)


def _options(made: Made, options: Options, entries: Mapping[str, str]) -> Edit:
    """The new options, and those of the old ones that both optimisers have."""
    kept = {key: edits.text_of(made.module, node) for key in KEPT if (node := options.node_of(key)) is not None}
    return edits.replace(made.module, options.node, _written(made.module, options, {**entries, **kept}))


def _dropped(options: Options) -> str:
    dropped = [key for key in options.items if key not in ("lr", *KEPT)]
    return f", without {', '.join(dropped)}" if dropped else ""


def _passed_in(options: Options) -> str:
    """An option that ``ClippedAdam`` lacks, and that the program's user may set; empty where there is none."""
    for key in options.items:
        node = options.node_of(key)
        if key not in ("lr", *KEPT) and node is not None and not _is_literal(node):
            return key
    return ""


def _is_literal(node: ast.expr) -> bool:
    return not any(isinstance(part, (ast.Name, ast.Attribute, ast.Call)) for part in ast.walk(node))


def _written(module: Module, options: Options, entries: dict[str, str]) -> str:
    """The new options as a dict literal: on one line, unless there are comments to keep.

    A comment stays behind its entry; one that spoke of an entry that is gone, or of all, comes first.
    """
    pairs = {key: f'"{key}": {value}' for key, value in entries.items()}
    comments = edits.comments_of(module, options.node)
    if not comments:
        return f"{{{', '.join(pairs.values())}}}"
    source = module.source
    behind: dict[str, str] = {}
    for key in entries:
        node = options.node_of(key)
        if node is None:
            continue
        behind[key] = comments.pop(node.end_lineno or node.lineno, "")
        for line in range(node.lineno, node.end_lineno or node.lineno):  # those within what is written again
            comments.pop(line, None)
    opening = source.lines[options.node.lineno - 1]
    margin = opening[: len(opening) - len(opening.lstrip())]
    inner = [*comments.values(), *(f"{pair},  {behind.get(key, '')}".rstrip() for key, pair in pairs.items())]
    return source.newline.join(["{", *(f"{margin}    {text}" for text in inner), f"{margin}}}"])


def _rates(steps: int, parameters: int | None) -> tuple[float, ...]:
    """The rates to try, in their order, for a number of steps (0: not known) and of parameters."""
    if not FEWEST_STEPS <= steps < FEW_STEPS:
        return (LEARNING_RATE,)
    few = steps < VERY_FEW_STEPS and parameters is not None and parameters <= FEW_PARAMETERS
    return (*([0.05] if few else []), 0.01, LEARNING_RATE)


def _parameters(program: Program, made: Made) -> int | None:
    """How many numbers the optimiser has to train, by the runs; ``None`` where no run shows it."""
    looks = [seen.svi.look for seen in runs_of(program, made) if seen.svi.look is not None]
    return max((sum(math.prod(param.shape) for param in look.params.values()) for look in looks), default=None)
