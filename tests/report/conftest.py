import random
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from reglab.config import RunConfig, identity, run_id
from reglab.config.arms import FINAL_ARMS
from reglab.sweep import spec
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import Epoch, Summary
from reglab.tracking.turns import Turns
from tests.loopback.conftest import wandb_server as wandb_server


@pytest.fixture(scope="session")
def make_record():
    """Makes a finished run of an arm, or of nested keys; what a test is about is given by name."""

    def make(
        arm="baseline",
        seed=0,
        *,
        test=0.7,
        train=0.9,
        seconds=100.0,
        to_target=40.0,
        state=State.finished,
        config=None,
        own=None,
        **changes,
    ):
        values = {"data": {"source": "digits"}, "train": {"epochs": 1, "seed": seed}}
        if config is None or arm != "baseline":
            values["arm"] = arm
        for section, keys in (config or {}).items():
            values[section] = {**values.get(section, {}), **keys} if isinstance(keys, dict) else keys
        config = RunConfig.parse(values)
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
            own=own or {},
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
            seed=config.train.seed,
            config=config.model_dump(),
            state=state,
            environment=environment,
            summary=summary if state == State.finished else None,
            history=[row],
        )
        return record.model_copy(update=changes)

    return make


@pytest.fixture(scope="session")
def make_turns(make_record):
    """Makes the turns of an arm, of nested keys: what an epoch took in each round of a session, with a part of the CPU's time."""

    def make(config=None, seconds=(1.0, 1.01, 0.99), *, session=0, share=1.0, **changes):
        record = make_record(config=config)
        told = {name: getattr(record, name) for name in ("label", "identity", "identity_version", "config")}
        where = record.environment.model_copy(update={"device": "a CPU", "cuda": None})
        began = datetime(2026, 1, 1 + session, tzinfo=UTC)
        shares = [share] * len(seconds)
        return Turns(session=began, environment=where, images=64, seconds=list(seconds), cpu_shares=shares, **(told | changes))

    return make


@pytest.fixture(scope="session")
def batchnorm(make_record):
    """Makes a run with so many BN layers."""

    def make(layers, seed=0, config=None, **changes):
        return make_record(seed=seed, config={"batchnorm": {"layers": layers}, **(config or {})}, **changes)

    return make


@pytest.fixture(scope="session")
def study(make_record):
    """Six arms and three seeds; the arms get better in order, and the last never reaches the target with seed 2."""
    return [
        make_record(arm, seed, test=0.6 + 0.04 * place + 0.01 * seed, to_target=None if (place, seed) == (5, 2) else 40.0 + place)
        for place, arm in enumerate(FINAL_ARMS)
        for seed in (0, 1, 2)
    ]


@pytest.fixture(scope="session")
def whole_study(make_record):
    """Every arm of every sweep of the study, made up: dropout costs accuracy and time, BN helps, all reach the target but some."""

    @cache
    def made(seeds):
        seeded = [(arm | {"train": arm["train"] | {"seed": seed}}, seed) for arm in _study_arms() for seed in seeds]
        return [make_record(seed=seed, config=arm, **_outcome(arm, seed)) for arm, seed in seeded]

    return lambda seeds=(0, 1, 2): list(made(tuple(seeds)))


@cache
def _study_arms():
    """The configuration of each arm, without its seed; of a search, some draws."""
    arms = {}
    for path in sorted((Path(__file__).parents[2] / "sweeps").glob("*.yaml")):
        sweep = spec.read(path)
        for values in sweep.grid() if sweep.method == "grid" else _draws(sweep.name):
            config = RunConfig.parse(values)
            arms.setdefault(identity(config), config.model_dump(exclude={"arm", "cell"}))
    return tuple(arms.values())


def sharing(record, share):
    """The same run, with this share of its cores' time."""
    return record.changed(summary=record.summary.model_copy(update={"time_cpu_share": share}))


def moved(record):
    """The same run, which began on another machine."""
    return record.changed(environment=record.environment.model_copy(update={"elsewhere": ["a lost GPU, bf16, torch 2.15, reglab abc"]}))


def _draws(name):
    chance = random.Random(name)
    for _ in range(12):
        probabilities = {f"p{layer}": chance.uniform(0.1, 0.8) for layer in (1, 2, 3)}
        yield {"batchnorm": {"layers": 2}, "dropout": {"layers": 3} | probabilities, "data": {"validation": 5000}}


def _outcome(arm, seed):
    config = RunConfig.parse(arm)
    chance = random.Random(f"{identity(config)} {seed}")
    dropped, bn = sum(config.dropout.probabilities), config.batchnorm.layers
    test = 0.72 + 0.05 * min(bn, 2) - 0.10 * max(0, dropped - 0.5) + 0.04 * (dropped > 0) + 0.05 * (config.augment.policy == "basic")
    test += 0.03 * config.agc.enabled + 0.002 * config.cutout.images + chance.gauss(0, 0.005)
    seconds = (3000 + 300 * bn + 200 * len(config.dropout.probabilities)) * config.train.epochs / 200
    seconds *= (1 + config.cutout.images / 200) * (256 / config.train.batch_size) ** 0.3 * (1.4 if config.agc.enabled else 1)
    seconds *= chance.uniform(0.97, 1.03)
    speed = 0.35 - 0.06 * bn + 0.15 * dropped + chance.uniform(-0.02, 0.02)
    return {
        "test": test,
        "train": min(0.999, test + 0.25 - 0.1 * dropped),
        "seconds": seconds,
        "to_target": seconds * speed if speed < 0.5 else None,
    }
