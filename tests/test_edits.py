"""Edits in every layout: the smallest change, in the call's own style."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from pyro_fix import edits, sources
from pyro_fix.analysis.scopes import Module
from pyro_fix.transform import Edit

PATH = Path("/file.py")


def module_of(text: str, encoding: str = "utf-8") -> Module:
    source = sources.from_bytes(PATH, text.encode(encoding))
    return Module(source, ast.parse(source.data), "file", lambda _: None)


def expression(module: Module) -> ast.expr:
    statement = module.tree.body[-1]
    assert isinstance(statement, (ast.Expr, ast.Assign))
    return statement.value


def applied(module: Module, *changes: Edit) -> str:
    text = module.source.text
    for edit in sorted(changes, key=lambda e: e.start, reverse=True):
        text = text[: edit.start] + edit.replacement + text[edit.end :]
    ast.parse(module.source.encode(text))
    return text


def call_of(module: Module) -> ast.Call:
    node = expression(module)
    assert isinstance(node, ast.Call)
    return node


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f()", "f(k=v)"),
        ("f(a)", "f(a, k=v)"),
        ("f( a )", "f( a, k=v )"),
        ("f(a,b)", "f(a,b, k=v)"),
        ("f(a, )", "f(a, k=v, )"),
        ("f(a,)", "f(a, k=v,)"),
        ("f(a, x=1)", "f(a, x=1, k=v)"),
        ("f(a, **o)", "f(a, k=v, **o)"),
        ("f(*a)", "f(*a, k=v)"),
        ("f(a, *b, **c)", "f(a, *b, k=v, **c)"),
        ("f(a)(b)", "f(a)(b, k=v)"),
        ("f(g(a), (b))", "f(g(a), (b), k=v)"),
        ("f(\n    a,\n    b,\n)", "f(\n    a,\n    b,\n    k=v,\n)"),
        ("f(\n    a,\n    b\n)", "f(\n    a,\n    b,\n    k=v\n)"),
        ("f(\n    a,\n)", "f(\n    a,\n    k=v,\n)"),
        ("f(\n    a\n)", "f(\n    a,\n    k=v\n)"),
        ("f(a,\n  b)", "f(a,\n  b,\n  k=v)"),
        ("f(a,\n  b,\n)", "f(a,\n  b,\n  k=v,\n)"),
        ("f(\n    a, b\n)", "f(\n    a, b, k=v\n)"),
        ("f(\n    a,  # first\n    b,  # second\n)", "f(\n    a,  # first\n    b,  # second\n    k=v,\n)"),
        ("f(\n    a,  # first\n    b  # second\n)", "f(\n    a,  # first\n    b,  # second\n    k=v\n)"),
        ("f(\n    a  # only\n)", "f(\n    a,  # only\n    k=v\n)"),
        ("f(\n    # before\n    a,\n)", "f(\n    # before\n    a,\n    k=v,\n)"),
        ("f(\n    a,\n    # after\n)", "f(\n    a,\n    k=v,\n    # after\n)"),
        ("f(\n\ta,\n\tb,\n)", "f(\n\ta,\n\tb,\n\tk=v,\n)"),
        ("f(\r\n    a,\r\n    b,\r\n)", "f(\r\n    a,\r\n    b,\r\n    k=v,\r\n)"),
        ("f(\r\n    a\r\n)", "f(\r\n    a,\r\n    k=v\r\n)"),
        ("f(a, lambda: 1)", "f(a, lambda: 1, k=v)"),
        ("f(a, 'x' \\\n  'y')", "f(a, 'x' \\\n  'y', k=v)"),
        ("f(a, '''x\ny''')", "f(a, '''x\ny''', k=v)"),
        ("f ( a , b )", "f ( a , b, k=v )"),
        ("x = f(a)  # f(b)", "x = f(a, k=v)  # f(b)"),
        ("f('ä', \"日本\")", "f('ä', \"日本\", k=v)"),
        ("await_ = 1; f(a)", "await_ = 1; f(a, k=v)"),
    ],
)
def test_add_keyword(before: str, after: str):
    module = module_of(before)
    assert applied(module, edits.add_keyword(module, call_of(module), "k", "v")) == after


def test_add_keyword_in_an_indented_block():
    module = module_of("def g():\n    if 1:\n        return f(\n            a,\n        )\n")
    (call,) = [node for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    after = "def g():\n    if 1:\n        return f(\n            a,\n            k=v,\n        )\n"
    assert applied(module, edits.add_keyword(module, call, "k", "v")) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("f(k=1)", "f()"),
        ("f(a, k=1)", "f(a)"),
        ("f(k=1, a=2)", "f(a=2)"),
        ("f(a, k=1, b=2)", "f(a, b=2)"),
        ("f(a, k=1,)", "f(a,)"),
        ("f(\n    a,\n    k=1,\n)", "f(\n    a,\n)"),
        ("f(\n    a,\n    k=1\n)", "f(\n    a\n)"),
        ("f(a, b=1)", "f(a, b=1)"),
        ("f(\n    k=1,\n)", "f()"),
        ("f(\n    a,  # first\n    k=v,\n)", "f(\n    a,  # first\n)"),
        ("f(\n    a,  # first\n    k=v,  # second\n)", "f(\n    a,  # first  # second\n)"),
        ("f(\n    a,  # first\n    k=v  # second\n)", "f(\n    a  # first  # second\n)"),
        ("f(\n    a,\n    k=v,  # second\n)", "f(\n    a,  # second\n)"),
        ("f(a,  # first\n  k=v)", "f(a  # first\n  )"),
        ("f(\n    a, k=v,  # both\n)", "f(\n    a,  # both\n)"),
    ],
)
def test_remove_keyword(before: str, after: str):
    module = module_of(before)
    assert applied(module, edits.remove_keyword(module, call_of(module), "k")) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{}", '{"k": v}'),
        ("{'a': 1}", "{'a': 1, 'k': v}"),
        ('{"a": 1}', '{"a": 1, "k": v}'),
        ("{a: 1}", '{a: 1, "k": v}'),
        ("{'a': 1,}", "{'a': 1, 'k': v,}"),
        ("{'a': 1, }", "{'a': 1, 'k': v, }"),
        ("{ 'a': 1 }", "{ 'a': 1, 'k': v }"),
        ("{'a':1,'b':2}", "{'a':1,'b':2, 'k': v}"),
        ("{\n    'a': 1,\n}", "{\n    'a': 1,\n    'k': v,\n}"),
        ("{\n    'a': 1\n}", "{\n    'a': 1,\n    'k': v\n}"),
        ("{\n    'a': 1,  # one\n    'b': 2,  # two\n}", "{\n    'a': 1,  # one\n    'b': 2,  # two\n    'k': v,\n}"),
        ("{\n    'a': 1,  # one\n    'b': 2  # two\n}", "{\n    'a': 1,  # one\n    'b': 2,  # two\n    'k': v\n}"),
        ("{'a': 1,\n 'b': 2}", "{'a': 1,\n 'b': 2,\n 'k': v}"),
        ("{\r\n\t'a': 1,\r\n}", "{\r\n\t'a': 1,\r\n\t'k': v,\r\n}"),
        ("{**a}", '{**a, "k": v}'),
    ],
)
def test_add_entry(before: str, after: str):
    module = module_of(before)
    literal = expression(module)
    assert isinstance(literal, ast.Dict)
    assert applied(module, edits.add_entry(module, literal, "k", "v")) == after


def test_add_option():
    module = module_of("dict(a=1)")
    assert applied(module, edits.add_option(module, call_of(module), "k", "v")) == "dict(a=1, k=v)"


def test_replace_changes_only_what_differs():
    module = module_of("f(constraints.positive)")
    (edit,) = [edits.replace(module, call_of(module).args[0], "constraints.greater_than(1)")]
    assert module.source.text[edit.start : edit.end] == "positive"
    assert applied(module, edit) == "f(constraints.greater_than(1))"


def test_replace_by_the_same_text_is_no_change():
    module = module_of("f(a)")
    edit = edits.replace(module, call_of(module).args[0], "a")
    assert (edit.start, edit.replacement) == (edit.end, "")


def test_wrap_leaves_the_inside_to_others():
    module = module_of("f(g(a), b)")
    call = call_of(module)
    inner = call.args[0]
    assert isinstance(inner, ast.Call)
    changes = [*edits.wrap(module, inner, "w(", ", 1)"), edits.add_keyword(module, inner, "k", "v")]
    assert applied(module, *changes) == "f(w(g(a, k=v), 1), b)"


@pytest.mark.parametrize(
    ("before", "after"), [("Adam(a)", "New(a)"), ("p.optim.Adam(a)", "p.optim.New(a)"), ("p . Adam(a)", "p . New(a)")]
)
def test_rename(before: str, after: str):
    module = module_of(before)
    assert applied(module, edits.rename(module, call_of(module).func, "New")) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from a import Old", "from a import New"),
        ("from a import (\n    Old,\n    b,\n)", "from a import (\n    New,\n    b,\n)"),
        ("from a import Old as O, b", "from a import New, b"),
    ],
)
def test_replace_alias(before: str, after: str):
    module = module_of(before)
    (statement,) = module.tree.body
    assert isinstance(statement, ast.ImportFrom)
    assert applied(module, edits.replace_alias(module, statement.names[0], "New")) == after


def test_other_encodings():
    module = module_of("# coding: latin-1\nname = 'Größe'; f('ü', x)", "latin-1")
    new = applied(module, edits.add_keyword(module, call_of(module), "k", "v"))
    assert module.source.encode(new) == "# coding: latin-1\nname = 'Größe'; f('ü', x, k=v)".encode("latin-1")


def test_byte_order_mark():
    source = sources.from_bytes(PATH, b"\xef\xbb\xbff(a)\n")
    module = Module(source, ast.parse(source.data), "file", lambda _: None)
    edit = edits.add_keyword(module, call_of(module), "k", "v")
    new = source.text[: edit.start] + edit.replacement + source.text[edit.end :]
    assert source.encode(new) == b"\xef\xbb\xbff(a, k=v)\n"


@pytest.mark.parametrize(("text", "number"), [("1", 1.0), ("2.5", 2.5), ("True", None), ("'1'", None), ("x", None)])
def test_literal_number(text: str, number: float | None):
    assert edits.literal_number(expression(module_of(text))) == number


def statement_of(module: Module, name: str = "off") -> ast.Call:
    found = [
        node for node in ast.walk(module.tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name
    ]
    return found[0]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\noff()\nb\n", "a\nb\n"),
        ("a\r\noff()\r\nb\r\n", "a\r\nb\r\n"),
        ("off()\n", ""),
        ("off()", ""),
        ("a\noff()", "a\n"),
        ("off()\n\n\na\n", "a\n"),
        ("\noff()\na\n", "a\n"),
        ("# license\n\noff()\n\na\n", "# license\n\na\n"),
        ("a\n\noff()\n\nb\n", "a\n\nb\n"),
        ("a\n\noff()\nb\n", "a\n\nb\n"),
        ("a\noff()\n\nb\n", "a\n\nb\n"),
        ("import a\n\noff()\n\n\ndef f():\n    pass\n", "import a\n\n\ndef f():\n    pass\n"),
        ("a\n\noff()\n\n", "a\n"),
        ("a\noff(\n    1,\n    2,\n)\nb\n", "a\nb\n"),
        ("a\noff()  # it is faster\nb\n", "a\n# it is faster\nb\n"),
        ("a\n# it is faster\noff()\nb\n", "a\n# it is faster\nb\n"),
        ("def f():\n    off()\n\n    a\n", "def f():\n    a\n"),
        ("def f():\n    a\n\n    off()\n\n\nb\n", "def f():\n    a\n\n\nb\n"),
        ("def f():\n    off()\n", "def f():\n    pass\n"),
        ("def f():\n    off()  # faster\n", "def f():\n    pass  # faster\n"),
        ("try:\n    a\n    off()\nfinally:\n    b\n", "try:\n    a\nfinally:\n    b\n"),
        ("é = 1\noff('é')\nb\n", "é = 1\nb\n"),
    ],
)
def test_remove_statement(before: str, after: str):
    module = module_of(before)
    change = edits.remove_statement(module, statement_of(module))
    assert change is not None
    assert applied(module, change) == after


@pytest.mark.parametrize(
    "text", ["a; off()\n", "off(); a\n", "off();\n", "if a: off()\n", "x = off()\n", "off().b()\n", "class A: off()\n"]
)
def test_remove_statement_holds_back(text: str):
    module = module_of(text)
    assert edits.remove_statement(module, statement_of(module)) is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a\nb\n", "with s():\n    a\nb\n"),
        ("a  # why\nb\n", "with s():\n    a  # why\nb\n"),
        ("a(\n  1,\n\n  2\n)\nb\n", "with s():\n    a(\n      1,\n\n      2\n    )\nb\n"),
        ("a", "with s():\n    a"),
        ("a\r\nb\r\n", "with s():\r\n    a\r\nb\r\n"),
    ],
)
def test_wrap_statements(before: str, after: str):
    module = module_of(before)
    change = edits.wrap_statements(module, module.tree.body[:1], "with s():", "    ")
    assert change is not None
    assert applied(module, change) == after


def test_wrap_statements_of_a_block():
    module = module_of("def f():\n\ta\n\t# between\n\tb\n\treturn c\n")
    (function,) = module.tree.body
    assert isinstance(function, ast.FunctionDef)
    change = edits.wrap_statements(module, function.body[:2], "with s():", "\t")
    assert change is not None
    assert applied(module, change) == "def f():\n\twith s():\n\t\ta\n\t\t# between\n\t\tb\n\treturn c\n"


@pytest.mark.parametrize("text", ["a = '''x\ny'''\n", "a = f'''x\n{y}'''\n", "a; b\n", "if x: a\n"])
def test_wrap_statements_holds_back(text: str):
    module = module_of(text)
    inner = module.tree.body[0]
    statements = inner.body if isinstance(inner, ast.If) else module.tree.body[:1]
    assert edits.wrap_statements(module, statements, "with s():", "    ") is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("()", "(k=1)"),
        ("( )", "(k=1 )"),
        ("(a)", "(a, k=1)"),
        ("(a, )", "(a, k=1, )"),
        ("(a=(1))", "(a=(1), k=1)"),
        ("(a: list[int] = [])", "(a: list[int] = [], k=1)"),
        ("(a, *rest)", "(a, *rest, k=1)"),
        ("(a, *, b=2)", "(a, *, b=2, k=1)"),
        ("(a, b=2**3, **rest)", "(a, b=2**3, k=1, **rest)"),
        ("(**rest)", "(k=1, **rest)"),
        ("(a, /, b)", "(a, /, b, k=1)"),
        ("(a)-> dict[str, int]", "(a, k=1)-> dict[str, int]"),
        ("(\n    a,\n    b,  # last\n)", "(\n    a,\n    b,  # last\n    k=1,\n)"),
        ("(a,\n    b,)", "(a,\n    b, k=1,)"),
        ("(\n    a  # (last\n)", "(\n    a, k=1  # (last\n)"),
    ],
)
def test_add_parameter(before: str, after: str):
    module = module_of(f"é = 'é'\n@d(1)\ndef f{before}:\n    return (1)\n")
    function = module.tree.body[1]
    assert isinstance(function, ast.FunctionDef)
    change = edits.add_parameter(module, function, "k", "1")
    assert change is not None
    assert applied(module, change) == f"é = 'é'\n@d(1)\ndef f{after}:\n    return (1)\n"


def test_add_parameter_holds_back():
    module = module_of("def f(a, /):\n    return a\n")
    function = module.tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    assert edits.add_parameter(module, function, "k", "1") is None


def test_insert_before():
    module = module_of("def f():\r\n    for i in x:  # why\r\n        pass\r\n")
    (loop,) = module.tree.body[0].body
    expected = "def f():\r\n    x = 1\r\n    for i in x:  # why\r\n        pass\r\n"
    assert applied(module, edits.insert_before(module, loop, "x = 1")) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from m import A\nx\n", "x\n"),
        ("import b\nfrom m import A\n\n\nx\n", "import b\n\n\nx\n"),
        ("from m import (\n    A,\n)\nx\n", "x\n"),
        ("from m import A, B\n", "from m import B\n"),
        ("from m import B, A\n", "from m import B\n"),
        ("from m import B, A as Z, C\n", "from m import B, C\n"),
        ("from m import (A, B)\n", "from m import (B)\n"),
        ("from m import (B, A,)\n", "from m import (B,)\n"),
        ("from m import ( B , A )\n", "from m import ( B )\n"),
        ("from m import (\n    A,\n    B,\n)\n", "from m import (\n    B,\n)\n"),
        ("from m import (\n    B,\n    A\n)\n", "from m import (\n    B,\n)\n"),
        ("from m import (\r\n\tB,\r\n\tA as a,\r\n)\r\n", "from m import (\r\n\tB,\r\n)\r\n"),
        ("from ä import A, B", "from ä import B"),
        # left alone
        ("from m import A  # noqa\nx\n", None),
        ("from m import (\n    A,  # why\n    B,\n)\n", None),
        ("from m import (\n    A, B,\n    C,\n)\n", None),
        ("from m import (A,\n    B)\n", None),
        ("from m import A, \\\n    B\n", None),
        ("x = 1; from m import A\n", None),
        ("if x:\n    from m import A\n", None),
    ],
)
def test_remove_alias(before: str, after: str | None):
    module = module_of(before)
    (statement,) = [node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom)]
    (alias,) = [alias for alias in statement.names if alias.name == "A"]
    edit = edits.remove_alias(module, statement, alias)
    assert (edit and applied(module, edit)) == after
