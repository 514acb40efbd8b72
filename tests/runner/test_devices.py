"""What a run computes on.  Tests that need a graphics card say so and are skipped without one."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from programs import NORMAL

from pyro_fix.probe import devices as probe
from pyro_fix.runner import devices

PYTHON = Path(sys.executable)
SCRIPT = PYTHON.with_name("pyro-fix")

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no second CUDA device here")
needs_mps = pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS device here")

TRAINS = (
    NORMAL
    + """
svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(6):
    svi.step(data)
print(data.device)
"""
)
BARE = TRAINS.replace("torch.tensor(1.0), constraint=constraints.positive", "torch.tensor(0.1)")


def test_any_interpreter_can_do_without_a_device():
    for device in ("auto", "cpu"):
        devices.check(Path("/no/python"), device)


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an MPS device here")
def test_no_mps_device():
    with pytest.raises(devices.DeviceError, match=r"^--device mps: this interpreter's torch finds no MPS device \(/"):
        devices.check(PYTHON, "mps")


def test_no_such_cuda_device():
    count = torch.cuda.device_count()
    found = f"finds {count} CUDA device" if count else "finds no CUDA device"
    with pytest.raises(devices.DeviceError, match=f"^--device cuda:99: this interpreter's torch {found}"):
        devices.check(PYTHON, "cuda:99")


def test_an_interpreter_that_cannot_be_asked():
    with pytest.raises(devices.DeviceError, match=r"^--device cuda: the interpreter cannot be asked: [^\n]+$"):
        devices.check(Path("/no/python"), "cuda")


@pytest.mark.parametrize("device", ["cuda:99", "mps"])
def test_nothing_runs_where_the_device_is_missing(tmp_path, device):
    if probe.missing(device) == "":
        pytest.skip(f"there is a device {device} here")
    marker = tmp_path / "ran"
    (tmp_path / "train.py").write_text(BARE + f"\nopen({str(marker)!r}, 'w')\n")
    command = [SCRIPT, "--diff", "--no-cache", "--no-sandbox", "--device", device, "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"pyro-fix: --device {device}: this interpreter's torch finds ")
    assert done.stderr.count("\n") == 1
    assert not marker.exists()


def test_a_generators_numbers_are_drawn_where_it_lives():
    code = "import torch; from pyro_fix.probe import devices; devices.enter('meta'); g = torch.Generator()\n"
    code += "print(torch.randperm(3, generator=g).device, torch.randn(2).device, torch.rand(2, device='cpu').device)"
    done = subprocess.run([PYTHON, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["cpu", "meta", "cpu"], done.stderr


def test_on_the_cpu_nothing_is_told_of_a_device(project):
    project.write("train.py", TRAINS)
    seen = project.run("train.py", device="cpu")
    assert (seen.device, seen.device_memory) == ("cpu", None)
    (trajectory,) = seen.svis[0].trajectories
    assert trajectory.clock == "CPU" and trajectory.step_seconds > 0


@needs_cuda
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_on_cuda(project, device):
    project.write("train.py", TRAINS)
    seen = project.run("train.py", device=device, seeds=(0, 1))
    assert seen.failure is None
    assert seen.device == f"cuda:0 ({torch.cuda.get_device_name(0)})"
    assert seen.device_memory > 0
    assert [len(t.losses) for t in seen.svis[0].trajectories] == [4, 4]
    assert all(t.clock == "device" and 0 < t.step_seconds < 60 for t in seen.svis[0].trajectories)


@needs_cuda
def test_a_program_that_takes_the_device_itself(project):
    project.write(
        "train.py", TRAINS.replace("* 2 + 3", "* 2 + 3\ndata = data.cuda()\ntorch.set_default_device('cuda')")
    )
    seen = project.run("train.py")
    assert seen.device.startswith("cuda:0 (") and seen.device_memory > 0
    assert seen.svis[0].trajectories[0].clock == "device"


@needs_cuda
def test_memory_of_before_the_first_step_does_not_count(project):
    project.write("train.py", TRAINS.replace("def model", "big = torch.ones(1 << 28)\ndel big\n\ndef model", 1))
    assert project.run("train.py", device="cuda").device_memory < 1 << 30


@needs_cuda
def test_equal_programs_show_the_same_on_cuda(project):
    project.write("train.py", TRAINS)
    first, second = (project.run("train.py", device="cuda") for _ in range(2))
    assert first.svis[0].trajectories[0].losses == second.svis[0].trajectories[0].losses


@needs_cuda
def test_a_fix_is_verified_on_cuda(tmp_path):
    (tmp_path / "train.py").write_text(BARE)
    command = [SCRIPT, "--diff", "--no-cache", "--select=SVI051", "--device", "cuda", "train.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600)
    assert done.returncode == 1, done.stderr
    assert "verified" in done.stderr and "cuda:0 (" in done.stderr and "MiB there" in done.stderr


@needs_two
def test_on_the_second_cuda_device(project):
    project.write("train.py", TRAINS)
    assert project.run("train.py", device="cuda:1").device.startswith("cuda:1 (")


@needs_mps
def test_on_mps(project):
    project.write("train.py", TRAINS)
    seen = project.run("train.py", device="mps")
    assert seen.device == "mps" and seen.device_memory > 0
