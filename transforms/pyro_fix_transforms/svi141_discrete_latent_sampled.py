"""SVI141."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions
from pyro_fix.analysis.pairing import Side, side
from pyro_fix.analysis.program import Program, Site, Svi
from pyro_fix.analysis.values import Const, Function, Made, Value, options
from pyro_fix.observation import Look
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform
from pyro_fix_transforms._classes import renamed
from pyro_fix_transforms._losses import JIT, NOT_PLAIN, Loss, is_enumerable, losses, nodes
from pyro_fix_transforms._observed import forgotten

#: ELBOs that sample what could be enumerated, and what enumerates instead.
ENUMERATING = {
    "Trace_ELBO": "TraceEnum_ELBO",
    "TraceGraph_ELBO": "TraceEnum_ELBO",
    "TraceMeanField_ELBO": "TraceEnum_ELBO",
    "JitTrace_ELBO": "JitTraceEnum_ELBO",
    "JitTraceGraph_ELBO": "JitTraceEnum_ELBO",
    "JitTraceMeanField_ELBO": "JitTraceEnum_ELBO",
}


@dataclass(frozen=True)
class _Discrete:
    """The discrete latents of one SVI object that could be enumerated."""

    names: tuple[str, ...]
    in_guide: tuple[str, ...]
    """Those that the guide samples."""
    nesting: int | None
    """As many rightmost dimensions as plates use."""
    doubt: str = ""
    unnamed: str = ""
    """Source of the name of one whose name is computed."""
    asked: bool = False
    """Whether the program asks for their enumeration, and its ELBO does not do it."""


class DiscreteLatentSampled(Transform):
    """Enumerate discrete latents exactly.

    ## What it does
    Finds an `SVI` whose model has a discrete latent with finite support (`Bernoulli`, `Categorical`, ...) that is
    sampled: from the guide, or, where the guide lacks it, from the prior. The ELBO becomes a `TraceEnum_ELBO` with the
    nesting of the plates, and `config_enumerate` is put round the model, or round the guide where that samples the
    site, inside the `SVI` call: all of it together, since one is wrong without the other. An autoguide that was made
    for the whole model is told to leave the site out. Where a program asks for enumeration (`infer={"enumerate": ...}`,
    `config_enumerate`) and its ELBO does not enumerate, only the ELBO changes.

    ## Why
    No gradient flows through a discrete sample. The estimator that is left has a variance so large that training
    hardly moves, while a sum over a handful of values is exact (tip 14).

    ## Example
    ```python
    def model(data):
        z = pyro.sample("z", dist.Bernoulli(0.3))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    def guide(data):
        pyro.sample("z", dist.Bernoulli(pyro.param("q", torch.tensor(0.5), constraint=constraints.unit_interval)))

    svi = SVI(model, guide, optim, loss=pyro.infer.Trace_ELBO())
    ```
    becomes
    ```python
    def model(data):
        z = pyro.sample("z", dist.Bernoulli(0.3))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z, 1.0), obs=data)

    def guide(data):
        pyro.sample("z", dist.Bernoulli(pyro.param("q", torch.tensor(0.5), constraint=constraints.unit_interval)))

    svi = SVI(
        model, pyro.infer.config_enumerate(guide), optim, loss=pyro.infer.TraceEnum_ELBO(max_plate_nesting=1)
    )
    ```
    up to its layout.

    ## Holds back when
    - the model or the guide branches on a sampled value, turns one into a Python number, or loops over a plate: such
      code expects one value;
    - the site is annotated with `infer=`, or a loop makes one site a round: enumerating those needs `pyro.markov`;
    - how deep the plates nest is not known, or the ELBO serves several `SVI` objects;
    - a compiled ELBO's loss is called with model and guide: wrapped there, they would be compiled anew at every call;
    - no run is possible: only a run can tell that every shape survives the extra dimension.

    It says nothing of a site in the place of an argument that is handed in: those are data without `obs=` (SVI042).

    ## Promise
    Same expectation, where the guide samples the site: paired gradients at fixed parameters show no shift; less
    variance is claimed where it is measured. Where the guide lacks the site the original estimates something else:
    then the patched program runs clean.
    """

    code, name, tip = "SVI141", "discrete-latent-sampled", 14
    promise = Promise.SAME_EXPECTATION | Promise.RUNS_CLEAN
    promises = (Promise.RUNS_CLEAN, Promise.SAME_EXPECTATION, Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE)
    # Other supports, or a shape error, come first: enumeration adds a dimension to everything.
    after = ("SVI04", "SVI05", "SVI13")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an SVI object."""
        by_svi: dict[int, tuple[Svi, list[Loss]]] = {}
        for loss in losses(program, ENUMERATING):
            for svi in loss.svis:
                by_svi.setdefault(id(svi), (svi, []))[1].append(loss)
        for svi, mine in by_svi.values():
            if len({id(option.node) for option in options(svi.loss) if isinstance(option, Made)}) != len(mine):
                continue  # it may be another ELBO, which would not enumerate
            seen = [one.svi.look for one in program.seen.svi(svi)]
            looks = [look for look in seen if look is not None and look.model and _was_whole(look)]
            found = _seen(looks) if looks else _static(program, svi)
            found = _without_data(program, svi, found) if found is not None else None
            if found is not None and found.names:
                yield self._finding(program, svi, mine, found, "seen" if looks else "static")

    def _finding(
        self, program: Program, svi: Svi, mine: Sequence[Loss], found: _Discrete, source: Literal["static", "seen"]
    ) -> Proposal:
        made = mine[0].made
        names = ", ".join(f"'{name}'" if name else found.unnamed for name in found.names)
        few = f"the discrete latent{'s' * (len(found.names) > 1)} {names}"
        message = f"{few} could be summed over exactly, instead of sampled: no gradient flows through a sample"
        if found.asked:
            message = f"enumeration is asked for at {names}, which {mine[0].kind} does not do: it draws a sample"
        doubt = found.doubt or _doubt(program, svi, mine, found)
        changes: list[Edit] | str = doubt or _changes(program, svi, mine, found)
        if isinstance(changes, str):
            return self.finding(made.module, made.node, message, held_back=changes, source=source)
        exact = set(found.names) == set(found.in_guide) and not any("MeanField" in loss.kind for loss in mine)
        label = ("" if found.asked else "config_enumerate and ") + ENUMERATING[mine[0].kind]
        promises = {Promise.RUNS_CLEAN: label}
        if exact:
            gains = Promise.SAME_EXPECTATION | Promise.LESS_VARIANCE
            promises = {gains: f"{label}, less variance", Promise.SAME_EXPECTATION: label}
        candidates = tuple(
            Candidate(imports.merged(changes), promise, words, needs_run=True) for promise, words in promises.items()
        )
        return self.finding(made.module, made.node, message, candidates, source=source)


def _seen(looks: Sequence[Look]) -> _Discrete | None:
    """What runs show, where all of them show the same."""
    found = set()
    for look in looks:
        asked = {
            name: site
            for name, site in look.model.items()
            if not site.observed and site.enumerable and site.distribution not in NOT_PLAIN
            if (look.guide[name].enumerated if name in look.guide else site.enumerated == "parallel")
        }
        # a relaxed guide has a gradient
        free = {
            name: site
            for name, site in look.model.items()
            if not site.observed and site.enumerable and not site.enumerated and site.distribution not in NOT_PLAIN
            if name not in asked and (name not in look.guide or look.guide[name].enumerable)
        }
        if asked and not free:
            in_guide = tuple(name for name in asked if name in look.guide)
            found.add(_Discrete(tuple(asked), in_guide, look.max_plate_nesting, asked=True))
            continue
        doubt = ""
        places = [site.where for site in free.values() if site.where]
        if any(plate.dim is None for site in free.values() for plate in site.plates):
            doubt = "it stands in a sequential plate, which samples one value after the other"
        elif len(set(places)) < len(places):
            doubt = "a loop makes one site a round: enumerating those needs pyro.markov"
        in_guide = tuple(name for name in free if name in look.guide and not look.guide[name].enumerated)
        found.add(_Discrete(tuple(free), in_guide, look.max_plate_nesting, doubt))
    return found.pop() if len(found) == 1 else None


def _was_whole(look: Look) -> bool:
    """Whether both ran to their ends: some ELBOs then trip over what the guide lacks."""
    return not look.error or look.error in [f"KeyError: {name!r}" for name in look.model if name not in look.guide]


def _static(program: Program, svi: Svi) -> _Discrete | None:
    """What the source shows."""
    model = side(program, svi.model)
    if model is None or model.enumerates:
        return None
    free = {site.name or "": site for site in model.sites if is_enumerable(site)}
    auto = _autoguide(svi)
    guide = side(program, svi.guide) if auto is None else None
    if not free or (auto is None and (guide is None or guide.enumerates)):
        return None
    sites = guide.sites if guide is not None else ()
    if any(site.name in free and not is_enumerable(site) for site in sites):
        return None  # a relaxed guide has a gradient
    in_guide = [name for name in free if any(site.name == name for site in sites)]
    if any(_is_annotated(site) for site in (*free.values(), *(s for s in sites if s.name in free))):
        return None
    everything = [*_all(program, model), *_all(program, guide)]
    if not all(_is_understood(context) for site in everything for context in site.contexts):
        return None  # it may observe what it is put round
    doubt = ""
    if any(not name or "{}" in name for name in free) or any(site.name is None or "{}" in site.name for site in sites):
        doubt = "a loop makes one site a round: enumerating those needs pyro.markov"
    unnamed = edits.text_of(free[""].module, free[""].call.args[0]) if "" in free and free[""].call.args else "here"
    return _Discrete(tuple(free), tuple(in_guide), _nesting(everything), doubt, unnamed)


def _is_annotated(site: Site) -> bool:
    return any(keyword.arg in ("infer", None) for keyword in site.call.keywords)


def _all(program: Program, one: Side | None) -> list[Site]:
    """Every site of a model or guide, those that are observed included."""
    return program.sites_of(nodes(one)) if one is not None else []


def _is_understood(context: Value) -> bool:
    return isinstance(context, Made) and context.name in ("pyro.plate", "pyro.poutine.scale", "pyro.poutine.mask")


def _nesting(sites: Sequence[Site]) -> int | None:
    """As many rightmost dimensions as plates use; ``None`` where a plate does not say."""
    deepest = 0
    for site in sites:
        taken: set[int] = set()
        for context in site.contexts:
            if isinstance(context, Made) and context.name == "pyro.plate":
                dim = context.argument(4, "dim")
                if dim is None and not context.spread:
                    taken.add(next(free for free in range(1, len(taken) + 2) if free not in taken))
                elif isinstance(dim, Const) and isinstance(dim.value, int) and dim.value < 0:
                    taken.add(-dim.value)
                else:
                    return None
        deepest = max([deepest, *taken])
    return deepest


def _autoguide(svi: Svi) -> Made | None:
    """The autoguide that is the guide, whatever scales it."""
    found = options(svi.guide)
    while (
        len(found) == 1 and isinstance(found[0], Made) and found[0].name == "pyro.poutine.scale" and found[0].arguments
    ):
        found = options(found[0].arguments[0])
    (only,) = found if len(found) == 1 else (None,)
    return only if isinstance(only, Made) and only.name.startswith("pyro.infer.autoguide.Auto") else None


def _without_data(program: Program, svi: Svi, found: _Discrete) -> _Discrete:
    """Those that are latents, and no data that the model is handed and does not observe."""
    forgot = {slip.site.name for slip in forgotten(program, svi)}
    data = [name for name in found.names if name in forgot]
    if not data:
        return found
    doubt = f"'{data[0]}' is data whose obs= is missing, and would be enumerated as well"
    names, in_guide = (tuple(name for name in some if name not in data) for some in (found.names, found.in_guide))
    return replace(found, names=names, in_guide=in_guide, doubt=doubt)


def _data_missing(program: Program, svi: Svi, found: _Discrete) -> str:
    """A latent that nobody guides and that would be observed, if its data were given: labels that were forgotten."""
    for site in _all(program, side(program, svi.model)):
        given = [keyword.value for keyword in site.call.keywords if keyword.arg == "obs"]
        is_none = bool(given) and isinstance(given[0], ast.Constant) and given[0].value is None
        if given and not is_none and site.name in found.names and site.name not in found.in_guide:
            return site.name or ""
    return ""


def _doubt(program: Program, svi: Svi, mine: Sequence[Loss], found: _Discrete) -> str:
    if any(len({id(other.call) for other in loss.svis}) > 1 for loss in mine):
        return "one ELBO serves several SVI objects"
    if svi.node(0, "model") is None or svi.node(1, "guide") is None:
        return "model and guide are not spelled at one call"
    missing = _data_missing(program, svi, found)
    if missing:
        return f"obs= would observe '{missing}', and no step hands its data in: svi.step may lack an argument"
    if svi.kind == "loss" and any(loss.kind.startswith(JIT) for loss in mine):
        return "wrapped where the loss is called, model and guide would be compiled anew at every call"
    for value in (svi.model, svi.guide):
        one = side(program, value)
        for hazard in program.hazards:
            if one is not None and hazard.function in nodes(one) and not hazard.of_shape:
                return f"line {hazard.line} has {hazard.what}, which expects one value"
    if found.nesting is None and not all(_has_nesting(loss.made) for loss in mine):
        return "how deep the plates nest is not known"
    return ""


def _has_nesting(made: Made) -> bool:
    arguments = distributions.ELBOS[made.name.rpartition(".")[2]]
    names = ("max_plate_nesting", "max_iarange_nesting")
    return made.spread or any(made.argument(arguments.index(name), name) is not None for name in names)


def _changes(program: Program, svi: Svi, mine: Sequence[Loss], found: _Discrete) -> list[Edit] | str:
    """The edits, or why there are none."""
    there = imports.reference(svi.module, svi.scope, "pyro.infer.config_enumerate", svi.call)
    if there is None:
        return "the name config_enumerate is taken here"
    changes = list(there.edits)
    for loss in mine:
        made, kind = loss.made, ENUMERATING[loss.kind]
        rename = renamed(program, made, f"pyro.infer.{kind}", tidy=len(mine) == 1)
        if rename is None:
            return f"the name {kind} is taken here"
        changes += rename
        if not _has_nesting(made):
            changes.append(edits.add_keyword(made.module, made.node, "max_plate_nesting", str(found.nesting)))
    if found.asked:
        return changes
    sampled = set(found.in_guide)
    for node, wanted in ((svi.node(0, "model"), set(found.names) - sampled), (svi.node(1, "guide"), sampled)):
        if node is not None and wanted:
            changes += edits.wrap(svi.module, node, f"{there.text}(", ")")
    auto = _autoguide(svi)
    if auto is not None and not sampled:
        return _hidden(auto, found.names, changes)
    return changes


def _hidden(auto: Made, names: Sequence[str], changes: list[Edit]) -> list[Edit] | str:
    """``changes``, and an autoguide that leaves ``names`` out, where it does not do so already."""
    inner = options(auto.arguments[0]) if auto.arguments else ()
    if inner and all(isinstance(option, Made) and option.name == "pyro.poutine.block" for option in inner):
        return changes
    if auto.spread or not auto.node.args or not all(isinstance(option, Function) for option in inner):
        return "what the autoguide is made for is not known"
    there = imports.reference(auto.module, auto.scope, "pyro.poutine.block", auto.node)
    if there is None:
        return "the name poutine is taken here"
    hidden = ", ".join(f'"{name}"' for name in names)
    wrapped = edits.wrap(auto.module, auto.node.args[0], f"{there.text}(", f", hide=[{hidden}])")
    return [*changes, *there.edits, *wrapped]
