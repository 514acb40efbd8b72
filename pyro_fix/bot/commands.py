"""``pyro-fix bot …``: the bot's own command line."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyro_fix.config import File, Options
from pyro_fix.report import streams

if TYPE_CHECKING:
    from pyro_fix.bot.forge import Forge
    from pyro_fix.bot.plan import Plan
    from pyro_fix.bot.settings import Settings
    from pyro_fix.result import Result

Action = Callable[[], int]
#: Turns options of pyro-fix itself, and paths, into what a run is asked to do.
OptionsOf = Callable[[list[str]], Options]

#: Where a token is looked for, in this order.
TOKENS = {"github": ("GITHUB_TOKEN", "GH_TOKEN"), "gitlab": ("GITLAB_TOKEN",)}
_FINGERPRINT = re.compile(r"[0-9a-f]{24}")

_EPILOG = """
plan runs programs and needs no token; publish has a token and runs nothing of the repository: keep them in two jobs.
docs/bot says how to run them from cron, from GitHub Actions and as an App. pyro-fix bot COMMAND --help says more.

Exit codes: 0 done, or nothing to do; 2 an error. A pull request that is left alone, because people have pushed to it,
refused it, or were faster, is no error.
"""
_REST = "Options and paths of pyro-fix itself (--select, --run, --python, src/ ...) may follow; see pyro-fix --help."
APP = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    epilog=_EPILOG,
    help="Keep a repository's Pyro code healthy by pull requests.",
)
_OPEN: dict[str, Any] = {"allow_extra_args": True, "ignore_unknown_options": True}

Repo = Annotated[
    str | None, typer.Option("--repo", metavar="OWNER/NAME", help="The repository; default: GITHUB_REPOSITORY.")
]
ForgeName = Annotated[str, typer.Option("--forge", metavar="github|gitlab", help="What hosts it.")]
BaseUrl = Annotated[
    str | None,
    typer.Option("--base-url", metavar="URL", help="An Enterprise server's API (https://HOST/api/v3), or a GitLab."),
]
TokenEnv = Annotated[
    str | None,
    typer.Option("--token-env", metavar="NAME", help="The variable that holds the token; default GITHUB_TOKEN."),
]
AppId = Annotated[str | None, typer.Option("--app-id", metavar="ID", help="Act as a GitHub App, with --private-key.")]
PrivateKey = Annotated[str | None, typer.Option("--private-key", metavar="FILE", help="The App's private key (PEM).")]
Grouping = Annotated[
    str | None, typer.Option("--group-by", metavar="rule|file|all", help="What one pull request holds; default all.")
]
Limit = Annotated[int | None, typer.Option("--limit", metavar="N", help="Pull requests open at a time; default 3.")]
Prefix = Annotated[
    str | None, typer.Option("--branch-prefix", metavar="TEXT", help="Of the bot's own branches; default pyro-fix/.")
]
Base = Annotated[
    str | None, typer.Option("--base", metavar="BRANCH", help="The branch to mend; default: the repository's.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print title, body and diff; no token is needed.")]
Config = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="Read this pyproject.toml instead of the nearest.")
]
Trust = Annotated[bool, typer.Option("--trust", help="Believe all of [tool.pyro-fix.bot] of the folder here.")]
Refused = Annotated[
    str | None, typer.Option("--refused", metavar="FILE", help="Leave these findings out: pyro-fix bot refused.")
]


def parse(arguments: list[str], options_of: OptionsOf) -> Action:
    """What the command line asks for; Click's errors for what it cannot mean."""
    outcome: Any = typer.main.get_command(APP).main(
        arguments or ["--help"], prog_name="pyro-fix bot", standalone_mode=False, obj=options_of
    )
    return outcome if callable(outcome) else lambda: int(outcome or 0)


@APP.command(context_settings=_OPEN, epilog=_REST)
def plan(
    context: typer.Context,
    out: Annotated[str, typer.Option("--out", metavar="FOLDER", help="Where the plan goes.")],
    group_by: Grouping = None,
    refused: Refused = None,
) -> Action:
    """Find and verify in the checkout here; write patches and evidence.  Needs no token: give it none."""
    return partial(_plan, context.obj, list(context.args), Path(out), group_by, refused)


@APP.command()
def publish(
    folder: Annotated[str, typer.Argument(metavar="PLAN", help="The folder that plan wrote.")],
    repo: Repo = None,
    forge: ForgeName = "github",
    base_url: BaseUrl = None,
    token_env: TokenEnv = None,
    app_id: AppId = None,
    private_key: PrivateKey = None,
    base: Base = None,
    limit: Limit = None,
    branch_prefix: Prefix = None,
    config: Config = None,
    trusted: Trust = False,
    dry_run: DryRun = False,
) -> Action:
    """Push a plan and open, update or close pull requests.  Runs nothing of the repository, and needs no checkout."""
    access = partial(_forge, forge, repo, base_url, token_env, app_id, private_key)
    given = {"base": base, "limit": limit, "branch_prefix": branch_prefix}
    return partial(_publish, Path(folder), access, given, config, trusted, dry_run)


@APP.command(context_settings=_OPEN, epilog=_REST)
def run(
    context: typer.Context,
    repo: Repo = None,
    forge: ForgeName = "github",
    base_url: BaseUrl = None,
    token_env: TokenEnv = None,
    app_id: AppId = None,
    private_key: PrivateKey = None,
    group_by: Grouping = None,
    base: Base = None,
    limit: Limit = None,
    branch_prefix: Prefix = None,
    dry_run: DryRun = False,
) -> Action:
    """Plan and publish in one go, for repositories whose code you trust.  The checkout here has to be the base."""
    access = partial(_forge, forge, repo, base_url, token_env, app_id, private_key)
    given = {"group_by": group_by, "base": base, "limit": limit, "branch_prefix": branch_prefix}
    return partial(_run, context.obj, list(context.args), access, given, dry_run)


@APP.command()
def refused(
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="Where the list goes.")],
    repo: Repo = None,
    forge: ForgeName = "github",
    base_url: BaseUrl = None,
    token_env: TokenEnv = None,
    app_id: AppId = None,
    private_key: PrivateKey = None,
    branch_prefix: Prefix = None,
    config: Config = None,
    trusted: Trust = False,
) -> Action:
    """Write down what people have refused, for plan --refused.  A token that may read is enough."""
    access = partial(_forge, forge, repo, base_url, token_env, app_id, private_key)
    return partial(_refused, Path(out), access, {"branch_prefix": branch_prefix}, config, trusted)


@APP.command()
def review(
    folder: Annotated[str, typer.Argument(metavar="PLAN", help="A plan of the pull request's own last commit.")],
    pull: Annotated[int, typer.Option("--pull", metavar="NUMBER", help="The pull request.")],
    repo: Repo = None,
    forge: ForgeName = "github",
    base_url: BaseUrl = None,
    token_env: TokenEnv = None,
    app_id: AppId = None,
    private_key: PrivateKey = None,
) -> Action:
    """Suggest fixes on the lines that an existing pull request changes, in one review."""
    access = partial(_forge, forge, repo, base_url, token_env, app_id, private_key)
    return partial(_review, Path(folder), access, pull)


# --- what they do


def _plan(options_of: OptionsOf, rest: list[str], out: Path, group_by: str | None, refused: str | None) -> int:
    from pyro_fix.bot import plan as plans
    from pyro_fix.report import html

    options = options_of(rest)
    chosen = _settings(options.bot, {"group_by": group_by})
    plans.check_folder(out)  # before anything is run
    made, result = _make(options, chosen, _read_refused(refused) if refused is not None else frozenset())
    plans.write(made, out)
    try:
        html.write(out / plans.PAGE, html.document(result, Path.cwd(), "diff", True))
    except OSError as error:
        raise plans.PlanError(f"{out / plans.PAGE}: cannot be written: {error.strerror or error}") from error
    streams.out(f"{out}: {_counted(made)}, at {made.base[:12]}")
    return 0


def _publish(
    folder: Path,
    access: Callable[[], Forge],
    given: dict[str, Any],
    file: str | None,
    trusted: bool,
    dry_run: bool,
) -> int:
    from pyro_fix.bot import plan as plans

    chosen = _settings_here(file, trusted, given)
    return _bring(plans.read(folder), access, chosen, dry_run)


def _run(
    options_of: OptionsOf, rest: list[str], access: Callable[[], Forge], given: dict[str, Any], dry_run: bool
) -> int:
    from pyro_fix.bot import memory

    options = options_of(rest)
    table: object = options.bot
    if options.file is not None:
        table = _believed(
            File(options.root, path=options.file),
            table,
            options.trusted,
            any(word.startswith("--config") for word in rest),
            given,
        )
    chosen = _settings(table, given)
    if dry_run:
        return _bring(_make(options, chosen, frozenset())[0], access, chosen, dry_run)
    forge = access()
    for names in TOKENS.values():  # what runs now has no use for it
        for name in names:
            os.environ.pop(name, None)
    made, _ = _make(options, chosen, memory.refused(forge.pulls(chosen.branch_prefix)))
    return _bring(made, lambda: forge, chosen, dry_run)


def _make(options: Options, chosen: Settings, refused: frozenset[str]) -> tuple[Plan, Result]:
    from dataclasses import replace

    from pyro_fix.bot.make import make
    from pyro_fix.report.progress import Progress

    with Progress(shown=not options.quiet) as progress:
        return make(replace(options, refused=refused), chosen.group_by, progress)


def _bring(plan: Plan, access: Callable[[], Forge], chosen: Settings, dry_run: bool) -> int:
    from pyro_fix.bot import publish as publishing

    if dry_run:
        return _show(plan, chosen)

    def tell(outcome: publishing.Outcome) -> None:
        words = f"{outcome.what}: {outcome.branch}"
        words += f": {outcome.words}" if outcome.words else ""
        streams.out(f"{words} {outcome.url}".rstrip())
        sys.stdout.flush()

    forge = access()
    streams.err("looking at the pull requests and branches that are there")
    told = publishing.publish(plan, forge, chosen, tell)
    if not told:
        streams.out("nothing to do")
    return 0


def _show(plan: Plan, chosen: Settings) -> int:
    """What would be opened, were there nothing yet."""
    from pyro_fix.bot import body, memory
    from pyro_fix.bot.github import GitHub
    from pyro_fix.bot.publish import branch_of

    for group in plan.groups:
        told = body.body(group, plan.version, memory.of(group.fixes, ""), GitHub.longest_body)
        draft = "" if all(fix.verified for fix in group.fixes) else " (a draft)"
        streams.out(f"# {body.title(group)}{draft}")
        streams.out(f"# from {branch_of(chosen.branch_prefix, plan.group_by, group.key)}")
        streams.page("\n" + "\n\n".join([told.text, *told.rest]) + "\n")
        streams.data(group.patch)
    if not plan.groups:
        streams.out("nothing to do")
    return 0


def _refused(out: Path, access: Callable[[], Forge], given: dict[str, Any], file: str | None, trusted: bool) -> int:
    from pyro_fix import regular
    from pyro_fix.bot import memory
    from pyro_fix.bot.plan import PlanError

    chosen = _settings_here(file, trusted, given)
    try:
        regular.check_writable(out)  # before anybody is asked
    except OSError as error:
        raise PlanError(f"{out}: cannot be written: {error.strerror or error}") from error
    found = sorted(memory.refused(access().pulls(chosen.branch_prefix)))
    try:
        regular.write(out, f"{json.dumps(found)}\n".encode())
    except OSError as error:
        raise PlanError(f"{out}: cannot be written: {error.strerror or error}") from error
    streams.out(f"{out}: {len(found)} refused")
    return 0


def _review(folder: Path, access: Callable[[], Forge], number: int) -> int:
    from pyro_fix.bot import plan as plans
    from pyro_fix.bot.review import review

    streams.out(review(plans.read(folder), access(), number))
    return 0


def _read_refused(name: str) -> frozenset[str]:
    from pyro_fix.bot.plan import PlanError

    try:
        found = json.loads(Path(name).read_bytes())
    except OSError as error:
        raise PlanError(f"--refused {name}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list) or not all(isinstance(f, str) and _FINGERPRINT.fullmatch(f) for f in found):
        raise PlanError(f"--refused {name}: is not what pyro-fix bot refused writes")
    return frozenset(found)


def _settings_here(file: str | None, trusted: bool, given: dict[str, Any]) -> Settings:
    """The settings for a command with a token: of ``file``, or of what lies in the working folder."""
    from pyro_fix import config

    read = config.read(Path(file)) if file is not None else config.load(Path.cwd())
    if read is None:
        raise config.ConfigError(f"{file}: has no [tool.pyro-fix]")
    return _settings(_believed(read, read.values.get("bot", {}), trusted, file is not None, given), given)


def _believed(file: File, table: object, trusted: bool, explicit: bool, given: dict[str, Any]) -> object:
    """What counts of the table: where the token goes is for whoever has it to say."""
    from pyro_fix import trust
    from pyro_fix.bot.settings import without_trust

    tree = trust.tree_of(file, Path.cwd(), explicit=explicit)
    kept, refused = without_trust(table)
    refused = {key: value for key, value in refused.items() if given.get(key.replace("-", "_")) is None}
    if not refused or trusted or not trust.theirs(file, tree) or trust.known(tree).says(tree):
        return table
    assert file.path is not None
    where = f"{trust.plain(file.path)} sets {trust.told({f'bot.{key}': value for key, value in refused.items()})}"
    streams.err(f"ignored: {where}: the folder is not trusted ({trust.how(tree)})")
    return kept


def _settings(table: object, given: dict[str, Any]) -> Settings:
    from pyro_fix.bot.settings import settings

    return settings(table, given)


def _counted(plan: Plan) -> str:
    fixes = sum(len(group.fixes) for group in plan.groups)
    words = [
        f"{n} {one if n == 1 else many}"
        for n, one, many in ((len(plan.groups), "pull request", "pull requests"), (fixes, "fix", "fixes"))
    ]
    return ", ".join(words)


def _forge(
    kind: str,
    repo: str | None,
    base_url: str | None,
    token_env: str | None,
    app_id: str | None,
    private_key: str | None,
) -> Forge:
    """The forge, with the token that the environment holds."""
    from pyro_fix.bot.forge import ForgeError

    if kind not in TOKENS:
        raise ForgeError(f"--forge must be one of {', '.join(TOKENS)}, not {kind!r}")
    name = repo or os.environ.get("GITHUB_REPOSITORY" if kind == "github" else "CI_PROJECT_PATH", "")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)+", name) or (kind == "github" and name.count("/") != 1):
        raise ForgeError("--repo OWNER/NAME says which repository" if not name else f"--repo {name}: is no OWNER/NAME")
    if kind == "gitlab":
        from pyro_fix.bot.gitlab import GitLab

        return GitLab(name, _token(kind, token_env), base_url or os.environ.get("CI_SERVER_URL", ""))
    from pyro_fix.bot import github

    url = base_url or os.environ.get("GITHUB_API_URL", "")
    if app_id is None and private_key is None:
        return github.with_token(name, _token(kind, token_env), url)
    if app_id is None or private_key is None:
        raise ForgeError("--app-id and --private-key go together")
    try:
        key = Path(private_key).read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ForgeError(f"--private-key {private_key}: cannot be read as a PEM file") from error
    return github.as_app(name, app_id, key, url)


def _token(kind: str, name: str | None) -> str:
    from pyro_fix.bot.forge import ForgeError

    names: Sequence[str] = (name,) if name is not None else TOKENS[kind]
    found = next((os.environ[name].strip() for name in names if os.environ.get(name, "").strip()), "")
    if not found:
        raise ForgeError(f"there is no token: set {' or '.join(names)} (--dry-run needs none)")
    if not re.fullmatch(r"[\x21-\x7e]+", found):
        raise ForgeError(f"the token in {' or '.join(names)} holds characters that no token has")
    return found
