"""The CPU in the place of a GPU that a program asks for, where there is none.

``torch.cuda.is_available()`` goes on saying so: who asks takes his usual way.  This is for programs that do not ask.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch

from .journal import Journal
from .labels import Labels

_GPU = re.compile(r"cuda(:\d+)?")
_TYPE = re.compile(r"(torch\.)cuda\.(\w+Tensor)")
#: What is true without a GPU as well.
_TRUE = ("is_available", "device_count", "is_initialized", "is_built", "init", "is_bf16_supported")
#: What questions are answered with, other than by nothing.
_ANSWERS: dict[str, Any] = {
    "current_device": 0,
    "get_arch_list": [],
    "get_device_capability": (0, 0),
    "get_device_name": "cpu",
    "get_rng_state_all": [],
    "mem_get_info": (0, 0),
    "memory_snapshot": [],
    "memory_stats": {},
    "memory_summary": "",
    "utilization": 0,
    **dict.fromkeys(("memory_allocated", "max_memory_allocated", "memory_cached", "max_memory_cached"), 0),
    **dict.fromkeys(("memory_reserved", "max_memory_reserved"), 0),
}


def enter(journal: Journal, labels: Labels) -> None:
    """Have all that goes to a GPU go to the CPU, and tell of the first time."""
    overrides: Any = torch.overrides
    if torch.cuda.is_available() or not hasattr(overrides, "TorchFunctionMode"):
        return
    told: list[str] = []

    def tell() -> None:
        if not told:
            told.append(labels.around(sys._getframe(2)))
            journal.write("substitute", kind="device", what="CUDA", lacking="CUDA", where=told[0])

    class Redirected(overrides.TorchFunctionMode):  # type: ignore[misc]
        """Hears of every call of torch's functions."""

        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = getattr(func, "__name__", "")
            if name in ("cuda", "pin_memory"):
                tell()
                return args[0]
            moves = name in ("to", "type")
            plain = tuple(_elsewhere(value, moves=moves and place == 1) for place, value in enumerate(args))
            given = {key: _elsewhere(value, moves=key == "device") for key, value in (kwargs or {}).items()}
            if any(a is not b for a, b in zip((*plain, *given.values()), (*args, *(kwargs or {}).values()))):  # noqa: B905
                tell()
            return func(*plain, **given)

    Redirected().__enter__()
    _redirect_defaults(tell)
    _redirect_cuda(tell)
    # The lowest number is asked first; torch's own for a GPU has 20.
    register: Any = torch.serialization.register_package
    register(5, lambda storage: None, lambda storage, place: _stay(storage, place, tell))


def _elsewhere(value: Any, *, moves: bool = False) -> Any:
    """The CPU for a GPU; ``moves``: a number, or a text, says where to."""
    if isinstance(value, torch.device):
        return torch.device("cpu") if value.type == "cuda" else value
    if moves and isinstance(value, str):
        return "cpu" if _GPU.fullmatch(value) else _TYPE.sub(r"\1\2", value)
    return "cpu" if moves and type(value) is int else value


def _stay(storage: Any, place: Any, tell: Callable[[], None]) -> Any:
    if not str(place).startswith("cuda"):
        return None
    tell()
    return storage


def _redirect_defaults(tell: Callable[[], None]) -> None:
    """What all tensors are made on, or of, from here on."""
    context: Any = getattr(getattr(torch.utils, "_device", None), "DeviceContext", None)
    if context is not None:  # since torch 2.0
        real = context.__init__

        @functools.wraps(real)
        def init(this: Any, device: Any) -> None:
            plain = _elsewhere(torch.device(device))
            if plain.type != torch.device(device).type:
                tell()
            real(this, plain)

        context.__init__ = init
    space: Any = torch
    real_type = space.set_default_tensor_type

    @functools.wraps(real_type)
    def set_default_tensor_type(kind: Any) -> None:
        plain = _TYPE.sub(r"\1\2", kind) if isinstance(kind, str) else kind
        if plain is not kind:
            tell()
        real_type(plain)

    space.set_default_tensor_type = set_default_tensor_type
    generator: Any = torch.Generator

    class Kind(type):
        """What any generator is an object of."""

        def __instancecheck__(cls, instance: Any) -> bool:
            return isinstance(instance, generator)

        def __call__(cls, device: Any = "cpu") -> Any:
            plain = _elsewhere(torch.device(device))
            if plain.type != torch.device(device).type:
                tell()
            return generator(plain)

    space.Generator = Kind("Generator", (), {})


def _redirect_cuda(tell: Callable[[], None]) -> None:
    """The names of ``torch.cuda``: questions are answered, and what is to be waited for is over."""
    cuda: Any = torch.cuda
    types = {name: getattr(torch, name) for name in vars(cuda) if name.endswith("Tensor") and hasattr(torch, name)}
    for name in types:
        delattr(cuda, name)
    further = vars(cuda).get("__getattr__")

    def attribute(name: str) -> Any:
        if name not in types and further is not None:
            return further(name)
        if name not in types:
            raise AttributeError(f"module 'torch.cuda' has no attribute '{name}'")
        tell()
        return types[name]

    cuda.__getattr__ = attribute
    for name, value in list(vars(cuda).items()):
        if isinstance(value, FunctionType) and not name.startswith("_") and name not in _TRUE:
            setattr(cuda, name, _answered(name, value, tell))
    cuda.device = cuda.device_of = cuda.Event = cuda.Stream = cuda.StreamContext = _Idle
    cuda.stream = _Idle
    cuda.current_stream = cuda.default_stream = lambda device=None: _Idle()


def _answered(name: str, real: Callable[..., Any], tell: Callable[[], None]) -> Callable[..., Any]:
    @functools.wraps(real)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return real(*args, **kwargs)
        except (AssertionError, RuntimeError, AttributeError, NotImplementedError, ValueError):
            tell()
            return _ANSWERS.get(name)

    return call


class _Idle:
    """An event, a stream, or the choice of a device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return {"elapsed_time": lambda *_: 0.0, "query": lambda *_: True}.get(name, lambda *_, **__: None)
