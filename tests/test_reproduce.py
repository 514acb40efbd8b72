"""The command in a verdict's evidence comes to that verdict again; nothing here is faked."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pyro_fix import reproduce
from pyro_fix.config import Options
from pyro_fix.result import Finding
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status, Verdict

SCRIPT = Path(sys.executable).with_name("pyro-fix")

PARTS = """\
import torch
import pyro
import pyro.distributions as dist


def model(data):
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


def guide(data):
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(loc, scale))
"""
TRAIN = """\
import torch
import pyro
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import SGD

from parts import guide, model

if __name__ == "__main__":
    data = torch.tensor([1.0, 2.0, 3.0])
    svi = SVI(model, guide, SGD({"lr": 0.0005}), Trace_ELBO())
    for _ in range(40):
        svi.step(data)
"""


def judged(folder: Path, arguments: list[str]) -> dict[str, dict[str, object]]:
    """Code -> the fix."""
    done = subprocess.run([SCRIPT, *arguments, "--format", "json"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return {finding["code"]: finding["fix"] for finding in json.loads(done.stdout)["findings"]}


def test_a_verdict_comes_out_again(tmp_path: Path) -> None:
    """Two files, and fixes of two rounds: SGD has to go before the ELBO is normalised."""
    (tmp_path / "parts.py").write_text(PARTS, encoding="utf-8")
    (tmp_path / "train.py").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "unrelated.py").write_text("import pyro\npyro.enable_validation(False)\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text("[tool.pyro-fix]\nsteps = 12\n", encoding="utf-8")
    first = judged(tmp_path, ["--diff", "--seeds", "2", "."])
    evidence = first["SVI051"]["evidence"]
    assert isinstance(evidence, dict)
    command = shlex.split(evidence["reproduce"])
    assert (
        command[0] == "pyro-fix" and command[-2:] == ["parts.py", "train.py"] and "SVI121" not in evidence["reproduce"]
    )
    again = judged(tmp_path, command[1:])
    assert (
        again.keys()
        == {code for code, fix in first.items() if fix["evidence"] and code != "SVI121"}
        >= {"SVI051", "SVI021"}
    )
    assert all(again[code] == first[code] for code in again), "the same losses, to the last digit"
    assert evidence["steps"] == 12 and evidence["seeds"] == [0, 1]


def finding(path: Path, code: str = "SVI051", **evidence: object) -> Finding:
    candidate = Candidate((Edit(path, 0, 0, ""),), Promise.RUNS_CLEAN, "a fix")
    proposal = Proposal(code, "a-rule", 5, path, 1, 1, "a finding", (candidate,))
    return Finding(proposal, Verdict(Status.VERIFIED, "", {"promise": [], **evidence}, candidate))


def command(options: Options, *findings: Finding) -> str:
    cwd = Path("/home/me")
    known = {f.proposal.path for f in findings}
    told = reproduce.told(findings, options, known, cwd)
    return str(told[0].verdict.evidence["reproduce"])


def test_everything_that_decides_is_in_the_command() -> None:
    options = replace(
        Options(),
        steps=7,
        seeds=3,
        timeout=1.5,
        device="cpu",
        any_pyro_version=True,
        stand_ins=False,
        prove=True,
        prove_within=9.0,
        tune=True,
        unverified=True,
        observe=False,
        python=Path("/opt/env/bin/python"),
        run=("train.py --name 'a b'",),
        sandbox=False,
        readable=(Path("/home/me/.secret"),),
        writable=(Path("/data"),),
        network=True,
        memory=1 << 30,
        processes=8,
        file=Path("/home/me/pyproject.toml"),
    )
    assert shlex.split(command(options, finding(Path("/home/me/train.py")))) == [
        *["pyro-fix", "--diff", "--no-cache", "--verify", "--config", "pyproject.toml", "--select", "SVI051"],
        *["--seeds", "3", "--steps", "7", "--timeout", "1.5", "--device", "cpu", "--python", "/opt/env/bin/python"],
        *[
            "--any-pyro-version",
            "--no-stand-ins",
            "--prove",
            "--prove-within",
            "9",
            "--tune",
            "--unverified",
            "--no-observe",
            "--no-sandbox",
            "--readable",
            ".secret",
            "--writable",
            "/data",
        ],
        *["--network", "--memory", "1073741824B", "--processes", "8", "--run", "train.py --name 'a b'", "train.py"],
    ]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/home/me/it's here.py", "'it'\"'\"'s here.py'"),
        ("/home/me/rules", "./rules"),
        ("/home/me/-x.py", "./-x.py"),
        ("/home/you/a.py", "/home/you/a.py"),
    ],
)
def test_paths_are_quoted(path: str, shown: str) -> None:
    assert command(Options(), finding(Path(path))).endswith(f" --steps 100 {shown}")


def test_fixes_of_the_files_that_the_program_reads_are_tried_too() -> None:
    here, there, other = (Path(f"/home/me/{name}.py") for name in ("here", "there", "other"))
    first = finding(here, files=[str(here), str(there), "/usr/lib/python3/os.py"])
    told = command(Options(), first, finding(there, "SVI101"), finding(other, "SVI121"))
    assert "--select SVI051,SVI101 " in told and told.endswith(" here.py there.py")


def test_what_was_not_judged_has_no_command() -> None:
    advice = replace(finding(Path("/home/me/a.py")), verdict=Verdict(Status.NONE, "advice"))
    assert reproduce.told([advice], Options(), {advice.proposal.path}, Path("/home/me")) == [advice]
