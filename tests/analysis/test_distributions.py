"""The table of distributions against the Pyro that is installed here."""

from __future__ import annotations

import importlib.util
import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_fix.analysis import distributions as table

torch = pytest.importorskip("torch")
pyro = pytest.importorskip("pyro")
constraints = pytest.importorskip("pyro.distributions.constraints")
transform_to = pytest.importorskip("torch.distributions").transform_to

GENERATOR = Path(__file__).resolve().parents[2] / "tools" / "generate_distributions.py"


def live(text: str):
    """The constraint that ``text`` writes."""
    return eval(text, vars(constraints))


def test_the_table_is_what_the_generator_writes_from_the_live_pyro():
    versions = (pyro.__version__, torch.__version__.partition("+")[0])
    if versions != (table.PYRO_VERSION, table.TORCH_VERSION):
        pytest.skip(f"the table is of pyro {table.PYRO_VERSION}, torch {table.TORCH_VERSION}; here are {versions}")
    spec = importlib.util.spec_from_file_location("generate_distributions", GENERATOR)
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    assert generator.TARGET.read_text(encoding="utf-8") == generator.render()


@pytest.mark.parametrize(
    ("name", "arguments", "required", "support", "reparameterised", "enumerable"),
    [
        ("Normal", ("loc", "scale"), {"scale": "positive"}, {"real"}, True, False),
        ("LogNormal", ("loc", "scale"), {"scale": "positive"}, {"positive"}, True, False),
        ("HalfCauchy", ("scale",), {"scale": "positive"}, {"positive", "nonnegative"}, True, False),
        ("Gamma", ("concentration", "rate"), {"concentration": "positive", "rate": "positive"},
         {"positive", "nonnegative"}, True, False),
        ("Beta", ("concentration1", "concentration0"), {"concentration0": "positive"}, {"unit_interval"}, True, False),
        ("Dirichlet", ("concentration",), {"concentration": "independent(positive, 1)"}, {"simplex"}, True, False),
        ("Uniform", ("low", "high"), {}, {"dependent"}, True, False),
        ("Bernoulli", ("probs", "logits"), {"probs": "unit_interval", "logits": "real"}, {"boolean"}, False, True),
        ("Categorical", ("probs", "logits"), {"probs": "simplex"}, {"dependent"}, False, True),
        ("MultivariateNormal", ("loc", "covariance_matrix", "precision_matrix", "scale_tril"),
         {"scale_tril": "lower_cholesky", "covariance_matrix": "positive_definite"}, {"real_vector"}, True, False),
        ("StudentT", ("df", "loc", "scale"), {"df": "positive", "scale": "positive"}, {"real"}, True, False),
        ("Poisson", ("rate",), {}, {"nonnegative_integer"}, False, False),
    ],
)  # fmt: skip
def test_common_distributions_on_any_version(name, arguments, required, support, reparameterised, enumerable):
    found = table.lookup(name)
    assert found is not None
    assert found.arguments == arguments
    assert required.items() <= found.constraints.items()
    assert found.support in support
    assert (found.reparameterised, found.enumerable) == (reparameterised, enumerable)
    cls = getattr(pyro.distributions, name)
    live_names = [n for n in inspect.signature(cls.__init__).parameters if n not in ("self", "validate_args")]
    assert tuple(live_names)[: len(arguments)] == arguments
    for argument, text in required.items():
        assert str(cls.arg_constraints[argument]) == str(live(text))


def test_facts_that_depend_on_what_is_wrapped_are_unknown():
    for name in ("Independent", "MaskedDistribution", "ExpandedDistribution"):
        found = table.lookup(name)
        assert found.support == "dependent"
        assert found.reparameterised is found.event_dim is None
    assert table.lookup("Delta").discrete is None


def test_keyword_only_arguments_are_kept_apart():
    found = table.lookup("ZeroInflatedPoisson")
    assert found.arguments == ("rate",)
    assert found.keywords == ("gate", "gate_logits")
    assert found.optional == {"gate", "gate_logits"}


def test_lookup_knows_distributions_only():
    assert table.lookup("constraints") is None
    assert table.lookup("TransformModule") is None
    assert table.lookup("TorchDistribution") is None
    assert table.lookup("Nromal") is None
    assert table.lookup("Normal") is table.lookup("Normal")
    assert {"Normal", "constraints", "TransformModule"} <= table.NAMES


def test_star_imports_bind_what_the_table_says():
    assert {n for n in table.CONSTRAINT_NAMES if not hasattr(constraints, n)} == set()
    assert {"positive", "greater_than", "softplus_positive"} <= table.CONSTRAINT_NAMES


def test_optimisers_autoguides_and_elbos():
    assert {"amsgrad", "betas", "lr"} <= set(table.OPTIMIZERS["Adam"])
    assert {"lrd", "clip_norm", "betas", "eps", "weight_decay"} <= set(table.OPTIMIZERS["ClippedAdam"])
    assert "amsgrad" not in table.OPTIMIZERS["ClippedAdam"]
    assert "momentum" in table.OPTIMIZERS["SGD"]
    assert "ExponentialLR" in table.SCHEDULERS
    assert not table.SCHEDULERS & table.OPTIMIZERS.keys()
    with_scale = {name for name, arguments in table.AUTOGUIDES.items() if "init_scale" in arguments}
    assert {"AutoNormal", "AutoDiagonalNormal", "AutoMultivariateNormal", "AutoStructured"} <= with_scale
    assert not with_scale & {"AutoDelta", "AutoLaplaceApproximation", "AutoIAFNormal", "AutoGuideList"}
    assert {"num_particles", "vectorize_particles"} <= set(table.ELBOS["TraceMeanField_ELBO"])
    assert "vectorize_particles" not in table.ELBOS["EnergyDistance"]


# Samples of a constraint, by the transform that a parameter goes through, or listed where there is none.

SHAPES = {
    "simplex": (3,), "sphere": (3,), "ordered_vector": (3,), "positive_ordered_vector": (3,), "corr_matrix": (3,),
    "corr_cholesky": (3,),
}  # fmt: skip
LISTED = {
    "boolean": [0.0, 1.0],
    "nonnegative_integer": [0.0, 1.0, 7.0],
    "positive_integer": [1.0, 2.0, 9.0],
    "integer_interval(2, 4)": [2.0, 3.0, 4.0],
}
GIVEN = [
    "real", "real_vector", "positive", "softplus_positive", "nonnegative", "unit_interval", "less_than(0)",
    "greater_than(0.001)", "greater_than(-1)", "greater_than(lower_bound=2)", "interval(0.1, 2.0)", "interval(-1, 1)",
    "half_open_interval(0, 1)", "greater_than_eq(0.5)", "independent(positive, 1)",
    "independent(interval(0.2, 0.8), 1)", "simplex", "sphere", "ordered_vector", "positive_ordered_vector",
    "positive_definite", "positive_semidefinite", "corr_matrix", "lower_cholesky", "softplus_lower_cholesky",
    "unit_lower_cholesky", "corr_cholesky", *LISTED,
]  # fmt: skip
REQUIRED = [*GIVEN, "integer", "one_hot", "square", "symmetric", "lower_triangular"]


def samples(text: str):
    torch.manual_seed(0)
    if text in LISTED:
        values = torch.tensor(LISTED[text], dtype=torch.float64)
        return values[torch.randint(len(values), (50, 3, 3))]
    shape = SHAPES.get(text, (3, 3))
    spread = 1 if text.startswith("corr") else 4  # correlations near one are singular to rounding
    values = transform_to(live(text))(spread * torch.randn(200, 1, *shape, dtype=torch.float64))
    # Exponentials of exponentials overflow; a variance of one is off by rounding.
    values = values[values.isfinite().flatten(1).all(1)]
    return values.clamp(-1, 1) if text == "corr_matrix" else values


@pytest.mark.parametrize("given", GIVEN)
def test_implies_agrees_with_samples(given):
    values = samples(given)
    assert len(values) >= 50
    for required in REQUIRED:
        if (given, required) == ("corr_cholesky", "sphere"):
            continue  # its rows are on one, which nobody asks of a matrix
        answer = table.implies(given, required)
        holds = bool(live(required).check(values).all())
        if answer is None:
            assert required == "square", (given, required)
        else:
            assert answer == holds, (given, required)


@pytest.mark.parametrize(
    ("given", "required", "answer"),
    [
        ("constraints.greater_than(0.001)", "positive", True),
        ("dist.constraints.positive", "constraints.positive", True),
        ("constraints.greater_than(lower_bound=1e-3)", "greater_than(0.001)", True),
        ("constraints.interval(upper_bound=2.0, lower_bound=0.1)", "positive", True),
        ("greater_than(-1e-3)", "positive", False),
        ("greater_than(eps)", "positive", None),
        ("greater_than(eps)", "real", True),
        ("greater_than(eps)", "greater_than(constraints.eps)", None),
        ("constraints.greater_than(eps)", "greater_than(lower_bound=eps)", True),
        ("interval(0.1, high)", "positive", True),
        ("interval(low, 0.5)", "unit_interval", None),
        ("interval(low, 1.5)", "unit_interval", False),
        ("positive", "greater_than(eps)", None),
        ("real", "greater_than(eps)", False),
        ("my_constraint", "positive", None),
        ("constraints.positive if flag else None", "positive", None),
        ("constraints.interval", "positive", None),
        ("greater_than(1, 2)", "positive", None),
        ("greater_than(bound=1)", "positive", None),
        ("dependent", "dependent", None),
        ("positive", "dependent", None),
        ("cat([positive, real])", "positive", None),
        ("not python (", "positive", None),
        ("", "positive", None),
    ],
)
def test_implies_reads_source_and_says_when_it_cannot_tell(given, required, answer):
    assert table.implies(given, required) is answer


@pytest.mark.parametrize(
    "text",
    [
        "real", "positive", "softplus_positive", "nonnegative", "unit_interval", "less_than(0)", "greater_than(0.001)",
        "greater_than(-1)", "interval(0.1, 2.0)", "half_open_interval(0, 1)", "greater_than_eq(0.5)",
        "independent(positive, 1)",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [-2.0, -1.0, -0.5, 0.0, 0.0005, 0.001, 0.1, 0.5, 1.0, 2.0, 3.0])
def test_a_good_initial_value_has_a_moderate_unconstrained_one(text, value):
    """Sigmoids clamp at float32's limits instead of reaching infinity, hence the bound of 15."""
    tensor = torch.full((3,), value)
    constraint = live(text)
    unconstrained = transform_to(constraint).inv(tensor)
    good = constraint.check(tensor).all() and (unconstrained.abs() < 15).all()
    assert table.satisfies(value, text) is bool(good)


@pytest.mark.parametrize(
    ("value", "text", "answer"),
    [
        (math.nan, "real", False),
        (math.inf, "positive", False),
        (1, "positive", True),
        (True, "positive", True),
        (0.5, "simplex", None),
        (0.0, "simplex", False),
        (-1.0, "simplex", False),
        (1.0, "lower_cholesky", None),
        (0.5, "nonnegative_integer", False),
        (0.0, "nonnegative_integer", True),
        (2.0, "boolean", False),
        (0.5, "greater_than(eps)", None),
        (0.5, "interval(low, 0.1)", False),
        (0.5, "dependent", None),
        (0.5, "nonsense(", None),
    ],
)
def test_satisfies_at_the_edges(value, text, answer):
    assert table.satisfies(value, text) is answer


def test_a_written_constraint_guarantees_what_the_argument_requires():
    required = {text for name in table.NAMES if (d := table.lookup(name)) for text in d.constraints.values()}
    unwritable = set()
    for text in sorted(required):
        written = table.constraint_source(text)
        if written is None:
            unwritable.add(text)
            continue
        assert table.implies(written, text) is True
        constraint = eval(written, {"constraints": constraints})
        shape = SHAPES.get(text, (3, 3))
        assert live(text).check(transform_to(constraint)(torch.randn(20, 1, *shape))).all(), text
    assert unwritable == {"integer", "nonnegative_integer", "lower_triangular"}


@pytest.mark.parametrize(
    ("required", "written"),
    [
        ("positive", "constraints.positive"),
        ("nonnegative", "constraints.positive"),
        ("constraints.positive", "constraints.positive"),
        ("independent(positive, 1)", "constraints.positive"),
        ("independent(interval(-1, 1), 1)", "constraints.interval(-1, 1)"),
        ("greater_than(lower_bound=0.5)", "constraints.greater_than(lower_bound=0.5)"),
        ("half_open_interval(0, 1)", "constraints.half_open_interval(0, 1)"),
        ("lower_triangular", None),
        ("nonnegative_integer", None),
        ("dependent", None),
        ("interval", None),
        ("", None),
    ],
)
def test_constraint_source(required, written):
    assert table.constraint_source(required) == written


def test_constraint_source_reaches_the_module_by_the_name_in_scope():
    assert table.constraint_source("simplex", "dist.constraints") == "dist.constraints.simplex"


def test_importing_the_table_imports_nothing_heavy():
    code = (
        "import sys, pyro_fix.analysis.distributions;"
        "print(sorted({'torch', 'pyro', 'libcst', 'rich', 'typer', 'numpy'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"
