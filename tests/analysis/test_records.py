"""Objects of configuration: a field is what the constructor was given, on every path, and never the class's default."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from reading import PREAMBLE, read

from pyro_fix import sources
from pyro_fix.analysis.optimizers import options_of
from pyro_fix.analysis.program import Program
from pyro_fix.analysis.project import Project
from pyro_fix.analysis.spell import step_count

CASES = Path(__file__).resolve().parents[2] / "fixtures" / "cases"
HEAD = f"""{PREAMBLE}
import argparse, attr, attrs, collections, dataclasses, json, sys, types, yaml
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple
from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings

def model(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))
"""
FIT = """
def fit(config):
    svi = SVI(model, model, Adam({"lr": config.lr}), Trace_ELBO())
    for i in range(config.steps):
        svi.step()
"""
PLAIN = "class Config:\n    steps: int = 1000\n    lr: float = 0.5\n"


def seen(program: Program) -> list[tuple[str | None, int | None, float | None]]:
    """Of every Adam: how its steps are written, their number, and its rate."""
    found = []
    for made in program.made:
        if made.name == "pyro.optim.Adam":
            count, options = step_count(program, made, made.scope), options_of(made)
            found.append((count.source, count.literal, None if isinstance(options, str) else options.number("lr")))
    return found


@pytest.fixture
def fitted(tmp_path):
    """What a program that makes a ``Config`` and fits with it shows."""
    return lambda text: seen(read(tmp_path, f"{HEAD}{textwrap.dedent(text)}"))


@pytest.mark.parametrize(
    ("name", "source", "literal"),
    [
        ("config_argument", "config.steps", None),
        ("config_values", "config.steps", 600),
        ("config_namedtuple", "config.steps", 20000),
        ("config_pydantic", "config.steps", 20000),
        ("attribute_steps", "self.n_steps", 1000),
    ],
)
def test_cases(name: str, source: str, literal: int | None):
    program = Project().read([sources.read(CASES / f"{name}.py")])
    ((written, number, _),) = seen(program)
    assert (written, number) == (source, literal)


@pytest.mark.parametrize(
    ("cls", "made", "literal", "rate"),
    [
        (f"@dataclass\n{PLAIN}", "Config(10, 0.1)", 10, 0.1),
        (f"@dataclass\n{PLAIN}", "Config(lr=0.1)", 1000, 0.1),
        (f"@dataclass(frozen=True)\n{PLAIN}", "Config(int(sys.argv[1]))", None, 0.5),
        (f"@dataclasses.dataclass\n{PLAIN}", "Config(**json.load(open('c.json')))", None, None),
        (f"@dataclass\n{PLAIN}", "Config(*sys.argv)", None, None),
        (f"@attr.s(auto_attribs=True)\n{PLAIN}", "Config(10)", 10, 0.5),
        (f"@attrs.define\n{PLAIN}", "Config(steps=10)", 10, 0.5),
        ("@attr.s\nclass Config:\n    steps = attr.ib(default=1000)\n    lr = attr.ib(0.5)\n", "Config(lr=0.1)", 1000, 0.1),
        (PLAIN.replace("Config", "Config(NamedTuple)"), "Config(10)", 10, 0.5),
        (PLAIN.replace("Config", "Config(BaseModel)"), "Config(steps=10)", 10, 0.5),
        (PLAIN.replace("Config", "Config(BaseSettings)"), "Config(steps=10)", 10, None),
        (PLAIN.replace("Config", "Config(BaseSettings)"), "Config()", None, None),
        ("class Config(BaseModel):\n    steps: int = Field(1000, alias='n')\n    lr: float = Field(default=0.5)\n",
         "Config(n=10)", None, None),
        (PLAIN.replace("Config", "Config(BaseModel)") + "    @field_validator('lr')\n    def check(cls, v):\n        return v / 100\n"
         .replace("field_validator", "pydantic.field_validator"), "Config(steps=10, lr=0.1)", 10, 0.1),
        ("@dataclass\nclass Config:\n    steps: int = field(default=1000)\n    lr: float = field(default_factory=load)\n",
         "Config()", 1000, None),
        ("@dataclass\nclass Base:\n    steps: int = 1000\n@dataclass\nclass Config(Base):\n    lr: float = 0.5\n",
         "Config(10, 0.1)", 10, 0.1),
        (f"@dataclass\n{PLAIN}    def __post_init__(self):\n        self.steps = self.steps * load()\n", "Config(10)", None, 0.5),
        (f"@dataclass\n{PLAIN}    kind: ClassVar[str] = 'a'\n    n: int = 3\n", "Config(10, 0.1, 3)", 10, 0.1),
        ("", "types.SimpleNamespace(steps=10, lr=0.1)", 10, 0.1),
        ("", "argparse.Namespace(steps=10, lr=0.1)", 10, 0.1),
        ("", "collections.namedtuple('Config', 'steps lr')(10, 0.1)", None, None),
        ("p = argparse.ArgumentParser()\np.add_argument('--steps', default=10)\n", "p.parse_args()", None, None),
        (PLAIN, "Config()", 1000, 0.5),
    ],
)  # fmt: skip
def test_constructors(fitted, cls: str, made: str, literal: int | None, rate: float | None):
    if "field_validator" in cls:
        cls, literal, rate = f"import pydantic\n{cls}", None, None
    assert fitted(f"{cls}{FIT}fit({made})\n") == [("config.steps", literal, rate)]


@pytest.mark.parametrize(
    "change",
    [
        "if load(): config.steps, config.lr = 10, 0.1",
        "if load():\n    config = Config(10, 0.1)",
        "config = Config(10, 0.1) if load() else config",
        "setattr(config, load(), 10)",
        "for key, value in load():\n    setattr(config, key, value)",
        "vars(config).update(load())",
        "config.__dict__.update(load())",
        "config.__dict__.update(steps=10, lr=0.1)",
        "def override(c, given):\n    for k in given:\n        setattr(c, k, given[k])\noverride(config, load())",
        "def override(c):\n    c.lr = load()\n    c.steps = load()\noverride(config)",
        "config = dataclasses.replace(config, **load())",
        "class Sub(Config):\n    pass\nconfig = Sub(**load())",
    ],
)
@pytest.mark.parametrize("decorator", ["@dataclass\n", ""])
def test_fields_that_are_set_later(fitted, decorator: str, change: str):
    """Whatever it is, it is what the loop reads; no number of it is known."""
    if not decorator and ("Config(10" in change or "replace" in change):
        pytest.skip("a plain class takes no arguments")
    text = f"{decorator}{PLAIN}{FIT}config = Config()\n{change}\nfit(config)\n"
    assert fitted(text) == [("config.steps", None, None)]


@pytest.mark.parametrize(
    ("change", "literal", "rate"),
    [
        ("config.steps = 10", 10, 0.5),
        ("config = dataclasses.replace(config, lr=0.1)", 1000, 0.1),
        ("config = config", 1000, 0.5),
        ("other = Config(7, 0.7)\nother.steps = 8", 1000, 0.5),
    ],
)
def test_changes_that_are_seen(fitted, change: str, literal: int, rate: float):
    text = f"@dataclass\n{PLAIN}{FIT}config = Config()\n{change}\nfit(config)\n"
    assert fitted(text) == [("config.steps", literal, rate)]


def test_several_objects_are_alternatives(fitted):
    text = f"@dataclass\n{PLAIN}{FIT}fit(Config(10, 0.1))\nfit(Config(20))\n"
    assert fitted(text) == [("config.steps", 10, 0.1), ("config.steps", 20, 0.5)]


@pytest.mark.parametrize(
    ("loop", "source"),
    [
        ("self.config.steps", "self.config.steps"),
        ("self.config.optim.steps", "self.config.optim.steps"),
        ("self.options['steps']", "self.options['steps']"),
        ("self.loaded['optim']['steps']", "self.loaded['optim']['steps']"),
        ("self.loaded.get('steps', 5)", "self.loaded.get('steps', 5)"),
        ("self.total", "(self.n * self.config.steps)"),
        ("int(self.n)", "self.n"),
        ("max(self.n, 5)", "max(self.n, 5)"),
    ],
)
def test_what_a_method_reaches(fitted, loop: str, source: str):
    """A class that others can make: its own attributes count, and not what this caller gives."""
    text = f"""
    @dataclass
    class Optim:
        steps: int = 7
    @dataclass
    class Config:
        steps: int = 1000
        optim: Optim = field(default_factory=Optim)
    class Fit:
        def __init__(self, config, options, n):
            self.config, self.options, self.n = config, options, n
            self.loaded = yaml.safe_load(open("c.yaml"))
        @property
        def total(self):
            return self.n * self.config.steps
        def fit(self):
            svi = SVI(model, model, Adam({{"lr": 0.01}}), Trace_ELBO())
            for i in range({loop}):
                svi.step()
    Fit(Config(20), {{"steps": 30}}, 40).fit()
    """
    ((written, _, _),) = fitted(text)
    assert written == source


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("def make():\n    return Adam({'lr': 0.1})\nsvi = SVI(model, model, make(), Trace_ELBO())\n"
         "for i in range(100):\n    svi.step()\n", None),
        ("def make():\n    return Adam({'lr': 0.1})\ndef train(n):\n    svi = SVI(model, model, make(), Trace_ELBO())\n"
         "    for i in range(n):\n        svi.step()\ntrain(100)\n", None),
        ("def make():\n    return Adam({'lr': 0.1})\ndef main():\n    svi = SVI(model, model, make(), Trace_ELBO())\n"
         "    for i in range(100):\n        svi.step()\nmain()\n", None),
        ("N = 100\ndef make():\n    return Adam({'lr': 0.1})\nsvi = SVI(model, model, make(), Trace_ELBO())\n"
         "for i in range(N):\n    svi.step()\n", "N"),
        ("def train(svi):\n    for i in range(100):\n        svi.step()\n"
         "def main():\n    train(SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO()))\nmain()\n", "100"),
        ("def main():\n    def make():\n        return Adam({'lr': 0.1})\n    svi = SVI(model, model, make(), Trace_ELBO())\n"
         "    for i in range(100):\n        svi.step()\nmain()\n", "100"),
        ("def train(n):\n    svi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\n    for i in range(n):\n        svi.step()\n"
         "train(100)\n", "n"),
        ("steps = 100\nsvi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\nfor i in range(steps):\n    svi.step()\n", "steps"),
        ("config = {'steps': 100}\nsvi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\n"
         "config['steps'] = 7\nfor i in range(config['steps']):\n    svi.step()\n", "7"),
        ("config = types.SimpleNamespace(steps=100)\nsvi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\n"
         "config.steps = load()\nfor i in range(config.steps):\n    svi.step()\n", None),
        ("config = load()\nsvi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\n"
         "config['steps'] = load()\nfor i in range(config['steps']):\n    svi.step()\n", None),
        ("def fit(xs):\n    svi = SVI(model, model, Adam({'lr': 0.1}), Trace_ELBO())\n    for x in xs:\n        svi.step(x)\n"
         "fit([1, 2, 3])\n", "len(xs)"),
    ],
)  # fmt: skip
def test_whose_literal_it_is(fitted, text: str, source: str | None):
    """A literal stands for every call of a function only where the function, or what it calls, has it."""
    (found,) = {written for written, _, _ in fitted(text)}
    assert found == source
