"""Programs that ask for a GPU where there is none run on the CPU, and it is told."""

import pytest

TRAIN = """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for epoch in range(4):
    loss = svi.step(data)
"""
torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")

#: Ways of asking for a GPU.
FORMS = {
    "a tensor's cuda": "data = data.cuda()",
    "cuda with a number": "data = data.cuda(0, non_blocking=True)",
    "to": 'data = data.to("cuda")',
    "to with a number": 'data = data.to("cuda:0", torch.float32)',
    "to an index": "data = data.to(0)",
    "to a device": 'device = torch.device("cuda", 0); data = data.to(device)',
    "to by keyword": 'data = data.to(device="cuda")',
    "made there": 'data = torch.ones(3, device="cuda:0") + torch.tensor(1.0, device="cuda")',
    "drawn there": 'data = torch.randn(5, device=torch.device("cuda")); data = torch.zeros_like(data, device="cuda")',
    "new": 'data = data.new_ones(3, device="cuda")',
    "a module": "net = torch.nn.Linear(1, 1).cuda(); data = net(data[:, None]).detach()[:, 0]",
    "a module to": 'net = torch.nn.Linear(1, 1).to("cuda"); data = net(data[:, None]).detach()[:, 0]',
    "a type": "data = data.type(torch.cuda.FloatTensor) + torch.cuda.FloatTensor([1.0])",
    "a type by name": 'data = data.type("torch.cuda.FloatTensor")',
    "a default type": "torch.set_default_tensor_type(torch.cuda.FloatTensor)",
    "a default type by name": 'torch.set_default_tensor_type("torch.cuda.FloatTensor")',
    "a default device": 'torch.set_default_device("cuda"); data = torch.ones(3)',
    "a device round it": 'with torch.device("cuda"):\n    data = torch.ones(3)',
    "a generator": 'data = torch.randn(5, generator=torch.Generator(device="cuda").manual_seed(3))',
    "saved": 'torch.save(data, "data.pt"); data = torch.load("data.pt", map_location="cuda:0")',
    "saved, a device": 'torch.save(data, "data.pt"); data = torch.load("data.pt", map_location=torch.device("cuda"))',
    "questions": (
        "print(torch.cuda.get_device_name(0), torch.cuda.current_device(), torch.cuda.memory_allocated() + 1)\n"
        "torch.cuda.set_device(0); torch.cuda.synchronize(); torch.cuda.empty_cache()\n"
        "torch.cuda.manual_seed_all(3); torch.cuda.reset_peak_memory_stats()"
    ),
    "a device as context": "with torch.cuda.device(0):\n    data = data.cuda()",
    "events": (
        "a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)\n"
        "a.record(); b.record(); torch.cuda.synchronize(); print(a.elapsed_time(b) / 2)"
    ),
    "parameters": 'pyro.param("far", torch.ones(2).cuda()); data = data.pin_memory()',
    "parallel": "net = torch.nn.DataParallel(torch.nn.Linear(1, 1), device_ids=[0]).cuda(); net(data[:, None])",
}


#: Those that are run each time.
FIRST = ("a tensor's cuda", "to", "made there", "a module", "a default type", "a default device", "saved", "questions")


@pytest.mark.parametrize("form", [f if f in FIRST else pytest.param(f, marks=pytest.mark.slow) for f in FORMS])
def test_what_asks_for_a_gpu_runs_on_the_cpu(project, normal, form):
    project.write("train.py", f"{normal}\n{FORMS[form]}\nassert not torch.cuda.is_available()\n{TRAIN}")
    seen = project.run("train.py")
    assert seen.failure is None, seen.failure
    assert [len(t.losses) for t in seen.svis[0].trajectories] == [4]
    (one,) = seen.substitutes
    assert one.sentence == "CUDA was asked for and is not there: the CPU took its place"
    assert not seen.made_up and seen.device == "cpu"
    assert one.where.startswith("train.py:")


def test_who_asks_first_takes_his_usual_way(project, normal):
    text = 'device = torch.device("cuda" if torch.cuda.is_available() else "cpu")\ndata = data.to(device)\n'
    project.write("train.py", normal + text + TRAIN)
    seen = project.run("train.py")
    assert seen.failure is None and seen.substitutes == ()


def test_a_program_that_does_without_is_left_alone(project, normal):
    text = "try:\n    data = data.cuda()\nexcept (AssertionError, RuntimeError):\n    data = data.clone()\n"
    project.write("train.py", normal + text + TRAIN)
    seen = project.run("train.py")
    assert seen.failure is None and seen.substitutes == ()


def test_the_same_numbers_as_on_the_cpu(project, normal):
    project.write("far.py", normal + 'data = data.to("cuda")\n' + TRAIN)
    project.write("near.py", normal + 'data = data.to("cpu")\n' + TRAIN)
    far, near = (project.run(name, seeds=(0, 1)).svis[0].trajectories for name in ("far.py", "near.py"))
    assert [t.losses for t in far] == [t.losses for t in near]


def test_who_asks_for_a_gpu_is_told_that_there_is_none(project, normal):
    project.write("train.py", normal + "data = data.cuda()\n" + TRAIN)
    assert project.run("train.py", device="cuda").failure.kind == "no-device"


def test_another_failure_is_told_as_it_is(project, normal):
    project.write("train.py", normal + 'data = data.cuda()\nopen("nothing.csv")\n' + TRAIN)
    assert project.run("train.py").failure.kind == "FileNotFoundError"
