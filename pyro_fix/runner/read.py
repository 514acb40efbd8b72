"""Turn the child's journal into an :class:`~pyro_fix.runner.model.Observation`."""

from __future__ import annotations

import json
import math
import os
import signal
import stat
import statistics
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_fix.observation import (
    Dependencies,
    Failure,
    Feed,
    InputLook,
    Look,
    Observation,
    ParamLook,
    PlateLook,
    SiteLook,
    SliceReplay,
    SviObservation,
    Trajectory,
)
from pyro_fix.probe.journal import TAIL, lines
from pyro_fix.runner.model import RunRequest

if TYPE_CHECKING:
    from pyro_fix.runner.process import End

#: More than that a program has written itself.
_LONGEST_JOURNAL = 1 << 28
#: Processes of a run that made steps; there are as many as seeds.
_MOST_TAILS = 10_000
#: Reasons for which an SVI object ends before it has made its steps through no doing of its own.
_CUT_SHORT = frozenset({"time", "skipped"})


def events(journal: Path) -> list[dict[str, Any]]:
    """The events of a journal; a line that a kill has cut in two is left out."""
    found = list(_events(_bytes(journal, _LONGEST_JOURNAL)))
    steps = {_step(event) for event in found if event["event"] == "step"}
    for tail in sorted(journal.parent.glob(f"{journal.name}.*"))[:_MOST_TAILS]:
        # A process that was killed while it wrote them down has left its last steps in both places.
        found += [event for event in _events(lines(_bytes(tail, TAIL))) if _step(event) not in steps]
    return found


def _step(event: Mapping[str, Any]) -> str:
    return f"{event.get('seed')} {event.get('svi')} {event.get('step')}"


def _bytes(path: Path, most: int) -> bytes:
    try:
        # The program could have put a pipe or a link in its place.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            return file.read(most) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.decode("utf-8", "replace").splitlines():
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("event"), str):
            yield event


def broken(request: RunRequest, failure: Failure) -> Observation:
    """The observation of a program that was not even started."""
    return Observation(request.target.command, str(request.python), {}, "cpu", (), {}, (), failure, (), 0.0)


def observation(
    request: RunRequest, found: list[dict[str, Any]], end: End, versions: Mapping[str, str], seconds: float
) -> Observation:
    """Put together what the events of all processes of a run say."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for event in found:
        by_name.setdefault(event["event"], []).append(event)
    hits = {f"{path}:{line}": 0 for path, lines in request.marks.items() for line in lines}
    for event in by_name.get("hits", ()):
        for label, count in event["counts"].items():
            hits[label] = hits.get(label, 0) + count
    for event in by_name.get("start", ())[:1]:
        versions = {name: event[name] for name in ("python", "torch", "pyro")}
    svis = tuple(_svi(request, ordinal, by_name) for ordinal in _ordinals(by_name))
    ends = by_name.get("device", ())
    texts = [event["text"] for name in ("warning", "note") for event in by_name.get(name, ())]
    return Observation(
        command=request.target.command,
        python=str(request.python),
        versions=dict(versions),
        device=next((event["device"] for event in ends), "cpu"),
        svis=svis,
        hits=hits,
        loaded=tuple(sorted({event["path"] for event in by_name.get("loaded", ())})),
        failure=_failure(request, by_name, end, svis),
        warnings=tuple(dict.fromkeys(texts)),
        seconds=seconds,
        cwd=str(request.target.cwd),
        device_memory=max((event["memory"] for event in ends if event["memory"] is not None), default=None),
    )


def _ordinals(by_name: Mapping[str, list[dict[str, Any]]]) -> list[int]:
    return sorted({event["svi"] for name in ("svi", "step", "failed") for event in by_name.get(name, ())})


def _of(by_name: Mapping[str, list[dict[str, Any]]], name: str, ordinal: int) -> list[dict[str, Any]]:
    return [event for event in by_name.get(name, ()) if event["svi"] == ordinal]


def _svi(request: RunRequest, ordinal: int, by_name: Mapping[str, list[dict[str, Any]]]) -> SviObservation:
    about: dict[str, Any] = next(iter(_of(by_name, "svi", ordinal)), {})
    steps, failures, ends = (_of(by_name, name, ordinal) for name in ("step", "failed", "end"))
    lost = {event["seed"]: event["why"] for event in by_name.get("lost", ())}
    trajectories = []
    for seed in request.seeds:
        made, raised, ended = ([event for event in group if event["seed"] == seed] for group in (steps, failures, ends))
        if made or raised or ended or seed in lost:
            trajectories.append(_trajectory(seed, made, raised, ended, lost.get(seed)))
    looks, facts = _of(by_name, "look", ordinal), _of(by_name, "facts", ordinal)
    return SviObservation(
        ordinal=ordinal,
        where=about.get("where", ""),
        elbo=about.get("elbo", ""),
        optimizer=about.get("optimizer", ""),
        num_particles=about.get("particles", 1),
        trajectories=tuple(trajectories),
        # The first: whatever is said of a look that was made broke in what came after it.
        look=_look(looks[0], facts[0] if facts else {}) if looks else None,
        referee={event["label"]: tuple(event["losses"]) for event in _of(by_name, "referee", ordinal)},
        guide=about.get("guide", ""),
        vectorized=about.get("vectorized", False),
    )


def _trajectory(
    seed: int,
    steps: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    ends: list[dict[str, Any]],
    lost: str | None,
) -> Trajectory:
    count = max((event["step"] for event in steps), default=-1) + 1
    # A step that raised, and was caught by the program, is a gap.
    losses, norms = [math.nan] * count, [math.nan] * count
    rates: list[tuple[float, ...]] = [()] * count
    nonfinite: dict[int, str] = {}
    for event in steps:
        index = event["step"]
        losses[index] = event["loss"]
        rates[index] = tuple(event["rates"])
        norms[index] = math.nan if event["norm"] is None else event["norm"]
        if event["nonfinite"]:
            nonfinite[index] = event["nonfinite"]
    failure = None
    if failures:
        first = failures[0]
        failure = Failure(first["kind"], first["message"], first["where"], first["step"], first["site"])
    elif lost is not None:
        failure = Failure("killed", lost, step=count)
    reason = ends[-1]["reason"] if ends else ""
    on_device = [float(seconds) for seconds in ends[-1]["seconds"]] if ends else []
    times = on_device or [event["cpu"] for event in steps]
    return Trajectory(
        seed=seed,
        losses=tuple(losses),
        rates=tuple(rates),
        gradient_norms=tuple(norms),
        step_seconds=statistics.median(times) if times else 0.0,
        first_nonfinite=min(nonfinite, default=None),
        nonfinite=nonfinite[min(nonfinite)] if nonfinite else "",
        failure=failure,
        ranges={name: (low, high) for name, (low, high) in ends[-1]["ranges"].items()} if ends else {},
        finished=bool(ends) and reason not in _CUT_SHORT,
        clock="device" if on_device else "CPU",
        own=ends[-1].get("own") if ends else None,
        clamped=ends[-1].get("clamped", 0) if ends else 0,
    )


def _look(event: dict[str, Any], facts: dict[str, Any]) -> Look:
    params = {
        name: ParamLook(tuple(p["shape"]), p["constraint"], tuple(p["values"]), p["minimum"], p["maximum"], p["where"])
        for name, p in event.get("params", {}).items()
    }
    slices = event.get("slices")
    more = facts.get("sites", {})
    return Look(
        params=params,
        guide=_sites(event.get("guide", {}), more.get("guide", {})),
        model=_sites(event.get("model", {}), more.get("model", {})),
        losses=tuple(event.get("losses", ())),
        gradients={name: tuple(map(tuple, sketches)) for name, sketches in event.get("gradients", {}).items()},
        gradient_norms=tuple(event.get("norms", ())),
        slices=None if slices is None else SliceReplay(**slices),
        error=event.get("error", ""),
        inputs=tuple(InputLook(**_tuples(given)) for given in facts.get("inputs", ())),
        dependencies=_dependencies(facts),
        max_plate_nesting=facts.get("nesting"),
    )


def _sites(found: Mapping[str, dict[str, Any]], facts: Mapping[str, dict[str, Any]]) -> dict[str, SiteLook]:
    sites = {}
    for name, site in found.items():
        more = facts.get(name, {})
        fields = {
            **_tuples(site),
            "plates": tuple(PlateLook(**plate) for plate in site["plates"]),
            "feeds": tuple(Feed(**_tuples(feed)) for feed in more.get("feeds", ())),
            "parents": tuple(more.get("parents", ())),
        }
        sites[name] = SiteLook(**fields)
    return sites


def _dependencies(facts: Mapping[str, Any]) -> Dependencies | None:
    told = facts.get("dependencies")
    if told is None:
        error = facts.get("errors", {}).get("dependencies")
        return Dependencies({}, {}, (), None, error) if error else None
    return Dependencies(
        prior={name: tuple(above) for name, above in told["prior"].items()},
        posterior={name: tuple(above) for name, above in told["posterior"].items()},
        registered_kl=tuple(told["registered_kl"]),
        mean_field=told["mean_field"],
        error=told["error"],
    )


def _tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def _failure(
    request: RunRequest, by_name: Mapping[str, list[dict[str, Any]]], end: End, svis: Iterable[SviObservation]
) -> Failure | None:
    for event in by_name.get("broke", ())[:1]:
        return Failure(event["kind"], event["message"], event["where"], site=event.get("site", ""))
    last = next((line.strip() for line in reversed(end.tail) if line.strip()), "")
    if end.why == "timeout":
        return Failure("timeout", f"ran longer than {request.timeout:g} s")
    if end.why == "limit":
        return Failure("killed", f"it {end.message}")
    if end.why == "start":
        return Failure("no-pyro", f"{request.python} cannot be started: {end.message}")
    if end.why == "killed":
        return Failure("killed", "was stopped")
    if end.status is not None and end.status < 0:
        return Failure("killed", f"died of {_signal_name(-end.status)}")
    if any(svi.trajectories for svi in svis):
        return None
    for event in by_name.get("pytest", ()):
        return Failure("pytest", f"exit status {event['status']}: {last}")
    said = f" (exit status {end.status}: {last})" if end.status else ""
    return Failure("no-svi", f"the program ended without a step of SVI{said}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
