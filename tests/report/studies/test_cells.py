import pytest

from reglab.config.arms import FINAL_ARMS
from reglab.report.stats import Estimate, TimeToTarget
from reglab.tracking.record import State
from tests.report import published
from tests.report.conftest import moved, sharing
from tests.report.published import FINAL, cells, treated

UNLIKE = {"device": "another", "precision": "fp32", "torch": "2.0", "commit": "def", "compiled": True, "captured": True}


def test_a_run_that_cannot_be_built_has_no_treatment(batchnorm):
    assert treated(batchnorm(2))["batchnorm"] == 2
    assert treated(batchnorm(2, config={}).changed(config={"batchnorm": {"layers": 9}})) is None


def test_cells_are_arms_over_seeds_in_the_order_of_their_question(study):
    found = published.study(reversed(study)).answers(published.FINAL)
    assert [cell.label for cell in found] == list(FINAL_ARMS)
    assert [record.seed for record in found[0].records] == [0, 1, 2]
    assert found[1].test_accuracy.mean == pytest.approx(0.65)
    assert found[1].treatment["batchnorm"] == 2
    (times,) = found[5].times
    assert (times.to_target.median_seconds, times.to_target.reached, times.to_target.n) == (45.0, 2, 3)


def test_arms_stand_best_first(batchnorm):
    found = cells([batchnorm(1, test=0.6), batchnorm(3, test=0.8), batchnorm(0, test=0.5)])
    assert [cell.label for cell in found] == ["BN 3", "BN 1", "baseline"]


def test_a_run_that_did_not_finish_is_in_its_cell_but_not_counted(make_record):
    (cell,) = cells([make_record(seed=0, test=0.7), make_record(seed=1, state=State.failed)])
    assert (len(cell.records), cell.counted, cell.test_accuracy.n) == (2, 1, 1)


def test_a_run_that_diverged_never_reaches_the_target(make_record):
    diverged = make_record(seed=1, to_target=None, seconds=5.0).changed(state=State.diverged)
    (cell,) = cells([make_record(seed=0, to_target=40.0), diverged])
    (times,) = cell.times
    assert times.to_target == TimeToTarget(None, None, None, 1, 2)  # censored at its 5 seconds it would leave a median of 40
    assert times.train_seconds.n == 1


def test_a_run_that_ended_without_the_target_before_another_came_to_it_is_later_than_that(make_record):
    """The only one that came, with the longest epochs, was the last: what the others would have come to is not told by it."""
    runs = [make_record(seed=seed, to_target=None, seconds=100.0 + seed) for seed in (0, 1)]
    (cell,) = cells([*runs, make_record(seed=2, to_target=110.0, seconds=112.0)])
    assert cell.times[0].to_target == TimeToTarget(None, None, None, 1, 3)


def test_arms_of_one_label_are_told_apart_by_what_differs(make_record):
    records = [
        make_record(config=config) for config in ({}, {"optimizer": {"lr": 0.1}}, {"model": {"stem": "cifar"}, "train": {"epochs": 2}})
    ]
    assert {cell.label for cell in cells(records)} == {
        "baseline · 1 epochs",
        "baseline · 1 epochs · adam lr 0.1",
        "baseline · 2 epochs · CIFAR stem",
    }
    eps = [make_record(), make_record(config={"optimizer": {"eps": 0.1}})]
    assert {cell.label for cell in cells(eps)} == {"baseline · optimizer.eps 1e-07", "baseline · optimizer.eps 0.1"}


@pytest.mark.parametrize("field", UNLIKE)
def test_times_of_unlike_machines_are_not_pooled(make_record, field):
    other = make_record(seed=1, seconds=300.0, to_target=90.0)
    unlike = other.environment.model_copy(update={field: UNLIKE[field]})
    (cell,) = cells([make_record(seed=0), other.model_copy(update={"environment": unlike})])
    assert [times.train_seconds for times in cell.times] == [Estimate(100.0, None, None, 1), Estimate(300.0, None, None, 1)]
    assert [times.to_target.median_seconds for times in cell.times] == [40.0, 90.0]
    assert cell.times[0].machine != cell.times[1].machine
    assert cell.test_accuracy.n == 2


def test_times_of_like_machines_are_pooled(make_record):
    (cell,) = cells([make_record(seed=seed) for seed in (0, 1, 2)])
    assert [times.train_seconds.n for times in cell.times] == [3]


def test_times_on_shared_cores_are_never_pooled_with_quiet_ones(make_record):
    records = [make_record(seed=0), sharing(make_record(seed=1), 0.95), sharing(make_record(seed=2, seconds=900.0), 0.6)]
    (cell,) = cells(records)
    assert cell.test_accuracy.n == 3
    assert [(times.machine.endswith(", shared cores"), times.train_seconds.n) for times in cell.times] == [(False, 2), (True, 1)]
    assert cell.times[0].train_seconds.mean == 100


def test_nor_are_those_of_runs_that_went_on_elsewhere(make_record):
    (cell,) = cells([make_record(seed=0), moved(make_record(seed=1, seconds=900.0)), moved(sharing(make_record(seed=2), 0.6))])
    assert cell.test_accuracy.n == 3
    machine = "a GPU, bf16, torch 2.15, reglab abc"
    marked = [machine, f"{machine}, gone on from elsewhere", f"{machine}, shared cores, gone on from elsewhere"]
    assert [(times.machine, times.is_quiet) for times in cell.times] == list(zip(marked, (True, False, False), strict=True))


def test_nor_are_those_of_runs_that_shared_a_gpu(make_record):
    quiet, shared = make_record(seed=0), make_record(seed=1, seconds=190.0)
    shared = shared.changed(summary=shared.summary.model_copy(update={"gpu_runs": 2}))
    (cell,) = cells([quiet, shared])
    assert [(times.machine.endswith(", shared GPU"), times.is_quiet, times.train_seconds.n) for times in cell.times] == [
        (False, True, 1),
        (True, False, 1),
    ]


def test_a_run_that_cannot_be_built_here_takes_no_other_of_its_arm_along(make_record):
    records = [make_record(arm, seed, test=0.6 + 0.01 * seed) for arm in ("baseline", "symmetric_cutout_2") for seed in range(3)]
    odd = next(record for record in records if record.label == "symmetric_cutout_2" and record.seed == 0)
    later = odd.changed(config=odd.config | {"train": odd.config["train"] | {"future_key": 1}})
    for order in (lambda each: each, reversed):
        there = published.study(order([later if record is odd else record for record in records]))
        mine = [cell for cell in there.answers(FINAL) if cell.treatment]
        assert {cell.label: [record.seed for record in cell.records] for cell in mine} == {
            "baseline": [0, 1, 2],
            "symmetric_cutout_2": [1, 2],
        }
        (apart,) = there.unasked([FINAL])
        assert (apart.treatment, [record.run_id for record in apart.records]) == (None, [later.run_id])
        assert apart.identity not in {cell.identity for cell in mine}
