"""What transforms ask of an SVI object's first step: feeds, dependencies, inputs.

Like the look it runs in a copy of the program.  Each part is gathered by itself: one that fails hides no other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from . import inputs, sites, structure
from .executions import Execution, execute
from .feeds import Given, Marks, of_site
from .supports import support_name

if TYPE_CHECKING:
    from .entries import Entry
    from .record import Recorder

ROLES = ("guide", "model")


def gather(recorder: Recorder, entry: Entry, parts: tuple[Any, ...]) -> dict[str, Any]:
    """The fields of the ``facts`` event.  ``parts`` stand for the seed of the step that is looked at."""
    facts = _Facts(recorder, entry, parts)
    for part in (facts.feeds, facts.dependencies, facts.inputs):
        facts.attempt(part)
    return facts.found


class _Facts:
    def __init__(self, recorder: Recorder, entry: Entry, parts: tuple[Any, ...]) -> None:
        self._recorder = recorder
        self._entry = entry
        self._parts = parts
        self._plain: Execution | None = None
        self._traced: Execution | None = None
        """With labels on latents and parameters, and on inputs where :attr:`_inputs_labelled`."""
        self._inputs_labelled = False
        self.found: dict[str, Any] = {"sites": {role: {} for role in ROLES}}

    def attempt(self, part: Callable[[], None]) -> None:
        try:
            part()
        except Exception as error:
            words = f"{type(error).__name__}: {error}"[:500]
            self.found.setdefault("errors", {})[part.__name__] = words
            self._recorder.journal.write("note", text=f"recording failed: {part.__name__}: {words}")

    def feeds(self) -> None:
        marks, given = {role: Marks() for role in ROLES}, Given()
        with torch.enable_grad(), given.watching():
            self._plain = execute(
                self._entry, self._parts, within_guide=(marks["guide"],), within_model=(marks["model"],)
            )
        self.found["nesting"] = sites.plate_nesting([self._plain.guide, self._plain.model])
        for role in ROLES:
            for name, site in sites.samples(getattr(self._plain, role)):
                self._site(role, name)["feeds"] = of_site(site, marks[role].params, given)

    def dependencies(self) -> None:
        lost, given = structure.Losses(self._recorder.places), Given()
        with lost.watching(), given.watching():
            traced = self._traced = self._trace()
        above = {role: structure.parents(getattr(traced, role)) for role in ROLES}
        for role in ROLES:
            for name, site in sites.samples(getattr(traced, role)):
                self._site(role, name)["parents"] = above[role][name]
                self._add_hidden_feeds(role, name, site, given)
        told: dict[str, Any] = {"posterior": _latents(traced.guide, above["guide"]), "error": ""}
        prior = above["model"]
        try:
            told["prior"] = structure.prior(self._entry.model, self._entry.args, self._entry.kwargs)
            prior = {
                name: list(dict.fromkeys([*told["prior"].get(name, ()), *prior.get(name, ())]))
                for name in {**prior, **told["prior"]}
            }
        except Exception:  # what was traced will do
            told["prior"] = prior
        told["registered_kl"] = structure.registered_kl(self._plain.guide, self._plain.model) if self._plain else []
        told["mean_field"] = structure.is_mean_field(prior, above["guide"])
        if traced.errors:
            error = traced.errors[0]
            told.update(mean_field=None, error=f"{type(error).__name__}: {error}"[:500])
        elif lost.found:
            told.update(mean_field=None, error=f"a latent value leaves torch at {', '.join(lost.found[:3])}")
        self.found["dependencies"] = told

    def inputs(self) -> None:
        entry = self._entry
        where = self._recorder.places.around(sys._getframe())
        model = self._plain.model if self._plain is not None else None
        observed: set[str] = set()
        if self._traced is not None and self._inputs_labelled:
            for _, site in sites.samples(self._traced.model):
                if site["is_observed"] and not sites.is_deterministic(site):
                    observed |= structure.labels(site["value"], "input")
        given = inputs.named(entry.model, entry.guide, entry.args, entry.kwargs)
        if model is not None:
            observed |= {name for name, value in given if inputs.is_observed(value, model)}
        self.found["inputs"] = [inputs.describe(name, value, name in observed, where) for name, value in given]

    def _trace(self) -> Execution:
        """An execution with labels; where labels on the inputs break the program, without these."""
        entry = self._entry
        arguments = inputs.labelled_arguments(entry.model, entry.guide, entry.args, entry.kwargs)
        for given in (arguments, None):
            with torch.no_grad():
                traced = execute(
                    entry,
                    self._parts,
                    within_guide=(structure.Provenance(),),
                    within_model=(structure.Provenance(),),
                    arguments=given,
                )
            self._inputs_labelled = given is not None
            if not traced.errors:
                break
        return traced

    def _site(self, role: str, name: str) -> dict[str, Any]:
        site: dict[str, Any] = self.found["sites"][role].setdefault(name, {})
        return site

    def _add_hidden_feeds(self, role: str, name: str, site: Any, given: Given) -> None:
        """Parameters that autograd does not see (their value was detached): how they arrive is not known."""
        known = self._site(role, name).setdefault("feeds", [])
        seen = {feed["param"] for feed in known}
        found = {
            (argument, param): support_name(constraint)
            for argument, constraint, param in structure.params_of(site, given)
            if param not in seen
        }
        for (argument, param), required in found.items():
            known.append(
                {"argument": argument, "required": required, "param": param, "operations": [], "unchanged": False}
            )


def _latents(trace: Any, above: dict[str, list[str]]) -> dict[str, list[str]]:
    return {name: above[name] for name, site in sites.samples(trace) if not site["is_observed"]}
