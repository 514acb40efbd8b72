"""Values made up for the arguments of a function: from its names, annotations, docstring and what it does with them.

Nothing is computed here: a value is the text of an expression, for a driver to evaluate.  Where a function asks for
something that cannot be made up (a path, an object of a class), it has no values.  A data frame is made up where all
columns that are read can be seen; the driver needs pandas for it.
"""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

Shape = tuple[int, ...]
FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_N, _D = 10, 3
#: Shapes of covariates and of what is observed, the commonest first.
_SCHEMES: tuple[tuple[Shape, Shape], ...] = (
    ((_N, _D), (_N,)),
    ((_N,), (_N,)),
    ((_N, _D), (_N, _D)),
    ((_N, 1), (_N, 1)),
    ((_N, _D), (_N, 1)),
    ((), ()),
)
#: Combinations that are tried for one function.
MOST = 24

_STEPS = re.compile(r"^(?:(?:num|n|max|total)_?)?(?:svi_?)?(?:steps?|iters?|iterations?|epochs?|updates?)$")
#: Names of whole numbers -> their value; the first that fits counts.
_SIZES: tuple[tuple[re.Pattern[str], int], ...] = (
    (_STEPS, 100),
    (re.compile(r"seed"), 0),
    (re.compile(r"^(?:mini_?)?batch(?:_?size)?$|^subsample(?:_?size)?$"), _N),
    (re.compile(r"(?:out|output|y|target).*(?:dim|size|features)"), 1),
    (re.compile(r"hidden|^h_dim|width|units"), 4),
    (re.compile(r"latent|^z_?(?:dim|size)"), 2),
    (re.compile(r"^(?:num_|n_)?(?:components?|clusters?|classes|topics|categories|states|factors)$|^[kKC]$"), 2),
    (re.compile(r"^(?:num_|n_)?(?:particles|layers)$|lag|order"), 1),
    (re.compile(r"(?:^|_)(?:data|dataset|train|training)_?size$"), _N),
    (re.compile(r"(?:^|_)(?:in|input|x|data|obs)_?(?:dims?|size|features)$|^(?:d|D|p|P|dim|ndim)$"), _D),
    (re.compile(r"^(?:num|n)_(?:features|covariates|predictors|dims?|inputs)$"), _D),
    (re.compile(r"^(?:n|N|size|(?:num|n)_\w+|\w+_size)$"), _N),
)
_RATE = re.compile(r"^(?:lr|learning_rate|step_size|eta|initial_lr|init_lr)$")
_LOADER = re.compile(r"loader|batches$")
_OBSERVED = re.compile(
    r"^(?:y|ys|Y|obs|observ\w+|targets?|labels?|responses?|outputs?|outcomes?|counts?|y_\w+|data|value)$"
)
_INDEX = re.compile(r"(?:^|_)(?:idx|index|indices|ids?|group|groups|items?|subjects?|users?)$")
#: Annotations that stand for a tensor.
_TENSOR = re.compile(r"\b(?:Tensor|FloatTensor|LongTensor|ndarray|ArrayLike|NDArray)\b")
#: What a parameter that is a tensor is asked for.
_TENSOR_ATTRIBUTE = re.compile(
    r"^(?:shape|size|dim|ndim|T|mT|device|dtype|mean|std|var|sum|prod|to|cuda|cpu|float|double|long|int|bool|"
    r"type|item|numel|unsqueeze|squeeze|view|reshape|expand|expand_as|repeat|log|exp|sqrt|pow|abs|max|min|"
    r"argmax|clamp|detach|clone|numpy|unique|transpose|permute|t|flatten|matmul|mm|dot|astype|copy|tolist|"
    r"new_tensor|new_ones|new_zeros|new_full|median|requires_grad|is_cuda|type_as|contiguous|nonzero|"
    r"masked_fill|scatter|gather|index_select|logsumexp|quantile|cumsum|round|bincount|narrow|chunk|split|"
    r"unbind|isnan|any|all|eq|ne|gt|lt|ge|le)$"
)
_DIMS = re.compile(r"[(\[]\s*((?:[A-Za-z_]\w{0,11}|\d+)(?:\s*[,x\xd7]\s*(?:[A-Za-z_]\w{0,11}|\d+))*)?\s*,?\s*[)\]]")
_NO_DIM = re.compile(
    r"^(?i:tensor|optional|int|float|str|bool|list|tuple|dict|ndarray|default|torch|array|none|array_like)$"
)
#: Names of data frames, where no annotation tells.
_FRAME = re.compile(r"^(?:df|frame|data_?frame)$|_df$|^df_")
#: What only a data frame is asked for, and what only a column of one is.
_FRAME_ONLY = frozenset({"dropna", "groupby", "iloc", "iterrows", "reset_index", "sort_values"})
_COLUMN_ONLY = frozenset({"cat", "fillna", "iloc", "to_numpy", "values"})
#: Attributes of a data frame that read none of its columns, and methods that give back one with the same columns.
_FRAME_FACTS = frozenset({"empty", "index", "ndim", "shape", "size"})
_FRAME_COPIES = frozenset({"copy", "dropna", "head", "reset_index", "sort_index"})
#: Its other attributes, methods aside.
_FRAME_OTHERS = frozenset(
    {
        "T",
        "at",
        "attrs",
        "axes",
        "columns",
        "dtypes",
        "flags",
        "iat",
        "iloc",
        "loc",
        "plot",
        "sparse",
        "style",
        "values",
    }
)
_PANDAS = "importlib.import_module('pandas')"
_LETTERS: Mapping[str, int] = MappingProxyType({"k": 2, "c": 2, "t": 5, "d": _D, "p": _D, "m": 4, "l": 4})


@dataclass(frozen=True)
class Tensor:
    """A tensor that is to be made up."""

    observed: bool
    kind: str = ""
    """``real``, ``positive``, ``unit``, ``binary``, ``label``, ``count``, ``simplex``; empty: to be tried."""
    shape: Shape | None = None
    """None: to be tried."""
    suffix: str = ""
    """``.numpy()`` where an array is asked for."""

    def text(self, scheme: tuple[Shape, Shape], kind: str) -> str:
        """An expression of torch's."""
        shape = self.shape if self.shape is not None else scheme[self.observed]
        size = str(shape)
        made = {
            "real": f"torch.randn({size})",
            "positive": f"torch.rand({size}) + 0.5",
            "unit": f"torch.rand({size}) * 0.8 + 0.1",
            "binary": f"torch.randint(0, 2, {size}).float()",
            "label": f"torch.randint(0, 2, {size})",
            "count": f"torch.randint(0, 5, {size}).float()",
            "simplex": f"torch.ones({size}) / {shape[-1] if shape else 1}",
        }[self.kind or (kind if self.observed else "real")]
        return f"({made}){self.suffix}" if self.suffix else made


Part = str | Tensor
"""A piece of an expression."""

#: What an observed tensor whose support is not known is tried with.
_OPEN_KINDS = ("real", "binary", "label", "positive")


def kind_of(support: str | None) -> str:
    """The kind of values that lie in a support, as the table of distributions writes it."""
    text = support or ""
    for word, kind in (
        ("boolean", "binary"),
        ("nonnegative_integer", "count"),
        ("integer_interval", "label"),
        ("dependent", ""),
        ("unit_interval", "unit"),
        ("simplex", "simplex"),
        ("positive", "positive"),
        ("nonnegative", "positive"),
        ("greater_than", "positive"),
        ("real", "real"),
    ):
        if word in text:
            return kind
    return ""


def calls(
    function: FunctionNode,
    observed: Mapping[str, str],
    *,
    bound: bool,
    data: bool = True,
    context: ast.AST | None = None,
) -> list[str]:
    """Texts of argument lists for ``function``, the most likely first; none where it asks for too much.

    ``observed``: the parameters whose values sites observe -> the kind of values, empty where that is not known.
    ``bound``: the first parameter is ``self``.  ``data``: also give what is observed where the default is None.
    ``context``: what else tells of the parameters, such as the class of a constructor.
    """
    names = _Names(function, observed, context)
    parts: list[Part] = []
    skipped = False
    for argument in _parameters(function, bound):
        name = argument.name
        if argument.default is not None and not (data and _is_none(argument.default) and names.observes(name)):
            skipped = True
            continue
        value = names.value(name, argument.annotation)
        if value is None:
            return []
        # By position as far as possible: model and guide may name the same argument differently.
        spelled = f"{name}=" if skipped or argument.by_keyword else ""
        parts += [f", {spelled}" if parts else spelled, *value]
    return list(dict.fromkeys(itertools.islice(_texts(parts), MOST)))


def _texts(parts: list[Part]) -> Iterator[str]:
    """The expression with every combination of shapes and kinds that its tensors leave open."""
    tensors = [part for part in parts if isinstance(part, Tensor)]
    shapes = _SCHEMES if any(tensor.shape is None for tensor in tensors) else _SCHEMES[:1]
    kinds = _OPEN_KINDS if any(tensor.observed and not tensor.kind for tensor in tensors) else _OPEN_KINDS[:1]
    for kind in kinds:
        for scheme in shapes:
            yield "".join(part if isinstance(part, str) else part.text(scheme, kind) for part in parts)


@dataclass(frozen=True)
class _Parameter:
    name: str
    annotation: ast.expr | None
    default: ast.expr | None
    by_keyword: bool


def _parameters(function: FunctionNode, bound: bool) -> list[_Parameter]:
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + list(given.defaults)
    found = [_Parameter(a.arg, a.annotation, d, False) for a, d in zip(positional, defaults, strict=True)]
    found += [
        _Parameter(a.arg, a.annotation, d, True) for a, d in zip(given.kwonlyargs, given.kw_defaults, strict=True)
    ]
    return found[1:] if bound else found


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


class _Names:
    """What the text of one function tells of its parameters."""

    def __init__(self, function: FunctionNode, observed: Mapping[str, str], context: ast.AST | None) -> None:
        self._observed = observed
        self._docstring = ast.get_docstring(function) or ""
        self._attributes: dict[str, set[str]] = {}
        self._keys: dict[str, set[str]] = {}
        self._frames: set[str] = set()
        self._function = function
        self._called: set[str] = set()
        self._indexes: set[str] = set()
        self._loops: dict[str, int] = {}
        self._words: dict[str, list[str]] = {}
        for node in ast.walk(function):
            self._note(node)
        for node in ast.walk(context or function):
            if isinstance(node, ast.Compare):
                self._note_words(node)

    def _note(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            self._attributes.setdefault(node.value.id, set()).add(node.attr)
            if node.attr in _FRAME_ONLY:
                self._frames.add(node.value.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Subscript):
            if isinstance(node.value.value, ast.Name) and node.attr in _COLUMN_ONLY:
                self._frames.add(node.value.value.id)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                self._keys.setdefault(node.value.id, set()).add(node.slice.value)
            elements = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            self._indexes |= {element.id for element in elements if isinstance(element, ast.Name)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            self._called.add(node.func.id)
        elif isinstance(node, ast.For):
            target = node.target
            if isinstance(node.iter, ast.Call) and getattr(node.iter.func, "id", "") == "enumerate":
                target = target.elts[-1] if isinstance(target, ast.Tuple) else target
            for inner in ast.walk(node.iter):
                if isinstance(inner, ast.Name):
                    self._loops[inner.id] = len(target.elts) if isinstance(target, ast.Tuple) else 1

    def _note_words(self, node: ast.Compare) -> None:
        """The words that a parameter, or the attribute of its name, is compared with."""
        name = getattr(node.left, "attr", getattr(node.left, "id", ""))
        for inner in ast.walk(node.comparators[0]):
            if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                self._words.setdefault(name, []).append(inner.value)

    def observes(self, name: str) -> bool:
        """Whether the parameter's values are observed: a site says so, or its name does."""
        return name in self._observed or (not self._observed and _OBSERVED.search(name) is not None)

    def value(self, name: str, annotation: ast.expr | None = None) -> list[Part] | None:
        """An expression in pieces; None where nothing can be made up."""
        said = ast.unparse(annotation) if annotation is not None else ""
        if _LOADER.search(name) or "DataLoader" in said:
            return self._loader(name)
        if re.search(r"\bDataFrame\b", said) or (not said and (_FRAME.search(name) or name in self._frames)):
            return self._frame(name)
        if re.search(r"\bSeries\b", said):
            return [f"{_PANDAS}.Series(", self._column(name, name), ")"]
        if _TENSOR.search(said):
            return [self._tensor(name, said)]
        word = re.sub(r"\bOptional\[(.*)\]$", r"\1", said).partition("|")[0].strip(" '\"")
        if word == "int":
            return [str(_size(name) if _size(name) is not None else _D)]
        if word == "float":
            return ["0.01" if _RATE.search(name) else "1.0"]
        if word == "bool":
            return ["False"]
        if name == "device" and word in ("", "str", "torch.device"):
            return ["'cpu'"]
        if word in ("str", "") and name in self._words:
            return [repr(self._words[name][0])]
        if word in ("dict", "Dict", "Any", "object", "") or word.startswith(("dict[", "Dict[")):
            return self._untyped(name)
        return None

    def _untyped(self, name: str) -> list[Part] | None:
        if name in self._called:
            return None
        if keys := self._keys.get(name):
            return self._assembled("{", [(repr(key) + ": ", self.value(key)) for key in sorted(keys)], "}")
        attributes = self._attributes.get(name, set())
        if not all(map(_TENSOR_ATTRIBUTE.match, attributes)):
            if name not in ("args", "cfg", "config", "opt", "opts", "params", "hparams", "options"):
                return None
            fields = [(f"{field}=", self.value(field)) for field in sorted(attributes)]
            return self._assembled("types.SimpleNamespace(", fields, ")")
        if not attributes and not self._docstring_shape(name) and (size := _size(name)) is not None:
            return [str(size)]
        if _RATE.search(name):
            return ["0.01"]
        return [self._tensor(name, "")]

    def _assembled(self, opening: str, items: list[tuple[str, list[Part] | None]], closing: str) -> list[Part] | None:
        parts: list[Part] = [opening]
        for spelled, value in items:
            if value is None:
                return None
            parts += [spelled, *value, ", "]
        return [*parts, closing]

    def _frame(self, name: str) -> list[Part] | None:
        """A data frame of the columns that the function reads; None where it may read others."""
        columns: dict[str, None] = {}
        uses = understood = 0
        called = {node.func for node in ast.walk(self._function) if isinstance(node, ast.Call)}
        for node in ast.walk(self._function):
            if isinstance(node, ast.Name) and node.id == name:
                uses += isinstance(node.ctx, ast.Load)
            read = _columns_read(node, name, node in called)
            if read is not None:
                understood += 1
                columns |= dict.fromkeys(read)
        if uses != understood or not columns:
            return None
        # where no name tells which of them is observed, it may be any
        open_ = not any(map(self.observes, columns))
        items: list[tuple[str, list[Part] | None]] = [
            (f"{key!r}: ", [self._column(key, name, open_)]) for key in columns
        ]
        return self._assembled(f"{_PANDAS}.DataFrame({{", items, "})")

    def _column(self, name: str, frame: str, is_open: bool = False) -> Tensor:
        """One column, an array; ``frame`` is the parameter that it is in."""
        if _INDEX.search(name):
            return Tensor(False, "label", (_N,), ".numpy()")
        observed = is_open or _OBSERVED.search(name) is not None
        return Tensor(observed, self._observed.get(frame, "") if observed else "real", (_N,), ".numpy()")

    def _tensor(self, name: str, said: str) -> Tensor:
        shape = self._docstring_shape(name) if not (shape := _annotated(said)) else shape
        suffix = ".numpy()" if re.search(r"ndarray|NDArray|ArrayLike", said) and "Tensor" not in said else ""
        observed = self.observes(name)
        kind = self._observed.get(name, "") if observed else "real"
        if (not observed and (name in self._indexes or _INDEX.search(name))) or "LongTensor" in said:
            kind, shape = "label", shape or (_N,)
        return Tensor(observed, kind, shape, suffix)

    def _loader(self, name: str) -> list[Part]:
        count = self._loops.get(name, 2)
        if count == 1:
            return ["torch.utils.data.DataLoader(", Tensor(True, "", None), f", batch_size={_N})"]
        columns: list[Part] = []
        for column in range(count):
            columns += [Tensor(column > 0, "" if column else "real", None), ", "]
        return ["torch.utils.data.DataLoader(torch.utils.data.TensorDataset(", *columns, f"), batch_size={_N})"]

    def _docstring_shape(self, name: str) -> Shape | None:
        """The shape that the docstring gives: ``x (Tensor): of shape (n, d)``, ``:param x: an [N, D] matrix``."""
        start = re.search(
            rf"^[ \t]*(?:[-*] *|:param [\w.\[\] ]*)?`*\b{re.escape(name)}\b`* *(?:\(|:|-)", self._docstring, re.M
        )
        if start is None:
            return None
        block = self._docstring[start.end() - 1 :]
        following = re.search(r"\n[ \t]*\n|\n[ \t]*(?:[-*] *|:param )?`*\w+`* *(?:\([^)\n]*\) *)?:", block)
        for match in _DIMS.finditer(block[: following.start()] if following else block):
            words = [word for word in re.split(r"\s*[,x\xd7]\s*", match[1] or "") if word]
            if (words or "shape" in block[: match.start()]) and not any(map(_NO_DIM.match, words)):
                if len(words) == 1 and not (
                    "shape" in block[: match.start()] or words[0].isupper() or len(words[0]) == 1
                ):
                    continue  # a remark
                return tuple(_length(word) for word in words)
        return None


def _columns_read(node: ast.AST, frame: str, is_called: bool) -> list[str] | None:
    """The columns that an expression reads of a data frame; None where it does not read it, or not plainly."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len":
        return [] if node.args and _is_name(node.args[0], frame) else None
    if isinstance(node, ast.Attribute) and _is_name(node.value, frame):
        if is_called:
            return [] if node.attr in _FRAME_COPIES else None
        return [] if node.attr in _FRAME_FACTS else None if node.attr in _FRAME_OTHERS else [node.attr]
    if not isinstance(node, ast.Subscript) or not _is_name(node.value, frame):
        return None
    keys = node.slice.elts if isinstance(node.slice, ast.List) else [node.slice]
    words = [key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return None if len(words) != len(keys) else words if isinstance(node.ctx, ast.Load) else []


def _is_name(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _annotated(said: str) -> Shape | None:
    """The shape that a jaxtyping annotation gives: ``Float[Tensor, "n d"]``."""
    match = re.search(r"\[[\w.]+, *['\"]([\w ]+)['\"]\]", said)
    return tuple(_length(word) for word in match[1].split()) if match else None


def _length(word: str) -> int:
    """The length of a dimension that is named; the same name has the same length in all that is made up."""
    if word.isdigit():
        return int(word)
    if len(word) == 1:
        return _LETTERS.get(word.lower(), _N if word.lower() in "nb" else 4)
    size = _size(word)
    return size if size is not None else _N if re.search(r"batch|num|obs|sample|point", word.lower()) else _D


def _size(name: str) -> int | None:
    return next((value for pattern, value in _SIZES if pattern.search(name)), None)
