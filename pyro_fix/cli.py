"""The command line: options in, exit code out."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pyro_fix import __version__, config

if TYPE_CHECKING:
    from pyro_fix.report.text import Mode
    from pyro_fix.result import Finding, Result

OK, FINDINGS, ERROR, HELD_BACK = 0, 1, 2, 3
INTERRUPTED = 128 + signal.SIGINT

Action = Callable[[], int]


class UserError(Exception):
    """Something that the user can put right; the message is one line."""


_EPILOG = """
pyro-fix rules lists the transforms, pyro-fix explain CODE explains one, pyro-fix bot opens pull requests.

Exit codes: 0 nothing to do, or all applied; 1 findings or diffs remain; 2 an error; 3 --apply held fixes back,
because verification refused them or could not run. --exit-zero turns 1 into 0.
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
    return partial(_check, given, configuration, "apply" if apply else "diff" if diff else "list", diff, page)


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
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # A path or message must not fail for its letters.
    _end_on_signals()
    try:
        code = _parse(arguments)()
        sys.stdout.flush()
    except KeyboardInterrupt:
        return _failed("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader has had enough.  Python would flush again at exit, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINDINGS
    except Exception as error:
        if os.environ.get("PYRO_FIX_DEBUG"):
            raise
        return _failed(_one_line(error), ERROR)
    return code


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
    given, file, mode, _, page = action.args
    wrong = [name for name in ("--diff", "--apply", "--report") if name in arguments]
    if wrong or mode != "list" or page is not None or given["format"] is not None:
        raise UserError(f"{' '.join(wrong) or '--format'}: has no meaning for pyro-fix bot, which writes a plan")
    if given["verify"] is False:
        raise UserError("--no-verify: pyro-fix bot offers nothing that was not run")
    options = _options(given, file, "diff")
    _mind_sandbox(options)
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
    return path


def _check(given: dict[str, Any], file: str | None, mode: Mode, diff: bool, page: Path | None) -> int:
    options, cwd = _options(given, file, mode), Path.cwd()
    if options.verify:
        _mind_sandbox(options)
    from pyro_fix import engine
    from pyro_fix.report.progress import Progress

    with Progress(shown=not options.quiet) as progress:
        result = engine.check(options, progress)
    if mode == "apply":
        from pyro_fix import apply

        apply.write(result.changes)
    if options.format == "json":
        from pyro_fix.report import json

        print(json.document(result, cwd, applied=mode == "apply"))
    elif mode == "list":
        _print_findings(result, cwd, options.verify)
    else:
        _print_changes(result, cwd, diff, options.quiet)
    if not options.quiet:
        _print_rest(result, cwd, mode, options.verify)
    if page is not None:
        _write_report(page, result, cwd, mode, options)
    return _exit_code(result, options, mode)


def _options(given: dict[str, Any], file: str | None, mode: Mode) -> config.Options:
    settings: config.File | None
    if file is not None:
        settings = config.read(Path(file))
        if settings is None:
            raise UserError(f"{file}: has no [tool.pyro-fix]")
    else:
        settings = config.load(_common_folder(given["paths"] or []))
    if mode == "list" and given["verify"] is None and "verify" not in settings.values:
        given = {**given, "verify": False}
    options = replace(config.combine(settings, given), listing=mode == "list")
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


def _mind_sandbox(options: config.Options) -> None:
    """Say what programs cannot be kept from here, or refuse to run them."""
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
    if missing and not options.quiet:
        _tell(sandbox.notice(missing))


def _common_folder(paths: Sequence[str]) -> Path:
    """Where the search for ``pyproject.toml`` begins."""
    if not paths:
        return Path.cwd()
    common = Path(os.path.commonpath([Path(path).resolve() for path in paths]))
    return common if common.is_dir() else common.parent


def _print_findings(result: Result, cwd: Path, verified: bool) -> None:
    from pyro_fix.report import text

    for line in text.findings(result, cwd, verified):
        print(line)


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
                sys.stdout.buffer.write(of_change(changed[path], cwd))
            sys.stdout.flush()
        for finding in verdicts.get(path, []):
            if not quiet:
                _tell(text.verdict(finding, cwd))


def _print_rest(result: Result, cwd: Path, mode: Mode, verified: bool) -> None:
    from pyro_fix.report import text

    sys.stdout.flush()
    if mode != "list":
        for line in text.left_out(result, cwd):
            _tell(f"left out: {line}")
    for line in text.runs(result):
        _tell(f"ran: {line}")
    for line in text.skipped(result, cwd):
        _tell(f"skipped: {line}")
    _tell(text.summary(result, mode, verified))


def _write_report(path: Path, result: Result, cwd: Path, mode: Mode, options: config.Options) -> None:
    from pyro_fix.report import html

    try:
        html.write(path, html.document(result, cwd, mode, options.verify))
    except OSError as error:
        raise UserError(f"--report {path}: cannot be written: {error.strerror or error}") from error
    if not options.quiet:
        _tell(f"report: {path}")


def _exit_code(result: Result, options: config.Options, mode: Mode) -> int:
    from pyro_fix.transform import Status

    asked = {path.absolute() for path in options.paths}
    named = [file for file in result.skipped if file.cell is None and file.path.absolute() in asked]
    if named:
        return _failed(f"{named[0].path}: was skipped: {named[0].reason}", ERROR)
    remaining = [finding for finding in result.findings if mode != "apply" or not finding.included]
    if mode == "apply" and any(f.verdict.status in (Status.REJECTED, Status.UNVERIFIED) for f in remaining):
        return HELD_BACK
    return FINDINGS if remaining and not options.exit_zero else OK


def _rules(format: str) -> int:
    from pyro_fix import catalogue
    from pyro_fix.report import rules

    with _values_from_user():
        transforms = catalogue.load()
    print(rules.as_json(transforms) if format == "json" else rules.table(transforms))
    return OK


def _explain(code: str, format: str) -> int:
    from pyro_fix import catalogue
    from pyro_fix.report import rules

    with _values_from_user():
        transform = rules.find(catalogue.load(), code)
    if format == "json":
        print(rules.document(transform))
    elif sys.stdout.isatty():
        from pyro_fix.report import terminal

        terminal.print_markdown(rules.markdown(transform))
    else:
        print(rules.markdown(transform))
    return OK


@contextlib.contextmanager
def _values_from_user() -> Iterator[None]:
    """Where a ``ValueError`` speaks of what the user gave."""
    try:
        yield
    except ValueError as error:
        raise UserError(str(error)) from None


def _end_on_signals() -> None:
    """Have SIGTERM and SIGHUP unwind the stack, so that children are ended and temporary files removed."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, end)


def _failed(message: str, code: int) -> int:
    _tell(f"pyro-fix: {message}")
    return code


def _tell(message: str) -> None:
    print(message, file=sys.stderr)


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
    ours += (DeviceError, ExecutorError, InterpreterError)
    if isinstance(error, ours):
        message = str(error)
    elif hasattr(error, "format_message"):  # Click's, which newer Typers keep to themselves.
        message = f"{error.format_message()} (pyro-fix --help lists the options)"
    else:
        message = f"internal error: {type(error).__name__}: {error} (PYRO_FIX_DEBUG=1 shows where)"
    return " ".join(message.split())
