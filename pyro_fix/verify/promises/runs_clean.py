"""Runs clean: valid supports and arguments at every site, no exception, NaN or infinity (tips 4, 5, 12, 13, 16).

A short run that passes proves nothing about supports (a mismatch was seen to die at steps 8 to 153, or never), so they
are judged on the distributions themselves.

What is clean may be so because less is asked of it.  So a fix that promises this leaves alone what it does not mend:
the data, the priors, the guide's latents, what is trained, and how fast (``_alike.py``).  Where a fix promises no more
than this, and the original was sound, there is nothing that it could mend: it has to be the same program.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.transform import Candidate, Promise
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.numeric import GRADIENT_TOLERANCE, common, finite, flat, loss_error, terms
from pyro_fix.verify.promises import _alike
from pyro_fix.verify.stats import norm
from pyro_fix.verify.trouble import UNTRAINED, Key, comes_sooner, crashes, invalid

#: What the evidence has where the original was sound, and so has to stay what it is.
NOTHING = "nothing to mend"


def judge(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: nothing is wrong in the run of the fix alone, and it leaves alone what it does not mend."""
    judgement = clean(original, patched, ordinals, candidate)
    if judgement.kept is False:
        return judgement
    before, after = _troubles(original, ordinals), _troubles(patched, ordinals)
    # What nobody trains with the fix either is nothing that it mends.
    before = {key: words for key, words in before.items() if key[0] != UNTRAINED or key not in after}
    alone = candidate.promise is Promise.RUNS_CLEAN
    for one, other in _side_by_side(original, patched, ordinals):
        words = _harm(one, other) or (_missing(one, other) if alone else "")
        if (
            not words and not candidate.promise & Promise.NO_WORSE
        ):  # another guide's parameters may have rates of theirs
            words = _alike.steps(one, other)
        if not words and alone and _is_sound(original, one, before):
            words = _changed(one, other)
        if words:
            return Judgement(False, f"it runs clean, but {words}", judgement.evidence)
        if alone and _is_sound(original, one, before):
            judgement.evidence[NOTHING] = True
    return judgement


def clean(original: Observation, patched: Observation, ordinals: Sequence[int], candidate: Candidate) -> Judgement:
    """Kept: nothing is wrong in the patched run, whatever else is in it; what was wrong before makes it wait."""
    before, after = _troubles(original, ordinals), _troubles(patched, ordinals)
    evidence: dict[str, object] = {"original": sorted(before.values()), "patched": sorted(after.values())}
    # Values that the data hold are no doing of a fix, nor is what nobody trains: they count only when they are new.
    after = {key: words for key, words in after.items() if key[0] not in ("data", UNTRAINED) or key not in before}
    new = {key: words for key, words in after.items() if not _known(key, before)}
    if new:
        return Judgement(False, f"the patched run is not clean: {next(iter(new.values()))}", evidence)
    if after:
        key, words = next(iter(after.items()))
        when = "sooner than" if comes_sooner(original, patched, key) else "as"
        return Judgement(None, f"still there, {when} without the fix: {words}", evidence, waits=True)
    # What ended the original's trajectories is told with the number of steps.
    cured = [words for key, words in before.items() if key[0] in ("support", "violation", "density", UNTRAINED)]
    return Judgement(True, "runs clean" + (f" (original: {cured[0]})" if cured else ""), evidence)


def _troubles(observation: Observation, ordinals: Sequence[int]) -> dict[Key, str]:
    wanted = {str(ordinal) for ordinal in ordinals}
    ends = {key: words for key, words in crashes(observation).items() if key[0] != "trajectory" or key[1] in wanted}
    return ends | invalid(observation, ordinals)


def _known(key: Key, before: dict[Key, str]) -> bool:
    if key[0] == "trajectory":  # a defect that is left may show itself another way
        return any(other[:2] == key[:2] for other in before)
    return key in before


def _side_by_side(
    original: Observation, patched: Observation, ordinals: Sequence[int]
) -> list[tuple[SviObservation, SviObservation]]:
    before = {svi.ordinal: svi for svi in original.svis}
    return [(before[svi.ordinal], svi) for svi in patched.svis if svi.ordinal in ordinals and svi.ordinal in before]


def _harm(before: SviObservation, after: SviObservation) -> str:
    """What the patched program does worse, whatever was mended."""
    old, new = before.look, after.look
    if old is None or new is None:
        return ""
    return _alike.said(old, new) or _alike.latents(before, after) or _alike.drawn(before, after)


def _missing(before: SviObservation, after: SviObservation) -> str:
    """A parameter, or a latent's distribution, that is there no longer, of a fix that says nothing else."""
    old, new = before.look, after.look
    if old is None or new is None or new.error:
        return ""
    gone = sorted(old.gradients.keys() - _alike.counterparts(old.gradients, new.params).keys())
    return f"there is no parameter '{gone[0]}' any more" if gone else _alike.points(old, new)


def _is_sound(original: Observation, svi: SviObservation, troubles: dict[Key, str]) -> bool:
    """Whether runs show nothing of an SVI object that there were to mend."""
    look = svi.look
    if troubles or original.failure is not None or look is None or look.error:
        return False
    if any(remark.svi in (None, svi.ordinal) for remark in original.remarks) or _alike.uncovered(svi):
        return False
    asked = any(site.enumerated for sites in (look.guide, look.model) for site in sites.values())
    return finite(look.losses) and (not asked or _alike.SUMMING in svi.elbo)


def _changed(before: SviObservation, after: SviObservation) -> str:
    """What is another program, where there was nothing to mend."""
    old, new = before.look, after.look
    assert old is not None
    if new is None or new.error:
        return ""
    if others := _alike.parameters(old, new):
        return others
    if before.elbo != after.elbo:  # a bias of a nat or two is no few losses' to show
        return f"the ELBO is {after.elbo} instead of {before.elbo}"
    size = max(terms(old), terms(new))
    for a, b in zip(old.losses, new.losses, strict=False):
        if loss_error(a, b, size) > 1:
            return f"the loss of step 0 changed under equal seeds: {a:.6g} became {b:.6g}"
    return _gradient(old, new)


def _gradient(old: Look, new: Look) -> str:
    """Another gradient; where one is estimated by the score of a sample, plates may change it and not its mean."""
    drawn = [site for site in old.guide.values() if not site.observed and site.distribution != "Delta"]
    names = sorted(old.gradients.keys() & new.gradients.keys())
    if not all(site.reparameterised for site in drawn):
        return ""
    for seed in range(common(old, new) if names else 0):
        a, b = list(flat(old, names, seed)), list(flat(new, names, seed))
        off = norm([y - x for x, y in zip(a, b, strict=True)]) if len(a) == len(b) else float("inf")
        if off > GRADIENT_TOLERANCE * max(norm(a), 1e-30):
            return "the gradient of step 0 changed under equal seeds"
    return ""
