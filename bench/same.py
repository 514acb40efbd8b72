"""Whether verdicts are the same in another run: another process, order, interpreter or machine.

    python bench/same.py examples/ab_test.py examples/growth.py                       # twice here: 2 jobs, then 1
    python bench/same.py --python OTHER/bin/python examples/                          # here, and in another environment
    python bench/same.py --busy 2 examples/ fixtures/cases                            # the second beside two busy loops
    pyro-fix --diff --no-cache --format json examples/ > here.json                    # on each of two machines, then
    python bench/same.py --compare here.json there.json

Compared are verdicts and diffs, and then reasons, what was measured, every loss of both programs, to its last digit.
How far a training of unknown length is followed is decided by what a step takes; that stands in the evidence.
Exit codes: 0 the same, 1 something differs, 2 a run failed; with ``--busy`` 1 only where a verdict or a diff does.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

#: What tells where and on what a verdict was come to, and says nothing of what it is.
PLACES = frozenset({"reproduce", "command", "python", "files", "versions", "device"})
#: In the place of what one of the two does not say.
NOTHING = "(nothing)"
#: What becomes of a fix.
VERDICT = ("status", "suggestion", "diff")
#: CPU time: the one thing that is measured and cannot be the same; as a name, and in a sentence.
TIMES = ("seconds", "CPU")
FASTER = re.compile(r"\d[\d.]* times (faster|slower)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run twice, or compare two outputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", help="what to look at")
    parser.add_argument("--python", default=sys.executable, help="the second run's interpreter, which has pyro-fix too")
    parser.add_argument("--busy", type=int, metavar="N", help="make both runs alike, the second beside N busy loops")
    parser.add_argument("--compare", nargs=2, metavar="FILE", help="compare two JSON outputs; nothing is run")
    options = parser.parse_args(argv)
    try:
        if options.compare:
            first, second = (json.loads(Path(name).read_bytes()) for name in options.compare)
        else:
            first = run(sys.executable, options.paths, "2")
            with busy(options.busy or 0):
                second = run(options.python, options.paths, "1" if options.busy is None else "2")
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        print(f"bench/same.py: {error}", file=sys.stderr)
        return 2
    return report(first, second, verdicts_only=options.busy is not None)


def run(python: str, paths: Sequence[str], jobs: str) -> dict[str, Any]:
    """What pyro-fix says, without remembering anything."""
    with tempfile.TemporaryFile() as errors:
        command = [python, "-m", "pyro_fix", "--diff", "--no-cache", "--exit-zero", "--format", "json", "--jobs", jobs]
        done = subprocess.run([*command, "--python", python, *paths], stdout=subprocess.PIPE, stderr=errors, check=True)
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Have so many processes compute for nothing meanwhile."""
    loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def report(first: dict[str, Any], second: dict[str, Any], *, verdicts_only: bool = False) -> int:
    """Print what differs, and how much was compared."""
    one, other = (dict(told(document)) for document in (first, second))
    losses = sum(isinstance(value, float) for value in one.values())
    differing = [where for where in {**one, **other} if one.get(where, NOTHING) != other.get(where, NOTHING)]
    for where in differing[:20]:
        print(f"{where}: {one.get(where, NOTHING)!r} became {other.get(where, NOTHING)!r}", file=sys.stderr)
    same = not differing
    alike = verdicts(first) == verdicts(second)
    count = len(first["findings"])
    print(f"{'the same' if same else 'DIFFERENT'}: {count} findings, {len(one)} values, {losses} of them numbers")
    print(f"verdicts and diffs: {'the same' if alike else 'DIFFERENT'}")
    return 0 if count and (alike if verdicts_only else same) else 1


def verdicts(document: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Of every finding where it stands, and what becomes of it."""
    return [
        (f["code"], f["path"], f["line"], f["column"], *((f["fix"] or {}).get(key) for key in VERDICT))
        for f in document["findings"]
    ]


def told(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a document that should be the same, with its way from the top."""
    if isinstance(value, dict):
        for key in sorted(value):
            if key not in PLACES and not any(word in key for word in TIMES):
                yield from told(value[key], f"{where}/{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from told(item, f"{where}/{index}")
    else:
        yield where, FASTER.sub("so many times \\1", value) if isinstance(value, str) else value


if __name__ == "__main__":
    sys.exit(main())
