"""What is run: the project's own commands, its tests, and drivers made from signatures."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

from pyro_fix import engine, plans
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.project import Project
from pyro_fix.config import Options
from pyro_fix.plans import arguments
from pyro_fix.sources import read
from pyro_fix.transform import Status
from pyro_fix.verify import RunPlan

HEAD = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam
"""
PAIR = (
    HEAD
    + """
def model(x, y=None):
    w = pyro.sample("w", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("n", len(x)):
        pyro.sample("y", dist.Bernoulli(logits=x @ w), obs=y)

def guide(x, y=None):
    loc = pyro.param("loc", torch.zeros(3))
    scale = pyro.param("scale", torch.ones(3) * 0.1)
    pyro.sample("w", dist.Normal(loc, scale).to_event(1))
"""
)
TRAIN = """
def train(x, y, num_steps=1000):
    svi = SVI(model, guide, ClippedAdam({"lr": 0.01, "lrd": 0.999}), Trace_ELBO())
    return [svi.step(x, y) for _ in range(num_steps)]
"""
MAIN = """
if __name__ == "__main__":
    train(torch.randn(10, 3), torch.ones(10))
"""

Write = Callable[[dict[str, str]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes files of a project by their paths; returns its root."""
    (tmp_path / "setup.py").touch()

    def files(texts: dict[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return files


def program(root: Path) -> Program:
    return Project().read([read(path) for path in sorted(root.rglob("*.py")) if b"pyro" in path.read_bytes()])


def commands(found: list[RunPlan]) -> list[str]:
    return [plan.target.command for plan in found]


def line(path: Path, text: str) -> int:
    return next(number for number, one in enumerate(path.read_text().splitlines(), 1) if text in one)


# --- commands of the project


@pytest.mark.parametrize(
    ("where", "text", "expected"),
    [
        (
            "tests/test_all.py",
            "EXAMPLES = ['examples/fit.py --num-steps=2 -m 1', 'other.py --x']\n",
            ["--num-steps=2", "-m", "1"],
        ),
        ("tests/test_all.py", 'run(["python", "examples/fit.py", "--num-steps", "2"])\n', ["--num-steps", "2"]),
        ("tox.ini", "", []),
        ("Makefile", "smoke:\n\tpython examples/fit.py --num-steps 3 && echo done\n", ["--num-steps", "3"]),
        ("ci.sh", "python -u examples/fit.py \\\n  --num-steps 3 \\\n  --fast\n", ["--num-steps", "3", "--fast"]),
        ("Makefile", "smoke:\n\tpython examples/fit.py --out $(OUT)\n", []),
        ("Makefile", "smoke:\n\tpython examples/fit.py --cuda\n", []),
        ("Makefile", "smoke:\n\tpython examples/fit.py --horovod\n", []),
        ("ci.sh", "python examples/fit.py --no-horovod --no-cuda\n", ["--no-horovod", "--no-cuda"]),
        ("Makefile", "smoke:\n\tpython other/fit.py --num-steps 3\n", []),
        ("Makefile", "smoke:\n\tpython examples/fit.py --data missing.csv\n", []),
        # What a script does without arguments is what it does by default: documents are not asked then.
        ("README.md", "Run `python examples/fit.py --num-steps 5000`.\n", []),
    ],
)
def test_the_projects_own_arguments(write: Write, where: str, text: str, expected: list[str]) -> None:
    root = write({"examples/fit.py": PAIR + TRAIN + MAIN, where: text})
    (plan,) = plans.found(program(root))
    assert list(plan.target.args) == expected
    assert (plan.target.cwd / plan.target.name).resolve() == root / "examples/fit.py"


def test_documents_tell_what_a_script_cannot_do_without(write: Write) -> None:
    text = PAIR + TRAIN + "import sys\nSTEPS = int(sys.argv[1])\n" + MAIN
    root = write({"fit.py": text, "README.md": "First, read fit.py with care.\n\n    python fit.py 20\n"})
    (plan,) = plans.found(program(root))
    assert (plan.target.args, plan.target.origin) == (("20",), "README.md runs it so")


def test_tests_are_asked_before_the_readme_and_small_runs_before_large_ones(write: Write) -> None:
    root = write(
        {
            "fit.py": PAIR + TRAIN + MAIN,
            "Makefile": "all:\n\tpython fit.py --num-steps 1\n",
            "test_fit.py": "A = 'fit.py --num-steps 500'\nB = 'fit.py --num-steps 5'\n",
        }
    )
    (plan,) = plans.found(program(root))
    assert plan.target.args == ("--num-steps", "5")


# --- tests of the project


def test_tests_that_import_a_module_are_selected(write: Write) -> None:
    root = write(
        {
            "pkg/__init__.py": "",
            "pkg/fit.py": PAIR + TRAIN,
            "pkg/other.py": "x = 1\n",
            "tests/test_other.py": "from pkg.other import x\ndef test_x():\n    assert x\n",
            "tests/test_fit.py": "from pkg import fit\n\ndef test_help():\n    pass\n\n"
            "class TestFit:\n    def test_train(self):\n        fit.train(1, 2)\n",
        }
    )
    path = root / "pkg/fit.py"
    found = plans.Finder().reaching(program(root), {path: [line(path, '"scale"')]})
    assert commands(found)[0] == "pytest tests/test_fit.py::TestFit::test_train -q"
    assert [plan.kind for plan in found][:2] == ["test", "driver"]
    assert found[0].target.cwd == root and path in found[0].files


def test_tests_are_found_through_the_package_that_exports_the_module(write: Write) -> None:
    root = write(
        {
            "src/pkg/__init__.py": "from .inner.fit import train\n",
            "src/pkg/inner/__init__.py": "",
            "src/pkg/inner/fit.py": PAIR + TRAIN,
            "tests/test_it.py": "import pkg\ndef test_it():\n    pkg.train(1, 2)\n",
        }
    )
    path = root / "src/pkg/inner/fit.py"
    found = plans.Finder().reaching(program(root), {path: [line(path, '"scale"')]})
    assert commands(found)[0] == "pytest tests/test_it.py::test_it -q"
    assert root / "src" in found[0].target.path


def test_a_file_that_a_script_reaches_is_not_observed_by_its_tests(write: Write) -> None:
    tests = "import fit\ndef test_fit():\n    fit.train(1, 2)\n"
    root = write({"fit.py": PAIR + TRAIN, "test_fit.py": tests})
    assert commands(plans.Finder().to_observe(program(root))) == ["pytest test_fit.py::test_fit -q"]
    (root / "run.py").write_text("import torch\nfrom fit import train\n" + MAIN + "    import pyro\n")
    assert [plan.target.kind for plan in plans.Finder().to_observe(program(root))] == ["script"]


@pytest.mark.parametrize(
    ("steps", "around", "expected"),
    [("600", "for k in (1, 2):\n    ", 2), ("100000", "for k in (1, 2):\n    ", 0), ("n()", "for k in (1, 2):\n    ", 0), ("600", "", 1)],
)  # fmt: skip
def test_a_short_training_in_a_loop_is_seen_twice(write: Write, steps: str, around: str, expected: int) -> None:
    """What the first one leaves in the parameter store is what the second one meets."""
    script = PAIR + TRAIN.replace("num_steps=1000", f"num_steps={steps}") + f"{around}train(x(), y())\n"
    root = write({"main.py": script})
    assert [plan.expect_svis for plan in plans.found(program(root))] == [expected]


# --- drivers


def driver(root: Path, name: str, text: str = '"scale"') -> list[tuple[str, str]]:
    path = root / name
    found = plans.Finder().reaching(program(root), {path: [line(path, text)]})
    return [(plan.label, plan.added[0][1].decode()) for plan in found if plan.kind == "driver"]


def test_a_training_function_is_called_before_its_pair(write: Write) -> None:
    root = write({"lib.py": PAIR + TRAIN})
    (train, text), (pair, _), *_ = driver(root, "lib.py")
    assert train == "a driver made from the signature of train()"
    assert pair.endswith("model() and its guide")
    assert "given(torch.randn((10, 3)), torch.randint(0, 2, (10,)).float())" in text  # Bernoulli observes y
    assert not list(root.glob(".pyro-fix*"))  # it exists in the overlay of a run alone
    ast.parse(text)


def test_a_function_without_required_arguments_comes_first(write: Write) -> None:
    """It has data of the user's own."""
    main = "\ndef main(steps=5):\n    train(torch.randn(10, 3), torch.ones(10), steps)\n\ndef idle():\n    pass\n"
    (label, text), *_ = driver(write({"lib.py": PAIR + TRAIN + main}), "lib.py")
    assert label.endswith("of main()") and "lambda: given()," in text


def test_only_what_runs_the_changed_line_is_driven(write: Write) -> None:
    other = "\ndef alone(x):\n    return pyro.param('a', torch.ones(()))\n"
    root = write({"lib.py": PAIR + TRAIN + other})
    assert driver(root, "lib.py", "'a'") == []


def test_pairs_by_name_in_classes_and_from_factories(write: Write) -> None:
    body = PAIR.removeprefix(HEAD)
    inside = "".join("    " + row + "\n" if row else "\n" for row in body.splitlines())
    methods = inside.replace("model(", "model_a(self, ").replace("guide(", "guide_a(self, ")
    root = write(
        {
            "twins.py": HEAD + body.replace("model(", "vae_model(").replace("guide(", "vae_guide("),
            "cls.py": HEAD + "class Net:\n    def __init__(self, hidden_dim, prior):\n"
            "        assert prior in ('flat', 'wide')\n" + methods,
            "factory.py": HEAD + "def make(num_features):\n" + inside + "    return model, guide\n",
            "alone.py": HEAD + body.partition("def guide")[0] + "    pyro.param('scale', torch.ones(3))\n",
        }
    )
    assert driver(root, "twins.py")[0][0].endswith("vae_model() and vae_guide()")
    label, text = driver(root, "cls.py")[0]
    assert label.endswith("Net.model_a() and Net.guide_a()")
    assert "module.Net(4, 'flat')" in text and "thing.guide_a" in text
    label, text = driver(root, "factory.py")[0]
    assert (
        label.endswith("what make() returns") and "module.make(3)" in text and "return model, thing[1], values" in text
    )
    label, text = driver(root, "alone.py", "'scale'")[0]
    assert label.endswith("model() with an autoguide") and "autoguide.AutoNormal(model)" in text


BASE = """
class Base:
    def __init__(self, lr=0.01):
        self.svi = SVI(self.model, self.guide, ClippedAdam({"lr": lr, "lrd": 0.999}), Trace_ELBO())

    def fit(self, x, y, num_steps=1000):
        return [self._round(x, y) for _ in range(num_steps)]

    def _round(self, x, y):
        return self.svi.step(x, y)
"""


def heir(base: str) -> str:
    methods = "".join("    " + row + "\n" if row else "\n" for row in PAIR.removeprefix(HEAD).splitlines())
    return f"\nclass Heir({base}):\n" + methods.replace("model(", "model(self, ").replace("guide(", "guide(self, ")


def test_an_heir_is_trained_by_the_method_that_it_inherits(write: Write) -> None:
    """The base alone has no model, and its files need not be those of its heirs."""
    root = write(
        {
            "one.py": HEAD + BASE + heir("Base"),
            "base.py": HEAD + BASE,
            "far.py": HEAD + "from base import Base\n\nclass Middle(Base):\n    pass\n" + heir("Middle"),
        }
    )
    label, text = driver(root, "one.py")[0]
    assert label.endswith("of Heir.fit()")
    assert "module.Heir()" in text and "thing.fit(*args, **kwargs)" in text
    assert "torch.randint(0, 2, (10,)).float()" in text  # Bernoulli observes y
    assert driver(root, "far.py")[0][0].endswith("of Heir.fit()")
    # what is changed in the base runs with the heir's model
    label, text = driver(root, "base.py", "ClippedAdam({")[0]
    assert label.endswith("of Heir.fit()") and "import_module('far')" in text


def test_an_heir_has_the_last_word(write: Write) -> None:
    own = "    def __init__(self, hidden_dim):\n        super().__init__()\n\n    def fit(self, x, y):\n        super().fit(x, y, 50)\n"
    root = write({"one.py": HEAD + BASE + heir("Base") + "\n" + own})
    _, text = driver(root, "one.py")[0]
    assert "module.Heir(4)" in text and "given(torch.randn((10, 3)), torch" in text


def test_an_heir_that_trains_when_it_is_imported_is_not_driven(write: Write) -> None:
    use = "\nHeir().fit(torch.randn(10, 3), torch.ones(10))\n"
    root = write({"base.py": HEAD + BASE, "far.py": HEAD + "from base import Base\n" + heir("Base") + use})
    assert not any("Heir" in label for label, _ in driver(root, "base.py", "ClippedAdam({"))


def test_a_script_is_not_driven(write: Write) -> None:
    """Importing it would train."""
    root = write({"lib.py": PAIR + TRAIN + "\ntrain(torch.randn(10, 3), torch.ones(10))\n"})
    assert driver(root, "lib.py") == []


# --- values


def made(signature: str, body: str = "pass", observed: dict[str, str] | None = None) -> list[str]:
    tree = ast.parse(f"def f({signature}):\n    {body}\n")
    (function,) = tree.body
    assert isinstance(function, ast.FunctionDef)
    return arguments.calls(function, observed or {}, bound=False)


FRAME = "importlib.import_module('pandas').DataFrame"
ARRAY = "(torch.randn((10,))).numpy()"
LABELS = "(torch.randint(0, 2, (10,))).numpy()"


@pytest.mark.parametrize(
    ("signature", "body", "first"),
    [
        ("x: torch.Tensor, n_epochs: int, lr: float", "pass", "torch.randn((10, 3)), 100, 0.01"),
        ("num_steps, hidden_dim, latent_dim", "pass", "100, 4, 2"),
        ("flag: bool, *, dim: int", "pass", "False, dim=3"),
        ("x, steps=10, y=None", "pass", "torch.randn((10, 3)), y=torch.randn((10,))"),
        ("x: 'Float[Tensor, \"n d\"]'", "pass", "torch.randn((10, 3))"),
        ("x: np.ndarray", "pass", "(torch.randn((10, 3))).numpy()"),
        ("x, idx", "return x[idx]", "torch.randn((10, 3)), torch.randint(0, 2, (10,))"),
        ("group, w", "return w[group]", "torch.randint(0, 2, (10,)), torch.randn((10, 3))"),
        ("data", "return data['N'] + data['x']", "{'N': 10, 'x': torch.randn((10, 3)), }"),
        ("args", "return args.num_epochs * args.lr", "types.SimpleNamespace(lr=0.01, num_epochs=100, )"),
        ("mode", "assert mode == 'map'", "'map'"),
        ("df: pd.DataFrame", "return df['x'], df.y", f"{FRAME}({{'x': {ARRAY}, 'y': {ARRAY}, }})"),
        ("data", "return data[['x', 'z']].values", f"{FRAME}({{'x': {ARRAY}, 'z': {ARRAY}, }})"),
        ("df", "df = df.dropna(); df['z'] = len(df); return df['group']", f"{FRAME}({{'group': {LABELS}, }})"),
        ("s: 'pandas.Series'", "pass", f"importlib.import_module('pandas').Series({ARRAY})"),
        ("x", '"""Fit.\n\n    Args:\n        x (Tensor): data of shape (n, 5).\n    """', "torch.randn((10, 5))"),
        ("x", '"""Fit.\n\n    :param torch.Tensor x: an ``[N, D]`` matrix.\n    """', "torch.randn((10, 3))"),
        (
            "x",
            '"""Fit.\n\n    Parameters\n    ----------\n    x : array_like, shape (N, 2)\n        The data.\n    """',
            "torch.randn((10, 2))",
        ),
        (
            "train_loader",
            "for x, y in train_loader: pass",
            "torch.utils.data.DataLoader(torch.utils.data.TensorDataset("
            "torch.randn((10, 3)), torch.randn((10,)), ), batch_size=10)",
        ),
    ],
)
def test_values_from_signatures(signature: str, body: str, first: str) -> None:
    assert made(signature, body)[0] == first


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("path: str", "pass"),
        ("frame: pd.DataFrame", "pass"),
        ("df", "return df.values"),
        ("df", "return df[columns]"),
        ("df", "return df['x'], helper(df)"),
        ("df: pd.DataFrame", "return df.groupby('g')"),
        ("net", "return net(1)"),
        ("data: ScreenData", "pass"),
        ("data", "return data.n_guides"),
        ("loss: Callable[[int], int]", "pass"),
    ],
)
def test_what_cannot_be_made_up_is_not(signature: str, body: str) -> None:
    assert made(signature, body) == []


@pytest.mark.parametrize(
    ("kind", "first"),
    [
        ("count", "torch.randint(0, 5, (10,)).float()"),
        ("positive", "torch.rand((10,)) + 0.5"),
        ("label", "torch.randint(0, 2, (10,))"),
        ("unit", "torch.rand((10,)) * 0.8 + 0.1"),
    ],
)
def test_observed_values_lie_in_the_support(kind: str, first: str) -> None:
    assert made("y", observed={"y": kind})[0] == first


def test_shapes_and_kinds_that_are_open_are_tried() -> None:
    tried = made("x, y")
    assert "torch.randn((10,)), torch.randn((10,))" in tried
    assert "torch.randn((10, 3)), torch.randint(0, 2, (10,))" in tried
    assert len(tried) == len(set(tried)) <= arguments.MOST


# --- the whole road


@pytest.mark.slow
def test_library_modules_are_verified(write: Write) -> None:
    """One module by its tests, one by a driver, and one that nothing leads to."""
    root = write(
        {
            "pkg/__init__.py": "",
            "pkg/driven.py": PAIR + TRAIN,
            "pkg/tested.py": PAIR
            + TRAIN.replace("x, y, num", "path, num").replace("step(x, y)", "step(*torch.load(path))"),
            "pkg/closed.py": PAIR.replace("(x, y=None)", "(x: 'Screen', y=None)"),
            "tests/test_it.py": "import torch\nfrom pkg.tested import train\n\ndef test_train(tmp_path):\n"
            "    torch.save((torch.randn(10, 3), torch.ones(10)), tmp_path / 'a')\n    train(tmp_path / 'a', 3)\n",
        }
    )
    options = Options(paths=(root,), select=("SVI051",), root=root, steps=20, cache=False)
    found = {finding.proposal.path.name: finding.verdict for finding in engine.check(options, lambda _: None).findings}
    assert found["driven.py"].status is Status.VERIFIED, found["driven.py"].reason
    assert found["driven.py"].reason.endswith("in a driver made from the signature of train()")
    assert "importlib.import_module('pkg.driven')" in str(found["driven.py"].evidence["driver"])
    assert found["tested.py"].status is Status.VERIFIED, found["tested.py"].reason
    assert str(found["tested.py"].evidence["command"]).startswith("pytest tests/test_it.py::test_train")
    assert found["closed.py"].status is Status.UNVERIFIED
    assert "no program, test or signature leads to" in found["closed.py"].reason
    assert not list(root.rglob(".pyro-fix*"))


FRAMED = (
    HEAD
    + """
def model(df):
    w = pyro.sample("w", dist.Normal(0.0, 1.0))
    x, y = torch.tensor(df["x"].values), torch.tensor(df["y"].values)
    with pyro.plate("n", len(df)):
        pyro.sample("y", dist.Normal(w * x, 1.0), obs=y)

def guide(df):
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("w", dist.Normal(0.0, scale))
"""
)


@pytest.mark.slow
def test_inherited_trainers_are_driven(write: Write) -> None:
    root = write({"base.py": HEAD + BASE, "far.py": HEAD + "from base import Base\n" + heir("Base")})
    options = Options(paths=(root,), select=("SVI051",), root=root, steps=20, cache=False)
    (finding,) = engine.check(options, lambda _: None).findings
    assert finding.verdict.status is Status.VERIFIED, finding.verdict.reason
    assert finding.verdict.reason.endswith("in a driver made from the signature of Heir.fit()")


@pytest.mark.slow
def test_data_frames(write: Write) -> None:
    root = write({"framed.py": FRAMED})
    options = Options(paths=(root,), select=("SVI051",), root=root, steps=20, cache=False)
    (finding,) = engine.check(options, lambda _: None).findings
    if importlib.util.find_spec("pandas") is not None:
        assert finding.verdict.status is Status.VERIFIED, finding.verdict.reason
        assert "DataFrame({'x': " in str(finding.verdict.evidence["driver"])
    else:
        assert finding.verdict.status is Status.UNVERIFIED
        assert "only a driver reaches it, and does not run" in finding.verdict.reason
        assert "pandas" in finding.verdict.reason
