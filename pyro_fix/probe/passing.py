"""What is known of a few missing modules: they hand on what they are given, as it is.

All else that comes out of a stand-in is a guess, and marked as one.  These have no other meaning: ``tqdm(range(9))``
goes over ``range(9)``, and a function that is compiled by ``njit`` computes what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .marked import Marked

#: Module -> last names of what goes over what it is given, and shows how far it is.
_BARS = {
    "tqdm": ("tqdm", "tqdm_notebook", "trange", "tnrange"),
    "rich": ("track",),
    "fastprogress": ("progress_bar", "master_bar"),
    "alive_progress": ("alive_it",),
    "progressbar": ("progressbar",),
    "numba": ("prange",),
}
#: Of these, what counts by itself.
_RANGES = ("trange", "tnrange", "prange")
#: Module -> last names of decorators that leave a function what it is.
_DECORATORS = {
    "numba": ("jit", "njit"),
    "typeguard": ("typechecked",),
    "beartype": ("beartype",),
    "jaxtyping": ("jaxtyped",),
    "line_profiler": ("profile",),
    "memory_profiler": ("profile",),
    "joblib": ("cache",),
    "streamlit": ("cache", "cache_data", "cache_resource"),
}
#: Module -> last names of what looks at a network, and leaves it as it is.
_LOOKS = {
    "wandb": ("watch",),
    "torchsummary": ("summary",),
    "torchinfo": ("summary",),
    "torchviz": ("make_dot",),
    "tensorboardX": ("add_graph",),
    "torch": ("add_graph",),
}


def _is_one(names: Mapping[str, tuple[str, ...]], one: Marked) -> bool:
    path = one._pyro_fix_path
    while path.endswith("()"):  # ``njit(parallel=True)``
        path = path[:-2]
    return path.rpartition(".")[2] in names.get(path.partition(".")[0], ())


def is_known(one: Marked) -> bool:
    """Whether a call of a stand-in hands on what it is given."""
    return _is_one(_BARS, one) or _is_one(_DECORATORS, one)


def is_decorator(one: Marked) -> bool:
    """Whether a stand-in leaves a function what it is."""
    return _is_one(_DECORATORS, one)


def looks(one: Marked) -> bool:
    """Whether a stand-in leaves a network what it is."""
    return _is_one(_LOOKS, one)


def bar(one: Marked, call: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What the call of a stand-in for a progress bar makes; None for a call of anything else.

    ``call``: the stand-in for what such a call makes.
    """
    if not _is_one(_BARS, one) or one._pyro_fix_path.endswith("()"):
        return None
    name = one._pyro_fix_path.rpartition(".")[2]
    if name in _RANGES:
        return Bar(call, range(*args))
    return Bar(call, args[0] if args else kwargs.get("iterable", kwargs.get("sequence")))


class Bar:
    """Goes over what it was given; for the rest it is a stand-in."""

    def __init__(self, stand_in: Any, given: Any) -> None:
        """``given``: what to go over; None where there is nothing."""
        self._pyro_fix_stand_in = stand_in
        self._pyro_fix_given = given

    def __iter__(self) -> Iterator[Any]:
        """The items are the program's own."""
        given = self._pyro_fix_given
        return iter(self._pyro_fix_stand_in if given is None else given)

    def __len__(self) -> int:
        """As many as there are."""
        return len(self._pyro_fix_given)

    def __bool__(self) -> bool:
        """It is there."""
        return True

    def __enter__(self) -> Any:
        """Nothing is opened."""
        return self

    def __exit__(self, *_: Any) -> None:
        """Nothing is closed."""

    def __getattr__(self, name: str) -> Any:
        """What it shows is nobody's business."""
        return getattr(self._pyro_fix_stand_in, name)
