import statistics

import pytest
from scipy import stats as scipy_stats

from reglab.arms import FINAL_ARMS
from reglab.report import stats
from reglab.report.stats import Estimate, TimeToTarget
from reglab.tracking.record import State


def test_an_interval_is_scipys_own():
    values = [0.71, 0.74, 0.69, 0.73]
    estimate = Estimate.of(values)
    low, high = scipy_stats.t.interval(0.95, len(values) - 1, loc=statistics.fmean(values), scale=scipy_stats.sem(values))
    assert (estimate.low, estimate.high) == pytest.approx((low, high))
    assert estimate.half_width == pytest.approx((high - low) / 2)


def test_one_value_has_no_interval_and_none_has_no_estimate():
    assert Estimate.of([0.7]) == Estimate(0.7, None, None, 1)
    assert Estimate.of([]) is None


@pytest.mark.parametrize(
    ("times", "median", "reached"),
    [
        ([30.0, 10.0, 20.0], 20.0, 3),
        ([10.0, 20.0, None], 20.0, 2),
        ([10.0, None, None], None, 1),
        ([None], None, 0),
        ([10.0, None], None, 1),
    ],
)
def test_a_run_that_never_reaches_the_target_counts_as_later_than_all_others(make_record, times, median, reached):
    summaries = [make_record(to_target=time).summary for time in times]
    assert TimeToTarget.of(summaries) == TimeToTarget(median, reached, len(times))


def test_cells_are_arms_over_seeds_in_the_order_of_the_figure(study):
    cells = stats.cells(reversed(study))
    assert [cell.label for cell in cells] == list(FINAL_ARMS)
    assert [record.seed for record in cells[0].records] == [0, 1, 2]
    assert cells[1].test_accuracy.mean == pytest.approx(0.65)
    assert cells[5].time_to_target == TimeToTarget(45.0, 2, 3)


def test_a_run_that_did_not_finish_is_in_its_cell_but_not_counted(make_record):
    (cell,) = stats.cells([make_record(seed=0, test=0.7), make_record(seed=1, state=State.failed)])
    assert (len(cell.records), cell.counted, cell.test_accuracy.n) == (2, 1, 1)


def test_arms_of_one_label_are_told_apart_by_what_differs(make_record):
    one, other = make_record(), make_record(identity="another")
    other = other.model_copy(update={"config": other.config | {"optimizer": other.config["optimizer"] | {"lr": 0.1}}})
    assert {cell.label for cell in stats.cells([one, other])} == {"baseline (optimizer.lr 0.001)", "baseline (optimizer.lr 0.1)"}


@pytest.mark.parametrize("field", ["device", "precision", "torch", "commit", "compiled"])
def test_times_of_unlike_machines_are_not_pooled(make_record, field):
    other = make_record(seed=1)
    unlike = other.environment.model_copy(update={field: True if field == "compiled" else "another"})
    (cell,) = stats.cells([make_record(seed=0), other.model_copy(update={"environment": unlike})])
    assert cell.times_are_mixed
    assert cell.train_seconds is None
    assert cell.time_to_target is None
    assert cell.test_accuracy.n == 2
