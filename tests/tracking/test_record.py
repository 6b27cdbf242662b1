from datetime import UTC, datetime

import pytest

from reglab.config import IDENTITY_VERSION, RunConfig, identities, identity, run_id, unrevised_identity
from reglab.errors import UserError
from reglab.techniques import TECHNIQUES
from reglab.tracking import record as schema
from reglab.tracking.record import Environment, RunRecord, State
from reglab.tracking.results import METRICS, Epoch, Summary

PER_EPOCH = [
    "epoch",
    "train/loss",
    "train/accuracy",
    "train_clean/accuracy",
    "test/loss",
    "test/accuracy",
    "val/loss",
    "val/accuracy",
    "train/gap",
    "lr",
    "time/train_seconds",
    "time/wall_seconds",
    "time/cpu_seconds",
    "throughput/images_per_second",
    "gpu/memory_gb",
    *(probe.name for technique in TECHNIQUES for probe in technique.probes),
]
IN_SUMMARY_ONLY = [
    "test/best_accuracy",
    "test/best_epoch",
    "val/best_accuracy",
    "gap",
    "time_to_target/reached",
    "time_to_target/seconds",
    "time_to_target/epoch",
    "time/warmup_seconds",
    "time/cpu_share",
    "gpu/runs",
    "peak_memory_gb",
    "parameters",
    "epochs",
    "diverged_epoch",
    "diverged_step",
]
"""Dashboards, sweeps and stored runs name these: a name that changes here breaks them."""


def test_the_metrics_are_these():
    assert list(METRICS) == PER_EPOCH + IN_SUMMARY_ONLY


def test_the_fields_of_a_stored_run_are_these():
    assert [field.alias or name for name, field in Epoch.model_fields.items() if name != "own"] == PER_EPOCH  # which stand beside these
    assert {field.alias for field in Summary.model_fields.values()} >= set(IN_SUMMARY_ONLY)
    assert " ".join(sorted(RunRecord.model_fields)) == (
        "again code config created damage environment formerly history identity identity_version label log logged measures per_image "
        "program reason rows run_id schema_version seed state summary sweep updated url wandb_id weights without_history"
    )
    assert " ".join(sorted(Environment.model_fields)) == (
        "captured classes commit compiled cuda data data_fingerprint device driver elsewhere leaked_images pixel_fingerprint "
        "precision python reglab test_images threads torch train_images"
    )


VERSION_1 = {
    "schema_version": 1,
    "run_id": "1fd8699a0e12-s0",
    "sweep": "final",
    "label": "baseline",
    "identity": "1fd8699a0e12",
    "seed": 0,
    "config": {"arm": None, "dropout": {"layers": 3, "p1": 0.1, "p2": 0.2, "p3": 0.3}, "train": {"epochs": 2, "seed": 0}},
    "state": "finished",
    "created": "2026-11-24T02:53:10.123456Z",
    "updated": "2026-11-24T02:54:10.123456Z",
    "environment": {
        "device": "NVIDIA H100 80GB HBM3",
        "driver": "580.65.06",
        "cuda": "13.0",
        "torch": "2.15.0+cu130",
        "python": "3.11.7",
        "threads": 8,
        "precision": "bf16",
        "compiled": False,
        "reglab": "0.1.0",
        "commit": "907aa59ab12c+",
        "data": "CIFAR-10",
        "data_fingerprint": "0123456789ab",
        "train_images": 50000,
        "test_images": 10000,
    },
    "summary": {
        "test/accuracy": 0.75,
        "test/best_accuracy": 0.8,
        "test/best_epoch": 1,
        "train/accuracy": 0.9,
        "train_clean/accuracy": 0.95,
        "gap": 0.2,
        "time_to_target/reached": True,
        "time_to_target/seconds": 20.5,
        "time_to_target/epoch": 2,
        "time/train_seconds": 20.5,
        "time/wall_seconds": 31.0,
        "time/warmup_seconds": 1.5,
        "throughput/images_per_second": 4900.0,
        "peak_memory_gb": 3.2,
        "parameters": 23520842,
        "epochs": 2,
    },
    "history": [
        {
            "epoch": 1,
            "train/loss": 1.5,
            "train/accuracy": 0.5,
            "test/loss": 1.25,
            "test/accuracy": 0.8,
            "gap": -0.3,
            "lr": 0.001,
            "time/train_seconds": 10.25,
            "time/wall_seconds": 15.0,
            "throughput/images_per_second": 4900.0,
            "gpu/memory_gb": 3.2,
            "dropout/rate": 0.2,
        },
        {
            "epoch": 2,
            "train/loss": 0.5,
            "train/accuracy": 0.9,
            "lr": 0.001,
            "time/train_seconds": 20.5,
            "time/wall_seconds": 30.0,
            "throughput/images_per_second": 4900.0,
            "agc/clipped_fraction": 0.1,
            "cutout/masked_fraction": 0.05,
        },
    ],
}
"""A run as the first version stored it. Never edit it: runs like it are on people's disks."""


def test_a_run_of_the_first_version_stays_readable():
    record = RunRecord.model_validate(VERSION_1)
    assert record.state == State.finished
    assert record.summary.time_to_target_seconds == 20.5
    assert record.summary.train_clean_accuracy == 0.95
    assert record.history[0].gpu_memory_gb == 3.2
    assert record.history[1].agc_clipped_fraction == 0.1
    assert record.history[1].test_accuracy is None
    assert (record.summary.gap, record.history[0].train_gap) == (0.2, -0.3)  # two numbers, that had one name
    assert record.environment.device == "NVIDIA H100 80GB HBM3"
    assert record.created == datetime(2026, 11, 24, 2, 53, 10, 123456, tzinfo=UTC)


def test_of_a_run_that_counted_no_cpu_seconds_nothing_is_said():
    assert RunRecord.model_validate(VERSION_1).summary.shared == ""


def test_a_run_is_stored_under_the_names_it_was_read_under():
    stored = RunRecord.model_validate(VERSION_1).metrics()
    first = stored["history"][0]
    assert first.pop("train/gap") == VERSION_1["history"][0]["gap"]
    first["gap"] = VERSION_1["history"][0]["gap"]
    assert stored == VERSION_1 | {"identity_version": IDENTITY_VERSION}


NOW = RunConfig.parse(VERSION_1["config"])


def test_a_run_of_an_earlier_version_is_recognized_by_its_configuration_and_keeps_its_name():
    record = RunRecord.stored(VERSION_1)
    assert (record.identity, record.identity_version) == (identity(NOW), IDENTITY_VERSION)
    assert (record.run_id, record.formerly, record.has_former_name) == ("1fd8699a0e12-s0", "1fd8699a0e12", True)
    assert RunRecord.stored(record.metrics()) == record  # written again, it is what it was


def test_a_run_of_this_version_is_what_it_says():
    record = RunRecord.model_validate(VERSION_1 | {"run_id": run_id(NOW), "identity": identity(NOW)})
    assert RunRecord.stored(record.metrics()) == record
    assert (record.formerly, record.has_former_name) == (None, False)


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 7},
        {"identity": "0" * 12},
        {"run_id": run_id(NOW)[:-1] + "7"},
        {"config": NOW.model_dump(mode="json") | {"optimizer": {"lr": 0.5}}},
        {"config": NOW.model_dump(mode="json") | {"train": {"seed": 7}}},
    ],
)
def test_a_record_that_contradicts_itself_is_none(changed):
    """As a hand that changes one of its values leaves it: it would be pooled with runs that it is none of."""
    record = RunRecord.model_validate(VERSION_1 | {"run_id": run_id(NOW), "identity": identity(NOW)})
    with pytest.raises(ValueError, match="has the configuration of"):
        RunRecord.stored(record.metrics() | changed)


def test_a_run_of_before_a_revision_of_what_it_does_is_none_of_today_s_and_no_damage():
    config = RunConfig.parse({"cutout": {"images": 2, "per": "image"}, "mixup": {"alpha": 0.2}})
    before = f"{unrevised_identity(config)}-s0"
    values = VERSION_1 | {"config": config.model_dump(mode="json"), "seed": 0}
    for stored in (values | {"run_id": before, "identity": before[:-3], "identity_version": IDENTITY_VERSION}, values):
        assert RunRecord.stored(stored).identity == unrevised_identity(config) != identity(config)
    assert run_id(config) != before


def test_a_run_keeps_the_name_that_it_began_with_over_several_versions(monkeypatch):
    first = RunRecord.stored(VERSION_1)
    for module in (schema, identities):
        monkeypatch.setattr(module, "IDENTITY_VERSION", IDENTITY_VERSION + 1)
    second = RunRecord.stored(first.metrics())
    assert (second.identity, second.identity_version) == (identity(NOW), IDENTITY_VERSION + 1)
    assert second.identity != first.identity
    assert (second.formerly, second.has_former_name) == ("1fd8699a0e12", True)


def test_a_run_of_w_and_b_keeps_its_name_which_was_never_an_identity():
    record = RunRecord.stored(VERSION_1 | {"run_id": "w4ndb1d"})
    assert (record.identity, record.run_id, record.has_former_name) == (identity(NOW), "w4ndb1d", False)


@pytest.mark.parametrize("config", [{"dropout": {"layers": 3}}, {"model": {"wings": 2}}, {"arm": "of another study"}])
def test_a_run_of_before_that_this_version_cannot_build_is_like_no_other(config):
    record = RunRecord.stored(VERSION_1 | {"config": config})
    assert (record.identity, record.identity_version, record.formerly) == ("1fd8699a0e12", 0, None)


def test_a_run_that_could_not_be_built_still_has_no_identity():
    assert RunRecord.stored(VERSION_1 | {"identity": "", "config": {}}).identity == ""


def test_an_identity_of_a_later_version_is_refused():
    with pytest.raises(UserError, match="was written by a later reglab"):
        RunRecord.stored(VERSION_1 | {"identity_version": IDENTITY_VERSION + 1})


def test_fields_of_a_later_version_are_ignored():
    later = VERSION_1 | {
        "mood": "good",
        "summary": VERSION_1["summary"] | {"train/f1": 0.7},
        "history": [VERSION_1["history"][0] | {"x": 1}],
    }
    assert RunRecord.model_validate(later).summary == RunRecord.model_validate(VERSION_1).summary


def test_metrics_of_the_user_s_are_stored_among_the_others():
    stored = VERSION_1 | {"summary": VERSION_1["summary"] | {"test/f1": 0.7, "test/recall/cat": 1}}
    summary = RunRecord.model_validate(stored).summary
    assert summary.own == {"test/f1": 0.7, "test/recall/cat": 1}
    assert summary.metrics() == RunRecord.model_validate(VERSION_1).summary.metrics() | summary.own
    assert "own" not in summary.model_dump_json(by_alias=True)
    assert Summary.model_validate_json(summary.model_dump_json(by_alias=True)) == summary


@pytest.mark.parametrize("value", ["text", True, None, [1], 1e300, float("nan"), float("inf")])
def test_what_has_the_name_of_one_and_is_no_number_is_none(value):
    stored = VERSION_1 | {"summary": VERSION_1["summary"] | {"test/f1": value}}
    assert RunRecord.model_validate(stored).summary.own == {}


@pytest.mark.parametrize("name", ["train/loss", "test/accuracy", "gap", "test/", ""])
def test_none_takes_the_place_of_what_every_run_logs(name):
    with pytest.raises(ValueError, match="no name of a metric of the user's"):
        RunRecord.model_validate(VERSION_1 | {"summary": VERSION_1["summary"] | {"own": {name: 0.5}}})


def test_python_names_are_accepted_too():
    row = Epoch(
        epoch=1,
        train_loss=1,
        train_accuracy=0.5,
        lr=0.1,
        time_train_seconds=1,
        time_wall_seconds=2,
        throughput_images_per_second=3,
    )
    assert row == Epoch.model_validate(row.metrics())
    assert "train/loss" in row.metrics()
    assert "test/loss" not in row.metrics()  # what is not there is not logged


def test_the_states_that_end_a_run_are_these():
    assert {state for state in State if state.ended} == {State.finished, State.stopped, State.diverged, State.failed}


def test_a_changed_record_is_dated_now_and_keeps_its_creation(monkeypatch):
    record, later = RunRecord.model_validate(VERSION_1), datetime(2027, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(schema, "_now", lambda: later)
    changed = record.changed(state=State.failed, reason="out of memory")
    assert (changed.state, changed.reason) == (State.failed, "out of memory")
    assert (changed.created, changed.updated) == (record.created, later)
    assert record.state == State.finished


THEIRS = {"run_id": "x", "sweep": "s", "label": "x", "identity": "x", "seed": 0, "config": {"any": {"key": [1]}}, "program": "python x.py"}


def test_one_core_is_one_machine_however_its_record_says_it():
    old, new = ({**VERSION_1["environment"], "device": f"AMD EPYC {cores}"} for cores in ("(1 cores)", "(1 core)"))
    assert Environment.model_validate(old).machine == Environment.model_validate(new).machine


def test_a_run_of_another_program_has_keys_and_metrics_of_its_own():
    record = RunRecord.stored(THEIRS | {"logged": {"loss": 0.5, "best": None}, "rows": [{"loss": 1}, {"word": "a", "ok": True}]})
    assert record.config == {"any": {"key": [1]}}
    assert record.came_to == {"loss": 0.5, "best": None}
    assert record.steps == record.rows
    assert record.steps_done == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"program": None, "logged": {"loss": 1}},
        {"program": None, "rows": []},
        {"summary": {"time/train_seconds": 1, "time/wall_seconds": 1, "parameters": 1, "epochs": 1}},
        {"rows": [{"loss": [1]}]},
        {"logged": {"loss": {"deep": 1}}},
        {"logged": {"loss": 1e39}},
        {"logged": {"x" * 256: 1}},
        {"logged": {"word": "x" * 1001}},
    ],
)
def test_no_run_is_of_both_kinds_and_metrics_are_numbers_and_texts(changes):
    RunRecord.stored(THEIRS)
    with pytest.raises(ValueError, match=r"validation error"):
        RunRecord.stored(THEIRS | changes)


def test_an_identity_of_another_program_is_never_worked_out_as_one_of_ours():
    record = RunRecord.stored(THEIRS | {"config": {}, "identity_version": 0})
    assert (record.identity, record.formerly) == ("x", None)


def test_a_run_of_code_that_was_edited_after_its_sweep_had_named_it_is_what_it_is():
    """An earlier version named such runs after the code of before; no other run has the name that is theirs."""
    config = RunConfig.parse({"model": {"name": "tests.models.own:small"}})
    values = {"sweep": "s", "label": "", "seed": 0, "config": config.model_dump(mode="json"), "identity_version": IDENTITY_VERSION}
    found = RunRecord.stored(values | {"run_id": f"{'0' * 12}-s0", "identity": "1" * 12})
    assert (found.run_id, found.wandb_id, found.has_former_name) == (f"{'1' * 12}-s0", f"{'0' * 12}-s0", False)
    assert RunRecord.stored(found.model_dump(mode="json")) == found
    for name in (f"{'1' * 12}-s0", "w4ndb1d"):
        found = RunRecord.stored(values | {"run_id": name, "identity": "1" * 12})
        assert (found.run_id, found.wandb_id) == (name, None)
