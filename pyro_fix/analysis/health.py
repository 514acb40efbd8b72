"""How a run went, and what it says of supports: judgements of one observation by itself."""

from __future__ import annotations

import statistics

from pyro_fix.analysis.sayings import IN_PASSING, in_words, shortened
from pyro_fix.analysis.supports import LOOSE, inside
from pyro_fix.observation import Failure, Look, Observation, SiteLook, SviObservation, Trajectory, Untrained

STOPS = frozenset({"timeout", "killed"})
"""Failures that say more of the machine than of the program."""
#: ELBOs that compute the KL divergence of a latent where it has a closed form.
ANALYTIC = "TraceMeanField_ELBO"
#: Pyro warns, goes on and is biased (measured: the only sign of a wrong analytic KL).
MEAN_FIELD_WARNING = "Failed to verify mean field restriction"
#: How the probe's note on an assertion about Pyro's version begins.
ASKS_VERSION = "the program asks for Pyro"
#: How its note on what the sandbox may have refused begins.
SANDBOX = "the sandbox may be why"
#: A loss that ends this many times further above its start than the start is from zero has diverged.
DIVERGENCE = 10.0
#: Losses are noisy: levels are medians over this many steps.
LEVEL_STEPS = 10


def one_line(text: str, limit: int = 160) -> str:
    """The first line of a message, shortened."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def describe(failure: Failure) -> str:
    """A failure in one line."""
    step = "" if failure.step is None else f" at step {failure.step}"
    message = f": {shortened(said_of(failure), IN_PASSING)}" if failure.message.strip() else ""
    return f"{failure.kind}{step}{message}" + (f" ({failure.where})" if failure.where else "")


def said_of(failure: Failure) -> str:
    """The whole message of an exception in one line, but for Pyro's table of shapes."""
    return in_words(failure.message)


def is_of_a_test(observation: Observation) -> bool:
    """Whether a test suite was run, in which what fails may be what is tested."""
    return "pytest" in observation.command.split()


def is_handled(observation: Observation, trajectory: Trajectory) -> bool:
    """Whether the program deals itself with the exception of a step: a test that expects it, training that goes on."""
    failure = trajectory.failure
    if failure is None or not failure.caught:
        return False
    if is_of_a_test(observation):
        return True
    return failure.step is not None and len(trajectory.losses) > failure.step + 1


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


def levels(trajectory: Trajectory) -> tuple[float, float] | None:
    """The loss at the start and at the end, as medians; None where the trajectory is too short to have both."""
    losses = trajectory.losses
    if len(losses) < 2 * LEVEL_STEPS:
        return None
    return statistics.median(losses[:LEVEL_STEPS]), statistics.median(losses[-LEVEL_STEPS:])


def diverged(trajectory: Trajectory) -> bool:
    """Whether a finite trajectory's loss ran away: its last level is far above its first one.

    Levels of ONE program's loss are compared here, never those of two programs.
    """
    losses, ends = trajectory.losses, levels(trajectory)
    if ends is None:
        return False
    start, end = ends
    spread = max(losses[:LEVEL_STEPS]) - min(losses[:LEVEL_STEPS])
    return end - start > DIVERGENCE * max(abs(start), spread, 1.0)


def unwell(svi: SviObservation) -> bool:
    """Whether a trajectory of an SVI object breaks or diverges."""
    return any(breakdown(trajectory) or diverged(trajectory) for trajectory in svi.trajectories)


def agreements(look: Look) -> dict[str, bool | None]:
    """Latent sites of both sides -> whether what the guide draws always lies in the model's support (tip 4).

    ``None`` is no answer.  A bound that is computed from another latent, or a distribution that such a one chooses, may
    be another one at the next draw, so agreement at this one proves nothing.
    """
    found: dict[str, bool | None] = {}
    known = look.dependencies
    for name, guide in look.guide.items():
        model = look.model.get(name)
        if model is None or model.observed:
            continue
        if "Delta" in (guide.distribution, model.distribution):
            found[name] = None  # its support is the whole line, and its one value is judged by the model's own check
            continue
        answer = inside(guide.support, model.support, loose=guide.distribution in LOOSE)
        if answer is None and _drew_outside(model) and not _drew_outside(guide):
            answer = False
        bounded = [site for site in (guide, model) if "(" in site.support]
        moves = any(site.parents or known is None for site in bounded) or (known is not None and bool(known.error))
        found[name] = None if answer and moves else answer
    return found


def unpaired(look: Look) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Latents of the model that the guide lacks, and latents of the guide that the model lacks (tip 4).

    Sites that can be enumerated need no guide, auxiliary ones no model, and a Delta has nothing to infer.
    """
    missing = tuple(
        name
        for name, site in look.model.items()
        if name not in look.guide
        and not (site.observed or site.enumerable or site.enumerated or site.distribution == "Delta")
    )
    extra = tuple(
        name
        for name, site in look.guide.items()
        if name not in look.model and not (site.observed or site.auxiliary or site.distribution == "Delta")
    )
    return missing, extra


def left_out(svi: SviObservation) -> tuple[str, ...]:
    """Latents whose density an analytic KL divergence leaves out: it takes a Delta for a point, whatever it carries.

    Autoguides draw in the unconstrained space, and put the value into a Delta with the Jacobian for its density.
    """
    look = svi.look
    if look is None or look.error or ANALYTIC not in svi.elbo:
        return ()
    return tuple(
        name
        for name, site in look.guide.items()
        if site.distribution == "Delta" and name in look.model and not site.observed and site.log_prob != 0
    )


def is_tensor(one: Untrained) -> bool:
    """Whether it is a lone tensor, of no module that is known."""
    return one.kind in ("Tensor", "Parameter")


def unregistered(one: Untrained) -> str:
    """What is trained by nobody, and how one sees that it should be."""
    numbers = f"{one.numbers} number{'s' if one.numbers > 1 else ''}"
    if is_tensor(one):
        what, are, them = f"{one.name or 'a tensor that asks for gradients'} ({numbers})", "is", "it"
    else:
        count = f"{one.tensors} parameters" if one.tensors > 1 else "parameter"
        what, are, them = f"the {count} of {one.name or one.kind} ({numbers})", "are", "them"
        are, them = (are, them) if one.tensors > 1 else ("is", "it")
    computed = f"which '{one.site}' of the {one.role} is computed from"
    return f"{what}, {computed}, {are} in no param store: nothing trains {them}"


def _drew_outside(site: SiteLook) -> bool:
    return any(violation.startswith("value") for violation in site.violations)


def mismatches(look: Look) -> dict[str, str]:
    """Latent sites whose guide can propose values outside the model's support, in words."""
    return {
        name: f"latent '{name}': the guide's {look.guide[name].distribution} has support {look.guide[name].support}, "
        f"the model's {look.model[name].distribution} {look.model[name].support}"
        for name, answer in agreements(look).items()
        if answer is False
    }
