"""What users copy: the action, the workflows of docs/bot, and every command that its pages show."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pyro_fix import cli
from pyro_fix.bot import commands

TOP = Path(__file__).resolve().parents[2]
ACTION = TOP / "action.yml"
PAGES = TOP / "docs" / "bot"
WORKFLOWS = sorted(PAGES.glob("*.yml"))
TOKENS = re.compile(r"secrets\.|github\.token|GITHUB_TOKEN|GH_TOKEN", re.IGNORECASE)

# Both tools need Python 3.11.
pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="zizmor and check-jsonschema need Python 3.11")


def tool(name: str, *arguments: object) -> None:
    command = [str(Path(sys.executable).parent / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def read(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML

    told: dict[str, Any] = YAML(typ="safe").load(path)
    return told


def runs(path: Path) -> list[str]:
    steps = [step for job in read(path)["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


def test_zizmor_finds_nothing():
    tool("zizmor", "--offline", "--no-progress", "--persona=pedantic", ACTION, *WORKFLOWS)


def test_their_form_is_right():
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *WORKFLOWS)
    tool("check-jsonschema", "--builtin-schema", "vendor.github-actions", ACTION)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
class TestJobs:
    def test_what_runs_code_has_no_token_and_what_has_one_has_no_code(self, path: Path):
        for name, job in read(path)["jobs"].items():
            plans = "bot plan" in repr(job)
            checks_out = "actions/checkout@" in repr(job)
            writes = "write" in job["permissions"].values()
            assert plans == checks_out, name
            assert not (plans and TOKENS.search(repr(job))), name
            assert not plans or job["permissions"] == {"contents": "read"}, name
            assert not (writes and checks_out), name
            assert (
                "pip install" not in repr(job)
                or plans
                or re.findall(r"pip install ([^']*)", repr(job)) == ['"pyro-fix[bot]"']
            ), f"{name} installs what the repository says"

    def test_no_credentials_stay_in_a_checkout(self, path: Path):
        for job in read(path)["jobs"].values():
            for step in job["steps"]:
                if step.get("uses", "").startswith("actions/checkout@"):
                    assert step["with"]["persist-credentials"] is False

    def test_nothing_is_cached(self, path: Path):
        # A program that runs in one job could lay something into a cache for another that has a token.
        assert "cache" not in path.read_text()

    def test_no_expression_stands_in_a_script(self, path: Path):
        assert [script for script in runs(path) if "${{" in script] == []


# --- the action


def step_of(name: str) -> dict[str, Any]:
    (found,) = [step for step in read(ACTION)["runs"]["steps"] if step.get("name") == name]
    return found


def act(temporary: Path, command: str, **given: str) -> tuple[int, list[str], dict[str, str]]:
    """Run the action's step for ``command`` with a pyro-fix that tells what it was given: status, words, environment."""
    inputs = {name: str(told.get("default", "")) for name, told in read(ACTION)["inputs"].items()}
    inputs |= {"command": command, "repo": "me/mine", "token": "ghp_secret", **given}
    step = step_of("Plan" if command == "plan" else "Everything else")
    stub = temporary / "pyro-fix" / "bin" / "pyro-fix"
    stub.parent.mkdir(parents=True)
    stub.write_text('#!/bin/sh\nprintf "%s\\0" "$@" > "$RUNNER_TEMP/words"\nenv -0 > "$RUNNER_TEMP/environment"\n')
    stub.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "RUNNER_TEMP": str(temporary)}
    for name, expression in step["env"].items():
        environment[name] = re.sub(r"\$\{\{ inputs\.([a-z-]+) \}\}", lambda match: inputs[match[1]], expression)
    done = subprocess.run(["bash", "-eo", "pipefail", "-c", step["run"]], cwd=temporary, env=environment)
    if done.returncode:
        return done.returncode, [], {}
    words = (temporary / "words").read_text().split("\0")[:-1]
    seen = (temporary / "environment").read_text().split("\0")[:-1]
    return 0, words, dict(line.split("=", 1) for line in seen)


HOSTILE = ['$(touch "$RUNNER_TEMP/bad")', "`touch bad`", "a; touch bad", "two words", "* ?", '"', "'"]


def test_inputs_are_words_and_never_code(tmp_path: Path):
    told = "\n".join(HOSTILE)
    (tmp_path / "refused.json").write_text("[]")
    _, words, _ = act(tmp_path, "plan", paths=told, args=f"--exclude\n{told}", folder=HOSTILE[0])
    python = words[words.index("--python") + 1]
    assert words == [
        *("bot", "plan", "--out", HOSTILE[0], "--refused", "refused.json", "--python", python),
        *("--exclude", *HOSTILE, "--", *HOSTILE),
    ]
    assert not list(tmp_path.rglob("bad"))


def test_plan_gets_no_token(tmp_path: Path):
    _, words, environment = act(tmp_path, "plan")
    assert "--refused" not in words  # there is no such file
    assert [name for name, value in environment.items() if "ghp_secret" in value] == []


@pytest.mark.parametrize(
    ("command", "given", "expected"),
    [
        ("publish", {"args": "--limit\n2"}, ["--limit", "2", "--", "plan"]),
        ("refused", {}, ["--out", "refused.json"]),
        ("review", {"pull": "7"}, ["--pull", "7", "--", "plan"]),
    ],
)
def test_the_other_commands(tmp_path: Path, command: str, given: dict[str, str], expected: list[str]):
    status, words, environment = act(tmp_path, command, **given)
    assert (status, words) == (0, ["bot", command, "--repo", "me/mine", *expected])
    assert environment["GITHUB_TOKEN"] == "ghp_secret"
    parsed(words)


def test_a_command_that_there_is_not(tmp_path: Path):
    assert act(tmp_path, "plan; touch bad")[0] == 2
    assert not (tmp_path / "bad").exists()


# --- commands that are shown


def parsed(words: list[str]) -> None:
    """Have the command line understand ``bot …``, and nothing done."""
    action = cli._parse(words)
    if words[1] in ("plan", "run"):
        cli._bot_options(list(action.args[1]))  # type: ignore[attr-defined]


def shown() -> list[str]:
    scripts = [script for path in WORKFLOWS for script in runs(path)]
    text = (PAGES / "README.md").read_text()
    scripts += re.findall(r"^```[a-z]*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    scripts.append("\n".join(re.findall(r"^    (.*)$", text, re.MULTILINE)))
    lines = [line for script in scripts for line in script.replace("\\\n", "").splitlines()]
    found = [re.search(r"\bpyro-fix bot .*", line) for line in lines]
    return sorted({match[0] for match in found if match})


@pytest.mark.parametrize("command", shown())
def test_every_command_that_is_shown_is_understood(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for path in ("src", ".venv/bin"):
        (tmp_path / path).mkdir(parents=True)
    words = shlex.split(command.replace("$number", "7"), comments=True)
    ends = [at for at, word in enumerate(words) if word in ("|", "&&", ";", ">")]
    parsed(words[1 : ends[0] if ends else None])


def test_every_command_is_shown():
    known = {command.callback.__name__ for command in commands.APP.registered_commands if command.callback}
    assert {command.split()[2] for command in shown()} == known
