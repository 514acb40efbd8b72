"""SVI081."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.values import Const
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._particles import hazard


class SequentialParticles(Transform):
    """Draw all particles at once.

    ## What it does
    Adds `vectorize_particles=True` to an ELBO with `num_particles` above 1.

    ## Why
    Without it the model and the guide run once a particle, one after the other; with it they run once, with an extra
    batch dimension, which costs far less than that many runs (tip 8).

    ## Example
    ```python
    elbo = Trace_ELBO(num_particles=10)
    ```
    becomes
    ```python
    elbo = Trace_ELBO(num_particles=10, vectorize_particles=True)
    ```

    ## Holds back when
    - the model or the guide branches on a sampled value, turns one into a Python number, indexes one from
      the left, loops over a plate, or transposes with `.t()`: such code expects the shape of one particle;
    - `vectorize_particles` is given, whatever it says;
    - no run is possible: the source alone cannot tell that every shape is right.

    ## Promise
    Same sites, sliced: each particle's slice, replayed through the plain program, has the same log-probabilities.
    """

    code, name, tip = "SVI081", "sequential-particles", 8
    promise = Promise.SAME_SITES_SLICED

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an ELBO."""
        seen = set()
        for made in program.made:
            kind = made.name.rpartition(".")[2]
            arguments = distributions.ELBOS.get(kind, ())
            if "vectorize_particles" not in arguments or made.spread or id(made.node) in seen:
                continue
            number = made.argument(arguments.index("num_particles"), "num_particles")
            vectorized = made.argument(arguments.index("vectorize_particles"), "vectorize_particles")
            if not isinstance(number, Const) or not isinstance(number.value, int) or number.value < 2:
                continue
            if vectorized is not None:
                continue
            seen.add(id(made.node))
            message = f"{kind} runs the model {number.value} times a step, one particle after the other"
            doubt = hazard(program, made)
            change = edits.add_keyword(made.module, made.node, "vectorize_particles", "True")
            candidate = Candidate((change,), self.promise, "vectorize_particles=True", needs_run=True)
            yield self.finding(made.module, made.node, message, (candidate,), doubt)
