"""What a page tells of an arm when it is asked for."""

import json

import pytest

from reglab.report.page import details
from reglab.tracking.record import State
from reglab.tracking.results import Epoch
from tests.report import published


def epochs(count):
    return [
        Epoch(
            epoch=number,
            train_loss=1,
            train_accuracy=number / 1000,
            test_accuracy=None if number % 2 else number / 2000,
            lr=0.001,
            time_train_seconds=number,
            time_wall_seconds=number,
            throughput_images_per_second=1,
        )
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("count", [1, 39, 40, 41, 200, 1000])
def test_a_curve_has_some_40_points_with_both_ends(count):
    curve = details.curve(epochs(count))
    assert len(curve["at"]) == min(count, 40)
    assert (curve["at"][0], curve["at"][-1]) == (1, count)
    assert curve["train"][-1] == round(count / 10, 2)  # per cent
    assert "clean" not in curve


def test_an_arm_has_its_runs_by_seed_and_what_it_has_of_its_own(make_record):
    failed = make_record(seed=1, state=State.failed, reason="out of memory").model_copy(update={"log": ["the end"]})
    records = [failed, make_record(seed=0), make_record("symmetric_cutout_2")]
    told = details.details(published.study(records))
    (plain,) = [arm for arm in told["arms"].values() if arm["label"] == "baseline"]
    assert [run["seed"] for run in plain["runs"]] == [0, 1]
    assert plain["runs"][1] | {"reason": "out of memory", "log": ["the end"]} == plain["runs"][1]
    assert plain["runs"][0]["clean"] == 90.0
    assert plain["own"]["cutout.images"] == "0"
    assert told["common"]["train.epochs"] == "1"
    assert "train.seed" not in told["common"] | plain["own"]
    json.dumps(told, allow_nan=False)


def test_above_500_runs_an_arm_has_one_curve(make_record, monkeypatch):
    monkeypatch.setattr(details, "MOST_RUNS", 1)
    runs = [make_record(seed=seed).model_copy(update={"history": epochs(4 + seed)}) for seed in (0, 1)]
    (arm,) = details.details(published.study(runs))["arms"].values()
    assert "curve" not in arm["runs"][0]
    assert (arm["mean"]["runs"], arm["mean"]["at"]) == ([2], [1, 2, 3, 4])
