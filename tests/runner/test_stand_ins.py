"""Programs that import what is not installed: what takes its place, and what becomes of what comes from it."""

import pytest

HEAD = """
import nonesuch.pyplot as plt
from nonesuch import metrics
"""
TRAIN = """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for epoch in range(4):
    loss = svi.step(data)
"""


@pytest.fixture
def run(project, normal):
    """The observation of a program: ``before`` its SVI, in its loop, and after it."""

    def observe(before="", train=TRAIN, head=HEAD, **request):
        project.write("train.py", head + normal + before + train)
        return project.run("train.py", **request)

    return observe


def one(observation):
    assert observation.failure is None, observation.failure
    (substitute,) = observation.substitutes
    return substitute


def test_a_program_that_only_draws_is_the_users_program(run, project, normal):
    draws = """
fig, ax = plt.subplots()
fig, ((a, b), (c, d)) = plt.subplots(2, 2, figsize=(3, 4))
plt.style.use("dark"); plt.rcParams["font.size"] = 3
for one, axis in zip(range(4), (a, b, c, d)):
    axis.plot(data.numpy(), label=f"{one} of {len(data)}")
for axis in ax.flat:
    axis.set_title(f"{axis.title:.2f}")
print("score", metrics.score(data), f"{metrics.score(data):.3f}")
with plt.figure() as figure:
    figure.add(float(metrics.score(data)))
"""
    drawn = run(before=draws, train=TRAIN + "    plt.plot(loss, metrics.score(data) + loss)\n")
    assert one(drawn).reached == ""
    assert one(drawn).sentence == (
        "nonesuch is not installed: a stand-in took its place, and nothing that came from it reached the model"
    )
    assert one(drawn).where == "train.py:2"
    project.write("plain.py", normal + TRAIN)
    plain = project.run("plain.py")
    assert [t.losses for t in drawn.svis[0].trajectories] == [t.losses for t in plain.svis[0].trajectories]
    assert not drawn.made_up and plain.substitutes == ()


#: What a program does with something that a missing module has made -> how it is told.
SNEAKS = {
    "float": ("rate = float(metrics.rate)", "float() at train.py"),
    "through numpy": ("import numpy\nrate = numpy.asarray(metrics.rates).mean() * 0.01", "an array at train.py"),
    "numpy's own": ("import numpy\nrate = 0.01 + numpy.exp(metrics.rate)\nrate = float(rate)", "float()"),
    "pickled": ("import pickle\nrate = 0.01 * int(pickle.loads(pickle.dumps(metrics.rate)))", "int()"),
    "copied": ("import copy\nrate = 0.01 * int(copy.deepcopy({'a': [metrics.rate]})['a'][0])", "int()"),
    "a global": (
        "\ndef choose():\n    global rate\n    rate = 0.01 if metrics.rate > 3 else 0.02\nrate = 0.01\nchoose()",
        "an if at",
    ),
    "a closure": (
        "\ndef outer(n):\n    def inner():\n        return 0.01 * len(n)\n    return inner\nrate = 0.01 + outer(metrics.n)()",
        "len() at",
    ),
    "an if": ("rate = 0.01\nif metrics.good:\n    rate = 0.02", "an if"),
    "an early stop": (
        "rate = 0.01\nfor i in range(3):\n    rate = rate / 2\n    if metrics.stop(i):\n        break",
        "an if",
    ),
    "a loop's last": (
        "rate = 0.01\ni = 0\nfor i in metrics.all():\n    plt.plot(i)\nrate = 0.01 + i",
        "the turns of a",
    ),
    "a while": ("rate = 0.01\nwhile not metrics.good:\n    rate = 0.02", "an if"),
    "an and": ("rate = metrics.good and 0.01", "an if"),
    "an assert": ("rate = 0.01\nassert metrics.good\nassert metrics.__version__ >= '3'", ""),
    "an assert of not": ("rate = 0.01\nassert not metrics.bad > 3", "an if"),
    "a bound": ("rate = 0.01\nfor i in range(metrics.n):\n    rate = rate / 2", "an index or a count"),
    "a loop": ("rate = 0.01\nfor one in metrics.all():\n    rate = one", "the turns of a loop"),
    "what it goes over": ("rate = 0.01\nfor one in metrics.only([1, 2]):\n    rate = one / 100", "the turns of a loop"),
    "a container": ("rates = {'a': [metrics.rate]}\nrate = rates['a'][0]", "TORCH"),
    "a comprehension": ("rate = sum([0.01 for _ in metrics.all()], 0.01)", "the turns of a loop"),
    "a text": ("rate = 0.01 * len(f'{metrics.rate:.2f}')", "a text"),
    "a text printed": ("\ndef show(x): return x\nrate = 0.01\nprint(show(f'{metrics.rate}'))", "a text"),
    "a number in an assignment": ("rate = 0.01\nkept = int(metrics.n)", "int()"),
    "a walrus": ("rate = 0.01\nprint(kept := int(metrics.n))", "int()"),
    "in": ("rate = 0.01 if 3 in metrics.all() else 0.02", "in"),
    "put into it": (
        "config = metrics.Config()\nconfig.rate = 0.01\nrate = config['rate']",
        "what was put into its rate",
    ),
    "given to it": ("rate = metrics.Config({'rate': 0.01}, **{}).rate", "what was put into its rate"),
    "is": ("rate = 0.01 if metrics.rate is None else 0.02", "is at"),
    "is not": ("rate = 0.01\nif metrics.rate is not None:\n    rate = 0.02", "is at"),
    "its type": ("rate = 0.01 if type(metrics.rate) is float else 0.02", "type()"),
    "its kind": ("rate = 0.01 if isinstance(metrics.rate, float) else 0.02", "isinstance()"),
    "what it has": ("rate = 0.01 if hasattr(metrics, 'rate') else 0.02", "hasattr()"),
    "a key": ("rate = {'a': 0.03}.get(metrics.kind, 0.02)", "a key"),
    "a seed": ("import random\nrandom.seed(metrics.seed)\nrate = random.random()", "TORCH"),
    "torch's seed": ("torch.manual_seed(metrics.seed)\nrate = 0.01", "int() at"),
    "isinstance": ("rate = 0.01 if isinstance(3, metrics.Kind) else 0.02", "isinstance()"),
    "a decorator": ("\n@metrics.configured\ndef get(): return 0.01\nrate = get()", "get(), which it decorates"),
    "a callback": ("rate = 0.01\nmetrics.minimise(lambda x: x)", "a call that is given a function"),
    "a base class": ("\nclass Config(metrics.Base):\n    rate = 0.01\nrate = Config().rate", "an object of Config"),
    "the model's data": ("rate = 0.01\ndata = metrics.load()", "TORCH"),
    "a tensor": ("rate = 0.01\ndata = torch.tensor(metrics.load())", "a tensor at train.py"),
    "a tensor of several": ("rate = 0.01\ndata = torch.as_tensor([metrics.a, 1.0][1:] + [2.0])", ""),
    "a default tensor": ("rate = 0.01\ndata = torch.tensor([1.0] + list(metrics.load()))", "the turns of a loop"),
    "in place": ("rate = 0.01\ndata.mul_(metrics.factor)", "torch's mul_"),
    "an item": ("rate = 0.01\ndata[0] = metrics.first", "TORCH"),
    "the network": ("rate = 0.01\nmetrics.initialise(torch.nn.Linear(2, 2))", "a call that is given a function, a net"),
}


#: Those that are run each time; ``tests/probe/test_stand_in.py`` asks of each statement by itself.
FIRST = (
    "through numpy",
    "pickled",
    "a global",
    "a closure",
    "an if",
    "a bound",
    "a container",
    "a text",
    "the model's data",
)


@pytest.mark.parametrize("how", [how if how in FIRST else pytest.param(how, marks=pytest.mark.slow) for how in SNEAKS])
def test_what_sneaks_in_does_not_count_as_the_users(run, how):
    text, told = SNEAKS[how]
    seen = run(text + "\n", TRAIN.replace("0.01", "rate"))
    if told == "":  # nothing of it was used
        assert not seen.made_up and seen.failure is None
    elif seen.failure is not None and not seen.svis:  # then the program cannot be run, as before
        assert seen.failure.kind == "ModuleNotFoundError", seen.failure
        assert seen.failure.message.startswith("No module named 'nonesuch")
    else:
        assert seen.made_up, (seen.failure, seen.substitutes)
        assert told == "TORCH" or any(told in one.reached for one in seen.substitutes), seen.substitutes


def absent(observation):
    """The program ended for want of the module, and nothing was made up."""
    return observation.failure is not None and observation.failure.kind == "ModuleNotFoundError"


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import nonesuch\n    rate = 3.0\nexcept ImportError:\n    rate = 0.01",
        "try:\n    from nonesuch import some\nexcept (AttributeError, ModuleNotFoundError):\n    rate = 0.01",
        "import contextlib\nrate = 0.01\nwith contextlib.suppress(ImportError):\n    import nonesuch\n    rate = 3.0",
        "import importlib\ntry:\n    importlib.import_module('nonesuch')\nexcept Exception:\n    rate = 0.01",
        "def there():\n    import nonesuch\ntry:\n    there()\nexcept ImportError:\n    rate = 0.01",
    ],
)
def test_who_tries_hears_that_it_is_not_there(run, text):
    # Another module has a stand-in, so that stand-ins are in force.
    seen = run(text + "\nassert rate == 0.01\n", head="import nothere\n")
    assert [one.what for one in seen.substitutes] == ["nothere"]
    assert not seen.made_up and seen.failure is None


def test_who_tries_and_gives_up_has_not_tried(run):
    text = "try:\n    import nonesuch\nexcept ImportError:\n    print('pip install nonesuch')\n    raise\n"
    assert not run(text, head="").made_up
    text = "import sys\ntry:\n    import nonesuch\nexcept ImportError:\n    sys.exit('pip install nonesuch')\n"
    seen = run(text, head="")
    assert one(seen).where == "train.py:20" and not seen.made_up


def test_libraries_find_no_stand_in(run, project, monkeypatch):
    (project.folder.parent / "libraries").mkdir()
    library = project.folder.parent / "libraries" / "lib.py"
    library.write_text("try:\n    import nonesuch\n    found = True\nexcept ImportError:\n    found = False\n")
    monkeypatch.setenv("PYTHONPATH", str(library.parent))
    text = """
import importlib.util, sys
import lib
assert not lib.found and "nonesuch" not in sys.modules and importlib.util.find_spec("nonesuch") is None
plt.plot(3)
"""
    assert not run(text).made_up


@pytest.mark.parametrize(
    "text",
    ["import numpy.nonesuch", "from pyro import nonesuch_at_all", "import torch.nonesuch", "from . import other"],
)
def test_what_programs_are_about_is_never_made_up(run, text):
    seen = run(text + "\n", head="")
    assert seen.failure is not None and seen.failure.kind in ("ModuleNotFoundError", "ImportError")
    assert seen.substitutes == ()


def test_a_module_of_the_project_is_looked_for_elsewhere(run, project):
    project.write("lib/helper.py", "rate = 0.01\n")
    seen = run("import helper\n", head="")
    assert absent(seen) and seen.failure.message == "No module named 'helper'" and seen.substitutes == ()


def test_without_stand_ins(run):
    seen = run(stand_ins=False)
    assert absent(seen) and seen.failure.message == "No module named 'nonesuch'" and seen.substitutes == ()


@pytest.mark.parametrize(
    "text",
    [
        "from torch.utils.tensorboard import SummaryWriter",
        "from torch.utils import tensorboard\nSummaryWriter = tensorboard.SummaryWriter",
        "import torch.utils.tensorboard\nSummaryWriter = torch.utils.tensorboard.SummaryWriter",
        "import torch.utils.tensorboard as tb\nSummaryWriter = tb.SummaryWriter",
    ],
)
def test_a_part_of_a_library_that_lacks_something(run, text):
    seen = run(
        f"{text}\nwriter = SummaryWriter('runs')\nwriter.add_graph(torch.nn.Linear(1, 1))\nwriter.x = writer\n",
        TRAIN + "    writer.add_scalar('loss', loss, epoch)\n    writer.flush()\n",
        head="",
    )
    assert one(seen).reached == ""
    assert one(seen).sentence == (
        "tensorboard is not installed: a stand-in took the place of torch.utils.tensorboard, "
        "and nothing that came from it reached the model"
    )


def test_what_is_known_to_hand_on_what_it_is_given(run):
    head = "from fastprogress import progress_bar\nfrom numba import njit\nimport numba, alive_progress\n"
    text = """
@njit
def half(x):
    return x / 2
@numba.jit(nopython=True)
def twice(x):
    return 2 * x
data = twice(half(data))
bar = progress_bar(range(4))
assert len(bar) == 4
for i in alive_progress.alive_it([1, 2]):
    data = data + i
"""
    train = TRAIN.replace("range(4)", "bar") + "    bar.comment = f'{loss}'\n    bar.update(loss)\n"
    seen = run(text, train, head=head)
    assert {one.what: one.reached for one in seen.substitutes} == {
        "fastprogress": "",
        "numba": "",
        "alive_progress": "",
    }
    assert [len(t.losses) for t in seen.svis[0].trajectories] == [4]


def test_what_comes_after_the_last_step_has_reached_nothing(run):
    after = "\nif metrics.score(loss) > 3:\n    print(float(metrics.score(loss)))\nplt.show()\nkept = int(metrics.n)\n"
    seen = run("", TRAIN + after, steps=9)  # its calls are made again afterwards
    assert one(seen).reached == "" and [len(t.losses) for t in seen.svis[0].trajectories] == [9]


def test_what_comes_between_steps_has_reached_the_next(run):
    seen = run("", TRAIN + "    if metrics.score(loss) > 3:\n        break\n")
    assert one(seen).reached == "an if at train.py:25"


def test_what_happens_in_the_model_counts(run):
    model = "\ndef model(data):\n    loc = pyro.sample('loc', dist.Normal(float(metrics.n), 1.0))\n"
    assert one(run(model)).reached.startswith("float() at train.py")
    model = "\ndef model(data):\n    loc = pyro.sample('loc', dist.Normal(metrics.n, 1.0))\n"
    assert run(model).made_up
    model = (
        "\ndef model(data):\n    pyro.sample('loc', dist.Normal(0.0, 1.0))\n    print(metrics.n, f'{metrics.n:.3f}')\n"
    )
    assert one(run(model)).reached == ""


def test_a_failure_of_the_programs_own_is_its_own(run):
    seen = run("plt.plot(3)\n", TRAIN + "    if epoch == 2:\n        raise ValueError('mine')\n")
    assert seen.failure.kind == "ValueError" and not seen.made_up
    seen = run("plt.plot(3)\nopen('nothing.csv')\n")
    assert seen.failure.kind == "FileNotFoundError" and not seen.made_up
    broken = "\ndef model(data):\n    pyro.sample('loc', dist.Normal(0.0, -1.0))\n"
    seen = run(broken)
    assert seen.svis[0].trajectories[0].failure.kind == "ValueError" and not seen.made_up


def test_a_failure_for_which_a_stand_in_may_be_to_blame(run):
    seen = run("kept = float(metrics.n)\nfrom pyro.infer import NoneSuch\n")  # it is not
    assert seen.failure.kind == "ImportError"
    seen = run("kept = float(metrics.n)\npyro.none_such\n")
    assert seen.failure.kind == "AttributeError"
    seen = run("kept = float(metrics.n)\nopen('nothing.csv')\n")
    assert seen.failure.kind == "FileNotFoundError"
    seen = run("plt.plot(\n    [0][\n        1 + int(metrics.n)])\n")  # it is
    assert absent(seen)
    seen = run("from nothere import n\nplt.plot()\nkept = [0][1 + int(n)]\n")  # and the other module is not
    assert absent(seen) and seen.failure.message.startswith(
        "No module named 'nothere' (a stand-in did not do: IndexError"
    )
    for text in (
        "import math\nmath.hypot(metrics.n, [])",
        "[] + metrics.n + []\nopen(metrics.name)",
        "raise metrics.Error('no')",
    ):
        seen = run(text + "\n")
        assert absent(seen), text
    seen = run(
        "\ndef model(data):\n    pyro.sample('loc', metrics.n)\n    pyro.sample('x', dist.Normal(0.0, 1.0), obs='a')\n"
    )
    assert seen.made_up


def test_tests_and_workers(project, normal):
    project.write(
        "test_it.py",
        f"import nonesuch\n{normal}\ndef test_training():\n    nonesuch.plot(3)\n"
        + TRAIN.replace("\n", "\n    ")
        + "\n@nonesuch.mark\ndef test_other():\n    pass\n",
    )
    seen = project.run("pytest test_it.py")
    assert one(seen).reached == "" and seen.svis[0].trajectories
    loading = """
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, i):
        return torch.tensor(float(metrics.n) + i)
data = torch.cat(list(torch.utils.data.DataLoader(Data(), batch_size=4, num_workers=1)))
"""
    project.write("train.py", HEAD + normal + loading + TRAIN)
    assert one(project.run("train.py")).reached.startswith("float() at train.py")


def test_seeds_and_a_patch(run, project):
    text = run("plt.plot(3)\n", seeds=(0, 1, 2)) and (project.folder / "train.py").read_text()
    path = project.folder / "train.py"
    line = text.splitlines().index("plt.plot(3)") + 1
    for changed, told in (
        (text, ""),
        (text.replace("plt.plot(3)", "rate = float(plt.x)"), f"float() at train.py:{line}"),
    ):
        seen = project.run("train.py", seeds=(0, 1, 2), overlay={path: changed.encode()}, marks={path: (line,)})
        assert one(seen).reached == told and len(seen.svis[0].trajectories) == 3
        assert seen.hits == {f"{path}:{line}": 1}


def test_a_stand_in_writes_nothing_and_goes_nowhere(run, project, tmp_path):
    text = """
import json, os, socket
plt.savefig("figure.png"); metrics.save(open("mine.txt", "w")); metrics.download("https://example.org", "there")
with open(metrics.path, "w") as file:
    file.write("x")
os.makedirs(str(metrics.folder), exist_ok=True)
"""
    assert run(text).made_up
    assert [path.name for path in project.folder.iterdir()] == ["train.py"]
    asks = "\nsocket.create_connection((metrics.host, metrics.port), timeout=1)\n"
    assert absent(run(text + asks)) or run(text + asks).failure.kind in ("PermissionError", "gaierror", "OSError")
