"""SVI072."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import partial

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.values import Const, Made
from pyro_fix.transform import Candidate, Number, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._scales import sizes


class WideAutoguideScale(Transform):
    """Initialise autoguides with low variance.

    ## What it does
    Finds an autoguide whose `init_scale` is a literal above 0.1, its default, and makes it 0.1, or 0.05, or 0.01: the
    first that keeps its promise. `--tune` tries others, from 0.001 to 0.1.

    ## Why
    A wide guide samples latents from all over the place, so the first gradients are mostly noise (tip 7).

    ## Example
    ```python
    guide = AutoNormal(model, init_scale=5.0)
    ```
    becomes
    ```python
    guide = AutoNormal(model, init_scale=0.1)
    ```

    ## Holds back when
    - `init_scale` is not a literal at the call.

    ## Promise
    Less variance (the gradient's variance at the first step falls) and no worse (by the original program's objective).
    """

    code, name, tip = "SVI072", "wide-autoguide-scale", 7
    by_the_end = True
    promise = Promise.LESS_VARIANCE | Promise.NO_WORSE
    widest = Threshold(0.1, "initial scales above this are wide; 0.1 is the autoguides' own default")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an autoguide."""
        seen = set()
        for made in program.made:
            head, _, kind = made.name.rpartition(".")
            arguments = distributions.AUTOGUIDES.get(kind, ())
            if head != "pyro.infer.autoguide" or "init_scale" not in arguments or id(made.node) in seen:
                continue
            position = arguments.index("init_scale")
            given = made.argument(position, "init_scale")
            if not isinstance(given, Const) or not isinstance(given.value, (int, float)) or given.value <= self.widest:
                continue
            seen.add(id(made.node))
            node = next((k.value for k in made.node.keywords if k.arg == "init_scale"), None)
            if node is None and len(made.node.args) > position and not made.spread:
                node = made.node.args[position]
            message = f"{kind} starts {given.value:g} wide (the default is 0.1), which makes noisy gradients"
            if edits.literal_number(node) != given.value or node is None:
                yield self.finding(made.module, made.node, message, held_back="init_scale is not a literal at the call")
                continue
            candidates = sizes(partial(self._candidate, made, node))
            yield self.finding(made.module, made.node, message, candidates)

    def _candidate(self, made: Made, node: ast.expr, size: float, numbers: tuple[Number, ...]) -> Candidate:
        change = edits.replace(made.module, node, repr(size))
        return Candidate((change,), self.promise, f"init_scale={size}", numbers=numbers)
