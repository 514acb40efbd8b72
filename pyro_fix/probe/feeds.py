"""Which parameter reaches which argument of which site's distribution, and through what operations: autograd's graph.

The search starts at an argument and goes back towards the leaves.  It ends at a parameter's constrained value, so that
the parameter's own constraint is no operation, and at every sampled value, which is a matter of its own site.  What a
distribution does to an argument that it was given (``Categorical`` divides its ``probs`` by their sum) is no operation
of the program's either.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import pyro.distributions.distribution
import torch
from pyro import poutine

from . import sites
from .supports import support_name

#: Operations that only move or repeat elements, by autograd's names.
MOVING = frozenset(
    {
        "Alias",
        "AsStrided",
        "Clone",
        "Cat",
        "Contiguous",
        "Diagonal",
        "Expand",
        "Flip",
        "Gather",
        "Index",
        "IndexSelect",
        "LiftFresh",
        "MaskedSelect",
        "Movedim",
    }
    | {
        "Permute",
        "Repeat",
        "RepeatInterleave",
        "Reshape",
        "ReshapeAlias",
        "Roll",
        "Select",
        "Slice",
        "Split",
        "SplitWithSizes",
        "Squeeze",
        "Stack",
    }
    | {
        "Swapaxes",
        "T",
        "Take",
        "Tile",
        "ToCopy",
        "Transpose",
        "Unbind",
        "Unfold",
        "UnsafeSplit",
        "UnsafeView",
        "Unsqueeze",
        "View",
        "ViewAs",
    }
)
#: A graph that is larger than this is not searched to its end.
MOST_NODES = 20_000
#: How many different operations a feed tells.
MOST_OPERATIONS = 20

#: A node of the graph: autograd's, or the identity of a leaf tensor.
Key = Any


class Marks(poutine.messenger.Messenger):
    """Marks the constrained values of parameters, and cuts the graph at sampled values."""

    def __init__(self) -> None:
        super().__init__()
        self.params: dict[Key, str] = {}
        self._alive: list[Any] = []

    def _pyro_post_param(self, msg: Any) -> None:
        value = msg["value"]
        if isinstance(value, torch.Tensor) and value.requires_grad:
            self.params.setdefault(_key(value), msg["name"])
            self._alive.append(value)

    def _pyro_post_sample(self, msg: Any) -> None:
        value = msg["value"]
        if isinstance(value, torch.Tensor) and value.requires_grad and not msg["is_observed"]:
            msg["value"] = value.detach()


class Given:
    """The tensors that distributions were made of, by their classes and the names of the arguments."""

    def __init__(self) -> None:
        self._found: dict[type, dict[str, list[torch.Tensor]]] = {}

    def of(self, fn: Any, argument: str) -> list[torch.Tensor] | None:
        """What was given as an argument of any distribution of this class.

        None where none was seen made, and where its constructor calls its arguments by other names.
        """
        made = self._found.get(type(fn))
        if made is None or argument not in type(fn).__signature__.parameters:
            return None
        return made.get(argument, [])

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Note what distributions are made of meanwhile."""
        coercions = pyro.distributions.distribution.COERCIONS
        coercions.insert(0, self._coerce)
        try:
            yield
        finally:
            coercions.remove(self._coerce)

    def _coerce(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hears of every distribution that is about to be made; answering None lets it be made as it is."""
        try:
            bound = cls.__signature__.bind(*args, **kwargs).arguments
        except (TypeError, AttributeError):
            return
        made = self._found.setdefault(cls, {})
        for name, value in bound.items():
            if isinstance(value, torch.Tensor):
                made.setdefault(name, []).append(value)


def of_site(site: Any, params: dict[Key, str], given: Given) -> list[dict[str, Any]]:
    """The feeds of one site of a trace."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for fn in sites.layers(site["fn"]):
        for argument, value, constraint in sites.given(fn):
            if not value.requires_grad:
                continue
            boundary = given.of(fn, argument)
            if boundary == []:
                continue  # it was computed from another argument
            for param, operations in _reaching(value, params, {_key(tensor) for tensor in boundary or ()}):
                feed = {
                    "argument": argument,
                    "required": support_name(constraint),
                    "param": param,
                    "operations": operations[:MOST_OPERATIONS],
                    "unchanged": all(operation in MOVING for operation in operations),
                }
                # A distribution may hand its argument on to one inside it, which knows it by the same name.
                found.setdefault((argument, param), feed)
    return list(found.values())


def _key(tensor: torch.Tensor) -> Key:
    return tensor.grad_fn if tensor.grad_fn is not None else id(tensor)


def _node_key(node: Any) -> Key:
    """A leaf's gradient ends in a node of its own, which stands for the leaf."""
    variable = getattr(node, "variable", None)
    return node if variable is None else id(variable)


def _reaching(start: torch.Tensor, params: dict[Key, str], boundary: set[Key]) -> Iterator[tuple[str, list[str]]]:
    """The parameters from which ``start`` was computed, each with the operations on the ways between.

    A way counts from where it crosses ``boundary``; where there is one, a way that does not cross it is none.
    """
    first = (_key(start), not boundary or _key(start) in boundary)
    order = {first: 0}
    queue = [first]
    users: dict[Any, list[Any]] = {first: []}
    hits: dict[str, list[Any]] = {}
    for state in queue:  # it grows meanwhile
        key, outside = state
        if key in params:
            if outside:
                hits.setdefault(params[key], []).append(state)
            continue
        for node, _ in getattr(key, "next_functions", ()):
            if node is None:
                continue
            next_key = _node_key(node)
            following = (next_key, outside or next_key in boundary)
            if following not in order:
                if len(order) >= MOST_NODES:
                    continue
                order[following] = len(order)
                users[following] = []
                queue.append(following)
            users[following].append(state)
    for name, states in hits.items():
        yield name, _operations(states, users, order)


def _operations(states: list[Any], users: dict[Any, list[Any]], order: dict[Any, int]) -> list[str]:
    """The names of the nodes between the start and ``states``, from the start on."""
    between: set[Any] = set()
    waiting = [user for state in states for user in users[state]]
    while waiting:
        state = waiting.pop()
        if state not in between:
            between.add(state)
            waiting += users[state]
    names = [_name(key) for key, outside in sorted(between, key=order.__getitem__) if outside]
    return list(dict.fromkeys(names))


def _name(key: Any) -> str:
    return re.sub(r"Backward\d*$", "", key.name() if hasattr(key, "name") else type(key).__name__)
