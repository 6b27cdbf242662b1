"""Runs on other images of one name: never taken for each other, never pooled."""

import pytest
import yaml

from reglab.config import RunConfig, identity, run_id
from reglab.errors import UserError
from reglab.sweep import ledger, spec
from reglab.tracking.images import refuse_mixed, refuse_other
from reglab.tracking.record import RunRecord, State
from reglab.tracking.store import read_runs, write_run
from tests.tracking.test_wandb_project import ENVIRONMENT


def environment(fingerprint, data="pets"):
    return ENVIRONMENT.model_copy(update={"data": data, "data_fingerprint": fingerprint})


def record(fingerprint, state=State.finished, seed=0, name="pets", folder="/here", **data):
    values = {"data": {"source": "folder", "folder": folder, "name": name, **data}, "train": {"epochs": 1, "seed": seed}}
    config = RunConfig.parse(values)
    return RunRecord(
        run_id=run_id(config),
        sweep="train",
        label=config.label,
        identity=identity(config),
        seed=seed,
        config=config.model_dump(mode="json"),
        state=state,
        environment=environment(fingerprint, name) if fingerprint else None,
    )


def test_two_sets_of_one_name_are_refused_with_both_fingerprints_and_the_remedy():
    with pytest.raises(UserError) as caught:
        refuse_mixed([record("f"), record("f", seed=1), record("g", seed=2, folder="/there")])
    line = str(caught.value)
    assert "called pets, of fingerprints f (2 runs, such as" in line and "and g (1 run" in line and "data.name=" in line


@pytest.mark.parametrize(
    "other",
    [
        record("f", seed=1, folder="/there"),
        record("g", name="others"),
        record("g", train_limit=10),
        record("g", validation=10),
        record("g", background="black"),
        record("g", State.failed),
        record("g", State.crashed),
        record(None),
    ],
    ids=["the same images", "another name", "a limit", "held out", "another background", "failed", "crashed", "never begun"],
)
def test_what_may_differ_is_not_refused(other):
    refuse_mixed([record("f"), other])


def test_a_record_that_no_configuration_comes_of_is_not_compared():
    refuse_mixed([record("f"), record("g").model_copy(update={"config": {"data": {"colour": "red"}}})])


def test_a_run_is_of_the_images_that_it_saw():
    refuse_other(record("f"), "f", "runs/x")
    refuse_other(record(None), "f", "runs/x")
    with pytest.raises(UserError, match="runs/x holds this run on other images that are called pets, too: their fingerprint is f, that of"):
        refuse_other(record("f"), "g", "runs/x")


def test_one_run_of_two_sweeps_on_other_images_is_no_single_run(tmp_path):
    for sweep, fingerprint in (("one", "f"), ("two", "g")):
        write_run(tmp_path / sweep / record("f").run_id, record(fingerprint))
    with pytest.raises(UserError, match=r"fingerprints f .* and g"):
        read_runs(tmp_path)
    assert len(read_runs(tmp_path / "one")) == 1


@pytest.mark.parametrize("method", ["grid", "random"])
def test_a_sweep_is_not_complete_by_runs_on_other_images(tmp_path, method):
    keys = {"source": {"value": "folder"}, "folder": {"value": "/here"}, "name": {"value": "pets"}}
    train = {"epochs": {"value": 1}, "seed": {"values": [0, 1]}}
    parameters = {"data": {"parameters": keys}, "train": {"parameters": train}}
    file = tmp_path / "pets.yaml"
    file.write_text(yaml.safe_dump({"method": method, "parameters": parameters} | ({} if method == "grid" else {"run_cap": 2})))
    asked = spec.read(file)
    assert ledger.reckon(asked, [record("f"), record("f", seed=1), record("g", seed=2)]).complete
    with pytest.raises(UserError, match=r"fingerprints f .* and g"):
        ledger.reckon(asked, [record("f"), record("g", seed=1)])
