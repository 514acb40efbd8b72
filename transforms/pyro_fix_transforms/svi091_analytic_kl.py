"""SVI091."""

from __future__ import annotations

from collections.abc import Iterator

from pyro_fix.analysis.pairing import may_be_observed, side
from pyro_fix.analysis.program import Program, Site, Svi
from pyro_fix.analysis.shapes import broadcast, of_distribution
from pyro_fix.analysis.spelled import are_alike
from pyro_fix.analysis.values import Argument, Made, Opaque, SiteValue, Value, options, walk
from pyro_fix.observation import Look, SiteLook
from pyro_fix.transform import Candidate, Promise, Proposal, Transform
from pyro_fix_transforms._classes import renamed
from pyro_fix_transforms._losses import JIT, by_name, family, losses, nodes

#: Families with a closed form of the KL divergence between two of them.
CLOSED_FORM = frozenset(
    {"Normal", "LogNormal", "MultivariateNormal", "LowRankMultivariateNormal", "HalfNormal", "Laplace", "Gumbel"}
    | {"Gamma", "Beta", "Dirichlet", "Exponential", "Uniform", "Pareto", "Cauchy", "ContinuousBernoulli"}
)


class AnalyticKl(Transform):
    """Use analytic KL divergences: `Trace_ELBO` becomes `TraceMeanField_ELBO`.

    ## What it does
    Finds a `Trace_ELBO` whose latents are all reparameterised, whose model and guide satisfy the mean-field
    condition, and for at least one latent of which the KL divergence from guide to model has a closed form. It becomes
    a `TraceMeanField_ELBO` with the same arguments.

    ## Why
    A KL divergence that is computed has no sampling noise, one that is estimated from a sample has (tip 9). How much
    that matters depends on the model: on small ones nothing was measured, so the fix claims a gain only where the
    run shows one. The estimator is right only where no latent's parent in the model is its descendant in the guide.

    ## Example
    ```python
    elbo = pyro.infer.Trace_ELBO(num_particles=4)
    ```
    becomes
    ```python
    elbo = pyro.infer.TraceMeanField_ELBO(num_particles=4)
    ```

    ## Holds back when
    - the name `TraceMeanField_ELBO` is taken in the file;
    - it is a `JitTrace_ELBO`: Pyro's `JitTraceMeanField_ELBO` compiles its loss anew at every step.

    It says nothing at all where a run contradicts the conditions, or where neither run nor source can tell: with a
    discrete latent (that is SVI141's), a `Delta` in the guide (its density would be ignored: autoguides), sites in
    another order in the guide than in the model (Pyro would warn), a guide that observes something, masks, and scales
    or shapes that differ between model and guide.

    ## Promise
    Same expectation: paired gradients at fixed parameters show no shift. Less variance is claimed where it is measured.
    """

    code, name, tip = "SVI091", "analytic-kl", 9
    promise = Promise.SAME_EXPECTATION
    promises = (promise, promise | Promise.LESS_VARIANCE)
    # Those change what is sampled, or the ELBO's class; a discrete latent is SVI141's, and then this rule is silent.
    after = ("SVI04", "SVI06", "SVI13", "SVI14")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an ELBO."""
        for loss in losses(program, {"Trace_ELBO", "JitTrace_ELBO"}):
            if any(_is_masked(program, svi) for svi in loss.svis):
                continue
            looks = [seen.svi.look for svi in loss.svis for seen in program.seen.svi(svi)]
            answers = [_seen(look) for look in looks if look is not None and not look.error]
            spoken = bool(answers) and all(answer is not None for answer in answers)
            names = _common(answers) if spoken else _common([_static(program, svi) for svi in loss.svis])
            if not names or () in answers:  # a run that contradicts withdraws what the source says
                continue
            made = loss.made
            latents = ", ".join(f"'{name}'" for name in names[:3]) + (" …" if len(names) > 3 else "")
            message = f"{loss.kind} estimates from a sample the KL divergence of {latents}, which has a closed form"
            if loss.kind.startswith(JIT):
                doubt = "JitTraceMeanField_ELBO compiles its loss anew at every step"
                yield self.finding(made.module, made.node, message, held_back=doubt)
                continue
            rename = renamed(program, made, "pyro.infer.TraceMeanField_ELBO")
            if rename is None:
                doubt = "the name TraceMeanField_ELBO is taken here"
                yield self.finding(made.module, made.node, message, held_back=doubt)
                continue
            kept = Candidate(rename, self.promise, "TraceMeanField_ELBO", needs_run=True)
            gains = Candidate(
                rename, self.promise | Promise.LESS_VARIANCE, "TraceMeanField_ELBO, less variance", needs_run=True
            )
            yield self.finding(made.module, made.node, message, (gains, kept), source="seen" if spoken else "static")


def _common(answers: list[tuple[str, ...] | None]) -> tuple[str, ...]:
    """The latents with a closed form, where every answer has some."""
    return tuple(dict.fromkeys(n for a in answers if a for n in a)) if all(answers) else ()


def _seen(look: Look) -> tuple[str, ...] | None:
    """The latents with a closed form; none where a condition fails; ``None`` where the run does not tell."""
    found = look.dependencies
    model = {name: site for name, site in look.model.items() if not site.observed}
    guide = {name: site for name, site in look.guide.items() if not site.observed}
    shared = [name for name in guide if not guide[name].auxiliary]
    if not guide or set(shared) != set(model):
        return ()
    if len(guide) < len(look.guide):  # what a guide observes counts for Trace_ELBO alone
        return ()
    if any(not s.reparameterised or s.enumerated or s.distribution == "Delta" for s in guide.values()):
        return ()
    # Pyro asks for one order, and takes the guide's scale and shape for both.
    if [n for n in model if n in guide] != shared or not all(_agree(guide[n], model[n]) for n in shared):
        return ()
    if found is None or found.error or found.mean_field is None:
        return None
    return tuple(n for n in shared if n in found.registered_kl) if found.mean_field else ()


def _agree(guide: SiteLook, model: SiteLook) -> bool:
    shapes = (guide.batch_shape, guide.event_shape) == (model.batch_shape, model.event_shape)
    return shapes and guide.scale is not None and guide.scale == model.scale


def _static(program: Program, svi: Svi) -> tuple[str, ...] | None:
    """The latents with a closed form where the source alone suggests that every condition holds."""
    sides = side(program, svi.model), side(program, svi.guide)
    if sides[0] is None or sides[1] is None or any(len(one.functions) != 1 or one.enumerates for one in sides if one):
        return None
    if any(map(may_be_observed, program.sites_of(nodes(sides[1])))):
        return None  # Trace_ELBO subtracts the density of what a guide observes, TraceMeanField_ELBO does not
    model, guide = by_name(program, sides[0]), by_name(program, sides[1])
    if not model or not guide or list(model) != list(guide):
        return None
    closed = []
    for name, site in guide.items():
        mine, theirs = family(site.distribution), family(model[name].distribution)
        if mine is None or not mine.distribution.reparameterised or mine.distribution.name == "Delta":
            return None
        if len(guide) > 1 and not all(_is_independent(part) for part in walk(mine.made)):
            return None
        if any(not isinstance(c, Made) or c.name != "pyro.plate" for c in (*site.contexts, *model[name].contexts)):
            return None
        if not _is_broadcast(site, model[name]):
            return None
        prior, called = model[name].distribution, [*nodes(sides[0]), *nodes(sides[1])]
        if site.distribution is not None and prior is not None and are_alike(site.distribution, prior, called):
            continue  # the guide draws from the prior: the KL divergence is zero
        if theirs is not None and (mine.distribution, mine.events) == (theirs.distribution, theirs.events):
            closed += [name] * (mine.distribution.name in CLOSED_FORM)
    return tuple(closed)


def _is_broadcast(guide: Site, model: Site) -> bool:
    """Whether the guide's shape may be that of the KL divergence, as ``TraceMeanField_ELBO`` asserts."""
    if guide.plates or model.plates:  # which fill shapes up
        return True
    mine, theirs = of_distribution(guide.distribution), of_distribution(model.distribution)
    return mine is None or theirs is None or broadcast((mine.batch, theirs.batch)) == mine.batch


def _is_independent(part: Value) -> bool:
    """Whether a part of a distribution's arguments surely comes from no other latent."""
    return not isinstance(part, SiteValue) and (not isinstance(part, Opaque) or isinstance(part, Argument))


def _is_masked(program: Program, svi: Svi) -> bool:
    """Whether something may be masked: of two masks the analytic KL would see the guide's alone."""
    sites = [s for v in (svi.model, svi.guide) if (found := side(program, v)) for s in found.sites]
    contexts = [context for site in sites for context in site.contexts]
    wrappers = [part for value in (svi.model, svi.guide) for option in options(value) for part in walk(option)]
    masked = any(isinstance(v, Made) and v.name == "pyro.poutine.mask" for v in (*contexts, *wrappers))
    families = [family(site.distribution) for site in sites]
    return masked or any(one is not None and "mask" in one.methods for one in families)
