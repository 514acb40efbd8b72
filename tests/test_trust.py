"""What a stranger's repository may not do; every attack has a control in which it works."""

from __future__ import annotations

import contextlib
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pyro_fix import cli, config, engine, trust
from pyro_fix.bot import checkout, settings
from pyro_fix.bot.plan import PlanError
from pyro_fix.config import Options
from pyro_fix.observation import Failure
from pyro_fix.probe import sandbox as probe
from pyro_fix.runner import interpreter
from pyro_fix.transform import Candidate, Edit, Promise, Proposal

SCRIPT = Path(sys.executable).with_name("pyro-fix")
TOKENS = {"GITHUB_TOKEN": "ghp_inTheEnvironment0123456789"}
PLAN = ("bot", "plan", "--out", "../plan", "--require-sandbox")
IN_FILE = "inAFileAtHome0123456789"

locked = pytest.mark.skipif(bool(probe.missing()), reason="this machine has no sandbox")

TRAIN = """\
import torch
import pyro
import pyro.distributions as dist
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

def model():
    pyro.sample("z", dist.Normal(0.0, 1.0))

def guide():
    loc = pyro.param("loc", torch.tensor(0.0))
    scale = pyro.param("scale", torch.tensor(0.1))
    pyro.sample("z", dist.Normal(loc, scale))

svi = SVI(model, guide, Adam({"lr": 0.01}), Trace_ELBO())
for _ in range(3):
    svi.step()
"""


class Tree:
    """A stranger's repository, and the user's home beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home, self.marker = folder / "tree", folder / "home", folder / "ran"
        (self.folder / ".git").mkdir(parents=True)
        self.home.mkdir()
        (self.home / ".token").write_text(IN_FILE)
        self.write("train.py", TRAIN)
        self.known = self.home / ".config" / "pyro-fix" / "config.toml"

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def settings(self, table: str) -> None:
        self.write("pyproject.toml", f"[tool.pyro-fix]\n{table}\n")

    def program(self, name: str) -> Path:
        """A program that says what it can read, and leaves a mark."""
        path = self.write(
            name,
            f'#!/bin/sh\necho "env $GITHUB_TOKEN file $(cat {self.home}/.token)"\necho x > {self.marker}\nexit 1\n',
        )
        path.chmod(0o755)
        return path

    def environment(self, **more: str) -> dict[str, str]:
        kept = {
            k: v for k, v in os.environ.items() if k not in ("VIRTUAL_ENV", "CONDA_PREFIX", "XDG_CONFIG_HOME", "CI")
        }
        return {**kept, **TOKENS, "HOME": str(self.home), **more}

    def run(
        self, *words: str, command: tuple[str, ...] = (str(SCRIPT),), **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*command, *words],
            cwd=self.folder,
            env=self.environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    def commit(self) -> None:
        (self.folder / ".git").rmdir()
        for words in (
            ("init", "-q"),
            ("add", "-A"),
            ("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "x"),
        ):
            subprocess.run(["git", *words], cwd=self.folder, env=self.environment(), check=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def ignored(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in done.stderr.splitlines() if line.startswith("ignored: ")]


def test_a_listing_stays_static(tree: Tree) -> None:
    tree.write("train.py", f"open({str(tree.marker)!r}, 'w')\n{TRAIN}")
    tree.settings("verify = true\nsandbox = false")
    done = tree.run("train.py", "--no-cache")
    assert done.returncode == 1 and not tree.marker.exists()
    assert "nothing was run" in done.stderr
    (line,) = ignored(done)
    assert line == (
        f"ignored: {tree.folder}/pyproject.toml sets verify = true, sandbox = false: the folder is not trusted (--trust,"
        f' or trusted = ["{tree.folder}"] in {tree.known})'
    )
    done = tree.run("train.py", "--no-cache", "--trust")
    assert not ignored(done) and tree.marker.exists()


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (".venv", ("--diff",)),
        ("python = 'evil.sh'", PLAN),
        pytest.param("python = 'evil.sh'", ("--diff",), marks=pytest.mark.slow),
        pytest.param(".venv", PLAN, marks=pytest.mark.slow),
    ],
)
@locked
def test_the_tree_does_not_choose_the_interpreter(tree: Tree, how: str, words: tuple[str, ...]) -> None:
    if how == ".venv":
        evil = tree.program(".venv/bin/python")
    else:
        evil = tree.program("evil.sh")
        tree.settings(how)
    tree.commit()
    done = tree.run(*words, "train.py", "--no-cache", "--seeds=1", "--steps=2", "--select=SVI051")
    assert not tree.marker.exists()
    said = done.stdout + done.stderr
    if how == ".venv":
        assert f"{evil} is not used, but {Path(sys.executable).parent}/python" in said
        assert f': --trust, or trusted = ["{tree.folder}"] in {tree.known}' in said
    else:
        (line,) = ignored(done)
        assert "sets python = " in line
    assert "SVI" in (tree.folder / "../plan/plan.json").read_text() if "bot" in words else "verified" in said
    assert IN_FILE not in said and TOKENS["GITHUB_TOKEN"] not in said


@locked
def test_whatever_the_interpreter_is_it_is_asked_inside(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**TOKENS, "HOME": str(tree.home)}.items():
        monkeypatch.setenv(name, value)
    evil = tree.program("evil.sh")
    found = interpreter.check(evil)
    assert isinstance(found, Failure) and "Permission denied" in found.message and not tree.marker.exists()
    assert IN_FILE not in found.message and TOKENS["GITHUB_TOKEN"] not in found.message
    found = interpreter.check(evil, None)
    assert isinstance(found, Failure) and tree.marker.exists()
    assert f"env {TOKENS['GITHUB_TOKEN']} file {IN_FILE}" in found.message, "the control"


def test_a_virtual_environment_that_the_user_has_activated_is_the_users_choice(tree: Tree) -> None:
    tree.program(".venv/bin/python")
    done = tree.run("--diff", "train.py", "--format=json", VIRTUAL_ENV=str(tree.folder / ".venv"))
    assert "is no Python that can be run" in done.stdout and "is not used" not in done.stderr


# --- each setting


def stake(tree: Tree, table: str, listing: bool = False, **given: object) -> trust.Stake:
    tree.settings(table)
    return trust.stake(config.load(tree.folder), tree.folder, explicit=False, listing=listing, given=given)


@pytest.mark.parametrize(
    "line",
    [
        "sandbox = false",
        "require-sandbox = false",
        "network = true",
        "readable = ['.']",
        "writable = ['.']",
        "executor = 'dask://evil:8786'",
        f"python = '{sys.executable}'",
        "memory = '100TiB'",
        "processes = 257",
        "jobs = 10000",
        "timeout = 601",
        "steps = 1001",
        "seeds = 17",
        "prove = true",
        "tune = true",
        "prove-within = 61",
        "paths = ['/']",
        "paths = ['..']",
        "paths = ['link']",
        "run = ['/opt/other.py']",
        "run = ['../other.py']",
        "run = ['python link/other.py']",
        "run = ['pytest /opt/tests::test_x']",
        "run = ['pytest --rootdir=/opt']",
        "run = ['train.py --out ../x']",
    ],
)
def test_what_is_not_believed(tree: Tree, line: str) -> None:
    (tree.folder / "link").symlink_to("/usr")
    found = stake(tree, line)
    name = line.partition(" = ")[0].replace("-", "_")
    assert list(found.refused) == [name] and not found.believed.values
    assert stake(tree, line, **{name: [1]}).refused == {}, "the command line decides"


@pytest.mark.parametrize(
    "line",
    [
        "sandbox = true",
        "require-sandbox = true",
        "network = false",
        "executor = 'local'",
        "memory = '64MiB'",
        "processes = 3",
        "jobs = 1",
        "timeout = 5",
        "steps = 7",
        "seeds = 1",
        "prove = false",
        "tune = false",
        "prove-within = 5",
        "paths = ['.', 'train.py']",
        "run = ['python train.py --epochs 2', '/usr/bin/python3 train.py', 'python -m train', 'pytest -q train.py::x']",
        "verify = false",
        "select = ['SVI05']",
        "quiet = true",
    ],
)
def test_what_is_believed(tree: Tree, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.folder)
    assert stake(tree, line).refused == {}


def test_every_setting_is_in_the_table() -> None:
    told = trust.__doc__ or ""
    for name in config._CHECKS:
        assert f"``{name.replace('_', '-')}``" in told, name


def test_of_a_list_what_leads_out_is_left_out(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.folder)
    found = stake(tree, "run = ['train.py', '/opt/x.py']\npaths = ['.', '..']")
    assert found.believed.values == {"run": ("train.py",), "paths": (Path(),)}
    assert found.refused == {"run": ("/opt/x.py",), "paths": (tree.folder.parent,)} or found.refused["run"] == (
        "/opt/x.py",
    )


def test_settings_of_the_user_are_the_users(tree: Tree, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[tool.pyro-fix]\nnetwork = true\n")
    file = config.read(own)
    assert file is not None
    assert trust.stake(file, tree.folder, explicit=True, listing=False, given={}).refused == {}
    link = tree.folder / "linked.toml"
    link.symlink_to(own)
    file = config.read(link)
    assert file is not None
    assert trust.stake(file, tree.folder, explicit=True, listing=False, given={}).refused == {"network": True}


def test_settings_above_the_repository_belong_to_a_tree_of_their_own(tree: Tree) -> None:
    (tree.folder.parent / "pyproject.toml").write_text("[tool.pyro-fix]\nnetwork = true\n")
    found = trust.stake(config.load(tree.folder), tree.folder, explicit=False, listing=False, given={})
    assert found.tree == tree.folder.parent and found.refused


def test_of_the_bots_settings_none_decides_what_the_token_does() -> None:
    table = {"group-by": "rule", "limit": 9, "labels": ["automerge"], "base": "release", "branch-prefix": "x/"}
    kept, refused = settings.without_trust(table)
    assert kept == {"group-by": "rule"} and set(refused) == {"limit", "labels", "base", "branch-prefix"}
    assert settings.without_trust({"limit": 2}) == ({"limit": 2}, {})


def test_the_bot_publishes_by_its_own_word(tree: Tree, tmp_path: Path) -> None:
    tree.settings("[tool.pyro-fix.bot]\nbase = 'release'")
    for words, told in (((), 1), (("--trust",), 0)):
        done = tree.run("bot", "publish", "nowhere", "--dry-run", *words)
        assert len(ignored(done)) == told and "nowhere" in done.stderr


# --- other people's files


def test_apply_changes_nothing_that_a_link_leads_to(tree: Tree) -> None:
    other = tree.folder.parent / "other.py"
    other.write_text(TRAIN)
    tree.write("train.py", "")
    (tree.folder / "model.py").symlink_to(other)
    done = tree.run("--apply", "--no-verify", ".")
    assert other.read_text() == TRAIN
    assert f"the fix would change {tree.folder}/model.py, outside of the folder that was scanned" in done.stderr
    tree.run("--apply", "--no-verify", "model.py")
    assert other.read_text() != TRAIN, "a file that is named is meant"


@pytest.mark.parametrize("shared", ["", "settings"])
@pytest.mark.parametrize("repositories", [False, True])
def test_each_given_path_has_bounds_of_its_own(tree: Tree, shared: str, repositories: bool) -> None:
    shutil.rmtree(tree.folder / ".git", ignore_errors=True)
    for name in ("mine/m.py", "theirs/.git/x", "victim/v.py", "mine/.git/x"):
        (tree.folder / name).parent.mkdir(parents=True, exist_ok=True)
    victim = tree.folder / "victim/v.py"
    victim.write_text(TRAIN)
    tree.write("mine/m.py", TRAIN)
    (tree.folder / "theirs/l.py").symlink_to("../victim/v.py")
    (tree.folder / "theirs/m.py").symlink_to("../mine/m.py")
    if not repositories:
        for name in ("mine", "theirs"):
            (tree.folder / name / ".git").rmdir()
    if shared:
        tree.settings("quiet = false")
    done = tree.run("--apply", "--no-verify", "mine", "theirs")
    bounded = repositories or not shared  # a folder with settings is one project, unless its parts are repositories
    assert (victim.read_text() == TRAIN) == bounded, done.stderr
    assert ("theirs/l.py, outside of the folder that was scanned" in done.stderr) == bounded
    assert (tree.folder / "mine/m.py").read_text() != TRAIN
    tree.run("--apply", "--no-verify", "mine", "theirs/l.py")
    assert victim.read_text() != TRAIN, "a file that is named is meant"


def test_nor_what_an_import_leads_to(tree: Tree) -> None:
    inside, outside = tree.folder / "train.py", tree.folder.parent / "other.py"
    for edited, held_back in (((inside,), False), ((inside, outside), True)):
        candidate = Candidate(tuple(Edit(path, 0, 0, "") for path in edited), Promise.RUNS_CLEAN, "a fix")
        proposal = Proposal("SVI051", "a-rule", 5, inside, 1, 1, "a finding", (candidate,))
        assert bool(engine._within(proposal, Options(trees=(tree.folder,))).held_back) == held_back
        named = Options(paths=(inside, outside), trees=(tree.folder,))
        assert engine._within(proposal, named) == engine._within(proposal, Options()) == proposal


# --- what the user says


def test_the_nearest_folder_that_was_spoken_of_decides(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tree.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    tree.known.parent.mkdir(parents=True)
    tree.known.write_text(f"trusted = ['~/projects', '{tree.folder}']\nuntrusted = ['~/projects/evil']\n")
    known = trust.known(tree.folder / "elsewhere")
    assert [
        known.says(path) for path in (tree.home / "projects/a", tree.home / "projects/evil/x", tree.folder, Path("/"))
    ] == [
        True,
        False,
        True,
        None,
    ]


def test_a_file_in_the_tree_is_not_the_users(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tree.folder))
    tree.write("pyro-fix/config.toml", f"trusted = ['{tree.folder}']\n")
    assert trust.known(tree.folder).says(tree.folder) is None
    outside = tree.home / "pyro-fix"
    outside.symlink_to(tree.folder / "pyro-fix")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tree.home))
    assert trust.known(tree.folder).says(tree.folder) is None
    assert trust.known(tree.home / "x").says(tree.folder) is True, "of another tree it is"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trusted = 3", "trusted must be a list of folders"),
        ("trust = []", "unknown key 'trust'"),
        ("trusted = ['here']", "must be an absolute path"),
        ("trusted = [", "is not valid TOML"),
    ],
)
def test_a_file_that_cannot_be_understood_is_told(
    tree: Tree, text: str, said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tree.home))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    tree.known.parent.mkdir(parents=True)
    tree.known.write_text(text)
    tree.settings("network = true")
    assert cli.main(["--diff", str(tree.folder)]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["", "# mine\nuntrusted = ['/a']\n", "untrusted = [\n  # here\n]\ntrusted = ['/a',]\n", "trusted=[]\n"]
)
@pytest.mark.parametrize("answer", [True, False])
def test_an_answer_is_kept_and_nothing_else_changed(tree: Tree, text: str, answer: bool) -> None:
    file = tree.home / "a" / "config.toml"
    file.parent.mkdir()
    file.write_text(text)
    before = trust._folders(text.encode(), file)
    odd = tree.folder / 'é "x"\\'
    trust.remember(file, odd, answer)
    assert trust._folders(file.read_bytes(), file) == {**before, odd: answer}
    assert all(line in file.read_text() for line in text.splitlines() if line.startswith("#"))


def test_a_file_that_would_say_something_else_is_left_alone(tree: Tree) -> None:
    file = tree.home / "config.toml"
    file.write_text("untrusted = ['''\ntrusted = [\n''']\n")
    before = file.read_bytes()
    with pytest.raises(config.ConfigError):
        trust.remember(file, tree.folder, True)
    assert file.read_bytes() == before


def on_a_terminal(tree: Tree, answer: bytes, *words: str, **more: str) -> str:
    """What is said on stderr, where that and stdin are a terminal."""
    outer, inner = pty.openpty()
    environment, said = tree.environment(**more), b""
    with subprocess.Popen(
        [SCRIPT, *words], cwd=tree.folder, env=environment, stdin=inner, stderr=inner, stdout=subprocess.DEVNULL
    ) as process:
        os.close(inner)
        os.write(outer, answer)
        with contextlib.suppress(OSError):  # the end
            while block := os.read(outer, 65536):
                said += block
        process.wait(120)
    os.close(outer)
    return said.decode()


@pytest.mark.parametrize(("answer", "trusted"), [(b"y\n", True), (b"\n", False)])
def test_on_a_terminal_it_is_asked_once(tree: Tree, answer: bytes, trusted: bool) -> None:
    tree.write("train.py", f"open({str(tree.marker)!r}, 'w')\n{TRAIN}")
    tree.settings('verify = true\nsandbox = false\npython = "' + sys.executable + '"\nreadable = ["\\u001b[2J"]')
    said = on_a_terminal(tree, answer, "train.py", "--no-cache", "--select=SVI051", "--seeds=1", "--steps=2")
    assert f"Do you trust {tree.folder}, so that this counts?" in said and "\x1b[2J" not in said
    assert tree.marker.exists() == trusted
    assert tree.known.read_text() == f'{"trusted" if trusted else "untrusted"} = ["{tree.folder}"]\n'
    if not trusted:  # else it would all be run again
        assert "Do you trust" not in on_a_terminal(tree, answer, "train.py", "--no-cache")


def test_it_is_not_asked_where_nothing_hangs_on_it(tree: Tree) -> None:
    tree.settings("network = true\nsteps = 2000")
    tree.program(".venv/bin/python")
    assert "trust" not in on_a_terminal(tree, b"", "train.py")
    assert "Do you trust" not in on_a_terminal(tree, b"", "--diff", "train.py", CI="true", VIRTUAL_ENV=sys.prefix)


# --- git and Python


@pytest.fixture
def repository(tree: Tree) -> Tree:
    tree.commit()
    return tree


def test_git_runs_nothing_of_the_repositorys_settings(repository: Tree) -> None:
    evil = repository.folder.parent / "evil.sh"
    evil.write_text(f"#!/bin/sh\necho x > {repository.marker}\n")
    evil.chmod(0o755)
    with (repository.folder / ".git" / "config").open("a") as file:
        file.write(f"[core]\nfsmonitor = {evil}\nhooksPath = {evil.parent}\nsshCommand = {evil}\npager = {evil}\n")
        file.write(f'[diff]\nexternal = {evil}\n[credential]\nhelper = "!{evil}"\n[filter "x"]\nclean = {evil}\n')
    subprocess.run(["git", "status"], cwd=repository.folder, capture_output=True)
    assert repository.marker.exists(), "the control"
    repository.marker.unlink()
    assert checkout.top(repository.folder) == repository.folder
    checkout.commit(repository.folder)
    assert list(checkout.blobs(repository.folder, ["train.py"])) == ["train.py"]
    assert not repository.marker.exists()


def test_git_fetches_nothing_that_is_missing(repository: Tree) -> None:
    evil = repository.folder.parent / "evil.sh"
    evil.write_text(f"#!/bin/sh\necho x > {repository.marker}\n")
    evil.chmod(0o755)
    git = ["git", "-C", str(repository.folder)]
    found = subprocess.run([*git, "rev-parse", "HEAD^{tree}"], capture_output=True, text=True).stdout.strip()
    (repository.folder / ".git" / "objects" / found[:2] / found[2:]).unlink()
    with (repository.folder / ".git" / "config").open("a") as file:
        file.write("[core]\nrepositoryformatversion = 1\n[extensions]\npartialClone = o\n")
        file.write(
            f'[remote "o"]\nurl = file:///nowhere\npromisor = true\nuploadpack = {evil}\n[protocol "file"]\nallow = always\n'
        )
    subprocess.run([*git, "ls-tree", "HEAD"], capture_output=True)
    assert repository.marker.exists(), "the control"
    repository.marker.unlink()
    with pytest.raises(PlanError):
        checkout.blobs(repository.folder, ["train.py"])
    assert not repository.marker.exists()


@pytest.mark.parametrize("how", ["-m", "PYTHONPATH"])
def test_nothing_of_pyro_fix_comes_from_the_working_folder(tree: Tree, how: str) -> None:
    tree.write("typer.py", f"open({str(tree.marker)!r}, 'w')\n")
    tree.write("evil.py", f"open({str(tree.marker)!r}, 'w')\n")
    tree.write("evil.egg-info/entry_points.txt", "[pyro_fix.transforms]\nevil = evil\n")
    tree.write("evil.egg-info/PKG-INFO", "Name: evil\nVersion: 1\n")
    command = (sys.executable, "-m", "pyro_fix") if how == "-m" else (str(SCRIPT),)
    more = {} if how == "-m" else {"PYTHONPATH": f".{os.pathsep}{tree.folder}"}
    done = tree.run("train.py", command=command, **more)
    assert done.returncode == 1, done.stderr
    assert not tree.marker.exists()
    tree.run("-c", "import typer", command=(sys.executable,), **more)
    assert tree.marker.exists(), "the control"
