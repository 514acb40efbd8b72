"""Kinds of programs, one a file, each with rewrites that do harm and rewrites that are right.

A file says ``PROGRAM``, the text of a program that takes the seed of its data from the command line and trains to its
end, and ``REWRITES`` of that text.  To add a kind of program, add a file; nothing has to be registered.
Where the program is broken as it is, ``MENDED_BY`` names the rewrite that mends it.

What is called harmful here is measured to be: ``bench/harm.py`` trains every rewritten program to its end, and compares.
"""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, replace

from pyro_fix.transform import Promise, Rate

#: How every program of the zoo begins.
HEAD = """\
import sys
import torch
import pyro
import pyro.distributions as dist
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO, config_enumerate
from pyro.infer.autoguide import AutoDelta, AutoGuideList, AutoNormal, init_to_median, init_to_value
from pyro.optim import SGD, Adam, ClippedAdam

torch.set_num_threads(1)
generator = torch.Generator().manual_seed(int(sys.argv[1]))
"""

Change = tuple[str, str]
"""What stands in the program, once, and what is to stand there."""

#: A rate that is what it was: what a harmful rewrite declares that does not speak of rates.
UNCHANGED = Rate(share=1.0)


@dataclass(frozen=True)
class Rewrite:
    """A change of a program."""

    name: str
    changes: tuple[Change, ...]
    promise: Promise | None
    """What the transform promises that makes it; None of a harmful one, which is judged by all that any promises."""
    rate: Rate
    """What it declares of the learning rate, where it is asked."""

    @property
    def harmful(self) -> bool:
        """Whether the program is worse for it."""
        return self.promise is None

    def applied(self, program: str) -> str:
        """The program with its changes."""
        for old, new in self.changes:
            assert program.count(old) == 1, old
            program = program.replace(old, new)
        return program


@dataclass(frozen=True)
class Kind:
    """A kind of program."""

    name: str
    about: str
    program: str
    rewrites: tuple[Rewrite, ...]
    reference: str = ""
    """The rewrite that mends the program, where it is broken as it is: that is what harm is measured by."""

    def only(self, words: str) -> Kind:
        """The kind with those of its rewrites whose names have ``words``."""
        return replace(self, rewrites=tuple(rewrite for rewrite in self.rewrites if words in rewrite.name))


def harmful(name: str, *changes: Change, rate: Rate = UNCHANGED) -> Rewrite:
    """A rewrite that has to be verified by nothing."""
    return Rewrite(name, changes, None, rate)


def right(name: str, promise: Promise, *changes: Change, rate: Rate = UNCHANGED) -> Rewrite:
    """A rewrite that a transform of the catalogue makes, under what it promises."""
    return Rewrite(name, changes, promise, rate)


def kinds() -> tuple[Kind, ...]:
    """All kinds of programs, by name."""
    names = sorted(info.name for info in pkgutil.iter_modules(__path__))
    modules = {name: importlib.import_module(f"{__name__}.{name}") for name in names}
    return tuple(
        Kind(
            name,
            (module.__doc__ or "").strip().splitlines()[0],
            module.PROGRAM,
            module.REWRITES,
            getattr(module, "MENDED_BY", ""),
        )
        for name, module in modules.items()
    )
