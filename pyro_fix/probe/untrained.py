"""Tensors that could learn, that a site is computed from, and that nothing trains: networks that nobody registered.

Pyro trains what is in its parameter store.  A network that a guide calls without ``pyro.module`` is not there,
gradients reach it all the same, and nothing says a word.  Autograd's graph is followed from the sites to its leaves;
those that are parameters, that an optimiser of the program's own holds, or that it was handed as data are somebody's.
"""

from __future__ import annotations

import gc
import inspect
import keyword
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pyro
import pyro.optim
import torch

from . import inputs, sites
from .executions import Execution, callee

if TYPE_CHECKING:
    from .entries import Entry
    from .places import Places

#: A graph that is larger than this is not searched to its end.
MOST_NODES = 100_000
#: How many modules are told of.
MOST = 20
#: A leaf has to be there in so many executions: what each of them makes anew is no parameter.
_EXECUTIONS = 2


def find(entry: Entry, executions: list[Execution], places: Places) -> list[dict[str, Any]]:
    """The fields of ``untrained`` in a ``look`` event; nothing has called ``backward`` in this process yet."""
    svi = entry.svi() if entry.svi is not None else None
    if not isinstance(getattr(svi, "optim", None), pyro.optim.PyroOptim) or len(executions) < _EXECUTIONS:
        return []  # an optimiser of the user's own trains what the user says, and may be made later on
    found, *others = (_leaves(execution) for execution in executions[:_EXECUTIONS])
    known = _known(entry)
    orphans = {
        key: leaf
        for key, leaf in found.items()
        if key not in known and all(key in other for other in others) and leaf[0].grad is None
    }
    if not orphans:
        return []
    held, modules = _alive()
    known |= held
    orphans = {key: leaf for key, leaf in orphans.items() if key not in known}
    return [_told(entry, group, module, places) for module, group in _grouped(entry, orphans, known, modules)][:MOST]


def _leaves(execution: Execution) -> dict[int, Any]:
    """By identity, the leaves that sites are computed from, each with the first site: guide before model."""
    found: dict[int, Any] = {}
    visited: set[Any] = set()
    for role in ("guide", "model"):
        for name, site in sites.samples(getattr(execution, role)):
            for tensor in _ends(site):
                for leaf in _reached(tensor, visited):
                    found.setdefault(id(leaf), (leaf, role, name))
    return found


def _ends(site: Any) -> Iterator[torch.Tensor]:
    """What of a site the loss is computed from; an observed value is data, whatever it asks of autograd."""
    value, is_tensor = site["value"], isinstance(site["value"], torch.Tensor)
    if is_tensor and not site["is_observed"]:
        yield value
    try:
        with torch.enable_grad():
            given = value.detach() if is_tensor and site["is_observed"] else value
            density = site["fn"].log_prob(given, *site["args"], **site["kwargs"])
    except Exception:  # whatever it is, it is told of elsewhere
        return
    if isinstance(density, torch.Tensor):
        yield density


def _reached(start: torch.Tensor, visited: set[Any]) -> Iterator[torch.Tensor]:
    """The leaves that ``start`` was computed from, but for those behind what was ``visited``."""
    if start.grad_fn is None:
        if start.requires_grad:
            yield start
        return
    waiting = [start.grad_fn]
    while waiting and len(visited) < MOST_NODES:
        node = waiting.pop()
        if node in visited:
            continue
        visited.add(node)
        leaf = getattr(node, "variable", None)
        if isinstance(leaf, torch.Tensor):
            yield leaf
        waiting += [following for following, _ in node.next_functions if following is not None]


def _known(entry: Entry) -> set[int]:
    """The parameters, and the tensors that the step was called with."""
    given = inputs.named(entry.model, entry.guide, entry.args, entry.kwargs)
    params = [param.unconstrained for _, param in entry.params]
    return {id(tensor) for tensor in (*params, *pyro.get_param_store()._params.values(), *(t for _, t in given))}


def _alive() -> tuple[set[int], list[torch.nn.Module]]:
    """The tensors that optimisers hold, and the modules that there are."""
    held: set[int] = set()
    modules = []
    for thing in gc.get_objects():
        kind = type(thing)  # isinstance would ask a proxy for its class
        if issubclass(kind, torch.nn.Module) and "_parameters" in vars(thing):
            modules.append(thing)
        elif issubclass(kind, torch.optim.Optimizer) and "param_groups" in vars(thing):
            held |= {id(tensor) for group in thing.param_groups for tensor in group["params"]}
    return held, modules


def _grouped(
    entry: Entry, orphans: dict[int, Any], known: set[int], modules: list[torch.nn.Module]
) -> list[tuple[torch.nn.Module | None, list[Any]]]:
    """The leaves by the module that could be registered for them: the least that has a name, or else the greatest."""
    owners: dict[int, list[tuple[int, torch.nn.Module]]] = {}
    frozen: set[int] = set()
    for module in modules:
        if not module.training:  # it was put into the mode in which networks are used as they are
            frozen |= {id(param) for param in module.parameters(recurse=False)}
        inside = {id(param) for param in module.parameters() if param.requires_grad}
        if not inside & known:
            for key in inside & orphans.keys():
                owners.setdefault(key, []).append((len(inside), module))
    spelled = {role: _spelled(entry, role)[0] for _, role, _ in orphans.values()}
    chosen: dict[int, tuple[int, torch.nn.Module]] = {}
    for key, (_, role, _) in orphans.items():
        around = owners.get(key, [])
        named = [owner for owner in around if id(owner[1]) in spelled[role]]
        if named:
            best = min(named, key=lambda owner: (owner[0], _roundabout(spelled[role][id(owner[1])])))
            chosen[id(best[1])] = best
        elif around:
            best = max(around, key=lambda owner: owner[0])
            chosen[id(best[1])] = best
    groups: dict[int, tuple[torch.nn.Module | None, list[Any]]] = {}
    for key, leaf in orphans.items():
        if key in frozen:
            continue
        # one that holds another one of them stands for both
        around = [owner for owner in owners.get(key, ()) if id(owner[1]) in chosen]
        owner = max(around, key=lambda owner: owner[0])[1] if around else None
        groups.setdefault(key if owner is None else id(owner), (owner, []))[1].append(leaf)
    return list(groups.values())


def _roundabout(name: str) -> int:
    """Of names for the same parameters, the program's own word for them is least so."""
    return 2 if name == "self" else name.count(".")


def _told(entry: Entry, leaves: list[Any], module: torch.nn.Module | None, places: Places) -> dict[str, Any]:
    first, role, site = leaves[0]
    names, code = _spelled(entry, role)
    thing: Any = first if module is None else module
    return {
        "role": role,
        "site": site,
        "name": names.get(id(thing), ""),
        "kind": type(thing).__name__,
        "tensors": len(leaves),
        "numbers": sum(leaf.numel() for leaf, _, _ in leaves),
        "where": "" if code is None else places.label(code.co_filename, code.co_firstlineno),
    }


# -- how the program's own function calls a thing


def _spelled(entry: Entry, role: str) -> tuple[dict[int, str], Any]:
    """Identity of a thing -> how it can be written at the head of the guide's (or model's) function; and its code."""
    function, this = _function(entry.guide if role == "guide" else entry.model)
    code = getattr(function, "__code__", None)
    if code is None:
        return {}, None
    taken = {*code.co_varnames, *code.co_cellvars}
    roots: dict[str, Any] = {}
    for name, cell in zip(code.co_freevars, function.__closure__ or ()):  # noqa: B905
        try:
            roots[name] = cell.cell_contents
        except ValueError:  # it is not assigned yet
            continue
    for name in code.co_names:
        if name in function.__globals__ and name not in taken:
            roots.setdefault(name, function.__globals__[name])
    names: dict[int, str] = {}
    for name, value in roots.items():
        names.setdefault(id(value), name)
    if this is not None and code.co_argcount:
        roots = {code.co_varnames[0]: this, **roots}
        names.setdefault(id(this), code.co_varnames[0])
    for root, value in roots.items():
        # what a network is made of, the program means only where it says so
        is_part = isinstance(value, torch.nn.Module) and value is not this
        for name, part in _attributes(value):
            if not is_part or name in code.co_names:
                names.setdefault(id(part), f"{root}.{name}")
    for name, value in function.__globals__.items():
        if name not in taken:
            names.setdefault(id(value), name)
    return {key: name for key, name in names.items() if _is_written(name)}, code


def _function(fn: Any) -> tuple[Any, Any]:
    """The function that runs, and the object that it is a method of."""
    fn = callee(fn)
    while not hasattr(fn, "__name__") and hasattr(fn, "func"):  # a partial of the user's
        fn = fn.func
    if not inspect.isroutine(fn):
        fn = getattr(fn, "forward", None) or getattr(fn, "__call__", None)  # noqa: B004
    fn = inspect.unwrap(fn) if callable(fn) else fn
    return getattr(fn, "__func__", fn), getattr(fn, "__self__", None)


def _attributes(thing: Any) -> Iterator[tuple[str, Any]]:
    """What an object has of its own, without running any code of its."""
    own = getattr(thing, "__dict__", None)
    if not isinstance(own, dict):
        return
    for name, value in {**own, **(own.get("_modules") or {}), **(own.get("_parameters") or {})}.items():
        yield str(name), value


def _is_written(name: str) -> bool:
    parts = name.split(".")
    return all(part.isidentifier() and not keyword.iskeyword(part) and not part.startswith("__") for part in parts)
