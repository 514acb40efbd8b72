"""What a step takes, without a clock: a budget that a busy machine spends sooner makes other verdicts.

The seconds are nominal: what an idle core of a small server takes, by ``bench/nominal.py``.
"""

from __future__ import annotations

from pyro_fix.observation import SviObservation, Work

#: Seconds of a step that does nothing, of a call, of an element that an operation returns, of a floating-point
#: operation in a product, and of the optimiser's step of one parameter.
STEP, CALL, ELEMENT, FLOP, PARAM = 7.0e-4, 1.1e-6, 3.0e-9, 4.0e-10, 8.0e-5
#: Where the clock says so many times as much or as little, a step does what is not counted.
APART = 8.0


def step_seconds(svi: SviObservation) -> float:
    """CPU seconds of a step: nominal ones where what it does was counted, and the clock does not speak against it."""
    measured = measured_seconds(svi)
    work = svi.look.work if svi.look is not None else None
    if work is None or any(t.clock != "CPU" for t in svi.trajectories):
        return measured
    nominal = seconds_of(work)
    return nominal if nominal / APART <= measured <= nominal * APART else measured


def seconds_of(work: Work) -> float:
    """Nominal seconds of a step."""
    return STEP + CALL * work.calls + ELEMENT * work.elements + FLOP * work.flops + PARAM * work.params


def measured_seconds(svi: SviObservation) -> float:
    """By the clock: of the seed that was least disturbed, but of none that broke while it was warming up."""
    most = max(len(t.losses) for t in svi.trajectories)
    return min(t.step_seconds for t in svi.trajectories if len(t.losses) == most)
