"""Times of runs that shared what they ran on, by what their arms took in turns."""

import pytest

import reglab
from reglab.report import stats
from reglab.report.claims import verdicts
from reglab.report.collection import Runs
from reglab.report.page import words
from reglab.report.studies.quiet import sessions, told_by_most, told_together
from reglab.report.studies.study import Study
from reglab.tracking.turns import as_runs
from tests.report.conftest import moved
from tests.report.published import DESIGN

BN_1, BN_2 = ({"batchnorm": {"layers": layers}} for layers in (1, 2))
TEN = {"train": {"epochs": 10}}


@pytest.fixture
def shared(make_record):
    """Makes a run of ten epochs that shared its cores and came to the target in one of them."""

    def make(config=None, seed=0, epoch=4, share=0.5, **changes):
        record = make_record(config={**(config or {}), "train": {"epochs": 10, "seed": seed}}, seed=seed, seconds=900.0, to_target=360.0)
        summary = {"epochs": 10, "time_to_target_epoch": epoch, "time_to_target_reached": epoch is not None, "time_cpu_share": share}
        where = record.environment.model_copy(update={"device": "a CPU", "cuda": None, "commit": "earlier"})
        return record.model_copy(update={"summary": record.summary.model_copy(update=summary), "environment": where, **changes})

    return make


def told_by_turns(runs, turns):
    return told_by_most(runs, sessions(turns))


def turns_of(make_turns, *arms, **changes):
    return as_runs([make_turns({**config, **TEN}, seconds, **changes) for config, seconds in arms])


def times(record):
    return record.summary.time_train_seconds, record.summary.time_to_target_seconds


def test_a_run_is_told_by_its_epochs_and_the_seconds_of_one_in_turns(make_turns, shared):
    turns = turns_of(make_turns, ({}, (2.0, 3.0)), (BN_2, (5.0, 6.0)))
    runs = [shared(), shared(seed=1), shared(BN_2, seed=1, epoch=None), shared(seed=2)]
    found = told_by_turns(runs, turns)
    assert list(map(times, found)) == [(20, 8), (30, 12), (60, None), (900, 360)]  # seeds of two rounds
    assert [stats.is_quiet(run) for run in found] == [True] * 3 + [False]
    assert len({stats.place(run) for run in found[:3]}) == 1
    assert found[0].history[0].time_train_seconds == 2
    assert [run.summary.test_accuracy for run in found] == [run.summary.test_accuracy for run in runs]
    assert found[0].environment.data_fingerprint == runs[0].environment.data_fingerprint


@pytest.mark.parametrize(
    ("change", "is_told"),
    [
        ({"device": "a CPU (1 core)"}, True),
        ({"device": "a CPU (32 cores)"}, True),
        ({"threads": 2}, False),
        ({"precision": "fp32"}, False),
    ],
)
def test_such_a_device_is_one_of_the_name_with_as_many_threads_in_the_precision(make_turns, shared, change, is_told):
    run = shared()
    there = run.model_copy(update={"environment": run.environment.model_copy(update=change)})
    (found,) = told_by_turns([there], turns_of(make_turns, ({}, (2.0, 3.0))))
    assert (times(found) == (20, 8)) is is_told


def test_what_ran_alone_or_on_another_device_or_has_no_turns_stays_as_it_was(make_turns, shared):
    turns = turns_of(make_turns, ({}, (2.0, 3.0)))
    quiet, of_no_turns, gone_on = shared(share=1.0), shared(BN_2), moved(shared())
    other = shared(seed=1)
    other = other.model_copy(update={"environment": other.environment.model_copy(update={"device": "another"})})
    by_an_earlier_version = shared(seed=2).model_copy(
        update={"summary": shared().summary.model_copy(update={"time_to_target_epoch": None})}
    )
    runs = (quiet, of_no_turns, other, by_an_earlier_version, gone_on)
    assert all(now is before for now, before in zip(told_by_turns(runs, turns), runs, strict=True))


def test_turns_that_shared_their_cores_tell_nothing(make_turns, shared):
    turns = turns_of(make_turns, ({}, (2.0, 3.0)), share=0.5)
    (found,) = told_by_turns([shared()], turns)
    assert times(found) == (900, 360)


def test_of_two_sessions_that_in_which_most_arms_took_turns_is_taken(make_turns, shared):
    fast = [
        each.model_copy(update={"session": each.session.replace(day=9)})
        for each in (make_turns(TEN, (1.0,)), make_turns(BN_2 | TEN, (1.0,)))
    ]
    fast = [each.model_copy(update={"environment": each.environment.model_copy(update={"torch": "2.99"})}) for each in fast]
    turns = as_runs([*fast, make_turns(TEN, (2.0, 2.0, 2.0))])
    one, other = told_by_turns([shared(), shared(BN_2)], turns)
    assert (times(one), times(other)) == ((10, 4), (10, 4))


def test_what_is_compared_goes_by_the_first_session_that_it_is_all_of_whatever_comes_later(make_turns, shared):
    runs = [shared(config, seed) for config in ({}, BN_2) for seed in range(3)]
    first = [make_turns(TEN, (1.0, 2.0, 3.0)), make_turns(BN_2 | TEN, (2.0, 3.0, 4.0))]
    later = [make_turns(config | TEN, (9.0, 9.0, 9.0), session=1) for config in ({}, BN_2, BN_1)]
    there = sessions(as_runs([*first, *later]))
    assert [train for train, _ in map(times, told_together(runs, there, runs))] == [10, 20, 30, 20, 30, 40]
    assert [times(run)[0] for run in told_by_most([*runs, shared(BN_1)], there)] == [90] * 7
    assert [times(run)[0] for run in told_together(runs[1:3], there, runs)] == [20, 30]  # each seed its own round
    alone = told_together([*runs, shared({"cutout": {"images": 2}})], there, runs)  # which took no turns
    assert {times(run)[0] for run in alone} == {900}


def test_of_one_round_that_arms_took_together_nothing_is_told(make_turns, shared):
    there = sessions(turns_of(make_turns, ({}, (2.0, 3.0)), (BN_2, (5.0,))))
    runs = [shared(), shared(BN_2)]
    assert {times(run)[0] for run in told_together(runs, there, runs)} == {900}


def test_a_later_session_is_no_second_look_at_times_to_the_target(make_turns, shared):
    """The second has an arm more, and the others the other way round."""
    runs = tuple(shared(config, seed) for config in ({}, BN_1, BN_2) for seed in range(5))
    noise = (0.0, 0.01, -0.01, 0.02, -0.02)

    def session(number, **many):
        arms = {"plain": {}, "one": BN_1, "two": BN_2}
        return [make_turns(arms[arm] | TEN, [each + seconds for each in noise], session=number) for arm, seconds in many.items()]

    first, later = session(0, plain=1.0, two=1.1), session(1, plain=1.1, one=1.0, two=1.0)
    for took in (first, [*first, *later]):
        found = reglab.compare(Runs("", runs, took=tuple(took)), "batchnorm.layers=2", "batchnorm.layers=0", on="time_to_target/seconds")
        assert (found.verdict, found.estimate) == ("b is better", pytest.approx(1.1, rel=0.01))


def test_arms_that_have_no_such_run_do_not_choose_the_session(make_turns, shared):
    others = [make_turns({"cutout": {"images": images}} | TEN, (1.0,)) for images in (2, 4, 8)]
    turns = as_runs([*others, make_turns(TEN, (2.0,), session=1)])
    assert times(told_by_turns([shared()], turns)[0]) == (20, 8)


def test_claims_on_the_time_to_the_target_are_decided_by_such_times(make_turns, shared):
    """More layers come to it in fewer epochs, which take longer: one epoch less at a time, of 10 % more each."""
    arms = [({"batchnorm": {"layers": layers}} if layers else {}, 1 + 0.1 * layers) for layers in (0, 1, 2, 3)]
    runs = [shared(config, seed, epoch=8 - 2 * place) for place, (config, _) in enumerate(arms) for seed in range(8)]
    turns = turns_of(make_turns, *((config, [many * (1 + noise / 100) for noise in range(8)]) for config, many in arms))
    before, after = (Study.of(runs, DESIGN, some) for some in ((), turns))
    (open_one,), (told,) = (verdicts.judge(study).each[3].parts for study in (before, after))
    assert "decide nothing" in open_one.undecided
    assert (told.estimate, told.n, told.holds) == (1, 24, True)
    assert any("what an epoch of their arms took in turns" in line for line in told.said)
    assert after.by_turns == {run.run_id for run in runs} and not before.by_turns
    assert any(line.startswith("32 runs shared cores or a GPU, and their times are epochs times") for line in words.notes(after))
    assert not any("slower than need be" in line for line in words.notes(after))
