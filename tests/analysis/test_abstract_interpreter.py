"""What the interpreter makes of Python's statements."""

from __future__ import annotations

import textwrap
import time

import pytest
from reading import PREAMBLE, param, read, uses

from pyro_fix import engine, sources
from pyro_fix.analysis.project import Project, concerns
from pyro_fix.config import Options

UNCHANGED = [("Normal", "scale", True)]
CHANGED = [("Normal", "scale", False)]
P = "pyro.param('s', torch.tensor(1.))"


@pytest.fixture
def facts(tmp_path):
    return lambda text, **files: read(tmp_path, PREAMBLE + textwrap.dedent(text), **files)


# -- branches -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"s = {P}\ndist.Normal(0., s)", UNCHANGED),
        (f"if flag:\n    s = {P}\nelse:\n    s = torch.tensor(2.)\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\nif flag:\n    s = s.exp()\ndist.Normal(0., s)", CHANGED),
        (f"s = {P}\nif flag:\n    s = s.exp()\nelse:\n    s = s.abs()\ndist.Normal(0., s)", CHANGED),
        (f"s = {P}\nif flag:\n    t = s.exp()\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\nif flag:\n    s = None\n    raise ValueError\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\nif flag:\n    pass\nelif other:\n    s = s + 1\ndist.Normal(0., s)", CHANGED),
        (f"s = {P}\nfor i in range(3):\n    s = s * 2\ndist.Normal(0., s)", CHANGED),
        (f"s = {P}\nfor i in range(3):\n    dist.Normal(0., s)\n    s = s.exp()", UNCHANGED),
        (f"s = {P}\nwhile flag:\n    s = s.abs()\ndist.Normal(0., s)", CHANGED),
        (f"for i in range(3):\n    s = {P}\n    if i:\n        continue\n    s = s.exp()\ndist.Normal(0., s)", CHANGED),
        (f"for i in range(3):\n    s = {P}\n    break\nelse:\n    s = 1.\ndist.Normal(0., s)", UNCHANGED),
        (f"try:\n    s = {P}\nexcept KeyError:\n    s = torch.tensor(2.)\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\ntry:\n    s = s.exp()\nfinally:\n    pass\ndist.Normal(0., s)", CHANGED),
        (f"with ctx:\n    s = {P}\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\ndel s\ndist.Normal(0., s)", []),
        (f"match flag:\n    case 1:\n        s = {P}\n    case _:\n        s = 1.\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P}\ns: object\ndist.Normal(0., s)", UNCHANGED),
        (f"s: object = {P}\ndist.Normal(0., s)", UNCHANGED),
        (f"s = t = {P}\ndist.Normal(0., t)", UNCHANGED),
        (f"(m, (s, _)) = 0., ({P}, 1)\ndist.Normal(m, s)", UNCHANGED),
        (f"m, *rest = 0., {P}\ndist.Normal(0., rest[0])", []),
        (f"s = {P}\ns **= 2\ndist.Normal(0., s)", CHANGED),
        (f"s = flag and {P}\ndist.Normal(0., s)", UNCHANGED),
        (f"s = {P} if flag else None\ndist.Normal(0., s)", UNCHANGED),
        (f"if (s := {P}) is not None:\n    dist.Normal(0., s)", UNCHANGED),
    ],
)
def test_flow_through_statements(facts, text: str, expected: list[tuple[str, str, bool]]):
    body = textwrap.indent(text, "    ")
    assert uses(facts(f"def guide(flag, other, ctx):\n{body}\n")) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"if flag:\n    return {P}\nreturn torch.tensor(1.)", UNCHANGED),
        (f"s = {P}\nif flag:\n    return s\nreturn s.exp()", CHANGED),
        (f"s = {P}\nif flag:\n    return s.abs()\nelse:\n    return s.exp()", CHANGED),
        (f"for i in range(3):\n    return {P}", UNCHANGED),
        (f"while True:\n    s = {P}\n    if flag:\n        return s", UNCHANGED),
        (f"try:\n    return {P}\nexcept ValueError:\n    return None", UNCHANGED),
        (f"raise ValueError\nreturn {P}", []),
        (f"with ctx:\n    return {P}", UNCHANGED),
        (f"return (lambda: {P})()", UNCHANGED),
        (f"def inner():\n    return {P}\nreturn inner()", UNCHANGED),
        (f"yield {P}", []),
    ],
)
def test_early_exits_of_helpers(facts, body: str, expected: list[tuple[str, str, bool]]):
    text = f"def helper(flag, ctx):\n{textwrap.indent(body, '    ')}\ndef guide():\n    dist.Normal(0., helper(1, 2))\n"
    assert uses(facts(text)) == expected


def test_what_follows_a_return_is_not_read(facts):
    assert facts(f"def guide():\n    return 1\n    dist.Normal(0., {P})\n").params == []


# -- imports ------------------------------------------------------------------------------------------------------


def test_try_import(facts):
    text = "try:\n    from pyro.distributions import Normal as N\nexcept ImportError:\n    N = None\n"
    assert uses(facts(f"{text}def guide():\n    N(0., {P})\n")) == UNCHANGED


def test_star_import_of_the_project_that_star_imports_pyro(facts):
    assert uses(facts(
        f"from common import *\ndef guide():\n    Normal(0., {P})\n", common="from pyro.distributions import *\n"
    )) == UNCHANGED  # fmt: skip


def test_the_last_star_import_wins(facts):
    program = facts(
        f"from pyro.distributions import *\nfrom mine import *\ndef guide():\n    Normal(0., {P})\n",
        mine="import torch, pyro\ndef Normal(m, s):\n    return pyro.distributions.Normal(m, s.exp())\n",
    )
    assert uses(program) == CHANGED


def test_cyclic_imports(facts):
    program = facts(
        f"from other import helper\ndef scale():\n    return {P}\n",
        other="import pyro, pyro.distributions as dist\nimport main\ndef helper():\n    dist.Normal(0., main.scale())\n",
    )
    assert uses(program) == UNCHANGED


def test_cyclic_star_imports(facts):
    program = facts(
        f"from other import *\ndef guide():\n    Normal(0., {P}); Missing(0., {P})\n",
        other="import pyro\nfrom main import *\nfrom pyro.distributions import *\n",
    )
    assert uses(program) == UNCHANGED


def test_relative_imports(tmp_path):
    program = read(
        tmp_path,
        f"{PREAMBLE}from app.guides.mean_field import guide\nsvi = SVI(None, guide, None, None)\n",
        app__="", app__guides__="from .mean_field import guide\n",
        app__guides__mean_field="import pyro\nfrom ..scales import scale\nfrom pyro.distributions import Normal\n"
                                "def guide():\n    Normal(0., scale())\n",
        app__scales=f"import pyro, torch\ndef scale():\n    return {P}\n",
    )  # fmt: skip
    assert uses(program) == UNCHANGED


def test_import_of_a_file_that_cannot_be_parsed(facts):
    assert (
        uses(
            facts(f"from broken import f\ndef guide():\n    f(); dist.Normal(0., {P})\n", broken="import pyro\nx = (\n")
        )
        == UNCHANGED
    )


def test_import_of_a_file_that_is_not_text(tmp_path):
    (tmp_path / "binary.py").write_bytes(b"import pyro\n\xff\xfe\x00")
    assert (
        uses(read(tmp_path, f"{PREAMBLE}import binary\nbinary.f()\ndef guide():\n    dist.Normal(0., {P})\n"))
        == UNCHANGED
    )


def test_a_project_file_called_like_a_standard_module(facts):
    """``import random`` means the standard library's."""
    assert (
        facts("import random\nx = random.f()\n", random=f"import pyro, torch\ndef f():\n    return {P}\n").params == []
    )


def test_import_inside_a_function(facts):
    assert uses(facts(f"def guide():\n    from pyro.distributions import Normal\n    Normal(0., {P})\n")) == UNCHANGED


# -- classes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (f"def __init__(self):\n    self.s = {P}\ndef guide(self):\n    dist.Normal(0., self.s)", UNCHANGED),
        (f"def guide(self):\n    dist.Normal(0., self.s)\ndef __init__(self):\n    self.s = {P}", UNCHANGED),
        (f"def __init__(self):\n    self.setup()\ndef setup(self):\n    self.s = {P}\ndef guide(self):\n    dist.Normal(0., self.s)", UNCHANGED),
        (f"@property\ndef s(self):\n    return {P}\ndef guide(self):\n    dist.Normal(0., self.s)", UNCHANGED),
        (f"@property\ndef s(self):\n    return {P}.exp()\ndef guide(self):\n    dist.Normal(0., self.s)", CHANGED),
        (f"@staticmethod\ndef make_param(x):\n    return x\ndef guide(self):\n    dist.Normal(0., self.make_param({P}))", UNCHANGED),
        (f"@classmethod\ndef make_param(cls, x):\n    return x\ndef guide(self):\n    dist.Normal(0., self.make_param({P}))", UNCHANGED),
        (f"def __init__(self):\n    self.s = {P}\n    self.s = self.s.exp()\ndef guide(self):\n    dist.Normal(0., self.s)", CHANGED),
        (f"def __call__(self, x=None):\n    dist.Normal(0., self.other.get('s', {P}))", CHANGED),
        ("s = 3\ndef guide(self):\n    dist.Normal(0., self.s)", []),
    ],
)  # fmt: skip
def test_classes(facts, body: str, expected: list[tuple[str, str, bool]]):
    found = uses(facts(f"class Guide:\n{textwrap.indent(body, '    ')}\nGuide().guide()\n"))
    assert found == expected


def test_inherited_members(facts):
    text = f"class Base:\n    def __init__(self):\n        self.s = {P}\nclass Guide(Base):\n    def guide(self):\n        dist.Normal(0., self.s)\n"
    assert uses(facts(text)) == UNCHANGED


def test_two_objects_of_one_class(facts):
    text = f"class V:\n    def __init__(self, x):\n        self.x = x\ndef guide():\n    a, b = V({P}), V(torch.tensor(0.))\n    dist.Normal(b.x, a.x)\n"
    assert uses(facts(text)) == UNCHANGED


def test_attribute_set_from_outside(facts):
    text = f"class V:\n    pass\ndef guide():\n    v = V()\n    v.s = {P}\n    dist.Normal(0., v.s)\n"
    assert uses(facts(text)) == UNCHANGED


# -- calls --------------------------------------------------------------------------------------------------------


def test_arguments_of_every_kind(facts):
    text = f"def f(a, /, b, *, c, d=1.):\n    dist.Normal(a, b); dist.Laplace(d, c)\nf(0., {P}, c={P})\n"
    assert uses(facts(text)) == [("Laplace", "scale", True), ("Normal", "scale", True)]


def test_unpacked_arguments(facts):
    assert uses(facts(f"args = (0., {P})\ndist.Normal(*args)\n")) == UNCHANGED
    assert uses(facts(f"kwargs = dict(loc=0., scale={P})\ndist.Normal(**kwargs)\n")) == UNCHANGED


def test_functions_as_values(facts):
    assert uses(facts(f"def apply(f):\n    return f(0., {P})\napply(dist.Normal)\n")) == UNCHANGED


def test_a_function_is_read_once_a_call_at_most(facts):
    """Facts of a function that calls reach are not doubled by looking at it on its own."""
    program = facts(
        "def make():\n    return SVI(None, None, Adam({}), None)\ndef train():\n    svi = make()\n    svi.step()\n"
    )
    assert len(program.svis) == 1


def test_recursion(facts):
    text = f"def f(n, s):\n    if n:\n        return f(n - 1, s)\n    return s\ndef guide():\n    dist.Normal(0., f(3, {P}))\n"
    assert uses(facts(text)) in (UNCHANGED, [])


def test_mutual_recursion(facts):
    facts("def sample_a(n):\n    return sample_b(n)\ndef sample_b(n):\n    return sample_a(n)\nsample_a(1)\n")


def test_calls_that_fan_out(facts):
    """Ten functions that each call the next one twice: 1,024 calls, if each were followed."""
    lines = [f"def step_{i}(x):\n    step_{i + 1}(x); return step_{i + 1}(x)\n" for i in range(10)]
    begin = time.process_time()
    facts("".join(lines) + f"def step_10(x):\n    dist.Normal(0., {P})\nstep_0(1)\n")
    assert time.process_time() - begin < 1


# -- comprehensions and loops around steps ----------------------------------------------------------------------------


def steps(program) -> list[tuple[int, bool]]:
    return [(len(step.loops), step.conditional) for svi in program.svis for step in svi.steps]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("svi.step()", [(0, False)]),
        ("for i in range(3):\n    svi.step()", [(1, False)]),
        ("[svi.step() for i in range(3)]", [(1, False)]),
        ("sum(svi.step() for x in data for y in x)", [(2, False)]),
        ("losses = {i: svi.step() for i in range(3)}", [(1, False)]),
        ("for i in range(3):\n    [svi.step() for j in range(3)]", [(2, False)]),
        ("for i in range(3):\n    if i:\n        svi.step()", [(1, True)]),
        ("if flag:\n    for i in range(3):\n        svi.step()", [(1, False)]),
        ("for i in range(3):\n    if i:\n        continue\n    svi.step()", [(1, True)]),
        ("for i in range(3):\n    svi.step()\n    if i:\n        continue\n    i = 1", [(1, False)]),
        ("def f():\n    svi.step()\nfor i in range(3):\n    f()", [(1, False)]),
        ("for i in range(3):\n    loss = svi.step() if i else None", [(1, True)]),
        ("while True:\n    svi.step()", [(1, False)]),
    ],
)
def test_loops_around_a_step(facts, text: str, expected: list[tuple[int, bool]]):
    assert steps(facts(f"svi = SVI(None, None, None, None)\n{text}\n")) == expected


def test_loops_outside_the_svi_do_not_count(facts):
    assert steps(
        facts(
            "for seed in range(3):\n    svi = SVI(None, None, None, None)\n    for i in range(9):\n        svi.step()\n"
        )
    ) == [(1, False)]


@pytest.mark.parametrize(
    "text",
    [
        "if __name__ == '__main__':\n    main()",
        "main()",
        "if __name__ == '__main__':\n    import sys\n    sys.exit(main())",
        "def cli():\n    main()\nif __name__ == '__main__':\n    cli()",
    ],
)
def test_entry(facts, text: str):
    """A script that reaches a step when it is run can be run to verify a fix."""
    program = facts(
        f"def train():\n    svi = SVI(None, None, None, None)\n    svi.step()\ndef main():\n    train()\n{text}\n"
    )
    assert [step.entry is not None for svi in program.svis for step in svi.steps] == [True]


def test_no_entry(facts):
    program = facts("def train():\n    svi = SVI(None, None, None, None)\n    svi.step()\n")
    assert [step.entry for svi in program.svis for step in svi.steps] == [None]


# -- names --------------------------------------------------------------------------------------------------------


def test_same_name_across_linked_files_only(tmp_path):
    program = read(
        tmp_path, f"{PREAMBLE}import a\n{P}\n", a=f"import torch, pyro\n{P}\n", b=f"import torch, pyro\n{P}\n"
    )
    assert [call.module.path.name for call in program.same_name(program.params[0])] == ["a.py", "main.py"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("'a'", "a"), ("f'a_{i}'", "a_{}"), ("f'a_{1}'", "a_1"), ("NAME", "a"), ("'a' + i", None), ("i", None)],
)
def test_names_of_params(facts, name: str, expected: str | None):
    assert param(facts(f"NAME = 'a'\ndef guide(i):\n    pyro.param({name}, torch.tensor(1.))\n")).name == expected


def test_name_by_keyword(facts):
    assert param(facts("pyro.param(name='a', init_tensor=torch.tensor(1.))\n")).name == "a"


# -- robustness ---------------------------------------------------------------------------------------------------


def test_deeply_nested_code(facts):
    text = "\n".join("    " * i + "if flag:" for i in range(60)) + "\n" + "    " * 60 + f"dist.Normal(0., {P})"
    assert uses(facts(f"flag = 1\n{text}\n")) == UNCHANGED


def test_deeply_nested_expressions(tmp_path):
    """Too deep for recursion: the file is reported, never a crash."""
    for text in ("x = " + "(" * 150 + "1" + ")" * 150, "x = " + "1 + " * 3000 + "1", "x" + ".a" * 3000):
        (tmp_path / "main.py").write_text(f"{PREAMBLE}{text}\npyro.param('s', torch.tensor(1.))\n")
        project = Project()
        project.read([sources.read(tmp_path / "main.py")])
        assert project.unreadable or project.program.params


def test_huge_literals_are_quick(tmp_path):
    numbers = ", ".join(str(i) for i in range(100_000))
    rows = ",\n".join(f"{{'lr': {i}, 'b': [{i}]}}" for i in range(5_000))
    (tmp_path / "main.py").write_text(f"{PREAMBLE}DATA = [{numbers}]\nROWS = [{rows}]\n{P}\n")
    source = sources.read(tmp_path / "main.py")
    begin = time.process_time()
    Project().read([source])
    assert time.process_time() - begin < 5


@pytest.mark.parametrize(
    "text",
    ["async def f():\n    async for x in y:\n        await x\n    async with z as w:\n        pass\n", "x = [*y, *z]\n{**a}\nf(*b, **c)\n",
     "class A(metaclass=B):\n    x: int\n", "lambda *a, k=1, **kw: (yield)\n", "global x\nx = 1\n", "def f():\n    nonlocal_ = 1\n    def g():\n        nonlocal nonlocal_\n        nonlocal_ = 2\n",
     "@decorator(1)\nclass A:\n    @b\n    def c(self): ...\n", "x[1:2, ..., None]\nx[1] += 1\nx.y += 1\n", "try:\n    pass\nexcept (A, B) as e:\n    pass\nelse:\n    pass\nfinally:\n    pass\n", "print(f'{x!r:>{width}}')\n", "del x, y[0], z.w\n", "import a.b.c as d, e.f\n", "from . import x\nfrom .. import y\nfrom .z import *\n",
     "assert x, y\nif x:\n    raise A from B\n", "with a as (b, c), d as e[0]:\n    pass\n", "for a.b in c:\n    pass\nfor d[0], *e in f:\n    pass\n", "'' % ()\nnot x\n~y\n-z\nx if y else z\n"],
)  # fmt: skip
def test_every_statement_is_read(facts, text: str):
    assert len(facts(f"{text}\npyro.param('s', torch.tensor(1.))\n").params) == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"import pyro\npyro.param('x', y)", True),
        (b"from pyro import param as P", True),
        (b"import pyro\nP = pyro.param", True),
        (b"from pyro.infer import SVI as S", True),
        (b"from pyro.nn import PyroParam as P", True),
        (b"from pyro.nn import PyroParam\nPyroParam(x)", True),
        (b"import pyro\nTrace_ELBO(num_particles=3)", True),
        (b"import torch\nself.param('x')", False),
        (b"import pyro\nx = 1", False),
        (b"", False),
    ],
)
def test_files_that_cannot_matter_are_not_parsed(text: bytes, expected: bool):
    assert concerns(text) is expected


def test_values_built_up_by_hundreds_of_statements(tmp_path):
    steps = "x = x + 1.0\ny = y.detach()\n" * 1500
    (tmp_path / "main.py").write_text(
        f"{PREAMBLE}x = 1.0\ny = pyro.param('y', torch.tensor(1.))\n{steps}"
        "s = pyro.param('s', torch.tensor(x))\npyro.sample('z', dist.Normal(y, s))\n"
    )
    result = engine.check(Options(paths=(tmp_path,), verify=False, root=tmp_path), lambda _: None)
    assert [f.proposal.code for f in result.findings] == ["SVI051"]
