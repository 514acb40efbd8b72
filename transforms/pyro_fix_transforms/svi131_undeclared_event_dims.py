"""SVI131."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from pyro_fix import edits
from pyro_fix.analysis.program import Program, Site, Svi, functions_of
from pyro_fix.analysis.seen import SeenSite, SeenSvi
from pyro_fix.analysis.values import Made, options
from pyro_fix.observation import Failure, Look, SiteLook
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform

#: How many dimensions ``.to_event`` is tried with where the run does not tell.
LADDER = (1, 2, 3)
#: What Pyro says when the plates do not cover a log-probability, and when a distribution does not fit its plate.
_UNCOVERED = re.compile(r'at site "(?P<site>[^"]+)", invalid log_prob shape')
_MISFIT = re.compile(r"Shape mismatch inside plate\('(?P<plate>.+?)'\) at site (?P<site>\S+) dim (?P<dim>-\d+)")
_OVERFLOW = re.compile(r"plate stack overflow\s+Try increasing max_plate_nesting to at least (?P<depth>\d+)")
#: Where the value that a model's site was seen with has the shape of a guide that does not fit it.
_DISAGREE = re.compile(r"Model and guide (?:event_dims|shapes) disagree at site '([^']+)'")
_COMPOUND = (ast.Call, ast.Name, ast.Attribute, ast.Subscript)


class UndeclaredEventDims(Transform):
    """Declare which dimensions of a distribution belong together.

    ## What it does
    Finds a sample site whose log-probability has a dimension that no plate covers, by the shapes of a run or by the
    exception with which Pyro ends it, and declares the dimension as part of the event: `.to_event(1)`, 2 or 3, or so
    many more than are declared, at the site, in model and guide together where both lack it. For data of one dimension
    a plate is tried as well. Where Pyro asks for a higher `max_plate_nesting`, the ELBO gets it.

    ## Why
    Pyro has to know of every dimension whether its elements are independent data (a plate) or one event (tip 13: read
    what the validation says about shapes). One that is neither is an error under validation, and without it particles
    and analytic KL terms are silently wrong.

    ## Example
    ```python
    def model(data):
        weights = pyro.sample("weights", dist.Normal(torch.zeros(5), 1.0))
    ```
    becomes
    ```python
    def model(data):
        weights = pyro.sample("weights", dist.Normal(torch.zeros(5), 1.0).to_event(1))
    ```

    ## Holds back when
    - the observed value has another shape than its distribution, so that each element meets every other one: no
      `.to_event` makes up for that;
    - the dimension lies to the left of a plate's: then the data or the parameters have to be permuted;
    - a plate subsamples, or one `pyro.sample` call makes sites that need it and sites that do not.

    It says nothing of a site that fits at the first step and does not at a later one: the last batch may be smaller.

    ## Promise
    The patched program runs clean, and no observed value is repeated to fill a shape.
    """

    code, name, tip = "SVI131", "undeclared-event-dims", 13
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a latent, or an observed site."""
        calls = _calls(program)
        found: set[ast.AST] = set()
        for svi in program.svis:
            for seen in program.seen.svi(svi):
                messages = list(_messages(seen))
                uncovered = [
                    call
                    for call in calls
                    if call.of(seen)
                    if any(_uncovered(one.look) for one in call.seen)
                    if not any(_is_of_the_other(call, message) for message in messages)
                ]
                failed = any(_UNCOVERED.search(message) for message in messages)
                for group in _groups(uncovered):
                    if group[0].site.call not in found:
                        found |= {call.site.call for call in group}
                        yield self._undeclared(group, failed)
                for message in messages:
                    yield from self._by_message(program, svi, seen, message, found)

    # -- by the shapes that the run showed

    def _undeclared(self, group: Sequence[_Call], failed: bool) -> Proposal:
        first = group[0]
        look = next(one.look for one in first.seen if _uncovered(one.look))
        covering = _plates(look) or "no plate covers"
        message = f"{first.role} site '{first.seen[0].name}': {covering} its batch of shape {_shown(_log_prob(look))}"
        plated = any(plate.dim is not None for call in group for one in call.seen for plate in one.look.plates)
        doubt = next((reason for call in group if (reason := call.doubt(plated))), "")
        if not doubt and plated and not failed:
            doubt = "the dimension lies beside a plate's: data or parameters have to be permuted, or get a plate"
        if doubt:
            return self.finding(first.site.module, first.site.call, message, held_back=doubt, source="seen")
        # A plate fills what is 1 up to its size, so what was there before it cannot be told from the shapes.
        tried = [dims for dims in LADDER if dims <= len(_log_prob(look))]
        ladder = [[dims] * len(group) for dims in tried] if plated else [[call.dims() for call in group]]
        candidates = []
        if look.batch_shape:  # otherwise there is one distribution for all data, and nothing to declare
            for dims in ladder:
                changes = [e for call, k in zip(group, dims, strict=True) for e in _to_event(call.site, k)]
                label = " and ".join(f".to_event({k})" for k in sorted(set(dims)))
                candidates.append(Candidate(tuple(changes), self.promise, label, needs_run=True))
        plate = _plate(first.site, look) if len(group) == 1 else None
        if plate:
            candidates.append(Candidate(plate, self.promise, "a plate", needs_run=True))
        doubt = "" if candidates else "the data need a plate, which cannot be written plainly here"
        return self.finding(first.site.module, first.site.call, message, tuple(candidates), doubt, "seen")

    # -- by what Pyro said

    def _by_message(
        self, program: Program, svi: Svi, seen: SeenSvi, message: str, found: set[ast.AST]
    ) -> Iterator[Proposal]:
        overflow = _OVERFLOW.search(message)
        told = _MISFIT.search(message) or _UNCOVERED.search(message)
        deep = int(overflow["depth"]) if overflow else _depth(seen) if told else 0
        short = list(_short(svi, deep, said=overflow is not None))
        for elbo, node in short:
            if elbo.node not in found:
                found.add(elbo.node)
                yield self._nesting(elbo, node, deep)
        if short:  # dimensions that are enumerated come to lie where plates are: of the sites nothing is known yet
            return
        if told is None:
            return
        functions = [*functions_of(svi.model), *functions_of(svi.guide)]
        every = {id(site.call): site for site in program.sites_of(functions)}
        sites = [site for site in every.values() if site.name == told["site"]]
        lacking = [site for site in sites if _declares(site) == 0]
        if not lacking:  # all declare some, which is too few; one that declares none may be the only one that is wrong
            lacking = [site for site in sites if _declares(site) is not None]
        if not lacking or any(site.call in found for site in sites):
            return
        found |= {site.call for site in sites}
        what = "does not fit its plate" if "plate" in told.groupdict() else "is not covered by plates"
        text = f"the batch of site '{told['site']}' {what}: its last dimensions may belong to the event"
        first = lacking[0]
        if any(_subsamples(site) for site in sites):
            yield self.finding(first.module, first.call, text, held_back=_SUBSAMPLES, source="seen")
            return
        ladder = [(lacking, dims, _label(lacking, dims)) for dims in LADDER]
        # Pyro stops at the first one, and the others may lack it as well.
        within = [
            s for s in every.values() if s.plates and _declares(s) == 0 and not _subsamples(s) and s not in lacking
        ]
        if within and "plate" in told.groupdict():
            ladder.append(([*lacking, *within], 1, ".to_event(1) at all sites in plates"))
        candidates = tuple(
            Candidate(tuple(e for site in chosen for e in _to_event(site, dims)), self.promise, label, needs_run=True)
            for chosen, dims, label in ladder
        )
        yield self.finding(first.module, first.call, text, candidates, source="seen")

    def _nesting(self, elbo: Made, node: ast.expr, depth: int) -> Proposal:
        message = f"the plates nest {depth} deep, deeper than the ELBO's max_plate_nesting"
        if edits.literal_number(node) is None:
            doubt = "max_plate_nesting is not a literal at the call"
            return self.finding(elbo.module, elbo.node, message, held_back=doubt, source="seen")
        change = edits.replace(elbo.module, node, str(depth))
        candidate = Candidate((change,), self.promise, f"max_plate_nesting={depth}", needs_run=True)
        return self.finding(elbo.module, elbo.node, message, (candidate,), source="seen")


_SUBSAMPLES = "a plate subsamples here"


@dataclass(eq=False)
class _Call:
    """One ``pyro.sample`` call, and the sites that it made in the runs."""

    site: Site
    seen: list[SeenSite] = field(default_factory=list)

    @property
    def role(self) -> str:
        return self.seen[0].role

    def of(self, seen: SeenSvi) -> bool:
        return any(one.run is seen.run and one.svi.ordinal == seen.svi.ordinal for one in self.seen)

    def dims(self) -> int:
        """How many rightmost dimensions no plate covers."""
        return max(_uncovered(one.look) for one in self.seen)

    def doubt(self, plated: bool) -> str:
        looks = [one.look for one in self.seen]
        if any(plate.subsample < plate.size for look in looks for plate in look.plates):
            return _SUBSAMPLES
        if len({_uncovered(look) for look in looks}) > 1:
            return "this call makes sites of several shapes"
        for look in looks:
            if not plated and _is_repeated(look):
                return (
                    f"its value has shape {_shown(look.shape)} and its distribution "
                    f"{_shown(look.batch_shape + look.event_shape)}: every element would meet every other one"
                )
        return "" if _distribution(self.site) is not None else "the distribution is not given in the call itself"


def _calls(program: Program) -> list[_Call]:
    """The calls whose sites were seen, those of models first."""
    known: dict[ast.AST, _Call] = {}
    for site in program.sites:
        seen = program.seen.site(site)
        if seen:
            known[site.call] = _Call(site, seen)
    return sorted(known.values(), key=lambda call: call.role != "model")


def _is_of_the_other(call: _Call, message: str) -> bool:
    """Whether the guide is wrong, and a model's site was only seen with the guide's value."""
    told = _DISAGREE.search(message)
    return told is not None and call.role == "model" and any(one.name == told[1] for one in call.seen)


def _groups(calls: Iterable[_Call]) -> list[list[_Call]]:
    """Calls that make sites of the same names in model and guide, together."""
    groups: list[list[_Call]] = []
    for call in calls:
        names = {one.name for one in call.seen}
        for group in groups:
            if names & {one.name for other in group for one in other.seen}:
                group.append(call)
                break
        else:
            groups.append([call])
    return groups


def _messages(seen: SeenSvi) -> Iterator[str]:
    """The exceptions of a run, each once; without those at a site that has fitted until then.

    What fits at the first step and does not later on has other data then, as the last batch is smaller than the others.
    """
    failures = [trajectory.failure for trajectory in seen.svi.trajectories] + [seen.run.failure]
    known = [failure for failure in failures if failure is not None and not _has_fitted(seen.svi.look, failure)]
    yield from dict.fromkeys(failure.message for failure in known)


def _has_fitted(look: Look | None, failure: Failure) -> bool:
    """Whether the site that an exception names has been through a first step."""
    told = _MISFIT.search(failure.message) or _UNCOVERED.search(failure.message)
    if told is None or not failure.step:
        return False
    return look is None or told["site"] in look.model or told["site"] in look.guide


def _short(svi: Svi, depth: int, said: bool) -> Iterator[tuple[Made, ast.expr]]:
    """ELBOs that are told of fewer than ``depth`` dimensions of plates, and where; ``said`` tells that Pyro says so."""
    for elbo in options(svi.loss):
        node = _given(elbo.node, "max_plate_nesting") if isinstance(elbo, Made) else None
        number = edits.literal_number(node)
        if isinstance(elbo, Made) and node is not None and (said if number is None else number < depth):
            yield elbo, node


def _depth(seen: SeenSvi) -> int:
    """As many rightmost dimensions as the plates were seen to use; 0 where that is not known."""
    look = seen.svi.look
    return (look.max_plate_nesting or 0) if look is not None else 0


# -- shapes


def _log_prob(look: SiteLook) -> tuple[int, ...]:
    """The shape of the site's log-probability."""
    value = look.shape[: len(look.shape) - len(look.event_shape)]
    length = max(len(value), len(look.batch_shape))
    padded = [(1,) * (length - len(shape)) + shape for shape in (value, look.batch_shape)]
    return tuple(max(pair) for pair in zip(*padded, strict=True))


def _uncovered(look: SiteLook) -> int:
    """The position, from the right, of the leftmost dimension that is larger than 1 and has no plate."""
    covered = {-plate.dim for plate in look.plates if plate.dim is not None}
    shape = _log_prob(look)[::-1]
    return max((place for place, size in enumerate(shape, 1) if size > 1 and place not in covered), default=0)


def _is_repeated(look: SiteLook) -> bool:
    """Whether elements of an observed value meet several distributions."""
    return look.observed and bool(look.batch_shape) and look.shape != look.batch_shape + look.event_shape


def _shown(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _plates(look: SiteLook) -> str:
    names = [f"'{plate.name}'" for plate in look.plates if plate.dim is not None]
    if not names:
        return ""
    return f"plate {names[0]} does not cover" if len(names) == 1 else f"plates {', '.join(names)} do not cover"


# -- edits


def _distribution(site: Site) -> ast.expr | None:
    """The expression of the site's distribution."""
    node = _given(site.call, "fn")
    if node is None and len(site.call.args) > 1 and not any(isinstance(a, ast.Starred) for a in site.call.args):
        node = site.call.args[1]
    return node


def _given(call: ast.Call, name: str) -> ast.expr | None:
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _declares(site: Site) -> int | None:
    """How many dimensions the distribution's own ``.to_event`` declares; None where that is not known."""
    node = _distribution(site)
    if node is None:
        return None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)) or node.func.attr != "to_event":
        return 0
    number = edits.literal_number(node.args[0]) if len(node.args) == 1 else None
    return None if number is None else int(number)


def _label(sites: Iterable[Site], dims: int) -> str:
    """What sites declare with so many dimensions more."""
    return " and ".join(
        f".to_event({declared})" for declared in sorted({(_declares(site) or 0) + dims for site in sites})
    )


def _to_event(site: Site, dims: int) -> list[Edit]:
    node, declared = _distribution(site), _declares(site)
    if node is None:
        return []
    if declared and isinstance(node, ast.Call):
        return [edits.replace(site.module, node.args[0], str(declared + dims))]
    before, after = ("", "") if isinstance(node, _COMPOUND) else ("(", ")")
    return [e for e in edits.wrap(site.module, node, before, f"{after}.to_event({dims})") if e.replacement]


def _plate(site: Site, look: SiteLook) -> tuple[Edit, ...] | None:
    """A plate round an observed site of one dimension, where the statement is a line of its own."""
    data = _given(site.call, "obs")
    if not look.observed or len(_log_prob(look)) != 1 or look.plates or site.name is None:
        return None
    if (
        not isinstance(site.call.func, ast.Attribute)
        or not isinstance(data, (ast.Name, ast.Attribute))
        or "{" in site.name
    ):
        return None
    line = site.module.source.lines[site.call.lineno - 1]
    indent = line[: len(line) - len(line.lstrip())]
    statement = _statement(site)
    if statement is None or statement.lineno != statement.end_lineno or statement.col_offset != len(indent):
        return None
    if ";" in line:
        return None
    pyro, size = edits.text_of(site.module, site.call.func.value), f"len({edits.text_of(site.module, data)})"
    start, _ = edits.span(site.module.source, statement)
    deeper = "\t" if indent.endswith("\t") else "    "
    head = f'with {pyro}.plate("{site.name}_plate", {size}):{site.module.source.newline}{indent}{deeper}'
    return (Edit(site.module.path, start, start, head),)


def _statement(site: Site) -> ast.stmt | None:
    """The plain statement that the call is: an expression, an assignment, or what is returned."""
    for node in ast.walk(site.module.tree):
        if isinstance(node, (ast.Expr, ast.Assign, ast.Return)) and node.value is site.call:
            return node
    return None


def _subsamples(site: Site) -> bool:
    return any(plate.argument(2, "subsample_size") or plate.argument(3, "subsample") for plate in site.plates)
