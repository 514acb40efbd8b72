"""Devices that compute: whether the one that was asked for is there, which one is in use, what a step takes of it.

The runner runs this file by itself as well (``runner/devices.py``), so it knows nothing of the rest of the probe.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

#: So many steps may still be under way on the device before those that are over are looked for.
_OPEN = 64


def missing(device: str) -> str:
    """Why torch cannot compute on ``device``; empty where it can."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if not count:
            return "this interpreter's torch finds no CUDA device"
        if int(index or 0) >= count:
            return f"this interpreter's torch finds {count} CUDA device{'s' * (count > 1)}: there is no {device}"
    if kind == "mps":
        backend: Any = getattr(torch.backends, "mps", None)
        if backend is None or not backend.is_available():
            return "this interpreter's torch finds no MPS device"
    return ""


def enter(device: str) -> None:
    """Have the program compute on ``device`` where it does not say otherwise."""
    import torch

    kind, _, index = device.partition(":")
    if kind == "cuda":
        # Before the first number is drawn: what is not there yet cannot be seeded.
        torch.cuda.init()  # type: ignore[no-untyped-call]
        if index:
            torch.cuda.set_device(int(index))  # for ``.cuda()``, which asks for no number
    torch.set_default_device(device)
    torch.empty(0)  # now torch notes which functions heed the default device: by identity, so before they are wrapped
    for factory in ("rand", "randint", "randn", "randperm"):
        setattr(torch, factory, _beside_generator(getattr(torch, factory)))


def _beside_generator(real: Callable[..., Any]) -> Callable[..., Any]:
    """Draw a generator's numbers where it lives, not on the default device: ``DataLoader(shuffle=True)`` would fail."""

    @functools.wraps(real)
    def draw(*args: Any, generator: Any = None, device: Any = None, **kwargs: Any) -> Any:
        if generator is None:
            return real(*args, **kwargs) if device is None else real(*args, device=device, **kwargs)
        return real(*args, generator=generator, device=device or generator.device, **kwargs)

    return draw


def in_use() -> str:
    """``cuda`` or ``mps`` where this process has begun to use one; else empty."""
    torch: Any = sys.modules.get("torch")
    if torch is None:
        return ""
    if torch.cuda.is_initialized():
        return "cuda"
    # Elsewhere than on a Mac there is no need to ask.
    if sys.platform == "darwin" and hasattr(torch, "mps") and torch.backends.mps.is_available():
        return "mps" if torch.mps.current_allocated_memory() else ""
    return ""


def name() -> str:
    """What this process computes on, as a person would call it: ``cpu``, ``cuda:0 (NVIDIA H100 80GB HBM3)``."""
    kind = in_use()
    if kind != "cuda":
        return kind or "cpu"
    import torch

    number = torch.cuda.current_device()
    return f"cuda:{number} ({torch.cuda.get_device_name(number)})"


class Meter:
    """What the steps of this process take of a device.

    Nothing waits for the device: marks are put into its queue before and after each step, and read when it has come
    past them.
    """

    def __init__(self) -> None:
        """Nothing has been measured."""
        self._open: dict[int, list[tuple[Any, Any]]] = {}
        self._seconds: dict[int, list[float]] = {}
        self._most = 0

    def begin(self) -> None:
        """The program is about to make its first step: what came before it does not count."""
        if in_use() == "cuda":
            import torch

            for number in range(torch.cuda.device_count()):
                torch.cuda.reset_peak_memory_stats(number)
        self._most = 0

    def mark(self) -> Any:
        """A mark in the queue of the device; None where there is no device in use."""
        import torch

        module: Any = {"cuda": torch.cuda, "mps": getattr(torch, "mps", None)}.get(in_use())
        kind = getattr(module, "Event", None)
        if kind is None:
            return None
        event = kind(enable_timing=True)
        event.record()
        return event

    def step(self, ordinal: int, began: Any) -> None:
        """A step of an SVI object is over that began at the mark ``began``."""
        if in_use() == "mps":
            import torch

            self._most = max(self._most, torch.mps.current_allocated_memory())
        ended = None if began is None else self.mark()
        if ended is None:
            return
        waiting = self._open.setdefault(ordinal, [])
        waiting.append((began, ended))
        if len(waiting) > _OPEN:
            self._read(ordinal, waiting=False)

    def seconds(self, ordinal: int) -> list[float]:
        """What each step of an SVI object took, of those that were marked; waits for the device."""
        self._read(ordinal, waiting=True)
        return self._seconds.get(ordinal, [])

    def memory(self) -> int | None:
        """The most bytes that tensors have taken since :meth:`begin`, over all devices; None without a device."""
        kind = in_use()
        if kind == "cuda":
            import torch

            return sum(torch.cuda.max_memory_allocated(number) for number in range(torch.cuda.device_count()))
        return self._most if kind == "mps" else None

    def _read(self, ordinal: int, waiting: bool) -> None:
        marks = self._open.get(ordinal, [])
        while marks and (waiting or marks[0][1].query()):
            began, ended = marks.pop(0)
            ended.synchronize()
            self._seconds.setdefault(ordinal, []).append(began.elapsed_time(ended) / 1000)


if __name__ == "__main__":
    import json

    print(json.dumps(missing(sys.argv[1])))
