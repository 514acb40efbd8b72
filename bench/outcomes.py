"""Does it train better?  Programs trained to their end, with all of pyro-fix's default fixes and without.

    python bench/outcomes.py --json outcomes.json --resume       # all of them: hours
    python bench/outcomes.py --select radon,SVI051 --seeds 5
    python bench/outcomes.py my/programs                         # scripts that step an SVI when they are run
    python bench/outcomes.py --each --json outcomes.json --resume    # and without each transform's fixes in turn

Every program is copied, pyro-fix writes its fixes, and what it was and what it then is get trained to their own end by
Python alone (``trained.py``), under seeds that decide the random numbers of the steps and leave the data as they are.
What is compared is the ELBO of each program at its last parameters, un-normalised, in nats: pyro-fix has no part in it.
Sound programs are those of ``programs``, ``outcomes`` and ``reports/sound_*``; spoilt are those of ``reports``,
``fixtures/cases`` and ``examples``, and sound ones with one defect each (``defects.py``).

Exit codes: 0 limits met, 1 one was missed, 2 bad arguments.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from defects import DEFECTS
from repair import cases
from reports import truths

from pyro_fix.runner import interpreter
from pyro_fix.verify.stats import mean_interval

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: Nats: what differs by less is equal.
EQUAL = 0.1
#: Of the programs with a defect this share trains better.
BETTER = 0.9
#: Where the fixes of the sound programs are looked for.
SOUND = ("programs", "outcomes")
SPOILT = (HERE / "reports", ROOT / "fixtures" / "cases", ROOT / "examples")
DRAWS = 400


@dataclass(frozen=True)
class Program:
    """What is to be mended."""

    name: str
    path: Path
    text: str
    sound: bool


@dataclass
class Outcome:
    """What a program was worth before and after, seed by seed: minus the ELBO, or NaN where it went wrong."""

    name: str
    sound: bool
    codes: list[str]
    before: list[float]
    after: list[float]
    proof: str = ""
    """What pyro-fix itself says of the end."""
    without: dict[str, list[float]] = field(default_factory=dict)
    """Code -> the same with all fixes but those of this transform."""

    @property
    def gain(self) -> tuple[str, str]:
        """In a word, and in nats."""
        return compared(self.before, self.after)


def compared(before: Sequence[float], after: Sequence[float]) -> tuple[str, str]:
    """Better, equal or worse, and by how much."""
    broken = [sum(not math.isfinite(loss) for loss in losses) for losses in (before, after)]
    if broken[0] != broken[1]:
        words = f"{broken[0]} of {len(before)} went wrong, then {broken[1]}"
        return ("better" if broken[1] < broken[0] else "worse"), words
    gains = [a - b for a, b in zip(before, after, strict=True) if math.isfinite(a) and math.isfinite(b)]
    if len(gains) < 2:
        return "equal", "breaks as before"
    low, high = mean_interval(gains)
    mean = statistics.fmean(gains)
    words = f"{mean:+.4g} ({low:+.3g} to {high:+.3g})"
    if low > 0 and mean > EQUAL:
        return "better", words
    return ("worse", words) if high < 0 and mean < -EQUAL else ("equal", words)


def programs(folders: Sequence[Path], seed: int) -> Iterator[Program]:
    """All of them, or those of ``folders``, which are taken to be sound."""
    for folder in folders or [HERE / name for name in SOUND]:
        for path in sorted(folder.glob("*.py")) if folder.is_dir() else [folder]:
            yield Program(f"{path.parent.name}/{path.stem}", path, path.read_text("utf-8"), sound=True)
    if folders:
        return
    known = truths()
    for folder in SPOILT:
        for path in sorted(folder.glob("*.py")):
            truth = known.get(path.stem)
            # A fault that does not show in what is learnt leaves nothing to train better.
            sound = truth is not None and (truth.sound or not truth.trains)
            yield Program(f"{folder.name}/{path.stem}", path, path.read_text("utf-8"), sound)
    whole = sorted((HERE / "programs").glob("*.py"))
    for case in cases(whole, DEFECTS, 1, seed):
        name = f"defects/{case.defect.code}-{case.program.stem}"
        yield Program(name, case.program, case.text, sound=False)


class Bench:
    """Mends and trains."""

    def __init__(self, python: Path, folder: Path, arguments: argparse.Namespace) -> None:
        self._python, self._folder, self._arguments = python, folder, arguments

    def outcome(self, program: Program) -> Outcome:
        """Both trainings of one program."""
        home = Path(tempfile.mkdtemp(dir=self._folder))
        path = self._copy(program, home / "before")
        fixed = self._copy(program, home / "after")
        codes, proof = self._mend(fixed)
        before = self._train(path)
        after = self._train(fixed) if codes else before
        outcome = Outcome(program.name, program.sound, codes, before, after, proof)
        if self._arguments.each:
            for code in codes if len(codes) > 1 else ():
                other = self._copy(program, home / code)
                self._mend(other, "--ignore", code)
                outcome.without[code] = self._train(other)
        return outcome

    def _copy(self, program: Program, home: Path) -> Path:
        shutil.copytree(program.path.parent, home, ignore=shutil.ignore_patterns("__pycache__", "*.toml"))
        path = home / program.path.name
        path.write_text(program.text, "utf-8")
        return path

    def _mend(self, path: Path, *more: str) -> tuple[list[str], str]:
        """Which codes were applied, and what is said of the end."""
        command = [sys.executable, "-m", "pyro_fix", "--apply", "--quiet", "--format", "json", "--jobs", "1"]
        command += ["--python", str(self._python), *self._arguments.option, *more, path.name]
        run = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=3600, check=False)
        if run.returncode == 2:
            raise RuntimeError(f"{path.name}: {run.stderr.strip()}")
        told = json.loads(run.stdout)
        codes = sorted({f["code"] for f in told["findings"] if f["fix"]["included"]})
        return codes, "; ".join(f"{proof['verdict']}: {proof['reason']}" for proof in told["proofs"])

    def _train(self, path: Path) -> list[float]:
        command = [str(self._python), str(HERE / "trained.py"), "--seeds", str(self._arguments.seeds)]
        command += ["--draws", str(DRAWS), path.name]
        run = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=3600, check=False)
        return [_loss(json.loads(line)) for line in run.stdout.splitlines() if line.startswith("{")]


def _loss(report: Mapping[str, object]) -> float:
    if report["raised"] or "elbo" not in report:
        return math.nan
    elbo, scale = float(str(report["elbo"])), float(str(report["scale"]))
    # A plate's subsample makes the scale more than one; what a program has divided its ELBO by makes it less.
    return -elbo / min(scale, 1.0)


def table(outcomes: Sequence[Outcome]) -> Iterator[str]:
    """A row a program, then a row a transform."""
    yield "| program | | fixes | trains | by nats | pyro-fix says |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for one in outcomes:
        word, words = one.gain if one.codes else ("equal", "")
        kind = "sound" if one.sound else "spoilt"
        yield f"| {one.name} | {kind} | {', '.join(one.codes)} | {word} | {words} | {one.proof[:120]} |"
    yield ""
    yield "| transform | better | equal | worse | median gain, nats |"
    yield "| --- | --- | --- | --- | --- |"
    rows: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for one in outcomes:
        for code in one.codes:
            others = one.without.get(code, one.before if len(one.codes) == 1 else None)
            if others is not None:
                gains = [a - b for a, b in zip(others, one.after, strict=True) if math.isfinite(a) and math.isfinite(b)]
                rows[code].append((compared(others, one.after)[0], statistics.fmean(gains) if gains else math.nan))
    for code, found in sorted(rows.items()):
        counts = " | ".join(str(sum(word == name for word, _ in found)) for name in ("better", "equal", "worse"))
        gains = [gain for _, gain in found if math.isfinite(gain)]
        yield f"| {code} | {counts} | {f'{statistics.median(gains):+.3g}' if gains else ''} |"


def verdict(outcomes: Sequence[Outcome]) -> tuple[bool, str]:
    """Whether the limits were met, in words."""
    words = {one.name: one.gain[0] if one.codes else "equal" for one in outcomes}
    worse = [name for name, word in words.items() if word == "worse"]
    sound, spoilt = ([one for one in outcomes if one.sound is kind] for kind in (True, False))
    better = sum(words[one.name] == "better" for one in spoilt)
    lines = [f"{len(outcomes)} programs; worse: {', '.join(worse) or 'none'} (limit: none)."]
    if spoilt:
        lines.append(
            f"Spoilt: {better} of {len(spoilt)} train better ({better / len(spoilt):.0%}; limit {BETTER:.0%})."
        )
    gains = [statistics.fmean(b - a for b, a in zip(one.before, one.after, strict=True)) for one in sound if one.codes]
    if gains:
        lines.append(f"Sound: {len(sound)}, {len(gains)} changed, median gain {statistics.median(gains):+.3g} nats.")
    return not worse and better >= BETTER * len(spoilt), "\n".join(lines)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="sound scripts; default: all programs of the project")
    parser.add_argument("--select", default="", help="names, or parts of them, separated by commas")
    parser.add_argument("--seeds", type=int, default=5, help="trainings of a program (default: 5)")
    parser.add_argument("--seed", type=int, default=0, help="decides where defects go (default: 0)")
    parser.add_argument("--each", action="store_true", help="leave out each transform in turn, too")
    parser.add_argument("--jobs", type=int, default=1, help="programs side by side (default: 1)")
    parser.add_argument("--option", action="append", default=[], help="of pyro-fix, as --option=--prove")
    parser.add_argument("--json", type=Path, help="write what was measured there, program by program")
    parser.add_argument("--resume", action="store_true", help="keep what stands in --json")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args()
    if arguments.resume and arguments.json is None:
        parser.error("--resume needs --json")
    wanted = [word for word in arguments.select.split(",") if word]
    todo = [p for p in programs(arguments.folders, arguments.seed) if not wanted or any(w in p.name for w in wanted)]
    if not todo:
        parser.error("no such program")
    done: dict[str, Outcome] = {}
    if arguments.resume and arguments.json.exists():
        done = {row["name"]: Outcome(**row) for row in json.loads(arguments.json.read_text("utf-8"))}
    python = interpreter.find(arguments.python, Path.cwd())
    with tempfile.TemporaryDirectory(prefix="pyro-fix-outcomes-") as folder, ThreadPoolExecutor(arguments.jobs) as pool:
        bench = Bench(python, Path(folder), arguments)
        left = [program for program in todo if program.name not in done]
        for number, outcome in enumerate(pool.map(bench.outcome, left), 1):
            done[outcome.name] = outcome
            word, words = outcome.gain
            print(
                f"[{number}/{len(left)}] {outcome.name}: {', '.join(outcome.codes) or 'no fix'}: {word} {words}",
                file=sys.stderr,
                flush=True,
            )
            if arguments.json is not None:
                arguments.json.write_text(json.dumps([asdict(one) for one in done.values()], indent=1), "utf-8")
    outcomes = [done[program.name] for program in todo if program.name in done]
    print("\n".join(table(outcomes)))
    met, words = verdict(outcomes)
    print(f"\n{words}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
