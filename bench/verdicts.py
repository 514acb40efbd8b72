"""How often verification is wrong: rewrites that are known to be right or to do harm, over many data sets.

    python bench/verdicts.py                        # 200 repetitions of each
    python bench/verdicts.py --repetitions 20 --promise NO_WORSE

Each repetition simulates other data, and has pyro-fix verify every rewrite of ``verdict_cases.py`` as it verifies its
own.
Exit codes: 0 limits met, 1 one was missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from measure import positive
from verdict_cases import CASES, Case

from pyro_fix import sources
from pyro_fix.runner import interpreter
from pyro_fix.runner.model import Target
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Status
from pyro_fix.verify import RunPlan, Verifier, VerifyOptions, laboratory
from pyro_fix.verify.lab import Lab

#: Right rewrites that may be rejected, and harmful ones that may be verified, as shares of the repetitions.
REJECTED, ACCEPTED = 0.02, 0.01


def fix(case: Case, path: Path) -> Proposal:
    """The proposal that makes the changes of ``case`` in its program at ``path``."""
    source = sources.read(path)
    edits = []
    for old, new in case.changes:
        assert source.text.count(old) == 1, old
        start = source.text.index(old)
        edits.append(Edit(path, start, start + len(old), new))
    candidate = Candidate(tuple(edits), case.promise, case.name, case.rate, needs_run=True)
    return Proposal("SVI999", "a-rewrite", 1, path, source.line_of(edits[0].start), 1, case.name, (candidate,))


def judge(case: Case, path: Path, data: int, options: VerifyOptions, lab: Lab) -> Status:
    """What becomes of a rewrite with one data set."""
    plan = RunPlan(Target("script", path.name, (str(data),), path.parent, "bench/verdicts.py"), 1)
    (verdict,) = Verifier([plan], {path: sources.read(path)}, options, lab=lab).verify([fix(case, path)])
    return verdict.status


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=positive, default=200, help="data sets (default: 200)")
    parser.add_argument("--first", type=int, default=0, help="seed of the first data set (default: 0)")
    parser.add_argument("--steps", type=positive, default=60, help="SVI steps a run (default: 60)")
    parser.add_argument(
        "--promise", action="append", default=[], metavar="NAME", help="only rewrites with this promise"
    )
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    unknown = set(arguments.promise) - {str(promise.name) for promise in Promise}
    if unknown:
        parser.error(f"no such promise: {min(unknown)}; there are {', '.join(str(p.name) for p in Promise)}")
    wanted = [Promise[name] for name in arguments.promise]
    chosen = [case for case in CASES if not wanted or any(promise in case.promise for promise in wanted)]
    options = VerifyOptions(interpreter.find(arguments.python, Path.cwd()), steps=arguments.steps)
    counts: dict[Case, Counter[Status]] = {case: Counter() for case in chosen}
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pyro-fix-verdicts-") as folder:
        paths = {}
        for number, text in enumerate(dict.fromkeys(case.program for case in chosen)):
            paths[text] = Path(folder).resolve() / f"program{number}.py"
            paths[text].write_text(text, encoding="utf-8")
        for repetition in range(arguments.repetitions):
            with laboratory(options) as lab:  # of its own: what it remembers is of one data set
                for case in chosen:
                    status = judge(case, paths[case.program], arguments.first + repetition, options, lab)
                    counts[case][status] += 1
                    if status is (Status.VERIFIED if case.harmful else Status.REJECTED):
                        print(f"data set {arguments.first + repetition}: {case.name}: {status.value}", file=sys.stderr)
            passed = time.monotonic() - started
            left = passed / (repetition + 1) * (arguments.repetitions - repetition - 1)
            print(f"[{repetition + 1}/{arguments.repetitions}] {left / 60:.0f} min left", file=sys.stderr, flush=True)
    return report(counts, arguments.repetitions, arguments.steps, time.monotonic() - started)


def report(counts: dict[Case, Counter[Status]], repetitions: int, steps: int, seconds: float) -> int:
    """Print the table; 1 where a limit was missed."""
    print("| promise | rewrite | | verified | rejected | unverified |\n| --- | --- | --- | --- | --- | --- |")
    missed = False
    for case, count in counts.items():
        wrong, limit = (count[Status.VERIFIED], ACCEPTED) if case.harmful else (count[Status.REJECTED], REJECTED)
        missed |= wrong > limit * repetitions
        name = " and ".join(str(promise.name) for promise in case.promise).lower().replace("_", " ")
        row = (name, case.name, "harmful" if case.harmful else "right")
        numbers = (count[status] for status in (Status.VERIFIED, Status.REJECTED, Status.UNVERIFIED))
        print(f"| {' | '.join((*row, *map(str, numbers)))} |{' MISSED' if wrong > limit * repetitions else ''}")
    print(
        f"\n{'MISSED' if missed else 'met'}: at most {REJECTED:.0%} of what is right rejected, at most {ACCEPTED:.0%}"
        f" of what does harm verified; {repetitions} data sets, {steps} steps, {seconds / 60:.0f} minutes."
    )
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
