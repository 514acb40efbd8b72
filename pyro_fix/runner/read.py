"""Turn the child's journal into an :class:`~pyro_fix.runner.model.Observation`."""

from __future__ import annotations

import json
import math
import os
import re
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyro_fix import regular
from pyro_fix.observation import (
    Dependencies,
    Failure,
    Feed,
    InputLook,
    Look,
    Observation,
    ParamLook,
    PlateLook,
    Remark,
    SiteLook,
    SliceReplay,
    Substitute,
    SviObservation,
    Trajectory,
    Untrained,
    Work,
)
from pyro_fix.probe.journal import REACHED, TAIL, lines
from pyro_fix.runner import schema
from pyro_fix.runner.model import RunRequest

if TYPE_CHECKING:
    from pyro_fix.runner.process import End

#: Bytes of a journal without its steps, bytes of a step, and bytes of all together.
_LONGEST, _STEP, _LONGEST_JOURNAL = 64 << 20, 512, 1 << 28
#: Events of a journal without its steps, and steps in any case.
_MOST_EVENTS, _MOST_STEPS = 200_000, 500_000
#: Processes of a run that made steps; there are as many as seeds, and some may be run more than once.
_MOST_TAILS = 1000
#: In what torch says where it is asked for a GPU and there is none.
_ASKS_CUDA = re.compile(r"cuda|nvidia|accelerator device|dummy base class (Event|Stream)", re.IGNORECASE)
#: Reasons for which an SVI object ends before it has made its steps through no doing of its own.
_CUT_SHORT = frozenset({"time", "skipped"})


class JournalError(Exception):
    """A journal that none of ours can be: the program has written it.  The message says what is wrong."""


def events(journal: Path, request: RunRequest) -> list[dict[str, Any]]:
    """The events of a journal; a line that a kill has cut in two is left out.  Raises :class:`JournalError`."""
    asked = request.steps * len(request.seeds) * max(request.expect_svis, 1)
    most = min(_LONGEST + _STEP * asked, _LONGEST_JOURNAL)
    data = _bytes(journal, most + 1)
    if len(data) > most:
        raise JournalError(f"it has more than {most >> 20} MiB")
    found: list[dict[str, Any]] = []
    written: set[tuple[int, int, int]] = set()
    steps: set[tuple[int, int, int]] = set()
    others = told = 0
    twice = False
    for number, part in enumerate((data, *(lines(_bytes(tail, TAIL)) for tail in _tails(journal)))):
        for event in _events(part):
            if not _asked_for(event, request):
                continue
            if event["event"] == "step":
                told += 1
                step = event["seed"], event["svi"], event["step"]
                known = step in steps
                # A process that was killed while it wrote them down has left its last steps in both places.
                twice = twice or (known and not (number and step in written))
                steps.add(step)
                if not number:
                    written.add(step)
            else:
                known = False
                others += 1
            if others > _MOST_EVENTS or told > max(_MOST_STEPS, 2 * asked):
                raise JournalError("it tells of more than can have been")
            if not known:
                found.append(event)
    if twice:  # the recorder tells each once: the other comes from somebody else, or from another process
        found.append({"event": "note", "text": f"{REACHED}: it was told twice of a step (do several processes train?)"})
    return found


def _tails(journal: Path) -> list[str]:
    """The files beside the journal in which steps lie; the program may have made any number of them."""
    found: list[str] = []
    try:
        with os.scandir(journal.parent) as entries:
            for entry in entries:
                if entry.name.startswith(f"{journal.name}."):
                    found.append(entry.path)
                if len(found) >= _MOST_TAILS:
                    break
    except OSError:
        return []
    return sorted(found)


def _asked_for(event: Mapping[str, Any], request: RunRequest) -> bool:
    """Whether an event speaks of something that the run was to do."""
    return (
        event.get("svi", 0) < schema.MOST_SVIS
        and event.get("seed", request.seeds[0]) in request.seeds
        and event.get("step", 0) < max(request.steps, 1)
    )


def _bytes(path: Path | str, most: int) -> bytes:
    try:
        # The program could have put a pipe or a link in its place.
        return regular.read(path, most)
    except OSError:
        return b""


def _events(data: bytes) -> Iterator[dict[str, Any]]:
    for line in data.split(b"\n"):
        try:
            said = json.loads(line.decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            continue
        if isinstance(said, dict):
            try:
                event = schema.fit(said)
            except schema.Unfit as error:
                raise JournalError(str(error)) from None
            if event is not None:
                yield event


def broken(request: RunRequest, failure: Failure) -> Observation:
    """The observation of a program that was not even started."""
    return Observation(request.target.command, str(request.python), {}, "cpu", (), {}, (), failure, (), 0.0)


def observation(
    request: RunRequest,
    found: list[dict[str, Any]],
    end: End,
    versions: Mapping[str, str],
    seconds: float,
    roots: Sequence[str],
) -> Observation:
    """Put together what the events of all processes of a run say.  ``roots`` are the project's folders."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    by_svi: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for event in found:
        by_name.setdefault(event["event"], []).append(event)
        if "svi" in event:
            by_svi.setdefault((event["event"], event["svi"]), []).append(event)
    hits = {f"{path}:{line}": 0 for path, lines in request.marks.items() for line in lines}
    for event in by_name.get("hits", ()):
        for label, count in event["counts"].items():
            if label in hits:
                hits[label] += count
    for event in by_name.get("start", ())[:1]:
        versions = {name: event[name] for name in ("python", "torch", "pyro")}
    lost = {event["seed"]: event["why"] for event in by_name.get("lost", ())}
    uncaught = {event["seed"] for event in by_name.get("uncaught", ())}
    svis = tuple(_svi(request, ordinal, by_svi, lost, uncaught) for ordinal in _ordinals(by_svi))
    ends = by_name.get("device", ())
    texts = [event["text"] for name in ("warning", "note") for event in by_name.get(name, ())]
    return Observation(
        command=request.target.command,
        python=str(request.python),
        versions=dict(versions),
        device=next((event["device"] for event in ends), "cpu"),
        svis=svis,
        hits=hits,
        loaded=tuple(sorted({e["path"] for e in by_name.get("loaded", ()) if _is_below(e["path"], request, roots)})),
        failure=_failure(request, by_name, end, svis),
        warnings=tuple(dict.fromkeys(texts)),
        seconds=seconds,
        cwd=str(request.target.cwd),
        device_memory=max((event["memory"] for event in ends if event["memory"] is not None), default=None),
        remarks=_remarks(by_name),
        substitutes=_substitutes(by_name),
    )


def lacking(request: RunRequest, seen: Observation) -> frozenset[str]:
    """What the program ended, or a step broke, for want of, and has a substitute: ``modules``, ``cuda``."""
    failures = [t.failure for svi in seen.svis for t in svi.trajectories if t.failure is not None]
    failures += [seen.failure] if seen.failure is not None else []
    found = set()
    if request.stand_ins and any(failure.kind == "ModuleNotFoundError" for failure in failures):
        found.add("modules")
    # Who asks for a device is told where it is not.
    if not request.device.startswith("cuda") and any(_ASKS_CUDA.search(failure.message) for failure in failures):
        found.add("cuda")
    return frozenset(found)


def has_begun(seen: Observation) -> bool:
    """Whether a program has come to a step, or to an exception that says what else ends it."""
    failure = seen.failure
    return (
        failure is None or failure.kind not in ("no-svi", "pytest", "timeout") or any(s.trajectories for s in seen.svis)
    )


def _is_below(path: str, request: RunRequest, roots: Sequence[str]) -> bool:
    """Whether a file is one of the project: the cache reads all that the program says it has read."""
    absolute = os.path.normpath(request.target.cwd / path)
    if any(os.path.realpath(absolute) == os.path.realpath(file) for file in request.overlay):
        return True
    return any(absolute.startswith(root.rstrip(os.sep) + os.sep) for root in roots)


def _substitutes(by_name: Mapping[str, list[dict[str, Any]]]) -> tuple[Substitute, ...]:
    """What took the place of something that is not there: each once, whichever process said so first."""
    found: dict[str, Substitute] = {}
    for event in by_name.get("substitute", ()):
        one = Substitute(event["kind"], event["what"], event["lacking"], event["where"])
        found.setdefault(event["what"], one)
    for event in by_name.get("reached", ()):
        known = found.get(event["what"])
        if known is not None and not known.reached:
            at = f" at {event['where']}" if event["where"] else ""
            found[event["what"]] = replace(known, reached=event["how"].rstrip(",") + at)
    return tuple(found[what] for what in sorted(found))


def _remarks(by_name: Mapping[str, list[dict[str, Any]]]) -> tuple[Remark, ...]:
    """What Pyro warned of: once a text and SVI object, whichever process and step said so first."""
    found: dict[tuple[str, int | None], list[dict[str, Any]]] = {}
    for event in by_name.get("warning", ()):
        told = event.get("remark")
        if told is not None:
            found.setdefault((told["text"], told["svi"]), []).append(told)
    remarks = []
    for (text, svi), given in found.items():
        first = min(given, key=lambda told: -1 if told["step"] is None else told["step"])
        seeds = tuple(sorted({told["seed"] for told in given if told["seed"] is not None}))
        remarks.append(Remark(text, first["where"], svi, first["step"], seeds))
    return tuple(remarks)


_BySvi = Mapping[tuple[str, int], list[dict[str, Any]]]


def _ordinals(by_svi: _BySvi) -> list[int]:
    return sorted({ordinal for name, ordinal in by_svi if name in ("svi", "step", "failed")})


def _svi(
    request: RunRequest, ordinal: int, by_svi: _BySvi, lost: Mapping[int, str], uncaught: Set[int]
) -> SviObservation:
    def of(name: str) -> list[dict[str, Any]]:
        return by_svi.get((name, ordinal), [])

    about: dict[str, Any] = next(iter(of("svi")), {})
    steps, failures, ends = (_by_seed(of(name)) for name in ("step", "failed", "end"))
    trajectories = []
    for seed in request.seeds:
        made, raised, ended = (group.get(seed, []) for group in (steps, failures, ends))
        if made or raised or ended or seed in lost:
            trajectories.append(_trajectory(seed, made, raised, ended, lost.get(seed), seed not in uncaught))
    looks, facts = of("look"), of("facts")
    return SviObservation(
        ordinal=ordinal,
        where=about.get("where", ""),
        elbo=about.get("elbo", ""),
        optimizer=about.get("optimizer", ""),
        num_particles=about.get("particles", 1),
        trajectories=tuple(trajectories),
        # The first: whatever is said of a look that was made broke in what came after it.
        look=_look(looks[0], facts[0] if facts else {}) if looks else None,
        referee={event["label"]: tuple(event["losses"]) for event in of("referee")},
        guide=about.get("guide", ""),
        vectorized=about.get("vectorized", False),
    )


def _by_seed(found: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    groups: dict[int, list[dict[str, Any]]] = {}
    for event in found:
        groups.setdefault(event["seed"], []).append(event)
    return groups


def _trajectory(
    seed: int,
    steps: list[dict[str, Any]],
    failures: list[dict[str, Any]],
    ends: list[dict[str, Any]],
    lost: str | None,
    caught: bool,
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
        failure = Failure(
            first["kind"],
            first["message"],
            first["where"],
            first["step"],
            first["site"],
            first.get("pyro", False),
            caught,
        )
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
        step_seconds=_undisturbed(times),
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
        untrained=tuple(Untrained(**told) for told in event.get("untrained", ())),
        work=Work(**event["work"]) if event.get("work") else None,
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
        return Failure(
            event["kind"], event["message"], event["where"], site=event.get("site", ""), pyro=event.get("pyro", False)
        )
    last = next((line.strip() for line in reversed(end.tail) if line.strip()), "")
    if end.why == "timeout":
        return Failure("timeout", f"ran longer than {request.timeout:g} s")
    if end.why == "limit":
        return Failure("killed", f"it {end.message}")
    if end.why == "start":
        return Failure("no-pyro", f"{request.python} cannot be started: {end.message}")
    if end.unwatched:
        return Failure("killed", "was stopped: the process that watched it has died")
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


def _undisturbed(times: Sequence[float]) -> float:
    """What a step takes where nothing disturbs it: other processes on the machine only add to that.

    The least would be that of a batch that is not full.
    """
    return sorted(times)[len(times) // 10] if times else 0.0
