"""A program that is verified looks for the bot's token wherever one could lie."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_make import git

from pyro_fix.bot import plan as plans
from pyro_fix.runner import sandbox

TOKEN = "ghp_" + "Zq9xT4wLm2" * 4  # what GitHub's look like
THIEF = f'''
import glob, os, subprocess
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

TOKEN = "{TOKEN[:20]}" + "{TOKEN[20:]}"  # in two, so that this file does not hold it


def look(path):
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
            return file.read(2_000_000) or b""
    except OSError:
        return b""


places = {{"environment": repr(dict(os.environ)).encode()}}
for pattern in ("/proc/*/environ", "/proc/*/task/*/environ", "/proc/*/cmdline", "/proc/self/fd/*"):
    places |= {{path: look(path) for path in glob.glob(pattern)}}
top = os.path.dirname(os.path.abspath(__file__))
home = os.path.expanduser("~")
for path in (".git/config", f"{{home}}/.gitconfig", f"{{home}}/.netrc", f"{{home}}/.config/gh/hosts.yml"):
    places[path] = look(os.path.join(top, path))
try:
    shown = subprocess.run("env; cat /proc/$PPID/environ; git config --list", shell=True, capture_output=True, cwd=top)
    places["a shell"] = shown.stdout + shown.stderr
except OSError:
    pass
found = [name for name, data in places.items() if TOKEN.encode() in data]
if found:
    raise RuntimeError("stolen from " + found[0].split("/")[-1])

data = torch.randn(20) + 3


def model(data):
    scale = pyro.param("scale", torch.tensor(1.0))
    loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
    with pyro.plate("n", len(data)):
        pyro.sample("obs", dist.Normal(loc, scale), obs=data)


def guide(data):
    pyro.sample("loc", dist.Normal(pyro.param("m", torch.tensor(0.0)), 0.1))


svi = SVI(model, guide, Adam({{"lr": 0.01}}), loss=Trace_ELBO())
for step in range(1000):
    svi.step(data)
'''


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "repo"
    folder.mkdir()
    (folder / "train.py").write_text(THIEF)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "First")
    # What `actions/checkout` leaves where it is not told otherwise.
    git(folder, "config", "http.https://github.com/.extraheader", f"AUTHORIZATION: basic {TOKEN}")
    return folder


def _plan(checkout: Path, out: Path, *arguments: str) -> tuple[plans.Plan, str]:
    environment = {
        **os.environ,
        "GITHUB_TOKEN": TOKEN,
        "MY_DEPLOY_KEY": TOKEN,
        "XDG_CACHE_HOME": str(out.parent / "cache"),
    }
    command = [
        sys.executable,
        "-m",
        "pyro_fix",
        "bot",
        "plan",
        "--out",
        str(out),
        "--select",
        "SVI051",
        "--steps",
        "10",
    ]
    command += ["--unverified", "--seeds", "2", *arguments]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    whole = done.stdout + done.stderr + (out / "plan.json").read_text()
    return plans.read(out), whole


@pytest.mark.skipif(bool(sandbox.missing()), reason=f"this machine cannot enforce: {', '.join(sandbox.missing())}")
def test_a_verified_program_cannot_read_the_token(checkout: Path, tmp_path: Path) -> None:
    plan, said = _plan(checkout, tmp_path / "plan")
    (fix,) = plan.groups[0].fixes
    assert fix.verified, fix.reason  # it ran to its end, and found nothing
    assert TOKEN not in said and "stolen" not in said


def test_without_the_sandbox_it_could(checkout: Path, tmp_path: Path) -> None:
    """Or the test above could not fail."""
    plan, said = _plan(checkout, tmp_path / "plan", "--no-sandbox")
    assert not any(fix.verified for group in plan.groups for fix in group.fixes)
    assert "stolen from" in said
