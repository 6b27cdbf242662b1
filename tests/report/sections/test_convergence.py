"""Whether runs were long enough, by their epochs."""

import pytest

from reglab.report.sections import convergence
from reglab.report.sections.convergence import rise
from reglab.report.studies.design import Design
from reglab.tracking.record import State
from reglab.tracking.results import Epoch, first_at
from tests.report import published
from tests.report.conftest import sharing


def epochs(accuracies, train=None):
    return [
        Epoch(
            epoch=number,
            train_loss=1,
            train_accuracy=train[number - 1] if train else number / 100,
            train_clean_accuracy=None,
            test_accuracy=accuracy,
            lr=0.001,
            time_train_seconds=10 * number,
            time_wall_seconds=10 * number,
            throughput_images_per_second=1,
        )
        for number, accuracy in enumerate(accuracies, start=1)
    ]


def test_the_rise_is_that_of_the_line_through_the_last_fifth():
    assert rise(epochs([0.1] * 40 + [0.1 + 0.01 * step for step in range(1, 11)])) == pytest.approx(9.8, abs=0.3)
    assert rise(epochs([0.5] * 50)) == pytest.approx(0)
    assert rise(epochs([number / 100 for number in range(1, 51)])) == pytest.approx(10)  # epochs 40 to 50


@pytest.mark.parametrize("history", [[], epochs([0.5] * 9), epochs([0.5] * 47 + [None] * 3 + [None] * 8)])
def test_of_too_few_epochs_nothing_is_said(history):
    assert rise(history) is None


def test_the_first_epoch_that_has_the_accuracy_counts():
    history = epochs([0.1, 0.2, 0.3, 0.4], train=[0.5, 0.61, 0.55, 0.7])
    assert first_at(history, 0.6, "running").epoch == 2
    assert first_at(history, 0.8, "running") is None
    assert first_at(history, 0.6, "clean") is None


@pytest.fixture
def made(make_record):
    """Two arms of two seeds: one that comes to its end and to 60 %, one that still rises and comes there in one run of two."""

    def records():
        found = []
        for seed in (0, 1):
            ends = make_record(seed=seed).model_copy(update={"history": epochs([0.7] * 40, train=[0.3] * 4 + [0.65] * 36)})
            slow = [0.5 if seed else 0.3] * 20 + [0.6 if seed else 0.4] * 20
            rises = make_record("symmetric_augmentation", seed).model_copy(
                update={"history": epochs([0.3 + number / 100 for number in range(40)], train=slow)}
            )
            found += [ends, rises]
        return found

    return records()


def told(records):
    study = published.study(records)
    return convergence.extra(study, study.cells)


@pytest.mark.parametrize(("shown", "whose"), [(2, "For each arm its"), (1, "For 1 of the 2 arms below the")])
def test_the_figure_says_of_how_many_arms_it_is(made, shown, whose):
    study = published.study(made)
    ((_, _, says, _),) = convergence.extra(study, study.cells[:shown]).drawn
    assert says == f"{whose} test accuracy after each epoch, a mean over seeds."


def test_each_arm_is_told_by_its_rise_and_by_when_it_came_to_a_lower_target(made):
    found = told(made)
    rows = found.table.set_index("model")
    assert rows.loc["baseline", "rise over the last fifth, points"] == "0.0 (all equal)"
    assert rows.loc["symmetric_augmentation", "rise over the last fifth, points"].startswith("+8")
    assert rows.loc["baseline", ["to 60 % (running), epoch", "after, s"]].tolist() == ["5", "50.0"]
    assert rows.loc["symmetric_augmentation", "to 60 % (running), epoch"] == "not reached (1 of 2)"
    assert found.notes == ["1 of 2 arms still rose by more than 0.5 points over the last fifth: symmetric_augmentation."]


def test_a_run_that_diverged_comes_to_a_lower_target_later_than_all_others(make_record):
    quick, slow = (
        make_record(seed=seed).model_copy(update={"history": epochs([0.5] * 40, train=[0.3] * before + [0.65] * (40 - before))})
        for seed, before in enumerate((9, 19))
    )
    gone = make_record(seed=2, state=State.diverged).model_copy(update={"history": epochs([0.5] * 3)})
    row = told([quick, slow, gone]).table.iloc[0]
    assert row[["to 60 % (running), epoch", "after, s"]].tolist() == ["20 (2 of 3)", "200.0"]


def test_the_seconds_to_a_lower_target_are_those_of_one_machine(make_record):
    """The one that two of five runs had to themselves."""
    history = epochs([0.7] * 40, train=[0.3] * 4 + [0.65] * 36)
    slowly = [row.model_copy(update={"time_train_seconds": 9 * row.time_train_seconds}) for row in history]
    alone = [make_record(seed=seed).model_copy(update={"history": history}) for seed in (0, 1)]
    shared = [sharing(make_record(seed=seed), 0.5).model_copy(update={"history": slowly}) for seed in (2, 3, 4)]
    row = told([*shared, *alone]).table.iloc[0]
    assert row[["runs", "to 60 % (running), epoch", "after, s"]].tolist() == ["5", "5", "50.0"]


def test_runs_without_epochs_have_no_such_section(make_record):
    assert told([make_record()]) is None


def test_a_target_is_a_share():
    with pytest.raises(ValueError, match=r"must be shares of the training images between 0 and 1"):
        Design(title="x", factors={"rate": "optimizer.lr"}, targets=60)
