"""What reading diffs of public repositories taught: every case is retold in our own words."""

from __future__ import annotations

import pytest
from checking import Checked, check_text

PREAMBLE = """
import torch
import pyro
import pyro.distributions as dist
from pyro.distributions import constraints
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
"""


@pytest.fixture
def say(tmp_path):
    def checked(code: str, text: str) -> Checked:
        return check_text(tmp_path, [code], PREAMBLE + text, {}, named=False)

    return checked


def test_a_value_set_behind_pyros_back(say) -> None:
    """Verification saw it: with a constraint, setting ``.data`` sets something else."""
    outcome = say(
        "SVI051",
        """
def model(x):
    sigma = pyro.param("sigma", torch.tensor(1.0))
    pyro.sample("x", dist.Normal(0.0, sigma), obs=x)

for value in (0.5, 1.0, 2.0):
    pyro.param("sigma").data = torch.tensor(value)
""",
    )
    assert "in place" in outcome.held_back


def test_an_identity_matrix_that_is_merely_positive(say) -> None:
    """Zeros are minus infinity to the transform of ``positive``: the program never gets a finite loss."""
    outcome = say(
        "SVI053",
        """
def guide(x):
    sigma = pyro.param("sigma", torch.eye(3), constraint=constraints.positive)
    pyro.sample("z", dist.MultivariateNormal(torch.zeros(3), sigma))
""",
    )
    assert outcome.added == ['sigma = pyro.param("sigma", torch.eye(3), constraint=constraints.positive_definite)']


def test_weights_that_need_not_sum_to_one(say) -> None:
    """Categorical normalises its probs: a simplex would start elsewhere."""
    outcome = say(
        "SVI051",
        """
def guide(x):
    pyro.sample("z", dist.Categorical(pyro.param("w", torch.ones(4))))
""",
    )
    assert "not known to satisfy" in outcome.held_back


def test_a_param_that_chose_a_sample_does_not_flow_into_it(say) -> None:
    outcome = say(
        "SVI051",
        """
def model(x):
    weights = pyro.param("weights", torch.ones(4) / 4)
    means = torch.arange(4.0)
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Normal(means[z], 1.0), obs=x)
""",
    )
    assert outcome.added == ['weights = pyro.param("weights", torch.ones(4) / 4, constraint=constraints.simplex)']


def test_tests_are_left_alone_unless_named(tmp_path) -> None:
    text = PREAMBLE + "\ndef test_it():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    file = tmp_path / "test_model.py"
    file.write_text(text)
    from checking import check

    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert not finding.proposal.candidates and "a test may rely" in finding.proposal.held_back
    (finding,) = check([file], ["SVI051"], tmp_path).findings
    assert finding.proposal.candidates


def test_a_model_of_an_ab_test_is_no_test(tmp_path) -> None:
    file = tmp_path / "ab_test.py"
    file.write_text(
        PREAMBLE + "\ndef guide():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    )
    from checking import check

    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert finding.proposal.candidates


def test_what_lies_in_a_folder_of_tests_is_left_alone(tmp_path) -> None:
    """Expected outputs of a compiler, for example."""
    from checking import check

    text = PREAMBLE + "\ndef guide():\n    pyro.sample('z', dist.Normal(0.0, pyro.param('s', torch.tensor(1.0))))\n"
    file = tmp_path / "tests" / "expected" / "guide.py"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    (finding,) = check([tmp_path], ["SVI051"], tmp_path).findings
    assert "a test may rely" in finding.proposal.held_back
    for named in (file, tmp_path / "tests"):
        (finding,) = check([named], ["SVI051"], tmp_path).findings
        assert finding.proposal.candidates


LOOP = """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO(num_particles=10))
for step in range(1000):
    svi.step(data)
"""


def test_a_guide_that_scores_its_labels(say) -> None:
    """``Trace_ELBO`` subtracts what the guide observes; ``TraceMeanField_ELBO`` leaves it out."""
    text = """
def labels(x):
    return pyro.sample("y", dist.OneHotCategorical(torch.ones(3) / 3), obs=x)

def model(data):
    z = pyro.sample("z", dist.Normal(torch.zeros(2), torch.ones(2)).to_event(1))
    labels(data)

def guide(data):
    LABELS
    loc = pyro.param("loc", torch.zeros(2))
    pyro.sample("z", dist.Normal(loc, torch.ones(2)).to_event(1))
"""
    assert say("SVI091", text.replace("LABELS", "labels(data)") + LOOP).findings == ()
    assert say("SVI091", text.replace("LABELS", "") + LOOP).finding.proposal.candidates


@pytest.mark.parametrize(
    ("index", "is_safe"), [("[:, 0]", False), ("[0]", False), ("[0, ...]", False), ("[..., 0]", True), ("[...]", True)]
)
def test_a_latent_indexed_from_the_left(say, index: str, is_safe: bool) -> None:
    """With all particles at once the first dimension is theirs."""
    outcome = say(
        "SVI081",
        f"""
def model(data):
    with pyro.plate("devices", 5):
        line = pyro.sample("line", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    pyro.sample("x", dist.Normal(line{index}, 1.0).to_event(1), obs=data)

def guide(data):
    with pyro.plate("devices", 5):
        pyro.sample("line", dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
"""
        + LOOP,
    )
    if is_safe:
        assert outcome.finding.proposal.candidates
    else:
        assert "indexed from the left" in outcome.held_back


def test_a_decay_that_depends_on_the_parameter(say) -> None:
    """Options that a function returns may hold ``lrd`` already."""
    outcome = say(
        "SVI031",
        """
def options(name):
    return {"lr": 0.01 if "loc" in name else 0.001, "lrd": 0.1 ** (1 / 1000)}

svi = SVI(model, guide, pyro.optim.ClippedAdam(options), Trace_ELBO())
for step in range(1000):
    svi.step(data)
""",
    )
    assert outcome.findings == ()


@pytest.mark.parametrize(
    ("observed", "is_free"),
    [
        ("dist.Multinomial(logits=z, validate_args=False)", True),
        ("dist.DirichletMultinomial(z.exp(), validate_args=False)", True),
        ("dist.Multinomial(9, logits=z, validate_args=False)", False),
        ("dist.DirichletMultinomial(z.exp(), total_count=9, validate_args=False)", False),
    ],
)
def test_counts_of_any_total(say, observed: str, is_free: bool) -> None:
    """Unless it is told the total, validation takes it for 1 and refuses sound data."""
    outcome = say(
        "SVI121",
        f"""
def model(counts):
    z = pyro.sample("z", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    pyro.sample("counts", {observed}, obs=counts)
""",
    )
    assert bool(outcome.findings) is not is_free


@pytest.mark.parametrize(
    ("initial", "doubt"),
    [
        ("lambda: dist.Uniform(0, 2).sample([5])", "may lie below"),
        ("dist.Gamma(2.0, 1.0).sample()", "may lie below"),
        ("lambda: dist.Uniform(1, 2).sample([5])", ""),
        ("dist.LogNormal(-1, 1).sample([5])", ""),
        ("dist.LogNormal(-1, 2).sample([5])", "may lie below"),
        ("dist.LogNormal(load(), 1).sample([5])", "may lie below"),
    ],
)
def test_an_initial_value_that_is_drawn(say, initial: str, doubt: str) -> None:
    """A draw below the new bound would start as NaN: once in two thousand times here."""
    outcome = say(
        "SVI161",
        f"""
def guide(data):
    kappa = pyro.param("kappa", {initial}, constraint=constraints.positive)
    with pyro.plate("weights", 5):
        pyro.sample("beta", dist.Beta(torch.ones(5), kappa))
""",
    )
    if doubt:
        assert doubt in outcome.held_back
    else:
        assert outcome.finding.proposal.candidates


@pytest.mark.parametrize(
    ("judged", "doubt"),
    [
        ("(losses[-10] - losses[-1]) / (losses[0] - losses[-1]) < 1e-4", ""),
        ("losses[-1] / 100 < 1.5", "has done it another way"),
        ("sum(losses) / len(losses) / 100 < 1.5", "has done it another way"),
        ("len(losses) > 500", ""),
        ("losses[-10] - losses[-1] < 1e-4", "compares"),
    ],
)
def test_a_relative_change_of_the_loss(say, judged: str, doubt: str) -> None:
    """It is the same whatever the loss is scaled by."""
    outcome = say(
        "SVI101",
        f"""
data = torch.randn(100)

def model(data):
    loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(loc, 1.0), obs=data)

def guide(data):
    pyro.sample("loc", dist.Normal(pyro.param("q", torch.tensor(0.0)), 0.1))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), Trace_ELBO())
losses = []
for step in range(1000):
    losses.append(svi.step(data))
    if {judged}:
        break
""",
    )
    if doubt == "has done it another way":
        assert not outcome.findings
    elif doubt:
        assert doubt in outcome.held_back
    else:
        assert outcome.finding.proposal.candidates


@pytest.mark.parametrize("after", ["argument", "call"])
def test_a_remark_beside_a_switch(say, after: str) -> None:
    """Rounding may be the reason: a softmax over thousands of genes sums to one but nearly."""
    text = """
def model(data):
    background = pyro.sample(
        "background",
        dist.Dirichlet(
            torch.ones(3),
            validate_args=False,ARGUMENT
        ),CALL
    )
"""
    bare = text.replace("ARGUMENT", "").replace("CALL", "")
    remarked = text.replace(after.upper(), "  # sums are rounded").replace("ARGUMENT", "").replace("CALL", "")
    assert not say("SVI121", remarked).findings
    assert say("SVI121", bare).finding.proposal.candidates


@pytest.mark.parametrize(
    ("family", "is_relaxed"),
    [("RelaxedOneHotCategoricalStraightThrough(torch.tensor(0.1), probs=q)", True), ("OneHotCategorical(q)", False)],
)
def test_a_relaxed_guide_has_a_gradient(say, family: str, is_relaxed: bool) -> None:
    outcome = say(
        "SVI141",
        f"""
def model(data):
    pyro.sample("z", dist.OneHotCategorical(torch.ones(4) / 4))

def guide(data):
    q = pyro.param("q", torch.ones(4) / 4, constraint=constraints.simplex)
    pyro.sample("z", dist.{family})
"""
        + LOOP,
    )
    assert (outcome.findings == ()) is is_relaxed


def test_a_continuous_latent_indexed_by_an_enumerated_one(say) -> None:
    """Particles move the dimensions of ``means``, enumeration does not."""
    outcome = say(
        "SVI141",
        """
def model(data):
    means = pyro.sample("means", dist.Normal(torch.zeros(3), 1.0).to_event(1))
    with pyro.plate("data", len(data)):
        z = pyro.sample("z", dist.Categorical(torch.ones(3) / 3))
        pyro.sample("x", dist.Normal(means[z], 1.0), obs=data)

def guide(data):
    loc = pyro.param("loc", torch.zeros(3))
    pyro.sample("means", dist.Normal(loc, 1.0).to_event(1))
    with pyro.plate("data", len(data)):
        q = pyro.param("q", torch.ones(3) / 3, constraint=constraints.simplex)
        pyro.sample("z", dist.Categorical(q))
"""
        + LOOP,
    )
    assert outcome.finding.proposal.candidates


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("trials = counts * (1 - odds) / odds\n    trials[trials < 1] = 1", ""),
        ("trials = counts * odds\n    trials.clamp_(min=1.0)", ""),
        ("trials = counts\n    odds[odds < 1e-3] = 1e-3", "in place"),
        ("trials = counts\n    odds.view(-1)[0] = 1e-3", "in place"),
    ],
)
def test_what_is_computed_from_a_param_is_another_tensor(say, change: str, reason: str) -> None:
    """Mending the computed number of trials in place leaves the probability as it is."""
    outcome = say(
        "SVI053",
        f"""
def model(counts, data):
    odds = pyro.param("odds", torch.tensor([0.1]), constraint=constraints.positive)
    {change}
    with pyro.plate("bins", len(data)):
        pyro.sample("reads", dist.NegativeBinomial(trials, probs=odds), obs=data)
""",
    )
    proposal = outcome.finding.proposal
    assert (proposal.held_back == "") is (reason == "") and reason in proposal.held_back
    assert bool(proposal.candidates) is (reason == "")


@pytest.mark.parametrize(
    ("above", "is_reason"),
    [
        ("# the pixels are grey, which validation would refuse\n", True),
        ("# score against the picture (a relaxed Bernoulli)\n", True),
        ("# grey pixels: not valid for a Bernoulli\nprint(z)\n", True),
        ("# all shapes are valid here\n\n", False),
        ("# score against the picture\n", False),
        ("", False),
    ],
)
def test_a_remark_above_a_switch(say, above: str, is_reason: bool) -> None:
    indented = above.replace("\n", "\n        ").rstrip(" ") + ("        " if above else "")
    outcome = say(
        "SVI121",
        f"""
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        {indented}pyro.sample("x", dist.Poisson(z.exp(), validate_args=False), obs=data)
""",
    )
    assert bool(outcome.findings) is not is_reason


def test_a_size_that_a_notebook_sets_again_and_again(say) -> None:
    """The name is there, and what it holds when the model runs is not sure."""
    outcome = say(
        "SVI101",
        """
def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", N):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))

data = torch.randn(200)
N = len(data)
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for step in range(1000):
    svi.step(data)

data = torch.randn(300)
N = len(data)
""",
    )
    assert "not known how to write the size" in outcome.held_back


@pytest.mark.parametrize(("low", "is_inside"), [("0", False), ("1", True)])
def test_a_draw_through_the_class(say, low: str, is_inside: bool) -> None:
    """``Uniform.sample(d, …)`` is ``d.sample(…)``, which may come near zero."""
    outcome = say(
        "SVI161",
        f"""
def guide(data):
    kappa = pyro.param("kappa", dist.Uniform.sample(dist.Uniform({low}, 2), [3]), constraint=constraints.positive)
    pyro.sample("beta", dist.Beta(torch.ones(3), kappa))
""",
    )
    assert bool(outcome.finding.proposal.candidates) is is_inside
    assert ("may lie below" in outcome.finding.proposal.held_back) is not is_inside


def test_an_elbo_inside_another_objective(say) -> None:
    """A loss of one's own takes the bound and adds to it: Pyro's optimiser is in charge, and the share would change."""
    outcome = say(
        "SVI101",
        """
def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide(x):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))

def penalised(_model, _guide, x):
    return Trace_ELBO().differentiable_loss(model, guide, x) + pyro.param("loc") ** 2

svi = SVI(model, guide, Adam({"lr": 0.01}), loss=penalised)
for step in range(1000):
    svi.step(torch.zeros(500))
""",
    )
    assert "asked for by hand" in outcome.held_back


def test_a_value_made_valid_here_and_constrained_there(say) -> None:
    """A tutorial's first guide takes the absolute value; its second one, of the same names, has the constraint."""
    text = """
def first(x):
    width = pyro.param("width", torch.tensor(1.0))
    pyro.sample("z", dist.Normal(0.0, USE))

def second(x):
    width = pyro.param("width", torch.tensor(1.0), constraint=constraints.positive)
    pyro.sample("z", dist.Normal(0.0, width))
"""
    assert say("SVI051", text.replace("USE", "torch.abs(width)")).findings == ()
    assert "a constraint of its own" in say("SVI051", text.replace("USE", "width")).held_back


def test_an_optimiser_tried_out_through_spread_arguments(say) -> None:
    """The search for a good seed steps SVI objects of its own with the optimiser that it is handed."""
    text = """
def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide(x):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))

def attempt(seed, optim, *args):
    svi = SVI(model, guide, optim, Trace_ELBO())
    for step in range(5):
        svi.step(*args)

def fit(num_steps, *args):
    optim = Adam({"lr": 0.01})
    SEARCH
    svi = SVI(model, guide, optim, Trace_ELBO())
    for step in range(num_steps):
        svi.step(*args)

fit(2000, torch.tensor(1.0))
"""
    shared = say("SVI022", text.replace("SEARCH", "attempt(0, optim, *args)"))
    assert "several SVI calls" in shared.held_back
    assert '"lrd": 0.1 ** (1 / num_steps)' in say("SVI022", text.replace("    SEARCH\n", "")).text


@pytest.mark.parametrize(
    "scale", ['params["scale"]', 'params[f"{name}_scale"]', 'params.get("scale")', 'dict(params)["scale"]']
)
def test_params_in_a_dict_with_computed_keys(say, scale: str) -> None:
    """What stands under one key does not stand under all others."""
    outcome = say(
        "SVI051",
        f"""
def guide(x, names):
    params = {{}}
    params["loc"] = pyro.param("loc", torch.tensor(0.0))
    params["scale"] = pyro.param("raw", torch.tensor(0.0)).exp()
    for name in names:
        params[f"{{name}}_loc"] = pyro.param(f"{{name}}_loc", torch.tensor(0.0))
        params[f"{{name}}_scale"] = pyro.param(f"{{name}}_raw", torch.tensor(0.0)).exp()
    for name in names:
        pyro.sample("z", dist.Normal(params["loc"], {scale}))
""",
    )
    assert outcome.findings == ()


def test_a_bare_param_in_a_dict_with_computed_keys(say) -> None:
    outcome = say(
        "SVI051",
        """
def guide(x, names):
    params = {"loc": pyro.param("loc", torch.tensor(0.0)), "scale": pyro.param("scale", torch.tensor(1.0))}
    for name in names:
        params[name] = pyro.param(f"{name}_loc", torch.tensor(0.0))
    pyro.sample("z", dist.Normal(params["loc"], params["scale"]))
""",
    )
    assert "'scale'" in outcome.finding.proposal.message and len(outcome.added) == 1


ASKED = """
def model(x):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", 500):
        pyro.sample("x", dist.Normal(z, 1.0), obs=x)

def guide(x):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))
"""


@pytest.mark.parametrize("code", ["SVI022", "SVI101"])
@pytest.mark.parametrize("ask", ["svi.evaluate_loss(data)", "svi.loss(model, guide, data)", "svi.run(data)"])
def test_an_svi_that_is_only_asked_for_its_loss(say, code: str, ask: str) -> None:
    """No step is made with its optimiser, and what it says is what somebody wants to read."""
    text = f'{ASKED}\nsvi = SVI(model, guide, Adam({{"lr": 0.01}}), Trace_ELBO())\nfor step in range(1000):\n    '
    assert not say(code, f"{text}{ask}\n").findings
    assert say(code, f"{text}{ask}\n    svi.step(data)\n").finding.proposal.candidates


def test_an_optimiser_that_a_second_svi_has_for_its_loss(say) -> None:
    outcome = say(
        "SVI022",
        f"""{ASKED}
optim = Adam({{"lr": 0.01}})
svi = SVI(model, guide, optim, Trace_ELBO())
judge = SVI(model, guide, optim, Trace_ELBO(num_particles=100))
for step in range(1000):
    svi.step(data)
print(judge.evaluate_loss(data))
""",
    )
    assert "0.1 ** (1 / 1000)" in outcome.text


@pytest.mark.parametrize(("data", "is_large"), [("[0.0, 1.0, 10.0]", False), ("[0.0] * 100 + [1.0]", True)])
def test_an_svi_that_is_made_anew_for_every_seed(say, data: str, is_large: bool) -> None:
    """Of all that one call makes, the last is trained; it tells how many data there are."""
    outcome = say(
        "SVI101",
        f"""
data = torch.tensor({data})

def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))

def initialize(seed):
    global svi
    pyro.set_rng_seed(seed)
    svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
    return svi.loss(model, guide, data)

loss, seed = min((initialize(seed), seed) for seed in range(100))
initialize(seed)
for step in range(1000):
    svi.step(data)
""",
    )
    assert bool(outcome.findings) is is_large


@pytest.mark.parametrize(
    ("taken", "written"),
    [
        ("n, d = data.shape", "x.shape[0]"),
        ("n, d = data.size()", "x.size(0)"),
        ("d, n = data.shape", "x.shape[1]"),
        ("*d, n = data.shape", ""),
        ("n, d = data.size(0), 1", "x.size(0)"),
        ("n, d = sizes(data)", ""),
    ],
)
def test_a_shape_that_is_taken_apart(say, taken: str, written: str) -> None:
    outcome = say(
        "SVI101",
        f"""
x = load()

def model(data):
    {taken}
    z = pyro.sample("z", dist.Normal(0.0, 1.0))
    with pyro.plate("data", n):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)

def guide(data):
    pyro.sample("z", dist.Normal(pyro.param("loc", torch.tensor(0.0)), 0.1))

svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(x)
""",
    )
    if written:
        assert f"1 / {written}" in outcome.text
    else:
        assert "not known how to write" in outcome.held_back


@pytest.mark.parametrize(
    ("used", "asked", "is_found"),
    [
        ("", "differentiable_loss", False),
        ("loss = ", "differentiable_loss", True),
        ("", "loss_and_grads", True),
    ],
)
def test_a_loss_that_is_asked_for_the_sake_of_its_parameters(say, used: str, asked: str, is_found: bool) -> None:
    outcome = say(
        "SVI101",
        f"""{ASKED}
with pyro.poutine.trace(param_only=True) as capture:
    {used}Trace_ELBO().{asked}(model, guide, data)
print(len(capture.trace.nodes))
""",
    )
    assert bool(outcome.findings) is is_found


def test_one_epoch_is_no_factor(say) -> None:
    outcome = say(
        "SVI022",
        f"""{ASKED}
def train(svi, loader, epochs):
    for epoch in range(epochs):
        for x in loader:
            svi.step(x)

loader = torch.utils.data.DataLoader(load(), batch_size=10)
optim = Adam({{"lr": 0.01}})
train(SVI(model, guide, optim, Trace_ELBO()), loader, 1)
""",
    )
    assert "0.1 ** (1 / len(loader))" in outcome.text
