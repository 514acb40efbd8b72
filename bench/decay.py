"""What the decays of learning rates are worth (SVI022, SVI031, SVI032), judged where the trainings end.

    python bench/decay.py                       # fixtures/cases and examples: an hour
    python bench/decay.py my/programs a.py      # scripts that step an SVI when they are run

Every program is mended twice, without these three and with them; both are trained to their end under other seeds than
those that pyro-fix has used, and the first one evaluates both programs' last parameters.  A comment
``# truth: NAME VALUE, NAME VALUE`` in a program says what its parameters (their mean, where they are tensors) should
come to.  Exit code 1 where a fix that was applied has made the end worse.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.result import Result
from pyro_fix.runner import interpreter, run
from pyro_fix.runner.model import Referee, RunRequest, Target

ROOT = Path(__file__).resolve().parents[1]
CODES = ("SVI022", "SVI031", "SVI032")
#: Of the referee; the noise of a level is that of one evaluation divided by 16.
EVALUATIONS = 256
TRUTH = re.compile(r"^# truth: (.+)$", re.MULTILINE)


class Bench:
    """Mends and trains in one folder."""

    def __init__(self, python: Path, folder: Path, seeds: Sequence[int], most: int) -> None:
        self._python, self._folder, self._seeds, self._most = python, folder, tuple(seeds), most
        self._count = 0

    def row(self, original: Path) -> tuple[str, bool]:
        """One line of the table, and whether an applied decay made the end worse."""
        home = Path(shutil.copytree(original.parent, self._folder / f"{original.stem}-files", dirs_exist_ok=True))
        program = home / original.name
        _, without = self._mend(program, CODES)
        result, text = self._mend(program, ())
        mine = [f for f in result.findings if f.proposal.code in CODES]
        if not mine:
            return f"| {original.stem} | no finding | | | |", False
        said = "; ".join(
            f"{f.proposal.code} {f.verdict.status.value}: {f.proposal.held_back or f.verdict.reason}" for f in mine
        )
        said = re.sub(r".*(trained to its end)", r"\1", said) if "trained to its end" in said else said
        applied = any(f.included for f in mine)
        states = [self._train(program, source) for source in ((without, text) if applied else (without,))]
        ends = self._judged(program, without, states)
        truths = [self._error(program, state) for state in states]
        cells = [" / ".join(f"{level:.4g}" for level in levels) for levels in ends]
        known = [error for error in truths if error]
        if not applied:
            return f"| {original.stem} | left out: {said} | {cells[0]} | | {' → '.join(known)} |", False
        worse = statistics.fmean(ends[1]) > statistics.fmean(ends[0])
        return f"| {original.stem} | applied: {said} | {cells[0]} | {cells[1]} | {' → '.join(known)} |", worse

    def _mend(self, program: Path, ignore: tuple[str, ...]) -> tuple[Result, str]:
        options = Options(paths=(program,), python=self._python, ignore=ignore, root=program.parent)
        result = engine.check(options, lambda _: None)
        changed = {change.source.path: change.text for change in result.changes}
        return result, changed.get(program, program.read_text("utf-8"))

    def _train(self, program: Path, text: str) -> Path:
        self._count += 1
        states = self._folder / f"states-{self._count}"
        states.mkdir()
        run(replace(self._request(program, text), steps=self._most, to_the_end=True, save_states=states))
        return states

    def _judged(self, program: Path, text: str, states: Sequence[Path]) -> list[list[float]]:
        """By training: the loss of every seed's end."""
        labels = {f"{i}-{seed}": state / str(seed) for i, state in enumerate(states) for seed in self._seeds}
        referee = Referee(labels, evaluations=EVALUATIONS, moments=("last",))
        request = replace(self._request(program, text), steps=EVALUATIONS, seeds=self._seeds[:1], referee=referee)
        (svi, *_) = run(request).svis
        return [[statistics.fmean(svi.referee[f"{i}-{s}/last"]) for s in self._seeds] for i in range(len(states))]

    def _error(self, program: Path, states: Path) -> str:
        """How far the parameters are from the truth, on average over the seeds."""
        found = TRUTH.search(program.read_text("utf-8"))
        if found is None:
            return ""
        import torch

        errors = []
        for seed in self._seeds:
            params = torch.load(states / str(seed) / "svi-0-last.pt", weights_only=True)["params"]
            for name, value in (item.split() for item in found[1].split(", ")):
                errors.append(abs(params[name]["value"].float().mean().item() - float(value)))
        return f"{statistics.fmean(errors):.3g}"

    def _request(self, program: Path, text: str) -> RunRequest:
        target = Target("script", program.name, (), program.parent, "bench/decay.py")
        overlay = {program: text.encode()}
        return RunRequest(target, self._python, overlay, seeds=self._seeds, expect_svis=1, timeout=900.0)


def main() -> int:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("programs", nargs="*", type=Path, help="scripts, or folders of them")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of a program (default: 3)")
    parser.add_argument("--most", type=int, default=10_000, help="steps of a training at most (default: 10000)")
    parser.add_argument("--python", type=Path, help="the interpreter that has Pyro")
    arguments = parser.parse_args()
    asked = arguments.programs or [ROOT / "fixtures" / "cases", ROOT / "examples"]
    programs = [p.resolve() for f in asked for p in (sorted(f.glob("*.py")) if f.is_dir() else [f])]
    if not programs or not all(program.exists() for program in programs):
        parser.error("no such program")
    python = interpreter.find(arguments.python, Path.cwd())
    print("| program | decay | ends without | ends with | error without → with |\n| --- | --- | --- | --- | --- |")
    harmed = 0
    with tempfile.TemporaryDirectory(prefix="pyro-fix-decay-") as folder:
        bench = Bench(python, Path(folder), range(1000, 1000 + arguments.seeds), arguments.most)
        for program in programs:
            row, worse = bench.row(program)
            harmed += worse
            print(row, flush=True)
    print(f"\n{harmed} programs end worse with a decay that was applied (limit 0).")
    return 1 if harmed else 0


if __name__ == "__main__":
    sys.exit(main())
