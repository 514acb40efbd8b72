"""What runs when a model or a guide is called: its functions and autoguides, and the handlers round them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis.values import (
    Class,
    Collection,
    Const,
    Function,
    FunctionNode,
    Instance,
    Library,
    Made,
    Mapping,
    Value,
    options,
)

AUTOGUIDES = "pyro.infer.autoguide."
_MODULES = frozenset({"torch.nn.Module", "pyro.nn.PyroModule"})
#: Calls that take a program first and give one back, poutine's aside.
_WRAPPERS = frozenset({"pyro.condition", "pyro.do", "pyro.infer.config_enumerate", "functools.partial"})
#: Decorators that leave alone which sites a function samples.
_PLAIN = frozenset(
    {"builtins.staticmethod", "builtins.classmethod", "functools.wraps", "torch.no_grad", "torch.enable_grad"}
    | {"pyro.nn.pyro_method", "pyro.infer.autoguide.guides.prototype_hide_fn"}
)
#: How many wrappers, lists of guides and functions may be met on all ways from a model or guide to what runs.
MOST_WAYS = 256
EASY_GUIDE = "pyro.contrib.easyguide.EasyGuide"


@dataclass(frozen=True)
class Part:
    """One function or autoguide that runs when a model or a guide is called."""

    runs: Function | Made | None
    """A function of the project, or the call that makes an autoguide; ``None`` where :attr:`unknown` says why not."""
    handlers: tuple[Made | Library, ...] = ()
    """What is wrapped round it (``poutine.scale``, ``pyro.condition``, ``functools.partial`` …), outermost first."""
    unknown: str = ""
    """Why it is not known what runs, in words that follow "the model's sites are not known: …"."""

    def behind(self, handlers: tuple[Made | Library, ...]) -> Part:
        """The same within more handlers."""
        return Part(self.runs, handlers + self.handlers, self.unknown)


def is_wrapper(name: str) -> bool:
    """Whether something of a library takes a program and gives one back."""
    return name.startswith("pyro.poutine.") or name in _WRAPPERS


def wrapped(made: Made) -> Value | None:
    """The program that a wrapper was given; ``None`` when it was given options alone, to be called with one later."""
    if not is_wrapper(made.name):
        return None
    first = made.arguments[0] if made.arguments else None
    for key in ("fn", "model", "guide"):
        first = first or made.keywords.get(key)
    return None if isinstance(first, (Const, Mapping, Collection)) else first


def parts_of(value: Value | None) -> list[Part]:
    """Everything that may run when ``value``, a model or a guide, is called."""
    if not _is_plain(value):
        return [Part(None, unknown="too many programs may be behind it")]
    return [part for option in options(value) for part in _parts(option)]


def _is_plain(value: Value | None) -> bool:
    """Whether few enough ways lead through wrappers and lists of guides to what runs that each can be looked at."""
    stack, count = [*options(value)], 0
    while stack:
        current = stack.pop()
        count += 1
        if count > MOST_WAYS:
            return False
        if isinstance(current, Made):
            inner = (wrapped(current), current.argument(1, "guide") if current.name.startswith(AUTOGUIDES) else None)
            stack.extend(option for one in (*inner, *_appended(current)) for option in options(one))
    return True


def _appended(made: Made) -> list[Value]:
    """The parts of an ``AutoGuideList``."""
    found = getattr(made, "_attributes", {}).get(APPENDED)
    return found.items if isinstance(found, Collection) else []


def functions_of(value: Value | None) -> Iterator[FunctionNode]:
    """The functions that run when ``value``, a model or a guide, is called; wrappers are looked through."""
    for part in parts_of(value):
        if isinstance(part.runs, Function):
            yield part.runs.node


def _parts(value: Value) -> list[Part]:
    if isinstance(value, Function):
        return [_of_function(value)]
    if isinstance(value, Instance):
        return [_of_instance(value)]
    if isinstance(value, Made):
        if value.name.startswith(AUTOGUIDES):
            return _of_autoguide(value)
        if (inner := wrapped(value)) is not None:
            return [part.behind((value,)) for part in parts_of(inner)]
        return [Part(None, unknown=f"it is made by {value.name}")]
    return [Part(None, unknown="the source does not tell which function it is")]


def _of_function(function: Function) -> Part:
    handlers: list[Made | Library] = []
    unknown = ""
    for decorator in function.decorators:
        if isinstance(decorator, (Made, Library)) and is_wrapper(decorator.name):
            handlers.append(decorator)
        elif not (isinstance(decorator, (Made, Library)) and decorator.name in _PLAIN):
            unknown = "a decorator that is not understood is put on it"
    return Part(function, tuple(handlers), unknown)


def _of_instance(instance: Instance) -> Part:
    easy = inherits(instance.cls, EASY_GUIDE)
    for name in ("guide", "forward", "__call__") if easy else ("forward", "__call__"):
        member = instance.cls.member(name)
        if isinstance(member, Function):
            bound = Function(member.node, member.scope, member.module, member.decorators, instance)
            return _of_function(bound)
    return Part(None, unknown="its class has no forward method of its own")


def _of_autoguide(made: Made) -> list[Part]:
    last = made.name.rpartition(".")[2]
    if last == "AutoCallable":
        return parts_of(made.argument(1, "guide"))
    if last == "AutoGuideList":
        return [Part(made), *(part for item in _appended(made) for part in parts_of(item))]
    return [Part(made)]


#: Under this name an ``AutoGuideList`` remembers the parts that were appended to it.
APPENDED = "[appended]"


def lineage(cls: Class) -> list[Class]:
    """A class and the project's classes that it derives from, in Python's order."""
    return cls.lineage()


def _libraries(cls: Class) -> Iterator[str]:
    """The classes of libraries that a class of the project derives from."""
    return (base.name for known in cls.lineage() for base in known.bases if isinstance(base, Library))


def inherited(cls: Class, method: FunctionNode, name: str) -> Value | None:
    """What ``super().name`` is in ``method``, of an object of ``cls``; ``None`` where the project has none."""
    known = iter(cls.lineage())
    for owner in known:
        if any(isinstance(member, Function) and member.node is method for member in owner.members.values()):
            break
    return next((later.members[name] for later in known if name in later.members), None)


def repeats(decorator: Value) -> bool:
    """Whether a decorator may call its function several times: it, or what makes it, loops or calls more than once."""
    if isinstance(decorator, (Made, Library)):
        return decorator.name.rpartition(".")[2] in ("repeat", "retry")
    if not isinstance(decorator, Function):
        return False
    spec, inside = decorator.node.args, list(ast.walk(decorator.node))
    given = [argument.arg for argument in (*spec.posonlyargs, *spec.args)][:1]
    calls = [n for n in inside if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id in given]
    return len(calls) > 1 or any(isinstance(node, (ast.For, ast.While, ast.comprehension)) for node in inside)


def is_lightning(cls: Class) -> bool:
    """Whether a class is one of PyTorch Lightning, which calls its methods."""
    return any(map(_is_hooked, _libraries(cls)))


def _is_hooked(name: str) -> bool:
    package, last = name.partition(".")[0], name.rpartition(".")[2]
    return package in ("lightning", "pytorch_lightning") or last == "LightningModule"


def is_module(value: Value) -> bool:
    """Whether ``value`` is surely a module of torch: an object of one of the project's classes, or an autoguide."""
    if isinstance(value, Instance):
        return not _MODULES.isdisjoint(_libraries(value.cls))
    return isinstance(value, Made) and value.name.startswith(AUTOGUIDES)


def inherits(cls: Class, name: str) -> bool:
    """Whether a class of the project derives from a class of a library."""
    return name in _libraries(cls)
