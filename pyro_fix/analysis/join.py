"""Join what runs showed to the static facts: a run withdraws what it contradicts, and adds what only it saw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Param, Program, Site, Use
from pyro_fix.analysis.seen import Seen, SeenParam, SeenSite
from pyro_fix.analysis.values import Join, Made, walk
from pyro_fix.observation import Feed, Look, Observation

_PREFIX = "pyro.distributions."


def join(program: Program, runs: Iterable[Observation]) -> None:
    """Set ``program.seen``, and reconcile the uses of params with the feeds that runs showed."""
    program.seen = Seen(runs)
    if not program.seen.runs:
        return
    sites = _Sites(program)
    for param in program.params:
        seen = [one for call in program.same_name(param) for one in program.seen.param(call)]
        if seen:
            for use in param.uses:
                _reconcile(use, seen, sites)
    for param in program.params:
        seen = program.seen.param(param)
        if seen:
            _add(program, param, seen, sites)


class _Sites:
    """The sample sites that runs showed, with what the source has at their places."""

    def __init__(self, program: Program) -> None:
        self._of_look: dict[int, list[tuple[Site, SeenSite]]] = defaultdict(list)
        for site in program.sites:
            for seen in program.seen.site(site):
                if seen.svi.look is not None and seen.svi.look.max_plate_nesting is not None:  # feeds were looked for
                    self._of_look[id(seen.svi.look)].append((site, seen))

    def of(self, look: Look | None) -> list[tuple[Site, SeenSite]]:
        """The sites of one look."""
        return self._of_look.get(id(look), [])


def _reconcile(use: Use, seen: list[SeenParam], sites: _Sites) -> None:
    """Hold what the source shows of a use against what runs showed at the same place."""
    met = [(one, site) for one in seen for site in _sites_of(use, one, sites)]
    feeds = [feed for one, site in met for feed in site.look.feeds if _is(feed, use.argument, one.name)]
    if use.unchanged:
        # Operations that were not seen may have been none.
        if met and not any(feed.unchanged or not feed.operations for feed in feeds):
            use.unchanged = False
    elif feeds and all(feed.unchanged for feed in feeds) and _may_believe(use, feeds[0], seen, sites):
        # It goes through something that the source does not show the inside of, and that left it as it is.
        use.unchanged, use.source = True, "seen"
        use.reshaped = any(_moves(feed) for feed in feeds)


def _may_believe(use: Use, feed: Feed, seen: list[SeenParam], sites: _Sites) -> bool:
    """Whether one run tells of all: there is one way, and the call makes no params that are used in other ways."""
    return not _has_alternatives(use) and all(_arrives_so(one, feed, sites) for one in seen)


def _has_alternatives(use: Use) -> bool:
    """Whether what arrives depends on the way that the program takes: a constraint would concern all of them."""
    known = distributions.lookup(_kind(use.distribution))
    position = known.arguments.index(use.argument) if known and use.argument in known.arguments else -1
    value = use.distribution.argument(position, use.argument)
    return value is None or any(isinstance(part, Join) for part in walk(value))


def _sites_of(use: Use, param: SeenParam, sites: _Sites) -> Iterator[SeenSite]:
    """Where the distribution of a use was met in the look that shows the param."""
    for site, seen in sites.of(param.svi.look):
        if _kind(use.distribution) == seen.look.distribution and any(
            made is use.distribution or made.node is use.distribution.node for made in _made(site)
        ):
            yield seen


def _is(feed: Feed, argument: str, param: str) -> bool:
    return feed.argument == argument and feed.param == param


def _moves(feed: Feed) -> bool:
    """Whether elements were moved, which matters to constraints on vectors and matrices; repeated rows stay rows."""
    return bool(set(feed.operations) - {"Expand", "Clone", "ToCopy", "Alias"})


def _add(program: Program, param: Param, seen: list[SeenParam], sites: _Sites) -> None:
    """The uses that only a run shows."""
    for one in seen:
        for site, at in sites.of(one.svi.look):
            for feed in at.look.feeds:
                if feed.param != one.name or not feed.unchanged or _is_known(program, param, site, feed):
                    continue
                if not all(_arrives_so(other, feed, sites) for other in seen):
                    continue  # the call makes other params as well, which are used in other ways
                required = _required(at.look.distribution, feed)
                if required is not None:
                    param.uses.append(_use(param, site, at, feed, required))


def _is_known(program: Program, param: Param, site: Site, feed: Feed) -> bool:
    """Whether the source shows, for better or worse, that the param reaches this argument here."""
    here = {id(made.node) for made in _made(site)} | {id(site.call)}
    return any(
        use.argument == feed.argument and id(use.distribution.node) in here
        for call in program.same_name(param)
        for use in call.uses
    )


def _arrives_so(param: SeenParam, feed: Feed, sites: _Sites) -> bool:
    return any(
        other.param == param.name and other.unchanged and other.required == feed.required
        for _, at in sites.of(param.svi.look)
        for other in at.look.feeds
    )


def _required(distribution: str, feed: Feed) -> str | None:
    known = distributions.lookup(distribution)
    if known is not None and feed.argument in known.constraints:
        return known.constraints[feed.argument]
    return None if feed.required == "?" else feed.required


def _use(param: Param, site: Site, at: SeenSite, feed: Feed, required: str) -> Use:
    made = next((made for made in _made(site) if _kind(made) == at.look.distribution), None)
    if made is None:  # the source does not show where it is made; the run knows what it is
        name = _PREFIX + at.look.distribution
        made = Made(name, site.call, [], {}, True, site.module, param.scope, ())
    return Use(made, feed.argument, required, True, _moves(feed), site.functions, source="seen")


def _made(site: Site) -> list[Made]:
    """The distributions that a site may sample from, and those inside them."""
    if site.distribution is None:
        return []
    return [part for part in walk(site.distribution) if isinstance(part, Made) and part.name.startswith(_PREFIX)]


def _kind(made: Made) -> str:
    return made.name.rpartition(".")[2]
