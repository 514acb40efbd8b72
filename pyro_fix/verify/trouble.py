"""What is wrong with a run, as keys that can be compared between the original and the patched program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from pyro_fix.analysis.health import (
    ASKS_VERSION,
    MEAN_FIELD_WARNING,
    SANDBOX,
    STOPS,
    breakdown,
    describe,
    is_handled,
    left_out,
    mismatches,
    one_line,
    said_of,
    unregistered,
)
from pyro_fix.analysis.sayings import IN_PASSING, shortened
from pyro_fix.observation import Observation, SiteLook, SviObservation, Trajectory

Key = tuple[str, ...]
Troubles = Mapping[Key, str]
"""Key of a trouble -> the same in words."""


@dataclass(frozen=True)
class Break:
    """What ends a program, or spoils it for good."""

    key: Key
    """What it is known by in another run: the SVI object, the kind, and the site or the place."""
    words: str
    """With the exception's message."""
    brief: str
    """Without it."""
    reach: Mapping[int, int]
    """Seed -> steps that were sound until then, those of all SVI objects together."""
    seeds: tuple[int, ...] = ()
    """Those under which it happens; none where it happens outside of all steps."""
    by_a_step: bool = True
    """Whether the optimiser had made a step by then: how far it goes has no say in what breaks before."""

    @property
    def told(self) -> dict[str, str]:
        """For the evidence."""
        return {"what": self.words, "brief": self.brief}


#: What nobody trains: a program that is none the worse for a fix, and whose other parts can be judged all the same.
UNTRAINED = "untrained"

#: In the place of a parameter's name, where it is the loss that is not finite.
LOSS = "loss"
#: Failures that no rewrite of a model mends.
NOT_OF_THE_PROGRAM = frozenset(
    {"no-pyro", "no-svi", "no-device", "ModuleNotFoundError", "ImportError", "FileNotFoundError"}
)


def broken_baseline(observation: Observation, timeout: float, steps: int) -> str:
    """Why nothing can be concluded from a run of the original; empty when something can.

    A program that breaks inside a trajectory is not broken in this sense: that may be the defect itself.
    """
    failure = observation.failure
    stepped = [trajectory for svi in observation.svis for trajectory in svi.trajectories]
    if failure is None:
        return "" if stepped else "the program ended without stepping an SVI"
    if failure.kind == "no-pyro":
        return f"{observation.python} has no Pyro to run the program with: {one_line(failure.message)}"
    if failure.kind == "no-svi":
        return "the program ended without stepping an SVI"
    if failure.kind == "journal":
        return f"nothing is known of how it runs: {one_line(failure.message)}"
    if failure.kind in STOPS:
        if stepped and all(trajectory.finished for trajectory in stepped):
            return ""
        return (
            f"the program did not make {steps} steps within {timeout:g} s"
            if failure.kind == "timeout"
            else f"the program was killed before it made {steps} steps: {one_line(failure.message)}"
        )
    if not stepped:
        asked = next((text for text in observation.warnings if text.startswith(ASKS_VERSION)), "")
        words = f"; {asked}, which --any-pyro-version hides from it" if asked else ""
        words += "".join(f"; {text}" for text in observation.warnings if text.startswith(SANDBOX))
        return f"the program breaks before its first step, without any change: {describe(failure)}{words}"
    return ""


def breakdowns(svi: SviObservation) -> dict[str, str]:
    """Kinds of bad ends over the seeds -> the first of each kind in words, with its seed count."""
    found: dict[str, list[str]] = {}
    for trajectory in svi.trajectories:
        bad = breakdown(trajectory)
        if bad:
            found.setdefault(bad[0], []).append(bad[1])
    total = len(svi.trajectories)
    return {
        kind: words[0] + (f" ({len(words)} of {total} seeds)" if total > 1 else "") for kind, words in found.items()
    }


def breaking(observation: Observation) -> Break | None:
    """What ends or spoils the program, of the first SVI object that it happens to; None where nothing does.

    An exception that the program handles is none: a test that expects it, or training that goes on after it.
    """
    reach: dict[int, int] = {}
    first: tuple[SviObservation, list[Trajectory]] | None = None
    for svi in observation.svis:
        bad = []
        for trajectory in svi.trajectories:
            broken = breakdown(trajectory) is not None and not is_handled(observation, trajectory)
            steps = _sound(trajectory) if broken else len(trajectory.losses)
            reach[trajectory.seed] = reach.get(trajectory.seed, 0) + steps
            bad += [trajectory] if broken else []
        first = first or ((svi, bad) if bad else None)
    if first is None:
        failure = observation.failure
        if failure is None or failure.kind in STOPS or failure.kind in NOT_OF_THE_PROGRAM:
            return None
        key = ("program", failure.kind, failure.site or failure.where)
        return Break(key, describe(failure), failure.kind, reach, by_a_step=any(reach.values()))
    svi, bad = first
    kind, words = breakdown(bad[0]) or ("", "")
    failure = bad[0].failure if kind != "not finite" else None
    total = len(svi.trajectories)
    brief = words + (f" ({len(bad)} of {total} seeds)" if total > 1 else "")
    message = shortened(said_of(failure), IN_PASSING) if failure is not None else ""
    # Of numbers that are none, which one is the first to be none is chance.
    what = (failure.site or failure.where) if failure is not None else ""
    seeds = tuple(trajectory.seed for trajectory in bad)
    # Where a loss is finite, it is the step that left a parameter that is not.
    stepped = any(reach.values()) or any(t.nonfinite not in ("", LOSS) for t in bad if kind == "not finite")
    words = f"{brief}: {message}" if message else brief
    return Break((str(svi.ordinal), kind, what), words, brief, reach, seeds, stepped)


def gets_further(original: Observation, patched: Observation) -> bool:
    """Whether a fix has ended what broke the program, though something else breaks it further on.

    The same trouble some steps later is no other one.
    """
    before, after = breaking(original), breaking(patched)
    if before is None or after is None or before.key == after.key:
        return False
    return all(steps > before.reach.get(seed, 0) for seed, steps in after.reach.items())


def comes_sooner(original: Observation, patched: Observation, key: Key) -> bool:
    """Whether what ends a trajectory does so, under some seed, before the original has any trouble."""
    return any(
        key == ("trajectory", str(ordinal), bad[0]) and _sound(after) < _sound(before)
        for ordinal, before, after in _both(original, patched)
        if (bad := breakdown(after)) is not None
    )


def first_step_lost(original: Observation, patched: Observation) -> str:
    """What ends a first step that the original makes under the same seed; empty where nothing does.

    Nothing has been trained until then, so there is no chance in it.  Of several SVI objects this cannot be told: one
    may have trained what another one begins with.
    """
    if len(original.svis) != 1:
        return ""
    for _, before, after in _both(original, patched):
        bad = breakdown(after)
        if bad is not None and _makes_first(before) and not _makes_first(after):
            message = shortened(said_of(after.failure), IN_PASSING) if after.failure is not None else ""
            return f"{bad[1]}: {message}" if message else bad[1]
    return ""


def _both(original: Observation, patched: Observation) -> Iterator[tuple[int, Trajectory, Trajectory]]:
    """The trajectories of the two programs under one seed, by SVI object."""
    before = {(svi.ordinal, one.seed): one for svi in original.svis for one in svi.trajectories}
    for svi in patched.svis:
        for after in svi.trajectories:
            if (svi.ordinal, after.seed) in before:
                yield svi.ordinal, before[svi.ordinal, after.seed], after


def _sound(trajectory: Trajectory) -> int:
    """The steps before anything goes wrong."""
    first = trajectory.first_nonfinite
    return len(trajectory.losses) if first is None else first


def _makes_first(trajectory: Trajectory) -> bool:
    return bool(trajectory.losses) and math.isfinite(trajectory.losses[0])


def said(observation: Observation, key: Key) -> str:
    """What the exception says that ended a trajectory."""
    for svi in observation.svis:
        for trajectory in svi.trajectories if key[:2] == ("trajectory", str(svi.ordinal)) else ():
            if trajectory.failure is not None and trajectory.failure.kind == key[2]:
                return shortened(said_of(trajectory.failure), IN_PASSING)
    return ""


def crashes(observation: Observation) -> dict[Key, str]:
    """Exceptions and non-finite values of a run."""
    found: dict[Key, str] = {}
    failure = observation.failure
    if failure is not None and failure.kind not in STOPS:
        found["program", failure.kind] = describe(failure)
    for svi in observation.svis:
        for kind, words in breakdowns(svi).items():
            found["trajectory", str(svi.ordinal), kind] = words
    if any(MEAN_FIELD_WARNING in warning for warning in observation.warnings):
        found["warning", "mean-field"] = f"Pyro warns: {MEAN_FIELD_WARNING}"
    return found


def is_biased(observation: Observation, ordinals: Iterable[int]) -> bool:
    """Whether an analytic KL divergence is not what it stands for: such a loss is no bound, and no judge of others."""
    if any(MEAN_FIELD_WARNING in warning for warning in observation.warnings):
        return True
    return any(left_out(svi) for svi in observation.svis if svi.ordinal in set(ordinals))


def invalid(observation: Observation, ordinals: Iterable[int]) -> dict[Key, str]:
    """Invalid arguments, values and supports, judged on the distributions themselves at the first step."""
    found: dict[Key, str] = {}
    wanted = set(ordinals)
    for svi in observation.svis:
        if svi.ordinal not in wanted or svi.look is None:
            continue
        at = str(svi.ordinal)
        for role, sites in (("guide", svi.look.guide), ("model", svi.look.model)):
            for name, site in sites.items():
                for violation in site.violations:
                    # The data of a program are its own: only what is computed has to be valid.
                    kind = "data" if site.observed and violation.startswith("value") else "violation"
                    found[kind, at, role, name, violation.split(":")[0]] = (
                        f"{role} site '{name}', {site.distribution}: {violation}"
                    )
                if site.observed and _is_repeated(site):
                    shape = tuple(site.batch_shape) + tuple(site.event_shape)
                    found["data", at, role, name, "shape"] = (
                        f"{role} site '{name}': an observed value of shape {site.shape} is repeated to fill {shape}"
                    )
        found |= {("density", at, name): f"{svi.elbo} leaves out the density of '{name}'" for name in left_out(svi)}
        found |= {(UNTRAINED, at, one.name or one.kind): unregistered(one) for one in svi.look.untrained}
        found |= {("support", at, name): words for name, words in mismatches(svi.look).items()}
    return found


def _is_repeated(site: SiteLook) -> bool:
    """Whether elements of a value are counted more than once: the distribution has them in dimensions of its own."""
    shape = site.batch_shape + site.event_shape
    value = (1,) * (len(shape) - len(site.shape)) + site.shape
    return any(mine < theirs for mine, theirs in zip(value[::-1], shape[::-1], strict=False))


def affected(original: Observation, patched: Observation) -> tuple[int, ...]:
    """Ordinals of the SVI objects that the patch visibly changed; all of them when it changed none."""
    others = {svi.ordinal: svi for svi in original.svis}
    # An original that breaks before it builds one has none.
    every = tuple(svi.ordinal for svi in patched.svis if svi.ordinal in others or not others)
    changed = [svi for svi in patched.svis if svi.ordinal in others and _differ(others[svi.ordinal], svi)]
    return tuple(svi.ordinal for svi in changed) or every


def _differ(original: SviObservation, patched: SviObservation) -> bool:
    if (original.elbo, original.optimizer, original.num_particles) != (
        patched.elbo,
        patched.optimizer,
        patched.num_particles,
    ):
        return True
    a, b = original.look, patched.look
    if a is not None and b is not None:
        if (a.params, a.guide, a.model) != (b.params, b.guide, b.model) or a.error != b.error:
            return True
        count = min(len(a.losses), len(b.losses))
        if a.losses[:count] != b.losses[:count]:
            return True
    theirs = {trajectory.seed: trajectory for trajectory in original.trajectories}
    for trajectory in patched.trajectories:
        other = theirs.get(trajectory.seed)
        if other and (other.losses, other.rates) != (trajectory.losses, trajectory.rates):
            return True
    return False
