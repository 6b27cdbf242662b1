"""Runs that an earlier version left: the records of two studies, as they were before identities had a version."""

import gzip
import json
from pathlib import Path

import pytest

from reglab.sweep import spec
from reglab.tracking.client import PROJECT
from reglab.tracking.record import State
from reglab.tracking.store import read_runs
from reglab.tracking.sync import read, sync
from reglab.tracking.wandb_api import Project
from tests.loopback.conftest import wandb_server as wandb_server
from tests.loopback.state import ENTITY, Run
from tests.report import published

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parents[1] / "fixtures"

CIFAR10 = (
    "data.source=folder",
    "data.folder=/elsewhere/cifar10-jpeg",
    "data.name=CIFAR-10 (JPEG)",
    "data.train_limit=10000",
    "data.test_limit=2000",
    "model.width=16",
    "train.epochs=10",
    "train.batch_size=64",
    "train.seed=[0, 1]",
)
"""What the runs of the second study were asked for with."""


@pytest.fixture
def reglab(reglab, monkeypatch, tmp_path):
    """Runs a command in this process, in which no run can be trained; returns its exit code."""
    monkeypatch.chdir(tmp_path)

    def train(*started):
        raise AssertionError(f"a run is trained again: {started}")

    monkeypatch.setattr("reglab.running.worker.start", train)
    return reglab


def records_of(name):
    return [json.loads(line) for line in gzip.decompress((FIXTURES / f"{name}.jsonl.gz").read_bytes()).splitlines()]


@pytest.fixture
def rebuild():
    """Writes the folders of runs that these records are of; returns the names of the runs."""

    def build(name, folder):
        stored = records_of(name)
        for record in stored:
            path = folder / record["sweep"] / record["run_id"] / "run.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(record))
        return {record["run_id"] for record in stored}

    return build


def test_a_study_of_an_earlier_version_is_done_and_its_runs_keep_their_names(reglab, rebuild, tmp_path, capsys):
    names = rebuild("digits_quick", tmp_path / "runs" / "study-quick")
    assert reglab("study", "run", "--quick", "--workers", "2") == 0
    said = capsys.readouterr().err
    assert "the study is done" in said
    assert said.count("recognized by their configurations: 131;") == 1
    records = read_runs(tmp_path / "runs" / "study-quick")
    assert {record.run_id for record in records} == names
    assert {record.state for record in records} == {State.finished}


def test_so_is_a_sweep_over_a_folder_of_images(reglab, rebuild, tmp_path, capsys):
    names = rebuild("cifar10_jpeg_cpu", tmp_path / "runs")
    assert reglab("sweep", "run", spec.shipped("final"), *CIFAR10) == 0
    assert "recognized by their configurations: 12;" in capsys.readouterr().err
    assert {path.parent.name for path in (tmp_path / "runs").glob("*/*/run.json")} == names


def test_what_was_given_from_a_report_of_before_is_done(reglab, tmp_path):
    report = tmp_path / "reports" / "before"
    report.mkdir(parents=True)
    (report / "records.jsonl.gz").write_bytes((FIXTURES / "digits_quick.jsonl.gz").read_bytes())
    assert reglab("study", "run", "--quick", "--only", "final,dropout_asymmetric,dropout_bayes", "--from", report) == 0
    names = {record["run_id"] for record in records_of("digits_quick")}
    assert {path.parent.name for path in (tmp_path / "runs").glob("*/*/*/run.json")} < names


@pytest.mark.parametrize("name", ["digits_quick", "cifar10_jpeg_cpu"])
def test_what_went_up_before_goes_up_no_second_time(wandb_server, rebuild, tmp_path, name):
    rebuild(name, tmp_path / "runs")
    there = wandb_server.world.project(PROJECT).runs
    for record in records_of(name):
        config = {key: {"value": value} for key, value in (record["config"] | {"identity": record["identity"]}).items()}
        summary = {"state": record["state"], "updated": record["updated"]}
        there[record["run_id"]] = Run(name=record["run_id"], state="finished", group=record["sweep"], config=config, summary=summary)
    before = set(there)
    outcome = sync(read([tmp_path / "runs"]).records, Project(ENTITY, PROJECT), lambda done, total: None)
    assert (outcome.sent, outcome.there, outcome.failed) == (0, len(before), ())
    assert set(there) == before
    assert wandb_server.count("UpsertBucket") == 0


def test_the_study_reckons_records_of_before_with_those_of_now(rebuild, tmp_path):
    rebuild("digits_quick", tmp_path / "runs")
    before = read_runs(tmp_path / "runs")
    again = [record.changed(run_id=f"{record.identity}-s{record.seed}", formerly=None) for record in before[:5]]
    study = published.study([*before, *again])
    assert len(study.records) == 131
    assert {record.run_id for record in study.again} == {record.run_id for record in again}
