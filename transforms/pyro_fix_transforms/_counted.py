"""How often a minibatch's data count: once, as if they were all, or by the plate and by hand as well (SVI101)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from pyro_fix.analysis import flow
from pyro_fix.analysis.program import Program, Site, Step, Svi, functions_of
from pyro_fix.analysis.scopes import Module
from pyro_fix.analysis.spell import spell
from pyro_fix.analysis.values import (
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Const,
    Item,
    Made,
    Value,
    same,
    walk,
)

LOADER = "torch.utils.data.DataLoader"
_PARTS = frozenset({"split", "chunk", "tensor_split"})
#: What chooses rows at random.
_CHOOSING = frozenset({"torch.randint", "torch.randperm", "numpy.random.choice", "numpy.random.randint"})
#: What may put something else than the rows first.
_TURNING = frozenset({"T", "mT", "t", "transpose", "permute", "swapaxes", "movedim"})
#: Who writes one of these weighs the terms of the ELBO by himself, perhaps.
_WEIGHING = frozenset({"factor", "block", "mask", "scale", "BlockMessenger", "ScaleMessenger"})


@dataclass(frozen=True)
class Miscount:
    """What is said of it, where, and what to do by hand: the objective becomes another one, which no run can judge."""

    module: Module
    node: ast.Call
    message: str
    advice: str


def miscounted(program: Program, svi: Svi, is_scaled: bool) -> Iterator[Miscount]:
    """Data of the model that count another number of times than there are, as the source surely shows.

    ``is_scaled`` tells whether anything scales the model or the guide.
    """
    sites = program.sites_of(functions_of(svi.model))
    latents = [site for site in sites if not site.observed]
    twice = next(filter(None, (_twice(site, latents) for site in sites if site.observed)), None)
    if twice is not None:
        yield twice
    elif not is_scaled and not svi.is_lowlevel:
        yield from _unscaled(program, svi, sites, latents)


# -- scaled twice


def _twice(site: Site, latents: list[Site]) -> Miscount | None:
    """A plate that subsamples, and a scale by the same share beside it; what scales all of the model alike is none."""
    for plate in site.plates:
        size, part = plate.argument(1, "size"), plate.argument(2, "subsample_size")
        for context in site.contexts if size is not None and part is not None else ():
            if not isinstance(context, Made) or context.name != "pyro.poutine.scale":
                continue
            scale = context.argument(1, "scale")
            global_ = [one for one in latents if not any(other is context for other in one.contexts)]
            if scale is not None and size is not None and part is not None and _is_share(scale, size, part) and global_:
                name = _name(plate)
                return Miscount(
                    context.module,
                    context.node,
                    f"the data of '{site.name}' are scaled twice: plate {name} does it by size / subsample_size, and "
                    "poutine.scale by the same once more",
                    "leave the poutine.scale out, or give the plate the size of the minibatch alone",
                )
    return None


def _is_share(scale: Value, size: Value, part: Value) -> bool:
    if isinstance(scale, Arithmetic) and scale.operator == "Div":
        return all(map(_is_same, scale.operands, (size, part)))
    numbers = [
        one.value for one in (scale, size, part) if isinstance(one, Const) and isinstance(one.value, (int, float))
    ]
    return len(numbers) == 3 and numbers[2] not in (0, numbers[1]) and numbers[0] == numbers[1] / numbers[2]


def _is_same(one: Value, other: Value) -> bool:
    """Whether two values are one, or the length of one."""
    if isinstance(one, Made) and isinstance(other, Made) and one.name == other.name == "builtins.len":
        return all(map(same, one.arguments, other.arguments))
    return same(one, other)


# -- not scaled at all


def _unscaled(program: Program, svi: Svi, sites: list[Site], latents: list[Site]) -> Iterator[Miscount]:
    """Plates of a minibatch's size, in which all of the data stand, beside latents that all minibatches share."""
    observed = [site for site in sites if site.observed]
    words = (n for function in functions_of(svi.model) for n in ast.walk(function))
    if any(isinstance(n, (ast.Name, ast.Attribute)) and _word(n) in _WEIGHING for n in words):
        return
    for plate in {plate.node: plate for site in observed for plate in site.plates}.values():
        size = plate.argument(1, "size")
        shared = [s for s in latents if s.name is not None and not s.loops and not _stands_in(s, plate)]
        if size is None or not shared or not svi.steps or not all(_stands_in(site, plate) for site in observed):
            continue
        if plate.spread or plate.argument(2, "subsample_size") or plate.argument(3, "subsample"):
            continue
        taken = [_of_a_part(svi, step, size) for step in svi.steps]
        if None not in taken and len({id(one) for one in taken}) == 1:
            yield _told(svi, plate, observed[0], shared[0], taken[0])
            return


def _told(svi: Svi, plate: Made, observed: Site, shared: Site, whole: Value | None) -> Miscount:
    all_of_it = _all_of(whole, svi)
    counts = f" (len({all_of_it}), where the SVI is made)" if all_of_it else ""
    size = _size_of(plate)
    which, part = (f", {size},", size) if size else ("", "the minibatch's")
    return Miscount(
        plate.module,
        plate.node,
        f"plate {_name(plate)} has the size of a minibatch{which} and nothing scales it: the data of '{observed.name}' "
        f"count as if there were no others, and the prior of '{shared.name}' once for every minibatch",
        f"give the plate the number of all data{counts} as its size, and {part} as its subsample_size",
    )


def _size_of(plate: Made) -> str:
    """The size of a plate as its call spells it, where it does."""
    given = {keyword.arg: keyword.value for keyword in plate.node.keywords}
    node = given.get("size", plate.node.args[1] if len(plate.node.args) > 1 else None)
    return ast.unparse(node) if node is not None else ""


def _stands_in(site: Site, plate: Made) -> bool:
    return any(one.node is plate.node for one in site.plates)


def _of_a_part(svi: Svi, step: Step, size: Value) -> Value | None:
    """What the minibatch is a part of whose length is the plate's ``size``, where a step is given one."""
    argument = _measured(size)
    if any(isinstance(given, ast.Starred) for given in step.call.args):
        return None
    if argument is None:  # the size of the batches, by its name
        pairs = zip(step.call.args, step.arguments, strict=False)
        parts = [part for node, value in pairs if (part := _part(step, node, value)) is not None]
        return next((part for part in parts if _is_its_size(size, step)), None)
    for function in functions_of(svi.model):
        if function is not argument.function:
            continue
        names = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        position = names.index(argument.name) - (names[0] == "self") if argument.name in names else -1
        if argument.name in step.keywords:
            node = next(k.value for k in step.call.keywords if k.arg == argument.name)
            return _part(step, node, step.keywords[argument.name])
        if 0 <= position < len(step.arguments) == len(step.call.args):
            return _part(step, step.call.args[position], step.arguments[position])
    return None


def _measured(size: Value) -> Argument | None:
    """``x`` of ``len(x)``, ``x.shape[0]``, ``x.size(0)``, also where that is of what was computed from ``x`` alone."""
    if isinstance(size, Made) and size.name == "builtins.len" and size.arguments:
        inner = size.arguments[0]
    elif isinstance(size, Applied) and isinstance(size.callee, Attribute) and size.callee.name == "size":
        if [*map(_is_zero, size.arguments)] != [True]:
            return None
        inner = size.callee.base
    elif isinstance(size, Item) and isinstance(size.base, Attribute) and size.base.name == "shape":
        if not _is_zero(size.index):
            return None
        inner = size.base.base
    else:
        return None
    parts = list(walk(inner))
    if any(isinstance(part, Attribute) and part.name in _TURNING for part in parts):
        return None
    found = [part for part in parts if isinstance(part, Argument) and part.name != "self"]
    return found[0] if len(found) == 1 else None


def _is_zero(value: Value) -> bool:
    return isinstance(value, Const) and value.value == 0


def _is_its_size(size: Value, step: Step) -> bool:
    """Whether ``size`` is how many rows the loop takes at once."""
    over = _over(step)
    if isinstance(over, Made) and over.name == LOADER:
        rows = over.argument(1, "batch_size")
    elif isinstance(over, Made) and over.name == "builtins.range" and len(over.arguments) == 3:
        rows = over.arguments[2]
    elif isinstance(over, Applied) and isinstance(over.callee, Attribute) and over.callee.name == "split":
        rows = over.arguments[0] if over.arguments else None
    else:
        rows = None
    return rows is not None and same(rows, size)


def _over(step: Step) -> Value | None:
    """What the inner one of several loops goes through."""
    loop = step.loops[-1] if len(step.loops) > 1 else None
    over = flow.unwrapped(loop.over) if loop is not None and loop.over is not None else None
    return over.arguments[0] if isinstance(over, Made) and over.name == "builtins.zip" and over.arguments else over


def _part(step: Step, node: ast.expr, value: Value) -> Value | None:
    """What a step is given a part of: of a loader that is gone through again and again, or of rows that move."""
    if isinstance(value, Item) and (_moves(value.index, step) or _is_chosen(value.index)):
        return value.base
    over = _over(step)
    if over is None:
        return None
    targets = {n.id for n in _targets(step) if isinstance(n, ast.Name)}
    if not any(isinstance(n, ast.Name) and n.id in targets for n in ast.walk(node)):
        return None
    if isinstance(over, Made) and over.name == LOADER:
        return None if _takes_all(over.argument(1, "batch_size")) else over
    if isinstance(over, Applied) and isinstance(over.callee, Attribute) and over.callee.name in _PARTS:
        return over.callee.base
    return None


def _targets(step: Step) -> Iterator[ast.AST]:
    """What the inner loop gives names to; a comprehension's is known by what it goes through."""
    loop = step.loops[-1].node
    for node in ast.walk(step.module.tree):
        if isinstance(node, (ast.For, ast.AsyncFor, ast.comprehension)) and loop in (node, node.iter):
            yield from ast.walk(node.target)


def _moves(index: Value, step: Step) -> bool:
    """Whether an index is a slice that begins elsewhere in every round of an inner loop with a stride."""
    over = _over(step)
    strides = isinstance(over, Made) and over.name == "builtins.range" and len(over.arguments) == 3
    if not strides or not isinstance(index, Arithmetic) or index.operator != "Slice":
        return False
    return not isinstance(index.operands[0], Const)


def _is_chosen(index: Value) -> bool:
    """Whether an index is some rows that are drawn; all of them, in another order, are no part."""
    if isinstance(index, Made) and index.name in _CHOOSING - {"torch.randperm"}:
        return True
    return (
        isinstance(index, Item)
        and isinstance(index.base, Made)
        and index.base.name == "torch.randperm"
        and isinstance(index.index, Arithmetic)
    )


def _takes_all(size: Value | None) -> bool:
    """Whether a loader's batches may hold all that there is."""
    return size is not None and any(
        (isinstance(part, Made) and part.name == "builtins.len")
        or (isinstance(part, Attribute) and part.name in ("shape", "size"))
        for part in walk(size)
    )


def _all_of(whole: Value | None, svi: Svi) -> str | None:
    text = spell(whole, svi.scope) if whole is not None else None
    return f"{text}.dataset" if text and isinstance(whole, Made) and whole.name == LOADER else text


def _name(plate: Made) -> str:
    name = plate.argument(0, "name")
    return f"'{name.value}'" if isinstance(name, Const) and isinstance(name.value, str) else "of the data"


def _word(node: ast.Name | ast.Attribute) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id
