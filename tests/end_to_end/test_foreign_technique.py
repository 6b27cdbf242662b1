"""A technique of another package, made by the recipe of `docs/adding_a_technique.md`: swept, and reported, without a line in reglab."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DECLARED = '''
from pydantic import Field
from reglab.section import Section
from reglab.techniques import Probe, Technique

class HazeConfig(Section):
    """Haze: grey levels are raised (Nobody 2026)."""

    level: int = Field(default=0, ge=0, le=255, description="by which each pixel is brighter")

TECHNIQUE = Technique(
    name="haze",
    section=HazeConfig,
    paper="arXiv:0000.00000",
    active=lambda own, run: own.level > 0,
    label=lambda own: f"haze {own.level}",
    probes=(Probe("haze/level", "of all pixels", lambda own: own.level / 255),),
    example={"level": 40},
    applied_by="haze.apply:Haze",
)
'''
APPLY = """
import torch
from reglab.techniques.applied import Applied

class Haze(Applied):
    def on_levels(self, images, draws):
        return images.float() + self.own.level

    def measured(self, sums, steps):
        return {"haze/level": sums[0] / steps}

    def __init__(self, own, run, device):
        super().__init__(own, run, device)
        self.sums = torch.zeros((), device=device)

    def draw(self, draws, generator):
        self.sums += self.own.level / 255
"""
SWEEP = """
name: haze
method: grid
metric: {name: test/accuracy, goal: maximize}
command: [reglab, train]
parameters:
  data: {parameters: {source: {value: digits}, train_limit: {value: 64}, test_limit: {value: 32}}}
  model: {parameters: {width: {value: 4}}}
  haze: {parameters: {level: {values: [0, 51]}}}
  train: {parameters: {epochs: {value: 1}, batch_size: {value: 32}, seed: {values: [0, 1]}}}
"""


@pytest.fixture
def installed(tmp_path):
    """What an installer leaves of the package: its code, and what it declares."""
    site = tmp_path / "site"
    files = {
        "haze/__init__.py": "",
        "haze/declared.py": DECLARED,
        "haze/apply.py": APPLY,
        "haze-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: haze\nVersion: 1.0\n",
        "haze-1.0.dist-info/entry_points.txt": "[reglab.techniques]\nhaze = haze.declared:TECHNIQUE\n",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text, encoding="utf-8")
    return site


@pytest.fixture
def command(installed, tmp_path, cache):
    """Runs a command in a process of its own, where the package is installed, or is not."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB_", "REGLAB_"))}
    environment |= {"REGLAB_CACHE": str(cache), "REGLAB_RUNS": str(tmp_path / "runs"), "REGLAB_DEVICE": "cpu", "WANDB_MODE": "disabled"}

    def run(*words, code=0, there=True):
        path = [str(installed)] * there + sys.path
        done = subprocess.run(
            [sys.executable, "-m", "reglab", *map(str, words)],
            env=environment | {"PYTHONPATH": os.pathsep.join(path), "NO_COLOR": "1", "COLUMNS": "200"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    return run


def test_a_technique_of_another_package_is_swept_and_reported(command, tmp_path, installed):
    sweep = tmp_path / "haze.yaml"
    sweep.write_text(SWEEP, encoding="utf-8")
    assert "haze:" in command("train", "--print-config")
    assert "unknown key haze" in command("sweep", "check", sweep, code=2, there=False)
    command("sweep", "run", sweep)
    command("report", "build", "--from", tmp_path / "runs" / "haze", "--out", tmp_path / "report")
    with (tmp_path / "report" / "runs.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and [row["haze_level"] for row in rows].count("51") == 2
    assert {row["model"] for row in rows} == {"baseline", "haze 51"}
    histories = (tmp_path / "runs" / "haze").glob("*/history.jsonl")
    logged = [json.loads(line).get("haze/level") for file in histories for line in file.read_text(encoding="utf-8").splitlines()]
    assert len(logged) == 4 and [value for value in logged if value is not None] == pytest.approx([0.2, 0.2])

    # Where the package is not, its runs are reported all the same.
    command("report", "build", "--from", tmp_path / "runs" / "haze", "--out", tmp_path / "without", there=False)
    assert "haze 51" in (tmp_path / "without" / "runs.csv").read_text(encoding="utf-8")

    # Other code is another arm: nothing of it is done.
    before = command("sweep", "status", sweep)
    assert "4 finished" in before
    (installed / "haze" / "apply.py").write_text(APPLY.replace("+ self.own.level", "- self.own.level"), encoding="utf-8")
    after = command("sweep", "status", sweep, code=1)
    assert "2 finished" in after and "2 missing" in after


def test_a_package_that_cannot_be_used_is_named(command, installed):
    (Path(installed) / "haze" / "declared.py").write_text(DECLARED.replace('paper="arXiv:0000.00000"', 'paper=""'), encoding="utf-8")
    line = command("sweep", "check", "x.yaml", code=2)
    assert "technique haze of the package haze cannot be used" in line and "paper is empty" in line and "Traceback" not in line
