"""Run one transform over a small program and what a run of it is said to have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from checking import Checked

from pyro_fix import engine
from pyro_fix.config import Options
from pyro_fix.judge import Static
from pyro_fix.observation import Failure, Look, Observation, PlateLook, SiteLook, SviObservation, Trajectory

__all__ = ["Shown", "check_shown", "failing", "site_look", "svi_at", "trajectory"]


class Shown(Static):
    """A judge that has seen these runs."""

    def __init__(self, *runs: Observation) -> None:
        self.runs = runs

    def observe(self, program: object, base: object) -> Sequence[Observation]:
        return self.runs


def line_of(text: str, part: str) -> int:
    """The 1-based line of the only place that ``part`` stands in."""
    assert text.count(part) == 1, (part, text.count(part))
    return text[: text.index(part)].count("\n") + 1


def check_shown(
    folder: Path,
    code: str,
    text: str,
    *svis: SviObservation,
    failure: Failure | None = None,
    notes: tuple[str, ...] = (),
    **files: str,
) -> Checked:
    """Check ``text`` as ``main.py`` after a run that showed ``svis`` (none: nothing was run)."""
    paths = []
    for name, content in {"main": text, **files}.items():
        paths.append(folder / f"{name}.py")
        paths[-1].write_text(content)
    versions = {"python": "3.11", "torch": "2.13.0", "pyro": "1.9.2"}
    run = Observation(
        "python main.py", "python", versions, "cpu", svis, {}, ("main.py",), failure, notes, 1.0, cwd=str(folder)
    )
    options = Options(paths=tuple(paths), select=(code,), verify=False, root=folder)
    return Checked(engine.check(options, lambda _: None, Shown(*[run][: len(svis)])), paths[0])


def svi_at(text: str, part: str, *trajectories: Trajectory, look: Look | None = None) -> SviObservation:
    """The SVI object that is built in the line with ``part``."""
    where = f"main.py:{line_of(text, part)}"
    return SviObservation(0, where, "Trace_ELBO", "Adam", 1, trajectories, look)


def trajectory(
    *losses: float, seed: int = 0, failure: Failure | None = None, nonfinite: int | None = None
) -> Trajectory:
    """A run of one seed."""
    return Trajectory(seed, losses, ((0.01,),) * len(losses), (1.0,) * len(losses), 0.001, nonfinite, failure)


def failing(kind: str, message: str, step: int = 0, where: str = "", site: str = "") -> Trajectory:
    """A run that an exception ends at ``step``."""
    return trajectory(*(100.0,) * step, failure=Failure(kind, message, where, step, site))


def site_look(
    text: str,
    part: str,
    shape: tuple[int, ...] = (),
    batch: tuple[int, ...] = (),
    event: tuple[int, ...] = (),
    plates: tuple[PlateLook, ...] = (),
    **changes: object,
) -> SiteLook:
    """The site that the call in the line with ``part`` makes."""
    made = SiteLook("Normal", "real", False, shape, -1.0, 1.0)
    where = f"main.py:{line_of(text, part)}"
    return replace(made, where=where, batch_shape=batch, event_shape=event, plates=plates, **changes)  # type: ignore[arg-type]
