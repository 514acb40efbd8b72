"""The deep look, the slice replay, saved parameters and the referee, through whole runs."""

import math
from pathlib import Path

import pytest
from programs import NORMAL

from pyro_fix.runner.model import Deep, Referee


def look_of(observation, ordinal=0):
    assert observation.failure is None, observation.failure
    return observation.svis[ordinal].look


STEPPING = """
for i in range(1000):
    svi.step(data)
"""

PARTS = """
import torch, pyro, pyro.distributions as dist, pyro.poutine as poutine
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from torch.distributions import constraints

N, D = 10, 100
data = torch.rand(N)

def model(data):
    z = pyro.sample("z", dist.LogNormal(0.0, 1.0))
    w = pyro.sample("w", dist.Normal(torch.zeros(D), 1.0).to_event(1))
    with pyro.plate("data", N):
        pyro.sample("obs", dist.Bernoulli({probs}), obs=data)

def guide(data):
    z_loc = pyro.param("z_loc", torch.tensor(-3.0))
    pyro.sample("z", dist.{z}(z_loc, 0.5))
    w_loc = pyro.param("w_loc", lambda: torch.randn(D))
    w_scale = pyro.param("w_scale", torch.full((D,), {w_scale}){constraint})
    pyro.sample("w", dist.Normal(w_loc, w_scale).to_event(1))

svi = SVI({model}, {guide}, Adam({{"lr": 0.01}}), Trace_ELBO())
for i in range(1000):
    svi.step(data)
"""


def parts(**changes):
    values = {
        "probs": "0.5",
        "z": "LogNormal",
        "w_scale": "1.0",
        "constraint": "",
        "model": "model",
        "guide": "guide",
    }
    return PARTS.format(**{**values, **changes})


@pytest.fixture(scope="module")
def looks(shared):
    programs = {
        "original": parts(),
        "constrained": parts(constraint=", constraint=constraints.positive"),
        "scaled": parts(model="poutine.scale(model, scale=0.1)", guide="poutine.scale(guide, scale=0.1)"),
        "normal": parts(z="Normal", w_scale="-1.0"),
    }
    found = {}
    for name, text in programs.items():
        if name != "normal":
            text = text.replace(
                "import torch,",
                "import torch; torch.distributions.Distribution.set_default_validate_args(False)\nimport",
                1,
            )
            text = text.replace(
                "from torch.distributions import constraints",
                "from torch.distributions import constraints\npyro.enable_validation(False)",
            )
        shared.write(f"{name}.py", text)
        found[name] = shared.run(f"{name}.py", steps=1, deep=Deep(seeds=3))
    return found


def test_parameters(looks):
    look = look_of(looks["original"])
    assert look.error == ""
    assert {name: (p.shape, p.constraint, len(p.values)) for name, p in look.params.items()} == {
        "z_loc": ((), "real", 1),
        "w_loc": ((100,), "real", 32),
        "w_scale": ((100,), "real", 32),
    }
    assert look.params["z_loc"].values == (-3.0,)
    assert (look.params["w_scale"].minimum, look.params["w_scale"].maximum) == (1.0, 1.0)
    assert look.params["w_loc"].minimum < -1


def test_sites(looks):
    look = look_of(looks["original"])
    assert list(look.guide) == ["z", "w"] and list(look.model) == ["z", "w", "obs"]
    assert (look.guide["z"].distribution, look.guide["z"].support) == ("LogNormal", "positive")
    assert (look.model["w"].distribution, look.model["w"].support, look.model["w"].shape) == ("Normal", "real", (100,))
    assert look.model["obs"].observed and look.model["obs"].support == "boolean" and not look.model["z"].observed
    assert look.model["obs"].violations == ("value: 10 of 10 values not in boolean",)
    assert look.guide["z"].violations == look.guide["w"].violations == look.model["z"].violations == ()
    assert math.isfinite(look.model["w"].log_prob) and look.model["w"].scale == 1.0


def test_a_constraint_that_keeps_the_values_keeps_the_look(looks):
    """What ``SAME_START`` compares: values and losses, bit for bit but for a round trip through the constraint."""
    before, after = look_of(looks["original"]), look_of(looks["constrained"])
    assert after.params["w_scale"].constraint == "positive"
    for name in before.params:
        assert after.params[name].values == pytest.approx(before.params[name].values, abs=1e-5)
    assert after.losses == pytest.approx(before.losses, rel=1e-5)
    assert after.gradients["w_loc"][0] == pytest.approx(before.gradients["w_loc"][0], rel=1e-4, abs=1e-4)


def test_a_scale_on_both_scales_loss_and_gradients(looks):
    """What ``SAME_OBJECTIVE`` compares."""
    before, after = look_of(looks["original"]), look_of(looks["scaled"])
    assert after.losses == pytest.approx([0.1 * loss for loss in before.losses], rel=1e-5)
    assert after.gradient_norms == pytest.approx([0.1 * norm for norm in before.gradient_norms], rel=1e-5)
    for name, sketches in before.gradients.items():
        for seed, sketch in enumerate(sketches):
            assert after.gradients[name][seed] == pytest.approx([0.1 * x for x in sketch], rel=1e-4, abs=1e-5)
    assert (
        after.model["obs"].scale == pytest.approx(0.1) and after.model["obs"].log_prob == before.model["obs"].log_prob
    )


def test_common_seeds_differ_among_each_other(looks):
    look = look_of(looks["original"])
    assert len(set(look.losses)) == len(set(look.gradient_norms)) == 3
    assert len(look.gradients["w_loc"]) == 3 and len(look.gradients["w_loc"][0]) == 32


def test_violations_do_not_hide_each_other(looks):
    """The program itself dies of the first one; the look reports them all."""
    look = look_of(looks["normal"])
    assert look.error == ""
    assert look.guide["z"].support == "real" and look.model["z"].support == "positive"
    assert look.model["z"].violations == ("value: 1 of 1 values not positive",)
    assert look.guide["w"].violations == ("scale: 100 of 100 values not positive",)
    assert look.model["obs"].violations
    failure = looks["normal"].svis[0].trajectories[0].failure
    assert failure.kind == "ValueError" and failure.step == 0 and failure.where.startswith("normal.py:")


VECTORIZED = """
import torch, pyro, pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO, TraceMeanField_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoLowRankMultivariateNormal
from pyro.optim import Adam

torch.manual_seed(0)
N, G, D = 12, 3, 2
data = torch.randn(N, G)
x = torch.randn(N, D)

def plates(data):
    mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
    tau = pyro.sample("tau", dist.Gamma(2.0, 2.0))
    with pyro.plate("groups", G):
        loc = pyro.sample("loc", dist.Normal(mu, tau))
        with pyro.plate("data", N, subsample_size=5) as index:
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=data[index])

def regression(data):
    w = pyro.sample("w", dist.Normal(torch.zeros(D), 1.0).to_event(1))
    mean = (w * x).sum(-1)
    with pyro.plate("data", N):
        pyro.sample("obs", dist.Normal(mean, 1.0), obs=data[:, 0])

def means(data):
    with pyro.plate("groups", G):
        loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
    spread = loc.mean()                      # over the particles as well
    with pyro.plate("data", N):
        pyro.sample("obs", dist.Normal(spread, 1.0), obs=data[:, 0])

def unsqueezed(data):
    w = pyro.sample("w", dist.Normal(torch.zeros(D), 1.0).to_event(1))
    mean = (w.unsqueeze(-2) * x).sum(-1)     # the particles end up in a dimension of their own
    with pyro.plate("data", N):
        pyro.sample("obs", dist.Normal(mean, 1.0), obs=data[:, 0])

def transposed(data):
    w = pyro.sample("w", dist.Normal(torch.zeros(D, D), 1.0).to_event(2))
    v = w.t() @ torch.ones(D)
    pyro.sample("obs", dist.Normal(v.sum(), 1.0), obs=data[0, 0])

import sys
fn = globals()[sys.argv[1]]
guide = {"diagonal": AutoDiagonalNormal, "lowrank": AutoLowRankMultivariateNormal}[sys.argv[2]](fn)
elbo = {"trace": Trace_ELBO, "meanfield": TraceMeanField_ELBO}[sys.argv[3]]
svi = SVI(fn, guide, Adam({"lr": 0.01}), elbo(num_particles=4, vectorize_particles=True))
for i in range(1000):
    svi.step(data)
"""


@pytest.mark.parametrize("words", ["plates diagonal trace", "regression lowrank trace"])
def test_slices_of_a_rightly_vectorised_program_agree(shared, words):
    shared.write("vectorized.py", VECTORIZED)
    look = look_of(shared.run(f"vectorized.py {words}", steps=1, deep=Deep(seeds=1, slices=True)))
    assert look.slices.error == "" and look.slices.particles == 4
    assert look.slices.worst < 1e-5


@pytest.mark.parametrize("words", ["means diagonal trace", "unsqueezed diagonal meanfield"])
def test_slices_show_what_is_silently_wrong(shared, words):
    shared.write("vectorized.py", VECTORIZED)
    seen = shared.run(f"vectorized.py {words}", steps=1, deep=Deep(seeds=1, slices=True))
    assert seen.svis[0].trajectories[0].failure is None, "it is not silent"
    assert look_of(seen).slices.worst > 1e-2 and look_of(seen).slices.site == "obs"


def test_slices_of_what_cannot_be_vectorised(shared):
    shared.write("vectorized.py", VECTORIZED)
    seen = shared.run("vectorized.py transposed diagonal trace", steps=1, deep=Deep(seeds=1, slices=True))
    assert seen.svis[0].trajectories[0].failure is not None
    look = seen.svis[0].look
    assert look.error or look.slices.error


# ---------------------------------------------------------------------- the referee

REFEREED = (
    NORMAL
    + """
optimizer = Adam({"lr": 0.1})
svi = SVI(model, guide, optimizer, Trace_ELBO())
for i in range(1000):
    svi.step(data)
"""
)


@pytest.fixture(scope="module")
def judged(shared):
    path = shared.write("refereed.py", REFEREED)
    patches = {
        "original": REFEREED,
        # The same objective seen through another constraint.
        "other": REFEREED.replace("constraints.positive", "constraints.greater_than(0.001)"),
        # Wrong, but better by its own loss.
        "harmful": REFEREED.replace("SVI(model", "SVI(pyro.poutine.scale(model, scale=0.01)"),
        "renamed": REFEREED.replace('pyro.param("m"', 'pyro.param("renamed"'),
        "diverging": REFEREED.replace('"lr": 0.1', '"lr": 1e30').replace("import torch,", "import torch,", 1),
    }
    states, own = {}, {}
    for name, text in patches.items():
        folder = shared.folder.parent / "states" / name
        own[name] = shared.run("refereed.py", overlay={path: text.encode()}, steps=150, save_states=folder)
        states[name] = folder / "0"
    states["nobody"] = shared.folder.parent / "states" / "nobody"
    seen = shared.run("refereed.py", steps=150, referee=Referee(states, evaluations=6))
    return own, seen, states


def mean(losses):
    return sum(losses) / len(losses)


def test_the_referee_sees_progress(judged):
    _, seen, _ = judged
    referee = seen.svis[0].referee
    assert set(referee) == {f"{name}/{when}" for name in (*judged[0], "nobody") for when in ("first", "last")}
    assert all(len(losses) == 6 for losses in referee.values())
    assert mean(referee["original/last"]) < 0.8 * mean(referee["original/first"])


def test_the_referee_makes_few_steps_of_its_own(judged):
    assert len(judged[1].svis[0].trajectories[0].losses) == 8


def test_the_referee_goes_on_until_the_last_object_has_judged(shared, judged):
    shared.write(
        "one-by-one.py",
        NORMAL
        + """
svis = [SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO()) for _ in range(2)]
for svi in svis:
    for i in range(1000):
        svi.step(data)
""",
    )
    folder = shared.folder.parent / "states" / "one-by-one"
    shared.run("one-by-one.py", steps=20, expect_svis=2, save_states=folder)
    seen = shared.run("one-by-one.py", steps=20, expect_svis=2, referee=Referee({"a": folder / "0"}, evaluations=2))
    assert [len(svi.trajectories[0].losses) for svi in seen.svis] == [20, 8]
    for svi in seen.svis:
        assert set(svi.referee) == {"a/first", "a/last"} and all(map(math.isfinite, svi.referee["a/last"]))


def test_a_constraint_is_translated(judged):
    referee = judged[1].svis[0].referee
    assert referee["other/first"] == pytest.approx(referee["original/first"], rel=1e-4)
    assert mean(referee["other/last"]) == pytest.approx(mean(referee["original/last"]), rel=0.05)


def test_a_harmful_patch_that_looks_better_by_its_own_loss(judged):
    own, seen, _ = judged
    harmful, original = (own[name].svis[0].trajectories[0].losses[-20:] for name in ("harmful", "original"))
    assert mean(harmful) < mean(original)
    assert mean(seen.svis[0].referee["harmful/last"]) > mean(seen.svis[0].referee["original/last"])


def test_states_that_cannot_be_judged_are_nan_with_a_word(judged):
    _, seen, _ = judged
    for label, word in (("renamed/last", "parameters differ: m, renamed"), ("nobody/last", "left no parameters")):
        assert all(math.isnan(loss) for loss in seen.svis[0].referee[label])
        assert any(label in text and word in text for text in seen.warnings), seen.warnings
    assert all(math.isnan(loss) for loss in seen.svis[0].referee["diverging/last"])


def test_states_of_every_seed_and_object(judged, shared):
    shared.write(
        "two.py",
        NORMAL
        + """
for k in range(2):
    pyro.clear_param_store()
    svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
    for i in range(100):
        svi.step(data)
""",
    )
    folder = shared.folder / "inside-the-project"
    seen = shared.run("two.py", steps=3, seeds=(5, 6), expect_svis=2, save_states=folder)
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob("*.pt")) == [
        f"{seed}/svi-{svi}-{when}.pt" for seed in (5, 6) for svi in (0, 1) for when in ("first", "last")
    ]
    again = shared.run("two.py", steps=3, expect_svis=2, referee=Referee({"a": folder / "5"}, evaluations=2))
    for svi in again.svis:
        assert set(svi.referee) == {"a/first", "a/last"} and all(map(math.isfinite, svi.referee["a/last"]))
    assert not any(str(folder) in path for path in again.loaded)
    assert seen.failure is None


@pytest.mark.slow
def test_the_folder_of_states_may_be_relative(shared, monkeypatch):
    monkeypatch.chdir(shared.folder.parent)
    shared.write("refereed.py", REFEREED)
    shared.run("refereed.py", steps=2, save_states=Path("relative-states"))
    assert (shared.folder.parent / "relative-states" / "0" / "svi-0-last.pt").exists()
