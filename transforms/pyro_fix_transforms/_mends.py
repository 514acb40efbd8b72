"""What ends breaks of a program that have one cause, which Pyro's or torch's own sentence tells (SVI001)."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import dataclass

from pyro_fix import edits
from pyro_fix.analysis import distributions
from pyro_fix.analysis.program import Program, Site, Svi, functions_of
from pyro_fix.analysis.seen import SeenSvi
from pyro_fix.analysis.values import Const, Made, options, walk
from pyro_fix.observation import Failure
from pyro_fix.transform import Edit
from pyro_fix_transforms._classes import renamed, unimported
from pyro_fix_transforms._particles import hazard
from pyro_fix_transforms._told import place

#: What torch says where the code asks a tensor of several elements for one number, or for yes or no.
_SCALAR = re.compile(
    r"cannot be converted to Scalar|Boolean value of Tensor with more than one value"
    r"|only (?:one element|integer) tensors"
)
_NO_LATENTS = re.compile(r"^(?P<kind>\w+) found no latent variables")
_TOTAL = re.compile(
    r"\(Tensor of shape \((?P<shape>[\d, ]*)\)\) to be within the support \(Multinomial.*?"
    r"found invalid values:(?P<values>.*)",
    re.DOTALL,
)
_TURNED = re.compile(
    r"not broadcastable with batch_shape\+event_shape: torch\.Size\(\[(?P<value>[\d, ]+)\]\) "
    r"vs torch\.Size\(\[(?P<made>[\d, ]+)\]\)"
)
SEQUENTIAL = "model-side sequential enumeration is not implemented"
_ONE_SCALE = re.compile(r"enumerated sample sites to share a common poutine\.scale")
#: What ``torch.jit`` says, or torch in code that was compiled, where shapes are not those that were compiled for.
_COMPILED = re.compile(r"must match the size|TorchScript|torch\.jit|traced|shape '", re.IGNORECASE)
_FRACTION = re.compile(r"\.\d*[1-9]|e-")
#: What only the compiled ELBOs take.
_JIT_ONLY = ("ignore_jit_warnings", "jit_options")


@dataclass(frozen=True)
class Mend:
    """What a break comes from, and what ends it."""

    words: str
    label: str
    """What the edits do, or why there are none."""
    edits: tuple[Edit, ...] = ()


def known(program: Program, seen: SeenSvi, failure: Failure) -> Mend | None:
    """The mend of a break that is one of the kinds known here."""
    parallel = _parallel(program, seen, failure)
    if parallel is not None:
        return parallel
    svi = next((s for s in program.svis if any(one.svi is seen.svi for one in program.seen.svi(s))), None)
    if svi is None:
        return None
    kinds = (_particles, _compiled, _no_latents, _total, _turned, _subsampled)
    return next((mend for kind in kinds if (mend := kind(program, svi, failure)) is not None), None)


def _parallel(program: Program, seen: SeenSvi, failure: Failure) -> Mend | None:
    """The word ``"sequential"`` where the site asks for it that Pyro names, and those that it would name next."""
    if SEQUENTIAL not in failure.message or seen.svi.look is None:
        return None
    look = seen.svi.look
    sites = [s for name, s in look.model.items() if s.enumerated == "sequential" and name not in look.guide]
    changes = []
    for site in sites:
        at = place(program, seen.run, [site.where])
        word = _asked(at[1]) if at is not None else None
        if at is None or word is None:
            return None
        quote = edits.text_of(at[0], word)[-1]
        changes.append(edits.replace(at[0], word, f"{quote}parallel{quote}"))
    words = "in the model Pyro enumerates in parallel only"
    return Mend(words, "enumerated in parallel", tuple(dict.fromkeys(changes))) if changes else None


def _asked(call: ast.expr) -> ast.Constant | None:
    """The literal ``"sequential"`` of a ``pyro.sample`` call's ``infer=``."""
    given = [k.value for k in call.keywords if k.arg == "infer"] if isinstance(call, ast.Call) else []
    found = [n for one in given for n in ast.walk(one) if isinstance(n, ast.Constant) and n.value == "sequential"]
    return found[0] if len(found) == 1 else None


def _elbos(svi: Svi) -> list[Made]:
    found = [elbo for elbo in options(svi.loss) if isinstance(elbo, Made) and not elbo.spread]
    return [elbo for elbo in found if elbo.name.rpartition(".")[2] in distributions.ELBOS]


def _particles(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """Particles at once, where the model or the guide computes with one number."""
    for elbo in _elbos(svi):
        position = distributions.ELBOS[elbo.name.rpartition(".")[2]]
        at = position.index("vectorize_particles") if "vectorize_particles" in position else -1
        given, node = elbo.argument(at, "vectorize_particles"), _given(elbo.node, at, "vectorize_particles")
        if not (isinstance(given, Const) and given.value is True and isinstance(node, ast.Constant)):
            continue
        if _SCALAR.search(failure.message) or (failure.step == 0 and hazard(program, elbo)):
            words = "vectorised particles give it several numbers at once, where it expects one"
            change = edits.replace(elbo.module, node, "False")
            return Mend(words, "vectorize_particles=False, one particle after the other", (change,))
    return None


def _compiled(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """A model that was compiled for other shapes than it meets later on."""
    for elbo in _elbos(svi):
        package, _, kind = elbo.name.rpartition(".")
        if not kind.startswith("Jit") or not failure.step or not _COMPILED.search(failure.message):
            continue
        plain = kind.removeprefix("Jit")
        changes = renamed(program, elbo, f"{package}.{plain}")
        if changes is None:
            continue
        if set(_JIT_ONLY) & set(elbo.keywords):
            changes = (*changes, edits.remove_keyword(elbo.module, elbo.node, *_JIT_ONLY))
        words = f"{kind} compiles the model for the shapes of the first step, and this step has others"
        return Mend(words, f"{plain}, which compiles nothing", changes)
    return None


def _no_latents(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """An autoguide where all that is learnt are parameters of the model."""
    told = _NO_LATENTS.search(failure.message)
    if told is None:
        return None
    words = "all that the model learns are its parameters: its guide has nothing to draw"
    label = "write a guide that does nothing"
    made = [guide for guide in options(svi.guide) if isinstance(guide, Made)]
    if len(made) == 1 and made[0].name.rpartition(".")[2] == told["kind"] and _is_only_a_guide(svi, made[0]):
        change = edits.replace(made[0].module, made[0].node, "lambda *args, **kwargs: None")
        unused = unimported(program, made[0].module, made[0].node)
        return Mend(words, "a guide that does nothing", (*unused, change))
    return Mend(words, label)


def _is_only_a_guide(svi: Svi, made: Made) -> bool:
    """Whether nothing but the SVI call is given it: an autoguide has methods that a function lacks."""
    node = svi.node(1, "guide")
    if node is made.node:
        return True
    if not isinstance(node, ast.Name) or made.module is not svi.module or made.module.mentions[node.id] != 2:
        return False
    return any(
        isinstance(statement, ast.Assign)
        and statement.value is made.node
        and [target.id for target in statement.targets if isinstance(target, ast.Name)] == [node.id]
        for statement in ast.walk(made.module.tree)
    )


def _total(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """Counts that do not sum to the number of draws that their distribution was told of."""
    told = _TOTAL.search(failure.message)
    site = _site(program, svi, failure) if told is not None else None
    if told is None or site is None:
        return None
    words = "each row of counts has to sum to the Multinomial's total_count"
    label = "give it the sum of the counts as its total_count"
    counts = next((keyword.value for keyword in site.call.keywords if keyword.arg == "obs"), None)
    multinomials = [
        part
        for part in walk(site.distribution)
        if isinstance(part, Made) and part.name.rpartition(".")[2] == "Multinomial" and not part.spread
    ] if site.distribution is not None else []  # fmt: skip
    if len(multinomials) != 1 or not isinstance(counts, (ast.Name, ast.Attribute)) or _may_be_none(site, counts):
        return Mend(words, label)
    node = _given(multinomials[0].node, 0, "total_count")
    if node is None or multinomials[0].module is not site.module or _FRACTION.search(told["values"]):
        return Mend(words, label)  # shares, perhaps: what they are shares of is not known
    if not any(node is part for part in ast.walk(site.call)):
        return Mend(words, label)
    row = ".sum()" if "," not in told["shape"].rstrip(", ") else ".sum(-1).max()"
    text = f"int({edits.text_of(site.module, counts)}{row})"
    return Mend(words, f"total_count {text}", (edits.replace(site.module, node, text),))


def _may_be_none(site: Site, node: ast.expr) -> bool:
    """Whether a name is an argument that may be left out, as people do to draw data."""
    for function in site.functions:
        spec = getattr(function, "args", None)
        if spec is None or not isinstance(node, ast.Name):
            continue
        plain = [*spec.posonlyargs, *spec.args]
        pairs = [*zip(reversed(plain), reversed(spec.defaults), strict=False)]
        pairs += zip(spec.kwonlyargs, spec.kw_defaults, strict=True)
        if any(argument.arg == node.id and default is not None for argument, default in pairs):
            return True
    return False


def _turned(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """Two plates that are of each other's dimension, as the data show."""
    told = _TURNED.search(failure.message)
    site = _site(program, svi, failure) if told is not None else None
    if told is None or site is None or len(site.plates) != 2:
        return None
    value, made = ([int(size) for size in told[side].split(",")] for side in ("value", "made"))
    differ = [at for at, (a, b) in enumerate(zip(value, made, strict=False)) if a != b]
    if len(value) != len(made) or len(differ) != 2 or value[differ[0]] != made[differ[1]]:
        return None
    if value[differ[1]] != made[differ[0]]:
        return None
    names = [_name(plate) for plate in site.plates]
    words = f"the plates {' and '.join(map(repr, names))} are of each other's dimension: the data have them turned"
    dims = [_dim(plate) for plate in site.plates]
    if None in names or None in dims or (0 in dims and dims != [0, 0]):
        return Mend(words, "exchange the dims of the two plates")
    turned = (-2, -1) if dims == [0, 0] else dims[::-1]  # the outer one is the last dimension where nothing is said
    wanted = dict(zip(names, turned, strict=True))
    changes = []
    for plate in _plates(program, svi):
        name, dim = _name(plate), _dim(plate)
        if name in wanted:
            if dim != dims[names.index(name)]:
                return Mend(words, "exchange the dims of the two plates")
            node = _given(plate.node, 4, "dim")
            text = str(wanted[name])
            changes.append(
                edits.add_keyword(plate.module, plate.node, "dim", text)
                if node is None
                else edits.replace(plate.module, node, text)
            )
    label = " and ".join(f"dim={dim} for plate {name!r}" for name, dim in wanted.items())
    return Mend(words, label, tuple(changes))


def _subsampled(program: Program, svi: Svi, failure: Failure) -> Mend | None:
    """A latent that is enumerated for all of the data, of which a plate takes a part."""
    if not _ONE_SCALE.search(failure.message):
        return None
    words = "a latent outside of the plate that subsamples is enumerated, and Pyro cannot scale that"
    label = "take all of the data at every step, or draw that latent"
    changes, names = [], []
    for plate in _plates(program, svi):
        if plate.argument(2, "subsample_size") is None and plate.argument(3, "subsample") is None:
            continue
        # only a plate that chooses the data itself reads all of them without its subsample_size
        is_bound = any(
            isinstance(node, ast.withitem) and node.context_expr is plate.node and node.optional_vars is not None
            for node in ast.walk(plate.module.tree)
        )
        if "subsample_size" not in plate.keywords or "subsample" in plate.keywords or plate.spread or not is_bound:
            return Mend(words, label)
        changes.append(edits.remove_keyword(plate.module, plate.node, "subsample_size"))
        names.append(repr(_name(plate)))
    if not changes:
        return Mend(words, label)
    return Mend(words, f"no subsampling in plate {', '.join(names)}: all of the data at every step", tuple(changes))


# -- what the source has


def _site(program: Program, svi: Svi, failure: Failure) -> Site | None:
    """The only site of the model that Pyro can mean."""
    sites = [site for site in program.sites_of(functions_of(svi.model)) if site.name == failure.site and site.observed]
    return sites[0] if len({site.call for site in sites}) == 1 else None


def _plates(program: Program, svi: Svi) -> Iterable[Made]:
    """The plates round the sites of model and guide, each call once."""
    functions = [*functions_of(svi.model), *functions_of(svi.guide)]
    found = {plate.node: plate for site in program.sites_of(functions) for plate in site.plates}
    return found.values()


def _name(plate: Made) -> str | None:
    name = plate.argument(0, "name")
    return name.value if isinstance(name, Const) and isinstance(name.value, str) else None


def _dim(plate: Made) -> int | None:
    """The dimension that a plate is given, 0 for none; ``None`` where it is no literal."""
    value = plate.argument(4, "dim")
    if value is None and not plate.spread:
        return 0
    try:
        number = ast.literal_eval(_given(plate.node, 4, "dim") or "")
    except (ValueError, SyntaxError):
        return None
    return number if isinstance(number, int) else None


def _given(call: ast.Call, position: int, keyword: str) -> ast.expr | None:
    """The expression of an argument."""
    named = next((given.value for given in call.keywords if given.arg == keyword), None)
    if named is not None or any(isinstance(given, ast.Starred) for given in call.args):
        return named
    return call.args[position] if 0 <= position < len(call.args) else None
