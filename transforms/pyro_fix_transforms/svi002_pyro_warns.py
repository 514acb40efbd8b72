"""SVI002."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from pyro_fix.analysis.health import MEAN_FIELD_WARNING, left_out
from pyro_fix.analysis.program import Program, Svi, functions_of
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Const
from pyro_fix.observation import Look, Observation, Remark, SviObservation
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._classes import renamed
from pyro_fix_transforms._losses import losses
from pyro_fix_transforms._told import place

_MISSING = re.compile(r"Found vars in model but not guide: (?P<names>.*)")
_EXTRA = re.compile(r"Found non-auxiliary vars in guide but not model, .*?: *(?P<names>\{.*)")
_PLATES = re.compile(r"Found plate statements in guide but not model: (?P<names>.*)")
#: NaN and infinity are what SVI001 speaks of, where they come to anything.
_NUMBERS = re.compile(r"Encountered (?:NaN|[+-]inf)")
_NAME = re.compile(r"'([^']+)'|\"([^\"]+)\"")
#: ELBOs with analytic KL divergences, and the same without.
_PLAIN = {"TraceMeanField_ELBO": "Trace_ELBO", "JitTraceMeanField_ELBO": "JitTrace_ELBO"}


class PyroWarns(Transform):
    """Hear the warnings that Pyro itself gives in a run, and one that it does not give.

    ## What it does
    Tells of the warnings that Pyro gives at any step of a run, with the site, the step and the line, where no other
    transform speaks of it: names that only the model or only the guide has at some steps, plates in the guide alone,
    and whatever else Pyro says. A `TraceMeanField_ELBO` whose sites are in another order in the guide than in the
    model, and whose KL divergences are then wrong, becomes a `Trace_ELBO`; so does one over an autoguide that draws a
    constrained latent, of which Pyro does not warn.

    ## Why
    Pyro warns and goes on, the warning scrolls away between two losses, and the answer is wrong: a latent without a
    guide at some steps is drawn from its prior there, and a plate in the guide alone counts what the model does not.
    An autoguide draws in the unconstrained space and hands on a `Delta` whose density is the Jacobian; the analytic KL
    divergence takes it for a point without one, and what is minimised bounds no evidence (Pyro 1.9.2, `_kl_delta`).

    ## Example
    ```python
    svi = SVI(model, guide, optim, loss=pyro.infer.TraceMeanField_ELBO())
    ```
    becomes
    ```python
    svi = SVI(model, guide, optim, loss=pyro.infer.Trace_ELBO())
    ```

    ## Holds back when
    - it is not for a tool to say which of model and guide is right, as with all but the ELBO.

    It says nothing where the order of the sites makes no difference, since no latent depends on another one the wrong
    way round; nothing of what a program silences, of deprecations, and of warnings outside of steps.

    ## Promise
    The patched program runs clean, and Pyro does not warn.
    """

    code, name, tip = "SVI002", "pyro-warns", 0
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a warning, and SVI object."""
        for run in program.seen.runs:
            for proposal in self._run(program, run):
                yield replace(proposal, programs=frozenset({run.command}))

    def _run(self, program: Program, run: Observation) -> Iterator[Proposal]:
        """What Pyro warned of in a program's run."""
        by_ordinal = {svi.ordinal: svi for svi in run.svis}
        for remark in run.remarks:
            svi = by_ordinal.get(-1 if remark.svi is None else remark.svi)
            if svi is not None and not _NUMBERS.match(remark.text):
                yield from self._remark(program, run, svi, remark)
        for svi in run.svis:
            if names := left_out(svi):
                words = f"leaves out the density that the guide's Delta at {_listed(names[:3])} carries, the Jacobian"
                yield from self._plain(program, run, svi, "{} " + words + " of its transform: it is no bound")

    def _remark(self, program: Program, run: Observation, svi: SviObservation, remark: Remark) -> Iterator[Proposal]:
        when = f"Pyro warns {_when(remark, svi)}"
        if remark.text.startswith(MEAN_FIELD_WARNING):
            yield from self._order(program, run, svi, when)
        elif told := _MISSING.match(remark.text):
            names = [name for name in _names(told["names"]) if not _is_always_alone(svi.look, name, "model")]
            words = f"{when}: the guide does not sample {_listed(names)} wherever the model does"
            mend = "let the guide sample it under the same condition"
            yield from self._sites(program, run, svi, names, "model", words, mend)
        elif told := _EXTRA.match(remark.text):
            names = [name for name in _names(told["names"]) if not _is_always_alone(svi.look, name, "guide")]
            words = f"{when}: the guide samples {_listed(names)} where the model does not"
            mend = "let the model sample it under the same condition"
            yield from self._sites(program, run, svi, names, "guide", words, mend)
        elif told := _PLATES.match(remark.text):
            names = _names(told["names"])
            words = f"{when}: the guide has the plate {_listed(names)}, which the model lacks"
            at = _plate(program, run, svi, names) or place(program, run, [remark.where, svi.where])
            if at is not None:
                mend = "put the plate into the model as well, or declare the dimension by .to_event"
                yield self.finding(*at, words, held_back=mend, source="seen")
        else:
            at = place(program, run, [remark.where, svi.where])
            if at is not None:
                yield self.finding(*at, f"{when}: {remark.text}", held_back="no fix is known for it", source="seen")

    def _sites(
        self,
        program: Program,
        run: Observation,
        svi: SviObservation,
        names: list[str],
        role: str,
        words: str,
        mend: str,
    ) -> Iterator[Proposal]:
        """One finding where the first of ``names`` is sampled."""
        if not names:
            return
        sites = getattr(svi.look, role) if svi.look is not None else {}
        at = place(program, run, [sites[name].where for name in names if name in sites])
        at = at or _spelled(program, run, svi, names, role) or place(program, run, [svi.where])
        if at is not None:
            yield self.finding(*at, words, held_back=mend, source="seen")

    def _order(self, program: Program, run: Observation, svi: SviObservation, when: str) -> Iterator[Proposal]:
        known = svi.look.dependencies if svi.look is not None else None
        if known is not None and known.mean_field and not known.error:
            return  # Pyro's condition is sufficient, not necessary
        message = (
            f"{when} that it cannot verify the mean-field restriction: {{}} is wrong where a latent of the "
            "guide depends on one that depends on it in the model"
        )
        yield from self._plain(program, run, svi, message)

    def _plain(self, program: Program, run: Observation, svi: SviObservation, message: str) -> Iterator[Proposal]:
        """An ELBO without analytic KL divergences; in ``message`` the name of the one that has them is left open."""
        for loss in losses(program, _PLAIN):
            seen = [one for made_for in loss.svis for one in program.seen.svi(made_for)]
            if not any(one.run is run and one.svi.ordinal == svi.ordinal for one in seen):
                continue
            made, plain = loss.made, _PLAIN[loss.kind]
            rename = renamed(program, made, f"pyro.infer.{plain}")
            held_back = "" if rename else f"the name {plain} is taken here"
            candidates = (Candidate(rename, self.promise, plain, needs_run=True),) if rename else ()
            yield self.finding(made.module, made.node, message.format(loss.kind), candidates, held_back, "seen")


def _when(remark: Remark, svi: SviObservation) -> str:
    step = "in a step" if remark.step is None else f"at step {remark.step}"
    total = len({trajectory.seed for trajectory in svi.trajectories})
    return step + (f" on {len(remark.seeds)} of {total} seeds" if total > 1 else "")


def _names(text: str) -> list[str]:
    return sorted({one or other for one, other in _NAME.findall(text)})


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def _is_always_alone(look: Look | None, name: str, role: str) -> bool:
    """Whether the first step shows already that only one side has the site: then others speak of it (tips 4, 14)."""
    if look is None:
        return False
    other = look.guide if role == "model" else look.model
    return name in getattr(look, role) and (name not in other or other[name].observed)


def _svis(program: Program, run: Observation, svi: SviObservation) -> list[Svi]:
    return [
        one
        for one in program.svis
        if any(seen.run is run and seen.svi.ordinal == svi.ordinal for seen in program.seen.svi(one))
    ]


def _spelled(
    program: Program, run: Observation, svi: SviObservation, names: list[str], role: str
) -> tuple[Module, ast.expr] | None:
    """Where the source samples one of these names, on the side that has it."""
    for one in _svis(program, run, svi):
        for site in program.sites_of(functions_of(getattr(one, role))):
            if site.name in names and site.module.path in program.asked:
                return site.module, site.call
    return None


def _plate(program: Program, run: Observation, svi: SviObservation, names: list[str]) -> tuple[Module, ast.expr] | None:
    """Where the guide makes one of these plates."""
    for one in _svis(program, run, svi):
        for site in program.sites_of(functions_of(one.guide)):
            for plate in site.plates:
                name = plate.argument(0, "name")
                if isinstance(name, Const) and name.value in names and plate.module.path in program.asked:
                    return plate.module, plate.node
    return None
