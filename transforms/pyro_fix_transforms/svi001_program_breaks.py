"""SVI001."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pyro_fix import edits, imports
from pyro_fix.analysis import distributions, health
from pyro_fix.analysis.clashes import clashes
from pyro_fix.analysis.program import Couple, Program, Svi
from pyro_fix.analysis.scopes import Module, around
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.observation import Failure, Feed, Look, Observation, SviObservation, Trajectory
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform
from pyro_fix_transforms._failures import broken_inputs, of_data
from pyro_fix_transforms._mends import SEQUENTIAL, Mend, known
from pyro_fix_transforms._told import place
from pyro_fix_transforms._untrained import registered

#: What a machine lacks, or how a program ends by itself: that is told as "cannot be run", and is no defect of its own.
ENVIRONMENT = health.STOPS | {
    *("no-pyro", "no-svi", "no-device", "sandbox", "pytest", "notebook", "journal"),
    *("ModuleNotFoundError", "ImportError", "FileNotFoundError", "PermissionError", "OSError", "BlockingIOError"),
    *("ConnectionError", "ConnectionRefusedError", "TimeoutError", "URLError", "HTTPError", "gaierror", "EOFError"),
    *("SystemExit", "KeyboardInterrupt", "MemoryError", "OutOfMemoryError"),
}
_DISAGREE = re.compile(r"Model and guide (?:event_dims|shapes) disagree at site '(?P<site>[^']+)'")
_TWICE = re.compile(r"Multiple \w+ sites named '(?P<site>[^']+)'")
_AT_SITE = re.compile(r"[Aa]t site '(?P<site>[^']+)'")
_OUTSIDE = re.compile(r"Expected parameter (?P<argument>\w+) \(")
#: What code raises that asks for an argument, a variable of the environment or a column that is not there.
_ASKED = frozenset({"KeyError", "IndexError"})
#: How the probe's notes begin of what it did to a program that may be why.
_NOTES = (health.ASKS_VERSION, health.SANDBOX)
#: What torch and others say where the machine has no such device, or the data have not been fetched.
_LACKS = re.compile(r"\b(?:CUDA|NVIDIA|MPS|driver|download|downloaded|corrupted|not compiled|not installed)\b", re.I)
#: What torch and Pyro say of shapes that do not fit.
_SHAPES = re.compile(r"\bsizes?\b|\bshapes?\b|dimension", re.I)
#: Operations that only move or repeat elements, and the last one of a layer.
_MOVES = frozenset({"Select", "View", "UnsafeView", "ReshapeAlias", "Reshape", "Squeeze", "Unsqueeze", "Expand"}) | {
    *("Slice", "Split", "SplitWithSizes", "Unbind", "Index", "Permute", "Transpose", "T", "Clone", "Alias", "ToCopy"),
}
_LAYER = frozenset({"Addmm", "Mm", "Addmv", "Mv", "Bmm", "Baddbmm", "Convolution", "Linear", "MkldnnConvolution"})
#: What brings any number into an argument's constraint.
_INTO = {"positive": "softplus", "nonnegative": "softplus", "unit_interval": "sigmoid"}


class ProgramBreaks(Transform):
    """Tell what stops or spoils a program as it is.

    ## What it does
    Tells of an exception in the model, the guide or a step, of a check that Pyro makes, and of a loss or a parameter
    that becomes NaN or infinite, when the program is run: Pyro's whole sentence, the line to look at, at which step,
    under how many of the seeds. Where another transform's fix ends it, that fix says so and has the finding's place;
    fixes that have nothing to do with it wait until the program runs. Tells as well of a network that a site is
    computed from, that asks for gradients, and that nothing trains since it is in no param store, of which Pyro never
    says a word. Some kinds it mends itself, where a run shows that the break ends there:

    - an argument that has to be positive, or between 0 and 1, and is what a layer of a network gives, gets a `softplus`
      or a `sigmoid`;
    - particles that are vectorised over code that asks for a single number are taken one after the other;
    - an ELBO that compiles the model, and meets other shapes later on, gives way to the plain one;
    - an autoguide of a model without latents becomes a guide that does nothing;
    - a site of the model alone that asks for enumeration in sequence, which Pyro lacks there, is enumerated in
      parallel;
    - a `Multinomial` gets the sum of the observed counts as its `total_count`;
    - two nested plates whose dimensions the data have the other way round exchange their `dim`;
    - where a latent is enumerated outside of a plate that subsamples, the plate takes all of the data;
    - a network that nobody has registered gets its `pyro.module` at the head of the guide, or of the model.

    ## Why
    No tip helps a program that does not run, and what a broken program shows is a symptom: a learning rate cannot be
    judged, and a loss that becomes NaN hides what comes after it. A network that nothing trains stays as it was drawn,
    and the loss falls all the same, by what the others learn.

    ## Example
    ```python
    encoder = torch.nn.Linear(1, 1)
    def guide(data):
        pyro.module("encoder", encoder)
        pyro.sample("z", dist.Normal(0.0, encoder(torch.ones(1))[0]))
    ```
    becomes
    ```python
    encoder = torch.nn.Linear(1, 1)
    def guide(data):
        pyro.module("encoder", encoder)
        pyro.sample("z", dist.Normal(0.0, torch.nn.functional.softplus(encoder(torch.ones(1))[0])))
    ```

    ## Holds back when
    - it is not for a tool to say how it is mended, as nearly always; the finding says what is known;
    - the project names what loads trained weights: the network may be wanted as it is.

    It says nothing of what a machine lacks (a module, a file, the network, memory), of a program that ends by itself,
    or says so (`raise`, `assert`) before its first step, of an exception that a test expects, of a network that is
    frozen (`requires_grad_(False)`, `no_grad`, `eval()`) or that an optimiser of the program's own holds, and of
    programs that pyro-fix has made up. Of a step whose exception the program catches, to go on, it tells; other fixes
    do not wait.

    ## Promise
    The patched program runs clean.
    """

    code, name, tip = "SVI001", "program-breaks", 0
    promise = Promise.RUNS_CLEAN

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding for each SVI object that breaks, and one for a program that breaks outside of all steps."""
        # no run tells of those that nothing in the project trains
        yield from self._unseen(program, program.untrained if program.seen.runs else program.together)
        for run in program.seen.runs:
            for proposal in self._run(program, run):
                yield replace(proposal, programs=frozenset({run.command}))

    def _run(self, program: Program, run: Observation) -> Iterator[Proposal]:
        """What a program's run shows."""
        failure = run.failure
        if failure is not None and _is_its_own(run, failure):
            at = place(program, run, [failure.where, *(svi.where for svi in run.svis)])
            if at is not None and (failure.pyro or not _gives_up(at[0], failure)):
                message = f"the program breaks: {failure.kind}: {health.said_of(failure)}"
                yield self.finding(*at, message, held_back=_advice(failure, None), source="seen")
        for svi in run.svis:
            yield from self._svi(program, run, svi)
            yield from self._untrained(program, run, svi)

    def _untrained(self, program: Program, run: Observation, svi: SviObservation) -> Iterator[Proposal]:
        """One finding for all that an SVI object leaves as it is since nobody has registered it."""
        look = svi.look
        if look is None or not look.untrained:
            return
        sites = [look.guide if one.role == "guide" else look.model for one in look.untrained]
        told = [side[one.site].where for side, one in zip(sites, look.untrained, strict=True) if one.site in side]
        at = place(program, run, [*told, svi.where])
        if at is None:
            return
        message = "; ".join(dict.fromkeys(health.unregistered(one) for one in look.untrained))
        words, changes = registered(program, run, look)
        candidates = (Candidate(changes, self.promise, words, needs_run=True),) if changes else ()
        yield self.finding(*at, message, candidates, "" if changes else words, source="seen")

    def _unseen(self, program: Program, together: Sequence[Svi | Couple]) -> Iterator[Proposal]:
        """What the source shows where nothing has been run."""
        told = set()
        for one in together:
            for clash in clashes(program, one):
                if (clash.site.call, clash.words) not in told:
                    told.add((clash.site.call, clash.words))
                    message = f"Pyro will refuse this at every step: {clash.words}"
                    yield self.finding(
                        clash.site.module, clash.site.call, message, held_back=_advice(Failure("", clash.words), None)
                    )

    def _svi(self, program: Program, run: Observation, svi: SviObservation) -> Iterator[Proposal]:
        broken = [t for t in svi.trajectories if health.breakdown(t) is not None]
        ended = [t for t in broken if not health.is_handled(run, t)]
        caught = not ended and not health.is_of_a_test(run)  # the program goes on, without what the step should do
        ended = broken if caught else ended
        kinds = [(health.breakdown(t) or ("", ""))[0] for t in ended]
        if not ended or kinds[0] in ENVIRONMENT:
            return
        alike = [t for t, kind in zip(ended, kinds, strict=True) if kind == kinds[0]]
        failure = alike[0].failure
        seeds = f" on {len(alike)} of {len(svi.trajectories)} seeds" if len(svi.trajectories) > 1 else ""
        if kinds[0] == "not finite":
            what = _nonfinite(alike[0])
            message = f"{what} becomes NaN or infinite {_steps([t.first_nonfinite for t in alike])}{seeds}"
            message += f"; then {failure.kind}: {health.said_of(failure)}" if failure is not None else ""
            param = svi.look.params.get(alike[0].nonfinite) if svi.look is not None else None
            at = place(program, run, [param.where if param else "", failure.where if failure else "", svi.where])
        else:
            assert failure is not None
            steps = _steps([t.failure.step for t in alike if t.failure is not None])
            what = "a step fails, and the program goes on," if caught else "the program breaks"
            message = f"{what} {steps}{seeds}: {failure.kind}: {health.said_of(failure)}"
            at = place(program, run, [*_blamed(failure, svi.look), failure.where, svi.where])
        if at is None and svi.look is not None:  # of all this only the model's file may be asked for
            sites = [*svi.look.guide.values(), *svi.look.model.values()]
            at = place(program, run, [site.where for site in sites])
        if at is None:
            return
        seen = SeenSvi(run, svi)
        mend = _softplus(program, seen, failure) or known(program, seen, failure) if failure is not None else None
        if mend is None:
            advice = _left_behind(run, svi, failure) or _advice(failure, svi.look)
            yield self.finding(*at, message, held_back=advice, source="seen")
            return
        candidate = Candidate(mend.edits, self.promise, mend.label, needs_run=True) if mend.edits else None
        message = f"{message.removesuffix('.')}; {mend.words}"
        held_back = "" if candidate else mend.label
        yield self.finding(*at, message, (candidate,) if candidate else (), held_back, source="seen")


def _is_its_own(run: Observation, failure: Failure) -> bool:
    """Whether an exception outside of all steps is a fault of the program, and of nothing that it lacks here."""
    if failure.pyro or failure.kind in ENVIRONMENT:
        return failure.kind not in ENVIRONMENT
    lacks = failure.kind in _ASKED or _LACKS.search(failure.message) or any(n.startswith(_NOTES) for n in run.warnings)
    return not lacks and not health.is_of_a_test(run)  # a test may fail for what it tests


def _gives_up(module: Module, failure: Failure) -> bool:
    """Whether the program says itself that it cannot go on."""
    line = int(failure.where.rpartition(":")[2] or 0)
    own = [node for node in ast.walk(module.tree) if isinstance(node, (ast.Raise, ast.Assert))]
    return any(node.lineno <= line <= (node.end_lineno or node.lineno) for node in own)


def _nonfinite(trajectory: Trajectory) -> str:
    name = trajectory.nonfinite
    return f"parameter '{name}'" if name not in ("", "loss") else "the loss"


def _steps(steps: Sequence[int | None]) -> str:
    known = sorted(step for step in steps if step is not None)
    if not known:
        return "in its steps"
    return f"at step {known[0]}" if known[0] == known[-1] else f"at steps {known[0]} to {known[-1]}"


def _blamed(failure: Failure, look: Look | None) -> Iterator[str]:
    """Where the site stands that Pyro names; a guide has to be as its model is."""
    named = _AT_SITE.search(failure.message)
    name = failure.site or (named["site"] if named else "")
    if look is None or not name:
        return
    told = _DISAGREE.search(failure.message)
    if told or failure.where not in {site.where for side in (look.guide, look.model) for site in side.values()}:
        for side in (look.guide, look.model) if told else (look.model, look.guide):
            if name in side and (told or named):
                yield side[name].where


def _left_behind(run: Observation, svi: SviObservation, failure: Failure | None) -> str:
    """What to make of shapes that do not fit where an earlier SVI object has left its parameters in the store."""
    if failure is None or failure.step != 0 or svi.look is None or not _SHAPES.search(failure.message):
        return ""
    earlier = {name for one in run.svis if one.ordinal < svi.ordinal and one.look for name in one.look.params}
    left = sorted(earlier & svi.look.params.keys())
    if not left:
        return ""
    names = " and ".join(map(repr, left))
    return (
        f"{names} may still be in the param store as the training before left it: pyro.clear_param_store() empties it"
    )


def _advice(failure: Failure | None, look: Look | None) -> str:
    """What a reader can make of it."""
    if failure is not None and (told := _DISAGREE.search(failure.message)) and look is not None:
        guide, model = look.guide.get(told["site"]), look.model.get(told["site"])
        if guide is not None and model is not None:
            words = f"give '{told['site']}' in the guide the model's event of shape {model.event_shape}"
            plates = {plate.name for plate in guide.plates} - {plate.name for plate in model.plates}
            extra = ", ".join(repr(name) for name in sorted(plates))
            return words + (f", outside of the plate {extra}, which the model lacks" if extra else "")
    broken = broken_inputs(failure, look) if failure is not None else []
    if broken:
        names = " and ".join(map(repr, broken))
        return f"NaN or infinity is in what the program is given, {names}: drop or fill those rows"
    data = of_data(failure, look) if failure is not None else None
    if failure is not None and data is not None:
        words = f"the data of '{failure.site}' hold values that no {data.distribution} gives"
        return f"{words} (its support is {data.support}): change the data, or the distribution"
    if failure is not None and SEQUENTIAL in failure.message:
        return "have it enumerated in parallel, or by the guide"
    if failure is not None and "non-leaf Tensor" in failure.message:
        return "what a constraint gives is no leaf: hand the optimiser the param's .unconstrained()"
    if failure is not None and (told := _TWICE.search(failure.message)):
        return f"give one of the sites '{told['site']}' another name"
    return "no fix is known for it"


# -- what a layer gives, where a positive number has to be


def _softplus(program: Program, seen: SeenSvi, failure: Failure) -> Mend | None:
    """The argument that Pyro complains of, where it is a layer's output as it is."""
    told, look = _OUTSIDE.search(failure.message), seen.svi.look
    if told is None or look is None:
        return None
    for side in (look.guide, look.model):
        site = side.get(failure.site)
        raw = [feed for feed in site.feeds if _is_raw(feed, told["argument"])] if site is not None else []
        into = _INTO.get(raw[0].required) if raw else None
        if site is None or into is None:
            continue
        layers = list(dict.fromkeys(_layer(feed.param) for feed in raw))
        others = "softplus or exp" if into == "softplus" else "sigmoid"
        words = f"the layer {', '.join(layers)} gives any number: {others} makes a {told['argument']} of it"
        at = place(program, seen.run, [site.where])
        argument = _argument(at[1], told["argument"]) if at is not None else None
        function = _reach(at[0], argument, into) if at is not None and argument is not None else None
        if at is None or argument is None or function is None:
            return Mend(words, f"write {others} round what the layer gives")
        name, needed = function
        changes = (*needed, *edits.wrap(at[0], argument, f"{name}(", ")"))
        return Mend(words, f"{into} of what {', '.join(layers)} gives", changes)
    return None


def _is_raw(feed: Feed, argument: str) -> bool:
    left = [operation for operation in feed.operations if operation not in _MOVES]
    return feed.argument == argument and left[:1] != [] and left[0] in _LAYER


def _layer(param: str) -> str:
    """``fc.weight`` of ``pyro.module("net", ...)`` is stored as ``net$$$fc.weight``."""
    name = param.replace("$$$", ".").rpartition(".")[0] or param
    return f"'{name}'"


def _argument(call: ast.expr, argument: str) -> ast.expr | None:
    """The expression of an argument of the only distribution that is made in a ``pyro.sample`` call."""
    found = []
    for node in ast.walk(call):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        known = distributions.lookup(name)
        if known is None or argument not in known.arguments:
            continue
        position = known.arguments.index(argument)
        given = next((k.value for k in node.keywords if k.arg == argument), None)
        if given is None and len(node.args) > position and not any(isinstance(a, ast.Starred) for a in node.args):
            given = node.args[position]
        if given is not None:
            found.append(given)
    return found[0] if len(found) == 1 else None


def _reach(module: Module, node: ast.expr, function: str) -> tuple[str, tuple[Edit, ...]] | None:
    name = "torch.nn.functional.softplus" if function == "softplus" else "torch.sigmoid"
    there = imports.reference(module, around(module, node), name, node)
    return (there.text, there.edits) if there is not None else None
