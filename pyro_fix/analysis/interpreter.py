"""Read a program the way Python would run it, with abstract values in place of tensors.

A module runs from top to bottom, calls of the project's own functions are followed into their bodies, branches are
taken both ways and joined, loops are run through once with everything that they change unknown at their start.
Functions that nothing calls are run on their own afterwards, with unknown arguments.  What is not understood becomes
:class:`~pyro_fix.analysis.values.Opaque`, and an opaque value is never rewritten.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from pyro_fix.analysis import branches, calls, flow, loops, records, roles, tensors
from pyro_fix.analysis.bound import is_complete, is_main_guard
from pyro_fix.analysis.expressions import Evaluator
from pyro_fix.analysis.names import canonical
from pyro_fix.analysis.program import Hazard, Param, Program, Step, Svi
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
    Library,
    Loop,
    Made,
    Mapping,
    Opaque,
    ProjectModule,
    SiteValue,
    StepLoss,
    SviValue,
    Value,
    join,
)

#: How deep calls are followed, and how often one function is: this keeps the cost linear in the code.
MAX_DEPTH = 8
MAX_CALLS = 24
#: How many of the functions that one ``def`` makes, in several calls round it, are looked at on their own.
MAX_ALONE = 4

#: How many statements and expressions may be run to read a file, calls that are followed included: many times what the
#: longest files of real projects take.  Counted, not timed, so that findings do not depend on the machine's load.
MAX_WORK = 4_000_000

#: What a function has to mention for its body to be worth running, unless it calls one that does.
_RELEVANT = re.compile(
    r"param|sample|svi|step|optim|adam|sgd|elbo|auto[a-z]|guide|plate|dist\b|distributions|constraint|loader|epoch|loss|validat"
    r"|_\(|\.(?:item|tolist|numpy|t)\(",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W\d]\w*")

#: What is put aside while another module or function is run from scratch.
_STATE = (
    *("module", "scope", "entry", "root", "loops", "contexts", "functions", "nesting", "arms", "frames"),
    *("_exits", "_returns", "_tries", "depth", "work"),
)


@dataclass
class Frame:
    """A call that is being followed."""

    depth: int
    """How many loops and branches were running when it was made."""
    loops: int
    """How many of them were loops."""
    contexts: int
    """How many contexts were open."""
    skips: bool = False
    """Whether a conditional ``return`` so far may have left out the rest of it."""


class TooMuch(Exception):
    """A file takes more than ``MAX_WORK`` to be read; the message is one line."""


class Importer(Protocol):
    """Finds the file behind an import."""

    def find(self, name: str, importing: Module) -> Module | None:
        """The module that ``name`` (dots in front: relative) means in ``importing``; ``None`` if not the project's."""

    def give_up(self, module: Module, error: Exception) -> None:
        """Hear that ``module`` cannot be analysed."""


class Interpreter(Evaluator):
    """Runs modules and records facts into a :class:`Program`."""

    def __init__(self, program: Program, importer: Importer) -> None:
        self.program = program
        self.importer = importer
        self.module: Module
        self.scope: Scope
        self.params: dict[int, Param] = {}
        self.sampled: dict[Made, SiteValue] = {}
        """``PyroSample`` -> what reading it gives."""
        self._holders: dict[Value, tuple[Value, str] | None] = {}
        """Module -> the module that holds it, and the attribute's name; ``None`` where several do."""
        self._imagined: set[Value] = set()
        """Objects that stand for all of a class whose making was not seen: nobody knows where they are put."""
        self.loops: list[Loop] = []
        self.contexts: list[Value] = []
        self.functions: list[ast.AST] = []
        self.nesting: list[Loop | ast.AST] = []
        """Loops and branches that are being run through, outermost first."""
        self.arms: branches.Arms = {}
        self.stepped: list[tuple[Svi, Step]] = []
        """Every step so far, in the order in which they were met."""
        self.entry: Module | None = None
        """The module whose top level is running; ``None`` while a function is looked at on its own."""
        self.root: Module | ast.AST | None = None
        """What was started from outside: a module, or a function that is looked at on its own."""
        self.frames: list[Frame] = []
        """The calls that are running, outermost first."""
        self._returns: list[list[Value]] = []
        self._exits: list[list[dict[str, Value]]] = []
        self._tries: list[tuple[int, Loop | None]] = []
        """For every ``try`` that is running and may catch what is raised: how many loops and branches are round it, and
        the loop that it leaves then."""
        self._inner: list[Function | Class] = []
        """What was defined inside functions that were called, in each of their calls."""
        self._alone: dict[int, int] = {}
        """Inner function -> how often it was looked at on its own."""
        self.exhausted: set[ast.expr] = set()
        self._called: dict[int, int] = {}
        self._relevant: dict[int, bool] = {}
        self._instances: dict[int, Instance] = {}
        self._assigned: dict[int, frozenset[str]] = {}

    # -- modules and functions -----------------------------------------------------------------------------------

    def run_module(self, module: Module) -> None:
        """Run ``module`` once; a module that imports itself in a circle sees what is there so far."""
        if module.state != "new":
            return
        module.state = "running"
        with self._from_scratch(module):
            self.entry, self.root = module, module
            self._run(module.tree.body)
        module.state, module.scope.at = "done", None

    def run_rest(self, module: Module) -> None:
        """Run the functions of ``module`` that no call has reached, with unknown arguments."""
        with self._from_scratch(module):
            # from the bottom up, where callers tend to stand: a function is better understood by a call than on its own
            self._run_functions(module.tree.body[::-1], module.scope, None)
            self._run_inner(module)

    def _run_functions(self, body: Iterable[ast.stmt], scope: Scope, owner: Class | None) -> None:
        for node in body:
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                bound = self._standalone(owner) if owner else None
                function = Function(node, scope, scope.module, self._decorators(node), bound)
                if id(node) not in self._called and self._is_relevant(node, scope.module, owner):
                    self.call_function(function, [], {}, None)
            elif isinstance(node, ast.ClassDef):
                value = scope.names.get(node.name)
                if isinstance(value, Class) and value.node is node and self._is_relevant(node, scope.module):
                    self._standalone(value)
                    self._run_functions(node.body, scope, value)
            elif isinstance(node, (ast.If, ast.Try, ast.With)):
                self._run_functions([n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)], scope, owner)

    def _run_inner(self, module: Module) -> None:
        """What called functions of ``module`` defined and did not call: models and guides, with that call's values.

        The last that was defined comes first, for the reason above.
        """
        while found := self._taken(lambda value: value.module is module):
            for value in found:
                if isinstance(value, Function):
                    self._run_alone(value)
                elif self._is_relevant(value.node, module):
                    self._standalone(value)
                    self._run_functions(value.node.body, _around(value), value)

    def _taken(self, wanted: Callable[[Function | Class], bool]) -> list[Function | Class]:
        """Those of the inner definitions that are wanted, from now on looked at; the last one first."""
        found = [value for value in self._inner if wanted(value)]
        if found:
            self._inner = [value for value in self._inner if not wanted(value)]
        return found[::-1]

    def _run_alone(self, function: Function) -> None:
        """An inner function, unless it was called; in several calls of the one round it, it is several."""
        key = id(function.node)
        count = self._alone.get(key, 0)
        if count < MAX_ALONE and (count or key not in self._called):
            self._alone[key] = count + 1
            self.call_function(function, [], {}, None)

    def _standalone(self, cls: Class) -> Instance:
        """The one object of ``cls`` that stands for all whose making was not seen."""
        if id(cls.node) not in self._instances:
            instance = self._instances[id(cls.node)] = Instance(cls)
            self._imagined.add(instance)
            records.unknown(instance)
            start = cls.member("__init__")
            if isinstance(start, Function) and self._is_relevant(cls.node, cls.module):
                self.call_function(
                    Function(start.node, start.scope, start.module, start.decorators, instance), [], {}, None
                )
        return self._instances[id(cls.node)]

    def instantiate(
        self, cls: Class, arguments: list[Value], keywords: dict[str, Value], node: ast.Call, spread: bool = False
    ) -> Value:
        """``Class(...)`` of the project; ``spread``: some of its arguments are behind ``*`` or ``**``."""
        instance = Instance(cls)
        start = cls.member("__init__")
        if not isinstance(start, Function):
            if records.is_record(cls):
                self._instances.setdefault(id(cls.node), instance)
            records.fill(self, instance, arguments, keywords, spread)
        elif self._is_relevant(cls.node, cls.module):
            for known in roles.lineage(cls):  # it stands for its bases too: what they are for is to be inherited from
                self._instances.setdefault(id(known.node), instance)
            bound = Function(start.node, start.scope, start.module, start.decorators, instance)
            self.call_function(bound, arguments, keywords, node)
        return instance

    def call_function(
        self, function: Function, arguments: list[Value], keywords: dict[str, Value], node: ast.Call | None
    ) -> Value:
        """Run the body of ``function``; ``node`` is ``None`` when it is looked at on its own."""
        body = function.node
        count = self._called.get(id(body), 0)
        if body in self.functions:
            self.program.recursive.add(body)
        if body in self.functions or len(self.functions) >= MAX_DEPTH or count >= MAX_CALLS:
            calls.escape((*arguments, *keywords.values()))
            self._pass_over(function, arguments, keywords)
            return Opaque()
        owner = function.bound.cls if isinstance(function.bound, Instance) else None
        has_loss = any(isinstance(value, StepLoss) for value in (*arguments, *keywords.values()))
        if not (isinstance(body, ast.Lambda) or has_loss or self._is_relevant(body, function.module, owner)):
            self._pass_over(function, arguments, keywords)
            return Opaque()
        self._called[id(body)] = count + 1
        saved = self.module, self.scope, self.root
        self.module = function.module
        self.scope = Scope(function.module, function.scope, body)
        if node is None and not isinstance(body, ast.Lambda):
            self.root = body
        self._bind_arguments(function, arguments, keywords, known=node is not None)
        self.module.callers.setdefault(body, set()).update(self.functions)
        self.functions.append(body)
        self.frames.append(Frame(len(self.nesting), len(self.loops), len(self.contexts)))
        self._returns.append([])
        exits, self._exits = self._exits, []
        if isinstance(body, ast.Lambda):
            self._returns[-1].append(self.evaluate(body.body))
        elif not self._run(body.body):
            self._returns[-1].append(Const(None))
        self._exits = exits
        self.functions.pop()
        self.frames.pop()
        returned = self._returns.pop()
        inner = self.scope
        self.module, self.scope, self.root = saved
        if node is None and not isinstance(body, ast.Lambda):
            for nested in self._taken(lambda value: isinstance(value, Function) and value.scope is inner):
                assert isinstance(nested, Function)
                self._run_alone(nested)
        return join(*returned) if returned else Opaque()

    def _pass_over(self, function: Function, arguments: list[Value], keywords: dict[str, Value]) -> None:
        """The body is not run: what it may set of the objects that it is given is not known from here on."""
        given = [v for v in (*arguments, *keywords.values(), function.bound) if isinstance(v, Instance)]
        if given:
            names = records.stored(function.node, None)
            for value in given:
                records.taint(value, names)

    def _bind_arguments(
        self, function: Function, arguments: list[Value], keywords: dict[str, Value], known: bool
    ) -> None:
        spec, scope = function.node.args, self.scope
        positional = [*spec.posonlyargs, *spec.args]
        given = list(arguments)
        names = {_last_name(d) for d in function.decorators}
        if function.bound is not None and "staticmethod" not in names:
            given.insert(0, function.bound)
        defaults: dict[str, ast.expr] = dict(
            zip([a.arg for a in positional[len(positional) - len(spec.defaults) :]], spec.defaults, strict=True)
        )
        defaults |= {a.arg: d for a, d in zip(spec.kwonlyargs, spec.kw_defaults, strict=True) if d is not None}
        outer = Scope(function.module, function.scope)
        outer.at = function.node  # where the defaults are evaluated
        for index, arg in enumerate([*positional, *spec.kwonlyargs]):
            if index < min(len(given), len(positional)):
                scope.names[arg.arg] = given[index]
            elif arg.arg in keywords:
                scope.names[arg.arg] = keywords[arg.arg]
            else:
                default = self._in(outer, defaults[arg.arg]) if arg.arg in defaults else None
                usable = known and default is not None and "**" not in keywords
                scope.names[arg.arg] = default if usable and default else Argument(function.node, arg.arg, default)
        for rest in (spec.vararg, spec.kwarg):
            if rest is not None:
                scope.names[rest.arg] = Opaque()

    def _in(self, scope: Scope, node: ast.expr) -> Value:
        saved, self.scope = self.scope, scope
        value = self.evaluate(node)
        self.scope = saved
        return value

    def _is_relevant(
        self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef, module: Module, owner: Class | None = None
    ) -> bool:
        if id(node) not in self._relevant:
            self._relevant[id(node)] = False  # what only calls itself is not
            text = "".join(module.source.lines[node.lineno - 1 : node.end_lineno])
            self._relevant[id(node)] = (
                _RELEVANT.search(text) is not None
                or (owner is not None and roles.inherits(owner, "pyro.nn.PyroModule"))  # reading attributes samples
                or any(
                    self._leads_on(module.scope.names.get(word) or (owner and owner.member(word)), owner)
                    for word in set(_WORD.findall(text))
                )
            )
        return self._relevant[id(node)]

    def _leads_on(self, value: Value | None, owner: Class | None) -> bool:
        if isinstance(value, Function) and not isinstance(value.node, ast.Lambda):
            return self._is_relevant(value.node, value.module, owner)
        return isinstance(value, ProjectModule) or (
            isinstance(value, Class) and self._is_relevant(value.node, value.module)
        )

    @contextmanager
    def _from_scratch(self, module: Module) -> Iterator[None]:
        """Put what is being run aside, to run something of ``module`` from scratch; what goes wrong ends there."""
        saved = {name: getattr(self, name, None) for name in _STATE}
        self.module, self.scope, self.entry, self.work = module, module.scope, None, 0
        self.loops, self.contexts, self.functions, self.nesting, self.frames = [], [], [], [], []
        self.arms = {}
        self._exits, self._returns, self._tries = [], [], []
        try:
            yield
        except TooMuch as error:
            self.importer.give_up(module, error)
        except Exception as error:  # whatever a file holds, the others are read
            self.importer.give_up(self.module, error)
        finally:
            for name, value in saved.items():
                setattr(self, name, value)

    def path_of(self, owner: Value, name: str) -> str | None:
        """The name that Pyro gives to an attribute of a module: ``linear.weight``; ``None`` where that is not known."""
        for _ in range(MAX_DEPTH):
            if owner not in self._holders:
                return None if owner in self._imagined else name
            holder = self._holders[owner]
            if holder is None:
                return None
            owner, name = holder[0], f"{holder[1]}.{name}"
        return None

    def spend(self, work: int) -> None:
        """Count what has been done for the file that is being read; raises :class:`TooMuch`."""
        self.work += work
        if self.work > MAX_WORK:
            raise TooMuch("takes too long to be analysed")

    # -- facts ---------------------------------------------------------------------------------------------------

    def hazard(self, node: ast.AST, what: str, of_shape: bool = False) -> None:
        """Something that a change of batch shape would break, in every function that is running."""
        line = getattr(node, "lineno", 0)
        self.program.hazards.extend(Hazard(function, line, what, of_shape) for function in self.functions)

    # -- statements ----------------------------------------------------------------------------------------------

    def _run(self, body: Sequence[ast.stmt]) -> bool:
        """Run statements in order; True when control leaves the block (return, raise, break, continue)."""
        for statement in body:
            self.spend(1)
            self.scope.at = statement
            handler = _STATEMENTS.get(type(statement))
            if handler is not None and handler(self, statement):
                return True
        return False

    def _expr(self, node: ast.Expr) -> None:
        value = node.value
        self.evaluate(value)
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) and value.func.attr.endswith("_"):
            owner = value.func.value
            named = isinstance(owner, (ast.Name, ast.Attribute)) and isinstance(self.evaluate(owner), Library)
            self._mutate(value.args[0] if named and value.args else owner)  # ``torch.nn.init.zeros_(x)``

    def _mutate(self, node: ast.expr) -> None:
        """``x.clamp_(…)``: whatever ``x`` was made from is no longer what it was."""
        self._mark_mutated(self.evaluate(node))
        if isinstance(node, ast.Name):
            self.scope.bind(node.id, Opaque())

    def _mark_mutated(self, value: Value) -> None:
        for shared in flow.sharing(value):
            shared.param.mutated = True
        tensors.write(value)

    def _assign(self, node: ast.Assign) -> None:
        value = self.evaluate(node.value)
        for target in node.targets:
            self._bind(target, value)

    def _ann_assign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._bind(node.target, self.evaluate(node.value))

    def _aug_assign(self, node: ast.AugAssign) -> None:
        value = self.arithmetic(type(node.op).__name__, self.evaluate(node.target), self.evaluate(node.value))
        self._bind(node.target, value)

    def _bind(self, target: ast.expr, value: Value) -> None:
        if isinstance(value, SviValue):
            value.svi.holders += 1
        if isinstance(target, ast.Name):
            self._drop(self.scope.names.get(target.id), self.module.history.get(target.id))
            self.scope.bind(target.id, value)
        elif isinstance(target, ast.Attribute):
            base = self.evaluate(target.value)
            if target.attr == "data":  # ``param.data = …`` changes the tensor behind Pyro's back
                self._mark_mutated(base)
            known = getattr(base, "_attributes", {}).get(target.attr)
            if self._drop(known):
                known = None
            self._reassign(known, value)
            base.set_attribute(target.attr, self._assigned_to(base, target.attr, known, value))
            if isinstance(base, (Instance, Applied)) and isinstance(value, (Instance, Applied)):
                self._holders[value] = None if value in self._holders else (base, target.attr)
        elif isinstance(target, (ast.Tuple, ast.List)):
            items = value.items if isinstance(value, Collection) and len(value.items) == len(target.elts) else None
            is_plain = not any(isinstance(element, ast.Starred) for element in target.elts)
            for index, element in enumerate(target.elts):
                part = items[index] if items else _dimension(value, index) if is_plain else Opaque()
                self._bind(element, part)
        elif isinstance(target, ast.Starred):
            self._bind(target.value, Opaque())
        elif isinstance(target, ast.Subscript):
            base = self.evaluate(target.value)
            self.evaluate(target.slice)
            if not isinstance(base, (Collection, Mapping)):  # an entry of a list or a dict is replaced, not changed
                self._mark_mutated(base)
            self.store_item(base, target.slice, value)

    def _drop(self, known: Value | None, history: list[Value] | None = None) -> bool:
        """What a name held is replaced: an SVI object that nothing was asked of is dead, and no fact."""
        if not isinstance(known, SviValue) or known.svi.is_read or known.svi.steps or known.svi.escaped:
            return False
        svi = known.svi
        is_here = svi.nesting == tuple(self.nesting) and svi.scope.function is self.scope.function
        if not is_here or svi.holders != 1 or svi not in self.program.svis:
            return False
        self.program.svis.remove(svi)
        if history is not None and self.scope.parent is None and known in history:
            history.remove(known)
        return True

    def _assigned_to(self, base: Value, name: str, known: Value | None, value: Value) -> Value:
        """An attribute after an assignment: one that several places assign may hold any of their values."""
        if not self.functions and not self.nesting:
            return value
        if known is None and isinstance(base, Instance):  # what the class says, where this assignment is not reached
            depth = self.frames[-1].depth if self.frames else 0
            starts = bool(self.functions) and getattr(self.functions[-1], "name", "") == "__init__"
            member = base.cls.member(name)
            if isinstance(member, Const) and (not starts or any(isinstance(e, ast.AST) for e in self.nesting[depth:])):
                known = member
        return value if known is None else join(known, value)

    def _reassign(self, known: Value | None, value: Value) -> None:
        """Remember that one attribute is given several params, which cannot be told apart by a name.

        Equal ones, of a class and of its subclass, do not need to be.
        """
        params = {o.param.param for v in (known, value) if v is not None for o in flow.origins(v) if o.unchanged}
        if len(params) > 1 and len({ast.dump(param.call) for param in params}) > 1:
            for param in params:
                param.reassigned = param.kind == "PyroParam"

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        scope = self.scope
        function = Function(node, scope, self.module, self._decorators(node))
        made = [d.func for d in node.decorator_list if isinstance(d, ast.Call)]  # what made the decorators
        if any(map(roles.repeats, (*function.decorators, *map(self.evaluate, made)))):
            self.program.repeated.add(node)
        self.scope.bind(node.name, function)
        if self.functions:
            self._inner.append(function)
            self.program.inner.append(function)

    def _decorators(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[Value, ...]:
        return tuple(self.evaluate(decorator) for decorator in node.decorator_list)

    def _class(self, node: ast.ClassDef) -> None:
        bases = tuple(self.evaluate(base) for base in node.bases)
        outer = self.scope
        self.scope = Scope(self.module, outer)
        self._run(node.body)
        members = self.scope.names
        self.scope = outer
        for member in members.values():  # a method sees the names around the class, not those in it
            if isinstance(member, Function):
                member.scope = outer
        value = Class(node, self.module, bases, members, tuple(map(self.evaluate, node.decorator_list)))
        if roles.is_lightning(value):
            self.program.hooks |= {member.node for member in members.values() if isinstance(member, Function)}
        outer.bind(node.name, value)
        if self.functions:
            self._inner.append(value)

    def _return(self, node: ast.Return) -> bool:
        value = self.evaluate(node.value) if node.value is not None else Const(None)
        if self._returns:
            self._returns[-1].append(value)
            frame = self.frames[-1]
            frame.skips = frame.skips or any(isinstance(entry, ast.AST) for entry in self.nesting[frame.depth :])
        return True

    def _raise(self, node: ast.Raise) -> bool:
        if node.exc is not None:
            self.evaluate(node.exc)
        around = self.nesting[-1] if self.nesting else None
        if self._tries and not (isinstance(around, ast.If) and loops.is_broken(around.test)):
            left = [loop for _, loop in self._tries]  # it may be how a loop is left
            for entry in (*self.nesting[self._tries[0][0] :], *left):
                if isinstance(entry, Loop):
                    entry.ends_early = True
        return True

    def _jump(self, node: ast.stmt) -> bool:
        if self._exits:
            self._exits[-1].append(self.scope.names)
        if self.loops and isinstance(node, ast.Continue):
            self.loops[-1].skips = True
        return True

    def _if(self, node: ast.If) -> bool:
        test = self.test(node.test)
        if is_main_guard(node):
            return self._run(node.body)
        if isinstance(test, Library) and test.name == "typing.TYPE_CHECKING":
            return self._run(node.orelse)
        return self._branch([node.body, node.orelse], node)

    def _branch(self, blocks: Sequence[Sequence[ast.stmt]], node: ast.AST | None = None) -> bool:
        """Run each block, an arm of the branch ``node``, from the same start and join where they meet again."""
        start, before = self.scope.names, len(self.stepped)
        ends, leading = [], 0
        if node is not None:
            self.nesting.append(node)
        for arm, block in enumerate(blocks):
            if node is not None:
                self.arms[node] = arm
            self.scope.names = dict(start)
            ended = self._run(block)
            if not ended:
                ends.append(self.scope.names)
            leading += not (ended and isinstance(block[-1], ast.Raise))
        self.scope.names = _join_names(ends) if ends else start
        if node is not None:
            self.nesting.pop()
            del self.arms[node]
            branches.meet(node, leading, self.stepped[before:])
        return not ends

    def _for(self, node: ast.For | ast.AsyncFor) -> None:
        iterable = self.evaluate(node.iter)
        if isinstance(iterable, Collection):
            calls.escape(iterable.items)  # what the loop's variable stands for is not known
        ends_early = loops.ends_early(node)
        self._loop(calls.loop_over(self, node, iterable, ends_early), node.body, node.target)
        self._branch([node.orelse, []] if ends_early else [node.orelse])

    def _while(self, node: ast.While) -> None:
        self.test(node.test)
        count = self._counted(node)
        self._loop(Loop(node, count, count is None or loops.ends_early(node)), node.body, None)
        self._branch([node.orelse, []])

    def _counted(self, node: ast.While) -> Value | None:
        """The rounds of ``while i < n: …; i += 1``; ``None`` when it may be any other loop."""
        counter = loops.counter(node)
        if counter is None or counter.name in self.module.declared_global:
            return None
        start = self.scope.lookup(counter.name)
        if not isinstance(start, Const) or counter.is_moved(self._names_assigned(node)):
            return None
        stop = self.evaluate(counter.limit)
        if counter.inclusive:
            if isinstance(stop, Const) and isinstance(stop.value, int):
                stop = Const(stop.value + 1, stop.within)
            else:
                stop = Arithmetic("Add", (stop, Const(1)))
        return flow.spelled_difference(start.value, stop)

    def _loop(self, loop: Loop, body: Sequence[ast.stmt], target: ast.expr | None) -> None:
        before = dict(self.scope.names)
        for name in self._names_assigned(loop.node):
            if name in before:  # the last round may have left anything here
                self.scope.names[name] = join(before[name], Opaque())
        if target is not None:
            self._bind(target, Opaque())
            loop.variable = self._variable(loop, target)
        self.loops.append(loop)
        self.nesting.append(loop)
        self._exits.append([])
        ended = self._run(body)
        self.nesting.pop()
        self.loops.pop()
        exits = self._exits.pop()
        ends = [before, *exits] if ended else [before, self.scope.names, *exits]
        self.scope.names = _join_names(ends)

    def _variable(self, loop: Loop, target: ast.expr) -> Value | None:
        """What a loop's name stands for in a round; of several, as of ``enumerate``, the first."""
        if isinstance(target, ast.Tuple) and loop.is_numbered:
            target = target.elts[0]
        return self.scope.names.get(target.id) if isinstance(target, ast.Name) else None

    def _names_assigned(self, node: ast.AST) -> frozenset[str]:
        if id(node) not in self._assigned:
            self._assigned[id(node)] = frozenset(
                inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
            )
        return self._assigned[id(node)]

    def _with(self, node: ast.With | ast.AsyncWith) -> bool:
        for item in node.items:
            context = self.evaluate(item.context_expr)
            self.contexts.append(context)
            if item.optional_vars is not None:
                self._bind(item.optional_vars, context if flow.is_progress_bar(context) else Opaque())
        ended = self._run(node.body)
        del self.contexts[len(self.contexts) - len(node.items) :]
        return ended

    def _try(self, node: ast.Try) -> bool:
        start = dict(self.scope.names)
        catches = any(not _is_interrupt(handler.type) for handler in node.handlers)
        if catches:
            self._tries.append((len(self.nesting), self.loops[-1] if self.loops and loops.gives_up(node) else None))
        ended = self._run(node.body)
        if catches:
            self._tries.pop()
        ended = ended or self._run(node.orelse)
        ends = [] if ended else [self.scope.names]
        imports_only = all(isinstance(s, (ast.Import, ast.ImportFrom)) for s in node.body)
        for handler in node.handlers:
            self.scope.names = dict(start) if imports_only else _join_names([start, *ends]) if ends else dict(start)
            self.nesting.append(handler)
            if not self._run(handler.body) and not imports_only:
                ends.append(self.scope.names)
            self.nesting.pop()
        self.scope.names = _join_names(ends) if ends else start
        return self._run(node.finalbody) or not ends

    def _match(self, node: ast.Match) -> bool:
        self.evaluate(node.subject)
        blocks = [case.body for case in node.cases]
        return self._branch(blocks if is_complete(node) else [*blocks, []], node)

    def _delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.scope.names.pop(target.id, None)

    def _global(self, node: ast.Global) -> None:
        if self.scope.parent is not None:
            self.scope.globals.update(node.names)

    def _assert(self, node: ast.Assert) -> None:
        self.test(node.test)

    def _import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.asname is not None:
                self.scope.bind(alias.asname, self._imported(alias.name))
            else:
                self._imported(alias.name)  # ``import a.b`` runs a.b and binds a
                root = alias.name.partition(".")[0]
                self.scope.bind(root, self._imported(root))

    def _imported(self, name: str) -> Value:
        found = self.importer.find(name, self.module)
        if found is None:
            return Library(name)
        self.module.imports |= {found} | found.imports
        return ProjectModule(found)

    def _import_from(self, node: ast.ImportFrom) -> None:
        if node.module == "__future__":
            return
        name = "." * node.level + (node.module or "")
        found = self.importer.find(name, self.module)
        if found is not None:
            self.module.imports |= {found} | found.imports
        for alias in node.names:
            if alias.name == "*":
                if found is not None:
                    found.exported("*")  # reads it
                self.module.stars.append(found or name)
                continue
            value: Value | None
            if found is not None:
                value = found.exported(alias.name)
                if value is None and (inner := self.importer.find(_child(name, alias.name), self.module)):
                    value = ProjectModule(inner)
                if value is None:
                    value = Opaque()
            elif node.level:
                inner = self.importer.find(_child(name, alias.name), self.module)
                value = ProjectModule(inner) if inner else Opaque()
            else:
                value = Library(canonical(f"{name}.{alias.name}"))
            self.scope.bind(alias.asname or alias.name, value)


def _around(cls: Class) -> Scope:
    """The names that the methods of an inner class see."""
    scopes = (member.scope for member in cls.members.values() if isinstance(member, Function))
    return next(scopes, cls.module.scope)


def _child(package: str, name: str) -> str:
    return package + name if package.endswith(".") else f"{package}.{name}"


def _dimension(shape: Value, index: int) -> Value:
    """What ``rows, columns = x.shape`` gives; of anything else that is taken apart nothing is known."""
    if isinstance(shape, Attribute) and shape.name == "shape":
        return Item(shape, Const(index))
    if isinstance(shape, Applied) and isinstance(shape.callee, Attribute) and shape.callee.name == "size":
        return Opaque() if shape.arguments or shape.keywords else Applied(shape.callee, [Const(index)], {})
    return Opaque()


def _last_name(value: Value) -> str:
    return value.name.rpartition(".")[2] if isinstance(value, Library) else ""


def _is_interrupt(caught: ast.expr | None) -> bool:
    """Whether a handler waits for Ctrl-C or a missing module alone, which no loop raises to end."""
    return isinstance(caught, ast.Name) and caught.id in ("KeyboardInterrupt", "ImportError", "ModuleNotFoundError")


def _join_names(ends: Sequence[dict[str, Value]]) -> dict[str, Value]:
    """The names after branches that ended in ``ends``; one that is missing somewhere keeps the values it has."""
    first, *rest = ends
    joined = dict(first)
    for end in rest:
        for name, value in end.items():
            known = joined.get(name)
            if known is None:
                joined[name] = value
            elif known is not value:
                joined[name] = join(known, value)
    return joined


_STATEMENTS: dict[type[ast.stmt], Callable[[Interpreter, Any], bool | None]] = {
    ast.Expr: Interpreter._expr,
    ast.Assign: Interpreter._assign,
    ast.AnnAssign: Interpreter._ann_assign,
    ast.AugAssign: Interpreter._aug_assign,
    ast.FunctionDef: Interpreter._function,
    ast.AsyncFunctionDef: Interpreter._function,
    ast.ClassDef: Interpreter._class,
    ast.Return: Interpreter._return,
    ast.Raise: Interpreter._raise,
    ast.Break: Interpreter._jump,
    ast.Continue: Interpreter._jump,
    ast.If: Interpreter._if,
    ast.For: Interpreter._for,
    ast.AsyncFor: Interpreter._for,
    ast.While: Interpreter._while,
    ast.With: Interpreter._with,
    ast.AsyncWith: Interpreter._with,
    ast.Try: Interpreter._try,
    ast.Match: Interpreter._match,
    ast.Delete: Interpreter._delete,
    ast.Global: Interpreter._global,
    ast.Assert: Interpreter._assert,
    ast.Import: Interpreter._import,
    ast.ImportFrom: Interpreter._import_from,
}
