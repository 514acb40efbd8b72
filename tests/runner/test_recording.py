"""What is recorded of programs that step SVI objects."""

import ast
import math
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from programs import NORMAL

SEEDS = Path(__file__).parents[2] / "pyro_fix" / "probe" / "seeds.py"


def only(observation):
    assert observation.failure is None, observation.failure
    assert len(observation.svis) == 1
    return observation.svis[0]


@pytest.fixture(scope="module")
def simple(shared):
    shared.write(
        "simple.py",
        NORMAL
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10000):
    loss = svi.step(data)
print("never reached", loss)
""",
    )
    return shared.run("simple.py", steps=20, seeds=(3, 4, 5))


def test_one_trajectory_a_seed(simple):
    svi = only(simple)
    assert [t.seed for t in svi.trajectories] == [3, 4, 5]
    for t in svi.trajectories:
        assert len(t.losses) == len(t.rates) == len(t.gradient_norms) == 20
        assert t.rates == ((0.01,),) * 20
        assert all(math.isfinite(x) and x > 0 for x in (*t.losses, *t.gradient_norms))
        assert t.failure is None and t.first_nonfinite is None and t.finished
        assert 0 < t.step_seconds < 1
        low, high = t.ranges["s"]
        assert low <= 1.0 <= high and t.ranges["m"][0] <= 0.0  # the initial values are part of the run
    assert len({t.losses for t in svi.trajectories}) == 3


def test_what_it_says_of_the_program(simple, shared):
    svi = only(simple)
    assert (svi.ordinal, svi.where, svi.elbo, svi.optimizer, svi.num_particles) == (
        0,
        "simple.py:19",
        "Trace_ELBO",
        "Adam",
        1,
    )
    assert simple.command == "python simple.py"
    assert simple.versions["pyro"].startswith("1.") and simple.device in ("cpu", "cuda")
    assert simple.loaded == (str(shared.folder / "simple.py"),)
    assert simple.warnings == ()


PLAIN = """
import importlib.util, json, sys, time
spec = importlib.util.spec_from_file_location("seeds", {seeds!r})
seeds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(seeds)
import torch
torch.set_num_threads(1)
seeds.align("program", 3)
{head}
svi = SVI(model, guide, Adam({{"lr": 0.01}}), Trace_ELBO())
losses, times = [], []
step, between = seeds.Stream("step", 3, 0), seeds.Stream("between", 3, 0)
for i in range(20):
    step.align(i)
    start = time.process_time()
    losses.append(svi.step(data))
    times.append(time.process_time() - start)
    between.align(i)
print(json.dumps([losses, times]))
"""


def test_a_plain_run_has_the_same_losses_bit_for_bit(simple, tmp_path):
    script = tmp_path / "plain.py"
    script.write_text(PLAIN.format(seeds=str(SEEDS), head=NORMAL))
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    losses, times = ast.literal_eval(done.stdout)
    assert only(simple).trajectories[0].losses == tuple(losses)
    # Recording costs well under a millisecond a step; on a busy machine it is only kept from getting out of hand.
    assert only(simple).trajectories[0].step_seconds < 3 * statistics.median(times) + 0.005


def test_a_deep_look_changes_nothing(simple, shared):
    from pyro_fix.runner.model import Deep

    again = only(shared.run("simple.py", steps=20, seeds=(3,), deep=Deep(seeds=2)))
    assert again.look.error == ""
    assert again.trajectories[0].losses == only(simple).trajectories[0].losses


def test_several_svi_objects_are_kept_apart(shared):
    shared.write(
        "several.py",
        NORMAL
        + """
from pyro.infer import TraceMeanField_ELBO
from pyro.optim import ClippedAdam, ExponentialLR

def build(optimizer, elbo):
    return SVI(model, guide, optimizer, elbo)

for round in range(2):
    pyro.clear_param_store()
    if round == 0:
        optimizer = ClippedAdam({"lr": 0.1, "lrd": 0.5})
    else:
        optimizer = ExponentialLR({"optimizer": torch.optim.SGD, "optim_args": {"lr": 0.001}, "gamma": 0.5})
    svi = build(optimizer, Trace_ELBO(num_particles=3) if round == 0 else TraceMeanField_ELBO())
    for i in range(300):
        svi.step(data)
        if round and i % 2:
            optimizer.step()
""",
    )
    seen = shared.run("several.py", steps=5, expect_svis=2)
    first, second = seen.svis
    assert (first.ordinal, second.ordinal) == (0, 1)
    assert (first.elbo, second.elbo) == ("Trace_ELBO", "TraceMeanField_ELBO")
    assert (first.optimizer, second.optimizer) == ("ClippedAdam", "ExponentialLR(SGD)")
    assert (first.num_particles, second.num_particles) == (3, 1)
    assert first.where == second.where == "several.py:23"
    rates = [rate for (rate,) in first.trajectories[0].rates]
    assert rates == pytest.approx([0.1 * 0.5 ** (t + 1) for t in range(5)])
    assert [rate for (rate,) in second.trajectories[0].rates] == pytest.approx([1e-3, 1e-3, 5e-4, 5e-4, 2.5e-4])


@pytest.mark.slow
def test_rates_differ_between_parameters(shared):
    shared.write(
        "rates.py",
        NORMAL
        + """
svi = SVI(model, guide, Adam(lambda name: {"lr": 0.1 if name == "m" else 0.001}), Trace_ELBO())
for i in range(10):
    svi.step(data)
""",
    )
    assert only(shared.run("rates.py")).trajectories[0].rates == ((0.001, 0.1),) * 4


def test_the_lower_level_pattern(shared):
    shared.write(
        "lower.py",
        NORMAL
        + """
loss_fn = Trace_ELBO().differentiable_loss
with pyro.poutine.trace(param_only=True) as capture:
    loss = loss_fn(model, guide, data)
params = [site["value"].unconstrained() for site in capture.trace.nodes.values()]
optimizer = torch.optim.Adam(params, lr=0.02)
for i in range(500):
    loss = loss_fn(model, guide, data)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
""",
    )
    from pyro_fix.runner.model import Deep

    seen = only(shared.run("lower.py", seeds=(0, 1), deep=Deep(seeds=2)))
    assert (seen.elbo, seen.optimizer) == ("Trace_ELBO", "Adam")
    assert [len(t.losses) for t in seen.trajectories] == [4, 4]
    assert seen.trajectories[0].rates == ((0.02,),) * 4
    assert all(norm > 0 for norm in seen.trajectories[0].gradient_norms)
    assert set(seen.look.params) == {"m", "s"} and seen.look.error == ""


def test_a_module_of_elbo_with_local_parameters(shared):
    shared.write(
        "local.py",
        """
import torch, pyro, pyro.distributions as dist
from pyro.infer import Trace_ELBO
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch.distributions import constraints

if tuple(int(x) for x in pyro.__version__.split(".")[:2]) >= (1, 9):
    pyro.settings.set(module_local_params=True)
data = torch.randn(20) + 3

class Model(PyroModule):
    def forward(self, data):
        loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
        with pyro.plate("data", 20):
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=data)

class Guide(PyroModule):
    def __init__(self):
        super().__init__()
        self.m = PyroParam(torch.tensor(0.0))
        self.s = PyroParam(torch.tensor(1.0), constraint=constraints.positive)
    def forward(self, data):
        pyro.sample("loc", dist.Normal(self.m, self.s))

elbo = Trace_ELBO()(Model(), Guide())
elbo(data)
optimizer = torch.optim.Adam(elbo.parameters(), lr=0.02)
for i in range(50):
    optimizer.zero_grad()
    loss = elbo(data)
    loss.backward()
    optimizer.step()
""",
    )
    seen = only(shared.run("local.py"))
    (t,) = seen.trajectories
    assert len(t.losses) == 4 and t.finished
    assert len(t.ranges) == 2 and any(low > 0 for low, _ in t.ranges.values())


def test_smoke_programs_are_stepped_on(shared, tmp_path):
    shared.write(
        "smoke.py",
        NORMAL
        + """
def main():
    svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
    for batch in (data[:10], data[10:]):
        svi.step(batch)

main()
print("ended")
""",
    )
    seen = only(shared.run("smoke.py", steps=7, seeds=(0, 1)))
    assert [len(t.losses) for t in seen.trajectories] == [7, 7]
    assert all(t.finished for t in seen.trajectories)
    assert [t.own for t in seen.trajectories] == [2, 2]
    assert [t.own for t in only(shared.run("smoke.py", steps=2)).trajectories] == [None]


def test_a_program_that_clears_its_parameters_is_not_stepped_on(shared):
    shared.write(
        "cleared.py",
        NORMAL
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
svi.step(data)
pyro.clear_param_store()
""",
    )
    (t,) = only(shared.run("cleared.py")).trajectories
    assert len(t.losses) == 1 and t.finished


def test_an_exception_in_a_step(shared):
    shared.write(
        "raises.py",
        NORMAL
        + """
calls = 0
def broken(data):
    global calls
    calls += 1
    if calls == 3:
        raise ZeroDivisionError("at the third")
    return model(data)

svi = SVI(broken, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10):
    svi.step(data)
""",
    )
    seen = shared.run("raises.py", seeds=(0, 1))
    assert seen.failure is None
    for t in seen.svis[0].trajectories:
        assert len(t.losses) == 2
        assert (t.failure.kind, t.failure.message, t.failure.step) == ("ZeroDivisionError", "at the third", 2)
        assert t.failure.where == "raises.py:24"
    assert any("ZeroDivisionError" in line for line in shared.output)


def test_an_exception_that_the_program_catches(shared):
    shared.write(
        "catches.py",
        NORMAL
        + """
calls = 0
def broken(data):
    global calls
    calls += 1
    if calls == 2:
        raise ZeroDivisionError
    return model(data)

svi = SVI(broken, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10):
    try:
        svi.step(data)
    except Exception:
        pass
""",
    )
    (t,) = only(shared.run("catches.py")).trajectories
    assert len(t.losses) == 4 and math.isnan(t.losses[1]) and math.isfinite(t.losses[3])
    assert t.failure.step == 1


def test_nan_is_dated(shared):
    shared.write(
        "nan.py",
        NORMAL
        + """
pyro.enable_validation(False)
calls = 0
def broken(data):
    global calls
    calls += 1
    return model(data * (float("nan") if calls == 3 else 1.0))

svi = SVI(broken, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10):
    svi.step(data)
""",
    )
    seen = shared.run("nan.py")
    (t,) = only(seen).trajectories
    assert t.first_nonfinite == 2 and math.isnan(t.losses[2])
    assert any("Encountered NaN" in text for text in seen.warnings)


def test_a_failure_between_steps_is_the_programs(shared):
    shared.write(
        "between.py",
        NORMAL
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
svi.step(data)
raise KeyError("plot")
""",
    )
    seen = shared.run("between.py")
    assert (seen.failure.kind, seen.failure.where) == ("KeyError", "between.py:21")
    assert seen.svis[0].trajectories[0].failure is None


def test_what_fails_for_want_of_the_skipped_steps_does_not_count(shared):
    shared.write(
        "threshold.py",
        NORMAL
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(100):
    loss = svi.step(data)
assert loss < 1.0, "did not converge"
""",
    )
    seen = shared.run("threshold.py", expect_svis=2)
    assert seen.failure is None and len(seen.svis[0].trajectories[0].losses) == 4


def test_warnings_as_errors_do_not_hit_us(shared):
    shared.write(
        "strict.py",
        "import warnings\nwarnings.simplefilter('error')\n"
        + NORMAL
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10):
    svi.step(data)
""",
    )
    from pyro_fix.runner.model import Deep

    seen = only(shared.run("strict.py", deep=Deep(seeds=2), save_states=shared.folder / "states"))
    assert len(seen.trajectories[0].losses) == 4 and seen.look.error == ""


@pytest.mark.slow
def test_a_slow_program_is_stopped_in_time_with_what_it_showed(shared):
    shared.write(
        "slow.py",
        NORMAL
        + """
import time
def slow(data):
    time.sleep(0.3)
    return model(data)
svi = SVI(slow, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(1000):
    svi.step(data)
""",
    )
    seen = shared.run("slow.py", steps=1000, seeds=(0, 1, 2), timeout=18)
    assert seen.failure is None and seen.seconds < 19
    assert [t.finished for t in seen.svis[0].trajectories] == [False, False, False]
    assert min(len(t.losses) for t in seen.svis[0].trajectories) >= 2


def test_a_hanging_step_is_killed(shared):
    shared.write(
        "hangs.py",
        NORMAL
        + """
import time
calls = 0
def hangs(data):
    global calls
    calls += 1
    if calls == 3:
        time.sleep(1000)
    return model(data)
svi = SVI(hangs, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(1000):
    svi.step(data)
""",
    )
    seen = shared.run("hangs.py", timeout=12)
    assert seen.failure.kind == "timeout"
    (t,) = seen.svis[0].trajectories
    assert len(t.losses) == 2 and not t.finished


@pytest.mark.parametrize(
    "unsafe",
    [
        pytest.param(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,), daemon=True).start()",
            id="threads",
        ),
        pytest.param(
            "import multiprocessing, time\n"
            "worker = multiprocessing.Process(target=time.sleep, args=(1000,), daemon=True)\n"
            "worker.start()",
            id="workers",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_where_a_fork_is_not_safe_every_seed_has_a_process(shared, simple, unsafe):
    from pyro_fix.runner.model import Deep

    shared.write(
        "unsafe.py",
        NORMAL
        + unsafe
        + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for i in range(10000):
    loss = svi.step(data)
""",
    )
    seen = only(shared.run("unsafe.py", seeds=(3, 4), deep=Deep(seeds=2)))
    for ours, theirs in zip(seen.trajectories, only(simple).trajectories, strict=False):
        assert ours.losses == theirs.losses[:4]
    assert seen.look.error == "" and len(seen.look.losses) == 2


def test_pytest_targets(shared):
    helper = shared.write("helper_module.py", NORMAL)
    test = shared.write(
        "test_things.py",
        """
        import pytest
        from helper_module import *

        @pytest.fixture
        def torn_down():
            yield
            print("torn down")

        def test_nothing():
            assert 1 + 1 == 2

        @pytest.mark.parametrize("rate", [0.1, 0.2])
        def test_svi(rate, torn_down):
            pyro.clear_param_store()
            svi = SVI(model, guide, Adam({"lr": rate}), Trace_ELBO())
            for i in range(100):
                loss = svi.step(data)
            assert loss < 1e-3
        """,
    )
    before = sorted(shared.folder.rglob("*"))
    patched = test.read_bytes().replace(b"1 + 1 == 2", b"1 + 2 == 3")
    seen = shared.run(
        "pytest -s test_things.py",
        overlay={test: patched},
        marks={test: (11, 15), helper: (10,)},
        expect_svis=2,
        seeds=(0, 1),
    )
    assert seen.failure is None, shared.output
    assert [svi.trajectories[0].rates[0] for svi in seen.svis] == [(0.1,), (0.2,)], (seen, shared.output)
    assert [len(t.losses) for svi in seen.svis for t in svi.trajectories] == [4] * 4
    assert seen.hits[f"{test}:11"] >= 1 and seen.hits[f"{test}:15"] >= 2 and seen.hits[f"{helper}:10"] > 8
    assert "torn down" in "".join(shared.output)
    assert sorted(shared.folder.rglob("*")) == before, "pytest has written into the tree"


def test_a_pytest_run_that_breaks(shared):
    shared.write("test_broken.py", "import torchvision_of_nobody\n")
    failure = shared.run("python -m pytest test_broken.py").failure
    assert (failure.kind, failure.where) == ("ModuleNotFoundError", "test_broken.py:1")
    failure = shared.run("pytest test_broken.py -k nothing --no-such-option").failure
    assert failure.kind == "pytest"


def test_subclasses_and_custom_losses(shared):
    shared.write(
        "custom.py",
        NORMAL
        + """
class Logged(SVI):
    def step(self, *args, **kwargs):
        self.seen = super().step(*args, **kwargs)
        return self.seen

def loss_fn(model, guide, *args):
    return Trace_ELBO().differentiable_loss(model, guide, *args) * 2

svi = Logged(model, guide, Adam({"lr": 0.01}), loss=loss_fn)
for i in range(10):
    svi.step(data)
    assert svi.seen > 0
""",
    )
    seen = only(shared.run("custom.py"))
    assert seen.elbo == "loss_fn" and len(seen.trajectories[0].losses) == 4


@pytest.mark.slow
def test_other_elbos(shared):
    shared.write(
        "others.py",
        NORMAL
        + """
from pyro.infer import JitTrace_ELBO, RenyiELBO, ReweightedWakeSleep, TraceGraph_ELBO
from pyro.optim import SGD, AdagradRMSProp
for elbo in (JitTrace_ELBO(), RenyiELBO(num_particles=2), ReweightedWakeSleep(), TraceGraph_ELBO()):
    pyro.clear_param_store()
    svi = SVI(model, guide, AdagradRMSProp({"eta": 0.1}), elbo)
    for i in range(10):
        svi.step(data)
""",
    )
    from pyro_fix.runner.model import Deep

    seen = shared.run("others.py", expect_svis=4, deep=Deep(seeds=1))
    assert seen.failure is None
    assert [svi.elbo for svi in seen.svis] == ["JitTrace_ELBO", "RenyiELBO", "ReweightedWakeSleep", "TraceGraph_ELBO"]
    assert all(len(svi.trajectories[0].losses) == 4 and svi.look.error == "" for svi in seen.svis)
    assert seen.svis[0].trajectories[0].rates == ((),) * 4
