"""What can be said where the guide is another one, or nothing of the original is left to compare with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar

import pytest
from handmade import look, observation, site, svi

from pyro_fix.observation import SiteLook, SviObservation
from pyro_fix.transform import Candidate, Promise
from pyro_fix.verify.promises import JUDGES, better_start, no_worse
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.units import unlike

BROKEN = "ValueError at step 3"


def pairs(*ends: tuple[float, float], **changes: object) -> list[Pair]:
    """One pair a tuple: the patched run's start and end in the referee's eyes."""
    made = [Pair(s, math.nan, math.nan, end, patched_start=start) for s, (start, end) in enumerate(ends)]
    return [replace(pair, **changes) for pair in made]  # type: ignore[arg-type]


FALLING = ((200.0, 100.0), (201.0, 99.0), (199.0, 101.0), (200.0, 100.5))


class TestNothingToCompareWith:
    def test_its_own_loss_falls(self) -> None:
        judgement = no_worse.judge(pairs(*FALLING, original_ending=BROKEN))
        assert judgement.kept is True and "its own loss falls" in judgement.reason and BROKEN in judgement.reason

    def test_its_own_loss_rises(self) -> None:
        rising = [(end, start) for start, end in FALLING]
        assert no_worse.judge(pairs(*rising, original_ending=BROKEN)).kept is False

    def test_it_stays(self) -> None:
        judgement = no_worse.judge(pairs((200, 201), (201, 199), (199, 200), (200, 200.5), original_ending=BROKEN))
        assert judgement.kept is None and judgement.weak

    def test_levels_of_the_run_itself_where_the_referee_has_no_such_parameters(self) -> None:
        nothing = [(math.nan, math.nan)] * 4
        assert no_worse.judge(pairs(*nothing, original_ending=BROKEN, own=(200.0, 100.0))).kept is True
        assert no_worse.judge(pairs(*nothing, original_ending=BROKEN, own=(100.0, 200.0))).kept is False
        judgement = no_worse.judge(pairs(*nothing, original_ending=BROKEN))
        assert judgement.kept is None and not judgement.weak and "too short" in judgement.reason

    def test_an_original_that_is_well_is_not_to_be_got_round(self) -> None:
        """What falls by itself is no better than something that was not looked at."""
        assert no_worse.judge(pairs(*FALLING)).kept is None
        some = [replace(pair, original_ending=BROKEN if pair.seed else "") for pair in pairs(*FALLING)]
        assert no_worse.judge(some).kept is None

    def test_a_patched_run_that_breaks(self) -> None:
        broken = pairs(*FALLING, original_ending=BROKEN, patched_ending=BROKEN)
        assert no_worse.judge(broken).kept is None


class TestOtherUnits:
    changes: ClassVar = {"unlike": "one of the guides gives latent 'z' a density, the other one does not"}

    def test_a_broken_original(self) -> None:
        """Its finite start is in other units: it is not what has to be beaten."""
        far_above = pairs(*FALLING, original_ending=BROKEN, start=1.0, **self.changes)
        assert no_worse.judge(far_above).kept is True
        comparable = pairs(*FALLING, original_ending=BROKEN, start=1.0)
        assert no_worse.judge(comparable).kept is False

    def test_an_original_that_is_well(self) -> None:
        judgement = no_worse.judge(pairs(*FALLING, start=200.0, original=300.0, **self.changes))
        assert judgement.kept is None and "'z'" in judgement.reason


def latent(kind: str = "Normal", **changes: object) -> SiteLook:
    return replace(site(kind), **changes)  # type: ignore[arg-type]


def with_guide(name: str, error: str = "", **sites: SiteLook) -> SviObservation:
    model = {"z": site(), "w": site(), "x": site(observed=True)}
    return svi(guide=name, look=look(guide=sites, model=model, error=error))


AUTO = {"z_unconstrained": latent(auxiliary=True), "w_unconstrained": latent(auxiliary=True),
        "z": latent("Delta"), "w": latent("Delta")}  # fmt: skip


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"z": latent(), "w": latent("LogNormal")}, AUTO, ""),
        ({"z": latent(), "w": latent()}, {"w": latent("Gamma"), "z": latent()}, ""),
        ({"z": latent("Delta"), "w": latent("Delta")}, {"z": latent("Delta"), "w": latent("Delta")}, ""),
        ({"z": latent(), "w": latent("Delta")}, AUTO, "'w'"),
        ({"z": latent("Delta"), "w": latent("Delta")}, AUTO, "'w'"),
        ({"z": latent()}, AUTO, "'w'"),  # w is drawn from the prior
        ({"z": latent(), "w": latent(), "x": latent()}, AUTO, ""),
    ],
)
def test_units(before: dict[str, SiteLook], after: dict[str, SiteLook], words: str) -> None:
    found = unlike(with_guide("guide", **before), with_guide("AutoNormal", **after))
    assert words in found and bool(words) == bool(found)


def test_units_of_a_guide_that_was_not_seen() -> None:
    seen, broken = with_guide("AutoNormal", **AUTO), with_guide("guide", error="ValueError")
    assert "only one" in unlike(broken, seen)
    assert unlike(replace(broken, guide="AutoNormal"), seen) == ""


class TestBetterStart:
    def starts(self, *rows: tuple[float, float], **changes: object) -> list[Pair]:
        made = [Pair(s, old, 50.0, 50.0, patched_start=new) for s, (old, new) in enumerate(rows)]
        return [replace(pair, **changes) for pair in made]  # type: ignore[arg-type]

    def test_lower(self) -> None:
        judgement = better_start.judge(self.starts((1e6, 200.0), (2e6, 210.0), (1.5e6, 190.0), (1e6, 200.0)))
        assert judgement.kept is True and "starts lower" in judgement.reason

    @pytest.mark.parametrize("new", [1e6, 2e6])
    def test_not_lower(self, new: float) -> None:
        assert better_start.judge(self.starts(*[(1e6, new)] * 4)).kept is False

    def test_noise(self) -> None:
        judgement = better_start.judge(self.starts((100.0, 90.0), (100.0, 115.0), (100.0, 80.0), (100.0, 101.0)))
        assert judgement.kept is None and judgement.weak

    # Starts at draws from a wide prior: ever ten times as far away, which no interval of the mean survives.
    FAR = tuple((200.0 + 10.0**k, 190.0 + k) for k in range(8))

    def test_nearly_all_pairs_where_their_sizes_differ_by_orders(self) -> None:
        judgement = better_start.judge(self.starts(*self.FAR))
        assert judgement.kept is True and "in 8 of 8 pairs" in judgement.reason
        assert better_start.judge(self.starts(*self.FAR[:5])).kept is None

    def test_one_great_loss_among_many_small_gains(self) -> None:
        rows = [(100.0, 99.0 - k / 100) for k in range(15)] + [(100.0, 1e6)]
        assert better_start.judge(self.starts(*rows)).kept is None

    def test_only_the_patched_start_is_finite(self) -> None:
        broken = self.starts(*[(math.inf, 200.0)] * 4, original_ending=BROKEN)
        assert better_start.judge(broken).kept is True
        lost = self.starts(*[(math.nan, math.nan)] * 4, original_ending=BROKEN, own=(200.0, 100.0))
        assert better_start.judge(lost).kept is True
        assert better_start.judge(self.starts(*[(math.nan, math.nan)] * 4, original_ending=BROKEN)).kept is None

    def test_an_infinite_patched_start(self) -> None:
        assert better_start.judge(self.starts((1e6, math.inf), (1e6, 200.0))).kept is None

    def test_other_units(self) -> None:
        assert better_start.judge(self.starts(*[(1e6, 200.0)] * 4, unlike="other units")).kept is None


class TestRepeatedValues:
    def judge(self, before: SiteLook, after: SiteLook) -> bool | None:
        def run(seen: SiteLook) -> SviObservation:
            return svi(look=look(model={"z": site(), "x": seen}))

        original, patched = observation(run(before)), observation(run(after))
        candidate = Candidate((), Promise.RUNS_CLEAN, "a fix")
        return JUDGES[Promise.RUNS_CLEAN](original, patched, (0,), candidate).kept

    @pytest.mark.parametrize(
        ("value", "batch", "event", "kept"),
        [
            ((10,), (10,), (), True),
            ((10, 3), (10,), (3,), True),
            ((10,), (), (), True),  # one distribution for all: no value counts twice
            ((10,), (1,), (), True),
            ((10,), (10,), (1,), False),
            ((99,), (100,), (99,), False),
            ((), (10,), (), False),
            ((10, 1), (10, 10), (), False),
        ],
    )
    def test_values(self, value, batch, event, kept: bool) -> None:  # type: ignore[no-untyped-def]
        plain = replace(site(observed=True), shape=(10,), batch_shape=(10,))
        after = replace(site(observed=True), shape=value, batch_shape=batch, event_shape=event)
        assert self.judge(plain, after) is kept

    def test_one_that_was_repeated_before(self) -> None:
        repeated = replace(site(observed=True), shape=(), batch_shape=(10,))
        assert self.judge(repeated, repeated) is True
