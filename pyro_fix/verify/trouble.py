"""What is wrong with a run, as keys that can be compared between the original and the patched program."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping

from pyro_fix.analysis.distributions import implies
from pyro_fix.runner.model import Failure, Look, Observation, SviObservation, Trajectory

Key = tuple[str, ...]
Troubles = Mapping[Key, str]
"""Key of a trouble -> the same in words."""

STOPS = frozenset({"timeout", "killed"})
"""Failures that say more of the machine than of the program."""
#: Pyro warns, goes on and is biased (measured: the only sign of a wrong analytic KL).
MEAN_FIELD_WARNING = "Failed to verify mean field restriction"
#: A loss that ends this many times further above its start than the start is from zero has diverged.
DIVERGENCE = 10.0
#: Losses are noisy: levels are medians over this many steps.
LEVEL_STEPS = 10


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
    if failure.kind in STOPS:
        if stepped and all(trajectory.finished for trajectory in stepped):
            return ""
        return (
            f"the program did not make {steps} steps within {timeout:g} s"
            if failure.kind == "timeout"
            else f"the program was killed before it made {steps} steps: {one_line(failure.message)}"
        )
    if not stepped:
        return f"the program breaks before its first step, without any change: {describe(failure)}"
    return ""


def one_line(text: str, limit: int = 160) -> str:
    """The first line of a message, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def describe(failure: Failure) -> str:
    """A failure in one line."""
    step = "" if failure.step is None else f" at step {failure.step}"
    message = f": {one_line(failure.message)}" if failure.message.strip() else ""
    return f"{failure.kind}{step}{message}" + (f" ({failure.where})" if failure.where else "")


def breakdown(trajectory: Trajectory) -> tuple[str, str] | None:
    """The kind of a trajectory's end, if it is a bad one, and the same in words.

    A NaN at one step makes an exception at the next one, of whatever kind: then the NaN is what counts.
    """
    failure, first = trajectory.failure, trajectory.first_nonfinite
    if first is not None and (failure is None or failure.step is None or failure.step >= first):
        return "not finite", f"NaN or infinity at step {first}"
    if failure is not None and failure.kind not in STOPS:
        return failure.kind, f"{failure.kind}{'' if failure.step is None else f' at step {failure.step}'}"
    return None


def diverged(trajectory: Trajectory) -> bool:
    """Whether a finite trajectory's loss ran away: its last level is far above its first one.

    Levels of ONE program's loss are compared here, never those of two programs.
    """
    losses = trajectory.losses
    if len(losses) < 2 * LEVEL_STEPS:
        return False
    start, end = statistics.median(losses[:LEVEL_STEPS]), statistics.median(losses[-LEVEL_STEPS:])
    spread = max(losses[:LEVEL_STEPS]) - min(losses[:LEVEL_STEPS])
    return end - start > DIVERGENCE * max(abs(start), spread, 1.0)


def unwell(svi: SviObservation) -> bool:
    """Whether a trajectory of an SVI object breaks or diverges."""
    return any(breakdown(trajectory) or diverged(trajectory) for trajectory in svi.trajectories)


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
        found |= {("support", at, name): words for name, words in mismatches(svi.look).items()}
    return found


def mismatches(look: Look) -> dict[str, str]:
    """Latent sites whose guide can propose values outside the model's support (tip 4)."""
    found = {}
    for name, site in look.guide.items():
        model = look.model.get(name)
        if model is None or model.observed or "Delta" in (site.distribution, model.distribution):
            continue  # a Delta's support is the whole line, and its one value is judged by the model's own check
        if implies(site.support, model.support) is False:
            found[name] = (
                f"latent '{name}': the guide's {site.distribution} has support {site.support}, "
                f"the model's {model.distribution} {model.support}"
            )
    return found


def affected(original: Observation, patched: Observation) -> tuple[int, ...]:
    """Ordinals of the SVI objects that the patch visibly changed; all of them when it changed none."""
    others = {svi.ordinal: svi for svi in original.svis}
    every = tuple(svi.ordinal for svi in patched.svis if svi.ordinal in others)
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
