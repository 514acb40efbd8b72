"""Pull requests from end to end: real git over http, and GitHub's API (our own forge, and emulate's)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from bot_plans import plan_of
from forge_model import Repo
from forge_server import ForgeServer

from pyro_fix.bot import github, memory
from pyro_fix.bot.forge import ForgeError
from pyro_fix.bot.git import EMAIL
from pyro_fix.bot.plan import Plan
from pyro_fix.bot.publish import Outcome, publish
from pyro_fix.bot.settings import Settings

TEXT = "import pyro\n" + "".join(f"# line {n}\n" for n in range(2, 20)) + "a  # fixme-one\n" + "# end\n" * 20
FILES = {"a.py": TEXT, "src/b.py": "# b\n\n# fixme-two\n", "README.md": "A project.\n"}
Bot = Callable[..., list[str]]


@pytest.fixture
def repo(either: ForgeServer) -> Repo:
    return either.make("ann/demo", FILES)


@pytest.fixture
def bot(either: ForgeServer, repo: Repo) -> Bot:
    """Publish a plan (that of the base as it is, unless one is given); returns what became of each pull request."""

    def bot(plan: Plan | None = None, token: str = "", **settings: object) -> list[str]:
        client = github.with_token(repo.name, token or either.token(), either.api, patience=0.01)
        told: list[Outcome] = []
        publish(plan or plan_of(repo), client, replace(Settings(), **settings), told.append)
        return [f"{o.what}: {o.branch}{': ' + o.words if o.words else ''}" for o in told]

    return bot


def test_create_and_run_again(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    assert bot() == ["opened: pyro-fix/all"]
    (pull,) = repo.pulls.values()
    assert (pull.title, pull.draft, pull.state) == ("pyro-fix: SVI003 a-rule: 2 fixes in 2 files", False, "open")
    assert "fixme-one has no constraint" in pull.body and "close the pull request" in pull.body
    assert repo.tree("pyro-fix/all") == {
        "a.py": TEXT.replace("fixme-one", "fixed"),
        "src/b.py": "# b\n\n# fixed\n",
        "README.md": "A project.\n",
    }
    commit, base = repo.log("pyro-fix/all")
    assert (commit.committer_email, base.sha) == (EMAIL, repo.head())
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"]
    assert either.writes() == []


def test_the_same_commit_whenever_and_wherever(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    first = repo.head("pyro-fix/all")
    either.needs("heads")
    repo.delete_branch("pyro-fix/all")
    (pull,) = repo.pulls.values()
    pull.body = ""  # or its closing would count as a refusal
    bot()
    assert repo.head("pyro-fix/all") == first


def test_an_update(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("heads")
    bot()
    before = repo.head("pyro-fix/all")
    repo.commit(files={"c.py": "# fixme-three\n"})
    assert bot() == ["updated: pyro-fix/all"]
    (pull,) = repo.pulls.values()
    assert pull.title == "pyro-fix: 3 fixes in 3 files" and "fixme-three" in pull.body
    log = repo.log("pyro-fix/all")
    assert log[0].sha != before and log[1].sha == repo.head()  # one commit, on the base as it is
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"] and either.writes() == []


def test_a_base_that_only_moves_sends_nothing(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.commit(files={"a.py": "# a header\n" + TEXT, "README.md": "More.\n"})
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"]
    assert either.writes() == []


def test_a_base_that_conflicts_is_rebased_onto(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("heads")
    bot()
    repo.commit(files={"a.py": TEXT.replace("# line 19", "# another line")})
    assert bot() == ["updated: pyro-fix/all"]
    _, parent = repo.log("pyro-fix/all")[:2]
    assert parent.sha == repo.head()
    assert "# another line\na  # fixed\n" in repo.tree("pyro-fix/all")["a.py"]
    assert len(repo.pulls) == 1


def test_what_was_refused_stays_so_and_a_new_one_is_offered(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.close(1)
    either.log.clear()
    assert bot() == ["left alone: pyro-fix/all: people have refused all of it"]
    assert either.writes() == []
    repo.commit(files={"a.py": "# moved\n\n" + TEXT, "c.py": "# fixme-three\n"})
    assert bot() == ["opened: pyro-fix/all"]
    assert repo.pulls[2].title == "pyro-fix: SVI005 a-rule: 1 fix in 1 file"
    assert repo.tree("pyro-fix/all") == {**FILES, "a.py": "# moved\n\n" + TEXT, "c.py": "# fixed\n"}
    assert not repo.pulls[2].draft
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"] and either.writes() == []


def test_what_ran_with_a_refused_fix_is_not_verified_without_it(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.close(1)
    repo.commit(files={"a.py": TEXT + "# fixme-three\n"})
    bot()
    assert repo.tree("pyro-fix/all")["a.py"] == TEXT + "# fixed\n"
    assert repo.pulls[2].draft and "was verified together with fixes that are left out here" in repo.pulls[2].body
    assert {label for label in repo.pulls[2].labels} == {"pyro-fix", "unverified"}


def test_refused_fixes_that_cannot_be_told_apart(repo: Repo, bot: Bot) -> None:
    repo.commit(files={"a.py": "# fixme-one\n" * 3, "src/b.py": "# b\n"})
    plan = plan_of(repo)
    (group,) = plan.groups
    assert len({fix.fingerprint for fix in group.fixes}) == 1
    other = replace(group.fixes[2], fingerprint="ab" * 12)
    bot(replace(plan, groups=(replace(group, fixes=group.fixes[:2]),)))
    repo.close(1)
    said = bot(replace(plan, groups=(replace(group, fixes=(*group.fixes[:2], other)),)))
    assert said == [
        "left alone: pyro-fix/all: some of its fixes were refused, and the others cannot be told apart: "
        "plan again with --refused"
    ]


def test_a_plan_that_knows_what_was_refused(repo: Repo, bot: Bot) -> None:
    bot()
    repo.close(1)
    repo.commit(files={"a.py": TEXT + "# fixme-three\n"})
    refused = memory.refused(github.with_token(repo.name, repo.forge.token(), repo.forge.api, 0.01).pulls("pyro-fix/"))
    bot(plan_of(repo, refused=refused))
    assert not repo.pulls[2].draft and repo.tree("pyro-fix/all")["a.py"] == TEXT + "# fixed\n"


def test_hands_off_what_people_have_pushed_to(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    own = repo.commit("pyro-fix/all", {"a.py": "# mine\n"})
    repo.commit(files={"c.py": "# fixme-three\n"})
    either.log.clear()
    assert bot() == ["left alone: pyro-fix/all: somebody has pushed to it"]
    assert either.writes() == [] and repo.head("pyro-fix/all") == own
    repo.commit(files={"a.py": "", "src/b.py": "", "c.py": ""})
    assert bot() == ["left alone: pyro-fix/all: somebody has pushed to it"]
    assert either.writes() == [] and repo.pulls[1].state == "open"


def test_hands_off_after_the_button_that_updates_a_branch(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("heads")
    bot()
    repo.commit(files={"README.md": "More.\n"})
    repo.update_branch(1)
    either.log.clear()
    assert bot() == ["left alone: pyro-fix/all: somebody has pushed to it"] and either.writes() == []


def test_a_branch_of_that_name_that_is_somebody_elses(repo: Repo, bot: Bot) -> None:
    own = repo.commit("pyro-fix/all", {"a.py": "# mine\n"})
    assert bot() == ["left alone: pyro-fix/all: somebody has pushed to it"]
    assert repo.head("pyro-fix/all") == own and not repo.pulls


def test_unverified_is_a_draft_and_labelled(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    repo.commit(files={"c.py": "# fixme-three-unverified\n"})
    bot()
    (pull,) = repo.pulls.values()
    assert pull.draft and set(pull.labels) == {"pyro-fix", "unverified"}
    assert "**1 of 3 fixes are not verified**" in pull.body
    either.needs("drafts", "heads")
    bot(plan_of(repo, unverified=False))
    assert not repo.pulls[1].draft and set(repo.pulls[1].labels) == {"pyro-fix"}


def test_where_there_are_no_drafts(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("settings")
    repo.drafts = False
    repo.commit(files={"c.py": "# fixme-three-unverified\n"})
    bot()
    (pull,) = repo.pulls.values()
    assert not pull.draft and "unverified" in pull.labels


def test_nothing_left(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.commit(files={"a.py": "# done by hand\n", "src/b.py": ""})
    assert bot() == ["closed: pyro-fix/all: nothing of it is left"]
    assert repo.pulls[1].state == "closed"
    either.needs("heads")
    assert "pyro-fix/all" not in repo.branches()
    repo.commit(files={"a.py": TEXT})  # that nobody has refused
    assert bot() == ["opened: pyro-fix/all"]


def test_what_cannot_be_verified_this_time_stays(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    repo.commit(files={"a.py": "# fixme-one-unverified\n", "src/b.py": ""})
    bot()
    either.log.clear()
    assert bot(plan_of(repo, unverified=False)) == [
        "left alone: pyro-fix/all: its fixes could not be verified this time"
    ]
    assert either.writes() == []


def test_merged_is_no_refusal(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.merge(1, how="squash")
    repo.commit(files={"a.py": TEXT})
    assert bot() == ["opened: pyro-fix/all"]
    assert repo.tree("pyro-fix/all")["a.py"] == TEXT.replace("fixme-one", "fixed")


def test_groups_and_a_limit(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    repo.commit(files={"c.py": "# fixme-three\n"})
    said = bot(plan_of(repo, "file"), limit=2)
    assert [words.split(":")[0] for words in said] == ["opened", "opened", "left alone"]
    assert "2 pull requests are open already" in said[2]
    assert len(repo.pulls) == 2 and all(
        branch.startswith("pyro-fix/file-") for branch in repo.branches() if branch != "main"
    )
    # The grouping is changed: what was open is closed, and refuses nothing.
    said = bot(plan_of(repo))
    assert [words.split(":")[0] for words in said] == ["closed", "closed", "opened"]


def test_a_stranger_cannot_refuse_from_a_fork(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("forks")
    fork = repo.fork("stranger")
    fork.commit("pyro-fix/all", {"x.py": ""}, author="Stranger <s@example.com>")
    told = memory.spelled(memory.of(plan_of(repo).groups[0].fixes, ""))
    repo.open("pyro-fix/all", body=told, by="stranger", source=fork)
    repo.close(1)
    assert bot() == ["opened: pyro-fix/all"]


def test_a_plan_that_the_base_has_overtaken(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    plan = plan_of(repo)
    repo.commit(files={"src/b.py": "# new\n# fixme-two\n"})
    assert bot(plan) == ["left alone: pyro-fix/all: main has changed since the plan was made: plan again"]
    repo.commit(files={"src/b.py": FILES["src/b.py"], "README.md": "Other files matter not.\n"})
    assert bot(plan) == ["opened: pyro-fix/all"]


def test_a_plan_may_not_make_files_or_change_links(repo: Repo, bot: Bot) -> None:
    plan = plan_of(repo)
    (group,) = plan.groups
    file = replace(group.files[0], path="new.py")
    assert "plan again" in bot(replace(plan, groups=(replace(group, files=(file,)),)))[0]
    assert not repo.pulls


def test_more_fixes_than_a_body_can_remember(repo: Repo, bot: Bot) -> None:
    plan = plan_of(repo)
    (group,) = plan.groups
    many = tuple(replace(group.fixes[0], fingerprint=f"{n:024x}") for n in range(3000))
    said = bot(replace(plan, groups=(replace(group, fixes=many),)))
    assert said == ["left alone: pyro-fix/all: 3000 fixes are too many for one pull request: plan with --group-by file"]
    assert repo.branches() == ["main"]


# --- faults


def test_a_bad_token(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("tokens")
    with pytest.raises(ForgeError, match=r"the token is not accepted \(401"):
        bot(token="ghp_nonsense")


def test_a_token_that_may_only_read(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("tokens")
    for token in (either.token(contents="read"), either.token(pull_requests="read")):
        with pytest.raises(ForgeError, match="403") as caught:
            bot(token=token)
        assert "\n" not in str(caught.value) and token not in str(caught.value)
    assert not repo.pulls


def test_the_token_of_actions(forge: ForgeServer) -> None:
    """Which is told no user, and may be forbidden to open pull requests."""
    repo = forge.make("ann/actions", FILES | {f"m{n}.py": f"# fixme-{'long' * 90}{n}\n" * 40 for n in range(9)})
    token = forge.token("github-actions[bot]", installation=True)
    client = github.with_token(repo.name, token, forge.api, patience=0.01)
    repo.actions_may_open = False
    with pytest.raises(ForgeError, match="GitHub Actions is not permitted to create or approve pull requests"):
        publish(plan_of(repo), client, Settings(), lambda _: None)
    repo.actions_may_open = True
    assert publish(plan_of(repo), client, Settings(), lambda _: None)[0].what == "opened"
    notes = len(repo.pulls[1].notes)
    assert notes
    repo.comment(1, repo.pulls[1].notes[0].body, by="bob")  # somebody quotes the bot
    repo.commit(files={"a.py": "# another line\n" + TEXT + "# fixme-three\n"})
    assert publish(plan_of(repo), client, Settings(), lambda _: None)[0].what == "updated"
    assert len(repo.pulls[1].notes) == notes + 1


def test_a_repository_that_is_not_there(either: ForgeServer) -> None:
    with pytest.raises(ForgeError, match=r"no such thing, or the token may not see it \(404\)"):
        github.with_token("ann/nowhere", either.token(), either.api, 0.01)


def test_a_token_that_may_not_label(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("tokens")
    assert bot(token=either.token(issues="read")) == ["opened: pyro-fix/all"]


@pytest.mark.parametrize("status", [500, 502, 503, None])
def test_errors_of_the_server_are_tried_again(either: ForgeServer, repo: Repo, bot: Bot, status: int | None) -> None:
    either.fail("GET", r"/pulls", status, times=2)
    either.fail("POST", r"/pulls$", status, times=2)
    assert bot() == ["opened: pyro-fix/all"]
    assert len(repo.pulls) == 1


def test_an_answer_that_got_lost(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("refusals")
    either.fail("POST", r"/pulls$", 502, when="after")
    assert bot() == ["opened: pyro-fix/all"]
    assert len(repo.pulls) == 1
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"] and either.writes() == []


def test_rate_limits_are_waited_for(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.limit("GET", r"/pulls", seconds=1)
    either.limit("POST", r"/pulls$", seconds=None)
    assert bot() == ["opened: pyro-fix/all"]


def test_a_server_that_stays_down(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.fail("POST", r"/pulls$", 503, times=100)
    with pytest.raises(ForgeError, match="503"):
        bot()
    assert repo.head("pyro-fix/all") and not repo.pulls


def test_a_crash_between_push_and_open_is_mended(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    fault = either.fail("POST", r"/pulls$", 503, times=100)
    with pytest.raises(ForgeError):
        bot()
    fault.left = 0
    either.log.clear()
    assert bot() == ["opened: pyro-fix/all"]
    assert not [request for request in either.writes() if "git-receive-pack" in request.path]


def test_a_crash_between_push_and_update_is_mended(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("heads")
    bot()
    repo.commit(files={"c.py": "# fixme-three\n"})
    fault = either.fail("PATCH", r"/pulls/1$", 503, times=100)
    with pytest.raises(ForgeError):
        bot()
    fault.left = 0
    assert bot() == ["updated: pyro-fix/all"]
    assert "fixme-three" in repo.pulls[1].body
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"] and either.writes() == []


def test_a_crash_while_closing_refuses_nothing(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.commit(files={"a.py": "", "src/b.py": ""})
    fault = either.fail("POST", r"/issues/1/comments$", 503, times=100)
    with pytest.raises(ForgeError):
        bot()
    fault.left = 0
    repo.commit(files={"a.py": TEXT})
    repo.close(1)
    assert bot() == ["opened: pyro-fix/all"]


def test_a_push_race_is_lost_without_harm(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    bot()
    repo.commit(files={"c.py": "# fixme-three\n"})
    theirs: list[str] = []
    either.before(
        "POST", "git-receive-pack", lambda: theirs.append(repo.commit("pyro-fix/all", {"a.py": "# theirs\n"}))
    )
    assert bot() == ["left alone: pyro-fix/all: somebody was faster, and nothing was overwritten: run again"]
    assert repo.head("pyro-fix/all") == theirs[0]


def test_a_race_for_a_new_branch(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.before("POST", "git-receive-pack", lambda: repo.commit("pyro-fix/all", {"a.py": "# theirs\n"}))
    assert "somebody was faster" in bot()[0]
    assert repo.tree("pyro-fix/all")["a.py"] == "# theirs\n" and not repo.pulls


def test_a_base_that_is_the_bots_own(repo: Repo, bot: Bot) -> None:
    with pytest.raises(ForgeError, match="kept for the bot's own"):
        bot(base="pyro-fix/all")
    with pytest.raises(ForgeError, match="has no branch nowhere"):
        bot(base="nowhere")


def test_a_body_that_is_too_long_goes_on_in_comments(either: ForgeServer, repo: Repo, bot: Bot) -> None:
    either.needs("heads")
    many = {f"m{n}.py": "".join(f"x{n}_{k} = 1  # fixme-{'long' * 30}{k}\n" for k in range(20)) for n in range(12)}
    repo.commit(files=many)
    bot()
    pull = repo.pulls[1]
    assert len(pull.body) <= 65_536 and memory.read(pull.body) is not None
    notes = [note.body for note in pull.notes]
    assert notes and all(len(note) <= 65_536 for note in notes)
    either.log.clear()
    assert bot() == ["unchanged: pyro-fix/all"] and either.writes() == []
    repo.commit(files={path: "" for path in list(many)[1:]})
    bot()
    assert len(repo.pulls[1].notes) < len(notes)
