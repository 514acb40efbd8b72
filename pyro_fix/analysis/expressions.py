"""Evaluate expressions to abstract values."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyro_fix.analysis import branches, calls, flow, records, roles
from pyro_fix.analysis.names import canonical
from pyro_fix.analysis.scopes import Module, Scope
from pyro_fix.analysis.values import (
    Applied,
    Argument,
    Arithmetic,
    Attribute,
    Class,
    Collection,
    Const,
    Function,
    Instance,
    Item,
    Join,
    Library,
    Loop,
    Made,
    Mapping,
    Opaque,
    ParamValue,
    SiteValue,
    StepLoss,
    SviValue,
    Value,
    chosen,
    join,
    literal,
    options,
)

if TYPE_CHECKING:
    from pyro_fix.analysis.interpreter import Interpreter

#: Methods that need one plain number, or one particle's shape: they break when a batch dimension is added (tip 8).
_SCALAR_METHODS = frozenset({"item", "tolist", "numpy", "t"})

#: Methods of lists and sets that change how many items there are.
_RESIZING = frozenset({"append", "add", "extend", "insert", "pop", "remove", "discard", "clear", "update"})

#: Methods of a torch module that change it in its place and return it.
_OF_MODULES = frozenset(
    {"to", "cpu", "cuda", "float", "double", "half", "bfloat16", "type", "train", "eval", "requires_grad_"}
)

#: Functions that take all of what a generator gives; others may stop before.
_EXHAUSTING = frozenset(f"builtins.{name}" for name in ("dict", "list", "max", "min", "set", "sorted", "sum", "tuple"))

#: How deep expressions are followed, calls included: far beyond what people write, well below Python's own limit.
MAX_NESTING = 200


class Evaluator:
    """Expressions; statements are in :class:`~pyro_fix.analysis.interpreter.Interpreter`, which extends this."""

    module: Module
    scope: Scope
    loops: list[Loop]
    nesting: list[Loop | ast.AST]
    functions: list[ast.AST]
    exhausted: set[ast.expr]
    """Generators that are surely read to their end."""
    depth = 0
    """How many expressions, in one another, are being evaluated."""
    work = 0
    """How many statements and expressions have been run for the file that is being read."""

    def evaluate(self: Any, node: ast.expr) -> Value:
        """The value of an expression; facts about the calls in it are recorded."""
        if self.depth == MAX_NESTING:
            return Opaque()
        self.spend(1)
        self.depth += 1
        handler = _EXPRESSIONS.get(type(node))
        value: Value = handler(self, node) if handler is not None else self._unknown(node)
        self.depth -= 1
        return value

    def _unknown(self, node: ast.AST) -> Value:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.evaluate(child)
        return Opaque()

    def _constant(self, node: ast.Constant) -> Value:
        return literal(node.value, tuple(self.functions))

    def _name(self, node: ast.Name) -> Value:
        found = self.scope.lookup(node.id)
        return _read(found) if found is not None else Opaque()

    def _attribute(self, node: ast.Attribute) -> Value:
        inherited = self._inherited(node) if isinstance(node.value, ast.Call) else None
        if inherited is not None:
            return inherited
        return self.get_attribute(self.evaluate(node.value), node.attr, node)

    def _inherited(self, node: ast.Attribute) -> Value | None:
        """``super().name`` of a method: what a base class of the project has under the name."""
        function, call = self.functions[-1] if self.functions else None, node.value
        if not isinstance(call, ast.Call) or call.args or not isinstance(function, ast.FunctionDef):
            return None
        first = [*function.args.posonlyargs, *function.args.args][:1]
        owner = self.scope.lookup(first[0].arg) if first else None
        callee = self.evaluate(call.func)
        if not (isinstance(callee, Library) and callee.name == "builtins.super") or not isinstance(owner, Instance):
            return None
        found = roles.inherited(owner.cls, function, node.attr)
        if not isinstance(found, Function):
            return None
        return Function(found.node, found.scope, found.module, found.decorators, owner)

    def get_attribute(self: Any, base: Value, name: str, node: ast.expr) -> Value:
        """``base.name``, as ``node`` asks for it; a property of the project's own classes is run."""
        if isinstance(base, Library):
            return Library(canonical(f"{base.name}.{name}"))
        if isinstance(base, Join):
            return _remembered(base, name, join(*(self.get_attribute(option, name, node) for option in base.options)))
        found: Value = _read(base.attribute(name))
        if isinstance(found, Made) and found.name == "pyro.nn.PyroSample":
            return calls.attribute_sample(self, found, base, name, node)
        if isinstance(base, Instance) and isinstance(found, Function):
            names = {d.name.rpartition(".")[2] for d in found.decorators if isinstance(d, Library)}
            if names & {"property", "cached_property"}:
                result: Value = self.call_function(found, [], {}, None)
                return result
            if "PyroSample" in names:
                calls.unspelled(self, node, "a method that PyroSample decorates")
                return Opaque()
            for decorator in found.decorators:
                if isinstance(decorator, ParamValue):  # ``@PyroParam(…)``: what the method returns is the initial value
                    decorator.param.initial = self.call_function(found, [], {}, None)
                    return decorator
        return found

    def _call(self: Any, node: ast.Call) -> Value:
        callee = self.evaluate(node.func)
        if isinstance(callee, Library) and callee.name in _EXHAUSTING:
            self.exhausted.update(node.args)
        arguments, keywords, spread = self._arguments(node)
        return join(*(self.apply(c, node, arguments, keywords, spread) for c in _alternatives(callee)))

    def _arguments(self, node: ast.Call) -> tuple[list[Value], dict[str, Value], bool]:
        arguments: list[Value] = []
        keywords: dict[str, Value] = {}
        spread = False
        for arg in node.args:
            if isinstance(arg, ast.Starred):
                inner = self.evaluate(arg.value)
                if isinstance(inner, Collection) and not spread:
                    arguments.extend(inner.items)
                else:
                    spread = True
            else:
                arguments.append(self.evaluate(arg))
        for keyword in node.keywords:
            value = self.evaluate(keyword.value)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
            elif isinstance(value, Mapping) and value.whole:
                keywords |= {key: item for key, item in value.items.items() if isinstance(key, str)}
            else:
                spread = True
        return arguments, keywords, spread

    def apply(
        self: Any,
        callee: Value,
        node: ast.Call,
        arguments: list[Value],
        keywords: dict[str, Value],
        spread: bool = False,
    ) -> Value:
        """The value of a call of ``callee``."""
        run: Interpreter = self
        if isinstance(callee, Library):
            made = Made(callee.name, node, arguments, keywords, spread, run.module, run.scope, tuple(run.loops))
            return calls.library_call(run, made)
        if isinstance(callee, SviValue) and callee.svi.kind == "module":
            return calls.step(run, callee.svi, node, arguments, keywords)
        if isinstance(callee, Made):
            value: Value = self._call_of_made(callee, node, arguments, keywords, spread)
            return value
        if isinstance(callee, Function):
            if spread:  # what stands before ``*args`` is given to the first parameters, whatever that holds
                plain = next((i for i, arg in enumerate(node.args) if isinstance(arg, ast.Starred)), len(node.args))
                arguments, keywords = arguments[:plain], {**keywords, "**": Opaque()}
            return run.call_function(callee, arguments, keywords, node)
        if isinstance(callee, Class):
            return run.instantiate(callee, [] if spread else arguments, keywords, node, spread)
        if isinstance(callee, Instance):
            for name in ("__call__", "forward"):
                member = callee.cls.member(name)
                if isinstance(member, Function):
                    bound = Function(member.node, member.scope, member.module, member.decorators, callee)
                    return run.call_function(bound, arguments, keywords, node)
        if isinstance(callee, Attribute):
            result: Value = self._method(callee, node, arguments, keywords)
            return result
        self._sample_within(callee, node)
        calls.escape((*arguments, *keywords.values()))
        return Applied(callee, arguments, keywords)

    def _call_of_made(
        self: Any, callee: Made, node: ast.Call, arguments: list[Value], keywords: dict[str, Value], spread: bool
    ) -> Value:
        """Call what a library made: a wrapped program, a partial function, an ELBO, a lifted module."""
        run: Interpreter = self
        if callee.name == "functools.partial" and callee.arguments and not callee.spread:
            function, *first = callee.arguments
            if isinstance(function, (Function, Class, Instance, Attribute)):
                # the call's own arguments do not stand where a model and a guide would
                is_loss = isinstance(function, Attribute) and function.name in calls.LOSSES
                given = [*first, *arguments]
                return Opaque() if is_loss else run.apply(function, node, given, callee.keywords | keywords, spread)
        elif roles.is_wrapper(callee.name):
            program = roles.wrapped(callee)
            if program is not None:
                run.contexts.append(callee)
                value = run.apply(program, node, arguments, keywords, spread)
                run.contexts.pop()
                return value
            if arguments:  # ``poutine.block(hide=["x"])(model)``
                rest = callee.arguments[1:]
                every = callee.keywords | keywords
                return Made(
                    callee.name, node, [*arguments, *rest], every, spread, run.module, run.scope, tuple(run.loops)
                )
        elif calls.is_elbo(callee) and len(arguments) + len(keywords) >= 2:
            made = Made(callee.name, node, arguments, keywords, spread, run.module, run.scope, tuple(run.loops))
            return calls.loss_module(run, callee, made)
        elif callee.name == "pyro.random_module":
            calls.unspelled(run, node, "a module lifted by pyro.random_module")
        self._sample_within(callee, node)
        calls.escape((*arguments, *keywords.values()))
        return Applied(callee, arguments, keywords)

    def _sample_within(self: Any, module: Value, node: ast.Call) -> None:
        """Calling a ``PyroModule`` reads its attributes, and so samples those that are ``PyroSample``."""
        for name, value in list(getattr(module, "_attributes", {}).items()):
            if isinstance(value, Made) and value.name == "pyro.nn.PyroSample":
                calls.attribute_sample(self, value, module, name, node)

    def _method(
        self: Any, callee: Attribute, node: ast.Call, arguments: list[Value], keywords: dict[str, Value]
    ) -> Value:
        base, name = callee.base, callee.name
        if isinstance(base, SviValue) and name in ("run", "evaluate_loss", "loss"):
            base.svi.is_asked = True
        if isinstance(base, SviValue) and name == "step":
            return calls.step(self, base.svi, node, arguments, keywords)
        if isinstance(base, Made) and base.name == "pyro.get_param_store" and name == "clear":
            return calls.clear(self)
        if isinstance(base, SviValue) and name == "run":
            return calls.run_svi(self, base, node, arguments, keywords)
        if isinstance(base, Made) and name in calls.LOSSES and calls.is_elbo(base):
            return calls.loss(self, base, node, arguments, keywords)
        if isinstance(base, Made) and base.name == "pyro.infer.autoguide.AutoGuideList" and name in ("append", "add"):
            known = base.attribute(roles.APPENDED)
            parts = known.items if isinstance(known, Collection) else []
            base.set_attribute(roles.APPENDED, Collection([*parts, *arguments]))
        if name in ("sample", "map_estimate") and _is_easy_group(base, name):
            calls.unspelled(self, node, f"EasyGuide's {name}")
        if isinstance(base, SviValue) and name == "evaluate_loss":
            return StepLoss(base.svi)
        if name in _SCALAR_METHODS and flow.reaches(base, SiteValue):
            self.hazard(node, f".{name}() of a sampled value")
        if isinstance(base, Collection) and name in _RESIZING:
            base.whole = False
            if name in ("append", "add") and len(arguments) == 1:
                base.items.append(arguments[0])
                return Const(None)
        if isinstance(base, Instance) and name == "_replace":
            return records.replaced(base, keywords, spread=any(keyword.arg is None for keyword in node.keywords))
        if name in _OF_MODULES and roles.is_module(base):
            return base
        if name == "update" and isinstance(base, (Attribute, Made)):
            records.update(base, node, arguments, keywords)
        if isinstance(base, Mapping):
            if name == "get" and arguments and isinstance(arguments[0], Const):
                if arguments[0].value in base.items and base.whole:
                    return base.items[arguments[0].value]
                if base.whole:
                    return arguments[1] if len(arguments) > 1 else Const(None)
            if name in ("update", "pop", "setdefault", "clear"):
                base.whole = False
        calls.escape((*arguments, *keywords.values()))
        return Applied(callee, arguments, keywords)

    def arithmetic(self, operator: str, *operands: Value) -> Value:
        """An operator applied; what is done to a step's loss is remembered for tip 10."""
        if operator in ("Div", "FloorDiv"):
            if _losses(operands[1]):
                return Opaque()  # a relative change, which no scale of the loss alters
            for part in _losses(operands[0]):
                part.svi.loss_divided = True
        return Arithmetic(operator, operands)

    def _bin_op(self, node: ast.BinOp) -> Value:
        return self.arithmetic(type(node.op).__name__, self.evaluate(node.left), self.evaluate(node.right))

    def _unary_op(self, node: ast.UnaryOp) -> Value:
        operand = self.test(node.operand) if isinstance(node.op, ast.Not) else self.evaluate(node.operand)
        if isinstance(node.op, ast.USub) and isinstance(operand, Const) and isinstance(operand.value, (int, float)):
            return Const(-operand.value, operand.within)
        return Arithmetic(type(node.op).__name__, (operand,))

    def _bool_op(self, node: ast.BoolOp) -> Value:
        values = [self.test(node.values[0])]
        self.nesting.append(node)  # the first decides whether the others are looked at
        values += [self.test(value) for value in node.values[1:-1]] + [self.evaluate(node.values[-1])]
        self.nesting.pop()
        return chosen(type(node.op).__name__, tuple(values), tuple(values))

    def _compare(self, node: ast.Compare) -> Value:
        operands = tuple(self.evaluate(value) for value in (node.left, *node.comparators))
        if all(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops):  # does not look at the value
            return Opaque()
        for operand in operands:
            for part in _losses(operand):
                part.svi.loss_compared = True
        return Arithmetic(type(node.ops[0]).__name__ if len(node.ops) == 1 else "Compare", operands)

    def test(self: Any, node: ast.expr) -> Value:
        """The value of a condition."""
        value: Value = self.evaluate(node)
        if flow.reaches(value, SiteValue):
            self.hazard(node, "a branch on a sampled value")
        return value

    def _if_exp(self: Any, node: ast.IfExp) -> Value:
        run: Interpreter = self
        test, before = run.test(node.test), len(run.stepped)
        run.nesting.append(node)
        values = []
        for arm, inner in enumerate((node.body, node.orelse)):
            run.arms[node] = arm
            values.append(run.evaluate(inner))
        value = chosen("IfExp", (values[0], test, values[1]), tuple(values))
        run.nesting.pop()
        del run.arms[node]
        branches.meet(node, len(values), run.stepped[before:])
        if flow.reaches(test, ParamValue):  # ``s if s > 0 else …`` makes a value valid
            return Arithmetic("IfExp", (test, value))
        return value

    def _sequence(self, node: ast.Tuple | ast.List | ast.Set) -> Value:
        items = [self.evaluate(e) for e in node.elts]
        if any(isinstance(e, ast.Starred) for e in node.elts):
            return Opaque()
        return Collection(items, tuple(self.functions))

    def _dict(self, node: ast.Dict) -> Value:
        items: dict[object, Value] = {}
        whole = True
        for key, value in zip(node.keys, node.values, strict=True):
            inner = self.evaluate(value)
            if key is None:
                if isinstance(inner, Mapping) and inner.whole:
                    items |= inner.items
                else:
                    whole = False
                continue
            name = self.evaluate(key)
            if isinstance(name, Const) and isinstance(name.value, (str, int)):
                items[name.value] = inner
            else:
                whole = False
        return calls.with_scope(Mapping(items, whole, node), self.scope)

    def _subscript(self: Any, node: ast.Subscript) -> Value:
        base, index = self.evaluate(node.value), self.evaluate(node.slice)
        if isinstance(index, Const):
            if isinstance(base, Mapping):
                return _entry(base, index.value)
            known: Value | None = getattr(base, "_attributes", {}).get(f"[{index.value!r}]")
            if known is not None:
                return known
            if isinstance(base, Collection) and isinstance(index.value, int):
                try:
                    return base.items[index.value]
                except IndexError:
                    return Opaque()
        if isinstance(base, (Collection, Mapping)):
            parts = base.parts()
            if len(parts) > 1 and any(flow.reaches(part, ParamValue) for part in parts):
                return Item(base, index)  # which of the params it is makes all the difference
            return join(*parts) if parts else Opaque()
        if any(isinstance(option, SiteValue) for option in options(base)) and not _counts_from_the_right(node.slice):
            self.hazard(node, "a sampled value indexed from the left", of_shape=True)
        return Item(base, index)

    def store_item(self, base: Value, index: ast.expr, value: Value) -> None:
        """``base[index] = value``."""
        key = self.evaluate(index)
        sure = not self.functions and not self.nesting
        if isinstance(base, Mapping):
            if isinstance(key, Const) and isinstance(key.value, (str, int)):
                known = base.items.get(key.value)
                base.items[key.value] = value if sure or known is None else join(known, value)
            else:
                base.whole = False
        elif isinstance(base, Collection):
            base.items = [join(item, value) for item in base.items]
        elif isinstance(key, Const):  # what is read from here on is this, or what was there where it is not reached
            base.set_attribute(f"[{key.value!r}]", value if sure else join(Opaque(), value))

    def _slice(self, node: ast.Slice) -> Value:
        parts = (node.lower, node.upper, node.step)
        return Arithmetic("Slice", tuple(Const(None) if part is None else self.evaluate(part) for part in parts))

    def _lambda(self, node: ast.Lambda) -> Value:
        return Function(node, self.scope, self.module)

    def _joined_str(self, node: ast.JoinedStr) -> Value:
        return Arithmetic("JoinedStr", tuple(self.evaluate(value) for value in node.values))

    def _formatted(self, node: ast.FormattedValue) -> Value:
        inner = self.evaluate(node.value)
        return inner if node.conversion == -1 and node.format_spec is None else Opaque()

    def _comprehension(self: Any, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> Value:
        run: Interpreter = self
        outer = run.scope
        run.scope = Scope(run.module, outer, outer.function)
        depth = 0
        lazy = isinstance(node, ast.GeneratorExp) and node not in run.exhausted
        for part in node.generators:
            iterable = run.evaluate(part.iter)
            loop = calls.loop_over(run, part.iter, iterable, ends_early=lazy or bool(part.ifs))
            run.loops.append(loop)
            run.nesting.append(loop)
            depth += 1
            for name in ast.walk(part.target):
                if isinstance(name, ast.Name):
                    run.scope.names[name.id] = Opaque()
            for test in part.ifs:
                run.evaluate(test)
        items = (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)
        values = [run.evaluate(item) for item in items]
        del run.loops[len(run.loops) - depth :]
        del run.nesting[len(run.nesting) - depth :]
        run.scope = outer
        # of a comprehension only the kind of its items is known, not their number
        return Item(Collection(values), Opaque())

    def _named(self, node: ast.NamedExpr) -> Value:
        value = self.evaluate(node.value)
        self.scope.bind(node.target.id, value)
        return value

    def _yield(self: Any, node: ast.Yield | ast.YieldFrom) -> Value:
        """Who asks for the next one may stop asking: every loop round it, in its function, may end early."""
        run: Interpreter = self
        for entry in run.nesting[run.frames[-1].depth if run.frames else 0 :]:
            if isinstance(entry, Loop):
                entry.ends_early = True
        return run._unknown(node)

    def _starred(self, node: ast.Starred) -> Value:
        self.evaluate(node.value)
        return Opaque()


def _alternatives(callee: Value) -> tuple[Value, ...]:
    return callee.options if isinstance(callee, Join) else (callee,)


def _entry(base: Mapping, key: object) -> Value:
    """An entry of a dict; something else may have been stored under a key that is computed."""
    known = base.items.get(key)
    if known is None or base.whole:
        return known if known is not None else Opaque()
    return join(known, Opaque())


def _read(value: Value) -> Value:
    """Remember of an SVI object that it was asked for."""
    for option in options(value):
        if isinstance(option, SviValue):
            option.svi.is_read = True
    return value


def _remembered(base: Value, name: str, value: Value) -> Value:
    """What is read of ``base`` under ``name``: the same object as last time, where it may be the same things."""
    if not isinstance(value, Join):
        return value
    known = getattr(base, "_attributes", {}).get(name)
    if known is None:
        base.set_attribute(name, value)
    elif isinstance(known, Join) and set(map(id, known.options)) == set(map(id, value.options)):
        return known
    return value


def _is_easy_group(base: Value, name: str) -> bool:
    """Whether ``base.name(…)`` samples for an ``EasyGuide``: ``self.group(…).sample``, ``self.map_estimate``."""
    if name == "map_estimate":
        return isinstance(base, (Instance, Argument))
    return isinstance(base, Applied) and isinstance(base.callee, Attribute) and base.callee.name == "group"


def _counts_from_the_right(index: ast.expr) -> bool:
    """Whether an index starts with ``...``, so that a new dimension on the left does not move it."""
    first = index.elts[0] if isinstance(index, ast.Tuple) and index.elts else index
    return isinstance(first, ast.Constant) and first.value is Ellipsis


def _losses(value: Value) -> list[StepLoss]:
    """The step losses that a value was made from, a few operations back: enough for ``sum(losses) / n``."""
    found: list[StepLoss] = []
    level: tuple[Value, ...] = (value,)
    for _ in range(8):
        found += [part for part in level if isinstance(part, StepLoss)]
        level = tuple(inner for part in level[:32] if not _is_length(part) for inner in part.parts())
    return found


def _is_length(value: Value) -> bool:
    """Whether a value counts other values: how many losses there are is no loss."""
    return isinstance(value, Made) and value.name == "builtins.len"


_EXPRESSIONS: dict[type[ast.expr], Callable[[Any, Any], Value]] = {
    ast.Constant: Evaluator._constant,
    ast.Name: Evaluator._name,
    ast.Attribute: Evaluator._attribute,
    ast.Call: Evaluator._call,
    ast.BinOp: Evaluator._bin_op,
    ast.UnaryOp: Evaluator._unary_op,
    ast.BoolOp: Evaluator._bool_op,
    ast.Compare: Evaluator._compare,
    ast.IfExp: Evaluator._if_exp,
    ast.Tuple: Evaluator._sequence,
    ast.List: Evaluator._sequence,
    ast.Set: Evaluator._sequence,
    ast.Dict: Evaluator._dict,
    ast.Subscript: Evaluator._subscript,
    ast.Slice: Evaluator._slice,
    ast.Lambda: Evaluator._lambda,
    ast.JoinedStr: Evaluator._joined_str,
    ast.FormattedValue: Evaluator._formatted,
    ast.ListComp: Evaluator._comprehension,
    ast.SetComp: Evaluator._comprehension,
    ast.GeneratorExp: Evaluator._comprehension,
    ast.DictComp: Evaluator._comprehension,
    ast.NamedExpr: Evaluator._named,
    ast.Starred: Evaluator._starred,
    ast.Yield: Evaluator._yield,
    ast.YieldFrom: Evaluator._yield,
}
