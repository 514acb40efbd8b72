"""What a run is asked to do: defaults, then ``[tool.pyro-fix]`` of ``pyproject.toml``, then the command line."""

from __future__ import annotations

import fnmatch
import math
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Any

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?\s*", re.IGNORECASE)
_QUOTED = re.compile(rb'"[^"]*"|\'[^\']*\'')
_DEVICE = re.compile(r"auto|cpu|cuda(:(0|[1-9][0-9]{0,2}))?|mps")
_EXECUTOR = re.compile(r"local|dask(\+tls)?://(\[[0-9A-Fa-f:]+\]|[\w.-]+):[0-9]{1,5}")

#: A settings file that is longer, or has a longer line, or a key with more dots, is none that a person wrote;
#: TOML's parser takes quadratic time and much memory for some.
MOST_BYTES = 1_000_000
LONGEST_LINE = 10_000
MOST_DOTS = 100
#: CPU seconds: programs that both sides' trainings take no longer for are trained to their end without being asked.
PROVE_WITHIN = 60.0

Format = Literal["text", "json"]


class ConfigError(Exception):
    """A setting that cannot be used; the message is one line for the user."""


def cores() -> int:
    """How many processors this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@dataclass(frozen=True)
class Options:
    """Every setting of a run.  ``[tool.pyro-fix]`` and the command line use these names with hyphens."""

    paths: tuple[Path, ...] = (Path(),)
    """Files and folders to look at."""
    exclude: tuple[str, ...] = ()
    """Globs; ``*`` also matches ``/``.  Relative to :attr:`root`."""
    select: tuple[str, ...] = ()
    """Code prefixes to run; empty means every transform that is on by default."""
    extend_select: tuple[str, ...] = ()
    """Code prefixes to run as well: of transforms that are off by default."""
    ignore: tuple[str, ...] = ()
    """Code prefixes not to run."""
    thresholds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Code -> name of a threshold -> number.  Only in ``[tool.pyro-fix.thresholds]``."""
    verify: bool = True
    """Run the original and the patched programs and judge what they show."""
    observe: bool = True
    """When verifying, run every program that is found and let what it shows make findings; without it only the
    programs that a finding of the source concerns are run."""
    unverified: bool = False
    """Also include fixes whose program could not be run."""
    run: tuple[str, ...] = ()
    """Commands that run the user's programs; empty means to find them."""
    python: Path | None = None
    """The interpreter that has the project's Pyro; None means to find it."""
    steps: int = 100
    """SVI steps that each object makes in a run."""
    prove: bool = False
    """Train every program to its end, as it is and with all included fixes, however long that takes."""
    prove_within: float = field(default_factory=lambda: PROVE_WITHIN)
    """CPU seconds; a program that takes less is trained to its end, too."""
    tune: bool = False
    """Try other numbers in the place of those that included fixes write, where programs are trained to their end."""
    timeout: float = 120.0
    """Seconds of wall time for one run of a program."""
    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: what the program itself chooses."""
    stand_ins: bool = True
    """Put stand-ins in the places of modules that programs import and that are not installed."""
    any_pyro_version: bool = False
    """Let programs that assert an old ``pyro.__version__`` run with the one that there is."""
    seeds: int = 4
    """How many seeds the paired runs use."""
    jobs: int | None = None
    """How many programs run at a time; None means one a core, or as many as the cluster takes."""
    executor: str = "local"
    """Where programs run: here, or over a Dask cluster, ``dask://HOST:PORT``."""
    cache: bool = True
    """Keep facts of runs of unchanged programs."""
    sandbox: bool = True
    """Keep programs from writing outside their scratch folder, from the network, secrets, and taking too much."""
    require_sandbox: bool = False
    """Refuse to run programs where some of that cannot be enforced."""
    readable: tuple[Path, ...] = ()
    """Files and folders that programs may read although they look like secrets."""
    writable: tuple[Path, ...] = ()
    """Folders that programs may write to."""
    network: bool = False
    """Let programs use the network."""
    memory: int | None = None
    """Bytes of memory that a program may take with all that it starts; None means half of the machine's."""
    processes: int = 256
    """How many processes a program may have at a time."""
    format: Format = "text"
    exit_zero: bool = False
    """Exit with 0 where findings remain."""
    quiet: bool = False
    """No progress, verdicts or summary on stderr; errors are still told."""
    listing: bool = False
    """Only list findings: fixes need not be composed.  Not a setting."""
    bot: Mapping[str, object] = field(default_factory=dict)
    """``[tool.pyro-fix.bot]``, which only the bot reads (:mod:`pyro_fix.bot.settings`)."""
    refused: frozenset[str] = frozenset()
    """Fingerprints of findings that people have refused: they are left out.  Not a setting."""
    trees: tuple[Path, ...] = ()
    """Outside of these folders nothing is changed but files that were named (:func:`pyro_fix.trust.trees`); empty means
    no bounds.  Not a setting."""
    trusted: bool = False
    """Whether the user vouches for the tree (:mod:`pyro_fix.trust`).  Not a setting."""
    root: Path = field(default_factory=Path.cwd)
    """The folder of the ``pyproject.toml`` that was read, else the working folder.  Not a setting."""
    file: Path | None = None
    """The ``pyproject.toml`` that was read.  Not a setting."""

    def excluded(self, path: Path) -> bool:
        """Whether a glob of ``exclude`` matches ``path`` or a folder above it; never for a path the user named."""
        if not self.exclude or path in self.paths:
            return False
        relative = Path(os.path.relpath(path, self.root))
        names = [relative.as_posix(), *(parent.as_posix() for parent in relative.parents)]
        return any(_matches(name, pattern.rstrip("/")) for pattern in self.exclude for name in names)


def _matches(name: str, pattern: str) -> bool:
    """Match like ``.gitignore`` does: a pattern without a slash speaks of the last part alone."""
    if "/" not in pattern:
        name = name.rpartition("/")[2]
    return fnmatch.fnmatchcase(name, pattern) or (
        pattern.startswith("**/") and fnmatch.fnmatchcase(name, pattern.removeprefix("**/"))
    )


@dataclass(frozen=True)
class File:
    """The settings that a ``pyproject.toml`` holds."""

    root: Path
    values: Mapping[str, object] = field(default_factory=dict)
    """By the names of :class:`Options`, checked."""
    path: Path | None = None
    """Where they stand; None where there is no such file."""


def load(start: Path) -> File:
    """Read ``[tool.pyro-fix]`` of the nearest ``pyproject.toml``, from ``start`` upward, that has one."""
    start = start.resolve()
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if _is_file(path) and (file := read(path)):
            return file
    return File(Path.cwd())


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # in a folder that may not be entered, whose files cannot be read either
        return False


def read(path: Path) -> File | None:
    """Read one ``pyproject.toml``; None when it has no ``[tool.pyro-fix]``."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from error
    if b"pyro-fix" not in data and len(data) <= MOST_BYTES:  # Spares most projects the import of a TOML parser.
        return None
    document = parse(data, path)
    tool = document.get("tool", {})
    table = tool.get("pyro-fix") if isinstance(tool, dict) else None
    if table is None:
        return None
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: tool.pyro-fix must be a table")
    root = path.parent.resolve()
    return File(root, dict(_checked(table, str(path), root)), path.absolute())


def parse(data: bytes, path: Path) -> dict[str, Any]:
    """What a file of settings holds; raises :class:`ConfigError` where it cannot be read in reasonable time."""
    if problem := _beyond_reason(data):
        raise ConfigError(f"{path}: cannot be read as settings: {problem}")
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not valid TOML: {error}") from error
    except (RecursionError, MemoryError):
        raise ConfigError(f"{path}: cannot be read as settings: is nested too deeply") from None
    except ValueError:  # of Python's own, which bounds the digits of a number
        raise ConfigError(f"{path}: cannot be read as settings: a number has too many digits") from None


def _beyond_reason(data: bytes) -> str:
    """Why a file of settings is not given to the parser; empty where it is."""
    if len(data) > MOST_BYTES:
        return f"is longer than {MOST_BYTES} bytes"
    for number, line in enumerate(data.splitlines(), 1):
        if len(line) > LONGEST_LINE:
            return f"line {number} is longer than {LONGEST_LINE} bytes"
        key = _QUOTED.sub(b"", line).partition(b"#")[0]  # the dots of a string or comment are no key's
        if key.count(b".") > MOST_DOTS and (b"=" in key or key.lstrip().startswith(b"[")):
            return f"line {number} has more than {MOST_DOTS} dots"
    return ""


def _checked(table: Mapping[str, object], origin: str, root: Path) -> Iterator[tuple[str, object]]:
    known = {name.replace("_", "-"): name for name in _CHECKS}
    for key, value in table.items():
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key.replace("_", "-").lower(), known, n=1, cutoff=0)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{origin}: unknown key {key!r} in [tool.pyro-fix]{hint}")
        name = known[key]
        yield name, _check(name, value, f"{origin}: tool.pyro-fix.{key}", root)


def _check(name: str, value: object, label: str, root: Path) -> object:
    try:
        return _CHECKS[name](value, root)
    except ValueError as error:
        raise ConfigError(f"{label} {error}") from None


def combine(file: File, given: Mapping[str, object]) -> Options:
    """Lay what the command line gave over the file's settings; None and empty lists mean "not given"."""
    values = dict(file.values)
    for name, value in given.items():
        if value is not None and value != []:
            values[name] = _check(name, value, f"--{name.replace('_', '-')}", Path())
    return replace(Options(root=file.root, file=file.path), **values)  # type: ignore[arg-type]


def _strings(value: object, _: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a list of strings, not {value!r}")
    return tuple(value)


def _codes(value: object, root: Path) -> tuple[str, ...]:
    """A list whose items may hold several codes, as in ``--select SVI05,SVI081``."""
    return tuple(code.strip() for item in _strings(value, root) for code in item.split(",") if code.strip())


def _paths(value: object, root: Path) -> tuple[Path, ...]:
    return tuple(_shortest(root / item) for item in _strings(value, root))


def _places(value: object, root: Path) -> tuple[Path, ...]:
    """Paths as a program finds them, wherever it runs."""
    return tuple((root / Path(item).expanduser()).absolute() for item in _strings(value, root))


def _shortest(path: Path) -> Path:
    """The form that a person in the working folder would type."""
    try:
        return path.relative_to(Path.cwd())
    except ValueError:
        return path


def _python(value: object, root: Path) -> Path:
    if not isinstance(value, str) or not value:
        raise ValueError(f"must be the path of a Python interpreter, not {value!r}")
    path = root / Path(value).expanduser()
    if path.is_dir():  # A virtual environment.
        for inside in (path / "bin" / "python", path / "Scripts" / "python.exe"):
            if inside.exists():
                return inside.absolute()
        raise ValueError(f"names a folder without an interpreter: {value}")
    if path.is_file() and os.access(path, os.X_OK):
        return path.absolute()  # Never resolved: a link is how an interpreter finds its environment.
    if Path(value).name == value and (found := shutil.which(value)):
        return Path(found).absolute()
    raise ValueError(f"names no Python interpreter: {value}")


def _boolean(value: object, _: Path) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"must be true or false, not {value!r}")
    return value


def _count(value: object, _: Path) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"must be a whole number of at least 1, not {value!r}")
    return value


def _bytes(value: object, _: Path) -> int:
    match = _SIZE.fullmatch(value) if isinstance(value, str) else None
    size = int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " ")) if match else 0
    if size < 1:
        raise ValueError(f"must be a size such as '8GiB', not {value!r}")
    return size


def _seconds(value: object, _: Path) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value < math.inf:
        raise ValueError(f"must be a number of seconds above 0, not {value!r}")
    return float(value)


def _duration(value: object, _: Path) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"must be a number of seconds, not {value!r}")
    return float(value)


def _choice(*choices: str) -> Callable[[object, Path], str]:
    def check(value: object, _: Path) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return str(value)

    return check


def _device(value: object, _: Path) -> str:
    if not isinstance(value, str) or not _DEVICE.fullmatch(value):
        raise ValueError(f"must be one of auto, cpu, cuda, cuda:N, mps, not {value!r}")
    return value


def _executor(value: object, _: Path) -> str:
    if not isinstance(value, str) or not _EXECUTOR.fullmatch(value):
        raise ValueError(f"must be local, dask://HOST:PORT or dask+tls://HOST:PORT, not {value!r}")
    return value


def _thresholds(value: object, _: Path) -> dict[str, dict[str, float]]:
    if not isinstance(value, dict) or not all(isinstance(table, dict) for table in value.values()):
        raise ValueError("must be a table of tables, such as SVI071 = { widest = 2.0 }")
    for code, table in value.items():
        for name, number in table.items():
            if not isinstance(number, (int, float)) or isinstance(number, bool) or not math.isfinite(number):
                raise ValueError(f"{code}.{name} must be a number, not {number!r}")
    return {code: {name.replace("-", "_"): float(number) for name, number in t.items()} for code, t in value.items()}


def _table(value: object, _: Path) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"must be a table, not {value!r}")
    return value


_CHECKS: dict[str, Callable[[object, Path], object]] = {
    "paths": _paths,
    "exclude": _strings,
    "select": _codes,
    "extend_select": _codes,
    "ignore": _codes,
    "thresholds": _thresholds,
    "verify": _boolean,
    "observe": _boolean,
    "unverified": _boolean,
    "run": _strings,
    "python": _python,
    "steps": _count,
    "prove": _boolean,
    "prove_within": _duration,
    "tune": _boolean,
    "timeout": _seconds,
    "device": _device,
    "seeds": _count,
    "jobs": _count,
    "executor": _executor,
    "any_pyro_version": _boolean,
    "stand_ins": _boolean,
    "cache": _boolean,
    "sandbox": _boolean,
    "require_sandbox": _boolean,
    "readable": _places,
    "writable": _places,
    "network": _boolean,
    "memory": _bytes,
    "processes": _count,
    "format": _choice("text", "json"),
    "exit_zero": _boolean,
    "quiet": _boolean,
    "bot": _table,
}
