"""Objects whose constructor Python writes: dataclasses, NamedTuples, pydantic's and attrs' classes.

A field is what the constructor was given; the class's default counts only where nothing was given, and nothing where
the program may set the field in ways that are not followed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyro_fix.analysis import roles
from pyro_fix.analysis.values import (
    Attribute,
    Class,
    Collection,
    Const,
    Function,
    Instance,
    Library,
    Made,
    Opaque,
    Value,
    join,
)

if TYPE_CHECKING:
    from pyro_fix.analysis.interpreter import Interpreter

#: Decorators that write a constructor, by the last part of their names.
_DECORATORS = frozenset({"dataclass", "define", "frozen", "mutable", "attrs", "s"})
#: Base classes that do.
_BASES = frozenset({"NamedTuple", "BaseModel", "BaseSettings", "Struct", "SQLModel", "TypedDict"})
#: Calls that describe a field in the class's body, by the last part of their names.
_DESCRIPTIONS = frozenset({"field", "Field", "ib", "attrib", "PrivateAttr"})
_AFTER = ("__post_init__", "__attrs_post_init__", "model_post_init")


@dataclass(frozen=True)
class _Field:
    """One field of a class: what its body says of it."""

    name: str
    default: Value | None
    given: bool
    """Whether the constructor takes it."""
    positional: bool
    kept: bool = True
    """Whether the object has it afterwards."""


def is_record(cls: Class) -> bool:
    """Whether Python, or a library, writes the constructor of a class from its fields."""
    if isinstance(cls.member("__init__"), Function):
        return False
    return any(_writes_constructor(known) for known in roles.lineage(cls))


def _writes_constructor(cls: Class) -> bool:
    made = [*cls.decorators, *cls.bases]
    names = [value.name.rpartition(".")[2] for value in made if isinstance(value, (Library, Made))]
    wanted = [_DECORATORS] * len(cls.decorators) + [_BASES] * len(cls.bases)
    return any(name in some for name, some in zip(names, wanted, strict=False))


def fill(
    run: Interpreter, instance: Instance, arguments: list[Value], keywords: dict[str, Value], spread: bool
) -> None:
    """Set the fields of a new object to what its constructor was given."""
    fields, cls = list(_fields(instance.cls)), instance.cls
    record = is_record(cls)
    if not record and not (arguments or keywords or spread):
        return  # a plain class: its body's names are what it has
    names = {field.name for field in fields}
    # a name that is no field may be the alias of one; a validator, or a constructor of a library, may set what it likes
    free = spread or bool(keywords.keys() - names) or not record or _is_validated(cls)
    free = free or any(_reads_environment(known) for known in roles.lineage(cls))
    places = [field for field in fields if field.given and field.positional]
    positional = {field.name: value for field, value in zip(places, arguments, strict=False)}
    for field in fields:
        value = keywords.get(field.name) or positional.get(field.name)
        if value is None:
            default = _default(run, field.default)
            value = join(default, Opaque()) if default is not None and free else default or Opaque()
        elif _is_validated(cls):
            value = Opaque()
        if field.kept:
            instance.set_attribute(field.name, value)
    for name in keywords.keys() - names:
        instance.set_attribute(name, keywords[name])
    for name in _AFTER:
        member = cls.member(name)
        if isinstance(member, Function):
            taint(instance, stored(member.node, "self"))
            run.call_function(
                Function(member.node, member.scope, member.module, member.decorators, instance), [], {}, None
            )


def unknown(instance: Instance) -> None:
    """The object stands for all of its class: its fields are whatever they were given."""
    if is_record(instance.cls):
        for field in _fields(instance.cls):
            instance.set_attribute(field.name, Opaque())


def replaced(instance: Instance, keywords: dict[str, Value], spread: bool) -> Instance:
    """A copy with some fields set anew: ``dataclasses.replace(config, steps=5)``."""
    copy = Instance(instance.cls)
    for name, value in getattr(instance, "_attributes", {}).items():
        copy.set_attribute(name, Opaque() if spread else _fresh(value))
    for name, value in keywords.items():
        copy.set_attribute(name, value)
    return copy


def set_by_name(base: Value, name: Value, value: Value) -> None:
    """``setattr(base, name, value)``; a name that is computed may be any."""
    if isinstance(name, Const) and isinstance(name.value, str):
        base.set_attribute(name.value, join(base.attribute(name.value), value))
    else:
        taint(base, None)


def update(base: Value, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]) -> None:
    """``vars(config).update(…)`` and ``config.__dict__.update(…)`` set attributes of ``config``."""
    if isinstance(base, Made) and base.name == "builtins.vars" and len(base.arguments) == 1:
        owner = base.arguments[0]
    elif isinstance(base, Attribute) and base.name == "__dict__":
        owner = base.base
    else:
        return
    if arguments or any(keyword.arg is None for keyword in node.keywords):
        taint(owner, None)
    for name, value in keywords.items():
        owner.set_attribute(name, join(owner.attribute(name), value))


def taint(value: Value, names: Iterable[str] | None) -> None:
    """Code that is not followed may have set these attributes, or any (``None``)."""
    known: dict[str, Value] = getattr(value, "_attributes", {})
    if names is None:
        names = [name for name, value in known.items() if not isinstance(value, Function)]
        if isinstance(value, Instance):
            members = (member for cls in roles.lineage(value.cls) for member in cls.members.items())
            names += [name for name, member in members if isinstance(member, (Const, Opaque, Collection))]
    for name in dict.fromkeys(names):
        before = value.attribute(name)
        if not isinstance(before, (Function, Made)):
            value.set_attribute(name, join(before, Opaque()))


def stored(function: ast.AST, name: str | None) -> list[str] | None:
    """The attributes that a function sets, of ``name`` or of anything; ``None`` where it may set any."""
    found = []
    for node in ast.walk(function):
        if isinstance(node, ast.Name) and node.id in ("setattr", "vars"):
            return None
        if isinstance(node, ast.Attribute):
            if node.attr == "__dict__":
                return None
            is_its = name is None or (isinstance(node.value, ast.Name) and node.value.id == name)
            if isinstance(node.ctx, ast.Store) and is_its:
                found.append(node.attr)
    return found


def _fields(cls: Class) -> Iterator[_Field]:
    """The fields of a class, those of its bases first, in the order of the constructor's arguments."""
    found: dict[str, _Field] = {}
    for known in reversed(list(roles.lineage(cls))):
        keyword_only = any(
            isinstance(d, Made) and _is_true(d.keywords.get("kw_only")) for d in known.decorators
        ) or any(
            isinstance(b, Library) and b.name.rpartition(".")[2] in ("BaseModel", "BaseSettings") for b in known.bases
        )
        for node in known.node.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, annotation = node.target.id, ast.unparse(node.annotation)
            elif isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name, annotation = node.targets[0].id, ""
                if not _is_description(known.members.get(name)):
                    continue
            else:
                continue
            if "ClassVar" in annotation:
                continue
            if annotation.endswith("KW_ONLY"):
                keyword_only = True
                continue
            default = known.members.get(name)
            given, only = True, keyword_only
            if isinstance(default, Made) and _is_description(default):
                init = default.keywords.get("init")
                given = not (isinstance(init, Const) and init.value is False)
                only = only or _is_true(default.keywords.get("kw_only"))
            found[name] = _Field(name, default, given, not only, "InitVar" not in annotation)
    yield from found.values()


def _default(run: Interpreter, value: Value | None) -> Value | None:
    """What a field is where nothing is given for it; ``None`` where that is not known."""
    if isinstance(value, Made) and _is_description(value):
        for key in ("default_factory", "factory"):
            made = value.keywords.get(key)
            if isinstance(made, (Function, Class)):
                return run.apply(made, value.node, [], {})
            if made is not None:
                return None
        first = 0 if value.name.rpartition(".")[2] in ("Field", "ib", "attrib") else -1
        value = value.argument(first, "default")
    if value is None or (isinstance(value, Const) and value.value is Ellipsis):
        return None
    return _fresh(value)


def _fresh(value: Value) -> Value:
    """The same literal for another place: two fields with one default are two things."""
    return Const(value.value, value.within) if isinstance(value, Const) else value


def _is_description(value: Value | None) -> bool:
    return isinstance(value, Made) and value.name.rpartition(".")[2] in _DESCRIPTIONS


def _is_true(value: Value | None) -> bool:
    return isinstance(value, Const) and value.value is True


def _is_validated(cls: Class) -> bool:
    """Whether methods of the class look at what it is given, and may change it."""
    return any(
        isinstance(decorator, (Library, Made)) and "validator" in decorator.name.rpartition(".")[2]
        for known in roles.lineage(cls)
        for member in known.members.values()
        if isinstance(member, Function)
        for decorator in member.decorators
    )


def _reads_environment(cls: Class) -> bool:
    return any(isinstance(base, Library) and base.name.endswith("BaseSettings") for base in cls.bases)
