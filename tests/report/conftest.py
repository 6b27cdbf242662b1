import pytest

from reglab.arms import FINAL_ARMS
from reglab.config import RunConfig, identity, run_id
from reglab.tracking.record import Environment, Epoch, RunRecord, State, Summary
from tests.loopback.conftest import wandb_server as wandb_server


@pytest.fixture
def make_record():
    """Makes a finished run of an arm; what a test is about is given by name."""

    def make(arm="baseline", seed=0, *, test=0.7, train=0.9, seconds=100.0, to_target=40.0, state=State.finished, **changes):
        config = RunConfig.parse({"arm": arm, "data": {"source": "digits"}, "train": {"epochs": 1, "seed": seed}})
        environment = Environment(
            device="a GPU",
            cuda="13.0",
            torch="2.15",
            python="3.12",
            threads=8,
            precision="bf16",
            compiled=False,
            reglab="0.1.0",
            commit="abc",
            data="digits",
            data_fingerprint="f",
            train_images=1442,
            test_images=355,
        )
        summary = Summary(
            test_accuracy=test,
            train_clean_accuracy=train,
            gap=train - test,
            time_to_target_reached=to_target is not None,
            time_to_target_seconds=to_target,
            time_train_seconds=seconds,
            time_wall_seconds=seconds + 10,
            parameters=23_528_522,
            epochs=1,
        )
        row = Epoch(
            epoch=1,
            train_loss=1,
            train_accuracy=train,
            lr=0.001,
            time_train_seconds=seconds,
            time_wall_seconds=seconds,
            throughput_images_per_second=14.4,
        )
        record = RunRecord(
            run_id=run_id(config),
            sweep="final",
            label=config.label,
            identity=identity(config),
            seed=seed,
            config=config.model_dump(),
            state=state,
            environment=environment,
            summary=summary if state == State.finished else None,
            history=[row],
        )
        return record.model_copy(update=changes)

    return make


@pytest.fixture
def study(make_record):
    """Six arms and three seeds; the arms get better in order, and the last never reaches the target with seed 2."""
    return [
        make_record(arm, seed, test=0.6 + 0.04 * place + 0.01 * seed, to_target=None if (place, seed) == (5, 2) else 40.0 + place)
        for place, arm in enumerate(FINAL_ARMS)
        for seed in (0, 1, 2)
    ]
