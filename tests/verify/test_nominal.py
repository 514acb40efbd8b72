"""What a step takes, by what it does and by the clock."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade import look, svi, trajectory

from pyro_fix.observation import Work
from pyro_fix.verify.nominal import APART, measured_seconds, seconds_of, step_seconds

WORK = Work(calls=1000, params=2, elements=5000, flops=0)


@pytest.mark.parametrize("slower", [0.5, 1.0, 2.0, 5.0])
def test_a_busy_machine_changes_nothing(slower: float) -> None:
    seconds = slower * seconds_of(WORK)
    seen = svi(trajectories=(trajectory(0, seconds=seconds),), look=replace(look(), work=WORK))
    assert step_seconds(seen) == seconds_of(WORK) and measured_seconds(seen) == seconds


@pytest.mark.parametrize("slower", [2 * APART, 0.5 / APART])
def test_what_is_not_counted_is_left_to_the_clock(slower: float) -> None:
    seconds = slower * seconds_of(WORK)
    seen = svi(trajectories=(trajectory(0, seconds=seconds),), look=replace(look(), work=WORK))
    assert step_seconds(seen) == seconds


def test_without_a_count_the_clock_speaks_and_on_a_device_always() -> None:
    times = trajectory(0, seconds=0.002), trajectory(1, seconds=0.003)
    assert step_seconds(svi(trajectories=times, look=look())) == 0.002
    there = tuple(replace(one, clock="device") for one in times)
    assert step_seconds(svi(trajectories=there, look=replace(look(), work=WORK))) == 0.002


def test_a_seed_that_broke_as_it_got_ready_is_no_measure() -> None:
    whole, broken = trajectory(0, seconds=0.004), trajectory(1, losses=(1.0,), seconds=0.001)
    assert measured_seconds(svi(trajectories=(whole, broken))) == 0.004
