"""How noisy a run is, and where it goes wrong: checked against numbers whose answer is known."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from showing import look, trajectory

from pyro_fix.analysis.noise import gradient_noise, loss_noise, progress
from pyro_fix.analysis.stability import Derailment, derailed, lowest, spikes, travelled
from pyro_fix.observation import Failure, SiteLook, SviObservation, Trajectory


def svi(*trajectories: Trajectory, losses=(990.0, 1000.0, 1010.0), optimizer: str = "Adam") -> SviObservation:
    return SviObservation(0, "main.py:1", "Trace_ELBO", optimizer, 1, trajectories, look(losses=losses))


class TestGradientNoise:
    @pytest.mark.parametrize("noise", [0.01, 1.0, 5.0])
    def test_is_the_ratio(self, noise: float) -> None:
        assert gradient_noise(look(noise=noise)) == pytest.approx(noise)

    def test_does_not_depend_on_the_scale_of_the_loss(self) -> None:
        scaled = {name: tuple((1e6 * g,) for (g,) in rows) for name, rows in look(noise=2.0).gradients.items()}
        assert gradient_noise(look(gradients=scaled)) == pytest.approx(2.0)

    def test_over_all_parameters(self) -> None:
        """Two parameters: mean (3, 4), variances 1 and 3."""
        rows = {
            "a": tuple((3 + math.sqrt(31 / 32) * (-1) ** s,) for s in range(32)),
            "b": tuple((4 + math.sqrt(3 * 31 / 32) * (-1) ** s,) for s in range(32)),
        }
        assert gradient_noise(look(gradients=rows)) == pytest.approx(2.0 / 5.0)

    def test_saturates_at_the_root_of_the_number_of_seeds(self) -> None:
        generator = random.Random(0)
        rows = tuple(tuple(generator.gauss(0, 1) for _ in range(50)) for _ in range(32))
        assert gradient_noise(look(gradients={"m": rows})) == pytest.approx(math.sqrt(32), rel=0.3)

    @pytest.mark.parametrize("rows", [(), ((1.0,),) * 4, ((math.inf,),) * 32, ((0.0,),) * 32])
    def test_is_not_known(self, rows: tuple[tuple[float, ...], ...]) -> None:
        assert gradient_noise(look(gradients={"m": rows} if rows else {})) is None


class TestLoss:
    def test_noise_without_progress(self) -> None:
        generator = random.Random(1)
        losses = [2000.0 - 3.0 * t + generator.gauss(0, 20) for t in range(1000)]
        run = trajectory(losses, rates=[0.01] * 1000, norms=[1.0] * 1000)
        assert loss_noise(run) == pytest.approx(20.0, rel=0.15)
        assert progress(run) == pytest.approx(2970.0, rel=0.05)

    def test_steady(self) -> None:
        assert loss_noise(trajectory([5.0] * 50)) == 0.0
        assert progress(trajectory([5.0] * 50)) == 0.0

    @pytest.mark.parametrize(
        "run",
        [
            trajectory([5.0] * 10),
            trajectory([5.0] * 99 + [math.nan], nonfinite=99),
            trajectory([5.0] * 50, failure=Failure("ValueError", "scale", step=50)),
        ],
        ids=["short", "NaN", "exception"],
    )
    def test_is_not_known(self, run: Trajectory) -> None:
        assert loss_noise(run) is None and progress(run) is None


class TestDerailed:
    def test_a_run_that_stays(self) -> None:
        assert derailed(svi(trajectory())) == {}

    def test_not_finite(self) -> None:
        runs = svi(trajectory(), trajectory([5.0] * 7 + [math.inf], seed=3, nonfinite=7))
        assert derailed(runs) == {3: Derailment(7, "the loss is not finite at step 7")}

    def test_a_parameter_is_not_finite(self) -> None:
        runs = svi(trajectory([5.0] * 8, nonfinite=7, what="m"))
        assert derailed(runs) == {0: Derailment(7, "m is not finite at step 7", updated=True)}

    def test_runs_away(self) -> None:
        """Half of the runs is not needed: nothing that is sound ends ten times above its start."""
        away = trajectory([100.0] * 20 + [1e5] * 80, seed=1)
        found = derailed(svi(trajectory(), trajectory(seed=2), away))
        assert found == {1: Derailment(20, "the loss runs away, from 100 to 1e+05 in 100 steps")}

    def test_thrown_above_its_start_on_most_seeds(self) -> None:
        thrown = [trajectory([1000.0] * 4 + [2500.0] * 96, seed=seed) for seed in (1, 2)]
        assert set(derailed(svi(trajectory(), *thrown))) == {1, 2}
        assert derailed(svi(trajectory(), trajectory(seed=3), thrown[0])) == {}
        assert derailed(svi(*thrown))[1].step == 4

    def test_above_its_start_by_less_than_the_noise_there(self) -> None:
        thrown = trajectory([1000.0] * 4 + [2500.0] * 96)
        assert derailed(svi(thrown, losses=(500.0, 1500.0, 1000.0))) == {}

    def test_a_leap_that_it_comes_back_from(self) -> None:
        leap = trajectory([1000.0] * 4 + [1e5] * 40 + [900.0] * 56)
        found = derailed(svi(leap))[0]
        assert found == Derailment(4, "the loss leaps from 1000 to 1e+05 before it comes back", recovered=True)

    @pytest.mark.parametrize("leap", [[1e5] * 4, [1400.0] * 40], ids=["few steps", "not far above its start"])
    def test_a_jump_is_no_leap(self, leap: list[float]) -> None:
        assert derailed(svi(trajectory([1000.0] * 4 + leap + [900.0] * (96 - len(leap))))) == {}

    def test_beside_the_terms_that_a_small_loss_is_the_difference_of(self) -> None:
        sites = {"z": SiteLook("Normal", "real", False, (), -5000.0, 1.0)}
        run = svi(trajectory([10.0] * 4 + [2000.0] * 40 + [5.0] * 56), losses=(9.0, 10.0, 11.0))
        assert run.look is not None and derailed(run)
        assert derailed(replace(run, look=replace(run.look, guide=sites, model=sites))) == {}

    def test_an_exception_is_none_of_it(self) -> None:
        assert derailed(svi(trajectory([5.0] * 50, failure=Failure("ValueError", "scale", step=50)))) == {}


class TestSpikes:
    def test_where_the_optimiser_clips(self) -> None:
        norms = [8.0] * 50 + [1e9] + [8.0] * 49
        assert spikes(svi(trajectory(norms=norms))) == {0: Derailment(50, "the gradient spikes to 1e+09 at step 50")}
        assert spikes(svi(trajectory(norms=norms), optimizer="ClippedAdam")) == {}

    def test_an_overflow_at_the_first_step(self) -> None:
        assert spikes(svi(trajectory(norms=[math.inf] + [8.0] * 99)))[0].step == 0

    def test_the_first_steps_are_no_yardstick(self) -> None:
        assert spikes(svi(trajectory(norms=[1.0] * 2 + [1e9] * 98))) == {}


def test_travelled() -> None:
    run = trajectory([1.0] * 4, rates=[0.1, 0.05, 0.025, 0.0125])
    assert travelled(run) == pytest.approx(0.1875)
    assert travelled(run, 2) == pytest.approx(0.15)
    assert travelled(run, 0) == 0.0


def test_lowest() -> None:
    run = trajectory([5.0] * 20 + [-100.0] * 3 + [5.0] * 20 + [2.0] * 20)
    assert lowest(run) == 2.0
    assert lowest(run, 40) == 5.0
    assert lowest(trajectory([7.0, 5.0, 9.0]), 3) == 7.0
    assert lowest(run, 0) == math.inf
