"""Defects to inject into sound Pyro programs, at least one for each tip: what ``bench/repair.py`` has repaired.

A defect rewrites source text without pyro-fix's analysis, so that both cannot be blind to the same thing.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass


class Script:
    """A program's text and tree.  Programs are expected to be ASCII."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text)
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Offsets of a node."""
        assert node.end_lineno is not None and node.end_col_offset is not None
        return (
            self._starts[node.lineno - 1] + node.col_offset,
            self._starts[node.end_lineno - 1] + node.end_col_offset,
        )

    def of(self, node: ast.expr | ast.stmt) -> str:
        """The text of a node."""
        start, end = self.span(node)
        return self.text[start:end]

    def calls(self, *names: str, within: ast.AST | None = None) -> Iterator[ast.Call]:
        """Calls whose callee's last name is one of these, in the order of the text."""
        found = [
            node
            for node in ast.walk(within or self.tree)
            if isinstance(node, ast.Call) and last_name(node.func) in names
        ]
        yield from sorted(found, key=lambda node: (node.lineno, node.col_offset))

    def functions(self, name: str) -> Iterator[ast.FunctionDef]:
        """Functions of that name, and ``forward`` methods of classes whose name is like it."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == name:
                yield node
            elif isinstance(node, ast.ClassDef) and name in node.name.lower():
                yield from (m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "forward")

    def replaced(self, *changes: tuple[ast.expr | ast.stmt, str]) -> str:
        """The text with nodes replaced."""
        text = self.text
        for node, new in sorted(changes, key=lambda change: self.span(change[0]), reverse=True):
            start, end = self.span(node)
            text = text[:start] + new + text[end:]
        return text

    def rewritten(self, call: ast.Call, drop: str = "", callee: str = "", add: str = "", **new: str) -> str:
        """The text of a call without the keyword ``drop``, with other values for some, and with another callee."""
        words = [self.of(arg) for arg in call.args]
        for keyword in call.keywords:
            if keyword.arg != drop:
                value = new.get(keyword.arg or "", self.of(keyword.value))
                words.append(f"{keyword.arg}={value}" if keyword.arg else f"**{value}")
        words += [add] if add else []
        return f"{callee or self.of(call.func)}({', '.join(words)})"


def last_name(node: ast.expr) -> str:
    """``Normal`` of ``dist.Normal``."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """The value of a keyword argument."""
    return next((k.value for k in call.keywords if k.arg == name), None)


Inject = Callable[[Script], Iterator[str]]


@dataclass(frozen=True)
class Defect:
    """One way to spoil a program."""

    code: str
    """The transform that should mend it."""
    what: str
    inject: Inject
    """Yields a new text for every place at which it can be done."""


# -- tips 1 to 3: the optimiser


def _option(script: Script, key: str) -> Iterator[tuple[ast.Dict, int]]:
    for call in script.calls("ClippedAdam"):
        for literal in call.args[:1]:
            if isinstance(literal, ast.Dict):
                for index, name in enumerate(literal.keys):
                    if isinstance(name, ast.Constant) and name.value == key:
                        yield literal, index


def _hot_rate(script: Script) -> Iterator[str]:
    for literal, index in _option(script, "lr"):
        yield script.replaced((literal.values[index], "100.0"))


def _plain_optimizer(script: Script) -> Iterator[str]:
    for call in script.calls("ClippedAdam"):
        yield script.replaced((call, 'pyro.optim.SGD({"lr": 1e-5})'))


def _adam(script: Script) -> Iterator[str]:
    for literal, index in _option(script, "lr"):
        for call in script.calls("ClippedAdam"):
            yield script.replaced((call, f'pyro.optim.Adam({{"lr": {script.of(literal.values[index])}}})'))


def _no_decay(script: Script) -> Iterator[str]:
    for literal, index in _option(script, "lr"):
        yield script.replaced((literal, f'{{"lr": {script.of(literal.values[index])}}}'))


def _fast_decay(script: Script) -> Iterator[str]:
    for literal, index in _option(script, "lrd"):
        yield script.replaced((literal.values[index], "0.95"))


# -- tip 4: supports


def _real_guide(script: Script) -> Iterator[str]:
    for guide in script.functions("guide"):
        for call in script.calls("LogNormal", within=guide):
            yield script.replaced((call.func, "dist.Normal"))


def _missing_site(script: Script) -> Iterator[str]:
    for guide in script.functions("guide"):
        for statement in guide.body[1:]:
            if isinstance(statement, ast.Expr) and any(script.calls("sample", within=statement)):
                yield script.replaced((statement, "pass"))


# -- tip 5: constraints


def _dropped(script: Script, maker: str) -> Iterator[str]:
    for call in script.calls(maker):
        if keyword(call, "constraint") is not None:
            yield script.replaced((call, script.rewritten(call, drop="constraint")))


def _no_constraint(script: Script) -> Iterator[str]:
    yield from _dropped(script, "param")


def _no_module_constraint(script: Script) -> Iterator[str]:
    yield from _dropped(script, "PyroParam")


def _weak_constraint(script: Script) -> Iterator[str]:
    for call in script.calls("param"):
        given = keyword(call, "constraint")
        if given is not None and last_name(given) == "unit_interval":
            yield script.replaced((given, "constraints.positive"))


def _misspelt(script: Script) -> Iterator[str]:
    for call in script.calls("param", "PyroParam"):
        given = keyword(call, "constraint")
        if given is not None:
            new = script.rewritten(call, drop="constraint", add=f"contraint={script.of(given)}")
            yield script.replaced((call, new))


# -- tips 6 and 7: the guide


def _broken_guide(script: Script) -> Iterator[str]:
    for guide in script.functions("guide"):
        for call in list(script.calls("Normal", "LogNormal", within=guide))[:1]:
            yield script.replaced((call.args[0], f"({script.of(call.args[0])} - 1000.0).log()"))


def _wild_start(script: Script) -> Iterator[str]:
    if not any(script.calls("exp")):
        return  # elsewhere a draw from the prior is no bad start
    for call in script.calls("AutoNormal"):
        if keyword(call, "init_loc_fn") is not None:
            yield script.replaced((call, script.rewritten(call, init_loc_fn="pyro.infer.autoguide.init_to_sample")))


def _wide_scale(script: Script) -> Iterator[str]:
    for guide in script.functions("guide"):
        for call in script.calls("param", within=guide):
            given = keyword(call, "constraint")
            if given is None or last_name(given) != "positive" or len(call.args) < 2:
                continue
            for inner in ast.walk(call.args[1]):
                if isinstance(inner, ast.Constant) and inner.value == 0.1:
                    yield script.replaced((inner, "50.0"))


def _wide_autoguide(script: Script) -> Iterator[str]:
    for call in script.calls("AutoNormal"):
        if keyword(call, "init_scale") is not None:
            yield script.replaced((call, script.rewritten(call, init_scale="10.0")))


# -- tips 8 to 10: the objective


def _sequential(script: Script) -> Iterator[str]:
    for call in script.calls("Trace_ELBO"):
        if keyword(call, "vectorize_particles") is not None:
            yield script.replaced((call, script.rewritten(call, drop="vectorize_particles")))


def _sampled_kl(script: Script) -> Iterator[str]:
    for call in script.calls("TraceMeanField_ELBO"):
        yield script.replaced((call, script.rewritten(call, callee="pyro.infer.Trace_ELBO")))


def _unnormalized(script: Script) -> Iterator[str]:
    scaled = list(script.calls("scale"))
    if scaled:
        yield script.replaced(*((call, script.of(call.args[0])) for call in scaled))


# -- tips 11 to 14


def _raw_covariates(script: Script) -> Iterator[str]:
    for node in ast.walk(script.tree):
        if isinstance(node, ast.Assign) and script.of(node.value).replace(" ", "") == "(raw-raw.mean(0))/raw.std(0)":
            yield script.replaced((node.value, "raw"))


def _no_validation(script: Script) -> Iterator[str]:
    first = next(s for s in script.tree.body if not isinstance(s, (ast.Import, ast.ImportFrom, ast.Expr)))
    yield script.replaced((first, f"pyro.enable_validation(False)\n{script.of(first)}"))


def _lax_warning(script: Script) -> Iterator[str]:
    for call in script.calls("TraceEnum_ELBO"):
        yield script.replaced((call, script.rewritten(call, add="strict_enumeration_warning=False")))


def _no_event_dim(script: Script) -> Iterator[str]:
    for call in script.calls("to_event"):
        if isinstance(call.func, ast.Attribute):
            yield script.replaced((call, script.of(call.func.value)))


def _sampled_discrete(script: Script) -> Iterator[str]:
    for elbo in script.calls("TraceEnum_ELBO"):
        enumerated = [(call, script.of(call.args[0])) for call in script.calls("config_enumerate")]
        yield script.replaced((elbo, "pyro.infer.Trace_ELBO()"), *enumerated)


# -- tip 16


def _near_boundary(script: Script) -> Iterator[str]:
    for call in script.calls("greater_than"):
        yield script.replaced((call, "constraints.positive"))


DEFECTS: tuple[Defect, ...] = (
    Defect("SVI011", "a learning rate of 100", _hot_rate),
    Defect("SVI021", "SGD", _plain_optimizer),
    Defect("SVI022", "Adam at a constant rate", _adam),
    Defect("SVI031", "ClippedAdam without decay", _no_decay),
    Defect("SVI032", "a decay of 0.95 a step", _fast_decay),
    Defect("SVI041", "a Normal guide for a positive latent", _real_guide),
    Defect("SVI042", "a latent that the guide lacks", _missing_site),
    Defect("SVI051", "a param without its constraint", _no_constraint),
    Defect("SVI052", "a PyroParam without its constraint", _no_module_constraint),
    Defect("SVI053", "positive where more is asked for", _weak_constraint),
    Defect("SVI054", "a misspelt keyword", _misspelt),
    Defect("SVI061", "a guide that yields NaN", _broken_guide),
    Defect("SVI062", "an autoguide that starts far away", _wild_start),
    Defect("SVI071", "an initial scale of 50", _wide_scale),
    Defect("SVI072", "init_scale of 10", _wide_autoguide),
    Defect("SVI081", "particles one after the other", _sequential),
    Defect("SVI091", "a sampled KL divergence", _sampled_kl),
    Defect("SVI101", "an ELBO that is not normalised", _unnormalized),
    Defect("SVI111", "covariates of very different scales", _raw_covariates),
    Defect("SVI121", "validation switched off", _no_validation),
    Defect("SVI122", "no warning of what is not enumerated", _lax_warning),
    Defect("SVI131", "event dimensions not declared", _no_event_dim),
    Defect("SVI141", "a discrete latent that is not enumerated", _sampled_discrete),
    Defect("SVI161", "a concentration that is merely positive", _near_boundary),
)
