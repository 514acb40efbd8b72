from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyro_fix.bot import plan
from pyro_fix.bot.plan import File, Fix, Group, Plan, PlanError

FIX = Fix(
    "ab" * 12,
    "SVI051",
    "unconstrained-param",
    5,
    "src/a.py",
    None,
    3,
    "no @constraint",
    "add one",
    True,
    "same",
    "-a\n+b\n",
    {"x": 1},
)
FILE = File("src/a.py", "0" * 40, b"b\r\n\xff")
PLAN = Plan("1" * 40, "all", (Group("all", (FIX,), (FILE,), b"a patch"),), {FIX.fingerprint: "verified"})


def test_a_round_trip(tmp_path: Path) -> None:
    folder = tmp_path / "plan"
    plan.write(PLAN, folder)
    assert plan.read(folder) == PLAN
    assert (folder / "1-all.patch").read_bytes() == b"a patch"


def test_an_older_plan_gives_way_and_nothing_else_does(tmp_path: Path) -> None:
    plan.write(PLAN, tmp_path / "plan")
    plan.write(Plan(PLAN.base, "rule", ()), tmp_path / "plan")
    assert plan.read(tmp_path / "plan").groups == ()
    assert sorted(p.name for p in (tmp_path / "plan").rglob("*")) == ["files", "plan.json"]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(PlanError, match="name a new folder"):
        plan.write(PLAN, tmp_path / "mine")


@pytest.mark.parametrize(
    "planted",
    [
        {"plan.json": "{}", "files": Path("docs")},
        {"plan.json": "{}", "report.html": Path("docs/x")},
        {"plan.json": "{}"},
        {"": Path("docs")},
        {"": Path("nowhere")},
        {"ours": ..., "files": Path("docs")},
        {"ours": ..., "report.html": Path("docs/x")},
        {"ours": ..., "plan.json": Path("docs/x")},
        {"ours": ..., "1-all.patch": Path("docs/x")},
        {"ours": ..., "2-mine.patch": "mine"},
        {"ours": ..., "files/" + "1" * 40: "mine"},
        {"ours": ..., "files/mine": "mine"},
        {"ours": ..., "more/mine": "mine"},
    ],
)
def test_a_folder_that_came_with_the_repository_is_left_alone(
    tmp_path: Path, planted: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    docs, repository = tmp_path / "docs", tmp_path / "repository"
    docs.mkdir()
    repository.mkdir()
    (docs / "x").write_text("kept")
    monkeypatch.chdir(repository)
    if planted.pop("ours", None):
        plan.write(PLAN, Path("plan"))
    for name, content in planted.items():
        path = repository / "plan" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.write_text(content) if isinstance(content, str) else path.symlink_to(tmp_path / content)
    before = _all(tmp_path)
    for act in (plan.check_folder, lambda folder: plan.write(PLAN, folder)):
        with pytest.raises(PlanError) as caught:
            act(Path("plan"))
        assert "\n" not in str(caught.value) and _all(tmp_path) == before


def test_a_folder_above_is_no_link_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "repository/.git").mkdir(parents=True)
    (tmp_path / "repository/out").symlink_to("../docs")
    (tmp_path / "mine").symlink_to("docs")  # outside: the user's own
    for folder, name in (("repository", "out/plan"), (".", "repository/out/plan")):
        monkeypatch.chdir(tmp_path / folder)
        with pytest.raises(PlanError, match="is a link"):
            plan.write(PLAN, Path(name))
    monkeypatch.chdir(tmp_path / "repository")
    plan.write(PLAN, Path("../mine/plan"))
    assert plan.read(tmp_path / "docs/plan") == PLAN


def _all(folder: Path) -> dict[str, object]:
    return {
        str(path): path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def test_the_blob_is_what_git_says(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(FILE.data)
    said = subprocess.run(
        ["git", "hash-object", "--no-filters", "f"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert FILE.blob == said.stdout.strip()


def _first(document: Any) -> Any:
    return document["groups"][0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda d: d.update(schema=99), "schema 99"),
        (lambda d: d.update(base="main"), "is not of the form"),
        (lambda d: d.update(base="abc"), "3 digits"),
        (lambda d: d.update({"group by": "mood"}), "mood"),
        (lambda d: d.update(groups={}), "list belongs"),
        (lambda d: d["groups"].append(d["groups"][0]), "two groups"),
        (lambda d: d.update(found={"x": "verified"}), "is not of the form"),
        (lambda d: _first(d).pop("key"), "key"),
        (lambda d: _first(d).update(fixes=[]), "without fixes"),
        (lambda d: _first(d)["fixes"][0].update(line="3"), "int belongs"),
        (lambda d: _first(d)["fixes"][0].update(line=True), "int belongs"),
        (lambda d: _first(d)["fixes"][0].update(code="<!-- -->"), "is not of the form"),
        (lambda d: _first(d)["fixes"][0].update(path="/etc/passwd.py"), "no file that a fix may change"),
        (lambda d: _first(d)["files"].append(_first(d)["files"][0]), "with a file twice"),
        (lambda d: _first(d)["files"][0].update(new="2" * 40), "cannot be read"),
        (lambda d: _first(d)["files"][0].update(new="../plan.json"), "is not of the form"),
        *(
            (lambda d, path=path: _first(d)["files"][0].update(path=path), "no file that a fix may change")
            for path in (
                "../a.py",
                "a/../b.py",
                "/a.py",
                ".git/hooks/a.py",
                ".GIT/a.py",
                ".github/a.py",
                "a.sh",
                "a\\b.py",
                "./a.py",
                "a\n.py",
                "",
                "a//b.py",
            )
        ),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    plan.write(PLAN, tmp_path)
    file = tmp_path / "plan.json"
    document = json.loads(file.read_text())
    change(document)
    file.write_text(json.dumps(document))
    with pytest.raises(PlanError, match=words) as caught:
        plan.read(tmp_path)
    assert "\n" not in str(caught.value)


def test_contents_are_checked(tmp_path: Path) -> None:
    plan.write(PLAN, tmp_path)
    stored = tmp_path / "files" / FILE.blob
    stored.write_bytes(b"something else")
    with pytest.raises(PlanError, match="not what the plan says"):
        plan.read(tmp_path)
    stored.unlink()
    stored.symlink_to("/etc/passwd")
    with pytest.raises(PlanError, match="no file of a sensible size"):
        plan.read(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '"x"', "[" * 100_000])
def test_no_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "plan.json").write_text(text)
    with pytest.raises(PlanError):
        plan.read(tmp_path)
    with pytest.raises(PlanError, match="holds no plan"):
        plan.read(tmp_path / "nowhere")
