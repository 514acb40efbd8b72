"""Autoguides with one vector for all latents, of models with latents that belong to a minibatch's data (SVI061)."""

from __future__ import annotations

import ast
import builtins

from pyro_fix import edits
from pyro_fix.analysis.program import Program, Svi, functions_of
from pyro_fix.analysis.roles import AUTOGUIDES, parts_of
from pyro_fix.analysis.values import Const, Function, Made
from pyro_fix.observation import Look
from pyro_fix.transform import Edit
from pyro_fix_transforms._classes import renamed

#: These make one vector of the latents of the first minibatch, whichever data they belong to.
PACKING = frozenset(
    {"AutoDiagonalNormal", "AutoMultivariateNormal", "AutoLowRankMultivariateNormal", "AutoIAFNormal"}
    | {"AutoLaplaceApproximation"}
)
#: Arguments that ``AutoNormal`` understands as well.
_SHARED = frozenset({"model", "init_loc_fn", "init_scale"})
#: How the packed vector's own parameters and methods are asked for.
_ASKED = ("auto_loc", "auto_scale", "get_posterior", ".loc", ".scale_tril", "laplace_approximation")


def packing(svi: Svi) -> Made | None:
    """The autoguide of an SVI object, where it is one of these."""
    parts = [part.runs for part in parts_of(svi.guide)]
    if len(parts) != 1 or not isinstance(parts[0], Made) or not parts[0].name.startswith(AUTOGUIDES):
        return None
    return parts[0] if parts[0].name.rpartition(".")[2] in PACKING else None


def local(program: Program, svi: Svi, looks: list[Look]) -> tuple[str, str] | None:
    """A latent in a plate that takes a part of its data, and that plate: as runs show, or else the source."""
    for look in looks:
        for name, seen in look.model.items():
            subsampled = [plate.name for plate in seen.plates if plate.subsample < plate.size]
            if subsampled and not seen.observed and not seen.enumerable:
                return name, subsampled[0]
    for site in program.sites_of(functions_of(svi.model)) if not looks else ():
        plates = [plate for plate in site.plates if _is_part(plate)]
        if plates and not site.observed and site.name is not None:
            return site.name, _name(plates[0]) or "?"
    return None


def by_plates(program: Program, svi: Svi, guide: Made) -> tuple[Edit, ...] | str:
    """``AutoNormal`` with the plates that subsample; or why it is not written."""
    models = [part.runs for part in parts_of(svi.model)]
    model = models[0] if len(models) == 1 else None
    if not isinstance(model, Function) or model.bound is not None or not isinstance(model.node, ast.FunctionDef):
        return "the model is no plain function"
    if guide.spread or len(guide.arguments) > 1 or set(guide.keywords) - _SHARED:
        return "it is given arguments that AutoNormal does not have"
    text = guide.module.source.text
    if any(word in text for word in _ASKED):
        return "its parameters may be read, and AutoNormal's have other names"
    plates = {p.node: p for site in program.sites_of([model.node]) for p in site.plates if _is_part(p)}
    if len(plates) != 1:
        return "there is more than one plate to tell it of"
    plate = next(iter(plates.values()))
    if plate.module is not guide.module or plate.module is not model.module:
        return "the plate stands in another file"
    known = {argument.arg for argument in ast.walk(model.node.args) if isinstance(argument, ast.arg)}
    for node in ast.walk(plate.node):
        if not isinstance(node, ast.Name) or node.id in known:
            continue
        if not _is_global(plate, model.node, node.id):
            return f"the plate is made with {node.id!r}, which the model works out"
        if guide.scope.has_its_own(node.id):
            return f"{node.id!r}, with which the plate is made, is something else where the guide is"
    changes = renamed(program, guide, f"{AUTOGUIDES}AutoNormal")
    if changes is None:
        return "the name AutoNormal is taken here"
    plain = f"lambda {ast.unparse(model.node.args)}: {edits.text_of(plate.module, plate.node)}"
    return (*changes, edits.add_keyword(guide.module, guide.node, "create_plates", plain))


def _is_global(plate: Made, model: ast.FunctionDef, name: str) -> bool:
    """Whether a name means in the model what it means in the file."""
    is_own = any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in ast.walk(model))
    return not is_own and (name in plate.module.scope.names or hasattr(builtins, name))


def _is_part(plate: Made) -> bool:
    size, part = plate.argument(1, "size"), plate.argument(2, "subsample_size")
    if part is None or (isinstance(part, Const) and part.value is None):
        return False
    if isinstance(size, Const) and isinstance(part, Const):
        return size.value != part.value
    return True


def _name(plate: Made) -> str | None:
    name = plate.argument(0, "name")
    return name.value if isinstance(name, Const) and isinstance(name.value, str) else None
