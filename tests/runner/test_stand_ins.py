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
    "an assert": ("rate = 0.01\nassert metrics.good", "an if"),
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


@pytest.mark.parametrize("how", SNEAKS)
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
