"""SVI121."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterable, Iterator

from pyro_fix import edits
from pyro_fix.analysis.calls import is_validation_switch
from pyro_fix.analysis.program import Program, Site
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.values import Const, Made, walk
from pyro_fix.observation import Look, SiteLook
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Transform
from pyro_fix_transforms._classes import unimported

#: Families whose support depends on a total that is 1 by default: its position among their arguments.
_TOTAL_COUNT = {"Multinomial": 0, "DirichletMultinomial": 1}
#: What a comment speaks of that says why arguments are not validated: values between 0 and 1 for a Bernoulli, say.
_REASONS = ("valid", "relax")
_GREY = "may lie between 0 and 1, which validation would refuse; a run would tell"
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)


class ValidationDisabled(Transform):
    """Keep validation on.

    ## What it does
    Removes `pyro.enable_validation(False)`, `set_default_validate_args(False)`, the `validate...=False` of
    `pyro.settings.set`, `validate_args=False` of a site's distribution, and the `False` of a `validation_enabled`
    context in which an `SVI` is stepped.

    ## Why
    Validation is what tells an argument outside its constraint, data outside the support and a plate that does not
    fit; without it the same mistakes train on, silently, or end in NaN (tip 12).

    ## Example
    ```python
    pyro.enable_validation(False)
    data = torch.randn(500)
    num_steps = 1000
    ```
    becomes
    ```python
    data = torch.randn(500)
    num_steps = 1000
    ```

    ## Holds back when
    - the statement shares a line with another one;
    - the file switches validation on again elsewhere: it is off for a stretch, on purpose;
    - no run shows the data of a Bernoulli: grey pixels lie between 0 and 1, which validation would refuse.

    A flag, `__debug__`, or a condition that decides are the user's own choice, and no finding. Nor is a
    `validate_args=False` that there is a reason for: a multinomial's `total_count` is left at 1, and its data may sum
    to more; data of a Bernoulli that no run has shown; a comment beside it says why, or one right above that speaks of
    validation or of relaxed values, unless the run shows what that hides.

    ## Promise
    Runs clean. Where the patched run now reports an error, that error is what was hidden: the fix is rejected, and the
    verdict says what is wrong and where.
    """

    code, name, tip = "SVI121", "validation-disabled", 12
    promise = Promise.RUNS_CLEAN
    # What validation would report may be what these mend.
    after = ("SVI04", "SVI05", "SVI06", "SVI13", "SVI16")

    def propose(self, program: Program) -> Iterator[Proposal]:
        """One finding a switch, and one a distribution whose arguments are not looked at."""
        met: set[int] = set()
        hidden = _hidden(_looks(program))
        for made in program.made:
            thrown = made.name.rpartition(".")[2] not in ("validation_enabled", "context")
            if thrown and is_validation_switch(made.name) and _is_off(made) and id(made.node) not in met:
                met.add(id(made.node))
                yield from self._statement(program, made, hidden)
        for made in _contexts(program):
            if id(made.node) not in met and is_validation_switch(made.name) and _is_off(made):
                met.add(id(made.node))
                yield self._fix(program, made, hidden, _argument(made), "", "validation left on")
        for site in program.sites:
            for part in walk(site.distribution) if site.distribution is not None else ():
                if not isinstance(part, Made) or not part.name.startswith("pyro.distributions."):
                    continue
                given = part.keywords.get("validate_args")
                spelled = any(keyword.arg == "validate_args" for keyword in part.node.keywords)
                if spelled and isinstance(given, Const) and given.value is False and id(part.node) not in met:
                    met.add(id(part.node))
                    hidden = [
                        words for seen in program.seen.site(site) for words in _of(seen.role, seen.name, seen.look)
                    ]
                    has_reason = _has_remark(part) or _may_be_grey(program, site, part)
                    if _counts_freely(part) or (has_reason and not hidden):
                        continue
                    change = edits.remove_keyword(part.module, part.node, "validate_args")
                    yield self._fix(program, part, hidden, change, "", "validate_args as it is by default")

    def _statement(self, program: Program, made: Made, hidden: list[str]) -> Iterator[Proposal]:
        """A switch that is thrown for all that follows."""
        place = _place(made.module, made.node)
        if any(isinstance(node, (ast.If, ast.Try, ast.IfExp, ast.BoolOp, ast.Match)) for node in place):
            return  # a choice
        doubt, change = "", _argument(made) if "settings" in made.name else None
        if change is None:
            change = edits.remove_statement(made.module, made.node)
        again = None
        if "settings" not in made.name:
            later = (on for on in _switched_on(program, made.module) if on.node.lineno > made.node.lineno)
            again = next((on for on in later if on.node is not made.node), None)
        if again is not None:
            doubt = f"line {again.node.lineno} switches it on again"
        elif change is None:
            doubt = "it is no statement with a line of its own"
        elif _governs_distributions(made) and (grey := _grey(program)):
            doubt = f"the data of {grey} {_GREY}"
        unused = unimported(program, made.module, made.node) if "settings" not in made.name else ()
        yield self._fix(program, made, hidden, change, doubt, "validation left on", unused)

    def _fix(
        self,
        program: Program,
        made: Made,
        hidden: list[str],
        change: Edit | None,
        doubt: str,
        label: str,
        unused: tuple[Edit, ...] = (),
    ) -> Proposal:
        what = "the distribution's arguments are not validated" if "distributions" in made.name else "validation is off"
        if made.name.rpartition(".")[2] in ("enable_validation", "set_default_validate_args"):
            what = "validation is off"
        message = f"{what}, and the run shows what that hides: {hidden[0]}" if hidden else f"{what}: mistakes go unseen"
        changes = (*unused, change) if change is not None else ()
        candidate = Candidate(changes, self.promise, label, needs_run=True)
        return self.finding(
            made.module,
            made.node,
            message,
            (candidate,) if changes else (),
            doubt,
            source="seen" if hidden else "static",
        )


def _counts_freely(made: Made) -> bool:
    """Whether a multinomial takes data of any total, as Pyro's own programs write it: its density needs no total."""
    position = _TOTAL_COUNT.get(made.name.rpartition(".")[2])
    return position is not None and made.argument(position, "total_count") is None


def _may_be_grey(program: Program, site: Site, part: Made) -> bool:
    """Whether a Bernoulli is given data that no run has shown: pixels, say, that are no zeros and ones."""
    return site.observed and part.name.endswith(".distributions.Bernoulli") and not program.seen.site(site)


def _grey(program: Program) -> str:
    """The site of such data that validation would look at; nothing where there is none."""
    for site in program.sites:
        for part in walk(site.distribution) if site.distribution is not None else ():
            if isinstance(part, Made) and "validate_args" not in part.keywords and _may_be_grey(program, site, part):
                return f"site '{site.name}'" if site.name is not None else "a Bernoulli"
    return ""


def _governs_distributions(made: Made) -> bool:
    """Whether a switch is, among others, one of the validation of distributions."""
    if "settings" in made.name:
        return any("distributions" in name for name in _settings(made))
    return not made.name.startswith(("pyro.infer.", "pyro.poutine."))


def _has_remark(made: Made) -> bool:
    """Whether a comment follows ``validate_args=False`` on the lines of the call: a reason, which would be orphaned.

    Above the call, as far as no blank line parts them, a comment is about it when it speaks of such things.
    """
    value = next(keyword.value for keyword in made.node.keywords if keyword.arg == "validate_args")
    lines = made.module.source.lines
    rest = lines[(value.end_lineno or 1) - 1 : made.node.end_lineno]
    if any("#" in line for line in [rest[0].encode()[value.end_col_offset or 0 :].decode(), *rest[1:]]):
        return True
    above = itertools.takewhile(str.strip, reversed(lines[: value.lineno - 1]))
    said = "".join(line.rpartition("#")[2].lower() for line in above if "#" in line)
    return any(word in said for word in _REASONS)


def _contexts(program: Program) -> Iterator[Made]:
    """The contexts in which SVI objects are stepped."""
    for svi in program.svis:
        for step in svi.steps:
            yield from (context for context in step.contexts if isinstance(context, Made))


def _is_off(made: Made) -> bool:
    """Whether a switch is thrown by a literal ``False``."""
    if made.spread:
        return False
    if "settings" in made.name:
        return bool(_settings(made))
    given = [*made.arguments, *made.keywords.values()]
    node = [*made.node.args, *(keyword.value for keyword in made.node.keywords)]
    return (
        len(node) == 1 and isinstance(node[0], ast.Constant) and isinstance(given[0], Const) and given[0].value is False
    )


def _settings(made: Made) -> list[str]:
    return [
        keyword.arg
        for keyword in made.node.keywords
        if keyword.arg is not None
        and keyword.arg.startswith("validate")
        and isinstance(keyword.value, ast.Constant)
        and keyword.value.value is False
    ]


def _argument(made: Made) -> Edit | None:
    """Without the argument that throws the switch: its default leaves validation on; ``None`` where nothing is left."""
    call = made.node
    if "settings" in made.name:
        names = _settings(made)
        if len(names) == len(call.keywords) and made.name.endswith(".set"):
            return None
        return edits.remove_keyword(made.module, call, *names)
    if call.keywords:
        return edits.remove_keyword(made.module, call, *(keyword.arg for keyword in call.keywords if keyword.arg))
    return edits.replace(made.module, call.args[0], "")


def _switched_on(program: Program, module: Module) -> list[Made]:
    """The places of a file that may switch validation on."""
    key = ("SVI121", module)
    if key not in program.memo:
        program.memo[key] = [
            made
            for made in program.made
            if made.module is module
            and is_validation_switch(made.name)
            and "settings" not in made.name
            and not _is_off(made)
        ]
    found = program.memo[key]
    assert isinstance(found, list)
    return found


def _place(module: Module, node: ast.AST) -> list[ast.AST]:
    """What stands around ``node``, but for what its functions stand in, and main guards."""
    found: list[ast.AST] = []
    while (parent := module.parents.get(node)) is not None:
        if not found or not (isinstance(node, _FUNCTIONS) or _is_main_guard(parent)):
            found.append(parent)
        node = parent
    return found


def _is_main_guard(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.unparse(node.test)


def _looks(program: Program) -> Iterator[Look]:
    return (svi.look for run in program.seen.runs for svi in run.svis if svi.look is not None)


def _hidden(looks: Iterable[Look]) -> list[str]:
    """What is wrong in runs that nobody is told of."""
    return list(
        dict.fromkeys(
            words
            for look in looks
            for role, sites in (("guide", look.guide), ("model", look.model))
            for name, site in sites.items()
            for words in _of(role, name, site)
        )
    )


def _of(role: str, name: str, site: SiteLook) -> list[str]:
    return [f"{role} site '{name}', {site.distribution}: {violation}" for violation in site.violations]
