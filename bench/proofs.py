"""How often a proof is wrong: what it says of pairs of programs, beside what many more trainings say.

    python bench/proofs.py                          # 40 pairs, drawn from the zoo
    python bench/proofs.py --pairs 100 --seed 1 --trainings 32

A pair is a program of ``zoo`` that runs as it is, and the same with one of its rewrites, whatever that is good for.
``pyro_fix.verify.prove`` says which of the two trains better, from a few trainings to the end.  The truth is taken from
others, by Python alone (``harm.py``): under seeds that the proof has not seen, each many times evaluated by the
original's objective.  A verdict is wrong where these exclude it; *cannot tell* is never wrong, and counted apart.

Exit codes: 0 limit met, 1 missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch
from harm import Trained, apart, judged
from measure import positive
from zoo import Kind, Rewrite, kinds

from pyro_fix import sources
from pyro_fix.proof import EQUAL, Proof
from pyro_fix.runner import interpreter
from pyro_fix.runner.model import GIVEN, Target
from pyro_fix.verify import RunPlan, VerifyOptions, laboratory
from pyro_fix.verify.bench import Bench
from pyro_fix.verify.prove import Program, prove
from pyro_fix.verify.stats import mean_interval

#: Verdicts that may be wrong, as a share of the pairs.
WRONG = 0.02
#: Seeds of the trainings that tell the truth: none that a proof takes.
FIRST = 100
DATA = 0


def said(path: Path, rewritten: str, options: VerifyOptions) -> list[Proof]:
    """What is said of the program at ``path`` and the rewritten one."""
    plan = RunPlan(Target("script", path.name, (str(DATA),), path.parent, GIVEN), 1)
    texts = {path: sources.read(path)}
    with laboratory(options) as lab:
        before = Program(Bench(lab, texts, options, (), {}), plan)
        after = Program(Bench(lab, texts, options, (), {path: rewritten.encode()}), plan)
        return prove(before, after, None)


def truth(path: Path, rewritten: Path, trainings: int) -> tuple[list[list[float]], list[list[float]]]:
    """Where both end, by SVI object and seed: the original's loss, NaN where a training went wrong."""
    befores, afters = [], []
    for seed in range(FIRST, FIRST + trainings):
        pair = apart(partial(_losses, path, rewritten, seed)) or []
        befores.append([before for before, _ in pair])
        afters.append([after for _, after in pair])
    return befores, afters


def _losses(path: Path, rewritten: Path, seed: int) -> list[tuple[float, float]]:
    original = Trained(path, DATA, seed)
    known = [one["loss"] for one in judged(original, original)]
    try:
        other = [one["loss"] for one in judged(original, Trained(rewritten, DATA, seed))]
    except Exception:
        other = [math.nan] * len(known)
    return list(zip(known, other, strict=True))


def column(rows: Sequence[Sequence[float]], number: int) -> list[float]:
    """Where one SVI object ended, seed by seed."""
    return [row[number] if number < len(row) else math.nan for row in rows]


def refuted(verdict: str, before: Sequence[float], after: Sequence[float]) -> str:
    """What many trainings say against a verdict; empty where they let it stand."""
    broken = sum(not math.isfinite(loss) for loss in after)
    if broken:
        return f"{broken} of {len(after)} trainings go wrong" if verdict in {"better", "as good"} else ""
    gains = [old - new for old, new in zip(before, after, strict=True)]
    low, high = mean_interval(gains)
    equal = max(EQUAL, statistics.stdev(before))
    wrong = {
        "better": high < EQUAL,
        "worse": low > -EQUAL,
        "as good": low > equal or high < -equal,
    }.get(verdict, False)
    return f"gains {statistics.fmean(gains):.3g} nats ({low:.3g} to {high:.3g})" if wrong else ""


def pairs(count: int, seed: int) -> Iterator[tuple[Kind, Rewrite]]:
    """So many of those that the zoo has, at random; of programs that run as they are."""
    known = [(kind, rewrite) for kind in kinds() if not kind.reference for rewrite in kind.rewrites]
    yield from random.Random(seed).sample(known, min(count, len(known)))


def main(argv: Sequence[str] | None = None) -> int:
    """Prove, train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=positive, default=40, help="how many (default: 40)")
    parser.add_argument("--seed", type=int, default=0, help="decides which (default: 0)")
    parser.add_argument("--trainings", type=positive, default=16, help="of each program, for the truth (default: 16)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args(argv)
    if arguments.trainings < 2:
        parser.error("an interval takes two trainings")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    options = VerifyOptions(interpreter.find(arguments.python, Path.cwd()))
    counts: Counter[str] = Counter()
    print("| program | rewrite | | proof | many trainings |\n| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="pyro-fix-proofs-") as name:
        folder = Path(name).resolve()
        for kind, rewrite in pairs(arguments.pairs, arguments.seed):
            path, other = folder / "program.py", folder / "rewritten.py"
            path.write_text(kind.program, encoding="utf-8")
            text = rewrite.applied(kind.program)
            other.write_text(text, encoding="utf-8")
            befores, afters = truth(path, other, arguments.trainings)
            for number, proof in enumerate(said(path, text, options)):
                columns = (
                    [row[number] if number < len(row) else math.nan for row in rows] for rows in (befores, afters)
                )
                against = refuted(proof.verdict, *columns)
                counts["wrong" if against else proof.verdict] += 1
                called = "harmful" if rewrite.harmful else "right"
                end = f"WRONG: {against}" if against else ""
                print(f"| {kind.name} | {rewrite.name} | {called} | {proof.reason} | {end} |", flush=True)
    total = sum(counts.values())
    told = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    met = counts["wrong"] <= WRONG * total
    print(f"\n{total} proofs: {told}; limit {WRONG:.0%} wrong: {'met' if met else 'MISSED'}.")
    return int(not met)


if __name__ == "__main__":
    sys.exit(main())
