"""SVI082."""

from __future__ import annotations

import ast
import statistics
from collections.abc import Iterator
from functools import partial

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.noise import gradient_noise, loss_noise, progress
from pyro_fix.analysis.program import Program, Svi
from pyro_fix.analysis.values import Const, Made, options
from pyro_fix.observation import SviObservation
from pyro_fix.transform import Candidate, Edit, Number, Promise, Proposal, Threshold, Transform
from pyro_fix_transforms._particles import hazard

#: Numbers of particles to try.  Source: tip 8; usually more steps with fewer particles win.
LADDER = (2, 5, 10)


class TooFewParticles(Transform):
    """Average the ELBO over several particles where one is all noise.

    ## What it does
    Finds an SVI with one particle whose loss varies, in a run, from step to step by more than it falls over the whole
    run, and whose gradient has more noise than signal, and gives it 2, 5 or 10 particles, drawn at once: the first
    number that keeps its promise. It is off unless it is selected. `--tune` tries 3 as well.

    ## Why
    More particles mean less variance for more computation, less than so many times as much when they are vectorised
    (tip 8). Usually more steps with one particle win; ask for it where the loss does not settle.

    ## Example
    ```python
    elbo = Trace_ELBO()
    ```
    becomes
    ```python
    elbo = Trace_ELBO(num_particles=2, vectorize_particles=True)
    ```

    ## Holds back when
    - the model or the guide branches on a sampled value, turns one into a Python number, loops over a plate, or
      transposes with `.t()`: such code expects the shape of one particle;
    - the ELBO is passed as a class or built elsewhere, so that there is no call to give the particles to;
    - more than one particle is drawn, or `vectorize_particles` is given: then nothing is found at all.

    ## Promise
    Same sites, sliced: each particle's slice, replayed through the plain program, has the same log-probabilities. Less
    variance: the gradient's variance at the first step falls.
    """

    code, name, tip, default = "SVI082", "too-few-particles", 8, False
    by_the_end = True
    promise = Promise.SAME_SITES_SLICED | Promise.LESS_VARIANCE
    after = ("SVI01", "SVI02", "SVI03", "SVI04", "SVI05", "SVI06", "SVI07", "SVI081", "SVI09", "SVI1")
    noise = Threshold(
        1.0, "the loss's standard deviation in units of its progress, and the gradient's in those of its mean"
    )

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an ELBO."""
        told = set()
        for svi in program.svis:
            runs = [seen.svi for seen in program.seen.svi(svi)]
            if not runs or not all(self._is_noisy(run) for run in runs):
                continue
            message = "with one particle the loss varies more from step to step than it falls over the run"
            losses = [option for option in options(svi.loss) if isinstance(option, Made)]
            for made in losses:
                if id(made.node) not in told:
                    told.add(id(made.node))
                    yield from self._of(program, made, message)
            if not losses:
                yield self.finding(svi.module, svi.call, message, held_back=_nowhere(svi), source="seen")

    def _of(self, program: Program, made: Made, message: str) -> Iterator[Proposal]:
        kind = made.name.rpartition(".")[2]
        arguments = distributions.ELBOS.get(kind, ())
        if "vectorize_particles" not in arguments or made.spread or made.arguments:
            return
        number = made.keywords.get("num_particles")
        if "vectorize_particles" in made.keywords or (number is not None and not _is_one(number)):
            return
        candidates = tuple(self._candidate(made, count) for count in LADDER)
        yield self.finding(made.module, made.node, message, candidates, hazard(program, made), source="seen")

    def _candidate(self, made: Made, count: float) -> Candidate:
        # Always a gain by the step, and not by the second: more than the ladder has nobody should find by tuning.
        number = Number("number of particles", count, LADDER[0], LADDER[-1], partial(self._candidate, made), whole=True)
        change, label = _change(made, int(count)), f"{count:g} particles, vectorised"
        return Candidate((change,), self.promise, label, needs_run=True, numbers=(number,))

    def _is_noisy(self, run: SviObservation) -> bool:
        """Whether the loss's noise exceeds its progress in most trajectories, and the gradient has little signal."""
        if run.num_particles != 1 or run.look is None:
            return False
        gradient = gradient_noise(run.look)
        pairs = [(loss_noise(trajectory), progress(trajectory)) for trajectory in run.trajectories]
        shares = [noise > self.noise * way for noise, way in pairs if noise is not None and way is not None]
        return (
            gradient is not None
            and gradient > self.noise
            and len(shares) == len(pairs) > 0
            and statistics.fmean(shares) > 0.5
        )


def _change(made: Made, count: int) -> Edit:
    given = next((k for k in made.node.keywords if k.arg == "num_particles"), None)
    if given is None:
        added = {"num_particles": str(count), "vectorize_particles": "True"}
        return edits.add_keywords(made.module, made.node, added)
    return edits.replace(made.module, given.value, f"{count}, vectorize_particles=True")


def _is_one(number: object) -> bool:
    return isinstance(number, Const) and number.value == 1


def _nowhere(svi: Svi) -> str:
    node = svi.node(3, "loss")
    if isinstance(node, (ast.Name, ast.Attribute)):
        return "the ELBO is not built by a call that the source shows"
    return "no ELBO is built here"
