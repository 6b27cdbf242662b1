import pytest

from reglab.config import RunConfig, identity, run_id
from reglab.data import sources
from reglab.errors import UserError
from reglab.sweep import plan
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Epoch, Summary

H100, A100 = "NVIDIA H100 80GB HBM3", "NVIDIA A100-SXM4-40GB"


def config(**sections):
    return RunConfig.parse({"train": {"epochs": 10, "batch_size": 250, **sections.pop("train", {})}, **sections})


def record(of, seconds, device=H100, state=State.finished):
    """A run that took so many seconds of wall clock."""
    environment = Environment(
        device=device,
        torch="2",
        python="3",
        threads=1,
        precision="bf16",
        compiled=False,
        reglab="0",
        data="CIFAR-10",
        data_fingerprint="f",
        train_images=777,
        test_images=1,
    )
    summary = Summary(time_train_seconds=1, time_wall_seconds=seconds, parameters=1, epochs=of.train.epochs)
    return RunRecord(
        run_id=run_id(of),
        sweep="s",
        label=of.label,
        identity=identity(of),
        seed=of.train.seed,
        config=of.model_dump(mode="json"),
        state=state,
        environment=environment,
        summary=summary,
    )


@pytest.mark.parametrize("key", ["compile", "graph"])
def test_runs_at_another_speed_tell_less_than_those_at_the_same(key):
    slow, fast = config(train={key: False}), config(train={key: True})
    paces = plan.Paces()
    for number, (of, seconds) in enumerate(((slow, 500), (fast, 100), (fast, 120))):
        paces.add(record(of, seconds), number)
    assert len(paces.alike(slow, H100)) == 1
    assert paces.epoch_seconds(slow, H100) == pytest.approx(50)
    assert paces.epoch_seconds(fast, H100) == pytest.approx(11)


@pytest.mark.parametrize(
    ("sections", "images"),
    [
        ({}, 50_000),
        ({"data": {"validation": 5000}}, 45_000),
        ({"data": {"train_limit": 1000}}, 1000),
        ({"data": {"train_limit": 49_000, "validation": 5000}}, 45_000),
        ({"cutout": {"images": 2}}, 50_000 + 2 * 200),
        ({"cutout": {"images": 2, "per": "image"}}, 150_000),
        ({"data": {"source": "digits"}, "cutout": {"images": 8}}, 1442 + 8 * 6),
    ],
)
def test_images_of_an_epoch(sections, images):
    assert plan.images_per_epoch(config(**sections)) == images


def test_the_size_of_the_digits_is_the_real_one(cache):
    from reglab.config import DataConfig

    assert len(sources.load(DataConfig(source="digits"), cache).train) == plan.TRAINING_IMAGES["digits"]


def test_a_folder_s_size_is_known_from_a_run(cache):
    mine = config(data={"source": "folder", "folder": "/pets"})
    with pytest.raises(UserError, match="no run has read it yet"):
        plan.images_per_epoch(mine)
    assert plan.images_per_epoch(mine, [(record(mine, 1), mine)]) == 777


def test_the_same_arm_says_what_it_took_and_its_range():
    arm = config()
    forecast = plan.forecast(
        [config(train={"seed": seed}) for seed in (3, 4)], [record(arm, 3600), record(arm, 3600), record(arm, 7200)], H100
    )
    assert (forecast.runs, forecast.hours, forecast.low, forecast.high) == (2, 2.0, 2.0, 4.0)
    assert forecast.basis == f"from 1 finished run on {H100}"  # one run id


def test_time_goes_with_epochs_and_images():
    forecast = plan.forecast([config(train={"epochs": 20}, data={"validation": 25_000})], [record(config(), 3600)], H100)
    assert forecast.hours == pytest.approx(1.0)
    longer = plan.forecast([config(cutout={"images": 1, "per": "image"})], [record(config(), 3600)], H100)
    assert longer.hours == pytest.approx(2.0)


def test_the_same_network_tells_more_than_another_and_another_width_nothing():
    plain, normalized = record(config(), 3600), record(config(batchnorm={"layers": 3}), 7200)
    wanted = config(batchnorm={"layers": 3}, optimizer={"lr": 0.1})
    assert plan.forecast([wanted], [plain, normalized], H100).hours == pytest.approx(2.0)
    with pytest.raises(UserError, match=r"no finished run .* is like the arm baseline, so nothing tells what it takes: .* --probe"):
        plan.forecast([config(model={"width": 16})], [plain], H100)


def test_what_no_run_tells_is_probed_once_for_each_network():
    asked = []

    def probe(of):
        asked.append(of.label)
        return 3600 / 500_000

    wanted = [config(train={"seed": 0}), config(train={"seed": 1}), config(agc={"enabled": True})]
    forecast = plan.forecast(wanted, [], None, probe)
    assert asked == ["baseline", "AGC 0.02"]
    assert forecast.hours == pytest.approx(3.0)
    assert forecast.basis == "from a probe of 2 networks here"


def test_a_run_of_a_technique_that_is_not_installed_here_tells_nothing_and_keeps_no_other_from_telling():
    arm = config()
    foreign = record(arm, 7200).changed(config=arm.model_dump(mode="json") | {"shakeshake": {"enabled": True}})
    forecast = plan.forecast([arm], [foreign, record(arm, 3600)], H100)
    assert (forecast.low, forecast.high) == (1.0, 1.0)


def test_the_gpu_is_the_one_that_is_named_or_that_most_runs_finished_on():
    records = [record(config(), 1, H100), record(config(), 1, A100), record(config(), 1, A100), record(config(), 1, "L4", State.failed)]
    assert plan.device(records, None) == A100
    assert plan.device(records, "h100") == H100
    assert plan.device(records, "L4") is None
    assert plan.forecast([config()], records, H100).basis == f"from 1 finished run on {H100}"


def test_nothing_left_costs_nothing():
    forecast = plan.forecast([], [], None)
    assert (forecast.runs, forecast.hours, forecast.basis) == (0, 0.0, "nothing is left to run")


def under_way(of, *walls):
    """A run that has completed epochs at these seconds of its wall clock."""
    same = {"train_loss": 1, "train_accuracy": 0.5, "lr": 0.1, "time_train_seconds": 1, "throughput_images_per_second": 1}
    rows = [Epoch(epoch=number, time_wall_seconds=wall, **same) for number, wall in enumerate(walls, start=1)]
    return record(of, 1, state=State.preempted).model_copy(update={"history": rows, "summary": None})


@pytest.mark.parametrize(("walls", "seconds"), [((), None), ((30,), 30), ((30, 40, 50), 10)])
def test_a_run_under_way_tells_by_its_epochs_without_what_was_before_them_where_it_can(walls, seconds):
    paces = plan.Paces()
    paces.add(under_way(config(), *walls))
    assert paces.epoch_seconds(config(train={"seed": 3}), H100) == (seconds and pytest.approx(seconds))
    assert paces.epoch_seconds(config(), A100) is None


def test_a_finished_run_tells_more_than_one_under_way_and_the_latest_of_a_run_counts():
    paces = plan.Paces()
    paces.add(under_way(config(), 30))
    paces.add(under_way(config(), 30, 50))
    assert paces.epoch_seconds(config(), H100) == 20
    paces.add(record(config(train={"seed": 1}), 100))
    assert paces.epoch_seconds(config(), H100) == 10


def test_a_folder_of_images_is_known_by_its_name_on_whatever_machine():
    paces = plan.Paces()
    paces.add(record(config(data={"source": "folder", "folder": "/there", "name": "pets"}), 100))
    assert paces.epoch_seconds(config(data={"source": "folder", "folder": "/here/pets"}), H100) == 10
    assert paces.epoch_seconds(config(data={"source": "folder", "folder": "/here/cars"}), H100) is None
