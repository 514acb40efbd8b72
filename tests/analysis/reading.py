"""Read small programs into facts."""

from __future__ import annotations

import textwrap
from pathlib import Path

from pyro_fix import sources
from pyro_fix.analysis.program import Param, Program
from pyro_fix.analysis.project import Project

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
"""


def read(folder: Path, text: str, **files: str) -> Program:
    """The facts of ``text`` as main.py in ``folder``, beside ``files`` that are only read when they are imported."""
    for name, content in {"main": text, **files}.items():
        path = folder.joinpath(*name.split("__")[:-1], name.split("__")[-1] or "__init__").with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content), encoding="utf-8")
    return Project().read([sources.read(folder / "main.py")])


def param(program: Program) -> Param:
    (only,) = program.params
    return only


def uses(program: Program) -> list[tuple[str, str, bool]]:
    """Distribution, argument and whether the param arrives there unchanged."""
    found = [
        (use.distribution.name.rpartition(".")[2], use.argument, use.unchanged)
        for param in program.params
        for use in param.uses
    ]
    return sorted(set(found))
