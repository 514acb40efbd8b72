"""SVI042."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Literal

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions
from pyro_fix.analysis.health import unpaired
from pyro_fix.analysis.pairing import Side, is_plain, side
from pyro_fix.analysis.program import Couple, Program, Site, Svi
from pyro_fix.analysis.reach import is_whole, surely_runs
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.supports import family
from pyro_fix.analysis.values import Function, Instance, Made, Value, options
from pyro_fix.observation import Look
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform
from pyro_fix_transforms._guides import is_pyro_module, read_by_name
from pyro_fix_transforms._observed import forgotten, sampled_in_guide


class LatentWithoutGuide(Transform):
    """Give every latent of the model a site in the guide.

    ## What it does
    Finds latents that the model samples and the guide does not, and the other way round. Where the guide is a plain
    function or a `PyroModule`, an `AutoNormal` for the latents that it lacks is put beside it, in an `AutoGuideList`.
    A statement of the guide that samples what the model observes is removed. Labels that are handed to the model and
    overwritten by the sample of their name are observed: `obs=y`. A model and a guide of one name (`model_a`,
    `guide_a`) that nothing in the project trains are compared as well, and what one of them lacks is only told.

    ## Why
    A latent that the guide lacks is drawn from its prior at every step: nothing is learned about it, and the loss is
    no bound. A site that the model lacks has nothing to learn from, and its density still counts (tip 4).

    ## Example
    ```python
    def model(data):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z + w, 1.0), obs=data)

    def guide(data):
        pyro.sample("z", dist.Normal(pyro.param("z_loc", torch.tensor(0.0)), 0.1))

    optim = Adam({"lr": 0.01})
    svi = SVI(model, guide, optim, loss=Trace_ELBO())
    ```
    becomes
    ```python
    def model(data):
        z = pyro.sample("z", dist.Normal(0.0, 1.0))
        w = pyro.sample("w", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(data)):
            pyro.sample("x", dist.Normal(z + w, 1.0), obs=data)

    def guide(data):
        pyro.sample("z", dist.Normal(pyro.param("z_loc", torch.tensor(0.0)), 0.1))

    optim = Adam({"lr": 0.01})
    guides = pyro.infer.autoguide.AutoGuideList(model)
    guides.append(guide)
    guides.append(pyro.infer.autoguide.AutoNormal(poutine.block(model, expose=["w"])))
    svi = SVI(model, guides, optim, loss=Trace_ELBO())
    ```

    ## Holds back when
    - the guide has a site that the model lacks: which of the two is wrong is not for a tool to say;
    - what the guide samples of observed data is used in it, or the data may be `None`, or nothing else is trained;
    - the latent is discrete, so that no normal distribution fits;
    - a plain torch optimiser is in charge, which would not know the new parameters;
    - model or guide serve several SVI objects, are wrapped in more than a scale, or are used
      elsewhere;
    - the guide is a `PyroModule` and parameters are read by their names, which change within an `AutoGuideList`;
    - the guide returns something, which an `AutoGuideList` would take for its samples, or makes plates, which it would
      make once more.

    From the source alone it speaks only where every call in model and guide is understood. Auxiliary sites, sites that
    can be enumerated, observed ones and a `Delta` are none of its business.

    ## Promise
    The patched program runs clean.
    """

    code, name, tip = "SVI042", "latent-without-guide", 4
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding an SVI object."""
        for svi in {id(svi.call): svi for svi in program.svis}.values():
            slips = [*sampled_in_guide(program, svi), *forgotten(program, svi)]
            for slip in slips:
                words = slip.doubt or Candidate(slip.edits, self.promise, slip.label, needs_run=True)
                fixes = () if isinstance(words, str) else (words,)
                site = slip.site
                yield self.finding(site.module, site.call, slip.message, fixes, slip.doubt, slip.source)
            missing, extra = (_names(sites) for sites in _static(program, svi)) if _is_elbo(svi) else ([], [])
            source: Literal["static", "seen"] = "static"
            if seen := _seen(program, svi):
                if not missing and not extra:
                    source = "seen"
                    missing, extra = seen
                else:  # what a run shows on both sides is not missing
                    missing = [name for name in missing if name in seen[0]]
                    extra = [name for name in extra if name in seen[1]]
            told = {slip.site.name for slip in slips}
            missing, extra = ([name for name in names if name not in told] for names in (missing, extra))
            if missing or extra:
                doubt = _EXTRA if extra else ""
                fix = doubt or self._fix(program, svi, missing)
                held_back = fix if isinstance(fix, str) else ""
                candidates = (fix,) if isinstance(fix, Candidate) else ()
                yield self.finding(svi.module, svi.call, _message(missing, extra), candidates, held_back, source)
        for couple in program.untrained:
            yield from self._untrained(program, couple)

    def _untrained(self, program: Program, couple: Couple) -> Iterator[Proposal]:
        """The same where nothing in the project trains the two: there is no call to put an autoguide in."""
        for slip in sampled_in_guide(program, couple):
            fixes = () if slip.doubt else (Candidate(slip.edits, self.promise, slip.label, needs_run=True),)
            yield self.finding(slip.site.module, slip.site.call, slip.message, fixes, slip.doubt)
        missing, extra = _static(program, couple)
        if not any(site.observed for site in program.sites_of([couple.model.node])):
            missing = []  # somebody else says what is observed
        names = (_names(missing), _names(extra))
        for site in (extra or missing)[:1]:
            doubt = _EXTRA if extra else "sample it in the guide as well, or have an autoguide for it beside the guide"
            yield self.finding(site.module, site.call, _message(*names), held_back=doubt)

    def _fix(self, program: Program, svi: Svi, missing: list[str]) -> Candidate | str:
        _, model = _unscaled(svi.model, svi.node(0, "model"))
        _, guide = _unscaled(svi.guide, svi.node(1, "guide"))
        doubt = _doubt(program, svi, missing)
        alike = (model is svi.node(0, "model")) == (guide is svi.node(1, "guide"))  # both scaled, or none
        if doubt or not alike or not isinstance(model, ast.Name) or not isinstance(guide, ast.Name):
            return doubt or "model or guide are no plain names: add an autoguide for these latents by hand"
        line = _line_before(svi.module, svi.call)
        autoguide, block = (
            imports.reference(svi.module, svi.scope, name, svi.call)
            for name in ("pyro.infer.autoguide", "pyro.poutine.block")
        )
        if line is None or autoguide is None or block is None:
            return "there is no plain place to put an AutoGuideList here"
        start, margin = line
        names = ", ".join(f'"{name}"' for name in missing)
        exposed = f"{block.text}({model.id}, expose=[{names}])"
        added = (
            f"{NAME} = {autoguide.text}.AutoGuideList({model.id})",
            f"{NAME}.append({guide.id})",
            f"{NAME}.append({autoguide.text}.AutoNormal({exposed}))",
        )
        text = "".join(f"{margin}{statement}{svi.module.source.newline}" for statement in added)
        changes = (
            *autoguide.edits,
            *block.edits,
            Edit(svi.module.path, start, start, text),
            edits.replace(svi.module, guide, NAME),
        )
        return Candidate(imports.merged(changes), self.promise, f"AutoNormal for {names}", needs_run=True)


#: What the list of guides is called.
NAME = "guides"
_EXTRA = "one of the two is wrong: sample it in the model as well, or remove it"


def _message(missing: Iterable[str], extra: Iterable[str]) -> str:
    lacks = ", ".join(map(repr, missing))
    has = ", ".join(map(repr, extra))
    told = [f"the guide lacks {lacks}, which the model samples"] if lacks else []
    told += [f"the guide samples {has}, which the model lacks"] if has else []
    return "; ".join(told)


def _static(program: Program, one: Svi | Couple) -> tuple[list[Site], list[Site]]:
    """The latents that only the model, and only the guide, surely samples."""
    model, guide = side(program, one.model), side(program, one.guide)
    if model is None or guide is None:
        return [], []
    if not all(is_whole(function) for function in (*model.functions, *guide.functions)):
        return [], []
    missing = [site for site in _alone(program, model, guide) if _needs_guide(site)]
    extra = [site for site in _alone(program, guide, model) if family(site.distribution) not in (None, ("Delta",))]
    return missing, extra


def _names(sites: Iterable[Site]) -> list[str]:
    return [site.name for site in sites if site.name is not None]


def _seen(program: Program, svi: Svi) -> tuple[list[str], list[str]] | None:
    """The same by the runs of the SVI object, where all of them agree; ``None`` where none was looked at."""
    looks = [seen.svi.look for seen in program.seen.svi(svi) if "ELBO" in seen.svi.elbo]
    shown = [unpaired(look) for look in looks if look is not None and look.model and _was_whole(look)]
    if not shown:
        return None
    first = shown[0]
    missing = [name for name in first[0] if all(name in other[0] for other in shown)]
    return missing, [name for name in first[1] if all(name in other[1] for other in shown)]


def _was_whole(look: Look) -> bool:
    """Whether both ran to their ends: ``TraceMeanField_ELBO`` then trips over what one of them lacks."""
    return not look.error or look.error in [f"KeyError: {name!r}" for name in look.model if name not in look.guide]


def _is_elbo(svi: Svi) -> bool:
    losses = options(svi.loss)
    return bool(losses) and all(
        isinstance(loss, Made) and loss.name.startswith("pyro.infer.") and "ELBO" in loss.name for loss in losses
    )


def _alone(program: Program, one: Side, other: Side) -> Iterator[Site]:
    """The sites that the one surely samples, under a name that the other has nowhere."""
    others = program.sites_of(function.node for function in other.functions)
    if not others or any(site.name is None or "{}" in site.name for site in others) or len(one.functions) != 1:
        return
    known = {site.name for site in others}
    (function,) = one.functions
    for site in one.sites:
        plain = site.name is not None and "{}" not in site.name and is_plain(site)
        if (
            plain
            and site.name not in known
            and "infer" not in _keywords(site)
            and surely_runs(function.node, site.call)
        ):
            known.add(site.name)
            yield site


def _keywords(site: Site) -> set[str]:
    given = {keyword.arg for keyword in site.call.keywords}
    return {name for name in given if name is not None} | (
        {"infer"} if None in given or len(site.call.args) > 2 else set()
    )


def _needs_guide(site: Site) -> bool:
    names = family(site.distribution)
    known = [distributions.lookup(name) for name in names or ()]
    return bool(known) and all(d is not None and d.enumerable is False and d.name != "Delta" for d in known)


def _doubt(program: Program, svi: Svi, missing: list[str]) -> str:
    model, guide = side(program, svi.model), side(program, svi.guide)
    if model is None or guide is None or len(model.functions) != 1 or len(guide.functions) != 1:
        return "model or guide are not understood: add an autoguide for these latents by hand"
    if svi.is_lowlevel:
        return "a plain torch optimiser is in charge, which would not know the autoguide's parameters"
    others = {id(other.call) for other in program.svis if _shares(other, model, guide, program)}
    if len(others) > 1:
        return "model or guide serve several SVI objects"
    value, node = _unscaled(svi.guide, svi.node(1, "guide"))
    if is_pyro_module(value):
        if reader := read_by_name(program, svi, guide.functions[0]):
            return f"{reader}, and within an AutoGuideList a PyroModule's have other names"
    elif not isinstance(value, Function) or value.bound is not None:
        return "the guide is no plain function and no PyroModule: add an autoguide for these latents by hand"
    if any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(guide.functions[0].node)):
        return "the guide returns something, which an AutoGuideList would take for its samples"
    if _makes_plates(program, guide):
        return "the guide makes plates, which an AutoGuideList would make once more"
    if any(_is_discrete(site) for site in model.sites if site.name in missing):
        return "a latent is discrete: enumerate it, or write its guide by hand"
    # a function's own name does not count, the variable that holds a module does
    if isinstance(node, ast.Name) and svi.module.mentions[node.id] > (2 if isinstance(value, Instance) else 1):
        return "the guide is used elsewhere by its name, and would lack these latents there"
    if svi.module.mentions[NAME] or svi.scope.lookup(NAME) is not None:
        return f"the name {NAME} is taken here"
    return ""


def _unscaled(value: Value | None, node: ast.expr | None) -> tuple[Value | None, ast.expr | None]:
    """A model or guide, and its expression, within the scales that are put on it in the SVI call itself."""
    while isinstance(value, Made) and value.name == "pyro.poutine.scale" and value.node is node:
        if value.spread or not value.arguments:
            break
        node, value = value.node.args[0], value.arguments[0]
    return value, node


def _shares(svi: Svi, model: Side, guide: Side, program: Program) -> bool:
    mine = {function.node for function in (*model.functions, *guide.functions)}
    sides = (side(program, svi.model), side(program, svi.guide))
    return any(function.node in mine for one in sides if one is not None for function in one.functions)


def _makes_plates(program: Program, guide: Side) -> bool:
    (function,) = guide.functions
    calls = [node.func for node in ast.walk(function.node) if isinstance(node, ast.Call)]
    names = {func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "") for func in calls}
    return bool(names & {"plate", "plate_stack"}) or any(
        isinstance(context, Made) and context.name.startswith("pyro.plate")
        for site in program.sites_of([function.node])
        for context in site.contexts
    )


def _is_discrete(site: Site) -> bool:
    known = [distributions.lookup(name) for name in family(site.distribution) or ()]
    return not known or any(d is None or d.discrete is not False for d in known)


def _line_before(module: Module, call: ast.Call) -> tuple[int, str] | None:
    """Where the line of a call's statement starts, and its margin; ``None`` where something else stands on it."""
    simple = (ast.Assign, ast.AnnAssign, ast.Expr, ast.Return)
    around = [
        node
        for node in ast.walk(module.tree)
        if isinstance(node, simple) and node.lineno <= call.lineno and any(inner is call for inner in ast.walk(node))
    ]
    if len(around) != 1:
        return None
    start = module.source.offset(around[0].lineno, 0)
    margin = module.source.text[start : module.source.offset(around[0].lineno, around[0].col_offset)]
    return None if margin.strip() else (start, margin)
