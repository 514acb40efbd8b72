"""How often verification is wrong: rewrites that are known to be right or to do harm, over many data sets.

    python bench/verdicts.py                        # 200 repetitions of each
    python bench/verdicts.py --repetitions 20 --promise NO_WORSE
    python bench/verdicts.py --zoo --repetitions 2  # every harmful rewrite under all that transforms promise

Each repetition simulates other data, and has pyro-fix verify every rewrite of ``verdict_cases.py`` as it verifies its
own.  With ``--zoo`` the rewrites are those of ``zoo``: a right one under the promise of the transform that makes it, a
harmful one under every combination of promises that a transform of the catalogue makes.  A combination is left out
where a part of it, promised alone by another transform, has decided already.
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
from shipped import combinations, name, worth_trying
from verdict_cases import CASES, Case
from zoo import Kind, Rewrite, kinds

from pyro_fix import sources
from pyro_fix.runner import interpreter
from pyro_fix.runner.model import GIVEN, Target
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
    """What becomes of a rewrite with one data set; why, where it is not what should become of it."""
    plan = RunPlan(Target("script", path.name, (str(data),), path.parent, GIVEN), 1)
    (verdict,) = Verifier([plan], {path: sources.read(path)}, options, lab=lab).verify([fix(case, path)])
    if (verdict.status is Status.VERIFIED) is case.harmful:
        words = f"data set {data}: {case.name}, {name(case.promise)}: {verdict.status.value}: {verdict.reason}"
        print(words, file=sys.stderr, flush=True)
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
    parser.add_argument("--zoo", action="store_true", help="the rewrites of zoo, by all that transforms promise")
    parser.add_argument("--kind", action="append", default=[], metavar="NAME", help="of the zoo only these programs")
    parser.add_argument("--only", default="", metavar="WORDS", help="of the zoo only rewrites whose names have these")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    known = {kind.name: kind for kind in kinds()}
    if strangers := set(arguments.kind) - set(known):
        parser.error(f"no such kind of program: {min(strangers)}; there are {', '.join(known)}")
    unknown = set(arguments.promise) - {str(promise.name) for promise in Promise}
    if unknown:
        parser.error(f"no such promise: {min(unknown)}; there are {', '.join(str(p.name) for p in Promise)}")
    wanted = [Promise[name] for name in arguments.promise]
    chosen = [case for case in CASES if not wanted or any(promise in case.promise for promise in wanted)]
    options = VerifyOptions(interpreter.find(arguments.python, Path.cwd()), steps=arguments.steps)
    if arguments.zoo:
        data = range(arguments.first, arguments.first + arguments.repetitions)
        wanted_kinds = [known[chosen] for chosen in arguments.kind or known]
        return walk([kind.only(arguments.only) for kind in wanted_kinds], data, options)
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
        row = (name(case.promise), case.name, "harmful" if case.harmful else "right")
        numbers = (count[status] for status in (Status.VERIFIED, Status.REJECTED, Status.UNVERIFIED))
        print(f"| {' | '.join((*row, *map(str, numbers)))} |{' MISSED' if wrong > limit * repetitions else ''}")
    print(
        f"\n{'MISSED' if missed else 'met'}: at most {REJECTED:.0%} of what is right rejected, at most {ACCEPTED:.0%}"
        f" of what does harm verified; {repetitions} data sets, {steps} steps, {seconds / 60:.0f} minutes."
    )
    return int(missed)


def walk(chosen: Sequence[Kind], data: Sequence[int], options: VerifyOptions) -> int:
    """Through the zoo: print what verifies each rewrite; 1 where a limit was missed."""
    started = time.monotonic()
    harmful: Counter[bool] = Counter()
    right: Counter[Status] = Counter()
    print("| program | rewrite | | verdicts |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="pyro-fix-verdicts-") as folder:
        for kind in chosen:
            path = Path(folder).resolve() / f"{kind.name}.py"
            path.write_text(kind.program, encoding="utf-8")
            told: dict[Rewrite, list[str]] = {rewrite: [] for rewrite in kind.rewrites}
            for one in data:
                with laboratory(options) as lab:
                    for rewrite in kind.rewrites:
                        passed = (time.monotonic() - started) / 60
                        print(f"[{passed:.1f} min] {kind.name}, {rewrite.name}", file=sys.stderr, flush=True)
                        if rewrite.promise is not None:
                            status = judge(_case(kind, rewrite, rewrite.promise), path, one, options, lab)
                            right[status] += 1
                            told[rewrite].append(f"{status.value} by {name(rewrite.promise)}")
                        else:
                            by = _verifying(kind, rewrite, path, one, options, lab)
                            harmful[bool(by)] += 1
                            told[rewrite] += [f"VERIFIED by {name(promise)}" for promise in by]
            for rewrite, words in told.items():
                count = Counter(words)
                verdicts = "; ".join(f"{word} ({count[word]} of {len(data)})" for word in count) or "never verified"
                print(f"| {kind.name} | {rewrite.name} | {'harmful' if rewrite.harmful else 'right'} | {verdicts} |")
            sys.stdout.flush()
    wrong, rejected = harmful[True], right[Status.REJECTED]
    missed = wrong > 0 or rejected > REJECTED * right.total()
    print(
        f"\n{'MISSED' if missed else 'met'}: {wrong} of {harmful.total()} harmful verified (none may be), {rejected} of"
        f" {right.total()} right ones rejected (at most {REJECTED:.0%}), {right[Status.UNVERIFIED]} unverified;"
        f" {len(data)} data sets, {options.steps} steps, {(time.monotonic() - started) / 60:.0f} minutes."
    )
    return int(missed)


def _case(kind: Kind, rewrite: Rewrite, promise: Promise) -> Case:
    return Case(rewrite.name, kind.program, promise, rewrite.changes, rewrite.harmful, rewrite.rate)


def _verifying(kind: Kind, rewrite: Rewrite, path: Path, data: int, options: VerifyOptions, lab: Lab) -> list[Promise]:
    """By which combinations of promises a rewrite is verified."""
    refused: list[Promise] = []
    kept: list[Promise] = []
    vectorised = "vectorize_particles=True" in rewrite.applied(kind.program)
    for promise in combinations():
        if Promise.SAME_SITES_SLICED in promise and not vectorised:
            continue  # there are no slices
        if worth_trying(promise, (*refused, *kept)):
            verified = judge(_case(kind, rewrite, promise), path, data, options, lab) is Status.VERIFIED
            (kept if verified else refused).append(promise)
    return kept


if __name__ == "__main__":
    sys.exit(main())
