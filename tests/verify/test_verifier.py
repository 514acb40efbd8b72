from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from math import isnan, nan
from pathlib import Path

import pytest
from handmade import FakeRunner, looking, observation, script, svi, trajectory

from pyro_fix.observation import Failure, Look, Observation
from pyro_fix.runner.model import RunRequest, Sandbox
from pyro_fix.sources import Source, from_bytes, read
from pyro_fix.transform import Candidate, Edit, Promise, Proposal, Rate, Status, Verdict
from pyro_fix.verify import RunPlan, Verifier, VerifyOptions
from pyro_fix.verify.trouble import said
from pyro_fix.verify.verifier import laboratory


@pytest.fixture
def fake(tmp_path: Path) -> FakeRunner:
    return FakeRunner(tmp_path)


class Case:
    """A few programs, and fixes that set a value in them."""

    def __init__(self, fake: FakeRunner, *programs: Path, **options: object) -> None:
        self.fake = fake
        self.plans = [RunPlan(script(path), 1) for path in programs]
        self.options = replace(VerifyOptions(Path("/usr/bin/python3"), jobs=2), **options)  # type: ignore[arg-type]

    def edit(self, path: Path, key: str, value: object) -> Edit:
        text = path.read_text()
        start = text.index(f"{key} = ") + len(key) + 3
        return Edit(path, start, text.index("\n", start), json.dumps(value))

    def candidate(self, path: Path, promise: Promise, rate: Rate | None = None, **changes: object) -> Candidate:
        edits = tuple(self.edit(path, key, value) for key, value in changes.items())
        return Candidate(edits, promise, ", ".join(f"{k}={v}" for k, v in changes.items()), rate)

    def fix(self, path: Path, promise: Promise, rate: Rate | None = None, **changes: object) -> Proposal:
        return self.proposal(path, self.candidate(path, promise, rate, **changes))

    def proposal(self, path: Path, *candidates: Candidate) -> Proposal:
        line = path.read_text().count("\n", 0, candidates[0].edits[0].start) + 1 if candidates else 1
        return Proposal("SVI999", "a-fix", 5, path, line, 1, "a finding", candidates, "" if candidates else "held back")

    def verify(self, *proposals: Proposal) -> list[Verdict]:
        sources: dict[Path, Source] = {p.path: read(p.path) for p in proposals}
        self.verifier = Verifier(self.plans, sources, self.options, self.fake)
        return self.verifier.verify(proposals)

    def one(self, *proposals: Proposal) -> Verdict:
        (verdict,) = self.verify(*proposals)
        return verdict


class Driven(Case):
    """A file that only a driver reaches."""

    def __init__(self, fake: FakeRunner, path: Path, *settings: str) -> None:
        super().__init__(fake)
        self.driver = path.parent / ".driver.py"
        text = "".join(f"{row}\n" for row in (*settings, f'imports = "{path.name}"'))
        target = replace(script(self.driver), origin="a driver made from the signature of train()")
        self.plans = [RunPlan(target, 1, kind="driver", added=((self.driver, text.encode()),))]


def statuses(verdicts: Sequence[Verdict]) -> list[Status]:
    return [verdict.status for verdict in verdicts]


V, R, U = Status.VERIFIED, Status.REJECTED, Status.UNVERIFIED


class TestOneFix:
    def test_verified_in_one_sentence_with_evidence(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, constraint="none")
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.SAME_START | Promise.RUNS_CLEAN, constraint="positive"))
        assert verdict.status is V
        assert verdict.reason == (
            "same start: 2 parameters and 32 losses equal exactly; runs clean; 100 steps finite on 4 seeds"
        )
        assert verdict.evidence["command"] == "python train.py"
        assert verdict.evidence["seeds"] == [0, 1, 2, 3]
        assert verdict.evidence["versions"] == {"python": "3.11", "torch": "2.13.0", "pyro": "1.9.2"}
        json.dumps(verdict.evidence, allow_nan=False)
        assert (
            case.verifier.runs == 5
        )  # the original and the patched program, both at later parameters, and for its end

    def test_the_users_file_is_never_touched(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        case = Case(fake, train)
        case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert train.read_text() == "a = 1\n"
        patched = [request for request in fake.requests if request.marks]
        assert {request.overlay[train] for request in patched} == {b"a = 2\n"}
        assert [request.marks for request in patched] == [{train: (1,)}]

    def test_earlier_rounds_lie_under_every_run(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, bias=40)
        new = b"a = 1\nbias = 0\n"
        fix = Proposal(
            "SVI999", "n", 1, train, 1, 1, "m", (Candidate((Edit(train, 4, 5, "2"),), Promise.NO_WORSE, ""),)
        )
        case = Case(fake, train)
        (verdict,) = Verifier(case.plans, {train: from_bytes(train, new)}, case.options, fake, {train: new}).verify(
            [fix]
        )
        assert verdict.status is V
        assert {request.overlay[train] for request in fake.requests} == {new, b"a = 2\nbias = 0\n"}

    def test_a_program_that_is_known_not_to_load_the_file_is_not_run(self, fake: FakeRunner) -> None:
        train, other = fake.program("train.py", a=1), fake.program("other.py", a=1)
        case = Case(fake, other, train)
        case.plans[0] = replace(case.plans[0], files=frozenset({other}))
        assert case.one(case.fix(train, Promise.RUNS_CLEAN, a=2)).status is V
        assert {request.target.name for request in fake.requests} == {"train.py"}

    def test_held_back(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        verdict = Case(fake, train).one(Case(fake).proposal(train))
        assert (verdict.status, verdict.reason) == (Status.NONE, "held back")
        assert not fake.requests

    def test_nothing_to_run(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        case = Case(fake)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is U and "--run" in verdict.reason

    def test_a_fix_cures_a_program_that_breaks_before_its_first_step(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, broken="no argument 'contrainst'", broken_as="TypeError")
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, broken=""))
        assert verdict.status is V and "runs clean" in verdict.reason

    @pytest.mark.parametrize(
        ("kind", "promise", "changes"),
        [
            ("TypeError", Promise.RUNS_CLEAN | Promise.SAME_START, {"broken": ""}),  # with what was there no start
            ("TypeError", Promise.RUNS_CLEAN, {"a": 2}),  # breaks with it, too
            ("TypeError", Promise.RUNS_CLEAN, {"broken": "", "unreached": [1]}),
            ("ModuleNotFoundError", Promise.RUNS_CLEAN, {"broken": ""}),
        ],
    )
    def test_a_broken_program_that_a_fix_does_not_cure(
        self, fake: FakeRunner, kind: str, promise: Promise, changes: dict[str, object]
    ) -> None:
        train = fake.program("train.py", broken="cannot go on", a=1, broken_as=kind, unreached=[])
        case = Case(fake, train)
        verdict = case.one(case.fix(train, promise, **changes))
        assert verdict.status is U and "breaks before its first step" in verdict.reason

    def test_baseline_broken(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, broken="No module named 'wget'")
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is U
        assert "breaks before its first step, without any change: ModuleNotFoundError" in verdict.reason

    def test_line_that_never_runs(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, unreached=[1])
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is U and "no run reached the changed line" in verdict.reason

    def test_file_that_is_never_loaded(self, fake: FakeRunner) -> None:
        train, other = fake.program("train.py", a=1), fake.program("other.py", a=1)
        case = Case(fake, train)
        verdict = case.one(case.fix(other, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is U and verdict.reason.startswith("no program, test or signature leads to ")

    def test_a_driver_says_that_it_is_one(self, fake: FakeRunner) -> None:
        model = fake.program("model.py", a=1)
        case = Driven(fake, model)
        verdict = case.one(case.fix(model, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is V
        assert verdict.reason.endswith("100 steps finite on 4 seeds, in a driver made from the signature of train()")
        assert verdict.evidence["driver"] == 'imports = "model.py"\n'
        assert verdict.evidence["command"] == "a driver made from the signature of train()"
        assert not case.driver.exists()

    def test_data_that_was_made_up_cannot_show_every_promise(self, fake: FakeRunner) -> None:
        model = fake.program("model.py", a=1)
        for promise in (Promise.NO_WORSE, Promise.DECLARED_RATE, Promise.LESS_VARIANCE | Promise.SAME_EXPECTATION):
            case = Driven(fake, model)
            verdict = case.one(case.fix(model, promise, Rate(), a=2))
            assert verdict.status is U and "made-up data cannot show" in verdict.reason

    def test_a_driver_that_does_not_run_says_nothing_of_the_fix(self, fake: FakeRunner) -> None:
        model = fake.program("model.py", a=1)
        for trouble in ('broken = "x"', "fails = 3"):
            case = Driven(fake, model, trouble)
            verdict = case.one(case.fix(model, Promise.RUNS_CLEAN, a=2))
            assert verdict.status is U and verdict.reason.startswith(
                "only a driver reaches it, and does not run (a driver"
            )

    DATA_BOUND = (Promise.NO_WORSE, Promise.DECLARED_RATE, Promise.LESS_VARIANCE | Promise.SAME_EXPECTATION)

    @pytest.mark.parametrize("promise", [*DATA_BOUND, Promise.RUNS_CLEAN, Promise.SAME_START])
    def test_a_stand_in_that_was_only_drawn_with_is_told_of(self, fake: FakeRunner, promise: Promise) -> None:
        train = fake.program("train.py", a=1, lacks={"seaborn": ""}, spread=1)
        plain, drawn = fake.program("plain.py", a=1, spread=1), Case(fake, train)
        verdict = drawn.one(drawn.fix(train, promise, Rate(), a=2))
        other = Case(fake, plain)
        assert verdict.status is other.one(other.fix(plain, promise, Rate(), a=2)).status
        assert verdict.evidence["substitutes"] == [
            "seaborn is not installed: a stand-in took its place, and nothing that came from it reached the model"
        ]
        assert "made up" not in verdict.reason

    @pytest.mark.parametrize("promise", DATA_BOUND)
    def test_what_a_stand_in_made_cannot_show_every_promise(self, fake: FakeRunner, promise: Promise) -> None:
        train = fake.program("train.py", a=1, lacks={"seaborn": "", "pandas": "float() at train.py:7"})
        case = Case(fake, train)
        verdict = case.one(case.fix(train, promise, Rate(), a=2))
        assert verdict.status is U
        assert verdict.reason.startswith(
            "python train.py: pandas is not installed: a stand-in took its place, and what"
        )
        assert "(float() at train.py:7)" in verdict.reason and "seaborn" not in verdict.reason

    def test_what_a_stand_in_made_shows_what_holds_at_any_data(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, lacks={"pandas": "float() at train.py:7"})
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN | Promise.SAME_START, a=2))
        assert verdict.status is V and verdict.reason.endswith(", on data that are made up in part")
        assert "pandas is not installed" in str(verdict.evidence["substitutes"])

    def test_a_fix_with_which_a_stand_in_is_used(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, lacks={"pandas": ""})
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.NO_WORSE, lacks={"pandas": "an if at train.py:3"}))
        assert verdict.status is U and verdict.reason.startswith(
            "python train.py with the fix: pandas is not installed"
        )

    def test_a_break_that_a_stand_in_may_have_brought_about(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, fails=3, lacks={"pandas": "float() at train.py:7"})
        case = Case(fake, train)
        for promise in (Promise.RUNS_CLEAN, Promise.SAME_OBJECTIVE):
            verdict = case.one(case.fix(train, promise, a=2))
            assert verdict.status is U and "for which a stand-in may be to blame: pandas is not" in verdict.reason

    def test_another_program_reaches_it(self, fake: FakeRunner) -> None:
        model = fake.program("model.py", a=1)
        first = fake.program("first.py", imports="model.py", unreached=[1])
        second = fake.program("second.py", imports="model.py")
        case = Case(fake, first, second)
        verdict = case.one(case.fix(model, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is V and verdict.evidence["command"] == "python second.py"

    def test_a_crash_of_the_original_that_is_cured(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", fails=37)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.SAME_START | Promise.RUNS_CLEAN, fails=None))
        assert verdict.status is V
        assert "100 steps finite on 4 seeds (original: ValueError at step 37 (4 of 4 seeds): Expected" in verdict.reason
        assert verdict.reason.endswith("; this fix alone ends it)")

    def test_a_crash_that_is_new(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", fails=None)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.SAME_OBJECTIVE, fails=3))
        assert verdict.status is R and "ValueError at step 3" in verdict.reason

    def test_a_program_that_the_fix_breaks(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        case = Case(fake, train)
        broken = Candidate((Edit(train, 0, 0, 'broken = "no such name"\n'),), Promise.RUNS_CLEAN, "bad import")
        verdict = case.one(case.proposal(train, broken))
        assert verdict.status is R and "breaks the program" in verdict.reason

    def test_a_program_that_loses_an_svi_object_cannot_be_compared(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        case = Case(fake, train)

        def run(request):  # type: ignore[no-untyped-def]
            seen = fake(request)
            return seen if request.overlay else replace(seen, svis=(*seen.svis, replace(seen.svis[0], ordinal=1)))

        fix = case.fix(train, Promise.RUNS_CLEAN, a=2)
        (verdict,) = Verifier(case.plans, {train: read(train)}, case.options, run).verify([fix])
        assert verdict.status is U and "fewer SVI objects (by 1)" in verdict.reason

    def test_a_promise_is_not_kept(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", init=1.0)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.SAME_START, init=1.5))
        assert verdict.status is R and "parameter 'scale' starts elsewhere: 1 became 1.5" in verdict.reason

    def test_the_referee_is_heard_whatever_a_fix_has_declared(self, fake: FakeRunner) -> None:
        lrd = 0.1 ** (1 / 100)
        train = fake.program("train.py", lrd=1, optimizer="Adam", bias=0, length=1000)
        case = Case(fake, train)
        fix = case.fix(train, Promise.DECLARED_RATE, Rate(0.01, lrd), lrd=lrd, optimizer="ClippedAdam", bias=40)
        verdict = case.one(fix)
        assert verdict.status is R and "it ends worse" in verdict.reason, verdict.reason


class TestLadders:
    def test_first_that_keeps_its_promise(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", init=1.0, a=1)
        case = Case(fake, train)
        rungs = [case.candidate(train, Promise.SAME_START, init=2.0), case.candidate(train, Promise.SAME_START, a=2)]
        rungs.append(case.candidate(train, Promise.SAME_START, a=3))
        verdict = case.one(case.proposal(train, *rungs))
        assert verdict.status is V and verdict.candidate == rungs[1]
        (earlier,) = verdict.evidence["earlier candidates"]  # type: ignore[misc]
        assert earlier["candidate"] == "init=2.0" and "starts elsewhere" in earlier["reason"]

    def test_the_referee_sends_it_to_the_next_one(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", bias=0)
        case = Case(fake, train)
        rungs = [case.candidate(train, Promise.NO_WORSE, bias=bias) for bias in (40, -0.5)]
        verdict = case.one(case.proposal(train, *rungs))
        assert verdict.status is V and verdict.candidate == rungs[1]
        assert "worse by the referee" in str(verdict.evidence["earlier candidates"])

    @pytest.mark.parametrize(("end", "status"), [(None, U), (0.0, V), (3.0, R)])
    def test_what_loses_a_little_has_to_show_its_end(self, fake: FakeRunner, end: float | None, status: Status) -> None:
        known = {} if end is None else {"end": 0.0}
        train = fake.program("train.py", bias=0, **known)
        case = Case(fake, train)
        changed = {} if end is None else {"end": end}
        verdict = case.one(case.fix(train, Promise.NO_WORSE, bias=1.5, **changed))
        assert verdict.status is status, verdict.reason
        assert status is not U or "seen to lose, and its end was not seen" in verdict.reason

    @pytest.mark.parametrize(("end", "status"), [(None, U), (-1.0, V), (3.0, R)])
    def test_what_is_behind_on_the_way_is_judged_by_its_end(
        self, fake: FakeRunner, end: float | None, status: Status
    ) -> None:
        """Where a fix promises something of it, and it is seen."""
        train = fake.program("train.py", bias=0, **({} if end is None else {"end": 0.0}))
        case = Case(fake, train)
        changed = {} if end is None else {"end": end}
        verdict = case.one(case.fix(train, Promise.NO_WORSE | Promise.NO_WORSE_END, bias=40, **changed))
        assert verdict.status is status, verdict.reason
        assert "behind after 100 steps, which is not the end" in verdict.reason or status is R

    def test_none_does(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", init=1.0)
        case = Case(fake, train)
        rungs = [case.candidate(train, Promise.SAME_START, init=init) for init in (2.0, 3.0)]
        verdict = case.one(case.proposal(train, *rungs))
        assert verdict.status is R and verdict.candidate == rungs[1]


class TestReferee:
    @pytest.mark.parametrize(("bias", "status"), [(-20, V), (0.1, V), (20, R)])
    def test_verdict(self, fake: FakeRunner, bias: float, status: Status) -> None:
        train = fake.program("train.py", bias=0)
        case = Case(fake, train)
        assert case.one(case.fix(train, Promise.NO_WORSE, bias=bias)).status is status

    def test_escalates_and_then_says_that_it_cannot_tell(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", bias=0, noise=30.0)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.NO_WORSE, bias=1.0))
        assert verdict.status is U and verdict.reason.startswith("weak: the referee cannot tell")
        assert [request.seeds for request in fake.requests if request.save_states] == [
            seeds for seeds in (tuple(range(4)), tuple(range(4, 8)), tuple(range(8, 16))) for _ in range(2)
        ]
        assert "over 16 pairs of runs" in verdict.reason

    def test_it_is_the_original_that_judges(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", bias=0)
        case = Case(fake, train)
        case.verify(case.fix(train, Promise.NO_WORSE, bias=0.1))
        (referee,) = [request for request in fake.requests if request.referee]
        assert not referee.overlay and referee.save_states is None

    def test_a_fix_that_leaves_the_originals_crash_is_put_off(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", bias=0, fails=37)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.NO_WORSE, bias=0.1))
        assert verdict.status is U and verdict.evidence["deferred"] is True

    def test_a_first_step_that_the_original_makes_is_lost_by_the_fix(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", fails=8)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, fails=0))
        assert verdict.status is R
        assert verdict.reason.startswith(
            "the fix breaks the first step, which the original makes: ValueError at step 0"
        )

    def test_what_breaks_sooner_is_not_as_without_the_fix(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", fails=8)
        case = Case(fake, train)
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, fails=5))
        assert verdict.status is U and verdict.reason.startswith("still there, sooner than without the fix: ")


class TestSeveralFixes:
    def test_two_defects_that_hide_each_other(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", fails=37, support="real", prior="positive")
        case = Case(fake, train)
        crash = case.fix(train, Promise.RUNS_CLEAN, fails=None)
        support = case.fix(train, Promise.RUNS_CLEAN, support="positive")
        assert statuses(case.verify(crash, support)) == [V, V]
        assert statuses(case.verify(crash)) == [U]
        (verdict,) = case.verify(support)
        assert verdict.status is U and "still there, as without the fix" in verdict.reason

    def test_the_culprit_is_found_over_all_seeds(self, fake: FakeRunner) -> None:
        """A fix that breaks under one seed only passes alone and spoils the set."""
        train = fake.program("train.py", a=1, b=1, c=1, d=1)
        case = Case(fake, train)

        def run(request):  # type: ignore[no-untyped-def]
            seen = fake(request)
            if b"c = 2" in b"".join(request.overlay.values()) and seen.svis:
                seen = replace(
                    seen,
                    svis=(
                        replace(
                            seen.svis[0],
                            trajectories=tuple(
                                replace(t, first_nonfinite=50) if t.seed == 2 else t for t in seen.svis[0].trajectories
                            ),
                        ),
                    ),
                )
            return seen

        proposals = [case.fix(train, Promise.RUNS_CLEAN, **{key: 2}) for key in "abcd"]
        verdicts = Verifier(case.plans, {train: read(train)}, case.options, run).verify(proposals)
        assert statuses(verdicts) == [V, V, R, V]
        assert "NaN or infinity at step 50" in verdicts[2].reason
        assert verdicts[0].evidence["together with"] == [f"SVI999 {train}:2", f"SVI999 {train}:4"]

    @pytest.mark.parametrize("gradient", [0.0, nan])
    def test_a_fix_of_a_parameter_that_nothing_uses_with_another_one_is_dropped(
        self, fake: FakeRunner, gradient: float
    ) -> None:
        train = fake.program("train.py", a=1, b=1)
        case = Case(fake, train)

        def constrains(found: Look, text: bytes) -> Look:
            """``a`` is how ``scale`` is constrained; with ``b = 2`` no gradient reaches it, or one that says nothing."""
            if b"a = 2" in text:
                scale = replace(found.params["scale"], constraint="positive")
                found = replace(found, params={**found.params, "scale": scale})
            if b"b = 2" in text:
                found = replace(found, gradients={**found.gradients, "scale": ((gradient,) * 3,) * 4})
            return found

        run = looking(fake, constrains)

        constrained, other = case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.NO_WORSE_END, b=2)
        alone, both = (
            Verifier(case.plans, {train: read(train)}, case.options, run).verify(proposals)
            for proposals in ([constrained], [constrained, other])
        )
        assert statuses(alone) == [V] and statuses(both) == [V if isnan(gradient) else U, V]
        if not isnan(gradient):
            assert both[0].reason.endswith("nothing uses 'scale'") and both[0].evidence["deferred"]

    def test_nothing_is_judged_by_a_loss_that_is_no_bound(self, fake: FakeRunner) -> None:
        """The guide draws what the model observes; only the fix that ends that has a say."""
        train = fake.program("train.py", a=1, b=1)
        case = Case(fake, train)

        def drawn(found: Look, text: bytes) -> Look:
            return found if b"a = 2" in text else replace(found, guide={**found.guide, "x": found.model["x"]})

        run = looking(fake, drawn)
        without = case.fix(train, Promise.RUNS_CLEAN, a=2)
        others = [case.fix(train, promise, b=2) for promise in (Promise.SAME_START, Promise.NO_WORSE)]
        for other in others:
            both = Verifier(case.plans, {train: read(train)}, case.options, run).verify([without, other])
            assert statuses(both) == [V, U]
            assert "no bound as long as the guide samples 'x'" in both[1].reason and both[1].evidence["deferred"]

    def test_the_set_that_is_verified_has_run_together(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, init=1.0, b=1)
        case = Case(fake, train)
        proposals = [
            case.fix(train, Promise.RUNS_CLEAN, a=2),
            case.fix(train, Promise.SAME_START, init=9.0),
            case.fix(train, Promise.RUNS_CLEAN, b=2),
        ]
        assert statuses(case.verify(*proposals)) == [V, R, V]
        together = [r for r in fake.requests if r.overlay.get(train) == b"a = 2\ninit = 1.0\nb = 2\n"]
        assert any(request.seeds == (0, 1, 2, 3) for request in together)

    def test_only_the_one_that_the_referee_blames_goes(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", bias=0, a=1)
        case = Case(fake, train)
        good, bad = case.fix(train, Promise.NO_WORSE, a=2), case.fix(train, Promise.NO_WORSE, bias=40)
        assert statuses(case.verify(good, bad)) == [V, R]

    def test_a_conflict_waits_for_the_next_round(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1)
        case = Case(fake, train)
        verdicts = case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.RUNS_CLEAN, a=3))
        assert statuses(verdicts) == [V, U]
        assert "conflicts with SVI999" in verdicts[1].reason and verdicts[1].evidence["deferred"] is True

    def test_fixes_that_only_clash_together(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, b=1)
        case = Case(fake, train)

        def run(request):  # type: ignore[no-untyped-def]
            seen = fake(request)
            text = b"".join(request.overlay.values())
            if b"a = 2" in text and b"b = 2" in text:
                seen = replace(seen, warnings=("Failed to verify mean field restriction",))
            return seen

        proposals = [case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.RUNS_CLEAN, b=2)]
        verdicts = Verifier(case.plans, {train: read(train)}, case.options, run).verify(proposals)
        assert statuses(verdicts) == [V, U]
        assert "not together with" in verdicts[1].reason

    def test_a_shared_file_is_judged_by_all_programs_that_are_run(self, fake: FakeRunner) -> None:
        model = fake.program("model.py", a=1)
        one, two = fake.program("one.py", imports="model.py", b=1), fake.program("two.py", imports="model.py", b=1)
        case = Case(fake, one, two)

        def run(request):  # type: ignore[no-untyped-def]
            seen = fake(request)
            if request.target.name == "two.py" and request.overlay.get(model) == b"a = 2\n":
                seen = replace(seen, warnings=("Failed to verify mean field restriction",))
            return seen

        proposals = [
            case.fix(path, Promise.RUNS_CLEAN, **{key: 2}) for path, key in ((model, "a"), (one, "b"), (two, "b"))
        ]
        sources = {path: read(path) for path in (model, one, two)}
        assert statuses(Verifier(case.plans, sources, case.options, run).verify(proposals)) == [R, V, V]


class TestStepsOfTheRunAlone:
    """Only what whole trajectories decide takes whole trajectories, before all fixes run together."""

    def alone(self, fake: FakeRunner) -> list[int]:
        return [request.steps for request in fake.requests if request.marks and len(request.seeds) == 1]

    def test_a_few_for_what_the_first_step_shows_and_all_of_them_for_a_rate(self, fake: FakeRunner) -> None:
        lrd = 0.1 ** (1 / 100)
        train = fake.program("train.py", constraint="none", lrd=1)
        case = Case(fake, train, jobs=1)
        first, second = case.verify(
            case.fix(train, Promise.SAME_START | Promise.RUNS_CLEAN, constraint="positive"),
            case.fix(train, Promise.DECLARED_RATE, Rate(0.01, lrd), lrd=lrd),
        )
        assert sorted(self.alone(fake)) == [5, 100]
        assert statuses([first, second]) == [V, V]
        assert "4 losses equal exactly" in first.reason and "100 steps finite on 4 seeds" in first.reason
        assert "at all 100 steps" in second.reason

    def test_what_breaks_later_is_found_in_whole_trajectories(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, fails=None)
        case = Case(fake, train)
        good, bad = case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.RUNS_CLEAN, fails=37)
        good_verdict, bad_verdict = case.verify(good, bad)
        assert statuses([good_verdict, bad_verdict]) == [V, R]
        assert "ValueError at step 37" in bad_verdict.reason
        assert bad_verdict.evidence["seeds"] == [0, 1, 2, 3]
        assert bad_verdict.evidence["patched"] == "ValueError at step 37 (4 of 4 seeds)"
        assert bad_verdict.evidence["judgements"]["end"]["kept"] is False  # type: ignore[index]

    def test_all_where_the_original_is_in_trouble(self, fake: FakeRunner) -> None:
        """A fix that leaves the trouble has to show it alone: others may be what cures it."""
        train = fake.program("train.py", fails=37, a=1, b=1)
        case = Case(fake, train)
        fixes = [case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.RUNS_CLEAN, b=2)]
        assert statuses(case.verify(*fixes)) == [U, U]
        assert self.alone(fake) == [100, 100]

    def test_all_where_a_program_has_several_svi_objects(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, b=1)
        case = Case(fake, train)

        def run(request):  # type: ignore[no-untyped-def]
            seen = fake(request)
            return replace(seen, svis=(*seen.svis, *(replace(one, ordinal=1) for one in seen.svis)))

        fixes = [case.fix(train, Promise.SAME_START, **{key: 2}) for key in "ab"]
        assert statuses(Verifier(case.plans, {train: read(train)}, case.options, run).verify(fixes)) == [V, V]
        assert self.alone(fake) == [100, 100]

    def test_more_where_a_few_do_not_reach_the_line(self, fake: FakeRunner) -> None:
        train = fake.program("train.py", a=1, b=1, late=[2])
        case = Case(fake, train)
        fixes = [case.fix(train, Promise.SAME_START, **{key: 2}) for key in "ab"]
        assert statuses(case.verify(*fixes)) == [V, V]
        assert sorted(self.alone(fake)) == [5, 5, 100]


def test_what_has_run_together_is_where_the_next_round_begins(fake: FakeRunner) -> None:
    train = fake.program("train.py", a=1, bias=0)
    case = Case(fake, train)
    fixes = [case.fix(train, Promise.RUNS_CLEAN, a=2), case.fix(train, Promise.NO_WORSE, bias=0.1)]
    sources = {train: read(train)}
    with laboratory(case.options, run=fake) as lab:
        assert statuses(Verifier(case.plans, sources, case.options, lab=lab).verify(fixes)) == [V, V]
        made = lab.runs
        now = b"a = 2\nbias = 0.1\n"
        later = Verifier(case.plans, {train: from_bytes(train, now)}, case.options, base={train: now}, lab=lab)
        (seen,) = later.observe()
        assert lab.runs == made
        assert seen.svis[0].look is not None and len(seen.svis[0].look.losses) == 32
        # Its parameters are there for the referee, too.
        path = train
        edit = Edit(path, now.index(b"0.1"), now.index(b"0.1") + 3, "0.0")
        again = Proposal("SVI999", "a-fix", 5, path, 2, 1, "", (Candidate((edit,), Promise.NO_WORSE, "bias"),), "")
        assert statuses(later.verify([again])) == [V]
        assert lab.runs == made + 3, "the fix, the referee, and for the end"


class TestCache:
    def test_a_second_verification_runs_nothing(self, fake: FakeRunner, tmp_path: Path) -> None:
        lrd = 0.1 ** (1 / 100)
        train = fake.program("train.py", a=1, bias=0, lrd=1, init=1.0)
        case = Case(fake, train, cache=tmp_path / "cache")
        proposals = [
            case.fix(train, Promise.RUNS_CLEAN, a=2),
            case.fix(train, Promise.NO_WORSE, bias=0.1),
            case.fix(train, Promise.DECLARED_RATE, Rate(0.01, lrd), lrd=lrd),
            case.fix(train, Promise.SAME_START, init=3.0),
        ]
        first = case.verify(*proposals)
        assert statuses(first) == [V, V, V, R]
        assert case.verifier.runs > 4
        assert case.verify(*proposals) == first
        assert case.verifier.runs == 0

    def test_a_changed_file_is_run_again(self, fake: FakeRunner, tmp_path: Path) -> None:
        model, train = fake.program("model.py", c=1), fake.program("train.py", imports="model.py", a=1)
        case = Case(fake, train, cache=tmp_path / "cache")
        case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2))
        model.write_text("c = 22\n")
        case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert case.verifier.runs == 5

    def test_what_changed_under_a_run_is_run_again(self, fake: FakeRunner, tmp_path: Path) -> None:
        model, train = fake.program("model.py", c=1), fake.program("train.py", imports="model.py", a=1)
        case = Case(fake, train, cache=tmp_path / "cache")

        def writes(request: RunRequest) -> Observation:
            seen = fake(request)
            model.write_text("c = 22\n")  # the program may, with --writable, and so may a person at an editor
            return seen

        sources = {train: read(train)}
        proposal = case.fix(train, Promise.RUNS_CLEAN, a=2)
        Verifier(case.plans, sources, case.options, writes).verify([proposal])
        case.verify(proposal)
        assert case.verifier.runs == 5
        case.verify(proposal)
        assert case.verifier.runs == 0

    def test_what_the_sandbox_allows_is_part_of_what_was_run(self, fake: FakeRunner, tmp_path: Path) -> None:
        train = fake.program("train.py", a=1)
        for sandbox, runs in ((Sandbox(), 5), (Sandbox(), 0), (Sandbox(network=True), 5), (None, 5), (Sandbox(), 0)):
            case = Case(fake, train, cache=tmp_path / "cache", sandbox=sandbox)
            case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2))
            assert case.verifier.runs == runs
            assert {request.sandbox for request in fake.requests} >= {sandbox}

    def test_what_is_missing_may_come(self, fake: FakeRunner, tmp_path: Path) -> None:
        train = fake.program("train.py", a=1, broken="No module named 'wget'")
        case = Case(fake, train, cache=tmp_path / "cache")
        for _ in range(2):
            case.verify(case.fix(train, Promise.RUNS_CLEAN, a=2))
            assert case.verifier.runs == 1


@pytest.mark.parametrize("when", ["always", "with the fix", "before the referee", "never"])
def test_a_program_that_reaches_into_the_recorder_proves_nothing(fake: FakeRunner, when: str) -> None:
    train = fake.program("train.py", a=1, bias=0)
    case = Case(fake, train)

    def run(request: RunRequest) -> Observation:
        seen = fake(request)
        reaches = {"always": True, "with the fix": request.marks, "before the referee": request.referee}.get(when)
        return replace(seen, warnings=("the program reaches into the recorder: x was replaced",)) if reaches else seen

    proposal = case.fix(train, Promise.NO_WORSE, bias=0.1)
    (verdict,) = Verifier(case.plans, {train: read(train)}, case.options, run).verify([proposal])
    assert verdict.status is (V if when == "never" else U)
    assert ("train.py: the program reaches into the recorder" in verdict.reason) == (when != "never")


def test_nor_does_one_that_names_the_recorder(fake: FakeRunner, tmp_path: Path) -> None:
    train = fake.program("train.py", a=1)
    train.write_text(train.read_text() + 'name = "_pyro_fix_probe"\n')
    case = Case(fake, train, cache=tmp_path / "cache")
    for _ in range(2):
        verdict = case.one(case.fix(train, Promise.RUNS_CLEAN, a=2))
        assert verdict.status is U and "reaches into the recorder: train.py:2 has _pyro_fix_probe" in verdict.reason


def test_an_error_of_the_runner_stops_everything(fake: FakeRunner) -> None:
    paths = [fake.program(f"train{i}.py", a=1) for i in range(6)]
    case = Case(fake, *paths, jobs=1)
    started: list[str] = []

    def run(request):  # type: ignore[no-untyped-def]
        started.append(request.target.name)
        time.sleep(0.2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Verifier(case.plans, {p: read(p) for p in paths}, case.options, run).verify(
            [case.fix(path, Promise.RUNS_CLEAN, a=2) for path in paths]
        )
    assert len(started) < 6


def test_the_reason_names_site_and_argument_of_a_new_error() -> None:
    message = (
        "Error while computing log_prob at site 'x':\nExpected value argument to be within the support\ntensor(0.5)"
    )
    failed = observation(svi(trajectories=(trajectory(failure=Failure("ValueError", message, "train.py:3", 0)),)))
    told = said(failed, ("trajectory", "0", "ValueError"))
    assert told == message.replace("\n", " ")
    assert said(failed, ("trajectory", "1", "ValueError")) == said(failed, ("program", "ValueError")) == ""
