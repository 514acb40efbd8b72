"""Every trap of tip 5 for ``pyro.param``."""

from __future__ import annotations

import pytest

pytest_plugins = ["check_fixture"]
CODE = "SVI051"

PREAMBLE = """
import torch
import torch.nn as nn
import torch.nn.functional as F
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
"""

ADDED = "constraint=constraints.positive"


def guide(*lines: str, before: str = "") -> str:
    body = "\n".join(f"    {line}" for line in lines)
    return f"{PREAMBLE}{before}\ndef guide(data):\n{body}\n"


# -- names --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("imports", "call", "constraint"),
    [
        ("import pyro as p\nimport pyro.distributions as D", "p.sample('z', D.Normal(0., p.param('s', X)))", "D.constraints"),
        ("from pyro import param as P, sample\nfrom pyro.distributions import Normal, constraints", "sample('z', Normal(0., P('s', X)))", "constraints"),
        ("from pyro import *\nfrom pyro.distributions import *", "sample('z', Normal(0., param('s', X)))", "constraints"),
        ("from pyro import param, sample, distributions", "sample('z', distributions.Normal(0., param('s', X)))", "distributions.constraints"),
        ("import pyro\nfrom torch.distributions import constraints", "pyro.sample('z', pyro.distributions.Normal(0., pyro.param('s', X)))", "constraints"),
        ("import pyro, torch.distributions as td", "pyro.sample('z', pyro.distributions.Normal(0., pyro.param('s', X)))", "td.constraints"),
        ("import pyro\nimport pyro.distributions.constraints as c", "pyro.sample('z', pyro.distributions.Normal(0., pyro.param('s', X)))", "c"),
        ("import pyro", "pyro.sample('z', pyro.distributions.Normal(0., pyro.param('s', X)))", "pyro.distributions.constraints"),
        ("from pyro.primitives import param, sample\nfrom pyro.distributions import Normal", "sample('z', Normal(0., param('s', X)))", "constraints"),
        ("from pyro.distributions.torch import Normal\nimport pyro", "pyro.sample('z', Normal(0., pyro.param('s', X)))", "pyro.distributions.constraints"),
    ],
)  # fmt: skip
def test_import_styles(check, imports: str, call: str, constraint: str):
    call = call.replace("X", "torch.tensor(1.)")
    outcome = check(f"import torch\n{imports}\n\ndef guide():\n    {call}\n")
    assert f"torch.tensor(1.), constraint={constraint}.positive)" in outcome.text


def test_alias_by_assignment(check):
    text = guide(
        "scale = P('s', torch.tensor(1.))", "N('z', dist.Normal(0., scale))", before="P, N = pyro.param, pyro.sample\n"
    )
    assert ADDED in check(text).text


def test_local_pyro_that_is_no_module(check):
    text = """
        import torch, pyro.distributions as dist
        from mine import pyro
        def guide():
            dist.Normal(0., pyro.param("s", torch.tensor(1.)))
    """
    assert check(text).findings == ()


def test_pyro_rebound(check):
    text = """
        import torch, pyro, pyro.distributions as dist
        def guide(pyro):
            dist.Normal(0., pyro.param("s", torch.tensor(1.)))
    """
    assert check(text).findings == ()


def test_own_function_called_param(check):
    text = """
        import pyro, torch, pyro.distributions as dist
        def param(name, value):
            return pyro.param(name, value).exp()
        def guide():
            dist.Normal(0., param("s", torch.tensor(1.)))
    """
    assert check(text).findings == ()


def test_constraints_bound_to_something_else(check):
    text = guide("constraints = [1, 2]", "dist.Normal(0., pyro.param('s', torch.tensor(1.)))")
    assert "torch.tensor(1.), constraint=dist.constraints.positive)" in check(text).text


def test_constraints_taken_and_no_other_way(check):
    text = """
        from torch import tensor
        from pyro import param
        from pyro.distributions import Normal
        constraints = ["none"]
        def guide():
            Normal(0., param("s", tensor(1.)))
    """
    assert "no way to write" in check(text).held_back


def test_constraints_imported_for_type_checking_only(check):
    text = """
        from typing import TYPE_CHECKING
        import torch, pyro, pyro.distributions as dist
        if TYPE_CHECKING:
            from torch.distributions import constraints
        def guide():
            dist.Normal(0., pyro.param("s", torch.tensor(1.)))
    """
    assert "constraint=dist.constraints.positive" in check(text).text


def test_constraints_imported_later(check):
    text = """
        import torch, pyro
        from pyro.distributions import Normal
        Normal(0., pyro.param("s", torch.tensor(1.)))
        from pyro.distributions import constraints
    """
    assert "constraint=pyro.distributions.constraints.positive" in check(text).text


# -- flow ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        ["s = pyro.param('s', torch.tensor(1.))", "t = s", "dist.Normal(0., t)"],
        ["m, s = torch.tensor(0.), pyro.param('s', torch.tensor(1.))", "dist.Normal(m, s)"],
        ["q = {'s': pyro.param('s', torch.tensor(1.))}", "dist.Normal(0., q['s'])"],
        ["q = dict(s=pyro.param('s', torch.tensor(1.)))", "dist.Normal(scale=q['s'], loc=0.)"],
        ["q = {}", "q['s'] = pyro.param('s', torch.tensor(1.))", "dist.Normal(0., q['s'])"],
        ["q = [pyro.param('m', torch.tensor(0.)), pyro.param('s', torch.tensor(1.))]", "dist.Normal(*q)"],
        ["self = object()", "data.s = pyro.param('s', torch.tensor(1.))", "dist.Normal(0., data.s)"],
        ["dist.Normal(0., pyro.param('s', torch.ones(3))).to_event(1)"],
        ["dist.Normal(0., pyro.param('s', torch.ones(3))[data])"],
        ["dist.Normal(0., pyro.param('s', torch.ones(3)).expand([2, 3]))"],
        ["dist.Normal(0., pyro.param('s', torch.ones(3)).to(data.device))"],
        ["if (s := pyro.param('s', torch.tensor(1.))) is not None:", "    dist.Normal(0., s)"],
        ["s = pyro.param('s', torch.tensor(1.)) if data else pyro.param('s', torch.tensor(1.))", "dist.Normal(0., s)"],
        ["kw = dict(loc=0., scale=pyro.param('s', torch.tensor(1.)))", "dist.Normal(**kw)"],
        ["pyro.param('s', lambda: torch.tensor(1.))", "dist.Normal(0., pyro.param('s'))"],
        ["pyro.param('s', init_tensor=torch.tensor(1.))", "dist.Normal(0., pyro.param('s'))"],
        ["with pyro.plate('d', 3):", "    s = pyro.param('s', torch.ones(3))", "dist.Normal(0., s)"],
        ["for i in range(2):", "    s = pyro.param(f's_{i}', torch.tensor(1.))", "    dist.Normal(0., s)"],
        ["try:", "    s = pyro.param('s', torch.tensor(1.))", "finally:", "    pass", "dist.Normal(0., s)"],
    ],
)
def test_value_that_arrives_unchanged(check, lines: list[str]):
    assert ADDED in check(guide(*lines)).text


@pytest.mark.parametrize(
    "value",
    [
        "torch.exp(s)",
        "s.exp()",
        "F.softplus(s)",
        "nn.Softplus()(s)",
        "softplus(s)",
        "torch.abs(s)",
        "s.abs()",
        "abs(s)",
        "s ** 2",
        "s.pow(2)",
        "torch.square(s)",
        "s.clamp(min=1e-3)",
        "torch.clamp(s, 1e-3)",
        "torch.sigmoid(s)",
        "s + 1e-6",
        "s + eps",
        "1e-3 + s",
        "s * s",
        "torch.maximum(s, torch.tensor(0.1))",
        "constraint_of(s)",
        "dist.transforms.ExpTransform()(s)",
        "dist.biject_to(constraints.positive)(s)",
        "s if s > 0 else torch.tensor(1.)",
        "unknown(s)",
        "torch.where(s > 0, s, 0.1)",
        "torch.stack([s.exp(), s.exp()])",
        "s.data.exp()",
        "[s.exp()][0]",
        "(lambda t: t.exp())(s)",
        "make_valid(s)",
        "torch.nn.functional.softplus(s)[None]",
    ],
)
def test_value_that_is_made_valid_downstream(check, value: str):
    before = "softplus = nn.Softplus()\neps = 1e-6\ndef make_valid(t):\n    return F.softplus(t)\n"
    text = guide("s = pyro.param('s', torch.tensor(1.))", f"dist.Normal(0., {value})", before=before)
    outcome = check(text)
    assert outcome.result.changes == ()


def test_made_valid_in_place_of_the_name(check):
    text = guide("s = pyro.param('s', torch.tensor(1.))", "s = s.exp()", "dist.Normal(0., s)")
    assert check(text).findings == ()


def test_made_valid_by_an_augmented_assignment(check):
    text = guide("s = pyro.param('s', torch.tensor(1.))", "s += 1e-4", "dist.Normal(0., s)")
    assert check(text).findings == ()


def test_changed_in_one_branch_only(check):
    text = guide("s = pyro.param('s', torch.tensor(1.))", "if data:", "    s = s.exp()", "dist.Normal(0., s)")
    assert check(text).findings == ()


@pytest.mark.parametrize(
    "change", ["s.data.clamp_(min=1e-3)", "s.clamp_(1e-3)", "s.data[s < 0] = 0.1", "s.data.abs_()"]
)
def test_changed_in_place(check, change: str):
    text = guide(
        "s = pyro.param('s', torch.tensor(1.))",
        "with torch.no_grad():",
        f"    {change}",
        "dist.Normal(0., pyro.param('s'))",
    )
    outcome = check(text)
    assert outcome.result.changes == ()


def test_changed_in_place_through_a_getter_elsewhere(check):
    text = guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))") + (
        "def after_step():\n    pyro.param('s').data.clamp_(min=1e-3)\n"
    )
    assert "in place" in check(text).held_back


def test_helper_function_returns_params(check):
    text = guide("m, s = params('z')", "dist.Normal(m, s)", before=(
        "def params(name):\n"
        "    return pyro.param(name + '_m', torch.tensor(0.)), pyro.param(name + '_s', torch.tensor(1.))\n"
    ))  # fmt: skip
    assert check(text).added == [
        f"return pyro.param(name + '_m', torch.tensor(0.)), pyro.param(name + '_s', torch.tensor(1.), {ADDED})"
    ]


def test_helper_serves_locations_and_scales(check):
    """One call makes both: a constraint would be wrong for the locations."""
    text = guide("dist.Normal(make('m', torch.tensor(1.)), make('s', torch.tensor(1.)))", before=(
        "def make(name, start):\n    return pyro.param(name, start)\n"
    ))  # fmt: skip
    outcome = check(text)
    assert outcome.result.changes == ()


def test_helper_in_another_module(check):
    outcome = check(
        guide("dist.Normal(0., scale())", before="from helpers import scale\n")
        + "svi = SVI(None, guide, None, None)\n",
        helpers="""
            import torch, pyro
            from torch.distributions import constraints
            def scale():
                return pyro.param("s", torch.tensor(1.))
        """,
    )
    assert f'pyro.param("s", torch.tensor(1.), {ADDED})' in outcome.texts["helpers.py"]


def test_made_valid_in_another_module(check):
    outcome = check(
        guide("dist.Normal(0., positive(pyro.param('s', torch.tensor(1.))))", before="from helpers import positive\n"),
        helpers="import torch\ndef positive(x):\n    return torch.exp(x)\n",
    )
    assert outcome.findings == ()


def test_helper_that_is_not_part_of_the_project(check):
    text = guide(
        "dist.Normal(0., positive(pyro.param('s', torch.tensor(1.))))", before="from elsewhere import positive\n"
    )
    assert check(text).findings == ()


def test_default_argument(check):
    text = guide(
        "dist.Normal(0., scale())", before="def scale(start=torch.tensor(1.)):\n    return pyro.param('s', start)\n"
    )
    assert f"pyro.param('s', start, {ADDED})" in check(text).text


def test_attribute_of_self(check):
    text = PREAMBLE + (
        "class Guide:\n"
        "    def setup(self):\n"
        "        self.s = pyro.param('s', torch.tensor(1.))\n"
        "    def __call__(self, data):\n"
        "        self.setup()\n"
        "        pyro.sample('z', dist.Normal(0., self.s))\n"
    )
    assert ADDED in check(text).text


def test_attribute_made_valid_by_another_method(check):
    text = PREAMBLE + (
        "class Guide:\n"
        "    @property\n"
        "    def s(self):\n"
        "        return pyro.param('s', torch.tensor(1.)).exp()\n"
        "    def __call__(self, data):\n"
        "        pyro.sample('z', dist.Normal(0., self.s))\n"
    )
    assert check(text).findings == ()


def test_distribution_of_another_library(check):
    text = guide(
        "Normal(0., pyro.param('s', torch.tensor(1.)))",
        before="from tensorflow_probability.distributions import Normal\n",
    )
    assert check(text).findings == ()


def test_location_needs_nothing(check):
    assert check(guide("dist.Normal(pyro.param('m', torch.tensor(1.)), 1.)")).findings == ()


def test_logits_need_nothing(check):
    assert check(guide("dist.Bernoulli(logits=pyro.param('l', torch.tensor(0.5)))")).findings == ()


# -- what is asked for --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "initial", "constraint"),
    [
        ("dist.Bernoulli(p)", "torch.tensor(0.5)", "unit_interval"),
        ("dist.Bernoulli(probs=p)", "torch.rand(3)", "unit_interval"),
        ("dist.Beta(p, 2.)", "torch.tensor(2.)", "positive"),
        ("dist.Beta(concentration0=p, concentration1=1.)", "torch.tensor(2.)", "positive"),
        ("dist.Gamma(2., p)", "torch.tensor(2.)", "positive"),
        ("dist.Categorical(p)", "torch.ones(4) / 4", "simplex"),
        ("dist.Dirichlet(p)", "torch.ones(4)", "positive"),
        ("dist.MultivariateNormal(torch.zeros(3), scale_tril=p)", "torch.eye(3)", "lower_cholesky"),
        ("dist.MultivariateNormal(torch.zeros(3), p)", "torch.eye(3)", "positive_definite"),
        ("dist.Poisson(p)", "torch.tensor(3.)", "positive"),
        ("dist.Exponential(p)", "torch.tensor(3.)", "positive"),
        ("dist.HalfCauchy(p)", "torch.tensor(3.)", "positive"),
        ("dist.StudentT(3., 0., p)", "torch.tensor(3.)", "positive"),
        ("dist.NegativeBinomial(5., p)", "torch.tensor(.5)", "half_open_interval(0, 1)"),
        ("dist.Geometric(p)", "torch.tensor(.5)", "unit_interval"),
        ("dist.Normal(0., p).to_event(0)", "torch.full((3,), 0.1)", "positive"),
        ("dist.Normal(0., p).mask(False)", "0.1 * torch.ones(3)", "positive"),
    ],
)
def test_the_constraint_is_the_arguments(check, distribution: str, initial: str, constraint: str):
    outcome = check(guide(f"p = pyro.param('p', {initial})", distribution))
    assert f"{initial}, constraint=constraints.{constraint})" in outcome.text


def test_two_uses_take_the_stricter_one(check):
    outcome = check(guide("p = pyro.param('p', torch.tensor(.5))", "dist.Bernoulli(p)", "dist.Exponential(p)"))
    assert "constraint=constraints.unit_interval" in outcome.text


def test_uses_that_contradict(check):
    outcome = check(guide("p = pyro.param('p', torch.ones(3) / 3)", "dist.Categorical(p)", "dist.MultivariateNormal(torch.zeros(3), scale_tril=p)"))  # fmt: skip
    assert "different things" in outcome.held_back


def test_simplex_that_is_reshaped(check):
    outcome = check(guide("p = pyro.param('p', torch.ones(2, 3) / 3)", "dist.Categorical(p.t())"))
    assert "shape" in outcome.held_back


# -- initial values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "initial", ["torch.tensor(-3.)", "torch.zeros(3)", "torch.randn(3)", "torch.tensor([1., -1.])", "-torch.ones(3)",
                "0. * torch.ones(2)", "torch.randn(3) * 0.1", "lambda: torch.zeros(3)"]
)  # fmt: skip
def test_initial_value_that_violates(check, initial: str):
    outcome = check(guide(f"dist.Normal(0., pyro.param('s', {initial}))"))
    assert "violate" in outcome.held_back or "not known" in outcome.held_back


@pytest.mark.parametrize("initial", ["torch.log(torch.ones(3))", "start", "load()", "cfg['scale']"])
def test_initial_value_that_only_a_run_can_tell(check, initial: str):
    outcome = check(guide(f"dist.Normal(0., pyro.param('s', {initial}))", before="cfg = load()\n"))
    assert outcome.result.changes == ()
    assert outcome.finding.proposal.candidates[0].needs_run


def test_uniform_draws_do_not_hit_their_bounds(check):
    assert ADDED in check(guide("dist.Normal(0., pyro.param('s', torch.rand(3)))")).text


def test_a_literal_on_the_bound_does(check):
    assert "violate" in check(guide("dist.Normal(0., pyro.param('s', torch.tensor([0., 1.])))")).held_back


@pytest.mark.parametrize("initial", ["torch.tensor(1.5)", "torch.rand(3) + 1.", "2. * torch.rand(3)"])
def test_probability_that_starts_above_one(check, initial: str):
    assert "violate" in check(guide(f"dist.Bernoulli(pyro.param('p', {initial}))")).held_back


@pytest.mark.parametrize("initial", ["torch.rand(3)", "torch.ones(2, 3)", "torch.tensor([0.2, 0.2])", "weights"])
def test_simplex_that_may_not_start_as_one(check, initial: str):
    """``simplex`` renormalises silently: the start would not be the same."""
    outcome = check(guide(f"dist.Categorical(pyro.param('p', {initial}))", before="weights = load()\n"))
    assert "not known" in outcome.held_back


def test_cholesky_factor_that_may_not_start_as_one(check):
    outcome = check(guide("dist.MultivariateNormal(torch.zeros(3), scale_tril=pyro.param('t', torch.randn(3, 3)))"))
    assert outcome.held_back


def test_a_plain_number_is_left_to_the_user(check):
    """``pyro.param("s", 1.0)`` raises AttributeError as soon as a constraint is there."""
    assert check(guide("dist.Normal(0., pyro.param('s', 1.0))")).held_back


# -- one name, several calls --------------------------------------------------------------------------------------


def test_every_call_of_one_name_gets_it(check):
    text = guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))") + (
        "def other():\n    dist.Normal(0., pyro.param('s', torch.tensor(2.)))\n"
    )
    outcome = check(text)
    assert outcome.text.count(ADDED) == 2
    assert len(outcome.findings) == 1


def test_getters_stay_getters(check):
    text = guide("pyro.param('s', torch.tensor(1.))", "dist.Normal(0., pyro.param('s'))")
    assert check(text).added == [f"pyro.param('s', torch.tensor(1.), {ADDED})"]


def test_getter_alone(check):
    assert check(guide("dist.Normal(0., pyro.param('s'))")).findings == ()


def test_other_call_has_a_constraint(check):
    text = guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))") + (
        "def other():\n    pyro.param('s', torch.tensor(2.), constraint=constraints.greater_than(0.1))\n"
    )
    assert "constraint of its own" in check(text).held_back


def test_one_name_in_two_unrelated_programs(check):
    """Each file is a program of its own: the other one's constraint does not matter here."""
    outcome = check(
        guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))"),
        other=guide("dist.Normal(0., pyro.param('s', torch.tensor(1.), constraint=constraints.positive))"),
    )
    assert ADDED in outcome.text


def test_one_call_bare_in_an_imported_module(check):
    outcome = check(
        guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))", before="import helpers\n"),
        helpers=guide("pyro.param('s', torch.tensor(1.))"),
    )
    assert ADDED in outcome.texts["main.py"] and ADDED in outcome.texts["helpers.py"]


def test_constrained_already(check):
    text = guide(
        "dist.Normal(0., pyro.param('a', torch.tensor(1.), constraint=constraints.positive))",
        "dist.Normal(0., pyro.param('b', torch.tensor(1.), constraints.positive))",
        "dist.Normal(0., pyro.param('c', torch.tensor(1.), **options))",
        "dist.Normal(0., pyro.param(*options))",
        "dist.Normal(0., pyro.param('d', torch.tensor(1.), constraint=which))",
    )
    assert check(text).findings == ()


def test_constraint_given_as_none(check):
    """``constraint=None`` is what pyro.param takes for real; adding a second keyword would not compile."""
    outcome = check(guide("dist.Normal(0., pyro.param('s', torch.tensor(1.), constraint=None))"))
    assert outcome.result.changes == ()


# -- where it is --------------------------------------------------------------------------------------------------


def test_shape_demos_in_tests_are_no_defects(check):
    text = PREAMBLE + (
        "def test_shapes():\n    s = pyro.param('s', torch.tensor(1.))\n    assert dist.Normal(0., s).batch_shape == ()\n"
    )
    outcome = check("pass\n", named=False, test_shapes=text)
    assert "test" in outcome.held_back


@pytest.mark.parametrize(
    "comment", ["# noqa: SVI051", "# pyro-fix: ignore[SVI051]", "# noqa", "# pyro-fix: ignore[SVI05]"]
)
def test_suppression(check, comment: str):
    assert check(guide(f"dist.Normal(0., pyro.param('s', torch.tensor(1.)))  {comment}")).findings == ()


def test_suppression_on_any_line_of_the_call(check):
    text = guide("s = pyro.param(", "    's',", "    torch.tensor(1.),  # noqa: SVI051", ")", "dist.Normal(0., s)")
    assert check(text).findings == ()


def test_suppression_of_another_code(check):
    assert ADDED in check(guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))  # noqa: SVI161")).text


def test_suppression_of_the_file(check):
    text = guide("dist.Normal(0., pyro.param('s', torch.tensor(1.)))") + "# pyro-fix: ignore-file[SVI051]\n"
    assert check(text).findings == ()


# -- imports ------------------------------------------------------------------------------------------------------

BARE = "from pyro import param\nfrom pyro.distributions import Normal\n"
USE = "def guide():\n    Normal(0., param('s', torch.tensor(1.)))\n"
IMPORT = "from pyro.distributions import constraints\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"import torch\n{BARE}\n{USE}", f"import torch\n{BARE}{IMPORT}\n"),
        (f'"""Doc."""\nimport torch\n{BARE}{USE}', f'"""Doc."""\nimport torch\n{BARE}{IMPORT}'),
        (f"from __future__ import annotations\nimport torch\n{BARE}{USE}", f"import torch\n{BARE}{IMPORT}"),
        (f"import torch; x = 1\n{BARE}y = 2; z = 3\n{USE}", f"{BARE}{IMPORT}y = 2; z = 3\n"),
        (f"import torch\nfrom pyro import (\n    param,\n)\nfrom pyro.distributions import (  # all\n    Normal,\n)\n{USE}",
         f"    Normal,\n)\n{IMPORT}def guide"),
    ],
)  # fmt: skip
def test_the_import_is_added_in_its_place(check, before: str, after: str):
    text = check(before).text
    assert after in text
    compile(text, "main.py", "exec")


def test_import_before_the_first_use_at_module_level(check):
    text = "import torch\nfrom pyro import param\nfrom pyro.distributions import Normal\nNormal(0., param('s', torch.tensor(1.)))\nimport os\n"
    new = check(text).text
    assert new.index(IMPORT) < new.index("constraint=constraints")
    assert new.index(IMPORT) < new.index("import os")


def test_import_where_all_imports_are_inside_functions(check):
    text = "'''Doc.'''\n\n\ndef guide():\n    import torch\n    from pyro import param\n    from pyro.distributions import Normal\n    Normal(0., param('s', torch.tensor(1.)))\n"
    new = check(text).text
    assert new.startswith(f"'''Doc.'''\n\n{IMPORT}")
    compile(new, "main.py", "exec")


def test_import_in_a_file_of_semicolons_only(check):
    text = "import torch; from pyro import param; from pyro.distributions import Normal; Normal(0., param('s', torch.tensor(1.)))\n"
    outcome = check(text)
    compile(outcome.text, "main.py", "exec")
    assert outcome.text.startswith(IMPORT)


def test_import_behind_future_and_semicolon(check):
    text = f"from __future__ import annotations; import torch\n\n{BARE.replace(chr(10), ';', 1)}{USE}"
    outcome = check(text)
    assert outcome.text.startswith("from __future__")
    assert IMPORT in outcome.text
    compile(outcome.text, "main.py", "exec")


def test_two_fixes_need_one_import(check):
    text = f"import torch\n{BARE}def guide():\n    Normal(0., param('a', torch.tensor(1.)))\n    Normal(0., param('b', torch.tensor(1.)))\n"
    new = check(text).text
    assert new.count(IMPORT) == 1
    assert new.count(ADDED) == 2


def test_import_in_crlf(check):
    text = f"import torch\n{BARE}\n{USE}".replace("\n", "\r\n")
    new = check(text).text
    assert new.count("\n") == new.count("\r\n") == text.count("\n") + 1


def test_import_behind_the_last_line_without_newline(check):
    outcome = check(
        "import torch\nfrom pyro import param, distributions as d; d.Normal(0., param('s', torch.tensor(1.)))"
    )
    assert outcome.text.endswith("constraint=d.constraints.positive))")
