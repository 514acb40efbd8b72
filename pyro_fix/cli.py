"""The command line: options in, exit code out."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyro_fix import __version__, config, internal, interruption, regular
from pyro_fix.report import streams

if TYPE_CHECKING:
    from pyro_fix.report.text import Mode
    from pyro_fix.result import Finding, Result

OK, FINDINGS, ERROR, HELD_BACK = 0, 1, 2, 3

Action = Callable[[], int]


class UserError(Exception):
    """Something that the user can put right; the message is one line."""


_EPILOG = """
pyro-fix rules lists the transforms, pyro-fix explain CODE explains one, pyro-fix bot opens pull requests.

Exit codes: 0 nothing to do, or all applied; 1 findings or diffs remain; 2 an error; 3 --apply held fixes back,
because verification refused them or could not run. --exit-zero turns 1 into 0. Suggestions, fixes that would only be
a gain that no run has shown, count for nothing once the program was run.
"""

# Without rich's markup, help comes out without importing rich.
_APP = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
_CATALOGUE = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

# Parsing returns what is to be done, and main() does it: Click's own handling of Ctrl-C and broken pipes stays out.


def _version(asked: bool) -> None:
    if asked:
        print(f"pyro-fix {__version__}")
        raise typer.Exit


@_APP.command(epilog=_EPILOG)
def check(
    paths: Annotated[
        list[str] | None,
        typer.Argument(metavar="PATHS", help="Python files, notebooks and folders; default: the working folder."),
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print diffs of what would be applied.")] = False,
    apply: Annotated[bool, typer.Option("--apply", help="Write what was verified.")] = False,
    select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="Only these; prefixes work: SVI05,SVI081.")
    ] = None,
    extend_select: Annotated[
        list[str] | None, typer.Option(metavar="CODES", help="These too, which are off by default.")
    ] = None,
    ignore: Annotated[list[str] | None, typer.Option(metavar="CODES", help="Not these; prefixes work.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Files and folders to pass over.")] = None,
    verify: Annotated[
        bool | None,
        typer.Option(help="Run the programs and judge the fixes; the default with --diff and --apply."),
    ] = None,
    observe: Annotated[
        bool | None,
        typer.Option(help="When verifying, run every program found and look for findings in what it shows; default."),
    ] = None,
    prove: Annotated[
        bool | None,
        typer.Option(
            "--prove",
            help="Train every program to its end, as it is and with all its fixes, and leave out what makes it worse.",
        ),
    ] = None,
    prove_within: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Do so for programs where that takes less CPU time; default 60, with 0 for none."
        ),
    ] = None,
    tune: Annotated[
        bool | None,
        typer.Option(
            "--tune",
            help="Where programs are proven, try other numbers for those that fixes write (rates, decays, scales): at "
            "most 8 for each of 3, in at most 47 trainings each; one stays that is better under 8 fresh seeds.",
        ),
    ] = None,
    unverified: Annotated[bool, typer.Option("--unverified", help="Include fixes that no run has confirmed.")] = False,
    run: Annotated[
        list[str] | None,
        typer.Option(metavar="COMMAND", help="How to run the program, such as 'train.py --epochs 2'; repeatable."),
    ] = None,
    python: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="The interpreter, or environment, that has the project's Pyro."),
    ] = None,
    steps: Annotated[int | None, typer.Option(metavar="N", help="SVI steps a run; default 100.")] = None,
    timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Time a program may run; default 120.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda[:N]|mps", help="What programs compute on; default auto.")
    ] = None,
    seeds: Annotated[int | None, typer.Option(metavar="N", help="Seeds of the paired runs; default 4.")] = None,
    jobs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Programs that run at a time; default: one a core, or a cluster's threads."),
    ] = None,
    executor: Annotated[
        str | None,
        typer.Option(metavar="local|dask://HOST:PORT", help="Where programs run; default local, on this machine."),
    ] = None,
    any_pyro_version: Annotated[
        bool, typer.Option("--any-pyro-version", help="Run programs past their assertions on pyro.__version__.")
    ] = False,
    stand_ins: Annotated[
        bool | None,
        typer.Option(help="Run programs past imports of what is not installed, and mind what comes from it; default."),
    ] = None,
    sandbox: Annotated[
        bool | None,
        typer.Option(help="Keep programs from writing, the network, secrets, and taking too much; default."),
    ] = None,
    require_sandbox: Annotated[
        bool, typer.Option("--require-sandbox", help="Run nothing where some of that cannot be enforced.")
    ] = False,
    readable: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="What programs may read although it looks secret.")
    ] = None,
    writable: Annotated[
        list[str] | None, typer.Option(metavar="PATH", help="Folders that programs may write to.")
    ] = None,
    network: Annotated[bool, typer.Option("--network", help="Let programs use the network.")] = False,
    memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="Memory of a program, as 8GiB; default: half of the machine's.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that a program may have; default 256.")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Run again what was run before.")] = False,
    format: Annotated[str | None, typer.Option(metavar="text|json", help="What to print; default text.")] = None,
    report: Annotated[
        str | None,
        typer.Option(metavar="FILE.html", help="Also write a page: every fix with its evidence and curves."),
    ] = None,
    exit_zero: Annotated[bool, typer.Option("--exit-zero", help="Exit with 0 where findings remain.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Nothing but errors on stderr.")] = False,
    configuration: Annotated[
        str | None, typer.Option("--config", metavar="FILE", help="Read this pyproject.toml instead of the nearest.")
    ] = None,
    trusted: Annotated[
        bool, typer.Option("--trust", help="Believe all settings of the scanned folder, and use its .venv.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> Action:
    """Find what in Pyro programs goes against the sixteen SVI tips, fix it, and prove each fix by a run.

    Without --diff or --apply the findings are listed, and nothing is run.  In a notebook a finding stands at
    cell:line:column; the first of all its cells, whatever they hold, is cell 1.
    """
    given = {
        "paths": paths,
        "select": select,
        "extend_select": extend_select,
        "ignore": ignore,
        "exclude": exclude,
        "verify": verify,
        "observe": observe,
        "prove": prove,
        "prove_within": prove_within,
        "tune": tune,
        "unverified": unverified or None,
        "run": run,
        "python": python,
        "steps": steps,
        "timeout": timeout,
        "device": device,
        "seeds": seeds,
        "jobs": jobs,
        "executor": executor,
        "any_pyro_version": any_pyro_version or None,
        "stand_ins": stand_ins,
        "cache": False if no_cache else None,
        "sandbox": sandbox,
        "require_sandbox": require_sandbox or None,
        "readable": readable,
        "writable": writable,
        "network": network or None,
        "memory": memory,
        "processes": processes,
        "format": format,
        "exit_zero": exit_zero or None,
        "quiet": quiet or None,
    }
    page = None if report is None else _page(report)
    mode: Mode = "apply" if apply else "diff" if diff else "list"
    return partial(_check, given, configuration, trusted, mode, diff, page)


@_CATALOGUE.command()
def rules(
    format: Annotated[str, typer.Option(metavar="text|json", help="What to print.")] = "text",
) -> Action:
    """List the transforms: code, tip, whether it is on by default, name and summary."""
    return partial(_rules, _known_format(format))


@_CATALOGUE.command()
def explain(
    code: Annotated[str, typer.Argument(metavar="CODE", help="A transform's code or name, such as SVI051.")],
    format: Annotated[str, typer.Option(metavar="text|json", help="What to print.")] = "text",
) -> Action:
    """Explain one transform: what it does, why, an example, when it holds back and what it promises."""
    return partial(_explain, code, _known_format(format))


def _known_format(name: str) -> str:
    if name not in ("text", "json"):
        raise UserError(f"--format must be one of text, json, not {name!r}")
    return name


def main(argv: Sequence[str] | None = None) -> int:
    """Run pyro-fix with ``argv`` (default: the command line's); returns the exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    streams.prepare()
    interruption.heed()
    try:
        with streams.printing():  # help and version are answered here
            action = _parse(arguments)
        code = action()
    except KeyboardInterrupt:
        code = interruption.told()
    except BrokenPipeError:
        code = FINDINGS  # The reader has had enough.
    except Exception as error:
        if os.environ.get("PYRO_FIX_DEBUG"):
            raise
        code = _failed(_one_line(error), ERROR)
    return streams.settle(code, ERROR)


def _parse(arguments: list[str]) -> Action:
    """Only the first argument can name a sub-command: anywhere else, and as ``./rules``, it is a path."""
    if arguments[:1] == ["bot"]:
        from pyro_fix.bot import commands

        return commands.parse(arguments[1:], _bot_options)
    app = _CATALOGUE if arguments[:1] in (["rules"], ["explain"]) else _APP
    outcome: Any = typer.main.get_command(app).main(arguments, prog_name="pyro-fix", standalone_mode=False)
    return outcome if callable(outcome) else lambda: int(outcome or OK)


def _bot_options(arguments: list[str]) -> config.Options:
    """What the bot's plan looks at, and how: options of pyro-fix itself."""
    action: Any = typer.main.get_command(_APP).main(arguments, prog_name="pyro-fix bot", standalone_mode=False)
    if not isinstance(action, partial):  # --help and --version were answered
        raise SystemExit(OK)
    given, file, trusted, mode, _, page = action.args
    wrong = [name for name in ("--diff", "--apply", "--report") if name in arguments]
    if wrong or mode != "list" or page is not None or given["format"] is not None:
        raise UserError(f"{' '.join(wrong) or '--format'}: has no meaning for pyro-fix bot, which writes a plan")
    if given["verify"] is False:
        raise UserError("--no-verify: pyro-fix bot offers nothing that was not run")
    options = _options(given, file, trusted, "diff")
    _mind_sandbox(options, quiet=bool(given["quiet"]))
    return replace(options, verify=True)


def _page(name: str) -> Path:
    """Where the report goes; told before anything is run, and never a file of the program."""
    path = Path(name)
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"--report {name}: must end in .html")
    if path.is_dir():
        raise UserError(f"--report {name}: is a folder")
    if not path.parent.is_dir():
        raise UserError(f"--report {name}: there is no folder {path.parent}")
    try:
        regular.check_writable(path)
    except OSError as error:
        raise UserError(f"--report {name}: cannot be written: {error.strerror or error}") from error
    return path


def _check(given: dict[str, Any], file: str | None, trusted: bool, mode: Mode, diff: bool, page: Path | None) -> int:
    cwd = _working_folder()
    options = _options(given, file, trusted, mode)
    if options.verify:
        _mind_sandbox(options, quiet=bool(given["quiet"]))
    from pyro_fix import engine
    from pyro_fix.report.progress import Progress

    with Progress(shown=not options.quiet) as progress:
        result = engine.check(options, progress)
    if mode == "apply":
        from pyro_fix import apply

        apply.write(result.changes)
    from pyro_fix.report import text

    told = text.once(result)
    if options.format == "json":
        from pyro_fix.report import json

        streams.page(json.document(result, cwd, applied=mode == "apply"))
    elif mode == "list":
        _print_findings(told, cwd, options.verify)
    else:
        _print_changes(told, cwd, diff, options.quiet)
    if not options.quiet:
        _print_rest(told, cwd, mode, options.verify)
    if page is not None:
        _write_report(page, result, cwd, mode, options)
    return _exit_code(result, options, mode)


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:  # it was removed
        raise UserError(f"the working folder cannot be read: {error.strerror or error}") from None


def _options(given: dict[str, Any], file: str | None, trusted: bool, mode: Mode) -> config.Options:
    settings: config.File | None
    start = _common_folder(given["paths"] or [])
    if file is not None:
        settings = config.read(Path(file))
        if settings is None:
            raise UserError(f"{file}: has no [tool.pyro-fix]")
    else:
        settings = config.load(start)
    listing = mode == "list" and given["verify"] is None
    settings, tree, trusted = _believed(settings, start, file is not None, listing, given, trusted)
    if mode == "list" and given["verify"] is None and "verify" not in settings.values:
        given = {**given, "verify": False}
    from pyro_fix import trust

    trees = trust.trees(settings, given["paths"] or [], tree, explicit=file is not None)
    options = replace(config.combine(settings, given), listing=mode == "list", trees=trees, trusted=trusted)
    if options.select or options.extend_select or options.ignore or options.thresholds:
        from pyro_fix import catalogue

        with _values_from_user():
            catalogue.select(catalogue.load(), options.select, options.ignore, options.extend_select)
            catalogue.configure(catalogue.load(), options.thresholds)
    if options.run:
        from pyro_fix.runner import target

        with _values_from_user():
            for command in options.run:
                target.parse(command, Path.cwd())
    return options


def _believed(
    file: config.File, start: Path, explicit: bool, listing: bool, given: dict[str, Any], flag: bool
) -> tuple[config.File, Path, bool]:
    """The settings that count, the scanned tree, and whether the user trusts it: the tree's own word is not enough."""
    from pyro_fix import trust

    stake = trust.stake(file, start, explicit=explicit, listing=listing, given=given)
    if flag:
        return file, stake.tree, True
    runs = not listing or "verify" in stake.refused
    if given["verify"] is False or (not listing and given["verify"] is None and file.values.get("verify") is False):
        runs = False
    # What is not run has no sandbox to open.
    matters = {name: value for name, value in stake.refused.items() if runs or name == "paths"}
    python = None
    if runs and given["python"] is None and "python" not in stake.refused:
        from pyro_fix.runner import interpreter

        python = interpreter.lying_about(file.root)
    if not matters and python is None:
        return stake.believed, stake.tree, False
    tree = stake.tree if matters or file.root.is_relative_to(stake.tree) else file.root
    user = trust.known(tree)
    said = user.says(tree)
    quiet = bool(given["quiet"])
    where = f"{trust.plain(file.path)} sets {trust.told(matters)}" if matters and file.path is not None else ""
    if said is None and user.file is not None and trust.on_terminal(quiet):
        what = [where] if where else []
        what += [f"{trust.plain(python)} would run the programs"] if python is not None else []
        said = trust.asked(tree, user.file, ", and ".join(what))
        trust.remember(user.file, tree, said)
    elif matters and not said and not quiet:
        streams.err(f"ignored: {where}: the folder is not trusted ({trust.how(tree)})")
    return (file, stake.tree, True) if said else (stake.believed, stake.tree, False)


def _mind_sandbox(options: config.Options, *, quiet: bool) -> None:
    """Say what programs cannot be kept from here, or refuse to run them; a scanned tree cannot ask for silence here."""
    if not options.sandbox:
        if options.require_sandbox:
            raise UserError("--require-sandbox: the sandbox is switched off")
        return
    if options.executor != "local":
        return  # programs run elsewhere: the executor asks there
    from pyro_fix.runner import sandbox

    missing = sandbox.missing()
    if missing and options.require_sandbox:
        raise UserError(f"--require-sandbox: this machine cannot keep a program from {', '.join(missing)}")
    if missing and not quiet:
        streams.err(sandbox.notice(missing))


def _common_folder(paths: Sequence[str]) -> Path:
    """Where the search for ``pyproject.toml`` begins."""
    if not paths:
        return Path.cwd()
    common = Path(os.path.commonpath([os.path.realpath(path) for path in paths]))  # unlike Path's, never fails
    return common if common.is_dir() else common.parent


def _print_findings(result: Result, cwd: Path, verified: bool) -> None:
    from pyro_fix.report import text

    for line in text.findings(result, cwd, verified):
        streams.out(line)


def _print_changes(result: Result, cwd: Path, diff: bool, quiet: bool) -> None:
    """Diffs to stdout, and what the runs said of them to stderr: on a terminal that is under each diff."""
    from pyro_fix.diffs import of_change
    from pyro_fix.report import text

    verdicts: dict[Path, list[Finding]] = {}
    for finding in result.findings:
        if finding.included:
            verdicts.setdefault(finding.proposal.path, []).append(finding)
    # A fix can change other files than the one that it was found in; its verdict must not get lost.
    changed = {change.source.path: change for change in result.changes}
    for path in (*changed, *(path for path in verdicts if path not in changed)):
        if diff and path in changed:
            if sys.stdout.isatty():
                from pyro_fix.report import terminal

                terminal.print_diff(changed[path], cwd)
            else:
                streams.data(of_change(changed[path], cwd))
            sys.stdout.flush()
        for finding in verdicts.get(path, []):
            if not quiet:
                streams.err(text.verdict(finding, cwd))


def _print_rest(result: Result, cwd: Path, mode: Mode, verified: bool) -> None:
    from pyro_fix.report import text

    sys.stdout.flush()
    if mode != "list":
        for line in text.left_out(result, cwd):
            streams.err(f"left out: {line}")
    for line in text.gone(result, cwd):
        streams.err(line)
    for line in text.proofs(result):
        streams.err(f"to its end: {line}")
    for line in text.runs(result):
        streams.err(f"ran: {line}")
    for line in text.skipped(result, cwd):
        streams.err(f"skipped: {line}")
    streams.err(text.summary(result, mode, verified))


def _write_report(path: Path, result: Result, cwd: Path, mode: Mode, options: config.Options) -> None:
    from pyro_fix.report import html

    try:
        html.write(path, html.document(result, cwd, mode, options.verify))
    except OSError as error:
        raise UserError(f"--report {path}: cannot be written: {error.strerror or error}") from error
    if not options.quiet:
        streams.err(f"report: {path}")


def _exit_code(result: Result, options: config.Options, mode: Mode) -> int:
    from pyro_fix.transform import Status

    asked = {path.absolute() for path in options.paths}
    failed = [file for file in result.skipped if file.odd or (file.cell is None and file.path.absolute() in asked)]
    if failed:
        for file in failed if options.quiet else failed[:1]:  # else all were told above
            _failed(f"{file.path}: was skipped: {file.reason}", ERROR)
        return ERROR
    # A suggestion that is not followed would be there at every run.
    remaining = [f for f in result.findings if (mode != "apply" if f.included else not f.suggestion)]
    if mode == "apply" and any(f.verdict.status in (Status.REJECTED, Status.UNVERIFIED) for f in remaining):
        return HELD_BACK
    return FINDINGS if remaining and not options.exit_zero else OK


def _rules(format: str) -> int:
    from pyro_fix import catalogue
    from pyro_fix.report import rules

    with _values_from_user():
        transforms = catalogue.load()
    streams.page(rules.as_json(transforms) if format == "json" else rules.table(transforms))
    return OK


def _explain(code: str, format: str) -> int:
    from pyro_fix import catalogue
    from pyro_fix.report import rules

    with _values_from_user():
        transform = rules.find(catalogue.load(), code)
    if format == "json":
        streams.page(rules.document(transform))
    elif sys.stdout.isatty():
        from pyro_fix.report import terminal

        terminal.print_markdown(rules.markdown(transform))
    else:
        streams.page(rules.markdown(transform))
    return OK


@contextlib.contextmanager
def _values_from_user() -> Iterator[None]:
    """Where a ``ValueError`` speaks of what the user gave."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from None


def _failed(message: str, code: int) -> int:
    streams.err(f"pyro-fix: {message}")
    return code


def _one_line(error: Exception) -> str:
    """The user's errors speak for themselves; anything else is ours, and says so."""
    from pyro_fix.apply import ApplyError
    from pyro_fix.bot.forge import ForgeError
    from pyro_fix.bot.plan import PlanError
    from pyro_fix.runner.devices import DeviceError
    from pyro_fix.runner.executor import ExecutorError
    from pyro_fix.runner.interpreter import InterpreterError
    from pyro_fix.sources import SourceError

    ours: tuple[type[Exception], ...] = (UserError, config.ConfigError, SourceError, ApplyError, ForgeError, PlanError)
    ours += (DeviceError, ExecutorError, InterpreterError, streams.Lost)
    if isinstance(error, ours):
        message = str(error)
    elif hasattr(error, "format_message"):  # Click's, which newer Typers keep to themselves.
        message = f"{error.format_message()} (pyro-fix --help lists the options)"
    else:
        message = internal.told(error)
    return " ".join(message.split())
