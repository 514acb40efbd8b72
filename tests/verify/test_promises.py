from __future__ import annotations

import math
from dataclasses import replace

import pytest
from handmade import look, observation, param, site, svi, trajectory

from pyro_fix.observation import Failure, Look, Observation, SliceReplay, SviObservation
from pyro_fix.transform import Candidate, Promise, Rate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import JUDGES, better_start, no_worse
from pyro_fix.verify.promises.no_worse import Pair
from pyro_fix.verify.trouble import affected


def judge(promise: Promise, before: SviObservation, after: SviObservation, rate: Rate | None = None) -> Judgement:
    original, patched = observation(before), observation(after)
    candidate = Candidate((), promise, "a fix", rate)
    return JUDGES[promise](original, patched, affected(original, patched), candidate)


def with_look(**changes: object) -> SviObservation:
    return svi(look=look(**changes))  # type: ignore[arg-type]


class TestSameStart:
    def test_equal_runs(self) -> None:
        judgement = judge(Promise.SAME_START, svi(), svi())
        assert judgement.kept is True
        assert "2 parameters and 4 losses equal exactly" in judgement.reason

    @pytest.mark.parametrize(("value", "kept"), [(1 + 2e-7, True), (1 + 1e-4, False), (math.nan, False)])
    def test_initial_value(self, value: float, kept: bool) -> None:
        moved = with_look(params={"loc": param(0.0, 0.0, 0.0), "scale": param(value, 1.0, 1.0)})
        assert judge(Promise.SAME_START, svi(), moved).kept is kept

    def test_a_small_element_may_carry_the_rounding_of_a_large_one(self) -> None:
        before = with_look(params={"p": param(1e-4, 1.0)})
        after = with_look(params={"p": param(1e-4 + 1e-7, 1.0)})
        assert judge(Promise.SAME_START, before, after).kept is True

    def test_renamed_parameter(self) -> None:
        gone = with_look(params={"loc": param(0.0, 0.0, 0.0), "sigma": param(1.0)})
        judgement = judge(Promise.SAME_START, svi(), gone)
        assert judgement.kept is False and "'scale'" in judgement.reason

    def test_loss(self) -> None:
        near, far = (with_look(losses=(110.0 * (1 + e), 111.0, 112.0, 113.0)) for e in (1e-6, 1e-2))
        assert judge(Promise.SAME_START, svi(), near).kept is True
        judgement = judge(Promise.SAME_START, svi(), far)
        assert judgement.kept is False and "110 became 111.1" in judgement.reason

    def test_losses_that_cancel_are_measured_by_their_terms(self) -> None:
        terms = {"z": site(log_prob=-1e5)}
        before = with_look(losses=(0.5, 0.1, 0.2, 0.3), guide=terms, model=terms)
        after = with_look(losses=(0.5, 0.11, 0.2, 0.3), guide=terms, model=terms)
        assert judge(Promise.SAME_START, before, after).kept is True

    def test_site_changed(self) -> None:
        other = with_look(guide={"z": site("LogNormal", "positive")})
        judgement = judge(Promise.SAME_START, svi(), other)
        assert judgement.kept is False and "guide site 'z'" in judgement.reason

    def test_an_original_without_a_valid_step_is_judged_by_its_parameters(self) -> None:
        broken = with_look(losses=(math.nan,) * 4, error="ValueError: scale")
        judgement = judge(Promise.SAME_START, broken, svi())
        assert judgement.kept is True and "no valid loss" in judgement.reason
        assert judge(Promise.SAME_START, with_look(losses=(), params={}), svi()).kept is not True


@pytest.mark.parametrize("promise", [Promise.SAME_START, Promise.SAME_SITES_SLICED])
def test_why_there_is_nothing_to_compare_is_told_without_pyros_table(promise: Promise) -> None:
    error = (
        "RuntimeError: mat1 and mat2\nmust have the same dtype\nTrace Shapes:      \n Param Sites:      \n lin$$$bias 1"
    )
    broken = with_look(error=error, slices=SliceReplay(10, 0.0, "", error))
    judgement = judge(promise, svi(), broken)
    assert judgement.kept is None
    assert judgement.reason.endswith(": RuntimeError: mat1 and mat2 must have the same dtype")


class TestSameObjective:
    def test_scaled_on_both_sides(self) -> None:
        judgement = judge(Promise.SAME_OBJECTIVE, svi(), with_look(factor=0.01))
        assert judgement.kept is True
        assert judgement.evidence["constant"] == pytest.approx(0.01)

    def test_one_gradient_is_not_scaled(self) -> None:
        scaled, plain = look(factor=0.01), look()
        half = replace(scaled, gradients={"loc": scaled.gradients["loc"], "scale": plain.gradients["scale"]})
        judgement = judge(Promise.SAME_OBJECTIVE, svi(), svi(look=half))
        assert judgement.kept is False

    def test_the_model_alone_by_its_sites_scales(self) -> None:
        scaled = look(factor=0.01)
        wrong = replace(scaled, guide=look().guide)
        judgement = judge(Promise.SAME_OBJECTIVE, svi(), svi(look=wrong))
        assert judgement.kept is False and "guide site 'z'" in judgement.reason

    def test_gradients_scale_but_losses_do_not(self) -> None:
        wrong = replace(look(factor=0.01), losses=look().losses)
        assert judge(Promise.SAME_OBJECTIVE, svi(), svi(look=wrong)).kept is False

    def test_a_negative_constant(self) -> None:
        assert judge(Promise.SAME_OBJECTIVE, svi(), with_look(factor=-1.0)).kept is False

    def test_no_gradient_on_both_sides(self) -> None:
        zero = {"loc": ((0.0,),) * 4}
        before, after = with_look(gradients=zero), with_look(factor=0.5, gradients=zero)
        judgement = judge(Promise.SAME_OBJECTIVE, before, after)
        assert judgement.kept is True and judgement.evidence["constant"] == pytest.approx(0.5)

    def test_nan_in_a_gradient(self) -> None:
        bad = replace(look(factor=0.01), gradients={**look(factor=0.01).gradients, "loc": ((math.nan,) * 3,) * 4})
        assert judge(Promise.SAME_OBJECTIVE, svi(), svi(look=bad)).kept is False


class TestRunsClean:
    def test_clean(self) -> None:
        assert judge(Promise.RUNS_CLEAN, svi(), svi()).kept is True

    def test_a_support_that_was_mended_is_named(self) -> None:
        wrong = with_look(model={"z": site("LogNormal", "positive")})
        right = with_look(model={"z": site("LogNormal", "positive")}, guide={"z": site("LogNormal", "positive")})
        judgement = judge(Promise.RUNS_CLEAN, wrong, right)
        assert judgement.kept is True and "support real" in judgement.reason

    def test_a_new_mismatch(self) -> None:
        wrong = with_look(guide={"z": site("Normal", "real")}, model={"z": site("Beta", "unit_interval")})
        assert judge(Promise.RUNS_CLEAN, svi(), wrong).kept is False

    @pytest.mark.parametrize(
        ("guide", "model", "kept"),
        [
            ("unit_interval", "positive", True),  # inside without being equal
            ("positive", "interval(0, 10)", False),
            ("?", "positive", True),  # unknown is no mismatch
            ("greater_than(0)", "greater_than_eq(0)", True),
            ("simplex", "real", True),
        ],
    )
    def test_supports(self, guide: str, model: str, kept: bool) -> None:
        sound, seen = (
            with_look(guide={"z": site(support=support)}, model={"z": site(support=model)})
            for support in (model, guide)
        )
        assert (judge(Promise.RUNS_CLEAN, sound, seen).kept is True) is kept

    def test_a_point_estimate_has_no_support_to_compare(self) -> None:
        seen = with_look(guide={"z": site("Delta", "real")}, model={"z": site("Gamma", "positive")})
        assert judge(Promise.RUNS_CLEAN, seen, seen).kept is True

    def test_a_mismatch_that_was_there_before_waits_for_another_fix(self) -> None:
        wrong = with_look(guide={"z": site("Normal", "real")}, model={"z": site("Beta", "unit_interval")})
        judgement = judge(Promise.RUNS_CLEAN, wrong, wrong)
        assert judgement.kept is None and judgement.waits

    def test_data_that_were_invalid_before_are_the_programs_own(self) -> None:
        grey = {"x": site("Bernoulli", "boolean", observed=True, violations=("value: 9 of 9 not boolean",))}
        assert judge(Promise.RUNS_CLEAN, with_look(model=grey), with_look(model=grey)).kept is True
        assert judge(Promise.RUNS_CLEAN, svi(), with_look(model=grey)).kept is False

    def test_a_crash_that_is_cured_and_one_that_is_new(self) -> None:
        bad = svi(trajectories=(trajectory(failure=Failure("ValueError", "m", "", 37), steps=37),))
        assert judge(Promise.RUNS_CLEAN, bad, svi()).kept is True
        assert judge(Promise.RUNS_CLEAN, svi(), bad).kept is False
        assert judge(Promise.RUNS_CLEAN, bad, bad).waits

    def test_a_warning_of_pyros_is_a_failure(self) -> None:
        warned = observation(svi(), warnings=("UserWarning: Failed to verify mean field restriction on the guide",))
        judgement = JUDGES[Promise.RUNS_CLEAN](observation(svi()), warned, (0,), Candidate((), Promise.RUNS_CLEAN, ""))
        assert judgement.kept is False


class TestSameSitesSliced:
    def patched(self, worst: float, seconds: float = 0.002, error: str = "") -> SviObservation:
        return svi(
            num_particles=10,
            look=look(slices=SliceReplay(10, worst, "x", error)),
            trajectories=(trajectory(seconds=seconds),),
        )

    def before(self) -> SviObservation:
        return svi(num_particles=10, trajectories=(trajectory(seconds=0.02),))

    def test_faster(self) -> None:
        judgement = judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(1e-7))
        assert judgement.kept is True and "10 times faster" in judgement.reason

    def test_no_faster_is_not_claimed(self) -> None:
        judgement = judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(1e-7, 0.019))
        assert judgement.kept is True and "no gain" in judgement.reason

    def test_slower(self) -> None:
        assert judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(1e-7, 0.05)).kept is None

    def test_times_of_different_clocks_are_not_compared(self) -> None:
        def on_device(seen: SviObservation) -> SviObservation:
            return replace(seen, trajectories=tuple(replace(t, clock="device") for t in seen.trajectories))

        slow = self.patched(1e-7, 0.05)
        mixed = judge(Promise.SAME_SITES_SLICED, self.before(), on_device(slow))
        assert mixed.kept and "time was not measured" in mixed.reason
        same = judge(Promise.SAME_SITES_SLICED, on_device(self.before()), on_device(slow))
        assert same.kept is None and "the device time" in same.reason

    def test_something_else(self) -> None:
        judgement = judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(0.12))
        assert judgement.kept is False and "'x'" in judgement.reason
        assert judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(math.nan)).kept is False

    def test_no_replay(self) -> None:
        assert judge(Promise.SAME_SITES_SLICED, self.before(), self.patched(0, error="no particle dim")).kept is None
        assert judge(Promise.SAME_SITES_SLICED, self.before(), svi()).kept is None


class TestDeclaredRate:
    lrd = 0.1 ** (1 / 100)

    def patched(self, lr: float = 0.01, lrd: float | None = None, **changes: object) -> SviObservation:
        decay = self.lrd if lrd is None else lrd
        made = svi(optimizer="ClippedAdam", trajectories=tuple(trajectory(s, lr=lr, lrd=decay) for s in range(4)))
        return replace(made, **changes)  # type: ignore[arg-type]

    @pytest.mark.parametrize("rate", [Rate(0.01, lrd), Rate(None, lrd), Rate(0.01, None), Rate()])
    def test_the_declared_path(self, rate: Rate) -> None:
        judgement = judge(Promise.DECLARED_RATE, svi(), self.patched(), rate)
        assert judgement.kept is True, judgement.reason
        assert judgement.evidence["relative error of rates"] == pytest.approx(0, abs=1e-9)

    @pytest.mark.parametrize("rate", [Rate(0.02, lrd), Rate(0.01, 0.9), Rate(0.01, 1.0)])
    def test_another_path(self, rate: Rate) -> None:
        assert judge(Promise.DECLARED_RATE, svi(), self.patched(), rate).kept is False

    def test_a_start_that_is_not_the_originals(self) -> None:
        assert judge(Promise.DECLARED_RATE, svi(), self.patched(lr=0.02), Rate(None, self.lrd)).kept is False

    def test_a_start_that_is_a_multiple_of_the_originals(self) -> None:
        raised = Rate(None, self.lrd, times=2.0)
        assert judge(Promise.DECLARED_RATE, svi(), self.patched(lr=0.02), raised).kept is True
        assert judge(Promise.DECLARED_RATE, svi(), self.patched(lr=0.01), raised).kept is False

    def test_no_decay_where_one_is_promised(self) -> None:
        assert judge(Promise.DECLARED_RATE, svi(), self.patched(lrd=1.0), Rate()).kept is False

    def test_a_scheduler_is_refused(self) -> None:
        scheduled = svi(optimizer="ExponentialLR", trajectories=(trajectory(lrd=0.99),))
        judgement = judge(Promise.DECLARED_RATE, scheduled, self.patched(), Rate(0.01, self.lrd))
        assert judgement.kept is False and "schedules" in judgement.reason

    def test_a_scheduler_that_has_not_acted_yet_is_refused(self) -> None:
        late = svi(optimizer="StepLR(Adam)")
        assert judge(Promise.DECLARED_RATE, late, self.patched(), Rate(0.01, self.lrd)).kept is False

    def test_a_decay_of_the_optimisers_own_may_be_replaced(self) -> None:
        fast = svi(optimizer="ClippedAdam", trajectories=(trajectory(lrd=0.5),))
        assert judge(Promise.DECLARED_RATE, fast, self.patched(), Rate(0.01, self.lrd)).kept is True

    def test_step_0_has_to_stay(self) -> None:
        shifted = self.patched(look=look(shift=0.5))
        judgement = judge(Promise.DECLARED_RATE, svi(), shifted, Rate(0.01, self.lrd))
        assert judgement.kept is False and "gradient" in judgement.reason

    def test_divergence(self) -> None:
        away = tuple(100.0 * 1.2**t for t in range(100))
        bad = self.patched(trajectories=(trajectory(losses=away, lr=0.01, lrd=self.lrd),))
        assert judge(Promise.DECLARED_RATE, svi(), bad, Rate(0.01, self.lrd)).kept is False
        both = judge(Promise.DECLARED_RATE, svi(trajectories=(trajectory(losses=away),)), bad, Rate(0.01, self.lrd))
        assert both.kept is None and both.waits

    def test_several_rates(self) -> None:
        def rated(decay: float) -> SviObservation:
            path = tuple((0.001 * decay ** (t + 1), 0.01 * decay ** (t + 1)) for t in range(100))
            return svi(trajectories=(replace(trajectory(), rates=path),), optimizer=f"{decay}")

        assert judge(Promise.DECLARED_RATE, rated(1.0), rated(self.lrd), Rate(None, self.lrd)).kept is True


class TestVariance:
    def test_less(self) -> None:
        judgement = judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=0.7))
        assert judgement.kept is True
        assert judgement.evidence["ratio of variances"] == pytest.approx(0.49)

    def test_more(self) -> None:
        assert judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=1.3)).kept is False

    def test_a_trifle_is_no_gain(self) -> None:
        judgement = judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=0.999))
        assert judgement.kept is None and "no difference worth a change" in judgement.reason
        assert judgement.defer, "other parameters may hide it"

    def test_more_variance(self) -> None:
        judgement = judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=1.1))
        assert judgement.kept is False and "no less variance" in judgement.reason

    def test_unaligned_needs_a_third(self) -> None:
        guide = {"z": site("Laplace")}
        a = judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=0.7, guide=guide))
        b = judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=0.5, guide=guide))
        assert (a.kept, b.kept) == (None, True)

    def test_an_original_that_overflows_under_some_seeds(self) -> None:
        def overflowing(seeds: range) -> SviObservation:
            gradients = {
                name: tuple((math.inf,) * 3 if seed in seeds else row for seed, row in enumerate(rows))
                for name, rows in look(seeds=32).gradients.items()
            }
            return with_look(seeds=32, gradients=gradients)

        sometimes = judge(Promise.LESS_VARIANCE, overflowing(range(3)), with_look(seeds=32))
        assert sometimes.kept is True and "not under 3 of 32 seeds" in sometimes.reason
        assert judge(Promise.LESS_VARIANCE, overflowing(range(32)), with_look(seeds=32)).kept is None
        assert judge(Promise.LESS_VARIANCE, with_look(seeds=32), overflowing(range(1))).kept is False

    def test_too_few_seeds(self) -> None:
        assert judge(Promise.LESS_VARIANCE, svi(), with_look(spread=0.1)).kept is None

    def test_other_coordinates(self) -> None:
        params = {"loc": param(0.0, 0.0, 0.0), "scale": param(1.0, 1.0, 1.0, constraint="positive")}
        assert (
            judge(Promise.LESS_VARIANCE, with_look(seeds=32), with_look(seeds=32, spread=0.1, params=params)).kept
            is None
        )

    def test_same_expectation(self) -> None:
        def noisy(seed: int, shift: float) -> Look:
            made = look(seeds=32, spread=0.3)
            other = look(seeds=32 + seed, spread=0.1, shift=shift)
            mixed = {
                name: tuple(
                    tuple(a + b - 3.0 for a, b in zip(x, y, strict=True))
                    for x, y in zip(made.gradients[name], other.gradients[name][seed:], strict=True)
                )
                for name in made.gradients
            }
            return replace(made, gradients=mixed)

        before = svi(look=look(seeds=32, spread=0.3))
        assert judge(Promise.SAME_EXPECTATION, before, svi(look=noisy(50, 0.0))).kept is True
        assert judge(Promise.SAME_EXPECTATION, before, svi(look=noisy(50, 0.3))).kept is False


class TestNoWorse:
    def pairs(self, *lost: float, **changes: object) -> list[Pair]:
        return [replace(Pair(s, 200.0, 100.0, 100.0 + d), **changes) for s, d in enumerate(lost)]  # type: ignore[arg-type]

    def test_inside_the_margin(self) -> None:
        judgement = no_worse.judge(self.pairs(0.5, -0.5, 0.2, 0.1))
        assert judgement.kept is True and judgement.evidence["margin"] == pytest.approx(5.0)

    def test_beyond_the_margin(self) -> None:
        assert no_worse.judge(self.pairs(20.0, 22.0, 21.0, 19.0)).kept is False

    def test_a_heavy_tail_accepts_nothing(self) -> None:
        judgement = no_worse.judge(self.pairs(0.0, 0.1, 90.0, 0.1))
        assert judgement.kept is None and judgement.weak

    def test_one_bad_end_rejects(self) -> None:
        pairs = self.pairs(0.5, -0.5, 0.2, 0.1)
        pairs[2] = replace(pairs[2], patched=math.nan, patched_ending="NaN or infinity at step 3")
        assert no_worse.judge(pairs).kept is False

    def test_parameters_that_the_original_cannot_evaluate(self) -> None:
        assert no_worse.judge(self.pairs(math.nan, math.nan)).kept is None

    def test_an_original_that_broke_has_to_be_beaten(self) -> None:
        broken = {"original": math.nan, "original_ending": "ValueError at step 37"}
        better = no_worse.judge(self.pairs(0.5, -0.5, 0.2, 0.1, **broken))
        assert better.kept is True and "ValueError at step 37" in better.reason
        assert no_worse.judge(self.pairs(150.0, 151.0, 152.0, 150.0, **broken)).kept is False

    def test_starts_of_all_sizes_and_some_that_are_no_number_at_all(self) -> None:
        """Draws from a wide prior: a mean of such losses says nothing, and a fix that mends all of them is one."""

        def wild(count: int, **worst: object) -> list[Pair]:
            sizes = [10.0 ** (1 + 3 * s) for s in range(count)]
            pairs = [Pair(s, size, size / 2, 2.3, patched_start=6.7) for s, size in enumerate(sizes)]
            nothing = replace(pairs[1], start=math.inf, original=math.nan, original_ending="NaN or infinity at step 0")
            return [pairs[0], nothing, *pairs[2:-1], replace(pairs[-1], **worst)]  # type: ignore[arg-type]

        few, many = wild(4), wild(8)
        assert no_worse.judge(few).kept is None and no_worse.judge(few).weak, "more pairs may tell"
        assert no_worse.judge(many).kept is True
        assert (
            "8 of 8 pairs" in no_worse.judge(many).reason and "NaN or infinity at step 0" in no_worse.judge(many).reason
        )
        assert better_start.judge(few).kept is None and better_start.judge(many).kept is True
        one_loses = wild(8, patched=1e30, patched_start=1e30)
        assert no_worse.judge(one_loses).kept is not True and better_start.judge(one_loses).kept is not True
        unknown = [replace(pair, original_ending="") for pair in many]
        assert no_worse.judge(unknown).kept is None and not no_worse.judge(unknown).weak

    def test_a_rate_of_nothing_beats_no_original_that_broke(self) -> None:
        """It breaks nowhere, and learns nothing: neither as the referee sees it, nor by its own loss."""
        broken = {"original": math.nan, "original_ending": "NaN or infinity at step 1"}
        for gained in (0.0, 0.0004):
            idle = self.pairs(*(100.0 - gained * (1 + s / 100) for s in range(4)), **broken)
            assert no_worse.judge(idle).kept is None
        own = [Pair(s, math.nan, math.nan, 199.9996, "NaN at step 1", patched_start=200.0) for s in range(4)]
        assert no_worse.judge(own).kept is None
        assert no_worse.judge([replace(pair, patched=190.0) for pair in own]).kept is True

    def test_what_the_referee_cannot_see_the_looks_do(self) -> None:
        """It has data and priors of its own."""
        plain = look()
        x = replace(plain.model["x"], shape=(20,), minimum=-1.0, maximum=2.0)
        before = svi(look=replace(plain, model={**plain.model, "x": x}))
        after = svi(look=replace(plain, model={**plain.model, "x": replace(x, maximum=3.0)}))
        judgement = judge(Promise.NO_WORSE, before, after)
        assert judgement.kept is False and "other data" in judgement.reason
        assert judge(Promise.NO_WORSE, before, before).kept is True

    def test_an_original_without_progress_gives_no_margin(self) -> None:
        stuck = [Pair(s, 100.0, 100.0, 100.0 + 0.01 * s) for s in range(4)]
        assert no_worse.judge(stuck).kept is not True

    def test_the_same_run(self) -> None:
        assert no_worse.judge(self.pairs(0.0, 0.0, 0.0, 0.0)).kept is True


class TestSeveralSvis:
    def test_only_the_changed_one_is_judged(self) -> None:
        other = look(params={"q": param(5.0)})
        original = observation(svi(0), svi(1, look=other))
        patched = observation(svi(0), svi(1, look=replace(other, params={"q": param(6.0)})))
        assert affected(original, patched) == (1,)

    def test_one_that_goes_on_from_another_cannot_tell(self) -> None:
        moved = look(losses=(1.0, 2.0, 3.0, 4.0))
        faster = svi(0, trajectories=(trajectory(lr=0.1),))
        judgement = self.start(observation(svi(0), svi(1)), observation(faster, svi(1, look=moved)))
        assert judgement.kept is None and "goes on from" in judgement.reason

    def test_one_with_parameters_of_its_own_counts(self) -> None:
        own = look(params={"q": param(5.0)})
        moved = replace(own, losses=(1.0, 2.0, 3.0, 4.0))
        faster = svi(0, trajectories=(trajectory(lr=0.1),))
        judgement = self.start(observation(svi(0), svi(1, look=own)), observation(faster, svi(1, look=moved)))
        assert judgement.kept is False

    def start(self, original: Observation, patched: Observation) -> Judgement:
        candidate = Candidate((), Promise.SAME_START | Promise.NO_WORSE, "")
        return JUDGES[Promise.SAME_START](original, patched, affected(original, patched), candidate)


def test_a_rate_that_the_original_hides_is_judged_in_another_round() -> None:
    """One step before the original's own defect stops both: whether the rate decays cannot be seen yet."""
    broken = trajectory(losses=(100.0,), failure=Failure("ValueError", "scale", "a.py:3", 1))
    judgement = judge(Promise.DECLARED_RATE, svi(trajectories=(broken,)), svi(trajectories=(broken,)), Rate(0.01, None))
    assert judgement.kept is None and judgement.defer and not judgement.waits


def test_what_a_divergence_leaves_visible_is_shown() -> None:
    away = svi(trajectories=(trajectory(losses=tuple(100.0 * 1.2**t for t in range(100))),))
    judgement = judge(Promise.DECLARED_RATE, away, away, Rate(0.01, 1.0))
    assert judgement.waits and "declared rate" in judgement.shown


@pytest.mark.parametrize(("before", "after", "again"), [(math.nan, math.nan, True), (1.0, math.nan, False)])
def test_gradients_that_are_not_finite_have_no_expectation(before: float, after: float, again: bool) -> None:
    runs = [with_look(seeds=32, factor=factor) for factor in (before, after)]
    judgement = judge(Promise.SAME_EXPECTATION, *runs)
    assert judgement.kept is None and "not finite" in judgement.reason
    assert judgement.defer is again, "another fix may mend the original"
