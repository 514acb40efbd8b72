"""Suggestions on an existing pull request."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from bot_plans import plan_of
from forge_model import Repo
from forge_server import ForgeServer

from pyro_fix.bot import github
from pyro_fix.bot.forge import ForgeError
from pyro_fix.bot.plan import Plan
from pyro_fix.bot.review import review

OLD = "".join(f"# line {n}\n" for n in range(1, 31)) + "z  # fixme-before\n"


@pytest.fixture
def repo(forge: ForgeServer) -> Repo:
    made = forge.make("ann/demo", {"a.py": OLD})
    made.commit(
        "work", {"a.py": OLD.replace("# line 10\n", "x  # fixme-here\n"), "new.py": "# fixme-two\n# fixme-three\n"}
    )
    made.open("work", title="Ann's work")
    return made


def _plan(repo: Repo) -> Plan:
    """The plan of the pull request's own head."""
    here, repo.default_branch = repo.default_branch, "work"
    try:
        return plan_of(repo)
    finally:
        repo.default_branch = here


def _review(repo: Repo, plan: Plan | None = None) -> str:
    client = github.with_token(repo.name, repo.forge.token(), repo.forge.api, patience=0.01)
    return review(plan or _plan(repo), client, 1)


def _notes(repo: Repo) -> list[tuple[str, int | None, str]]:
    pull = repo.pull(1)
    return [(note.path, pull.lines_now(note)[1], note.body) for note in pull.line_notes]


def test_suggestions_on_changed_lines_and_no_others(forge: ForgeServer, repo: Repo) -> None:
    assert _review(repo) == "pull request 1: comments: 3 new, 0 changed, 0 withdrawn, 0 as they were"
    notes = _notes(repo)
    assert [(path, line) for path, line, _ in notes] == [("a.py", 10), ("new.py", 1), ("new.py", 2)]
    assert "```suggestion\nx  # fixed\n```" in notes[0][2]
    assert len(repo.pull(1).reviews) == 1
    assert not any("before" in body for _, _, body in notes)
    forge.log.clear()
    assert _review(repo) == "pull request 1: comments: 0 new, 0 changed, 0 withdrawn, 3 as they were"
    assert forge.writes() == []


def test_a_suggestion_taken_gives_the_fix(repo: Repo) -> None:
    _review(repo)
    text = repo.tree("work")["a.py"].splitlines()
    (_, line, body) = _notes(repo)[0]
    found = re.search(r"```suggestion\n(.*?)\n```", body, re.DOTALL)
    assert found and line
    text[line - 1] = found[1]
    assert "\n".join(text) + "\n" == OLD.replace("# line 10", "x  # fixed")


def test_own_old_ones_are_brought_up_to_date(forge: ForgeServer, repo: Repo) -> None:
    _review(repo)
    here = repo.tree("work")
    repo.commit(
        "work", {"a.py": here["a.py"].replace("x  # fixme-here", "# done"), "new.py": "# top\n" + here["new.py"]}
    )
    plan = _plan(repo)
    group = plan.groups[0]
    reasoned = tuple(replace(fix, reason="other words") if "three" in fix.message else fix for fix in group.fixes)
    said = _review(repo, replace(plan, groups=(replace(group, fixes=reasoned),)))
    assert said == "pull request 1: comments: 0 new, 1 changed, 1 withdrawn, 1 as they were"
    notes = _notes(repo)
    assert [(path, line) for path, line, _ in notes] == [("new.py", 2), ("new.py", 3)]
    assert "other words" in notes[1][2]


def test_a_talk_keeps_its_beginning(repo: Repo) -> None:
    _review(repo)
    first = repo.pull(1).line_notes[0]
    repo.reply(1, first.id, "Why?")
    repo.commit("work", {"a.py": OLD.replace("# line 10", "# done")})
    _review(repo)
    bodies = [note.body for note in repo.pull(1).line_notes]
    assert bodies[0] == "pyro-fix: what this was about is no longer found." and "Why?" in bodies
    assert "0 withdrawn" in _review(repo)


def test_a_fix_that_reaches_further_is_shown_and_not_suggested(repo: Repo) -> None:
    plan = _plan(repo)
    group = plan.groups[0]
    (fix,) = [fix for fix in group.fixes if "here" in fix.message]
    further = fix.diff + "@@ -31 +31 @@\n-z  # fixme-before\n+z\n"
    _review(repo, replace(plan, groups=(replace(group, fixes=(replace(fix, diff=further),)),)))
    ((path, line, body),) = _notes(repo)
    assert (path, line) == ("a.py", 10) and "```diff" in body and "suggestion" not in body


def test_a_fix_on_earlier_fixes_is_not_suggested(repo: Repo) -> None:
    plan = _plan(repo)
    group = plan.groups[0]
    (fix,) = [fix for fix in group.fixes if "here" in fix.message]
    later = replace(fix, evidence={"round": 2})
    _review(repo, replace(plan, groups=(replace(group, fixes=(later,)),)))
    assert "```diff" in _notes(repo)[0][2]


def test_an_added_line_is_suggested_with_its_neighbour(repo: Repo) -> None:
    plan = _plan(repo)
    group = plan.groups[0]
    (fix,) = [fix for fix in group.fixes if "two" in fix.message]
    added = "--- a/new.py\n+++ b/new.py\n@@ -1,2 +1,3 @@\n+import pyro\n # fixme-two\n # fixme-three\n"
    _review(repo, replace(plan, groups=(replace(group, fixes=(replace(fix, diff=added),)),)))
    ((_, line, body),) = _notes(repo)
    assert line == 1 and "```suggestion\nimport pyro\n# fixme-two\n```" in body


def test_what_cannot_be(repo: Repo) -> None:
    plan = _plan(repo)
    repo.commit("work", {"b.py": "# more\n"})
    with pytest.raises(ForgeError, match="plan again there"):
        _review(repo, plan)
    repo.close(1)
    with pytest.raises(ForgeError, match="pull request 1 is closed"):
        _review(repo)


def test_comments_of_others_are_none_of_ours(forge: ForgeServer, repo: Repo) -> None:
    _review(repo)
    quoted = repo.pull(1).line_notes[0].body
    forge.needs()
    pull = repo.pull(1)
    pull.line_notes[0] = replace(pull.line_notes[0], user=forge.user("bob"), body=quoted)
    _review(repo)
    assert len(repo.pull(1).line_notes) == 4  # Bob's stays as it is, and ours is made
