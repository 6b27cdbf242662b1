"""The commands on a small sweep that really ran."""

import json
import shutil

import pytest
import yaml

from reglab.config import RunConfig
from reglab.sweep import spec
from reglab.sweep.draws import DRAWS
from reglab.tracking.record import State
from reglab.tracking.store import read_run, write_record

SWEEP = {
    "method": "grid",
    "parameters": {
        "data": {"parameters": {"source": {"value": "digits"}, "train_limit": {"value": 64}, "test_limit": {"value": 32}}},
        "model": {"parameters": {"width": {"value": 4}}},
        "batchnorm": {"parameters": {"layers": {"values": [0, 2]}}},
        "train": {"parameters": {"epochs": {"value": 1}, "batch_size": {"value": 32}, "seed": {"values": [0, 1]}}},
    },
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(SWEEP))
    return path


@pytest.fixture
def half_done(reglab, file, tmp_path):
    """Three of four cells ran; one of these crashed."""
    words = ["data.source=digits", "data.train_limit=64", "data.test_limit=32", "model.width=4", "train.epochs=1", "train.batch_size=32"]
    for extra in (["batchnorm.layers=0"], ["batchnorm.layers=2"], ["train.seed=1"]):
        assert reglab("train", *words, *extra) == 0
    (tmp_path / "runs" / "train").rename(tmp_path / "runs" / "small")
    crashed = next(path for path in (tmp_path / "runs" / "small").glob("*-s1"))
    write_record(crashed, read_run(crashed).changed(state=State.crashed, reason="killed by SIGKILL"))
    return tmp_path / "runs" / "small"


def test_status_shows_what_is_there_and_what_is_not(reglab, file, half_done, capsys):
    assert reglab("sweep", "status", file) == 1
    said = capsys.readouterr().out
    assert "2 finished, 1 crashed, 1 missing" in said
    assert "baseline s1 crashed" in said
    assert "killed by SIGKILL" in said
    assert [line.split() for line in said.splitlines()[1:3]] == [["baseline", "finished", "crashed"], ["BN", "2", "finished", "missing"]]
    assert reglab("sweep", "status", file, "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["counts"] == {"finished": 2, "crashed": 1, "missing": 1}


def test_runs_of_a_study_are_found_in_its_folder_and_of_several_one_is_named(reglab, file, half_done, tmp_path, capsys):
    sweep = spec.read(file)
    (half_done / DRAWS).write_text(json.dumps({"spec": sweep.fingerprint(whatever_seeds=True), "draws": []}))
    (tmp_path / "runs" / "study").mkdir()
    half_done.rename(tmp_path / "runs" / "study" / "small")
    assert reglab("sweep", "status", file) == 1
    assert "2 finished, 1 crashed, 1 missing" in capsys.readouterr().out
    shutil.copytree(tmp_path / "runs" / "study", tmp_path / "runs" / "another")
    assert reglab("sweep", "status", file) == 2
    assert "another/small, " in (said := capsys.readouterr().err) and said.endswith("study/small have runs of it: say which with --from\n")


def test_states_are_whole_in_a_pipe_however_many_seeds_there_are(reglab, file, half_done, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    seeds = ",".join(map(str, range(12)))
    assert reglab("sweep", "status", file, f"train.seed=[{seeds}]") == 1
    lines = capsys.readouterr().out.splitlines()
    assert "…" not in lines[1]
    assert lines[1].split() == ["baseline", "finished", "crashed", *["missing"] * 10]


def test_makeup_writes_what_is_missing_and_then_there_is_nothing(reglab, file, half_done, tmp_path, capsys):
    out = tmp_path / "rest.yaml"
    assert reglab("sweep", "makeup", file, "--out", out) == 0
    configs = [RunConfig.parse(values) for values in spec.read(out).grid()]
    assert sorted((config.batchnorm.layers, config.train.seed) for config in configs) == [(0, 1), (2, 1)]
    assert reglab("sweep", "check", out) == 0
    for path in half_done.glob("*/run.json"):
        write_record(path.parent, read_run(path.parent).changed(state=State.finished))
    assert reglab("sweep", "makeup", file, "--out", out) == 0
    assert ": 1 run\n" in capsys.readouterr().err
    assert reglab("sweep", "makeup", file, "--out", file) == 2


def test_makeup_replaces_an_earlier_makeup_and_nothing_else(reglab, file, tmp_path, capsys):
    out = tmp_path / "rest.yaml"
    for _ in range(2):
        assert reglab("sweep", "makeup", file, "--out", out) == 0
    out.write_text("years of work")
    assert reglab("sweep", "makeup", file, "--out", out) == 2
    assert f"--out {out} is there, and no earlier makeup: give another name" in capsys.readouterr().err
    assert out.read_text() == "years of work"


def test_a_sweep_that_never_began_is_all_missing(reglab, file, capsys):
    assert reglab("sweep", "status", file) == 1
    assert "4 missing" in capsys.readouterr().out


def test_plan_counts_what_is_left_and_says_its_basis(reglab, file, half_done, capsys):
    assert reglab("sweep", "plan", file, "--price", "2") == 0
    said = capsys.readouterr().out
    assert said.splitlines()[1].split()[1:4] == ["4", "2", "2"]
    assert "from 2 finished runs on" in said


@pytest.mark.slow
def test_plan_without_a_run_asks_for_a_probe_and_makes_one(reglab, file, capsys, monkeypatch):
    monkeypatch.setattr("reglab.running.probe.PROBE_SECONDS", 0.1)
    assert reglab("sweep", "plan", file) == 2
    said = capsys.readouterr()
    assert "--probe" in said.err
    assert said.out.splitlines()[1].split()[1:] == ["4", "0", "4", "–"]  # how many there are is known all the same
    assert reglab("sweep", "plan", file, "--probe", "--gpus", "2") == 0
    said = capsys.readouterr().out
    assert "from a probe of 2 networks here" in said
    assert "with 2 GPUs at a time" in said
