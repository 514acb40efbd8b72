"""How many steps an SVI object makes, through the ways in which programs hide them."""

from __future__ import annotations

import textwrap

import pytest
from reading import PREAMBLE, read

from pyro_fix.analysis.spell import StepCount, step_count

HEAD = f"""{PREAMBLE}
import functools
import itertools
from torch.utils.data import DataLoader
from tqdm import tqdm, trange

def model(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide(x=None):
    pyro.sample("z", dist.Normal(0.0, 1.0))

def make(optim=None):
    return SVI(model, guide, optim, loss=Trace_ELBO())

num_steps = load()
data = load()
"""
BUILD = 'optim = Adam({"lr": 0.01})\nsvi = make(optim)\n'


@pytest.fixture
def counted(tmp_path):
    """The step count of the only optimiser of a program, where it is built."""

    def count(text: str, **files: str) -> StepCount:
        program = read(tmp_path, HEAD + textwrap.dedent(text), **files)
        made = [made for made in program.made if made.name == "pyro.optim.Adam"]
        return step_count(program, made[0], made[0].scope)

    return count


@pytest.mark.parametrize(
    ("loop", "source"),
    [
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    i += 1", "num_steps"),
        ("i = 1\nwhile i <= num_steps:\n    svi.step(data)\n    i += 1", "num_steps"),
        ("i = 0\nwhile i <= num_steps:\n    svi.step(data)\n    i += 1", "(num_steps + 1)"),
        ("i = 5\nwhile i < 105:\n    svi.step(data)\n    i += 1", "100"),
        ("i = 0\nwhile i <= 99:\n    i += 1\n    svi.step(data)", "100"),
        ("i = 0\nwhile num_steps > i:\n    svi.step(data)\n    i += 1", "num_steps"),
        ("with tqdm(total=num_steps) as bar:\n    for _ in range(num_steps):\n        svi.step(data)", "num_steps"),
        ("with trange(num_steps) as bar:\n    for _ in bar:\n        svi.step(data)", "num_steps"),
        ("with tqdm(range(num_steps)) as bar:\n    for _ in bar:\n        svi.step(data)", "num_steps"),
        ("from tqdm.notebook import tnrange\nfor _ in tnrange(num_steps):\n    svi.step(data)", "num_steps"),
        ("from rich.progress import track\nfor _ in track(range(num_steps)):\n    svi.step(data)", "num_steps"),
        ("for _ in itertools.islice(itertools.cycle(data), num_steps):\n    svi.step(data)", "num_steps"),
        ("for _, x in zip(range(num_steps), itertools.cycle(data)):\n    svi.step(x)", "num_steps"),
        ("for _ in itertools.repeat(None, num_steps):\n    svi.step(data)", "num_steps"),
        ("for _ in reversed(range(num_steps)):\n    svi.step(data)", "num_steps"),
        ("for i in range(0, num_steps, 10):\n    svi.step(data)", "len(range(0, num_steps, 10))"),
        ("first = load()\nfor i in range(first, num_steps):\n    svi.step(data)", None),
        ("step = svi.step\nfor _ in range(num_steps):\n    step(data)", "num_steps"),
        ("step = functools.partial(svi.step, data)\nfor _ in range(num_steps):\n    step()", "num_steps"),
        ("f = lambda x: svi.step(x)\nfor _ in range(num_steps):\n    f(data)", "num_steps"),
        ("losses = list(map(svi.step, [1, 2, 3]))", "3"),
        ("losses = list(map(lambda i: svi.step(data), range(num_steps)))", "num_steps"),
        ("for _ in range(num_steps):\n    svi.step(data)\nfor _ in range(50):\n    svi.step(data)", "(num_steps + 50)"),
        ("for _ in range(num_steps):\n    svi.step(data)\n    svi.step(data)", "(num_steps + num_steps)"),
        ("svi.step(data)\nfor _ in range(num_steps):\n    svi.step(data)", "(1 + num_steps)"),
        ("def t(n):\n    for _ in range(n):\n        svi.step(data)\nt(10)\nt(20)", "(10 + 20)"),
        ("for _ in range(num_steps):\n    svi.step(data)\n    for x in data:\n        if x:\n            break", "num_steps"),
        ("for _ in range(num_steps):\n    def f():\n        return 1\n    svi.step(data)", "num_steps"),
        ("for _ in range(num_steps):\n    if f(svi.step(data)):\n        raise ValueError", "num_steps"),
        ("pyro.clear_param_store()\nfor _ in range(num_steps):\n    svi.step(data)", "num_steps"),
        ("print(svi)\nfor _ in range(num_steps):\n    svi.step(data)", "num_steps"),
        ("print(len(data))\nfor x in data:\n    svi.step(x)", "len(data)"),
        ("for x in tqdm(data):\n    svi.step(x)\nprint(len(data.dataset))", "len(data)"),
        ("for i, x in enumerate(data):\n    svi.step(x)\nprint(1 / len(data))", "len(data)"),
        ("for x in data.chunk(10):\n    svi.step(x)", "len(data.chunk(10))"),
        ("for x in data.split(64):\n    svi.step(x)", "len(data.split(64))"),
        ("parts = torch.split(data, 64)\nfor x in parts:\n    svi.step(x)", None),
        ("for i, x in enumerate(data[:100]):\n    svi.step(x)", "len(data[:100])"),
        ("for x in data[1::2]:\n    svi.step(x)", "len(data[1::2])"),
        ("for x in data[num_steps:]:\n    svi.step(x)", "len(data[num_steps:])"),
        ("for x in data[i]:\n    svi.step(x)", None),
        ("for x, y in zip(data.split(9), data.split(9)):\n    svi.step(x)", "len(data.split(9))"),
        ("for x, y in zip(data[:9], range(num_steps)):\n    svi.step(x)", "min(len(data[:9]), num_steps)"),
        ("for x, y in zip([1, 2], [3, 4]):\n    svi.step(x)", "2"),
        ("for e in range(num_steps):\n    for x in data.chunk(4):\n        svi.step(x)", "(num_steps * len(data.chunk(4)))"),
        ("print(sum(svi.step(data) for _ in range(num_steps)))", "num_steps"),
        ("try:\n    for _ in range(num_steps):\n        svi.step(data)\nexcept KeyboardInterrupt:\n    pass", "num_steps"),
        ("e = 0\nwhile e < 3:\n    for _ in range(num_steps):\n        svi.step(data)\n    e += 1", "(3 * num_steps)"),
    ],
)  # fmt: skip
def test_known(counted, loop: str, source: str | None):
    assert counted(f"{BUILD}{loop}\n").source == source


@pytest.mark.parametrize(
    ("loop", "why"),
    [
        ("while True:\n    svi.step(data)\n    if f():\n        break", "end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    i += 2", "end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    if f():\n        i += 1", "end early"),
        ("i = 0\nwhile i < num_steps:\n    i += 1\n    i += 1\n    svi.step(data)", "end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    i += 1\n    if f():\n        break", "end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    if f():\n        continue\n    i += 1", "end early"),
        ("i = 0\nwhile i < num_steps:\n    svi.step(data)\n    num_steps -= 1\n    i += 1", "end early"),
        ("i = load()\nwhile i < num_steps:\n    svi.step(data)\n    i += 1", "end early"),
        ("i = 0\nwhile i < data.n:\n    svi.step(data)\n    data.n -= 1\n    i += 1", "end early"),
        ("i = 0\nwhile i < len(data):\n    svi.step(data)\n    i += 1", "end early"),
        ("i = 0\ndef f():\n    global i\n    i = 0\nwhile i < num_steps:\n    svi.step(data)\n    f()\n    i += 1", "end early"),
        ("for x, y in zip(data, range(num_steps)):\n    svi.step(x)", "not known"),
        ("for x in itertools.islice(data, num_steps):\n    svi.step(x)", "not known"),
        ("for x in data:\n    svi.step(x)", "not known"),
        ("xs = []\nfor x in data:\n    xs.append(x)\nfor x in xs:\n    svi.step(x)", "not known"),
        ("def one(x):\n    if x is None:\n        return\n    svi.step(x)\nfor _ in range(9):\n    one(data)", "condition"),
        ("for _ in range(9):\n    try:\n        f()\n    except ValueError:\n        svi.step(data)", "condition"),
        ("if f():\n    for _ in range(9):\n        svi.step(data)\nfor _ in range(9):\n    svi.step(data)", "several places"),
        ("def t(n):\n    for _ in range(9):\n        svi.step(data)\n    if n:\n        t(n - 1)\nt(3)", "calls itself"),
        ("def t():\n    for _ in range(9):\n        svi.step(data)", "no call of the function"),
        ("for _ in range(9):\n    svi.step(data)\nfit(svi)", "not followed"),
        ("for _ in range(9):\n    svi.step(data)\nengine.run(svi.step)", "not followed"),
        ("import ignite\nfor _ in range(9):\n    svi.step(data)\nignite.Engine(svi.step)", "not followed"),
        ("for _ in range(9):\n    svi.step(data)\nfor s in [svi]:\n    s.step(data)", "not followed"),
        ("def t():\n    pyro.clear_param_store()\n    for _ in range(9):\n        svi.step(data)\nt()\nt()", "starts anew"),
        ("for _ in range(3):\n    pyro.get_param_store().clear()\n    for _ in range(9):\n        svi.step(data)", "starts anew"),
        ("fit(svi)", "not found"),
        ("svi.step(data)\nsvi.step(data)", "in no loop"),
        ("def g():\n    for _ in range(9):\n        yield svi.step(data)\nfor x in g():\n    if x < 1:\n        break", "end early"),
        ("def g():\n    for _ in range(9):\n        yield svi.step(data)\nnext(g())", "end early"),
        ("any(svi.step(data) < 1 for _ in range(9))", "end early"),
        ("next(x for x in (svi.step(data) for _ in range(9)) if x < 1)", "end early"),
        ("for x in map(svi.step, [1, 2, 3]):\n    if x < 1:\n        break", "end early"),
        ("try:\n    for _ in range(9):\n        if svi.step(data) < 1:\n            raise Stop\nexcept Stop:\n    pass", "end early"),
        ("def stop(x):\n    if x < 1:\n        raise Stop\ntry:\n    for _ in range(9):\n        stop(svi.step(data))\nexcept Stop:\n    pass", "end early"),
        ("stop, i = False, 0\nwhile not stop and i < 9:\n    stop = svi.step(data) < 1\n    i += 1", "end early"),
        ("patience = 0\nwhile patience < 5:\n    patience = 0 if svi.step(data) < 1 else patience + 1", "end early"),
        ("def fit(svi):\n    for _ in range(9):\n        if svi.step(data) < 1:\n            return\nfit(svi)", "end early"),
    ],
)  # fmt: skip
def test_not_known(counted, loop: str, why: str):
    count = counted(f"{BUILD}{loop}\n")
    assert count.source is None
    assert why in count.reason


TRAINER = """\
class Trainer:
    def __init__(self, num_epochs, loader):
        self.num_epochs, self.loader = num_epochs, loader
        self.svi = make(Adam({{"lr": 0.01}}))

    def epoch(self):
        for x in self.loader:
            self.svi.step(x)

    def train(self{argument}):
        for _ in range({rounds}):
            self.epoch()
"""


@pytest.mark.parametrize(
    ("argument", "rounds", "use", "source"),
    [
        ("", "self.num_epochs", "Trainer(5, DataLoader(data)).train()", "(num_epochs * len(loader))"),
        ("", "self.num_epochs", "t = Trainer(load(), DataLoader(data))\nt.train()", "(num_epochs * len(loader))"),
        (", n", "n", "Trainer(5, DataLoader(data)).train(100)", None),
        (", n=7", "n", "Trainer(5, DataLoader(data)).train()", None),
        ("", "100", "Trainer(5, DataLoader(data)).train()", "(100 * len(loader))"),
        (", n", "n", "Trainer(5, DataLoader(data)).train(num_steps)", "(num_steps * len(loader))"),
    ],
)
def test_trainers(counted, argument: str, rounds: str, use: str, source: str | None):
    """What a caller gives is the caller's: ``__init__`` does not know it."""
    assert counted(f"{TRAINER.format(argument=argument, rounds=rounds)}\n{use}\n").source == source


def test_trainers_that_nothing_calls(counted):
    """How often a library's user calls them is not for the source to say."""
    assert "no call of the function" in counted(TRAINER.format(argument="", rounds="self.num_epochs")).reason


def test_trainers_that_are_used_in_two_ways(counted):
    text = TRAINER.format(argument=", n", rounds="n")
    use = "a, b = {}, {}\nTrainer(1, DataLoader(data)).train(a)\nTrainer(1, DataLoader(data)).train({})\n"
    assert counted(f"{text}\n{use.format('load()', 'load()', 'a')}").source
    count = counted(f"{text}\n{use.format('load()', 'load()', 'b')}")
    assert "called in ways that make different numbers" in count.reason


@pytest.mark.parametrize(
    ("body", "source"),
    [
        ("def train(svi, loader, epochs):\n    for _ in range(epochs):\n        for x in loader:\n            svi.step(x)\n", "(num_steps * len(data))"),
        ("def train(svi, loader, epochs):\n    for _ in range(epochs):\n        one(svi, loader)\n"
         "def one(svi, loader):\n    loss = 0.0\n    for x in loader:\n        loss += svi.step(x)\n    return loss / len(loader.dataset)\n",
         "(num_steps * len(data))"),
    ],
)  # fmt: skip
def test_functions_that_take_the_svi_object(counted, body: str, source: str):
    text = f"{body}data = DataLoader(load())\n{BUILD}train(svi, data, epochs=num_steps)\n"
    assert counted(text).source == source


def test_another_file_takes_the_svi_object(counted):
    lib = "import pyro\ndef train(svi, n):\n    for _ in range(n):\n        svi.step()\n"
    assert counted(f"from lib import train\n{BUILD}train(svi, num_steps)\n", lib=lib).source == "num_steps"


@pytest.mark.parametrize(
    "main",
    [
        "def main(args):\n    svi = make(Adam({'lr': 0.01}))\n    for _ in range(args.num_steps):\n        svi.step(data)\n"
        "if __name__ == '__main__':\n    import argparse\n    main(argparse.ArgumentParser().parse_args())\n",
        "import click\n@click.command()\n@click.option('--num-steps', default=3)\ndef main(args):\n"
        "    svi = make(Adam({'lr': 0.01}))\n    for _ in range(args.num_steps):\n        svi.step(data)\n",
    ],
)
def test_command_lines(counted, main: str):
    assert counted(main).source == "args.num_steps"


DECORATED = """\
import time, click, tenacity
def timed(f):
    def inner(*args):
        start = time.time()
        f(*args)
        print(time.time() - start)
    return inner

def twice(f):
    def inner():
        f()
        f()
    return inner

def times(n):
    def outer(f):
        return lambda: [f() for _ in range(n)]
    return outer

"""


@pytest.mark.parametrize(
    ("decorator", "is_known"),
    [
        ("timed", True),
        ("torch.enable_grad()", True),
        ("click.command()", True),
        ("twice", False),
        ("times(3)", False),
        ("tenacity.retry(stop=3)", False),
    ],
)
def test_decorators_that_call_again(counted, decorator: str, is_known: bool):
    body = "def train():\n    for _ in range(9):\n        svi.step(data)\ntrain()\n"
    count = counted(f"{BUILD}{DECORATED}@{decorator}\n{body}")
    assert (count.source, "several times" in count.reason) == ("9" if is_known else None, not is_known)


@pytest.mark.parametrize(
    ("length", "source"), [("", None), ("    def __len__(self):\n        return 3\n", "(2 * len(loader))")]
)
def test_streams_of_data(counted, length: str, source: str | None):
    """``len(DataLoader(stream))`` is an error where the stream has no length."""
    text = (
        f"class Stream(torch.utils.data.IterableDataset):\n    def __iter__(self):\n        yield 1\n{length}"
        f"loader = DataLoader(Stream(), batch_size=8)\n{BUILD}"
        "for _ in range(2):\n    for x in loader:\n        svi.step(x)\n"
    )
    assert counted(text).source == source


BASE = """\
class Base:
    def __init__(self, loader, epochs):
        self.loader, self.epochs = loader, epochs
        self.svi = make(Adam({"lr": 0.01}))

    def fit(self):
        for _ in range(self.epochs):
            self.epoch()

    def epoch(self):
        for x in self.loader:
            self.svi.step(x)
"""
ROUND = "    def epoch(self):\n        super().epoch()\n"


@pytest.mark.parametrize(
    ("trainer", "source"),
    [
        ("class T(Base):\n    pass\n", "(epochs * len(loader))"),
        ("class T(Base):\n    def __init__(self, loader, n):\n        super().__init__(loader, n)\n", "(epochs * len(loader))"),
        ("class M(Base):\n    pass\nclass T(M):\n    def __init__(self, loader, n):\n        super().__init__(loader, 7)\n",
         "(epochs * len(loader))"),
        (f"class T(Base):\n{ROUND}", "(epochs * len(loader))"),
        (f"class T(Base):\n{ROUND}        super().epoch()\n", "((epochs * len(loader)) + (epochs * len(loader)))"),
        (f"class T(Base):\n{ROUND.replace('super', 'if load(): super')}", "condition"),
        (f"class T(Base):\n{ROUND.replace('super', 'for _ in load(): super')}", "not known"),
        ("class T(load()):\n    def fit(self):\n        super().fit()\n", "no call of the function"),
    ],
)  # fmt: skip
def test_inherited_trainers(counted, trainer: str, source: str):
    use = "T(DataLoader(load()), num_steps).fit()\n"
    for count in (
        counted(f"{BASE}{trainer}{use}"),
        counted(f"from lib import Base\n{trainer}{use}", lib=f"{HEAD}{BASE}"),
    ):
        assert count.source == source if source.startswith("(") else source in count.reason


LIGHTNING = """\
{imported}

class Plan({base}):
    def __init__(self):
        super().__init__()
        self.svi = make(Adam({{"lr": 0.01}}))

{body}

Plan()
"""
STEP = "        self.svi.step(batch)\n"
ROUNDS = "        for _ in range(100):\n            self.svi.step(batch)\n"


@pytest.mark.parametrize(
    ("imported", "base"),
    [
        ("import pytorch_lightning as pl", "pl.LightningModule"),
        ("import lightning as L", "L.LightningModule"),
        ("from lightning.pytorch import LightningModule", "LightningModule"),
        ("import pytorch_lightning as pl\nclass Ours(pl.LightningModule):\n    pass", "Ours"),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        f"    def training_step(self, batch, i):\n{STEP}",
        f"    def training_step(self, batch, i):\n{ROUNDS}",
        f"    def training_step(self, batch, i):\n        self.one(batch)\n    def one(self, batch):\n{ROUNDS}",
        f"    def on_train_batch_start(self, batch, i):\n{STEP}",
        f"    def on_train_epoch_end(self):\n        batch = load()\n{ROUNDS}",
        f"    def on_train_epoch_end(self):\n        self.svi, batch = make(Adam({{}})), load()\n{ROUNDS}",
    ],
)
def test_lightning_makes_the_steps(counted, imported: str, base: str, body: str):
    """It is not installed here, and does not need to be: what its classes are called is enough."""
    count = counted(LIGHTNING.format(imported=imported, base=base, body=body))
    assert (count.source, count.reason) == (None, "PyTorch Lightning makes the steps")


def test_svi_run(counted):
    text = 'svi = SVI(model, guide, Adam({"lr": 0.01}), loss=Trace_ELBO(), num_steps=300)\nsvi.run(data)\n'
    assert counted(text).source == "300"
    assert "not found" in counted(text.replace(", num_steps=300", "")).reason, "Pyro makes none by default"
    assert "not known" in counted(text.replace("num_steps=300", "**load()")).reason
