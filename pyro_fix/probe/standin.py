"""Stand-ins for what a missing module would have: they take whatever is done with them, and do nothing.

The ledger hears of every plain value that is made of one.  Which values these are is of no matter, since no verdict
rests on them that depends on data; they are such that most programs go on.
"""

from __future__ import annotations

import functools
import itertools
import opcode
import sys
from collections.abc import Callable, Generator, Iterator
from types import FrameType, FunctionType, GeneratorType, MethodType
from typing import Any

from . import asking, outward, passing
from .ledger import Ledger
from .marked import Marked

_ledger: Ledger = None  # type: ignore[assignment]

_UNPACKS = opcode.opmap["UNPACK_SEQUENCE"]
_UNPACKS_MORE = opcode.opmap["UNPACK_EX"]
#: Numbers of an array that is made of a stand-in.
_LENGTH = 8


def report_to(ledger: Ledger) -> None:
    """Have ``ledger`` hear of all that becomes of this process's stand-ins."""
    globals()["_ledger"] = ledger


def make(module: str, path: str) -> Any:
    """A stand-in for what a missing module has at ``path``."""
    return _StandIn(module, path)


def lost(one: Any, how: str) -> None:
    """A plain answer is given about a stand-in."""
    _ledger.converted(one, how, _here())


def _here() -> FrameType:
    """The frame of whoever works on a stand-in: the nearest that is not of these files."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename in _OWN:
        frame = frame.f_back
    return frame if frame is not None else sys._getframe(0)


class _StandIn(Marked):
    """Something that a missing module would have, or would have made."""

    __slots__ = ("__weakref__", "_pyro_fix_children", "_pyro_fix_given", "_pyro_fix_kept", "_pyro_fix_truth")

    def __init__(self, module: str, path: str, given: Any = None, *, truth: bool = True) -> None:
        """``given``: what it was made of and may go over; ``truth``: what it is to an ``if``."""
        put = functools.partial(object.__setattr__, self)
        put("_pyro_fix_module", module)
        put("_pyro_fix_path", path)
        put("_pyro_fix_children", {})
        put("_pyro_fix_given", given)
        put("_pyro_fix_kept", {})
        put("_pyro_fix_truth", truth)

    # ------------------------------------------------------------------ what keeps the mark

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__") and name != "__version__":
            if name == "__all__":  # ``from x import *``: nobody knows what
                return []
            raise AttributeError(name)
        if name in self._pyro_fix_kept:
            return self._pyro_fix_back(name)
        children = self._pyro_fix_children
        if name not in children:
            children[name] = _StandIn(self._pyro_fix_module, f"{self._pyro_fix_path}.{name}")
        _ledger.touched(self, f"its attribute {name}", _here())
        return children[name]

    def __setattr__(self, name: str, value: Any) -> None:
        self._pyro_fix_kept[name] = value
        _ledger.touched(self, f"its attribute {name}", _here())

    def __delattr__(self, name: str) -> None:
        _ledger.touched(self, f"its attribute {name}", _here())

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        frame = _here()
        _ledger.touched(self, "a call", frame)
        made = _StandIn(self._pyro_fix_module, f"{self._pyro_fix_path}()", _goes_over(args, kwargs))
        made._pyro_fix_kept.update({**_texts(args), **kwargs})
        bar = passing.bar(self, made, args, kwargs)
        if bar is not None:
            return bar
        if len(args) == 1 and not kwargs and isinstance(args[0], _DECORATED):
            if passing.is_decorator(self):
                return args[0]
            if _ledger.is_users(frame) and outward.decorates(frame):
                return _decorated(self, args[0], frame)
        if not passing.looks(self) and any(map(_may_be_changed, (*args, *kwargs.values()))):
            _ledger.reached(self, "a call that is given a function, a network or an optimiser", frame)
        return made

    def _pyro_fix_back(self, name: str) -> Any:
        """What was put into it: a guess, since others make something of it."""
        value = self._pyro_fix_kept[name]
        if not isinstance(value, Marked):
            _ledger.reached(self, f"what was put into its {name}", _here())
        return value

    def __getitem__(self, key: Any) -> Any:
        if type(key) is str and key in self._pyro_fix_kept:
            return self._pyro_fix_back(key)
        return _computed(self, "[]")

    def __setitem__(self, key: Any, value: Any) -> None:
        if type(key) is str:  # many of those that have items have them as attributes as well
            self._pyro_fix_kept[key] = value
        _ledger.touched(self, "an item", _here())

    def __delitem__(self, key: Any) -> None:
        _ledger.touched(self, "an item", _here())

    def __enter__(self) -> Any:
        return _computed(self, "with")

    def __exit__(self, *_: Any) -> None:
        _ledger.touched(self, "with", _here())

    def __next__(self) -> Any:
        return _computed(self, "next()")

    def __reversed__(self) -> Any:
        return iter(self)

    def __await__(self) -> Generator[Any, Any, Any]:
        yield from ()
        return _computed(self, "await")

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        self._pyro_fix_lost("the turns of a loop")
        raise StopAsyncIteration

    async def __aenter__(self) -> Any:
        return _computed(self, "with")

    async def __aexit__(self, *_: Any) -> None:
        _ledger.touched(self, "with", _here())

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _StandIn, (self._pyro_fix_module, self._pyro_fix_path)

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        name = self._pyro_fix_path.rpartition(".")[2]
        raised = (Exception,) if name.endswith(("Error", "Exception", "Warning")) else ()
        return (type(name, (_Foundation, *raised), {"_pyro_fix_stand_in": self}),)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        one = _first(cls, (args, kwargs or {}))
        name = str(getattr(func, "__name__", func))
        if (name.endswith("_") and not name.endswith("__")) or name == "__setitem__" or "out" in (kwargs or {}):
            _ledger.reached(one, f"torch's {name}", _here())
            return args[0] if args else None
        return _computed(one, f"torch's {name}")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if kwargs.get("out"):
            _ledger.reached(self, f"numpy's {ufunc.__name__}", _here())
            return kwargs["out"][0] if len(kwargs["out"]) == 1 else kwargs["out"]
        return _computed(self, f"numpy's {ufunc.__name__}")

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if "out" in kwargs or func.__name__ in ("copyto", "put", "place", "fill_diagonal", "save", "savez", "savetxt"):
            _ledger.reached(self, f"numpy's {func.__name__}", _here())
        return _computed(self, f"numpy's {func.__name__}")

    # ------------------------------------------------------------------ what loses it

    def _pyro_fix_lost(self, how: str) -> None:
        _ledger.converted(self, how, _here())

    def __bool__(self) -> bool:
        frame = _here()
        if _ledger.is_users(frame) and outward.asserts(frame):
            return True
        _ledger.converted(self, "an if", frame)
        return bool(self._pyro_fix_truth)

    def __hash__(self) -> int:
        _ledger.looked_up(self, _here())
        return id(self)

    def __contains__(self, value: Any) -> bool:
        self._pyro_fix_lost("in")
        return False

    def __instancecheck__(self, instance: Any) -> bool:
        self._pyro_fix_lost("isinstance()")
        return False

    def __subclasscheck__(self, cls: Any) -> bool:
        self._pyro_fix_lost("issubclass()")
        return False

    def __len__(self) -> int:
        self._pyro_fix_lost("len()")
        return 0

    def __iter__(self) -> Iterator[Any]:
        frame = _here()
        wanted = _unpacked(frame)
        if wanted is not None:
            _ledger.touched(self, "an assignment", frame)
            return iter([_computed(self, "[]") for _ in range(wanted)])
        _ledger.converted(self, "the turns of a loop", frame)
        # A guess: most of what is given one thing to go over goes over it.
        given = self._pyro_fix_given
        return iter(()) if given is None else iter(given)

    def __int__(self) -> int:
        self._pyro_fix_lost("int()")
        return 1

    def __index__(self) -> int:
        self._pyro_fix_lost("an index or a count")
        return 1

    def __float__(self) -> float:
        self._pyro_fix_lost("float()")
        return 1.0

    def __complex__(self) -> complex:
        self._pyro_fix_lost("complex()")
        return 1.0 + 0j

    def __str__(self) -> str:
        self._pyro_fix_lost("a text")
        return f"<stand-in for {self._pyro_fix_path}>"

    def __repr__(self) -> str:
        return str(self)

    def __format__(self, spec: str) -> str:
        return str(self)

    def __fspath__(self) -> str:
        return str(self)

    def __bytes__(self) -> bytes:
        return str(self).encode()

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        import numpy  # type: ignore[import-not-found,unused-ignore]

        self._pyro_fix_lost("an array")
        return numpy.ones(_LENGTH, dtype=dtype)


class _Foundation:
    """What a class inherits from a stand-in."""

    _pyro_fix_stand_in: _StandIn

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        # What the missing class would have made of it nobody knows.
        _ledger.reached(cls._pyro_fix_stand_in, f"an object of {cls.__name__}, which inherits from it,", _here())
        try:
            return super().__new__(cls, *args, **kwargs)
        except TypeError:
            return super().__new__(cls)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except TypeError:
            super().__init__()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__()

    def __getattr__(self, name: str) -> Any:
        further = getattr(super(), "__getattr__", None)
        if further is not None:
            try:
                return further(name)
            except AttributeError:
                pass
        return getattr(type(self)._pyro_fix_stand_in, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        further: Any = super()
        return further.__call__(*args, **kwargs) if callable(further) else type(self)._pyro_fix_stand_in()


_DECORATED = (FunctionType, type, staticmethod, classmethod, property)
_OWN = frozenset((__file__, asking.__file__, passing.__file__))


def _computed(one: _StandIn, how: str) -> _StandIn:
    """What an operation on a stand-in gives."""
    _ledger.touched(one, how, _here())
    return _StandIn(one._pyro_fix_module, f"{one._pyro_fix_path}{how if how == '[]' else '()'}")


def _unpacked(frame: FrameType) -> int | None:
    """How many items ``frame`` is about to take one by one; None where it goes over them in another way."""
    code, at = frame.f_code.co_code, frame.f_lasti
    if at < 0 or at + 1 >= len(code):
        return None
    if code[at] == _UNPACKS:
        return code[at + 1]
    return code[at + 1] if code[at] == _UNPACKS_MORE else None


def _goes_over(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The one argument that can be gone over; None where there is none, or several."""
    found = [
        value
        for value in (*args, *kwargs.values())
        if hasattr(type(value), "__iter__") and not isinstance(value, (str, bytes, Marked))
    ]
    return found[0] if len(found) == 1 else None


def _texts(args: tuple[Any, ...]) -> dict[str, Any]:
    """What a dict has under texts, where that is all that is given."""
    given = args[0] if len(args) == 1 else None
    return {key: value for key, value in given.items() if type(key) is str} if type(given) is dict else {}


def _decorated(one: _StandIn, given: Any, frame: FrameType) -> Any:
    """A function that a stand-in decorates is itself, and what it returns is a guess."""
    if not isinstance(given, FunctionType):
        _ledger.reached(one, "what it decorates", frame)
        return given

    @functools.wraps(given)
    def call(*args: Any, **kwargs: Any) -> Any:
        _ledger.reached(one, f"{given.__name__}(), which it decorates,", _here())
        return given(*args, **kwargs)

    return call


def _may_be_changed(value: Any, depth: int = 1) -> bool:
    """Whether it is something of the user's that a library may call, or may change the parameters of."""
    if isinstance(value, (FunctionType, MethodType)):
        return _ledger.is_users_code(value.__code__.co_filename)
    if isinstance(value, GeneratorType):
        return "parameters" in value.gi_code.co_name
    torch = sys.modules.get("torch")
    if torch is not None:
        if isinstance(value, (torch.nn.Module, torch.optim.Optimizer, torch.nn.Parameter)):
            return True
        if type(value).__module__.startswith(("pyro.optim", "pyro.infer")):
            return True
    if depth and type(value) in (list, tuple, dict):
        inner = value.values() if isinstance(value, dict) else value
        return any(_may_be_changed(part, depth - 1) for part in itertools.islice(inner, 100))
    return False


def _first(cls: type, values: Any) -> Any:
    """The first stand-in among arguments of torch's."""
    if isinstance(values, cls):
        return values
    if isinstance(values, (list, tuple)):
        return next((found for found in (_first(cls, value) for value in values) if found is not None), None)
    return _first(cls, list(values.values())) if isinstance(values, dict) else None


def plain(value: Any) -> Any:
    """Nested lists of numbers without the stand-ins in them, for what can be made of nothing else."""
    if isinstance(value, _StandIn):
        value._pyro_fix_lost("a tensor")
        return [1.0] * _LENGTH
    if type(value) in (list, tuple):
        kept = [plain(part) for part in value]
        return kept if any(a is not b for a, b in zip(kept, value)) else value  # noqa: B905
    return value


def _operation(name: str) -> Callable[..., Any]:
    def operate(self: _StandIn, *others: Any) -> Any:
        return _computed(self, name)

    return operate


def _comparison(name: str) -> Callable[..., Any]:
    def compare(self: _StandIn, other: Any) -> Any:
        _ledger.touched(self, name, _here())
        return _StandIn(self._pyro_fix_module, f"{self._pyro_fix_path}()", truth=name == "__ne__")

    return compare


_BINARY = "add sub mul truediv floordiv mod divmod pow matmul and or xor lshift rshift"
for _name in _BINARY.split():
    for _form in ("__{}__", "__r{}__", "__i{}__"):
        setattr(_StandIn, _form.format(_name), _operation(_form.format(_name)))
for _name in ("neg", "pos", "abs", "invert", "round", "trunc", "floor", "ceil"):
    setattr(_StandIn, f"__{_name}__", _operation(f"__{_name}__"))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(_StandIn, f"__{_name}__", _comparison(f"__{_name}__"))
