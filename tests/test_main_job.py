"""The whole tool on a small program of its own: find, verify, show, apply; nothing here is faked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("pyro-fix")

PROGRAM = """\
import pyro
import pyro.distributions as dist
import torch
from pyro.infer import SVI, Trace_ELBO

NUM_STEPS = 150
data = torch.tensor([1.0, 2.0, 3.0])


def model():
    z = pyro.sample("z", dist.Normal(0.0, 10.0))
    with pyro.plate("data", len(data)):
        pyro.sample("x", dist.Normal(z, 1.0), obs=data)


def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(loc, scale))


def main():
    svi = SVI(model, guide, pyro.optim.ClippedAdam({"lr": 0.01, "lrd": 0.999}), Trace_ELBO())
    for _ in range(NUM_STEPS):
        svi.step()


if __name__ == "__main__":
    main()
"""
FIXED = PROGRAM.replace("torch.tensor(0.1))", "torch.tensor(0.1), constraint=dist.constraints.positive)")
SELECT = "--select=SVI051"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(PROGRAM, encoding="utf-8")
    (tmp_path / "other.py").write_text("print('no SVI here')\n", encoding="utf-8")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [SCRIPT, *arguments],
        cwd=folder,
        env={**os.environ, "XDG_CACHE_HOME": str(folder.parent / "cache"), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout, done.stderr


def dirty(folder: Path) -> str:
    done = subprocess.run(["git", "status", "--short"], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def text(folder: Path) -> str:
    return (folder / "train.py").read_text(encoding="utf-8")


def test_listing_is_static(folder: Path) -> None:
    # An interpreter that cannot run anything shows that nothing is run.
    code, out, err = run(folder, SELECT, "--python", "false")
    assert code == 1
    assert out.startswith("train.py:18:") and " SVI051 " in out and "[fix: " in out and out.count("\n") == 1
    assert "nothing was run" in err
    document = json.loads(run(folder, SELECT, "--format", "json")[1])
    assert document["findings"][0]["fix"]["status"] == "unverified"
    assert document["findings"][0]["fix"]["diff"].startswith("--- a/train.py\n+++ b/train.py\n@@")


def test_static_diff_is_what_apply_writes(folder: Path) -> None:
    before = dirty(folder)
    code, out, _ = run(folder, SELECT, "--diff", "--no-verify")
    assert (code, dirty(folder)) == (1, before)
    check = subprocess.run(["git", "apply", "--check"], cwd=folder, input=out, text=True, capture_output=True)
    assert check.returncode == 0, check.stderr
    code, out, err = run(folder, SELECT, "--apply", "--no-verify")
    assert (code, out) == (0, "")
    assert "not verified" in err
    assert text(folder) == FIXED
    assert run(folder, SELECT, "--apply", "--no-verify")[0] == 0, "a second run finds nothing"
    assert text(folder) == FIXED


def test_static_pass_imports_no_torch(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "pyro_fix", "--no-verify", "train.py"],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "pyro_fix" in loaded and not loaded & {"torch", "pyro", "rich", "numpy"}


def test_verified_fixes_are_shown_and_applied(folder: Path) -> None:
    before = dirty(folder)
    code, shown, err = run(folder, SELECT, "--diff", "--steps", "40", "--prove-within", "0")
    assert code == 1, err
    assert dirty(folder) == before, "--diff writes nothing"
    assert "verified: " in err and "torch " in err
    code, out, err = run(folder, SELECT, "--apply", "--steps", "40", "--prove-within", "0")
    assert (code, out) == (0, ""), err
    assert text(folder) == FIXED
    (folder / "train.py").write_text(PROGRAM, encoding="utf-8")
    subprocess.run(["git", "apply"], cwd=folder, input=shown, text=True, check=True)
    assert text(folder) == FIXED
    assert subprocess.run([sys.executable, "train.py"], cwd=folder).returncode == 0


def test_a_program_that_cannot_run_keeps_its_fixes_back(folder: Path) -> None:
    broken = PROGRAM.replace("import torch\n", "import torch\nimport no_such_module_at_all\n")
    (folder / "train.py").write_text(broken, encoding="utf-8")
    code, out, err = run(folder, SELECT, "--no-stand-ins", "--diff")
    assert (code, out) == (1, "")
    assert "left out: " in err and "no_such_module_at_all" in err
    code, _, err = run(folder, SELECT, "--no-stand-ins", "--apply")
    assert code == 3
    assert text(folder) == broken
    code, _, err = run(folder, SELECT, "--no-stand-ins", "--apply", "--unverified")
    assert code == 0, err
    assert "constraint=dist.constraints.positive" in text(folder)


def test_run_mistakes_are_one_line(folder: Path) -> None:
    for command in ("", "nowhere.py", "'"):
        code, out, err = run(folder, "--diff", "--run", command)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("pyro-fix: --run")


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_ctrl_c_leaves_nothing_behind(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    scratch = tmp_path_factory.mktemp("scratch")
    slow = "import time\n" + PROGRAM.replace("svi.step()", "svi.step(), time.sleep(1)")
    (folder / "train.py").write_text(slow, encoding="utf-8")
    child = subprocess.Popen(
        [SCRIPT, SELECT, "--diff", "--no-cache"],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert "train.py" in child.stderr.readline(), "by then the program runs"
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert (child.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "pyro-fix: interrupted"
    assert not list(scratch.iterdir())
    commands = subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout
    assert str(folder / "train.py") not in commands


@pytest.mark.slow
def test_a_program_that_forges_its_own_record_is_not_verified(folder: Path) -> None:
    """Ten lines that make all losses fall; without them the same fix is verified."""
    forger = """
import sys
journal = sys.modules["_pyro" + "_fix_probe.journal"].Journal
real = journal.step


def step(self, **told):
    real(self, **{**told, "loss": 100.0 / (1 + told["step"]), "nonfinite": ""})


journal.step = step
"""
    for text, status in (
        (PROGRAM.replace("NUM_STEPS", forger + "\nNUM_STEPS", 1), "unverified"),
        (PROGRAM, "verified"),
    ):
        (folder / "train.py").write_text(text, encoding="utf-8")
        code, out, err = run(folder, SELECT, "--verify", "--format", "json")
        assert code == 1, err
        (finding,) = json.loads(out)["findings"]
        assert finding["fix"]["status"] == status, finding["fix"]["reason"]
        assert ("reaches into the recorder" in finding["fix"]["reason"]) == (status == "unverified")
