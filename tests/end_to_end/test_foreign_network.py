"""A network, images and a metric of another package: swept, and reported where the package is not. Who only reads imports nothing of it."""

import csv
import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

MODULE = """
import pathlib, sys
import numpy as np
from torch import nn

with pathlib.Path(__file__).with_name("imported").open("a") as file:
    file.write(" ".join(sys.argv[1:3]) + "\\n")

def net(classes, side, channels, width=4):
    return nn.Sequential(nn.Conv2d(channels, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))

def spread(logits, labels):
    return logits.std()

def images():
    draws = np.random.default_rng(0)
    return [(draws.integers(0, 256, (count, 12, 12), dtype=np.uint8), np.arange(count) % 2) for count in (16, 8)]
"""
SWEEP = """
name: mine
method: grid
metric: {name: test/spread, goal: minimize}
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: "mine.parts:images"}}}
  model: {parameters: {name: {value: "mine.parts:net"}, options: {parameters: {width: {values: [2, 5]}}}}}
  agc: {parameters: {enabled: {value: true}}}
  train:
    parameters:
      epochs: {value: 1}
      batch_size: {value: 8}
      seed: {values: [0, 1]}
      keep_weights: {value: true}
      metrics: {value: "mine.parts:spread"}
"""


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "site" / "mine"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("import pathlib; pathlib.Path(__file__).with_name('imported').touch()", encoding="utf-8")
    (folder / "parts.py").write_text(MODULE, encoding="utf-8")
    return folder


@pytest.fixture
def command(package, tmp_path, cache):
    """Runs a command in a process of its own, where the package is, or is not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "REGLAB_"))}
    environment |= {"REGLAB_CACHE": str(cache), "REGLAB_RUNS": str(tmp_path / "runs"), "REGLAB_DEVICE": "cpu", "WANDB_MODE": "disabled"}

    def run(*words, code=0, there=True):
        path = [str(package.parent)] * there + sys.path
        done = subprocess.run(
            [sys.executable, "-m", "reglab", *map(str, words)],
            env=environment | {"PYTHONPATH": os.pathsep.join(path), "NO_COLOR": "1", "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_they_are_swept_and_reported_and_only_a_run_imports_them(command, tmp_path, package):
    sweep, imported = tmp_path / "mine.yaml", package / "imported"
    sweep.write_text(SWEEP, encoding="utf-8")
    command("sweep", "check", sweep)
    assert "there is no such module here" in command("sweep", "check", sweep, there=False)
    assert not imported.exists()
    command("sweep", "run", sweep)
    assert imported.exists()
    folders = sorted((tmp_path / "runs" / "mine").glob("*/run.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folders]
    assert [record["state"] for record in records] == ["finished"] * 4
    assert {record["code"]["model.name"] for record in records} == {record["code"]["data.source"] for record in records}
    assert sorted(record["config"]["model"]["options"]["width"] for record in records) == [2, 2, 5, 5]
    assert f"test/spread {records[0]['summary']['test/spread']!r}" in command("evaluate", folders[0].parent)
    assert {record["measures"][0]["code"] for record in records} == {record["code"]["model.name"] for record in records}

    imported.unlink()
    assert "4 finished" in command("sweep", "status", sweep)
    for said in (command("sweep", "status", sweep, there=False), command("sweep", "makeup", sweep, "--out", "rest.yaml", there=False)):
        assert "note: model.name = mine.parts:net: there is no such module here, so runs count whatever their code" in said
        assert "4 finished" in said or "nothing is missing" in said
    assert "nobody can tell what has run" in command("sweep", "run", sweep, there=False, code=2)
    reports = [tmp_path / name for name in ("with", "without")]
    for there, out in zip((True, False), reports, strict=True):
        command("report", "build", "--from", tmp_path / "runs" / "mine", "--out", out, there=there)
        asked = "width=5 > width=2 in test/spread"
        assert "test/spread" in command("judge", asked, "--from", tmp_path / "runs" / "mine", there=there, code=4)
        with (out / "runs.csv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        assert sorted(row["width"] for row in rows) == ["2", "2", "5", "5"]
        assert all(float(row["test/spread"]) > 0 for row in rows)
        assert len({row["model"] for row in rows}) == 2  # two arms have two names
        assert "mine.parts:net" in (out / "index.html").read_text(encoding="utf-8")
    assert not imported.exists()

    # Other code is another arm: nothing of it is done, and weights of the former are not taken for it.
    (package / "parts.py").write_text(MODULE.replace("nn.ReLU()", "nn.GELU()"), encoding="utf-8")
    assert "4 missing" in command("sweep", "status", sweep, code=1)
    assert "was of other code than what is here" in command("evaluate", folders[0].parent, code=2)


def test_code_that_is_edited_while_a_sweep_goes_on_trains_under_no_name_of_before(command, tmp_path, package):
    """The first run edits the file of its network as it is measured."""
    sweep, runs = tmp_path / "mine.yaml", tmp_path / "runs" / "mine"
    sweep.write_text(SWEEP.replace("mine.parts:spread", "mine.edits:spread"), encoding="utf-8")
    (package / "edits.py").write_text(EDITS, encoding="utf-8")
    said = command("sweep", "run", sweep, "--workers", "1", code=75)
    assert (
        "this machine cannot go on: 3 runs in a row, the last: " in said
        and "edited since its sweep named this run: start the sweep" in said
    )
    records = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/run.json")}
    assert sorted(record["state"] for record in records.values()) == ["finished", *["preempted"] * 3]
    assert all(name.startswith(record["identity"]) for name, record in records.items())
    (before,) = (record["code"] for record in records.values() if record["state"] == "finished")
    assert "4 runs, 4 finished" in command("sweep", "run", sweep, "--workers", "1")
    records = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in runs.glob("*/run.json")}
    finished = [record for record in records.values() if record["state"] == "finished"]
    assert all(name.startswith(record["identity"]) for name, record in records.items())
    assert [record["code"] == before for record in sorted(finished, key=lambda record: record["created"])] == [True, *[False] * 4]


EDITS = """
import pathlib

calls = 0

def spread(logits, labels):
    global calls
    calls += 1
    path = pathlib.Path(__file__).with_name("parts.py")
    if calls == 2:  # the first is a try before the run begins
        path.write_text(path.read_text().replace("nn.ReLU()", "nn.GELU()"))
    return logits.std()
"""
