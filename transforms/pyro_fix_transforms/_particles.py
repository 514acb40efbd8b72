"""What the transforms of tip 8 share: what a model and a guide have that expects the shape of one particle."""

from __future__ import annotations

from pyro_fix.analysis.program import Program, functions_of
from pyro_fix.analysis.values import Made


def hazard(program: Program, elbo: Made) -> str:
    """Why the particles of an ELBO cannot be vectorised, as far as the source tells; empty when nothing is known."""
    functions = {
        node for svi in program.makers_of(elbo) for value in (svi.model, svi.guide) for node in functions_of(value)
    }
    for found in program.hazards:
        if found.function in functions:
            return f"line {found.line} has {found.what}, which expects one particle"
    return ""
