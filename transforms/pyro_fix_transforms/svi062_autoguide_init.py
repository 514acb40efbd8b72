"""SVI062."""

from __future__ import annotations

import ast
import math
import statistics
from collections.abc import Iterator
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions, health
from pyro_fix.analysis.optimizers import scheduled
from pyro_fix.analysis.program import Program, Site, Svi, functions_of
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.analysis.spell import steps_of
from pyro_fix.analysis.supports import supports
from pyro_fix.analysis.tensors import extent
from pyro_fix.analysis.values import Const, Library, Made, Value, options, walk
from pyro_fix.observation import SviObservation, Trajectory
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._clipped_adam import DEFAULT_RATE
from pyro_fix_transforms._failures import of_values

#: Ways to initialise, best first.
LADDER = ("init_to_median", "init_to_mean", "init_to_feasible")
#: What an autoguide does when it is not told (pyro 1.8 and 1.9); all others start at the prior's median.
DEFAULTS = {
    "AutoNormal": "init_to_feasible",
    "AutoStructured": "init_to_feasible",
    "AutoGaussian": "init_to_feasible",
    "AutoNormalMessenger": "init_to_mean",
    "AutoHierarchicalNormalMessenger": "init_to_mean",
    "AutoRegressiveMessenger": "init_to_mean",
}
#: Autoguides that take ``init_loc_fn`` and ignore it.
DEAF = frozenset({"AutoIAFNormal"})
#: Ways to start at draws -> how far these lie from the prior's middle, as a share of its scale: the median of fifteen.
SPREAD = {"init_to_median": 0.32, "init_to_sample": 1.0}
#: Families on the real line -> the position of their scale.
LOCATED = {"Normal": 1, "Laplace": 1, "Cauchy": 1, "StudentT": 2}
#: Optimisers whose steps are no longer than their rate, or hardly.
NORMALISING = frozenset({"Adam", "AdamW", "ClippedAdam", "Adamax", "NAdam", "RAdam"})


class AutoguideInit(Transform):
    """Start an autoguide where the model is well behaved.

    ## What it does
    Finds an autoguide whose run fails at its very first step, or starts at a loss that is orders of magnitude above the
    one that the same run reaches, and gives it another `init_loc_fn`: `init_to_median`, `init_to_mean`,
    `init_to_feasible`, the first that keeps its promise. The one that is in use already is left out. The same goes for
    one that starts at draws from a prior so wide that all steps of the training together cannot come back across it.

    ## Why
    An autoguide starts at one point per latent. `AutoNormal` takes any feasible one, whatever the prior says: far from
    the prior's mass the log-probability can be astronomically low or not defined at all, and the first steps are spent,
    or lost, on coming back (tip 6).

    ## Example
    ```python
    from pyro.infer.autoguide import init_to_median
    guide = AutoNormal(model)
    ```
    becomes
    ```python
    from pyro.infer.autoguide import init_to_median
    guide = AutoNormal(model, init_loc_fn=init_to_median)
    ```

    ## Holds back when
    - `init_loc_fn` is given and is none of the plain `init_to_...` functions: that start is the user's own;
    - arguments are unpacked into the call, so that it cannot be seen whether it is given;
    - the exception at the first step says nothing of values (a shape, a missing argument): then nothing is found.

    ## Promise
    Better start (the referee sees a lower loss at the first step), no worse at the end, and the patched run is clean.
    """

    code, name, tip = "SVI062", "autoguide-init", 6
    promise = Promise.BETTER_START | Promise.NO_WORSE | Promise.RUNS_CLEAN
    after = ("SVI04", "SVI05", "SVI072", "SVI13")
    wild = Threshold(1e3, "a start is wild when its loss is this many times the one that the same run ends with")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an autoguide."""
        found = set()
        for svi in program.svis:
            for made in _autoguides(svi):
                if id(made.node) in found:
                    continue
                kind = made.name.rpartition(".")[2]
                trouble = self._trouble(program.seen.svi(svi))
                known = trouble or _too_far(program, svi, made, kind)
                if known:
                    found.add(id(made.node))
                    yield self._finding(made, kind, f"{kind} {known}", "seen" if trouble else "static")

    def _trouble(self, seen: list[SeenSvi]) -> str:
        """What is wrong with the start in every run of the SVI object; empty when nothing is."""
        words = [_fails_at_once(one.svi) or self._starts_wild(one.svi) for one in seen]
        return words[0] if words and all(words) else ""

    def _starts_wild(self, svi: SviObservation) -> str:
        levels = [_levels(trajectory, svi) for trajectory in svi.trajectories]
        known = [level for level in levels if level is not None]
        if not known or any(start <= self.wild * max(abs(end), 1.0) for start, end in known):
            return ""
        start, end = (statistics.median(level[which] for level in known) for which in (0, 1))
        return f"starts at a loss of {start:.3g}, and the same run comes down to {end:.3g}"

    def _finding(self, made: Made, kind: str, message: str, source: Literal["static", "seen"]) -> Proposal:
        position = distributions.AUTOGUIDES[kind].index("init_loc_fn")
        given = made.argument(position, "init_loc_fn")
        node = next((k.value for k in made.node.keywords if k.arg == "init_loc_fn"), None)
        if node is None and len(made.node.args) > position:
            node = made.node.args[position]
        doubt = ""
        current = _current(made, kind)
        if made.spread:
            doubt = "arguments are unpacked into the call: whether init_loc_fn is among them cannot be seen"
        elif given is not None and (node is None or not current):
            doubt = "init_loc_fn is the user's own"
        if doubt:
            return self.finding(made.module, made.node, message, held_back=doubt, source=source)
        candidates = []
        for name in LADDER:
            changes = _changes(made, node, name) if name != current else None
            if changes is not None:
                candidates.append(Candidate(changes, self.promise, f"init_loc_fn={name}", needs_run=True))
        doubt = "" if candidates else "the names of the init_to_... functions are taken here"
        return self.finding(made.module, made.node, message, tuple(candidates), doubt, source)


def _autoguides(svi: Svi) -> Iterator[Made]:
    """The autoguides that take ``init_loc_fn`` in an SVI object's guide, also within handlers and lists of guides."""
    for option in options(svi.guide):
        for part in walk(option):
            head, _, kind = part.name.rpartition(".") if isinstance(part, Made) else ("", "", "")
            takes_it = "init_loc_fn" in distributions.AUTOGUIDES.get(kind, ()) and kind not in DEAF
            if isinstance(part, Made) and head == "pyro.infer.autoguide" and takes_it:
                yield part


def _fails_at_once(svi: SviObservation) -> str:
    """How every trajectory breaks at its first step because of a value; empty when one does not."""
    ends = []
    for trajectory in svi.trajectories:
        bad, failure = health.breakdown(trajectory), trajectory.failure
        if bad is None:
            return ""
        if trajectory.first_nonfinite == 0:
            ends.append("starts at a loss or parameters that are not finite")
        elif failure is not None and failure.step == 0 and of_values(failure):
            ends.append(f"fails at its first step: {health.describe(failure)}")
        else:
            return ""
    return ends[0] if ends else ""


def _levels(trajectory: Trajectory, svi: SviObservation) -> tuple[float, float] | None:
    """The loss at the start and at the end of a whole, finite trajectory: of ONE program, so they compare."""
    losses = trajectory.losses
    if len(losses) < 2 * health.LEVEL_STEPS or health.breakdown(trajectory) or health.diverged(trajectory):
        return None
    first = svi.look.losses if svi.look is not None else ()  # many draws at the very start: less noise than one step
    finite = [loss for loss in first if math.isfinite(loss)]
    start = statistics.median(finite) if finite else losses[0]
    return start, statistics.median(losses[-health.LEVEL_STEPS :])


def _current(made: Made, kind: str) -> str:
    """The plain ``init_to_...`` function in use; empty when it is the user's own."""
    given = made.argument(distributions.AUTOGUIDES[kind].index("init_loc_fn"), "init_loc_fn")
    return DEFAULTS.get(kind, "init_to_median") if given is None else _initialiser(given)


def _too_far(program: Program, svi: Svi, made: Made, kind: str) -> str:
    """Which latent starts further away from where its prior is centred than all steps together can lead back."""
    share = SPREAD.get(_current(made, kind))
    travel = _travel(program, svi) if share is not None and not made.spread else None
    if share is None or travel is None:
        return ""
    for site in program.sites_of(functions_of(svi.model)):
        scale = None if site.observed else _prior_scale(site)
        if scale is not None and share * scale > travel[0] * travel[1]:
            steps, rate = travel
            return (
                f"starts {site.name or 'a latent'!r} at draws from a prior {scale:g} wide, some {share * scale:.2g} "
                f"from its middle, and {steps} steps of {rate:g} come {steps * rate:.2g} far"
            )
    return ""


def _travel(program: Program, svi: Svi) -> tuple[int, float] | None:
    """How many steps there are and how far each can lead at most, where the optimiser normalises gradients."""
    optimizers = options(svi.optimizer)
    steps = steps_of(program, svi, svi.scope).literal
    if steps is None or len(optimizers) != 1 or not isinstance(optimizers[0], Made):
        return None
    name, given = scheduled(optimizers[0])
    rate = given.items.get("lr", Const(DEFAULT_RATE)) if given is not None else Const(DEFAULT_RATE)
    if name not in NORMALISING or not isinstance(rate, Const) or not isinstance(rate.value, (int, float)):
        return None
    return steps, float(rate.value)


def _prior_scale(site: Site) -> float | None:
    """The scale of a prior on the real line, where every element has the same."""
    found = supports(site.distribution)
    if found is None or len(found) != 1 or found[0].family not in LOCATED:
        return None
    known = extent(found[0].made.argument(LOCATED[found[0].family], "scale"))
    return known.low if known is not None and known.low == known.high and math.isfinite(known.low) else None


def _initialiser(given: Value) -> str:
    """The plain ``init_to_...`` function that a value is; empty when it is something else."""
    if isinstance(given, Library) and given.name.startswith("pyro.infer.autoguide."):
        name = given.name.rpartition(".")[2]
        return name if name in (*LADDER, "init_to_sample", "init_to_uniform") else ""
    return ""


def _changes(made: Made, node: ast.expr | None, name: str) -> tuple[Edit, ...] | None:
    for package in ("pyro.infer.autoguide", "pyro.infer.autoguide.initialization"):
        there = imports.reference(made.module, made.scope, f"{package}.{name}", made.node)
        if there is not None:
            if node is None:
                change = edits.add_keyword(made.module, made.node, "init_loc_fn", there.text)
            else:
                change = edits.replace(made.module, node, there.text)
            return (*there.edits, change)
    return None
