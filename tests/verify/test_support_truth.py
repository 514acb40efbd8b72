"""What the source and runs say of supports, against the truth: draws of the guide, checked by the model's own support.

No answer is an answer; a wrong one is not.  ``-m slow`` takes the whole grid, with more values of the arguments, and
``-s`` prints how many answers agree.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyro
import pytest
import torch

from pyro_fix import sources
from pyro_fix.analysis.health import agreements
from pyro_fix.analysis.pairing import pairs, verdict
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.project import Project
from pyro_fix.analysis.seen import Seen
from pyro_fix.observation import Look, Observation, SviObservation
from pyro_fix.probe import look as probe
from pyro_fix.probe.places import Places
from pyro_fix.probe.record import Entry
from pyro_fix.probe.sites import unwrapped
from pyro_fix.runner import read

PREAMBLE = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from torch.distributions import biject_to

data = torch.tensor([0.5, 1.5, 4.0])

"""


def families(seed: int) -> dict[str, list[str]]:
    """Expressions of distributions over three numbers, and over 3x3 matrices, with arguments drawn by ``seed``.

    They are wide, so that thousands of draws find what lies outside.
    """
    chance = random.Random(seed)

    def u(low: float, high: float) -> str:
        return repr(round(chance.uniform(low, high), 2))

    low = chance.uniform(-2, 3)
    scalars = [
        f"dist.Normal({u(-2, 2)}, {u(2, 4)})",
        f"dist.Normal(loc=torch.tensor({u(-1, 1)}), scale=torch.tensor({u(2, 4)}))",
        f"dist.StudentT({u(2, 5)}, {u(-1, 1)}, 2.0)",
        f"dist.Cauchy({u(-1, 1)}, 2.0)",
        f"dist.Laplace({u(-1, 1)}, 3.0)",
        f"dist.Logistic({u(-1, 1)}, 2.0)",
        f"dist.SoftLaplace({u(-1, 1)}, 2.0)",
        f"dist.AsymmetricLaplace({u(-1, 1)}, 2.0, 1.5)",
        f"dist.Gumbel({u(-1, 1)}, 3.0)",
        "dist.Stable(1.5, 0.1, 2.0, 0.0)",
        f"dist.LogNormal({u(0, 1)}, {u(1.5, 2)})",
        f"dist.Gamma({u(1.5, 2)}, {u(0.2, 0.3)})",
        f"dist.Exponential({u(0.1, 0.2)})",
        f"dist.HalfNormal({u(7, 9)})",
        f"dist.HalfCauchy({u(2, 4)})",
        f"dist.InverseGamma({u(1, 2)}, {u(1, 2)})",
        f"dist.Weibull({u(4, 6)}, 1.0)",
        f"dist.Chi2({u(5, 7)})",
        "dist.FisherSnedecor(4.0, 3.0)",
        f"dist.Pareto({u(0.4, 0.9)}, 1.0)",
        f"dist.Pareto(torch.tensor({u(1.1, 1.9)}), torch.tensor(1.0))",
        "dist.GeneralizedPareto(0.0, 2.0, 0.5)",
        f"dist.Beta({u(0.8, 2)}, {u(0.8, 2)})",
        f"dist.Kumaraswamy({u(0.8, 2)}, {u(0.8, 2)})",
        f"dist.ContinuousBernoulli({u(0.2, 0.8)})",
        f"dist.RelaxedBernoulli(torch.tensor(0.5), {u(0.2, 0.8)})",
        f"dist.RelaxedBernoulliStraightThrough(torch.tensor(0.5), torch.tensor({u(0.2, 0.8)}))",
        "dist.AffineBeta(1.5, 1.5, 1.0, 4.0)",
        "dist.Uniform(0.0, 1.0)",
        f"dist.Uniform(-1.0, {u(1.5, 2)})",
        "dist.Uniform(0, 10)",
        "dist.Uniform(torch.zeros(3), 10 * torch.ones(3))",
        f"dist.Uniform({low!r}, {low + 3!r})",
        "dist.Uniform(0.0, data.max())",
        "dist.Uniform(data.min(), 10.0)",
        "dist.Uniform(torch.zeros(3), 2 * data)",
        f"dist.VonMises({u(-1, 1)}, 0.5)",
        f"dist.Bernoulli({u(0.3, 0.7)})",
        f"dist.Binomial({chance.randint(5, 12)}, {u(0.3, 0.7)})",
        "dist.Binomial(total_count=torch.tensor(3.), probs=torch.tensor(0.5))",
        "dist.BetaBinomial(2.0, 2.0, 5)",
        f"dist.Poisson({u(5, 7)})",
        f"dist.Geometric({u(0.1, 0.2)})",
        f"dist.NegativeBinomial(5, {u(0.4, 0.6)})",
        "dist.GammaPoisson(2.0, 0.5)",
        "dist.ZeroInflatedPoisson(6.0, gate=torch.tensor(0.2))",
        "dist.ExtendedBinomial(6, 0.5)",
        "dist.Categorical(torch.ones(4) / 4)",
        f"dist.Delta(torch.tensor({u(-2, 2)}))",
        f"dist.TransformedDistribution(dist.Normal(0.0, {u(1.5, 2)}), [dist.transforms.ExpTransform()])",
        "dist.TransformedDistribution(dist.Normal(0.0, 2.0), torch.distributions.transforms.SigmoidTransform())",
        "dist.TransformedDistribution(dist.Normal(0.0, 2.0), biject_to(constraints.interval(0.0, 10.0)))",
        "dist.TransformedDistribution(dist.Laplace(0.0, 1.0), biject_to(constraints.greater_than(1.0)))",
        "dist.TransformedDistribution(dist.Beta(1.0, 1.0), dist.transforms.AffineTransform(0.0, 5.0))",
        "dist.TransformedDistribution(dist.Gamma(2.0, 1.0), [dist.transforms.ExpTransform()])",
        "dist.FoldedDistribution(dist.Normal(0.0, 4.0))",
        "dist.Normal(0.0, 4.0).mask(torch.tensor(True))",
        "dist.MixtureSameFamily(dist.Categorical(torch.ones(2)), dist.Normal(torch.tensor([-3.0, 3.0]), 2.0))",
        "dist.MaskedDistribution(dist.Gamma(2.0, 0.2), torch.tensor(True))",
    ]
    vectors = [
        "dist.MultivariateNormal(torch.zeros(3), 9 * torch.eye(3))",
        "dist.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), 4 * torch.ones(3))",
        "dist.MultivariateStudentT(torch.tensor(3.0), torch.zeros(3), 2 * torch.eye(3))",
        "dist.Dirichlet(torch.ones(3))",
        "dist.LogisticNormal(torch.zeros(2), torch.ones(2))",
        "dist.ProjectedNormal(torch.zeros(3))",
        "dist.OneHotCategorical(torch.ones(3) / 3)",
        "dist.RelaxedOneHotCategorical(torch.tensor(0.5), torch.ones(3) / 3)",
        "dist.RelaxedOneHotCategoricalStraightThrough(torch.tensor(0.5), torch.ones(3) / 3)",
        "dist.Multinomial(4, torch.ones(3) / 3)",
        "dist.Independent(dist.HalfNormal(8.0 * torch.ones(3)), 1)",
        "dist.LogNormal(torch.zeros(3), 2.0).to_event(1)",
        "dist.TransformedDistribution(dist.MultivariateNormal(torch.zeros(3), 4 * torch.eye(3)), biject_to(constraints.positive))",
    ]
    matrices = [
        "dist.Normal(torch.zeros(3, 3), 2.0).to_event(2)",
        "dist.LKJCholesky(3, 1.0)",
        "dist.LKJ(3, 1.0)",
        "dist.Wishart(torch.tensor(5.0), scale_tril=torch.eye(3))",
        "dist.Beta(torch.ones(3, 3), 1.0).to_event(2)",
        "dist.LogNormal(torch.zeros(3, 3), 1.0).to_event(2)",
    ]
    return {"3": [f"{text}.expand([3]).to_event(1)" for text in scalars] + vectors, "3x3": matrices}


def functions(prefix: str, expressions: Sequence[str]) -> str:
    return "".join(f"def {prefix}{i}():\n    pyro.sample('z', {text})\n\n" for i, text in enumerate(expressions))


#: Guides and models in which more than one expression decides.
PROGRAMS = {
    "a plate": (
        "with pyro.plate('p', 3):\n    pyro.sample('z', dist.Normal(torch.zeros(3), 2.0))",
        "with pyro.plate('p', 3):\n    pyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a plate, sound": (
        "with pyro.plate('p', 3):\n    pyro.sample('z', dist.LogNormal(torch.zeros(3), 2.0))",
        "with pyro.plate('p', 3):\n    pyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a sequential plate": (
        "for i in pyro.plate('p', 3):\n    pyro.sample(f'z{i}', dist.Normal(0.0, 2.0))",
        "for i in pyro.plate('p', 3):\n    pyro.sample(f'z{i}', dist.Exponential(1.0))",
    ),
    "a branch on data, both wrong": (
        "pyro.sample('z', dist.Normal(0.0, 2.0) if data.sum() > 0 else dist.Cauchy(0.0, 1.0))",
        "pyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a branch on data, wrong one taken": (
        "pyro.sample('z', dist.Normal(0.0, 2.0) if data.sum() > 0 else dist.LogNormal(0.0, 1.0))",
        "pyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a branch on data, sound one taken": (
        "if data.sum() < 0:\n    pyro.sample('z', dist.Normal(0.0, 2.0))\nelse:\n    pyro.sample('z', dist.LogNormal(0.0, 1.0))",
        "pyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a branch on data in the model": (
        "pyro.sample('z', dist.Beta(1.0, 1.0))",
        "pyro.sample('z', dist.Normal(0.0, 1.0) if data.sum() < 0 else dist.Uniform(0.0, 1.0))",
    ),
    "a branch on a latent, rarely wrong": (
        "c = pyro.sample('c', dist.Bernoulli(0.05))\n"
        "pyro.sample('z', dist.Normal(0.0, 2.0) if c > 0 else dist.LogNormal(0.0, 1.0))",
        "pyro.sample('c', dist.Bernoulli(0.5))\npyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "a branch on a latent, in the model": (
        "pyro.sample('c', dist.Normal(0.0, 1.0))\npyro.sample('z', dist.Normal(0.0, 2.0))",
        "c = pyro.sample('c', dist.Normal(0.0, 1.0))\n"
        "if c > 2.0:\n    pyro.sample('z', dist.Gamma(2.0, 1.0))\nelse:\n    pyro.sample('z', dist.Normal(0.0, 1.0))",
    ),
    "a branch on a latent, always sound": (
        "c = pyro.sample('c', dist.Bernoulli(0.5))\n"
        "pyro.sample('z', dist.Exponential(1.0) if c > 0 else dist.LogNormal(0.0, 1.0))",
        "pyro.sample('c', dist.Bernoulli(0.5))\npyro.sample('z', dist.Gamma(2.0, 1.0))",
    ),
    "bounds from data, equal": (
        "pyro.sample('z', dist.Uniform(data.min(), data.max()))",
        "pyro.sample('z', dist.Uniform(data.min(), data.max()))",
    ),
    "bounds from data, beyond": (
        "pyro.sample('z', dist.Uniform(0.0, data.sum()))",
        "pyro.sample('z', dist.Uniform(0.0, data.max()))",
    ),
    "bounds from data, within": (
        "pyro.sample('z', dist.Beta(1.0, 1.0))",
        "pyro.sample('z', dist.Uniform(0.0, data.max()))",
    ),
    "bounds from data that differ": (
        "pyro.sample('z', dist.LogNormal(torch.zeros(3), 2.0).to_event(1))",
        "pyro.sample('z', dist.Uniform(torch.zeros(3), data).to_event(1))",
    ),
    "bounds from a latent, within at most draws": (
        "pyro.sample('w', dist.LogNormal(2.0, 1.0))\npyro.sample('z', dist.Uniform(0.0, 1.0))",
        "w = pyro.sample('w', dist.LogNormal(2.0, 1.0))\npyro.sample('z', dist.Uniform(0.0, w))",
    ),
    "bounds from a latent, the same in both": (
        "w = pyro.sample('w', dist.LogNormal(0.0, 1.0))\npyro.sample('z', dist.Uniform(0.0, w))",
        "w = pyro.sample('w', dist.LogNormal(0.0, 1.0))\npyro.sample('z', dist.Uniform(0.0, w))",
    ),
    "bounds from a latent, a whole line": (
        "pyro.sample('w', dist.LogNormal(0.0, 1.0))\npyro.sample('z', dist.Normal(0.0, 2.0))",
        "w = pyro.sample('w', dist.LogNormal(0.0, 1.0))\npyro.sample('z', dist.Uniform(0.0, w))",
    ),
    "a truncated normal by a transform": (
        "pyro.sample('z', dist.TransformedDistribution(dist.Normal(0.0, 2.0), biject_to(constraints.interval(0.0, 2.0))))",
        "pyro.sample('z', dist.Uniform(0.0, 2.0))",
    ),
    "an improper prior": (
        "pyro.sample('z', dist.Normal(torch.zeros(3), 2.0).to_event(1))",
        "pyro.sample('z', dist.ImproperUniform(constraints.positive, (3,), ()).to_event(1))",
    ),
    "a correlation matrix": (
        "pyro.sample('z', dist.LKJCholesky(3, 2.0))",
        "pyro.sample('z', dist.LKJCholesky(3, 1.0))",
    ),
    "a helper's distribution": (
        "pyro.sample('z', make(0.0))",
        "pyro.sample('z', dist.HalfCauchy(1.0))",
    ),
    "scaled": (
        "with pyro.poutine.scale(scale=0.5):\n    pyro.sample('z', dist.Normal(0.0, 2.0))",
        "pyro.sample('z', dist.HalfCauchy(1.0))",
    ),
    "hidden in the guide by a loop": (
        "for name in ('z', 'y'):\n    pyro.sample(name, dist.Normal(0.0, 2.0))",
        "pyro.sample('z', dist.HalfCauchy(1.0))\npyro.sample('y', dist.Normal(0.0, 1.0))",
    ),
}


@dataclass
class Case:
    """One model and one guide of the file."""

    name: str
    guide: Callable[[], object]
    model: Callable[[], object]
    line: int
    """Of the ``SVI(…)`` call."""


class Laboratory:
    """A file of programs, read as source and run in this process."""

    def __init__(self, folder: Path, text: str, names: Sequence[tuple[str, str, str]]) -> None:
        """``names``: of each case, and of its guide's and its model's function."""
        start = PREAMBLE.count("\n") + text.count("\n") + 2
        calls = "".join(f"    SVI({model}, {guide}, optim, Trace_ELBO())\n" for _, guide, model in names)
        self.path = folder / "main.py"
        self.path.write_text(f"{PREAMBLE}{text}def pair(optim):\n{calls}")
        space: dict[str, Any] = {}
        exec(compile(self.path.read_text(), str(self.path), "exec"), space)
        self.cases = [Case(name, space[g], space[m], start + i) for i, (name, g, m) in enumerate(names)]
        self.program: Program = Project().read([sources.read(self.path)])
        self.svis = {svi.call.lineno: svi for svi in self.program.svis}
        assert len(self.svis) == len(self.cases)

    def look(self, case: Case) -> Look:
        """A deep look at the first step, made here."""
        events: dict[str, dict[str, Any]] = {}
        places = Places(SimpleNamespace(in_project=lambda path: path == str(self.path)), str(self.path.parent))  # type: ignore[arg-type]
        journal = SimpleNamespace(write=lambda event, **fields: events.setdefault(event, fields))
        quietly = lambda work, *args: work(*args)  # noqa: E731
        recorder: Any = SimpleNamespace(spec={"seeds": [0]}, journal=journal, places=places, quietly=quietly)
        entry = Entry(0, f"main.py:{case.line}")
        entry.model, entry.guide, entry.loss_and_grads = case.model, case.guide, lambda *_: 0.0
        pyro.clear_param_store()
        probe.look(recorder, entry, {"seeds": 2, "slices": False, "facts": True})
        pyro.enable_validation(True)
        return read._look(events["look"], events.get("facts", {}))

    def see(self, looks: dict[int, Look]) -> None:
        """Let the facts of the source be joined by what was seen."""
        svis = tuple(
            SviObservation(line, f"main.py:{line}", "Trace_ELBO", "Adam", 1, (), found) for line, found in looks.items()
        )
        run = Observation("python main.py", "python", {}, "cpu", svis, {}, (), None, (), 1.0, cwd=str(self.path.parent))
        self.program.seen = Seen([run])

    def verdicts(self, case: Case) -> dict[str, bool | None]:
        """Latent -> what pyro-fix makes of it."""
        found = pairs(self.program, self.svis[case.line])
        return {pair.name: verdict(self.program, pair).inside for pair in found}


def contains(fn: Any, value: torch.Tensor) -> bool:
    """Whether all of ``value`` lies in the support of a distribution."""
    inner = unwrapped(fn)
    if type(inner).__name__ == "TransformedDistribution":  # what it says itself is only where its last transform leads
        before = value.float()
        for transform in reversed(inner.transforms):
            before = transform.inv(before)
        after = before
        for transform in inner.transforms:
            after = transform(after)
        within = bool(before.isfinite().all() and inner.base_dist.support.check(before).all())
        return within and torch.allclose(after, value.float(), 1e-3, 1e-3)
    return bool(fn.support.check(value if fn.support.is_discrete else value.float()).all())


def truth(case: Case, times: int) -> dict[str, bool]:
    """Latent -> whether no draw of the guide was outside the model's support."""
    found: dict[str, bool] = {}
    for _ in range(times):
        guide = pyro.poutine.trace(case.guide).get_trace()
        model = pyro.poutine.trace(pyro.poutine.replay(case.model, trace=guide)).get_trace()
        for name, site in guide.nodes.items():
            if site["type"] == "sample" and name in model.nodes and hasattr(site["fn"], "support"):
                inside = contains(model.nodes[name]["fn"], site["value"])
                found[name] = found.get(name, True) and inside
    return found


class Table(Counter[str]):
    """How many answers agree with the truth."""

    def add(self, where: str, said: bool | None, true: bool) -> str:
        kind = "inconclusive" if said is None else "agree" if said is true else "wrong"
        self[kind] += 1
        return "" if kind != "wrong" else f"{where}: said {said}, is {true}"

    def __str__(self) -> str:
        return f"{self['agree']} agree, {self['inconclusive']} inconclusive, {self['wrong']} wrong"


def grid(folder: Path, seed: int) -> Iterator[tuple[Laboratory, list[tuple[Case, bool]]]]:
    """Every guide with every model, and the truth by draws of the guide."""
    guides, models = families(seed), families(seed + 1000)
    for shape, expressions in guides.items():
        text = functions("g", expressions) + functions("m", models[shape])
        names = [
            (f"guide {g}, model {m}", f"g{i}", f"m{j}")
            for i, g in enumerate(expressions)
            for j, m in enumerate(models[shape])
        ]
        place = folder / f"{seed}-{shape}"
        place.mkdir()
        laboratory = Laboratory(place, text, names)
        torch.manual_seed(seed)
        space: dict[str, Any] = {}
        exec(PREAMBLE, space)
        draws = [eval(text, space).sample((3000,)) for text in expressions]
        priors = [eval(text, space) for text in models[shape]]
        true = [contains(prior, draw) for draw in draws for prior in priors]
        yield laboratory, list(zip(laboratory.cases, true, strict=True))


def judge_grid(folder: Path, seed: int, looked_at: int | None) -> tuple[list[str], dict[str, Table]]:
    """The wrong answers, and a table for the source, for runs, and for both together."""
    tables = {name: Table() for name in ("the source", "runs", "both")}
    wrong = []
    for laboratory, cases in grid(folder, seed):
        for case, true in cases:
            said = laboratory.verdicts(case).get("z")
            wrong.append(tables["the source"].add(f"source, {case.name}", said, true))
        chosen = cases if looked_at is None else random.Random(seed).sample(cases, min(looked_at, len(cases)))
        looks = {case.line: laboratory.look(case) for case, _ in chosen}
        laboratory.see(looks)
        for case, true in chosen:
            said = agreements(looks[case.line]).get("z")
            wrong.append(tables["runs"].add(f"run, {case.name}", said, true))
            wrong.append(tables["both"].add(f"both, {case.name}", laboratory.verdicts(case).get("z"), true))
    return [line for line in wrong if line], tables


def report(title: str, tables: dict[str, Table]) -> None:
    print(f"\n{title}: " + "; ".join(f"{name}: {table}" for name, table in tables.items()))


def test_the_grid_is_large() -> None:
    expressions = families(0)["3"]
    assert len(expressions) >= 60 and len({text.split("(")[0] for text in expressions}) >= 40


def test_pairs_of_distributions(tmp_path: Path) -> None:
    wrong, tables = judge_grid(tmp_path, 0, looked_at=60)
    report("distributions", tables)
    assert not wrong
    # A judge that never commits itself would pass, too.
    assert tables["the source"]["agree"] > 2 * tables["the source"]["inconclusive"]
    assert tables["both"]["agree"] > 5 * tables["both"]["inconclusive"]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_pairs_of_distributions_all(tmp_path: Path, seed: int) -> None:
    wrong, tables = judge_grid(tmp_path, seed, looked_at=None)
    report("distributions", tables)
    assert not wrong


def indented(text: str) -> str:
    return "".join(f"    {line}\n" for line in text.splitlines())


@pytest.fixture(scope="module")
def flows(tmp_path_factory: pytest.TempPathFactory) -> Laboratory:
    text = "def make(loc):\n    return dist.Normal(loc, 2.0)\n\n"
    names = []
    for i, (name, (guide, model)) in enumerate(PROGRAMS.items()):
        text += f"def guide{i}():\n{indented(guide)}\ndef model{i}():\n{indented(model)}\n"
        names.append((name, f"guide{i}", f"model{i}"))
    return Laboratory(tmp_path_factory.mktemp("flows"), text, names)


def test_plates_branches_and_bounds_that_depend(flows: Laboratory) -> None:
    tables = {name: Table() for name in ("the source", "runs", "both")}
    torch.manual_seed(0)
    with pyro.validation_enabled(False):
        true = {case.name: truth(case, 150) for case in flows.cases}
    looks = {case.line: flows.look(case) for case in flows.cases}
    wrong = []
    for which in tables:
        flows.see(looks if which == "both" else {})
        for case in flows.cases:
            said = agreements(looks[case.line]) if which == "runs" else flows.verdicts(case)
            for name, inside in true[case.name].items():
                wrong.append(tables[which].add(f"{which}, {case.name}, {name}", said.get(name), inside))
    report("programs", tables)
    assert not [line for line in wrong if line]
    assert tables["both"]["agree"] > 2 * tables["both"]["inconclusive"]


@pytest.mark.parametrize(
    ("name", "latent", "wanted"),
    [
        ("a plate", "z", False),
        ("a plate, sound", "z", True),
        ("a branch on data, both wrong", "z", False),
        ("a branch on a latent, always sound", "z", True),
        ("a branch on a latent, rarely wrong", "z", None),
        ("bounds from a latent, within at most draws", "z", None),
        ("bounds from a latent, a whole line", "z", False),
        ("bounds from data that differ", "z", False),
        ("a helper's distribution", "z", False),
        ("scaled", "z", False),
        ("a truncated normal by a transform", "z", True),
    ],
)
def test_what_the_source_says(flows: Laboratory, name: str, latent: str, wanted: bool | None) -> None:
    flows.see({})
    (case,) = (case for case in flows.cases if case.name == name)
    assert flows.verdicts(case).get(latent) is wanted


def test_a_run_withdraws_what_the_source_says(flows: Laboratory) -> None:
    (case,) = (case for case in flows.cases if case.name == "a plate")
    found = flows.look(case)
    sound = {name: replace(site, distribution="LogNormal", support="positive") for name, site in found.guide.items()}
    clean = {name: replace(site, violations=()) for name, site in found.model.items()}
    flows.see({case.line: replace(found, guide=sound, model=clean)})
    assert flows.verdicts(case)["z"] is None
