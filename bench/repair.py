"""How many defects pyro-fix finds, proves and mends: sound programs are spoilt, one defect at a time, and handed to it.

    python bench/repair.py                             # every defect in three of the shipped programs that can have it
    python bench/repair.py --places 0                  # wherever it can be injected
    python bench/repair.py --select SVI05 my/programs  # your own sound scripts; each must step an SVI when it is run

For each code: injected, found (a finding with that code), verified (its fix kept its promise in a run), repaired
(verified, and the mended program then trains as well as the sound one, which evaluates both programs' parameters).  The
sound programs are checked as they are, too: a fix of one of them after which it trains worse is wrong.

Same seed, programs and versions give the same table.  Exit codes: 0 limits met, 1 one was missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

from defects import DEFECTS, Defect, Script

from pyro_fix import catalogue, engine
from pyro_fix.config import Options
from pyro_fix.observation import Observation, SviObservation
from pyro_fix.result import Result
from pyro_fix.runner import interpreter, run
from pyro_fix.runner.model import Deep, Referee, RunRequest, Target
from pyro_fix.transform import Status

#: At least this share of the injected defects is repaired.
REPAIRED = 0.95
#: What a mended program may lose, as a share of the sound one's progress, beyond the noise of its objective.
MARGIN = 0.05
#: How the reason begins where a whole training has shown that a fix brings nothing.
AT_THE_END = "trained to its end"

SHIPPED = Path(__file__).resolve().parent / "programs"


@dataclass(frozen=True)
class Case:
    """A sound program with one defect."""

    program: Path
    defect: Defect
    text: str


@dataclass(frozen=True)
class Outcome:
    """What became of a case."""

    found: bool
    verified: bool
    repaired: bool
    why: str
    """Why it was not repaired; empty when it was."""


class Training:
    """Trains programs and has the sound ones judge."""

    def __init__(self, python: Path, steps: int, seeds: int, folder: Path) -> None:
        self._python, self._steps, self._seeds = python, steps, tuple(range(seeds))
        self._folder = folder
        self._sound: dict[Path, tuple[Observation, Path]] = {}
        self._count = 0

    def worse(self, program: Path, mended: str) -> str:
        """Why ``mended`` trains worse than ``program``; empty when it does not."""
        if program not in self._sound:
            self._sound[program] = self._train(program, program.read_bytes())
        sound, states = self._sound[program]
        other, other_states = self._train(program, mended.encode())
        if other.failure is not None:
            return f"fails: {other.failure.kind}: {other.failure.message.splitlines()[0][:100]}"
        if len(other.svis) != len(sound.svis):
            return "builds other SVI objects"
        judged = self._judged(program, states, other_states)
        for ordinal, svi in enumerate(sound.svis):
            bad = [t for t in other.svis[ordinal].trajectories if t.failure or t.first_nonfinite is not None]
            if bad:
                return (
                    f"breaks at step {bad[0].first_nonfinite}" if not bad[0].failure else bad[0].failure.message[:100]
                )
            lost = _lost(judged.get(ordinal, {}), self._seeds)
            if lost is None:  # the guides have other parameters: each objective in the sound program's unit
                lost = _lost_by_own(svi, other.svis[ordinal])
            if lost is None:
                return "cannot be compared"
            if lost > 1:
                return f"ends worse by {lost:.1f} times what is allowed"
        return ""

    def _judged(self, program: Path, sound: Path, other: Path) -> dict[int, Mapping[str, Sequence[float]]]:
        labels = {f"sound-{seed}": sound / str(seed) for seed in self._seeds}
        labels |= {f"mended-{seed}": other / str(seed) for seed in self._seeds}
        request = self._request(program, program.read_bytes())
        seen = run(replace(request, steps=8, seeds=(0,), referee=Referee(labels, evaluations=32)))
        return {svi.ordinal: svi.referee for svi in seen.svis}

    def _train(self, program: Path, text: bytes) -> tuple[Observation, Path]:
        self._count += 1
        states = self._folder / f"states-{self._count}"
        states.mkdir()
        request = self._request(program, text)
        return run(replace(request, save_states=states, deep=Deep(seeds=4))), states

    def _request(self, program: Path, text: bytes) -> RunRequest:
        target = Target("script", str(program), (), program.parent, "bench/repair.py")
        return RunRequest(
            target, self._python, {program: text}, steps=self._steps, seeds=self._seeds, expect_svis=1, timeout=300.0
        )


def _lost(judged: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> float | None:
    """What the mended program has lost in the sound one's objective, as a multiple of what is allowed."""

    def level(kind: str, when: str) -> list[float]:
        return [statistics.fmean(judged.get(f"{kind}-{seed}/{when}", (math.nan,))) for seed in seeds]

    start, sound, mended = level("sound", "first"), level("sound", "last"), level("mended", "last")
    if not all(map(math.isfinite, (*start, *sound, *mended))):
        return None
    progress = abs(statistics.fmean(start) - statistics.fmean(sound))
    noise = statistics.fmean(statistics.stdev(judged[f"sound-{seed}/last"]) for seed in seeds) / math.sqrt(32)
    return (statistics.fmean(mended) - statistics.fmean(sound)) / (MARGIN * progress + 3 * noise)


def _lost_by_own(sound: SviObservation, mended: SviObservation) -> float | None:
    """The same from the last tenth of the programs' own losses, divided by the scale of their observed sites."""
    levels = []
    for svi in (sound, mended):
        scale = _scale(svi)
        if scale is None:
            return None
        tails = [t.losses[-max(10, len(t.losses) // 10) :] for t in svi.trajectories]
        levels.append([statistics.fmean(tail) / scale for tail in tails])
    scale = _scale(sound) or 1.0
    starts = [statistics.fmean(t.losses[:5]) / scale for t in sound.trajectories]
    progress = abs(statistics.fmean(starts) - statistics.fmean(levels[0]))
    noise = statistics.fmean(statistics.stdev(t.losses[-20:]) for t in sound.trajectories) / scale / math.sqrt(20)
    return (statistics.fmean(levels[1]) - statistics.fmean(levels[0])) / (MARGIN * progress + 3 * noise)


def _scale(svi: SviObservation) -> float | None:
    if svi.look is None:
        return None
    scales = {site.scale for site in svi.look.model.values() if site.observed}
    return scales.pop() if len(scales) == 1 else None


def cases(programs: Sequence[Path], defects: Sequence[Defect], places: int, seed: int) -> list[Case]:
    """Which defects go where: ``places`` a code, spread over the programs (0: all)."""
    chosen = []
    for defect in defects:
        generator = random.Random(f"{seed} {defect.code}")
        by_program = []
        for program in programs:
            texts = list(defect.inject(Script(program.read_text())))
            generator.shuffle(texts)
            by_program.append([Case(program, defect, text) for text in texts])
        generator.shuffle(by_program)
        # one from each program before a second one from any
        turns = [case for turn in zip_longest(*by_program) for case in turn if case is not None]
        chosen += turns[: places or None]
    return chosen


def mend(program: Path, text: str, options: Options, folder: Path) -> tuple[Result, str]:
    """Run pyro-fix on ``text`` under the name of ``program``; returns what it says and the new text."""
    path = folder / program.name
    path.write_text(text)
    result = engine.check(replace(options, paths=(path,), root=folder), lambda _: None)
    return result, next((change.text for change in result.changes if change.source.path == path), text)


def judge(case: Case, options: Options, folder: Path, training: Training) -> Outcome:
    """One case from injection to repair."""
    off = {transform.code for transform in catalogue.load() if not transform.default}
    extend = (case.defect.code,) if case.defect.code in off else ()
    result, text = mend(case.program, case.text, replace(options, extend_select=extend), folder)
    mine = [f for f in result.findings if f.proposal.code == case.defect.code]
    verified = any(f.verdict.status is Status.VERIFIED and f.included for f in mine)
    if not mine:
        others = ", ".join(sorted({f.proposal.code for f in result.findings})) or "nothing"
        return Outcome(False, False, False, f"not found (found: {others})")
    # A rate that does not decay is no defect of a program that is seen to end as well so: then it has to train as well.
    if not verified and not any(AT_THE_END in f.verdict.reason for f in mine):
        return Outcome(True, False, False, "; ".join(f.proposal.held_back or f.verdict.reason for f in mine)[:300])
    worse = training.worse(case.program, text)
    return Outcome(True, verified, not worse, worse)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="sound programs; default: bench/programs")
    parser.add_argument("--select", action="append", default=[], help="codes or prefixes of the defects to inject")
    parser.add_argument("--places", type=int, default=3, help="injections a code; 0 means all (default: 3)")
    parser.add_argument("--seed", type=int, default=0, help="decides where defects go (default: 0)")
    parser.add_argument("--steps", type=int, default=800, help="SVI steps of the final training (default: 800)")
    parser.add_argument("--seeds", type=int, default=2, help="training runs a program (default: 2)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    parser.add_argument(
        "--originals", choices=("yes", "no", "only"), default="yes", help="check the sound programs too"
    )
    parser.add_argument("--no-cache", action="store_true", help="run again what was run before")
    arguments = parser.parse_args()
    folders = arguments.folders or [SHIPPED]
    missing = [folder for folder in folders if not folder.exists()]
    if missing:
        parser.error(f"{missing[0]}: no such file or folder")
    programs = [p.resolve() for f in folders for p in (sorted(f.glob("*.py")) if f.is_dir() else [f])]
    defects = [d for d in DEFECTS if not arguments.select or d.code.startswith(tuple(arguments.select))]
    if not defects or not programs:
        parser.error("there is nothing to inject: no such code, or no program")
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="pyro-fix-repair-"))
    try:
        python = interpreter.find(arguments.python, Path.cwd())
        options = Options(verify=True, python=python, cache=not arguments.no_cache)
        training = Training(python, arguments.steps, arguments.seeds, folder)
        outcomes = {}
        if arguments.originals != "only":
            todo = cases(programs, defects, arguments.places, arguments.seed)
            for number, case in enumerate(todo, 1):
                outcomes[case] = outcome = judge(case, options, folder, training)
                state = "repaired" if outcome.repaired else outcome.why
                print(
                    f"[{number}/{len(todo)}] {case.defect.code} in {case.program.name}: {state}",
                    file=sys.stderr,
                    flush=True,
                )
        wrong = applied = 0
        if arguments.originals != "no":
            wrong, applied = _originals(programs, options, folder, training)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return _report(outcomes, arguments, programs, wrong, applied, time.monotonic() - started)


def _originals(programs: Sequence[Path], options: Options, folder: Path, training: Training) -> tuple[int, int]:
    """How many fixes of sound programs were wrong, and how many there were."""
    wrong = applied = 0
    for program in programs:
        result, text = mend(program, program.read_text(), options, folder)
        fixes = [f.proposal for f in result.findings if f.included]
        worse = training.worse(program, text) if fixes else ""
        applied += len(fixes)
        wrong += len(fixes) if worse else 0
        codes = ", ".join(p.code for p in fixes) or "nothing to fix"
        _tell(f"[sound] {program.name}: {codes}{f': {worse}' if worse else ''}")
    return wrong, applied


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _report(
    outcomes: Mapping[Case, Outcome],
    arguments: argparse.Namespace,
    programs: Sequence[Path],
    wrong: int,
    applied: int,
    seconds: float,
) -> int:
    rows: dict[str, list[Outcome]] = defaultdict(list)
    what = {defect.code: defect.what for defect in DEFECTS}
    for case, outcome in outcomes.items():
        rows[case.defect.code].append(outcome)
    print("| code | defect | injected | found | verified | repaired |\n| --- | --- | --- | --- | --- | --- |")
    for code in sorted(rows):
        print(f"| {code} | {what[code]} | {_counts(rows[code])} |")
    print(f"| all | | {_counts(list(outcomes.values()))} |")
    share = sum(o.repaired for o in outcomes.values()) / len(outcomes) if outcomes else 1.0
    if outcomes:
        print(f"\n{share:.1%} of the injected defects repaired (limit {REPAIRED:.0%}).")
    if arguments.originals != "no":
        print(f"{len(programs)} sound programs as they are: {applied} fixes, {wrong} of them wrong (limit 0).")
    print(f"seed {arguments.seed}, {arguments.steps} steps, {arguments.seeds} seeds; {seconds / 60:.0f} minutes.")
    return 0 if share >= REPAIRED and not wrong else 1


def _counts(outcomes: Sequence[Outcome]) -> str:
    counts = (len(outcomes), *(sum(getattr(o, name) for o in outcomes) for name in ("found", "verified", "repaired")))
    return " | ".join(map(str, counts))


if __name__ == "__main__":
    sys.exit(main())
