"""What a fix leaves alone that promises nothing of it: a rewrite that mends one thing and spoils another is not verified."""

from __future__ import annotations

from dataclasses import replace

import pytest
from handmade import look, observation, param, site, svi, trajectory

from pyro_fix.observation import Dependencies, Failure, Feed, Look, PlateLook, Remark, SviObservation, Untrained
from pyro_fix.transform import Candidate, Promise, Rate
from pyro_fix.verify.judgement import Judgement
from pyro_fix.verify.promises import JUDGES, TOGETHER, _alike
from pyro_fix.verify.promises.runs_clean import _missing
from pyro_fix.verify.trouble import is_biased
from pyro_fix.verify.wording import endings


def judged(promise: Promise, before: SviObservation, after: SviObservation, **changes: object) -> Judgement:
    original = observation(before, **changes)
    return JUDGES[promise](original, observation(after), (0,), Candidate((), promise, "a fix"))


def with_x(**changes: object) -> Look:
    """The model's observed site changed."""
    plain = look(seeds=32)
    x = replace(plain.model["x"], shape=(20,), minimum=-1.0, maximum=2.0)
    return replace(plain, model={**plain.model, "x": replace(x, **changes)})  # type: ignore[arg-type]


class TestData:
    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"observed": False}, "observed no longer"),
            ({"shape": (10,)}, "10 values instead of 20"),
            ({"maximum": 3.0}, "other data"),
            ({"scale": 0.5}, "counts 0.5 times"),
            ({}, ""),
            ({"shape": (20, 1)}, ""),
            ({"maximum": 2.0 * (1 + 1e-7)}, ""),
        ],
    )
    def test_differences(self, change: dict[str, object], words: str) -> None:
        assert words in _alike.data(with_x(), with_x(**change))
        assert bool(_alike.data(with_x(), with_x(**change))) is bool(words)

    def test_a_site_that_is_gone(self) -> None:
        plain = look()
        without = replace(plain, model={"z": plain.model["z"]})
        assert "'x' is gone" in _alike.data(plain, without)
        assert not _alike.data(plain, replace(without, error="ValueError")), "it was not looked at to the end"

    def test_rows_that_a_plate_draws_may_be_others(self) -> None:
        drawn = (PlateLook("n", -1, 200, 20),)
        assert not _alike.data(with_x(plates=drawn), with_x(plates=drawn, maximum=5.0))


def test_a_prior_is_known_by_its_spread_and_support() -> None:
    known = Dependencies({}, {}, (), True)
    wide, narrow = (look(model={"z": replace(site(), spread=(s, s))}, dependencies=known) for s in (10.0, 0.1))
    below = look(model={"z": replace(site(support="positive"), spread=(10.0, 10.0))})
    assert "deviation 0.1 instead of 10" in _alike.priors(wide, narrow)
    assert "support positive" in _alike.priors(wide, below)
    assert not _alike.priors(wide, wide)
    child = look(model={"z": replace(site(), spread=(10.0, 10.0), parents=("a",))}, dependencies=known)
    assert not _alike.priors(replace(wide, dependencies=None), narrow)
    assert not _alike.priors(child, narrow), "what it depends on may have moved it"


class TestLatents:
    def test_one_that_is_gone(self) -> None:
        plain = look()
        gone = replace(plain, model={"x": plain.model["x"]}, guide={"y": site()})
        assert "lost its latent 'z'" in _alike.latents(svi(), svi(look=gone))

    def test_one_that_only_the_prior_draws(self) -> None:
        summed = replace(site("Categorical"), enumerated="parallel")
        plain = look()
        enumerated = replace(plain, model={**plain.model, "k": summed})
        drawn = replace(plain, model={**plain.model, "k": site("Categorical")})
        before = svi(look=enumerated, elbo="TraceEnum_ELBO")
        assert "draws the latent 'k'" in _alike.latents(before, svi(look=drawn))
        assert "draws the latent 'k'" in _alike.latents(before, svi(look=enumerated, elbo="Trace_ELBO"))
        assert not _alike.latents(before, before)

    def test_a_point_in_the_place_of_a_distribution(self) -> None:
        point = look(guide={"z": site("Delta")})
        assert "a point" in _alike.points(look(), point)
        assert not _alike.points(point, look())
        assert judged(Promise.RUNS_CLEAN, svi(), svi(look=point)).kept is False
        inner = replace(site("Normal"), auxiliary=True)
        auto = look(guide={"_z": inner, "z": site("Delta")})
        assert not _alike.points(look(), auto), "an autoguide's own"


def test_a_parameter_that_nothing_trains_any_more() -> None:
    plain = look()
    detached = replace(plain, gradients={**plain.gradients, "loc": ((0.0,) * 3,) * 4})
    assert "'loc'" in _alike.trained(plain, detached)
    assert not _alike.trained(detached, detached) and not _alike.trained(detached, plain)


def test_what_only_draws_data_in_the_guide_need_not_be_trained() -> None:
    """The model observes what the guide samples: nothing is learnt there, and without the site nothing is lost."""
    feed = Feed("loc", "real", "scale", (), True)
    lost = {**look().gradients, "scale": ((0.0,) * 3,) * 4}
    drawn = replace(look(), guide={**look().guide, "x": replace(site(), feeds=(feed,))})
    gone = replace(look(), gradients=lost)
    assert _alike.drawn_data(drawn) == {"x"} and not _alike.drawn_data(gone)
    assert not _alike.trained(drawn, gone)
    assert "'scale'" in _alike.trained(drawn, replace(drawn, gradients=lost)), "the site is there still"
    both = replace(drawn, guide={name: replace(one, feeds=(feed,)) for name, one in drawn.guide.items()})
    assert "'scale'" in _alike.trained(both, gone), "it feeds a latent as well"
    alone = replace(drawn, guide={"x": drawn.guide["x"]}, model={"x": look().model["x"]})
    fixed = replace(gone, guide={}, model=alone.model, losses=(100.0,) * 4)
    assert not _alike.drawn(svi(look=alone), svi(look=fixed)), "nothing is left to draw"
    assert _alike.drawn(svi(), svi(look=look(losses=(100.0,) * 4)))


def test_rates_are_compared_seed_by_seed() -> None:
    slow = svi(trajectories=(trajectory(1, lr=0.001),))
    assert "0.001 instead of 0.01" in _alike.steps(svi(), slow)
    assert not _alike.steps(svi(), svi(trajectories=(trajectory(1, 40),)))
    assert not _alike.steps(svi(), svi(trajectories=(trajectory(7, lr=1.0),))), "no such seed"


class TestRunsClean:
    def test_a_sound_program_has_to_stay_the_same(self) -> None:
        other = svi(look=look(losses=(100.0, 111.0, 112.0, 113.0)))
        judgement = judged(Promise.RUNS_CLEAN, svi(), other)
        assert judgement.kept is False and "110 became 100" in judgement.reason
        more = svi(look=look(params={**look().params, "new": param(0.0)}))
        assert judged(Promise.RUNS_CLEAN, svi(), more).kept is False

    def test_another_elbo_of_a_sound_program_is_another_program(self) -> None:
        """A bias of a nat or two is no four losses' to show: autoguides' densities, which an analytic KL leaves out."""
        judgement = judged(Promise.RUNS_CLEAN, svi(), svi(elbo="TraceMeanField_ELBO"))
        assert judgement.kept is False and "TraceMeanField_ELBO instead of Trace_ELBO" in judgement.reason

    def test_a_parameter_that_is_gone_mends_nothing(self) -> None:
        """It ends the trouble that the parameter had run into."""
        broken = svi(trajectories=(trajectory(0, failure=Failure("ValueError", "scale", "a.py:3", 30)),))
        fewer = look(params={"loc": param(0.0)})
        judgement = judged(Promise.RUNS_CLEAN, broken, svi(look=fewer))
        assert judgement.kept is False and "no parameter 'scale'" in judgement.reason

    def test_one_that_pyro_warns_of_may_change(self) -> None:
        other = svi(look=look(losses=(100.0, 111.0, 112.0, 113.0)))
        warned = (Remark("Found vars in model but not guide: {'k'}", "train.py:3", 0, 0, (0,)),)
        assert judged(Promise.RUNS_CLEAN, svi(), other, remarks=warned).kept is True

    def test_what_was_mended_excuses_no_harm_beside(self) -> None:
        wrong = svi(look=look(model={**look().model, "z": site("LogNormal", "positive")}))
        right = look(
            guide={"z": site("LogNormal", "positive")}, model={**look().model, "z": site("LogNormal", "positive")}
        )
        assert judged(Promise.RUNS_CLEAN, wrong, svi(look=right)).kept is True
        without = replace(right, model={"z": right.model["z"]})
        judgement = judged(Promise.RUNS_CLEAN, wrong, svi(look=without))
        assert judgement.kept is False and "'x' is gone" in judgement.reason

    def test_together_with_others_only_what_is_wrong_counts(self) -> None:
        """Another fix changes the rate, and is judged by itself."""
        faster = observation(svi(trajectories=(trajectory(0, lr=0.1),)))
        candidate = Candidate((), Promise.RUNS_CLEAN, "a fix")
        assert TOGETHER[Promise.RUNS_CLEAN](observation(svi()), faster, (0,), candidate).kept is True
        assert JUDGES[Promise.RUNS_CLEAN](observation(svi()), faster, (0,), candidate).kept is False


@pytest.mark.parametrize(
    "promise", [Promise.SAME_OBJECTIVE, Promise.SAME_START, Promise.SAME_EXPECTATION, Promise.RUNS_CLEAN]
)
def test_another_rate_is_in_no_promise_but_those_of_rates(promise: Promise) -> None:
    before = svi(look=look(seeds=32))
    slower = replace(before, trajectories=tuple(trajectory(seed, lr=0.0001) for seed in range(4)))
    assert judged(promise, before, before).kept is True
    judgement = judged(promise, before, slower)
    assert judgement.kept is False and "learning rate" in judgement.reason


def test_rates_are_compared_until_a_program_breaks() -> None:
    """What throws the parameters out at any rate above nothing is not mended by a rate of nothing."""
    broken, slow = (
        svi(trajectories=(trajectory(0, lr=lr, first_nonfinite=bad),)) for lr, bad in ((60.0, 1), (1e-7, None))
    )
    assert "1e-07 instead of 60" in _alike.steps(broken, slow)
    after = trajectory(0, lr=60.0)
    later = replace(after, rates=(*after.rates[:2], *((0.1,) for _ in after.rates[2:])))
    assert not _alike.steps(broken, svi(trajectories=(later,))), "it never came to these steps"


def test_a_step_that_raised_has_no_rate() -> None:
    """The program caught it; the optimiser made no step, neither of another rate nor of a schedule's."""
    gap = replace(trajectory(0), rates=((0.01,), (), (0.01,)), losses=(3.0, float("nan"), 2.0))
    mended = svi(trajectories=(trajectory(0, 3),))
    assert not _alike.steps(svi(trajectories=(gap,)), mended)
    candidate = Candidate((), Promise.DECLARED_RATE, "a fix", Rate(0.01, 1.0))
    runs = observation(svi(trajectories=(gap,))), observation(mended)
    assert JUDGES[Promise.DECLARED_RATE](*runs, (0,), candidate).kept is True


def test_what_a_program_catches_is_said_to_be_caught() -> None:
    failure = Failure("ValueError", "no", "a.py:3", 1, caught=True)
    seen = observation(svi(trajectories=(trajectory(0, 3, failure=failure),)))
    assert endings(seen, (0,)) == "ValueError at step 1, which the program catches and goes on"
    assert endings(observation(svi(trajectories=(trajectory(0, 2, failure=failure),))), (0,)) == "ValueError at step 1"


def test_a_program_that_ends_earlier() -> None:
    short = svi(trajectories=tuple(replace(trajectory(seed), own=40) for seed in range(4)))
    assert "ends after 40 steps" in _alike.steps(svi(), short)
    assert not _alike.steps(short, short) and not _alike.steps(short, svi())


def test_random_numbers_that_no_seed_changes() -> None:
    frozen = svi(look=look(losses=(110.0,) * 4))
    assert "same under every seed" in _alike.drawn(svi(), frozen)
    assert not _alike.drawn(frozen, frozen)
    assert not _alike.drawn(svi(), replace(frozen, elbo="TraceEnum_ELBO")), "it sums"


def test_another_rate_is_what_an_optimiser_promises() -> None:
    faster = svi(trajectories=(trajectory(0, lr=0.1),))
    candidate = Candidate((), Promise.SAME_START | Promise.NO_WORSE, "a fix")
    assert JUDGES[Promise.SAME_START](observation(svi()), observation(faster), (0,), candidate).kept is True


class TestSameStart:
    def test_the_gradient_of_a_param_that_keeps_its_constraint(self) -> None:
        plain = look()
        weaker = replace(
            plain,
            gradients={**plain.gradients, "loc": tuple(tuple(g / 2 for g in row) for row in plain.gradients["loc"])},
        )
        judgement = judged(Promise.SAME_START, svi(), svi(look=weaker))
        assert judgement.kept is False and "'loc'" in judgement.reason

    def test_another_constraint_has_other_coordinates(self) -> None:
        plain = look()
        positive = replace(
            plain,
            params={**plain.params, "scale": param(1.0, 1.0, 1.0, constraint="positive")},
            gradients={
                **plain.gradients,
                "scale": tuple(tuple(g / 2 for g in row) for row in plain.gradients["scale"]),
            },
        )
        assert judged(Promise.SAME_START, svi(), svi(look=positive)).kept is True


def test_an_expectation_is_one_of_the_same_parameters() -> None:
    plain = look(seeds=32)
    bounded = replace(plain, params={**plain.params, "scale": param(1.0, 1.0, 1.0, constraint="greater_than(0.25)")})
    judgement = judged(Promise.SAME_EXPECTATION, svi(look=plain), svi(look=bounded))
    assert judgement.kept is False and "greater_than(0.25) instead of real" in judgement.reason


def test_the_expectation_of_the_loss_is_looked_at_as_well() -> None:
    """Data that are shifted change no gradient of a scale, and a noisy one hides it."""
    plain = look(seeds=32)
    shifted = replace(plain, losses=tuple(loss + 5.0 for loss in plain.losses))
    judgement = judged(Promise.SAME_EXPECTATION, svi(look=plain), svi(look=shifted))
    assert judgement.kept is False and "the loss is higher by 5" in judgement.reason


class TestLeftOut:
    """An analytic KL takes an autoguide's Delta for a point, and leaves out the density that it carries."""

    def seen(self, elbo: str) -> SviObservation:
        plain = look()
        return svi(elbo=elbo, look=replace(plain, guide={"z": site("Delta", log_prob=-1.3)}))

    def test_an_elbo_without_it_mends_that(self) -> None:
        wrong, right = self.seen("TraceMeanField_ELBO"), self.seen("Trace_ELBO")
        judgement = judged(Promise.RUNS_CLEAN, wrong, right)
        assert judgement.kept is True and "leaves out the density of 'z'" in judgement.reason

    def test_it_is_not_brought_in(self) -> None:
        judgement = judged(Promise.RUNS_CLEAN, self.seen("Trace_ELBO"), self.seen("TraceMeanField_ELBO"))
        assert judgement.kept is False and "leaves out the density of 'z'" in judgement.reason

    def test_a_loss_that_bounds_nothing_is_no_judge(self) -> None:
        wrong, right = (observation(self.seen(elbo)) for elbo in ("TraceMeanField_ELBO", "Trace_ELBO"))
        assert is_biased(wrong, (0,)) and not is_biased(right, (0,)) and not is_biased(wrong, (1,))


class TestUntrained:
    """A network that nobody has registered is a trouble of the original's, for the fix that registers it."""

    ENCODER = Untrained("guide", "z", "encoder", "Linear", 2, 6)

    def seen(self, *untrained: Untrained, **params: object) -> SviObservation:
        plain = look()
        return svi(look=replace(plain, untrained=untrained, params={**plain.params, **params}))

    def test_a_fix_that_registers_it(self) -> None:
        before, after = self.seen(self.ENCODER), self.seen(**{"encoder$$$weight": param(0.0)})
        judgement = judged(Promise.RUNS_CLEAN, before, after)
        assert judgement.kept is True and "nothing trains them" in judgement.reason

    def test_a_fix_that_does_not(self) -> None:
        before, after = self.seen(self.ENCODER), self.seen(self.ENCODER, new=param(0.0))
        judgement = judged(Promise.RUNS_CLEAN, before, after)
        assert judgement.kept is False and "it trains other parameters: new" in judgement.reason

    def test_a_fix_that_brings_one_in(self) -> None:
        judgement = judged(Promise.RUNS_CLEAN, self.seen(), self.seen(self.ENCODER))
        assert judgement.kept is False and "the 2 parameters of encoder (6 numbers)" in judgement.reason

    def test_other_fixes_need_not_wait(self) -> None:
        violation = replace(site(), violations=("scale: 1 of 1 values not positive",))
        before = self.seen(self.ENCODER)
        assert before.look is not None
        broken = replace(before, look=replace(before.look, guide={"z": violation}))
        assert judged(Promise.RUNS_CLEAN, broken, before).kept is True

    def test_an_optimiser_that_had_nothing_to_train_has_no_rate(self) -> None:
        after = self.seen(**{"encoder$$$weight": param(0.0)})
        assert after.look is not None
        none = tuple(replace(one, rates=((),) * len(one.rates)) for one in after.trajectories)
        before = replace(after, trajectories=none, look=replace(after.look, params={}, untrained=(self.ENCODER,)))
        assert _alike.steps(before, after) == ""
        assert _alike.steps(replace(after, trajectories=none), after) != ""


def test_a_module_that_another_one_has_taken_in_calls_its_parameters_by_longer_names() -> None:
    """``AutoGuideList`` takes in a guide that is a module: nothing is gone."""
    before = look()
    longer = lambda values: {f"AutoGuideList.0.{name}": value for name, value in values.items()}  # noqa: E731
    params, gradients = longer(before.params), longer(before.gradients)
    after = replace(before, params=params, gradients=gradients)
    assert _missing(svi(look=before), svi(look=after)) == "" == _alike.trained(before, after)
    held = {**gradients, "AutoGuideList.0.loc": ((0.0, 0.0, 0.0),) * 4}
    assert "reaches the parameter 'loc'" in _alike.trained(before, replace(after, gradients=held))
    fewer = {name: value for name, value in params.items() if not name.endswith(".loc")}
    assert "no parameter 'loc'" in _missing(svi(look=before), svi(look=replace(after, params=fewer)))
    assert "constraint" in _alike.constraints(
        before, replace(after, params={**params, "AutoGuideList.0.loc": param(0.0, constraint="positive")})
    )
