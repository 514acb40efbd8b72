"""Trials: variants of a program that differ in a number, trained for a while and seen by one objective.

The objective is the one that a proof was judged by.  Runs and the referee are those of proofs (``prove.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pyro_fix.observation import Observation, SviObservation
from pyro_fix.proof import Proof, Side
from pyro_fix.runner.model import RunRequest
from pyro_fix.verify.bench import AT_THE_END, PATIENCE, svi_of
from pyro_fix.verify.ends import FEWEST, unit
from pyro_fix.verify.prove import Program, ended, missing, side
from pyro_fix.verify.side_by_side import each
from pyro_fix.watch import Progress


@dataclass(frozen=True)
class Trial:
    """Variants of the program of a proof."""

    original: Program
    variants: Sequence[Program]
    """The first one is the program with the fixes, that the proof speaks of."""
    proof: Proof


def all_of(
    trials: Sequence[Trial], seeds: tuple[int, ...], share: float, jobs: int, progress: Progress
) -> list[list[Side]]:
    """By trial and variant, where the variants are after a share of the steps that the program makes."""
    if not trials:
        return []
    lab = trials[0].original.bench.lab
    tasks = [(trial, program) for trial in trials for program in trial.variants]
    runs = iter(each("other numbers", tasks, lambda task: _trained(*task, seeds, share), lab, jobs, progress))
    asked = [(trial, [next(runs) for _ in trial.variants]) for trial in trials]
    return each("where they ended", asked, lambda one: _judged(*one, seeds, share), lab, jobs, progress)


def _request(trial: Trial, program: Program, seeds: tuple[int, ...], share: float) -> RunRequest:
    proof = trial.proof
    assert proof.after is not None
    whole = proof.after.steps
    steps = proof.most if share == 1 else min(max(round(share * whole), FEWEST), whole)
    return program.request(seeds, steps, PATIENCE * len(seeds) * proof.seconds / len(proof.seeds))


def _trained(trial: Trial, program: Program, seeds: tuple[int, ...], share: float) -> Observation:
    words = f"{program.plan.label}: {len(seeds)} seeds, {share:.0%} of the steps, another number"
    return program.bench.lab.observe(_request(trial, program, seeds, share), words, save=True)


def _judged(trial: Trial, runs: Sequence[Observation], seeds: tuple[int, ...], share: float) -> list[Side]:
    """Where trainings ended, in the judge's eyes: all of them by one run of its."""
    proof = trial.proof
    assert proof.after is not None
    ordinal = proof.svi
    trained = {n: svi for n, run in enumerate(runs) if (svi := svi_of(run, ordinal)) is not None and ended(run)}
    # An original that breaks before it trains anything judges nothing.
    judge = trial.original if svi_of(trial.original.seen, ordinal) is not None else trial.variants[0]
    requests = {n: _request(trial, trial.variants[n], seeds, share) for n in trained}
    states = {f"{n}-{seed}": (request, seed) for n, request in requests.items() for seed in seeds}
    asked = judge.bench.request(judge.plan, None, seeds[:1], steps=max(proof.after.steps, AT_THE_END.evaluations))
    patience = PATIENCE * len(states) * AT_THE_END.evaluations * (proof.after.step_seconds or 0.0)
    asked = replace(asked, timeout=max(asked.timeout, patience))
    words = f"{judge.plan.label}: where {len(states)} trainings ended"
    seen = judge.bench.lab.referee(asked, states, words, AT_THE_END) if states else None
    view = svi_of(seen, ordinal) if seen is not None else None
    nat = unit(judge.seen, ordinal)
    sides = []
    for n, run in enumerate(runs):
        if n not in trained:
            why = missing(run) if svi_of(run, ordinal) is None else "it did not come to its end within its time"
            sides.append(Side(0, endings=dict.fromkeys(seeds, why)))
            continue
        sides.append(side(trained[n], seeds, _of(view, f"{n}-"), nat))
    return [replace(one, way=()) for one in sides]


def _of(view: SviObservation | None, prefix: str) -> SviObservation | None:
    """What a judge says of the states whose labels begin so."""
    if view is None:
        return None
    own = {key.removeprefix(prefix): losses for key, losses in view.referee.items() if key.startswith(prefix)}
    return replace(view, referee=own)
